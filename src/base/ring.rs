//! The shared buffer: the latest bytes of one stream, for one writer and any number of readers.
//!
//! It owns the bytes and knows which offsets of the stream they are. It does not know the readers: a reader is a `u64`
//! cursor that someone else keeps, and one whose cursor has been overtaken learns so when it reads. Offsets are
//! absolute: the first byte ever written is 0, and none is ever used twice.
//!
//! ```text
//!   stream   0 ......... tail ================== head ......... (not written yet)
//!                         |   held: `len` bytes   |
//!
//!   memory   |== newest ==|-- room --|== oldest ==|      a held range that goes over the seam
//!            0            head       tail         capacity
//! ```
//!
//! The memory is flat and touched only as far as it is used: [`Ring::rewind`], while no reader is behind, makes the
//! next write start in the first page again, where the cache still has what was written a moment ago.
//!
//! **Invariant.** From a rewind that moves the place to the next seam, the byte at offset `o` stands `o` bytes behind
//! the middle of a page, in a ring large enough to have pages. Processors take a store for a conflict with a load whose
//! address ends in nearly the same twelve bits, and where source and target of a copy lie so, up to 31 bytes apart, it
//! takes five times as long (measured: AMD, `rep movsb`, as in the kernel's copies from and to sockets). The kernel's
//! buffers begin with a page and go on with the stream, as the places do here: so half a page lies between them, which
//! is the most, and stays there however long the reads are.

use std::fmt;

/// A flat ring of bytes with absolute offsets.
///
/// What each read and write looks at comes first, in memory as here: 64 bytes.
#[repr(C)]
pub struct Ring {
    /// The ring's memory, and before it what is left free so that it begins in the middle of a page.
    bytes: Vec<u8>,
    free: usize,
    /// The place of the byte at offset `head`; always less than the capacity.
    place: usize,
    head: u64,
    len: usize,
    reserved: usize,
    /// An offset and its place after a rewind differ by a multiple of this power of two.
    page: usize,
}

/// A reader's cursor points at bytes that have been overwritten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lagged {
    /// The oldest offset that can still be read.
    pub tail: u64,
}

impl fmt::Display for Lagged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "overtaken: the oldest byte held is at offset {}",
            self.tail
        )
    }
}

impl std::error::Error for Lagged {}

impl Ring {
    /// An empty ring of `capacity` bytes, at least one. The memory comes zeroed from the system and costs nothing
    /// before it is written to.
    pub fn new(capacity: usize) -> Self {
        if capacity < PAGE * PAGES_MIN {
            return Self::with_page(capacity, 1);
        }
        Self::with_page(capacity, PAGE)
    }

    /// As [`Ring::new`], with pages of this length, a power of two. Only rings that are tested have others than it
    /// gives.
    pub(crate) fn with_page(capacity: usize, page: usize) -> Self {
        assert!(capacity >= 1, "a ring without room could never move a byte");
        assert!(page.is_power_of_two(), "remainders are taken by a mask");
        let mut bytes = vec![0; capacity + page - 1];
        let begins = bytes.as_ptr().addr() % page;
        let free = (page / 2 + page - begins) % page;
        bytes.truncate(free + capacity);
        Self {
            bytes,
            free,
            page,
            place: 0,
            head: 0,
            len: 0,
            reserved: 0,
        }
    }

    /// The offset of the next byte to be written, which is also the number of bytes written so far.
    pub fn head(&self) -> u64 {
        self.head
    }

    /// The oldest offset still held; equal to [`Ring::head`] when nothing is.
    pub fn tail(&self) -> u64 {
        self.head - self.len as u64
    }

    /// The most bytes that can be held.
    pub fn capacity(&self) -> usize {
        self.bytes.len() - self.free
    }

    /// The bytes held.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether no byte is held.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many bytes can be written before the byte at `keep_from`, or a later one, is destroyed. An offset that is
    /// gone already asks for everything that is still held; one at or past the head asks for nothing.
    pub fn room(&self, keep_from: u64) -> usize {
        let kept = self.head.saturating_sub(keep_from).min(self.len as u64);
        self.capacity() - kept as usize
    }

    /// Room to write the next bytes into, at most `max` of them and none beyond the end of the memory; empty only if
    /// `max` is 0.
    ///
    /// What the room covers may be scribbled over from now on, whether it is committed or not, so the oldest bytes in
    /// it count as gone at once: a caller that wants to keep some bounds `max` by [`Ring::room`] first.
    pub fn reserve(&mut self, max: usize) -> &mut [u8] {
        let size = max.min(self.capacity() - self.place);
        self.reserved = size;
        self.len = self.len.min(self.capacity() - size);
        let start = self.free + self.place;
        &mut self.bytes[start..start + size]
    }

    /// Makes the first `size` bytes of the latest [`Ring::reserve`] part of the stream. A reserve is answered by one
    /// commit, or by none when there was nothing to write.
    pub fn commit(&mut self, size: usize) {
        assert!(
            size <= self.reserved,
            "a writer can only have filled the room it was given"
        );
        self.reserved = 0;
        self.head += size as u64;
        self.len += size;
        self.place += size;
        if self.place == self.capacity() {
            self.place = 0;
        }
    }

    /// Writes bytes that lie elsewhere, over the oldest ones where there is no other room. More than can be held is a
    /// mistake of the caller.
    pub fn append(&mut self, mut bytes: &[u8]) {
        assert!(bytes.len() <= self.capacity(), "what is written is held");
        while !bytes.is_empty() {
            let room = self.reserve(bytes.len());
            let (now, later) = bytes.split_at(room.len());
            room.copy_from_slice(now);
            self.commit(now.len());
            bytes = later;
        }
    }

    /// Everything from `cursor` to the head, in order: the second slice continues the first and is empty unless the
    /// bytes go over the seam. A cursor past the head is a mistake of the caller.
    pub fn read(&self, cursor: u64) -> Result<[&[u8]; 2], Lagged> {
        self.read_up_to(cursor, usize::MAX)
    }

    /// Like [`Ring::read`], but no more than the first `max` bytes.
    pub fn read_up_to(&self, cursor: u64, max: usize) -> Result<[&[u8]; 2], Lagged> {
        assert!(
            cursor <= self.head,
            "a reader can't have taken more than was written"
        );
        let behind = self.head - cursor;
        if behind > self.len as u64 {
            return Err(Lagged { tail: self.tail() });
        }
        let behind = behind as usize;
        let size = behind.min(max);
        let start = self.index(cursor);
        let before_seam = size.min(self.capacity() - start);
        let memory = &self.bytes[self.free..];
        Ok([
            &memory[start..start + before_seam],
            &memory[..size - before_seam],
        ])
    }

    /// Forgets every byte below `keep_from`, moves the rest into the first page of the memory, as far from its start as
    /// the invariant asks for, and makes the next write follow it there. Offsets go on counting. For when no reader is
    /// behind: the memory written last is the memory in the cache. Costs a copy of what is kept, and does nothing while
    /// that goes over the seam.
    pub fn rewind(&mut self, keep_from: u64) {
        let kept = self.head.saturating_sub(keep_from).min(self.len as u64) as usize;
        let Some(start) = self.place.checked_sub(kept) else {
            return;
        };
        self.len = kept;
        self.reserved = 0;
        let first = (self.tail() & (self.page as u64 - 1)) as usize;
        if first < start {
            let memory = &mut self.bytes[self.free..];
            memory.copy_within(start..self.place, first);
            self.place = first + kept;
        }
    }

    /// Whether [`Ring::rewind`] would bring the next write no nearer to the start, whatever is kept.
    pub fn is_at_start(&self) -> bool {
        self.place < self.page
    }

    /// The place in memory of the next write: how far it has come since the start.
    pub fn place(&self) -> usize {
        self.place
    }

    /// What [`Ring::tail`] will be after a [`Ring::reserve`] of `max`.
    pub fn tail_after(&self, max: usize) -> u64 {
        let size = max.min(self.capacity() - self.place);
        self.head - self.len.min(self.capacity() - size) as u64
    }

    /// Copies `count` held bytes at `from` to the earlier offset `to`. Only over bytes that no reader has seen: with
    /// [`Ring::truncate`] it takes bytes out of the stream again.
    pub fn move_up(&mut self, from: u64, to: u64, count: usize) {
        assert!(
            to >= self.tail() && to <= from,
            "bytes move to an earlier place that is held"
        );
        assert!(
            from + count as u64 <= self.head,
            "only what is held can be moved"
        );
        let mut moved = 0;
        while moved < count && from != to {
            let (source, target) = (
                self.index(from + moved as u64),
                self.index(to + moved as u64),
            );
            let straight = (count - moved)
                .min(self.capacity() - source)
                .min(self.capacity() - target);
            self.bytes[self.free..].copy_within(source..source + straight, target);
            moved += straight;
        }
    }

    /// Takes back the bytes from `head` on, which no reader has seen: the next write stands in their place.
    pub fn truncate(&mut self, head: u64) {
        assert!(
            head >= self.tail() && head <= self.head,
            "only what is held can be taken back"
        );
        self.place = self.index(head);
        self.len -= (self.head - head) as usize;
        self.head = head;
        self.reserved = 0;
    }

    /// The place of a held offset, or of the head.
    fn index(&self, offset: u64) -> usize {
        let behind = (self.head - offset) as usize;
        match self.place.checked_sub(behind) {
            Some(index) => index,
            None => self.place + (self.capacity() - behind),
        }
    }
}

/// The kernel's pages, and what of an address a processor compares first.
const PAGE: usize = 4 << 10;
/// A ring of fewer pages does not spare a part of one.
const PAGES_MIN: usize = 16;

impl fmt::Debug for Ring {
    /// The bounds and not the bytes, which may be millions.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Ring({}..{} of {})",
            self.tail(),
            self.head,
            self.capacity()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// More than the ring can hold goes through it.
    fn write(ring: &mut Ring, bytes: &[u8]) {
        bytes
            .chunks(ring.capacity())
            .for_each(|bytes| ring.append(bytes));
    }

    fn text(slices: [&[u8]; 2]) -> String {
        String::from_utf8(slices.concat()).expect("the tests write ASCII")
    }

    #[test]
    fn reads_go_over_the_seam() {
        let mut ring = Ring::new(8);
        write(&mut ring, b"abcdef");
        write(&mut ring, b"ghijk");
        assert_eq!((ring.tail(), ring.head(), ring.len()), (3, 11, 8));
        assert_eq!(ring.read(3), Ok([&b"defgh"[..], &b"ijk"[..]]));
        assert_eq!(ring.read(9), Ok([&b"jk"[..], &b""[..]]));
        assert_eq!(ring.read(11).map(text), Ok(String::new()));
        assert_eq!(ring.read_up_to(6, 3).map(text), Ok("ghi".into()));
        assert_eq!(ring.read_up_to(3, 5), Ok([&b"defgh"[..], &b""[..]]));
        assert_eq!(ring.read_up_to(3, 0), Ok([&b""[..], &b""[..]]));
    }

    #[test]
    fn an_overtaken_cursor_learns_where_the_ring_begins() {
        let mut ring = Ring::new(4);
        write(&mut ring, b"abcdefg");
        assert_eq!(ring.read(2), Err(Lagged { tail: 3 }));
        assert_eq!(ring.read_up_to(0, 0), Err(Lagged { tail: 3 }));
        assert_eq!(ring.read(3).map(text), Ok("defg".into()));
    }

    #[test]
    fn what_is_reserved_counts_as_gone_though_it_is_never_committed() {
        let mut ring = Ring::new(4);
        write(&mut ring, b"abcd");
        assert_eq!(ring.room(1), 1);
        ring.reserve(3).fill(b'?');
        assert_eq!(ring.tail(), 3);
        ring.commit(1);
        assert_eq!((ring.tail(), ring.head()), (3, 5));
        assert_eq!(ring.read(3).map(text), Ok("d?".into()));
    }

    #[test]
    fn reserve_stops_at_the_seam_and_is_never_empty() {
        let mut ring = Ring::new(4);
        write(&mut ring, b"abc");
        assert_eq!(ring.reserve(9).len(), 1);
        assert_eq!(ring.tail(), 0, "the last free byte costs nobody anything");
        ring.commit(1);
        assert_eq!(ring.reserve(9).len(), 4);
        assert_eq!(ring.reserve(0).len(), 0);
    }

    #[test]
    fn room_is_what_keeps_an_offset_alive() {
        let mut ring = Ring::new(8);
        write(&mut ring, b"abcdefghij");
        assert_eq!(ring.room(0), 0, "offset 0 is gone, so nothing held may go");
        assert_eq!(ring.room(2), 0);
        assert_eq!(ring.room(6), 4);
        assert_eq!(ring.room(10), 8);
        assert_eq!(ring.room(99), 8);
    }

    #[test]
    fn a_rewound_ring_writes_at_the_start_of_its_memory() {
        let mut ring = Ring::new(4);
        write(&mut ring, b"abc");
        ring.rewind(ring.head());
        assert_eq!((ring.tail(), ring.head(), ring.len()), (3, 3, 0));
        assert_eq!(ring.read(3), Ok([&b""[..], &b""[..]]));
        assert_eq!(ring.read(2), Err(Lagged { tail: 3 }));
        write(&mut ring, b"defg");
        assert_eq!(ring.read(3), Ok([&b"defg"[..], &b""[..]]));
    }

    #[test]
    fn a_rewind_carries_what_is_kept() {
        let mut ring = Ring::new(8);
        write(&mut ring, b"abcdef");
        ring.rewind(4);
        assert_eq!((ring.tail(), ring.head(), ring.place()), (4, 6, 2));
        write(&mut ring, b"ghijkl");
        assert_eq!(ring.read(4), Ok([&b"efghijkl"[..], &b""[..]]));
        write(&mut ring, b"mn");
        ring.rewind(8);
        assert_eq!(ring.place(), 2, "what goes over the seam stays where it is");
        assert_eq!(ring.read(8).map(text), Ok("ijklmn".into()));
    }

    #[test]
    fn half_a_page_stays_between_what_is_read_and_where_it_goes() {
        let mut ring = Ring::new(256 << 10);
        let (mut written, mut kept) = (0, 0);
        for size in [1, 30, 4096, 65_483, 5, 8191, 40_000, 1000, 256] {
            ring.rewind(written - kept);
            assert_eq!(ring.place() as u64, (written - kept) % 4096 + kept);
            let into = ring.reserve(size);
            assert_eq!(into.as_ptr().addr() as u64 % 4096, (written + 2048) % 4096);
            let size = into.len();
            ring.commit(size);
            written += size as u64;
            kept = size as u64 / 3;
        }
    }

    #[test]
    fn what_is_taken_out_was_never_there() {
        let mut ring = Ring::new(8);
        write(&mut ring, b"abcdefghij");
        ring.move_up(7, 5, 3);
        ring.truncate(8);
        assert_eq!((ring.tail(), ring.head()), (2, 8));
        assert_eq!(ring.read(2).map(text), Ok("cdehij".into()));
        ring.truncate(7);
        write(&mut ring, b"kl");
        assert_eq!(ring.read(3).map(text), Ok("dehikl".into()));
    }

    #[test]
    fn a_ring_of_one_byte_works() {
        let mut ring = Ring::new(1);
        write(&mut ring, b"abc");
        assert_eq!(ring.read(2).map(text), Ok("c".into()));
    }

    #[test]
    #[should_panic(expected = "room it was given")]
    fn one_reserve_is_answered_by_one_commit() {
        let mut ring = Ring::new(4);
        ring.reserve(4);
        ring.commit(2);
        ring.commit(2);
    }

    #[test]
    #[should_panic(expected = "more than was written")]
    fn a_cursor_past_the_head_is_a_mistake() {
        let _ = Ring::new(4).read(1);
    }
}
