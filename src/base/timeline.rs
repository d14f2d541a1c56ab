//! When which part of a stream came in, so that a lag in bytes can be told in seconds.
//!
//! It owns a bounded list of marks, each the offset at which a read began and the time of that read. It knows neither
//! the bytes nor a clock. Bytes between two marks count as having come with the first of the two: the age of a byte is
//! never understated, and overstated by at most 2 ms and a sixteenth of itself.
//!
//! ```text
//!   offset   0 ...... 700 .......... 1900 ... 2400 . 2500     the older, the further apart
//!   time     10 ms    12 ms          31 ms    33 ms  34 ms    arrived(1899) is 12 ms, arrived(1900) is 31 ms
//! ```

use std::collections::VecDeque;
use std::time::Duration;

use crate::base::time::Time;

/// Stream offsets and the times when they came in.
#[derive(Clone, Debug)]
pub struct Timeline {
    marks: VecDeque<Mark>,
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
        }
    }

    /// Bytes came in at `now`, the first of them at offset `head_before`. Neither may ever go back. A read that follows
    /// the latest mark within a millisecond is left out: its bytes count as that mark's. O(1), spread over calls.
    pub fn mark(&mut self, head_before: u64, now: Time) {
        let last = self.marks.back();
        if last.is_some_and(|last| now.since(last.at) < FINEST || head_before <= last.offset) {
            return;
        }
        if self.marks.len() == MARKS_MAX {
            self.thin(now);
        }
        self.marks.push_back(Mark {
            offset: head_before,
            at: now,
        });
    }

    /// When the byte at `offset` came in, or a little earlier: the time of the latest mark at or before it.
    /// `None` where no mark reaches back so far. An offset still to come gets the latest mark, so ask only for what is
    /// there. O(log n).
    pub fn arrived(&self, offset: u64) -> Option<Time> {
        let after = self.marks.partition_point(|mark| mark.offset <= offset);
        let mark = self.marks.get(after.checked_sub(1)?)?;
        Some(mark.at)
    }

    /// Removes marks that are closer to the one before than their age calls for. Their bytes fall to that one. The
    /// distance asked for is a power of two, so that it grows only when the age has doubled: what a byte's age is
    /// overstated by, over all its moves, is at most twice the last distance.
    #[cold]
    fn thin(&mut self, now: Time) {
        let mut kept: Option<Time> = None;
        self.marks.retain(|mark| {
            let stays = kept.is_none_or(|kept| mark.at.since(kept) >= apart(now.since(mark.at)));
            if stays {
                kept = Some(mark.at);
            }
            stays
        });
    }
}

/// How far apart marks of this age are at least: the largest power of two, in nanoseconds, within 1/32 of the age.
fn apart(age: Duration) -> Duration {
    let share = (age.as_nanos() / 32) as u64;
    FINEST.max(Duration::from_nanos(
        share.checked_ilog2().map_or(0, |log| 1 << log),
    ))
}

impl Default for Timeline {
    fn default() -> Self {
        Self::new()
    }
}

/// The most marks that are kept: 32 KiB of them. A doubling of the age needs at most 64, so they reach back for days.
const MARKS_MAX: usize = 2048;

/// Marks are never closer than this.
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
    fn thinning_does_not_bridge_a_pause() {
        let mut line = Timeline::new();
        for i in 0..MARKS_MAX as u64 - 1 {
            line.mark(i, at(i));
        }
        let after_pause = MARKS_MAX as u64 - 1;
        line.mark(after_pause, at(1_000_000));
        line.mark(after_pause + 10, at(1_000_001));
        assert!(
            line.marks.len() < MARKS_MAX / 4,
            "what is old needs few marks"
        );
        assert_eq!(line.arrived(after_pause), Some(at(1_000_000)));
        assert_eq!(line.arrived(after_pause + 25), Some(at(1_000_001)));
        assert_eq!(line.arrived(1), Some(at(0)));
    }

    #[test]
    fn days_of_a_busy_feed_fit() {
        let mut line = Timeline::new();
        for i in 0..4_000_000 {
            line.mark(i, at(i * 100));
        }
        assert!(line.marks.len() <= MARKS_MAX);
        let age = at(400_000_000).since(line.arrived(3_999_990).unwrap());
        assert!(
            age < Duration::from_millis(1_100),
            "what is recent is still told finely: {age:?}"
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn an_age_is_never_understated_and_little_overstated(
            reads in vec((1..50u64, 0..50_000u64), 1..6000),
        ) {
            let mut line = Timeline::new();
            let mut all = Vec::new();
            let (mut head, mut now) = (0, Time::ZERO);
            for (size, wait_micros) in reads {
                now = now + Duration::from_micros(wait_micros);
                line.mark(head, now);
                all.push((head, now));
                head += size;
                assert!(line.marks.len() <= MARKS_MAX);
            }
            for (offset, came) in all {
                let told = line.arrived(offset).expect("nothing is forgotten");
                assert!(told <= came);
                let (age, over) = (now.since(came), came.since(told));
                assert!(over <= Duration::from_millis(2) + age / 16, "{over:?} at an age of {age:?}");
            }
        }
    }
}
