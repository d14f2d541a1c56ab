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
use crate::reactor::net::Signal;
use crate::roles::bench::Player;
use crate::roles::bench::board::{Board, Cue, Order, Told, UNKNOWN, lock};
use crate::roles::bench::command::Template;
use crate::roles::bench::config::{Job, Meet, Scenario};
use crate::roles::bench::dialect::Dialect;
use crate::roles::bench::figure::Outcome;
use crate::roles::bench::launch::{Cores, begin, feeder, service};
use crate::roles::bench::machine::Family;
use crate::roles::bench::means::{check_descriptors, check_memory};
use crate::roles::bench::pattern::Filler;
use crate::roles::bench::relay_process::RelayProcesses;
use crate::roles::bench::schedule::Phase;
use crate::roles::bench::sealed::Certificate;
use crate::roles::bench::source::local;

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
    pub(super) fn wait_showing(
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
/// How long clients may take to connect, or to get their first byte, beside 2 ms for each.
pub(super) const MEET_WAIT: Duration = Duration::from_secs(10);
/// A relay that was asked to end is looked at so often before it is killed.
const END_LOOKS: u32 = 50;
