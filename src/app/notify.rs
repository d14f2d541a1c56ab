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
    /// How often files had begun to be read again by then.
    begun: u64,
}

/// How often files have begun to be read again, and whether they are being read.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Readings {
    pub(super) begun: u64,
    pub(super) under_way: bool,
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
        let every = watchdog.map(|within| within / SIGNS);
        let this = Self::to(Manager::of_environment(), every);
        this.tell("READY=1");
        this
    }

    fn to(manager: Option<Manager>, every: Option<Duration>) -> Self {
        Self {
            manager,
            every,
            last: Time::ZERO,
            stopping: false,
            reloading: false,
            begun: 0,
        }
    }

    /// The loop has to turn so often for that, though nothing happens in it.
    pub(super) fn every(&self) -> Option<Duration> {
        self.every
    }

    /// To be called after every turn.
    pub(super) fn between_turns(&mut self, now: Time, stopping: bool, readings: Readings) {
        if stopping && !self.stopping {
            self.stopping = true;
            self.tell("STOPPING=1");
        }
        // It may have been over within the turn in which it began.
        let has_begun = readings.begun != self.begun;
        self.begun = readings.begun;
        if has_begun && !self.reloading {
            self.reloading = true;
            self.tell("RELOADING=1");
        }
        if self.reloading && !readings.under_way {
            self.reloading = false;
            self.tell("READY=1");
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

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixDatagram;
    use std::{fs, process};

    use super::*;

    /// Whoever has asked for a reload waits until it is told that there was one, however soon it was over.
    #[test]
    fn a_reload_is_told_however_brief_it_was() {
        let path = std::env::temp_dir().join(format!("hydrant-notify-{}", process::id()));
        let _ = fs::remove_file(&path);
        let heard = UnixDatagram::bind(&path).expect("it is free");
        heard.set_nonblocking(true).expect("it can be");
        let mut notify = Notify::to(Manager::at(path.as_os_str()), None);
        let mut told = |begun, under_way| {
            let readings = Readings { begun, under_way };
            notify.between_turns(Time::ZERO, false, readings);
            let mut buffer = [0; 64];
            let next = || {
                heard
                    .recv(&mut buffer)
                    .ok()
                    .map(|len| buffer[..len].to_vec())
            };
            let all: Vec<u8> = std::iter::from_fn(next).flatten().collect();
            String::from_utf8(all).expect("text")
        };
        assert_eq!(told(0, false), "");
        assert_eq!(told(1, false), "RELOADING=1READY=1");
        assert_eq!(told(2, true), "RELOADING=1");
        // Another one behind it is part of it.
        assert_eq!(told(3, true), "");
        assert_eq!(told(3, false), "READY=1");
        assert_eq!(told(3, false), "");
        let _ = fs::remove_file(path);
    }
}
