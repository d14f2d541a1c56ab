//! The options and the words of `hydrant status`.

use std::error::Error;
use std::fmt;
use std::path::PathBuf;

use super::config::{Act, StatusConfig};
use crate::base::option::{Kind, Opt, OptionError, Preset, Values};
use crate::base::units::Typed;

/// Every option that it has, in the order of its help.
pub static OPTIONS: &[Opt] = &[
    Opt {
        flag: "--watch",
        group: SHOWING,
        help: "show it again each second, until Ctrl-C",
        preset: Preset::Said("off"),
        ..Opt::SWITCH
    },
    Opt {
        flag: "--json",
        group: SHOWING,
        help: "what GET /api/v1/state of a console says, a line for each process",
        preset: Preset::Said("off"),
        ..Opt::SWITCH
    },
    Opt {
        flag: "--pid",
        kind: Kind::Count {
            min: 1,
            max: i32::MAX as u64,
            off: false,
        },
        unit: "PID",
        preset: Preset::Said("all of yours"),
        group: SHOWING,
        help: "ask the hydrant of this process id only",
        ..Opt::SWITCH
    },
];

const SHOWING: &str = "What is shown";

/// Why a command line is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OrderError {
    /// An option's value is wrong.
    Option(OptionError),
    /// The first word is nothing that can be done.
    Act(String),
    /// `kick` of nobody.
    NoClient,
    /// `dump` neither on nor off.
    OnOrOff,
    /// A word too many.
    Leftover(String),
    /// `--watch` or `--json` of what shows nothing.
    NothingToShow(&'static str),
}

impl fmt::Display for OrderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Option(error) => error.fmt(f),
            Self::Act(word) => write!(
                f,
                "status can't {}: clients, kick, dump, start, stop or reload",
                Typed(word)
            ),
            Self::NoClient => f.write_str(
                "kick needs a CLIENT, by the address or the id that status clients shows",
            ),
            Self::OnOrOff => f.write_str("dump needs on or off"),
            Self::Leftover(word) => write!(f, "status has no use for {}", Typed(word)),
            Self::NothingToShow(flag) => write!(f, "{flag} goes with what is shown"),
        }
    }
}

impl Error for OrderError {}

impl From<OptionError> for OrderError {
    fn from(error: OptionError) -> Self {
        Self::Option(error)
    }
}

/// Makes its orders. `folder`: where the sockets of processes are.
///
/// # Errors
/// What is wrong with the command line.
#[inline(never)]
pub fn build(
    values: &Values,
    words: &[String],
    folder: Option<PathBuf>,
) -> Result<StatusConfig, OrderError> {
    let act = act(words)?;
    let (watches, json) = (values.given("watch"), values.given("json"));
    let shows = matches!(act, Act::Show | Act::Clients { .. });
    for (flag, given) in [("--watch", watches), ("--json", json)] {
        if given && !shows {
            return Err(OrderError::NothingToShow(flag));
        }
    }
    let pid = values.amount("pid")?.map(|pid| pid.to_string());
    Ok(StatusConfig {
        folder,
        pid,
        act,
        watches,
        json,
    })
}

fn act(words: &[String]) -> Result<Act, OrderError> {
    let mut words = words.iter().cloned();
    let Some(word) = words.next() else {
        return Ok(Act::Show);
    };
    let act = match word.as_str() {
        "clients" => Act::Clients { role: words.next() },
        "kick" => Act::Kick {
            client: words.next().ok_or(OrderError::NoClient)?,
            role: words.next(),
        },
        "dump" => Act::Dump {
            on: match words.next().as_deref() {
                Some("on") => true,
                Some("off") => false,
                _ => return Err(OrderError::OnOrOff),
            },
            role: words.next(),
        },
        "start" => Act::Start { role: words.next() },
        "stop" => Act::Stop { role: words.next() },
        "reload" => Act::Reload,
        _ => return Err(OrderError::Act(word)),
    };
    match words.next() {
        Some(word) => Err(OrderError::Leftover(word)),
        None => Ok(act),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(line: &str) -> Result<StatusConfig, String> {
        let mut values = Values::new(vec![OPTIONS]);
        let mut words = Vec::new();
        let mut rest = line.split_whitespace();
        while let Some(word) = rest.next() {
            match values.find(word) {
                Some(opt) if opt.is_switch() => values.put(opt, String::new()),
                Some(opt) => values.put(opt, rest.next().unwrap_or_default().to_owned()),
                None => words.push(word.to_owned()),
            }
        }
        build(&values, &words, None).map_err(|error| error.to_string())
    }

    #[test]
    fn words_say_what_is_to_be_done() {
        let some = |role: &str| Some(role.to_owned());
        for (line, act) in [
            ("", Act::Show),
            ("clients", Act::Clients { role: None }),
            ("clients a", Act::Clients { role: some("a") }),
            (
                "dump on a",
                Act::Dump {
                    on: true,
                    role: some("a"),
                },
            ),
            (
                "dump off",
                Act::Dump {
                    on: false,
                    role: None,
                },
            ),
            ("stop a", Act::Stop { role: some("a") }),
            ("start", Act::Start { role: None }),
            ("reload", Act::Reload),
            (
                "kick 10.0.0.7:51514",
                Act::Kick {
                    client: "10.0.0.7:51514".to_owned(),
                    role: None,
                },
            ),
        ] {
            assert_eq!(made(line).map(|made| made.act), Ok(act), "{line}");
        }
        assert_eq!(made("--watch").map(|made| made.watches), Ok(true));
        let means = |line| made(line).map(|made| ["7", "12"].map(|pid| made.means(pid)));
        assert_eq!(means("--pid 12"), Ok([false, true]));
        assert_eq!(means(""), Ok([true, true]));
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (line, said) in [
            (
                "fly",
                "status can't fly: clients, kick, dump, start, stop or reload",
            ),
            (
                "kick",
                "kick needs a CLIENT, by the address or the id that status clients shows",
            ),
            ("dump", "dump needs on or off"),
            ("dump loud", "dump needs on or off"),
            ("stop a b", "status has no use for b"),
            ("reload now", "status has no use for now"),
            ("stop a --watch", "--watch goes with what is shown"),
            ("reload --json", "--json goes with what is shown"),
        ] {
            assert_eq!(made(line), Err(said.to_owned()), "{line}");
        }
        assert!(made("--pid 0").is_err() && made("--pid x").is_err());
    }
}
