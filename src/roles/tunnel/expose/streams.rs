//! The streams of a session, each with a connection to the service of its own.
//!
//! ```text
//!   Heading (its client's address) ──> Dialing the service ──> Piped
//!                                          └ refused: reset, at once
//! ```
//!
//! A stream whose session goes after all that its client had to say has come lives on, alone, until the service has it
//! (owed.rs).

use super::{Expose, Kind, State};
use crate::base::time::Time;
use crate::proto::proxy::{self, Call};
use crate::proto::yamux::{Payload, StreamId};
use crate::reactor::net::{Close, SockId};
use crate::reactor::{Cx, DialError, DialId};
use crate::roles::link::Link;
use crate::roles::listening::NO_DESCRIPTORS;
use crate::roles::pump::{Channel, Channels, Mux, Outcome, hindmost};
use crate::roles::tunnel::config::{ProxyProtocol, Target};

/// A stream that the server opened: one client of the public side.
pub(super) struct Stream {
    pub(super) channel: Channel,
    /// What has come of the header in front, while it is not whole.
    pub(super) heading: Option<Vec<u8>>,
    dial: Option<DialId>,
    call: Call,
    since: Time,
    /// How many came before it.
    number: u64,
}

impl Stream {
    pub(super) fn sock(&self) -> Option<SockId> {
        self.channel.sock()
    }

    pub(super) fn dial(&self) -> Option<DialId> {
        self.dial
    }

    /// Since when it is there.
    pub(super) fn since(&self) -> Time {
        self.since
    }

    /// How many came before it.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    pub(super) fn is_paused(&self) -> bool {
        self.channel.is_paused()
    }

    /// Bytes to the service, and from it.
    pub(super) fn bytes(&self) -> (u64, u64) {
        (self.channel.from_stream, self.channel.to_stream)
    }

    /// Who the client is, where that is known.
    pub(super) fn label(&self) -> String {
        match self.call.ends {
            Some((from, _)) => from.to_string(),
            None => format!("of stream {}", self.channel.stream.get()),
        }
    }
}

impl Expose {
    pub(super) fn stream_opened(&mut self, cx: &mut Cx<'_>, id: StreamId) {
        let State::Connected(connection) = &mut self.state else {
            return;
        };
        let with_address = connection.client_address();
        let Some(mux) = connection.mux() else {
            return;
        };
        // A server that parts said that it would open none, and hears the end next. Those whose session is gone have
        // descriptors, too.
        if mux.parting_since().is_some() || self.streams.len() >= self.config.max_streams {
            return mux.session.reset(id);
        }
        let entry = self.streams.vacant_entry();
        let key = entry.key();
        mux.session.accept(id, key as u32);
        mux.say(cx);
        let channel = match self.config.target {
            Target::Echo => Channel::echo(id, key as u32),
            Target::Service(_) => Channel::new(id, key as u32),
        };
        entry.insert(Stream {
            channel,
            heading: with_address.then(Vec::new),
            dial: None,
            call: Call::default(),
            since: cx.now(),
            number: self.counts.clients,
        });
        self.counts.clients += 1;
        self.counts.clients_most = self.counts.clients_most.max(self.streams.len());
        if !with_address {
            self.reach_service(cx, key);
        }
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
                self.reach_service(cx, key);
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

    fn reach_service(&mut self, cx: &mut Cx<'_>, key: usize) {
        let Target::Service(service) = &self.config.target else {
            return;
        };
        if !cx.has_room(self.dials.len()) {
            let text = format!("a client is reset: {NO_DESCRIPTORS}");
            self.journal.warn(cx.now(), "descriptors", text);
            return self.end_stream(cx, key, Close::Reset);
        }
        let dial = cx.dial(service, self.config.connect_timeout);
        self.streams[key].dial = Some(dial);
        self.dials.insert(dial, key);
    }

    pub(super) fn service_connected(&mut self, cx: &mut Cx<'_>, dial: DialId, sock: SockId) {
        let Some(key) = self.dials.remove(&dial) else {
            return cx.close(sock, Close::Orderly);
        };
        self.journal.forget(cx.now(), SERVICE);
        cx.set_tag(sock, Kind::Service.tag(key));
        cx.count_in(sock);
        if let Some(idle) = self.config.keepalive {
            cx.set_keepalive(sock, super::super::client_keepalive(idle));
        }
        let stream = &mut self.streams[key];
        stream.dial = None;
        let header = match self.config.proxy_protocol {
            None => Vec::new(),
            Some(ProxyProtocol::V1) => stream.call.write_v1(),
            Some(ProxyProtocol::V2) => stream.call.write_v2(),
        };
        stream.channel.begin_with(&header);
        let outcome = stream.channel.connect(cx, Link::new(sock));
        self.settle(cx, key, outcome);
    }

    pub(super) fn service_failed(&mut self, cx: &mut Cx<'_>, dial: DialId, error: &DialError) {
        let Some(key) = self.dials.remove(&dial) else {
            return;
        };
        self.streams[key].dial = None;
        if let Target::Service(service) = &self.config.target {
            let text = format!("service {service} {error}: its client is reset");
            self.journal.warn(cx.now(), SERVICE, text);
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

    pub(super) fn resume_stream(&mut self, cx: &mut Cx<'_>, key: usize) {
        self.with_channel(cx, key, |cx, mux, channel| mux.resume(cx, channel));
    }

    pub(super) fn service_readable(&mut self, cx: &mut Cx<'_>, key: usize) {
        match self.alone(key) {
            Some(channel) => {
                let outcome = channel.read_away(cx);
                self.settle(cx, key, outcome);
            }
            None => self.with_channel(cx, key, |cx, mux, channel| mux.link_readable(cx, channel)),
        }
    }

    pub(super) fn service_writable(&mut self, cx: &mut Cx<'_>, key: usize) {
        match self.alone(key) {
            Some(channel) => {
                let outcome = channel.deliver(cx);
                self.settle(cx, key, outcome);
            }
            None => self.with_channel(cx, key, |cx, mux, channel| mux.link_writable(cx, channel)),
        }
    }

    /// Looks whether a service that is not read is still there.
    pub(super) fn probe_stream(&mut self, cx: &mut Cx<'_>, key: usize) {
        if let Some(stream) = self.streams.get_mut(key)
            && let Some(link) = stream.channel.link()
            && let Err(error) = link.probe(cx)
        {
            self.settle(cx, key, Outcome::Broken(error));
        }
    }

    fn with_channel(
        &mut self,
        cx: &mut Cx<'_>,
        key: usize,
        act: impl FnOnce(&mut Cx<'_>, &mut Mux, &mut Channel) -> Outcome,
    ) {
        let State::Connected(connection) = &mut self.state else {
            return;
        };
        let (Some(mux), Some(stream)) = (connection.mux(), self.streams.get_mut(key)) else {
            return;
        };
        let outcome = act(cx, mux, &mut stream.channel);
        self.settle(cx, key, outcome);
    }

    fn settle(&mut self, cx: &mut Cx<'_>, key: usize, outcome: Outcome) {
        match outcome {
            Outcome::Going => {}
            Outcome::Over => self.end_stream(cx, key, Close::Orderly),
            Outcome::Broken(_) => self.end_stream(cx, key, Close::Reset),
        }
    }

    /// Resets the stream that the service holds up the most, see [`hindmost`].
    pub(super) fn end_hindmost(&mut self, cx: &mut Cx<'_>) {
        let streams = self.streams.iter().map(|(key, it)| (key, &it.channel));
        if let Some(key) = hindmost(streams.filter(|(_, channel)| !channel.is_alone())) {
            let text =
                "the service reads too little, and the session's memory is full: a client is reset";
            self.journal.warn(cx.now(), "memory", text.to_owned());
            self.end_stream(cx, key, Close::Reset);
        }
    }

    /// A stream is over.
    pub(super) fn end_stream(&mut self, cx: &mut Cx<'_>, key: usize, how: Close) {
        let Some(mut stream) = self.streams.try_remove(key) else {
            return;
        };
        if let Some(dial) = stream.dial {
            cx.cancel_dial(dial);
            self.dials.remove(&dial);
        }
        let (to, from) = stream.bytes();
        self.counts.to_service += to;
        self.counts.from_service += from;
        match self.mux() {
            // The session may be another one, with an equal stream of its own.
            Some(mux) if !stream.channel.is_alone() => mux.end(cx, &mut stream.channel, how),
            _ => {
                if let Some(link) = stream.channel.link() {
                    link.close(cx, how);
                }
            }
        }
        self.leave_if_done(cx);
        self.finish_if_drained(cx);
    }
}

/// The kind of line that says that the service is not there.
const SERVICE: &str = "service-down";
/// More than a header with its extensions takes.
const HEADING_MAX: usize = 2048;
