//! What demanding feeds ask for, on top of a plain life: records, a backlog, skips, limits of lag, several upstreams,
//! and who may come in. Zeros of the script ask for none of it.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use super::scenario::{Door, Life, Scenario, choose, door_ip, moment};
use crate::base::access::{Access, Net};
use crate::base::endpoint::{Endpoint, Host};
use crate::base::rng::Rng;
use crate::fuzz::script::Script;
use crate::proto::record::Framing;
use crate::roles::relay::config::{
    MaxLag, Output, Resume, Slow, Source as From, UpstreamLoss, Way,
};
use crate::sim::{Content, pattern};

/// One of several upstreams that are dialled, beside the first.
#[derive(Clone, Debug)]
pub(super) struct Spare {
    pub(super) lives: Vec<Life>,
    pub(super) doors: Vec<(Duration, Door)>,
}

/// The places of the spare upstreams' doors begin here.
pub(super) const SPARES: usize = 100;
/// The numbers of a spare upstream's lives begin at a multiple of this.
pub(super) const LIVES: u16 = 1_000;

impl Scenario {
    pub(super) fn demand(&mut self, script: &mut Script<'_>) {
        if script.pick(5) == 0 {
            return;
        }
        self.config.resume = None;
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
        for Output { way, slow } in &mut self.config.outputs {
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
        let losses = [
            UpstreamLoss::Keep,
            UpstreamLoss::Keep,
            UpstreamLoss::Close,
            UpstreamLoss::Exit,
        ];
        self.config.upstream_loss = choose(script, &losses);
        if script.pick(3) == 1 {
            let bytes = 0..choose(script, &[5, 1_000]);
            let bytes: Vec<u8> = bytes.map(|at| pattern(9, at)).collect();
            self.config.upstream_send = bytes.into();
        }
        self.demand_company(script);
        self.demand_spares(script);
        self.speak_in_records(&mut Rng::new(self.seed));
    }

    /// Who may come in. Guests come from three addresses.
    fn demand_company(&mut self, script: &mut Script<'_>) {
        let mut some = Access::ALL;
        let net: Net = "192.168.0.2/31".parse().expect("a network");
        some.push(net);
        if script.pick(6) == 1 {
            self.config.allow = some.clone();
        }
        if script.pick(6) == 1 {
            self.config.allow_upstream = some;
        }
        self.config.max_clients_per_ip = (script.pick(6) == 1).then_some(1);
    }

    fn demand_spares(&mut self, script: &mut Script<'_>) {
        let From::Dial(endpoints) = &self.config.source else {
            return;
        };
        let mut endpoints = endpoints.clone();
        for index in 0..script.pick(3) {
            let host = Host::Ip(door_ip(SPARES + index));
            endpoints.push(Endpoint::Tcp { host, port: 3_000 });
            let mut lives = self.lives.clone();
            for (number, life) in lives.iter_mut().enumerate() {
                life.source.content =
                    Content::Pattern(LIVES * (index as u16 + 1) + number as u16 + 1);
            }
            let doors = [Door::Open, Door::Shut, Door::Silent, Door::Resetting];
            let first = choose(script, &doors);
            let then = choose(script, &doors);
            let doors = vec![
                (Duration::ZERO, first),
                (moment(script, self.chaos), then),
                (self.chaos, Door::Open),
            ];
            self.spares.push(Spare { lives, doors });
        }
        self.config.source = From::Dial(endpoints);
    }

    /// Every life says records instead of a mere pattern, and is cut off anywhere.
    pub(super) fn speak_in_records(&mut self, rng: &mut Rng) {
        let (framing, max) = (self.config.framing, self.config.record_max);
        if framing == Framing::Raw {
            return;
        }
        let spares = self.spares.iter_mut().flat_map(|spare| &mut spare.lives);
        for life in self.lives.iter_mut().chain(spares) {
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

/// Where whoever comes as the so-many-eth comes from.
pub(super) fn home(number: usize) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(192, 168, 0, 1 + (number % 3) as u8))
}
