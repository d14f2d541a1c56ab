//! What the demo's client has seen: records, gaps between their numbers, and delays. Knows no clock and no socket.

use std::fmt;
use std::time::Duration;

use crate::base::time::Time;
use crate::roles::demo::record::Record;

/// The books of one client.
#[derive(Debug, Default)]
pub(super) struct Tally {
    records: u64,
    lost: u64,
    /// The number that the next record should have.
    next: Option<u64>,
    delays: Delays,
    /// The longest delay since [`Tally::restart_worst`].
    worst: Duration,
}

impl Tally {
    /// Takes in a record that was whole at `now`, and returns its delay. Numbers that were left out are lost records.
    pub(super) fn see(&mut self, record: &Record, now: Time) -> Duration {
        let delay = now.since(record.sent);
        self.records += 1;
        self.lost += record.seq.saturating_sub(self.next.unwrap_or(record.seq));
        self.next = Some(record.seq + 1);
        self.delays.count(delay);
        self.worst = self.worst.max(delay);
        delay
    }

    pub(super) fn worst(&self) -> Duration {
        self.worst
    }

    pub(super) fn restart_worst(&mut self) {
        self.worst = Duration::ZERO;
    }
}

impl fmt::Display for Tally {
    /// "300 records, 0 lost; delay p50 0.05 ms, p99 0.11 ms"
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} records, {} lost", self.records, self.lost)?;
        if self.records == 0 {
            return Ok(());
        }
        let (half, most) = (self.delays.quantile(0.5), self.delays.quantile(0.99));
        write!(f, "; delay p50 {}, p99 {}", Millis(half), Millis(most))
    }
}

/// A delay, always in milliseconds, so that one reads well above another.
#[derive(Clone, Copy, Debug)]
pub(super) struct Millis(pub(super) Duration);

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.2} ms", self.0.as_secs_f64() * 1e3)
    }
}

/// Counts of delays, in buckets that are 1/32 of their value wide.
struct Delays {
    buckets: Box<[u64; BUCKETS]>,
    count: u64,
    longest: u64,
}

impl Default for Delays {
    fn default() -> Self {
        Self {
            buckets: Box::new([0; BUCKETS]),
            count: 0,
            longest: 0,
        }
    }
}

impl fmt::Debug for Delays {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} delays, longest {} ns", self.count, self.longest)
    }
}

impl Delays {
    fn count(&mut self, delay: Duration) {
        let nanos = u64::try_from(delay.as_nanos()).unwrap_or(u64::MAX);
        self.buckets[bucket(nanos)] += 1;
        self.count += 1;
        self.longest = self.longest.max(nanos);
    }

    /// The delay that this part of all delays do not exceed, at most 1/32 too long.
    fn quantile(&self, part: f64) -> Duration {
        let rank = ((self.count as f64 * part).ceil() as u64).max(1);
        let mut below = 0;
        for (index, count) in self.buckets.iter().enumerate() {
            below += count;
            if below >= rank {
                return Duration::from_nanos(top(index).min(self.longest));
            }
        }
        Duration::ZERO
    }
}

/// The bucket of a number: its five highest bits behind the leading one, and how long it is.
fn bucket(nanos: u64) -> usize {
    let shift = nanos.max(1).ilog2().saturating_sub(FINE.ilog2());
    (u64::from(shift) * FINE + (nanos >> shift)) as usize
}

/// The largest number in a bucket.
fn top(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    let shift = (bucket / FINE).saturating_sub(1);
    let first = bucket - shift * FINE;
    // Of the very last bucket nothing is left above.
    ((first + 1) << shift).wrapping_sub(1)
}

/// Buckets for each power of two.
const FINE: u64 = 32;
const BUCKETS: usize = (u64::BITS as usize - FINE.ilog2() as usize + 1) * FINE as usize;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tally(arrivals: &[(u64, u64)]) -> Tally {
        let mut tally = Tally::default();
        for (seq, delay_us) in arrivals {
            let sent = Time::from_millis(seq * 200);
            tally.see(
                &Record::new(*seq, sent),
                sent + Duration::from_micros(*delay_us),
            );
        }
        tally
    }

    #[test]
    fn gaps_are_losses() {
        assert_eq!(tally(&[]).to_string(), "0 records, 0 lost");
        let seen = tally(&[(5, 60), (6, 60), (7, 60)]);
        assert_eq!(
            seen.to_string(),
            "3 records, 0 lost; delay p50 0.06 ms, p99 0.06 ms"
        );
        assert!(
            tally(&[(5, 60), (6, 60), (9, 60), (11, 60)])
                .to_string()
                .starts_with("4 records, 3 lost;")
        );
    }

    #[test]
    fn the_worst_is_that_of_a_time() {
        let mut tally = tally(&[(1, 900), (2, 40)]);
        assert_eq!(tally.worst(), Duration::from_micros(900));
        tally.restart_worst();
        let record = Record::new(3, Time::from_millis(1));
        assert_eq!(
            tally.see(&record, Time::from_millis(3)),
            Duration::from_millis(2)
        );
        assert_eq!(Millis(tally.worst()).to_string(), "2.00 ms");
    }

    #[test]
    fn quantiles_leave_out_what_is_rare() {
        let mut arrivals: Vec<_> = (1..=99).map(|seq| (seq, 50)).collect();
        arrivals.push((100, 80_000));
        let seen = tally(&arrivals).to_string();
        assert_eq!(seen, "100 records, 0 lost; delay p50 0.05 ms, p99 0.05 ms");
        arrivals.push((101, 80_000));
        assert!(tally(&arrivals).to_string().ends_with("p99 80.00 ms"));
    }

    proptest! {
        #[test]
        fn a_bucket_holds_what_is_close_below_its_top(nanos: u64, bits in 0u32..64) {
            let nanos = nanos >> bits;
            let index = bucket(nanos);
            prop_assert!(index < BUCKETS);
            prop_assert!(nanos <= top(index) && top(index) - nanos <= nanos / FINE);
            prop_assert_eq!(bucket(top(index)), index);
        }
    }
}
