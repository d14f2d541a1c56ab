//! The clock: what it counts from, and what it says. Knows nothing of waits.

use std::time::SystemTime;

use crate::base::time::Time;
use crate::reactor::sys;

/// The zero of a clock, which several networks may share: a [`Time`] of one is then the same instant to the others.
#[derive(Clone, Copy, Debug)]
pub struct Epoch {
    /// By [`sys::monotonic`].
    pub(super) start: u64,
    utc: SystemTime,
}

impl Epoch {
    /// This moment.
    pub fn now() -> Self {
        Self {
            start: sys::monotonic(),
            utc: SystemTime::now(),
        }
    }

    /// This zero in nanoseconds since 1970, by the system's clock as it was at that moment.
    pub fn utc_nanos(&self) -> u64 {
        let since = self.utc.duration_since(SystemTime::UNIX_EPOCH);
        since.map_or(0, |since| {
            u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
        })
    }
}

/// The time on a clock with this zero.
pub(super) fn time_since(start: u64) -> Time {
    Time::from_nanos(sys::monotonic() - start)
}

/// Milliseconds since 1970, by the system's clock.
pub(super) fn utc_millis() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis() as u64)
}
