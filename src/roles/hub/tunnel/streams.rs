//! Local connections: those that come to `--listen`, and those that are made to `--forward`. Each has a stream.
//!
//! ```text
//!   accepted ──> waits until the session takes a stream more ──> piped
//!   opened by the other end ──> dialling ──> piped
//!                                 └ refused: reset, at once
//! ```

use super::{Kind, Tunnel};
use crate::base::time::Time;
use crate::base::units::{Bytes, Count, Span};
use crate::proto::yamux::{OpenError, Payload, StreamId};
use crate::reactor::net::{Close, Keepalive, Peer, SockId};
use crate::reactor::{Cx, DialError, DialId, plain};
use crate::roles::callers::address;
use crate::roles::hub::serve::Shown;
use crate::roles::link::Link;
use crate::roles::listening::NO_DESCRIPTORS;
use crate::roles::pump::{Channel, Channels, Mux, Outcome, Owner, hindmost};

/// A connection, and its stream.
pub(super) struct Stream {
    /// Who came; `None` where the other end asked for it.
    caller: Option<Peer>,
    since: Time,
    /// No other one ever has it.
    number: u64,
    end: Ends,
}

enum Ends {
    /// It is to get a stream.
    Waiting(Link),
    /// What `--forward` names is being dialled.
    Dialling(DialId, Channel),
    Piped(Channel),
}

impl Stream {
    pub(super) fn caller(&self) -> Option<Peer> {
        self.caller
    }

    pub(super) fn since(&self) -> Time {
        self.since
    }

    pub(super) fn number(&self) -> u64 {
        self.number
    }

    pub(super) fn channel(&self) -> Option<&Channel> {
        match &self.end {
            Ends::Waiting(_) => None,
            Ends::Dialling(_, channel) | Ends::Piped(channel) => Some(channel),
        }
    }

    pub(super) fn channel_mut(&mut self) -> Option<&mut Channel> {
        match &mut self.end {
            Ends::Waiting(_) => None,
            Ends::Dialling(_, channel) | Ends::Piped(channel) => Some(channel),
        }
    }

    fn link(&mut self) -> Option<&mut Link> {
        match &mut self.end {
            Ends::Waiting(link) => Some(link),
            Ends::Dialling(..) => None,
            Ends::Piped(channel) => channel.link(),
        }
    }

    pub(super) fn dial(&self) -> Option<DialId> {
        match self.end {
            Ends::Dialling(dial, _) => Some(dial),
            Ends::Waiting(_) | Ends::Piped(_) => None,
        }
    }

    /// The socket of its link, where it has one.
    pub(super) fn sock(&self) -> Option<SockId> {
        match &self.end {
            Ends::Waiting(link) => Some(link.sock()),
            Ends::Dialling(..) => None,
            Ends::Piped(channel) => channel.sock(),
        }
    }

    pub(super) fn is_waiting(&self) -> bool {
        matches!(self.end, Ends::Waiting(_))
    }

    /// Bytes to the other end, and from it.
    pub(super) fn bytes(&self) -> (u64, u64) {
        let bytes = |channel: &Channel| (channel.to_stream, channel.from_stream);
        self.channel().map_or((0, 0), bytes)
    }
}

impl Tunnel {
    pub(super) fn client_accepted(&mut self, cx: &mut Cx<'_>, sock: SockId, peer: Peer) {
        let no_room = |cx: &mut Cx<'_>| (!cx.admit(sock)).then(|| NO_DESCRIPTORS.to_owned());
        if let Some(why) = self.unwelcome(peer).or_else(|| no_room(cx)) {
            // A reset: an end would say that the answer is empty.
            cx.close(sock, Close::Reset);
            self.counts.refused += 1;
            let from = address(peer).map_or_else(|| peer.to_string(), |ip| ip.to_string());
            let kind = format!("refused: {from}: {why}");
            let text = format!("client {from} refused: {why}");
            return self.journal.refused(cx.now(), &kind, text);
        }
        self.counts.accepted += 1;
        self.keep_alive(cx, sock);
        let key = self.streams.insert(Stream {
            caller: Some(peer),
            since: cx.now(),
            number: self.counts.accepted + self.counts.forwarded,
            end: Ends::Waiting(Link::new(sock)),
        });
        self.counts.streams_most = self.counts.streams_most.max(self.streams.len());
        cx.set_tag(sock, Kind::Local.tag(key));
        let clients = self.streams.len();
        let text = format!("client {peer} connected ({clients} now)");
        self.journal.came(cx.now(), text);
        self.waiting.push_back(key);
        self.open_waiting(cx);
    }

    /// Why a client may not come in, if so.
    fn unwelcome(&self, peer: Peer) -> Option<String> {
        let ip = address(peer);
        if ip.is_some_and(|ip| !self.config.allow.allows(ip)) {
            return Some("not in --allow".to_owned());
        }
        if self.streams.len() >= self.config.max_streams {
            let streams = Count(self.streams.len(), "connection");
            return Some(format!("{streams} at a time (--max-streams)"));
        }
        let peer = Shown(&self.config.peer);
        match self.mux {
            None if !self.hub.is_ready() => Some("the hub is away".to_owned()),
            None => Some(format!("{peer} is away")),
            Some(_) if self.leaving => Some(format!("{peer} is being stopped")),
            Some(_) => None,
        }
    }

    fn keep_alive(&self, cx: &mut Cx<'_>, sock: SockId) {
        if let Some(idle) = self.config.keepalive {
            // Programs may pause for as long as they like.
            let user_timeout = None;
            cx.set_keepalive(sock, Keepalive { idle, user_timeout });
        }
    }

    /// Those who wait get streams, as far as the session takes them.
    pub(super) fn open_waiting(&mut self, cx: &mut Cx<'_>) {
        while let Some(&key) = self.waiting.front()
            && let Some(mux) = &mut self.mux
        {
            let id = match mux.session.open(cx.now(), key as u32) {
                Ok(id) => id,
                // The next one that is taken, or ends, makes room.
                Err(OpenError::Backlog) => return,
                Err(OpenError::GoingAway) => {
                    for key in std::mem::take(&mut self.waiting) {
                        self.end_stream(cx, key, Close::Reset, "the other end is being stopped");
                    }
                    return;
                }
                Err(OpenError::IdsUsedUp) => {
                    return self.lose_peer(cx, "has seen every stream id; a new session begins");
                }
            };
            self.waiting.pop_front();
            // What is sent to nobody is lost in silence: this tells whether somebody is there.
            mux.session.ping(cx.now());
            mux.say(cx);
            let stream = &mut self.streams[key];
            let piped = Ends::Piped(Channel::new(id, key as u32));
            let before = std::mem::replace(&mut stream.end, piped);
            if let (Ends::Waiting(link), Some(channel)) = (before, stream.channel_mut()) {
                let outcome = channel.connect(cx, link);
                self.settle(cx, key, outcome);
            }
        }
    }

    pub(super) fn stream_opened(&mut self, cx: &mut Cx<'_>, id: StreamId) {
        let Some(mux) = &mut self.mux else {
            return;
        };
        let Some(forward) = &self.config.forward else {
            mux.session.reset(id);
            mux.say(cx);
            let peer = Shown(&self.config.peer);
            let text = format!(
                "{peer} has a client for us, and --forward does not say where to: it is reset"
            );
            return self.journal.warn(cx.now(), "no-forward", text);
        };
        if self.streams.len() >= self.config.max_streams || !cx.has_room(self.dials.len()) {
            // Those whose session is gone have descriptors, too.
            mux.session.reset(id);
            return mux.say(cx);
        }
        let entry = self.streams.vacant_entry();
        let key = entry.key();
        mux.session.accept(id, key as u32);
        mux.say(cx);
        let dial = cx.dial(forward, self.config.account.timeout);
        self.dials.insert(dial, key);
        self.counts.forwarded += 1;
        entry.insert(Stream {
            caller: None,
            since: cx.now(),
            number: self.counts.accepted + self.counts.forwarded,
            end: Ends::Dialling(dial, Channel::new(id, key as u32)),
        });
        self.counts.streams_most = self.counts.streams_most.max(self.streams.len());
    }

    pub(super) fn service_connected(&mut self, cx: &mut Cx<'_>, dial: DialId, sock: SockId) {
        let Some(key) = self.dials.remove(&dial) else {
            return cx.close(sock, Close::Orderly);
        };
        self.journal.forget(cx.now(), SERVICE);
        cx.set_tag(sock, Kind::Local.tag(key));
        cx.count_in(sock);
        self.keep_alive(cx, sock);
        let stream = &mut self.streams[key];
        let id = stream.channel().map(|channel| channel.stream);
        let id = id.expect("one that is dialled for has a stream");
        let placeholder = Ends::Piped(Channel::new(id, key as u32));
        let Ends::Dialling(_, mut channel) = std::mem::replace(&mut stream.end, placeholder) else {
            return;
        };
        let outcome = channel.connect(cx, Link::new(sock));
        stream.end = Ends::Piped(channel);
        self.settle(cx, key, outcome);
    }

    pub(super) fn service_failed(&mut self, cx: &mut Cx<'_>, dial: DialId, error: &DialError) {
        let Some(key) = self.dials.remove(&dial) else {
            return;
        };
        if let Some(forward) = &self.config.forward {
            let text = format!("{forward} {error}: its client is reset");
            self.journal.warn(cx.now(), SERVICE, text);
        }
        self.end_stream(cx, key, Close::Reset, "it can't be reached");
    }

    pub(super) fn stream_data(&mut self, cx: &mut Cx<'_>, key: usize, payload: Payload<'_>) {
        self.with_channel(cx, key, |cx, mux, channel| {
            mux.stream_data(cx, channel, payload)
        });
    }

    pub(super) fn stream_finished(&mut self, cx: &mut Cx<'_>, key: usize) {
        self.with_channel(cx, key, |cx, mux, channel| mux.stream_finished(cx, channel));
    }

    pub(super) fn stream_credit(&mut self, cx: &mut Cx<'_>, key: usize) {
        self.with_channel(cx, key, |cx, mux, channel| mux.stream_credit(cx, channel));
    }

    pub(super) fn local_readable(&mut self, cx: &mut Cx<'_>, key: usize) {
        match self.alone(key) {
            Some(channel) => {
                let outcome = channel.read_away(cx);
                self.settle(cx, key, outcome);
            }
            None => self.with_channel(cx, key, |cx, mux, channel| mux.link_readable(cx, channel)),
        }
    }

    pub(super) fn local_writable(&mut self, cx: &mut Cx<'_>, key: usize) {
        match self.alone(key) {
            Some(channel) => {
                let outcome = channel.deliver(cx);
                self.settle(cx, key, outcome);
            }
            None => self.with_channel(cx, key, |cx, mux, channel| mux.link_writable(cx, channel)),
        }
    }

    /// Looks whether those that are not read, for want of credit, are still there.
    pub(super) fn probe_paused(&mut self, cx: &mut Cx<'_>) {
        let is_paused = |stream: &Stream| {
            stream.is_waiting() || stream.channel().is_some_and(Channel::is_paused)
        };
        let paused = self.streams.iter().filter(|(_, s)| is_paused(s));
        let paused: Vec<usize> = paused.map(|(key, _)| key).collect();
        for key in paused {
            if let Some(link) = self.streams[key].link()
                && let Err(error) = link.probe(cx)
            {
                self.settle(cx, key, Outcome::Broken(error));
            }
        }
    }

    fn with_channel(
        &mut self,
        cx: &mut Cx<'_>,
        key: usize,
        act: impl FnOnce(&mut Cx<'_>, &mut Mux<Owner>, &mut Channel) -> Outcome,
    ) {
        let stream = self.streams.get_mut(key);
        if let Some(mux) = &mut self.mux
            && let Some(channel) = stream.and_then(Stream::channel_mut)
        {
            let outcome = act(cx, mux, channel);
            self.settle(cx, key, outcome);
        }
    }

    fn settle(&mut self, cx: &mut Cx<'_>, key: usize, outcome: Outcome) {
        match outcome {
            Outcome::Going => {}
            Outcome::Over => self.end_stream(cx, key, Close::Orderly, "finished"),
            Outcome::Broken(error) => self.end_stream(cx, key, Close::Reset, &plain(&error)),
        }
    }

    /// Resets the connection that holds up the others: those of the session, or those whose session is gone. See
    /// [`hindmost`].
    pub(super) fn end_hindmost(&mut self, cx: &mut Cx<'_>, alone: bool) {
        let ours = self.channels().filter(|(_, it)| it.is_alone() == alone);
        if let Some(key) = hindmost(ours) {
            let why = "it reads too little, and what all of them hold is too much";
            self.end_stream(cx, key, Close::Reset, why);
        }
    }

    /// A connection is over.
    pub(super) fn end_stream(&mut self, cx: &mut Cx<'_>, key: usize, how: Close, why: &str) {
        let Some(mut stream) = self.streams.try_remove(key) else {
            return;
        };
        let (to, from) = stream.bytes();
        self.counts.to_peer += to;
        self.counts.from_peer += from;
        if let Some(dial) = stream.dial() {
            cx.cancel_dial(dial);
            self.dials.remove(&dial);
        }
        if stream.is_waiting() {
            self.waiting.retain(|other| *other != key);
        }
        match (&mut self.mux, &mut stream.end) {
            // The session may be another one, with an equal stream of its own.
            (Some(mux), Ends::Dialling(_, channel) | Ends::Piped(channel))
                if !channel.is_alone() =>
            {
                mux.end(cx, channel, how);
            }
            _ => {
                if let Some(link) = stream.link() {
                    link.close(cx, how);
                }
            }
        }
        let text = format!(
            "{} left: {why}; {} to {}, {} from it in {}",
            match stream.caller {
                Some(peer) => format!("client {peer}"),
                None => "connection to the service".to_owned(),
            },
            Bytes(to),
            Shown(&self.config.peer),
            Bytes(from),
            Span(cx.now().since(stream.since))
        );
        self.journal.went(cx.now(), text);
        self.open_waiting(cx);
    }
}

/// The kind of line that says that the service is not there.
const SERVICE: &str = "service-down";
