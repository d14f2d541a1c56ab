//! A run in which pairs send each other messages through a broker.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::speech::Speech;
use super::{Pairs, Setup};
use crate::base::units::Span;
use crate::roles::bench::Player;
use crate::roles::bench::board::{Board, Cue};
use crate::roles::bench::conduct::{Halt, House, Run, play};
use crate::roles::bench::config::Pace;
use crate::roles::bench::figure::{self, Outcome, Thousands};
use crate::roles::bench::scenarios::{put_delays, share};
use crate::roles::bench::source::local;

impl<H: House> Run<'_, H> {
    /// Has the pairs connect at `port`, and waits until each has passed a message.
    pub(in crate::roles::bench) fn meet_broker(
        &mut self,
        port: u16,
        pace: Pace,
    ) -> Result<(), Halt> {
        let pairs = self.job.clients;
        let size = self.job.size;
        let setup = Setup {
            board: Arc::clone(&self.board),
            to: local(port),
            speech: Speech::of(self.dialect),
            pairs,
            size,
            pending: match pace {
                Pace::One => 1,
                Pace::Many => (UNDER_WAY / size / pairs).clamp(2, 256),
            },
            check: self.job.check,
        };
        let player = Player::Pairs(Box::new(Pairs::new(setup)));
        play(self.house, player, self.cores, &self.board)?;
        self.say("waiting until every pair has passed a message");
        let patience = self.job.waits.to_meet(self.job.connections());
        let all = move |board: &Board| board.clients.reached.load(Relaxed) >= pairs;
        if self.wait_until(patience, all)? {
            return Ok(());
        }
        let reached = self.board.clients.reached.load(Relaxed);
        Err(Halt::Failed(format!(
            "only {reached} of {pairs} pairs passed a message at 127.0.0.1:{port} within {}",
            Span(patience)
        )))
    }

    /// What they pass, for as long as the job says.
    pub(in crate::roles::bench) fn pass_messages(
        &mut self,
        outcome: &mut Outcome,
    ) -> Result<(), Halt> {
        self.pass("warming up", self.job.waits.warm_up)?;
        let (from, to, told) = self.count(Cue::Count, self.job.time)?;
        self.doubt(outcome, &from, &to);
        let messages = told.arrived as f64;
        outcome.put(&figure::PASSED, messages / told.time.as_secs_f64());
        put_delays(outcome, &told.delays);
        let cpu = to.relay.cpu.saturating_sub(from.relay.cpu);
        let counted = (to.bytes - from.bytes) as f64 / self.job.size as f64;
        outcome.put(&figure::EACH, cpu.as_nanos() as f64 / counted.max(1.0));
        outcome.put(&figure::SHARE, share(&from, &to));
        outcome.put(&figure::RESIDENT, to.relay.resident as f64);
        if told.altered > 0 {
            let wrong = Thousands(told.altered);
            let text =
                format!("wrong bytes: {wrong} messages are not the next ones that were sent");
            outcome.faults.push(text);
        }
        self.look_for_starved(outcome, (&from, &to))?;
        outcome.delays = Some(told.delays);
        Ok(())
    }
}

/// Bytes of all pairs under way, where as much is sent as is taken: less than any broker drops somebody for.
const UNDER_WAY: usize = 1 << 20;
