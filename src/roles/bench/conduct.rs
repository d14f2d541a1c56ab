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
use crate::roles::bench::board::{Board, Cue, Order, Told, lock};
use crate::roles::bench::clients::{self, Clients, Reading};
use crate::roles::bench::command::Template;
use crate::roles::bench::config::{Job, Meet, Scenario};
use crate::roles::bench::dialect::Dialect;
use crate::roles::bench::exchange::{self, Service};
use crate::roles::bench::figure::{Doubt, Outcome, Thousands};
use crate::roles::bench::launch::{Cores, begin};
use crate::roles::bench::machine::{Family, Usage, thread};
use crate::roles::bench::pattern::Filler;
use crate::roles::bench::relay_process::RelayProcesses;
use crate::roles::bench::sealed::{self, Certificate};
use crate::roles::bench::source::{self, Source, local};

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
    /// Shows how far the bench is.
    fn progress(&mut self, text: &str);
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
    /// What stands in front of each word on its progress.
    label: String,
    /// What the relay had before there were clients.
    pub(super) bare: Family,
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

/// Makes one run.
pub(super) fn perform<H: House>(
    house: &mut H,
    job: &Job,
    (relay, template): (usize, &Template),
    cores: &Cores,
    label: &str,
) -> Result<Outcome, Halt> {
    let mut run = Run::set_up(house, job, template, cores, label)?;
    let outcome = run.measure(relay);
    run.clean_up();
    outcome
}

impl<'a, H: House> Run<'a, H> {
    fn set_up(
        house: &'a mut H,
        job: &'a Job,
        template: &Template,
        cores: &'a Cores,
        label: &str,
    ) -> Result<Self, Halt> {
        check_descriptors(house, job.connections())?;
        let board = Arc::<Board>::default();
        let filler = Arc::new(Filler::new(job.size));
        // Where nobody feeds a relay, it is not dialled as one either.
        let is_fed = job.scenario.work().is_none() && !matches!(job.scenario, Scenario::Hub(_));
        let listens = template.dials_source() || !is_fed;
        let player = match job.scenario.work() {
            Some(_) => Player::Service(Box::new(Service::new(exchange::service::Setup {
                board: Arc::clone(&board),
                at: local(0),
                check: job.check,
            }))),
            None => Player::Source(Box::new(Source::new(source::Setup {
                board: Arc::clone(&board),
                filler: Arc::clone(&filler),
                dialect: template.dialect(),
                rate: job.rate,
                time: (job.scenario == Scenario::Latency).then_some(job.time),
                meet: listens.then(|| Meet::Listen(local(0))),
                utc: house.utc(),
            }))),
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
            label: label.to_owned(),
            bare: Family::default(),
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
        if !self.wait_until(patience, all)? {
            let there = self.board.clients.connected.load(Relaxed);
            let what = match self.dialect.is_brokers() {
                true => "subscribe at",
                false => "connect to",
            };
            let text = format!(
                "only {there} of {count} clients could {what} 127.0.0.1:{port} within {}",
                Span(patience)
            );
            return Err(Halt::Failed(self.with_cut_off(text)));
        }
        match self.job.scenario {
            Scenario::Idle => Ok(()),
            _ => self.reach_all(patience),
        }
    }

    /// Sends a little until every client has got some.
    fn reach_all(&mut self, patience: Duration) -> Result<(), Halt> {
        self.say("waiting until every client is served");
        let count = self.job.clients;
        self.pause(SETTLE)?;
        self.board.give_order(Order::Trickle);
        let all = move |board: &Board| board.clients.reached.load(Relaxed) >= count;
        let is_gone = move |board: &Board| board.clients.gone.load(Relaxed) >= count;
        self.wait_until(patience, |board| all(board) || is_gone(board))?;
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
        Err(Halt::Failed(self.with_cut_off(text)))
    }

    /// What the relay has done to clients that came and stayed, if it has.
    pub(super) fn cut_off(&self) -> Option<String> {
        let gone = self.board.clients.gone.load(Relaxed);
        let all = self.job.connections();
        let text = format!("the relay cut off {gone} of {all} clients");
        (gone > 0).then(|| match self.dialect.why_cut() {
            Some(why) => format!("{text}, {why}"),
            None => text,
        })
    }

    fn with_cut_off(&self, text: String) -> String {
        match self.cut_off() {
            Some(cut_off) => format!("{text}: {cut_off}"),
            None => text,
        }
    }

    fn clean_up(mut self) {
        self.relay.end();
        self.board.give_order(Order::Stop);
        self.board.give_cue(Cue::Stop);
        self.house.close();
        // It gets a moment to end well; then it is killed.
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
            self.say(&format!("{what}, {:.0} s left", left.as_secs_f64().ceil()));
            self.pause(left.min(Duration::from_secs(1)))?;
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
            // A relay that has ended is why the others fail.
            self.relay.check().map_err(Halt::Failed)?;
            if let Some(text) = self.board.failure() {
                return Err(Halt::Failed(text));
            }
            let left = end.since(self.house.now());
            if left.is_zero() {
                return Ok(false);
            }
            self.house.rest(left.min(LOOK))?;
        }
    }

    pub(super) fn say(&mut self, text: &str) {
        self.house.progress(&format!("{}: {text}", self.label));
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
        let (apart, one) = (self.cores.are_apart(), self.cores.bench.len() == 1);
        // Those who share a core wait for each other; that is the bench's own doing.
        let beside = |other: Duration| match (apart, one) {
            (false, _) => other + relay_cpu,
            (true, true) => other,
            (true, false) => Duration::ZERO,
        };
        let relay_beside = match apart {
            true => Duration::ZERO,
            false => source.cpu + clients.cpu,
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

/// Whether so many clients can be opened.
pub(super) fn check_descriptors<H: House>(house: &H, clients: usize) -> Result<(), Halt> {
    let left = house.sockets_left().saturating_sub(SOCKETS_SPARE);
    if clients <= left {
        return Ok(());
    }
    let (asked, left) = (Thousands(clients as u64), Thousands(left as u64));
    Err(Halt::Failed(format!(
        "{asked} clients need more file descriptors: they are enough for {left} (ulimit -Hn)"
    )))
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
/// Descriptors that a bench needs beside those of its clients.
const SOCKETS_SPARE: usize = 32;
