//! What the relay and the bench have used up to a moment, and what that says against a run: that the bench
//! was stopped, or somebody had no core.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use crate::base::time::Time;
use crate::roles::bench::board::lock;
use crate::roles::bench::conduct::{House, Run};
use crate::roles::bench::figure::{Doubt, Outcome};
use crate::roles::bench::launch::Cores;
use crate::roles::bench::machine::{Family, Usage, thread};

/// The relay's and the bench's use of the machine up to a moment.
#[derive(Clone, Debug)]
pub(super) struct Mark {
    pub(super) at: Time,
    pub(super) relay: Family,
    source: Usage,
    clients: Usage,
    /// That have arrived, at clients or at a service.
    pub(super) bytes: u64,
    /// That were taken from the source.
    pub(super) sent: u64,
    /// How long the bench has been stopped.
    stopped: Duration,
}

/// What runs have used that were under way at the same time.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Beside {
    runs: usize,
    relays: Duration,
    /// Their sources and clients.
    bench: Duration,
}

impl Beside {
    /// Takes one more run in.
    pub(super) fn add(&mut self, from: &Mark, to: &Mark) {
        self.runs += 1;
        self.relays += to.relay.cpu.saturating_sub(from.relay.cpu);
        self.bench += (to.source - from.source).cpu + (to.clients - from.clients).cpu;
    }
}

impl<H: House> Run<'_, H> {
    pub(super) fn mark(&self) -> Mark {
        // The bytes are read last, next to the relay's own time: the two are divided by each other.
        let source = thread(&lock(&self.board.source.thread));
        let clients = thread(&lock(&self.board.clients.thread));
        let relay = self.relay.family();
        Mark {
            at: self.house.now(),
            bytes: self.board.clients.bytes.load(Relaxed)
                + self.board.source.received.load(Relaxed),
            sent: self.board.source.sent.load(Relaxed),
            stopped: self.house.stopped(),
            relay,
            source,
            clients,
        }
    }

    /// Adds what speaks against a run: that the bench was stopped, or somebody was ready to run and had no core.
    pub(super) fn doubt(&self, outcome: &mut Outcome, from: &Mark, to: &Mark) {
        self.doubt_beside(Beside::default(), outcome, from, to);
    }

    /// The same of a run beside others.
    pub(super) fn doubt_beside(
        &self,
        others: Beside,
        outcome: &mut Outcome,
        from: &Mark,
        to: &Mark,
    ) {
        for doubt in doubts(self.cores, others, from, to) {
            outcome.doubt(doubt);
        }
    }
}

/// What speaks against figures between two marks, of a run beside others.
fn doubts(cores: &Cores, others: Beside, from: &Mark, to: &Mark) -> Vec<Doubt> {
    let (source, clients) = (to.source - from.source, to.clients - from.clients);
    let relay_cpu = to.relay.cpu.saturating_sub(from.relay.cpu);
    let apart = cores.are_apart();
    let share = cores.bench.len() < PLAYERS * (1 + others.runs);
    // Those who share a core wait for each other; that is the bench's own doing.
    let beside = |other: Duration| match (apart, share) {
        (false, _) => other + relay_cpu + others.bench + others.relays,
        (true, true) => other + others.bench,
        (true, false) => Duration::ZERO,
    };
    let relay_beside = match apart {
        true => others.relays,
        false => source.cpu + clients.cpu + others.bench + others.relays,
    };
    let relay_waited = to.relay.waited_since(&from.relay);
    let time = to.at.since(from.at).as_secs_f64();
    let no_core = |(who, waited, beside): (_, Duration, _)| {
        // A wait is added up when it ends, so one from before may be in it.
        let share = waited.saturating_sub(beside).as_secs_f64() / time.max(1e-9);
        (share > WAITED_MAX).then(|| Doubt::NoCore(who, share.min(1.0)))
    };
    let stopped = to.stopped.saturating_sub(from.stopped);
    let was_stopped = (!stopped.is_zero()).then_some(Doubt::Stopped(stopped));
    let waited = [
        ("the relay", relay_waited, relay_beside),
        ("the source", source.waited, beside(clients.cpu)),
        ("the clients", clients.waited, beside(source.cpu)),
    ];
    let no_core = waited.into_iter().filter_map(no_core);
    was_stopped.into_iter().chain(no_core).collect()
}

/// Above this share of the time without a core nothing counts.
const WAITED_MAX: f64 = 0.1;
/// Threads of a run: the source's and the clients'.
const PLAYERS: usize = 2;

#[cfg(test)]
mod tests {
    use super::*;

    /// Milliseconds on a core and waiting for one.
    type Spent = (u64, u64);

    fn usage((cpu, waited): Spent) -> Usage {
        let [cpu, waited] = [cpu, waited].map(Duration::from_millis);
        Usage { cpu, waited }
    }

    /// After a second in which they have spent so much.
    fn mark(relay: Spent, source: Spent, clients: Spent) -> Mark {
        Mark {
            at: Time::from_millis(1000),
            relay: Family::of_one("/proc/1/task/1", usage(relay)),
            source: usage(source),
            clients: usage(clients),
            bytes: 0,
            sent: 0,
            stopped: Duration::ZERO,
        }
    }

    fn said(cores: &Cores, others: Beside, to: &Mark) -> Vec<&'static str> {
        let from = Mark {
            at: Time::ZERO,
            ..mark((0, 0), (0, 0), (0, 0))
        };
        let doubts = doubts(cores, others, &from, to);
        let who = |doubt: Doubt| match doubt {
            Doubt::NoCore(who, share) => {
                assert!(share > WAITED_MAX && share <= 1.0, "{share}");
                who
            }
            other => panic!("{other}"),
        };
        doubts.into_iter().map(who).collect()
    }

    /// So many cores for the relay, and so many others for the bench; none: the same ones.
    fn cores(relay: usize, bench: usize) -> Cores {
        let all: Vec<usize> = (0..relay + bench).collect();
        let (own, rest) = all.split_at(relay);
        Cores {
            relay: own.to_vec(),
            bench: if bench == 0 { own } else { rest }.to_vec(),
            all,
        }
    }

    const ALL: [&str; 3] = ["the relay", "the source", "the clients"];

    #[test]
    fn whoever_waits_for_strangers_makes_a_run_void() {
        let alone = |to| said(&cores(1, 2), Beside::default(), &to);
        let none: [&str; 0] = [];
        assert_eq!(alone(mark((500, 100), (500, 100), (500, 100))), none);
        assert_eq!(alone(mark((500, 101), (500, 101), (500, 101))), ALL);
        assert_eq!(alone(mark((0, 5000), (0, 0), (0, 0))), ["the relay"]);
    }

    /// On two cores the source and the clients have one together.
    #[test]
    fn players_that_share_a_core_wait_for_each_other() {
        let shared = |to| said(&cores(1, 1), Beside::default(), &to);
        assert_eq!(shared(mark((0, 0), (400, 700), (600, 500))), [""; 0]);
        assert_eq!(
            shared(mark((0, 0), (400, 701), (599, 501))),
            ["the source", "the clients"]
        );
        // The relay has its core to itself, so nobody has waited for it and it for nobody.
        assert_eq!(shared(mark((900, 101), (900, 0), (0, 0))), ["the relay"]);
        let unpinned = |to| said(&cores(1, 0), Beside::default(), &to);
        assert_eq!(unpinned(mark((300, 800), (300, 800), (400, 700))), [""; 0]);
        assert_eq!(unpinned(mark((300, 801), (300, 801), (400, 701))), ALL);
    }

    /// What runs at the same time have used is waited for, and is no stranger's.
    #[test]
    fn runs_beside_each_other_wait_for_each_other() {
        let mut others = Beside::default();
        let from = mark((0, 0), (0, 0), (0, 0));
        others.add(&from, &mark((200, 0), (100, 0), (50, 0)));
        let beside = |bench, to| said(&cores(1, bench), others, &to);
        let none: [&str; 0] = [];
        assert_eq!(beside(1, mark((100, 300), (100, 350), (100, 350))), none);
        assert_eq!(beside(1, mark((100, 301), (100, 351), (100, 351))), ALL);
        // Two more threads on three cores still share them; on four nobody does.
        assert_eq!(beside(3, mark((0, 0), (100, 350), (100, 350))), none);
        let apart = beside(4, mark((0, 0), (100, 101), (100, 100)));
        assert_eq!(apart, ["the source"]);
    }
}
