//! The stream as it should be passed on: whole records only. And where in it a client may begin, skip to, and go on.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use super::book::Known;
use super::scenario::{Scenario, life_of};
use crate::base::time::Time;
use crate::fuzz::framing::{Naive, Told};
use crate::proto::record::Framing;
use crate::roles::relay::config::MaxLag;
use crate::sim::{Content, pattern_into};

/// The bytes that should be passed on, in order, and their records.
#[derive(Default)]
pub(super) struct Ledger {
    bytes: Vec<u8>,
    /// Where records begin; none of a raw stream.
    begins: Vec<u64>,
    raw: bool,
    plans: BTreeMap<u16, Plan>,
    /// The offsets at which bytes became whole, and when.
    arrivals: Vec<(u64, Time)>,
    /// How far each life was read.
    said: BTreeMap<u16, Said>,
    /// What the relay has taken in of all lives, before anything is left out.
    pub(super) taken: u64,
}

/// How far a life was read, and up to where that was taken in: less on probation, where whole records are forgotten.
#[derive(Clone, Copy, Default)]
struct Said {
    read: u64,
    taken: u64,
}

/// What a life says, split by the naive splitter.
struct Plan {
    bytes: Rc<[u8]>,
    records: Vec<(usize, usize)>,
    /// Where records and garbage end.
    ends: Vec<u64>,
    /// How many of the records have been passed on, or forgotten.
    told: usize,
}

impl Plan {
    fn new(framing: Framing, max: usize, bytes: &Rc<[u8]>) -> Self {
        let Naive { told, records, .. } = Naive::split(framing, max, bytes);
        let mut at = 0;
        let told = told.into_iter().map(|told| {
            let (Told::Whole(len) | Told::Garbage(len, _)) = told;
            at += len as u64;
            at
        });
        let record = |(at, len): &(usize, usize)| (at + len) as u64;
        let mut ends: Vec<u64> = told.chain(records.iter().map(record)).collect();
        ends.sort_unstable();
        Self {
            bytes: Rc::clone(bytes),
            records,
            ends,
            told: 0,
        }
    }
}

impl Ledger {
    pub(super) fn new(scenario: &Scenario) -> Self {
        let (framing, max) = (scenario.config.framing, scenario.config.record_max);
        let places = scenario.lives.iter().enumerate();
        let all = places.flat_map(|(place, lives)| {
            let lives = lives.iter().enumerate();
            lives.map(move |(number, life)| (life_of(place, number), life))
        });
        let plans = all.filter_map(|(number, life)| match &life.source.content {
            Content::Bytes(bytes) => Some((number, Plan::new(framing, max, bytes))),
            Content::Pattern(_) => None,
        });
        Self {
            plans: plans.collect(),
            raw: framing == Framing::Raw,
            ..Self::default()
        }
    }

    /// The next bytes of a life were read, or had been on probation.
    pub(super) fn take_in(&mut self, life: u16, count: u64, now: Time) {
        let head = self.head();
        let said = self.said.entry(life).or_default();
        if self.raw {
            pattern_into(life, said.taken, count as usize, &mut self.bytes);
        }
        said.taken += count;
        said.read = said.read.max(said.taken);
        self.taken += count;
        if let Some(plan) = self.plans.get_mut(&life) {
            let whole = |(at, len): &&(usize, usize)| (at + len) as u64 <= said.taken;
            for (at, len) in plan.records[plan.told..].iter().take_while(whole) {
                self.begins.push(self.bytes.len() as u64);
                self.bytes.extend(&plan.bytes[*at..at + len]);
                plan.told += 1;
            }
        }
        if self.head() > head {
            self.arrivals.push((head, now));
        }
    }

    /// The next bytes of a life were read on probation: what they complete is forgotten.
    pub(super) fn pass_over(&mut self, life: u16, count: u64) {
        let said = self.said.entry(life).or_default();
        said.read += count;
        said.taken = said.read;
        if let Some(plan) = self.plans.get_mut(&life) {
            let ended = plan.ends.partition_point(|end| *end <= said.read);
            said.taken = ended.checked_sub(1).map_or(0, |last| plan.ends[last]);
            let whole = |(at, len): &(usize, usize)| (at + len) as u64 <= said.read;
            plan.told = plan.records.partition_point(whole);
        }
    }

    /// How much of a life was read.
    pub(super) fn read_of(&self, life: u16) -> u64 {
        self.said.get(&life).map_or(0, |said| said.read)
    }

    /// The end of what may be passed on.
    pub(super) fn head(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// A piece of it.
    pub(super) fn piece(&self, from: u64, count: usize) -> Option<&[u8]> {
        let from = from as usize;
        self.bytes.get(from..from + count)
    }

    pub(super) fn is_begin(&self, offset: u64) -> bool {
        self.begin_from(offset) == offset
    }

    /// The first beginning at or after `offset`.
    pub(super) fn begin_from(&self, offset: u64) -> u64 {
        if self.raw {
            return offset;
        }
        let at = self.begins.partition_point(|begin| *begin < offset);
        self.begins.get(at).copied().unwrap_or(self.head())
    }

    /// The last beginning at or before `offset`.
    pub(super) fn begin_until(&self, offset: u64) -> u64 {
        if self.raw || offset >= self.head() {
            return offset;
        }
        let after = self.begins.partition_point(|begin| *begin <= offset);
        self.begins[after - 1]
    }

    /// The newest record's beginning when the head was at `head`; of a raw stream, the head.
    pub(super) fn newest(&self, head: u64) -> u64 {
        match self.raw || head == 0 {
            true => head,
            false => self.begin_until(head - 1),
        }
    }

    /// When the byte at `offset` might first have been passed on.
    pub(super) fn arrived(&self, offset: u64) -> Option<Time> {
        let after = self.arrivals.partition_point(|(from, _)| *from <= offset);
        let waits = offset < self.head();
        waits.then(|| self.arrivals[after - 1].1)
    }
}

/// Pieces of the stream that a receiver gets one after the other.
#[derive(Clone, Debug, Default)]
pub(super) struct Path {
    pub(super) start: u64,
    /// After so many bytes, so many are left out.
    jumps: Vec<(u64, u64)>,
}

impl Path {
    pub(super) fn new(start: u64) -> Self {
        Self {
            start,
            jumps: Vec::new(),
        }
    }

    /// The offset of the byte that follows the first `taken`.
    pub(super) fn place(&self, taken: u64) -> u64 {
        let before = self.jumps.iter().filter(|(at, _)| *at <= taken);
        self.start + taken + before.map(|(_, jump)| jump).sum::<u64>()
    }

    /// How many bytes follow without a jump.
    pub(super) fn straight(&self, taken: u64) -> u64 {
        let next = self.jumps.iter().find(|(at, _)| *at > taken);
        next.map_or(u64::MAX, |(at, _)| at - taken)
    }

    /// All that was and will be left out.
    pub(super) fn skipped(&self) -> u64 {
        self.jumps.iter().map(|(_, jump)| jump).sum()
    }

    /// How many bytes come before the latest jump.
    pub(super) fn rest(&self) -> u64 {
        self.jumps.last().map_or(0, |(at, _)| *at)
    }

    /// The offset of the next byte out of the ring, for whom `written` bytes have been written to.
    pub(super) fn cursor(&self, written: u64) -> u64 {
        self.start + self.skipped() + written.max(self.rest())
    }

    pub(super) fn jump(&mut self, at: u64, bytes: u64) {
        self.jumps.push((at, bytes));
    }
}

impl Known {
    /// What it lacks, in bytes that it will get, and since when the oldest of them waits.
    pub(super) fn lag(&self, ledger: &Ledger, head: u64) -> (u64, Option<Time>) {
        let owed = head.saturating_sub(self.path.start + self.path.skipped() + self.landed);
        let arrived = ledger.arrived(self.path.place(self.landed));
        (owed, arrived.map(|arrived| arrived.max(self.joined)))
    }

    /// Whether it may still have to catch up with what it was given when it joined, which is no lag: it takes bytes.
    pub(super) fn may_catch_up(&self, max: MaxLag, bytes: u64, now: Time) -> bool {
        let takes = match max {
            // It is only now and then that the relay looks whether it does.
            MaxLag::Age(max) => now.since(self.progress) <= 2 * max,
            MaxLag::Bytes(max) => bytes <= max + self.given,
        };
        self.given > 0 && takes
    }

    pub(super) fn is_over(&self, ledger: &Ledger, max: MaxLag, head: u64, now: Time) -> bool {
        let (bytes, since) = self.lag(ledger, head);
        match max {
            MaxLag::Bytes(max) => bytes > max,
            MaxLag::Age(max) => since.is_some_and(|since| now.since(since) >= nearly(max)),
        }
    }

    /// Since when bytes have waited and none has been taken.
    pub(super) fn waits_since(&self, ledger: &Ledger) -> Option<Time> {
        let (_, since) = self.lag(ledger, ledger.head());
        since.map(|since| match self.has_skipped {
            true => self.progress,
            false => since.max(self.progress),
        })
    }
}

/// An age may be overstated by a sixteenth and 2 ms.
pub(super) fn nearly(span: Duration) -> Duration {
    (span - span / 16).saturating_sub(Duration::from_millis(3))
}

/// A relay looks at each client so often within a limit; the latest moment when it must have acted.
pub(super) fn surely(span: Duration) -> Duration {
    span + 3 * (span / 8).clamp(Duration::from_millis(20), Duration::from_secs(1))
        + Duration::from_millis(100)
}
