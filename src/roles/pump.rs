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

use std::array;
use std::collections::VecDeque;
use std::io::{self, IoSliceMut};

pub use self::carrier::{Carrier, Owner};
pub use self::channel::{Channel, Outcome};
pub use self::line::Question;
pub use self::rest::{Channels, Parted, hindmost, longest_waiting};
pub use self::tide::Tide;

use self::channel::{End, Ending};
use self::parting::Parting;
use crate::base::byte_queue::ByteQueue;
use crate::base::outbox::Outbox;
use crate::proto::yamux::{FRAME_MAX, HEADER_LEN, PAYLOAD_MAX, Payload, Session, StreamId};
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
        let header = self.session.data(stream, bytes.len());
        let space = self.out.space(HEADER_LEN + bytes.len());
        space[..HEADER_LEN].copy_from_slice(&header);
        space[HEADER_LEN..].copy_from_slice(bytes);
        self.out.commit(HEADER_LEN + bytes.len());
    }

    /// Puts as many frames into the outbox, which has room for them, as `fill` fills of the places for their payload,
    /// for `most` bytes in all, one after the other.
    fn fill_frames(
        &mut self,
        stream: StreamId,
        most: usize,
        fill: impl FnOnce(&mut [IoSliceMut<'_>]) -> usize,
    ) {
        let space = self.out.space(on_the_wire(most));
        let mut frames = space.chunks_mut(FRAME_MAX);
        let mut places: [_; TURN_FRAMES] = array::from_fn(|_| {
            let frame = frames.next().unwrap_or_default();
            IoSliceMut::new(frame.get_mut(HEADER_LEN..).unwrap_or_default())
        });
        let count = fill(&mut places[..most.div_ceil(PAYLOAD_MAX)]);
        let mut left = count;
        for frame in space.chunks_mut(FRAME_MAX) {
            if left == 0 {
                break;
            }
            let len = left.min(PAYLOAD_MAX);
            frame[..HEADER_LEN].copy_from_slice(&self.session.data(stream, len));
            left -= len;
        }
        self.out.commit(on_the_wire(count));
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
        let mut turns = match self.out.is_empty() {
            true => usize::MAX,
            false => self.room().div_ceil(TURN_MAX),
        };
        while turns > 0
            && let Some((key, sock)) = self.waiting.pop_front()
        {
            turns -= 1;
            match sock {
                Some(sock) => cx.want_read(sock, true),
                None => resumed.push(key),
            }
        }
        resumed
    }

    /// A channel's link has something to read: one turn's worth of it.
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
        let room = self.room().min(TURN_MAX);
        let most = self.session.sendable_within(channel.stream, room);
        if most == 0 {
            link.want_read(cx, false);
            channel.paused = true;
            if self.session.sendable(channel.stream) > 0 {
                channel.waiting = true;
                let sock = (!link.is_tls()).then_some(link.sock());
                self.waiting.push_back((channel.key, sock));
            }
            return Outcome::Going;
        }
        let mut read = Ok(None);
        self.fill_frames(channel.stream, most, |places| {
            read = link.read_slices(cx, places);
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
    pub fn stream_data(
        &mut self,
        cx: &mut Cx<'_>,
        channel: &mut Channel,
        payload: Payload<'_>,
    ) -> Outcome {
        let mut rest = payload;
        if let End::Link(link) = &mut channel.end
            && channel.queue.is_empty()
        {
            let written = payload.with_slices(|slices| link.write_slices(cx, slices));
            let count = match written {
                Ok(count) => count,
                Err(error) => return Outcome::Broken(error),
            };
            rest = payload.skip(count);
            channel.from_stream += count as u64;
            self.consume(cx, channel.stream, count);
            if !rest.is_empty() {
                link.want_write(cx, true);
            }
        }
        rest.pieces().for_each(|piece| channel.queue.push(piece));
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
            let count = most.min(first.len());
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
        self.held -= channel.queued();
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

/// How many bytes that much payload takes with its frames' headers.
fn on_the_wire(payload: usize) -> usize {
    payload + payload.div_ceil(PAYLOAD_MAX) * HEADER_LEN
}

/// What one visit to a link adds to the outbox, by one read into several frames; then it is another stream's turn. It
/// is no more than the largest segment there is, so that whoever reads the carrier in pieces of this length gets whole
/// turns, and passes each on by one write.
pub const TURN_MAX: usize = (64 << 10) - 116;
const TURN_FRAMES: usize = TURN_MAX.div_ceil(FRAME_MAX);
/// Payload is added to the outbox up to here: enough for large writes, little enough that a ping behind it is soon out,
/// and what is sent is still in the cache.
const DATA_MAX: usize = 2 * TURN_MAX;
/// What is left above is for the session's own frames; a peer that lets it run full does not read.
const OUTBOX: usize = DATA_MAX + (128 << 10);

#[cfg(test)]
mod tests;
