//! The whole hub, on the real loop, in a simulated network: whoever comes, however they speak and end, what must hold
//! is looked at after each turn, and what they received when all is over ([`ledger`]).

mod ledger;
mod scenario;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use self::ledger::Ledger;
use self::scenario::{Guest, Scenario, TOKEN};
use crate::base::rng::Rng;
use crate::base::time::Time;
use crate::fuzz::script::Script;
use crate::proto::mailbox::{Notice, Piece, Reader, Request, prove, write_message, write_opening};
use crate::reactor::net::{Addr, Signal};
use crate::reactor::{Cx, End, Event, Options, Reactor, Role, RoleId, Turn};
use crate::roles::hub::config::Auth;
use crate::roles::hub::{Counts, Hub};
use crate::sim::{Actor, Content, Ending, Faults, Handle, Receiver, RemoteId, SimNet, Source};

/// Lets a hub live through what the script says.
///
/// # Panics
/// When something that must hold does not.
pub fn hub(data: &[u8]) {
    play(Scenario::draw(&mut Script::new(data)), false);
}

/// As [`hub`], with a script that is drawn from `seed`. Its trace is returned if that is asked for, or goes to stderr
/// where it fails.
///
/// # Panics
/// When something that must hold does not.
pub fn hub_by_seed(seed: u64, traced: bool) -> HubPlayed {
    let mut rng = Rng::new(seed);
    let script: Vec<u8> = (0..SCRIPT_WORDS)
        .flat_map(|_| rng.next().to_le_bytes())
        .collect();
    play(Scenario::draw(&mut Script::new(&script)), traced)
}

/// What a run came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HubPlayed {
    /// How many turns it took.
    pub turns: u64,
    /// What the hub counted.
    pub counts: Counts,
    /// Nobody was dropped or went, and each message was seen to come.
    pub complete: bool,
    /// Calls and events, if they were to be kept.
    pub trace: Vec<String>,
}

/// The hub, and what its end does not take away.
struct Witness {
    hub: Hub,
    seen: Rc<RefCell<Seen>>,
}

#[derive(Clone, Debug, Default)]
struct Seen {
    accepted: u64,
    counts: Counts,
}

impl Role for Witness {
    fn on(&mut self, cx: &mut Cx<'_>, event: Event) {
        let accepted = u64::from(matches!(event, Event::Accepted { .. }));
        self.hub.on(cx, event);
        self.hub.check_invariants();
        let mut seen = self.seen.borrow_mut();
        seen.accepted += accepted;
        seen.counts = self.hub.counts().clone();
    }
}

/// A run under way.
struct Play {
    scenario: Scenario,
    reactor: Reactor<Witness>,
    role: RoleId,
    handle: Handle,
    /// Each guest's peer, once it has come.
    came: Rc<RefCell<Vec<Option<RemoteId>>>>,
    /// Those who have been asked for a proof, or don't wait for that.
    answered: Vec<bool>,
    seen: Rc<RefCell<Seen>>,
    turns: u64,
    over: bool,
    complete: bool,
}

fn play(scenario: Scenario, traced: bool) -> HubPlayed {
    if traced {
        eprintln!("{:#?}\n{:#?}", scenario.config, scenario.faults);
    }
    let mut play = Play::new(scenario, traced);
    let _last_words = traced.then(|| LastWords(play.handle.clone()));
    play.run_until(Time::ZERO + play.scenario.chaos);
    play.stop();
    play.check_received();
    let world = play.handle.world();
    HubPlayed {
        turns: play.turns,
        counts: play.seen.borrow().counts.clone(),
        complete: play.complete,
        trace: world.trace_lines().map(str::to_owned).collect(),
    }
}

impl Play {
    fn new(scenario: Scenario, traced: bool) -> Self {
        let (net, handle) = SimNet::new(scenario.seed, scenario.faults.clone());
        handle.world().trace(traced);
        let came = Rc::new(RefCell::new(vec![None; scenario.guests.len()]));
        for (number, guest) in scenario.guests.iter().cloned().enumerate() {
            let came = Rc::clone(&came);
            let waits = asks_for_proof(&scenario, &guest);
            handle.world().at(Time::ZERO + guest.at, move |world| {
                let from =
                    SocketAddr::from(([10, 0, 0, 1 + (number % 3) as u8], 1000 + number as u16));
                let to = Addr::Tcp(SocketAddr::from(([127, 0, 0, 1], 7000)));
                let remote = world.connect_remote(to, from, guest.actor(waits));
                came.borrow_mut()[number] = Some(remote);
            });
        }
        let seen = Rc::new(RefCell::new(Seen::default()));
        let mut reactor = Reactor::new(Box::new(net), Options::default());
        let role = reactor.add(Witness {
            hub: Hub::new(scenario.config.clone()),
            seen: Rc::clone(&seen),
        });
        let waits = |guest: &Guest| !asks_for_proof(&scenario, guest);
        Self {
            answered: scenario.guests.iter().map(waits).collect(),
            scenario,
            reactor,
            role,
            handle,
            came,
            seen,
            turns: 0,
            over: false,
            complete: false,
        }
    }

    fn now(&self) -> Time {
        self.handle.world().time()
    }

    fn run_until(&mut self, end: Time) {
        while !self.over && self.now() < end {
            self.turn();
            self.answer();
        }
    }

    fn turn(&mut self) {
        let mut ended = Vec::new();
        let turn = self.reactor.turn(&mut ended);
        self.turns += 1;
        assert!(self.turns < TURNS_MAX, "it never comes to rest");
        self.reactor.check_invariants();
        self.over = turn.expect("a simulated wait works") == Turn::Over;
        assert!(ended.iter().all(|(_, end)| *end == End::Done), "{ended:?}");
        let Some(Witness { hub, .. }) = self.reactor.role(self.role) else {
            return;
        };
        let known: BTreeSet<_> = hub.sockets().collect();
        let open: BTreeSet<_> = self.reactor.sockets_of(self.role).into_iter().collect();
        assert_eq!(known, open, "sockets");
        for speaker in hub.speakers() {
            assert!(self.reactor.wants(speaker).0, "a sender is held back");
        }
    }

    /// Answers the nonces that have come.
    fn answer(&mut self) {
        let world = &mut *self.handle.world();
        for (number, guest) in self.scenario.guests.iter().enumerate() {
            let Some(remote) = self.came.borrow()[number].filter(|_| !self.answered[number]) else {
                continue;
            };
            world.remote_read(remote, usize::MAX);
            let Some(nonce) = nonce(world.received(remote)) else {
                continue;
            };
            let token = match guest.honest {
                true => TOKEN,
                false => b"another token",
            };
            let mut proof = Vec::new();
            Request::Proof(prove(token, &nonce, &guest.name)).write(&mut proof);
            let mut message = Vec::new();
            write_message(b"", &proof, &mut message);
            if world.remote_send(remote, &message) == message.len() {
                world.set_actor(remote, guest.speaker(guest.speech.clone()));
            }
            self.answered[number] = true;
        }
    }

    /// The hub is stopped, and ends in time; those who read get what is theirs.
    fn stop(&mut self) {
        *self.handle.world().faults() = Faults {
            delay: self.scenario.faults.delay,
            send_buffer: self.scenario.faults.send_buffer,
            receive_buffer: self.scenario.faults.receive_buffer,
            ..Faults::none()
        };
        self.handle.world().signal(Signal::Terminate);
        let end = self.now() + self.scenario.config.drain + STOP_SLACK;
        self.run_until(end);
        assert!(self.over, "a second after --drain it still runs");
        self.let_arrive();
    }

    /// What was written at the end takes its time to those whose window is small.
    fn let_arrive(&self) {
        let world = &mut *self.handle.world();
        let came = self.came.borrow();
        let mut before = None;
        loop {
            world.run_for(AFTERMATH);
            let heard = |remote: &RemoteId| {
                world.remote_read(*remote, usize::MAX);
                world.received(*remote).len()
            };
            let heard: usize = came.iter().flatten().map(heard).sum();
            if before == Some(heard) {
                break;
            }
            before = Some(heard);
        }
    }

    fn check_received(&mut self) {
        let world = &mut *self.handle.world();
        let guests = &self.scenario.guests;
        let came = self.came.borrow();
        let opening = |guest: &Guest| {
            let proof = if asks_for_proof(&self.scenario, guest) {
                74
            } else {
                0
            };
            guest.opening().len() as u64 + proof
        };
        let sent: Vec<u64> = guests
            .iter()
            .zip(came.iter())
            .map(|(guest, remote)| {
                let total = remote.map_or(0, |remote| world.sent_total(remote));
                total.saturating_sub(opening(guest))
            })
            .collect();
        let mut ledger = Ledger::default();
        for (number, remote) in came.iter().enumerate() {
            if let Some(remote) = remote {
                ledger.read(number, guests, &sent, world.received(*remote));
            }
        }
        let Seen { accepted, counts } = &*self.seen.borrow();
        let gone = counts.gone.iter().sum::<u64>();
        let ended = gone + counts.refused.iter().sum::<u64>();
        assert_eq!(
            *accepted, ended,
            "each connection has one reason: {counts:?}"
        );
        assert!(ledger.messages <= counts.messages, "more came than went");
        let sent_in_all: u64 = came.iter().flatten().map(|id| world.sent_total(*id)).sum();
        let leaves = |guest: &Guest| guest.ending != Ending::Stay;
        let refused = counts.refused.iter().sum::<u64>();
        self.complete = counts.drops() + refused == 0
            && counts.bytes_in == sent_in_all
            && sent
                .iter()
                .zip(guests)
                .all(|(sent, guest)| *sent == guest.speech.len() as u64)
            && !guests.iter().any(leaves)
            && !came.iter().flatten().any(|id| world.was_cut(*id));
        if self.complete {
            check_complete(guests, counts, &ledger);
        }
    }
}

/// Everybody stayed, said all, and was read to the end: nothing may be missing.
fn check_complete(guests: &[Guest], counts: &Counts, ledger: &Ledger) {
    let sum = |count: fn(&Guest) -> u64| guests.iter().map(count).sum::<u64>();
    let frames = sum(|guest| {
        let asks = if guest.envelope { 0 } else { guest.asks };
        guest.messages.len() as u64 + guest.alive + guest.voids + asks
    });
    assert_eq!(counts.messages + counts.nobody, frames, "each is counted");
    let alive = sum(|guest| guest.alive);
    assert_eq!(ledger.messages + alive, counts.messages, "each has come");
}

impl Guest {
    fn opening(&self) -> Vec<u8> {
        let mut opening = Vec::new();
        write_opening(&self.name, self.envelope, &mut opening);
        opening
    }

    /// What it does when it has come: all of it, or only its opening where it `waits` for a nonce.
    fn actor(&self, waits: bool) -> Actor {
        let opening = self.opening();
        if let Some(stalls) = self.stalls {
            return Actor::Receiver(Receiver {
                says: vec![(Duration::ZERO, opening)],
                stall_after: Some(stalls),
                ..Receiver::eager()
            });
        }
        match waits {
            true => Actor::Source(Source {
                ending: Ending::Stay,
                ..self.source(opening)
            }),
            false => self.speaker([opening, self.speech.clone()].concat()),
        }
    }

    fn speaker(&self, words: Vec<u8>) -> Actor {
        Actor::Source(self.source(words))
    }

    fn source(&self, words: Vec<u8>) -> Source {
        Source {
            from: 0,
            to: words.len() as u64,
            content: Content::Bytes(words.into()),
            chunk_max: self.chunk_max,
            gap_max: self.gap_max,
            ending: self.ending,
        }
    }
}

fn asks_for_proof(scenario: &Scenario, guest: &Guest) -> bool {
    matches!(scenario.config.auth, Auth::Tokens(_)) && guest.envelope && guest.stalls.is_none()
}

/// The nonce that a hub has sent first.
fn nonce(received: &[u8]) -> Option<crate::proto::mailbox::Nonce> {
    let mut reader = Reader::of_hub(1000);
    let (took, _) = reader.feed(received).ok()?;
    match reader.feed(&received[took..]).ok()?.1? {
        Piece::Body { bytes, last: true } => match Notice::read(bytes)? {
            Notice::Nonce(nonce) => Some(nonce),
            _ => None,
        },
        _ => None,
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

const SCRIPT_WORDS: usize = 300;
/// More turns than any scenario needs.
const TURNS_MAX: u64 = 200_000;
const STOP_SLACK: Duration = Duration::from_secs(1);
/// Longer than any byte of the simulated network is on its way.
const AFTERMATH: Duration = Duration::from_secs(5);
