//! Why a relay, a host or a client can't be made of what was said.

use std::error::Error;
use std::fmt;

use crate::base::endpoint::{Endpoint, EndpointError};
use crate::base::option::OptionError;
use crate::base::units::Typed;
use crate::proto::http1::OriginError;
use crate::roles::ws::url::{ProxyError, UrlError};

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
    /// `$PORT` is no port.
    Port {
        /// As it is.
        given: String,
    },
    /// An `--origin` is none.
    Origin(OriginError),
    /// URL is none.
    Url(UrlError),
    /// URL ends in the other part's path.
    OtherPart {
        /// What runs.
        part: &'static str,
        /// The path that is its own.
        path: &'static str,
    },
    /// A proxy's address is wrong; it stands in this flag or variable.
    Proxy {
        /// Which.
        of: &'static str,
        /// What is wrong.
        error: ProxyError,
    },
    /// `--proxy` has a password in it, where everybody on the machine can read it.
    ProxyPassword,
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
            Self::Port { given } => write!(
                f,
                "PORT is set to {}, which is no port: write a number, 0 to 65535, or give ADDR",
                Typed(given)
            ),
            Self::Origin(error) => write!(f, "--origin: {error}"),
            Self::Url(error) => error.fmt(f),
            Self::OtherPart { part, path } => {
                write!(f, "ws {part} connects to {path}: URL ends in the other part's path")
            }
            Self::Proxy { of, error } => write!(f, "{of}: {error}"),
            Self::ProxyPassword => f.write_str(
                "--proxy takes no password, which others could read there: put the address into HYDRANT_PROXY",
            ),
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

impl From<UrlError> for OrderError {
    fn from(error: UrlError) -> Self {
        Self::Url(error)
    }
}
