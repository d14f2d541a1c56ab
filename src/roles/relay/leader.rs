//! The leader: the client that is furthest ahead. The ring never overtakes it, nor those near it; and while it takes
//! bytes and is behind, the upstream waits for it for a moment, so that what it gets next is still hot in the cache.
//!
//! ```text
//!   not awaited ──a MiB behind──> awaited ──has everything──> not awaited
//!        ^                          │ ^ └── every 5 ms: has taken bytes, and is near or has everything soon
//!        │                          └── every 5 ms: has not ──> slow: the upstream goes on without it
//!        └──────────────── has everything, or has turned out to be quick ─────────┘
//! ```

use std::time::Duration;

use crate::base::time::Time;
use crate::base::wheel::TimerKey;
use crate::reactor::Cx;
use crate::roles::relay::{Relay, Tick};

/// Whether the upstream waits for the leader, and whether that is worth it.
#[derive(Debug, Default)]
pub(super) struct Leader {
    /// While it is awaited: the timer, and how far it was when that was set.
    awaited: Option<(TimerKey, u64)>,
    /// It takes too little to be worth waiting for: since when, and how far it was then. Until somebody is current
    /// again, or it has turned out to be quick after all.
    slow: Option<(Time, u64)>,
}

impl Leader {
    /// It is not waited for any more: the timer of that, if there was one.
    pub(super) fn end_wait(&mut self) -> Option<TimerKey> {
        self.awaited.take().map(|(timer, _)| timer)
    }

    /// A leader that was slow may only have been without a core for a moment, and would then be far behind for ever:
    /// as fast as it takes bytes, others come in.
    fn judge(&mut self, lead: u64, head: u64, now: Time) {
        let Some((since, from)) = self.slow else {
            return;
        };
        let took = lead.saturating_sub(from);
        let is_sure = took >= AHEAD_MAX;
        if lead == head || is_sure && has_soon(head - lead, took, now.since(since)) {
            self.slow = None;
        } else if is_sure {
            self.slow = Some((now, lead));
        }
    }
}

impl Relay {
    /// How far the client is that is furthest ahead; where nobody takes bytes, nobody is behind.
    fn lead(&mut self) -> u64 {
        let head = self.records.whole();
        self.clients.lead(head).unwrap_or(head)
    }

    /// Whether the upstream should wait a moment for a leader that is behind and keeps taking bytes. Once it waits, it
    /// does so until the leader has everything: then the ring starts over with what is hot in the cache.
    pub(super) fn is_far_ahead(&mut self, now: Time) -> bool {
        let (lead, head) = (self.lead(), self.records.whole());
        self.leader.judge(lead, head, now);
        let far = match self.leader.awaited {
            Some(_) => 0,
            None => AHEAD_MAX,
        };
        head - lead > far && self.leader.slow.is_none() && !self.config.hold.is_zero()
    }

    /// The upstream waits for the leader from now on, or goes on doing so.
    pub(super) fn await_leader(&mut self, cx: &mut Cx<'_>) {
        let lead = self.lead();
        self.leader.awaited = Some((cx.timer(AHEAD_LOOK, Tick::Ahead.tag(0)), lead));
    }

    /// The leader has been waited for for a moment: it is worth another if it has taken bytes, and is near or would
    /// soon have everything.
    pub(super) fn look_at_leader(&mut self, cx: &mut Cx<'_>) {
        let Some((_, then)) = self.leader.awaited.take() else {
            return;
        };
        let (lead, head) = (self.lead(), self.records.whole());
        let took = lead.saturating_sub(then);
        let lacks = head - lead;
        if took > 0 && (lacks <= 2 * AHEAD_MAX || has_soon(lacks, took, AHEAD_LOOK)) {
            return self.await_leader(cx);
        }
        self.leader.slow = Some((cx.now(), lead));
        self.refresh_gate(cx);
    }

    /// The first byte that the ring must not overwrite for clients that may be overtaken: the leader's next one, or
    /// that of the hindmost, but not more than half a ring before the leader's. Who is nearer than that is not slower
    /// than the others: receivers that pause together, as behind one switch, would otherwise all be lost but for the
    /// one that goes on first.
    pub(super) fn protected(&mut self) -> Option<u64> {
        if self.config.hold.is_zero() {
            return None; // nobody is waited for
        }
        let lead = self.clients.lead(self.records.whole())?;
        let near = lead.saturating_sub(self.config.ring as u64 / 2);
        if self.ring.room(near) >= self.read_max {
            return Some(lead); // so that nobody near can be overtaken
        }
        let hindmost = self.clients.hindmost_droppable();
        Some(hindmost.map_or(lead, |cursor| cursor.clamp(near, lead)))
    }
}

/// Whether a leader that took so many bytes in `time` has all that it lacks soon enough to be waited for, however far
/// it is behind.
fn has_soon(lacks: u64, took: u64, time: Duration) -> bool {
    time.mul_f64(lacks as f64 / took.max(1) as f64) < CATCH_UP
}

/// How far the upstream gets ahead of a leader that keeps taking bytes: about what a processor's own cache holds.
const AHEAD_MAX: u64 = 1 << 20;
/// A leader that needs no longer than this for all that it lacks is waited for, however far it is behind.
const CATCH_UP: Duration = Duration::from_millis(40);
/// How often it is looked whether a leader that is waited for is worth it.
const AHEAD_LOOK: Duration = Duration::from_millis(5);

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: u64 = 16 * AHEAD_MAX;

    fn slow() -> Leader {
        Leader {
            slow: Some((Time::ZERO, 0)),
            ..Leader::default()
        }
    }

    #[test]
    fn a_leader_that_takes_quickly_is_not_slow_any_more() {
        let mut leader = slow();
        leader.judge(AHEAD_MAX - 1, HEAD, Time::from_millis(1));
        assert!(leader.slow.is_some(), "that may have been chance");
        leader.judge(AHEAD_MAX, HEAD, Time::from_millis(1));
        assert_eq!(leader.slow, None);
    }

    #[test]
    fn a_leader_on_a_thin_line_stays_slow_until_it_has_everything() {
        let mut leader = slow();
        let then = Time::from_millis(100);
        leader.judge(AHEAD_MAX, HEAD, then);
        assert_eq!(leader.slow, Some((then, AHEAD_MAX)));
        leader.judge(HEAD, HEAD, then);
        assert_eq!(leader.slow, None);
    }
}
