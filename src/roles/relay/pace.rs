//! How much of the upstream is read at a time. What is read goes to everybody who can take it before more is read, so
//! a larger read means fewer system calls for each byte, and a longer wait for whoever is not in the pass, such as a
//! newcomer. So reads are as large as they ever are, as long as the bytes of a whole pass stay within what was found to
//! take a bearable time.

use std::time::Duration;

use crate::base::time::Time;

/// What passes of late have cost.
#[derive(Debug)]
pub(super) struct Pace {
    /// Bytes that a pass may send, all clients together.
    budget: u64,
    began: Time,
    /// Bytes that had been sent when the pass began.
    before: u64,
}

impl Pace {
    pub(super) fn new() -> Self {
        Self {
            budget: FIRST,
            began: Time::ZERO,
            before: 0,
        }
    }

    /// How many bytes the next read takes, at most `most`, if so many clients get them.
    pub(super) fn read_size(&self, takers: usize, most: usize) -> usize {
        let share = self.budget / takers.max(1) as u64;
        let share = usize::try_from(share).unwrap_or(usize::MAX);
        share.max(READ_MIN).min(most)
    }

    /// A pass begins, when so many bytes have been sent altogether.
    pub(super) fn begin(&mut self, now: Time, sent: u64) {
        (self.began, self.before) = (now, sent);
    }

    /// It is over. One that was too long tells so, though it sent far less than the budget, as full reads for all who
    /// are there may. A short one that came nowhere near what it might have sent teaches nothing, nor does one that no
    /// smaller read would make shorter, as of a small message.
    pub(super) fn end(&mut self, now: Time, sent: u64) {
        let sent = sent - self.before;
        if sent > LEAST || sent >= self.budget / 2 {
            self.learn(now, sent);
        }
    }

    #[inline(never)]
    fn learn(&mut self, now: Time, sent: u64) {
        let took = now.since(self.began);
        if took > PASS_MAX {
            if sent > LEAST {
                self.budget = (self.budget.min(sent) / 2).max(LEAST);
            }
        } else if took < PASS_MAX / 2 && sent >= self.budget / 2 {
            self.budget = (self.budget * 2).min(MOST);
        }
    }
}

/// Measured: with 10,000 clients, reads of 16 KiB cost more than twice as much as those of 128 KiB and more, for which
/// a pass takes half a second.
const PASS_MAX: Duration = Duration::from_secs(1);
/// Nothing smaller is worth a send.
const READ_MIN: usize = 16 << 10;
/// Before anything is known. Not much: the first bytes for a client are the dearest ones, whose memory the kernel has
/// still to find.
const FIRST: u64 = 64 << 20;
const LEAST: u64 = 1 << 20;
const MOST: u64 = 64 << 30;

#[cfg(test)]
mod tests {
    use super::*;

    const READ_MAX: usize = 256 << 10;

    /// The size at which reads for so many clients settle, where a send of `n` bytes takes `cost(n)` nanoseconds.
    fn settled(takers: u64, cost: impl Fn(u64) -> u64) -> usize {
        settle(&mut Pace::new(), takers, cost)
    }

    /// As above, from where it stands.
    fn settle(pace: &mut Pace, takers: u64, cost: impl Fn(u64) -> u64) -> usize {
        let (mut now, mut sent) = (Time::ZERO, 0);
        for _ in 0..64 {
            let size = pace.read_size(takers as usize, READ_MAX) as u64;
            pace.begin(now, sent);
            now = now + Duration::from_nanos(takers * cost(size));
            sent += takers * size;
            pace.end(now, sent);
        }
        pace.read_size(takers as usize, READ_MAX)
    }

    #[test]
    fn reads_are_large_while_passes_are_short() {
        for takers in [1, 100, 1000, 5000] {
            assert_eq!(settled(takers, |bytes| 5000 + bytes / 10), READ_MAX);
        }
    }

    #[test]
    fn reads_shrink_until_passes_are_bearable() {
        // Two bytes in a nanosecond's five: 7,000 clients would wait for 4.6 s.
        let slow = |bytes| 5000 + bytes * 5 / 2;
        let size = settled(7000, slow);
        assert!((READ_MIN..READ_MAX).contains(&size), "{size}");
        let took = Duration::from_nanos(7000 * slow(size as u64));
        assert!(took <= PASS_MAX, "{took:?}");
    }

    /// A machine that has been quick may become busy: what it could do once must not count for ever.
    #[test]
    fn reads_that_were_large_shrink_when_sends_become_dear() {
        for (takers, dearer) in [(1000, 50), (7000, 50), (7000, 10)] {
            let cost = |bytes| 5000 + bytes / 10;
            let mut pace = Pace::new();
            assert_eq!(settle(&mut pace, takers, cost), READ_MAX);
            let slow = |bytes| 5000 + bytes * dearer / 10;
            let size = settle(&mut pace, takers, slow) as u64;
            let took = Duration::from_nanos(takers * slow(size));
            assert!(took <= PASS_MAX, "{takers} clients, {size}: {took:?}");
            assert_eq!(settle(&mut pace, takers, cost), READ_MAX, "and grow again");
        }
    }

    #[test]
    fn they_are_never_too_small_to_be_worth_a_send() {
        assert_eq!(settled(10_000, |_| 10_000_000), READ_MIN);
        assert_eq!(Pace::new().read_size(10_000, 4096), 4096);
    }

    #[test]
    fn the_first_read_for_many_is_small() {
        assert_eq!(Pace::new().read_size(7000, READ_MAX), READ_MIN);
        assert_eq!(Pace::new().read_size(0, READ_MAX), READ_MAX);
    }

    #[test]
    fn a_thin_feed_teaches_nothing() {
        let mut pace = Pace::new();
        pace.begin(Time::ZERO, 0);
        pace.end(Time::from_millis(60_000), 1000);
        assert_eq!(pace.read_size(256, READ_MAX), READ_MAX);
    }
}
