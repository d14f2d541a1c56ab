//! The bench's house: threads with loops for its players, a loop for its own waiting, the screen.

use std::io::{self, ErrorKind, IsTerminal, Write};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::app::number;
use crate::base::time::Time;
use crate::logger;
use crate::reactor::mio_net::{self, Epoch, MioNet};
use crate::reactor::{self, End, Reactor, RoleId, Turn, host, plain};
use crate::roles::bench::config::BenchConfig;
use crate::roles::bench::{self, Board, Halt, House, Player, Pulse, Watch};

/// Runs a bench. Returns the exit code.
#[inline(never)]
pub(super) fn run(config: &BenchConfig) -> Result<u8, String> {
    if let BenchConfig::Loop(orders) = config {
        // A signal ends it as the system does.
        return bench::tls_loop::run(orders).map(|()| 0);
    }
    let mut rig = Rig::new().map_err(|error| format!("can't start: {}", plain(&error)))?;
    let outcome = bench::run(&mut rig, config);
    clear_progress();
    match outcome {
        Ok(()) => Ok(0),
        // What a shell makes of a program that the signal has ended: what was to be measured was not.
        Err(Halt::Signal(signal)) => Ok(128 + number(signal)),
        Err(Halt::Failed(text)) => Err(text),
    }
}

struct Rig {
    reactor: Reactor<Watch>,
    watch: RoleId,
    epoch: Epoch,
    pulse: Pulse,
    players: Vec<JoinHandle<()>>,
    /// The last progress that a log has been told of.
    told: String,
}

impl Rig {
    fn new() -> io::Result<Self> {
        let epoch = Epoch::now();
        let net = MioNet::new(mio_net::Options {
            signals: true,
            epoch: Some(epoch),
        })?;
        let options = reactor::Options {
            hangup_stops: io::stderr().is_terminal(),
            ..reactor::Options::default()
        };
        let mut reactor = Reactor::new(Box::new(net), options);
        let watch = reactor.add(Watch::default());
        Ok(Self {
            reactor,
            watch,
            epoch,
            pulse: Pulse::begin(),
            players: Vec::new(),
            told: String::new(),
        })
    }

    /// What to halt for, if there is anything.
    fn halt(&self) -> Result<(), Halt> {
        let stopped = self.reactor.role(self.watch).and_then(Watch::stopped);
        stopped.map_or(Ok(()), |signal| Err(Halt::Signal(signal)))
    }
}

impl House for Rig {
    fn now(&self) -> Time {
        self.reactor.clock()
    }

    fn stopped(&self) -> Duration {
        self.pulse.stopped()
    }

    fn rest(&mut self, time: Duration) -> Result<(), Halt> {
        // Nothing on the loop would end the wait.
        self.halt()?;
        self.reactor
            .with(self.watch, |watch, cx| watch.rest(cx, time));
        let mut ended = Vec::new();
        loop {
            let turn = self
                .reactor
                .turn(&mut ended)
                .map_err(|error| Halt::Failed(format!("can't wait for events: {error}")))?;
            match turn {
                Turn::Cut(signal) => return Err(Halt::Signal(signal)),
                Turn::Reloading => logger::reopen(),
                Turn::Going | Turn::Over => self.halt()?,
            }
            let now = self.reactor.clock();
            let watch = self.reactor.role(self.watch);
            if watch.is_none_or(|watch| watch.is_awake(now)) {
                self.pulse.beat(time);
                return Ok(());
            }
        }
    }

    fn play(&mut self, player: Player, cores: &[usize], board: Arc<Board>) -> io::Result<()> {
        let (cores, epoch) = (cores.to_vec(), self.epoch);
        let player = thread::Builder::new().spawn(move || {
            if let Err(text) = play(player, &cores, epoch) {
                board.fail(text);
            }
        })?;
        self.players.push(player);
        Ok(())
    }

    fn close(&mut self) {
        for player in self.players.drain(..) {
            // One that has panicked has said so on stderr.
            let _ = player.join();
        }
    }

    fn utc(&self) -> u64 {
        self.epoch.utc_nanos()
    }

    fn random(&mut self) -> u64 {
        let drawn = self.reactor.with(self.watch, |_, cx| cx.random());
        drawn.expect("the watch stays as long as the bench")
    }

    fn sockets_left(&self) -> usize {
        self.reactor.sockets_left()
    }

    fn progress(&mut self, run: &str, step: &str) {
        if logger::is_live() {
            // What changes stands where a narrow screen still shows it.
            let (head, what) = run.split_once(": ").unwrap_or((run, ""));
            return logger::live(&format!("{head}: {step}; {what}"));
        }
        // A log is told once of each run, not of each step.
        if run != self.told {
            run.clone_into(&mut self.told);
            log::info!("{run}");
        }
    }

    fn print(&mut self, text: &str) -> Result<(), Halt> {
        clear_progress();
        let mut stdout = io::stdout();
        let written = stdout.write_all(text.as_bytes());
        match written.and_then(|()| stdout.flush()) {
            Ok(()) => Ok(()),
            Err(error) => {
                let why = match error.kind() {
                    ErrorKind::BrokenPipe => "whoever reads it has gone away".to_owned(),
                    _ => plain(&error),
                };
                Err(Halt::Failed(format!("can't write to stdout: {why}")))
            }
        }
    }
}

/// Takes the line of progress off the screen before anything else is written there. It is the log's thread that does
/// so, and a screen that takes nothing holds both up alike.
fn clear_progress() {
    if logger::is_live() {
        logger::live_end();
        logger::flush(SCREEN_WAIT);
    }
}

/// A player's own thread.
fn play(player: Player, cores: &[usize], epoch: Epoch) -> Result<(), String> {
    if let Err(error) = host::stay_on(cores) {
        log::warn!("bench: a thread can't be kept on its cores: {error}");
    }
    let net = MioNet::new(mio_net::Options {
        signals: false,
        epoch: Some(epoch),
    })
    .map_err(|error| format!("can't start: {}", plain(&error)))?;
    let mut reactor = Reactor::new(Box::new(net), reactor::Options::default());
    reactor.add(player);
    let mut ended = Vec::new();
    loop {
        let turn = reactor
            .turn(&mut ended)
            .map_err(|error| format!("can't wait for events: {error}"))?;
        if let Some((_, End::Failed(text))) = ended.pop() {
            return Err(text);
        }
        if turn == Turn::Over {
            return Ok(());
        }
    }
}

/// How long the screen may take for a line.
const SCREEN_WAIT: Duration = Duration::from_secs(1);
