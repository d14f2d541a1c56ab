//! What the ring does for a message and the wheel for a timer, in the least pieces that can be measured.

use std::hint::black_box;
use std::time::Duration;

use hydrant::base::ring::Ring;
use hydrant::base::time::Time;
use hydrant::base::wheel::{TimerKey, Wheel};

/// Writes a message into the ring, and returns where it begins.
pub(crate) fn push(ring: &mut Ring, message: &[u8]) -> u64 {
    let from = ring.head();
    let room = ring.reserve(message.len());
    let n = room.len();
    room.copy_from_slice(&black_box(message)[..n]);
    ring.commit(n);
    from
}

/// Finds everything from there on in the ring, as for one client.
pub(crate) fn find(ring: &Ring, from: u64) {
    let _ = black_box(ring.read_up_to(black_box(from), usize::MAX));
}

/// A wheel full of timers, that run out one after the other and are set again.
pub(crate) struct Timers {
    wheel: Wheel<u32>,
    now: Time,
    /// The time within which each of them runs out once.
    spread: Duration,
    at: u32,
    due: Vec<(TimerKey, u32)>,
}

impl Timers {
    /// So many of them, with 100,000 of which a minute would be full.
    pub(crate) fn new(count: u32) -> Self {
        let spread_ms = u64::from(count) * 60_000 / 100_000;
        let mut wheel = Wheel::new();
        for timer in 0..count {
            let at = u64::from(timer) * 7_919 % spread_ms;
            wheel.insert(Time::from_millis(at), timer);
        }
        Self {
            wheel,
            now: Time::ZERO,
            spread: Duration::from_millis(spread_ms),
            at: 0,
            due: Vec::new(),
        }
    }

    /// Sets one more, for a time that none of the others has, and takes it back.
    pub(crate) fn set_and_cancel(&mut self) {
        let spread_ms = self.spread.as_millis() as u32;
        self.at = (self.at + 7_919) % spread_ms;
        let after = self.spread + Duration::from_millis(self.at.into());
        let key = self.wheel.insert(self.now + after, 0);
        self.wheel.cancel(black_box(key));
    }

    /// A millisecond goes by, and each timer that runs out is set again.
    pub(crate) fn tick(&mut self) {
        self.now = self.now + Duration::from_millis(1);
        self.wheel.advance(self.now, &mut self.due);
        for (_, value) in self.due.drain(..) {
            self.wheel.insert(self.now + self.spread, value);
        }
    }
}
