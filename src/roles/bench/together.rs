//! Runs of several relays at the same time. Each has its own source, clients and board, and the messages go to the
//! relays in turns: what holds the machine up for a while meets all of them alike.
//!
//! ```text
//! period       |                   |                   |
//! to A (0/2)   m                   m                   m
//! to B (1/2)             m                   m
//! ```
//!
//! **Invariant.** One that fails ends by itself: the others are measured to their end, and all that was started is
//! ended.

use std::cell::RefCell;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use crate::base::time::Time;
use crate::roles::bench::Player;
use crate::roles::bench::board::{Board, Cue, Order};
use crate::roles::bench::command::Template;
use crate::roles::bench::conduct::{Beside, Halt, House, LOOK, Mark, Run};
use crate::roles::bench::config::Job;
use crate::roles::bench::figure::{Doubt, Outcome};
use crate::roles::bench::launch::Cores;
use crate::roles::bench::means::check_descriptors;
use crate::roles::bench::scenarios::{CUE_SEEN, STRAGGLERS};
use crate::roles::bench::source::WARM_UP;

/// Where in each period of the clock that all players share a source's messages are due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Phase {
    /// Its place, from 0.
    pub(super) slot: usize,
    /// So many places are in a period, equally far apart.
    pub(super) of: usize,
}

impl Phase {
    /// Its first time that is not before `earliest`, where a period has so many nanoseconds.
    pub(super) fn next(self, earliest: Time, period: u64) -> Time {
        let place = period * self.slot as u64 / self.of as u64;
        let since = (earliest.nanos() + period - place) % period;
        earliest + Duration::from_nanos((period - since) % period)
    }
}

/// How far apart the messages to two relays are due.
pub(super) fn gap(job: &Job, relays: usize) -> Duration {
    let period = job.rate.map_or(0, |rate| 1_000_000_000 / rate);
    Duration::from_nanos(period / relays.max(1) as u64)
}

/// Makes a run of each of these relays at the same time, with their phases in this order. What came of them is in the
/// same order.
///
/// # Errors
/// When it can't be done with any of them, or somebody wants the bench to end.
pub(super) fn perform<H: House>(
    house: &mut H,
    job: &Job,
    relays: &[(usize, &Template)],
    cores: &Cores,
    label: &str,
) -> Result<Vec<Result<Outcome, Halt>>, Halt> {
    let of = relays.len();
    check_descriptors(house, of * job.connections(), of)?;
    let shared = RefCell::new(house);
    let mut doors: Vec<Door<'_, '_, H>> = relays.iter().map(|_| Door(&shared)).collect();
    let (mut runs, mut places, mut missing) = (Vec::new(), Vec::new(), Vec::new());
    let mut made = Ok(Vec::new());
    for (slot, (door, (relay, template))) in doors.iter_mut().zip(relays).enumerate() {
        let phase = Some(Phase { slot, of });
        match Run::set_up(door, job, template, cores, label, phase) {
            Ok(run) => {
                runs.push(run);
                places.push((slot, *relay));
            }
            Err(Halt::Failed(text)) => missing.push((slot, Err(Halt::Failed(text)))),
            Err(halt) => {
                made = Err(halt);
                break;
            }
        }
    }
    if made.is_ok() {
        made = measure(&mut runs, &places);
    }
    for run in &mut runs {
        run.stop();
    }
    shared.borrow_mut().close();
    for run in runs {
        run.see_off();
    }
    let mut made = made?;
    made.extend(missing);
    made.sort_by_key(|(slot, _)| *slot);
    let mut made: Vec<_> = made.into_iter().map(|(_, outcome)| outcome).collect();
    doubt_meetings(&mut made, gap(job, of));
    Ok(made)
}

/// What came of a place in the order.
type Made = (usize, Result<Outcome, Halt>);

/// Measures what was set up, each with its place in the order and its relay.
fn measure<H: House>(
    runs: &mut [Run<'_, H>],
    places: &[(usize, usize)],
) -> Result<Vec<Made>, Halt> {
    let stretches = Heat::of(runs).latency()?;
    let mut made = Vec::new();
    for ((run, (slot, relay)), stretch) in runs.iter_mut().zip(places).zip(stretches) {
        let outcome = stretch.and_then(|stretch| run.outcome_of(*relay, &stretch));
        made.push((*slot, outcome));
    }
    Ok(made)
}

/// Where one relay still delivers when the next one's message is due, it takes its time from it.
fn doubt_meetings(made: &mut [Result<Outcome, Halt>], gap: Duration) {
    let longer = |outcome: &Outcome| {
        let delays = outcome.delays.as_ref().filter(|it| !it.is_empty())?;
        let within = delays.count_between(0, gap.as_nanos() as u64);
        Some(1.0 - within as f64 / delays.len() as f64)
    };
    let all = made.iter().flatten().filter_map(longer);
    let most = all.fold(0.0, f64::max);
    if most > MET_MAX {
        for outcome in made.iter_mut().flatten() {
            outcome.doubt(Doubt::Met(most, gap));
        }
    }
}

/// The house as one of several runs has it.
struct Door<'s, 'h, H>(&'s RefCell<&'h mut H>);

impl<H: House> House for Door<'_, '_, H> {
    fn now(&self) -> Time {
        self.0.borrow().now()
    }

    fn rest(&mut self, time: Duration) -> Result<(), Halt> {
        self.0.borrow_mut().rest(time)
    }

    fn play(&mut self, player: Player, cores: &[usize], board: Arc<Board>) -> io::Result<()> {
        self.0.borrow_mut().play(player, cores, board)
    }

    /// Waits for nobody: players of the others may be at work still, whom nobody has told to stop. All are waited for
    /// in the end.
    fn close(&mut self) {}

    fn utc(&self) -> u64 {
        self.0.borrow().utc()
    }

    fn random(&mut self) -> u64 {
        self.0.borrow_mut().random()
    }

    fn sockets_left(&self) -> usize {
        self.0.borrow().sockets_left()
    }

    fn progress(&mut self, run: &str, step: &str) {
        self.0.borrow_mut().progress(run, step);
    }

    fn print(&mut self, text: &str) -> Result<(), Halt> {
        self.0.borrow_mut().print(text)
    }
}

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

/// Above this share of messages that are under way when another relay's is due nothing counts.
const MET_MAX: f64 = 0.1;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::roles::bench::board::delays;
    use crate::roles::bench::config::Scenario;

    const PERIOD: u64 = 10_000_000;

    fn next(slot: usize, of: usize, earliest: u64) -> u64 {
        let phase = Phase { slot, of };
        phase.next(Time::from_nanos(earliest), PERIOD).nanos()
    }

    #[test]
    fn schedules_lie_on_one_grid_wherever_they_begin() {
        for earliest in [
            0,
            1,
            4_999_999,
            5_000_000,
            5_000_001,
            9_999_999,
            123_456_789,
        ] {
            for (slot, of) in [(0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3)] {
                let at = next(slot, of, earliest);
                assert!((earliest..earliest + PERIOD).contains(&at), "{at}");
                assert_eq!(at % PERIOD, PERIOD * slot as u64 / of as u64);
            }
        }
    }

    #[test]
    fn a_place_that_is_just_reached_is_taken() {
        assert_eq!(next(0, 2, 20_000_000), 20_000_000);
        assert_eq!(next(1, 2, 20_000_000), 25_000_000);
        assert_eq!(next(1, 2, 25_000_000), 25_000_000);
        assert_eq!(next(1, 2, 25_000_001), 35_000_000);
    }

    fn outcome(slow: u64) -> Result<Outcome, Halt> {
        let job = Job {
            scenario: Scenario::Latency,
            clients: 1,
            size: 256,
            rate: Some(100),
            time: Duration::from_secs(1),
            check: false,
        };
        assert_eq!(gap(&job, 2), GAP);
        let mut outcome = Outcome::new(&job, 0);
        let mut histogram = delays();
        for (nanos, count) in [(100_000, 100 - slow), (6_000_000, slow)] {
            histogram.record_n(nanos, count).expect("within bounds");
        }
        outcome.delays = Some(histogram);
        Ok(outcome)
    }

    const GAP: Duration = Duration::from_millis(5);

    /// A slow relay holds the others up, so none of the figures counts.
    #[test]
    fn relays_whose_messages_meet_are_void_all_of_them() {
        let doubts = |slow: [u64; 2]| {
            let failed = Err(Halt::Failed("dead".to_owned()));
            let mut made = vec![outcome(slow[0]), failed, outcome(slow[1])];
            doubt_meetings(&mut made, GAP);
            let count = |made: &Outcome| made.doubts.len();
            made.iter().flatten().map(count).collect::<Vec<_>>()
        };
        assert_eq!(doubts([0, 10]), [0, 0]);
        assert_eq!(doubts([0, 11]), [1, 1]);
    }
}
