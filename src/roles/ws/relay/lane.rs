//! A lane: a connection of a client's and the way to its host, with what waits in either direction.
//!
//! ```text
//!   client's stream, or plain client ──up──> queue ──> host's stream, or plain host
//!                                    <── queue <──down──
//! ```
//!
//! A queue holds what its sink does not take. A stream's window bounds it at one end, and at the other a plain
//! WebSocket is not read while too much of it waits.

use std::collections::VecDeque;

use crate::base::time::Time;
use crate::base::wheel::TimerKey;
use crate::proto::hello::Name;
use crate::proto::yamux::StreamId;
use crate::roles::ws::tokens::Part;

/// A client's connection.
#[derive(Debug)]
pub(super) struct Lane {
    /// No other one has it, or has had it.
    pub(super) number: u64,
    pub(super) client: End,
    /// `None`: it waits for one.
    pub(super) host: Option<End>,
    pub(super) name: Option<Name>,
    pub(super) up: Flow,
    pub(super) down: Flow,
    /// The end of its wait.
    pub(super) timer: Option<TimerKey>,
    pub(super) since: Time,
    /// Who the client is, for the log.
    pub(super) label: String,
    /// What it holds, as it stands in the books.
    pub(super) noted: usize,
}

/// One end of a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// A stream of this peer's session.
    Stream(usize, StreamId),
    /// All of this peer.
    Plain(usize),
    /// A host or client that has ended; its last words may still be on their way.
    Gone,
}

impl End {
    /// A stream of this peer's session, or all of the peer.
    pub(super) fn of(peer: usize, stream: Option<StreamId>) -> Self {
        match stream {
            Some(stream) => Self::Stream(peer, stream),
            None => Self::Plain(peer),
        }
    }

    pub(super) fn peer(self) -> Option<usize> {
        match self {
            Self::Stream(peer, _) | Self::Plain(peer) => Some(peer),
            Self::Gone => None,
        }
    }
}

/// A direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// From the client to the host.
    Up,
    /// From the host to the client.
    Down,
}

impl Way {
    /// What comes from a peer with this part.
    pub(super) fn from(part: Part) -> Self {
        match part {
            Part::Client => Self::Up,
            Part::Host => Self::Down,
        }
    }

    /// What goes to a peer with this part.
    pub(super) fn to(part: Part) -> Self {
        match part {
            Part::Client => Self::Down,
            Part::Host => Self::Up,
        }
    }
}

/// What goes in one direction.
#[derive(Debug, Default)]
pub(super) struct Flow {
    pub(super) queue: VecDeque<u8>,
    /// The source has said all.
    pub(super) ended: bool,
    /// The sink knows that.
    pub(super) done: bool,
    /// It stands in its sink's queue of those that wait for room.
    pub(super) waits: bool,
    pub(super) moved: u64,
    /// Since when the oldest bytes wait, and where a later mark is set: behind all that had come at that moment.
    oldest: (Time, u64),
}

impl Flow {
    /// Remembers since when the oldest bytes wait: a mark stands behind all that had come at some moment, and the next
    /// one is set when it is passed.
    pub(super) fn note_oldest(&mut self, now: Time) {
        if self.moved >= self.oldest.1 {
            self.oldest = (now, self.moved + self.queue.len() as u64);
        }
    }
}

impl Lane {
    pub(super) fn flow(&mut self, way: Way) -> &mut Flow {
        match way {
            Way::Up => &mut self.up,
            Way::Down => &mut self.down,
        }
    }

    pub(super) fn ends(&self, way: Way) -> (Option<End>, Option<End>) {
        match way {
            Way::Up => (Some(self.client), self.host),
            Way::Down => (self.host, Some(self.client)),
        }
    }

    pub(super) fn peers(&self) -> impl Iterator<Item = End> {
        [Some(self.client), self.host].into_iter().flatten()
    }

    /// Whether it goes over this peer.
    pub(super) fn has(&self, peer: usize) -> bool {
        self.peers().any(|end| end.peer() == Some(peer))
    }

    /// Bytes that it holds.
    pub(super) fn held(&self) -> usize {
        self.up.queue.len() + self.down.queue.len()
    }

    /// Since when the oldest of these wait.
    pub(super) fn waits_since(&self) -> Time {
        let flows = [&self.up, &self.down].into_iter();
        let full = flows.filter(|flow| !flow.queue.is_empty());
        full.map(|flow| flow.oldest.0).min().unwrap_or(self.since)
    }

    /// What comes from this peer, if it goes over it.
    fn flow_of(&self, peer: usize) -> Option<&Flow> {
        let is = |end: Option<End>| end.and_then(End::peer) == Some(peer);
        match (is(Some(self.client)), is(self.host)) {
            (true, _) => Some(&self.up),
            (false, true) => Some(&self.down),
            (false, false) => None,
        }
    }

    /// Bytes of this peer's that it holds, and since when the oldest of them wait.
    pub(super) fn waits_of(&self, peer: usize) -> (usize, Time) {
        self.flow_of(peer)
            .map_or((0, self.since), |flow| (flow.queue.len(), flow.oldest.0))
    }

    /// Bytes of this peer's that it holds.
    pub(super) fn held_of(&self, peer: usize) -> usize {
        self.waits_of(peer).0
    }

    /// Bytes to the client, and from it.
    pub(super) fn bytes(&self) -> (u64, u64) {
        (self.down.moved, self.up.moved)
    }

    pub(super) fn label(&self) -> &str {
        &self.label
    }
}
