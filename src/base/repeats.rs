//! Keeps the log readable: what repeats is said once a minute with a count, and what comes in floods is rationed.
//!
//! It owns which kinds of line were said lately, and how often they would have been said since. It knows no logger: it
//! hands back the lines to be written. A kind is a key of the caller's, such as `upstream-refused:10.0.0.5:5000`;
//! the text may differ from line to line, and the latest one is kept.
//!
//! ```text
//!   say  X X   X  X                              X
//!        |---------------- 60 s -----------------|---------------- 60 s -----------------|
//!   log  X                                       X (3 times in 60 s)                     X (1 time in 60 s)
//! ```

use std::collections::BTreeMap;
use std::time::Duration;

use crate::base::time::Time;
use crate::base::units::{Bytes, Count};

/// Collapses lines that repeat. No kind is lost: at most 256 are told apart, and when there are more, the oldest makes
/// room. Kinds that strangers can make as many of as they like belong to a group of their own, which has few places:
/// see [`Repeats::say_among`].
#[derive(Debug, Default)]
pub struct Repeats {
    kinds: BTreeMap<String, Window>,
    groups: BTreeMap<&'static str, Group>,
    /// What had been counted of kinds that have made room, to be told next.
    made_room: Vec<String>,
}

/// Kinds that strangers can make.
#[derive(Debug, Default)]
struct Group {
    kinds: BTreeMap<String, Window>,
    /// Since when, and how many lines were of kinds for which there was no place, and the sum of their amounts, in
    /// bytes.
    others: Option<(Time, u64, u64)>,
}

#[derive(Debug)]
struct Window {
    since: Time,
    more: u64,
    /// Of the lines that were counted.
    sum: u64,
    latest: String,
}

impl Window {
    fn new(since: Time) -> Self {
        Self {
            since,
            more: 0,
            sum: 0,
            latest: String::new(),
        }
    }

    fn is_over(&self, now: Time) -> bool {
        now.since(self.since) >= WINDOW
    }

    /// The line to write now, if any, of a kind that was said before.
    fn say(&mut self, now: Time, amount: u64, text: impl FnOnce(u64) -> String) -> Option<String> {
        if self.more == 0 && self.is_over(now) {
            *self = Self::new(now);
            return Some(text(amount));
        }
        self.more += 1;
        self.sum += amount;
        self.latest = text(self.sum);
        None
    }

    /// The line for what was counted, if anything was.
    fn summary(self, now: Time) -> Option<String> {
        let Self {
            since,
            more,
            latest,
            ..
        } = self;
        let times = Count(more as usize, "time");
        (more > 0).then(|| {
            format!(
                "{latest} ({times} in {} s)",
                whole_seconds(now.since(since))
            )
        })
    }
}

impl Repeats {
    /// Nothing has been said yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The line to write now, if any. The first of its kind is written at once and opens a window of 60 s, in which
    /// those that follow are counted for [`Repeats::flush`].
    pub fn say(&mut self, now: Time, key: &str, text: String) -> Option<String> {
        if let Some(window) = self.kinds.get_mut(key) {
            return window.say(now, 0, |_| text);
        }
        if self.kinds.len() == KINDS_MAX {
            let oldest = self.kinds.iter().min_by_key(|(_, window)| window.since);
            let oldest = oldest.map(|(key, _)| key.clone());
            let window = oldest.and_then(|key| self.kinds.remove(&key));
            self.made_room
                .extend(window.and_then(|window| window.summary(now)));
        }
        self.kinds.insert(key.to_owned(), Window::new(now));
        Some(text)
    }

    /// The same for a kind that a stranger can make, such as one by its address. Of a `group` of these, named as one
    /// of them would be ("refused connection"), few are told apart: the others are only counted, and told as such.
    ///
    /// Each line has an `amount` that its text speaks of, such as bytes: that of a line which tells of several is the
    /// sum of theirs.
    pub fn say_among(
        &mut self,
        now: Time,
        group: &'static str,
        key: &str,
        amount: u64,
        text: impl FnOnce(u64) -> String,
    ) -> Option<String> {
        let group = self.groups.entry(group).or_default();
        if let Some(window) = group.kinds.get_mut(key) {
            return window.say(now, amount, text);
        }
        if group.kinds.len() == GROUP_MAX {
            let (_, lines, sum) = group.others.get_or_insert((now, 0, 0));
            *lines += 1;
            *sum += amount;
            return None;
        }
        group.kinds.insert(key.to_owned(), Window::new(now));
        Some(text(amount))
    }

    /// No more lines of this kind will come: what was counted and not told yet is returned.
    pub fn forget_among(&mut self, now: Time, group: &str, key: &str) -> Option<String> {
        self.groups.get_mut(group)?.kinds.remove(key)?.summary(now)
    }

    /// Adds to `out`, in order of the keys, a line for each kind that was repeated in a window which is over, and opens
    /// its next one. Kinds that were not repeated are forgotten. What a group had no place for is told last.
    pub fn flush(&mut self, now: Time, out: &mut Vec<String>) {
        self.flush_older(now, WINDOW, out);
    }

    /// No more lines will come: adds to `out` all that was counted and not told yet.
    pub fn conclude(&mut self, now: Time, out: &mut Vec<String>) {
        self.flush_older(now, Duration::ZERO, out);
    }

    fn flush_older(&mut self, now: Time, age: Duration, out: &mut Vec<String>) {
        out.append(&mut self.made_room);
        flush_kinds(&mut self.kinds, now, age, out);
        for (name, group) in &mut self.groups {
            flush_kinds(&mut group.kinds, now, age, out);
            let others = &mut group.others;
            if let Some((_, lines, sum)) = others.take_if(|(since, ..)| now.since(*since) >= age) {
                let lines = Count(lines as usize, name);
                let sum = match sum {
                    0 => String::new(),
                    sum => format!(" of {}", Bytes(sum)),
                };
                out.push(format!("... and {lines}{sum}"));
            }
        }
    }

    /// The condition that `key` spoke of is over: should it return, that is news. What was counted and not told yet is
    /// returned, to be written before the news that it is over.
    pub fn forget(&mut self, now: Time, key: &str) -> Option<String> {
        self.kinds.remove(key)?.summary(now)
    }
}

/// See [`Repeats::flush`], for windows that are so old.
fn flush_kinds(
    kinds: &mut BTreeMap<String, Window>,
    now: Time,
    age: Duration,
    out: &mut Vec<String>,
) {
    kinds.retain(|_, window| {
        if now.since(window.since) < age {
            return true;
        }
        let line = std::mem::replace(window, Window::new(now)).summary(now);
        let repeated = line.is_some();
        out.extend(line);
        repeated
    });
}

/// Rations lines that are each of their own kind, such as joins and leaves: so many in a second, the rest counted.
#[derive(Debug)]
pub struct Rate {
    per_second: u32,
    since: Time,
    admitted: u32,
    /// Refused in the second that runs, and in earlier ones.
    refused: u64,
    refused_before: u64,
}

impl Rate {
    /// At most `per_second` lines in a second; with 0, none.
    pub fn new(per_second: u32) -> Self {
        Self {
            per_second,
            since: Time::ZERO,
            admitted: 0,
            refused: 0,
            refused_before: 0,
        }
    }

    /// Whether a line may be written now. One that may not is counted.
    pub fn admit(&mut self, now: Time) -> bool {
        self.begin_second(now);
        let admitted = self.admitted < self.per_second;
        if admitted {
            self.admitted += 1;
        } else {
            self.refused += 1;
        }
        admitted
    }

    /// How many lines were refused in the seconds that are over, each told once; `None` if none were.
    pub fn missed(&mut self, now: Time) -> Option<u64> {
        self.begin_second(now);
        let missed = std::mem::take(&mut self.refused_before);
        (missed > 0).then_some(missed)
    }

    fn begin_second(&mut self, now: Time) {
        if now.since(self.since) >= SECOND {
            self.since = now;
            self.admitted = 0;
            self.refused_before += std::mem::take(&mut self.refused);
        }
    }
}

/// To the nearest second, and never "in 0 s".
fn whole_seconds(length: Duration) -> u64 {
    (length + SECOND / 2).as_secs().max(1)
}

/// How long repeats are collected before they are told.
const WINDOW: Duration = Duration::from_secs(60);

const SECOND: Duration = Duration::from_secs(1);

/// More kinds than a role has by itself.
const KINDS_MAX: usize = 256;

/// A stranger who can choose what is logged, such as by its address, gets no more lines than this in a minute.
const GROUP_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: u64) -> Time {
        Time::from_millis(secs * 1000)
    }

    fn say(repeats: &mut Repeats, now: Time, key: &str) -> Option<String> {
        repeats.say(now, key, format!("{key} at {now}"))
    }

    fn flush(repeats: &mut Repeats, now: Time) -> Vec<String> {
        let mut out = Vec::new();
        repeats.flush(now, &mut out);
        out
    }

    #[test]
    fn repeats_are_told_once_a_minute() {
        let mut repeats = Repeats::new();
        assert_eq!(repeats.say(at(0), "refused", "A".into()), Some("A".into()));
        assert_eq!(repeats.say(at(10), "refused", "B".into()), None);
        assert_eq!(repeats.say(at(59), "refused", "C".into()), None);
        assert_eq!(flush(&mut repeats, at(59)), [""; 0]);
        assert_eq!(flush(&mut repeats, at(60)), ["C (2 times in 60 s)"]);
        assert_eq!(repeats.say(at(70), "refused", "D".into()), None);
        assert_eq!(flush(&mut repeats, at(120)), ["D (1 time in 60 s)"]);
    }

    #[test]
    fn a_quiet_minute_makes_the_next_line_news() {
        let mut repeats = Repeats::new();
        assert!(say(&mut repeats, at(0), "a").is_some());
        assert_eq!(flush(&mut repeats, at(60)), [""; 0]);
        assert!(say(&mut repeats, at(61), "a").is_some());
        assert!(
            say(&mut repeats, at(121), "a").is_some(),
            "though nobody flushed"
        );
        assert!(say(&mut repeats, at(122), "a").is_none());
    }

    #[test]
    fn a_late_flush_loses_no_count() {
        let mut repeats = Repeats::new();
        assert!(say(&mut repeats, at(0), "a").is_some());
        assert!(say(&mut repeats, at(1), "a").is_none());
        assert!(repeats.say(at(89), "a", "A".into()).is_none());
        assert_eq!(flush(&mut repeats, at(90)), ["A (2 times in 90 s)"]);
    }

    #[test]
    fn kinds_do_not_hide_each_other() {
        let mut repeats = Repeats::new();
        for key in ["b", "a"] {
            assert!(say(&mut repeats, at(0), key).is_some());
            assert!(repeats.say(at(1), key, key.to_uppercase()).is_none());
        }
        assert_eq!(
            flush(&mut repeats, at(60)),
            ["A (1 time in 60 s)", "B (1 time in 60 s)"]
        );
    }

    #[test]
    fn what_is_over_is_news_when_it_returns() {
        let mut repeats = Repeats::new();
        assert_eq!(repeats.forget(at(0), "a"), None);
        assert!(say(&mut repeats, at(0), "a").is_some());
        assert_eq!(repeats.forget(at(1), "a"), None);
        assert!(say(&mut repeats, at(1), "a").is_some());
        assert!(repeats.say(at(9), "a", "A".into()).is_none());
        assert_eq!(
            repeats.forget(at(13), "a"),
            Some("A (1 time in 12 s)".into())
        );
        assert!(say(&mut repeats, at(13), "a").is_some());
    }

    #[test]
    fn of_too_many_kinds_the_oldest_makes_room() {
        let mut repeats = Repeats::new();
        assert!(say(&mut repeats, at(0), "oldest").is_some());
        assert!(repeats.say(at(1), "oldest", "O".into()).is_none());
        for i in 0..2 * KINDS_MAX {
            assert!(say(&mut repeats, at(2), &i.to_string()).is_some());
        }
        assert_eq!(repeats.kinds.len(), KINDS_MAX);
        assert_eq!(flush(&mut repeats, at(2)), ["O (1 time in 2 s)"]);
    }

    #[test]
    fn kinds_of_strangers_are_few_and_hide_no_others() {
        let mut repeats = Repeats::new();
        let refuse = |repeats: &mut Repeats, now, key: &str| {
            repeats.say_among(now, "more refusal", key, 0, |_| format!("{key} refused"))
        };
        for i in 0..GROUP_MAX {
            assert!(refuse(&mut repeats, at(0), &i.to_string()).is_some());
        }
        for i in GROUP_MAX..2 * KINDS_MAX {
            assert!(refuse(&mut repeats, at(1), &i.to_string()).is_none());
        }
        assert!(refuse(&mut repeats, at(2), "7").is_none());
        assert!(say(&mut repeats, at(2), "upstream lost").is_some());
        assert_eq!(flush(&mut repeats, at(60)), ["7 refused (1 time in 60 s)"]);
        let others = 2 * KINDS_MAX - GROUP_MAX;
        assert_eq!(
            flush(&mut repeats, at(61)),
            [format!("... and {others} more refusals")]
        );
        assert!(
            refuse(&mut repeats, at(62), "16").is_some(),
            "there is place again"
        );
    }

    #[test]
    fn amounts_of_lines_that_are_told_together_are_added_up() {
        let mut repeats = Repeats::new();
        let skip = |repeats: &mut Repeats, now, key: &str, bytes| {
            repeats.say_among(now, "more skip", key, bytes, |sum| {
                format!("{key}: {sum} B")
            })
        };
        assert_eq!(skip(&mut repeats, at(0), "a", 5), Some("a: 5 B".into()));
        for bytes in [7, 8] {
            assert_eq!(skip(&mut repeats, at(1), "a", bytes), None);
        }
        assert_eq!(flush(&mut repeats, at(60)), ["a: 15 B (2 times in 60 s)"]);
        assert_eq!(skip(&mut repeats, at(61), "a", 1), None);
        assert_eq!(
            repeats.forget_among(at(62), "more skip", "a"),
            Some("a: 1 B (1 time in 2 s)".into())
        );
        for key in 0..GROUP_MAX + 2 {
            skip(&mut repeats, at(63), &key.to_string(), 100);
        }
        assert_eq!(skip(&mut repeats, at(64), "0", 3), None);
        let mut out = Vec::new();
        repeats.conclude(at(65), &mut out);
        assert_eq!(
            out,
            ["0: 3 B (1 time in 2 s)", "... and 2 more skips of 200 B"]
        );
    }

    #[test]
    fn a_flood_is_rationed_by_the_second_and_its_rest_told_once() {
        let mut rate = Rate::new(2);
        let admitted = [0; 5].map(|_| rate.admit(at(7)));
        assert_eq!(admitted, [true, true, false, false, false]);
        assert_eq!(rate.missed(at(7)), None, "the second still runs");
        assert!(rate.admit(at(8)));
        assert!(rate.admit(at(8)));
        assert!(!rate.admit(at(8)));
        assert_eq!(rate.missed(at(8)), Some(3));
        assert_eq!(rate.missed(at(8)), None);
        assert_eq!(rate.missed(at(30)), Some(1));
    }

    #[test]
    fn a_rate_of_none_counts_all() {
        let mut rate = Rate::new(0);
        assert!(!rate.admit(at(0)));
        assert_eq!(rate.missed(at(1)), Some(1));
    }
}
