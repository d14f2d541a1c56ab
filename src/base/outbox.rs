//! Bytes on their way out: written at the back, sent from the front. Flat, so that they go out in one piece and can be
//! read straight into; bounded, by what it was made with. It takes memory as it is needed, and keeps it: who has
//! nothing to say costs none.
//!
//! ```text
//!   | sent | pending | space |        when nothing is pending, both begin at the front again
//! ```

/// A bounded, flat queue of bytes.
#[derive(Debug)]
pub struct Outbox {
    bytes: Vec<u8>,
    capacity: usize,
    from: usize,
    to: usize,
    sent_total: u64,
}

impl Outbox {
    /// Room for `capacity` bytes.
    pub fn new(capacity: usize) -> Self {
        Self {
            bytes: Vec::new(),
            capacity,
            from: 0,
            to: 0,
            sent_total: 0,
        }
    }

    /// What waits to be sent.
    pub fn pending(&self) -> &[u8] {
        &self.bytes[self.from..self.to]
    }

    /// As [`Outbox::pending`], for a layer that changes bytes on their way.
    pub fn pending_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[self.from..self.to]
    }

    /// How much waits to be sent.
    pub fn len(&self) -> usize {
        self.to - self.from
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.from == self.to
    }

    /// Bytes that were ever sent.
    pub fn sent_total(&self) -> u64 {
        self.sent_total
    }

    /// How many bytes can be added.
    pub fn room(&self) -> usize {
        self.capacity - self.len()
    }

    /// A place for `len` bytes at the back, to be filled and then [`Outbox::commit`]ted.
    ///
    /// # Panics
    /// If there is no room for them.
    pub fn space(&mut self, len: usize) -> &mut [u8] {
        assert!(len <= self.room(), "no room for {len} bytes");
        // Moving no more than has been sent since the last time costs each byte one copy at most, and the space behind
        // is not touched for nothing.
        let is_cheap = self.from > 0 && self.from >= self.len();
        if is_cheap || self.bytes.len() - self.to < len {
            self.bytes.copy_within(self.from..self.to, 0);
            self.to -= self.from;
            self.from = 0;
        }
        let needed = self.to + len;
        if self.bytes.len() < needed {
            // Twice as much each time copies each byte once in the mean.
            let more = needed.max(2 * self.bytes.len()).max(LEAST);
            let more = more.min(self.capacity);
            self.bytes.reserve_exact(more - self.bytes.len());
            self.bytes.resize(more, 0);
        }
        &mut self.bytes[self.to..self.to + len]
    }

    /// The first `len` bytes of the space are filled now.
    pub fn commit(&mut self, len: usize) {
        assert!(self.to + len <= self.bytes.len(), "more than there was");
        self.to += len;
    }

    /// Adds bytes, all or none. Whether there was room.
    #[must_use]
    pub fn push(&mut self, bytes: &[u8]) -> bool {
        let is_room = bytes.len() <= self.room();
        if is_room {
            self.space(bytes.len()).copy_from_slice(bytes);
            self.commit(bytes.len());
        }
        is_room
    }

    /// The first `len` of the pending bytes were sent.
    pub fn sent(&mut self, len: usize) {
        assert!(len <= self.len(), "more than there was");
        self.from += len;
        self.sent_total += len as u64;
        if self.is_empty() {
            (self.from, self.to) = (0, 0);
        }
    }
}

/// What a first byte takes.
const LEAST: usize = 4 << 10;

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::VecDeque;

    use proptest::prelude::*;

    #[test]
    fn bytes_leave_in_their_order_and_room_comes_back() {
        let mut out = Outbox::new(8);
        assert!(out.push(b"hello"));
        assert!(!out.push(b"more"), "all or none");
        out.sent(4);
        assert_eq!(out.sent_total(), 4);
        assert_eq!((out.pending(), out.room()), (&b"o"[..], 7));
        assert!(out.push(b"n we go"));
        assert_eq!(out.pending(), b"on we go");
        out.sent(8);
        assert!(out.is_empty());
    }

    #[test]
    fn who_says_nothing_takes_no_memory_and_who_says_little_takes_little() {
        let mut out = Outbox::new(1 << 20);
        assert_eq!((out.bytes.capacity(), out.room()), (0, 1 << 20));
        assert!(out.push(b"hello"));
        assert_eq!(out.bytes.len(), LEAST);
        out.space(LEAST);
        assert_eq!(out.bytes.len(), 2 * LEAST);
        assert_eq!(out.space((1 << 20) - 5).len(), (1 << 20) - 5);
        assert_eq!(out.bytes.capacity(), 1 << 20);
    }

    proptest! {
        #[test]
        fn it_is_a_queue(steps in prop::collection::vec((any::<bool>(), 0usize..20), 0..100)) {
            let (mut out, mut model) = (Outbox::new(32), VecDeque::new());
            for (i, (add, len)) in steps.into_iter().enumerate() {
                let bytes = vec![i as u8; len];
                if add && out.push(&bytes) {
                    model.extend(bytes);
                } else {
                    let len = len.min(out.len());
                    out.sent(len);
                    model.drain(..len);
                }
                prop_assert!(out.pending().iter().eq(model.iter()));
            }
        }
    }
}
