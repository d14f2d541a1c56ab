//! The connections at our own end, each over a stream of the session, or over all of a plain WebSocket.
//!
//! ```text
//!   host:   Heading (its client's address) ──> Dialing the target ──> Piped
//!   client: Waits (the relay is away, or busy) ──> Piped, or Plain
//! ```
//!
//! One whose WebSocket goes after all that the relay had to say on it has come lives on, alone, until our own end has
//! it (owed.rs).

use super::{Adapter, Kind, State, Tick, Up};
use crate::base::time::Time;
use crate::base::units::Span;
use crate::base::wheel::TimerKey;
use crate::proto::proxy::{self, Call};
use crate::proto::yamux::{OpenError, Payload, StreamId};
use crate::reactor::net::{Close, Peer, SockId};
use crate::reactor::{Cx, DialError, DialId};
use crate::roles::callers::address;
use crate::roles::link::Link;
use crate::roles::listening::NO_DESCRIPTORS;
use crate::roles::pump::{Channel, Channels, Mux, Outcome, hindmost};
use crate::roles::ws::config::LocalEnd;
use crate::roles::ws::keepalive;
use crate::roles::ws::wire::Wire;

/// One connection.
pub(super) struct Stream {
    /// No other one has it, or has had it.
    pub(super) number: u64,
    pub(super) since: Time,
    pub(super) body: Body,
    /// What has come of the header in front, while it is not whole.
    heading: Option<Vec<u8>>,
    dial: Option<DialId>,
    call: Call,
    peer: Option<Peer>,
    /// The end of its wait.
    timer: Option<TimerKey>,
}

/// What it is connected with.
pub(super) enum Body {
    /// A local connection without a stream.
    Waits(Link),
    /// A stream, or what is left of a connection whose WebSocket is gone.
    Piped(Box<Channel>),
    /// The plain WebSocket, which has its link.
    Plain,
}

impl Stream {
    fn new(body: Body, number: u64, since: Time) -> Self {
        Self {
            number,
            since,
            body,
            heading: None,
            dial: None,
            call: Call::default(),
            peer: None,
            timer: None,
        }
    }

    pub(super) fn sock(&self) -> Option<SockId> {
        match &self.body {
            Body::Waits(link) => Some(link.sock()),
            Body::Piped(channel) => channel.sock(),
            Body::Plain => None,
        }
    }

    pub(super) fn waits(&self) -> bool {
        matches!(self.body, Body::Waits(_))
    }

    /// Whether it is over all of a plain WebSocket, which counts its bytes.
    pub(super) fn is_plain(&self) -> bool {
        matches!(self.body, Body::Plain)
    }

    pub(super) fn is_paused(&self) -> bool {
        self.channel().is_some_and(Channel::is_paused)
    }

    /// Its stream, or what is left of it.
    pub(super) fn channel(&self) -> Option<&Channel> {
        match &self.body {
            Body::Piped(channel) => Some(channel),
            Body::Waits(_) | Body::Plain => None,
        }
    }

    pub(super) fn channel_mut(&mut self) -> Option<&mut Channel> {
        match &mut self.body {
            Body::Piped(channel) => Some(channel),
            Body::Waits(_) | Body::Plain => None,
        }
    }

    /// Bytes from the relay, and to it.
    pub(super) fn bytes(&self) -> (u64, u64) {
        match &self.body {
            Body::Piped(channel) => (channel.from_stream, channel.to_stream),
            Body::Waits(_) | Body::Plain => (0, 0),
        }
    }

    /// Its other end's address, as far as that is known.
    pub(super) fn address(&self) -> String {
        match (self.call.ends, self.peer) {
            (Some((from, _)), _) => from.to_string(),
            (None, Some(peer)) => peer.to_string(),
            (None, None) => "unknown".to_owned(),
        }
    }

    /// Who it is, as far as that is known.
    pub(super) fn label(&self) -> String {
        let state = if self.waits() { " waits" } else { "" };
        match (self.call.ends, self.peer) {
            (Some((from, _)), _) => format!("client {from}"),
            (None, Some(peer)) => format!("program {peer}{state}"),
            (None, None) => "client".to_owned(),
        }
    }
}

impl Adapter {
    fn number(&mut self) -> u64 {
        self.streams_seen += 1;
        self.streams_seen
    }

    /// A program has connected; whether it may is seen first.
    pub(super) fn accepted(&mut self, cx: &mut Cx<'_>, sock: SockId, peer: Peer) {
        let ip = address(peer);
        if let LocalEnd::Listen { allow, .. } = &self.config.end
            && ip.is_some_and(|ip| !allow.allows(ip))
        {
            cx.close(sock, Close::Orderly);
            let text = format!("program {peer} refused: not in --allow");
            return self.journal.warn(cx.now(), "refused", text);
        }
        if !cx.admit(sock) {
            cx.close(sock, Close::Orderly);
            let text = format!("program {peer} refused: {NO_DESCRIPTORS}");
            return self.journal.warn(cx.now(), "refused", text);
        }
        self.program_connected(cx, sock, peer);
    }

    /// A program has connected: it gets a stream, or waits for one.
    fn program_connected(&mut self, cx: &mut Cx<'_>, sock: SockId, peer: Peer) {
        if let Some(idle) = self.config.keepalive {
            cx.set_keepalive(sock, keepalive(idle));
        }
        self.make_room(cx);
        let number = self.number();
        let entry = self.streams.vacant_entry();
        let key = entry.key();
        cx.set_tag(sock, Kind::Local.tag(key));
        let after = self.config.connect_timeout;
        entry.insert(Stream {
            peer: Some(peer),
            timer: Some(cx.timer(after, Tick::Stream.tag(key))),
            ..Stream::new(Body::Waits(Link::new(sock)), number, cx.now())
        });
        self.waiting.push_back(key);
        self.note_most();
        self.accept_if_room(cx);
        if let State::Idle = self.state {
            return self.dial(cx);
        }
        self.open_waiting(cx);
    }

    /// It has waited for too long.
    pub(super) fn stream_overdue(&mut self, cx: &mut Cx<'_>, key: usize) {
        if let Some(stream) = self.streams.get_mut(key) {
            stream.timer = None;
            let who = match stream.peer {
                Some(peer) => format!("program {peer}"),
                None => "a program".to_owned(),
            };
            let why = match &self.state {
                State::Up(up) => match &**up {
                    Up::Plain(_) => "the relay takes one connection at a time, and has one",
                    Up::Mux(_) => "the relay takes no more connections",
                },
                _ => "there is no relay",
            };
            let span = Span(self.config.connect_timeout);
            let text = format!("{who} was turned away after {span}: {why}");
            self.journal.warn(cx.now(), why, text);
            self.end_stream(cx, key, Close::Reset);
        }
    }

    /// Programs that wait get what they wait for, as far as there is any.
    pub(super) fn open_waiting(&mut self, cx: &mut Cx<'_>) {
        while let Some(&key) = self.waiting.front() {
            let now = cx.now();
            let State::Up(up) = &mut self.state else {
                return;
            };
            let body = match &mut **up {
                Up::Plain(plain) if plain.stream.is_some() || plain.is_closing() => return,
                Up::Plain(_) => Body::Plain,
                Up::Mux(mux) => match mux.session.open(now, key as u32) {
                    Ok(stream) => Body::Piped(Box::new(Channel::new(stream, key as u32))),
                    // The next one that is taken makes room; a relay that goes away closes before long.
                    Err(OpenError::Backlog | OpenError::GoingAway) => return,
                    Err(OpenError::IdsUsedUp) => {
                        return self.lose_relay(cx, "has no stream ids left");
                    }
                },
            };
            self.waiting.pop_front();
            self.counts.connections += 1;
            let stream = &mut self.streams[key];
            let is_plain = matches!(body, Body::Plain);
            let Body::Waits(link) = std::mem::replace(&mut stream.body, body) else {
                return;
            };
            if let Some(timer) = stream.timer.take() {
                cx.cancel(timer);
            }
            match is_plain {
                true => self.attach_plain(cx, key, link),
                false => self.with_channel(cx, key, |cx, mux, channel| {
                    mux.say(cx);
                    channel.connect(cx, link)
                }),
            }
        }
    }

    /// The relay has opened a stream: a client of a host's.
    pub(super) fn stream_opened(&mut self, cx: &mut Cx<'_>, id: StreamId) {
        let is_taken = self.is_host() && self.draining.is_none() && self.has_room();
        if is_taken {
            // Those whose session is gone have descriptors, too.
            self.make_room(cx);
        }
        let (key, number) = (self.streams.vacant_key(), self.number());
        let Some(mux) = self.mux() else {
            return;
        };
        if !is_taken {
            return mux.session.reset(id);
        }
        mux.session.accept(id, key as u32);
        let channel = Channel::new(id, key as u32);
        self.streams.insert(Stream {
            heading: Some(Vec::new()),
            ..Stream::new(Body::Piped(Box::new(channel)), number, cx.now())
        });
        self.counts.connections += 1;
        self.note_most();
    }

    /// A plain host's only connection.
    pub(super) fn add_plain_stream(&mut self, cx: &mut Cx<'_>) -> usize {
        self.make_room(cx);
        let number = self.number();
        let key = self
            .streams
            .insert(Stream::new(Body::Plain, number, cx.now()));
        self.counts.connections += 1;
        self.note_most();
        self.reach_target(cx, key);
        key
    }

    pub(super) fn stream_data(
        &mut self,
        cx: &mut Cx<'_>,
        id: StreamId,
        key: usize,
        payload: Payload<'_>,
    ) {
        let Some(stream) = self.streams.get_mut(key) else {
            return;
        };
        let Some(heading) = &mut stream.heading else {
            return self.with_channel(cx, key, |cx, mux, channel| {
                mux.stream_data(cx, channel, payload)
            });
        };
        let before = heading.len();
        heading.extend(payload.pieces().flatten().take(HEADING_MAX));
        match proxy::read_v2(heading) {
            Ok(None) => self.consume(cx, id, payload.len()),
            Ok(Some((call, len))) => {
                stream.call = call;
                stream.heading = None;
                let rest = payload.skip(len - before);
                self.consume(cx, id, payload.len() - rest.len());
                self.reach_target(cx, key);
                if !rest.is_empty() {
                    self.stream_data(cx, id, key, rest);
                }
            }
            Err(error) => {
                let text = format!("a client's stream begins with {error}: reset");
                self.journal.warn(cx.now(), "heading", text);
                self.end_stream(cx, key, Close::Reset);
            }
        }
    }

    fn consume(&mut self, cx: &mut Cx<'_>, id: StreamId, len: usize) {
        if let Some(mux) = self.mux() {
            mux.consume(cx, id, len);
        }
    }

    fn reach_target(&mut self, cx: &mut Cx<'_>, key: usize) {
        let LocalEnd::Target(target) = &self.config.end else {
            return;
        };
        if !cx.has_room(self.dials.len()) {
            let text = format!("a client is reset: {NO_DESCRIPTORS}");
            self.journal.warn(cx.now(), "descriptors", text);
            return self.end_stream(cx, key, Close::Reset);
        }
        let dial = cx.dial(target, self.config.connect_timeout);
        self.streams[key].dial = Some(dial);
        self.dials.insert(dial, key);
    }

    pub(super) fn target_connected(&mut self, cx: &mut Cx<'_>, dial: DialId, sock: SockId) {
        let Some(key) = self.dials.remove(&dial) else {
            return cx.close(sock, Close::Orderly);
        };
        self.journal.forget(cx.now(), TARGET);
        cx.set_tag(sock, Kind::Local.tag(key));
        cx.count_in(sock);
        if let Some(idle) = self.config.keepalive {
            cx.set_keepalive(sock, keepalive(idle));
        }
        let stream = &mut self.streams[key];
        stream.dial = None;
        match stream.body {
            Body::Plain => self.attach_plain(cx, key, Link::new(sock)),
            _ => {
                if let Some(channel) = stream.channel_mut() {
                    let outcome = channel.connect(cx, Link::new(sock));
                    self.settle(cx, key, outcome);
                }
            }
        }
    }

    pub(super) fn target_failed(&mut self, cx: &mut Cx<'_>, dial: DialId, error: &DialError) {
        let Some(key) = self.dials.remove(&dial) else {
            return;
        };
        self.streams[key].dial = None;
        if let LocalEnd::Target(target) = &self.config.end {
            let text = format!("target {target} {error}: its client is reset");
            self.journal.warn(cx.now(), TARGET, text);
        }
        self.end_stream(cx, key, Close::Reset);
    }

    pub(super) fn stream_finished(&mut self, cx: &mut Cx<'_>, key: usize) {
        let is_heading = |stream: &Stream| stream.heading.is_some();
        if self.streams.get(key).is_some_and(is_heading) {
            // It ended before it began.
            return self.end_stream(cx, key, Close::Reset);
        }
        self.with_channel(cx, key, |cx, mux, channel| mux.stream_finished(cx, channel));
    }

    pub(super) fn stream_credit(&mut self, cx: &mut Cx<'_>, key: usize) {
        self.with_channel(cx, key, |cx, mux, channel| mux.stream_credit(cx, channel));
    }

    /// It found no room before, and there is some.
    pub(super) fn resume_stream(&mut self, cx: &mut Cx<'_>, key: usize) {
        self.with_channel(cx, key, |cx, mux, channel| mux.resume(cx, channel));
    }

    pub(super) fn local_readable(&mut self, cx: &mut Cx<'_>, key: usize) {
        if let Some(channel) = self.alone(key) {
            let outcome = channel.read_away(cx);
            return self.settle(cx, key, outcome);
        }
        match self.streams.get(key).map(|stream| &stream.body) {
            Some(Body::Plain) => self.plain_local_readable(cx),
            Some(_) => {
                self.with_channel(cx, key, |cx, mux, channel| mux.link_readable(cx, channel));
            }
            None => {}
        }
    }

    pub(super) fn local_writable(&mut self, cx: &mut Cx<'_>, key: usize) {
        if let Some(channel) = self.alone(key) {
            let outcome = channel.deliver(cx);
            return self.settle(cx, key, outcome);
        }
        match self.streams.get(key).map(|stream| &stream.body) {
            Some(Body::Plain) => self.plain_local_writable(cx),
            Some(_) => {
                self.with_channel(cx, key, |cx, mux, channel| mux.link_writable(cx, channel));
            }
            None => {}
        }
    }

    /// Looks whether our own end, which is not read, is still there.
    pub(super) fn probe_stream(&mut self, cx: &mut Cx<'_>, key: usize) {
        if let Some(Body::Piped(channel)) = self.streams.get_mut(key).map(|s| &mut s.body)
            && let Some(link) = channel.link()
            && link.probe(cx).is_err()
        {
            self.end_stream(cx, key, Close::Reset);
        }
    }

    fn with_channel(
        &mut self,
        cx: &mut Cx<'_>,
        key: usize,
        act: impl FnOnce(&mut Cx<'_>, &mut Mux<Wire>, &mut Channel) -> Outcome,
    ) {
        let State::Up(up) = &mut self.state else {
            return;
        };
        let Some(Body::Piped(channel)) = self.streams.get_mut(key).map(|s| &mut s.body) else {
            return;
        };
        let Up::Mux(mux) = &mut **up else {
            return;
        };
        let outcome = act(cx, mux, channel);
        self.settle(cx, key, outcome);
    }

    fn settle(&mut self, cx: &mut Cx<'_>, key: usize, outcome: Outcome) {
        match outcome {
            Outcome::Going => {}
            Outcome::Over => self.end_stream(cx, key, Close::Orderly),
            Outcome::Broken(_) => self.end_stream(cx, key, Close::Reset),
        }
    }

    /// Resets the connection whose end holds up the others, see [`hindmost`]. Whether there was one.
    pub(super) fn end_hindmost(&mut self, cx: &mut Cx<'_>) -> bool {
        let Some(key) = hindmost(self.channels()) else {
            return false;
        };
        let text = "a connection is read too slowly, and all memory is taken (--memory): reset";
        self.journal.warn(cx.now(), "memory", text.to_owned());
        self.end_stream(cx, key, Close::Reset);
        true
    }

    /// A connection is over.
    pub(super) fn end_stream(&mut self, cx: &mut Cx<'_>, key: usize, how: Close) {
        let Some(mut stream) = self.streams.try_remove(key) else {
            return;
        };
        if let Some(dial) = stream.dial {
            cx.cancel_dial(dial);
            self.dials.remove(&dial);
        }
        if let Some(timer) = stream.timer {
            cx.cancel(timer);
        }
        let (from, to) = stream.bytes();
        self.counts.from_relay += from;
        self.counts.to_relay += to;
        match (&mut stream.body, self.mux()) {
            // The session may be another one, with an equal stream of its own.
            (Body::Piped(channel), Some(mux)) if !channel.is_alone() => mux.end(cx, channel, how),
            (Body::Piped(channel), _) => {
                if let Some(link) = channel.link() {
                    link.close(cx, how);
                }
            }
            (Body::Waits(link), _) => {
                link.close(cx, how);
                self.waiting.retain(|other| *other != key);
            }
            (Body::Plain, _) => self.detach_plain(cx, how),
        }
        self.accept_if_room(cx);
        self.finish_if_drained(cx);
    }
}

/// The kind of line that says that the target is not there.
const TARGET: &str = "target-down";
/// More than a header with its extensions takes.
const HEADING_MAX: usize = 2048;
