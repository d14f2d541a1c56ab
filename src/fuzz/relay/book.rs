//! The books that are kept beside the relay's own: what came in, who is a client, where each may begin and end, and
//! what makes a reason for letting one go true.

use std::collections::BTreeMap;
use std::time::Duration;

use super::scenario::Scenario;
use super::stage::{Stage, Who};
use crate::base::time::Time;
use crate::reactor::net::SockId;
use crate::roles::relay::config::{MaxLag, Output, Resume, Slow, Way};
use crate::roles::relay::{Counts, Reason};
use crate::sim::{RemoteId, pattern_into};

/// What has gone in and out so far, as seen from outside of the relay.
#[derive(Default)]
pub(super) struct Book {
    /// Every byte that the relay has read from its upstreams.
    pub(super) stream: Vec<u8>,
    /// When each part of it came in: its first offset, and the time.
    arrivals: Vec<(u64, Time)>,
    /// How much of each life it has.
    pub(super) read: BTreeMap<u16, u64>,
    /// Whose byte was the last, and on which connection and when it was heard.
    pub(super) latest: Option<u16>,
    pub(super) active: Option<SockId>,
    pub(super) heard: Time,
    pub(super) clients: BTreeMap<SockId, Known>,
    /// By output: the offsets from and up to which the next client may begin if it need not begin at the newest.
    pub(super) parked: Vec<Vec<(u64, u64)>>,
    /// Most clients at a time.
    pub(super) most: usize,
    /// What each receiver may and did read.
    pub(super) served: BTreeMap<RemoteId, Served>,
    pub(super) ending_since: Option<Time>,
    pub(super) drained_at: Option<Time>,
    pub(super) counts: Counts,
}

/// A client of the relay.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known {
    pub(super) remote: RemoteId,
    pub(super) output: usize,
    pub(super) start: u64,
    pub(super) cursor: u64,
    /// What came in after this is not for it.
    pub(super) until: u64,
    /// How much it has taken as far as its kernel told, and when that last grew.
    pub(super) landed: u64,
    pub(super) progress: Time,
}

/// What a receiver reads: a piece of the stream.
#[derive(Clone, Copy, Debug)]
pub(super) struct Served {
    pub(super) who: Who,
    pub(super) start: u64,
    pub(super) until: u64,
    pub(super) taken: u64,
    /// It was let go with every byte.
    pub(super) drained: bool,
}

/// A client that takes no more bytes, and where its kernel was when it stopped: no less than the first, no more than
/// the second.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stopped {
    pub(super) known: Known,
    pub(super) acked: (u64, u64),
}

impl Known {
    /// Whether it has everything that it will ever get.
    pub(super) fn is_finishing(&self) -> bool {
        self.cursor == self.until
    }
}

impl Book {
    pub(super) fn new(outputs: &[Output]) -> Self {
        let parked = |output: &Output| match output.slow {
            Slow::Block => vec![(0, 0)],
            Slow::Drop | Slow::Skip => vec![],
        };
        Self {
            parked: outputs.iter().map(parked).collect(),
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
        self.stream.len() as u64
    }

    /// Bytes came in: they are this life's next ones.
    pub(super) fn push(&mut self, life: u16, count: u64, now: Time) {
        self.arrivals.push((self.head(), now));
        let read = self.read.entry(life).or_default();
        pattern_into(life, *read, count as usize, &mut self.stream);
        *read += count;
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
            let Output { way, slow } = &scenario.config.outputs[output];
            let keeps = *slow == Slow::Block && is_last && *way != Way::Stdout;
            let place = match scenario.resumes(output) {
                None | Some(Resume::Written) => (known.cursor, known.cursor),
                Some(Resume::Acked) => *acked,
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
        match parked.is_empty() {
            true => vec![(self.head().saturating_sub(backlog as u64), self.head())],
            false => parked,
        }
    }

    /// How long ago the byte at `offset` came in.
    fn age(&self, offset: u64, now: Time) -> Duration {
        let after = self.arrivals.partition_point(|(first, _)| *first <= offset);
        let arrived = after.checked_sub(1).map(|at| self.arrivals[at].1);
        arrived.map_or(Duration::ZERO, |at| now.since(at))
    }

    /// Whether a client that is gone may have gone for this reason. `lead`: where the leader stood before.
    pub(super) fn is_true(
        &self,
        stage: &Stage,
        now: Time,
        reason: Reason,
        known: &Known,
        lead: Option<u64>,
    ) -> bool {
        let config = &stage.scenario.config;
        let drops = config.outputs[known.output].slow == Slow::Drop;
        let over = |since: Option<Time>, span| since.is_some_and(|at| now.since(at) >= span);
        let end = known.until.min(self.head());
        match reason {
            Reason::Left => !stage.handle.world().is_open(known.remote),
            Reason::Dead | Reason::Record => false,
            Reason::Overtaken => {
                let leads = !config.hold.is_zero() && lead == Some(known.cursor);
                drops && !leads && self.head() - known.cursor > config.ring as u64
            }
            Reason::Lagging => drops && self.lags(config.max_lag, known, now),
            Reason::Stalled => {
                let stalls = !config.hold.is_zero() && over(Some(known.progress), config.hold);
                drops && stalls && known.cursor < end
            }
            Reason::HalfClosed => {
                let came = matches!(config.outputs[known.output].way, Way::Listen(_));
                came && (config.max_clients.is_some() || stage.scenario.descriptors.is_some())
            }
            Reason::Drained => {
                let ends = self.ending_since.is_some() || known.until < u64::MAX;
                ends && known.cursor == end
            }
            Reason::Cut if stage.scenario.writes_to_stdout() => {
                over(self.ending_since, config.drain)
            }
            Reason::Cut => over(self.drained_at, config.drain),
        }
    }

    fn lags(&self, max: Option<MaxLag>, known: &Known, now: Time) -> bool {
        // A FIN that is under way counts as a byte.
        let taken = (known.start + known.landed).saturating_sub(1);
        known.start + known.landed < known.until && self.lags_far(max, taken, now)
    }

    /// Whether a client that has everything below `taken` may be too far behind.
    pub(super) fn lags_far(&self, max: Option<MaxLag>, taken: u64, now: Time) -> bool {
        match max {
            _ if taken >= self.head() => false,
            None => false,
            Some(MaxLag::Bytes(max)) => self.head() - taken > max,
            // Ages may be overstated by 2 ms and a sixteenth.
            Some(MaxLag::Age(max)) => {
                let age = self.age(taken, now);
                age + age / 16 + Duration::from_millis(2) > max
            }
        }
    }
}
