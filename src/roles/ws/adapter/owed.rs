//! Connections that outlive their WebSocket: what the relay had said on them had come whole, with its end, and our own
//! ends have not read all of it. What they hold counts against `--memory`, and they against `--max-streams`; as they
//! may read for as long as they like, the oldest of them goes where another connection needs its place.

use super::plain::Plain;
use super::streams::{Body, Stream};
use super::{Adapter, State, Up};
use crate::reactor::Cx;
use crate::reactor::net::Close;
use crate::roles::pump::{Channel, Channels, Parted};

impl Stream {
    /// Whether its WebSocket is gone.
    pub(super) fn is_alone(&self) -> bool {
        self.channel().is_some_and(Channel::is_alone)
    }
}

impl Plain {
    /// What is left of its connection, which needs it no more.
    fn leave(&mut self, cx: &mut Cx<'_>, key: usize) -> Channel {
        self.stream = None;
        if std::mem::take(&mut self.paused) {
            // Its end has to be read.
            self.wire.want_read(cx, true);
        }
        let queue = std::mem::take(&mut self.queue);
        let bytes = (self.from_relay, self.to_relay);
        Channel::left(cx, key as u32, self.link.take(), queue, bytes)
    }
}

/// Of all connections that have a stream, or had one.
impl Channels for Adapter {
    fn channels(&self) -> impl Iterator<Item = (usize, &Channel)> + Clone {
        let streams = self.streams.iter();
        streams.filter_map(|(key, stream)| Some((key, stream.channel()?)))
    }

    fn channel_mut(&mut self, key: usize) -> Option<&mut Channel> {
        self.streams.get_mut(key)?.channel_mut()
    }
}

impl Adapter {
    /// The WebSocket is gone: connections that are owed something live on without.
    pub(super) fn part_streams(&mut self, cx: &mut Cx<'_>) -> Parted {
        let ours = |stream: &Stream| !stream.waits() && !stream.is_alone();
        let ours = self.streams.iter().filter(|(_, stream)| ours(stream));
        let ours: Vec<usize> = ours.map(|(key, _)| key).collect();
        self.part(cx, ours)
    }

    /// A plain relay has said all, and well. Our own end may read it for as long as it likes.
    pub(super) fn part_plain(&mut self, cx: &mut Cx<'_>) {
        if let State::Up(up) = &mut self.state
            && let Up::Plain(plain) = &mut **up
            && let Some(key) = plain.stream
        {
            self.streams[key].body = Body::Piped(Box::new(plain.leave(cx, key)));
            self.shed(cx);
            self.local_writable(cx, key);
            self.accept_if_room(cx);
        }
    }

    /// Resets those who hold up the others while all together hold more than they may.
    pub(super) fn shed(&mut self, cx: &mut Cx<'_>) {
        while self.held() > self.config.memory && self.end_hindmost(cx) {}
    }

    /// Bytes that connections hold since our own ends have not taken them, but for a plain WebSocket's.
    pub(super) fn held(&self) -> usize {
        let of_session = match &self.state {
            State::Up(up) => match &**up {
                Up::Mux(mux) => mux.held(),
                Up::Plain(_) => 0,
            },
            _ => 0,
        };
        of_session + self.owed()
    }

    /// Whether a connection is left that goes through the WebSocket, or waits for one.
    pub(super) fn has_streams(&self) -> bool {
        self.streams.iter().any(|(_, stream)| !stream.is_alone())
    }

    /// Closes those that have got everything, and say nothing themselves. To be called each second or so.
    pub(super) fn tick_owed(&mut self, cx: &mut Cx<'_>) {
        for (key, how) in self.delivered(cx) {
            self.end_stream(cx, key, how);
        }
    }

    fn outlivers(&self) -> impl Iterator<Item = (usize, &Stream)> {
        self.streams.iter().filter(|(_, stream)| stream.is_alone())
    }

    /// Whether another connection may be taken, for which [`Adapter::make_room`] may have to be called.
    pub(super) fn has_room(&self) -> bool {
        self.streams.len() < self.config.max_streams || self.outlivers().next().is_some()
    }

    /// The oldest of those whose WebSocket is gone makes room for another connection where there would be too many.
    pub(super) fn make_room(&mut self, cx: &mut Cx<'_>) {
        if self.streams.len() >= self.config.max_streams
            && let Some((key, _)) = self.outlivers().min_by_key(|(_, stream)| stream.number)
        {
            let text = "a connection that only reads what a relay has left makes room for the next one \
                        (--max-streams): reset";
            self.journal.warn(cx.now(), "room", text.to_owned());
            self.end_stream(cx, key, Close::Reset);
        }
    }
}
