//! One stream of a session and its other end: what of each direction is under way, and what has ended.

use std::io;

use crate::base::byte_queue::ByteQueue;
use crate::base::time::Time;
use crate::proto::yamux::StreamId;
use crate::reactor::Cx;
use crate::reactor::net::SockId;
use crate::roles::link::Link;

/// A stream and its other end.
#[derive(Debug)]
pub struct Channel {
    /// The stream.
    pub stream: StreamId,
    /// Bytes that went from the stream to the other end.
    pub from_stream: u64,
    /// Bytes that went from the other end into the stream.
    pub to_stream: u64,
    pub(super) key: u32,
    pub(super) end: End,
    /// From the stream, and not yet taken by the other end.
    pub(super) queue: ByteQueue,
    /// Bytes at the head of the queue that never came from the stream.
    pub(super) preface: usize,
    /// The stream's direction towards the other end.
    pub(super) ending: Ending,
    /// The other end has said all.
    pub(super) read_ended: bool,
    /// It stands in the queue of those that wait for room.
    pub(super) waiting: bool,
    /// Its link is not read.
    pub(super) paused: bool,
    /// When the oldest bytes of the queue came, and the count of the stream's bytes at which the next mark is set.
    pub(super) oldest: (Time, u64),
    /// Its session is gone.
    pub(super) alone: bool,
    /// Since then the other end has said something.
    pub(super) thrown_away: bool,
}

/// What a stream is connected with.
#[derive(Debug)]
pub(super) enum End {
    /// Nothing yet.
    Coming,
    /// A link.
    Link(Link),
    /// Itself: what it says comes back.
    Echo,
}

/// Where the direction from a stream to its other end stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    Open,
    /// The stream has ended, and its bytes wait in the queue.
    Due,
    Done,
}

/// What became of a channel.
#[derive(Debug)]
#[must_use]
pub enum Outcome {
    /// It goes on.
    Going,
    /// Both directions have ended.
    Over,
    /// Its link is broken, for this reason: its stream is to be reset.
    Broken(io::Error),
}

impl Channel {
    /// A stream whose other end is still to come: what it says is kept.
    pub fn new(stream: StreamId, key: u32) -> Self {
        Self {
            stream,
            from_stream: 0,
            to_stream: 0,
            key,
            end: End::Coming,
            queue: ByteQueue::new(),
            preface: 0,
            ending: Ending::Open,
            read_ended: false,
            waiting: false,
            paused: false,
            oldest: (Time::ZERO, 0),
            alone: false,
            thrown_away: false,
        }
    }

    /// A stream that hears itself.
    pub fn echo(stream: StreamId, key: u32) -> Self {
        Self {
            end: End::Echo,
            ..Self::new(stream, key)
        }
    }

    /// The other end's link, if it has one.
    pub fn link(&mut self) -> Option<&mut Link> {
        match &mut self.end {
            End::Link(link) => Some(link),
            End::Coming | End::Echo => None,
        }
    }

    /// The other end's socket, if it has one.
    pub fn sock(&self) -> Option<SockId> {
        match &self.end {
            End::Link(link) => Some(link.sock()),
            End::Coming | End::Echo => None,
        }
    }

    /// Bytes of the stream that wait to be taken.
    pub fn queued(&self) -> usize {
        self.queue.len() - self.preface
    }

    /// Whether the other end is not read at the moment, so that only a probe shows that it is gone. One to which our
    /// direction has ended can't be probed: every write fails.
    pub fn is_paused(&self) -> bool {
        self.paused && self.ending != Ending::Done
    }

    /// The other end gets these bytes first, of which the stream knows nothing. Before it is connected.
    pub fn begin_with(&mut self, preface: &[u8]) {
        self.queue.push_front(preface);
        self.preface = preface.len();
    }

    /// The other end is there.
    pub fn connect(&mut self, cx: &mut Cx<'_>, mut link: Link) -> Outcome {
        debug_assert!(
            !link.is_tls(),
            "one that is over would be closed before all was encrypted and sent"
        );
        link.want_read(cx, true);
        link.want_write(cx, !self.queue.is_empty());
        self.end = End::Link(link);
        self.end_if_due(cx)
    }

    pub(super) fn outcome(&self) -> Outcome {
        match self.read_ended && self.ending == Ending::Done {
            true => Outcome::Over,
            false => Outcome::Going,
        }
    }

    /// Passes the stream's end on once all before it has been.
    pub(super) fn end_if_due(&mut self, cx: &mut Cx<'_>) -> Outcome {
        if let End::Link(link) = &mut self.end
            && self.ending == Ending::Due
            && self.queue.is_empty()
        {
            self.ending = Ending::Done;
            if let Err(error) = link.finish(cx) {
                return Outcome::Broken(error);
            }
        }
        self.outcome()
    }

    /// Takes bytes that the other end has taken off the books; returns how many of them were the stream's.
    pub(super) fn taken(&mut self, len: usize) -> usize {
        let preface = self.preface.min(len);
        self.preface -= preface;
        self.from_stream += (len - preface) as u64;
        len - preface
    }
}
