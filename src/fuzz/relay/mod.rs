//! The whole relay, on the real loop, in a simulated network: whatever happens, what must hold is looked at after each
//! event ([`witness`]) and after each turn ([`look`]), and again when everything has come to rest.
//!
//! ```text
//! chaos: upstreams, guests and faults come and go ──> calm: no faults, everybody reads ──> rest ──> stop ──> the end
//! ```

mod book;
mod demands;
mod held;
mod ledger;
mod limits;
mod look;
mod rest;
mod scenario;
mod stage;
mod terms;
mod witness;

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use self::book::{Book, Known};
use self::scenario::Scenario;
use self::stage::Stage;
use self::witness::Witness;
use crate::base::rng::Rng;
use crate::base::time::Time;
use crate::fuzz::script::Script;
use crate::reactor::net::Signal;
use crate::reactor::{End, Options, Reactor, RoleId, Turn};
use crate::roles::relay::config::{MaxLag, UpstreamLoss};
use crate::sim::Handle;

/// Lets a relay live through what the script says.
///
/// # Panics
/// When something that must hold does not.
pub fn relay(data: &[u8]) {
    play(Scenario::draw(&mut Script::new(data)), false);
}

/// As [`relay`], with a trace of all calls and events: it is returned, or goes to stderr if the run fails.
///
/// # Panics
/// When something that must hold does not.
pub fn relay_traced(data: &[u8]) -> Played {
    play(Scenario::draw(&mut Script::new(data)), true)
}

/// As [`relay`], with a script that is drawn from `seed`, and traced or not.
///
/// # Panics
/// When something that must hold does not.
pub fn relay_by_seed(seed: u64, traced: bool) -> Played {
    let mut rng = Rng::new(seed);
    let words = (0..SCRIPT_WORDS).flat_map(|_| rng.next().to_le_bytes());
    let script: Vec<u8> = words.collect();
    play(Scenario::draw(&mut Script::new(&script)), traced)
}

/// What a run came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Played {
    /// How many turns it took.
    pub turns: u64,
    /// Bytes that went through.
    pub bytes: u64,
    /// Calls and events, if they were to be kept.
    pub trace: Vec<String>,
}

/// A run under way.
struct Play {
    reactor: Reactor<Witness>,
    role: RoleId,
    stage: Stage,
    book: Rc<RefCell<Book>>,
    watch: look::Watch,
    turns: u64,
    over: bool,
}

fn play(scenario: Scenario, traced: bool) -> Played {
    if traced {
        eprintln!("{scenario:#?}");
    }
    let mut play = Play::new(scenario, traced);
    let _last_words = traced.then(|| LastWords(play.stage.handle.clone()));
    play.live();
    let world = play.stage.handle.world();
    Played {
        turns: play.turns,
        bytes: play.book.borrow().counts.bytes_out,
        trace: world.trace_lines().map(str::to_owned).collect(),
    }
}

impl Play {
    fn new(scenario: Scenario, traced: bool) -> Self {
        let (net, stage) = Stage::set(scenario, traced);
        let book = Book::new(&stage.scenario);
        let book = Rc::new(RefCell::new(book));
        let mut reactor = Reactor::new(Box::new(net), Options::default());
        let role = reactor.add(Witness::new(stage.clone(), &book));
        Self {
            reactor,
            role,
            stage,
            book,
            watch: look::Watch::default(),
            turns: 0,
            over: false,
        }
    }

    /// From the first turn to the last.
    fn live(&mut self) {
        self.run_until(Time::ZERO + self.stage.scenario.chaos);
        self.stage.calm_down();
        self.rest();
        if !self.over {
            self.at_rest();
            self.everybody_comes();
        }
        if !self.over {
            self.idle();
            self.stop();
        }
        self.after_the_end();
    }

    fn now(&self) -> Time {
        self.stage.handle.world().time()
    }

    fn run_until(&mut self, end: Time) {
        while !self.over && self.now() < end {
            self.turn();
        }
    }

    fn turn(&mut self) {
        let mut ended = Vec::new();
        let turn = self
            .reactor
            .turn(&mut ended)
            .expect("a simulated wait works");
        self.turns += 1;
        assert!(self.turns < TURNS_MAX, "it never comes to rest");
        self.reactor.check_invariants();
        self.over = turn == Turn::Over;
        match ended.as_slice() {
            [] => assert!(!self.over, "it is over, and nobody said so"),
            [(_, End::Done)] => assert!(self.over, "its only role has ended"),
            [(_, End::Failed(why))] if why.ends_with(" did not end as it should") => {
                let loss = self.stage.scenario.config.upstream_loss;
                assert!(self.over && loss == UpstreamLoss::Exit);
            }
            ended => panic!("{ended:?}"),
        }
        self.look();
    }

    /// Lets everything take its course until no byte has moved for so long that none will.
    fn rest(&mut self) {
        let patience = self.patience();
        let mut moved = (self.now(), 0);
        while !self.over && self.now().since(moved.0) < patience {
            self.turn();
            let sum = self.moved();
            if sum != moved.1 {
                moved = (self.now(), sum);
            }
        }
    }

    /// How long the relay may do nothing though there is something to do.
    fn patience(&self) -> Duration {
        let config = &self.stage.scenario.config;
        // Look-ups may fail one after the other, and nothing moves meanwhile.
        let names = self.stage.scenario.names.iter();
        let lookups = names.map(|(_, answers)| answers.len()).max().unwrap_or(0) as u32;
        let attempts = (2 + lookups) * config.retry.max + config.connect_timeout;
        let patience = attempts + 2 * config.hold + LATE_MAX;
        patience + 2 * config.stall_timeout.unwrap_or_default()
    }

    /// Bytes that upstreams, clients, receivers and the dump have moved, and calls that were answered.
    fn moved(&self) -> u64 {
        let book = self.book.borrow();
        let world = self.stage.handle.world();
        let said = book.clients.keys().map(|sock| world.moved(*sock).0);
        let taken = book.served.values().map(|served| served.taken);
        let calls = self.stage.answered(&world);
        let dumped = match self.stage.scenario.config.dump {
            Some(_) => world.arrived_total(world.stdout()),
            None => 0,
        };
        book.counts.bytes_in + book.skipped + calls + dumped + said.chain(taken).sum::<u64>()
    }

    /// While nothing happens, next to nothing is done.
    fn idle(&mut self) {
        let config = self.stage.scenario.config.clone();
        let before = self.turns;
        self.run_until(self.now() + IDLE);
        let times = |every: Duration| (IDLE.as_nanos() / every.as_nanos().max(1)) as u64;
        let dials = 2 + config.outputs.len() as u64;
        // A timer far ahead costs the wheel a look or two on the way.
        let mut turns_max = 60 + 6 * dials * times(config.retry.min);
        if let Some(stats) = config.stats {
            turns_max += 3 * times(stats.interval);
        }
        if let Some(idle) = config.idle_timeout {
            turns_max += 12 * times(idle);
        }
        let lag = config.max_lag.map(|max| match max {
            MaxLag::Age(age) => age,
            MaxLag::Bytes(_) => Duration::from_secs(1),
        });
        if let Some(lag) = lag {
            turns_max += 3 * times(lag / 8);
        }
        if let Some(stall) = config.stall_timeout {
            turns_max += 3 * times(stall / 8);
        }
        if self.book.borrow().clients.values().any(Known::is_finishing) {
            turns_max += 3 * times(FINISHING_LOOK);
        }
        if !config.hold.is_zero() {
            turns_max += 3 * times(config.hold / 4);
        }
        let turns = self.turns - before;
        assert!(
            turns <= turns_max,
            "{turns} turns in {IDLE:?} of nothing, of {turns_max}"
        );
    }

    /// A stopped relay ends in time.
    fn stop(&mut self) {
        self.stage.handle.world().signal(Signal::Terminate);
        let end = self.now() + self.stage.scenario.config.drain + STOP_SLACK;
        self.run_until(end);
        assert!(self.over, "a second after --drain it still runs");
    }
}

/// Shows the trace of a run that fails.
struct LastWords(Handle);

impl Drop for LastWords {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for line in self.0.world().trace_lines() {
                eprintln!("{line}");
            }
        }
    }
}

const SCRIPT_WORDS: usize = 60;
/// More turns than any scenario needs.
const TURNS_MAX: u64 = 400_000;
/// The latest that a look-up of the chaos may be answered, and more.
const LATE_MAX: Duration = Duration::from_secs(15);
const IDLE: Duration = Duration::from_secs(10);
/// How often it is looked, at the least, whether the end of a connection was acknowledged.
const FINISHING_LOOK: Duration = Duration::from_millis(250);
const STOP_SLACK: Duration = Duration::from_secs(1);

#[cfg(test)]
mod demanding_tests;
#[cfg(test)]
mod failback_tests;
#[cfg(test)]
mod patience_tests;
#[cfg(test)]
mod tests;
