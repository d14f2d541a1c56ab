//! WebSockets that were let in: hosts and clients, with a session or in the plain way, and whether they are alive.
//!
//! ```text
//!   up ──a close of theirs, or of ours──> leaving (the other one's close, within 5 s) ──> closed
//!    └──its TCP connection ends, or two pings go by──> closed
//! ```

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use super::lane::Way;
use super::{Kind, Relay, called};
use crate::base::outbox::Outbox;
use crate::base::secret::Secret;
use crate::base::time::Time;
use crate::base::units::Span;
use crate::base::wheel::TimerKey;
use crate::proto::hello::Name;
use crate::proto::proxy::Call;
use crate::proto::websocket::{CloseCode, Kind as Payload, Side};
use crate::proto::yamux::{self, Event, GoAway, Session, StreamId};
use crate::reactor::net::Peer as At;
use crate::reactor::{Cx, plain};
use crate::roles::link::Link;
use crate::roles::pump::{Carrier, Mux, Question};
use crate::roles::ws::tokens::{Part, Tokens, Verdict};
use crate::roles::ws::wire::{Heard, Wire};
use crate::roles::ws::{QUEUE_MAX, limits};

/// A host or a client.
#[derive(Debug)]
pub(super) struct Peer {
    /// No other one has it, or has had it.
    pub(super) number: u64,
    pub(super) at: At,
    /// Whom it comes from: a trusted proxy's word, or else `at`.
    pub(super) from: Option<IpAddr>,
    pub(super) part: Part,
    pub(super) name: Option<Name>,
    /// What let it in.
    token: Option<Secret>,
    pub(super) since: Time,
    pub(super) body: Body,
    /// The connections that go over it.
    pub(super) lanes: BTreeSet<usize>,
    /// Bytes of it that lanes hold.
    pub(super) held: usize,
    /// It is about to be closed, by then at the latest.
    pub(super) leaving: Option<TimerKey>,
    /// It is to show that it is alive, since another host wants its name.
    pub(super) asked: Option<Question>,
    /// What it had not read when it was looked at last, while it is about to be closed.
    pub(super) unread: usize,
    /// What waits for it, or was said before it has a client, as it stands in the books.
    pub(super) noted: usize,
    /// Bytes that it was given, and bytes that it has said.
    pub(super) to: u64,
    pub(super) said: u64,
}

/// How it speaks.
#[derive(Debug)]
pub(super) enum Body {
    /// Many connections, in a session.
    Mux(Box<Mux<Wire>>),
    /// One, whose bytes are its messages.
    Plain(Box<Plain>),
}

/// A WebSocket that is one connection.
#[derive(Debug)]
pub(super) struct Plain {
    pub(super) wire: Wire,
    pub(super) out: Outbox,
    /// What a host has said before it has a client.
    pub(super) early: Vec<u8>,
    /// It is not read: what it says is not taken on.
    pub(super) paused: bool,
}

/// Who becomes a peer.
pub(super) struct Newcomer {
    pub(super) link: Link,
    pub(super) at: At,
    pub(super) from: Option<IpAddr>,
    pub(super) part: Part,
    pub(super) name: Option<Name>,
    pub(super) token: Option<Secret>,
    /// It speaks `hydrant.mux.v1`.
    pub(super) mux: bool,
    /// The answer that lets it in.
    pub(super) grant: Vec<u8>,
}

impl Peer {
    pub(super) fn wire(&self) -> &Wire {
        match &self.body {
            Body::Mux(mux) => mux.carrier(),
            Body::Plain(plain) => &plain.wire,
        }
    }

    pub(super) fn wire_mut(&mut self) -> &mut Wire {
        match &mut self.body {
            Body::Mux(mux) => mux.carrier_mut(),
            Body::Plain(plain) => &mut plain.wire,
        }
    }

    /// Whether it takes one connection at a time, and has one.
    pub(super) fn is_busy(&self) -> bool {
        matches!(self.body, Body::Plain(_)) && !self.lanes.is_empty()
    }

    pub(super) fn is_asked(&self) -> bool {
        self.asked.is_some()
    }

    pub(super) fn is_leaving(&self) -> bool {
        self.leaving.is_some()
    }

    /// Whether these tokens would let it in.
    pub(super) fn may_stay(&self, tokens: &Tokens) -> bool {
        let good = |token| tokens.judge(&self.name, self.part, token) == Verdict::Good;
        self.token.as_deref().is_some_and(good)
    }

    /// "host web (10.0.0.5:4000)"
    pub(super) fn label(&self) -> String {
        format!("{}{} ({})", self.part, called(&self.name), self.address())
    }

    /// Whom it comes from, and by which proxy.
    pub(super) fn address(&self) -> String {
        match (self.at, self.from) {
            (At::Tcp(at), Some(from)) if at.ip() != from => format!("{from} by {at}"),
            (at, _) => at.to_string(),
        }
    }

    /// Who calls, for the host's target.
    pub(super) fn call(&self, cx: &Cx<'_>) -> Call {
        let (At::Tcp(at), Some(to)) = (self.at, cx.local(self.wire().sock())) else {
            return Call::default();
        };
        match self.from {
            // The port that its proxy was called from is nowhere said.
            Some(from) if from != at.ip() => Call::new(SocketAddr::new(from, 0), to),
            _ => Call::new(at, to),
        }
    }
}

impl Relay {
    pub(super) fn check_peers(&self) {
        for (key, peer) in &self.peers {
            let lanes = self.lanes.iter().filter(|(_, lane)| lane.has(key));
            let lanes: BTreeSet<usize> = lanes.map(|(lane, _)| lane).collect();
            assert_eq!(peer.lanes, lanes, "the lanes of a peer");
            let held = lanes.iter().map(|lane| self.lanes[*lane].held_of(key));
            assert_eq!(peer.held, held.sum::<usize>(), "what a peer's lanes hold");
            match &peer.body {
                Body::Mux(mux) => {
                    mux.check_invariants();
                    assert!(peer.held <= self.held_max());
                }
                Body::Plain(plain) => {
                    assert!(peer.lanes.len() <= 1, "one connection at a time");
                    assert!(plain.early.len() <= QUEUE_MAX + super::READ_MAX);
                }
            }
        }
    }

    pub(super) fn add_peer(&mut self, cx: &mut Cx<'_>, newcomer: Newcomer, mut rest: Vec<u8>) {
        let Newcomer {
            link,
            at,
            from,
            part,
            name,
            token,
            mux,
            grant,
        } = newcomer;
        let ping = self.config.ping;
        let held_max = self.held_max();
        let mut wire = Wire::new(cx, link, Side::Server, ping, grant);
        let entry = self.peers.vacant_entry();
        let key = entry.key();
        cx.set_tag(wire.sock(), Kind::Peer.tag(key));
        let body = match mux {
            true => {
                let limits = limits(self.config.max_streams, held_max, ping);
                let session = Session::new(yamux::Side::Server, limits, cx.now());
                Body::Mux(Box::new(Mux::new(session, wire)))
            }
            false => {
                wire.answer_late();
                Body::Plain(Box::new(Plain {
                    wire,
                    out: Outbox::new(QUEUE_MAX),
                    early: Vec::new(),
                    paused: false,
                }))
            }
        };
        entry.insert(Peer {
            number: self.counts.upgrades,
            at,
            from,
            part,
            name: name.clone(),
            token,
            since: cx.now(),
            body,
            lanes: BTreeSet::new(),
            held: 0,
            leaving: None,
            asked: None,
            unread: 0,
            noted: 0,
            to: 0,
            said: 0,
        });
        self.counts.upgrades += 1;
        let way = match mux {
            true => "",
            false => ", one connection at a time",
        };
        let text = format!("{} connected{way}", self.peers[key].label());
        self.journal.came(cx.now(), text);
        match part {
            Part::Host => self.places.entry(name.clone()).or_default().host = Some(key),
            Part::Client if !mux => self.open_lane(cx, key, None),
            Part::Client => {}
        }
        self.place_changed(cx, &name);
        if !rest.is_empty() {
            self.feed_peer(cx, key, &mut rest);
        }
    }

    pub(super) fn peer_readable(&mut self, cx: &mut Cx<'_>, key: usize) {
        let Some(peer) = self.peers.get_mut(key) else {
            return;
        };
        let mut scratch = std::mem::take(&mut self.scratch);
        match peer.wire_mut().read(cx, &mut scratch) {
            Ok(None) => {}
            Ok(Some(0)) => self.peer_gone(cx, key, "it closed the connection"),
            Ok(Some(count)) => self.feed_peer(cx, key, &mut scratch[..count]),
            Err(error) => self.peer_gone(cx, key, &plain(&error)),
        }
        self.scratch = scratch;
    }

    fn feed_peer(&mut self, cx: &mut Cx<'_>, key: usize, bytes: &mut [u8]) {
        if let Some(peer) = self.peers.get_mut(key)
            && peer.asked.take().is_some()
        {
            let name = peer.name.clone();
            self.place_changed(cx, &name);
        }
        let mut at = 0;
        while at < bytes.len() {
            let Some(peer) = self.peers.get_mut(key) else {
                return;
            };
            match peer.wire_mut().feed(cx, &mut bytes[at..]) {
                Ok((taken, heard)) => {
                    at += taken;
                    match heard {
                        Heard::Data(kind, len) => {
                            self.peer_says(cx, key, kind, &bytes[at - len..at]);
                        }
                        Heard::Close(code, _) => self.peer_closes(cx, key, code),
                        Heard::Nothing => {}
                    }
                }
                Err(violation) => {
                    // It is told so by the close that is due now.
                    let why = violation.to_string();
                    return self.close_peer(cx, key, violation.code(), &why);
                }
            }
        }
        self.settle_peer(cx, key);
        self.note_peer(key);
        self.shed(cx);
    }

    fn peer_says(&mut self, cx: &mut Cx<'_>, key: usize, kind: Payload, bytes: &[u8]) {
        let peer = &mut self.peers[key];
        if peer.is_leaving() {
            return;
        }
        peer.said += bytes.len() as u64;
        let lane = peer.lanes.first().copied();
        let way = Way::from(peer.part);
        match (&mut peer.body, lane) {
            (Body::Mux(_), _) if kind == Payload::Text => {
                let why = "a session is carried by binary messages";
                self.close_peer(cx, key, CloseCode::UNSUPPORTED, why);
            }
            (Body::Mux(_), _) => self.feed_session(cx, key, bytes),
            (Body::Plain(_), Some(lane)) => self.lane_data(cx, lane, way, bytes),
            (Body::Plain(plain), None) => {
                plain.early.extend_from_slice(bytes);
                if plain.early.len() >= QUEUE_MAX {
                    plain.paused = true;
                    plain.wire.want_read(cx, false);
                }
            }
        }
    }

    fn feed_session(&mut self, cx: &mut Cx<'_>, key: usize, bytes: &[u8]) {
        let mut rest = bytes;
        loop {
            let Some(mux) = self.mux(key) else {
                return;
            };
            match mux.session.feed(cx.now(), &mut rest) {
                Ok(Some(event)) => self.on_event(cx, key, event),
                Ok(None) => break,
                Err(violation) => {
                    let why = format!("it {violation}");
                    return self.close_peer(cx, key, CloseCode::PROTOCOL, &why);
                }
            }
            if let Some(mux) = self.mux(key) {
                mux.say(cx);
            }
        }
        // Answers come of what is no event, too.
        if let Some(mux) = self.mux(key) {
            mux.say(cx);
        }
        if self.mux(key).is_some_and(|mux| mux.is_choked()) {
            return self.peer_gone(cx, key, CHOKED);
        }
        while self.mux(key).is_some() && self.peers[key].held > self.held_max() {
            self.reset_hindmost(cx, key);
        }
    }

    /// The session of a peer that has one, and is not about to leave.
    pub(super) fn mux(&mut self, key: usize) -> Option<&mut Mux<Wire>> {
        match self.peers.get_mut(key) {
            Some(Peer {
                body: Body::Mux(mux),
                leaving: None,
                ..
            }) => Some(mux),
            _ => None,
        }
    }

    fn on_event(&mut self, cx: &mut Cx<'_>, key: usize, event: Event<'_>) {
        let part = self.peers[key].part;
        match event {
            Event::Opened(id) => self.stream_opened(cx, key, id),
            Event::Taken(..) => {
                let name = self.peers[key].name.clone();
                self.place_changed(cx, &name);
            }
            Event::Data(_, lane, payload) => {
                for piece in payload.pieces() {
                    self.lane_data(cx, lane as usize, Way::from(part), piece);
                }
            }
            Event::Credit(_, lane) => self.pump(cx, lane as usize, Way::to(part)),
            Event::Finished(_, lane) => self.lane_finished(cx, lane as usize, Way::from(part)),
            Event::Reset(_, lane) => {
                let why = format!("reset by the {part}");
                self.reset_lane(cx, lane as usize, &why);
            }
            Event::Pong => {}
            Event::GoAway(GoAway::Normal) => {
                if part == Part::Host {
                    self.leave_place(cx, key);
                }
                self.leave_if_done(cx, key);
            }
            Event::GoAway(why) => self.close_peer(cx, key, CloseCode::NORMAL, &why.to_string()),
        }
    }

    /// Clients open streams, and hosts never do.
    fn stream_opened(&mut self, cx: &mut Cx<'_>, key: usize, id: StreamId) {
        match self.peers[key].part {
            Part::Client if self.draining.is_none() => self.open_lane(cx, key, Some(id)),
            _ => {
                if let Some(mux) = self.mux(key) {
                    mux.session.reset(id);
                }
            }
        }
    }

    /// The other end has closed: by 1000 it says that it has nothing more to say, by others that all is over.
    fn peer_closes(&mut self, cx: &mut Cx<'_>, key: usize, code: Option<CloseCode>) {
        let peer = &self.peers[key];
        if peer.is_leaving() {
            return;
        }
        let is_end = matches!(code, None | Some(CloseCode::NORMAL | CloseCode::GOING_AWAY));
        let lane = peer.lanes.first().copied();
        match (&peer.body, lane) {
            (Body::Plain(_), Some(lane)) if is_end => {
                if peer.part == Part::Host {
                    self.host_ends(cx, key, lane);
                } else {
                    self.lane_finished(cx, lane, Way::Up);
                }
            }
            _ => {
                let code = code.unwrap_or(CloseCode::NORMAL);
                self.close_peer(cx, key, code, "it has closed");
            }
        }
    }

    pub(super) fn peer_writable(&mut self, cx: &mut Cx<'_>, key: usize) {
        let Some(peer) = self.peers.get_mut(key) else {
            return;
        };
        let way = Way::to(peer.part);
        let lanes = match &mut peer.body {
            Body::Mux(mux) => mux.flush(cx),
            Body::Plain(plain) => plain.wire.send(cx, &mut plain.out).map(|()| {
                let lane = peer.lanes.first().filter(|_| plain.out.is_empty());
                lane.map(|lane| *lane as u32).into_iter().collect()
            }),
        };
        match lanes {
            Ok(lanes) => {
                self.note_peer(key);
                for lane in lanes {
                    self.lane_has_room(cx, lane as usize, way);
                }
                self.settle_peer(cx, key);
                self.finish_if_drained(cx);
            }
            Err(error) => self.peer_gone(cx, key, &plain(&error)),
        }
    }

    pub(super) fn tick_peer(&mut self, cx: &mut Cx<'_>, key: usize) {
        let Some(peer) = self.peers.get_mut(key) else {
            return;
        };
        peer.look_at_question(cx);
        let wire = match &mut peer.body {
            Body::Mux(mux) => mux.carrier_mut(),
            Body::Plain(plain) => {
                if plain.paused {
                    plain.wire.excuse();
                    if let Err(error) = plain.wire.probe(cx) {
                        return self.peer_gone(cx, key, &crate::reactor::plain(&error));
                    }
                }
                &mut plain.wire
            }
        };
        if !wire.tick(cx) {
            return self.peer_gone(cx, key, "it has missed two pings");
        }
        let Some(mux) = self.mux(key) else {
            return;
        };
        if mux.is_choked() {
            // What others did has left too much to be said to it.
            return self.peer_gone(cx, key, CHOKED);
        }
        if let Err(silent) = mux.tick(cx) {
            let why = format!("no sign of life within {}", Span(silent.after));
            self.peer_gone(cx, key, &why);
        }
    }
}

/// Why a peer is sent away to which nothing more can be said.
const CHOKED: &str = "it does not read what it asks for";
