//! Why a relay can't be made of what was said.

use std::error::Error;
use std::fmt;

use super::SYNOPSIS;
use crate::base::endpoint::{Endpoint, EndpointError};
use crate::base::option::OptionError;
use crate::base::units::{Count, Typed, write_size};
use crate::proto::http1::OriginError;
use crate::proto::record::{Framing, FramingError};

/// A rule that the orders for a relay break.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OrderError {
    /// An option's value is wrong.
    Option(OptionError),
    /// SRC or DST is no endpoint.
    Endpoint(EndpointError),
    /// Neither SRC nor DST is there.
    NoSource,
    /// SRC stands alone.
    NoDestination,
    /// SRC has a prefix, which only DST may have.
    SourcePrefix {
        /// `listen` or `connect`.
        prefix: &'static str,
        /// What stands behind it.
        endpoint: String,
        /// The mode that says the same.
        mode: String,
    },
    /// A `ws://` DST that hydrant would have to dial: it is a place where browsers connect.
    WebSocketDialled {
        /// As it was given.
        dst: String,
    },
    /// A WebSocket by TLS, said twice.
    WebSocketOverTls {
        /// As it was given.
        dst: String,
    },
    /// `--origin` is none.
    Origin(OriginError),
    /// `--origin` where no page connects.
    OriginWithoutWebSocket,
    /// Nobody can be reached on port 0.
    DialPortZero {
        /// Where.
        endpoint: Endpoint,
    },
    /// Two DSTs would listen on one port or path.
    SamePlace {
        /// The one that is given first.
        first: Endpoint,
        /// The other.
        second: Endpoint,
    },
    /// SRC and a DST would listen on one port or path.
    SourceIsDestination {
        /// SRC.
        src: Endpoint,
        /// DST.
        dst: Endpoint,
    },
    /// A relay would connect to itself.
    OwnPeer {
        /// Where it listens.
        listens: Endpoint,
        /// Where it would connect.
        dials: Endpoint,
    },
    /// SRC names several places to listen at.
    ListListens {
        /// SRC, as it was given.
        list: String,
        /// The mode that would dial them.
        mode: String,
    },
    /// An option for something that these orders don't have.
    InVain {
        /// The option's name, without dashes.
        name: &'static str,
        /// What it needs.
        needs: &'static str,
    },
    /// `--framing` names none.
    Framing(FramingError),
    /// Sizes that do not fit together.
    Fit(FitError),
    /// Two DSTs are `-`.
    StdoutTwice,
    /// `--dump`, though a DST is `-`.
    DumpIntoStdout,
    /// `--dump-format` without `--dump`.
    DumpFormatAlone,
    /// `--stats-interval` without `--stats`.
    StatsIntervalAlone,
    /// `--wait-clients` is more than can be connected at a time.
    TooFewClients {
        /// How many it asks for.
        wanted: usize,
        /// How many there can be.
        most: usize,
    },
}

/// Sizes that do not fit together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FitError {
    /// `--record-max` without `--framing`.
    RecordMaxAlone,
    /// No record of this framing is as short as `--record-max` asks for.
    RecordMaxTooLow {
        /// `--framing`.
        framing: Framing,
        /// `--record-max`, in bytes.
        record_max: usize,
    },
    /// A record that is not whole yet could take more than half of the ring.
    RecordsOverRing {
        /// `--framing`.
        framing: Framing,
        /// `--record-max`, in bytes.
        record_max: usize,
    },
    /// `--backlog` is more than half of the ring.
    BacklogOverRing {
        /// `--backlog`, in bytes.
        backlog: usize,
        /// `--ring`, in bytes.
        ring: usize,
    },
}

impl OrderError {
    /// The place that two want, or that a relay would both listen at and dial: as the second of the two has it.
    pub fn place_wanted(&self) -> Option<&Endpoint> {
        match self {
            Self::SamePlace { second, .. } => Some(second),
            Self::SourceIsDestination { dst, .. } => Some(dst),
            Self::OwnPeer { listens, .. } => Some(listens),
            _ => None,
        }
    }
}

impl fmt::Display for OrderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Option(error) => error.fmt(f),
            Self::Endpoint(error) => error.fmt(f),
            Self::NoSource => write!(f, "SRC and DST are missing: hydrant {SYNOPSIS}"),
            Self::NoDestination => write!(f, "DST is missing: hydrant {SYNOPSIS}"),
            Self::SourcePrefix {
                prefix,
                endpoint,
                mode,
            } => write!(
                f,
                "SRC can't say {prefix}: for itself: write {} and --mode {mode}",
                Typed(endpoint)
            ),
            Self::WebSocketDialled { dst } => write!(
                f,
                "{0} is not dialled: WebSocket clients connect to hydrant: write listen:{0}",
                Typed(dst)
            ),
            Self::WebSocketOverTls { dst } => write!(
                f,
                "{} is too much: a WebSocket by TLS is wss://",
                Typed(dst)
            ),
            Self::Origin(error) => error.fmt(f),
            Self::OriginWithoutWebSocket => f.write_str(
                "--origin is for pages that open a WebSocket: it needs a DST that is ws:// or wss://",
            ),
            Self::DialPortZero { endpoint } => write!(
                f,
                "{endpoint} can't be dialled: port 0 is only for listening"
            ),
            Self::SamePlace { first, second } if first == second => {
                write!(f, "{first} is given twice to listen on")
            }
            Self::SamePlace { first, second } => write!(
                f,
                "{first} and {second} are the same port: give one of them another"
            ),
            Self::SourceIsDestination { src, dst } => write!(
                f,
                "SRC {src} and DST {dst} would listen on the same {}: give one of them another",
                place(src)
            ),
            Self::OwnPeer { listens, dials } => own_peer(f, listens, dials),
            Self::ListListens { list, mode } => write!(
                f,
                "SRC {} is a list, which only a dialled SRC can be: --mode {mode}",
                Typed(list)
            ),
            Self::InVain { name, needs } => write!(f, "--{name} needs {needs}"),
            Self::Framing(error) => write!(f, "--framing: {error}"),
            Self::Fit(error) => error.fmt(f),
            Self::StdoutTwice => write!(f, "- is given twice as DST: there is one stdout"),
            Self::DumpIntoStdout => {
                f.write_str("--dump would mix with the bytes for DST -: leave one of them out")
            }
            Self::DumpFormatAlone => write!(f, "--dump-format alone shows nothing: add --dump"),
            Self::StatsIntervalAlone => {
                write!(f, "--stats-interval alone shows nothing: add --stats")
            }
            Self::TooFewClients { wanted, most } => write!(
                f,
                "--wait-clients: {} can never be there, at most {most}: SRC would not be read",
                Count(*wanted, "client")
            ),
        }
    }
}

fn own_peer(f: &mut fmt::Formatter<'_>, listens: &Endpoint, dials: &Endpoint) -> fmt::Result {
    write!(
        f,
        "the relay would connect to itself: it dials {dials} and listens on {listens}"
    )
}

/// What an endpoint has that only one can listen on.
fn place(endpoint: &Endpoint) -> &'static str {
    match endpoint {
        Endpoint::Unix(_) => "path",
        Endpoint::Tcp { .. } => "port",
    }
}

impl fmt::Display for FitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RecordMaxAlone => {
                write!(f, "--record-max alone limits nothing: add --framing")
            }
            Self::RecordMaxTooLow {
                framing,
                record_max,
            } => write!(
                f,
                "--framing {framing} has no record within --record-max {}: raise it to {} or more",
                size(*record_max),
                size(framing.shortest())
            ),
            Self::RecordsOverRing {
                framing: Framing::Fixed(len),
                ..
            } => {
                let ring = size(2 * len.get());
                write!(f, "--framing fixed:{len} needs --ring {ring} or more")
            }
            Self::RecordsOverRing {
                framing,
                record_max,
            } => write!(
                f,
                "--framing {framing} with --record-max {} needs --ring {} or more",
                size(*record_max),
                size(2 * record_max)
            ),
            Self::BacklogOverRing { backlog, ring } => write!(
                f,
                "--backlog {} is more than half of --ring {}: raise that to {} or more",
                size(*backlog),
                size(*ring),
                size(2 * backlog)
            ),
        }
    }
}

fn size(bytes: usize) -> String {
    write_size(bytes as u64)
}

impl Error for OrderError {}

impl Error for FitError {}

impl From<OptionError> for OrderError {
    fn from(error: OptionError) -> Self {
        Self::Option(error)
    }
}

impl From<EndpointError> for OrderError {
    fn from(error: EndpointError) -> Self {
        Self::Endpoint(error)
    }
}

impl From<FramingError> for OrderError {
    fn from(error: FramingError) -> Self {
        Self::Framing(error)
    }
}

impl From<FitError> for OrderError {
    fn from(error: FitError) -> Self {
        Self::Fit(error)
    }
}
