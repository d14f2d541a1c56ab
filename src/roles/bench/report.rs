//! Results in words: tables for people, JSON for programs.

use std::fmt::Write;

use serde_json::{Map, Value};

use crate::base::units::{Span, write_size};
use crate::roles::bench::command::Template;
use crate::roles::bench::config::{Job, Plan, Scenario};
use crate::roles::bench::dialect::Dialect;
use crate::roles::bench::figure::{Figure, Outcome};
use crate::roles::bench::launch::Cores;
use crate::roles::bench::scenarios::median;

/// What each relay is called: its program, with a letter where there are several.
pub(super) fn names(relays: &[Template]) -> Vec<String> {
    let several = relays.len() > 1;
    let name = |(relay, letter): (&Template, char)| match several {
        true => format!("{letter}:{}", relay.label()),
        false => relay.label().to_owned(),
    };
    relays.iter().zip('A'..).map(name).collect()
}

/// What is about to be measured.
pub(super) fn opening(plan: &Plan, cores: &Cores) -> String {
    let mut text = String::new();
    let mut said: Vec<Template> = Vec::new();
    for scenario in &plan.scenarios {
        let relays = plan.relays_in(*scenario);
        let names = names(&relays);
        for (relay, name) in relays.into_iter().zip(names) {
            if !said.contains(&relay) {
                let spoken = match relay.dialect() {
                    Dialect::Plain => String::new(),
                    dialect => format!(" (speaks {})", dialect.name()),
                };
                let _ = writeln!(text, "{name} = {relay}{spoken}");
                said.push(relay);
            }
        }
    }
    let pinned = match cores.relay.len() {
        1 if cores.all.len() > 1 => format!("the relay has core {} to itself", cores.relay[0]),
        _ => "the relay is not pinned".to_owned(),
    };
    let repeats = match plan.repeat {
        1 => String::new(),
        n => format!(", medians of {n} in turns"),
    };
    let _ = writeln!(
        text,
        "{} cores, {pinned}; {} each{repeats}{}",
        cores.all.len(),
        Span(plan.time),
        if plan.check {
            "; every byte compared"
        } else {
            ""
        }
    );
    text
}

/// What repeats of one measurement with one relay have in common, and what came of them.
pub(super) struct Row<'a> {
    pub(super) job: &'a Job,
    pub(super) relay: usize,
    pub(super) runs: Vec<&'a Outcome>,
}

impl Row<'_> {
    /// The median over the runs that count; over all, if none does.
    pub(super) fn get(&self, figure: &'static Figure) -> Option<f64> {
        let is_sound = |run: &&&Outcome| run.doubts.is_empty() && run.get(figure).is_some();
        let sound = self.runs.iter().filter(is_sound);
        let mut values: Vec<f64> = sound.filter_map(|run| run.get(figure)).collect();
        if values.is_empty() {
            values = self.runs.iter().filter_map(|run| run.get(figure)).collect();
        }
        values.sort_by(f64::total_cmp);
        (!values.is_empty()).then(|| median(&values))
    }
}

/// The repeats of each measurement with each relay, in the order in which they were asked for.
pub(super) fn rows<'a>(outcomes: &[&'a Outcome]) -> Vec<Row<'a>> {
    let mut rows: Vec<Row<'a>> = Vec::new();
    for outcome in outcomes {
        let is_its = |row: &&mut Row<'_>| *row.job == outcome.job && row.relay == outcome.relay;
        match rows.iter_mut().find(is_its) {
            Some(row) => row.runs.push(outcome),
            None => rows.push(Row {
                job: &outcome.job,
                relay: outcome.relay,
                runs: vec![outcome],
            }),
        }
    }
    // A stable sort keeps the jobs' order and puts the relays of each into theirs.
    let place = |job: &Job| outcomes.iter().position(|outcome| outcome.job == *job);
    rows.sort_by_key(|row| (place(row.job), row.relay));
    rows
}

/// A scenario's table.
pub(super) fn table(scenario: Scenario, outcomes: &[&Outcome], names: &[String]) -> String {
    let rows = rows(outcomes);
    let mut figures: Vec<&'static Figure> = Vec::new();
    for (figure, _) in outcomes.iter().flat_map(|outcome| &outcome.figures) {
        if !figures.contains(figure) {
            figures.push(figure);
        }
    }
    let mut head = vec!["clients".to_owned(), "size".to_owned()];
    if names.len() > 1 {
        head.push("relay".to_owned());
    }
    head.extend(figures.iter().map(|figure| figure.heading.to_owned()));
    let mut cells = vec![head];
    for row in &rows {
        let mut line = vec![row.job.clients.to_string(), write_size(row.job.size as u64)];
        if names.len() > 1 {
            line.push(names[row.relay].clone());
        }
        let first = rows
            .iter()
            .find(|other| other.relay == 0 && other.job == row.job);
        for figure in &figures {
            line.push(cell(row, first, figure));
        }
        line.extend(notes(row));
        cells.push(line);
    }
    let rate = rows.first().and_then(|row| row.job.rate);
    let paced = match (scenario, rate) {
        (Scenario::Idle, _) | (_, None) => String::new(),
        (_, Some(rate)) => format!(", {rate} messages/s"),
    };
    format!("\n{}{paced}\n{}", scenario.name(), align(&cells))
}

/// A figure, and how it compares with the first relay's.
fn cell(row: &Row<'_>, first: Option<&Row<'_>>, figure: &'static Figure) -> String {
    let Some(value) = row.get(figure) else {
        return "-".to_owned();
    };
    let text = figure.form.write(value);
    let base = first.filter(|_| row.relay > 0 && figure.compared);
    match base
        .and_then(|first| first.get(figure))
        .filter(|base| *base > 0.0)
    {
        Some(base) => format!("{text} (x{:.2})", value / base),
        None => text,
    }
}

fn notes(row: &Row<'_>) -> Option<String> {
    let mut notes: Vec<String> = Vec::new();
    for note in row
        .runs
        .iter()
        .flat_map(|run| run.fate.iter().chain(&run.faults))
    {
        if !notes.contains(note) {
            notes.push(note.clone());
        }
    }
    let void: Vec<String> = row
        .runs
        .iter()
        .filter_map(|run| run.doubts_said())
        .collect();
    if let Some(why) = void.first() {
        notes.push(format!("{} of {} void: {why}", void.len(), row.runs.len()));
    }
    (!notes.is_empty()).then(|| format!(" {}", notes.join("; ")))
}

/// Columns that end under each other; what stands behind the last heading is a note, and begins.
fn align(cells: &[Vec<String>]) -> String {
    let columns = cells[0].len();
    let width = |column: usize| {
        let cells = cells.iter().map(|line| line[column].chars().count());
        cells.max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for line in cells {
        for (column, cell) in line.iter().enumerate() {
            let _ = match widths.get(column) {
                Some(width) => write!(text, "  {cell:>width$}"),
                None => write!(text, " {cell}"),
            };
        }
        text.push('\n');
    }
    text
}

/// One run as one line of JSON. Figures have their unit in their name.
pub(super) fn json(outcome: &Outcome, relay: &Template, repeat: usize) -> String {
    let job = &outcome.job;
    let mut object = Map::new();
    let mut put = |name: &str, value: Value| object.insert(name.to_owned(), value);
    put("scenario", job.scenario.name().into());
    put("relay", relay.to_string().into());
    put("speaks", relay.dialect().name().into());
    put("relay_index", outcome.relay.into());
    put("repeat", repeat.into());
    put("clients", job.clients.into());
    put("message_bytes", job.size.into());
    put("messages_s_asked", job.rate.into());
    put("time_s", job.time.as_secs_f64().into());
    put("checked", job.check.into());
    for (figure, value) in &outcome.figures {
        put(figure.name, (*value).into());
    }
    put("stalled_client", outcome.fate.clone().into());
    put("void", outcome.doubts_said().into());
    put("faults", outcome.faults.clone().into());
    format!("{}\n", Value::Object(object))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::roles::bench::figure::{self, Doubt};
    use std::time::Duration;

    fn job(clients: usize) -> Job {
        Job {
            scenario: Scenario::Throughput,
            clients,
            size: 65_536,
            rate: None,
            time: Duration::from_secs(3),
            check: false,
        }
    }

    fn outcome(clients: usize, relay: usize, cost: f64, doubt: Option<Doubt>) -> Outcome {
        let mut outcome = Outcome::new(&job(clients), relay);
        outcome.put(&figure::ALL_RATE, 2e9);
        outcome.put(&figure::COST, cost);
        outcome.doubts.extend(doubt);
        outcome
    }

    #[test]
    fn a_table_has_medians_and_ratios_and_says_what_is_void() {
        let all = [
            outcome(1, 0, 0.2, None),
            outcome(1, 1, 0.1, None),
            outcome(1, 1, 0.3, None),
            outcome(1, 1, 9.0, Some(Doubt::Unfinished)),
            outcome(1, 0, 0.4, None),
        ];
        let text = table(
            Scenario::Throughput,
            &all.iter().collect::<Vec<_>>(),
            &["A:floor".to_owned(), "B:hydrant".to_owned()],
        );
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[1], "throughput");
        assert_eq!(
            lines[2],
            "  clients  size      relay  MB/s all       CPU s/GB"
        );
        assert_eq!(
            lines[3],
            "        1   64K    A:floor    2000.0          0.300"
        );
        assert_eq!(
            lines[4],
            "        1   64K  B:hydrant    2000.0  0.200 (x0.67)  1 of 3 void: machine too busy: \
             the source could not keep its schedule"
        );
    }

    #[test]
    fn json_can_be_read_back() {
        let relay = Template::parse("a \"b c\" {src} {dst}").expect("a command");
        let line = json(&outcome(10, 0, 0.25, None), &relay, 2);
        let value: Value = serde_json::from_str(&line).expect("JSON");
        assert_eq!(value["cpu_s_gb"], 0.25);
        assert_eq!(value["relay"], "a \"b c\" {src} {dst}");
        assert_eq!(value["clients"], 10);
        assert!(value["messages_s_asked"].is_null());
        assert_eq!(line.matches('\n').count(), 1);
    }
}
