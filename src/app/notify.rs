//! What systemd is told (`Type=notify`): that all is up, that the run file is being read again, that hydrant stops, and
//! that the loop still turns.

use std::time::Duration;

use crate::base::time::Time;
use crate::base::units::Span;
use crate::reactor::host::Manager;

/// What it has been told so far.
pub(super) struct Notify {
    manager: Option<Manager>,
    /// A sign of life is due so often.
    every: Option<Duration>,
    last: Time,
    stopping: bool,
    reloading: bool,
}

impl Notify {
    /// All listens that is going to listen.
    pub(super) fn ready() -> Self {
        let watchdog = Manager::watchdog();
        if let Some(within) = watchdog.filter(|within| *within < LEAST) {
            let (within, least) = (Span(within), Span(LEAST));
            log::warn!(
                "hydrant: WatchdogSec= is {within}: make it {least} or more, or it will end hydrant for nothing"
            );
        }
        let this = Self {
            manager: Manager::of_environment(),
            every: watchdog.map(|within| within / SIGNS),
            last: Time::ZERO,
            stopping: false,
            reloading: false,
        };
        this.tell("READY=1");
        this
    }

    /// The loop has to turn so often for that, though nothing happens in it.
    pub(super) fn every(&self) -> Option<Duration> {
        self.every
    }

    /// To be called after every turn.
    pub(super) fn between_turns(&mut self, now: Time, stopping: bool, reloading: bool) {
        if stopping && !self.stopping {
            self.stopping = true;
            self.tell("STOPPING=1");
        }
        if reloading != self.reloading {
            self.reloading = reloading;
            self.tell(if reloading { "RELOADING=1" } else { "READY=1" });
        }
        if self
            .every
            .is_some_and(|every| now.since(self.last) >= every)
        {
            self.last = now;
            self.tell("WATCHDOG=1");
        }
    }

    fn tell(&self, state: &str) {
        if let Some(manager) = &self.manager {
            manager.tell(state);
        }
    }
}

/// A machine that is busy with other things may leave the loop without a turn for about as long.
const LEAST: Duration = Duration::from_secs(3);
/// Signs of life within the time in which one is wanted.
const SIGNS: u32 = 3;
