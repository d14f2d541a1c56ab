//! The simulated world: its clock, its agenda, and what it has to tell the `Net`'s user.
//!
//! Time stands still but for [`World::wait`] and [`World::run_for`] (and for the little that each look at the clock
//! takes); everything that happens of its own accord is an entry of the agenda, in order of time and then of entry.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::IpAddr;
use std::time::Duration;

use super::actor::Step;
use super::conn::{Conn, ConnId};
use super::faults::Faults;
use super::remote::{Behaviour, Remote, RemoteId};
use super::table::{Edge, Sockets};
use crate::base::rng::Rng;
use crate::base::time::Time;
use crate::reactor::net::{Addr, Lookup, Ready, Signal, SockId};

/// Everything outside the program under test: clock, network, peers, names. A driver reaches it through
/// [`Handle::world`](super::Handle::world).
pub struct World {
    pub(super) now: Time,
    pub(super) rng: Rng,
    pub(super) faults: Faults,
    secrets: Rng,
    agenda: BTreeMap<(Time, u64), Due>,
    entries: u64,
    pub(super) conns: BTreeMap<ConnId, Conn>,
    pub(super) conns_made: u64,
    pub(super) sockets: Sockets,
    // What `wait` has yet to tell.
    pub(super) edges: Vec<Edge>,
    told_as_is: Vec<Ready>,
    pub(super) listeners: BTreeMap<Addr, SockId>,
    pub(super) servers: BTreeMap<Addr, Behaviour>,
    pub(super) accepted: BTreeMap<Addr, Vec<RemoteId>>,
    // Attempts by patient remotes to connect to where nobody listens yet.
    pub(super) early: Vec<ConnId>,
    pub(super) remotes: Vec<Remote>,
    pub(super) next_port: u16,
    names: BTreeMap<String, VecDeque<Answer>>,
    horizon: Option<Time>,
    stuck: bool,
    waits: u64,
    trace: Option<VecDeque<String>>,
}

/// One answer of the simulated resolver.
#[derive(Clone, Debug)]
pub struct Answer {
    /// How long it takes.
    pub after: Duration,
    /// What it says: an error's kind, or the addresses in order.
    pub result: Result<Vec<IpAddr>, io::ErrorKind>,
}

impl Answer {
    /// These addresses, after a millisecond.
    pub fn with(addresses: &[IpAddr]) -> Self {
        Self {
            after: Duration::from_millis(1),
            result: Ok(addresses.to_vec()),
        }
    }

    /// This failure, after a millisecond.
    pub const fn failing(kind: io::ErrorKind) -> Self {
        Self {
            after: Duration::from_millis(1),
            result: Err(kind),
        }
    }
}

/// Something a driver wants done at some moment.
pub type Action = Box<dyn FnOnce(&mut World)>;

/// An entry of the agenda.
pub(super) enum Due {
    /// The attempt to connect reaches the one who is called.
    Call(ConnId),
    /// The answer reaches the caller.
    Up(ConnId),
    /// The attempt has failed, with this error number.
    Fail(ConnId, i32),
    /// Bytes, and perhaps the end, cross the line away from `side`. With neither, it is news of room that comes back.
    Arrive {
        conn: ConnId,
        side: usize,
        bytes: usize,
        end: bool,
    },
    /// A reset sent by `side` reaches the other.
    Reset {
        conn: ConnId,
        side: usize,
    },
    /// The connection's peer has been silent for too long.
    Die {
        conn: ConnId,
        side: usize,
    },
    /// An event that was late.
    Edge(Edge),
    /// A socket that had been told `WouldBlock` for no good reason is told the truth.
    Unhold {
        id: SockId,
        read: bool,
    },
    Resolved(Lookup, io::Result<Vec<IpAddr>>),
    Actor(RemoteId, Step),
    Action(Action),
}

impl World {
    pub(super) fn new(seed: u64, faults: Faults) -> Self {
        let mut world = Self {
            now: Time::ZERO,
            rng: Rng::new(seed),
            faults,
            secrets: Rng::new(!seed),
            agenda: BTreeMap::new(),
            entries: 0,
            conns: BTreeMap::new(),
            conns_made: 0,
            sockets: Sockets::default(),
            edges: Vec::new(),
            told_as_is: Vec::new(),
            listeners: BTreeMap::new(),
            servers: BTreeMap::new(),
            accepted: BTreeMap::new(),
            early: Vec::new(),
            remotes: Vec::new(),
            next_port: FIRST_PORT,
            names: BTreeMap::new(),
            horizon: None,
            stuck: false,
            waits: 0,
            trace: None,
        };
        world.open_standard_streams();
        world
    }

    /// The time as it is.
    pub const fn time(&self) -> Time {
        self.now
    }

    /// Has `action` done at `at`, from within a wait; a moment that is over means at the next wait.
    pub fn at(&mut self, at: Time, action: impl FnOnce(&mut Self) + 'static) {
        self.schedule(at, Due::Action(Box::new(action)));
    }

    /// Ends every wait at `at`, and makes [`World::over`] true from then on.
    pub fn stop_at(&mut self, at: Time) {
        self.horizon = Some(at);
    }

    /// Whether the moment given to [`World::stop_at`] has come.
    pub fn over(&self) -> bool {
        self.horizon.is_some_and(|horizon| self.now >= horizon)
    }

    /// Whether the latest wait was without a timeout and nothing could ever end it.
    pub const fn stuck(&self) -> bool {
        self.stuck
    }

    /// How many waits there have been: a program that spins shows here.
    pub const fn waits(&self) -> u64 {
        self.waits
    }

    /// Lets time pass while the program under test is busy elsewhere: things happen, and events pile up untold.
    pub fn run_for(&mut self, time: Duration) {
        let end = self.now + time;
        self.run_due();
        while let Some(at) = self.next_due().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.run_due();
        }
        self.now = self.now.max(end);
    }

    /// Sends the program a signal.
    pub fn signal(&mut self, signal: Signal) {
        self.told_as_is.push(Ready::Signal(signal));
    }

    /// The resolver's answers for `name`: one for each look-up, the last one again and again. A name without any is
    /// not found.
    pub fn set_name(&mut self, name: &str, answers: impl IntoIterator<Item = Answer>) {
        self.names
            .insert(name.to_owned(), answers.into_iter().collect());
    }

    /// The network's character, to be changed as the run goes on. Buffers and delays are those of connections to come.
    pub const fn faults(&mut self) -> &mut Faults {
        &mut self.faults
    }

    /// Begins or stops to keep the latest calls and events, up to [`TRACE_MAX`] lines.
    pub fn trace(&mut self, on: bool) {
        self.trace = on.then(VecDeque::new);
    }

    /// What the trace has kept.
    pub fn trace_lines(&self) -> impl Iterator<Item = &str> {
        self.trace.iter().flatten().map(String::as_str)
    }

    /// Adds a line of the driver's own to the trace, if there is one.
    pub fn remark(&mut self, line: impl FnOnce() -> String) {
        self.note(line);
    }

    pub(super) fn note(&mut self, line: impl FnOnce() -> String) {
        let now = self.now;
        let Some(trace) = &mut self.trace else { return };
        if trace.len() == TRACE_MAX {
            trace.pop_front();
        }
        trace.push_back(format!("{now} {}", line()));
    }

    pub(super) fn schedule(&mut self, at: Time, due: Due) {
        self.agenda.insert((at, self.entries), due);
        self.entries += 1;
    }

    /// A moment soon, but not now: up to a millisecond from now.
    pub(super) fn soon(&mut self) -> Time {
        self.now + Duration::from_nanos(1 + self.rng.below(1_000_000))
    }

    pub(super) fn look_at_clock(&mut self) -> Time {
        self.now = self.now + self.faults.clock_creep;
        self.now
    }

    pub(super) fn random(&mut self) -> u64 {
        self.secrets.next()
    }

    pub(super) fn resolve(&mut self, lookup: Lookup, name: &str) {
        let answer = self.look_up(name);
        self.schedule(
            self.now + answer.after,
            Due::Resolved(lookup, answer.result.map_err(io::Error::from)),
        );
    }

    /// The answer that is `name`'s turn, with what the faults make of it.
    pub(super) fn look_up(&mut self, name: &str) -> Answer {
        let mut answer = match self.names.get_mut(name) {
            Some(answers) if answers.len() > 1 => answers.pop_front().expect("more than one"),
            Some(answers) => answers
                .front()
                .cloned()
                .unwrap_or(Answer::failing(io::ErrorKind::NotFound)),
            None => Answer::failing(io::ErrorKind::NotFound),
        };
        if self.rng.chance(self.faults.lookup_fails) {
            answer.result = Err(io::ErrorKind::TimedOut);
        }
        if self.rng.chance(self.faults.lookup_late) {
            answer.after += Duration::from_millis(self.rng.below(10_000));
        }
        answer
    }

    pub(super) fn wait(&mut self, timeout: Option<Duration>, out: &mut Vec<Ready>) {
        self.waits += 1;
        self.stuck = false;
        let had = out.len();
        let deadline = timeout.map(|timeout| self.now + timeout);
        let end = deadline.into_iter().chain(self.horizon).min();
        loop {
            self.run_due();
            self.tell(out);
            if out.len() > had || end.is_some_and(|end| self.now >= end) {
                break;
            }
            let Some(next) = self.next_due().into_iter().chain(end).min() else {
                self.stuck = true;
                return;
            };
            if self.rng.chance(self.faults.wake_early) {
                self.now = self.now + self.below(next.since(self.now));
                break;
            }
            self.now = next;
        }
        if deadline.is_some_and(|deadline| deadline <= self.now) && timeout != Some(Duration::ZERO)
        {
            self.oversleep();
        }
        self.tell_untruths(out);
        if self.rng.chance(self.faults.shuffle) {
            for at in (had + 1..out.len()).rev() {
                let with = had + self.index((at - had + 1) as u64);
                out.swap(at, with);
            }
        }
    }

    /// A number less than `bound`, as an index.
    pub(super) fn index(&mut self, bound: u64) -> usize {
        usize::try_from(self.rng.below(bound)).expect("less than a length")
    }

    /// A time less than `bound`, or none at all.
    pub(super) fn below(&mut self, bound: Duration) -> Duration {
        Duration::from_nanos(
            self.rng
                .below(u64::try_from(bound.as_nanos()).unwrap_or(u64::MAX)),
        )
    }

    fn oversleep(&mut self) {
        if self.rng.chance(self.faults.oversleep) {
            self.now = self.now + self.below(Duration::from_millis(2));
        }
    }

    fn tell(&mut self, out: &mut Vec<Ready>) {
        self.tell_edges(out);
        out.append(&mut self.told_as_is);
    }

    fn next_due(&self) -> Option<Time> {
        self.agenda.first_key_value().map(|((at, _), _)| *at)
    }

    pub(super) fn late_edges(&self) -> impl Iterator<Item = &Edge> {
        self.agenda.values().filter_map(|due| match due {
            Due::Edge(edge) => Some(edge),
            _ => None,
        })
    }

    fn run_due(&mut self) {
        while let Some(entry) = self
            .agenda
            .first_entry()
            .filter(|entry| entry.key().0 <= self.now)
        {
            let due = entry.remove();
            self.run(due);
        }
    }

    fn run(&mut self, due: Due) {
        match due {
            Due::Call(conn) => self.on_call(conn),
            Due::Up(conn) => self.on_up(conn),
            Due::Fail(conn, error) => self.on_fail(conn, error),
            Due::Arrive {
                conn,
                side,
                bytes,
                end,
            } => self.on_arrive(conn, side, bytes, end),
            Due::Reset { conn, side } => self.on_reset(conn, side),
            Due::Die { conn, side } => self.on_die(conn, side),
            Due::Edge(edge) => self.post(edge),
            Due::Unhold { id, read } => self.on_unhold(id, read),
            Due::Resolved(lookup, result) => self.told_as_is.push(Ready::Resolved(lookup, result)),
            Due::Actor(id, step) => self.on_step(id, step),
            Due::Action(action) => action(self),
        }
    }
}

/// So many lines of a trace are kept.
pub const TRACE_MAX: usize = 20_000;

const FIRST_PORT: u16 = 40_000;
