//! One invocation, checked: what is to run, and what holds for the whole process.

mod certificates;
mod console;
mod error;
mod faults;
mod files;
mod member;
mod origin;
mod outputs;
mod relative;
pub mod run_file;
pub mod settings;
mod systemd_unit;
mod tunnel;
mod ws;

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;

use self::files::{dialling_token, read_secret, read_tokens};
use crate::base::endpoint::Endpoint;
use crate::base::option::Values;
use crate::base::secret::Secret;
use crate::cli::{self, Args, Command, GLOBALS, RoleId, UsageError};
use crate::roles::bench::config::BenchConfig;
use crate::roles::bench::options as bench_options;
use crate::roles::console::config::ConsoleConfig;
use crate::roles::hub::config::{
    Account, Auth, ServeConfig, TunnelConfig as HubTunnel, UserConfig,
};
use crate::roles::hub::options as hub_options;
use crate::roles::relay::config::RelayConfig;
use crate::roles::relay::options as relay_options;
use crate::roles::status::config::StatusConfig;
use crate::roles::status::options as status_options;
use crate::roles::tls::Tls;
use crate::roles::tls::options::Files;
use crate::roles::tunnel::config::{ExposeConfig, ServeConfig as TunnelConfig};
use crate::roles::ws::config::{AdapterConfig, RelayConfig as WsRelayConfig};
use crate::roles::ws::options::{self as ws_options, Proxies};

pub use self::certificates::{Certificates, CertificatesError, Stamp};
pub use self::console::ConsoleOrders;
pub(crate) use self::console::console_of;
pub use self::error::{ConfigError, FileFault};
pub(crate) use self::files::read_bounded;
pub use self::files::sockets_in;
pub use self::member::{Member, Sheet};
pub use self::origin::Origin;
pub use self::run_file::RunFile;

/// What one invocation does.
#[derive(Clone, Debug)]
pub struct Config {
    /// What holds for the whole process.
    pub globals: Globals,
    /// What is to run.
    pub run: Run,
    /// The certificates that it needs.
    pub certificates: Option<Certificates>,
    /// Where all of this came from.
    pub origin: Origin,
}

/// What holds for the whole process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Globals {
    /// How much is logged.
    pub verbosity: Verbosity,
    /// `--log-file`: where to. `None`: stderr.
    pub log_file: Option<PathBuf>,
    /// `--busy-poll`: the reactor spins instead of sleeping.
    pub busy_poll: bool,
    /// `--metrics`: where they are served.
    pub metrics: Option<Endpoint>,
    /// `[console]` of a run file.
    pub console: Option<ConsoleConfig>,
}

/// How much is logged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Verbosity {
    /// `-q`: warnings and errors.
    Quiet,
    /// What a user should know.
    #[default]
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
    /// A console, with what it has in front of it.
    Console(Box<ConsoleOrders>),
    /// Many roles, out of a file.
    Many(Box<RunFile>),
    /// What runs is asked how it goes.
    Status(Box<StatusConfig>),
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
    /// Where a user's settings are: `XDG_CONFIG_HOME`, else `.config` in the home folder.
    pub config_home: Option<PathBuf>,
    /// Where a process of this user's has its socket for `hydrant status`, and where others of them may.
    pub sockets: Option<PathBuf>,
    /// Listening sockets that the service manager has passed: their names, and where each listens, as an endpoint.
    /// `None`: they are not known now.
    pub passed: Option<Vec<(String, String)>>,
    /// A run file is only checked: what starting it would find is looked for, too.
    pub is_check: bool,
    /// Files are only named, and none is read: what else is wrong is looked for.
    pub is_dry: bool,
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
            Ok(Command::Run(args)) => match said(&args, &env) {
                Some(said) => Err(said.unwrap_or_else(|error| Exit::of(&error))),
                None => Self::from_args(&args, env).map_err(|error| Exit::of(&error)),
            },
            Err(UsageError::Bare) => Err(Exit::usage(format_args!("{}", UsageError::Bare))),
            Err(error) => Err(Exit::usage(format_args!("hydrant: {error}\n"))),
        }
    }

    /// Checks what a command line says.
    pub fn from_args(args: &Args, env: Env) -> Result<Self, ConfigError> {
        let globals = Globals::from_values(&args.values)?;
        let origin = Origin::new(args, &env);
        if args.role == RoleId::Run {
            let path = run_file_of(args)?;
            let file = RunFile::load(&path, &args.values.pairs(), &env)?;
            return Ok(Self {
                globals: file.globals.clone(),
                run: Run::Many(Box::new(file)),
                certificates: None,
                origin,
            });
        }
        let (run, certificates) = build(args.role, &args.values, &args.words, &env)?;
        Ok(Self {
            globals,
            run,
            certificates,
            origin,
        })
    }
}

/// Makes a role's orders out of its settings and of the words that are no flags, and reads the files that they name.
///
/// A process has one role, or a few: what makes the orders of each stays a function of its own, so that the others' lie
/// on pages that it never touches.
pub(crate) fn build(
    role: RoleId,
    values: &Values,
    words: &[String],
    env: &Env,
) -> Result<(Run, Option<Certificates>), ConfigError> {
    let mut certificates = None;
    let run = match role {
        RoleId::Relay => relay(values, words, env, &mut certificates)?,
        RoleId::Demo => Run::Demo,
        RoleId::HubServe => hub(values, words, env, &mut certificates)?,
        RoleId::HubClient | RoleId::HubSend | RoleId::HubRecv => {
            let build = match role {
                RoleId::HubClient => hub_options::build_client,
                RoleId::HubSend => hub_options::build_send,
                _ => hub_options::build_recv,
            };
            user(values, words, env, build, &mut certificates)?
        }
        RoleId::HubTunnel => hub_tunnel(values, words, env, &mut certificates)?,
        RoleId::TunnelServe => tunnel::serve(values, words, env, &mut certificates)?,
        RoleId::TunnelExpose => tunnel::expose(values, words, env, &mut certificates)?,
        RoleId::WsRelay => ws::relay(values, words, env, &mut certificates)?,
        RoleId::WsHost | RoleId::WsClient => {
            let build = match role {
                RoleId::WsHost => ws_options::build_host,
                _ => ws_options::build_client,
            };
            ws::adapter(values, words, env, build, &mut certificates)?
        }
        RoleId::Console => Run::Console(Box::new(console::orders(values, env)?)),
        RoleId::Status => {
            let folder = env.sockets.clone();
            Run::Status(Box::new(status_options::build(values, words, folder)?))
        }
        RoleId::Bench => Run::Bench(Box::new(bench_options::build(values, words)?)),
        RoleId::Run | RoleId::Check | RoleId::Completions | RoleId::Man | RoleId::SystemdUnit => {
            unreachable!("they are asked for by other ways")
        }
    };
    Ok((run, certificates))
}

/// Makes the orders of an end of a tunnel through a hub.
#[inline(never)]
fn hub_tunnel(
    values: &Values,
    words: &[String],
    env: &Env,
    certificates: &mut Option<Certificates>,
) -> Result<Run, ConfigError> {
    let mut config = hub_options::build_tunnel(values, words)?;
    complete(&mut config.account, values, env, certificates)?;
    Ok(Run::HubTunnel(Box::new(config)))
}

/// Makes a hub's orders.
#[inline(never)]
fn hub(
    values: &Values,
    words: &[String],
    env: &Env,
    certificates: &mut Option<Certificates>,
) -> Result<Run, ConfigError> {
    let mut config = hub_options::build_serve(values, words)?;
    let files = Files::of_server(values, &config.listen)?;
    config.tls = read_certificates(files, env, certificates)?;
    let tokens = values.path("tokens")?;
    if let Some(path) = tokens.as_ref().filter(|_| !env.is_dry) {
        config.auth = Auth::Tokens(read_tokens(path)?);
    }
    let config = Box::new(config);
    Ok(Run::HubServe { config, tokens })
}

/// Makes a relay's orders.
#[inline(never)]
fn relay(
    values: &Values,
    words: &[String],
    env: &Env,
    certificates: &mut Option<Certificates>,
) -> Result<Run, ConfigError> {
    let (mut relay, files) = relay_unread(values, words, env)?;
    if let Some(path) = values.path("upstream-send")?.filter(|_| !env.is_dry) {
        relay.upstream_send = read_secret("--upstream-send", &path)?;
    }
    relay.tls = read_certificates(files, env, certificates)?;
    Ok(Run::Relay(Box::new(relay)))
}

/// As above, but for what files hold: those of certificates are named, and none is read.
pub(crate) fn relay_unread(
    values: &Values,
    words: &[String],
    env: &Env,
) -> Result<(RelayConfig, Files), ConfigError> {
    let relay = relay_options::build(values, words, env.stderr_is_terminal)?;
    let (accepts, dials) = relay.speaks_tls();
    let files = Files::new(values, accepts, dials)?;
    Ok((relay, files))
}

/// Reads the files of certificates, if any are needed, and keeps what there is to read again.
fn read_certificates(
    files: Files,
    env: &Env,
    kept: &mut Option<Certificates>,
) -> Result<Tls, ConfigError> {
    match files == Files::default() || env.is_dry {
        true => Ok(Tls::default()),
        false => Ok(kept.insert(Certificates::read(files)?).tls()),
    }
}

/// What is only said: the mistakes of a run file, or that it has none, or an example of one.
fn said(args: &Args, env: &Env) -> Option<Result<Exit, ConfigError>> {
    let text = match args.role {
        RoleId::Run if args.values.given("example") => {
            let what = "run --example";
            only_prints(args, what).and_then(|()| match args.words.first() {
                Some(word) => Err(ConfigError::Leftover {
                    word: word.clone(),
                    what,
                }),
                None => Ok(run_file::example()),
            })
        }
        RoleId::Check => Globals::from_values(&args.values)
            .and_then(|_| run_file_of(args))
            .and_then(|path| {
                // They are passed to what runs the file, and not to what checks it.
                let passed = env.passed.clone().filter(|passed| !passed.is_empty());
                let env = Env {
                    passed,
                    is_check: true,
                    ..env.clone()
                };
                RunFile::load(&path, &args.values.pairs(), &env)
            })
            .map(|file| format!("{}: no mistakes: {}\n", file.path.display(), file.summary())),
        RoleId::Man => Ok(cli::man()),
        RoleId::Completions => {
            let shell = args.words.first().map_or("", String::as_str);
            let shells = cli::SHELLS.join(", ");
            cli::completions(shell).ok_or(ConfigError::Shell { shells })
        }
        RoleId::SystemdUnit => {
            let file = args.words.first().map(String::as_str);
            systemd_unit::unit(file, &args.values)
        }
        _ => return None,
    };
    Some(text.map(|stdout| Exit {
        stdout,
        stderr: String::new(),
        code: 0,
    }))
}

/// Nothing that is given for what runs is given for this.
fn only_prints(args: &Args, what: &'static str) -> Result<(), ConfigError> {
    let pairs = args.values.pairs().into_iter();
    let mut flags = pairs.map(|(flag, _)| flag);
    let is_global = |flag: &&str| GLOBALS.iter().any(|opt| opt.flag == *flag);
    match flags.find(is_global) {
        Some(flag) => Err(ConfigError::NothingRuns { flag, what }),
        None => Ok(()),
    }
}

fn run_file_of(args: &Args) -> Result<PathBuf, ConfigError> {
    let path = args.words.first().map(PathBuf::from);
    path.ok_or(ConfigError::NoRunFile)
}

/// Makes the orders of a client of a hub, whose token a file or the environment holds.
#[inline(never)]
fn user(
    values: &Values,
    words: &[String],
    env: &Env,
    build: BuildUser,
    certificates: &mut Option<Certificates>,
) -> Result<Run, ConfigError> {
    let mut user = build(values, words)?;
    complete(&mut user.account, values, env, certificates)?;
    Ok(Run::HubUser(Box::new(user)))
}

/// Adds to a hub's client what files and the environment hold.
fn complete(
    account: &mut Account,
    values: &Values,
    env: &Env,
    certificates: &mut Option<Certificates>,
) -> Result<(), ConfigError> {
    let files = Files::of_client(values, &account.hub)?;
    account.tls = read_certificates(files, env, certificates)?;
    account.token = dialling_token(values, env)?;
    Ok(())
}

type BuildUser = fn(&Values, &[String]) -> Result<UserConfig, hub_options::OrderError>;

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
            metrics: metrics(values)?,
            console: None,
        })
    }
}

/// `--metrics`, which not every role has.
fn metrics(values: &Values) -> Result<Option<Endpoint>, ConfigError> {
    let given = match values.find("--metrics") {
        Some(opt) => values.text(opt.name())?,
        None => None,
    };
    let read = |given: String| Endpoint::plain(&given).map_err(ConfigError::Metrics);
    given.map(read).transpose()
}

impl Exit {
    fn of(error: &ConfigError) -> Self {
        let text = match error {
            ConfigError::Mistakes(shown) => shown.clone(),
            // What is said may end up in a journal.
            error => format!("hydrant: {}\n", error.discreet()),
        };
        Self {
            code: error.code(),
            ..Self::usage(format_args!("{text}"))
        }
    }

    fn usage(text: fmt::Arguments<'_>) -> Self {
        Self {
            stdout: String::new(),
            stderr: text.to_string(),
            code: 2,
        }
    }
}
