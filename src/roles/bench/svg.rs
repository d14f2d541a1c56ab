//! The same pictures for a report: one SVG file, a panel for each scenario.

use std::fmt::Write;

use libm::{log10, pow};

use crate::roles::bench::config::Scenario;
use crate::roles::bench::figure::{Form, Outcome};
use crate::roles::bench::picture::{label, merged, subject};
use crate::roles::bench::report::{Row, rows};

/// All results, with the names that the relays have in each scenario.
pub(super) fn draw(outcomes: &[Outcome], names: impl Fn(Scenario) -> Vec<String>) -> String {
    let mut panels = String::new();
    let mut top = 0;
    for (_, scenario) in Scenario::ALL {
        let of_it: Vec<&Outcome> = outcomes
            .iter()
            .filter(|outcome| outcome.job.scenario == scenario)
            .collect();
        let rows = rows(&of_it);
        if rows.is_empty() {
            continue;
        }
        let (panel, height) = match scenario {
            Scenario::Latency => curve(&rows, &names(scenario)),
            _ => bars(scenario, &rows, &names(scenario)),
        };
        let _ = writeln!(panels, "<g transform=\"translate(0 {top})\">\n{panel}</g>");
        top += height;
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{top}\" \
         viewBox=\"0 0 {WIDTH} {top}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"{WIDTH}\" height=\"{top}\" fill=\"white\"/>\n{panels}</svg>\n"
    )
}

fn bars(scenario: Scenario, rows: &[Row<'_>], names: &[String]) -> (String, usize) {
    let figure = subject(scenario);
    let values: Vec<f64> = rows
        .iter()
        .map(|row| row.get(figure).unwrap_or(0.0))
        .collect();
    let most = values.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
    let mut text = title(&format!("{}: {}", scenario.name(), figure.heading));
    for (at, (row, value)) in rows.iter().zip(&values).enumerate() {
        let y = HEAD + at * LINE;
        let width = (value.max(0.0) / most * BAR as f64).round();
        let (color, name) = (COLORS[row.relay % COLORS.len()], escape(&label(row, names)));
        let _ = writeln!(
            text,
            "<text x=\"{LEFT_END}\" y=\"{}\" text-anchor=\"end\">{name}</text>\
             <rect x=\"{LEFT}\" y=\"{y}\" width=\"{width}\" height=\"14\" fill=\"{color}\"/>\
             <text x=\"{}\" y=\"{}\">{}</text>",
            y + 11,
            LEFT as f64 + width + 6.0,
            y + 11,
            figure.form.write(*value)
        );
    }
    (text, HEAD + rows.len() * LINE + FOOT)
}

/// Delays over percentiles, on the scales of the picture for terminals.
fn curve(rows: &[Row<'_>], names: &[String]) -> (String, usize) {
    let series: Vec<(usize, Vec<f64>)> = rows
        .iter()
        .enumerate()
        .filter_map(|(at, row)| {
            let delays = merged(row)?;
            let at_step = |step: usize| {
                let left_out = pow(10.0, -(step as f64) / STEPS_A_DECADE as f64);
                delays.value_at_quantile(1.0 - left_out) as f64
            };
            Some((at, (0..=STEPS).map(at_step).collect()))
        })
        .collect();
    let all = series.iter().flat_map(|(_, points)| points).copied();
    let (least, most) = all.fold((f64::MAX, 1.0_f64), |(least, most), point| {
        (least.min(point.max(1.0)), most.max(point))
    });
    let mut text = title("latency: delay in µs over percentiles");
    if series.is_empty() {
        return (text, HEAD + FOOT);
    }
    let (bottom, top) = (
        log10(least).floor(),
        log10(most).ceil().max(log10(least).floor() + 1.0),
    );
    let y_of = |value: f64| {
        let share = (log10(value.max(1.0)) - bottom) / (top - bottom);
        HEAD as f64 + (1.0 - share) * CURVE as f64
    };
    text += &scales(bottom, top, y_of);
    for (place, (at, points)) in series.iter().enumerate() {
        let color = COLORS[place % COLORS.len()];
        let mut path = String::new();
        for (step, point) in points.iter().enumerate() {
            let letter = if step == 0 { 'M' } else { 'L' };
            let _ = write!(path, "{letter}{:.1} {:.1}", x_of(step), y_of(*point));
        }
        let y = HEAD + CURVE + 40 + place * LINE;
        let name = escape(&label(&rows[*at], names));
        let _ = writeln!(
            text,
            "<path d=\"{path}\" fill=\"none\" stroke=\"{color}\" stroke-width=\"1.5\"/>\
             <rect x=\"{LEFT}\" y=\"{}\" width=\"14\" height=\"4\" fill=\"{color}\"/>\
             <text x=\"{}\" y=\"{y}\">{name}</text>",
            y - 6,
            LEFT + 20
        );
    }
    (text, HEAD + CURVE + 40 + series.len() * LINE + FOOT)
}

/// The lines and numbers behind a curve: decades of delay, and percentiles.
fn scales(bottom: f64, top: f64, y_of: impl Fn(f64) -> f64) -> String {
    let mut text = String::new();
    for decade in bottom as i32..=top as i32 {
        let value = 10f64.powi(decade);
        let (y, name) = (y_of(value), Form::Micros.write(value));
        let _ = writeln!(
            text,
            "<path d=\"M{LEFT} {y:.1}h{BAR}\" stroke=\"#ddd\"/><text x=\"{LEFT_END}\" y=\"{:.1}\" \
             text-anchor=\"end\">{name}</text>",
            y + 4.0
        );
    }
    let percentiles = ["0", "90", "99", "99.9", "99.99", "99.999"];
    for (decade, name) in percentiles.iter().enumerate() {
        let _ = writeln!(
            text,
            "<text x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">{name}</text>",
            x_of(decade * STEPS_A_DECADE),
            HEAD + CURVE + 16
        );
    }
    text
}

fn x_of(step: usize) -> f64 {
    LEFT as f64 + step as f64 / STEPS as f64 * BAR as f64
}

fn title(text: &str) -> String {
    format!(
        "<text x=\"16\" y=\"22\" font-size=\"14\" font-weight=\"bold\">{}</text>\n",
        escape(text)
    )
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

const WIDTH: usize = 800;
const LEFT: usize = 220;
const LEFT_END: usize = LEFT - 8;
const BAR: usize = 500;
const HEAD: usize = 40;
const LINE: usize = 20;
const FOOT: usize = 20;
const CURVE: usize = 260;
const STEPS_A_DECADE: usize = 20;
const STEPS: usize = 5 * STEPS_A_DECADE;
const COLORS: [&str; 8] = [
    "#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#bbbbbb", "#000000",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::roles::bench::board::delays;
    use crate::roles::bench::config::{Job, Waits};
    use crate::roles::bench::figure;
    use std::time::Duration;

    #[test]
    fn the_file_is_whole_and_names_are_escaped() {
        let job = |scenario| Job {
            scenario,
            clients: 10,
            size: 256,
            rate: None,
            time: Duration::from_secs(1),
            waits: Waits::default(),
            check: false,
        };
        let mut bar = Outcome::new(&job(Scenario::Idle), 0);
        bar.put(&figure::BYTES_A_CLIENT, 200.0);
        let mut curve = Outcome::new(&job(Scenario::Latency), 0);
        let mut histogram = delays();
        histogram.record(41_000).expect("within bounds");
        curve.delays = Some(histogram);
        let text = draw(&[bar, curve], |_| vec!["a<b>&".to_owned()]);
        assert!(text.starts_with("<svg ") && text.ends_with("</svg>\n"));
        assert!(text.contains("a&lt;b&gt;&amp; 10 x 256"));
        for tag in ["g", "text"] {
            let [open, close] = [format!("<{tag} "), format!("</{tag}>")];
            assert_eq!(text.matches(&open).count(), text.matches(&close).count());
        }
        assert!(!text.contains("NaN") && !text.contains("inf"));
    }
}
