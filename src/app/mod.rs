//! Puts roles on a loop and runs it. The only place that knows all roles.

mod bench;
mod certificates;
mod demo;

use std::io::{IsTerminal, Write};
use std::path::Path;
use std::time::Duration;

use crate::config::{self, Config, Run, Verbosity};
use crate::logger::{self, Logger};
use crate::reactor::mio_net::{self, MioNet};
use crate::reactor::net::Signal;
use crate::reactor::{self, Cx, End, Event, Reactor, Role, RoleId, Turn, plain};
use crate::roles::demo::Demo;
use crate::roles::hub::{Hub, Tunnel, User};
use crate::roles::relay::Relay;
use crate::roles::tunnel::{Expose, Serve};
use crate::roles::ws::{self, Adapter};

use self::certificates::Watch;
use self::demo::Composition;

/// Every role there is, so that the loop needs no `dyn`.
#[allow(
    clippy::large_enum_variant,
    reason = "there are few of them, and each lives as long as the program"
)]
pub enum RoleSet {
    /// The one-way relay.
    Relay(Relay),
    /// The demonstration, but for its relay.
    Demo(Demo),
    /// The hub.
    Hub(Hub),
    /// A client of a hub.
    HubUser(User),
    /// One end of a tunnel through a hub.
    HubTunnel(Tunnel),
    /// The reverse tunnel's server.
    TunnelServe(Serve),
    /// The reverse tunnel's backend.
    TunnelExpose(Expose),
    /// A relay of WebSockets.
    WsRelay(ws::Relay),
    /// An end of a tunnel through one.
    WsAdapter(Adapter),
}

impl Role for RoleSet {
    fn on(&mut self, cx: &mut Cx<'_>, event: Event) {
        match self {
            Self::Relay(relay) => relay.on(cx, event),
            Self::Demo(demo) => demo.on(cx, event),
            Self::Hub(hub) => hub.on(cx, event),
            Self::HubUser(user) => user.on(cx, event),
            Self::HubTunnel(tunnel) => tunnel.on(cx, event),
            Self::TunnelServe(serve) => serve.on(cx, event),
            Self::TunnelExpose(expose) => expose.on(cx, event),
            Self::WsRelay(relay) => relay.on(cx, event),
            Self::WsAdapter(adapter) => adapter.on(cx, event),
        }
    }
}

/// Runs what was asked for until it ends. Returns the exit code.
pub fn run(config: Config) -> u8 {
    match start(config) {
        Ok(code) => code,
        Err(text) => {
            // What is still on its way to the log comes first.
            logger::flush(LAST_LINES);
            complain(&text);
            1
        }
    }
}

/// One line on stderr, for the user's own mistakes. A closed stderr is no mistake.
pub fn complain(text: &str) {
    let _ = writeln!(std::io::stderr(), "hydrant: {text}");
}

fn start(config: Config) -> Result<u8, String> {
    start_log(&config)?;
    if let Run::Bench(orders) = &config.run {
        let code = bench::run(orders);
        logger::live_end();
        logger::flush(LAST_LINES);
        return code;
    }
    let net = open_net()?;
    let options = reactor::Options {
        busy_poll: config.globals.busy_poll,
        hangup_stops: std::io::stderr().is_terminal(),
    };
    let mut reactor = Reactor::new(Box::new(net), options);
    let certificates = config.certificates.map(Watch::start).transpose()?;
    let reload = || {
        logger::reopen();
        certificates.iter().for_each(Watch::reload);
    };
    let code = run_role(&mut reactor, config.run, reload);
    logger::live_end();
    logger::flush(LAST_LINES);
    code
}

/// Puts the role on the loop, or the roles, and turns it until all is over.
fn run_role(reactor: &mut Reactor<RoleSet>, run: Run, reload: impl Fn()) -> Result<u8, String> {
    match run {
        Run::Relay(config) => {
            reactor.add(RoleSet::Relay(Relay::new(*config)));
            turn_until_over(reactor, reload, |_, _, _| Ok(()))
        }
        Run::HubUser(config) => {
            let terminal = std::io::stdin().is_terminal();
            reactor.add(RoleSet::HubUser(User::new(*config, terminal)));
            turn_until_over(reactor, reload, |_, _, _| Ok(()))
        }
        Run::HubTunnel(config) => {
            reactor.add(RoleSet::HubTunnel(Tunnel::new(*config)));
            turn_until_over(reactor, reload, |_, _, _| Ok(()))
        }
        Run::HubServe { config, tokens } => {
            let hub = reactor.add(RoleSet::Hub(Hub::new(*config)));
            turn_until_over(reactor, reload, |reactor, turn, _| {
                if let (Turn::Reloading, Some(path)) = (turn, &tokens) {
                    reread_tokens(reactor, hub, path);
                }
                Ok(())
            })
        }
        Run::TunnelServe { config, tokens } => {
            let serve = reactor.add(RoleSet::TunnelServe(Serve::new(*config)));
            turn_until_over(reactor, reload, |reactor, turn, _| {
                if let (Turn::Reloading, Some(path)) = (turn, &tokens) {
                    reread_tunnel_tokens(reactor, serve, path);
                }
                Ok(())
            })
        }
        Run::TunnelExpose(config) => {
            reactor.add(RoleSet::TunnelExpose(Expose::new(*config)));
            turn_until_over(reactor, reload, |_, _, _| Ok(()))
        }
        Run::WsRelay { config, tokens } => {
            let relay = reactor.add(RoleSet::WsRelay(ws::Relay::new(*config)));
            turn_until_over(reactor, reload, |reactor, turn, _| {
                if let (Turn::Reloading, Some(path)) = (turn, &tokens) {
                    reread_ws_tokens(reactor, relay, path);
                }
                Ok(())
            })
        }
        Run::WsAdapter(config) => {
            reactor.add(RoleSet::WsAdapter(Adapter::new(*config)));
            turn_until_over(reactor, reload, |_, _, _| Ok(()))
        }
        Run::Demo => {
            let mut demo = Composition::start(reactor)?;
            turn_until_over(reactor, reload, |reactor, _, ended| {
                demo.between_turns(reactor, ended)
            })
        }
        Run::Bench(_) => unreachable!("it has loops of its own"),
    }
}

fn open_net() -> Result<MioNet, String> {
    let options = mio_net::Options {
        signals: true,
        ..mio_net::Options::default()
    };
    MioNet::new(options).map_err(|error| format!("can't start: {error}"))
}

/// SIGHUP: the hub's tokens may be others. Those that it has stay where the file is not as it should be.
fn reread_tokens(reactor: &mut Reactor<RoleSet>, hub: RoleId, path: &Path) {
    match config::read_tokens(path) {
        Ok(tokens) => {
            reactor.with(hub, |role, _| {
                if let RoleSet::Hub(hub) = role {
                    hub.set_tokens(tokens);
                }
            });
        }
        Err(error) => log::warn!("hub: {error}; the tokens that it had are kept"),
    }
}

/// SIGHUP: as above, for a tunnel's server.
fn reread_tunnel_tokens(reactor: &mut Reactor<RoleSet>, serve: RoleId, path: &Path) {
    match config::read_tunnel_tokens(path) {
        Ok(tokens) => {
            reactor.with(serve, |role, cx| {
                if let RoleSet::TunnelServe(serve) = role {
                    serve.set_tokens(cx, tokens);
                }
            });
        }
        Err(error) => log::warn!("tunnel: {error}; the tokens that it had are kept"),
    }
}

/// SIGHUP: as above, for a relay of WebSockets.
fn reread_ws_tokens(reactor: &mut Reactor<RoleSet>, relay: RoleId, path: &Path) {
    match config::read_ws_tokens(path) {
        Ok(tokens) => {
            reactor.with(relay, |role, cx| {
                if let RoleSet::WsRelay(relay) = role {
                    relay.set_tokens(cx, tokens);
                }
            });
        }
        Err(error) => log::warn!("ws: {error}; the tokens that it had are kept"),
    }
}

/// `reload` reads again what belongs to no role. `between` sees what each turn came to and the roles that ended in it,
/// and may take some of them out.
fn turn_until_over(
    reactor: &mut Reactor<RoleSet>,
    reload: impl Fn(),
    mut between: impl FnMut(&mut Reactor<RoleSet>, &Turn, &mut Vec<(RoleId, End)>) -> Result<(), String>,
) -> Result<u8, String> {
    let mut ended = Vec::new();
    loop {
        let turn = reactor
            .turn(&mut ended)
            .map_err(|error| format!("can't wait for events: {error}"))?;
        between(reactor, &turn, &mut ended)?;
        for (_, end) in ended.drain(..) {
            if let End::Failed(text) = end {
                return Err(text);
            }
        }
        match turn {
            Turn::Going => {}
            Turn::Reloading => reload(),
            Turn::Over => return Ok(0),
            Turn::Cut(signal) => return Ok(128 + number(signal)),
        }
    }
}

fn start_log(config: &Config) -> Result<(), String> {
    let Config { globals, run, .. } = config;
    let level = match globals.verbosity {
        // What there is to warn of is shown.
        Verbosity::Quiet | Verbosity::Normal if *run == Run::Demo && globals.log_file.is_none() => {
            log::LevelFilter::Error
        }
        Verbosity::Quiet => log::LevelFilter::Warn,
        Verbosity::Normal => log::LevelFilter::Info,
        Verbosity::Debug => log::LevelFilter::Debug,
        Verbosity::Trace => log::LevelFilter::Trace,
    };
    let options = logger::Options {
        level,
        file: globals.log_file.clone(),
    };
    Logger::start(options)
        .map(drop)
        .map_err(|error| format!("can't log: {}", plain(&error)))
}

/// The signal's number, which the exit code of a process that it ended carries.
fn number(signal: Signal) -> u8 {
    let number = match signal {
        Signal::Interrupt => libc::SIGINT,
        Signal::Terminate => libc::SIGTERM,
        Signal::HangUp => libc::SIGHUP,
        Signal::Report => libc::SIGUSR1,
    };
    number as u8
}

/// How long the end waits for the log to be written.
const LAST_LINES: Duration = Duration::from_secs(1);
