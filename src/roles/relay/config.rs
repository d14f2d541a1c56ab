//! What a relay is told to do: parsed, checked, with nothing impossible left in it.

use std::fmt;
use std::time::Duration;

use crate::base::access::Access;
use crate::base::backoff::Retry;
use crate::base::endpoint::Endpoint;
use crate::base::secret::Secret;
use crate::base::units::{write_duration, write_size};
use crate::proto::http1::Origin;
use crate::proto::record::Framing;
use crate::roles::tls::Tls;

/// A relay's orders.
///
/// What each message looks at comes first, in memory as here.
#[derive(Clone, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct RelayConfig {
    /// How many sends one visit makes, of which a large one counts as several, after which the others on the loop have
    /// their turn; at least one. No option sets it.
    pub sends_a_visit: usize,
    /// `--wait-clients`: SRC is not read before so many clients are there.
    pub wait_clients: usize,
    /// `--max-lag`: `--slow` applies already beyond this lag. `None`: no sooner than the ring is full.
    pub max_lag: Option<MaxLag>,
    /// `--hold`: how long the upstream waits for leading clients that take nothing. Zero: it does not wait.
    pub hold: Duration,
    /// `--name`: stands in its log lines.
    pub name: Option<String>,
    /// Where bytes come from.
    pub source: Source,
    /// Where bytes go; at least one.
    pub outputs: Vec<Output>,
    /// `--retry`: the waits between attempts to connect, on either side.
    pub retry: Retry,
    /// `--connect-timeout`: the longest that one attempt may take, its name's look-up included.
    pub connect_timeout: Duration,
    /// `--dump`: the payload is shown on stdout too.
    pub dump: Option<DumpFormat>,
    /// `--ring`: bytes that the shared buffer holds.
    pub ring: usize,
    /// `--framing`: where records begin and end.
    pub framing: Framing,
    /// `--record-max`: the longest record.
    pub record_max: usize,
    /// `--backlog`: a newcomer gets up to so many of the latest bytes first.
    pub backlog: usize,
    /// `--resume`: where a dialled destination goes on that comes back. `None`: `acked` under `block`, else `live`.
    pub resume: Option<Resume>,
    /// `--stall-timeout`: a client that takes nothing for so long while bytes wait for it is dropped.
    pub stall_timeout: Option<Duration>,
    /// `--idle-timeout`: an upstream silent for so long is taken for dead.
    pub idle_timeout: Option<Duration>,
    /// `--failback`: go back to the first of several upstreams once it has sent bytes for so long.
    pub failback: Option<Duration>,
    /// `--upstream-send`: what the upstream gets after each connect.
    pub upstream_send: Secret,
    /// `--upstream-loss`: what clients see when the upstream ends.
    pub upstream_loss: UpstreamLoss,
    /// `--allow-upstream`: who may connect to a listening source.
    pub allow_upstream: Access,
    /// `--allow`: who may connect to a listening output.
    pub allow: Access,
    /// `--max-clients-per-ip`: clients at a time from one IPv4 address or one IPv6 /64.
    pub max_clients_per_ip: Option<usize>,
    /// `--keepalive`: how soon a dead peer is noticed. `None`: as the system does.
    pub keepalive: Option<Duration>,
    /// `--takeover`: what a second upstream does in a listen mode.
    pub takeover: Takeover,
    /// `--max-clients`: the most clients at a time, all listening outputs together. `None`: as many as there are
    /// descriptors.
    pub max_clients: Option<usize>,
    /// `--origin`: pages of these may open a WebSocket, and programs that are no page. Empty: all may.
    pub origins: Vec<Origin>,
    /// `--drain`: the longest that a stopped relay waits for its clients to take what is theirs.
    pub drain: Duration,
    /// `--stats`: how the running figures are shown.
    pub stats: Option<Stats>,
    /// What those need who come or are dialled by `tls://`.
    pub tls: Tls,
}

impl RelayConfig {
    /// These ends, and every option at its default.
    pub fn new(source: Source, outputs: Vec<Output>) -> Self {
        let seconds = Duration::from_secs;
        Self {
            name: None,
            source,
            outputs,
            retry: Retry {
                min: seconds(5),
                max: seconds(5),
            },
            connect_timeout: seconds(10),
            dump: None,
            ring: 16 << 20,
            framing: Framing::Raw,
            record_max: 1 << 20,
            backlog: 0,
            resume: None,
            hold: seconds(2),
            max_lag: None,
            stall_timeout: None,
            idle_timeout: None,
            failback: None,
            upstream_send: Secret::default(),
            upstream_loss: UpstreamLoss::Keep,
            allow_upstream: Access::ALL,
            allow: Access::ALL,
            max_clients_per_ip: None,
            keepalive: Some(seconds(30)),
            takeover: Takeover::Replace,
            max_clients: Some(10_000),
            wait_clients: 0,
            origins: Vec::new(),
            drain: seconds(2),
            stats: None,
            tls: Tls::default(),
            sends_a_visit: SENDS_A_VISIT,
        }
    }

    /// Whether others connect by TLS, and whether others are dialled by TLS.
    pub fn speaks_tls(&self) -> (bool, bool) {
        let listening = |output: &Output| matches!(&output.way, Way::Listen(at) if at.is_tls());
        let dialled = |output: &Output| matches!(&output.way, Way::Dial(at) if at.is_tls());
        let (source_listens, source_dials) = match &self.source {
            Source::Listen(at) => (at.is_tls(), false),
            Source::Dial(places) => (false, places.iter().any(Endpoint::is_tls)),
            Source::Stdin => (false, false),
        };
        (
            source_listens || self.outputs.iter().any(listening),
            source_dials || self.outputs.iter().any(dialled),
        )
    }
}

/// About a millisecond's work, as sends of little.
pub const SENDS_A_VISIT: usize = 512;

/// Where bytes come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// The relay dials it: the first of these, and the next one when one fails. At least one.
    Dial(Vec<Endpoint>),
    /// It dials the relay.
    Listen(Endpoint),
    /// Standard input.
    Stdin,
}

/// One way out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// Who dials, and where.
    pub way: Way,
    /// What is done about a client that can't keep up.
    pub slow: Slow,
    /// `ws://`, and by TLS `wss://`: those who connect get the stream as messages of a WebSocket, one a record. Only
    /// where they do connect.
    pub websocket: bool,
}

/// Who dials a destination, and where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Way {
    /// Any number of clients connect here.
    Listen(Endpoint),
    /// The relay connects there.
    Dial(Endpoint),
    /// Standard output.
    Stdout,
}

/// `--slow`: what becomes of a client that the ring would overtake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slow {
    /// It is dropped, by a reset.
    Drop,
    /// It gets the rest of the record that it has begun, and then the newest one.
    Skip,
    /// It holds the upstream back: nothing is lost while connections live.
    Block,
}

impl Slow {
    /// By the word for it, one of those that `--slow` takes.
    pub fn of(word: &str) -> Self {
        match word {
            "drop" => Self::Drop,
            "skip" => Self::Skip,
            _ => Self::Block,
        }
    }

    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Drop => "drop",
            Self::Skip => "skip",
            Self::Block => "block",
        }
    }
}

/// `--max-lag`: how far a client may be behind, what waits in the kernel included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MaxLag {
    /// Since the oldest byte that it lacks came in.
    Age(Duration),
    /// In bytes.
    Bytes(u64),
}

impl MaxLag {
    /// Whether so many bytes, of which the oldest came in so long ago, are more than it allows.
    pub fn is_passed(self, (bytes, age): (u64, Duration)) -> bool {
        match self {
            Self::Age(max) => age > max,
            Self::Bytes(max) => bytes > max,
        }
    }
}

impl fmt::Display for MaxLag {
    /// As a user would give it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&match self {
            Self::Age(age) => write_duration(*age),
            Self::Bytes(bytes) => write_size(*bytes),
        })
    }
}

/// `--resume`: where a dialled destination goes on that comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resume {
    /// At the start of the record of the first byte that its kernel had not acknowledged: repeats are possible, gaps
    /// are not.
    Acked,
    /// After the last byte that was written to it: gaps are possible, repeats are not.
    Written,
    /// At the newest.
    Live,
}

/// `--upstream-loss`: what becomes of the clients when the upstream ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpstreamLoss {
    /// They stay, and the upstream is waited for.
    Keep,
    /// They get what is theirs and then the end; the upstream is waited for.
    Close,
    /// They get what is theirs and then the end, and so does the relay.
    Exit,
}

/// `--takeover`: what a second upstream does while a first one is connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takeover {
    /// It replaces the first at its first byte.
    Replace,
    /// It is turned away.
    Refuse,
}

/// `--dump-format`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DumpFormat {
    /// UTF-8 as it is, anything else as `\xNN`.
    Text,
    /// Offset, sixteen bytes in hexadecimal, and their ASCII.
    Hex,
    /// The bytes themselves.
    Raw,
}

/// How the running figures are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stats {
    /// Time between two of them.
    pub interval: Duration,
    /// One line on a terminal that is drawn again and again, rather than a log line each time.
    pub live: bool,
}
