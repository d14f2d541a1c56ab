//! Results in words: tables for people, JSON for programs.

use std::fmt::Write;

use serde_json::{Map, Value};

use crate::base::units::{Span, write_size};
use crate::roles::bench::command::Template;
use crate::roles::bench::config::{Job, Plan};
use crate::roles::bench::dialect::Dialect;
use crate::roles::bench::figure::{Figure, Outcome};
use crate::roles::bench::launch::Cores;
use crate::roles::bench::scenarios::median;
use crate::roles::bench::schedule::gap;

/// What each relay is called: its program, with a letter where there are several.
pub(super) fn names(relays: &[Template]) -> Vec<String> {
    let several = relays.len() > 1;
    let name = |(at, relay): (usize, &Template)| match several {
        true => format!("{}:{}", letters(at), relay.label()),
        false => relay.label().to_owned(),
    };
    relays.iter().enumerate().map(name).collect()
}

/// A to Z, then AA, AB and so on, as columns of a spreadsheet are called.
fn letters(at: usize) -> String {
    let mut letters = Vec::new();
    let mut left = at + 1;
    while left > 0 {
        letters.push(char::from(b'A' + ((left - 1) % 26) as u8));
        left = (left - 1) / 26;
    }
    letters.iter().rev().collect()
}

/// What is about to be measured.
pub(super) fn opening(plan: &Plan, cores: &Cores) -> String {
    let mut text = String::new();
    let mut said: Vec<(String, Template)> = Vec::new();
    for scenario in &plan.scenarios {
        let relays = plan.relays_in(*scenario);
        let names = names(&relays);
        for (relay, name) in relays.into_iter().zip(names) {
            let this = (name, relay);
            if !said.contains(&this) {
                let (name, relay) = &this;
                let spoken = match relay.dialect() {
                    Dialect::Plain => String::new(),
                    dialect => format!(" (speaks {})", dialect.name()),
                };
                let _ = writeln!(text, "{name} = {relay}{spoken}");
                said.push(this);
            }
        }
    }
    let (whose, is, own) = match plan.together {
        true => ("the relays", "are", "have core {} to themselves"),
        false => ("the relay", "is", "has core {} to itself"),
    };
    let pinned = match cores.relay.len() {
        1 if cores.all.len() > 1 => {
            let own = own.replace("{}", &cores.relay[0].to_string());
            format!("{whose} {own}")
        }
        _ => format!("{whose} {is} not pinned"),
    };
    let repeats = match (plan.repeat, plan.together) {
        (1, false) => String::new(),
        (n, false) => format!(", medians of {n} in turns"),
        (1, true) => ", all relays at the same time".to_owned(),
        (n, true) => format!(", all relays at the same time, medians of {n}"),
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
        let is_sound = |run: &&&Outcome| run.is_sound() && run.get(figure).is_some();
        let sound = self.runs.iter().filter(is_sound);
        let mut values: Vec<f64> = sound.filter_map(|run| run.get(figure)).collect();
        if values.is_empty() {
            values = self.runs.iter().filter_map(|run| run.get(figure)).collect();
        }
        values.sort_by(f64::total_cmp);
        (!values.is_empty()).then(|| median(&values))
    }

    /// How it compares with another row by a figure, in ascending order. What was measured at the same time is compared
    /// run by run, where both count, or all of them if none does; else the medians are compared.
    fn ratios(&self, base: &Self, figure: &'static Figure) -> Vec<f64> {
        let divide = |value: f64, base: f64| (base > 0.0).then(|| value / base);
        if !self.is_paired() {
            let both = self.get(figure).zip(base.get(figure));
            let ratio = both.and_then(|(value, base)| divide(value, base));
            return ratio.into_iter().collect();
        }
        let pairs = self.runs.iter().filter_map(|run| {
            let other = base.runs.iter().find(|other| other.pair == run.pair)?;
            let ratio = divide(run.get(figure)?, other.get(figure)?)?;
            Some((ratio, run.is_sound() && other.is_sound()))
        });
        let pairs: Vec<(f64, bool)> = pairs.collect();
        let any_counts = pairs.iter().any(|(_, counts)| *counts);
        let counted = pairs.iter().filter(|(_, counts)| *counts || !any_counts);
        let mut ratios: Vec<f64> = counted.map(|(ratio, _)| *ratio).collect();
        ratios.sort_by(f64::total_cmp);
        ratios
    }

    /// Whether each of its runs was made at the same time as one of every other relay.
    fn is_paired(&self) -> bool {
        self.runs.iter().any(|run| run.pair.is_some())
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

/// The table of what was measured, by this name.
pub(super) fn table(name: &str, outcomes: &[&Outcome], names: &[String]) -> String {
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
        let size = match row.job.size {
            0 => "-".to_owned(),
            size => write_size(size as u64),
        };
        let mut line = vec![row.job.clients.to_string(), size];
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
    let job = rows.first().map(|row| row.job);
    let rate = job.and_then(|job| job.rate);
    let mut paced = rate.map_or_else(String::new, |rate| format!(", {rate} messages/s"));
    let mut legend = String::new();
    if let Some(job) = job
        && rows.iter().any(Row::is_paired)
    {
        let gap = gap(job, names.len()).as_secs_f64() * 1e3;
        let _ = write!(paced, " to each relay, {gap:.1} ms apart");
        if rows.iter().any(|row| row.runs.len() > 1) {
            legend = format!(
                "  (x: each repeat's ratio to {}, their median, and a range that half of them or more are in)\n",
                names[0]
            );
        }
    }
    format!("\n{name}{paced}\n{}{legend}", align(&cells))
}

/// A figure, and how it compares with the first relay's.
fn cell(row: &Row<'_>, first: Option<&Row<'_>>, figure: &'static Figure) -> String {
    let Some(value) = row.get(figure) else {
        return "-".to_owned();
    };
    let text = figure.form.write(value);
    let base = first.filter(|_| row.relay > 0 && figure.compared);
    let ratios = base.map_or_else(Vec::new, |first| row.ratios(first, figure));
    match ratios.len() {
        0 => text,
        1 => format!("{text} (x{:.2})", ratios[0]),
        // Rounded outwards: both are ratios that were found, and of three or fewer the least and the most.
        n => {
            let [lower, upper] = [(n - 1) / 4, (3 * (n - 1)).div_ceil(4)].map(|at| ratios[at]);
            let middle = median(&ratios);
            format!("{text} (x{middle:.2}, {lower:.2}-{upper:.2})")
        }
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

/// One run, by the name of what was measured, as one line of JSON. Figures have their unit in their name.
pub(super) fn json(name: &str, outcome: &Outcome, relay: &Template, repeat: usize) -> String {
    let job = &outcome.job;
    let mut object = Map::new();
    let mut put = |name: &str, value: Value| object.insert(name.to_owned(), value);
    put("scenario", name.into());
    put("relay", relay.to_string().into());
    put("speaks", relay.dialect().name().into());
    put("relay_index", outcome.relay.into());
    put("repeat", repeat.into());
    put("clients", job.clients.into());
    put(
        "message_bytes",
        Some(job.size).filter(|size| *size > 0).into(),
    );
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
    use crate::roles::bench::config::{Scenario, Waits};
    use crate::roles::bench::figure::{self, Doubt};
    use std::time::Duration;

    #[test]
    fn relays_have_letters_however_many_they_are() {
        let all = [0, 25, 26, 51, 52, 701, 702].map(letters);
        assert_eq!(all, ["A", "Z", "AA", "AZ", "BA", "ZZ", "AAA"]);
    }

    fn job(clients: usize) -> Job {
        Job {
            scenario: Scenario::Throughput,
            clients,
            size: 65_536,
            rate: None,
            time: Duration::from_secs(3),
            waits: Waits::default(),
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
            "throughput",
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

    fn paired(relay: usize, pair: usize, p50: f64, doubt: Option<Doubt>) -> Outcome {
        let mut job = job(10);
        job.scenario = Scenario::Latency;
        job.rate = Some(100);
        let mut outcome = Outcome::new(&job, relay);
        outcome.pair = Some(pair);
        outcome.put(&figure::P50, p50);
        outcome.doubts.extend(doubt);
        outcome
    }

    fn latency_table(all: &[Outcome]) -> String {
        let names = ["A:floor".to_owned(), "B:hydrant".to_owned()];
        table("latency", &all.iter().collect::<Vec<_>>(), &names)
    }

    /// The machine's pace changes from one repeat to the next: the ratio of the medians would be 2.
    #[test]
    fn what_was_measured_at_the_same_time_is_compared_within_each_repeat() {
        let mut all = Vec::new();
        for (pair, (floor, ratio)) in [(100e3, 0.9), (800e3, 0.8), (200e3, 1.0), (500e3, 0.94)]
            .into_iter()
            .enumerate()
        {
            all.push(paired(0, pair, floor, None));
            all.push(paired(1, pair, floor * ratio, None));
        }
        // Of these pairs one run is void, missing or nothing.
        all.push(paired(0, 4, 1e3, Some(Doubt::Unfinished)));
        all.push(paired(1, 4, 9e6, None));
        all.push(paired(1, 5, 9e6, None));
        all.push(paired(0, 6, 0.0, None));
        all.push(paired(1, 6, 9e6, None));
        let text = latency_table(&all);
        assert!(text.contains(" (x0.92, 0.80-1.00)"), "{text}");
        assert!(text.contains("latency, 100 messages/s to each relay, 5.0 ms apart\n"));
        let legend = "  (x: each repeat's ratio to A:floor, their median, and a range that half of them or more \
                      are in)";
        assert_eq!(text.lines().last(), Some(legend), "{text}");
        let one = latency_table(&all[..2]);
        assert!(
            one.contains("90.0 (x0.90)\n") && !one.contains("median"),
            "{one}"
        );
    }

    #[test]
    fn where_no_pair_counts_all_are_compared() {
        let void = Some(Doubt::Unfinished);
        let all = [
            paired(0, 0, 100e3, void.clone()),
            paired(1, 0, 200e3, None),
            paired(0, 1, 100e3, None),
            paired(1, 1, 300e3, void),
        ];
        let text = latency_table(&all);
        assert!(text.contains("(x2.50, 2.00-3.00)"), "{text}");
    }

    #[test]
    fn half_of_many_ratios_lie_between_the_two_that_are_shown() {
        let runs = (0..9).flat_map(|pair| {
            let ratio = 1.0 + pair as f64 / 10.0;
            [
                paired(0, pair, 1e6, None),
                paired(1, pair, 1e6 * ratio, None),
            ]
        });
        let text = latency_table(&runs.collect::<Vec<_>>());
        assert!(text.contains("(x1.40, 1.20-1.60)"), "{text}");
    }

    #[test]
    fn json_can_be_read_back() {
        let relay = Template::parse("a \"b c\" {src} {dst}").expect("a command");
        let line = json("sink", &outcome(10, 0, 0.25, None), &relay, 2);
        let value: Value = serde_json::from_str(&line).expect("JSON");
        assert_eq!(value["cpu_s_gb"], 0.25);
        assert_eq!(value["relay"], "a \"b c\" {src} {dst}");
        assert_eq!(value["clients"], 10);
        assert_eq!(value["scenario"], "sink");
        assert!(value["messages_s_asked"].is_null());
        assert_eq!(line.matches('\n').count(), 1);
    }
}
