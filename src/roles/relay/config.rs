//! What a relay is told to do: parsed, checked, with nothing impossible left in it.

use std::time::Duration;

use crate::base::backoff::Retry;
use crate::base::endpoint::Endpoint;

/// A relay's orders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelayConfig {
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
    /// `--hold`: how long the upstream waits for a leading client that takes nothing. Zero: it does not wait.
    pub hold: Duration,
    /// `--keepalive`: how soon a dead peer is noticed. `None`: as the system does.
    pub keepalive: Option<Duration>,
    /// `--takeover`: what a second upstream does in a listen mode.
    pub takeover: Takeover,
    /// `--max-clients`: the most clients at a time, all listening outputs together. `None`: as many as there are
    /// descriptors.
    pub max_clients: Option<usize>,
    /// `--wait-clients`: SRC is not read before so many clients are there.
    pub wait_clients: usize,
    /// `--drain`: the longest that a stopped relay waits for its clients to take what is theirs.
    pub drain: Duration,
    /// `--stats`: how the running figures are shown.
    pub stats: Option<Stats>,
}

/// Where bytes come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// The relay dials it.
    Dial(Endpoint),
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
    /// It holds the upstream back: nothing is lost while connections live.
    Block,
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
