//! What a bench is asked to measure, checked.

use std::path::PathBuf;
use std::time::Duration;

use crate::base::endpoint::Endpoint;
use crate::roles::bench::command::Template;
use crate::roles::bench::dialect::Dialect;

/// What `hydrant bench` does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BenchConfig {
    /// Measures relays on this machine.
    Local(Plan),
    /// Plays the source only, for a relay on another machine.
    Source(SourceOrders),
    /// Plays the clients only, of a relay on another machine.
    Sink(SinkOrders),
    /// Encrypts for clients and does nothing else, for relays to be compared with.
    Loop(LoopOrders),
}

/// What is measured on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// In this order.
    pub scenarios: Vec<Scenario>,
    /// `--relay`. More than one are compared with the first. None: hydrant itself.
    pub relays: Vec<Template>,
    /// `--clients`. `None`: what the scenario takes by default.
    pub clients: Option<Vec<usize>>,
    /// `--size`, in bytes. `None`: what the scenario takes by default.
    pub sizes: Option<Vec<usize>>,
    /// `--rate`: messages a second. `None`: what the scenario takes by default.
    pub rate: Option<u64>,
    /// `--time`: how long one measurement takes.
    pub time: Duration,
    /// `--repeat`: how often each one is made.
    pub repeat: usize,
    /// `--together`: all relays are measured at the same time, rather than in turns.
    pub together: bool,
    /// `--warm-up` and `--patience`.
    pub waits: Waits,
    /// `--check`: every byte is compared.
    pub check: bool,
    /// `--json`: objects rather than tables.
    pub json: bool,
    /// `--svg`: a picture for a report.
    pub svg: Option<PathBuf>,
    /// Without `--unpinned`: the relay has a core to itself.
    pub pin: bool,
    /// `--tolerate`: void runs do not make the exit code.
    pub tolerate: bool,
}

/// A kind of measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scenario {
    /// A source that is never at a loss: how fast, and at what cost.
    Throughput,
    /// The same over TLS, beside a loop that does nothing but encrypt and write.
    Tls,
    /// A source that keeps a schedule: how late the bytes are.
    Latency,
    /// One client stops reading: what the others notice.
    Slow,
    /// Clients that get nothing: what they cost all the same.
    Idle,
    /// Clients that come and go.
    Churn,
    /// Clients who talk with a service behind a reverse tunnel.
    Tunnel(Work),
    /// The same through WebSockets: a relay, a host and a client of it.
    Ws(Work),
    /// Pairs of clients who pass each other messages through a hub.
    Hub(Pace),
}

/// How many messages a pair has under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pace {
    /// As many as keep the hub at work.
    Many,
    /// One, and the next when it has arrived.
    One,
}

/// What clients and a service do with each other, where bytes go both ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Work {
    /// The clients send as much as is taken, and the service reads it.
    Up,
    /// The service sends as much as is taken, and the clients read it.
    Down,
    /// Each client asks, waits for its answer, which is its own words, and asks again.
    Echo,
}

impl Scenario {
    /// All of them, by name. One that begins with another word and a dash belongs to the family of this word.
    pub const ALL: [(&'static str, Self); 14] = [
        ("throughput", Self::Throughput),
        ("tls", Self::Tls),
        ("latency", Self::Latency),
        ("slow", Self::Slow),
        ("idle", Self::Idle),
        ("churn", Self::Churn),
        ("tunnel-up", Self::Tunnel(Work::Up)),
        ("tunnel-down", Self::Tunnel(Work::Down)),
        ("tunnel-echo", Self::Tunnel(Work::Echo)),
        ("ws-up", Self::Ws(Work::Up)),
        ("ws-down", Self::Ws(Work::Down)),
        ("ws-echo", Self::Ws(Work::Echo)),
        ("hub-many", Self::Hub(Pace::Many)),
        ("hub-one", Self::Hub(Pace::One)),
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        let is_it = |(_, scenario): &&(_, Self)| *scenario == self;
        let (name, _) = Self::ALL.iter().find(is_it).expect("all have a name");
        name
    }

    /// The scenario of this name, or all of the family of this name; none if there is no such word.
    pub fn named(word: &str) -> Vec<Self> {
        let is_it = |name: &str| match name.strip_prefix(word) {
            Some(rest) => rest.is_empty() || rest.starts_with('-'),
            None => false,
        };
        let named = Self::ALL.iter().filter(|(name, _)| is_it(name));
        named.map(|(_, scenario)| *scenario).collect()
    }

    /// Whether its source can keep a schedule, that of `--rate` for one.
    pub(super) fn has_schedule(self) -> bool {
        match self {
            Self::Throughput | Self::Tls | Self::Latency | Self::Slow | Self::Churn => true,
            Self::Idle | Self::Tunnel(_) | Self::Ws(_) | Self::Hub(_) => false,
        }
    }

    /// Whether something of this kind can be measured.
    pub fn is_for(self, dialect: Dialect) -> bool {
        match self {
            Self::Throughput | Self::Latency | Self::Slow | Self::Idle | Self::Churn => true,
            Self::Hub(_) => dialect != Dialect::Redis,
            Self::Tls | Self::Tunnel(_) | Self::Ws(_) => dialect == Dialect::Plain,
        }
    }

    /// What clients and a service do, where it is not a source that feeds them.
    pub(super) fn work(self) -> Option<Work> {
        match self {
            Self::Tunnel(work) | Self::Ws(work) => Some(work),
            _ => None,
        }
    }

    /// How many clients, where nothing is said.
    fn clients(self) -> &'static [usize] {
        match self {
            Self::Throughput | Self::Latency => &[1, 10, 100, 1000],
            Self::Tls => &[1, 10, 100],
            Self::Slow | Self::Churn => &[100],
            Self::Idle => &[1000],
            Self::Tunnel(Work::Up | Work::Down) | Self::Ws(Work::Up | Work::Down) => &[1, 32],
            Self::Tunnel(Work::Echo) | Self::Ws(Work::Echo) => &[32],
            Self::Hub(_) => &[1, 100],
        }
    }

    /// How long the messages, in bytes, where nothing is said.
    fn size(self) -> usize {
        match self {
            Self::Throughput | Self::Tls | Self::Slow => 64 << 10,
            Self::Latency | Self::Idle | Self::Churn => 256,
            Self::Tunnel(Work::Up | Work::Down) | Self::Ws(Work::Up | Work::Down) => 64 << 10,
            Self::Tunnel(Work::Echo) | Self::Ws(Work::Echo) => 1024,
            Self::Hub(_) => 128,
        }
    }

    /// How many messages a second, where nothing is said; `None`: as many as are taken.
    pub(super) fn rate(self) -> Option<u64> {
        match self {
            Self::Throughput | Self::Tls => None,
            Self::Idle | Self::Tunnel(_) | Self::Ws(_) | Self::Hub(_) => None,
            Self::Latency => Some(100),
            Self::Slow => Some(160),
            Self::Churn => Some(1000),
        }
    }
}

/// One thing to measure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// What kind of measurement.
    pub scenario: Scenario,
    /// How many clients.
    pub clients: usize,
    /// Bytes in a message.
    pub size: usize,
    /// Messages a second; `None`: as many as are taken.
    pub rate: Option<u64>,
    /// How long it takes.
    pub time: Duration,
    /// What is waited for around it.
    pub waits: Waits,
    /// Every byte is compared.
    pub check: bool,
}

/// How long things take, or may take, that are not measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waits {
    /// What is to be measured goes on for so long before it counts.
    pub warm_up: Duration,
    /// Clients may take so long to connect, or to get their first byte.
    pub patience: Duration,
}

impl Default for Waits {
    fn default() -> Self {
        Self {
            warm_up: Duration::from_millis(500),
            patience: Duration::from_secs(10),
        }
    }
}

impl Waits {
    /// How long so many clients may take to connect, or to get their first byte.
    pub(super) fn to_meet(self, clients: usize) -> Duration {
        self.patience + EACH * clients as u32
    }

    /// How long it may take until so many clients have what is under way.
    pub(super) fn to_arrive(self, clients: usize) -> Duration {
        self.patience / 5 + EACH * clients as u32
    }
}

impl Job {
    /// Connections that its clients have in all: a pair is two.
    pub const fn connections(&self) -> usize {
        match self.scenario {
            Scenario::Hub(_) => 2 * self.clients,
            _ => self.clients,
        }
    }
}

impl Plan {
    /// What is measured in a scenario. hydrant itself is asked to keep every client where the source sends as much as
    /// is taken: not all can keep up with it where they share a machine.
    pub fn relays_in(&self, scenario: Scenario) -> Vec<Template> {
        if !self.relays.is_empty() {
            return self.relays.clone();
        }
        let parse = |text: &str| Template::parse(text).expect("it is a command");
        let text = match scenario {
            // What is sent again and again is not what the source sends.
            Scenario::Tls if self.check => return [LOOP, TLS].map(parse).to_vec(),
            Scenario::Tls => return [LOOP_ONCE, LOOP, TLS].map(parse).to_vec(),
            Scenario::Throughput | Scenario::Latency => BLOCKING,
            Scenario::Slow | Scenario::Idle | Scenario::Churn => PLAIN,
            Scenario::Tunnel(_) => TUNNEL,
            Scenario::Ws(_) => WS,
            Scenario::Hub(_) => HUB,
        };
        vec![parse(text)]
    }

    /// All that is to be measured, in order.
    pub fn jobs(&self) -> Vec<Job> {
        let mut jobs = Vec::new();
        for &scenario in &self.scenarios {
            let sizes = self.sizes.clone().unwrap_or(vec![scenario.size()]);
            let clients = self.clients.clone();
            let clients = clients.unwrap_or(scenario.clients().to_vec());
            for &size in &sizes {
                jobs.extend(clients.iter().map(|&clients| Job {
                    scenario,
                    clients,
                    size,
                    rate: match scenario.has_schedule() {
                        true => self.rate.or(scenario.rate()),
                        false => None,
                    },
                    time: self.time,
                    waits: self.waits,
                    check: self.check,
                }));
            }
        }
        jobs
    }
}

/// How the source meets its relay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Meet {
    /// The relay dials the source.
    Listen(Endpoint),
    /// The source dials the relay.
    Dial(Endpoint),
}

/// What `bench source` does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceOrders {
    /// Where the relay is met.
    pub meet: Meet,
    /// What is spoken with it.
    pub dialect: Dialect,
    /// Bytes in a message.
    pub size: usize,
    /// Messages a second; `None`: as many as are taken.
    pub rate: Option<u64>,
    /// How long; `None`: until it is stopped.
    pub time: Option<Duration>,
}

/// What `bench sink` does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SinkOrders {
    /// Where the relay listens.
    pub dst: Endpoint,
    /// What is spoken with it.
    pub dialect: Dialect,
    /// How many clients.
    pub clients: usize,
    /// How long it measures.
    pub time: Duration,
    /// How long it waits for what is to be measured.
    pub waits: Waits,
    /// Every byte is compared.
    pub check: bool,
    /// An object rather than a table.
    pub json: bool,
}

/// What `bench tls-loop` does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoopOrders {
    /// Where the source listens.
    pub src: Endpoint,
    /// Where clients connect.
    pub dst: Endpoint,
    /// A certificate and its key.
    pub cert: PathBuf,
    /// The source's first bytes are sent again and again.
    pub once: bool,
}

/// What each client is given beside what all of them are.
const EACH: Duration = Duration::from_millis(2);
const LOOP_ONCE: &str = "{hydrant} bench tls-loop {src} {dst} --tls-cert {cert} --once";
const LOOP: &str = "{hydrant} bench tls-loop {src} {dst} --tls-cert {cert}";
const TLS: &str = "{hydrant} {src} tls://{dst} -q --slow block --tls-cert {cert}";
const PLAIN: &str = "{hydrant} {src} {dst} -q";
const HUB: &str = "{hydrant} hub serve {dst} --idle-timeout off -q";
const TUNNEL: &str = "{hydrant} tunnel serve {link} --ports {dst_port}-{dst_port} -q ; \
                      {hydrant} tunnel expose {link} {src} -q";
const WS: &str = "{hydrant} ws relay {link} -q ; {hydrant} ws host ws://{link} {src} -q ; \
                  {hydrant} ws client ws://{link} {dst} -q";
const BLOCKING: &str = "{hydrant} {src} {dst} -q --slow block";
