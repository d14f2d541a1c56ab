//! `ws relay`: hosts and clients connect here by WebSocket, and each connection of a client's reaches the host of its
//! name.
//!
//! ```text
//!   accepted ──> arrivals.rs: one HTTP request ──101──> peers.rs: a session, or bytes in plain messages
//!                    └ 4xx, 5xx: why not                    └── lanes.rs: client <──> host ──┘
//! ```
//!
//! **Invariant.** A lane that has a host belongs to a stream, or to the one connection, of each of its ends; one that
//! has none stands in its place's queue, once.

mod arrivals;
mod asking;
mod judging;
mod lane;
mod lanes;
mod leaving;
mod memory;
mod peers;
mod report;
mod view;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use slab::Slab;

use self::arrivals::Arrival;
use self::lane::Lane;
use self::memory::Memory;
use self::peers::Peer;
use super::config::RelayConfig;
use super::tokens::Tokens;
use super::{READ_MAX, RESERVE, STOCK, STOPS, pack, unpack};
use crate::base::time::Time;
use crate::base::units::{Count, Span};
use crate::proto::hello::Name;
use crate::proto::websocket::CloseCode;
use crate::reactor::net::{Addr, Close, Signal, SockId};
use crate::reactor::{Cx, End, Event, Role};
use crate::roles::journal::Journal;
use crate::roles::listening;

/// A relay that runs.
pub struct Relay {
    config: RelayConfig,
    listeners: Vec<SockId>,
    listens_at: Vec<Addr>,
    arrivals: Slab<Arrival>,
    peers: Slab<Peer>,
    lanes: Slab<Lane>,
    /// Connections of clients that have come so far, those that wait for a host among them.
    lanes_seen: u64,
    /// What is known of each name that somebody uses. `None` is the tunnel without a name.
    places: BTreeMap<Option<Name>, Place>,
    /// Names where something has changed that others wait for.
    changed: VecDeque<Option<Name>>,
    memory: Memory,
    counts: Counts,
    journal: Journal,
    started: Time,
    draining: Option<Signal>,
    /// WebSockets that there were when the stop began.
    left: usize,
    scratch: Box<[u8]>,
}

/// Where the host and the clients of one name meet.
#[derive(Debug, Default)]
struct Place {
    host: Option<usize>,
    /// Lanes that have no host yet, the oldest first.
    waiting: VecDeque<usize>,
    /// Arrivals of clients that wait for a host which takes one at a time.
    callers: VecDeque<usize>,
    /// Arrivals of hosts that wait for the host to prove dead or alive.
    rivals: Vec<usize>,
}

/// What it has counted so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Bytes that clients have been given.
    pub to_clients: u64,
    /// Bytes that clients have sent on to hosts.
    pub from_clients: u64,
    /// WebSockets that were let in.
    pub upgrades: u64,
    /// Requests that were refused.
    pub refused: u64,
    /// Connections that were made between a client and a host.
    pub connections: u64,
    /// The most connections that there were at a time, those that wait for a host among them.
    pub connections_most: usize,
    /// Connections and WebSockets that were ended since all memory was taken.
    pub shed: u64,
}

impl Relay {
    /// A relay with these orders. It does nothing before its first event.
    pub fn new(config: RelayConfig) -> Self {
        let label = match &config.name {
            Some(name) => format!("ws[{name}]"),
            None => "ws".to_owned(),
        };
        Self {
            memory: Memory::new(config.memory),
            config,
            listeners: Vec::new(),
            listens_at: Vec::new(),
            arrivals: Slab::new(),
            peers: Slab::new(),
            lanes: Slab::new(),
            lanes_seen: 0,
            places: BTreeMap::new(),
            changed: VecDeque::new(),
            counts: Counts::default(),
            journal: Journal::new(label),
            started: Time::ZERO,
            draining: None,
            left: 0,
            scratch: vec![0; READ_MAX].into_boxed_slice(),
        }
    }

    /// What it has counted so far.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Where it listens, by the real addresses.
    pub fn listens_at(&self) -> &[Addr] {
        &self.listens_at
    }

    /// Other tokens hold from now on. Whoever was let in by one that is gone is sent away.
    pub fn set_tokens(&mut self, cx: &mut Cx<'_>, tokens: Tokens) {
        let gone = self
            .peers
            .iter()
            .filter(|(_, peer)| !peer.may_stay(&tokens));
        let gone: Vec<usize> = gone.map(|(key, _)| key).collect();
        for key in gone {
            self.close_peer(cx, key, CloseCode::POLICY, REVOKED);
        }
        self.rejudge(cx, &tokens);
        self.config.tokens = Some(tokens);
    }

    /// Panics where the books do not agree. For tests and the simulator, between events.
    pub fn check_invariants(&self) {
        self.check_peers();
        self.check_lanes();
        self.check_memory();
        for (name, place) in &self.places {
            let is_used = !place.is_idle() || self.changed.contains(name);
            assert!(is_used, "a place that nobody uses");
            if let Some(host) = place.host {
                assert_eq!(&self.peers[host].name, name);
            }
            for lane in &place.waiting {
                assert!(self.lanes[*lane].host.is_none(), "it waits and has a host");
            }
        }
    }

    /// Every socket that it knows.
    pub fn sockets(&self) -> impl Iterator<Item = SockId> {
        let arrivals = self.arrivals.iter().map(|(_, arrival)| arrival.sock());
        let peers = self.peers.iter().map(|(_, peer)| peer.wire().sock());
        self.listeners.iter().copied().chain(arrivals).chain(peers)
    }

    fn start(&mut self, cx: &mut Cx<'_>) -> Result<(), String> {
        self.started = cx.now();
        for (sock, at) in listening::listen(cx, &self.config.listen)? {
            cx.set_tag(sock, Kind::Listener.tag(0));
            self.listeners.push(sock);
            self.listens_at.push(at);
        }
        let open = self.listens_at.iter().find(|at| !at.is_loopback());
        if let (Some(at), None, false) = (open, &self.config.tokens, self.config.no_auth) {
            return Err(super::options::no_auth(at));
        }
        let asked = (self.config.max_connections, "--max-connections");
        listening::claim(cx, asked, RESERVE, 0)?;
        for at in &self.listens_at {
            let text = format!("listening on {at} for hosts and clients");
            self.journal.info(text);
        }
        if self.config.trust_proxy.has_everybody() {
            let text = listening::TRUSTS_EVERYBODY.to_owned();
            self.journal.warn(cx.now(), "proxy", text);
        }
        cx.timer(STOCK.min(self.config.ping), Tick::Stock.tag(0));
        Ok(())
    }

    fn stock(&mut self, cx: &mut Cx<'_>) {
        let keys: Vec<usize> = self.peers.iter().map(|(key, _)| key).collect();
        for key in keys {
            self.tick_peer(cx, key);
            self.note_peer(key);
        }
        self.shed(cx);
        self.journal.tick(cx.now());
        self.finish_if_drained(cx);
        cx.timer(STOCK.min(self.config.ping), Tick::Stock.tag(0));
    }

    /// Accepts nobody any more, and lets connections finish within `--drain`.
    fn drain(&mut self, cx: &mut Cx<'_>, signal: Signal) {
        self.draining = Some(signal);
        self.left = self.peers.len();
        for sock in std::mem::take(&mut self.listeners) {
            cx.close(sock, Close::Orderly);
        }
        let keys: Vec<usize> = self.arrivals.iter().map(|(key, _)| key).collect();
        for key in keys {
            self.refuse_drained(cx, key);
        }
        let waiting = self.lanes.iter().filter(|(_, lane)| lane.host.is_none());
        let waiting: Vec<usize> = waiting.map(|(key, _)| key).collect();
        for key in waiting {
            self.reset_lane(cx, key, STOPS);
        }
        let after = self.config.drain.max(Duration::from_millis(1));
        cx.timer(after, Tick::Deadline.tag(0));
        self.finish_if_drained(cx);
    }

    fn finish_if_drained(&mut self, cx: &mut Cx<'_>) {
        let is_empty = self.lanes.is_empty() && self.arrivals.is_empty();
        if self.draining.is_some() && is_empty && self.close_gracefully(cx) {
            self.finish(cx);
        }
    }

    fn finish(&mut self, cx: &mut Cx<'_>) {
        // What it does below may find that nothing is left to drain.
        let Some(signal) = self.draining.take() else {
            return;
        };
        let lanes: Vec<usize> = self.lanes.iter().map(|(key, _)| key).collect();
        let up = Span(cx.now().since(self.started));
        let peers = Count(self.left, "WebSocket");
        let cut = Count(lanes.len(), "connection");
        let untold = self.peers.iter().filter(|(_, p)| !p.wire().has_told(cx));
        let lost = super::lost(untold.map(|(_, peer)| peer.unread_now(cx)).sum());
        self.journal.info(format!(
            "stopped by {signal}: {peers}, {cut} cut{lost}; up {up}"
        ));
        for key in lanes {
            self.reset_lane(cx, key, STOPS);
        }
        let keys: Vec<usize> = self.peers.iter().map(|(key, _)| key).collect();
        for key in keys {
            self.say_goodbye(cx, key);
        }
        cx.finish(End::Done);
    }

    fn on_timer(&mut self, cx: &mut Cx<'_>, tag: u32) {
        let (tick, index) = Tick::of(tag);
        match tick {
            Tick::Stock => self.stock(cx),
            Tick::Arrival => self.arrival_overdue(cx, index),
            Tick::Peer => self.peer_overdue(cx, index),
            Tick::Lane => self.lane_overdue(cx, index),
            Tick::Deadline => self.finish(cx),
        }
    }

    /// Something has changed at a place; those who wait there go on outside of the event that changed it.
    fn place_changed(&mut self, cx: &mut Cx<'_>, name: &Option<Name>) {
        if !self.changed.contains(name) {
            self.changed.push_back(name.clone());
        }
        cx.again();
    }

    fn go_on(&mut self, cx: &mut Cx<'_>) {
        while let Some(name) = self.changed.pop_front() {
            self.admit_rivals(cx, &name);
            self.serve_waiting(cx, &name);
            self.admit_callers(cx, &name);
        }
        self.shed(cx);
        self.finish_if_drained(cx);
    }

    /// Forgets a place that nobody uses.
    fn tidy(&mut self, name: &Option<Name>) {
        if self.places.get(name).is_some_and(Place::is_idle) {
            self.places.remove(name);
        }
    }
}

impl Place {
    fn is_idle(&self) -> bool {
        let nobody_waits = self.waiting.is_empty() && self.callers.is_empty();
        self.host.is_none() && nobody_waits && self.rivals.is_empty()
    }
}

impl Role for Relay {
    fn on(&mut self, cx: &mut Cx<'_>, event: Event) {
        match event {
            Event::Start => {
                if let Err(text) = self.start(cx) {
                    cx.finish(End::Failed(text));
                }
            }
            Event::Accepted { sock, peer, .. } => self.accepted(cx, sock, peer),
            Event::Readable(sock) => match cx.tag(sock).map(Kind::of) {
                Some((Kind::Arrival, key)) => self.arrival_readable(cx, key),
                Some((Kind::Peer, key)) => self.peer_readable(cx, key),
                Some((Kind::Listener, _)) | None => {}
            },
            Event::Writable(sock) => match cx.tag(sock).map(Kind::of) {
                Some((Kind::Arrival, key)) => self.arrival_writable(cx, key),
                Some((Kind::Peer, key)) => self.peer_writable(cx, key),
                Some((Kind::Listener, _)) | None => {}
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

/// How a tunnel is named in the log, behind a space: not at all where it has no name.
fn called(name: &Option<Name>) -> String {
    name.as_ref()
        .map_or_else(String::new, |name| format!(" {name}"))
}

/// Why somebody is sent away whose token is gone.
const REVOKED: &str = "its token is not in --tokens any more";
/// Why a host is sent away: itself, or somebody else who has its token.
const BACK: &str = "another host has come with its token";

/// What a socket is to the relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Listener,
    Arrival,
    Peer,
}

impl Kind {
    const ALL: [Self; 3] = [Self::Listener, Self::Arrival, Self::Peer];

    fn tag(self, index: usize) -> u32 {
        pack(self as u32, index)
    }

    fn of(tag: u32) -> (Self, usize) {
        let (kind, index) = unpack(tag);
        (Self::ALL[kind as usize], index)
    }
}

/// What a timer is to the relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tick {
    Stock,
    Arrival,
    Peer,
    Lane,
    Deadline,
}

impl Tick {
    const ALL: [Self; 5] = [
        Self::Stock,
        Self::Arrival,
        Self::Peer,
        Self::Lane,
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
