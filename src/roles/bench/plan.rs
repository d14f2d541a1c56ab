//! All runs of a bench, one after the other: relays in turns, repeats, what is shown in between, and the verdict.

use std::io;
use std::path::Path;
use std::time::Duration;

use crate::base::units::{Span, write_size};
use crate::reactor::plain;
use crate::roles::bench::command::Template;
use crate::roles::bench::conduct::{Halt, House, perform};
use crate::roles::bench::config::{Job, Plan, Scenario};
use crate::roles::bench::figure::{Outcome, Thousands};
use crate::roles::bench::launch::Cores;
use crate::roles::bench::{picture, picture_file, report, svg, together};

/// Does it all.
pub(super) fn carry_out<H: House>(house: &mut H, plan: &Plan) -> Result<(), Halt> {
    if let Some(path) = &plan.svg {
        picture_file::check(path).map_err(|error| unwritable(path, &error))?;
    }
    let cores = Cores::divide(plan.pin);
    let jobs = plan.jobs();
    let mut all: Vec<Outcome> = Vec::new();
    let turns = |job: &Job| match plan.together {
        true => 1,
        false => plan.relays_in(job.scenario).len(),
    };
    let total = jobs.iter().map(turns).sum::<usize>() * plan.repeat;
    let mut begun = 0;
    if !plan.json {
        house.print(&report::opening(plan, &cores))?;
    }
    for (at, job) in jobs.iter().enumerate() {
        let templates = plan.relays_in(job.scenario);
        let names = report::names(&templates);
        for repeat in 0..plan.repeat {
            for relays in turn(names.len(), repeat, plan.together) {
                let left = each(job, relays.len()) * (total - begun) as u32;
                begun += 1;
                let who: Vec<&str> = relays.iter().map(|relay| &names[*relay][..]).collect();
                let label = format!(
                    "bench {begun}/{total} (about {} left): {}, {}",
                    Span(Duration::from_secs(left.as_secs())),
                    describe(job),
                    who.join(" and ")
                );
                let relays: Vec<_> = (relays.iter())
                    .map(|relay| (*relay, &templates[*relay]))
                    .collect();
                for mut outcome in measure(house, job, &relays, &cores, &label)? {
                    outcome.pair = plan.together.then_some(repeat);
                    if plan.json {
                        let template = &templates[outcome.relay];
                        house.print(&report::json(
                            job.scenario.name(),
                            &outcome,
                            template,
                            repeat,
                        ))?;
                    }
                    all.push(outcome);
                }
            }
        }
        let is_last = jobs
            .get(at + 1)
            .is_none_or(|next| next.scenario != job.scenario);
        if is_last && !plan.json {
            let of_it: Vec<&Outcome> = all
                .iter()
                .filter(|outcome| outcome.job.scenario == job.scenario)
                .collect();
            house.print(&report::table(job.scenario.name(), &of_it, &names))?;
            house.print(&picture::draw(job.scenario, &of_it, &names))?;
        }
    }
    if let Some(path) = &plan.svg {
        let text = svg::draw(&all, |scenario| names(plan, scenario));
        picture_file::write(path, &text).map_err(|error| unwritable(path, &error))?;
    }
    verdict(&all, plan)
}

/// One turn: a run of one relay, or of several at the same time. What came of them is in the order of the relays.
fn measure<H: House>(
    house: &mut H,
    job: &Job,
    relays: &[(usize, &Template)],
    cores: &Cores,
    label: &str,
) -> Result<Vec<Outcome>, Halt> {
    if let [relay] = relays {
        let made = perform(house, job, *relay, cores, label);
        return Ok(vec![or_fault(made, job, relay.0)?]);
    }
    let made = match together::perform(house, job, relays, cores, label) {
        // What is wrong with all of them is so with each.
        Err(Halt::Failed(text)) => vec![Err(Halt::Failed(text)); relays.len()],
        made => made?,
    };
    let all = made.into_iter().zip(relays);
    let mut outcomes = all
        .map(|(made, (relay, _))| or_fault(made, job, *relay))
        .collect::<Result<Vec<Outcome>, Halt>>()?;
    outcomes.sort_by_key(|outcome| outcome.relay);
    Ok(outcomes)
}

fn unwritable(path: &Path, error: &io::Error) -> Halt {
    Halt::Failed(format!("can't write {}: {}", path.display(), plain(error)))
}

/// What the relays of a scenario are called.
fn names(plan: &Plan, scenario: Scenario) -> Vec<String> {
    report::names(&plan.relays_in(scenario))
}

/// The order of the relays in a repeat, one after the other or all of them at once: there and back, so that what
/// drifts meets all of them alike.
fn turn(relays: usize, repeat: usize, together: bool) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..relays).collect();
    if repeat % 2 == 1 {
        order.reverse();
    }
    match together {
        true => vec![order],
        false => order.into_iter().map(|relay| vec![relay]).collect(),
    }
}

/// "latency, 100 clients, 256 B, 100 messages/s"
pub(super) fn describe(job: &Job) -> String {
    let clients = match job.clients {
        1 => "1 client".to_owned(),
        n => format!("{} clients", Thousands(n as u64)),
    };
    format!(
        "{}, {clients}, {}",
        job.scenario.name(),
        write_size(job.size as u64)
    )
}

/// About how long one turn takes: relays that are measured at the same time are still started one after the other.
fn each(job: &Job, relays: usize) -> Duration {
    let times = match job.scenario {
        Scenario::Slow => 3,
        _ => 1,
    };
    job.time * times + (job.waits.warm_up + AROUND) * relays as u32
}

/// A run that did not come to its end is a fault of its own; the others are still made.
fn or_fault(made: Result<Outcome, Halt>, job: &Job, relay: usize) -> Result<Outcome, Halt> {
    match made {
        Err(Halt::Failed(text)) => {
            let mut outcome = Outcome::new(job, relay);
            outcome.faults.push(text);
            Ok(outcome)
        }
        made => made,
    }
}

/// Faults always make the exit code; doubts do where they are not tolerated.
fn verdict(all: &[Outcome], plan: &Plan) -> Result<(), Halt> {
    let faulty = all.iter().find(|outcome| !outcome.faults.is_empty());
    if let Some(outcome) = faulty {
        let names = names(plan, outcome.job.scenario);
        let (job, relay) = (describe(&outcome.job), &names[outcome.relay]);
        let mut text = format!("bench {job} of {relay}: {}", outcome.faults.join("; "));
        // Whoever stood still himself may have brought it about.
        if outcome.was_stopped() {
            text += &outcome
                .doubts_said()
                .map_or_else(String::new, |why| format!("; void: {why}"));
        }
        return Err(Halt::Failed(text));
    }
    let void = all.iter().filter(|outcome| !outcome.doubts.is_empty());
    let (count, first) = (void.clone().count(), void.clone().next());
    match first {
        Some(outcome) if !plan.tolerate => Err(Halt::Failed(format!(
            "{count} of {} runs are void: {}",
            all.len(),
            outcome.doubts_said().unwrap_or_default()
        ))),
        Some(outcome) => {
            let text = outcome.doubts_said().unwrap_or_default();
            log::warn!("bench: {count} of {} runs are void: {text}", all.len());
            Ok(())
        }
        None => Ok(()),
    }
}

/// What a run takes beside its measurement and what goes before that.
const AROUND: Duration = Duration::from_millis(1500);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relays_take_turns_there_and_back() {
        assert_eq!(turn(3, 0, false), [[0], [1], [2]]);
        assert_eq!(turn(3, 1, false), [[2], [1], [0]]);
        assert_eq!(turn(3, 0, true), [[0, 1, 2]]);
        assert_eq!(turn(3, 1, true), [[2, 1, 0]]);
    }
}
