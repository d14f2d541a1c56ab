//! Prometheus' text format: families of samples, each with its type and what it is, all samples of a family together.
//! Labels are a role's name and kind, and the reasons that a kind of role has, so their number is bounded by what was
//! configured.

use std::collections::BTreeMap;
use std::fmt::{Display, Write};
use std::time::Duration;

use crate::reactor::command::{Process, RoleRow, RoleState};
use crate::reactor::view::{Spread, UpstreamState, View};

/// What has been written so far.
#[derive(Debug)]
pub(super) struct Text {
    text: String,
    /// The families that are written, of [`FAMILIES`].
    families: usize,
}

/// Writes what a role has of a family. The labels that all of its samples have come first.
type Write1 = fn(&mut String, &str, &str, &View);

/// A family of samples.
struct Family {
    name: &'static str,
    kind: &'static str,
    help: &'static str,
    of: Write1,
}

const COUNTER: &str = "counter";
const GAUGE: &str = "gauge";
const HISTOGRAM: &str = "histogram";

/// The families that every kind of role has.
const FAMILIES: &[Family] = &[
    Family {
        name: "hydrant_role_ready",
        kind: GAUGE,
        help: "1 while the role can do what it is for: its upstream is there, and not silent for too long",
        of: |text, name, labels, view| sample(text, name, labels, "", u8::from(view.is_ready())),
    },
    Family {
        name: "hydrant_role_uptime_seconds",
        kind: GAUGE,
        help: "How long the role has run",
        of: |text, name, labels, view| sample(text, name, labels, "", seconds(view.age)),
    },
    Family {
        name: "hydrant_received_bytes_total",
        kind: COUNTER,
        help: "Bytes that came in",
        of: |text, name, labels, view| sample(text, name, labels, "", view.bytes_in),
    },
    Family {
        name: "hydrant_sent_bytes_total",
        kind: COUNTER,
        help: "Bytes that went out, to all clients together",
        of: |text, name, labels, view| sample(text, name, labels, "", view.bytes_out),
    },
    Family {
        name: "hydrant_clients",
        kind: GAUGE,
        help: "Clients at present",
        of: |text, name, labels, view| sample(text, name, labels, "", view.clients),
    },
    Family {
        name: "hydrant_clients_most",
        kind: GAUGE,
        help: "The most clients at a time since the role began",
        of: |text, name, labels, view| sample(text, name, labels, "", view.clients_most),
    },
    Family {
        name: "hydrant_clients_gone_total",
        kind: COUNTER,
        help: "Clients that are gone, by the reason",
        of: gone,
    },
    Family {
        name: "hydrant_drops_total",
        kind: COUNTER,
        help: "Clients that were dropped, by the reason: those of the ones that are gone that hydrant has ended itself",
        of: drops,
    },
    Family {
        name: "hydrant_refused_total",
        kind: COUNTER,
        help: "Connections that were turned away, by the reason",
        of: refused,
    },
    Family {
        name: "hydrant_client_lag_worst_seconds",
        kind: GAUGE,
        help: "How long the client that is furthest behind is behind",
        of: |text, name, labels, view| {
            if let Some(lag) = &view.lag {
                let worst = lag.worst.as_ref().map_or(Duration::ZERO, |(age, ..)| *age);
                sample(text, name, labels, "", seconds(worst));
            }
        },
    },
    Family {
        name: "hydrant_client_lag_worst_bytes",
        kind: GAUGE,
        help: "How many bytes the client that is furthest behind is behind",
        of: |text, name, labels, view| {
            if let Some(lag) = &view.lag {
                let worst = lag.worst.as_ref().map_or(0, |(_, bytes, _)| *bytes);
                sample(text, name, labels, "", worst);
            }
        },
    },
    Family {
        name: "hydrant_client_lag_seconds",
        kind: HISTOGRAM,
        help: "How long clients were behind, each looked at about once a second",
        of: |text, name, labels, view| {
            if let Some(lag) = &view.lag {
                spread(text, name, labels, &lag.ages);
            }
        },
    },
    Family {
        name: "hydrant_upstream_state",
        kind: GAUGE,
        help: "1 for the state that the upstream is in: up, silent (connected, and no byte yet) or down",
        of: upstream_state,
    },
    Family {
        name: "hydrant_upstream_last_byte_age_seconds",
        kind: GAUGE,
        help: "How long ago the upstream's last byte came",
        of: |text, name, labels, view| {
            if let Some(age) = view.upstream.as_ref().and_then(|it| it.last_byte) {
                sample(text, name, labels, "", seconds(age));
            }
        },
    },
    Family {
        name: "hydrant_upstream_connections_total",
        kind: COUNTER,
        help: "Connections with the upstream",
        of: |text, name, labels, view| {
            if let Some(upstream) = &view.upstream {
                sample(text, name, labels, "", upstream.connections);
            }
        },
    },
    Family {
        name: "hydrant_upstream_reconnects_total",
        kind: COUNTER,
        help: "Connections with the upstream after the first",
        of: |text, name, labels, view| {
            if let Some(upstream) = &view.upstream {
                let again = upstream.connections.saturating_sub(1);
                sample(text, name, labels, "", again);
            }
        },
    },
];

impl Text {
    pub(super) fn new() -> Self {
        Self {
            text: String::new(),
            families: 0,
        }
    }

    /// Writes the next family. Whether it was the last.
    pub(super) fn write_family(&mut self, process: &Process, rows: &[RoleRow]) -> bool {
        let text = &mut self.text;
        match self.families {
            0 => write_process(text, process),
            1 => write_up(text, rows),
            at if at - 2 < FAMILIES.len() => {
                let Family {
                    name,
                    kind,
                    help,
                    of,
                } = &FAMILIES[at - 2];
                let before = text.len();
                head(text, name, kind, help);
                let begun = text.len();
                for (labels, view) in running(rows) {
                    of(text, name, &labels, view);
                }
                if text.len() == begun {
                    text.truncate(before);
                }
            }
            _ => {
                write_figures(text, rows);
                return true;
            }
        }
        self.families += 1;
        false
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.text.into_bytes()
    }
}

/// The roles that run, with their labels.
fn running(rows: &[RoleRow]) -> impl Iterator<Item = (String, &View)> {
    rows.iter().filter_map(|row| match &row.state {
        RoleState::Running(view) => Some((labels(&row.name, view.kind), &**view)),
        RoleState::Stopped | RoleState::Failed(_) => None,
    })
}

fn write_up(text: &mut String, rows: &[RoleRow]) {
    let name = "hydrant_role_up";
    head(
        text,
        name,
        GAUGE,
        "1 while the role runs, 0 where it was stopped or could not go on",
    );
    for row in rows {
        let up = u8::from(matches!(row.state, RoleState::Running(_)));
        let role = format!("role=\"{}\"", escaped(&row.name));
        sample(text, name, &role, "", up);
    }
}

fn write_process(text: &mut String, process: &Process) {
    let mut one = |name: &str, kind: &str, help: &str, value: Option<f64>| {
        if let Some(value) = value {
            head(text, name, kind, help);
            sample(text, name, "", "", value);
        }
    };
    let (open, most) = process.descriptors;
    one(
        "hydrant_uptime_seconds",
        GAUGE,
        "How long the process has run",
        Some(seconds(process.age)),
    );
    one(
        "process_resident_memory_bytes",
        GAUGE,
        "Memory that is resident",
        process.memory.map(|bytes| bytes as f64),
    );
    one(
        "process_cpu_seconds_total",
        COUNTER,
        "Processor time that was used",
        process.processor.map(seconds),
    );
    one(
        "process_open_fds",
        GAUGE,
        "Descriptors that are open, about",
        Some(open as f64),
    );
    one(
        "process_max_fds",
        GAUGE,
        "Descriptors that may be open",
        Some(most as f64),
    );
    let name = "hydrant_build_info";
    head(text, name, GAUGE, "1, with the version");
    let version = format!("version=\"{}\"", env!("CARGO_PKG_VERSION"));
    sample(text, name, &version, "", 1);
    let name = "hydrant_reloads_total";
    head(
        text,
        name,
        COUNTER,
        "Times that the run file was read again, and how that went",
    );
    let (good, bad) = process.reloads;
    sample(text, name, "result=\"applied\"", "", good);
    sample(text, name, "result=\"refused\"", "", bad);
    let name = "hydrant_loop_turn_seconds";
    head(
        text,
        name,
        HISTOGRAM,
        "How long turns of the event loop took, the waits between them left out",
    );
    spread(text, name, "", &process.turns);
}

/// What only some kinds of roles have, a family for each.
fn write_figures(text: &mut String, rows: &[RoleRow]) {
    let mut families: BTreeMap<String, Vec<(String, u64)>> = BTreeMap::new();
    let mut heads: BTreeMap<String, (&str, &str)> = BTreeMap::new();
    for (labels, view) in running(rows) {
        for figure in &view.figures {
            let kind = view.kind.replace(' ', "_");
            let total = if figure.only_grows { "_total" } else { "" };
            let name = format!("hydrant_{kind}_{}{total}", figure.name);
            let kind = if figure.only_grows { COUNTER } else { GAUGE };
            heads.insert(name.clone(), (kind, figure.help));
            let samples = families.entry(name).or_default();
            samples.push((labels.clone(), figure.value));
        }
    }
    for (name, samples) in families {
        let (kind, help) = heads[&name];
        head(text, &name, kind, help);
        for (labels, value) in samples {
            sample(text, &name, &labels, "", value);
        }
    }
}

fn gone(text: &mut String, name: &str, labels: &str, view: &View) {
    for gone in &view.gone {
        sample(text, name, labels, &reason(gone.reason), gone.times);
    }
}

fn drops(text: &mut String, name: &str, labels: &str, view: &View) {
    for gone in view.gone.iter().filter(|gone| gone.is_drop) {
        sample(text, name, labels, &reason(gone.reason), gone.times);
    }
}

fn refused(text: &mut String, name: &str, labels: &str, view: &View) {
    for (why, times) in &view.refused {
        sample(text, name, labels, &reason(why), times);
    }
}

fn upstream_state(text: &mut String, name: &str, labels: &str, view: &View) {
    let Some(upstream) = &view.upstream else {
        return;
    };
    for (state, word) in [
        (UpstreamState::Up, "up"),
        (UpstreamState::Silent, "silent"),
        (UpstreamState::Down, "down"),
    ] {
        let is_it = u8::from(upstream.state == state);
        sample(text, name, labels, &format!("state=\"{word}\""), is_it);
    }
}

fn labels(role: &str, kind: &str) -> String {
    format!("role=\"{}\",kind=\"{kind}\"", escaped(role))
}

fn reason(word: &str) -> String {
    format!("reason=\"{}\"", escaped(word))
}

fn escaped(value: &str) -> String {
    let value = value.replace('\\', r"\\").replace('"', "\\\"");
    value.replace('\n', r"\n")
}

fn seconds(time: Duration) -> f64 {
    time.as_secs_f64()
}

fn head(text: &mut String, name: &str, kind: &str, help: &str) {
    let _ = write!(text, "# HELP {name} {help}.\n# TYPE {name} {kind}\n");
}

/// `name{labels,more} value`
fn sample(text: &mut String, name: &str, labels: &str, more: &str, value: impl Display) {
    let comma = if labels.is_empty() || more.is_empty() {
        ""
    } else {
        ","
    };
    let _ = match labels.is_empty() && more.is_empty() {
        true => writeln!(text, "{name} {value}"),
        false => writeln!(text, "{name}{{{labels}{comma}{more}}} {value}"),
    };
}

fn spread(text: &mut String, name: &str, labels: &str, times: &Spread) {
    let bucket = format!("{name}_bucket");
    for (bound, count) in times.within() {
        let bound = format!("le=\"{}\"", seconds(bound));
        sample(text, &bucket, labels, &bound, count);
    }
    sample(text, &bucket, labels, "le=\"+Inf\"", times.count());
    sample(
        text,
        &format!("{name}_sum"),
        labels,
        "",
        seconds(times.sum()),
    );
    sample(text, &format!("{name}_count"), labels, "", times.count());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reactor::view::{Figure, Lag};

    fn text(rows: &[RoleRow]) -> String {
        let mut text = Text::new();
        while !text.write_family(&Process::default(), rows) {}
        String::from_utf8(text.into_bytes()).expect("it is text")
    }

    fn row(name: &str, view: View) -> RoleRow {
        RoleRow {
            name: name.to_owned(),
            state: RoleState::Running(Box::new(view)),
        }
    }

    #[test]
    fn a_family_stands_together_and_once() {
        let mut view = View::new("relay", Duration::from_secs(2));
        view.figures.push(Figure {
            name: "skipped_bytes",
            help: "Bytes",
            only_grows: true,
            value: 7,
        });
        view.lag = Some(Lag {
            worst: None,
            ages: Spread::default(),
        });
        let hub = View::new("hub serve", Duration::ZERO);
        let text = text(&[row("a\"\\", view.clone()), row("b", view), row("c", hub)]);
        let mut seen: Vec<&str> = Vec::new();
        for line in text.lines().filter(|line| line.starts_with("# TYPE ")) {
            let name = line.split(' ').nth(2).expect("a name");
            assert!(!seen.contains(&name), "{name} comes twice");
            seen.push(name);
        }
        let clients = "hydrant_clients{role=\"a\\\"\\\\\",kind=\"relay\"} 0\n\
                       hydrant_clients{role=\"b\",kind=\"relay\"} 0\n\
                       hydrant_clients{role=\"c\",kind=\"hub serve\"} 0\n";
        assert!(text.contains(clients), "{text}");
        assert!(text.contains("hydrant_relay_skipped_bytes_total{role=\"b\",kind=\"relay\"} 7\n"));
        let bucket = "hydrant_client_lag_seconds_bucket{role=\"b\",kind=\"relay\",le=\"+Inf\"} 0\n";
        assert!(text.contains(bucket), "{text}");
    }

    #[test]
    fn a_role_that_does_not_run_is_down_and_no_more() {
        let rows = [RoleRow {
            name: "x".to_owned(),
            state: RoleState::Stopped,
        }];
        let text = text(&rows);
        assert!(text.contains("hydrant_role_up{role=\"x\"} 0\n"));
        assert!(!text.contains("hydrant_clients"), "{text}");
    }
}
