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

/// The waits of one run of failures.
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    retry: Retry,
    wait: Duration,
}

impl Backoff {
    /// Begins at the first wait.
    pub fn new(retry: Retry) -> Self {
        Self {
            retry,
            wait: retry.min,
        }
    }

    /// The wait before the next attempt. Once a range has grown to its longest wait, each is anywhere between half of
    /// that and all of it, as `random` (any of 2^64, equally likely) decides: relays that lost the same upstream at
    /// one moment do not all return at one moment.
    pub fn next(&mut self, random: u64) -> Duration {
        let Retry { min, max } = self.retry;
        if min >= max {
            return min;
        }
        if self.wait >= max {
            let half = max / 2;
            return half + fraction(max - half, random);
        }
        let wait = self.wait;
        self.wait = match wait.is_zero() {
            true => FIRST_DOUBLED,
            false => wait.saturating_mul(2),
        };
        wait
    }

    /// An attempt has succeeded: the next failure begins at the first wait again.
    pub fn reset(&mut self) {
        self.wait = self.retry.min;
    }
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
}
