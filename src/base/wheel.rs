//! Timers: which of very many moments comes next.
//!
//! The wheel owns the moments and a small value for each. It knows no callback and no clock: [`Wheel::advance`] is told
//! what time it is and hands over what is due. Inserting and cancelling cost the same however many timers there are.
//!
//! ```text
//!   a tick, 1 ms, in digits of base 64:     ... | level 2 | level 1 | level 0 |
//!
//!   level 0   [ 64 slots of 1 tick each ]       the timers that differ from now in the last digit only
//!   level 1   [ 64 slots of 64 ticks    ]       those whose highest digit unlike now's is the second
//!   level 2   [ 64 slots of 4096 ticks  ]       ... and so on; eight levels hold the clock to its end
//! ```
//!
//! A timer's level is that of the highest digit in which its tick differs from the present one, and its slot is that
//! digit. When time reaches a slot above level 0, the timers in it are spread over the levels below. So a slot is
//! always the right one for the present tick, all timers of one tick are in the same slot, and they stay in order.

use crate::base::time::Time;

/// Names a timer. A key whose timer has fired or was cancelled matches nothing any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TimerKey {
    /// The timer's place in the wheel. Places are reused, the most recently freed one first.
    pub index: u32,
    /// Which tenant of that place.
    pub generation: u32,
}

/// A hierarchical timer wheel whose timers carry a `T`.
#[derive(Debug)]
pub struct Wheel<T> {
    entries: Vec<Entry<T>>,
    /// The first free entry; the others follow through `Entry::next`.
    free: u32,
    len: usize,
    slots: Box<[[Slot; SLOTS]; LEVELS]>,
    /// A bit for each slot that has timers.
    occupied: [u64; LEVELS],
    /// Every timer of an earlier tick has fired, and so has every one of this tick that was set before it came.
    tick: u64,
    now: Time,
    /// How often an entry was put into a slot.
    #[cfg(test)]
    links: usize,
}

impl<T: Copy> Wheel<T> {
    /// A wheel without timers, at the beginning of the clock.
    pub fn new() -> Self {
        Self {
            entries: Vec::new(),
            free: NONE,
            len: 0,
            slots: Box::new(
                [[Slot {
                    first: NONE,
                    last: NONE,
                }; SLOTS]; LEVELS],
            ),
            occupied: [0; LEVELS],
            tick: 0,
            now: Time::ZERO,
            #[cfg(test)]
            links: 0,
        }
    }

    /// How many timers are set.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether no timer is set.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Sets a timer. It is due at the first whole tick that is not before `at`: never early, and less than a tick late.
    /// One set for the past, or for the tick of the latest [`Wheel::advance`], is due at the next one.
    pub fn insert(&mut self, at: Time, value: T) -> TimerKey {
        let tick = at
            .nanos()
            .div_ceil(TICK_NANOS)
            .clamp(self.tick, LAST_TICK.max(self.tick));
        let index = self.take_entry(tick, value);
        self.link(index);
        self.len += 1;
        TimerKey {
            index,
            generation: self.entries[index as usize].generation,
        }
    }

    /// Unsets a timer. False if there is none of that key, because it has fired or was cancelled before. A timer that
    /// `advance` has handed over has fired, though its turn may not have come in the caller's list.
    pub fn cancel(&mut self, key: TimerKey) -> bool {
        let found = self.entries.get(key.index as usize);
        if found.is_none_or(|entry| entry.generation != key.generation || !entry.is_taken()) {
            return false;
        }
        self.unlink(key.index);
        self.free_entry(key.index);
        self.len -= 1;
        true
    }

    /// Unsets every timer whose value is none to `keep`. The cost depends on how many timers were ever set at a time.
    pub fn retain(&mut self, keep: impl Fn(&T) -> bool) {
        for index in 0..self.entries.len() as u32 {
            let entry = &self.entries[index as usize];
            if entry.is_taken() && !keep(&entry.value) {
                self.unlink(index);
                self.free_entry(index);
                self.len -= 1;
            }
        }
    }

    /// When to call [`Wheel::advance`] again, if any timer is set. Not later than the first one is due and not before
    /// the latest `advance`. Where many timers are far ahead together it may be a moment in between, when nothing is
    /// due yet; there is at most one for each level on the way.
    pub fn next(&self) -> Option<Time> {
        let (level, slot, start) = self.first_slot()?;
        let tick = match level {
            0 => start,
            _ => self
                .first_tick(self.slots[level][slot].first)
                .unwrap_or(start),
        };
        Some(Time::from_nanos(tick * TICK_NANOS).max(self.now))
    }

    /// The earliest tick in a slot's list; `None` where that is too long to be looked through. So the few timers of a
    /// process that has little to do wake it up once each, rather than once more whenever they change their level.
    fn first_tick(&self, mut index: u32) -> Option<u64> {
        let mut first = u64::MAX;
        for _ in 0..LOOK_MAX {
            let entry = &self.entries[index as usize];
            first = first.min(entry.tick);
            index = entry.next;
            if index == NONE {
                return Some(first);
            }
        }
        None
    }

    /// Adds all timers that are due at `now` to `due`, in order of their ticks, those of one tick in the order in which
    /// they were set. A timer that was set for the past counts as of the tick that was present then. The cost depends
    /// on the timers that are met, never on the time gone by. A `now` before an earlier one counts as that.
    pub fn advance(&mut self, now: Time, due: &mut Vec<(TimerKey, T)>) {
        self.now = self.now.max(now);
        let target = self.now.nanos() / TICK_NANOS;
        while let Some((level, slot, start)) = self.first_slot().filter(|found| found.2 <= target) {
            self.tick = start;
            let mut index = self.empty_slot(level, slot);
            while index != NONE {
                let entry = self.entries[index as usize];
                if entry.tick == self.tick {
                    due.push((
                        TimerKey {
                            index,
                            generation: entry.generation,
                        },
                        entry.value,
                    ));
                    self.free_entry(index);
                    self.len -= 1;
                } else {
                    self.link(index);
                }
                index = entry.next;
            }
        }
        self.tick = target;
    }

    /// The slot whose time comes first: its level, its number, and the tick at which it begins. A lower level is always
    /// earlier than a higher one, since all of it lies before the next slot of that one.
    fn first_slot(&self) -> Option<(usize, usize, u64)> {
        let level = self.occupied.iter().position(|slots| *slots != 0)?;
        let slot = self.occupied[level].trailing_zeros();
        let shift = BITS * level as u32;
        let start = (self.tick >> (shift + BITS) << (shift + BITS)) | u64::from(slot) << shift;
        Some((level, slot as usize, start))
    }

    /// Where a timer for `tick` belongs as long as the present tick does not reach its slot.
    fn slot_for(&self, tick: u64) -> (usize, usize) {
        let differing = tick ^ self.tick;
        let level = differing.checked_ilog2().map_or(0, |bit| bit / BITS);
        let slot = tick >> (BITS * level) & (SLOTS as u64 - 1);
        (level as usize, slot as usize)
    }

    /// Appends an entry to the slot it belongs in.
    fn link(&mut self, index: u32) {
        #[cfg(test)]
        {
            self.links += 1;
        }
        let (level, slot) = self.slot_for(self.entries[index as usize].tick);
        let list = &mut self.slots[level][slot];
        let before = list.last;
        list.last = index;
        if before == NONE {
            list.first = index;
            self.occupied[level] |= 1 << slot;
        } else {
            self.entries[before as usize].next = index;
        }
        let entry = &mut self.entries[index as usize];
        entry.prev = before;
        entry.next = NONE;
    }

    fn unlink(&mut self, index: u32) {
        let Entry {
            tick, prev, next, ..
        } = self.entries[index as usize];
        let (level, slot) = self.slot_for(tick);
        let list = &mut self.slots[level][slot];
        if prev == NONE {
            list.first = next;
        } else {
            self.entries[prev as usize].next = next;
        }
        if next == NONE {
            list.last = prev;
        } else {
            self.entries[next as usize].prev = prev;
        }
        if list.first == NONE {
            self.occupied[level] &= !(1 << slot);
        }
    }

    /// Takes the whole list out of a slot; its entries remain chained by `next`.
    fn empty_slot(&mut self, level: usize, slot: usize) -> u32 {
        self.occupied[level] &= !(1 << slot);
        let list = &mut self.slots[level][slot];
        let first = list.first;
        *list = Slot {
            first: NONE,
            last: NONE,
        };
        first
    }

    fn take_entry(&mut self, tick: u64, value: T) -> u32 {
        if self.free == NONE {
            let index = u32::try_from(self.entries.len()).expect("timers are far fewer than 2^32");
            self.entries.push(Entry {
                tick,
                prev: NONE,
                next: NONE,
                generation: 1,
                value,
            });
            return index;
        }
        let index = self.free;
        let entry = &mut self.entries[index as usize];
        self.free = entry.next;
        let generation = entry.generation.wrapping_add(1);
        *entry = Entry {
            tick,
            prev: NONE,
            next: NONE,
            generation,
            value,
        };
        index
    }

    fn free_entry(&mut self, index: u32) {
        let entry = &mut self.entries[index as usize];
        entry.generation = entry.generation.wrapping_add(1);
        entry.next = self.free;
        self.free = index;
    }
}

impl<T: Copy> Default for Wheel<T> {
    fn default() -> Self {
        Self::new()
    }
}

/// A timer, or a free place. The generation is odd while the place is taken and grows at both ends of a tenancy.
#[derive(Clone, Copy, Debug)]
struct Entry<T> {
    tick: u64,
    prev: u32,
    next: u32,
    generation: u32,
    value: T,
}

impl<T> Entry<T> {
    fn is_taken(&self) -> bool {
        self.generation % 2 == 1
    }
}

/// The two ends of a slot's list of entries.
#[derive(Clone, Copy, Debug)]
struct Slot {
    first: u32,
    last: u32,
}

/// The end of a list.
const NONE: u32 = u32::MAX;

/// A tick is a millisecond.
const TICK_NANOS: u64 = 1_000_000;

/// The last whole tick of the clock. A timer for what little comes after it, 584 years ahead, is set for this one.
const LAST_TICK: u64 = u64::MAX / TICK_NANOS;

/// Bits of a tick that one level looks at.
const BITS: u32 = 6;

/// Timers of one slot among which the first is looked for each time that it is asked for.
const LOOK_MAX: usize = 8;

/// Slots of a level.
const SLOTS: usize = 1 << BITS;

/// Enough for the last tick, so that no timer lies beyond the wheel.
const LEVELS: usize = 8;

const _: () = assert!(
    LAST_TICK < 1 << (BITS as usize * LEVELS),
    "the levels must hold every tick"
);

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(millis: u64) -> Time {
        Time::from_millis(millis)
    }

    fn due(wheel: &mut Wheel<u32>, now: Time) -> Vec<u32> {
        let mut due = Vec::new();
        wheel.advance(now, &mut due);
        due.into_iter().map(|(_, value)| value).collect()
    }

    #[test]
    fn a_timer_is_never_early_and_less_than_a_tick_late() {
        let mut wheel = Wheel::new();
        wheel.insert(at(5) + Duration::from_nanos(1), 1);
        assert_eq!(due(&mut wheel, at(5) + Duration::from_micros(999)), [0; 0]);
        assert_eq!(due(&mut wheel, at(6)), [1]);
        assert_eq!(wheel.len(), 0);
    }

    #[test]
    fn due_timers_come_by_tick_and_then_by_age() {
        let mut wheel = Wheel::new();
        wheel.insert(at(7000), 1);
        wheel.insert(at(70), 2);
        wheel.insert(at(7000), 3);
        assert_eq!(due(&mut wheel, at(6999)), [2]);
        wheel.insert(at(7000), 4);
        wheel.insert(at(3), 5);
        wheel.insert(at(7001), 6);
        assert_eq!(due(&mut wheel, at(9000)), [5, 1, 3, 4, 6]);
    }

    #[test]
    fn only_those_to_keep_are_kept() {
        let mut wheel = Wheel::new();
        let keys = [1, 2, 3, 4].map(|value| wheel.insert(at(100 * u64::from(value % 2)), value));
        assert!(wheel.cancel(keys[3]));
        wheel.retain(|value| value % 2 == 1);
        assert_eq!(wheel.len(), 2);
        assert!(!wheel.cancel(keys[1]), "it is gone");
        wheel.insert(at(50), 5);
        wheel.retain(|value| *value != 1);
        assert_eq!(due(&mut wheel, at(100)), [5, 3]);
        assert_eq!(wheel.next(), None);
    }

    #[test]
    fn a_cancelled_timer_is_gone_and_its_key_stays_stale() {
        let mut wheel = Wheel::new();
        let keys = [1, 2, 3].map(|value| wheel.insert(at(100), value));
        assert!(wheel.cancel(keys[1]));
        assert!(!wheel.cancel(keys[1]));
        let again = wheel.insert(at(100), 4);
        assert_eq!(again.index, keys[1].index, "the place is reused");
        assert!(!wheel.cancel(keys[1]));
        assert_eq!(wheel.len(), 3);
        assert_eq!(due(&mut wheel, at(100)), [1, 3, 4]);
        assert!(!wheel.cancel(keys[0]));
        assert!(!wheel.cancel(TimerKey {
            index: 99,
            generation: 1
        }));
    }

    #[test]
    fn the_key_of_a_free_place_can_not_be_guessed_by_counting() {
        let mut wheel = Wheel::new();
        let key = wheel.insert(at(1), 1);
        wheel.cancel(key);
        assert!(!wheel.cancel(TimerKey {
            index: 0,
            generation: key.generation + 1
        }));
    }

    #[test]
    fn next_is_none_only_without_timers() {
        let mut wheel = Wheel::new();
        assert_eq!(wheel.next(), None);
        let key = wheel.insert(at(40), 1);
        assert_eq!(wheel.next(), Some(at(40)));
        wheel.cancel(key);
        assert_eq!(wheel.next(), None);
    }

    #[test]
    fn few_timers_bring_no_step_but_their_own() {
        let mut wheel = Wheel::new();
        due(&mut wheel, at(77));
        for value in 0..LOOK_MAX as u32 {
            wheel.insert(at(400_077 - u64::from(value)), value);
        }
        assert_eq!(wheel.next(), Some(at(400_070)));
        assert_eq!(due(&mut wheel, at(400_069)), [0; 0]);
        assert_eq!(due(&mut wheel, at(400_070)), [7]);
    }

    #[test]
    fn many_far_timers_are_reached_in_few_steps() {
        let mut wheel = Wheel::new();
        let year = at(365 * 24 * 3600 * 1000 + 12_345);
        for value in 0..=LOOK_MAX as u32 {
            wheel.insert(year + Duration::from_millis(400 * u64::from(value)), value);
        }
        let mut steps = 0;
        let fired = loop {
            let now = wheel.next().expect("it has not fired yet");
            steps += 1;
            if due(&mut wheel, now) == [0] {
                break now;
            }
        };
        assert_eq!(fired, year);
        assert!(steps <= LEVELS, "{steps} steps");
    }

    #[test]
    fn a_timer_among_very_many_is_touched_once_a_level() {
        const TIMERS: usize = 100_000;
        const LEVELS_OF_A_MINUTE: usize = 3;
        let mut wheel = Wheel::new();
        for value in 0..TIMERS {
            wheel.insert(at(value as u64 * 7_919 % 60_000), value);
        }
        let key = wheel.insert(at(30_000), TIMERS);
        assert!(wheel.cancel(key));
        assert_eq!(wheel.links, TIMERS + 1, "setting one touches no other");
        let (mut fired, mut now) = (Vec::new(), 0);
        while !wheel.is_empty() {
            now += 1;
            wheel.advance(at(now), &mut fired);
        }
        assert_eq!(fired.len(), TIMERS);
        assert!(
            wheel.links <= TIMERS * LEVELS_OF_A_MINUTE + 1,
            "{}",
            wheel.links
        );
    }

    #[test]
    fn the_end_of_the_clock_can_be_waited_for() {
        let mut wheel = Wheel::new();
        let end = Time::from_nanos(u64::MAX);
        wheel.insert(end, 1);
        assert_eq!(due(&mut wheel, at(1)), [0; 0]);
        assert_eq!(due(&mut wheel, end), [1]);
        wheel.insert(end, 2);
        assert_eq!(wheel.next(), Some(end));
        assert_eq!(due(&mut wheel, end), [2]);
    }

    #[test]
    fn what_is_set_while_the_due_are_served_waits_for_the_next_advance() {
        let mut wheel = Wheel::new();
        let now = at(10) + Duration::from_micros(300);
        wheel.insert(now, 1);
        assert_eq!(due(&mut wheel, at(11)), [1]);
        wheel.insert(at(11), 2);
        wheel.insert(Time::ZERO, 3);
        assert_eq!(wheel.next(), Some(at(11)));
        assert_eq!(due(&mut wheel, at(11)), [2, 3]);
    }

    #[test]
    fn next_is_not_before_the_latest_advance() {
        let mut wheel = Wheel::new();
        let now = at(10) + Duration::from_micros(300);
        assert_eq!(due(&mut wheel, now), [0; 0]);
        wheel.insert(at(2), 1);
        assert_eq!(wheel.next(), Some(now));
        assert_eq!(due(&mut wheel, at(4)), [1], "time does not go back");
    }
}
