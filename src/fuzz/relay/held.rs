//! When the upstream may be held back, and who is near enough to the leader to be safe from the ring.

use std::time::Duration;

use super::book::{Book, Known};
use super::scenario::Scenario;
use crate::base::time::Time;
use crate::roles::relay::ACKS_LOOK_MAX;
use crate::roles::relay::config::{Resume, Slow};

impl Book {
    /// Whether somebody holds the upstream back: there are too few clients, one of them lags too far, or the ring is
    /// full.
    pub(super) fn is_held(&self, scenario: &Scenario, now: Time, at_rest: bool) -> bool {
        let config = &scenario.config;
        if self.most < config.wait_clients {
            return true;
        }
        // It is only now and then that the relay looks whether whoever lagged still does.
        if !at_rest && self.lagged.is_some_and(|at| now.since(at) <= LAG_LOOK) {
            return true;
        }
        let blocks = |known: &&Known| config.outputs[known.output].slow == Slow::Block;
        let mut blocking = self.clients.values().filter(blocks);
        let taken = |known: &Known| match at_rest {
            true => known.path.place(known.landed),
            false => known.cursor,
        };
        let lags = |known: &Known| self.lags_far(config.max_lag, taken(known), now);
        blocking.any(lags) || self.is_full(scenario, at_rest)
    }

    /// Whether somebody has a right to bytes that fill the ring. At rest a leading client does not, since it is not
    /// waited for for so long.
    pub(super) fn is_full(&self, scenario: &Scenario, at_rest: bool) -> bool {
        let config = &scenario.config;
        let blocks = |output: usize| config.outputs[output].slow == Slow::Block;
        let is_acked = |output| scenario.resumes(output) == Some(Resume::Acked);
        let mut kept = Vec::new();
        for known in self.clients.values().filter(|known| blocks(known.output)) {
            kept.push(known.cursor);
            if is_acked(known.output) {
                // What it has acknowledged may not have been asked about yet, but for when all is at rest.
                kept.push(known.path.place(if at_rest { known.landed } else { 0 }));
            }
        }
        let parked = (0..)
            .zip(&self.parked)
            .filter(|(output, _)| blocks(*output));
        kept.extend(parked.flat_map(|(_, places)| places.iter().map(|(from, _)| *from)));
        if !at_rest && !config.hold.is_zero() {
            let lead = self.lead();
            let taking = self.clients.values().filter(|known| !known.is_finishing());
            let droppable = taking.filter(|known| !blocks(known.output));
            let hindmost = droppable.map(|known| known.cursor).min();
            // Nor are those overtaken who are close behind it.
            let spared = |lead: u64| hindmost.map(|at| at.clamp(near(scenario, lead), lead));
            kept.extend(lead);
            kept.extend(lead.and_then(spared));
        }
        let keep = kept.into_iter().min();
        keep.is_some_and(|keep| self.held - keep > scenario.room_behind())
    }

    /// The next byte of the client that is furthest ahead, of those who have not got everything.
    pub(super) fn lead(&self) -> Option<u64> {
        let taking = self.clients.values().filter(|known| !known.is_finishing());
        taking.map(|known| known.cursor).max()
    }

    /// Whether a client may be sent nothing though it lacks bytes, or have one more visit after that: it was too far
    /// behind by what waits in its kernel, and has not taken that, or only just.
    pub(super) fn may_be_withheld(&self, scenario: &Scenario, known: &Known, now: Time) -> bool {
        let config = &scenario.config;
        let skips = config.outputs[known.output].slow == Slow::Skip && config.max_lag.is_some();
        let waits = known.landed < known.written || now.since(known.progress) <= LAG_LOOK;
        skips && waits && known.until == u64::MAX && self.ledger.is_begin(known.cursor)
    }

    /// Whether a client was so close behind the leader before the latest event that the ring may not overtake it.
    pub(super) fn is_near(&self, scenario: &Scenario, known: &Known) -> bool {
        let waits = !scenario.config.hold.is_zero();
        let lead = self.lead_before.filter(|_| waits);
        lead.is_some_and(|lead| known.cursor >= near(scenario, lead))
    }
}

/// Who is not further behind than this is no slower than the leader.
fn near(scenario: &Scenario, lead: u64) -> u64 {
    lead.saturating_sub(scenario.config.ring as u64 / 2)
}

/// How often the relay looks, at the least, whether a client still lags for whom the upstream waits, and a little more.
const LAG_LOOK: Duration = ACKS_LOOK_MAX.saturating_add(Duration::from_millis(10));
