//! `tunnel serve`: backends connect here, each is given a public port, and who connects to that reaches the backend.
//!
//! ```text
//!   backend ──> handshake.rs ──> backend.rs (a session) <── client.rs <── client
//!                                      └── place.rs: the public port, which a name keeps ──┘
//! ```
//!
//! **Invariant.** A client that is piped belongs to a stream of a session that is there, unless it is owed what had
//! come whole before that was gone; one that waits stands in its place's queue, once.

mod backend;
mod client;
mod handshake;
mod owed;
mod place;
mod report;
mod view;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use slab::Slab;

use self::backend::Backend;
use self::client::Client;
use self::handshake::{HANDSHAKES_MAX, Handshake};
use self::place::Place;
use super::config::ServeConfig;
use super::tokens::Tokens;
use super::{READ_MAX, STOCK, pack, unpack};
use crate::base::time::Time;
use crate::base::units::{Count, Span};
use crate::proto::hello::Name;
use crate::reactor::net::{Addr, Close, Signal, SockId};
use crate::reactor::{Cx, End, Event, Role};
use crate::roles::callers::Callers;
use crate::roles::journal::Journal;
use crate::roles::listening;
use crate::roles::pump::{Channels, Tide};

/// A tunnel's server that runs.
pub struct Serve {
    config: ServeConfig,
    /// Where backends connect.
    listeners: Vec<SockId>,
    listens_at: Vec<Addr>,
    accepting: bool,
    handshakes: Slab<Handshake>,
    backends: Slab<Backend>,
    places: Slab<Place>,
    /// The place of each name that was ever here.
    names: BTreeMap<Name, usize>,
    clients: Slab<Client>,
    callers: Callers,
    /// Handshakes that waited for a name whose holder is gone, or has answered.
    settled: VecDeque<(usize, bool)>,
    counts: Counts,
    tide: Tide,
    journal: Journal,
    started: Time,
    draining: Option<Signal>,
    /// It has stopped, and only closes what is left.
    finished: bool,
    scratch: Box<[u8]>,
}

/// What it has counted so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Bytes that clients have been given.
    pub to_clients: u64,
    /// Bytes that clients have sent.
    pub from_clients: u64,
    /// Clients that were let in.
    pub clients: u64,
    /// The most clients at a time.
    pub clients_most: usize,
    /// Clients that have left.
    pub left: u64,
    /// Clients that were turned away.
    pub refused: u64,
    /// Backends that were taken in.
    pub backends: u64,
    /// Backends that were not.
    pub backends_refused: u64,
}

impl Serve {
    /// A server with these orders. It does nothing before its first event.
    pub fn new(config: ServeConfig) -> Self {
        let label = match &config.name {
            Some(name) => format!("tunnel[{name}]"),
            None => "tunnel".to_owned(),
        };
        Self {
            config,
            listeners: Vec::new(),
            listens_at: Vec::new(),
            accepting: true,
            handshakes: Slab::new(),
            backends: Slab::new(),
            places: Slab::new(),
            names: BTreeMap::new(),
            clients: Slab::new(),
            callers: Callers::default(),
            settled: VecDeque::new(),
            counts: Counts::default(),
            tide: Tide::default(),
            journal: Journal::new(label),
            started: Time::ZERO,
            draining: None,
            finished: false,
            scratch: vec![0; READ_MAX].into_boxed_slice(),
        }
    }

    /// Its orders, before it runs.
    #[cfg(test)]
    pub(crate) fn orders(&mut self) -> &mut ServeConfig {
        &mut self.config
    }

    /// What it has counted so far.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Where backends connect, by the real addresses.
    pub fn listens_at(&self) -> &[Addr] {
        &self.listens_at
    }

    /// Other tokens hold from now on. A backend whose name, token or port is no longer among them is sent away, and
    /// a port that its name may not have any more is closed.
    pub fn set_tokens(&mut self, cx: &mut Cx<'_>, tokens: Tokens) {
        self.config.tokens = Some(tokens);
        let lost = |backend: &Backend| {
            let grant = self.grant(backend.name.as_ref());
            match grant.is_some_and(|grant| Some(&grant.token) == backend.token.as_ref()) {
                false => Some("its token is not in --tokens any more"),
                true if !self.is_granted(&self.places[backend.place]) => {
                    Some("its port is not among those of its name in --tokens any more")
                }
                true => None,
            }
        };
        let backends = self.backends.iter();
        let lost: Vec<(usize, &str)> = backends
            .filter_map(|(key, backend)| Some((key, lost(backend)?)))
            .collect();
        for (key, why) in lost {
            self.end_backend(cx, key, why);
        }
        self.close_lost_places(cx);
    }

    /// Panics where the books do not agree. For tests and the simulator, between events.
    pub fn check_invariants(&self) {
        for (key, place) in &self.places {
            for client in &place.waiting {
                let client = &self.clients[*client];
                assert!(client.place == key && client.piped.is_none());
            }
            let clients = self.clients.iter().filter(|(_, c)| c.place == key);
            assert_eq!(clients.count(), place.clients, "clients of a place");
            if place.is_over {
                assert!(place.clients > 0 && place.backend.is_none() && place.socks.is_empty());
            }
        }
        for (key, client) in &self.clients {
            match &client.piped {
                Some(piped) => {
                    let mux = client.backend().map(|key| &self.backends[key].mux);
                    let tag = mux.and_then(|mux| mux.session.tag(piped.channel.stream));
                    assert!(tag.is_none_or(|tag| tag as usize == key));
                }
                None => assert!(self.places[client.place].waiting.contains(&key)),
            }
        }
        for (key, backend) in &self.backends {
            assert_eq!(self.places[backend.place].backend, Some(key));
            backend.mux.check_invariants();
            let ours = self
                .clients
                .iter()
                .filter(|(_, c)| c.backend() == Some(key));
            let queued = ours.filter_map(|(_, c)| Some(c.channel()?.queued()));
            assert_eq!(queued.sum::<usize>(), backend.mux.held(), "what it holds");
            assert!(backend.mux.held() <= super::HELD_MAX);
        }
        assert!(self.owed() <= super::HELD_MAX);
    }

    /// Every socket that it knows.
    pub fn sockets(&self) -> impl Iterator<Item = SockId> {
        let handshakes = self.handshakes.iter().map(|(_, h)| h.link.sock());
        let backends = self.backends.iter().map(|(_, b)| b.mux.carrier().sock());
        let places = self.places.iter().flat_map(|(_, place)| &place.socks);
        let places = places.map(|(sock, _)| sock);
        let clients = self.clients.iter().map(|(_, client)| client.sock);
        let listeners = self.listeners.iter().chain(places).copied();
        listeners.chain(handshakes).chain(backends).chain(clients)
    }

    fn start(&mut self, cx: &mut Cx<'_>) -> Result<(), String> {
        self.started = cx.now();
        for (sock, at) in listening::listen(cx, &self.config.listen)? {
            cx.set_tag(sock, Kind::Listener.tag(0));
            self.journal.info(format!("listening on {at} for backends"));
            self.listeners.push(sock);
            self.listens_at.push(at);
        }
        let open = self.listens_at.iter().find(|at| !at.is_loopback());
        if let (Some(at), None, false) = (open, &self.config.tokens, self.config.no_auth) {
            return Err(super::options::no_auth(at));
        }
        self.limit_clients(cx)?;
        cx.timer(STOCK, Tick::Stock.tag(0));
        Ok(())
    }

    /// Keeps descriptors back for backends, each of which has a connection and a port. Where there are few, no more
    /// than half of them.
    fn limit_clients(&mut self, cx: &mut Cx<'_>) -> Result<(), String> {
        let backends = self.config.max_backends.unwrap_or(usize::MAX);
        let others = HANDSHAKES_MAX + place::NAMES_AWAY_MAX;
        let wanted = backends.saturating_mul(2).saturating_add(others);
        let reserve = RESERVE + wanted.min(cx.sockets_left() / 2);
        let asked = (self.config.max_clients, listening::MAX_CLIENTS);
        listening::claim(cx, asked, reserve, 0)
    }

    fn stock(&mut self, cx: &mut Cx<'_>) {
        let now = cx.now();
        self.evict_slow_handshakes(cx);
        let keys: Vec<usize> = self.backends.iter().map(|(key, _)| key).collect();
        for key in keys {
            self.tick_backend(cx, key);
        }
        let paused: Vec<usize> = self
            .clients
            .iter()
            .filter(|(_, client)| client.is_unread())
            .map(|(key, _)| key)
            .collect();
        for key in paused {
            self.probe_client(cx, key);
        }
        self.tick_owed(cx);
        let held: usize = self.backends.iter().map(|(_, b)| b.mux.held()).sum();
        self.tide.look(cx, held + self.owed());
        self.journal.tick(now);
        self.finish_if_drained(cx);
        cx.timer(STOCK, Tick::Stock.tag(0));
    }

    /// Accepts nobody any more, tells the backends, and lets what is under way finish within `--drain`.
    fn drain(&mut self, cx: &mut Cx<'_>, signal: Signal) {
        self.draining = Some(signal);
        // First of all, since the end of whoever comes below may be the last thing to wait for.
        for (_, backend) in &mut self.backends {
            backend.go_away(cx);
        }
        for sock in std::mem::take(&mut self.listeners) {
            cx.close(sock, Close::Orderly);
        }
        for (_, place) in &mut self.places {
            for (sock, _) in place.socks.drain(..) {
                cx.close(sock, Close::Orderly);
            }
        }
        let keys: Vec<usize> = self.handshakes.iter().map(|(key, _)| key).collect();
        for key in keys {
            self.refuse_drained(cx, key);
        }
        let waiting: Vec<usize> = self
            .clients
            .iter()
            .filter(|(_, client)| client.piped.is_none())
            .map(|(key, _)| key)
            .collect();
        for key in waiting {
            self.end_client(cx, key, Close::Orderly, "hydrant stops");
        }
        cx.timer(
            self.config.drain.max(Duration::from_millis(1)),
            Tick::Deadline.tag(0),
        );
        self.finish_if_drained(cx);
    }

    fn finish_if_drained(&mut self, cx: &mut Cx<'_>) {
        let is_empty = self.clients.is_empty() && self.handshakes.is_empty();
        if self.draining.is_none() || !is_empty || self.finished {
            return;
        }
        for (_, backend) in &mut self.backends {
            backend.mux.part(cx);
        }
        if self.backends.iter().all(|(_, b)| b.mux.is_parted(cx)) {
            self.finish(cx);
        }
    }

    fn finish(&mut self, cx: &mut Cx<'_>) {
        // What it does below may find that nothing is left to drain.
        let Some(signal) = self.draining.filter(|_| !self.finished) else {
            return;
        };
        self.finished = true;
        let cut: Vec<usize> = self.clients.iter().map(|(key, _)| key).collect();
        let up = Span(cx.now().since(self.started));
        let backends = Count(self.backends.len(), "backend");
        let clients = Count(cut.len(), "client");
        let parted = self.backends.iter().filter(|(_, b)| !b.mux.is_parted(cx));
        let rest = parted.map(|(_, b)| b.mux.undelivered(cx)).sum();
        let lost = super::lost(rest);
        self.journal.info(format!(
            "stopped by {signal}: {backends}, {clients} cut{lost}; up {up}"
        ));
        for key in cut {
            self.end_client(cx, key, Close::Reset, "hydrant stops");
        }
        cx.finish(End::Done);
    }

    fn on_timer(&mut self, cx: &mut Cx<'_>, tag: u32) {
        let (tick, index) = Tick::of(tag);
        match tick {
            Tick::Stock => self.stock(cx),
            Tick::Handshake => self.handshake_overdue(cx, index),
            Tick::Alive => self.backend_overdue(cx, index),
            Tick::Held => self.client_overdue(cx, index),
            Tick::Deadline => self.finish(cx),
        }
    }

    /// Handshakes that waited for a name go on, outside of the events that settled it.
    fn go_on(&mut self, cx: &mut Cx<'_>) {
        while let Some((key, is_free)) = self.settled.pop_front() {
            self.name_settled(cx, key, is_free);
        }
    }
}

impl Role for Serve {
    fn on(&mut self, cx: &mut Cx<'_>, event: Event) {
        match event {
            Event::Start => {
                if let Err(text) = self.start(cx) {
                    cx.finish(End::Failed(text));
                }
            }
            Event::Accepted {
                listener,
                sock,
                peer,
            } => match cx.tag(listener).map(Kind::of) {
                Some((Kind::Public, place)) => self.client_accepted(cx, place, sock, peer),
                _ => self.backend_accepted(cx, sock, peer),
            },
            Event::Readable(sock) => match cx.tag(sock).map(Kind::of) {
                Some((Kind::Handshake, key)) => self.handshake_readable(cx, key),
                Some((Kind::Backend, key)) => self.backend_readable(cx, key),
                Some((Kind::Client, key)) => self.client_readable(cx, key),
                _ => {}
            },
            Event::Writable(sock) => match cx.tag(sock).map(Kind::of) {
                Some((Kind::Handshake, key)) => self.handshake_writable(cx, key),
                Some((Kind::Backend, key)) => self.backend_writable(cx, key),
                Some((Kind::Client, key)) => self.client_writable(cx, key),
                _ => {}
            },
            Event::Timer { tag, .. } => self.on_timer(cx, tag),
            Event::Again => self.go_on(cx),
            Event::Report => self.report(cx),
            Event::Drain(signal) => self.drain(cx, signal),
            Event::Connected { .. } | Event::ConnectFailed { .. } => {}
            Event::Reload | Event::Reply { .. } => {}
        }
    }
}

/// Descriptors for what is neither client nor backend.
const RESERVE: usize = 16;

/// What a socket is to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Listener,
    Handshake,
    Backend,
    Public,
    Client,
}

impl Kind {
    const ALL: [Self; 5] = [
        Self::Listener,
        Self::Handshake,
        Self::Backend,
        Self::Public,
        Self::Client,
    ];

    fn tag(self, index: usize) -> u32 {
        pack(self as u32, index)
    }

    fn of(tag: u32) -> (Self, usize) {
        let (kind, index) = unpack(tag);
        (Self::ALL[kind as usize], index)
    }
}

/// What a timer is to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tick {
    Stock,
    Handshake,
    Alive,
    Held,
    Deadline,
}

impl Tick {
    const ALL: [Self; 5] = [
        Self::Stock,
        Self::Handshake,
        Self::Alive,
        Self::Held,
        Self::Deadline,
    ];

    fn tag(self, index: usize) -> u32 {
        pack(self as u32, index)
    }

    fn of(tag: u32) -> (Self, usize) {
        let (tick, index) = unpack(tag);
        (Self::ALL[tick as usize], index)
    }
}
