//! One run: the relay is started, the source and the clients meet it, and what the scenario asks for is measured.
//!
//! ```text
//! source listens ─> relay starts ─> clients connect ─> a trickle reaches each of them ─> warm-up ─> measured ─> over
//! ```

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use crate::base::time::Time;
use crate::base::units::Span;
use crate::reactor::net::Signal;
use crate::roles::bench::Player;
use crate::roles::bench::board::{Board, Cue, Order, Told, UNKNOWN, lock};
use crate::roles::bench::clients::{self, Clients, Reading};
use crate::roles::bench::command::Template;
use crate::roles::bench::config::{Job, Meet, Scenario};
use crate::roles::bench::dialect::Dialect;
use crate::roles::bench::figure::{Doubt, Outcome};
use crate::roles::bench::launch::{Cores, begin, feeder, service};
use crate::roles::bench::machine::{Family, Usage, thread};
use crate::roles::bench::means::{check_descriptors, check_memory};
use crate::roles::bench::pattern::Filler;
use crate::roles::bench::relay_process::RelayProcesses;
use crate::roles::bench::sealed::{self, Certificate};
use crate::roles::bench::source::local;
use crate::roles::bench::together::Phase;

/// What a bench needs of the program that it runs in.
pub trait House {
    /// The time as it is.
    fn now(&self) -> Time;
    /// Lets time pass.
    ///
    /// # Errors
    /// When somebody wants the bench to end.
    fn rest(&mut self, time: Duration) -> Result<(), Halt>;
    /// Puts a player on a loop and thread of its own, on these cores. Its failure is told to the board.
    fn play(&mut self, player: Player, cores: &[usize], board: Arc<Board>) -> io::Result<()>;
    /// Waits until every player has ended.
    fn close(&mut self);
    /// Nanoseconds from 1970 to the zero of the clock that all players share.
    fn utc(&self) -> u64;
    /// What nobody can guess.
    fn random(&mut self) -> u64;
    /// How many sockets can be opened.
    fn sockets_left(&self) -> usize;
    /// Shows how far the bench is: which run it makes, and which step of it.
    fn progress(&mut self, run: &str, step: &str);
    /// Writes results.
    ///
    /// # Errors
    /// When they can't be written, though somebody wants them.
    fn print(&mut self, text: &str) -> Result<(), Halt>;
}

/// Why a run did not come to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Halt {
    /// Somebody wants the bench to end.
    Signal(Signal),
    /// Something did not work.
    Failed(String),
}

/// A run that is under way.
pub(super) struct Run<'a, H> {
    pub(super) house: &'a mut H,
    pub(super) board: Arc<Board>,
    pub(super) relay: RelayProcesses,
    pub(super) job: &'a Job,
    pub(super) cores: &'a Cores,
    /// What is spoken with the relay.
    pub(super) dialect: Dialect,
    /// It is the relay that connects to the source.
    pub(super) dials_source: bool,
    /// What stands in front of each word on its progress.
    label: String,
    /// What the relay had before there were clients.
    pub(super) bare: Family,
    /// Everybody was told that it is over.
    is_stopped: bool,
    /// Where clients speak TLS: what the relay shows them.
    _certificate: Option<Certificate>,
}

/// The relay's and the bench's use of the machine up to a moment.
#[derive(Clone, Debug)]
pub(super) struct Mark {
    pub(super) at: Time,
    pub(super) relay: Family,
    source: Usage,
    clients: Usage,
    /// That have arrived, at clients or at a service.
    pub(super) bytes: u64,
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

/// Makes one run.
pub(super) fn perform<H: House>(
    house: &mut H,
    job: &Job,
    (relay, template): (usize, &Template),
    cores: &Cores,
    label: &str,
) -> Result<Outcome, Halt> {
    let mut run = Run::set_up(house, job, template, cores, label, None)?;
    let outcome = run.measure(relay);
    run.clean_up();
    outcome
}

impl<'a, H: House> Run<'a, H> {
    pub(super) fn set_up(
        house: &'a mut H,
        job: &'a Job,
        template: &Template,
        cores: &'a Cores,
        label: &str,
        phase: Option<Phase>,
    ) -> Result<Self, Halt> {
        house.progress(label, "starting the relay");
        check_descriptors(house, job.connections(), 1)?;
        check_memory(job)?;
        let board = Arc::<Board>::default();
        let filler = Arc::new(Filler::new(job.size));
        // Where nobody feeds a relay, it is not dialled as one either.
        let is_fed = job.scenario.work().is_none() && !matches!(job.scenario, Scenario::Hub(_));
        let listens = template.dials_source() || !is_fed;
        let meet = listens.then(|| Meet::Listen(local(0)));
        let dialect = template.dialect();
        let player = match job.scenario.work() {
            Some(_) => service(job, &board),
            None => feeder(job, &board, (&filler, dialect), (meet, phase), house.utc()),
        };
        play(house, player, cores, &board)?;
        let started = Certificate::of(house, job.scenario).and_then(|certificate| {
            let cert = certificate.as_ref().map_or("", Certificate::path);
            let started = begin(house, &board, template, cores, (listens, cert))?;
            Ok((started, certificate))
        });
        let ((relay, port), certificate) = match started {
            Ok(started) => started,
            Err(halt) => {
                board.give_order(Order::Stop);
                house.close();
                return Err(halt);
            }
        };
        let mut run = Self {
            house,
            board,
            relay,
            job,
            cores,
            dialect: template.dialect(),
            dials_source: template.dials_source(),
            label: label.to_owned(),
            bare: Family::default(),
            is_stopped: false,
            _certificate: certificate,
        };
        let met = match job.scenario {
            Scenario::Tunnel(work) | Scenario::Ws(work) => run.meet_service(port, work),
            Scenario::Hub(pace) => run.meet_broker(port, pace),
            _ => run.meet(port, filler),
        };
        match met {
            Ok(()) => Ok(run),
            Err(halt) => {
                run.clean_up();
                Err(halt)
            }
        }
    }

    /// Has the relay, the source and the clients find each other.
    fn meet(&mut self, port: u16, filler: Arc<Filler>) -> Result<(), Halt> {
        // One that fetches the bytes only for its clients does not come before them.
        let is_there = |board: &Board| board.source.relays.load(Relaxed) > 0;
        self.wait_until(RELAY_WAIT, is_there)?;
        self.pause(SETTLE)?;
        self.bare = self.relay.family();
        let churn = self.job.scenario == Scenario::Churn;
        let setup = clients::Setup {
            board: Arc::clone(&self.board),
            to: local(port),
            count: self.job.clients,
            filler: Some(filler),
            reading: match self.job.scenario {
                _ if self.job.check => Reading::Check,
                Scenario::Latency | Scenario::Slow => Reading::Messages,
                _ => Reading::Count,
            },
            churn,
            from_start: !churn,
            dialect: self.dialect,
            tls: match self.job.scenario {
                Scenario::Tls => Some(sealed::connector().map_err(Halt::Failed)?),
                _ => None,
            },
            utc: self.house.utc(),
        };
        let player = Player::Clients(Box::new(Clients::new(setup)));
        play(self.house, player, self.cores, &self.board)?;
        if churn {
            return Ok(());
        }
        let count = self.job.clients;
        let all = move |board: &Board| board.clients.connected.load(Relaxed) == count;
        let patience = MEET_WAIT + Duration::from_millis(2 * count as u64);
        let step = move |board: &Board| {
            let there = board.clients.connected.load(Relaxed);
            format!("waiting until all are connected, {there} of {count} clients are")
        };
        if !self.wait_showing(patience, all, step)? {
            let there = self.board.clients.connected.load(Relaxed);
            let what = match self.dialect.is_brokers() {
                true => "subscribe at",
                false => "connect to",
            };
            let text = format!(
                "only {there} of {count} clients could {what} 127.0.0.1:{port} within {}",
                Span(patience)
            );
            return Err(Halt::Failed(self.with_reason(text)));
        }
        match self.job.scenario {
            Scenario::Idle => Ok(()),
            _ => self.reach_all(patience),
        }
    }

    /// Sends a little until every client has got some.
    fn reach_all(&mut self, patience: Duration) -> Result<(), Halt> {
        let count = self.job.clients;
        self.pause(SETTLE)?;
        self.board.give_order(Order::Trickle);
        let all = move |board: &Board| board.clients.reached.load(Relaxed) >= count;
        let is_gone = move |board: &Board| board.clients.gone.load(Relaxed) >= count;
        let step = move |board: &Board| {
            let reached = board.clients.reached.load(Relaxed);
            format!("waiting until every client is served, {reached} of {count} are")
        };
        self.wait_showing(patience, |board| all(board) || is_gone(board), step)?;
        let all_reached = all(&self.board);
        self.board.give_order(Order::Hush);
        if all_reached {
            return self.pause(SETTLE);
        }
        let reached = self.board.clients.reached.load(Relaxed);
        let within = match is_gone(&self.board) {
            true => String::new(),
            false => format!(" within {}", Span(patience)),
        };
        let text = format!("only {reached} of {count} clients got anything{within}");
        Err(Halt::Failed(self.with_reason(text)))
    }

    fn clean_up(mut self) {
        self.stop();
        self.house.close();
        self.see_off();
    }

    /// Tells everybody that it is over, once: a relay may take a second word for a wish that it ends at once.
    pub(super) fn stop(&mut self) {
        if !std::mem::replace(&mut self.is_stopped, true) {
            self.relay.end();
            self.board.give_order(Order::Stop);
            self.board.give_cue(Cue::Stop);
        }
    }

    /// The relay gets a moment to end well; then it is killed.
    pub(super) fn see_off(mut self) {
        for _ in 0..END_LOOKS {
            if self.relay.have_ended() || self.house.rest(LOOK).is_err() {
                return;
            }
        }
    }

    /// Lets time pass while all goes well.
    pub(super) fn pause(&mut self, time: Duration) -> Result<(), Halt> {
        self.wait_until(time, |_| false).map(drop)
    }

    /// As `pause`, and shows how long it still takes.
    pub(super) fn pass(&mut self, what: &str, time: Duration) -> Result<(), Halt> {
        let end = self.house.now() + time;
        loop {
            let left = end.since(self.house.now());
            if left.is_zero() {
                return Ok(());
            }
            self.count_down(what, left);
            self.pause(left.min(SECOND))?;
        }
    }

    /// Waits until the board shows something. False: it took too long.
    pub(super) fn wait_until(
        &mut self,
        patience: Duration,
        holds: impl Fn(&Board) -> bool,
    ) -> Result<bool, Halt> {
        let end = self.house.now() + patience;
        loop {
            if holds(&self.board) {
                return Ok(true);
            }
            self.check()?;
            let left = end.since(self.house.now());
            if left.is_zero() {
                return Ok(false);
            }
            self.house.rest(left.min(LOOK))?;
        }
    }

    /// As `wait_until`, and shows how far it is.
    fn wait_showing(
        &mut self,
        patience: Duration,
        holds: impl Fn(&Board) -> bool,
        step: impl Fn(&Board) -> String,
    ) -> Result<bool, Halt> {
        let end = self.house.now() + patience;
        loop {
            let text = step(&self.board);
            self.say(&text);
            let left = end.since(self.house.now());
            if self.wait_until(left.min(SECOND), &holds)? {
                return Ok(true);
            }
            if left <= SECOND {
                return Ok(false);
            }
        }
    }

    /// Says what keeps it from going on, if anything does.
    pub(super) fn check(&mut self) -> Result<(), Halt> {
        // A relay that has ended is why the others fail.
        self.relay.check().map_err(Halt::Failed)?;
        match self.board.failure() {
            Some(text) => Err(Halt::Failed(text)),
            None => Ok(()),
        }
    }

    pub(super) fn say(&mut self, text: &str) {
        self.house.progress(&self.label, text);
    }

    pub(super) fn count_down(&mut self, what: &str, left: Duration) {
        self.say(&format!("{what}, {:.0} s left", left.as_secs_f64().ceil()));
    }

    pub(super) fn mark(&self) -> Mark {
        // The bytes are read last, next to the relay's own time: the two are divided by each other.
        let source = thread(&lock(&self.board.source.thread));
        let clients = thread(&lock(&self.board.clients.thread));
        let relay = self.relay.family();
        Mark {
            at: self.house.now(),
            bytes: self.board.clients.bytes.load(Relaxed)
                + self.board.source.received.load(Relaxed),
            relay,
            source,
            clients,
        }
    }

    /// What the clients have counted since they were told to.
    pub(super) fn told(&mut self) -> Result<Told, Halt> {
        lock(&self.board.clients.told).take();
        self.board.clients.starved.store(UNKNOWN, Relaxed);
        self.board.give_cue(Cue::Tell);
        let is_told = |board: &Board| lock(&board.clients.told).is_some();
        if !self.wait_until(MEET_WAIT, is_told)? {
            return Err(Halt::Failed("the bench's own clients hang".to_owned()));
        }
        let told = lock(&self.board.clients.told).take();
        Ok(told.expect("it was there"))
    }

    /// Adds what speaks against a run: that somebody was ready to run and had no core.
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
        let time = to.at.since(from.at).as_secs_f64();
        let mut add = |who, waited: Duration| {
            // A wait is added up when it ends, so one from before may be in it.
            let share = (waited.as_secs_f64() / time.max(1e-9)).min(1.0);
            if share > WAITED_MAX {
                outcome.doubt(Doubt::NoCore(who, share));
            }
        };
        let (source, clients) = (to.source - from.source, to.clients - from.clients);
        let relay_cpu = to.relay.cpu.saturating_sub(from.relay.cpu);
        let apart = self.cores.are_apart();
        let share = self.cores.bench.len() < PLAYERS * (1 + others.runs);
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
        add("the relay", relay_waited.saturating_sub(relay_beside));
        add(
            "the source",
            source.waited.saturating_sub(beside(clients.cpu)),
        );
        add(
            "the clients",
            clients.waited.saturating_sub(beside(source.cpu)),
        );
    }
}

pub(super) fn play<H: House>(
    house: &mut H,
    player: Player,
    cores: &Cores,
    board: &Arc<Board>,
) -> Result<(), Halt> {
    house
        .play(player, &cores.bench, Arc::clone(board))
        .map_err(|error| Halt::Failed(format!("can't start a thread: {error}")))
}

const SECOND: Duration = Duration::from_secs(1);
/// How often things that nobody announces are looked at.
pub(super) const LOOK: Duration = Duration::from_millis(10);
/// What has been set going gets so long to come to rest.
const SETTLE: Duration = Duration::from_millis(200);
/// How long the relay may take to dial the source, if it does so before it has clients.
const RELAY_WAIT: Duration = Duration::from_secs(1);
/// How long clients may take to connect, or to get their first byte, beside 2 ms for each.
pub(super) const MEET_WAIT: Duration = Duration::from_secs(10);
/// A relay that was asked to end is looked at so often before it is killed.
const END_LOOKS: u32 = 50;
/// Above this share of the time without a core nothing counts.
const WAITED_MAX: f64 = 0.1;
/// Threads of a run: the source's and the clients'.
const PLAYERS: usize = 2;
