//! `hub tunnel`: programs that know nothing of a hub talk through one. Each connection is a stream of one yamux
//! session, whose bytes go as messages to the other end's name and come as messages from it.
//!
//! ```text
//!   --listen ──> streams.rs ══ one session ══ carrying.rs ══ messages ══ the hub ══ the other end ──> --forward
//!   --forward <──┘                              └ inbox.rs
//!
//!   Resting ──> the hub is dialled ──> let in: HELLO every 2 s ──> the session stands
//!      ^              └ lost ─────────────┴──────────^── the other end is lost ─┘
//!      └──────────────────────────────────── the hub is lost
//! ```
//!
//! **Invariant.** There is a session while the pairing stands, and no stream without one, but for those that are owed
//! what had come whole before theirs was gone. What a stream's other end has received is a beginning of what was
//! written at this one, and an end that is no reset comes behind all of it.

mod carrying;
mod inbox;
mod owed;
mod streams;
mod view;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use slab::Slab;

use self::carrying::WAITING_MAX;
use self::inbox::Inbox;
use self::streams::Stream;
use crate::base::backoff::Backoff;
use crate::base::secret::Secret;
use crate::base::time::Time;
use crate::base::units::{Bytes, Count, Span};
use crate::proto::mailbox::{HELLO_EVERY, Pairing};
use crate::proto::yamux::GoAway;
use crate::reactor::net::{Addr, Close, Signal, SockId};
use crate::reactor::{Cx, DialId, End, Event, Role};
use crate::roles::hub::config::TunnelConfig;
use crate::roles::hub::serve::Shown;
use crate::roles::hub::user::session::{Session, Tags};
use crate::roles::journal::{Journal, TOKEN_READ};
use crate::roles::listening::{MAX_STREAMS, claim, listen};
use crate::roles::pump::{Channels, Mux, Owner, Tide};
use crate::roles::tags::{pack, unpack};

/// One end of a tunnel.
pub struct Tunnel {
    config: TunnelConfig,
    hub: Session,
    /// Since the hub has let us in.
    pairing: Option<Pairing>,
    /// Since the pairing stands.
    mux: Option<Mux<Owner>>,
    /// The other end opens no more streams, and is taken for gone once there are none.
    leaving: bool,
    inbox: Inbox,
    streams: Slab<Stream>,
    /// Connections that wait to become streams, oldest first.
    waiting: VecDeque<usize>,
    /// Attempts to reach what `--forward` names.
    dials: BTreeMap<DialId, usize>,
    listeners: Vec<SockId>,
    bound: Vec<Addr>,
    backoff: Backoff,
    /// Since when the hub has it in.
    let_in_at: Option<Time>,
    /// When the hub was lost last, or never there.
    hub_lost_at: Time,
    /// Why the hub does not have it in, as the log has it.
    trouble: Option<String>,
    /// When the hub is dialled again, while it is not.
    retry_at: Option<Time>,
    counts: Counts,
    tide: Tide,
    journal: Journal,
    started: Time,
    /// Since when there is no session.
    down: Option<Time>,
    /// Since when the other end has been asked for.
    asking: Option<Time>,
    draining: Option<Signal>,
    /// Since the time to finish is over: how many connections were cut for it.
    cut: Option<usize>,
    scratch: Box<[u8]>,
}

/// What it has counted so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Connections that came to `--listen`.
    pub accepted: u64,
    /// Connections that were turned away there.
    pub refused: u64,
    /// Connections that were made to `--forward`, or tried.
    pub forwarded: u64,
    /// Bytes to the other end.
    pub to_peer: u64,
    /// Bytes from the other end.
    pub from_peer: u64,
    /// The most connections that there were at a time.
    pub streams_most: usize,
    /// How often the hub has let it in.
    pub let_in: u64,
    /// Sessions that stood.
    pub sessions: u64,
    /// Messages of the other end's that were none of a tunnel's.
    pub garbage: u64,
    /// Pieces of sessions that were over.
    pub strays: u64,
    /// Messages of other clients of the hub.
    pub strangers: u64,
}

impl Tunnel {
    /// An end with these orders. It does nothing before its first event.
    pub fn new(config: TunnelConfig) -> Self {
        Self {
            hub: Session::enveloped(config.account.clone(), TAGS),
            pairing: None,
            mux: None,
            leaving: false,
            inbox: Inbox::default(),
            streams: Slab::new(),
            waiting: VecDeque::new(),
            dials: BTreeMap::new(),
            listeners: Vec::new(),
            bound: Vec::new(),
            backoff: Backoff::new(config.retry),
            let_in_at: None,
            hub_lost_at: Time::ZERO,
            trouble: None,
            retry_at: None,
            counts: Counts::default(),
            tide: Tide::default(),
            journal: Journal::new(format!("hub tunnel[{}]", Shown(&config.account.name))),
            started: Time::ZERO,
            down: None,
            asking: None,
            draining: None,
            cut: None,
            scratch: vec![0; READ_MAX].into_boxed_slice(),
            config,
        }
    }

    /// Gives it another token, which holds from the next connection to the hub on.
    pub fn set_token(&mut self, token: Option<Secret>) {
        if self.config.account.token != token {
            self.config.account.token = token;
            self.journal.info(TOKEN_READ.to_owned());
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
        let links = self.streams.iter().filter_map(|(_, s)| s.sock());
        links
            .chain(self.listeners.iter().copied())
            .chain(self.hub.sock())
    }

    /// Panics where the books do not agree. For tests and the simulator, between events.
    pub fn check_invariants(&self) {
        let stands = self.pairing.as_ref().is_some_and(Pairing::stands);
        assert_eq!(
            stands,
            self.mux.is_some(),
            "a session while the pairing stands"
        );
        assert!(self.pairing.is_none() || self.hub.is_ready());
        let waiting = self.hub.waiting();
        assert!(waiting <= WAITING_MAX, "{waiting} bytes wait for the hub");
        match &self.mux {
            Some(mux) => {
                mux.check_invariants();
                let ours = self.channels().filter(|(_, channel)| !channel.is_alone());
                let queued: usize = ours.map(|(_, channel)| channel.queued()).sum();
                assert_eq!(queued, mux.held(), "what the session holds");
                assert!(mux.held() <= HELD_MAX);
                // Beyond it go only frames that carry nothing, and each of those answers one of the peer's.
                assert!(mux.session.under_way() <= FLIGHT_MAX + FRAMES_OF_ITS_OWN);
            }
            None => {
                let alone = self.streams.iter().all(|(_, it)| it.is_alone());
                assert!(alone, "streams without a session");
            }
        }
        assert!(self.owed() <= HELD_MAX);
        for (dial, key) in &self.dials {
            assert_eq!(self.streams[*key].dial(), Some(*dial));
        }
        for key in &self.waiting {
            assert!(self.streams[*key].is_waiting());
        }
    }

    fn start(&mut self, cx: &mut Cx<'_>) -> Result<(), String> {
        self.started = cx.now();
        self.down = Some(cx.now());
        self.hub_lost_at = cx.now();
        if let Some(at) = &self.config.listen {
            let peer = Shown(&self.config.peer);
            for (sock, addr) in listen(cx, at)? {
                cx.set_tag(sock, Kind::Listener.tag(0));
                self.journal
                    .info(format!("listening on {addr} for clients of {peer}"));
                self.listeners.push(sock);
                self.bound.push(addr);
            }
            if !at.is_this_machine() && self.config.allow.is_all() {
                let text = format!("anyone who reaches {at} gets through: --allow says who may");
                self.journal.warn(cx.now(), "open", text);
            }
        }
        claim(cx, (Some(self.config.max_streams), MAX_STREAMS), RESERVE, 1)?;
        cx.timer(STOCK, Tick::Stock as u32);
        cx.timer(HELLO_EVERY, Tick::Hello as u32);
        self.hub.start(cx);
        Ok(())
    }

    fn on_event(&mut self, cx: &mut Cx<'_>, event: &Event) -> Result<(), String> {
        match event {
            Event::Connected { dial, sock, .. } if self.hub.dials(*dial) => {
                return self.hub_connected(cx, *sock);
            }
            Event::Connected { dial, sock, .. } => self.service_connected(cx, *dial, *sock),
            Event::ConnectFailed { dial, error } if self.hub.dials(*dial) => {
                return Err(self.hub.connect_failed(error));
            }
            Event::ConnectFailed { dial, error } => self.service_failed(cx, *dial, error),
            Event::Accepted { sock, peer, .. } => self.client_accepted(cx, *sock, *peer),
            Event::Readable(sock) => match cx.tag(*sock).and_then(Kind::of) {
                Some((Kind::Hub, _)) => return self.hub_readable(cx),
                Some((Kind::Local, key)) => self.local_readable(cx, key),
                Some((Kind::Listener, _)) | None => {}
            },
            Event::Writable(sock) => {
                if let Some((Kind::Local, key)) = cx.tag(*sock).and_then(Kind::of) {
                    self.local_writable(cx, key);
                }
            }
            Event::Timer { tag, .. } => return self.on_timer(cx, Tick::of(*tag)),
            Event::Report => self.report(cx),
            Event::Drain(signal) => self.drain(cx, *signal),
            Event::Start | Event::Again | Event::Reload | Event::Reply { .. } => {}
        }
        Ok(())
    }

    fn on_timer(&mut self, cx: &mut Cx<'_>, tick: Tick) -> Result<(), String> {
        match tick {
            Tick::Alive => self.hub.keep_alive(cx).map(drop),
            Tick::Late => self.hub.late(cx).map(drop),
            Tick::Hello => {
                cx.timer(HELLO_EVERY, Tick::Hello as u32);
                self.ask(cx);
                Ok(())
            }
            Tick::Retry if self.draining.is_some() => Ok(()),
            Tick::Retry => {
                self.retry_at = None;
                self.hub.start(cx);
                Ok(())
            }
            Tick::Stock => {
                self.stock(cx);
                Ok(())
            }
            Tick::Deadline => {
                self.cut(cx);
                Ok(())
            }
        }
    }

    fn stock(&mut self, cx: &mut Cx<'_>) {
        self.tick_session(cx);
        self.probe_paused(cx);
        self.tick_owed(cx);
        let held = self.mux.as_ref().map_or(0, Mux::held) + self.owed();
        self.tide.look(cx, held);
        let now = cx.now();
        if let Some(since) = self.asking
            && now.since(since) >= ABSENT
        {
            self.asking = None;
            let (peer, own) = (Shown(&self.config.peer), Shown(&self.config.account.name));
            let text = format!(
                "{peer} has not answered for {}: no tunnel runs there with --to {own}, or not at this hub",
                Span(ABSENT)
            );
            self.journal.warn(now, "absent", text);
        }
        self.journal.tick(now);
        cx.timer(STOCK, Tick::Stock as u32);
    }

    fn report(&self, cx: &Cx<'_>) {
        let now = cx.now();
        let state = match (self.down, self.hub.is_ready()) {
            (None, _) => "UP".to_owned(),
            (Some(down), true) => format!("NO PEER {}", Span(now.since(down))),
            (Some(down), false) => format!("NO HUB {}", Span(now.since(down))),
        };
        let totals = self.bytes();
        let Counts {
            accepted,
            refused,
            forwarded,
            garbage,
            strays,
            strangers,
            ..
        } = self.counts;
        self.journal.info(format!(
            "{state} | {} open, {} under way, {} held | in all {accepted} accepted, {refused} refused, \
             {forwarded} forwarded, {} sent, {} received | messages dropped: {garbage} garbage, {strays} stray, \
             {strangers} from others",
            Count(self.streams.len(), "connection"),
            Bytes(self.mux.as_ref().map_or(0, |mux| mux.session.under_way())),
            Bytes((self.mux.as_ref().map_or(0, Mux::held) + self.owed()) as u64),
            Bytes(totals.0),
            Bytes(totals.1),
        ));
    }

    /// Lets the connections that are there finish, within `--drain`.
    fn drain(&mut self, cx: &mut Cx<'_>, signal: Signal) {
        self.draining = Some(signal);
        for sock in self.listeners.drain(..) {
            cx.close(sock, Close::Orderly);
        }
        for key in std::mem::take(&mut self.waiting) {
            self.end_stream(cx, key, Close::Reset, "hydrant is stopped");
        }
        match &mut self.mux {
            Some(mux) => {
                mux.session.go_away(GoAway::Normal);
                mux.say(cx);
            }
            None => self.leave_hub(cx),
        }
        let wait = self.config.drain.max(Duration::from_millis(1));
        cx.timer(wait, Tick::Deadline as u32);
    }

    /// The time to finish is over: the connections that are left are cut, and the other end is told so, for which the
    /// hub gets some time too.
    fn cut(&mut self, cx: &mut Cx<'_>) {
        if self.mux.is_none() || self.cut.is_some() {
            return self.finish(cx);
        }
        self.cut = Some(self.cut_all(cx));
        cx.timer(LAST_WORDS, Tick::Deadline as u32);
    }

    fn cut_all(&mut self, cx: &mut Cx<'_>) -> usize {
        let keys: Vec<usize> = self.streams.iter().map(|(key, _)| key).collect();
        for key in &keys {
            self.end_stream(cx, *key, Close::Reset, "hydrant is stopped");
        }
        keys.len()
    }

    fn finish_if_drained(&mut self, cx: &mut Cx<'_>) {
        let is_flushed = self.mux.as_ref().is_none_or(Mux::is_flushed) && self.hub.is_flushed();
        if self.draining.is_some() && self.streams.is_empty() && is_flushed {
            self.finish(cx);
        }
    }

    fn finish(&mut self, cx: &mut Cx<'_>) {
        let Some(signal) = self.draining.take() else {
            return;
        };
        self.mux = None;
        let cut = self.cut.unwrap_or_default() + self.cut_all(cx);
        let cut = Count(cut, "connection");
        let up = Span(cx.now().since(self.started));
        self.journal
            .info(format!("stopped by {signal}: {cut} cut; up {up}"));
        self.leave_hub(cx);
        cx.finish(End::Done);
    }
}

impl Role for Tunnel {
    fn on(&mut self, cx: &mut Cx<'_>, event: Event) {
        if matches!(event, Event::Start)
            && let Err(text) = self.start(cx)
        {
            return cx.finish(End::Failed(text));
        }
        let done = self.on_event(cx, &event).and_then(|()| self.carry(cx));
        if let Err(text) = done {
            self.lose_hub(cx, &text);
        }
        self.finish_if_drained(cx);
    }
}

/// What a socket is to the tunnel. It stands on the socket, in its tag, with the number of its stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Hub,
    Listener,
    Local,
}

impl Kind {
    const ALL: [Self; 3] = [Self::Hub, Self::Listener, Self::Local];

    fn tag(self, key: usize) -> u32 {
        pack(self as u32, key)
    }

    fn of(tag: u32) -> Option<(Self, usize)> {
        let (kind, key) = unpack(tag);
        Some((Self::ALL.get(kind as usize).copied()?, key))
    }
}

/// What a timer is to the tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tick {
    Alive,
    Late,
    Hello,
    Retry,
    Stock,
    Deadline,
}

impl Tick {
    const ALL: [Self; 6] = [
        Self::Alive,
        Self::Late,
        Self::Hello,
        Self::Retry,
        Self::Stock,
        Self::Deadline,
    ];

    fn of(tag: u32) -> Self {
        Self::ALL[tag as usize]
    }
}

const TAGS: Tags = Tags {
    sock: pack(Kind::Hub as u32, 0),
    alive: Tick::Alive as u32,
    late: Tick::Late as u32,
};
/// One read of the hub's.
const READ_MAX: usize = 128 << 10;
/// How long a hub has to take what an end that is stopped says of the connections that it cuts.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// Descriptors for the hub's connection and what else is no client's.
const RESERVE: usize = 8;
/// How often it looks at what has no timer of its own.
const STOCK: Duration = Duration::from_secs(1);
/// An end that has not answered for so long is spoken of.
const ABSENT: Duration = Duration::from_secs(10);
/// Bytes under way to the other end, of which nothing says that they have arrived. It is less than a hub's `--queue`.
const FLIGHT_MAX: u64 = 1 << 20;
/// What the session's own frames may add: those that open, end and grant.
const FRAMES_OF_ITS_OWN: u64 = 128 << 10;
/// Who holds more than its share is reset rather than that all connections together hold more than this.
const HELD_MAX: usize = 64 << 20;
