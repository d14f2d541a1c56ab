//! How soon the loop turns at the latest, though nothing happens in it: what has no event of its own is seen then.

use std::time::Duration;

use super::RoleSet;
use crate::reactor::Reactor;

/// How soon the loop turns at the latest, whatever happens.
#[derive(Debug, Default)]
pub(super) struct Pulse {
    /// While nobody waits for anything.
    every: Option<Duration>,
    /// And sooner where somebody has begun to wait, until nobody does.
    pub(super) waiting: Option<Duration>,
}

impl Pulse {
    pub(super) fn set_every(&mut self, reactor: &mut Reactor<RoleSet>, every: Option<Duration>) {
        self.every = every;
        reactor.turn_within(every.into_iter().chain(self.waiting).min());
    }

    pub(super) fn note_waiting(&mut self, reactor: &mut Reactor<RoleSet>, waits: bool) {
        let waiting = waits.then_some(PULSE);
        if self.waiting != waiting {
            self.waiting = waiting;
            self.set_every(reactor, self.every);
        }
    }
}

/// How soon it is seen that nobody waits any more, or has waited for long enough.
pub(super) const PULSE: Duration = Duration::from_secs(1);
