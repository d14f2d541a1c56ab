//! The last five minutes of each relay, a sample a second, so that a page that has just been opened can draw them.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use serde_json::{Value, json};

/// What is known of a second.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Sample {
    /// Bytes a second in and out, where the role measures that; else it is what has come to them since the sample
    /// before, if that is long enough ago to tell.
    pub(super) rates: Option<(u64, u64)>,
    /// For how long the role has run.
    pub(super) age: Duration,
    /// Bytes since the role's start.
    pub(super) bytes_in: u64,
    pub(super) bytes_out: u64,
    /// In seconds.
    pub(super) lag: f64,
    pub(super) clients: usize,
    /// Clients that had been dropped by then, since the relay's start.
    pub(super) drops: u64,
}

/// The samples of all relays, by their ids.
#[derive(Debug, Default)]
pub(super) struct History {
    relays: BTreeMap<u64, Past>,
    /// Nobody looks every second, all the time: of what was not looked at nothing is known.
    is_patchy: bool,
    /// How many seconds are complete.
    second: u64,
}

#[derive(Debug, Default)]
struct Past {
    /// The second of its last sample.
    second: u64,
    samples: VecDeque<Sample>,
    /// Drops within each of the last seconds, for ten minutes.
    drops: VecDeque<u32>,
    /// All of those.
    dropped: u64,
    drops_before: u64,
}

impl History {
    /// One of whom somebody looks now and then only.
    pub(super) fn patchy() -> Self {
        Self {
            is_patchy: true,
            ..Self::default()
        }
    }

    /// Nobody has looked for a while: what comes now does not go on from what was before.
    pub(super) fn forget(&mut self) {
        self.relays.clear();
    }

    /// A relay's sample of this second.
    pub(super) fn push(&mut self, id: u64, sample: Sample) {
        let past = self.relays.entry(id).or_default();
        past.second = self.second;
        past.push(sample);
    }

    /// The samples of this second are complete. What has none is forgotten.
    pub(super) fn next_second(&mut self) {
        let second = self.second;
        self.relays.retain(|_, past| past.second == second);
        self.second += 1;
    }

    /// This second's samples can't be had, or not all of them: what has none goes on with the next second's.
    pub(super) fn break_off_second(&mut self) {
        self.second += 1;
    }

    /// Drops of the last ten minutes; `None` where they are not known.
    pub(super) fn drops(&self, id: u64) -> Option<u64> {
        let past = self.relays.get(&id);
        let is_known = !self.is_patchy || past.is_some_and(|past| past.drops.len() == DROPS);
        is_known.then(|| past.map_or(0, |past| past.dropped))
    }

    /// Bytes a second in and out, over the last second; `None` where they are not known.
    pub(super) fn rates(&self, id: u64) -> Option<(u64, u64)> {
        let samples = self.relays.get(&id).map(|past| &past.samples);
        let last = samples.and_then(VecDeque::back).and_then(|last| last.rates);
        last.or_else(|| (!self.is_patchy).then(Default::default))
    }

    /// The samples, each figure in a row of its own, the newest last.
    pub(super) fn json(&self, id: u64) -> Value {
        let none = VecDeque::new();
        let samples = self.relays.get(&id).map_or(&none, |past| &past.samples);
        let rates = |sample: &Sample| sample.rates.unwrap_or_default();
        json!({
            "in": samples.iter().map(|sample| rates(sample).0).collect::<Vec<_>>(),
            "out": samples.iter().map(|sample| rates(sample).1).collect::<Vec<_>>(),
            "lag": samples.iter().map(|sample| sample.lag).collect::<Vec<_>>(),
            "clients": samples.iter().map(|sample| sample.clients).collect::<Vec<_>>(),
        })
    }
}

impl Sample {
    /// Bytes a second since an earlier sample. Looks need not be a second apart: the first comes when somebody asks,
    /// and the next one with the second.
    fn rates_since(&self, before: &Self) -> Option<(u64, u64)> {
        let since = self.age.checked_sub(before.age)?;
        let rate = |bytes: u64| (bytes as f64 / since.as_secs_f64()) as u64;
        (since >= LEAST).then(|| {
            let (to, from) = (self.bytes_in, self.bytes_out);
            let grown = (
                to.saturating_sub(before.bytes_in),
                from.saturating_sub(before.bytes_out),
            );
            (rate(grown.0), rate(grown.1))
        })
    }
}

impl Past {
    fn push(&mut self, sample: Sample) {
        // A relay that has been started again counts from nothing.
        let fresh = sample
            .drops
            .checked_sub(self.drops_before)
            .unwrap_or(sample.drops);
        self.drops_before = sample.drops;
        let fresh = u32::try_from(fresh).unwrap_or(u32::MAX);
        self.drops.push_back(fresh);
        self.dropped += u64::from(fresh);
        let grown = self
            .samples
            .back()
            .and_then(|before| sample.rates_since(before));
        let rates = sample.rates.or(grown);
        self.samples.push_back(Sample { rates, ..sample });
        if self.samples.len() > SAMPLES {
            self.samples.pop_front();
        }
        if self.drops.len() > DROPS {
            let oldest = self.drops.pop_front();
            self.dropped -= oldest.map_or(0, u64::from);
        }
    }
}

/// Of what flows in less time nothing can be said.
const LEAST: Duration = Duration::from_millis(500);
/// Five minutes.
const SAMPLES: usize = 300;
/// Ten minutes.
const DROPS: usize = 600;

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(clients: usize, drops: u64) -> Sample {
        Sample {
            clients,
            drops,
            ..Sample::default()
        }
    }

    fn push(history: &mut History, samples: &[(u64, Sample)]) {
        for (id, sample) in samples {
            history.push(*id, *sample);
        }
        history.next_second();
    }

    #[test]
    fn it_holds_five_minutes() {
        let mut history = History::default();
        for second in 0..1000 {
            push(&mut history, &[(1, sample(second, 0))]);
        }
        let clients = history.json(1)["clients"].as_array().unwrap().clone();
        assert_eq!(
            (clients.len(), &clients[0], &clients[299]),
            (300, &json!(700), &json!(999))
        );
        assert_eq!(history.json(2)["in"], json!([]));
    }

    #[test]
    fn a_role_that_does_not_measure_its_rate_has_one_all_the_same() {
        let mut history = History::default();
        for (age, bytes) in [(7, 100), (8, 150), (9, 150), (2, 20)] {
            let sample = Sample {
                age: Duration::from_secs(age),
                bytes_in: bytes,
                bytes_out: 2 * bytes,
                ..Sample::default()
            };
            push(&mut history, &[(1, sample)]);
        }
        assert_eq!(history.json(1)["out"], json!([0, 100, 0, 0]));
        push(
            &mut history,
            &[(
                1,
                Sample {
                    rates: Some((7, 8)),
                    ..Sample::default()
                },
            )],
        );
        assert_eq!(history.rates(1), Some((7, 8)));
    }

    /// The looks of one who asks now and then are not a second apart.
    #[test]
    fn a_rate_is_by_the_time_that_has_passed() {
        let mut history = History::patchy();
        // 100 bytes a second come in.
        for (millis, rate) in [
            (1000, None),
            (1300, None),
            (2300, Some((100, 200))),
            (2900, Some((100, 200))),
            (100, None),
        ] {
            let sample = Sample {
                age: Duration::from_millis(millis),
                bytes_in: millis / 10,
                bytes_out: millis / 5,
                ..Sample::default()
            };
            push(&mut history, &[(1, sample)]);
            assert_eq!(history.rates(1), rate, "{millis}");
        }
    }

    #[test]
    fn what_is_gone_is_forgotten() {
        let mut history = History::default();
        push(&mut history, &[(1, sample(1, 0)), (2, sample(2, 0))]);
        push(&mut history, &[(2, sample(3, 0))]);
        assert_eq!(history.json(1)["clients"], json!([]));
        assert_eq!(history.json(2)["clients"], json!([2, 3]));
        // One that was there in a second that broke off was there in that second, and not in the next.
        history.push(1, sample(4, 0));
        history.break_off_second();
        push(&mut history, &[(2, sample(5, 0))]);
        assert_eq!(history.json(1)["clients"], json!([]));
        assert_eq!(history.json(2)["clients"], json!([2, 3, 5]));
    }

    #[test]
    fn drops_are_those_of_ten_minutes() {
        let mut history = History::default();
        for drops in [0, 2, 2, 5] {
            push(&mut history, &[(1, sample(0, drops))]);
        }
        assert_eq!(history.drops(1).expect("all seconds are known"), 5);
        push(&mut history, &[(1, sample(0, 1))]);
        assert_eq!(
            history.drops(1).expect("all seconds are known"),
            6,
            "started again, and one more"
        );
        for _ in 0..595 {
            push(&mut history, &[(1, sample(0, 1))]);
        }
        assert_eq!(history.drops(1).expect("all seconds are known"), 6);
        for _ in 0..4 {
            push(&mut history, &[(1, sample(0, 1))]);
        }
        assert_eq!(history.drops(1).expect("all seconds are known"), 1);
        let past = &history.relays[&1];
        let sum: u64 = past.drops.iter().copied().map(u64::from).sum();
        assert_eq!(past.dropped, sum);
    }
}
