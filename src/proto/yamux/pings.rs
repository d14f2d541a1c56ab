//! Whether the peer is there, and how far away it is: one ping at a time, and how long the connection has been silent.

use std::time::Duration;

use super::error::Silent;
use super::session::Session;
use crate::base::time::Time;

/// Our pings, and what came back.
#[derive(Clone, Debug)]
pub(super) struct Pings {
    every: Duration,
    timeout: Duration,
    /// The value of the next ping.
    next_value: u32,
    /// The one under way: its value, and since when.
    asked: Option<(u32, Time)>,
    /// When the last one was sent, or the session began.
    last: Time,
    /// When anything last came in.
    heard: Time,
    /// When what stands before the ping under way was last seen to move.
    moved: Time,
    round_trip: Option<Duration>,
}

impl Pings {
    pub(super) fn new(now: Time, every: Duration, timeout: Duration) -> Self {
        Self {
            every,
            timeout,
            next_value: 0,
            asked: None,
            last: now,
            heard: now,
            moved: now,
            round_trip: None,
        }
    }

    pub(super) fn hear(&mut self, now: Time) {
        self.heard = now;
    }

    pub(super) fn moves(&mut self, now: Time) {
        self.moved = now;
    }

    pub(super) fn is_asking(&self) -> bool {
        self.asked.is_some()
    }

    pub(super) fn heard(&self) -> Time {
        self.heard
    }

    pub(super) fn round_trip(&self) -> Option<Duration> {
        self.round_trip
    }

    /// Begins a ping, unless one is under way. Returns its value.
    pub(super) fn ask(&mut self, now: Time) -> Option<u32> {
        if self.asked.is_some() {
            return None;
        }
        let value = self.next_value;
        self.next_value = value.wrapping_add(1);
        self.asked = Some((value, now));
        self.last = now;
        Some(value)
    }

    /// An answer came. Whether it answers what was asked.
    pub(super) fn answer(&mut self, now: Time, value: u32) -> bool {
        let Some((_, since)) = self.asked.take_if(|(asked, _)| *asked == value) else {
            return false;
        };
        // The shortest of late: what a queue adds is not the line's, but lines change.
        let sample = now.since(since);
        self.round_trip = Some(match self.round_trip {
            Some(known) if known < sample => known + (sample - known) / 4,
            _ => sample,
        });
        true
    }

    /// Whether it is time to ask again, unless the peer has been silent for too long.
    pub(super) fn tick(&mut self, now: Time) -> Result<bool, Silent> {
        if let Some((_, since)) = self.asked {
            // Whatever has come since is an answer, too: a pong may wait behind much data, and so may the ping.
            let silent = now.since(since.max(self.heard).max(self.moved));
            if silent >= self.timeout {
                return Err(Silent { after: silent });
            }
        }
        Ok(self.asked.is_none() && now.since(self.last) >= self.every)
    }

    /// When `tick` has something to do again.
    pub(super) fn due(&self) -> Time {
        match self.asked {
            Some((_, since)) => since.max(self.heard).max(self.moved) + self.timeout,
            None => self.last + self.every,
        }
    }
}

impl Session {
    /// Whether a ping of ours has not been answered yet.
    pub fn is_asking(&self) -> bool {
        self.pings.is_asking()
    }

    /// What stands before the ping under way moves, though it takes its time: the peer can't have answered yet.
    pub fn moves(&mut self, now: Time) {
        self.pings.moves(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Time {
        Time::from_millis(ms)
    }

    fn pings() -> Pings {
        Pings::new(at(0), Duration::from_secs(30), Duration::from_secs(10))
    }

    #[test]
    fn a_ping_is_due_every_thirty_seconds_and_one_at_a_time() {
        let mut pings = pings();
        assert_eq!(pings.due(), at(30_000));
        assert_eq!(pings.tick(at(29_999)), Ok(false));
        assert_eq!(pings.tick(at(30_000)), Ok(true));
        assert_eq!(pings.ask(at(30_000)), Some(0));
        assert_eq!(pings.ask(at(30_001)), None);
        assert_eq!(pings.due(), at(40_000));
        pings.hear(at(30_050));
        assert!(!pings.answer(at(30_050), 7), "nobody asked that");
        assert!(pings.answer(at(30_050), 0));
        assert!(!pings.answer(at(30_050), 0));
        assert_eq!(pings.round_trip(), Some(Duration::from_millis(50)));
        assert_eq!(pings.due(), at(60_000));
    }

    #[test]
    fn silence_behind_a_question_is_the_end_and_data_is_an_answer() {
        let mut pings = pings();
        pings.ask(at(1_000));
        pings.hear(at(5_000));
        assert_eq!(pings.tick(at(14_999)), Ok(false));
        let after = Duration::from_secs(10);
        assert_eq!(pings.tick(at(15_000)), Err(Silent { after }));
    }

    #[test]
    fn a_question_that_is_on_its_way_still_is_no_silence() {
        let mut pings = pings();
        pings.ask(at(1_000));
        assert!(pings.is_asking());
        pings.moves(at(9_000));
        assert_eq!(pings.due(), at(19_000));
        assert_eq!(pings.tick(at(18_999)), Ok(false));
        assert!(pings.tick(at(19_000)).is_err());
    }

    #[test]
    fn a_queue_on_the_way_is_not_taken_for_distance() {
        let mut pings = pings();
        for (asked, answered) in [(0, 20), (1000, 1100), (2000, 2010)] {
            let value = pings.ask(at(asked)).expect("none is under way");
            assert!(pings.answer(at(answered), value));
        }
        assert_eq!(pings.round_trip(), Some(Duration::from_millis(10)));
    }
}
