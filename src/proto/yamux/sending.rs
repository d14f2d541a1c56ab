//! What may be sent of a stream, and the headers of its frames. The payload never passes through here.

use super::flight::Flight;
use super::frame::{Flags, HEADER_LEN, Header, Kind, StreamId};
use super::session::Session;
use super::stream::Stream;
use super::{FRAME_MAX, PAYLOAD_MAX};

impl Session {
    /// How much payload the next frame of a stream may have; 0 while it has no credit, or is gone, or too much is under
    /// way. [`super::Event::Credit`] tells when that is over.
    pub fn sendable(&self, id: StreamId) -> usize {
        let room = self.flight.as_ref().map_or(PAYLOAD_MAX, Flight::room);
        self.credit(id).min(room)
    }

    /// As [`Session::sendable`], of all frames that may be sent one behind the other, as far as they fit into `room`
    /// bytes with their headers. Each but the last is of the largest.
    pub fn sendable_within(&self, id: StreamId, room: usize) -> usize {
        let room = match &self.flight {
            None => room,
            Some(flight) if flight.is_room() => flight.left().min(room),
            Some(_) => 0,
        };
        self.credit(id).min(payload_within(room))
    }

    fn credit(&self, id: StreamId) -> usize {
        self.streams.get(&id.0).map_or(0, Stream::credit) as usize
    }

    /// The header of a frame with `len` bytes of payload, 1 at least, which the caller sends right behind it. What
    /// [`Session::poll`] has must have been sent before.
    ///
    /// # Panics
    /// If `len` is 0 or above [`PAYLOAD_MAX`], or more than [`Session::sendable_within`] allowed.
    pub fn data(&mut self, id: StreamId, len: usize) -> [u8; HEADER_LEN] {
        let left = self.flight.as_ref().map_or(usize::MAX, Flight::left);
        let most = self.credit(id).min(payload_within(left)).min(PAYLOAD_MAX);
        assert!(
            (1..=most).contains(&len),
            "{id:?} may not send {len} bytes now"
        );
        let len = len as u32;
        let stream = self
            .streams
            .get_mut(&id.0)
            .expect("one that may send is there");
        stream.spend(len);
        self.sends(HEADER_LEN + len as usize);
        let header = Header {
            kind: Kind::Data,
            flags: Flags::NONE,
            stream: id.0,
            length: len,
        };
        header.encode()
    }

    /// So many bytes leave. Where a ping is due, it follows.
    pub(super) fn sends(&mut self, len: usize) {
        if let Some(ping) = self.flight.as_mut().and_then(|flight| flight.send(len)) {
            self.answers.push_back(ping);
        }
    }
}

/// How much payload fits into `room` bytes with the headers that it needs.
fn payload_within(room: usize) -> usize {
    let last = (room % FRAME_MAX).saturating_sub(HEADER_LEN);
    room / FRAME_MAX * PAYLOAD_MAX + last
}
