//! Which size of a read is the cheapest here. A larger one means fewer system calls for each byte; it also means more
//! bytes that have to stay in the processor's cache until the last client has been sent them. Where the one outweighs
//! the other depends on the processor and on how many share a read: measured on two virtual machines (AMD EPYC, 2026),
//! 512 KiB were the best with one client and 256 KiB with a hundred and more on the one, and on the other it was the
//! other way round.
//!
//! So it is found out. Once the upstream has more to read than is asked for, the size in use and one of its neighbours
//! are used in turns, a block of reads each, and the neighbour takes its place if it was the cheaper one by the
//! processor's time for each byte sent, in as many rounds as it takes to tell that from chance. What other roles of
//! the loop do meanwhile is left out: a turn does so much of theirs, and larger reads need fewer turns, so that they
//! would seem cheaper than they are. So are pauses of an upstream, which take time where the loop never sleeps:
//!
//! ```text
//!   rest ──enough full reads──> best | other | best | other | best | other | ... ──other won──> other is the best
//!    ^                                                                        │
//!    ├───────────────────── the other way next; twice the rest <──────────────┤ it lost
//!    └───────────────────── the other way next <──────────────────────────────┘ too little to read, several times
//! ```
//!
//! Where another crowd comes to share a read, all begins with a rest.

use std::time::Duration;

use crate::reactor::Cx;

/// The size of a read, and what is being found out about it.
///
/// What each message looks at comes last, in memory as here.
#[derive(Debug)]
#[repr(C)]
pub(super) struct ReadSize {
    most: usize,
    /// Whether the neighbour to be tried next is the larger one.
    upwards: bool,
    /// Neighbours that have lost since the best became it, or since another crowd shares a read.
    lost: u32,
    /// Spells until the next trial.
    rest: u32,
    spell: Spell,
    /// How many clients shared a read when the crowd was last another one.
    crowd: f64,
    trial: Option<Trial>,
    best: usize,
    /// What the latest read brought.
    last: usize,
}

/// Tells the processor's time that the relay's own work takes.
pub(super) trait Stopwatch {
    /// From now on.
    fn begin(&mut self);

    /// Until now; `None` where that is not known.
    fn end(&mut self) -> Option<Duration>;
}

impl Stopwatch for Cx<'_> {
    fn begin(&mut self) {
        self.begin_timing();
    }

    fn end(&mut self) -> Option<Duration> {
        self.end_timing()
    }
}

/// Some reads, after which it is looked how many clients have shared them.
#[derive(Debug, Default)]
struct Spell {
    reads: u32,
    began: Traffic,
}

/// Bytes that have come in and gone out so far, all in all.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Traffic {
    pub(super) read: u64,
    pub(super) sent: u64,
}

/// Two sizes, compared.
#[derive(Debug)]
struct Trial {
    other: usize,
    /// Blocks that are over; the odd ones are the other size's.
    blocks: u32,
    reads: u32,
    /// Blocks since the last round that told something in which there was too little to read, or of which it is not
    /// known how long they took.
    idle: u32,
    /// When what counts of the block began.
    began: Traffic,
    /// Nanoseconds for each byte in the block before.
    before: f64,
    /// By how much the other size was cheaper in each round so far.
    gains: Gains,
}

/// Logarithms of ratios, of which one block that something disturbed can't outweigh the others.
#[derive(Debug, Default)]
struct Gains {
    count: f64,
    sum: f64,
    squares: f64,
}

impl Gains {
    fn add(&mut self, ratio: f64) {
        let gain = ratio.ln().clamp(-GAIN_MAX, GAIN_MAX);
        self.count += 1.0;
        self.sum += gain;
        self.squares += gain * gain;
    }

    /// Whether there is a gain on the average, as soon as that is no chance, and in the end whatever it is.
    fn verdict(&self) -> Option<bool> {
        let mean = self.sum / self.count;
        let variance = (self.squares / self.count - mean * mean) / (self.count - 1.0);
        let least = if mean > 0.0 { TO_WIN } else { TO_LOSE };
        let is_sure = self.count >= least && mean.abs() > SURE * variance.max(0.0).sqrt();
        (is_sure || self.count >= ROUNDS_MAX).then_some(mean > 0.0)
    }
}

impl ReadSize {
    /// Reads of at most `most` bytes.
    pub(super) fn new(most: usize) -> Self {
        Self {
            most,
            best: FIRST.min(most),
            upwards: true,
            lost: 0,
            rest: 1,
            spell: Spell::default(),
            crowd: 0.0,
            last: 0,
            trial: None,
        }
    }

    /// How many bytes are to be read.
    pub(super) fn now(&self) -> usize {
        match &self.trial {
            Some(trial) if trial.blocks % 2 == 1 => trial.other,
            _ => self.best,
        }
    }

    /// What the latest read brought.
    pub(super) fn last(&self) -> usize {
        self.last
    }

    /// A read brought so many bytes.
    pub(super) fn note(&mut self, bytes: usize) {
        self.last = bytes;
    }

    /// The upstream is about to be read.
    pub(super) fn before_read(&mut self, so_far: Traffic, watch: &mut impl Stopwatch) {
        let is_full = self.last >= self.now();
        if is_full || self.trial.is_some() {
            self.learn(so_far, watch);
        }
    }

    /// Called where there is more to read than is asked for, and within a trial; never merged into what each small
    /// message runs.
    #[inline(never)]
    fn learn(&mut self, so_far: Traffic, watch: &mut impl Stopwatch) {
        let crowd = self.spell.go_on(so_far);
        if crowd.is_some_and(|crowd| self.is_another(crowd)) {
            self.lost = 0;
            if self.trial.is_some() {
                watch.end();
            }
            self.begin_rest(so_far);
        } else if self.trial.is_some() {
            self.go_on(so_far, watch);
        } else if crowd.is_some() {
            self.rest -= 1;
            if self.rest == 0 {
                self.begin_trial();
            }
        }
    }

    /// Those count who take bytes, on the average: some may be connected and take none, or be behind for a moment.
    fn is_another(&mut self, crowd: f64) -> bool {
        let is_another = crowd > 2.0 * self.crowd || 2.0 * crowd < self.crowd;
        let was_known = self.crowd > 0.0;
        if is_another {
            self.crowd = crowd;
        }
        is_another && was_known
    }

    fn begin_rest(&mut self, so_far: Traffic) {
        self.trial = None;
        self.spell = Spell::new(so_far);
        // Both neighbours are looked at before there is more rest.
        self.rest = 1 << (self.lost / 2).min(REST_DOUBLED_MAX);
    }

    fn begin_trial(&mut self) {
        let neighbour = |upwards| {
            let size = if upwards {
                self.best * 2
            } else {
                self.best / 2
            };
            (LEAST..=self.most).contains(&size).then_some(size)
        };
        let other = neighbour(self.upwards).or_else(|| {
            self.upwards = !self.upwards;
            neighbour(self.upwards)
        });
        match other {
            Some(other) => self.trial = Some(Trial::new(other)),
            // There is but one size.
            None => self.rest = u32::MAX,
        }
    }

    fn go_on(&mut self, so_far: Traffic, watch: &mut impl Stopwatch) {
        let Some(trial) = &mut self.trial else { return };
        match trial.go_on(self.best.min(trial.other), so_far, watch) {
            Verdict::Open => {}
            Verdict::Idle => {
                // It may never have more than the size in use takes.
                self.upwards = !self.upwards;
                self.begin_rest(so_far);
            }
            Verdict::Lost => {
                self.upwards = !self.upwards;
                self.lost = self.lost.saturating_add(1);
                self.begin_rest(so_far);
            }
            Verdict::Won => {
                self.best = trial.other;
                self.lost = 0;
                self.begin_rest(so_far);
            }
        }
    }
}

impl Spell {
    fn new(began: Traffic) -> Self {
        Self { reads: 0, began }
    }

    /// One read more. At the end, by how many clients one was shared.
    fn go_on(&mut self, so_far: Traffic) -> Option<f64> {
        self.reads += 1;
        let sent = so_far.sent - self.began.sent;
        if self.reads < SPELL_MIN || self.reads < SPELL_MAX && sent < SPELL_BYTES {
            return None;
        }
        let read = so_far.read - self.began.read;
        *self = Self::new(so_far);
        Some(sent as f64 / read.max(1) as f64)
    }
}

enum Verdict {
    Open,
    /// Nothing was learnt.
    Idle,
    Lost,
    Won,
}

impl Trial {
    fn new(other: usize) -> Self {
        Self {
            other,
            blocks: 0,
            reads: 0,
            idle: 0,
            began: Traffic::default(),
            before: 0.0,
            gains: Gains::default(),
        }
    }

    /// `smaller` is the smaller one of both.
    fn go_on(&mut self, smaller: usize, so_far: Traffic, watch: &mut impl Stopwatch) -> Verdict {
        // The first reads of another size find memory that is not in the cache yet.
        self.reads += 1;
        if self.reads <= SETTLING {
            if self.reads == SETTLING {
                watch.begin();
                self.began = so_far;
            }
            return Verdict::Open;
        }
        let counted = self.reads - SETTLING;
        let sent = so_far.sent - self.began.sent;
        if counted < BLOCK_MIN || counted < BLOCK_MAX && sent < BLOCK_BYTES {
            return Verdict::Open;
        }
        // What is between the two sizes tells them apart, too.
        let read = (so_far.read - self.began.read) as f64;
        let is_full = sent > 0 && read >= ENOUGH * f64::from(counted) * smaller as f64;
        self.reads = 0;
        let Some(took) = watch.end().filter(|took| is_full && !took.is_zero()) else {
            // The round begins anew.
            self.blocks &= !1;
            self.idle += 1;
            return match self.idle < IDLE_MAX {
                true => Verdict::Open,
                false => Verdict::Idle,
            };
        };
        let cost = took.as_nanos() as f64 / sent as f64;
        self.blocks += 1;
        if self.blocks % 2 == 1 {
            self.before = cost;
            return Verdict::Open;
        }
        self.idle = 0;
        self.gains.add(self.before * WORTH / cost);
        match self.gains.verdict() {
            None => Verdict::Open,
            Some(true) => Verdict::Won,
            Some(false) => Verdict::Lost,
        }
    }
}

const FIRST: usize = 256 << 10;
/// Below that it was always dearer, on two machines, and the system calls show by themselves. For processors with
/// little cache.
const LEAST: usize = 64 << 10;
/// Full reads between trials, at first: as many as send so many bytes, which takes about a fifth of a second, but not
/// fewer or more than this.
const SPELL_BYTES: u64 = 512 << 20;
const SPELL_MIN: u32 = 64;
const SPELL_MAX: u32 = 512;
/// How often that is doubled while nothing better is found.
const REST_DOUBLED_MAX: u32 = 7;
const SETTLING: u32 = 3;
/// Reads in a block: as many as send so many bytes, which takes some hundredths of a second, but not fewer or more
/// than this.
const BLOCK_BYTES: u64 = 64 << 20;
const BLOCK_MIN: u32 = 8;
const BLOCK_MAX: u32 = 128;
/// Rounds of a trial.
const TO_WIN: f64 = 3.0;
const TO_LOSE: f64 = 2.0;
/// By then a gain of a tenth is told nine times of ten where blocks differ by a quarter by chance, as they did with one
/// client.
const ROUNDS_MAX: f64 = 16.0;
/// What a block brings of what its reads of the smaller size would take, for the sizes to make a difference.
const ENOUGH: f64 = 0.75;
/// A source that is about as fast as the relay has less to read now and then.
const IDLE_MAX: u32 = 4;
/// So many times the error of the mean.
const SURE: f64 = 2.0;
const GAIN_MAX: f64 = 0.25;
/// What costs at least so much of the other's is not worth a change.
const WORTH: f64 = 0.98;

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: usize = 512 << 10;

    /// What it tells is the time between the two calls.
    #[derive(Default)]
    struct Watch {
        now: f64,
        began: f64,
    }

    impl Stopwatch for Watch {
        fn begin(&mut self) {
            self.began = self.now;
        }

        fn end(&mut self) -> Option<Duration> {
            Some(Duration::from_nanos((self.now - self.began) as u64))
        }
    }

    struct Nobody;

    impl Stopwatch for Nobody {
        fn begin(&mut self) {
            unreachable!("nobody asks for the time");
        }

        fn end(&mut self) -> Option<Duration> {
            unreachable!("nor for how long it took");
        }
    }

    /// A size, and what went on while it was looked for.
    struct Search {
        size: ReadSize,
        so_far: Traffic,
        watch: Watch,
    }

    impl Search {
        fn new(most: usize) -> Self {
            Self {
                size: ReadSize::new(most),
                so_far: Traffic::default(),
                watch: Watch::default(),
            }
        }

        /// Reads so many times, where a byte that is read `size` at a time and sent to so many costs `cost(size)`
        /// nanoseconds for each of them, and tells the size in the end.
        fn after(
            &mut self,
            reads: u32,
            takers: usize,
            mut cost: impl FnMut(usize) -> f64,
        ) -> usize {
            for _ in 0..reads {
                self.size.before_read(self.so_far, &mut self.watch);
                let bytes = self.size.now();
                self.bring(bytes, takers);
                self.watch.now += cost(bytes) * (bytes * takers) as f64;
            }
            self.size.now()
        }

        fn bring(&mut self, bytes: usize, takers: usize) {
            self.size.note(bytes);
            self.so_far.read += bytes as u64;
            self.so_far.sent += (bytes * takers) as u64;
        }
    }

    #[test]
    fn the_cheapest_size_is_found() {
        for takers in [1, 10, 100, 1000, 10_000] {
            for best in [64 << 10, 128 << 10, 256 << 10, 512 << 10] {
                let mut search = Search::new(MOST);
                let cost = |size: usize| 0.1 + 0.02 * (size as f64 / best as f64).log2().abs();
                // Not in the midst of a trial.
                search.after(20_000, takers, cost);
                assert_eq!(search.size.best, best, "{takers}");
            }
        }
    }

    #[test]
    fn what_makes_no_difference_changes_nothing() {
        let mut search = Search::new(MOST);
        search.after(20_000, 10, |_| 0.1);
        assert_eq!(search.size.best, FIRST);
    }

    #[test]
    fn a_clock_that_stands_still_changes_nothing() {
        let mut search = Search::new(MOST);
        search.after(20_000, 10, |_| 0.0);
        assert_eq!(search.size.best, FIRST);
    }

    #[test]
    fn a_crowd_finds_its_own() {
        let mut search = Search::new(MOST);
        let small_is_cheap = |size: usize| size as f64;
        let large_is_cheap = |size: usize| 1.0 / size as f64;
        search.after(20_000, 1, large_is_cheap);
        assert_eq!(search.size.best, MOST);
        search.after(20_000, 100, small_is_cheap);
        assert_eq!(search.size.best, LEAST);
    }

    #[test]
    fn trials_become_rare_where_they_find_nothing() {
        let mut search = Search::new(MOST);
        let mut dear = 0_u32;
        search.after(100_000, 10, |size| {
            dear += u32::from(size != FIRST);
            if size == FIRST { 0.1 } else { 0.11 }
        });
        assert!(dear > 0, "both were tried");
        assert!(dear < 1200, "{dear} of 100,000 reads were dearer");
    }

    #[test]
    fn without_more_to_read_nothing_is_tried() {
        let mut search = Search::new(MOST);
        for _ in 0..100_000 {
            search.size.before_read(search.so_far, &mut Nobody);
            search.bring(256, 10);
        }
        assert_eq!(search.size.now(), FIRST);
    }

    #[test]
    fn a_trial_that_the_upstream_ends_teaches_nothing() {
        let mut search = Search::new(MOST);
        let large_is_cheap = |size: usize| 1.0 / size as f64;
        while search.size.trial.is_none() {
            search.after(1, 10, large_is_cheap);
        }
        for _ in 0..1000 {
            search.bring(256, 10);
            search.size.before_read(search.so_far, &mut search.watch);
        }
        assert!(search.size.trial.is_none());
        assert_eq!((search.size.now(), search.size.lost), (FIRST, 0));
    }

    #[test]
    fn a_small_ring_has_one_size() {
        let mut search = Search::new(100);
        assert_eq!(search.after(10_000, 10, |size| 1.0 / size as f64), 100);
    }
}
