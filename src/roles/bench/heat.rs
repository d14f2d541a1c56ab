//! Runs of one job that go through the same steps together, each with a relay of its own.
//!
//! ```text
//! everybody counts ─> the sources keep their schedules ─> warm-up ─> measured ─> what is still under way arrives
//! ```

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use crate::roles::bench::board::{Cue, Order};
use crate::roles::bench::conduct::{Halt, House, LOOK, Patience, Run};
use crate::roles::bench::marks::{Beside, Mark};
use crate::roles::bench::scenarios::CUE_SEEN;
use crate::roles::bench::schedule::gap;

/// The time in which a run was measured: what was used up to its beginning and up to its end, and by the others in
/// between.
#[derive(Clone, Debug)]
pub(super) struct Stretch {
    pub(super) from: Mark,
    pub(super) to: Mark,
    pub(super) beside: Beside,
    /// The source was not through with its schedule when that had been waited for, and bytes were still taken from it.
    pub(super) sends_still: bool,
}

/// Runs of one job, each with a relay of its own, that go through the same steps together. One alone is a heat, too.
pub(super) struct Heat<'r, 'a, H> {
    runs: &'r mut [Run<'a, H>],
    /// Why a run has dropped out, if it has.
    out: Vec<Option<Halt>>,
}

impl<'r, 'a, H: House> Heat<'r, 'a, H> {
    pub(super) fn of(runs: &'r mut [Run<'a, H>]) -> Self {
        let out = runs.iter().map(|_| None).collect();
        Self { runs, out }
    }

    /// Has every source keep its schedule, and waits until all that counts has arrived, or no longer.
    ///
    /// # Errors
    /// When somebody wants the bench to end. What keeps a single run from its end is in its place.
    pub(super) fn latency(mut self) -> Result<Vec<Result<Stretch, Halt>>, Halt> {
        let Some(job) = self.runs.first().map(|run| run.job) else {
            return Ok(Vec::new());
        };
        // A schedule begins at its place in the period, and messages may be as far apart as a second.
        let clients = self.runs.len() * job.clients;
        let patience = job.waits.to_arrive(clients) + gap(job, 1);
        for run in self.runs.iter() {
            run.board.give_cue(Cue::Count);
        }
        self.pause(CUE_SEEN)?;
        for (run, _) in self.going() {
            run.board.give_order(Order::Run);
        }
        self.pass("warming up", job.waits.warm_up)?;
        let from = self.marks();
        self.pass("measuring", job.time)?;
        let sent = |run: &Run<'a, H>| run.board.source.sent.load(Relaxed);
        let before: Vec<u64> = self.runs.iter().map(sent).collect();
        let is_through = |run: &Run<'a, H>| run.board.source.through.load(Relaxed);
        self.wait_until(patience, is_through)?;
        let after = self.runs.iter().zip(before);
        let sends_still = after.map(|(run, before)| !is_through(run) && sent(run) > before);
        let sends_still: Vec<bool> = sends_still.collect();
        let has_all = |run: &Run<'a, H>| {
            !is_through(run) || run.board.clients.arrived.load(Relaxed) >= run.expected()
        };
        self.wait_until(patience, has_all)?;
        let to = self.marks();
        Ok(self.stretches(&from, &to, &sends_still))
    }

    /// The runs that have not dropped out.
    fn going(&self) -> impl Iterator<Item = (&Run<'a, H>, usize)> {
        let all = self.runs.iter().zip(&self.out).enumerate();
        all.filter_map(|(at, (run, out))| out.is_none().then_some((run, at)))
    }

    fn marks(&self) -> Vec<Mark> {
        self.runs.iter().map(Run::mark).collect()
    }

    fn stretches(
        self,
        from: &[Mark],
        to: &[Mark],
        sends_still: &[bool],
    ) -> Vec<Result<Stretch, Halt>> {
        let stretch = |at: usize| {
            let mut beside = Beside::default();
            for other in (0..from.len()).filter(|other| *other != at) {
                beside.add(&from[other], &to[other]);
            }
            let [from, to] = [from, to].map(|marks| marks[at].clone());
            Stretch {
                from,
                to,
                beside,
                sends_still: sends_still[at],
            }
        };
        let all = self.out.into_iter().enumerate();
        all.map(|(at, out)| out.map_or_else(|| Ok(stretch(at)), Err))
            .collect()
    }

    /// Lets time pass while there is anybody to measure.
    fn pause(&mut self, time: Duration) -> Result<(), Halt> {
        self.wait_until(time, |_| false)
    }

    /// As `pause`, and shows how long it still takes.
    fn pass(&mut self, what: &str, time: Duration) -> Result<(), Halt> {
        let end = self.runs[0].house.now() + time;
        loop {
            let left = end.since(self.runs[0].house.now());
            if left.is_zero() || self.going().next().is_none() {
                return Ok(());
            }
            self.runs[0].count_down(what, left);
            self.pause(left.min(Duration::from_secs(1)))?;
        }
    }

    /// Waits until something holds for every run that has not dropped out, or it takes too long.
    fn wait_until(
        &mut self,
        patience: Duration,
        holds: impl Fn(&Run<'a, H>) -> bool,
    ) -> Result<(), Halt> {
        let mut patience = Patience::begin(self.runs[0].house, patience);
        loop {
            self.drop_out();
            let waits = self.going().any(|(run, _)| !holds(run));
            let left = patience.left(self.runs[0].house);
            if left.is_zero() || !waits {
                return Ok(());
            }
            self.runs[0].house.rest(left.min(LOOK))?;
        }
    }

    /// Ends runs that can't go on, so that they are in nobody's way.
    fn drop_out(&mut self) {
        for (run, out) in self.runs.iter_mut().zip(&mut self.out) {
            if out.is_none()
                && let Err(halt) = run.check()
            {
                run.stop();
                *out = Some(halt);
            }
        }
    }
}
