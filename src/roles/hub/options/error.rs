//! Why a hub, or a client of one, can't be made of what was said.

use std::error::Error;
use std::fmt;

use crate::base::endpoint::{Endpoint, EndpointError};
use crate::base::option::OptionError;
use crate::base::units::{Typed, write_size};
use crate::proto::mailbox::{HEAD_MAX, NameFault};

/// A rule that the orders break.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OrderError {
    /// An option's value is wrong.
    Option(OptionError),
    /// ADDR is no endpoint.
    Endpoint(EndpointError),
    /// A word is not there.
    Missing {
        /// Which.
        word: &'static str,
        /// How it is to be.
        usage: &'static str,
    },
    /// ADDR is not on the loopback, and nothing says who may come in.
    NoAuth {
        /// ADDR.
        listen: Endpoint,
    },
    /// `--tokens` and `--no-auth` at once.
    TokensAndNoAuth,
    /// A message of the longest length does not fit into a queue.
    QueueTooSmall {
        /// `--queue`, in bytes.
        queue: usize,
        /// `--max-message`, in bytes.
        max_message: usize,
    },
    /// One full queue would be too much for all of them.
    MemoryTooSmall {
        /// `--memory`, in bytes.
        memory: usize,
        /// `--queue`, in bytes.
        queue: usize,
    },
    /// NAME, or DEST, can't be a name.
    Name {
        /// Which of the two.
        word: &'static str,
        /// As it was given.
        given: String,
        /// What is wrong with it.
        fault: NameFault,
    },
    /// The two ends of a tunnel have the same name.
    OwnPeer {
        /// Both.
        name: String,
    },
    /// A tunnel that takes no connection and makes none.
    NoEnd,
    /// Nobody can be reached on port 0.
    DialPortZero {
        /// Where.
        endpoint: Endpoint,
    },
}

impl fmt::Display for OrderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Option(error) => error.fmt(f),
            Self::Endpoint(error) => error.fmt(f),
            Self::Missing { word, usage } => write!(f, "{word} is missing: {usage}"),
            Self::NoAuth { listen } => f.write_str(&no_auth(listen)),
            Self::TokensAndNoAuth => {
                f.write_str("--tokens and --no-auth contradict each other: leave one of them out")
            }
            Self::QueueTooSmall { queue, max_message } => write!(
                f,
                "--queue {} is too small for --max-message {} and its head: raise it to {} or more",
                size(*queue),
                size(*max_message),
                size(max_message + HEAD_MAX)
            ),
            Self::MemoryTooSmall { memory, queue } => write!(
                f,
                "--memory {} is less than --queue {}: raise it to {} or more",
                size(*memory),
                size(*queue),
                size(*queue)
            ),
            Self::Name { word, given, fault } => {
                write!(f, "{word} {} {fault}", Typed(given))
            }
            Self::OwnPeer { name } => write!(
                f,
                "NAME and --to are both {}: each end of a tunnel has a name of its own",
                Typed(name)
            ),
            Self::NoEnd => f.write_str(
                "nothing to do: add --listen ADDR for what is to go to the other end, --forward ADDR for what comes \
                 from there, or both",
            ),
            Self::DialPortZero { endpoint } => {
                write!(
                    f,
                    "{endpoint} can't be dialled: port 0 is only for listening"
                )
            }
        }
    }
}

/// Why nobody is let in at an address that is not on the loopback.
pub(crate) fn no_auth(at: &impl fmt::Display) -> String {
    format!(
        "refusing {at} without authentication: add --tokens FILE, or --no-auth to let anyone in"
    )
}

fn size(bytes: usize) -> String {
    write_size(bytes as u64)
}

impl Error for OrderError {}

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
