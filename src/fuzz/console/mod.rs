//! Roles that answer requests, on the real loop, in a simulated network: strangers of every temper come to a console or
//! to metrics, and one good client, who asks again and again, has to have each of its answers. Connections and buffers
//! stay within their bounds, and whoever sends requests ahead gets the answers in their order.
//!
//! To a console come also those who do what a page can: they change relays, add, remove, start, stop and dump them,
//! disconnect clients, log in and out, two at a time, beside some who may only look, or nothing. Nothing is done but
//! what one who may has asked for, in a POST; who did it is answered with what came of it; and every state that is
//! shown is that of a moment behind all that was known to be done.

mod good;
#[cfg(test)]
mod looks;
mod model;
mod owner;
mod person;
mod stranger;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use self::good::Good;
use self::model::Model;
use self::owner::Owner;
use self::person::Person;
use self::stranger::Stranger;
use crate::base::access::Access;
use crate::base::endpoint::Endpoint;
use crate::base::rng::Rng;
use crate::base::secret::Secret;
use crate::base::time::Time;
use crate::fuzz::script::Script;
use crate::reactor::net::Addr;
use crate::reactor::{Cx, Event, Options, Reactor, Role, RoleId};
use crate::roles::console::Console;
use crate::roles::console::config::ConsoleConfig;
use crate::roles::metrics::{Metrics, MetricsConfig};
use crate::sim::{Actor, Faults, Handle, RemoteId, SimNet};

/// Lets a console, or metrics, live through what the script says.
///
/// # Panics
/// When something that must hold does not.
pub fn console(data: &[u8]) {
    play(&mut Script::new(data));
}

/// As [`console`], with a script that is drawn from `seed`.
///
/// # Panics
/// When something that must hold does not.
pub fn console_by_seed(seed: u64) {
    let mut rng = Rng::new(seed);
    let words = (0..SCRIPT_WORDS).flat_map(|_| rng.next().to_le_bytes());
    console(&words.collect::<Vec<u8>>());
}

/// Who is asked.
#[allow(clippy::large_enum_variant, reason = "there is one of them")]
enum Party {
    Console(Console),
    Metrics(Metrics),
}

impl Role for Party {
    fn on(&mut self, cx: &mut Cx<'_>, event: Event) {
        match self {
            Self::Console(console) => console.on(cx, event),
            Self::Metrics(metrics) => metrics.on(cx, event),
        }
    }
}

impl Party {
    fn console(connections: usize, token: Option<&str>) -> Self {
        Self::Console(Console::new(orders(connections, token)))
    }

    /// The one that `hydrant status` asks.
    #[cfg(test)]
    fn private() -> Self {
        Self::Console(Console::new(ConsoleConfig {
            is_private: true,
            ..orders(8, None)
        }))
    }

    fn metrics() -> Self {
        let listen = Endpoint::plain(AT).expect("an address");
        Self::Metrics(Metrics::new(MetricsConfig { listen }))
    }
}

fn orders(connections: usize, token: Option<&str>) -> ConsoleConfig {
    let secret = |text: &str| Secret::from(text.as_bytes().to_vec());
    ConsoleConfig {
        bind: Endpoint::plain(AT).expect("an address"),
        hosts: Vec::new(),
        token: token.map(secret),
        view_token: token.map(|_| secret(VIEW_TOKEN)),
        trust_proxy: Access::ALL,
        max_connections: connections,
        is_private: false,
    }
}

/// A run under way.
struct Play {
    reactor: Reactor<Party>,
    role: RoleId,
    handle: Handle,
    owner: Owner,
    turns: u64,
    guests: u16,
    /// Requests that the role has served so far.
    served: u64,
    /// How much of what was done is known to be by those who asked for it.
    known: usize,
    /// Connections that it may have at a time.
    connections: usize,
}

impl Play {
    fn new(party: Party, seed: u64, faults: Faults) -> Self {
        let (net, handle) = SimNet::new(seed, faults);
        let mut reactor = Reactor::new(Box::new(net), Options::default());
        let role = reactor.add(party);
        Self {
            reactor,
            role,
            handle,
            owner: Owner::new(),
            turns: 0,
            guests: 0,
            served: 0,
            known: 0,
            connections: usize::MAX,
        }
    }

    fn now(&self) -> Time {
        self.handle.world().time()
    }

    fn turn(&mut self) {
        let mut ended = Vec::new();
        let turn = self.reactor.turn(&mut ended);
        turn.expect("a simulated wait works");
        assert!(ended.is_empty(), "{ended:?}");
        for (role, ticket, command) in self.reactor.asked() {
            self.owner.hear((role, ticket), command, self.turns);
        }
        for ((role, ticket), reply) in self.owner.due(self.turns) {
            self.reactor.answer(role, ticket, reply);
        }
        self.turns += 1;
        assert!(self.turns < TURNS_MAX, "it never comes to rest");
        self.check();
    }

    fn check(&mut self) {
        self.reactor.check_invariants();
        let (known, served): (BTreeSet<_>, u64) = match self.reactor.role(self.role) {
            Some(Party::Console(console)) => {
                console.check_invariants();
                (console.sockets().collect(), console.served())
            }
            Some(Party::Metrics(metrics)) => {
                metrics.check_invariants();
                (metrics.sockets().collect(), metrics.served())
            }
            None => panic!("it has ended"),
        };
        let open: BTreeSet<_> = self.reactor.sockets_of(self.role).into_iter().collect();
        let unknown = open.difference(&known).count();
        assert!(known.is_subset(&open) && unknown <= 1, "{known:?} {open:?}");
        assert!(served <= self.served + 1, "a turn serves one request");
        self.served = served;
        assert!(known.len() <= self.connections);
    }

    fn pass(&mut self, time: Duration) {
        let end = self.now() + time;
        // Nothing may be left to happen: then a wait has to end all the same.
        self.handle.world().stop_at(end);
        while self.now() < end {
            self.turn();
        }
    }

    /// Somebody who connects, from an address of their own.
    fn guest(&mut self) -> RemoteId {
        self.guests += 1;
        let [high, low] = self.guests.to_be_bytes();
        let from = SocketAddr::from(([10, 0, high, low], 1000));
        let to = Addr::Tcp(AT.parse().expect("an address"));
        let remote = self.handle.world().connect_remote(to, from, Actor::Manual);
        self.pass(Duration::from_millis(200));
        remote
    }

    /// Says as much as there is room for on the way.
    fn says(&mut self, who: RemoteId, words: &[u8]) -> usize {
        self.handle.world().remote_send(who, words)
    }

    /// Everything that somebody has been told.
    #[cfg(test)]
    fn hears(&mut self, who: RemoteId) -> Vec<u8> {
        let mut world = self.handle.world();
        world.remote_read(who, usize::MAX);
        world.received(who).to_vec()
    }

    /// What somebody has been told since the last time.
    fn takes(&mut self, who: RemoteId) -> Vec<u8> {
        let mut world = self.handle.world();
        world.remote_read(who, usize::MAX);
        world.take_received(who)
    }

    /// As [`Play::hears`], for so long, with little ever waiting on the way.
    #[cfg(test)]
    fn hears_for(&mut self, who: RemoteId, time: Duration) -> Vec<u8> {
        let end = self.now() + time;
        while self.now() < end {
            self.pass(Duration::from_millis(50));
            self.handle.world().remote_read(who, usize::MAX);
        }
        self.hears(who)
    }

    fn is_open(&self, who: RemoteId) -> bool {
        let mut world = self.handle.world();
        world.remote_read(who, usize::MAX);
        !world.saw_fin(who) && !world.saw_reset(who)
    }
}

/// An answer, as its reader takes it apart.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Answer {
    status: u16,
    head: String,
    body: String,
}

/// The whole answers at the beginning of what came, to requests of which these were `HEAD`s.
fn answers(bytes: &[u8], are_heads: impl Fn(usize) -> bool) -> Vec<Answer> {
    let text = String::from_utf8_lossy(bytes);
    let mut rest = &text[..];
    let mut all = Vec::new();
    while let Some((head, after)) = rest.split_once("\r\n\r\n") {
        let status = head.strip_prefix("HTTP/1.1 ").map(|rest| rest[..3].parse());
        let Some(Ok(status)) = status else {
            panic!("no status: {head}");
        };
        let length = head.split("Content-Length: ").nth(1);
        let length = length.and_then(|rest| rest.lines().next()?.parse().ok());
        let length: usize = match are_heads(all.len()) {
            true => 0,
            false => length.unwrap_or_else(|| panic!("no length: {head}")),
        };
        let Some(body) = after.get(..length) else {
            break;
        };
        all.push(Answer {
            status,
            head: head.to_owned(),
            body: body.to_owned(),
        });
        rest = &after[length..];
    }
    all
}

fn request(method: &str, path: &str, fields: &str) -> String {
    format!("{method} {path} HTTP/1.1\r\nHost: {AT}\r\n{fields}\r\n")
}

fn play(script: &mut Script<'_>) {
    let seed = u64::from(script.take_u16());
    let faults = Faults::draw_harmless(&mut Rng::new(seed));
    let is_metrics = script.pick(4) == 0;
    let connections = 16 + script.pick(16);
    let party = match is_metrics {
        true => Party::metrics(),
        false => Party::console(connections, Some(TOKEN)),
    };
    let mut play = Play::new(party, seed, faults);
    play.owner.lines = [0, 20, 900][script.pick(3)];
    // As a disk saves what was done, or does not.
    play.owner.saving = [0, 0, 2, 12][seed as usize % 4];
    play.owner.unsaved = (seed / 4 % 4 == 0).then_some("the disk is full");
    let mut people: Vec<Person> = Vec::new();
    if !is_metrics {
        play.connections = connections;
        play.owner.model = Some(Model::new(play.owner.clients));
        people = (0..2 + script.pick(5)).map(Person::new).collect();
    }
    let mut good = Good::new(is_metrics);
    let mut strangers: Vec<Stranger> = Vec::new();
    for _ in 0..ROUNDS {
        if !script.is_empty() && script.pick(3) > 0 {
            let remote = play.guest();
            let mut stranger = Stranger::draw(script, remote);
            if is_metrics {
                stranger.expects.clear();
            }
            strangers.push(stranger);
        }
        if script.pick(8) == 0 && !strangers.is_empty() {
            let gone = strangers.swap_remove(script.pick(strangers.len()));
            play.handle.world().remote_reset(gone.remote);
        }
        strangers
            .iter_mut()
            .for_each(|stranger| stranger.act(&mut play));
        for person in &mut people {
            person.act(script, &mut play);
        }
        good.act(&mut play);
        // It goes on reading: whoever takes next to nothing for ten seconds is dropped.
        let mut left = Duration::from_millis([1, 100, 1000, 4000][script.pick(4)]);
        while !left.is_zero() {
            let piece = left.min(Duration::from_millis(500));
            play.pass(piece);
            good.read(&mut play);
            left -= piece;
        }
    }
    for person in &mut people {
        person.finish(&mut play);
    }
    good.finish(&mut play);
}

const AT: &str = "127.0.0.1:7700";
const TOKEN: &str = "open-sesame-and-more";
const VIEW_TOKEN: &str = "look-only-and-no-more";
/// More than any life takes.
const TURNS_MAX: u64 = 400_000;
const SCRIPT_WORDS: usize = 96;
/// Moments at which somebody does something.
const ROUNDS: usize = 12;
/// How many tenths of a second an answer may take on a slow line.
const PATIENCE: usize = 3000;
