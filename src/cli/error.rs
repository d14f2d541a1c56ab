//! What is wrong with a command line.

use std::error::Error;
use std::ffi::OsString;
use std::fmt;

use super::nearest::one_of;
use super::roles::{ROLES, Role, verbs};
use crate::base::endpoint::EndpointError;
use crate::base::option::{Kind, Opt};
use crate::base::units::{Typed, TypedPlace};

/// A command line that can't be understood. It shows itself in one line, `Bare` apart.
#[derive(Clone, Debug)]
pub enum UsageError {
    /// Nothing was given. This is no mistake that could be named: it shows itself as how to use hydrant.
    Bare,
    /// An argument is not UTF-8.
    NotUtf8 {
        /// The argument.
        arg: OsString,
    },
    /// No role that could be meant has this flag.
    UnknownFlag {
        /// As it was given, without a value.
        flag: String,
        /// What it looks like a slip or a part of.
        near: Vec<&'static str>,
        /// The role, if that is clear.
        role: Option<&'static str>,
    },
    /// A flag that only other roles have.
    NotOfRole {
        /// The flag.
        flag: &'static str,
        /// The role that was asked for.
        role: &'static str,
    },
    /// A flag without the value that it needs, or with another flag in its place.
    NeedsValue {
        /// Its option.
        opt: &'static Opt,
    },
    /// A switch was given a value.
    TakesNoValue {
        /// The switch.
        flag: &'static str,
    },
    /// The first word is no role, and can't be SRC.
    UnknownRole {
        /// The word.
        word: String,
        /// What it looks like a slip or a part of.
        near: Vec<&'static str>,
    },
    /// The first word is shared by several roles, and the second is none that tells them apart.
    Verb {
        /// The first word.
        family: &'static str,
        /// The second word, if there is one.
        word: Option<String>,
        /// What it looks like a slip or a part of.
        near: Vec<&'static str>,
    },
    /// The first word looks like SRC, but is no endpoint.
    Endpoint(EndpointError),
    /// A word too many.
    LeftoverWord {
        /// The word.
        word: String,
        /// The role that was asked for.
        role: &'static str,
    },
}

impl fmt::Display for UsageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bare => f.write_str(super::BARE),
            Self::NotUtf8 { arg } => write!(f, "{arg:?} is not UTF-8"),
            Self::UnknownFlag { flag, near, .. } if !near.is_empty() => {
                let (flag, near) = (Typed(flag), one_of(near));
                write!(f, "unknown flag {flag}: did you mean {near}?")
            }
            Self::UnknownFlag {
                flag,
                role: Some(role),
                ..
            } => {
                write!(f, "unknown flag {}: see hydrant {role} --help", Typed(flag))
            }
            Self::UnknownFlag { flag, .. } => {
                write!(f, "unknown flag {}: see hydrant --help", Typed(flag))
            }
            Self::NotOfRole { flag, role } => {
                write!(f, "{role} has no flag {flag}: see hydrant {role} --help")
            }
            Self::NeedsValue { opt } => match opt.kind {
                Kind::Choice(words) => {
                    write!(f, "{} needs a value: {}", opt.flag, words.join(", "))
                }
                _ => write!(f, "{0} needs a value: {0} {1}", opt.flag, opt.unit),
            },
            Self::TakesNoValue { flag } => write!(f, "{flag} takes no value"),
            Self::UnknownRole { word, near } if !near.is_empty() => {
                let (word, near) = (TypedPlace(word), one_of(near));
                write!(f, "unknown role {word}: did you mean {near}?")
            }
            Self::UnknownRole { word, .. } => {
                let mut names: Vec<&str> = ROLES.iter().map(Role::family).collect();
                names.dedup();
                write!(
                    f,
                    "unknown role {}: there are {}; SRC would be HOST:PORT",
                    TypedPlace(word),
                    names.join(", ")
                )
            }
            Self::Verb { family, word, near } => {
                f.write_str(&no_such_verb(family, word.as_deref(), near))
            }
            Self::Endpoint(error) => error.fmt(f),
            Self::LeftoverWord { word, role } => {
                write!(
                    f,
                    "leftover word {}: see hydrant {role} --help",
                    TypedPlace(word)
                )
            }
        }
    }
}

/// What is wrong with the second word of a family's roles.
fn no_such_verb(family: &str, word: Option<&str>, near: &[&str]) -> String {
    let all = verbs(family).collect::<Vec<_>>().join(", ");
    match word.map(TypedPlace) {
        Some(word) if !near.is_empty() => {
            format!(
                "{family} has no {word}: did you mean {family} {}?",
                one_of(near)
            )
        }
        Some(word) => format!("{family} has no {word}: there are {all}"),
        None => format!("{family} needs one of {all}: see hydrant {family} --help"),
    }
}

impl Error for UsageError {}
