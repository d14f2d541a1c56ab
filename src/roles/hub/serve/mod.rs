//! The hub: whoever connects says its name, and then sends messages to names.
//!
//! ```text
//!   arriving.rs ──name──> messages.rs ──> each client's queue ──> sockets      leaving.rs: how it ends
//!                              └──who──> listing.rs               memory.rs: what all of it may take
//! ```
//!
//! **Invariant.** A message waits in memory once: in its sender's record while it is not whole, then in its receiver's
//! queue. One that is whole within a read is copied there straight away; another is moved there when it is whole.
//!
//! **Invariant.** What is delivered to a client was sent to its name, whole, once, and in its sender's order.
//!
//! **Invariant.** A connection that does not become a client is gone for a [`Refusal`], and a client for a [`Reason`].
//! Both are counted and logged. What was sent of a message that was not whole by then is in no counter of messages.

mod arriving;
mod client;
mod leaving;
mod listing;
mod memory;
mod messages;
mod report;
mod view;

use std::collections::BTreeMap;
use std::rc::Rc;

use slab::Slab;

use crate::base::time::Time;
use crate::base::tokens::Tokens;
use crate::base::units::Count;
use crate::base::wheel::TimerKey;
use crate::reactor::net::{Addr, SockId};
use crate::reactor::{Cx, End, Event, Role};
use crate::roles::callers::Callers;
use crate::roles::hub::config::{Auth, ServeConfig};
use crate::roles::hub::options::no_auth;
use crate::roles::journal::Journal;
use crate::roles::listening::{MAX_CLIENTS, claim, listen};
use crate::roles::tags::{pack, unpack};

pub use self::arriving::Refusal;
pub(super) use self::client::Shown;
use self::client::{Client, ClientId, Name};
use self::leaving::Ending;
pub use self::leaving::Reason;
use self::memory::Memory;
pub use self::report::Counts;

/// A hub that runs.
pub struct Hub {
    config: ServeConfig,
    /// Every connection, registered or not.
    clients: Slab<Client>,
    /// The registered ones.
    names: BTreeMap<Name, ClientId>,
    /// Those that are not registered yet, by the number of their arrival: the oldest first.
    newcomers: BTreeMap<u64, ClientId>,
    arrivals: u64,
    listeners: Vec<SockId>,
    bound: Vec<Addr>,
    memory: Memory,
    /// Clients that got something since the visit under way began.
    touched: Vec<ClientId>,
    /// Nobody is accepted until some newcomers have had their turn.
    full: bool,
    callers: Callers,
    counts: Counts,
    journal: Journal,
    started: Time,
    ending: Option<Ending>,
    /// What is read goes through here.
    scratch: Box<[u8]>,
    /// A head that is being written.
    words: Vec<u8>,
}

impl Hub {
    /// A hub with these orders. It does nothing before its first event.
    pub fn new(config: ServeConfig) -> Self {
        let label = match &config.name {
            Some(name) => format!("hub[{name}]"),
            None => "hub".to_owned(),
        };
        Self {
            clients: Slab::new(),
            names: BTreeMap::new(),
            newcomers: BTreeMap::new(),
            arrivals: 0,
            listeners: Vec::new(),
            bound: Vec::new(),
            memory: Memory::new(config.memory),
            touched: Vec::new(),
            full: false,
            callers: Callers::default(),
            counts: Counts::default(),
            journal: Journal::new(label),
            started: Time::ZERO,
            ending: None,
            scratch: vec![0; READ_MAX].into_boxed_slice(),
            words: Vec::new(),
            config,
        }
    }

    /// What it has counted so far.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Where it listens, by the real addresses.
    pub fn listens_at(&self) -> impl Iterator<Item = &Addr> {
        self.bound.iter()
    }

    /// Every socket that it knows.
    pub fn sockets(&self) -> impl Iterator<Item = SockId> {
        let clients = self.clients.iter().map(|(_, client)| client.link.sock());
        self.listeners.iter().copied().chain(clients)
    }

    /// The sockets of those who are still read: all but those that are leaving.
    pub fn speakers(&self) -> impl Iterator<Item = SockId> {
        let speak = |client: &&Client| client.is_newcomer() || client.name().is_some();
        let clients = self.clients.iter().map(|(_, client)| client);
        clients.filter(speak).map(|client| client.link.sock())
    }

    /// The names that are registered, in order.
    pub fn names(&self) -> impl Iterator<Item = &[u8]> {
        self.names.keys().map(|name| &**name)
    }

    /// Memory that queues and unfinished messages take, in bytes.
    pub fn held(&self) -> usize {
        self.memory.held()
    }

    /// Gives it another list of tokens. Clients that are registered stay.
    pub fn set_tokens(&mut self, tokens: Tokens) {
        if let Auth::Tokens(list) = &mut self.config.auth
            && *list != tokens
        {
            let names = Count(tokens.len(), "name");
            *list = tokens;
            self.journal.info(format!("tokens read again: {names}"));
        }
    }

    /// Panics where the hub's books do not agree with each other. For tests and the simulator, between events.
    pub fn check_invariants(&self) {
        let clients = || self.clients.iter().map(|(_, client)| client);
        let queued = clients().map(|client| client.queue.held()).sum();
        let unfinished = clients().map(|client| client.message.held()).sum();
        self.memory.check(queued, unfinished);
        let newcomers = clients().filter(|client| client.is_newcomer()).count();
        assert_eq!(self.newcomers.len(), newcomers, "newcomers");
        for (name, id) in &self.names {
            let holder = self.clients.get(*id).and_then(Client::name);
            assert_eq!(holder, Some(name), "a name and its holder");
        }
        let members = clients().filter(|client| client.name().is_some()).count();
        assert_eq!(self.names.len(), members, "each name has one holder");
        for client in clients() {
            assert!(client.queue.len() <= self.config.queue, "a queue too long");
            assert!(client.queue.is_empty() || client.behind, "nobody writes");
        }
        assert!(self.touched.is_empty(), "touched, and not flushed");
    }

    fn start(&mut self, cx: &mut Cx<'_>) -> Result<(), String> {
        self.started = cx.now();
        for (sock, at) in listen(cx, &self.config.listen)? {
            self.listeners.push(sock);
            self.bound.push(at);
        }
        if self.config.auth == Auth::Local
            && let Some(open) = self.bound.iter().find(|at| !at.is_loopback())
        {
            return Err(no_auth(open));
        }
        self.limit_clients(cx)?;
        for at in &self.bound {
            self.journal.info(format!("listening on {at} for clients"));
        }
        cx.timer(STOCK, Tick::Stock.tag(0));
        Ok(())
    }

    /// Keeps descriptors back for newcomers.
    fn limit_clients(&mut self, cx: &mut Cx<'_>) -> Result<(), String> {
        let reserve = RESERVE + NEWCOMERS_MAX;
        claim(cx, (self.config.max_clients, MAX_CLIENTS), reserve, 0)
    }

    fn on_timer(&mut self, cx: &mut Cx<'_>, key: TimerKey, tag: u32) {
        match Tick::of(tag) {
            (Tick::Stock, _) => {
                self.journal.tick(cx.now());
                cx.timer(STOCK, Tick::Stock.tag(0));
            }
            (Tick::Client, id) => self.client_timer(cx, id, key),
            (Tick::Deadline, _) => self.cut(cx),
        }
    }
}

impl Role for Hub {
    fn on(&mut self, cx: &mut Cx<'_>, event: Event) {
        match event {
            Event::Start => {
                if let Err(text) = self.start(cx) {
                    cx.finish(End::Failed(text));
                }
            }
            Event::Accepted { sock, peer, .. } => self.accepted(cx, sock, peer),
            Event::Readable(sock) => {
                if let Some(tag) = cx.tag(sock) {
                    self.readable(cx, tag as ClientId);
                }
            }
            Event::Writable(sock) => {
                if let Some(tag) = cx.tag(sock) {
                    self.flush(cx, tag as ClientId);
                    self.flush_touched(cx);
                }
            }
            Event::Timer { key, tag } => self.on_timer(cx, key, tag),
            Event::Report => self.report(cx),
            Event::Drain(signal) => self.drain(cx, signal),
            // Tokens come from outside: a role opens no file.
            Event::Reload | Event::Again | Event::Reply { .. } => {}
            Event::Connected { .. } | Event::ConnectFailed { .. } => {}
        }
        self.accept_again(cx);
    }
}

/// What a timer is to the hub.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tick {
    Stock,
    Deadline,
    Client,
}

impl Tick {
    const ALL: [Self; 3] = [Self::Stock, Self::Deadline, Self::Client];

    fn tag(self, id: ClientId) -> u32 {
        pack(self as u32, id)
    }

    fn of(tag: u32) -> (Self, ClientId) {
        let (tick, id) = unpack(tag);
        (Self::ALL[tick as usize], id)
    }
}

/// The most that one read takes.
const READ_MAX: usize = 64 << 10;
/// Connections that are not registered yet; beyond, the oldest goes.
const NEWCOMERS_MAX: usize = 256;
/// Descriptors that clients leave to the process itself, beside those of newcomers.
const RESERVE: usize = 32;
/// How often the hub takes stock of itself.
const STOCK: std::time::Duration = std::time::Duration::from_secs(1);

/// A name that may be shared.
fn shared(name: &[u8]) -> Name {
    Rc::from(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_come_back_as_they_were() {
        for tick in Tick::ALL {
            assert_eq!(Tick::of(tick.tag(999_999)), (tick, 999_999));
        }
    }
}
