//! Prometheus' text format: families of samples, each with its type and what it is, all samples of a family together.
//! Labels are a role's name and kind, and the reasons that a kind of role has, so their number is bounded by what was
//! configured.

use std::collections::BTreeMap;
use std::fmt::{Display, Write};
use std::time::Duration;

use crate::reactor::command::{Process, RoleRow, RoleState};
use crate::reactor::view::{Spread, UpstreamState, View};

/// What has been written so far: a family behind the other, and of each a few roles at a time.
#[derive(Debug, Default)]
pub(super) struct Text {
    text: String,
    /// The families that are written: the process's together, whether each role runs, [`FAMILIES`], and then what only
    /// some kinds of roles have.
    families: usize,
    /// The roles that are written of the next one.
    rows: usize,
    /// Where that family begins, and where its samples do.
    begun: (usize, usize),
    /// What the samples of each role begin with, once it is known whether it runs.
    labels: Vec<String>,
    /// What only some kinds of roles have, by the kind and the figure, as long as that is being found out.
    found: BTreeMap<(&'static str, &'static str, bool), &'static str>,
    /// The same, in the order in which it is written.
    figures: Vec<Figures>,
}

/// A family that only one kind of roles has.
#[derive(Debug)]
struct Figures {
    /// The kind of roles, and the figure's name.
    of: (&'static str, &'static str),
    only_grows: bool,
    name: String,
    help: &'static str,
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

/// Which family says whether each role runs.
const UP: usize = 1;
/// Which is the first of [`FAMILIES`].
const FIRST: usize = 2;
/// And which the first that only one kind of roles has.
const FIRST_FIGURES: usize = FIRST + FAMILIES.len();
const UP_NAME: &str = "hydrant_role_up";
const UP_HELP: &str = "1 while the role runs, 0 where it was stopped or could not go on";

/// Roles of which a family is written in one visit.
const ROWS_A_VISIT: usize = 64;

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
    /// Writes a piece: of a family, a few roles. Whether it was the last.
    pub(super) fn write_some(&mut self, process: &Process, rows: &[RoleRow]) -> bool {
        if self.families == 0 {
            write_process(&mut self.text, process);
            self.families = 1;
            return false;
        }
        if self.rows == 0 {
            self.begin_family();
        }
        for row in rows.iter().skip(self.rows).take(ROWS_A_VISIT) {
            self.write_row(row);
            self.rows += 1;
        }
        if self.rows < rows.len() {
            return false;
        }
        self.end_family();
        self.families == FIRST_FIGURES + self.figures.len()
    }

    fn begin_family(&mut self) {
        let before = self.text.len();
        let text = &mut self.text;
        match self.families {
            UP => head(text, UP_NAME, GAUGE, UP_HELP),
            at if at < FIRST_FIGURES => {
                let Family {
                    name, kind, help, ..
                } = &FAMILIES[at - FIRST];
                head(text, name, kind, help);
            }
            at => {
                let figures = &self.figures[at - FIRST_FIGURES];
                let kind = if figures.only_grows { COUNTER } else { GAUGE };
                head(text, &figures.name, kind, figures.help);
            }
        }
        self.begun = (before, self.text.len());
    }

    /// Writes what a role has of the family.
    fn write_row(&mut self, row: &RoleRow) {
        if self.families == UP {
            return self.write_up(row);
        }
        let RoleState::Running(view) = &row.state else {
            return;
        };
        let labels = &self.labels[self.rows];
        let text = &mut self.text;
        if let Some(Family { name, of, .. }) = FAMILIES.get(self.families - FIRST) {
            return of(text, name, labels, view);
        }
        let family = &self.figures[self.families - FIRST_FIGURES];
        let (kind, figure) = family.of;
        if view.kind == kind {
            let all = view.figures.iter();
            let ours = all.filter(|it| it.name == figure && it.only_grows == family.only_grows);
            for figure in ours {
                sample(text, &family.name, labels, "", figure.value);
            }
        }
    }

    /// Whether a role runs; and what is to be known of it from here on.
    fn write_up(&mut self, row: &RoleRow) {
        let mut labels = format!("role=\"{}\"", escaped(&row.name));
        let up = u8::from(matches!(row.state, RoleState::Running(_)));
        sample(&mut self.text, UP_NAME, &labels, "", up);
        if let RoleState::Running(view) = &row.state {
            labels += &format!(",kind=\"{}\"", view.kind);
            for figure in &view.figures {
                let key = (view.kind, figure.name, figure.only_grows);
                self.found.insert(key, figure.help);
            }
        }
        self.labels.push(labels);
    }

    fn end_family(&mut self) {
        let (before, begun) = self.begun;
        if self.text.len() == begun && self.families != UP {
            self.text.truncate(before);
        }
        if self.families == UP {
            let found = std::mem::take(&mut self.found).into_iter();
            self.figures = found.map(Figures::of).collect();
            self.figures.sort_by(|one, other| one.name.cmp(&other.name));
        }
        self.families += 1;
        self.rows = 0;
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.text.into_bytes()
    }
}

impl Figures {
    fn of(
        ((kind, figure, only_grows), help): ((&'static str, &'static str, bool), &'static str),
    ) -> Self {
        let total = if only_grows { "_total" } else { "" };
        Self {
            of: (kind, figure),
            only_grows,
            name: format!("hydrant_{}_{figure}{total}", kind.replace(' ', "_")),
            help,
        }
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
        let mut text = Text::default();
        while !text.write_some(&Process::default(), rows) {}
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

    /// However many roles there are, a visit writes so much of them and no more, and what comes of it is the same as of
    /// each alone.
    #[test]
    fn a_visit_is_no_longer_for_many_roles() {
        let mut view = View::new("relay", Duration::from_secs(2));
        for (name, only_grows) in [("b", false), ("a", true), ("z", true)] {
            view.figures.push(Figure {
                name,
                help: "It",
                only_grows,
                value: 7,
            });
        }
        view.lag = Some(Lag {
            worst: None,
            ages: Spread::default(),
        });
        let hub = View {
            figures: view.figures[..1].to_vec(),
            ..View::new("hub serve", Duration::ZERO)
        };
        let of = |at: usize| match at % 3 {
            0 => row(&format!("r{at}"), view.clone()),
            1 => row(&format!("h{at}"), hub.clone()),
            _ => RoleRow {
                name: format!("s{at}"),
                state: RoleState::Stopped,
            },
        };
        let rows: Vec<RoleRow> = (0..1000).map(of).collect();
        let (mut written, mut longest, mut before) = (Text::default(), 0, 0);
        while !written.write_some(&Process::default(), &rows) {
            longest = longest.max(written.text.len().saturating_sub(before));
            before = written.text.len();
        }
        let whole = written.text;
        assert!(longest < 160 << 10, "{longest} of {}", whole.len());
        // Each family as it is of one alone, for all in their order.
        let alone: Vec<String> = rows
            .iter()
            .map(|row| text(std::slice::from_ref(row)))
            .collect();
        let heads = |text: &str| -> Vec<String> {
            let all = text.lines().filter(|line| line.starts_with("# TYPE "));
            all.map(str::to_owned).collect()
        };
        for head in heads(&whole) {
            let samples = |text: &str| -> Vec<String> {
                let behind = text.split(&format!("{head}\n")).nth(1).unwrap_or_default();
                let ours = behind.lines().take_while(|line| !line.starts_with('#'));
                ours.map(str::to_owned).collect()
            };
            let is_process = samples(&whole).iter().all(|line| !line.contains("role="));
            if !is_process {
                let all: Vec<String> = alone.iter().flat_map(|text| samples(text)).collect();
                assert_eq!(samples(&whole), all, "{head}");
            }
        }
        let kinds = heads(&whole);
        let figures: Vec<&str> = kinds[kinds.len() - 4..].iter().map(|it| &it[7..]).collect();
        assert_eq!(
            figures,
            [
                "hydrant_hub_serve_b gauge",
                "hydrant_relay_a_total counter",
                "hydrant_relay_b gauge",
                "hydrant_relay_z_total counter"
            ]
        );
    }
}
