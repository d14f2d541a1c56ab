//! A run in which bytes go both ways: the callers meet the service, and what they do with each other is measured.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use crate::base::units::Span;
use crate::roles::bench::Player;
use crate::roles::bench::board::{Board, Cue};
use crate::roles::bench::conduct::{Halt, House, Run, play};
use crate::roles::bench::config::Work;
use crate::roles::bench::exchange::Dress;
use crate::roles::bench::exchange::callers::{self, Callers};
use crate::roles::bench::figure::{self, Outcome, Thousands};
use crate::roles::bench::scenarios::{put_cost, put_delays, put_rates, rate, share};
use crate::roles::bench::source::local;

impl<H: House> Run<'_, H> {
    /// Has the callers connect at `port`, and waits until what they are there for has begun on every connection.
    pub(in crate::roles::bench) fn meet_service(
        &mut self,
        port: u16,
        work: Work,
    ) -> Result<(), Halt> {
        self.bare = self.relay.family();
        let count = self.job.clients;
        let callers = Callers::new(callers::Setup {
            board: Arc::clone(&self.board),
            to: local(port),
            count,
            work,
            size: self.job.size,
            pending: 1,
            dress: Dress::SERVICE,
            check: self.job.check,
        });
        play(
            self.house,
            Player::Callers(Box::new(callers)),
            self.cores,
            &self.board,
        )?;
        self.say("waiting until every client is served");
        let patience = self.job.waits.to_meet(count);
        let all = move |board: &Board| board.clients.reached.load(Relaxed) >= count;
        if self.wait_until(patience, all)? {
            return Ok(());
        }
        let there = self.board.clients.connected.load(Relaxed);
        let reached = self.board.clients.reached.load(Relaxed);
        Err(Halt::Failed(format!(
            "only {reached} of {count} clients were served at 127.0.0.1:{port} within {} ({there} could connect)",
            Span(patience)
        )))
    }

    /// What they do with each other, for as long as the job says.
    pub(in crate::roles::bench) fn exchange(
        &mut self,
        outcome: &mut Outcome,
        work: Work,
    ) -> Result<(), Halt> {
        self.pass("warming up", self.job.waits.warm_up)?;
        let (from, to, told) = self.count(Cue::Count, self.job.time)?;
        self.doubt(outcome, &from, &to);
        match work {
            Work::Up | Work::Down => {
                outcome.put(&figure::ALL_RATE, rate(&from, &to));
                if work == Work::Down {
                    put_rates(outcome, &told);
                }
                put_cost(outcome, &figure::COST, &from, &to);
            }
            Work::Echo => {
                let answers = told.arrived as f64 / told.time.as_secs_f64();
                outcome.put(&figure::ANSWERS, answers);
                let cpu = share(&from, &to) / 100.0 * 1e9;
                outcome.put(&figure::CPU_ANSWER, cpu / answers.max(1e-9));
                put_delays(outcome, &told.delays);
            }
        }
        outcome.put(&figure::SHARE, share(&from, &to));
        outcome.put(&figure::RESIDENT, to.relay.resident as f64);
        outcome.put(&figure::HEAP, to.relay.anonymous as f64);
        let each = self.relay.families();
        let largest = each.iter().map(|family| family.resident).max();
        outcome.put(&figure::LARGEST, largest.unwrap_or(0) as f64);
        let wrong = told.altered + self.board.source.altered.load(Relaxed);
        if wrong > 0 {
            let wrong = Thousands(wrong);
            let text = format!("wrong bytes: {wrong} connections got what was not sent");
            outcome.faults.push(text);
        }
        self.look_for_starved(outcome, (&from, &to))?;
        outcome.delays = (work == Work::Echo).then_some(told.delays);
        Ok(())
    }
}
