//! What a relay's state is called, and everything about it as JSON. The rule is the page's, the wall's and a
//! terminal's alike: blue where both sides are connected, amber where the upstream is but says nothing, red otherwise,
//! grey where it does not run.

use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::base::units::Span;
use crate::reactor::command::RoleState;
use crate::reactor::tabs::Tab;
use crate::reactor::view::{Upstream, UpstreamState, View};

use super::history::{History, Sample};

/// A state by its key, by its word, and why it is so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct State {
    pub(super) key: &'static str,
    pub(super) word: &'static str,
    pub(super) why: String,
    /// For how long.
    pub(super) since: Option<Duration>,
}

impl State {
    pub(super) fn of(tab: &Tab) -> Self {
        match &tab.row.state {
            RoleState::Stopped => {
                Self::new("stopped", "Stopped", "It does not run.".to_owned(), None)
            }
            RoleState::Failed(text) => Self::new("failed", "Failed", text.clone(), None),
            RoleState::Running(view) => Self::of_running(view),
        }
    }

    fn new(key: &'static str, word: &'static str, why: String, since: Option<Duration>) -> Self {
        Self {
            key,
            word,
            why,
            since,
        }
    }

    /// An end of a tunnel has nobody who should always send, and is well while nobody needs it.
    fn of_end(upstream: &Upstream) -> Self {
        let (who, since) = (&upstream.who, Some(upstream.since));
        match upstream.state {
            UpstreamState::Down => {
                let why = format!("{who} can't be reached, and is tried again.");
                Self::new("down", "Not connected", why, since)
            }
            _ => {
                let why = format!("{who} is connected; whoever comes is passed on.");
                Self::new("up", "Connected", why, since)
            }
        }
    }

    fn of_running(view: &View) -> Self {
        let age = Some(view.age);
        if view.is_ending {
            let why = "Its clients get what is theirs; then it stops.".to_owned();
            return Self::new("ending", "Stopping", why, None);
        }
        let Some(upstream) = &view.upstream else {
            return Self::new(
                "up",
                "Running",
                "It serves whoever connects.".to_owned(),
                age,
            );
        };
        let since = Some(upstream.since);
        if view.kind != "relay" {
            return Self::of_end(upstream);
        }
        let who = match upstream.who.as_str() {
            "" => "The upstream".to_owned(),
            who => format!("Upstream {who}"),
        };
        let silence = upstream
            .last_byte
            .unwrap_or(upstream.since)
            .min(upstream.since);
        match upstream.state {
            UpstreamState::Down => Self::new(
                "down",
                "No upstream",
                format!("{who} is not connected."),
                since,
            ),
            UpstreamState::Silent | UpstreamState::Up
                if silence >= SILENT || upstream.is_overdue =>
            {
                let why = format!(
                    "{who} is connected and has sent nothing for {}.",
                    Span(silence)
                );
                Self::new("silent", "Silent", why, Some(silence))
            }
            _ if view.clients == 0 => {
                let why = format!("{who} is connected; nobody is there to take what it sends.");
                Self::new("idle", "No clients", why, since)
            }
            UpstreamState::Silent => Self::new(
                "silent",
                "No data yet",
                format!("{who} is connected; nothing has come yet."),
                since,
            ),
            UpstreamState::Up => Self::new(
                "up",
                "Relaying",
                format!("{who} is connected and sends."),
                since,
            ),
        }
    }
}

/// Everything about a tab.
pub(super) fn json(tab: &Tab, history: &History) -> Value {
    let state = State::of(tab);
    let mut all = json!({
        "id": tab.id,
        "name": tab.row.name,
        "kind": tab.kind,
        "label": tab.label,
        "dump": tab.dump,
        "running": matches!(tab.row.state, RoleState::Running(_)),
        "state": state.key,
        "word": state.word,
        "why": state.why,
        "since": state.since.map(|since| since.as_secs_f64()),
        "drops_10m": history.drops(tab.id),
        "fixed": tab.settings.as_ref().is_none_or(|settings| settings.is_fixed),
        "fields": Value::Null,
        "command": Value::Null,
        "unsaid": [],
        "errors": {},
    });
    let Value::Object(object) = &mut all else {
        unreachable!("it was made as an object");
    };
    if let Some(settings) = &tab.settings {
        let mut fields: Map<String, Value> = settings
            .fields
            .iter()
            .map(|(key, value)| (key.clone(), json!(value)))
            .collect();
        fields.insert("dump".to_owned(), json!(tab.dump));
        object.insert("fields".to_owned(), Value::Object(fields));
        object.insert("command".to_owned(), json!(settings.command));
        object.insert("unsaid".to_owned(), json!(settings.unsaid));
        object.insert("errors".to_owned(), faults(&settings.faults));
    }
    figures(object, tab, history);
    all
}

/// What of that those are shown who may only look: what is on the wall, without what it is made of.
pub(super) fn as_seen(mut all: Value) -> Value {
    let shown = SEEN.iter().filter_map(|key| {
        let value = all.get_mut(key)?.take();
        Some(((*key).to_owned(), value))
    });
    Value::Object(shown.collect())
}

fn figures(object: &mut Map<String, Value>, tab: &Tab, history: &History) {
    let none = View::new("", Duration::ZERO);
    let view = match &tab.row.state {
        RoleState::Running(view) => view,
        _ => &none,
    };
    let rates = view.rates.or_else(|| history.rates(tab.id));
    let worst = view.lag.as_ref().and_then(|lag| lag.worst.as_ref());
    let upstream = view.upstream.as_ref();
    let counts = |counts: Vec<(&'static str, u64)>| {
        let some = counts.into_iter().filter(|(_, count)| *count > 0);
        Value::Object(
            some.map(|(word, count)| (word.to_owned(), json!(count)))
                .collect(),
        )
    };
    let drops = view
        .gone
        .iter()
        .filter(|gone| gone.is_drop)
        .map(|gone| (gone.reason, gone.times));
    let listening: Vec<String> = view.listens.iter().map(|(at, _)| at.to_string()).collect();
    let doors: Vec<Value> = view
        .listens
        .iter()
        .map(|(at, whom)| json!({ "at": at.to_string(), "for": whom }))
        .collect();
    let figures = view
        .figures
        .iter()
        .map(|figure| (figure.name, figure.value));
    let figures: Vec<_> = figures.collect();
    let more = json!({
        "age": view.age.as_secs_f64(),
        "in": rates.map(|(rate, _)| rate),
        "out": rates.map(|(_, rate)| rate),
        "bytes_in": view.bytes_in,
        "bytes_out": view.bytes_out,
        "clients": view.clients,
        "clients_most": view.clients_most,
        "listening": listening,
        "doors": doors,
        "figures": counts(figures),
        "has_lag": view.lag.is_some(),
        "upstream": upstream.map(|upstream| json!({
            "peer": upstream.who,
            "last_byte": upstream.last_byte.map(|ago| ago.as_secs_f64()),
        })),
        "reconnects": upstream.map_or(0, |upstream| upstream.connections.saturating_sub(1)),
        "lag": worst.filter(|(_, bytes, _)| *bytes > 0).map(|(age, bytes, peer)| json!({
            "seconds": age.as_secs_f64(), "bytes": bytes, "peer": peer,
        })),
        "drops": counts(drops.collect()),
        "drops_total": view.drops(),
        "refused": counts(view.refused.clone()),
    });
    if let Value::Object(more) = more {
        object.extend(more);
    }
}

/// What is wrong, by the field that it is wrong with.
pub(super) fn faults(faults: &[(String, String)]) -> Value {
    Value::Object(
        faults
            .iter()
            .map(|(field, text)| (field.clone(), json!(text)))
            .collect(),
    )
}

/// What is drawn of a tab's second.
pub(super) fn sample(tab: &Tab) -> Sample {
    let RoleState::Running(view) = &tab.row.state else {
        return Sample::default();
    };
    let rates = view.rates;
    let worst = view.lag.as_ref().and_then(|lag| lag.worst.as_ref());
    Sample {
        rates,
        bytes_in: view.bytes_in,
        bytes_out: view.bytes_out,
        lag: worst.map_or(0.0, |(age, ..)| age.as_secs_f64()),
        clients: view.clients,
        drops: view.drops(),
    }
}

/// What is shown to those who may only look. Whatever else comes to be said of a tab is not for them.
const SEEN: &[&str] = &[
    "id",
    "name",
    "kind",
    "running",
    "dump",
    "state",
    "word",
    "why",
    "since",
    "age",
    "in",
    "out",
    "bytes_in",
    "bytes_out",
    "clients",
    "clients_most",
    "listening",
    "doors",
    "figures",
    "has_lag",
    "upstream",
    "reconnects",
    "lag",
    "drops",
    "drops_10m",
    "drops_total",
    "refused",
];
/// An upstream that is connected and sends nothing for so long is silent.
const SILENT: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    fn relay(state: UpstreamState, last_byte: Option<u64>, clients: usize) -> State {
        let mut view = View::new("relay", Duration::from_secs(60));
        view.clients = clients;
        view.upstream = Some(Upstream {
            state,
            who: "a:1".to_owned(),
            since: Duration::from_secs(3),
            last_byte: last_byte.map(Duration::from_secs),
            is_overdue: false,
            connections: 1,
        });
        State::of_running(&view)
    }

    #[test]
    fn nobody_is_said_to_send_who_has_not() {
        let silent = relay(UpstreamState::Silent, None, 1);
        assert_eq!((silent.key, silent.word), ("silent", "No data yet"));
        assert_eq!(
            silent.why,
            "Upstream a:1 is connected; nothing has come yet."
        );
        // What came over an earlier connection is not its own.
        assert_eq!(relay(UpstreamState::Silent, Some(5), 1), silent);
        let up = relay(UpstreamState::Up, Some(0), 1);
        assert_eq!((up.key, up.word), ("up", "Relaying"));
        assert_eq!(relay(UpstreamState::Silent, None, 0).key, "idle");
    }
}
