//! How much of what was sent may still be under way, where the line has no end of its own that pushes back: pings are
//! put between the bytes, and each answer says that all in front of it has arrived.
//!
//! ```text
//!   sent ────┬───────────┬───────────┬──────> now         no data while now is too far from the last answer
//!          ping 0      ping 1      ping 2
//!          answered
//! ```

use std::collections::VecDeque;

use super::frame::{Flags, Header, Kind};
use super::{FLIGHT_MARK, FRAME_MAX, PAYLOAD_MAX};

/// What is under way, and the pings in between.
#[derive(Clone, Debug)]
pub(super) struct Flight {
    /// The most bytes, frames' headers included.
    max: u64,
    /// Bytes sent so far.
    sent: u64,
    /// So many of them are known to have arrived.
    arrived: u64,
    /// Where the next ping is due.
    due: u64,
    /// Pings under way: their values, and what had been sent before each.
    marks: VecDeque<(u32, u64)>,
    next: u32,
}

impl Flight {
    pub(super) fn new(max: u64) -> Self {
        Self {
            max,
            sent: 0,
            arrived: 0,
            due: FLIGHT_MARK,
            marks: VecDeque::new(),
            next: 0,
        }
    }

    /// Whether there is room for one more frame of data.
    pub(super) fn is_room(&self) -> bool {
        self.room() > 0
    }

    /// How much payload the next frame may have.
    pub(super) fn room(&self) -> usize {
        match self.left() < FRAME_MAX {
            true => 0,
            false => PAYLOAD_MAX,
        }
    }

    /// How many bytes may be sent yet, frames' headers included.
    pub(super) fn left(&self) -> usize {
        let left = self.max.saturating_sub(self.under_way());
        usize::try_from(left).unwrap_or(usize::MAX)
    }

    /// Bytes that are not known to have arrived.
    pub(super) fn under_way(&self) -> u64 {
        self.sent - self.arrived
    }

    /// So many bytes more were sent. Returns the ping that is to follow, if one is due.
    pub(super) fn send(&mut self, len: usize) -> Option<Header> {
        self.sent += len as u64;
        if self.sent < self.due {
            return None;
        }
        self.due = self.sent + FLIGHT_MARK;
        let value = VALUES | self.next;
        self.next = (self.next + 1) & !VALUES;
        self.marks.push_back((value, self.sent));
        Some(Header {
            kind: Kind::Ping,
            flags: Flags::SYN,
            stream: 0,
            length: value,
        })
    }

    /// A ping was answered. Whether it is one of these.
    pub(super) fn answer(&mut self, value: u32) -> bool {
        let Some(at) = self.marks.iter().position(|(asked, _)| *asked == value) else {
            return false;
        };
        // The line keeps the order: those in front of it have arrived, too.
        if let Some((_, sent)) = self.marks.drain(..=at).next_back() {
            self.arrived = sent;
        }
        true
    }

    pub(super) fn check_invariants(&self) {
        assert!(self.arrived <= self.sent, "more has arrived than was sent");
        assert!(self.sent < self.due, "a ping is overdue");
        let places = self.marks.iter().map(|(_, sent)| *sent);
        assert!(places.is_sorted() && self.marks.iter().all(|(_, at)| *at > self.arrived));
    }
}

/// The upper half of the values, which pings that only ask whether the peer is there do not reach.
const VALUES: u32 = 1 << 31;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::yamux::HEADER_LEN;

    #[test]
    fn no_more_is_under_way_than_was_agreed() {
        let mut flight = Flight::new(1 << 20);
        let mut pings = VecDeque::new();
        while flight.is_room() {
            pings.extend(flight.send(HEADER_LEN + flight.room()));
            flight.check_invariants();
        }
        assert!(flight.under_way() <= 1 << 20);
        assert_eq!(pings.len(), 3, "one for each quarter that is full");
        assert!(!flight.answer(7), "nobody asked that");
        let before = flight.under_way();
        assert!(flight.answer(pings[1].length));
        assert!(flight.is_room());
        let freed = before - flight.under_way();
        assert!((2 * FLIGHT_MARK..3 * FLIGHT_MARK).contains(&freed));
        assert!(
            !flight.answer(pings[0].length),
            "it was answered with the second"
        );
        assert!(flight.answer(pings[2].length));
        flight.check_invariants();
    }
}
