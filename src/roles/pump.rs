//! Copies both ways between links and the streams of one yamux session, with half-close and bounded buffers.
//!
//! ```text
//!   link ──read straight into──> outbox ──one write for many frames──> carrier     while the stream has credit
//!   link <──written straight from the carrier's input────────────────── carrier
//!     ^── queue: what the link did not take, at most the stream's window
//! ```
//!
//! A [`Mux`] is the session and what it is carried on; a [`Channel`] is one stream and its other end. Who owns them,
//! and what becomes of a channel that is over, the role decides.
//!
//! **Invariant.** A channel whose link is not read waits for credit, or stands in the queue of those that wait for
//! room.

mod carrier;
mod channel;
mod line;
mod parting;
mod rest;
mod tide;

use std::collections::VecDeque;
use std::io;

pub use self::carrier::{Carrier, Owner};
pub use self::channel::{Channel, Outcome};
pub use self::line::Question;
pub use self::rest::hindmost;
pub use self::tide::Tide;

use self::channel::{End, Ending};
use self::parting::Parting;
use crate::base::byte_queue::ByteQueue;
use crate::base::outbox::Outbox;
use crate::proto::yamux::{HEADER_LEN, PAYLOAD_FAIR, PAYLOAD_MAX, Session, StreamId};
use crate::reactor::Cx;
use crate::reactor::net::{Close, SockId};
use crate::roles::link::Link;

/// A session, what carries it, and what is on its way there.
#[derive(Debug)]
pub struct Mux<C = Link> {
    /// The session. Whatever is done with it, [`Mux::say`] has to follow.
    pub session: Session,
    carrier: C,
    out: Outbox,
    /// Channels that could read and found no room: their keys, and their sockets where nothing but these is needed to
    /// go on.
    waiting: VecDeque<(u32, Option<SockId>)>,
    /// Bytes that the channels' queues hold.
    held: usize,
    /// The session has more to say than its peer has read.
    choked: bool,
    /// The ping under way, where the session's owner lets it [`Mux::tick`].
    question: Option<Question>,
    /// How far it has taken its leave.
    parting: Parting,
}

impl<C: Carrier> Mux<C> {
    /// A session on a link, or on a layer above one.
    pub fn new(session: Session, carrier: C) -> Self {
        Self {
            session,
            carrier,
            out: Outbox::new(OUTBOX),
            waiting: VecDeque::new(),
            held: 0,
            choked: false,
            question: None,
            parting: Parting::No,
        }
    }

    /// What carries the session.
    pub fn carrier(&self) -> &C {
        &self.carrier
    }

    /// As [`Mux::carrier`], to read from it, or to close it.
    pub fn carrier_mut(&mut self) -> &mut C {
        &mut self.carrier
    }

    /// Bytes that channels hold since their other ends have not taken them.
    pub fn held(&self) -> usize {
        self.held
    }

    /// Whether the peer has left so much unread that no more can be said to it: the session can't go on.
    pub fn is_choked(&self) -> bool {
        self.choked
    }

    /// Bytes that wait to be sent.
    pub fn unsent(&self) -> usize {
        self.out.len()
    }

    /// Whether all that was said has left.
    pub fn is_flushed(&self) -> bool {
        self.out.is_empty() && self.carrier.is_flushed()
    }

    /// Puts bytes in front of all that the session says from now on.
    pub fn preface(&mut self, cx: &mut Cx<'_>, bytes: &[u8]) {
        self.choked |= !self.out.push(bytes);
        self.carrier.want_send(cx);
    }

    /// Sends what the session has to say for itself.
    pub fn say(&mut self, cx: &mut Cx<'_>) {
        while let Some(header) = self.session.poll(cx.now()) {
            if self.has_finished() {
                // Our direction has ended.
                continue;
            }
            self.choked |= !self.out.push(&header);
        }
        if !self.out.is_empty() {
            self.carrier.want_send(cx);
        }
    }

    /// Says a few bytes of our own on a stream that has credit for them.
    pub fn say_on(&mut self, cx: &mut Cx<'_>, stream: StreamId, bytes: &[u8]) {
        self.say(cx);
        match self.out.room() < HEADER_LEN + bytes.len() {
            // A frame without its end would take what follows for its own.
            true => self.choked = true,
            false => self.put_frame(stream, bytes),
        }
        self.carrier.want_send(cx);
    }

    /// Puts a frame with these bytes into the outbox, which has room for it.
    fn put_frame(&mut self, stream: StreamId, bytes: &[u8]) {
        self.fill_frame(stream, bytes.len(), |space| {
            space.copy_from_slice(bytes);
            bytes.len()
        });
    }

    /// As [`Mux::put_frame`], of what `fill` puts into the space for `most` bytes; none where that is nothing.
    fn fill_frame(&mut self, stream: StreamId, most: usize, fill: impl FnOnce(&mut [u8]) -> usize) {
        let space = self.out.space(HEADER_LEN + most);
        let count = fill(&mut space[HEADER_LEN..]);
        if count > 0 {
            let header = self.session.data(stream, count);
            space[..HEADER_LEN].copy_from_slice(&header);
            self.out.commit(HEADER_LEN + count);
        }
    }

    /// The carrier takes bytes: it sends. Channels that waited for room are read again.
    /// Returns the keys of those that are to be [`Mux::resume`]d, or have something to [`Mux::send`].
    pub fn flush(&mut self, cx: &mut Cx<'_>) -> io::Result<Vec<u32>> {
        if !self.has_finished() || !self.carrier.is_flushed() {
            self.carrier.send(cx, &mut self.out)?;
        }
        self.finish_if_parting(cx)?;
        Ok(self.wake(cx))
    }

    /// As many of those that wait for room go on as there is room for: all of them where nothing is on its way any
    /// more, since no flush would follow one that finds nothing to say.
    fn wake(&mut self, cx: &mut Cx<'_>) -> Vec<u32> {
        let mut resumed = Vec::new();
        let mut frames = match self.out.is_empty() {
            true => usize::MAX,
            false => self.room().div_ceil(PAYLOAD_MAX),
        };
        while frames > 0
            && let Some((key, sock)) = self.waiting.pop_front()
        {
            frames -= 1;
            match sock {
                Some(sock) => cx.want_read(sock, true),
                None => resumed.push(key),
            }
        }
        resumed
    }

    /// A channel's link has something to read: one frame of it.
    pub fn link_readable(&mut self, cx: &mut Cx<'_>, channel: &mut Channel) -> Outcome {
        let End::Link(link) = &mut channel.end else {
            return Outcome::Going;
        };
        channel.waiting = false;
        channel.paused = false;
        if channel.read_ended {
            // Nothing comes any more but the news that it is gone.
            return match link.read(cx, &mut [0; 16]) {
                Err(error) => Outcome::Broken(error),
                Ok(_) => Outcome::Going,
            };
        }
        self.say(cx);
        let sendable = self.session.sendable(channel.stream);
        let most = sendable.min(self.room());
        if most == 0 {
            link.want_read(cx, false);
            channel.paused = true;
            if sendable > 0 {
                channel.waiting = true;
                let sock = (!link.is_tls()).then_some(link.sock());
                self.waiting.push_back((channel.key, sock));
            }
            return Outcome::Going;
        }
        let mut read = Ok(None);
        self.fill_frame(channel.stream, most, |space| {
            read = link.read(cx, space);
            read.as_ref().map_or(0, |count| count.unwrap_or(0))
        });
        match read {
            Ok(None) => Outcome::Going,
            Ok(Some(0)) => {
                channel.read_ended = true;
                self.session.finish(channel.stream);
                self.say(cx);
                channel.outcome()
            }
            Ok(Some(count)) => {
                channel.to_stream += count as u64;
                self.say(cx);
                Outcome::Going
            }
            Err(error) => Outcome::Broken(error),
        }
    }

    /// A channel's link takes bytes again.
    pub fn link_writable(&mut self, cx: &mut Cx<'_>, channel: &mut Channel) -> Outcome {
        let consumed = match channel.write_out(cx) {
            Ok(consumed) => consumed,
            Err(error) => return Outcome::Broken(error),
        };
        self.held -= consumed;
        self.consume(cx, channel.stream, consumed);
        channel.end_if_due(cx)
    }

    /// A stream's payload came in.
    pub fn stream_data(&mut self, cx: &mut Cx<'_>, channel: &mut Channel, bytes: &[u8]) -> Outcome {
        let mut rest = bytes;
        if let End::Link(link) = &mut channel.end
            && channel.queue.is_empty()
        {
            let count = match link.write(cx, [bytes, &[]]) {
                Ok(count) => count,
                Err(error) => return Outcome::Broken(error),
            };
            rest = &bytes[count..];
            channel.from_stream += count as u64;
            self.consume(cx, channel.stream, count);
            if !rest.is_empty() {
                link.want_write(cx, true);
            }
        }
        channel.queue.push(rest);
        channel.note_oldest(cx.now());
        self.held += rest.len();
        match channel.end {
            End::Echo => self.echo(cx, channel),
            End::Link(_) | End::Coming => Outcome::Going,
        }
    }

    /// A stream has ended: so does the other end's direction, behind what is on its way there.
    pub fn stream_finished(&mut self, cx: &mut Cx<'_>, channel: &mut Channel) -> Outcome {
        channel.ending = Ending::Due;
        match channel.end {
            End::Echo => self.echo(cx, channel),
            End::Link(_) | End::Coming => channel.end_if_due(cx),
        }
    }

    /// A stream has credit again.
    pub fn stream_credit(&mut self, cx: &mut Cx<'_>, channel: &mut Channel) -> Outcome {
        match &channel.end {
            End::Link(_) if channel.waiting => Outcome::Going,
            End::Link(_) | End::Echo | End::Coming => self.resume(cx, channel),
        }
    }

    /// A channel that waited goes on.
    pub fn resume(&mut self, cx: &mut Cx<'_>, channel: &mut Channel) -> Outcome {
        match &mut channel.end {
            End::Link(link) => {
                link.want_read(cx, true);
                Outcome::Going
            }
            End::Echo => self.echo(cx, channel),
            End::Coming => Outcome::Going,
        }
    }

    /// Sends back what a stream has said, as far as there is credit and room.
    fn echo(&mut self, cx: &mut Cx<'_>, channel: &mut Channel) -> Outcome {
        channel.waiting = false;
        while !channel.queue.is_empty() {
            let most = self.session.sendable(channel.stream);
            if most == 0 {
                return Outcome::Going;
            }
            if self.room() == 0 {
                channel.waiting = true;
                self.waiting.push_back((channel.key, None));
                return Outcome::Going;
            }
            let [first, _] = channel.queue.front();
            let count = most.min(self.room()).min(first.len());
            self.put_frame(channel.stream, &first[..count]);
            channel.queue.consume(count);
            self.held -= count;
            channel.from_stream += count as u64;
            channel.to_stream += count as u64;
            channel.note_oldest(cx.now());
            self.consume(cx, channel.stream, count);
        }
        if channel.ending == Ending::Due {
            channel.ending = Ending::Done;
            channel.read_ended = true;
            self.session.finish(channel.stream);
        }
        self.say(cx);
        channel.outcome()
    }

    /// A channel is over, well or badly: its link is closed, and its stream, where it is still there, reset.
    pub fn end(&mut self, cx: &mut Cx<'_>, channel: &mut Channel, how: Close) {
        self.held -= channel.queue.len() - channel.preface;
        channel.queue = ByteQueue::new();
        channel.preface = 0;
        if channel.waiting {
            self.waiting.retain(|(key, _)| *key != channel.key);
        }
        if let End::Link(link) = &mut channel.end {
            link.close(cx, how);
        }
        if how == Close::Reset {
            self.session.reset(channel.stream);
            self.say(cx);
        }
    }

    /// Bytes of a stream are done with, where no channel has them.
    pub fn consume(&mut self, cx: &mut Cx<'_>, stream: StreamId, len: usize) {
        if len > 0 {
            self.session.consumed(cx.now(), stream, len);
            self.say(cx);
        }
    }
}

/// Payload is added to the outbox up to here, two frames of the largest: enough for large writes, little enough that a
/// ping behind it is soon out, and what is sent is still in the cache.
const DATA_MAX: usize = 2 * (HEADER_LEN + PAYLOAD_MAX);
/// What is left above is for the session's own frames; a peer that lets it run full does not read.
const OUTBOX: usize = DATA_MAX + (128 << 10);

#[cfg(test)]
mod tests;
