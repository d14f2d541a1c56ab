//! The records in the ring: what of it may be passed on, and where records begin.
//!
//! ```text
//!   tail ............ mark ...... mark ... whole ....... head
//!          passed on                      | unfinished |
//! ```
//!
//! Clients never see a byte from `whole` on: those belong to a record that its upstream has not finished, and may yet
//! be taken back. Raw streams know no records: every byte is whole as it comes.

use std::collections::VecDeque;

use crate::base::ring::Ring;
use crate::proto::record::{Framing, Malformed, Piece, Splitter};

/// Where the records are. It follows the ring and does not own it.
///
/// What each message looks at comes last, in memory as here.
#[derive(Debug)]
#[repr(C)]
pub(super) struct Records {
    record_max: usize,
    splitter: Splitter,
    /// How far marks are apart, about: so much is looked through again to find a record.
    spacing: usize,
    framing: Framing,
    /// Beginnings of records, some KiB apart, from which the ones between are found again. The first one is the oldest
    /// that the ring has.
    marks: VecDeque<u64>,
    whole: u64,
}

impl Records {
    /// For a ring of `capacity` bytes.
    pub(super) fn new(framing: Framing, record_max: usize, capacity: usize) -> Self {
        Self {
            spacing: (capacity / MARKS_MIN).clamp(1, SPACING_MAX),
            framing,
            record_max,
            splitter: Splitter::new(framing, record_max),
            whole: 0,
            marks: VecDeque::new(),
        }
    }

    /// The end of what may be passed on.
    pub(super) fn whole(&self) -> u64 {
        self.whole
    }

    /// Looks at the `fresh` bytes that have just been committed to the ring: finds out what is whole, and takes out
    /// what belongs to no record. What was wrong with it is returned once a loss of sync.
    pub(super) fn take_in(&mut self, ring: &mut Ring, fresh: usize) -> Option<Malformed> {
        if self.framing == Framing::Raw {
            self.whole = ring.head();
            return None;
        }
        self.find(ring, fresh)
    }

    #[inline(never)]
    fn find(&mut self, ring: &mut Ring, fresh: usize) -> Option<Malformed> {
        let mut wrong = None;
        let mut next = ring.head() - fresh as u64;
        // Where the next byte that is kept goes: `next` itself until something has been taken out.
        let mut kept = next;
        while next < ring.head() {
            let [bytes, _] = ring
                .read_up_to(next, self.spacing)
                .expect("what was just written is held");
            match self.splitter.feed(bytes) {
                Piece::Whole(count) => {
                    ring.move_up(next, kept, count);
                    (next, kept) = (next + count as u64, kept + count as u64);
                    self.finish(kept);
                }
                Piece::Partial(count) => {
                    ring.move_up(next, kept, count);
                    (next, kept) = (next + count as u64, kept + count as u64);
                }
                Piece::Garbage { before, bytes, why } => {
                    let partial = (kept - self.whole) as usize - before;
                    ring.move_up(self.whole + before as u64, self.whole, partial);
                    kept -= before as u64;
                    next += bytes as u64;
                    wrong = wrong.or(why);
                }
            }
        }
        ring.truncate(kept);
        wrong
    }

    /// The ring is about to forget every byte below `tail`, and still has them.
    pub(super) fn forget_below(&mut self, ring: &Ring, tail: u64) {
        if !self.marks.is_empty() {
            self.forget_marks(ring, tail);
        }
    }

    #[inline(never)]
    fn forget_marks(&mut self, ring: &Ring, tail: u64) {
        while self.marks.get(1).is_some_and(|second| *second <= tail) {
            self.marks.pop_front();
        }
        if self.marks.front().is_some_and(|first| *first < tail) {
            let first = self.at_or_after(ring, tail);
            self.marks[0] = first;
            if self.marks.get(1) == Some(&first) {
                self.marks.pop_front();
            }
        }
    }

    /// The upstream is another one, whose first `fresh` bytes stand in the ring: what the one before left unfinished is
    /// taken out. Returns how many bytes that were.
    pub(super) fn begin_anew(&mut self, ring: &mut Ring, fresh: usize) -> u64 {
        let from = ring.head() - fresh as u64;
        let unfinished = from - self.whole;
        ring.move_up(from, self.whole, fresh);
        ring.truncate(self.whole + fresh as u64);
        self.splitter.reset();
        unfinished
    }

    /// The first beginning of a record at or after `offset`; the end of what is whole where there is none before it.
    pub(super) fn at_or_after(&self, ring: &Ring, offset: u64) -> u64 {
        if self.framing == Framing::Raw || offset >= self.whole {
            return offset.min(self.whole);
        }
        match self.around(ring, offset) {
            Some((before, after)) if before < offset => after,
            Some((exact, _)) => exact,
            // Older than every mark: the first one is the first that is known.
            None => self.marks.front().copied().unwrap_or(self.whole),
        }
    }

    /// The last beginning of a record at or before `offset`, as long as the ring has it; else the first one after.
    pub(super) fn at_or_before(&self, ring: &Ring, offset: u64) -> u64 {
        if self.framing == Framing::Raw || offset >= self.whole {
            return offset.min(self.whole);
        }
        match self.around(ring, offset) {
            Some((before, _)) => before,
            None => self.marks.front().copied().unwrap_or(self.whole),
        }
    }

    /// The beginning of the newest whole record; of a raw stream, its end.
    pub(super) fn newest(&self, ring: &Ring) -> u64 {
        if self.framing == Framing::Raw || self.whole <= ring.tail() {
            return self.whole;
        }
        self.at_or_before(ring, self.whole - 1)
    }

    /// From where on the ring must be kept so that the record at `offset` is found again, and is whole.
    pub(super) fn keep_from(&self, offset: u64) -> u64 {
        if self.framing == Framing::Raw || offset >= self.whole {
            return offset;
        }
        let after = self.marks.partition_point(|mark| *mark <= offset);
        let mark = after.checked_sub(1).and_then(|at| self.marks.get(at));
        mark.copied().unwrap_or(offset)
    }

    /// The beginnings of records between which `offset` lies: the last one at or before it, and the one after that.
    fn around(&self, ring: &Ring, offset: u64) -> Option<(u64, u64)> {
        let after = self.marks.partition_point(|mark| *mark <= offset);
        let mut at = *self.marks.get(after.checked_sub(1)?)?;
        loop {
            let rest = ring.read_up_to(at, (self.whole - at) as usize).ok()?;
            let next = at + self.framing.record_len_in(rest, self.record_max)? as u64;
            if next > offset {
                return Some((at, next));
            }
            at = next;
        }
    }

    /// Everything up to `whole` is complete.
    fn finish(&mut self, whole: u64) {
        let last = self.marks.back().copied();
        // The beginning of the stream, and of what follows each mark, is a beginning of a record.
        if last.is_none_or(|last| self.whole - last >= self.spacing as u64)
            && last != Some(self.whole)
        {
            self.marks.push_back(self.whole);
        }
        self.whole = whole;
    }
}

/// Marks in a ring, at the least: what is kept for the sake of one must be little.
const MARKS_MIN: usize = 16;
const SPACING_MAX: usize = 16 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    struct Bench {
        ring: Ring,
        records: Records,
    }

    fn bench(framing: &str, record_max: usize, capacity: usize) -> Bench {
        let framing = framing.parse().unwrap();
        Bench {
            ring: Ring::new(capacity),
            records: Records::new(framing, record_max, capacity),
        }
    }

    impl Bench {
        fn write(&mut self, mut bytes: &[u8]) -> Option<Malformed> {
            let mut wrong = None;
            while !bytes.is_empty() {
                self.records
                    .forget_below(&self.ring, self.ring.tail_after(bytes.len()));
                let room = self.ring.reserve(bytes.len());
                let n = room.len();
                room.copy_from_slice(&bytes[..n]);
                self.ring.commit(n);
                wrong = wrong.or(self.records.take_in(&mut self.ring, n));
                bytes = &bytes[n..];
            }
            wrong
        }

        fn passed(&self, from: u64) -> String {
            let max = (self.records.whole() - from) as usize;
            String::from_utf8(self.ring.read_up_to(from, max).unwrap().concat()).unwrap()
        }
    }

    #[test]
    fn only_whole_records_are_passed_on() {
        let mut bench = bench("line", 64, 256);
        bench.write(b"one\ntw");
        assert_eq!(bench.passed(0), "one\n");
        bench.write(b"o\n");
        assert_eq!(bench.passed(0), "one\ntwo\n");
    }

    #[test]
    fn what_a_lost_upstream_left_unfinished_is_taken_out() {
        let mut bench = bench("line", 64, 16);
        bench.write(b"0123456\nabc\nunf");
        assert_eq!(bench.records.begin_anew(&mut bench.ring, 0), 3);
        bench.write(b"def\n");
        assert_eq!(bench.passed(8), "abc\ndef\n");
        // The new one's bytes may stand behind the remainder already.
        bench.write(b"half");
        let room = bench.ring.reserve(3);
        room.copy_from_slice(b"gh\n");
        bench.ring.commit(3);
        assert_eq!(bench.records.begin_anew(&mut bench.ring, 3), 4);
        assert_eq!(bench.records.take_in(&mut bench.ring, 3), None);
        assert_eq!(bench.passed(8), "abc\ndef\ngh\n");
    }

    #[test]
    fn what_is_malformed_is_taken_out_and_told_once() {
        let mut bench = bench("line", 6, 64);
        assert!(
            bench
                .write(b"ok\nmuch too long for it\nfine\nalso too long\nx")
                .is_some()
        );
        assert_eq!(bench.passed(0), "ok\nfine\n");
        bench.write(b"y\n");
        assert_eq!(bench.passed(0), "ok\nfine\nxy\n");
    }

    #[test]
    fn beginnings_are_found_again_wherever_one_asks() {
        let mut bench = bench("line", 100, 200_000);
        let text: String = (0..20_000).map(|n| format!("{n}\n")).collect();
        bench.write(text.as_bytes());
        let begins: Vec<u64> = std::iter::once(0)
            .chain(text.match_indices('\n').map(|(at, _)| at as u64 + 1))
            .collect();
        for offset in (0..text.len() as u64).step_by(97) {
            let after = begins[begins.partition_point(|begin| *begin < offset)];
            let before = begins[begins.partition_point(|begin| *begin <= offset) - 1];
            assert_eq!(bench.records.at_or_after(&bench.ring, offset), after);
            assert_eq!(bench.records.at_or_before(&bench.ring, offset), before);
        }
        assert_eq!(bench.passed(bench.records.newest(&bench.ring)), "19999\n");
    }

    #[test]
    fn an_offset_that_the_ring_has_lost_gets_the_first_beginning_that_is_known() {
        let mut bench = bench("line", 100, 50_000);
        let text: String = (0..40_000).map(|n| format!("{n}\n")).collect();
        bench.write(text.as_bytes());
        let first = bench.records.at_or_before(&bench.ring, 5);
        assert!(first >= bench.ring.tail());
        assert!(bench.passed(first).lines().all(|line| line.len() == 5));
    }

    #[test]
    fn a_raw_stream_has_a_record_at_every_byte() {
        let mut bench = bench("raw", 100, 16);
        bench.write(b"0123456789");
        assert_eq!(bench.records.whole(), 10);
        assert_eq!(bench.records.at_or_after(&bench.ring, 4), 4);
        assert_eq!(bench.records.at_or_before(&bench.ring, 4), 4);
        assert_eq!(bench.records.newest(&bench.ring), 10);
        assert_eq!(bench.records.begin_anew(&mut bench.ring, 0), 0);
    }
}
