//! Puts roles on a loop and runs it. The only place that knows all roles.
//!
//! | folder | what is in it |
//! |---|---|
//! | `fleet` | the roles of a run file or a command line, and how they come to be what that says |
//! | `desk` | the relays of a console's own page |
//! | `posts` | what both have: the table of roles, and what any page may do to them |
//! | `saving` | how what was changed on a page gets into a file |
//!
//! `fleet` and `desk` know nothing of each other, `posts` and `saving` nothing of them or of each other. Beside them
//! are the enum of all roles (`roles`), other ways to run (`bench`, `demo`), what the process is to those outside it
//! (`control`, `notify`, `process`), what a terminal has room for (`screen`), what takes long (`errand`), and how soon
//! it is looked at (`pulse`).

mod bench;
mod control;
mod demo;
mod desk;
mod errand;
mod fleet;
mod notify;
mod posts;
mod process;
mod pulse;
mod roles;
mod saving;
mod screen;
#[cfg(test)]
mod tests;

use std::fmt;
use std::io::{ErrorKind, IsTerminal, Write};
use std::path::Path;
use std::time::Duration;

use crate::base::endpoint::{Endpoint, Host};
use crate::base::units::Typed;
use crate::config::{
    Config, ConsoleOrders, Globals, Member, Origin, Run, Verbosity, run_file, sockets_in,
};
use crate::logger::{self, Logger};
use crate::reactor::mio_net::{self, MioNet, Passed};
use crate::reactor::net::Signal;
use crate::reactor::{self, End, Reactor, RoleId, Turn, plain};
use crate::roles::status::config::StatusConfig;
use crate::roles::status::{Order, Status};

use self::demo::Composition;
use self::desk::Desk;
use self::fleet::{Fleet, Watching};
use self::notify::Notify;
pub use self::roles::RoleSet;
use self::saving::keeper::LAST_SAVE;

/// Runs what was asked for until it ends, and listens on `passed` where their places are meant. Returns the exit code.
pub fn run(config: Config, passed: Vec<Passed>) -> u8 {
    match start(config, passed) {
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

/// Each of the ways to run is a function of its own that is never merged into this one: a process goes one of them, and
/// the others lie on pages that it never touches.
fn start(config: Config, passed: Vec<Passed>) -> Result<u8, String> {
    start_log(&config)?;
    if let Run::Bench(orders) = &config.run {
        let code = bench::run(orders);
        logger::live_end();
        logger::flush(LAST_LINES);
        return code;
    }
    let mut net = open_net()?;
    warn_of_unnamed(&config.run, &passed);
    net.take_over(passed);
    let options = reactor::Options {
        busy_poll: config.globals.busy_poll,
        hangup_stops: std::io::stderr().is_terminal(),
        measured: config.globals.metrics.is_some(),
    };
    let mut reactor = Reactor::new(Box::new(net), options);
    let code = match config.run {
        Run::Bench(_) => unreachable!("it has loops of its own"),
        Run::Demo => show(&mut reactor),
        Run::Console(orders) => {
            serve_console(&mut reactor, &orders, config.origin, &config.globals)
        }
        Run::Status(orders) => ask_those_that_run(&mut reactor, *orders),
        run => run_all(&mut reactor, Config { run, ..config }),
    };
    logger::live_end();
    logger::flush(LAST_LINES);
    code
}

/// A socket that nothing listens on is a mistake in a name: who connects there waits for ever. It stays open all the
/// same, since the service manager keeps it open, too, and a reload may name it.
fn warn_of_unnamed(run: &Run, passed: &[Passed]) {
    if passed.is_empty() {
        return;
    }
    let named: Vec<&Endpoint> = match run {
        Run::Many(file) => {
            let members = file.members.iter();
            members.flat_map(|member| member.run.listens()).collect()
        }
        Run::Demo | Run::Bench(_) | Run::Status(_) | Run::Console(_) => Vec::new(),
        run => run.listens(),
    };
    for one in passed {
        let at = one.at.to_string();
        if !named.iter().any(|place| address_of(place) == at) {
            let name = Typed(&one.name);
            log::warn!(
                "hydrant: the service manager has passed {at} as {name}, and nothing listens there: say fd:{name}"
            );
        }
    }
}

fn address_of(place: &Endpoint) -> String {
    match place {
        Endpoint::Tcp {
            host: Host::Any,
            port,
            ..
        } => format!("[::]:{port}"),
        Endpoint::Tcp { host, port, .. } => format!("{host}:{port}"),
        Endpoint::Unix(_) => place.to_string(),
    }
}

/// `hydrant demo`.
#[inline(never)]
fn show(reactor: &mut Reactor<RoleSet>) -> Result<u8, String> {
    let mut demo = Composition::start(reactor)?;
    turn_until_over(reactor, |reactor, turn, ended| {
        if *turn == Turn::Reloading {
            logger::reopen();
        }
        demo.between_turns(reactor, ended)
    })
}

/// `hydrant console`.
#[inline(never)]
fn serve_console(
    reactor: &mut Reactor<RoleSet>,
    orders: &ConsoleOrders,
    origin: Origin,
    globals: &Globals,
) -> Result<u8, String> {
    let mut desk = Desk::start(reactor, orders, origin, globals)?;
    let mut notify = Notify::ready();
    desk.turn_within(reactor, notify.every());
    let code = turn_until_over(reactor, |reactor, turn, ended| {
        if *turn == Turn::Reloading {
            logger::reopen();
        }
        desk.between_turns(reactor, turn, ended)?;
        notify.between_turns(reactor.now(), reactor.is_stopping(), desk.readings());
        Ok(())
    });
    let (code, patience) = end_of(reactor, code);
    desk.finish(patience);
    code
}

/// `hydrant status`.
#[inline(never)]
fn ask_those_that_run(reactor: &mut Reactor<RoleSet>, orders: StatusConfig) -> Result<u8, String> {
    let watches = orders.watches && std::io::stdout().is_terminal();
    // A program reads it whole.
    let is_cut = watches && !orders.json;
    let meant = orders.clone();
    let sockets = || -> Vec<_> {
        let all = meant.folder.as_deref().map_or_else(Vec::new, sockets_in);
        all.into_iter()
            .filter(|(pid, _)| meant.means(pid))
            .collect()
    };
    let order = match is_cut {
        true => Order::WorstFirst,
        false => Order::AsGiven,
    };
    let role = reactor.add(RoleSet::Status(Status::new(orders, sockets(), order)));
    turn_until_over(reactor, |reactor, _, _| {
        let (shown, end) = reactor
            .with(role, |status, cx| match status {
                RoleSet::Status(status) => {
                    if status.take_due() {
                        status.look_at(cx, sockets());
                    }
                    (status.take_shown(), status.take_end())
                }
                _ => Default::default(),
            })
            .unwrap_or_default();
        let end = if shown.is_empty() {
            end
        } else {
            let clear = if watches { CLEAR } else { "" };
            let room = is_cut.then(screen::room).flatten();
            let shown = match room {
                Some(room) => screen::fitted(&shown, room),
                None => shown,
            };
            match print(format_args!("{clear}{shown}")) {
                Ok(()) => end,
                Err(stop) => Some(stop),
            }
        };
        if let Some(end) = end {
            reactor.with(role, |_, cx| cx.finish(end));
        }
        Ok(())
    })
}

/// Prints it now.
///
/// # Errors
/// How whoever prints is to end: a reader that has gone away has seen enough.
fn print(text: fmt::Arguments<'_>) -> Result<(), End> {
    let mut stdout = std::io::stdout().lock();
    let printed = stdout.write_fmt(text).and_then(|()| stdout.flush());
    printed.map_err(|error| match error.kind() {
        ErrorKind::BrokenPipe => End::Done,
        _ => End::Failed(format!("can't write to stdout: {}", plain(&error))),
    })
}

/// One role, or those of a run file.
#[inline(never)]
fn run_all(reactor: &mut Reactor<RoleSet>, config: Config) -> Result<u8, String> {
    let run = config.run;
    let watch = Watching {
        metrics: config.globals.metrics,
        console: config.globals.console,
        // Who only says or hears something is not worth watching.
        sockets: match run {
            Run::HubUser(_) => None,
            _ => config.origin.sockets().map(Path::to_owned),
        },
    };
    let mut fleet = match run {
        Run::Many(file) => Fleet::start(reactor, *file, watch)?,
        run => {
            let mut member = Member::alone(run, config.certificates);
            member.sheet = Some(config.origin.sheet());
            Fleet::start_alone(reactor, member, config.origin, watch)?
        }
    };
    let mut notify = Notify::ready();
    fleet.turn_within(reactor, notify.every());
    // Whether all is over, they know better than the loop.
    reactor.stay(true);
    let code = turn_fleet(reactor, &mut fleet, &mut notify);
    let (code, patience) = end_of(reactor, code);
    fleet.finish(patience);
    code.map(|code| if code == 0 { fleet.code() } else { code })
}

/// The loop is over: the exit code, and how long the disk may be waited for. A second signal to stop means at once.
fn end_of(
    reactor: &mut Reactor<RoleSet>,
    code: Result<u8, String>,
) -> (Result<u8, String>, Duration) {
    mio_net::end_by_next_signal();
    cut_by(code, || reactor.late_signal())
}

/// The exit code, and how long the disk may be waited for, by what the second signal is. Why hydrant has failed is said
/// whatever comes behind that.
fn cut_by(
    code: Result<u8, String>,
    late_signal: impl FnOnce() -> Option<Signal>,
) -> (Result<u8, String>, Duration) {
    let code = code.map(|code| match late_signal() {
        Some(signal) => 128 + number(signal),
        None => code,
    });
    let is_cut = code.as_ref().is_ok_and(|code| *code > 128);
    (code, if is_cut { AT_ONCE } else { LAST_SAVE })
}

/// A disk that does its work has by then.
const AT_ONCE: Duration = Duration::from_millis(200);

/// What runs between any two turns of theirs: apart from how they have begun, so that it lies close to the turns.
#[inline(never)]
fn turn_fleet(
    reactor: &mut Reactor<RoleSet>,
    fleet: &mut Fleet,
    notify: &mut Notify,
) -> Result<u8, String> {
    turn_until_over(reactor, |reactor, turn, ended| {
        if *turn == Turn::Reloading {
            logger::reopen();
        }
        fleet.between_turns(reactor, turn, ended)?;
        notify.between_turns(reactor.now(), reactor.is_stopping(), fleet.readings());
        Ok(())
    })
}

fn open_net() -> Result<MioNet, String> {
    let options = mio_net::Options {
        signals: true,
        ..mio_net::Options::default()
    };
    MioNet::new(options).map_err(|error| format!("can't start: {error}"))
}

/// `between` sees what each turn came to and the roles that ended in it, and may take some of them out.
fn turn_until_over(
    reactor: &mut Reactor<RoleSet>,
    mut between: impl FnMut(&mut Reactor<RoleSet>, &Turn, &mut Vec<(RoleId, End)>) -> Result<(), String>,
) -> Result<u8, String> {
    let mut ended = Vec::new();
    loop {
        let turn = reactor
            .turn(&mut ended)
            .map_err(|error| format!("can't wait for events: {error}"))?;
        between(reactor, &turn, &mut ended)?;
        if !ended.is_empty() {
            for (_, end) in ended.drain(..) {
                if let End::Failed(text) = end {
                    return Err(text);
                }
            }
        }
        match turn {
            Turn::Going | Turn::Reloading => {}
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
        // A page shows at least what a user should know, whatever the terminal does.
        tail: (matches!(run, Run::Console(_) | Run::Demo) || globals.console.is_some())
            .then_some(level.max(log::LevelFilter::Info)),
        file: globals.log_file.clone(),
        // Who reads it has the keys of the file before them.
        wording: matches!(run, Run::Many(_)).then_some(run_file::in_file),
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
        Signal::Command | Signal::Reload => 0, // they stop one role, and never the process
    };
    number as u8
}

/// Takes a terminal's cursor to its upper left corner, and wipes the rest out.
const CLEAR: &str = "\x1b[H\x1b[J";
/// How long the end waits for the log to be written.
const LAST_LINES: Duration = Duration::from_secs(1);
