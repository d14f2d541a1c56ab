//! What is wrong with an option's value.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use crate::base::access::NetError;
use crate::base::units::{Typed, UnitError, write_duration, write_size};

/// What is wrong with an option's value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OptionError {
    /// It has none, or an empty one.
    NoValue {
        /// The option.
        flag: &'static str,
    },
    /// A switch was given one.
    TakesNoValue {
        /// The option.
        flag: &'static str,
    },
    /// It can't be read as a number with its unit.
    Number {
        /// The option.
        flag: &'static str,
        /// What is wrong with it.
        error: UnitError,
        /// `off` would do too.
        off: bool,
    },
    /// It is neither a duration nor a range of them.
    NotWait {
        /// The option.
        flag: &'static str,
        /// Its value.
        given: String,
    },
    /// A bare number, where its unit tells a time from a size.
    NoUnit {
        /// The option.
        flag: &'static str,
        /// Its value.
        given: String,
    },
    /// It is neither a time nor a size.
    NotTimeOrSize {
        /// The option.
        flag: &'static str,
        /// Its value.
        given: String,
    },
    /// One of the networks is none.
    Network {
        /// The option.
        flag: &'static str,
        /// What is wrong with it.
        error: NetError,
    },
    /// The range begins above its end.
    Backwards {
        /// The option.
        flag: &'static str,
        /// Its value.
        given: String,
    },
    /// It is outside of the option's limits.
    Range {
        /// The option.
        flag: &'static str,
        /// Its value.
        given: String,
        /// Which limit it broke.
        end: End,
        /// The least that is accepted.
        low: Limit,
        /// The most that is accepted.
        high: Limit,
    },
    /// It is none of the words that are accepted.
    Choice {
        /// The option.
        flag: &'static str,
        /// Its value.
        given: String,
        /// What is accepted.
        words: &'static [&'static str],
    },
    /// A text is longer than what it is for can hold.
    TooLong {
        /// The option.
        flag: &'static str,
        /// Its length in bytes.
        len: usize,
        /// The longest accepted.
        max: usize,
    },
    /// A text has a character that can't be seen, and could pass for another.
    Unseen {
        /// The option.
        flag: &'static str,
        /// Its value.
        given: String,
    },
    /// A text has a control character, which would break the log's lines.
    Control {
        /// The option.
        flag: &'static str,
        /// Its value.
        given: String,
    },
}

/// Which end of a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The lower one.
    Low,
    /// The upper one.
    High,
}

/// One limit of an option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// Of a duration.
    Time(Duration),
    /// Of a size.
    Bytes(u64),
    /// Of a number of things.
    Count(u64),
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Time(time) => f.write_str(&write_duration(time)),
            Self::Bytes(bytes) => f.write_str(&write_size(bytes)),
            Self::Count(count) => count.fmt(f),
        }
    }
}

impl fmt::Display for OptionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoValue { flag } => write!(f, "{flag} needs a value"),
            Self::TakesNoValue { flag } => write!(f, "{flag} takes no value"),
            Self::Number { flag, error, off } => {
                let off = match (off, error) {
                    (false, _) | (_, UnitError::TooLarge(_)) => "",
                    (true, UnitError::NotCount(_)) => ": write one, or off",
                    (true, _) => ", or off",
                };
                write!(f, "{flag}: {error}{off}")
            }
            Self::NotWait { flag, given } => {
                write!(
                    f,
                    "{flag}: {} is not a wait: write 5, 250ms or 2m, or a range such as 1s..30s",
                    Typed(given)
                )
            }
            Self::NoUnit { flag, given } => write!(
                f,
                "{flag}: {} could be a time or a size: write 10s or 4M, or off",
                Typed(given)
            ),
            Self::NotTimeOrSize { flag, given } => write!(
                f,
                "{flag}: {} is neither a time nor a size: write 10s or 4M, or off",
                Typed(given)
            ),
            Self::Network { flag, error } => write!(f, "{flag}: {error}"),
            Self::Backwards { flag, given } => {
                write!(f, "{flag}: {} has its longer wait first", Typed(given))
            }
            Self::Range {
                flag,
                given,
                end,
                low,
                high,
            } => {
                let (much, most, limit) = match end {
                    End::Low => ("little", "least", low),
                    End::High => ("much", "most", high),
                };
                let given = Typed(given);
                write!(f, "{flag}: {given} is too {much}: the {most} is {limit}")
            }
            Self::Choice { flag, given, words } => {
                write!(
                    f,
                    "{flag}: {} is none of {}",
                    Typed(given),
                    words.join(", ")
                )
            }
            Self::TooLong { flag, len, max } => {
                write!(f, "{flag}: {len} bytes are too long: the most is {max}")
            }
            Self::Unseen { flag, given } => {
                write!(
                    f,
                    "{flag}: {} has a character that can't be seen",
                    Typed(given)
                )
            }
            Self::Control { flag, given } => {
                write!(f, "{flag}: {} has a control character", Typed(given))
            }
        }
    }
}

impl Error for OptionError {}
