//! How long to wait between attempts. It knows neither what is attempted nor where random numbers come from.

use std::time::Duration;

/// `--retry`: a fixed wait (`min == max`), or one that doubles from `min` to `max` and is then spread at random.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// The first wait.
    pub min: Duration,
    /// The longest wait.
    pub max: Duration,
}

/// The waits of one run of failures. A connection that is lost at once is a failure, too: the run is over when one had
/// lasted longer than the wait before it. Two who take one name from each other in turns wait longer and longer so.
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    retry: Retry,
    /// What comes next, before it is spread.
    wait: Duration,
    /// The wait before the latest attempt, or the one that would come first.
    waited: Duration,
}

impl Backoff {
    /// Begins at the first wait.
    pub fn new(retry: Retry) -> Self {
        Self {
            retry,
            wait: retry.min,
            waited: retry.min,
        }
    }

    /// Other waits hold from the next one on.
    pub fn set_retry(&mut self, retry: Retry) {
        self.retry = retry;
        self.wait = retry.min;
        self.waited = self.waited.min(retry.max);
    }

    /// The wait before the next attempt. Once a range has grown to its longest wait, each is anywhere between half of
    /// that and all of it, as `random` (any of 2^64, equally likely) decides: relays that lost the same upstream at
    /// one moment do not all return at one moment.
    pub fn next(&mut self, random: u64) -> Duration {
        let wait = self.grow();
        let is_longest = wait >= self.retry.max && self.retry.min < self.retry.max;
        self.waited = match is_longest {
            true => second_half(wait, random),
            false => wait,
        };
        self.waited
    }

    /// As [`Backoff::next`], where each wait is spread so, the first one and a fixed one, too: for those of whom many
    /// lose one server at one moment.
    pub fn next_spread(&mut self, random: u64) -> Duration {
        self.waited = second_half(self.grow(), random);
        self.waited
    }

    /// A connection that had lasted for so long is lost. Whether that was longer than the wait before it: then it had
    /// not failed, and the next failure begins at the first wait again.
    pub fn had_lasted(&mut self, lasted: Duration) -> bool {
        let well = lasted > self.waited;
        if well {
            self.reset();
        }
        well
    }

    /// An attempt has succeeded: the next failure begins at the first wait again.
    pub fn reset(&mut self) {
        self.wait = self.retry.min;
        self.waited = self.retry.min;
    }

    /// The wait that it is time for; the next one is twice as long, up to the longest.
    fn grow(&mut self) -> Duration {
        let Retry { min, max } = self.retry;
        let wait = self.wait.min(max.max(min));
        if min < max {
            self.wait = match wait.is_zero() {
                true => FIRST_DOUBLED,
                false => wait.saturating_mul(2),
            };
        }
        wait
    }
}

/// Anywhere between half of a wait and all of it.
fn second_half(wait: Duration, random: u64) -> Duration {
    let half = wait / 2;
    half + fraction(wait - half, random)
}

/// `random` / 2^64 of `whole`, both ends included. What is longer than 584 years counts as that.
fn fraction(whole: Duration, random: u64) -> Duration {
    let nanos = u64::try_from(whole.as_nanos()).unwrap_or(u64::MAX);
    let scaled = ((u128::from(nanos) + 1) * u128::from(random)) >> 64;
    Duration::from_nanos(scaled as u64)
}

/// A range that begins with no wait at all goes on with this one, since twice nothing would never grow.
const FIRST_DOUBLED: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;

    fn backoff(min: u64, max: u64) -> Backoff {
        let [min, max] = [min, max].map(Duration::from_secs);
        Backoff::new(Retry { min, max })
    }

    #[test]
    fn a_fixed_wait_stays_as_it_is() {
        let mut backoff = backoff(5, 5);
        for random in [0, 7, u64::MAX] {
            assert_eq!(backoff.next(random), Duration::from_secs(5));
        }
    }

    #[test]
    fn a_range_doubles_and_is_then_spread_over_half_of_its_end() {
        let mut backoff = backoff(1, 10);
        let grown = [1, 2, 4, 8].map(|_| backoff.next(u64::MAX).as_secs());
        assert_eq!(grown, [1, 2, 4, 8]);
        assert_eq!(backoff.next(0), Duration::from_secs(5));
        assert_eq!(backoff.next(u64::MAX), Duration::from_secs(10));
        assert_eq!(backoff.next(1 << 63), Duration::from_millis(7500));
        backoff.reset();
        assert_eq!(backoff.next(0), Duration::from_secs(1));
    }

    #[test]
    fn a_range_that_doubles_onto_its_end_spreads_there_at_once() {
        let mut backoff = backoff(2, 8);
        let waits = [0; 3].map(|_| backoff.next(0).as_secs());
        assert_eq!(waits, [2, 4, 4]);
    }

    #[test]
    fn a_range_from_nothing_grows_too() {
        let mut backoff = backoff(0, 1);
        let grown = [0; 6].map(|_| backoff.next(u64::MAX).as_millis());
        assert_eq!(grown, [0, 100, 200, 400, 800, 1000]);
    }

    #[test]
    fn short_waits_double_as_long_ones_do() {
        let [min, max] = [10, 100].map(Duration::from_millis);
        let mut backoff = Backoff::new(Retry { min, max });
        let grown = [0; 5].map(|_| backoff.next(u64::MAX).as_millis());
        assert_eq!(grown, [10, 20, 40, 80, 100]);
    }

    #[test]
    fn each_wait_can_be_spread_the_first_and_a_fixed_one_too() {
        let mut range = backoff(1, 4);
        let shortest = [0; 4].map(|_| range.next_spread(0).as_millis());
        assert_eq!(shortest, [500, 1000, 2000, 2000]);
        range.reset();
        let longest = [0; 4].map(|_| range.next_spread(u64::MAX).as_secs());
        assert_eq!(longest, [1, 2, 4, 4]);
        let mut fixed = backoff(5, 5);
        assert_eq!(fixed.next_spread(0), Duration::from_millis(2500));
        assert_eq!(fixed.next_spread(u64::MAX), Duration::from_secs(5));
    }

    #[test]
    fn only_who_lasted_longer_than_the_wait_before_begins_anew() {
        let [short, long] = [1, 2].map(Duration::from_secs);
        let mut backoff = backoff(1, 8);
        assert!(!backoff.had_lasted(short), "as long as the first one");
        assert!(backoff.had_lasted(long));
        assert_eq!([0; 2].map(|_| backoff.next(0).as_secs()), [1, 2]);
        assert!(!backoff.had_lasted(long));
        assert_eq!(backoff.next(0).as_secs(), 4, "it goes on where it was");
        assert!(backoff.had_lasted(Duration::from_secs(5)));
        assert_eq!(backoff.next(0).as_secs(), 1);
    }

    #[test]
    fn what_was_waited_stays_known_when_other_waits_hold() {
        let [one, two] = [1, 2].map(Duration::from_secs);
        let mut backoff = backoff(1, 8);
        backoff.next(0);
        backoff.next(0);
        backoff.set_retry(Retry { min: one, max: two });
        assert!(!backoff.had_lasted(two));
        assert_eq!(backoff.next(0), one);
        backoff.next(0);
        backoff.set_retry(Retry { min: one, max: one });
        assert!(backoff.had_lasted(two), "no longer than the longest of now");
    }
}
