//! One invocation, checked: what is to run, and what holds for the whole process.

mod certificates;

use std::error::Error;
use std::ffi::OsString;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::base::option::{OptionError, Values};
use crate::base::secret::Secret;
use crate::base::units::Typed;
use crate::cli::{self, Args, Command, RoleId, UsageError};
use crate::roles::bench::config::BenchConfig;
use crate::roles::bench::options as bench_options;
use crate::roles::relay::config::RelayConfig;
use crate::roles::relay::options::{self as relay_options, OrderError};
use crate::roles::tls::options::{Files, FilesError};

pub use self::certificates::{Certificates, CertificatesError, Stamp};

/// What one invocation does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// What holds for the whole process.
    pub globals: Globals,
    /// What is to run.
    pub run: Run,
    /// The certificates that it needs.
    pub certificates: Option<Certificates>,
}

/// What holds for the whole process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Globals {
    /// How much is logged.
    pub verbosity: Verbosity,
    /// `--log-file`: where to. `None`: stderr.
    pub log_file: Option<PathBuf>,
    /// `--busy-poll`: the reactor spins instead of sleeping.
    pub busy_poll: bool,
}

/// How much is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verbosity {
    /// `-q`: warnings and errors.
    Quiet,
    /// What a user should know.
    Normal,
    /// `-v`: and what helps to find a mistake.
    Debug,
    /// `-vv`: and every event.
    Trace,
}

/// What is to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Run {
    /// One relay.
    Relay(Box<RelayConfig>),
    /// The demonstration.
    Demo,
    /// Measurements.
    Bench(Box<BenchConfig>),
}

/// What the program finds around itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Env {
    /// Whether stderr is a terminal.
    pub stderr_is_terminal: bool,
}

/// Nothing is to run: something is to be said, and then the program ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exit {
    /// What stdout gets.
    pub stdout: String,
    /// What stderr gets.
    pub stderr: String,
    /// The exit code.
    pub code: u8,
}

impl Config {
    /// Reads a command line, the program's own name left out.
    pub fn from_command_line(
        args: impl IntoIterator<Item = OsString>,
        env: Env,
    ) -> Result<Self, Exit> {
        match cli::parse(args) {
            Ok(Command::Help(text) | Command::Version(text)) => Err(Exit {
                stdout: text,
                stderr: String::new(),
                code: 0,
            }),
            Ok(Command::Run(args)) => Self::from_args(&args, env).map_err(|error| Exit {
                code: error.code(),
                ..Exit::usage(format_args!("hydrant: {error}\n"))
            }),
            Err(UsageError::Bare) => Err(Exit::usage(format_args!("{}", UsageError::Bare))),
            Err(error) => Err(Exit::usage(format_args!("hydrant: {error}\n"))),
        }
    }

    /// Checks what a command line says.
    pub fn from_args(args: &Args, env: Env) -> Result<Self, ConfigError> {
        let globals = Globals::from_values(&args.values)?;
        let mut certificates = None;
        let run = match args.role {
            RoleId::Relay => {
                let mut relay =
                    relay_options::build(&args.values, &args.words, env.stderr_is_terminal)?;
                if let Some(path) = args.values.path("upstream-send")? {
                    relay.upstream_send = read_secret("--upstream-send", &path)?;
                }
                let (accepts, dials) = relay.speaks_tls();
                let files = Files::new(&args.values, accepts, dials)?;
                if files != Files::default() {
                    let read = certificates.insert(Certificates::read(files)?);
                    relay.tls = read.tls();
                }
                Run::Relay(Box::new(relay))
            }
            RoleId::Demo => Run::Demo,
            RoleId::Bench => Run::Bench(Box::new(bench_options::build(&args.values, &args.words)?)),
        };
        Ok(Self {
            globals,
            run,
            certificates,
        })
    }
}

impl Globals {
    fn from_values(values: &Values) -> Result<Self, ConfigError> {
        let verbosity = match (values.given("quiet"), values.times("verbose")) {
            (false, 0) => Verbosity::Normal,
            (false, 1) => Verbosity::Debug,
            (false, _) => Verbosity::Trace,
            (true, 0) => Verbosity::Quiet,
            (true, _) => return Err(ConfigError::QuietAndVerbose),
        };
        // Not every role has it.
        let busy_poll = values
            .find("--busy-poll")
            .is_some_and(|opt| values.given(opt.name()));
        Ok(Self {
            verbosity,
            log_file: values.path("log-file")?,
            busy_poll,
        })
    }
}

/// Reads a small file whose contents nobody else may see.
fn read_secret(flag: &'static str, path: &Path) -> Result<Secret, ConfigError> {
    let fault = |fault| ConfigError::File {
        flag,
        path: path.to_owned(),
        fault,
    };
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(SECRET_MAX + 1).read_to_end(&mut bytes))
        .map_err(|error| fault(FileFault::Unreadable(error.kind())))?;
    match bytes.len() as u64 {
        0 => Err(fault(FileFault::Empty)),
        1..=SECRET_MAX => Ok(bytes.into()),
        _ => Err(fault(FileFault::TooLong)),
    }
}

/// The longest file that `--upstream-send` takes.
const SECRET_MAX: u64 = 64 << 10;

impl Exit {
    fn usage(text: fmt::Arguments<'_>) -> Self {
        Self {
            stdout: String::new(),
            stderr: text.to_string(),
            code: 2,
        }
    }
}

/// Settings that can't be carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigError {
    /// A global option's value is wrong.
    Option(OptionError),
    /// `-q` and `-v` at once.
    QuietAndVerbose,
    /// The relay's orders are wrong.
    Relay(OrderError),
    /// The bench's orders are wrong.
    Bench(bench_options::OrderError),
    /// A file that an option names can't be used.
    File {
        /// The option.
        flag: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        fault: FileFault,
    },
    /// What is said about certificates does not fit together.
    CertificateFiles(FilesError),
    /// Certificates can't be used.
    Certificates(CertificatesError),
}

/// What is wrong with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileFault {
    /// It can't be read.
    Unreadable(io::ErrorKind),
    /// Nothing is in it.
    Empty,
    /// It is longer than 64 KiB.
    TooLong,
}

impl ConfigError {
    /// The exit code: 2 for what is wrong with the command line itself.
    fn code(&self) -> u8 {
        match self {
            Self::File { .. } | Self::Certificates(_) => 1,
            Self::Option(_)
            | Self::QuietAndVerbose
            | Self::Relay(_)
            | Self::CertificateFiles(_)
            | Self::Bench(_) => 2,
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
            Self::Relay(error) => error.fmt(f),
            Self::CertificateFiles(error) => error.fmt(f),
            Self::Certificates(error) => error.fmt(f),
            Self::Bench(error) => error.fmt(f),
            Self::File { flag, path, fault } => {
                let path = path.to_string_lossy();
                let path = Typed(&path);
                match fault {
                    FileFault::Unreadable(io::ErrorKind::NotFound) => {
                        write!(f, "can't read {flag} {path}: no such file or directory")
                    }
                    FileFault::Unreadable(kind) => write!(f, "can't read {flag} {path}: {kind}"),
                    FileFault::Empty => write!(f, "{flag} {path} is empty: nothing to send"),
                    FileFault::TooLong => write!(f, "{flag} {path} is too long: the most is 64K"),
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
