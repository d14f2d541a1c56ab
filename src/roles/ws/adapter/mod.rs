//! `ws host` and `ws client`: the two ends of a tunnel, which connect to a relay and stay connected.
//!
//! ```text
//!   Resting ──wait is over──> Dialing ──> Asking (asking.rs: CONNECT, upgrade) ──> Up ──lost──> Resting
//!                                                                                   ├ a session (streams.rs)
//!   Idle (a plain client without a local connection) ──one comes──> Dialing         └ plain (plain.rs)
//! ```
//!
//! The host's streams are opened by the relay, and each gets a connection to the target. The client's are opened here,
//! for each local connection.

mod asking;
mod leaving;
mod owed;
mod plain;
mod session;
mod streams;
mod view;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use slab::Slab;

use self::asking::Asking;
use self::plain::Plain;
use self::streams::Stream;
use super::config::{AdapterConfig, LocalEnd};
use super::wire::Wire;
use super::{READ_MAX, RESERVE, STOCK, pack, unpack};
use crate::base::backoff::Backoff;
use crate::base::time::Time;
use crate::base::units::{Bytes, Count, Span};
use crate::reactor::net::{Addr, Signal, SockId};
use crate::reactor::{Cx, DialError, DialId, End, Event, Role};
use crate::roles::journal::Journal;
use crate::roles::listening;
use crate::roles::pump::{Channels, Mux};
use crate::roles::tls::INSECURE;

/// A host or a client that runs.
pub struct Adapter {
    config: AdapterConfig,
    state: State,
    backoff: Backoff,
    /// The relay speaks in the plain way, as far as is known.
    is_plain: bool,
    listeners: Vec<SockId>,
    listens_at: Vec<Addr>,
    accepting: bool,
    streams: Slab<Stream>,
    /// Connections that have come so far.
    streams_seen: u64,
    /// Local connections that wait for the relay, the oldest first.
    waiting: VecDeque<usize>,
    /// Attempts to reach the target.
    dials: BTreeMap<DialId, usize>,
    counts: Counts,
    journal: Journal,
    started: Time,
    /// Since when there is no relay.
    down: Option<Time>,
    /// When the relay was reached last.
    up_since: Time,
    /// The kinds of lines that have said why.
    said_down: BTreeSet<String>,
    /// The last of them, as the log has it.
    trouble: Option<String>,
    /// When the relay is dialled again, while it rests.
    retry_at: Time,
    draining: Option<Signal>,
    /// It has stopped, and only closes what is left.
    finished: bool,
    scratch: Box<[u8]>,
}

/// What it has counted so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Connections that were passed on.
    pub connections: u64,
    /// The most connections that there were at a time.
    pub connections_most: usize,
    /// Bytes that came from the relay and were taken by our own end.
    pub from_relay: u64,
    /// Bytes that our own end has sent.
    pub to_relay: u64,
    /// How often the relay was reached.
    pub sessions: u64,
}

enum State {
    Idle,
    Resting,
    Dialing(DialId),
    Asking(Box<Asking>),
    Up(Box<Up>),
    Ended,
}

/// A WebSocket to the relay.
#[allow(
    clippy::large_enum_variant,
    reason = "there is one, and it is boxed as a whole"
)]
enum Up {
    Mux(Mux<Wire>),
    Plain(Plain),
}

impl Up {
    fn wire(&self) -> &Wire {
        match self {
            Self::Mux(mux) => mux.carrier(),
            Self::Plain(plain) => &plain.wire,
        }
    }

    fn wire_mut(&mut self) -> &mut Wire {
        match self {
            Self::Mux(mux) => mux.carrier_mut(),
            Self::Plain(plain) => &mut plain.wire,
        }
    }
}

impl Adapter {
    /// An end with these orders. It does nothing before its first event.
    pub fn new(config: AdapterConfig) -> Self {
        let part = match config.end {
            LocalEnd::Target(_) => "host",
            LocalEnd::Listen { .. } => "client",
        };
        let label = match &config.name {
            Some(name) => format!("ws {part}[{name}]"),
            None => format!("ws {part}"),
        };
        Self {
            state: State::Ended,
            backoff: Backoff::new(config.retry),
            is_plain: false,
            listeners: Vec::new(),
            listens_at: Vec::new(),
            accepting: true,
            streams: Slab::new(),
            streams_seen: 0,
            waiting: VecDeque::new(),
            dials: BTreeMap::new(),
            counts: Counts::default(),
            journal: Journal::new(label),
            started: Time::ZERO,
            down: None,
            up_since: Time::ZERO,
            said_down: BTreeSet::new(),
            trouble: None,
            retry_at: Time::ZERO,
            draining: None,
            finished: false,
            scratch: vec![0; READ_MAX].into_boxed_slice(),
            config,
        }
    }

    /// What it has counted so far.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Where a client listens, by the real addresses.
    pub fn listens_at(&self) -> &[Addr] {
        &self.listens_at
    }

    /// Every socket that it knows.
    pub fn sockets(&self) -> impl Iterator<Item = SockId> {
        let relay = match &self.state {
            State::Asking(asking) => Some(asking.sock()),
            State::Up(up) => Some(up.wire().sock()),
            State::Idle | State::Resting | State::Dialing(_) | State::Ended => None,
        };
        let streams = self.streams.iter().filter_map(|(_, s)| s.sock());
        let plain = match &self.state {
            State::Up(up) => match &**up {
                Up::Plain(plain) => plain.sock(),
                Up::Mux(_) => None,
            },
            _ => None,
        };
        let listeners = self.listeners.iter().copied();
        listeners.chain(streams).chain(relay).chain(plain)
    }

    /// Panics where the books do not agree. For tests and the simulator, between events.
    pub fn check_invariants(&self) {
        if let State::Up(up) = &self.state
            && let Up::Mux(mux) = &**up
        {
            mux.check_invariants();
        } else {
            let mut channels = self.channels();
            let alone = channels.all(|(_, channel)| channel.is_alone());
            assert!(alone, "streams without a session");
        }
        assert!(self.held() <= self.config.memory);
        for key in &self.waiting {
            assert!(self.streams[*key].waits(), "it stands in the queue");
        }
    }

    fn is_host(&self) -> bool {
        matches!(self.config.end, LocalEnd::Target(_))
    }

    fn start(&mut self, cx: &mut Cx<'_>) -> Result<(), String> {
        self.started = cx.now();
        if let LocalEnd::Listen { at, .. } = &self.config.end {
            for (sock, at) in listening::listen(cx, at)? {
                cx.set_tag(sock, Kind::Listener.tag(0));
                self.journal.info(format!("listening on {at} for programs"));
                self.listeners.push(sock);
                self.listens_at.push(at);
            }
        }
        let asked = (Some(self.config.max_streams), listening::MAX_STREAMS);
        listening::claim(cx, asked, RESERVE, 1)?;
        if self.config.tls.insecure {
            self.journal.warn(cx.now(), "insecure", INSECURE.to_owned());
        }
        let url = &self.config.url;
        if self.config.token.is_some() && !url.is_tls() && !url.endpoint.is_this_machine() {
            let text = "the token goes over the network in the clear: wss:// would hide it";
            self.journal.warn(cx.now(), "clear", text.to_owned());
        }
        cx.timer(STOCK.min(self.config.ping), Tick::Stock.tag(0));
        self.down = Some(cx.now());
        self.dial(cx);
        Ok(())
    }

    fn dial(&mut self, cx: &mut Cx<'_>) {
        let to = match &self.config.proxy {
            Some(proxy) => &proxy.endpoint,
            None => &self.config.url.endpoint,
        };
        let dial = cx.dial(to, self.config.connect_timeout);
        self.state = State::Dialing(dial);
    }

    /// The next attempt, after a wait.
    fn rest(&mut self, cx: &mut Cx<'_>) {
        if self.draining.is_some() {
            self.state = State::Ended;
            return self.finish_if_drained(cx);
        }
        let wait = self.backoff.next_spread(cx.random());
        cx.timer(wait, Tick::Retry.tag(0));
        self.retry_at = cx.now() + wait;
        self.state = State::Resting;
    }

    fn relay_unreachable(&mut self, cx: &mut Cx<'_>, error: &DialError) {
        let text = match &self.config.proxy {
            Some(proxy) => format!("proxy {proxy} {error}; retrying until it answers"),
            None => format!(
                "relay {} {error}; retrying until it answers",
                self.config.url
            ),
        };
        self.say_down(cx.now(), "unreachable", text);
        self.rest(cx);
    }

    /// Says why there is no relay; each reason is news once, until there is one again.
    fn say_down(&mut self, now: Time, why: &str, text: String) {
        let trouble = text.split("; retrying").next();
        self.trouble = trouble.map(str::to_owned);
        let kind = format!("relay-down: {why}");
        if self.said_down.contains(&kind) || self.said_down.len() < REASONS_MAX {
            self.journal.warn(now, &kind, text);
            self.said_down.insert(kind);
        }
    }

    fn stock(&mut self, cx: &mut Cx<'_>) {
        self.tick_relay(cx);
        let paused = self.streams.iter().filter(|(_, s)| s.is_paused());
        let paused: Vec<usize> = paused.map(|(key, _)| key).collect();
        for key in paused {
            self.probe_stream(cx, key);
        }
        self.tick_owed(cx);
        self.journal.tick(cx.now());
        self.finish_if_drained(cx);
        cx.timer(STOCK.min(self.config.ping), Tick::Stock.tag(0));
    }

    fn report(&self, cx: &Cx<'_>) {
        let now = cx.now();
        let since = |at: Time| Span(now.since(at));
        let state = match (&self.state, self.down) {
            (State::Idle, _) => "IDLE".to_owned(),
            (_, Some(down)) => format!("DOWN {}", since(down)),
            (State::Up(up), None) if matches!(**up, Up::Plain(_)) => "UP plain".to_owned(),
            (_, None) => "UP".to_owned(),
        };
        let totals = self.bytes();
        for (_, stream) in &self.streams {
            let (from, to) = self.bytes_of(stream);
            let alone = match stream.is_alone() {
                true => " | its WebSocket is gone",
                false => "",
            };
            self.journal.info(format!(
                "{} | {} from the relay, {} to it{alone}",
                stream.label(),
                Bytes(from),
                Bytes(to)
            ));
        }
        self.journal.info(format!(
            "{state} | {} | {} | in all {} from the relay, {} to it",
            self.config.url,
            Count(self.streams.len(), "connection"),
            Bytes(totals.0),
            Bytes(totals.1)
        ));
    }

    fn on_timer(&mut self, cx: &mut Cx<'_>, tag: u32) {
        let (tick, index) = Tick::of(tag);
        match tick {
            Tick::Stock => self.stock(cx),
            Tick::Retry => self.dial(cx),
            Tick::Asking => self.asking_overdue(cx),
            Tick::Stream => self.stream_overdue(cx, index),
            Tick::Close => self.close_overdue(cx),
            Tick::Deadline => self.finish(cx),
        }
    }

    /// Whether the dial is the one to the relay.
    fn is_relay(&self, dial: DialId) -> bool {
        matches!(self.state, State::Dialing(ours) if ours == dial)
    }

    /// While no more connections can be taken, the others wait in the kernel.
    fn accept_if_room(&mut self, cx: &mut Cx<'_>) {
        let is_free = !self.is_plain || !self.has_streams();
        let is_room = is_free && self.has_room();
        if is_room != self.accepting {
            self.accepting = is_room;
            for sock in &self.listeners {
                cx.want_read(*sock, is_room);
            }
        }
    }
}

impl Role for Adapter {
    fn on(&mut self, cx: &mut Cx<'_>, event: Event) {
        match event {
            Event::Start => {
                if let Err(text) = self.start(cx) {
                    cx.finish(End::Failed(text));
                }
            }
            Event::Accepted { sock, peer, .. } => self.accepted(cx, sock, peer),
            Event::Connected { dial, sock, .. } if self.is_relay(dial) => {
                self.relay_connected(cx, sock);
            }
            Event::Connected { dial, sock, .. } => self.target_connected(cx, dial, sock),
            Event::ConnectFailed { dial, error } if self.is_relay(dial) => {
                self.relay_unreachable(cx, &error);
            }
            Event::ConnectFailed { dial, error } => self.target_failed(cx, dial, &error),
            Event::Readable(sock) => match cx.tag(sock).map(Kind::of) {
                Some((Kind::Asking, _)) => self.asking_readable(cx),
                Some((Kind::Relay, _)) => self.relay_readable(cx),
                Some((Kind::Local, key)) => self.local_readable(cx, key),
                Some((Kind::Listener, _)) | None => {}
            },
            Event::Writable(sock) => match cx.tag(sock).map(Kind::of) {
                Some((Kind::Asking, _)) => self.asking_writable(cx),
                Some((Kind::Relay, _)) => self.relay_writable(cx),
                Some((Kind::Local, key)) => self.local_writable(cx, key),
                Some((Kind::Listener, _)) | None => {}
            },
            Event::Timer { tag, .. } => self.on_timer(cx, tag),
            Event::Report => self.report(cx),
            Event::Drain(signal) => self.drain(cx, signal),
            Event::Again | Event::Reload | Event::Reply { .. } => {}
        }
    }
}

/// Reasons that are told apart while there is no relay; one that makes them up can't make us remember more.
const REASONS_MAX: usize = 32;

/// What a socket is to an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Listener,
    Asking,
    Relay,
    Local,
}

impl Kind {
    const ALL: [Self; 4] = [Self::Listener, Self::Asking, Self::Relay, Self::Local];

    fn tag(self, index: usize) -> u32 {
        pack(self as u32, index)
    }

    fn of(tag: u32) -> (Self, usize) {
        let (kind, index) = unpack(tag);
        (Self::ALL[kind as usize], index)
    }
}

/// What a timer is to an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tick {
    Stock,
    Retry,
    Asking,
    Stream,
    Close,
    Deadline,
}

impl Tick {
    const ALL: [Self; 6] = [
        Self::Stock,
        Self::Retry,
        Self::Asking,
        Self::Stream,
        Self::Close,
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
