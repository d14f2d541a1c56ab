//! The command line: which role is meant, with what settings and words, or what is wrong with it.
//!
//! Everything about flags comes out of the option tables. What the settings mean together is not known here: `config`
//! asks the role for that. Nothing is written anywhere; the caller prints.

mod completions;
mod error;
mod help;
mod man;
mod nearest;
mod roles;
mod split;

use std::ffi::OsString;

pub use error::UsageError;
pub use roles::{Example, GLOBALS, ROLES, Role, RoleId};

use crate::base::endpoint::Endpoint;
use crate::base::option::{Opt, Values};
use crate::base::units::is_decimal;
pub(crate) use completions::{SHELLS, completions};
pub(crate) use man::man;
pub(crate) use nearest::{nearest, one_of};

/// What a command line asks for.
#[derive(Clone, Debug)]
pub enum Command {
    /// `--help`: this text, on stdout.
    Help(String),
    /// `--version`: this text, on stdout.
    Version(String),
    /// A role is to run.
    Run(Args),
}

/// A command line with its flags told from its words. All flags are known to the role and have a value where they need
/// one; the values are not read yet.
#[derive(Clone, Debug)]
pub struct Args {
    /// What is to run.
    pub role: RoleId,
    /// What was given for the role's options and for the global ones.
    pub values: Values,
    /// The words that are no flags, without the role's name.
    pub words: Vec<String>,
}

/// Reads a command line, the program's own name left out.
pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Command, UsageError> {
    let known = roles::all_options();
    let split = split::split(args, &known)?;
    if split.is_empty() {
        return Err(UsageError::Bare);
    }
    let asked = Asked::by(split.words);
    if let Some(flag) = split.unknown {
        // A slip in a flag that takes a value leaves the value behind, as a word that looks wrong: so this comes first.
        let role = asked.as_ref().ok().and_then(|asked| asked.role);
        return Err(unknown_flag(flag, role, &known));
    }
    if split.given.iter().any(|(flag, _)| *flag == "--version") {
        return Ok(Command::Version(format!("hydrant {VERSION}\n")));
    }
    let asked = asked?;
    let wants_help = asked.help || split.given.iter().any(|(flag, _)| *flag == "--help");
    match (asked.role, asked.family) {
        (Some(role), _) if wants_help => Ok(Command::Help(help::role(role))),
        (None, Some(family)) if wants_help => Ok(Command::Help(help::family(family))),
        (None, None) if wants_help => Ok(Command::Help(help::overview())),
        (None, Some(family)) => Err(no_such_verb(family, asked.words.into_iter().next())),
        (role, _) => run(role.unwrap_or(&ROLES[0]), split.given, asked.words),
    }
}

/// The text for someone who typed `hydrant` and no more.
pub(crate) const BARE: &str = "\
usage: hydrant SRC DST [DST2 ...] [FLAGS]  relay the bytes of SRC to every DST
       hydrant relay SRC DST ...           the same
       hydrant demo                        watch a relay at work, alone
       hydrant ROLE --help                 a role's flags and examples
       hydrant --help                      the roles, and how to write endpoints
try: hydrant demo
";

pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What the words ask for, whatever the flags are.
struct Asked {
    /// `None`: no word names one.
    role: Option<&'static Role>,
    /// The first word of the roles that share it, where the second word names none of them.
    family: Option<&'static str>,
    /// `hydrant help ...`.
    help: bool,
    /// The words behind the role's name.
    words: Vec<String>,
}

impl Asked {
    fn by(mut words: Vec<String>) -> Result<Self, UsageError> {
        let help = words.first().is_some_and(|word| word == "help");
        if help {
            words.remove(0);
        }
        let mut asked = Self {
            role: None,
            family: None,
            help,
            words,
        };
        let Some(first) = asked.words.first() else {
            return Ok(asked);
        };
        if !help && is_source(first) {
            asked.role = Some(&ROLES[0]);
        } else if let Some((role, named)) = roles::named(&asked.words) {
            asked.role = Some(role);
            asked.words.drain(..named);
        } else if let Some(family) = roles::family(first) {
            asked.family = Some(family);
            asked.words.remove(0);
        } else {
            return Err(unknown_role(&asked.words));
        }
        Ok(asked)
    }
}

/// A first word that can't be a role's name.
fn is_source(word: &str) -> bool {
    word.contains([':', '/', ',']) || is_decimal(word) || word == "-"
}

fn run(
    role: &'static Role,
    given: Vec<(&'static str, String)>,
    words: Vec<String>,
) -> Result<Command, UsageError> {
    let mut values = Values::new(vec![role.options, role.globals()]);
    for (flag, value) in given {
        let Some(opt) = values.find(flag) else {
            return Err(UsageError::NotOfRole {
                flag,
                role: role.name,
            });
        };
        values.put(opt, value);
    }
    match words.get(role.words_max) {
        Some(word) => Err(UsageError::LeftoverWord {
            word: word.clone(),
            role: role.name,
        }),
        None => Ok(Command::Run(Args {
            role: role.id,
            values,
            words,
        })),
    }
}

fn unknown_flag(flag: String, role: Option<&'static Role>, known: &[&'static Opt]) -> UsageError {
    let near = match role {
        Some(role) => nearest(
            &flag,
            role.options
                .iter()
                .chain(role.globals())
                .map(|opt| opt.flag),
        ),
        None => nearest(&flag, known.iter().map(|opt| opt.flag)),
    };
    UsageError::UnknownFlag {
        flag,
        near,
        role: role.map(|role| role.name),
    }
}

/// The roles of a family are told apart by a second word, which is missing or wrong.
fn no_such_verb(family: &'static str, word: Option<String>) -> UsageError {
    let near = match &word {
        Some(word) => nearest(word, roles::verbs(family)),
        None => Vec::new(),
    };
    UsageError::Verb { family, word, near }
}

/// Says what a first word may have been meant to be: a role with a slip in it, or a host whose port was forgotten.
fn unknown_role(words: &[String]) -> UsageError {
    let word = words[0].clone();
    let near = nearest(&word, ROLES.iter().map(|role| role.family()));
    if !near.is_empty() {
        return UsageError::UnknownRole { word, near };
    }
    let like_host = word == "localhost"
        || word.contains('.')
        || words.get(1).is_some_and(|next| is_source(next));
    match word.parse::<Endpoint>() {
        Err(error) if like_host => UsageError::Endpoint(error),
        _ => UsageError::UnknownRole { word, near },
    }
}
