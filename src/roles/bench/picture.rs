//! Results as pictures of letters: bars, and for delays a curve over the percentiles.

use std::fmt::Write;

use libm::{exp, log, pow};

use crate::roles::bench::config::{Pace, Scenario, Work};
use crate::roles::bench::figure::{self, Figure, Form, Outcome};
use crate::roles::bench::report::{Row, rows};

/// A scenario's picture; nothing where there is nothing to see.
pub(super) fn draw(scenario: Scenario, outcomes: &[&Outcome], names: &[String]) -> String {
    let rows = rows(outcomes);
    match scenario {
        Scenario::Latency => curve(&rows, names),
        _ => bars(&rows, names, subject(scenario)),
    }
}

/// The figure that a scenario is about.
pub(super) fn subject(scenario: Scenario) -> &'static Figure {
    match scenario {
        Scenario::Throughput | Scenario::Tls => &figure::COST,
        Scenario::Latency => &figure::P50,
        Scenario::Slow => &figure::AFTER,
        Scenario::Idle => &figure::BYTES_A_CLIENT,
        Scenario::Churn => &figure::VISITS,
        Scenario::Tunnel(Work::Up | Work::Down) | Scenario::Ws(Work::Up | Work::Down) => {
            &figure::ALL_RATE
        }
        Scenario::Tunnel(Work::Echo) | Scenario::Ws(Work::Echo) => &figure::ANSWERS,
        Scenario::Hub(Pace::Many) => &figure::PASSED,
        Scenario::Hub(Pace::One) => &figure::P50,
    }
}

/// "B:hydrant, 100 clients"
pub(super) fn label(row: &Row<'_>, names: &[String]) -> String {
    let size = crate::base::units::write_size(row.job.size as u64);
    format!("{} {} x {size}", names[row.relay], row.job.clients)
}

fn bars(rows: &[Row<'_>], names: &[String], figure: &'static Figure) -> String {
    let values: Vec<(String, f64)> = rows
        .iter()
        .filter_map(|row| Some((label(row, names), row.get(figure)?)))
        .collect();
    let most = values.iter().map(|(_, value)| *value).fold(0.0, f64::max);
    if most <= 0.0 {
        return String::new();
    }
    let widest = values.iter().map(|(label, _)| label.chars().count()).max();
    let widest = widest.unwrap_or(0);
    let mut text = format!("\n  {}\n", figure.heading);
    for (label, value) in values {
        let eighths = (value.max(0.0) / most * (BAR * 8) as f64).round() as usize;
        let mut bar = "█".repeat(eighths / 8);
        bar.push_str(EIGHTHS[eighths % 8]);
        let number = figure.form.write(value);
        let _ = writeln!(text, "  {label:widest$} {bar} {number}");
    }
    text
}

/// Delays over percentiles, both on scales that make room for what is rare: each step to the right leaves out nine of
/// ten of the messages that were slower, each step up is a fixed factor.
fn curve(rows: &[Row<'_>], names: &[String]) -> String {
    let series: Vec<(String, Vec<f64>)> = rows
        .iter()
        .map(|row| (label(row, names), quantiles(row)))
        .filter(|(_, points)| points.iter().any(|point| *point > 0.0))
        .collect();
    let all = series.iter().flat_map(|(_, points)| points).copied();
    let (least, most) = all.fold((f64::MAX, 0.0_f64), |(least, most), point| {
        (least.min(point), most.max(point))
    });
    if series.is_empty() || most <= 0.0 {
        return String::new();
    }
    let (bottom, top) = (log(least.max(1.0)), log((most * 1.05).max(least * 2.0)));
    let mut field = vec![vec![' '; WIDTH]; HEIGHT];
    for ((_, points), mark) in series.iter().zip(MARKS.chars().cycle()) {
        for (column, point) in points.iter().enumerate() {
            let share = (log(point.max(1.0)) - bottom) / (top - bottom);
            let row = ((1.0 - share) * (HEIGHT - 1) as f64).round() as usize;
            field[row.min(HEIGHT - 1)][column] = mark;
        }
    }
    let mut text = String::from("\n  delay, µs\n");
    for (at, line) in field.iter().enumerate() {
        let share = 1.0 - at as f64 / (HEIGHT - 1) as f64;
        let value = exp(bottom + share * (top - bottom));
        let scale = match at % 3 {
            0 => Form::Micros.write(value),
            _ => String::new(),
        };
        let line: String = line.iter().collect();
        let _ = writeln!(text, "  {scale:>8} |{}", line.trim_end());
    }
    let _ = writeln!(text, "  {:>8} +{}", "", "-".repeat(WIDTH));
    let mut scale = String::new();
    for percentile in ["0", "90", "99", "99.9", "99.99"] {
        let _ = write!(scale, "{percentile:<DECADE$}");
    }
    let _ = writeln!(text, "  {:>8}  {} percentile", "", scale.trim_end());
    for ((label, _), mark) in series.iter().zip(MARKS.chars().cycle()) {
        let _ = writeln!(text, "  {:>8}  {mark} {label}", "");
    }
    text
}

/// A row's delays at each column of a curve, all runs that count taken together.
fn quantiles(row: &Row<'_>) -> Vec<f64> {
    let Some(delays) = merged(row) else {
        return Vec::new();
    };
    (0..WIDTH)
        .map(|column| {
            let left_out = pow(10.0, -(column as f64) / DECADE as f64);
            delays.value_at_quantile(1.0 - left_out) as f64
        })
        .collect()
}

/// All delays of a row's runs that count, or of all if none does.
pub(super) fn merged(row: &Row<'_>) -> Option<hdrhistogram::Histogram<u64>> {
    let sound = row.runs.iter().any(|run| run.doubts.is_empty());
    let counts = |run: &&&Outcome| !sound || run.doubts.is_empty();
    let mut all = row
        .runs
        .iter()
        .filter(counts)
        .filter_map(|run| run.delays.as_ref());
    let mut sum = all.next()?.clone();
    for delays in all {
        sum.add(delays).expect("all have the same bounds");
    }
    (!sum.is_empty()).then_some(sum)
}

const BAR: usize = 40;
const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
const DECADE: usize = 12;
const WIDTH: usize = DECADE * 5;
const HEIGHT: usize = 13;
const MARKS: &str = "*o+x#@%&=~";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::roles::bench::board::delays;
    use crate::roles::bench::config::{Job, Waits};
    use std::time::Duration;

    fn outcome(scenario: Scenario, clients: usize) -> Outcome {
        let job = Job {
            scenario,
            clients,
            size: 256,
            rate: None,
            time: Duration::from_secs(1),
            waits: Waits::default(),
            check: false,
        };
        Outcome::new(&job, 0)
    }

    #[test]
    fn bars_are_as_long_as_their_figures() {
        let mut all = [
            outcome(Scenario::Throughput, 1),
            outcome(Scenario::Throughput, 10),
        ];
        all[0].put(&figure::COST, 0.4);
        all[1].put(&figure::COST, 0.1);
        let text = draw(
            Scenario::Throughput,
            &all.each_ref(),
            &["hydrant".to_owned()],
        );
        let long = "█".repeat(40);
        let short = "█".repeat(10);
        assert_eq!(
            text,
            format!(
                "\n  CPU s/GB\n  hydrant 1 x 256  {long} 0.400\n  hydrant 10 x 256 {short} 0.100\n"
            )
        );
    }

    #[test]
    fn a_curve_rises_from_left_to_right() {
        let mut run = outcome(Scenario::Latency, 10);
        let mut histogram = delays();
        for nanos in 1..=100_000 {
            histogram.record(nanos * 1000).expect("within bounds");
        }
        run.delays = Some(histogram);
        let text = draw(Scenario::Latency, &[&run], &["hydrant".to_owned()]);
        let columns = |line: &str| line.find('*');
        let found: Vec<usize> = text
            .lines()
            .filter(|line| line.contains('|'))
            .filter_map(columns)
            .collect();
        assert!(
            found.len() > 3 && found.is_sorted_by(|a, b| a > b),
            "{text}"
        );
        assert!(
            text.lines().all(|line| line.chars().count() <= 90),
            "{text}"
        );
    }

    #[test]
    fn nothing_is_drawn_of_nothing() {
        let run = outcome(Scenario::Latency, 1);
        assert_eq!(draw(Scenario::Latency, &[&run], &["x".to_owned()]), "");
        let run = outcome(Scenario::Idle, 1);
        assert_eq!(draw(Scenario::Idle, &[&run], &["x".to_owned()]), "");
    }
}
