//! TCP over WebSocket in a simulated network: a relay, a host, a client, a service and programs, all drawn from a
//! script; and strangers, who ask the relay for WebSockets of another name and say whatever the script has.
//!
//! ```text
//!   programs ──> ws client ══ ws relay ══ ws host ──> a service that says a pattern of its own to each
//!                 strangers ──┘     └── strangers
//! ```
//!
//! After every turn the sockets are those that the roles know, and the books of roles and sessions agree. Every few
//! thousand turns, and in the end: what a program has received is a beginning of what its other end said, and the other
//! way round; an end comes behind all of it. When the network calms down, new programs are served to the last byte, and
//! a stopped tunnel ends in time, under load, too.
//!
//! In some lives the WebSockets are lost while somebody at a far end is owed what had come for it whole, with its end:
//! that is delivered all the same, to the last byte.
//!
//! Some lives have tokens, which change under way, a second host that wants the first one's name, or a relay that takes
//! few WebSockets.

#[cfg(test)]
mod ends_tests;
#[cfg(test)]
mod gate_tests;
#[cfg(test)]
mod memory_tests;
#[cfg(test)]
mod owed_tests;
#[cfg(test)]
mod pings_tests;
mod roles;
#[cfg(test)]
mod rows_tests;
mod service;
#[cfg(test)]
mod stage;
#[cfg(test)]
mod stops_tests;
mod strangers;

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use self::roles::{Party, Terms};
use self::service::Service;
use crate::base::rng::Rng;
use crate::base::time::Time;
use crate::fuzz::cast::{begins, restless, slow_reader, source};
use crate::fuzz::owed::{Owed, TunnelLife};
use crate::fuzz::script::Script;
use crate::reactor::net::{Addr, Signal};
use crate::reactor::{End, Event, Options, Reactor, RoleId};
use crate::roles::ws::Tokens;
use crate::sim::{Actor, Ending, Faults, Handle, RemoteId, SimNet, World};

/// Lets a WebSocket tunnel live through what the script says.
///
/// # Panics
/// When something that must hold does not.
pub fn ws(data: &[u8]) {
    Play::new(&mut Script::new(data), false).live();
}

/// As [`ws`], with a script that is drawn from `seed`.
///
/// # Panics
/// When something that must hold does not.
pub fn ws_by_seed(seed: u64, traced: bool) -> TunnelLife {
    let mut rng = Rng::new(seed);
    let script: Vec<u8> = (0..SCRIPT_WORDS)
        .flat_map(|_| rng.next().to_le_bytes())
        .collect();
    let mut play = Play::new(&mut Script::new(&script), traced);
    play.live();
    let world = play.handle.world();
    play.owed.life(&world, &Addr::Tcp(at(SERVICE_PORT)))
}

/// A client that connects, or will.
#[derive(Clone, Copy)]
struct Client {
    id: RemoteId,
    /// Its number, which is also that of the pattern that it says.
    number: u16,
    /// It has to be served to the last byte.
    is_calm: bool,
    /// How much it says in all.
    says: u64,
}

/// A run under way.
struct Play {
    reactor: Reactor<Party>,
    parties: Vec<RoleId>,
    /// How many of them, from the first on, were not stopped.
    staying: usize,
    handle: Handle,
    /// Those who have connected.
    clients: Rc<RefCell<Vec<Client>>>,
    /// How many were drawn.
    drawn: u16,
    /// How much of a direction the narrower of two kernels takes.
    narrow: usize,
    says_max: u64,
    service: Service,
    owed: Owed,
    /// How often the WebSockets go at a moment at which somebody is owed the end of what it was told.
    cuts: usize,
    luck: Rng,
    /// Tokens that hold from these moments on, the last one first.
    tokens: Vec<(Time, &'static str)>,
    /// It is stopped while all goes on.
    is_cut_short: bool,
    chaos: Duration,
    turns: u64,
    over: usize,
}

impl Play {
    fn new(script: &mut Script<'_>, traced: bool) -> Self {
        let mut rng = Rng::new(script.take_u64());
        let faults = match script.pick(3) {
            0 => Faults::none(),
            1 => Faults::draw_harmless(&mut rng),
            _ => Faults::draw(&mut rng),
        };
        // The most is more than a window, so that credit has to come back; where a segment is a few bytes, less work.
        let narrow = faults.send_buffer.min(faults.receive_buffer);
        let says_max = (narrow as u64 * 50).min([20_000, 20_000, 60_000, 400_000][script.pick(4)]);
        let (net, handle) = SimNet::new(rng.next(), faults);
        handle.world().trace(traced);
        let service = Service::default();
        let serve = service.behaviour(narrow, says_max, Rng::new(script.take_u64()));
        handle
            .world()
            .listen_remote(Addr::Tcp(at(SERVICE_PORT)), serve);
        let mut reactor = Reactor::new(Box::new(net), Options::default());
        let ping = ["0.5", "5", "25"][script.pick(3)];
        let terms = Terms::draw(script);
        let parties = roles::all(ping, terms).into_iter();
        let parties: Vec<_> = parties.map(|party| reactor.add(party)).collect();
        let mut play = Self {
            reactor,
            staying: parties.len(),
            parties,
            handle,
            clients: Rc::default(),
            drawn: 0,
            narrow,
            says_max,
            service,
            owed: Owed::default(),
            cuts: 0,
            luck: Rng::new(0),
            tokens: Vec::new(),
            is_cut_short: script.pick(8) == 7,
            chaos: Duration::from_millis(200 + script.pick(6000) as u64),
            turns: 0,
            over: 0,
        };
        for _ in 0..script.pick(14) {
            play.draw_client(script);
        }
        for number in 0..script.pick(6) {
            play.draw_stranger(script, number as u16);
        }
        if terms.has_tokens && script.pick(2) == 1 {
            let gone = play.chaos * script.pick(100) as u32 / 100;
            let others = [roles::OTHERS, roles::FEWER][script.pick(2)];
            let back = (Time::ZERO + play.chaos, roles::TOKENS);
            play.tokens = vec![back, (Time::ZERO + gone, others)];
        }
        for _ in 0..script.pick(3) {
            let when = Time::from_millis(script.pick(5000) as u64);
            let report = |world: &mut World| world.signal(Signal::Report);
            play.handle.world().at(when, report);
        }
        if script.pick(4) > 0 {
            play.draw_losses(script);
        }
        play
    }

    /// WebSockets are lost, and there is somebody slow who may be owed something then.
    fn draw_losses(&mut self, script: &mut Script<'_>) {
        self.cuts = 1 + script.pick(4);
        // It takes some time until all have found each other, and have said something.
        self.chaos = self.chaos.max(LOSSES_MIN);
        self.luck = Rng::new(script.take_u64());
        if script.pick(2) == 0 {
            // What the kernels don't hold waits in the roles.
            let mut world = self.handle.world();
            let faults = world.faults();
            (faults.send_buffer, faults.receive_buffer) = (KERNEL, KERNEL);
            self.narrow = KERNEL;
        }
        let mut rng = Rng::new(script.take_u64());
        for _ in 0..4 + script.pick(8) {
            let number = self.drawn;
            let (says, actor) = match script.pick(2) {
                0 => slow_reader(number, self.narrow, &mut rng),
                _ => {
                    let says = rng.below(self.says_max);
                    (says, source(number, says, Ending::HalfClose, &mut rng))
                }
            };
            let arrives = Duration::from_millis(script.pick(2000) as u64);
            self.add_client(actor, says, [arrives, Duration::ZERO], false);
        }
        if script.pick(4) > 0 {
            self.service.be_slow(rng);
        }
    }

    /// A client of the wild days: it may stall, leave or reset whenever it likes.
    fn draw_client(&mut self, script: &mut Script<'_>) {
        let mut rng = Rng::new(script.take_u64());
        let says = rng.below(self.says_max);
        let number = self.drawn;
        let actor = match script.pick(4) {
            0 => source(number, says, Ending::HalfClose, &mut rng),
            1 => source(number, says, Ending::Reset, &mut rng),
            2 => source(number, says, Ending::Close, &mut rng),
            _ => restless(number, says, self.says_max, &mut rng),
        };
        // It stands there from the beginning, and acts later.
        let acts = Duration::from_millis(script.pick(3000) as u64);
        self.add_client(actor, says, [Duration::ZERO, acts], false);
    }

    /// A client that connects after the first of these times, and begins to act when it has stood there for the other.
    fn add_client(
        &mut self,
        actor: Actor,
        says: u64,
        [arrives, acts]: [Duration; 2],
        is_calm: bool,
    ) {
        let number = self.drawn;
        self.drawn += 1;
        let to = Addr::Tcp(at(CLIENT_PORT));
        let from = SocketAddr::from(([10, 1, 0, 1], 10_000 + number));
        let clients = Rc::clone(&self.clients);
        let connect = move |world: &mut World| {
            let id = world.connect_remote(to, from, Actor::Manual);
            let when = world.time() + acts;
            world.at(when, move |world| world.set_actor(id, actor));
            clients.borrow_mut().push(Client {
                id,
                number,
                is_calm,
                says,
            });
        };
        let mut world = self.handle.world();
        match arrives.is_zero() {
            true => connect(&mut world),
            false => {
                let when = world.time() + arrives;
                world.at(when, connect);
            }
        }
    }

    /// From the first turn to the last.
    fn live(&mut self) {
        self.run_until(Time::ZERO + self.chaos);
        if self.is_cut_short {
            return self.stop();
        }
        *self.handle.world().faults() = Faults::none();
        // Two hosts would take over from each other for ever.
        self.staying = PARTIES;
        for rival in self.parties[PARTIES..].iter().copied() {
            if let Some(party) = self.reactor.role(rival) {
                let world = self.handle.world();
                self.owed.forget(party.outliving(), &world);
            }
            self.reactor.tell(rival, Event::Drain(Signal::Terminate));
        }
        // Whatever was lost is found again, or timed out.
        self.run_for(SETTLE);
        self.service.calm_down();
        let mut rng = Rng::new(self.turns);
        for _ in 0..6 {
            let says = 1 + rng.below(self.says_max);
            let number = self.drawn;
            let actor = source(number, says, Ending::HalfClose, &mut rng);
            self.add_client(actor, says, [Duration::ZERO; 2], true);
        }
        self.run_for(SETTLE);
        self.check_calm();
        self.stop();
    }

    fn stop(&mut self) {
        self.handle.world().signal(Signal::Terminate);
        self.run_for(STOP);
        assert_eq!(self.over, self.parties.len(), "a stopped tunnel still runs");
        self.look();
    }

    fn now(&self) -> Time {
        self.handle.world().time()
    }

    fn run_for(&mut self, time: Duration) {
        self.run_until(self.now() + time);
    }

    fn run_until(&mut self, end: Time) {
        while self.over < self.parties.len() && self.now() < end {
            self.turn();
        }
    }

    fn turn(&mut self) {
        if self.tokens.last().is_some_and(|(at, _)| *at <= self.now())
            && let Some((_, text)) = self.tokens.pop()
        {
            let tokens = Tokens::parse(text).expect("they are good");
            self.reactor.with(self.parties[0], |role, cx| {
                if let Party::Relay(relay) = role {
                    relay.set_tokens(cx, tokens);
                }
            });
        }
        let mut ended = Vec::new();
        self.reactor
            .turn(&mut ended)
            .expect("a simulated wait works");
        self.turns += 1;
        assert!(self.turns < TURNS_MAX, "it never comes to rest");
        for (_, end) in ended {
            assert_eq!(end, End::Done);
            self.over += 1;
        }
        self.reactor.check_invariants();
        for id in &self.parties {
            let Some(party) = self.reactor.role(*id) else {
                continue;
            };
            party.check_invariants();
            let mut known: Vec<_> = party.sockets().collect();
            known.sort_unstable();
            known.dedup();
            let owned = self.reactor.sockets_of(*id);
            assert_eq!(
                known, owned,
                "the sockets that it knows, and those that it has"
            );
        }
        self.cut_if_owed();
        let world = self.handle.world();
        let parties = self.parties[..self.staying].iter();
        let parties = parties.filter_map(|id| self.reactor.role(*id));
        self.owed.note(parties.flat_map(Party::outliving), &world);
        drop(world);
        if self.turns.is_multiple_of(LOOK_EVERY) {
            self.look();
        }
    }

    /// A random moment would rarely be one at which somebody outlives its WebSocket.
    fn cut_if_owed(&mut self) {
        if self.cuts == 0 || self.now() >= Time::ZERO + self.chaos {
            return;
        }
        let owes = |id: &RoleId| self.reactor.with(*id, |party, cx| party.owes(cx)) == Some(true);
        if self.parties.iter().any(owes) && self.luck.below(CUT_ONE_IN) == 0 {
            self.cuts -= 1;
            self.handle.world().cut_own();
        }
    }

    /// What everybody has received is a beginning of what the other end said.
    fn look(&self) {
        let world = self.handle.world();
        let callers = self.service.said.borrow().len() as u16;
        let all = self.clients.borrow();
        for client in all.iter() {
            let got = world.received(client.id);
            let said = (0..callers).any(|caller| begins(SERVICE + caller, got));
            assert!(said || got.is_empty(), "program {}", client.number);
            self.check_end(client, got, &world);
        }
        for (caller, id) in world
            .accepted_at(&Addr::Tcp(at(SERVICE_PORT)))
            .iter()
            .enumerate()
        {
            let got = world.received(*id);
            let of = |client: &&Client| begins(client.number, got);
            let clients: Vec<&Client> = all.iter().filter(of).collect();
            assert!(
                !clients.is_empty() || got.is_empty(),
                "caller {caller} of the service"
            );
            if world.saw_fin(*id) && !world.saw_reset(*id) && !world.was_cut(*id) && !got.is_empty()
            {
                let whole = |client: &&Client| world.sent_total(client.id) == got.len() as u64;
                assert!(
                    clients.iter().any(whole),
                    "caller {caller} saw an end too early"
                );
            }
        }
    }

    /// An end that is no reset comes behind all that there was, or before anything: then it was turned away.
    fn check_end(&self, client: &Client, got: &[u8], world: &World) {
        let over = world.saw_fin(client.id) && !world.saw_reset(client.id);
        if !over || world.was_cut(client.id) || got.is_empty() {
            return;
        }
        let said = self.service.said.borrow();
        let is_it = |(caller, says): (usize, &u64)| {
            got.len() as u64 == *says && begins(SERVICE + caller as u16, got)
        };
        let whole = said.iter().enumerate().any(is_it);
        assert!(whole, "program {} saw an end too early", client.number);
    }

    /// Those who came when all was calm have got everything, and so has the service from them.
    fn check_calm(&self) {
        self.look();
        let world = self.handle.world();
        self.owed.check(&world);
        let said = self.service.said.borrow();
        let callers = world.accepted_at(&Addr::Tcp(at(SERVICE_PORT)));
        let all = self.clients.borrow();
        for client in all.iter().filter(|client| client.is_calm) {
            let number = client.number;
            assert!(!world.saw_reset(client.id), "program {number} was reset");
            assert!(world.saw_fin(client.id), "program {number} saw no end");
            let got = world.received(client.id);
            let is_it = |caller: usize| {
                let heard = world.received(callers[caller]);
                got.len() as u64 == said[caller]
                    && begins(SERVICE + caller as u16, got)
                    && heard.len() as u64 == client.says
                    && begins(number, heard)
            };
            assert!(
                (0..said.len()).any(is_it),
                "program {number} was not served"
            );
        }
    }
}

fn at(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

/// The relay, a host and a client; who comes behind them wants the host's name.
const PARTIES: usize = 3;
const RELAY_PORT: u16 = 8080;
const CLIENT_PORT: u16 = 7001;
const SERVICE_PORT: u16 = 80;
/// The number of the pattern that the service says to its first caller.
const SERVICE: u16 = 10_000;
const SCRIPT_WORDS: usize = 320;
/// What a kernel holds of a direction where it is to be little.
const KERNEL: usize = 4 << 10;
/// A life in which WebSockets are lost is wild for so long at least.
const LOSSES_MIN: Duration = Duration::from_secs(3);
/// Of as many turns in which somebody is owed something, one has the WebSockets cut.
const CUT_ONE_IN: u64 = 20;
/// By then whatever was under way has found its end: dials, waits between them, pings, windows of slow clients.
const SETTLE: Duration = Duration::from_secs(60);
const STOP: Duration = Duration::from_secs(4);
const TURNS_MAX: u64 = 200_000;
/// What was received is looked at every so many turns.
const LOOK_EVERY: u64 = 3000;
