//! The books that are kept beside the relay's own: what came in, who is a client, where each may begin and end, and
//! what makes a reason for letting one go true.

use std::collections::BTreeMap;

use super::ledger::{Ledger, Path, nearly};
use super::scenario::Scenario;
use super::stage::{Stage, Who};
use crate::base::time::Time;
use crate::reactor::net::{Close, SockId};
use crate::roles::relay::config::{MaxLag, Output, Resume, Slow, Way};
use crate::roles::relay::{Counts, Reason};
use crate::sim::{Receiver, RemoteId};

/// What has gone in and out so far, as seen from outside of the relay.
#[derive(Default)]
pub(super) struct Book {
    /// What should be passed on of what the relay has read from its upstreams.
    pub(super) ledger: Ledger,
    /// The head before the latest event, and how much the ring had been given by then and by now, what was taken out of
    /// it again left out.
    pub(super) head_before: u64,
    /// The furthest cursor before the latest event.
    pub(super) lead_before: Option<u64>,
    pub(super) held_before: u64,
    pub(super) held: u64,
    /// What has been skipped.
    pub(super) skipped: u64,
    /// Whose byte was the last, and on which connection and when it was heard.
    pub(super) latest: Option<u16>,
    pub(super) active: Option<SockId>,
    pub(super) heard: Time,
    /// The connection on probation (`--failback`), and the life that it replaced last.
    pub(super) standby: Option<SockId>,
    pub(super) replaced: Option<u16>,
    pub(super) clients: BTreeMap<SockId, Known>,
    /// When somebody under `block` was last seen to be beyond `--max-lag`, by what its kernel had acknowledged.
    pub(super) lagged: Option<Time>,
    /// By output: the offsets from and up to which the next client may begin if it need not begin at the newest.
    pub(super) parked: Vec<Vec<(u64, u64)>>,
    /// By output: who was connected there so far, one after the other.
    pub(super) lives: Vec<Vec<RemoteId>>,
    /// Most clients at a time.
    pub(super) most: usize,
    /// What each receiver may and did read.
    pub(super) served: BTreeMap<RemoteId, Served>,
    pub(super) ending_since: Option<Time>,
    pub(super) drained_at: Option<Time>,
    /// Since when the upstream has been held back at the end of each turn.
    pub(super) held_back: Option<Time>,
    pub(super) counts: Counts,
}

/// A client of the relay.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) remote: RemoteId,
    pub(super) output: usize,
    pub(super) path: Path,
    pub(super) cursor: u64,
    pub(super) written: u64,
    pub(super) joined: Time,
    /// How many bytes it was given when it joined.
    pub(super) given: u64,
    /// What came in after this is not for it.
    pub(super) until: u64,
    /// How much it has taken as far as its kernel told, and when that last grew.
    pub(super) landed: u64,
    pub(super) progress: Time,
    /// It has skipped since: then `progress` is when the oldest byte came that it lacked before.
    pub(super) has_skipped: bool,
    /// Since when there has been something for it to take all the time.
    pub(super) lacks_since: Option<Time>,
}

/// What a receiver reads: a piece of the stream, or several.
#[derive(Clone, Debug)]
pub(super) struct Served {
    pub(super) who: Who,
    pub(super) path: Path,
    pub(super) until: u64,
    pub(super) taken: u64,
    /// It was let go with every byte.
    pub(super) drained: bool,
}

/// A client that takes no more bytes, and where its kernel was when it stopped: no less than the first, no more than
/// the second.
#[derive(Clone, Debug)]
pub(super) struct Stopped {
    pub(super) known: Known,
    pub(super) acked: (u64, u64),
}

impl Known {
    /// Whether it has everything that it will ever get.
    pub(super) fn is_finishing(&self) -> bool {
        self.cursor == self.until && self.written >= self.path.rest()
    }
}

impl Book {
    pub(super) fn new(scenario: &Scenario) -> Self {
        let outputs = &scenario.config.outputs;
        let parked = |output: &Output| match output.slow {
            Slow::Block => vec![(0, 0)],
            Slow::Drop | Slow::Skip => vec![],
        };
        Self {
            ledger: Ledger::new(scenario),
            parked: outputs.iter().map(parked).collect(),
            lives: outputs.iter().map(|_| vec![]).collect(),
            ..Self::default()
        }
    }

    /// The clients that have everything they will ever get.
    pub(super) fn finishing(&self) -> Vec<SockId> {
        let all = self.clients.iter();
        let finishing = all.filter(|(_, known)| known.is_finishing());
        finishing.map(|(sock, _)| *sock).collect()
    }

    pub(super) fn head(&self) -> u64 {
        self.ledger.head()
    }

    /// Bytes came in: they are this life's next ones.
    pub(super) fn push(&mut self, life: u16, count: u64, now: Time) {
        self.ledger.take_in(life, count, now);
        self.latest = Some(life);
        self.heard = now;
    }

    /// The upstream is lost, and that is the end for those who are there.
    pub(super) fn end_clients(&mut self) {
        let head = self.head();
        for known in self.clients.values_mut() {
            known.until = known.until.min(head);
            let served = self.served.get_mut(&known.remote);
            served.expect("each client is served").until = known.until;
        }
    }

    /// Where the next client of an output begins, now that this one takes no more: under `block` it is the last of them
    /// who leaves its place to the next. Of several who stop in one event, any may be the last.
    pub(super) fn park(&mut self, scenario: &Scenario, stopped: &[Stopped]) {
        for Stopped { known, acked } in stopped {
            let output = known.output;
            let others = self.clients.values();
            let mut others = others.filter(|other| other.output == output);
            let is_last = others.all(|other| other.is_finishing());
            let Output { way, slow, .. } = &scenario.config.outputs[output];
            let keeps = *slow == Slow::Block && is_last && *way != Way::Stdout;
            let begun = |offset| self.ledger.begin_until(offset);
            let place = match scenario.resumes(output) {
                None => (begun(known.cursor), begun(known.cursor)),
                Some(Resume::Written) => {
                    let next = self.ledger.begin_from(known.cursor);
                    (next, next)
                }
                Some(Resume::Acked) => (begun(acked.0), begun(acked.1)),
                // Whoever comes back begins at the newest.
                Some(Resume::Live) => continue,
            };
            match scenario.resumes(output) {
                _ if keeps => self.parked[output].push(place),
                // Nothing is kept for it, but what the ring happens to have.
                Some(Resume::Written | Resume::Acked) => {
                    self.parked[output].push((place.0, u64::MAX));
                }
                Some(Resume::Live) | None => {}
            }
        }
    }

    /// Where a newcomer may begin.
    pub(super) fn places(&mut self, scenario: &Scenario, output: usize) -> Vec<(u64, u64)> {
        let parked = std::mem::take(&mut self.parked[output]);
        let comes = matches!(scenario.config.outputs[output].way, Way::Listen(_));
        let backlog = if comes { scenario.config.backlog } else { 0 };
        if !parked.is_empty() {
            return parked;
        }
        let from = self.head().saturating_sub(backlog as u64);
        let from = self.ledger.begin_from(from);
        vec![(from, from)]
    }

    /// Whether a client that is gone may have gone for this reason. `full`: whether the ring was.
    pub(super) fn is_true(
        &self,
        stage: &Stage,
        now: Time,
        reason: Reason,
        known: &Known,
        full: bool,
    ) -> bool {
        let config = &stage.scenario.config;
        let slow = config.outputs[known.output].slow;
        let drops = slow == Slow::Drop;
        let over = |since: Option<Time>, span| since.is_some_and(|at| now.since(at) >= span);
        let end = known.until.min(self.head());
        let ends = self.ending_since.is_some() || known.until < u64::MAX;
        let arrived = match stage.scenario.is_local(known.output) {
            true => known.written,
            false => stage.handle.world().arrived_total(known.remote),
        };
        match reason {
            Reason::Left => !stage.handle.world().is_open(known.remote),
            Reason::Dead | Reason::Protocol | Reason::Kicked => false,
            Reason::Overtaken => {
                let near = self.is_near(&stage.scenario, known);
                drops && !near && self.held_before - known.cursor > config.ring as u64
            }
            Reason::Lagging => drops && self.lags(config.max_lag, known, now),
            Reason::Stalled => {
                let holds = slow != Slow::Block && !config.hold.is_zero();
                let holds = holds && known.path.place(known.landed) < end;
                // What it took before the ring was full, or the end began, is not held against it.
                let since = [self.ending_since, self.held_back.filter(|_| full)];
                let since = since.into_iter().flatten().min();
                let since = since.map(|since| since.max(known.progress));
                let waits = known.waits_since(&self.ledger);
                let stall = config.stall_timeout;
                (holds && over(since, config.hold))
                    || stall.is_some_and(|stall| over(waits, nearly(stall)))
            }
            Reason::HalfClosed => {
                let came =
                    |known: &&Known| matches!(config.outputs[known.output].way, Way::Listen(_));
                let is_far = |known: &&Known| !stage.scenario.is_local(known.output);
                let all = self.clients.values().filter(came);
                let (all, far) = (all.clone().count(), all.filter(is_far).count());
                let limit = config.max_clients.is_some_and(|max| all >= max)
                    || config.max_clients_per_ip.is_some_and(|max| far >= max)
                    || stage.scenario.descriptors.is_some();
                came(&known) && limit && self.may_end(stage, known)
            }
            Reason::Drained => ends && known.cursor == end && arrived == known.written,
            Reason::Unacknowledged => {
                let is_over = over(self.drained_at, config.drain);
                let quiet = over(Some(known.progress), stage.scenario.patience(known.output));
                ends && known.cursor == end && (is_over || quiet)
            }
            Reason::Cut if stage.scenario.writes_to_stdout() => {
                over(self.ending_since, config.drain)
            }
            Reason::Cut => over(self.drained_at, config.drain),
        }
    }

    /// Whether a client may have ended its own direction of the stream.
    fn may_end(&self, stage: &Stage, known: &Known) -> bool {
        let ends = |receiver: &Receiver| {
            // Of what is no TCP, a reset is an end as any other.
            let is_end = |how| how == Close::Orderly || stage.scenario.is_local(known.output);
            let leaves = receiver.leave_after.is_some_and(|(_, how)| is_end(how));
            receiver.half_close_after.is_some() || leaves
        };
        let who = self.served[&known.remote].who;
        stage.receiver(who).is_some_and(ends)
    }

    fn lags(&self, max: Option<MaxLag>, known: &Known, now: Time) -> bool {
        let lacks = known.path.cursor(known.landed) < known.until;
        lacks && max.is_some_and(|max| known.is_over(&self.ledger, max, self.head_before, now))
    }

    /// Whether a client that has everything below `taken` may be too far behind.
    pub(super) fn lags_far(&self, max: Option<MaxLag>, taken: u64, now: Time) -> bool {
        let since = self.ledger.arrived(taken);
        match max {
            _ if taken >= self.head() => false,
            None => false,
            Some(MaxLag::Bytes(max)) => self.head() - taken > max,
            Some(MaxLag::Age(max)) => since.is_some_and(|since| now.since(since) >= nearly(max)),
        }
    }
}
