//! MPEG-TS packets: found by their sync bytes, then counted.
//!
//! ```text
//!            0x47 at 0 and 188                        a packet without its sync byte
//!   Start ----------------------> Synced ------------------------------------------+
//!     |                              ^                                             v
//!     |                              +---- 0x47 at n, n + 188, n + 376 ---- Searching
//!     +-------------------------------------------------------------------------> ^
//!            anything else
//! ```
//!
//! While it searches, what has come of a possible first packet is held back, two packets at most, and of those bytes
//! only one thing is remembered: which are sync bytes.

use memchr::memchr;

use super::framing::{PACKET, SYNC};
use super::{Malformed, Piece};

/// Between two pieces.
#[derive(Clone, Debug)]
pub(super) struct Packets {
    state: State,
    /// Which partial bytes are sync bytes; empty while in sync.
    marks: Marks,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Start,
    Searching,
    Synced,
}

impl Packets {
    pub(super) fn new() -> Self {
        Self {
            state: State::Start,
            marks: Marks::default(),
        }
    }

    pub(super) fn feed(&mut self, bytes: &[u8], before: usize) -> Piece {
        let in_sync = self.state == State::Synced && (before > 0 || bytes[0] == SYNC);
        if !in_sync {
            if let Some(piece) = self.search(bytes) {
                return piece;
            }
            self.state = State::Synced;
            self.marks = Marks::default();
        }
        // The partial bytes begin a packet, and no packet begins later in them without its sync byte.
        let len = before + bytes.len();
        let mut end = 0;
        while end + PACKET <= len && (end < before || bytes[end - before] == SYNC) {
            end += PACKET;
        }
        match end {
            0 => Piece::Partial(bytes.len()),
            _ => Piece::Whole(end - before),
        }
    }

    /// Removes what comes before the first place where packets may begin, or holds it back while it may be one; none
    /// once it is one.
    fn search(&mut self, bytes: &[u8]) -> Option<Piece> {
        let before = self.marks.len;
        let len = before + bytes.len();
        let is_sync = |at: usize| match at.checked_sub(before) {
            Some(at) => bytes[at] == SYNC,
            None => self.marks.get(at),
        };
        let proof = match self.state {
            State::Start => PACKET,
            State::Searching | State::Synced => 2 * PACKET,
        };
        let mut start = 0;
        while start < len {
            let mut places = (start..=start + proof).step_by(PACKET);
            if places.all(|at| at >= len || is_sync(at)) {
                break;
            }
            start += 1;
            if let Some(at) = start.checked_sub(before) {
                start = memchr(SYNC, &bytes[at..]).map_or(len, |ahead| start + ahead);
            }
        }
        if start > 0 {
            let told = self.state == State::Searching;
            self.state = State::Searching;
            let gone = start.min(before);
            self.marks.drop_first(gone);
            return Some(Piece::Garbage {
                before: gone,
                bytes: start - gone,
                why: (!told).then_some(Malformed::NoSync),
            });
        }
        if len > proof {
            return None;
        }
        for byte in bytes {
            self.marks.push(*byte == SYNC);
        }
        Some(Piece::Partial(bytes.len()))
    }
}

/// A mark for each of up to two packets' bytes.
#[derive(Clone, Debug, Default)]
struct Marks {
    words: [u64; (2 * PACKET).div_ceil(64)],
    len: usize,
}

impl Marks {
    fn get(&self, at: usize) -> bool {
        self.words[at / 64] >> (at % 64) & 1 == 1
    }

    fn push(&mut self, mark: bool) {
        self.words[self.len / 64] |= u64::from(mark) << (self.len % 64);
        self.len += 1;
    }

    fn drop_first(&mut self, count: usize) {
        let (words, bits) = (count / 64, count % 64);
        for at in 0..self.words.len() {
            let word = |ahead| self.words.get(at + words + ahead).copied().unwrap_or(0);
            // Shifted in two steps, since a shift by all 64 bits is not one.
            self.words[at] = word(0) >> bits | word(1) << 1 << (63 - bits);
        }
        self.len -= count;
    }
}
