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
use crate::roles::bench::machine::{Family, is_taken};
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
    /// For how long the bench has been stopped since it began, by whomever: time in which it was neither at work nor at
    /// rest, nor waiting for a core.
    fn stopped(&self) -> Duration;
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

/// How long something is waited for: once more as long, if the bench stood still meanwhile.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    end: Time,
    length: Duration,
    /// For how long the bench had been stopped when it began. `None`: it begins for the second time.
    stopped: Option<Duration>,
}

impl Patience {
    pub(super) fn begin<H: House>(house: &H, length: Duration) -> Self {
        Self {
            end: house.now() + length,
            length,
            stopped: Some(house.stopped()),
        }
    }

    pub(super) fn left<H: House>(&mut self, house: &H) -> Duration {
        let now = house.now();
        if now >= self.end && self.stopped.take().is_some_and(|it| house.stopped() > it) {
            self.end = now + self.length;
        }
        self.end.since(now)
    }
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
    certificate: Option<Certificate>,
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
    /// Has everybody meet. A relay that ends since somebody else has taken its port, between when that was found free
    /// and when it listens there, is started again with others.
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
        let certificate = Certificate::of(house, job.scenario)?;
        let mut run = Self {
            house,
            board: Arc::default(),
            relay: RelayProcesses::default(),
            job,
            cores,
            dialect: template.dialect(),
            dials_source: template.dials_source(),
            label: label.to_owned(),
            bare: Family::default(),
            is_stopped: false,
            certificate,
        };
        for starts in 1.. {
            let Err(halt) = run.bring_up(template, phase) else {
                break;
            };
            let lost_its_port = run.give_up();
            match halt {
                Halt::Failed(text) if lost_its_port && starts < STARTS_MAX => {
                    log::info!("bench: {text}; another port is tried, since that one was taken");
                }
                halt => return Err(halt),
            }
        }
        Ok(run)
    }

    fn bring_up(&mut self, template: &Template, phase: Option<Phase>) -> Result<(), Halt> {
        let (job, dialect) = (self.job, self.dialect);
        let filler = Arc::new(Filler::new(job.size));
        // Where nobody feeds a relay, it is not dialled as one either.
        let is_fed = job.scenario.work().is_none() && !matches!(job.scenario, Scenario::Hub(_));
        let listens = template.dials_source() || !is_fed;
        let meet = listens.then(|| Meet::Listen(local(0)));
        let (board, utc) = (&self.board, self.house.utc());
        let player = match job.scenario.work() {
            Some(_) => service(job, board),
            None => feeder(job, board, (&filler, dialect), (meet, phase), utc),
        };
        play(self.house, player, self.cores, board)?;
        let cert = self.certificate.as_ref().map_or("", Certificate::path);
        let port = begin(
            self.house,
            (board, &mut self.relay),
            template,
            self.cores,
            (listens, cert),
            job.waits.patience,
        )?;
        match job.scenario {
            Scenario::Tunnel(work) | Scenario::Ws(work) => self.meet_service(port, work),
            Scenario::Hub(pace) => self.meet_broker(port, pace),
            _ => self.meet(port, filler),
        }
    }

    /// Ends what was started, so that it can be started anew. Returns whether a port was taken that the relay was to
    /// have.
    fn give_up(&mut self) -> bool {
        let (has_failed, says_so) = (self.relay.has_failed(), self.relay.says_in_use());
        let ports = *lock(&self.board.source.free_ports);
        self.clean_up();
        // Who listens there now is not the relay.
        let somebody_has = || ports.is_some_and(|ports| ports.into_iter().any(is_taken));
        let lost = has_failed && (says_so || somebody_has());
        self.board = Arc::default();
        self.is_stopped = false;
        lost
    }

    fn clean_up(&mut self) {
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
    pub(super) fn see_off(&mut self) {
        for _ in 0..END_LOOKS {
            if self.relay.have_ended() || self.house.rest(LOOK).is_err() {
                break;
            }
        }
        self.relay = RelayProcesses::default();
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
        let mut patience = Patience::begin(self.house, patience);
        loop {
            if holds(&self.board) {
                return Ok(true);
            }
            self.check()?;
            let left = patience.left(self.house);
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
        let mut patience = Patience::begin(self.house, patience);
        loop {
            let text = step(&self.board);
            self.say(&text);
            let left = patience.left(self.house);
            if self.wait_until(left.min(SECOND), &holds)? {
                return Ok(true);
            }
            if left.is_zero() {
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
        if !self.wait_until(HANG_WAIT, is_told)? {
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

/// A relay whose port is taken before it listens there is started so often in all.
const STARTS_MAX: u32 = 3;
const SECOND: Duration = Duration::from_secs(1);
/// How often things that nobody announces are looked at.
pub(super) const LOOK: Duration = Duration::from_millis(10);
/// How long the bench's own threads may take to do what they are told.
pub(super) const HANG_WAIT: Duration = Duration::from_secs(10);
/// A relay that was asked to end is looked at so often before it is killed.
const END_LOOKS: u32 = 50;
