//! The tunnels in a simulated network, with a service and clients, all drawn from a script: the reverse tunnel's server
//! and two backends, or two ends with a hub between them.
//!
//! ```text
//!   clients ──> serve ══ expose web ──> a service that says a pattern of its own to each
//!                    ╚══ expose echo
//!
//!   clients ──> end a ══ hub ══ end b <── clients          both forward to the service
//! ```
//!
//! After every turn: what a client has received is a beginning of what its other end said, and the other way round; an
//! end comes behind all of it, also where the session has gone before; the sockets are those that the roles know; the
//! books of roles and sessions agree. When the network calms down, new clients are served to the last byte, and a
//! stopped tunnel ends in time.

#[cfg(test)]
mod owed_tests;
mod roles;
#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use self::roles::Party;
use crate::base::rng::Rng;
use crate::base::time::Time;
use crate::fuzz::cast::{any_ending, begins, restless, slow_reader, source};
use crate::fuzz::owed::{Owed, TunnelLife};
use crate::fuzz::script::Script;
use crate::reactor::net::{Addr, Signal};
use crate::reactor::{End, Options, Reactor, RoleId};
use crate::sim::{Actor, Behaviour, Ending, Faults, Handle, RemoteId, SimNet};

/// Lets a tunnel live through what the script says.
///
/// # Panics
/// When something that must hold does not.
pub fn tunnel(data: &[u8]) {
    Play::new(&mut Script::new(data), Kind::Reverse, false).live();
}

/// As [`tunnel`], for one that goes through a hub.
///
/// # Panics
/// When something that must hold does not.
pub fn hub_tunnel(data: &[u8]) {
    Play::new(&mut Script::new(data), Kind::ThroughHub, false).live();
}

/// Which tunnel it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Reverse,
    ThroughHub,
}

/// As [`tunnel`], with a script that is drawn from `seed`.
///
/// # Panics
/// When something that must hold does not.
pub fn tunnel_by_seed(seed: u64, traced: bool) -> TunnelLife {
    by_seed(seed, Kind::Reverse, traced)
}

/// As [`tunnel_by_seed`], for one that goes through a hub.
///
/// # Panics
/// When something that must hold does not.
pub fn hub_tunnel_by_seed(seed: u64, traced: bool) -> TunnelLife {
    by_seed(seed, Kind::ThroughHub, traced)
}

fn by_seed(seed: u64, kind: Kind, traced: bool) -> TunnelLife {
    let mut rng = Rng::new(seed);
    let script: Vec<u8> = (0..SCRIPT_WORDS)
        .flat_map(|_| rng.next().to_le_bytes())
        .collect();
    let mut play = Play::new(&mut Script::new(&script), kind, traced);
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
    /// It goes to the echo.
    hears_itself: bool,
    /// It has to be served to the last byte.
    is_calm: bool,
    /// How much it says in all.
    says: u64,
}

/// A run under way.
struct Play {
    kind: Kind,
    reactor: Reactor<Party>,
    parties: Vec<RoleId>,
    handle: Handle,
    /// Those who have connected.
    clients: Rc<RefCell<Vec<Client>>>,
    /// How many were drawn.
    drawn: u16,
    /// How much of a direction the narrower of two kernels takes.
    narrow: usize,
    says_max: u64,
    /// How much the service says to each caller, by the caller's number.
    service: Rc<RefCell<Vec<u64>>>,
    owed: Owed,
    chaos: Duration,
    /// How often the session goes at a moment at which somebody is owed the end of what it was told.
    cuts: usize,
    luck: Rng,
    turns: u64,
    over: usize,
}

impl Play {
    fn new(script: &mut Script<'_>, kind: Kind, traced: bool) -> Self {
        let mut rng = Rng::new(script.take_u64());
        let mut faults = match script.pick(3) {
            0 => Faults::none(),
            1 => Faults::draw_harmless(&mut rng),
            _ => Faults::draw(&mut rng),
        };
        if script.pick(2) == 0 {
            // What the kernels don't hold waits in the roles.
            (faults.send_buffer, faults.receive_buffer) = (KERNEL, KERNEL);
        }
        // The most is more than a window, so that credit has to come back; where a segment is a few bytes, less work.
        let narrow = faults.send_buffer.min(faults.receive_buffer);
        let says_max = (narrow as u64 * 50).min([20_000, 20_000, 60_000, 400_000][script.pick(4)]);
        let (net, handle) = SimNet::new(rng.next(), faults);
        handle.world().trace(traced);
        let service = Rc::new(RefCell::new(Vec::new()));
        let temper = Rng::new(script.take_u64());
        handle.world().listen_remote(
            Addr::Tcp(at(SERVICE_PORT)),
            serve(Rc::clone(&service), narrow, says_max, temper),
        );
        let mut reactor = Reactor::new(Box::new(net), Options::default());
        let linger = ["off", "1s", "10s"][script.pick(3)];
        let parties = match kind {
            Kind::Reverse => roles::all(linger),
            Kind::ThroughHub => roles::through_a_hub(),
        };
        let parties = parties.map(|party| reactor.add(party)).to_vec();
        let mut play = Self {
            kind,
            reactor,
            parties,
            handle,
            clients: Rc::default(),
            drawn: 0,
            narrow,
            says_max,
            service,
            owed: Owed::default(),
            chaos: Duration::from_millis(200 + script.pick(5000) as u64),
            cuts: 1 + script.pick(4),
            luck: Rng::new(script.take_u64()),
            turns: 0,
            over: 0,
        };
        let clients = match script.pick(16) {
            // More than wait for room with one write.
            15 => 40,
            _ => 4 + script.pick(12),
        };
        for _ in 0..clients {
            play.draw_client(script);
        }
        for _ in 0..script.pick(3) {
            let when = Time::from_millis(script.pick(5000) as u64);
            let report = |world: &mut crate::sim::World| world.signal(Signal::Report);
            play.handle.world().at(when, report);
        }
        for _ in 0..script.pick(4) {
            let when = script.pick(play.chaos.as_millis() as usize) as u64;
            let lose = |world: &mut crate::sim::World| world.cut_own();
            play.handle.world().at(Time::from_millis(when), lose);
        }
        play
    }

    /// A client of the wild days: it may stall, leave or reset whenever it likes.
    fn draw_client(&mut self, script: &mut Script<'_>) {
        let mut rng = Rng::new(script.take_u64());
        let hears_itself = script.pick(2) == 0;
        let says = rng.below(self.says_max);
        let number = self.drawn;
        let actor = match script.pick(5) {
            0 => source(number, says, Ending::HalfClose, &mut rng),
            1 => source(number, says, Ending::Reset, &mut rng),
            2 => source(number, says, Ending::Close, &mut rng),
            3 => slow_reader(number, self.narrow, &mut rng).1,
            _ => restless(number, says, self.says_max, &mut rng),
        };
        let times = match script.pick(3) {
            // It waits for the others, and begins when they may be there.
            0 => [0, script.pick(3000)],
            _ => [script.pick(self.chaos.as_millis() as usize), 0],
        };
        let times = times.map(|millis| Duration::from_millis(millis as u64));
        self.add_client(actor, hears_itself, says, times, false);
    }

    /// A client that connects after the first of these times, and begins to act when it has stood there for the other.
    fn add_client(
        &mut self,
        actor: Actor,
        hears_itself: bool,
        says: u64,
        [arrives, acts]: [Duration; 2],
        is_calm: bool,
    ) {
        let number = self.drawn;
        self.drawn += 1;
        let to = Addr::Tcp(at(if hears_itself { ECHO_PORT } else { WEB_PORT }));
        let hears_itself = hears_itself && self.kind == Kind::Reverse;
        let from = SocketAddr::from(([10, 1, 0, 1], 10_000 + number));
        let clients = Rc::clone(&self.clients);
        let mut world = self.handle.world();
        let when = world.time() + arrives;
        world.at(when, move |world| {
            let id = world.connect_remote(to, from, Actor::Manual);
            world.at(when + acts, move |world| world.set_actor(id, actor));
            clients.borrow_mut().push(Client {
                id,
                number,
                hears_itself,
                is_calm,
                says,
            });
        });
    }

    /// From the first turn to the last.
    fn live(&mut self) {
        self.run_until(Time::ZERO + self.chaos);
        *self.handle.world().faults() = Faults::none();
        // Whatever was lost is found again, or timed out.
        self.run_for(SETTLE);
        let mut rng = Rng::new(self.turns);
        let refused = self.refused();
        for i in 0..6 {
            let says = rng.below(self.says_max);
            let number = self.drawn;
            let actor = source(number, says, Ending::HalfClose, &mut rng);
            self.add_client(actor, i % 2 == 0, says, [Duration::ZERO; 2], true);
        }
        self.run_for(SETTLE);
        self.check_calm();
        assert_eq!(
            self.refused(),
            refused,
            "the ends have not found each other"
        );
        self.handle.world().signal(Signal::Terminate);
        self.run_for(STOP);
        assert_eq!(self.over, self.parties.len(), "a stopped tunnel still runs");
    }

    fn refused(&self) -> u64 {
        let parties = self.parties.iter().filter_map(|id| self.reactor.role(*id));
        parties.map(Party::refused).sum()
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
        check(&self.reactor, &self.parties);
        self.cut_if_owed();
        let world = self.handle.world();
        let parties = self.parties.iter().filter_map(|id| self.reactor.role(*id));
        self.owed.note(parties.flat_map(Party::outliving), &world);
        drop(world);
        if self.turns.is_multiple_of(LOOK_EVERY) {
            self.look();
        }
    }

    /// A random moment would rarely be one at which somebody outlives its session.
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
        let callers = self.service.borrow().len() as u16;
        let all = self.clients.borrow();
        for client in all.iter() {
            let got = world.received(client.id);
            if client.hears_itself {
                assert!(begins(client.number, got), "client {}", client.number);
            } else {
                let said = (0..callers).any(|caller| begins(SERVICE + caller, got));
                assert!(said || got.is_empty(), "client {}", client.number);
            }
            self.check_end(client, got, &world);
        }
        for (caller, id) in world
            .accepted_at(&Addr::Tcp(at(SERVICE_PORT)))
            .iter()
            .enumerate()
        {
            let got = world.received(*id);
            let of = |client: &&Client| !client.hears_itself && begins(client.number, got);
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
    fn check_end(&self, client: &Client, got: &[u8], world: &crate::sim::World) {
        let over = world.saw_fin(client.id) && !world.saw_reset(client.id);
        if !over || world.was_cut(client.id) || got.is_empty() {
            return;
        }
        let whole = match client.hears_itself {
            true => got.len() as u64 == world.sent_total(client.id),
            false => {
                let said = self.service.borrow();
                let is_it = |(caller, says): (usize, &u64)| {
                    got.len() as u64 == *says && begins(SERVICE + caller as u16, got)
                };
                said.iter().enumerate().any(is_it)
            }
        };
        assert!(whole, "client {} saw an end too early", client.number);
    }

    /// Those who came when all was calm have got everything, unless the service has reset them.
    fn check_calm(&self) {
        self.look();
        let world = self.handle.world();
        self.owed.check(&world);
        let all = self.clients.borrow();
        for client in all.iter().filter(|it| it.is_calm && it.hears_itself) {
            let got = world.received(client.id).len() as u64;
            assert_eq!(got, client.says, "client {} of the echo", client.number);
            assert!(world.saw_fin(client.id), "client {}", client.number);
        }
        for client in all.iter().filter(|it| it.is_calm && !it.hears_itself) {
            let over = world.saw_fin(client.id) || world.saw_reset(client.id);
            assert!(over, "client {} of the service", client.number);
        }
    }
}

/// A service that notes in `said` how much it says to each of its callers, half of whom it reads slowly.
fn serve(said: Rc<RefCell<Vec<u64>>>, narrow: usize, says_max: u64, mut temper: Rng) -> Behaviour {
    Behaviour::Serve(Box::new(move |number| {
        let pattern = SERVICE + number as u16;
        let (bytes, actor) = if temper.below(2) == 0 {
            slow_reader(pattern, narrow, &mut temper)
        } else {
            let bytes = temper.below(says_max);
            let ending = any_ending(&mut temper);
            (bytes, source(pattern, bytes, ending, &mut temper))
        };
        said.borrow_mut().push(bytes);
        actor
    }))
}

/// What always holds of these parties, between two turns.
fn check(reactor: &Reactor<Party>, parties: &[RoleId]) {
    reactor.check_invariants();
    for id in parties {
        let Some(party) = reactor.role(*id) else {
            continue;
        };
        party.check_invariants();
        let mut known: Vec<_> = party.sockets().collect();
        known.sort_unstable();
        known.dedup();
        let owned = reactor.sockets_of(*id);
        assert_eq!(
            known, owned,
            "the sockets that it knows, and those that it has"
        );
    }
}

fn at(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

const WEB_PORT: u16 = 7001;
const ECHO_PORT: u16 = 7002;
const SERVICE_PORT: u16 = 80;
/// The number of the pattern that the service says to its first caller.
const SERVICE: u16 = 10_000;
const SCRIPT_WORDS: usize = 100;
/// What a kernel holds of a direction where it is to be little.
const KERNEL: usize = 4 << 10;
/// By then whatever was under way has found its end: dials, waits between them, pings, windows of slow clients.
const SETTLE: Duration = Duration::from_secs(60);
const STOP: Duration = Duration::from_secs(4);
const TURNS_MAX: u64 = 200_000;
/// Of as many turns in which somebody is owed something, one has the session cut.
const CUT_ONE_IN: u64 = 2;
/// What was received is looked at every so many turns.
const LOOK_EVERY: u64 = 3000;
