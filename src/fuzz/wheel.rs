//! The wheel against the plainest thing that could stand for it: a list of moments, searched from end to end.

use crate::base::time::Time;
use crate::base::wheel::{TimerKey, Wheel};
use crate::fuzz::script::Script;

/// Sets, cancels and fires timers as the script says, and compares the wheel with the model after each step.
pub fn wheel(data: &[u8]) {
    let mut script = Script::new(data);
    let mut pair = Pair {
        wheel: Wheel::new(),
        model: Model::default(),
    };
    while !script.is_empty() {
        match script.pick(8) {
            0..=2 => pair.insert(&mut script),
            3 => pair.insert_many(&mut script),
            4 => pair.cancel(&mut script),
            5 => pair.advance_to_next(),
            _ => {
                let now = pair.model.now.nanos().saturating_add(span(&mut script));
                pair.advance(Time::from_nanos(now));
            }
        }
        pair.check();
    }
    pair.drain();
}

struct Pair {
    wheel: Wheel<u32>,
    model: Model,
}

#[derive(Default)]
struct Model {
    now: Time,
    /// Every timer ever set, in that order; a timer's value is its place here.
    timers: Vec<Timer>,
}

struct Timer {
    key: TimerKey,
    at: Time,
    /// The tick at which it fires.
    tick: u64,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Set,
    Over,
}

impl Model {
    fn waiting(&self) -> impl Iterator<Item = (u32, &Timer)> {
        let all = (0..).zip(&self.timers);
        all.filter(|(_, timer)| timer.state == State::Set)
    }

    fn insert(&mut self, at: Time, key: TimerKey) {
        let tick = at.nanos().div_ceil(TICK_NANOS).min(u64::MAX / TICK_NANOS);
        let tick = tick.max(self.now.nanos() / TICK_NANOS);
        self.timers.push(Timer {
            key,
            at,
            tick,
            state: State::Set,
        });
    }

    fn advance(&mut self, now: Time) -> Vec<(TimerKey, u32)> {
        self.now = self.now.max(now);
        let tick = self.now.nanos() / TICK_NANOS;
        let due = self.waiting().filter(|(_, timer)| timer.tick <= tick);
        let mut due: Vec<_> = due
            .map(|(value, timer)| (timer.tick, value, timer.key))
            .collect();
        due.sort();
        for (_, value, _) in &due {
            self.timers[*value as usize].state = State::Over;
        }
        due.into_iter()
            .map(|(_, value, key)| (key, value))
            .collect()
    }
}

impl Pair {
    fn insert(&mut self, script: &mut Script<'_>) {
        let from_now = span(script);
        let now = self.model.now.nanos();
        let at = match script.pick(4) {
            0 => now.saturating_sub(from_now),
            _ => now.saturating_add(from_now),
        };
        self.insert_at(Time::from_nanos(at));
    }

    /// Several for one moment: their order matters.
    fn insert_many(&mut self, script: &mut Script<'_>) {
        let at = self.model.now.nanos().saturating_add(span(script));
        for _ in 0..script.pick(5) {
            self.insert_at(Time::from_nanos(at));
        }
    }

    fn insert_at(&mut self, at: Time) {
        let value = self.model.timers.len() as u32;
        let key = self.wheel.insert(at, value);
        let same = self.model.timers.iter().find(|timer| timer.key == key);
        assert!(same.is_none(), "a key names one timer only");
        self.model.insert(at, key);
    }

    fn cancel(&mut self, script: &mut Script<'_>) {
        let chosen = script.pick(self.model.timers.len());
        let Some(timer) = self.model.timers.get_mut(chosen) else {
            return;
        };
        let was_set = timer.state == State::Set;
        timer.state = State::Over;
        assert_eq!(self.wheel.cancel(timer.key), was_set);
    }

    /// What a reactor does: it sleeps until then, and must get somewhere.
    fn advance_to_next(&mut self) {
        let Some(next) = self.wheel.next() else {
            return;
        };
        let fired = self.advance(next);
        let later = self.wheel.next().is_none_or(|after| after > next);
        assert!(
            fired > 0 || later,
            "an advance to the next moment makes progress"
        );
    }

    fn advance(&mut self, now: Time) -> usize {
        let mut due = Vec::new();
        self.wheel.advance(now, &mut due);
        assert_eq!(due, self.model.advance(now));
        for (_, value) in &due {
            let at = self.model.timers[*value as usize].at;
            let last_tick = Time::from_nanos(u64::MAX / TICK_NANOS * TICK_NANOS);
            assert!(
                at.min(last_tick) <= self.model.now,
                "a timer never fires early"
            );
        }
        due.len()
    }

    fn check(&self) {
        let next = self.wheel.next();
        assert_eq!(self.wheel.len(), self.model.waiting().count());
        assert_eq!(self.wheel.is_empty(), next.is_none());
        let Some(next) = next else { return };
        let first = self.model.waiting().map(|(_, timer)| timer.tick).min();
        let first = first.expect("the lengths are equal");
        let due = Time::from_nanos(first * TICK_NANOS).max(self.model.now);
        assert!(self.model.now <= next && next <= due, "{next} of {due}");
    }

    /// Sleeps from moment to moment until nothing is left; each timer is met once a level at most.
    fn drain(&mut self) {
        let steps_max = 8 * self.wheel.len();
        for _ in 0..steps_max {
            self.advance_to_next();
        }
        assert!(self.wheel.is_empty());
        self.check();
    }
}

/// A length of time in nanoseconds: none, within a tick, within a level, over some levels, or up to the clock's end.
fn span(script: &mut Script<'_>) -> u64 {
    match script.pick(6) {
        0 => 0,
        1 => u64::from(script.take_u16()) * 50,
        2 => u64::from(script.take_u8()) * TICK_NANOS,
        3 => u64::from(script.take_u16()) * TICK_NANOS,
        4 => u64::from(script.take_u16()) << script.pick(48),
        _ => script.take_u64(),
    }
}

const TICK_NANOS: u64 = 1_000_000;
