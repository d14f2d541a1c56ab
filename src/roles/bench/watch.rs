//! What the bench's own thread waits with: a loop for signals and time.

use std::time::Duration;

use crate::base::time::Time;
use crate::reactor::net::Signal;
use crate::reactor::{Cx, Event, Role};

/// Notices that somebody wants the program to end.
#[derive(Debug, Default)]
pub struct Watch {
    stopped: Option<Signal>,
    wake: Time,
}

impl Watch {
    /// By which signal somebody wants the program to end, if so.
    pub fn stopped(&self) -> Option<Signal> {
        self.stopped
    }

    /// Has the loop turn after so long.
    pub fn rest(&mut self, cx: &mut Cx<'_>, time: Duration) {
        self.wake = cx.clock() + time;
        // A timer counts from the turn's beginning, which may be a while ago.
        cx.timer(self.wake.since(cx.now()), 0);
    }

    /// Whether the time to rest is over.
    pub fn is_awake(&self, now: Time) -> bool {
        now >= self.wake
    }
}

impl Role for Watch {
    fn on(&mut self, _: &mut Cx<'_>, event: Event) {
        if let Event::Drain(signal) = event {
            self.stopped = Some(signal);
        }
    }
}
