//! Runs of one job that go through the same steps together, each with a relay of its own.
//!
//! ```text
//! everybody counts ─> the sources keep their schedules ─> warm-up ─> measured ─> what is still under way arrives
//! ```

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use crate::roles::bench::board::{Cue, Order};
use crate::roles::bench::conduct::{Halt, House, LOOK, Run};
use crate::roles::bench::marks::{Beside, Mark};
use crate::roles::bench::scenarios::{CUE_SEEN, STRAGGLERS};
use crate::roles::bench::schedule::gap;
use crate::roles::bench::source::WARM_UP;

/// The time in which a run was measured: what was used up to its beginning and up to its end, and by the others in
/// between.
#[derive(Clone, Debug)]
pub(super) struct Stretch {
    pub(super) from: Mark,
    pub(super) to: Mark,
    pub(super) beside: Beside,
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
        let clients = (self.runs.len() * job.clients) as u64;
        let patience = STRAGGLERS + Duration::from_millis(2 * clients) + gap(job, 1);
        for run in self.runs.iter() {
            run.board.give_cue(Cue::Count);
        }
        self.pause(CUE_SEEN)?;
        for (run, _) in self.going() {
            run.board.give_order(Order::Run);
        }
        self.pass("warming up", WARM_UP)?;
        let from = self.marks();
        self.pass("measuring", job.time)?;
        let is_through = |run: &Run<'a, H>| run.board.source.through.load(Relaxed);
        self.wait_until(patience, is_through)?;
        let has_all = |run: &Run<'a, H>| run.board.clients.arrived.load(Relaxed) >= run.expected();
        self.wait_until(patience, has_all)?;
        let to = self.marks();
        Ok(self.stretches(&from, &to))
    }

    /// The runs that have not dropped out.
    fn going(&self) -> impl Iterator<Item = (&Run<'a, H>, usize)> {
        let all = self.runs.iter().zip(&self.out).enumerate();
        all.filter_map(|(at, (run, out))| out.is_none().then_some((run, at)))
    }

    fn marks(&self) -> Vec<Mark> {
        self.runs.iter().map(Run::mark).collect()
    }

    fn stretches(self, from: &[Mark], to: &[Mark]) -> Vec<Result<Stretch, Halt>> {
        let stretch = |at: usize| {
            let mut beside = Beside::default();
            for other in (0..from.len()).filter(|other| *other != at) {
                beside.add(&from[other], &to[other]);
            }
            let [from, to] = [from, to].map(|marks| marks[at].clone());
            Stretch { from, to, beside }
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
        let end = self.runs[0].house.now() + patience;
        loop {
            self.drop_out();
            let waits = self.going().any(|(run, _)| !holds(run));
            let left = end.since(self.runs[0].house.now());
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
