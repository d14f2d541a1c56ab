//! When which part of a stream came in, so that a lag in bytes can be told in seconds.
//!
//! It owns a bounded list of marks, each the offset at which a read began and the time of that read. It knows neither
//! the bytes nor a clock. Bytes between two marks count as having come with the first of the two: the age of a byte is
//! never understated, and overstated by less than twice the spacing of the marks.
//!
//! ```text
//!   offset   0 .... 700 .......... 1900 ... 2400          marks, at least `spacing` of time apart
//!   time     10 ms  12 ms          31 ms    33 ms         arrived(1899) is 12 ms, arrived(1900) is 31 ms
//! ```
//!
//! The spacing begins at a millisecond. When the marks are too many, it doubles until fewer will do; when most
//! are forgotten, because what they stood for has been taken or overwritten, it halves again.

use std::collections::VecDeque;
use std::time::Duration;

use crate::base::time::Time;

/// Stream offsets and the times when they came in.
#[derive(Clone, Debug)]
pub struct Timeline {
    marks: VecDeque<Mark>,
    spacing: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mark {
    offset: u64,
    at: Time,
}

impl Timeline {
    /// Nothing has come in yet.
    pub fn new() -> Self {
        Self {
            marks: VecDeque::new(),
            spacing: FINEST,
        }
    }

    /// Bytes came in at `now`, the first of them at offset `head_before`. Neither may ever go back. A read that follows
    /// the latest mark by less than the spacing is left out: its bytes count as that mark's. O(1), spread over calls.
    pub fn mark(&mut self, head_before: u64, now: Time) {
        let last = self.marks.back();
        if last.is_some_and(|last| now.since(last.at) < self.spacing || head_before <= last.offset)
        {
            return;
        }
        if self.marks.len() == MARKS_MAX {
            self.thin();
        }
        self.marks.push_back(Mark {
            offset: head_before,
            at: now,
        });
    }

    /// When the byte at `offset` came in, or up to two spacings earlier: the time of the latest mark at or before it.
    /// `None` where no mark reaches back so far. An offset still to come gets the latest mark, so ask only for what is
    /// there. O(log n).
    pub fn arrived(&self, offset: u64) -> Option<Time> {
        let after = self.marks.partition_point(|mark| mark.offset <= offset);
        let mark = self.marks.get(after.checked_sub(1)?)?;
        Some(mark.at)
    }

    /// Nobody will ask for offsets below `tail` any more. The mark that `tail` itself counts by stays. O(1), spread
    /// over calls.
    pub fn forget_below(&mut self, tail: u64) {
        while self
            .marks
            .get(1)
            .is_some_and(|second| second.offset <= tail)
        {
            self.marks.pop_front();
        }
        if self.marks.len() < MARKS_MAX / 4 {
            self.spacing = (self.spacing / 2).max(FINEST);
        }
    }

    /// How far apart in time two marks are at least.
    pub fn spacing(&self) -> Duration {
        self.spacing
    }

    /// Doubles the spacing until a quarter of the marks can go. The bytes of a mark that goes fall to the kept one
    /// before it, less than the new spacing earlier; they were off by less than the sum of the old spacings already,
    /// and the two together are less than twice the new one. A mark that stands alone after a pause stays, so that
    /// what came after the pause never counts as coming from before it.
    fn thin(&mut self) {
        while self.marks.len() > MARKS_MAX / 4 * 3 {
            self.spacing *= 2;
            let spacing = self.spacing;
            let mut kept: Option<Time> = None;
            self.marks.retain(|mark| {
                let apart = kept.is_none_or(|kept| mark.at.since(kept) >= spacing);
                if apart {
                    kept = Some(mark.at);
                }
                apart
            });
        }
    }
}

impl Default for Timeline {
    fn default() -> Self {
        Self::new()
    }
}

/// The most marks that are kept: 16 KiB of them.
const MARKS_MAX: usize = 1024;

/// The spacing while there is room for it.
const FINEST: Duration = Duration::from_millis(1);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::{ProptestConfig, proptest};

    fn at(millis: u64) -> Time {
        Time::from_millis(millis)
    }

    #[test]
    fn a_byte_is_as_old_as_the_mark_before_it() {
        let mut line = Timeline::new();
        assert_eq!(line.arrived(0), None);
        line.mark(100, at(10));
        line.mark(700, at(12));
        line.mark(1900, at(31));
        assert_eq!(line.arrived(99), None);
        assert_eq!(line.arrived(100), Some(at(10)));
        assert_eq!(line.arrived(1899), Some(at(12)));
        assert_eq!(line.arrived(1900), Some(at(31)));
        assert_eq!(line.arrived(u64::MAX), Some(at(31)));
    }

    #[test]
    fn reads_in_quick_succession_share_a_mark() {
        let mut line = Timeline::new();
        line.mark(0, at(5));
        line.mark(10, at(5) + Duration::from_micros(999));
        line.mark(20, at(6));
        assert_eq!(line.arrived(19), Some(at(5)));
        assert_eq!(line.arrived(20), Some(at(6)));
    }

    #[test]
    fn what_covers_the_tail_stays() {
        let mut line = Timeline::new();
        for i in 0..10 {
            line.mark(i * 100, at(i));
        }
        line.forget_below(250);
        assert_eq!(line.arrived(199), None);
        assert_eq!(line.arrived(250), Some(at(2)));
        line.forget_below(299);
        assert_eq!(line.arrived(299), Some(at(2)));
        line.forget_below(300);
        assert_eq!(line.arrived(299), None);
        line.forget_below(1 << 40);
        assert_eq!(line.arrived(1 << 40), Some(at(9)));
    }

    #[test]
    fn thinning_does_not_bridge_a_pause() {
        let mut line = Timeline::new();
        for i in 0..MARKS_MAX as u64 - 1 {
            line.mark(i, at(i));
        }
        let after_pause = MARKS_MAX as u64 - 1;
        line.mark(after_pause, at(1_000_000));
        line.mark(after_pause + 10, at(1_000_001));
        assert_eq!(line.spacing(), 2 * FINEST);
        assert_eq!(line.arrived(after_pause), Some(at(1_000_000)));
        assert_eq!(line.arrived(after_pause + 25), Some(at(1_000_001)));
        assert_eq!(line.arrived(1), Some(at(0)));
    }

    #[test]
    fn the_spacing_recovers_when_nobody_is_behind() {
        let mut line = Timeline::new();
        for i in 0..5000 {
            line.mark(i, at(i));
        }
        assert_eq!(line.spacing(), 8 * FINEST);
        for i in 5000..5010 {
            line.mark(i, at(i));
            line.forget_below(i);
        }
        assert_eq!(line.spacing(), FINEST);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn an_age_is_never_understated_and_overstated_by_less_than_two_spacings(
            reads in vec((1..50u64, 0..5_000u64, 0..400u32), 1..4000),
        ) {
            let mut line = Timeline::new();
            let mut all = Vec::new();
            let (mut head, mut now, mut tail, mut coarsest) = (0, Time::ZERO, 0, FINEST);
            for (size, wait_micros, behind) in reads {
                now = now + Duration::from_micros(wait_micros);
                line.mark(head, now);
                all.push((head, now));
                head += size;
                coarsest = coarsest.max(line.spacing());
                if behind == 0 {
                    tail = head - size;
                    line.forget_below(tail);
                }
                assert!(line.marks.len() <= MARKS_MAX);
            }
            for (offset, came) in all.into_iter().filter(|(offset, _)| *offset >= tail) {
                let told = line.arrived(offset).expect("nothing from the tail on is forgotten");
                assert!(told <= came);
                assert!(came.since(told) < 2 * coarsest, "{:?}", came.since(told));
            }
        }
    }
}
