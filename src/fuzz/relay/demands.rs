//! What demanding feeds ask for, on top of a plain life: records, skips, a backlog, and limits of lag. Zeros of the
//! script ask for none of it.

use std::time::Duration;

use super::scenario::{Scenario, choose};
use crate::base::rng::Rng;
use crate::fuzz::script::Script;
use crate::proto::record::Framing;
use crate::roles::relay::config::{MaxLag, Output, Resume, Slow, Way};
use crate::sim::{Content, pattern};

impl Scenario {
    pub(super) fn demand(&mut self, script: &mut Script<'_>) {
        if script.pick(5) == 0 {
            return;
        }
        if script.pick(3) > 0 {
            let framings = [
                "line",
                "len:u16be",
                "fixed:16",
                "len:u16be",
                "line",
                "fixed:7",
            ];
            let framing = choose(script, &framings);
            self.config.framing = framing.parse().expect("a framing");
        }
        let ring = self.config.ring;
        self.config.record_max = (ring / choose(script, &[2, 4, 16])).max(24);
        self.config.backlog = choose(script, &[0, ring / 2, ring / 8, 100, 1]).min(ring / 2);
        for Output { way, slow, .. } in &mut self.config.outputs {
            let is_stdout = *way == Way::Stdout;
            *slow = match script.pick(3) {
                1 if !is_stdout => Slow::Skip,
                2 => Slow::Block,
                _ => *slow,
            };
        }
        let resumes = [
            None,
            None,
            Some(Resume::Acked),
            Some(Resume::Written),
            Some(Resume::Live),
        ];
        self.config.resume = choose(script, &resumes);
        let millis = [200, 1_000, 5_000];
        self.config.max_lag = match script.pick(6) {
            1 => Some(MaxLag::Age(Duration::from_millis(choose(script, &millis)))),
            2 => Some(MaxLag::Bytes(choose(script, &[1_000, 20_000]))),
            _ => None,
        };
        if script.pick(4) == 1 {
            self.config.stall_timeout = Some(Duration::from_millis(choose(script, &millis)));
        }
        if script.pick(4) == 1 {
            self.config.idle_timeout = Some(Duration::from_millis(choose(script, &millis)));
        }
        self.speak_in_records(&mut Rng::new(self.seed));
    }

    /// Every life says records instead of a mere pattern, and is cut off anywhere.
    pub(super) fn speak_in_records(&mut self, rng: &mut Rng) {
        let (framing, max) = (self.config.framing, self.config.record_max);
        if framing == Framing::Raw {
            return;
        }
        for life in self.lives.iter_mut().flatten() {
            let Content::Pattern(number) = life.source.content else {
                continue;
            };
            let bytes = records(framing, max, number, life.source.to, rng);
            life.source.content = Content::Bytes(bytes.into());
        }
    }
}

/// At least so many bytes of records that tell whose they are and which, most of them well-formed.
fn records(framing: Framing, max: usize, life: u16, bytes: u64, rng: &mut Rng) -> Vec<u8> {
    let mut all = Vec::new();
    let mut count = 0_u64;
    let malformed = if rng.below(3) == 0 { 40 } else { u64::MAX };
    while (all.len() as u64) < bytes {
        let wrong = rng.below(malformed) == 1;
        let longest = if rng.below(8) == 0 { max } else { max.min(60) };
        count += 1;
        let head = format!("{life:x}.{count:x}:");
        let text = |len: usize| {
            let place = count * 1_000;
            let rest = (place..).map(|at| b'a' + pattern(life, at) % 26);
            head.bytes().chain(rest).take(len).collect::<Vec<u8>>()
        };
        let spare = rng.below(longest as u64) as usize;
        match framing {
            Framing::Fixed(len) => all.extend(text(len.get())),
            Framing::Len(_) => {
                let spare = if wrong && rng.below(4) == 0 {
                    max
                } else {
                    spare.min(max - 2)
                };
                all.extend((spare as u16).to_be_bytes());
                all.extend(text(spare));
            }
            _ => {
                all.extend(text(if wrong {
                    max + spare
                } else {
                    spare.min(max - 1)
                }));
                all.push(b'\n');
            }
        }
    }
    all
}
