//! Where a run's processes and threads are kept, who feeds its relay, and how that is started.

use std::sync::Arc;
use std::time::Duration;

use crate::base::units::Span;
use crate::reactor::host;
use crate::roles::bench::Player;
use crate::roles::bench::board::{Board, lock};
use crate::roles::bench::command::{Places, Template};
use crate::roles::bench::conduct::{HANG_WAIT, Halt, House, LOOK};
use crate::roles::bench::config::{Job, Meet, Scenario};
use crate::roles::bench::dialect::Dialect;
use crate::roles::bench::exchange::{self, Service};
use crate::roles::bench::machine::is_listened_at;
use crate::roles::bench::pattern::Filler;
use crate::roles::bench::relay_process::RelayProcesses;
use crate::roles::bench::schedule::Phase;
use crate::roles::bench::source::{self, Source, local};

/// Where everything runs.
#[derive(Clone, Debug)]
pub(super) struct Cores {
    pub(super) relay: Vec<usize>,
    pub(super) bench: Vec<usize>,
    pub(super) all: Vec<usize>,
}

impl Cores {
    /// The relay gets the first one to itself, if it may and there are several.
    pub(super) fn divide(pin: bool) -> Self {
        let all = host::cores().unwrap_or_default();
        match all.split_first() {
            Some((first, rest)) if pin && !rest.is_empty() => Self {
                relay: vec![*first],
                bench: rest.to_vec(),
                all,
            },
            _ => Self {
                relay: all.clone(),
                bench: all.clone(),
                all,
            },
        }
    }

    pub(super) fn are_apart(&self) -> bool {
        self.relay != self.bench
    }
}

/// Who answers, where bytes go both ways.
pub(super) fn service(job: &Job, board: &Arc<Board>) -> Player {
    Player::Service(Box::new(Service::new(exchange::service::Setup {
        board: Arc::clone(board),
        at: local(0),
        check: job.check,
    })))
}

/// Who sends, and nothing else.
pub(super) fn feeder(
    job: &Job,
    board: &Arc<Board>,
    (filler, dialect): (&Arc<Filler>, Dialect),
    (meet, phase): (Option<Meet>, Option<Phase>),
    utc: u64,
) -> Player {
    Player::Source(Box::new(Source::new(source::Setup {
        board: Arc::clone(board),
        filler: Arc::clone(filler),
        dialect,
        rate: job.rate,
        warm_up: job.waits.warm_up,
        time: (job.scenario == Scenario::Latency).then_some(job.time),
        phase,
        meet,
        utc,
    })))
}

/// Starts the relay once the source is ready, each of its processes once those before can be met. Returns the port at
/// which its clients find it.
pub(super) fn begin<H: House>(
    house: &mut H,
    (board, relay): (&Board, &mut RelayProcesses),
    template: &Template,
    cores: &Cores,
    (listens, cert): (bool, &str),
    patience: Duration,
) -> Result<u16, Halt> {
    let end = house.now() + HANG_WAIT;
    let (src_port, dst_port, link_port) = loop {
        let free = *lock(&board.source.free_ports);
        let at = lock(&board.source.at).map_or(0, |at| at.port());
        if let Some([dst, link]) = free
            && (at != 0 || !listens)
        {
            break (at, dst, link);
        }
        if let Some(text) = board.failure() {
            return Err(Halt::Failed(text));
        }
        if house.now() >= end {
            return Err(Halt::Failed("the bench's own source hangs".to_owned()));
        }
        house.rest(LOOK)?;
    };
    let program = std::env::current_exe().unwrap_or_else(|_| "hydrant".into());
    let words = template.fill(&Places {
        hydrant: &program.to_string_lossy(),
        src_port,
        dst_port,
        link_port,
        cert,
    });
    let several = words.len() > 1;
    for (at, words) in words.iter().enumerate() {
        if at == 1 && template.meets_at_link() {
            wait_for_link(house, relay, link_port, patience)?;
        }
        // A child stays where the thread that starts it is.
        let pinned = host::stay_on(&cores.relay);
        let who = match words.first() {
            Some(program) if several => format!("process {} of the relay, {program},", at + 1),
            _ => "the relay".to_owned(),
        };
        let started = relay.start(words, who);
        let unpinned = host::stay_on(&cores.all);
        if let (Err(error), _) | (_, Err(error)) = (pinned, unpinned) {
            log::warn!("bench: the relay can't be kept on a core of its own: {error}");
        }
        started.map_err(Halt::Failed)?;
    }
    Ok(dst_port)
}

/// Some give up at once where they find nobody.
fn wait_for_link<H: House>(
    house: &mut H,
    relay: &mut RelayProcesses,
    port: u16,
    patience: Duration,
) -> Result<(), Halt> {
    let end = house.now() + patience;
    while !is_listened_at(port) {
        relay.check().map_err(Halt::Failed)?;
        if house.now() >= end {
            return Err(Halt::Failed(format!(
                "the relay's first process does not listen on 127.0.0.1:{port} within {}",
                Span(patience)
            )));
        }
        house.rest(LOOK)?;
    }
    Ok(())
}
