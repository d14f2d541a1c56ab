//! What ends a wait in time: one timer of the kernel's (timerfd) that stays set over many waits.
//!
//! A timeout given to each wait has the kernel set a timer before it sleeps and take it back when an event comes
//! first, which for a thin feed is nearly always. Here nothing is set as long as a wait may go on at least until the
//! time that is set already; when that was too early, the wait ends with nothing found, once.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};

use crate::base::time::Time;

/// A timer among the descriptors that are waited for.
#[derive(Debug)]
pub(super) struct Alarm {
    file: OwnedFd,
    /// When it rings, or has rung without anybody having been told yet.
    set: Option<Time>,
}

impl Alarm {
    /// One that is not set. Its event carries `token`, and is to be told to [`Alarm::rang`].
    pub(super) fn new(registry: &Registry, token: Token) -> io::Result<Self> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        // The clock that the network reads.
        let file = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        registry.register(&mut SourceFd(&file.as_raw_fd()), token, Interest::READABLE)?;
        Ok(Self { file, set: None })
    }

    /// Makes sure that a wait without a timeout ends at `end`, if not before. False where that time has come already,
    /// by `clock`, which is asked only where the timer has to be set.
    pub(super) fn ends_by(&mut self, end: Time, clock: impl FnOnce() -> Time) -> io::Result<bool> {
        if self.set.is_some_and(|set| set <= end) {
            return Ok(true);
        }
        self.set_for(end, clock)
    }

    #[inline(never)]
    fn set_for(&mut self, end: Time, clock: impl FnOnce() -> Time) -> io::Result<bool> {
        let left = end.since(clock());
        if left.is_zero() {
            return Ok(false);
        }
        let once = Itimerspec {
            it_interval: Timespec::default(),
            it_value: Timespec::try_from(left).map_err(|_| io::ErrorKind::InvalidInput)?,
        };
        // The edge comes again each time it is set, whether or not it has been read.
        timerfd_settime(&self.file, TimerfdTimerFlags::empty(), &once)?;
        self.set = Some(end);
        Ok(true)
    }

    /// Its event has come.
    pub(super) fn rang(&mut self) {
        self.set = None;
    }
}
