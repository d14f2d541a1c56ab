//! Who comes to a hub, when, and with what to say.

use std::time::Duration;

use crate::base::endpoint::{Endpoint, Host};
use crate::base::rng::Rng;
use crate::base::tokens::Tokens;
use crate::fuzz::script::Script;
use crate::proto::mailbox::{HEAD_MAX, write_message};
use crate::roles::hub::config::{Auth, ServeConfig};
use crate::roles::tls::Tls;
use crate::sim::{Ending, Faults};

/// A hub's life.
#[derive(Clone, Debug)]
pub(super) struct Scenario {
    pub(super) seed: u64,
    pub(super) faults: Faults,
    pub(super) config: ServeConfig,
    pub(super) guests: Vec<Guest>,
    pub(super) chaos: Duration,
}

/// Somebody who connects.
#[derive(Clone, Debug)]
pub(super) struct Guest {
    pub(super) at: Duration,
    pub(super) name: Vec<u8>,
    pub(super) envelope: bool,
    /// Without it the proof is made with another token.
    pub(super) honest: bool,
    /// Reads no more from then on, and says nothing but its name.
    pub(super) stalls: Option<Duration>,
    /// What it says behind its name.
    pub(super) speech: Vec<u8>,
    /// Its messages: to whom, and where each ends in the speech.
    pub(super) messages: Vec<Sent>,
    /// How often it says besides that it is alive, asks who is there, and says nothing to the hub.
    pub(super) alive: u64,
    pub(super) asks: u64,
    pub(super) voids: u64,
    /// How much of the speech is whole messages.
    whole: usize,
    pub(super) chunk_max: usize,
    pub(super) gap_max: Duration,
    pub(super) ending: Ending,
}

/// A message of a guest's.
#[derive(Clone, Debug)]
pub(super) struct Sent {
    pub(super) dest: Vec<u8>,
    pub(super) body: Vec<u8>,
    /// The offset behind it in the speech.
    pub(super) end: usize,
}

impl Scenario {
    pub(super) fn draw(script: &mut Script<'_>) -> Self {
        let seed = script.take_u64();
        let mut rng = Rng::new(seed);
        let faults = match script.pick(4) {
            0 => Faults::none(),
            1 => Faults::draw(&mut rng),
            _ => Faults::draw_harmless(&mut rng),
        };
        let mut config = config(script);
        let peace = script.pick(3) == 0;
        let count = 2 + script.pick(if peace { NAMES.len() - 1 } else { 12 });
        let mut guests: Vec<Guest> = (0..count)
            .map(|number| {
                let name = match peace {
                    true => NAMES[number],
                    false => NAMES[script.pick(NAMES.len())],
                };
                Guest::draw(script, &mut rng, (number, name), &config)
            })
            .collect();
        if peace {
            make_peace(&mut config, &mut guests);
        }
        Self {
            seed,
            faults,
            config,
            guests,
            chaos: Duration::from_secs(6),
        }
    }
}

fn config(script: &mut Script<'_>) -> ServeConfig {
    let listen = Endpoint::Tcp {
        host: Host::Ip([127, 0, 0, 1].into()),
        port: 7000,
        tls: false,
    };
    let max_message = [1 << 10, 5_000, 20_000][script.pick(3)];
    let queue = max_message + HEAD_MAX + [0, 10_000, 1 << 20][script.pick(3)];
    let mut config = ServeConfig {
        max_message,
        queue,
        memory: queue + [0, 50_000, 4 << 20][script.pick(3)],
        name_timeout: Duration::from_millis([3000, 3000, 3000, 200][script.pick(4)]),
        idle_timeout: [None, Some(30_000), Some(500)][script.pick(3)].map(Duration::from_millis),
        drain: Duration::from_millis([2000, 50][script.pick(2)]),
        tls: Tls::default(),
        ..ServeConfig::new(listen)
    };
    if script.pick(3) == 0 {
        config.max_clients = Some(1 + script.pick(6));
    }
    if script.pick(3) == 0 {
        config.max_clients_per_ip = Some(1 + script.pick(12));
    }
    if script.pick(3) == 0 {
        config.auth = Auth::Tokens(Tokens::parse(TOKENS).expect("they are tokens"));
    }
    config
}

/// Nobody is turned away or goes, so that each message has to come.
fn make_peace(config: &mut ServeConfig, guests: &mut [Guest]) {
    config.auth = Auth::Local;
    config.name_timeout = Duration::from_secs(60);
    config.idle_timeout = None;
    config.max_clients = None;
    config.max_clients_per_ip = None;
    config.queue = 4 << 20;
    config.memory = 64 << 20;
    config.drain = Duration::from_secs(30);
    for guest in guests {
        guest.stalls = None;
        guest.ending = Ending::Stay;
        guest.chunk_max = guest.chunk_max.max(50);
        guest.gap_max = guest.gap_max.min(Duration::from_micros(500));
        guest.speech.truncate(guest.whole);
    }
}

impl Guest {
    fn draw(
        script: &mut Script<'_>,
        rng: &mut Rng,
        (number, name): (usize, &[u8]),
        config: &ServeConfig,
    ) -> Self {
        let tokens = matches!(config.auth, Auth::Tokens(_));
        let mut guest = Self {
            at: Duration::from_millis(script.pick(4000) as u64),
            name: name.to_vec(),
            envelope: script.pick(2) == 0 || tokens && script.pick(8) > 0,
            honest: script.pick(8) > 0,
            stalls: None,
            speech: Vec::new(),
            messages: Vec::new(),
            alive: 0,
            asks: 0,
            voids: 0,
            whole: 0,
            chunk_max: [1, 50, 1000, 100_000][script.pick(4)],
            gap_max: Duration::from_micros([1, 500, 20_000, 200_000][script.pick(4)]),
            ending: [
                Ending::Stay,
                Ending::Stay,
                Ending::HalfClose,
                Ending::Close,
                Ending::Reset,
            ][script.pick(5)],
        };
        if script.pick(5) == 0 {
            guest.stalls = Some(Duration::from_millis(script.pick(1000) as u64));
            return guest;
        }
        let bytes_max = 40_000 + 20 * guest.chunk_max;
        for _ in 0..script.pick(60) {
            guest.say(script, rng, number, config.max_message);
            if guest.speech.len() > bytes_max {
                break;
            }
        }
        // Each piece costs a turn or two: what is said in single bytes is short, so that a life stays one of seconds.
        guest.chunk_max = guest.chunk_max.max(guest.speech.len() / PIECES);
        guest.whole = guest.speech.len();
        if script.pick(4) == 0 {
            // It breaks off in the middle, or says what is no message.
            let over = format!("a|{}|", config.max_message + 1);
            let last: &[u8] =
                [&b"b|900|half of it"[..], b"b|9|", b"b|x", over.as_bytes()][script.pick(4)];
            guest.speech.extend_from_slice(last);
        }
        guest
    }

    fn say(&mut self, script: &mut Script<'_>, rng: &mut Rng, number: usize, max: usize) {
        match script.pick(12) {
            0 => {
                self.alive += 1;
                write_message(&self.name, b"", &mut self.speech);
            }
            1 => {
                self.asks += 1;
                write_message(b"", b"who", &mut self.speech);
            }
            2 => {
                self.voids += 1;
                write_message(b"", b"", &mut self.speech);
            }
            _ => {
                let dest = match script.pick(12) {
                    0 => b"nobody".to_vec(),
                    _ => NAMES[script.pick(NAMES.len())].to_vec(),
                };
                let size = match script.pick(6) {
                    0 => max,
                    1 => script.pick(max),
                    _ => script.pick(300),
                };
                let body = body(number, self.messages.len(), size.clamp(BODY_MIN, max), rng);
                write_message(&dest, &body, &mut self.speech);
                let end = self.speech.len();
                self.messages.push(Sent { dest, body, end });
            }
        }
    }
}

/// A message that says whose it is, which of theirs, and how long.
fn body(guest: usize, message: usize, size: usize, rng: &mut Rng) -> Vec<u8> {
    let mut body = format!("<{guest:02}.{message:03}.{size:06}>").into_bytes();
    body.resize_with(size, || rng.next() as u8);
    body
}

/// Which message begins here: its guest, its number and its length.
pub(super) fn label(bytes: &[u8]) -> Option<(usize, usize, usize)> {
    let text = std::str::from_utf8(bytes.get(1..BODY_MIN - 1)?).ok()?;
    let mut words = text.split('.').map(|word| word.parse().ok());
    Some((words.next()??, words.next()??, words.next()??))
}

/// The longest piece of a speech is at least this part of it.
const PIECES: usize = 500;
/// The shortest message: its label.
pub(super) const BODY_MIN: usize = 15;
/// Few, so that they meet.
const NAMES: [&[u8]; 8] = [
    b"a",
    b"b",
    b"c",
    b"d",
    b"e",
    b"f",
    b"g",
    b"a name that is not so short",
];
const TOKENS: &[u8] =
    b"a 0123456789abcdef\nb 0123456789abcdef\nc 0123456789abcdef\nd 0123456789abcdef\n";
/// The token of every name that has one.
pub(super) const TOKEN: &[u8] = b"0123456789abcdef";
