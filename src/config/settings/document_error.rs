//! Why a file can't be used in which a console keeps its relays.

use std::error::Error;
use std::fmt;

/// Why a file can't be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DocumentError {
    /// It is no TOML.
    Toml {
        /// The line, from 1.
        line: usize,
        /// And the column in it.
        column: usize,
        /// What is wrong there.
        what: String,
    },
    /// `relay` is something else than a list of tables.
    NoTables,
    /// A relay's key holds what none can hold.
    Value {
        /// Which relay, from 1.
        number: usize,
        /// Which key.
        key: String,
    },
    /// An output of a relay is something else than a section with a `dst`, and perhaps a `slow`.
    Output {
        /// Which relay, from 1.
        number: usize,
    },
    /// Two relays have one name.
    Twice {
        /// Which.
        name: String,
    },
}

impl fmt::Display for DocumentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Toml { line, column, what } => write!(f, "line {line}, column {column}: {what}"),
            Self::NoTables => f.write_str("a relay is written as [[relay]]"),
            Self::Value { number, key } => {
                write!(
                    f,
                    "relay {number}: {key} is a text, a number, true, false, or a list of texts"
                )
            }
            Self::Output { number } => write!(
                f,
                "relay {number}: an output is written as [[relay.output]], and has one dst and perhaps slow"
            ),
            Self::Twice { name } => write!(f, "two relays have the name {name}"),
        }
    }
}

impl Error for DocumentError {}
