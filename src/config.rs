//! One invocation, checked: what is to run, and what holds for the whole process.

mod certificates;
mod ws;

use std::error::Error;
use std::ffi::OsString;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::base::option::{OptionError, Values};
use crate::base::secret::Secret;
use crate::base::tokens::{Tokens, TokensError, TokensFault};
use crate::base::units::{Typed, write_size};
use crate::cli::{self, Args, Command, RoleId, UsageError};
use crate::roles::bench::config::BenchConfig;
use crate::roles::bench::options as bench_options;
use crate::roles::hub::config::{
    Account, Auth, ServeConfig, TunnelConfig as HubTunnel, UserConfig,
};
use crate::roles::hub::options as hub_options;
use crate::roles::relay::config::RelayConfig;
use crate::roles::relay::options::{self as relay_options, OrderError};
use crate::roles::tls::Tls;
use crate::roles::tls::options::{Files, FilesError};
use crate::roles::tunnel::config::{ExposeConfig, ServeConfig as TunnelConfig};
use crate::roles::tunnel::{self, options as tunnel_options};
use crate::roles::ws::config::{AdapterConfig, RelayConfig as WsRelayConfig};
use crate::roles::ws::options::{self as ws_options, Proxies};

pub use self::certificates::{Certificates, CertificatesError, Stamp};
pub use self::ws::read_ws_tokens;

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
    /// A hub.
    HubServe {
        /// Its orders, its tokens read.
        config: Box<ServeConfig>,
        /// `--tokens`: where they are, to be read again.
        tokens: Option<PathBuf>,
    },
    /// A client of a hub.
    HubUser(Box<UserConfig>),
    /// One end of a tunnel through a hub.
    HubTunnel(Box<HubTunnel>),
    /// A reverse tunnel's server.
    TunnelServe {
        /// Its orders, its tokens read.
        config: Box<TunnelConfig>,
        /// `--tokens`: where they are, to be read again.
        tokens: Option<PathBuf>,
    },
    /// A reverse tunnel's backend.
    TunnelExpose(Box<ExposeConfig>),
    /// A relay of WebSockets.
    WsRelay {
        /// Its orders, its tokens read.
        config: Box<WsRelayConfig>,
        /// `--tokens`: where they are, to be read again.
        tokens: Option<PathBuf>,
    },
    /// An end of a tunnel through one.
    WsAdapter(Box<AdapterConfig>),
    /// Measurements.
    Bench(Box<BenchConfig>),
}

/// What the program finds around itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Env {
    /// Whether stderr is a terminal.
    pub stderr_is_terminal: bool,
    /// `HYDRANT_TOKEN`.
    pub token: Option<Secret>,
    /// `PORT`.
    pub port: Option<String>,
    /// Proxies on the way out.
    pub proxies: Proxies,
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
                relay.tls = read_certificates(files, &mut certificates)?;
                Run::Relay(Box::new(relay))
            }
            RoleId::Demo => Run::Demo,
            RoleId::HubServe => {
                let mut config = hub_options::build_serve(&args.values, &args.words)?;
                let files = Files::of_server(&args.values, &config.listen)?;
                config.tls = read_certificates(files, &mut certificates)?;
                let tokens = args.values.path("tokens")?;
                if let Some(path) = &tokens {
                    config.auth = Auth::Tokens(read_tokens(path)?);
                }
                let config = Box::new(config);
                Run::HubServe { config, tokens }
            }
            RoleId::HubClient => user(args, env, hub_options::build_client, &mut certificates)?,
            RoleId::HubSend => user(args, env, hub_options::build_send, &mut certificates)?,
            RoleId::HubRecv => user(args, env, hub_options::build_recv, &mut certificates)?,
            RoleId::HubTunnel => {
                let mut config = hub_options::build_tunnel(&args.values, &args.words)?;
                complete(&mut config.account, args, env, &mut certificates)?;
                Run::HubTunnel(Box::new(config))
            }
            RoleId::TunnelServe => {
                let mut config = tunnel_options::build_serve(&args.values, &args.words)?;
                let files = Files::of_server(&args.values, &config.listen)?;
                config.tls = read_certificates(files, &mut certificates)?;
                let tokens = args.values.path("tokens")?;
                if let Some(path) = &tokens {
                    config.tokens = Some(read_tunnel_tokens(path)?);
                }
                let config = Box::new(config);
                Run::TunnelServe { config, tokens }
            }
            RoleId::TunnelExpose => {
                let token = dialling_token(&args.values, env)?;
                let mut config = tunnel_options::build_expose(&args.values, &args.words, token)?;
                let files = Files::of_client(&args.values, &config.server)?;
                config.tls = read_certificates(files, &mut certificates)?;
                Run::TunnelExpose(Box::new(config))
            }
            RoleId::WsRelay => ws::relay(args, &env, &mut certificates)?,
            RoleId::WsHost => ws::adapter(args, env, ws_options::build_host, &mut certificates)?,
            RoleId::WsClient => {
                ws::adapter(args, env, ws_options::build_client, &mut certificates)?
            }
            RoleId::Bench => Run::Bench(Box::new(bench_options::build(&args.values, &args.words)?)),
        };
        Ok(Self {
            globals,
            run,
            certificates,
        })
    }
}

/// Reads the files of certificates, if any are needed, and keeps what there is to read again.
fn read_certificates(files: Files, kept: &mut Option<Certificates>) -> Result<Tls, ConfigError> {
    match files == Files::default() {
        true => Ok(Tls::default()),
        false => Ok(kept.insert(Certificates::read(files)?).tls()),
    }
}

/// Makes the orders of a client of a hub, whose token a file or the environment holds.
fn user(
    args: &Args,
    env: Env,
    build: BuildUser,
    certificates: &mut Option<Certificates>,
) -> Result<Run, ConfigError> {
    let mut user = build(&args.values, &args.words)?;
    complete(&mut user.account, args, env, certificates)?;
    Ok(Run::HubUser(Box::new(user)))
}

/// Adds to a hub's client what files and the environment hold.
fn complete(
    account: &mut Account,
    args: &Args,
    env: Env,
    certificates: &mut Option<Certificates>,
) -> Result<(), ConfigError> {
    let files = Files::of_client(&args.values, &account.hub)?;
    account.tls = read_certificates(files, certificates)?;
    account.token = dialling_token(&args.values, env)?;
    Ok(())
}

type BuildUser = fn(&Values, &[String]) -> Result<UserConfig, hub_options::OrderError>;

/// The token of a side that dials: `--token-file`, or else `HYDRANT_TOKEN`.
fn dialling_token(values: &Values, env: Env) -> Result<Option<Secret>, ConfigError> {
    if let Some(path) = values.path("token-file")? {
        let token = read_small(&path, SECRET_MAX)
            .and_then(|(bytes, _)| Tokens::parse_one(&bytes).map_err(FileFault::Token));
        return token
            .map(Some)
            .map_err(|fault| fault_of("--token-file", &path, fault));
    }
    let Some(token) = env.token.filter(|token| !token.is_empty()) else {
        return Ok(None);
    };
    Tokens::parse_one(&token)
        .map(Some)
        .map_err(ConfigError::EnvToken)
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
    read_small(path, SECRET_MAX)
        .map(|(bytes, _)| bytes.into())
        .map_err(|fault| fault_of(flag, path, fault))
}

/// Reads what `--tokens` of a hub names.
pub fn read_tokens(path: &Path) -> Result<Tokens, ConfigError> {
    let tokens =
        read_private(path).and_then(|bytes| Tokens::parse(&bytes).map_err(FileFault::Tokens));
    tokens.map_err(|fault| fault_of("--tokens", path, fault))
}

/// Reads what `--tokens` of a tunnel names.
pub fn read_tunnel_tokens(path: &Path) -> Result<tunnel::Tokens, ConfigError> {
    let tokens = read_private(path)
        .and_then(|bytes| tunnel::Tokens::parse(&bytes).map_err(FileFault::Tokens));
    tokens.map_err(|fault| fault_of("--tokens", path, fault))
}

/// Reads a file of tokens. One that others can read, or change, is refused: who sees the tokens can be anybody.
fn read_private(path: &Path) -> Result<Vec<u8>, FileFault> {
    match read_small(path, TOKENS_MAX)? {
        (bytes, mode) if mode & 0o077 == 0 => Ok(bytes),
        (_, mode) => Err(FileFault::Exposed { mode: mode & 0o777 }),
    }
}

/// What a file of up to `max` bytes holds, and its mode.
fn read_small(path: &Path, max: u64) -> Result<(Vec<u8>, u32), FileFault> {
    let mut bytes = Vec::new();
    let mode = File::open(path)
        .and_then(|file| {
            let mode = file.metadata()?.permissions().mode();
            file.take(max + 1).read_to_end(&mut bytes)?;
            Ok(mode)
        })
        .map_err(|error| FileFault::Unreadable(error.kind()))?;
    match bytes.len() as u64 {
        0 => Err(FileFault::Empty),
        len if len > max => Err(FileFault::TooLong { max }),
        _ => Ok((bytes, mode)),
    }
}

fn fault_of(flag: &'static str, path: &Path, fault: FileFault) -> ConfigError {
    ConfigError::File {
        flag,
        path: path.to_owned(),
        fault,
    }
}

/// The longest file that `--upstream-send` takes.
const SECRET_MAX: u64 = 64 << 10;
/// The longest file that `--tokens` takes.
const TOKENS_MAX: u64 = 16 << 20;

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
    /// A hub's orders, or those of a client of one, are wrong.
    Hub(hub_options::OrderError),
    /// `HYDRANT_TOKEN` is no token.
    EnvToken(TokensFault),
    /// The orders of a tunnel's end are wrong.
    Tunnel(tunnel_options::OrderError),
    /// The orders of a relay of WebSockets, or of an end of a tunnel through one, are wrong.
    Ws(ws_options::OrderError),
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
    Tokens(TokensError),
    /// What it holds is no token.
    Token(TokensFault),
    /// What it holds are no tokens of a relay of WebSockets.
    WsTokens(crate::roles::ws::TokensError),
}

impl ConfigError {
    /// The exit code: 2 for what is wrong with the command line itself.
    fn code(&self) -> u8 {
        match self {
            Self::File { .. } | Self::Certificates(_) | Self::EnvToken(_) => 1,
            Self::Option(_) | Self::QuietAndVerbose => 2,
            Self::Relay(_) | Self::CertificateFiles(_) => 2,
            Self::Hub(_) | Self::Tunnel(_) | Self::Ws(_) | Self::Bench(_) => 2,
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
            Self::Hub(error) => error.fmt(f),
            Self::Tunnel(error) => error.fmt(f),
            Self::Ws(error) => error.fmt(f),
            Self::EnvToken(fault) => write!(f, "HYDRANT_TOKEN: {fault}"),
            Self::Bench(error) => error.fmt(f),
            Self::File { flag, path, fault } => {
                let path = path.to_string_lossy();
                let path = Typed(&path);
                match fault {
                    FileFault::Unreadable(io::ErrorKind::NotFound) => {
                        write!(f, "can't read {flag} {path}: no such file or directory")
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
                    FileFault::Token(fault) => write!(f, "{flag} {path}: {fault}"),
                    FileFault::WsTokens(error) => write!(f, "{flag} {path}: {error}"),
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
