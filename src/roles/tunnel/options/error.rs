//! Why a tunnel's end can't be made of what was said.

use std::error::Error;
use std::fmt;

use crate::base::endpoint::{Endpoint, EndpointError};
use crate::base::option::OptionError;
use crate::base::units::Typed;
use crate::proto::hello::NameError;

/// A rule that the orders break.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OrderError {
    /// An option's value is wrong.
    Option(OptionError),
    /// A word is no endpoint.
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
    /// `--ports` is no range of ports.
    Ports {
        /// As it was given.
        given: String,
    },
    /// `--public-bind` is no address.
    PublicBind {
        /// As it was given.
        given: String,
    },
    /// `--name` can't be a name.
    Name {
        /// As it was given.
        given: String,
        /// What is wrong.
        error: NameError,
    },
    /// TARGET and `--echo` at once.
    TargetAndEcho,
    /// `--proxy-protocol` with `--echo`.
    ProxyToEcho,
    /// `--token-file` without `--name`.
    TokenWithoutName,
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
            Self::Ports { given } => write!(
                f,
                "--ports {} is no range of ports: write A-B, one port, or 0 for any",
                Typed(given)
            ),
            Self::PublicBind { given } => write!(
                f,
                "--public-bind {} is no address: write an IP address, or * for every interface",
                Typed(given)
            ),
            Self::Name { given, error } => write!(f, "--name {}: {error}", Typed(given)),
            Self::TargetAndEcho => {
                f.write_str("TARGET and --echo contradict each other: leave one of them out")
            }
            Self::ProxyToEcho => f.write_str("--proxy-protocol tells --echo nothing: leave it out"),
            Self::TokenWithoutName => {
                f.write_str("a token proves a name: add --name NAME, the one it belongs to")
            }
            Self::DialPortZero { endpoint } => write!(
                f,
                "{endpoint} can't be dialled: port 0 is only for listening"
            ),
        }
    }
}

/// Why nobody is let in at an address that is not on the loopback.
pub(crate) fn no_auth(at: &impl fmt::Display) -> String {
    format!(
        "refusing {at} without authentication: add --tokens FILE, or --no-auth to let anyone in"
    )
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
