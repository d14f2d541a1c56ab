//! When a source's messages are due: so many a second, and, where several sources take turns, at a place of its own in
//! each period. Knows no clock.

use std::time::Duration;

use crate::base::time::Time;
use crate::roles::bench::config::Job;

/// When messages are due.
#[derive(Clone, Copy, Debug)]
pub(super) struct Schedule {
    pub(super) start: Time,
    /// The first message's number, and that from which on they count, and the end of those that do.
    pub(super) first: u64,
    pub(super) counted: u64,
    pub(super) end: u64,
    /// Messages a second.
    pub(super) rate: u64,
}

impl Schedule {
    /// When this one is. Whole nanoseconds between messages would make up a faster rate, by a thousandth where it is
    /// high.
    pub(super) fn due(&self, seq: u64) -> Time {
        let (count, rate) = (seq - self.first, self.rate);
        let nanos = count / rate * NANOS + count % rate * NANOS / rate;
        Time::from_nanos(self.start.nanos() + nanos)
    }
}

/// Where in each period of the clock that all players share a source's messages are due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Phase {
    /// Its place, from 0.
    pub(super) slot: usize,
    /// So many places are in a period, equally far apart.
    pub(super) of: usize,
}

impl Phase {
    /// Its first time that is not before `earliest`, where a period has so many nanoseconds.
    pub(super) fn next(self, earliest: Time, period: u64) -> Time {
        let place = period * self.slot as u64 / self.of as u64;
        let since = (earliest.nanos() + period - place) % period;
        earliest + Duration::from_nanos((period - since) % period)
    }
}

/// How far apart the messages to two relays are due.
pub(super) fn gap(job: &Job, relays: usize) -> Duration {
    let period = job.rate.map_or(0, |rate| NANOS / rate);
    Duration::from_nanos(period / relays.max(1) as u64)
}

pub(super) const NANOS: u64 = 1_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    const PERIOD: u64 = 10_000_000;

    fn next(slot: usize, of: usize, earliest: u64) -> u64 {
        let phase = Phase { slot, of };
        phase.next(Time::from_nanos(earliest), PERIOD).nanos()
    }

    #[test]
    fn schedules_lie_on_one_grid_wherever_they_begin() {
        for earliest in [
            0,
            1,
            4_999_999,
            5_000_000,
            5_000_001,
            9_999_999,
            123_456_789,
        ] {
            for (slot, of) in [(0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3)] {
                let at = next(slot, of, earliest);
                assert!((earliest..earliest + PERIOD).contains(&at), "{at}");
                assert_eq!(at % PERIOD, PERIOD * slot as u64 / of as u64);
            }
        }
    }

    #[test]
    fn a_place_that_is_just_reached_is_taken() {
        assert_eq!(next(0, 2, 20_000_000), 20_000_000);
        assert_eq!(next(1, 2, 20_000_000), 25_000_000);
        assert_eq!(next(1, 2, 25_000_000), 25_000_000);
        assert_eq!(next(1, 2, 25_000_001), 35_000_000);
    }

    #[test]
    fn a_schedule_has_as_many_messages_in_an_hour_as_were_asked_for() {
        for rate in [1, 3, 160, 600_001, 999_999, 1_000_000] {
            let schedule = Schedule {
                start: Time::from_nanos(7),
                first: 5,
                counted: 5,
                end: u64::MAX,
                rate,
            };
            let due = |seq| schedule.due(seq).nanos() - 7;
            assert_eq!(due(5), 0);
            assert_eq!(due(5 + 3600 * rate), 3600 * NANOS);
            assert_eq!(due(6), NANOS / rate);
            assert!(due(5 + rate - 1) < NANOS);
        }
    }
}
