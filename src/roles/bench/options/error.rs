//! Why a bench can't be made of what was said.

use std::error::Error;
use std::fmt;

use super::spoken::SpokenError;
use super::together::TogetherError;
use crate::base::endpoint::EndpointError;
use crate::base::option::OptionError;
use crate::base::units::Typed;
use crate::roles::bench::command::CommandError;
use crate::roles::bench::config::Scenario;

/// A rule that the orders for a bench break.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OrderError {
    /// An option's value is wrong.
    Option(OptionError),
    /// The word behind `source` or `sink` is no endpoint.
    Endpoint(EndpointError),
    /// A word names no scenario.
    Scenario {
        /// The word.
        word: String,
    },
    /// `tls-loop` has no certificate to show.
    NoCertificate,
    /// `source` or `sink` stands without an address.
    NoAddress {
        /// Which.
        part: &'static str,
    },
    /// A word too many behind `source` or `sink`.
    Leftover {
        /// The word.
        word: String,
    },
    /// Nobody can be reached on port 0.
    PortZero,
    /// A list has a comma with nothing on one side of it.
    Comma {
        /// The option, with its dashes.
        flag: &'static str,
        /// As it was given.
        given: String,
    },
    /// `--svg -`.
    SvgDash,
    /// `--relay` is no command.
    Command {
        /// As it was given.
        given: String,
        /// What is wrong with it.
        error: CommandError,
    },
    /// What is said of the protocol fits nothing else.
    Spoken(SpokenError),
    /// These relays can't be measured at the same time.
    Together(TogetherError),
    /// An option that means nothing here.
    InVain {
        /// The option, with its dashes.
        flag: &'static str,
        /// Where it means nothing.
        part: &'static str,
    },
}

impl fmt::Display for OrderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Option(error) => error.fmt(f),
            Self::Endpoint(error) => error.fmt(f),
            Self::Scenario { word } => {
                let names = Scenario::ALL.map(|(name, _)| name).join(", ");
                let word = Typed(word);
                write!(
                    f,
                    "unknown scenario {word}: there are {names}; or source, or sink, or tls-loop"
                )
            }
            Self::NoCertificate => f.write_str(
                "tls-loop needs a certificate and its key in one file: add --tls-cert FILE",
            ),
            Self::NoAddress { part } => match *part {
                "tls-loop" => {
                    f.write_str("SRC and DST are missing: hydrant bench tls-loop SRC DST")
                }
                part => write!(f, "ADDR is missing: hydrant bench {part} ADDR"),
            },
            Self::Leftover { word } => {
                write!(f, "leftover word {}: see hydrant bench --help", Typed(word))
            }
            Self::PortZero => f.write_str("port 0 can't be dialled: give the relay's port"),
            Self::Comma { flag, given } => {
                write!(f, "{flag}: {} has a comma too many", Typed(given))
            }
            Self::SvgDash => {
                f.write_str("--svg needs a file: - is none, and ./- is a file of this name")
            }
            Self::Command { given, error } => {
                write!(f, "--relay {}: ", Typed(given))?;
                match error {
                    CommandError::Empty => f.write_str("no command is in it"),
                    CommandError::Quote(quote) => write!(f, "a {quote} is not closed"),
                    CommandError::NoDestination => f.write_str(
                        "nothing says where clients connect: put {dst} or {dst_port} into it",
                    ),
                    CommandError::Place => f.write_str(
                        "places are {src}, {dst}, {link}, {src_port}, {dst_port}, {link_port}, {cert} and {hydrant}",
                    ),
                }
            }
            Self::Spoken(error) => error.fmt(f),
            Self::Together(error) => error.fmt(f),
            Self::InVain { flag, part } => write!(f, "{flag} means nothing to bench {part}"),
        }
    }
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

impl From<TogetherError> for OrderError {
    fn from(error: TogetherError) -> Self {
        Self::Together(error)
    }
}

impl From<SpokenError> for OrderError {
    fn from(error: SpokenError) -> Self {
        Self::Spoken(error)
    }
}
