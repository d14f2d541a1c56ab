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
use std::time::Duration;

use crate::base::time::Time;
use crate::roles::bench::Player;
use crate::roles::bench::board::Board;
use crate::roles::bench::command::Template;
use crate::roles::bench::conduct::{Halt, House, Run};
use crate::roles::bench::config::Job;
use crate::roles::bench::figure::{Doubt, Outcome};
use crate::roles::bench::heat::Heat;
use crate::roles::bench::launch::Cores;
use crate::roles::bench::means::check_descriptors;
use crate::roles::bench::schedule::{Phase, gap};

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
    for run in &mut runs {
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

    fn stopped(&self) -> Duration {
        self.0.borrow().stopped()
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

/// Above this share of messages that are under way when another relay's is due nothing counts.
const MET_MAX: f64 = 0.1;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::roles::bench::board::delays;
    use crate::roles::bench::config::{Scenario, Waits};

    fn outcome(slow: u64) -> Result<Outcome, Halt> {
        let job = Job {
            scenario: Scenario::Latency,
            clients: 1,
            size: 256,
            rate: Some(100),
            time: Duration::from_secs(1),
            waits: Waits::default(),
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
