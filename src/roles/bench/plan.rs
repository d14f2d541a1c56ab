//! All runs of a bench, one after the other: relays in turns, repeats, what is shown in between, and the verdict.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;

use crate::base::units::{Span, write_size};
use crate::reactor::plain;
use crate::roles::bench::conduct::{Halt, House, perform};
use crate::roles::bench::config::{Job, Plan, Scenario};
use crate::roles::bench::figure::{Outcome, Thousands};
use crate::roles::bench::launch::Cores;
use crate::roles::bench::{picture, report, svg};

/// Does it all.
pub(super) fn carry_out<H: House>(house: &mut H, plan: &Plan) -> Result<(), Halt> {
    if let Some(path) = &plan.svg {
        check_writable(path)?;
    }
    let cores = Cores::divide(plan.pin);
    let jobs = plan.jobs();
    let mut all: Vec<Outcome> = Vec::new();
    let relays: usize = (jobs.iter())
        .map(|job| plan.relays_in(job.scenario).len())
        .sum();
    let total = relays * plan.repeat;
    let mut begun = 0;
    if !plan.json {
        house.print(&report::opening(plan, &cores))?;
    }
    for (at, job) in jobs.iter().enumerate() {
        let templates = plan.relays_in(job.scenario);
        let names = report::names(&templates);
        for repeat in 0..plan.repeat {
            for relay in turn(names.len(), repeat) {
                let left = each(job) * (total - begun) as u32;
                begun += 1;
                let label = format!(
                    "bench {begun}/{total} (about {} left): {}, {}",
                    Span(Duration::from_secs(left.as_secs())),
                    describe(job),
                    names[relay]
                );
                let template = &templates[relay];
                let made = perform(house, job, (relay, template), &cores, &label);
                let outcome = or_fault(made, job, relay)?;
                if plan.json {
                    house.print(&report::json(&outcome, template, repeat))?;
                }
                all.push(outcome);
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
            house.print(&report::table(job.scenario, &of_it, &names))?;
            house.print(&picture::draw(job.scenario, &of_it, &names))?;
        }
    }
    if let Some(path) = &plan.svg {
        let text = svg::draw(&all, |scenario| names(plan, scenario));
        write(path, &text, PATIENCE).map_err(|error| unwritable(path, &error))?;
    }
    verdict(&all, plan)
}

/// Finds out now, rather than when all is measured, whether a file can be written. It is left as it is.
fn check_writable(path: &Path) -> Result<(), Halt> {
    let there = fs::metadata(path);
    // What is neither, as a pipe, may not stand to be opened for nothing.
    if there.as_ref().is_ok_and(|it| !it.is_file() && !it.is_dir()) {
        return Ok(());
    }
    let opened = OpenOptions::new().append(true).create(true).open(path);
    opened.map_err(|error| unwritable(path, &error))?;
    if there.is_err() {
        let _ = fs::remove_file(path);
    }
    Ok(())
}

/// Writes a file, or to whoever reads a pipe. One that nobody reads is not waited for, nor for longer than this one
/// that somebody has opened and reads no further, since no signal would end that.
fn write(path: &Path, text: &str, patience: Duration) -> io::Result<()> {
    let opened = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
        .open(path);
    let mut file = opened.map_err(|error| match error.raw_os_error() {
        Some(libc::ENXIO) => io::Error::other("nobody reads it"),
        _ => error,
    })?;
    let patience = Timespec::try_from(patience).map_err(io::Error::other)?;
    let mut rest = text.as_bytes();
    while !rest.is_empty() {
        match file.write(rest) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(taken) => rest = &rest[taken..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let mut room = [PollFd::new(&file, PollFlags::OUT)];
                match rustix::event::poll(&mut room, Some(&patience)) {
                    Ok(0) => return Err(io::Error::other("whoever reads it has stopped")),
                    Ok(_) | Err(Errno::INTR) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn unwritable(path: &Path, error: &io::Error) -> Halt {
    Halt::Failed(format!("can't write {}: {}", path.display(), plain(error)))
}

/// What the relays of a scenario are called.
fn names(plan: &Plan, scenario: Scenario) -> Vec<String> {
    report::names(&plan.relays_in(scenario))
}

/// The order of the relays in a repeat: there and back, so that what drifts meets all of them alike.
fn turn(relays: usize, repeat: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..relays).collect();
    if repeat % 2 == 1 {
        order.reverse();
    }
    order
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

/// About how long one run takes.
fn each(job: &Job) -> Duration {
    let times = match job.scenario {
        Scenario::Slow => 3,
        _ => 1,
    };
    job.time * times + AROUND
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
        let text = format!("bench {job} of {relay}: {}", outcome.faults.join("; "));
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

/// How long whoever reads a pipe may read nothing.
const PATIENCE: Duration = Duration::from_secs(10);
/// What a run takes beside its measurement.
const AROUND: Duration = Duration::from_millis(2000);

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::process::Command;
    use std::sync::mpsc;
    use std::thread;

    use super::*;

    #[test]
    fn relays_take_turns_there_and_back() {
        assert_eq!(turn(3, 0), [0, 1, 2]);
        assert_eq!(turn(3, 1), [2, 1, 0]);
    }

    /// Nobody could end it, since the loop that hears of signals would stand still.
    #[test]
    fn a_pipe_that_nobody_reads_is_not_waited_for() {
        let name = format!("hydrant-svg-{}.pipe", std::process::id());
        let path = std::env::temp_dir().join(name);
        let _ = fs::remove_file(&path);
        let made = Command::new("mkfifo").arg(&path).status();
        assert!(made.expect("mkfifo is one of the coreutils").success());
        let (said, outcome) = mpsc::channel();
        let there = path.clone();
        thread::spawn(move || said.send(write(&there, "a", DEADLINE)));
        let outcome = outcome.recv_timeout(DEADLINE).expect("it does not wait");
        let error = outcome.expect_err("nobody reads it").to_string();
        assert_eq!(error, "nobody reads it");
        // More than fits into it.
        let reader = OpenOptions::new().read(true).write(true).open(&path);
        let mut reader = reader.expect("a pipe opens so at once");
        let text = "a".repeat(1 << 20);
        let (there, whole) = (path.clone(), text.clone());
        let writer = thread::spawn(move || write(&there, &whole, DEADLINE));
        let mut read = vec![0; text.len()];
        reader.read_exact(&mut read).expect("it comes");
        assert_eq!(read, text.as_bytes());
        writer.join().expect("it ends").expect("it is written");
        // It is open still, and nobody reads on.
        let error = write(&path, &text, Duration::ZERO).expect_err("it is full");
        assert_eq!(error.to_string(), "whoever reads it has stopped");
        fs::remove_file(path).expect("it is there");
    }

    const DEADLINE: Duration = Duration::from_secs(20);
}
