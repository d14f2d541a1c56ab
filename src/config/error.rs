//! What is wrong with an invocation, in one line.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::PathBuf;

use super::files::{NO_END, NO_ROOM};
use crate::base::endpoint::EndpointError;
use crate::base::option::OptionError;
use crate::base::tokens::{Mistakes, TokensError, TokensFault};
use crate::base::units::{Typed, write_size};
use crate::config::CertificatesError;
use crate::roles::bench::options as bench_options;
use crate::roles::console::options as console_options;
use crate::roles::hub::options as hub_options;
use crate::roles::relay::options::OrderError;
use crate::roles::status::options as status_options;
use crate::roles::tls::options::FilesError;
use crate::roles::tunnel::options as tunnel_options;
use crate::roles::ws;

/// Settings that can't be carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigError {
    /// A global option's value is wrong.
    Option(OptionError),
    /// `-q` and `-v` at once.
    QuietAndVerbose,
    /// The relay's orders are wrong.
    Relay(OrderError),
    /// A hub's orders, or those of a client of one, are wrong.
    Hub(hub_options::OrderError),
    /// `HYDRANT_TOKEN` is no token.
    EnvToken(TokensFault),
    /// The orders of a tunnel's end are wrong.
    Tunnel(tunnel_options::OrderError),
    /// The orders of a relay of WebSockets, or of an end of a tunnel through one, are wrong.
    Ws(ws::options::OrderError),
    /// The bench's orders are wrong.
    Bench(bench_options::OrderError),
    /// The console's orders are wrong.
    Console(console_options::OrderError),
    /// What is asked of those that run is wrong.
    Status(status_options::OrderError),
    /// A file that an option names can't be used.
    File {
        /// The option.
        flag: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        fault: FileFault,
    },
    /// `--metrics` is no endpoint.
    Metrics(EndpointError),
    /// Completions for a shell that there are none for.
    Shell {
        /// Those that there are.
        shells: String,
    },
    /// No run file was named.
    NoRunFile,
    /// A unit is asked for that would run what can be no run file.
    UnitFile {
        /// What was named.
        given: String,
    },
    /// A word behind what only prints.
    Leftover {
        /// The word.
        word: String,
        /// What prints.
        what: &'static str,
    },
    /// A flag for what runs, where nothing does.
    NothingRuns {
        /// The flag.
        flag: &'static str,
        /// What only prints.
        what: &'static str,
    },
    /// A run file has mistakes: all of them, as they are shown, in several lines.
    Mistakes(String),
    /// What is said about certificates does not fit together.
    CertificateFiles(FilesError),
    /// Certificates can't be used.
    Certificates(CertificatesError),
}

impl ConfigError {
    /// Whether it is about a file of tokens.
    pub fn is_about_tokens(&self) -> bool {
        matches!(self, Self::File { flag, .. } if flag.contains("token"))
    }

    /// Whether there is no file where one should be.
    pub(crate) fn is_no_file(&self) -> bool {
        let kind = io::ErrorKind::NotFound;
        matches!(self, Self::File { fault: FileFault::Unreadable(found), .. } if *found == kind)
    }

    /// What is said where others may read it: not the path of a file that should hold a secret and is not there, since
    /// that may be the secret itself.
    pub(super) fn discreet(&self) -> String {
        let (flag, kind) = match self {
            Self::File {
                flag,
                fault: FileFault::Unreadable(kind),
                ..
            }
            | Self::Certificates(CertificatesError::Unreadable { flag, kind, .. }) => {
                (*flag, *kind)
            }
            other => return other.to_string(),
        };
        use io::ErrorKind::{IsADirectory, PermissionDenied, TimedOut};
        let is_there = matches!(kind, PermissionDenied | IsADirectory | TimedOut);
        match SECRETS.contains(&flag) && !is_there {
            true if kind == io::ErrorKind::ResourceBusy => format!("can't read {flag}: {NO_ROOM}"),
            true => format!(
                "can't read {flag}: no such file; its path is not shown, since it may be the secret itself"
            ),
            false => self.to_string(),
        }
    }
}

/// The options whose files hold what nobody else may see.
const SECRETS: &[&str] = &[
    "--token-file",
    "--view-token-file",
    "--tokens",
    "--upstream-send",
    "--tls-key",
    "--tls-client-key",
];

/// What is wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileFault {
    /// It can't be read.
    Unreadable(io::ErrorKind),
    /// Nothing is in it.
    Empty,
    /// It is longer than is read.
    TooLong {
        /// The most, in bytes.
        max: u64,
    },
    /// Others than its owner may read or change it.
    Exposed {
        /// Its permissions.
        mode: u32,
    },
    /// What it holds are no tokens.
    Tokens(Mistakes<TokensError>),
    /// What it holds is no token.
    Token(TokensFault),
    /// What it holds are no tokens of a relay of WebSockets.
    WsTokens(Mistakes<ws::TokensError>),
}

impl ConfigError {
    /// The exit code: 2 for what is wrong with the command line itself.
    pub(super) fn code(&self) -> u8 {
        match self {
            Self::File { .. } | Self::Certificates(_) | Self::EnvToken(_) => 1,
            Self::Mistakes(_) => 1,
            Self::Option(_) | Self::QuietAndVerbose => 2,
            Self::Metrics(_) | Self::NoRunFile => 2,
            Self::Shell { .. } | Self::UnitFile { .. } => 2,
            Self::Leftover { .. } | Self::NothingRuns { .. } => 2,
            Self::Relay(_) | Self::CertificateFiles(_) => 2,
            Self::Hub(_) | Self::Tunnel(_) | Self::Ws(_) => 2,
            Self::Bench(_) | Self::Console(_) | Self::Status(_) => 2,
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Option(error) => error.fmt(f),
            Self::QuietAndVerbose => {
                f.write_str("-q and -v contradict each other: leave one of them out")
            }
            Self::Metrics(error) => write!(f, "--metrics: {error}"),
            Self::Shell { shells } => write!(f, "completions needs a shell: one of {shells}"),
            Self::NoRunFile => f.write_str(
                "FILE is missing: hydrant run FILE, or hydrant run --example to see one",
            ),
            Self::UnitFile { given } => write!(
                f,
                "{} can be no run file: name one, or leave it out for /etc/hydrant/hydrant.toml",
                Typed(given)
            ),
            Self::Leftover { word, what } => {
                write!(f, "leftover word {}: {what} takes none", Typed(word))
            }
            Self::NothingRuns { flag, what } => {
                write!(f, "{what} only prints: leave {flag} out")
            }
            Self::Mistakes(shown) => f.write_str(shown),
            Self::Relay(error) => error.fmt(f),
            Self::CertificateFiles(error) => error.fmt(f),
            Self::Certificates(error) => error.fmt(f),
            Self::Hub(error) => error.fmt(f),
            Self::Tunnel(error) => error.fmt(f),
            Self::Ws(error) => error.fmt(f),
            Self::EnvToken(fault) => write!(f, "HYDRANT_TOKEN: {fault}"),
            Self::Bench(error) => error.fmt(f),
            Self::Console(error) => error.fmt(f),
            Self::Status(error) => error.fmt(f),
            Self::File { flag, path, fault } => {
                let path = path.to_string_lossy();
                let path = Typed(&path);
                match fault {
                    FileFault::Unreadable(io::ErrorKind::NotFound) => {
                        write!(f, "can't read {flag} {path}: no such file or directory")
                    }
                    FileFault::Unreadable(io::ErrorKind::TimedOut) => {
                        write!(f, "can't read {flag} {path}: {NO_END}")
                    }
                    FileFault::Unreadable(io::ErrorKind::ResourceBusy) => {
                        write!(f, "can't read {flag} {path}: {NO_ROOM}")
                    }
                    FileFault::Unreadable(kind) => write!(f, "can't read {flag} {path}: {kind}"),
                    FileFault::Empty if *flag == "--upstream-send" => {
                        write!(f, "{flag} {path} is empty: nothing to send")
                    }
                    FileFault::Empty => write!(f, "{flag} {path} is empty"),
                    FileFault::TooLong { max } => {
                        let max = write_size(*max);
                        write!(f, "{flag} {path} is too long: the most is {max}")
                    }
                    FileFault::Exposed { mode } => write!(
                        f,
                        "{flag} {path} can be read or changed by others (mode {mode:03o}): chmod 600 {path}"
                    ),
                    FileFault::Tokens(error) => write!(f, "{flag} {path}: {error}"),
                    FileFault::WsTokens(error) => write!(f, "{flag} {path}: {error}"),
                    FileFault::Token(fault) => write!(f, "{flag} {path}: {fault}"),
                }
            }
        }
    }
}

impl Error for ConfigError {}

impl From<OptionError> for ConfigError {
    fn from(error: OptionError) -> Self {
        Self::Option(error)
    }
}

impl From<hub_options::OrderError> for ConfigError {
    fn from(error: hub_options::OrderError) -> Self {
        Self::Hub(error)
    }
}

impl From<tunnel_options::OrderError> for ConfigError {
    fn from(error: tunnel_options::OrderError) -> Self {
        Self::Tunnel(error)
    }
}

impl From<console_options::OrderError> for ConfigError {
    fn from(error: console_options::OrderError) -> Self {
        Self::Console(error)
    }
}

impl From<status_options::OrderError> for ConfigError {
    fn from(error: status_options::OrderError) -> Self {
        Self::Status(error)
    }
}

impl From<bench_options::OrderError> for ConfigError {
    fn from(error: bench_options::OrderError) -> Self {
        Self::Bench(error)
    }
}

impl From<OrderError> for ConfigError {
    fn from(error: OrderError) -> Self {
        Self::Relay(error)
    }
}

impl From<FilesError> for ConfigError {
    fn from(error: FilesError) -> Self {
        Self::CertificateFiles(error)
    }
}

impl From<CertificatesError> for ConfigError {
    fn from(error: CertificatesError) -> Self {
        Self::Certificates(error)
    }
}
