//! How a relay that is fed, its source and its clients find each other, until every client has got something.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use crate::base::units::Span;
use crate::roles::bench::Player;
use crate::roles::bench::board::{Board, Order};
use crate::roles::bench::clients::{self, Clients, Reading};
use crate::roles::bench::conduct::{Halt, House, Run, play};
use crate::roles::bench::config::Scenario;
use crate::roles::bench::pattern::Filler;
use crate::roles::bench::sealed;
use crate::roles::bench::source::local;

impl<H: House> Run<'_, H> {
    /// Has the relay, the source and the clients find each other.
    pub(super) fn meet(&mut self, port: u16, filler: Arc<Filler>) -> Result<(), Halt> {
        // One that fetches the bytes only for its clients does not come before them.
        let is_there = |board: &Board| board.source.relays.load(Relaxed) > 0;
        self.wait_until(RELAY_WAIT, is_there)?;
        self.pause(SETTLE)?;
        self.bare = self.relay.family();
        let churn = self.job.scenario == Scenario::Churn;
        let setup = clients::Setup {
            board: Arc::clone(&self.board),
            to: local(port),
            count: self.job.clients,
            filler: Some(filler),
            reading: match self.job.scenario {
                _ if self.job.check => Reading::Check,
                Scenario::Latency | Scenario::Slow => Reading::Messages,
                _ => Reading::Count,
            },
            churn,
            from_start: !churn,
            dialect: self.dialect,
            tls: match self.job.scenario {
                Scenario::Tls => Some(sealed::connector().map_err(Halt::Failed)?),
                _ => None,
            },
            utc: self.house.utc(),
        };
        let player = Player::Clients(Box::new(Clients::new(setup)));
        play(self.house, player, self.cores, &self.board)?;
        if churn {
            return Ok(());
        }
        let count = self.job.clients;
        let all = move |board: &Board| board.clients.connected.load(Relaxed) == count;
        let patience = self.job.waits.to_meet(count);
        let step = move |board: &Board| {
            let there = board.clients.connected.load(Relaxed);
            format!("waiting until all are connected, {there} of {count} clients are")
        };
        if !self.wait_showing(patience, all, step)? {
            let there = self.board.clients.connected.load(Relaxed);
            let what = match self.dialect.is_brokers() {
                true => "subscribe at",
                false => "connect to",
            };
            let text = format!(
                "only {there} of {count} clients could {what} 127.0.0.1:{port} within {}",
                Span(patience)
            );
            return Err(Halt::Failed(self.with_reason(text)));
        }
        match self.job.scenario {
            Scenario::Idle => Ok(()),
            _ => self.reach_all(patience),
        }
    }

    /// Sends a little until every client has got some.
    fn reach_all(&mut self, patience: Duration) -> Result<(), Halt> {
        let count = self.job.clients;
        self.pause(SETTLE)?;
        self.board.give_order(Order::Trickle);
        let all = move |board: &Board| board.clients.reached.load(Relaxed) >= count;
        let is_gone = move |board: &Board| board.clients.gone.load(Relaxed) >= count;
        let step = move |board: &Board| {
            let reached = board.clients.reached.load(Relaxed);
            format!("waiting until every client is served, {reached} of {count} are")
        };
        self.wait_showing(patience, |board| all(board) || is_gone(board), step)?;
        let all_reached = all(&self.board);
        self.board.give_order(Order::Hush);
        if all_reached {
            return self.pause(SETTLE);
        }
        let reached = self.board.clients.reached.load(Relaxed);
        let within = match is_gone(&self.board) {
            true => String::new(),
            false => format!(" within {}", Span(patience)),
        };
        let text = format!("only {reached} of {count} clients got anything{within}");
        Err(Halt::Failed(self.with_reason(text)))
    }
}

/// What has been set going gets so long to come to rest.
const SETTLE: Duration = Duration::from_millis(200);
/// How long the relay may take to dial the source, if it does so before it has clients.
const RELAY_WAIT: Duration = Duration::from_secs(1);
