//! What a relay's state is called, and everything about it as JSON. The rule is the page's, the wall's and a
//! terminal's alike: blue where both sides are connected, amber where the upstream is but says nothing, red otherwise,
//! grey where it does not run.

use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::base::units::Span;
use crate::reactor::command::RoleState;
use crate::reactor::tabs::Tab;
use crate::reactor::view::{Away, Effort, Trouble, Upstream, UpstreamState, View};

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
                Self::new("down", "Not connected", why_upstream(upstream), since)
            }
            _ => {
                let why = format!("{who} is connected; whoever comes is passed on.");
                Self::new("up", "Connected", why, since)
            }
        }
    }

    /// Some destinations are not connected, and nobody else may be there, either.
    fn of_away(away: &[Away], clients: usize) -> Self {
        let longest = away.iter().max_by_key(|it| it.since);
        let Away {
            who,
            since,
            trouble,
            effort,
        } = longest.expect("there is one");
        let mut why = why_away(who, trouble.as_ref(), *effort);
        match away.len() - 1 {
            0 => {}
            1 => why += " Another one is not connected, either.",
            more => why += &format!(" {more} others are not connected, either."),
        }
        let (key, word) = match clients {
            0 => ("down", "No downstream"),
            _ => ("idle", "Relaying in part"),
        };
        Self::new(key, word, why, Some(*since))
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
            UpstreamState::Down => Self::new("down", "No upstream", why_upstream(upstream), since),
            _ if !view.away.is_empty() => Self::of_away(&view.away, view.clients),
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

fn why_upstream(upstream: &Upstream) -> String {
    why_away(&upstream.who, upstream.trouble.as_ref(), upstream.effort)
}

/// Why somebody is not connected, what comes next, and what may be looked after.
fn why_away(who: &str, trouble: Option<&Trouble>, effort: Effort) -> String {
    let Some(Trouble { what, advice }) = trouble else {
        return match effort {
            Effort::Listening => format!("Nobody has connected to {who} yet."),
            Effort::Dialling => format!("Connecting to {who}, which has not answered yet."),
            Effort::Waiting(left) => format!("{who} is dialled again in {}.", soon(left)),
        };
    };
    // Where there are several, another one may be next.
    let is_same = what.split(' ').any(|word| word == who);
    let next = match effort {
        Effort::Listening => format!("Waiting for the next one at {who}."),
        Effort::Dialling if is_same => "Trying again now.".to_owned(),
        Effort::Dialling => format!("Trying {who} now."),
        Effort::Waiting(left) if is_same => format!("Next attempt in {}.", soon(left)),
        Effort::Waiting(left) => format!("Next attempt in {}, at {who}.", soon(left)),
    };
    let mut letters = what.chars();
    let first = letters.next().map(char::to_uppercase);
    let what: String = first.into_iter().flatten().chain(letters).collect();
    format!("{what}. {next} {advice}").trim_end().to_owned()
}

/// A wait in whole seconds: tenths would flicker by.
fn soon(left: Duration) -> Span {
    let is_begun = left.subsec_nanos() > 0;
    let secs = left.as_secs() + u64::from(is_begun);
    Span(Duration::from_secs(secs.max(1)))
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
        "run": tab.run,
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

/// What is wrong, by the field that it is wrong with: a line for each mistake.
pub(super) fn faults(faults: &[(String, String)]) -> Value {
    let mut all: Map<String, Value> = Map::new();
    for (field, text) in faults {
        match all.get_mut(field) {
            Some(Value::String(texts)) => *texts += &format!("\n{text}"),
            _ => _ = all.insert(field.clone(), json!(text)),
        }
    }
    Value::Object(all)
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
        age: view.age,
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
            trouble: None,
            effort: Effort::Dialling,
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

    #[test]
    fn a_destination_that_is_away_is_not_passed_over() {
        let away = |who: &str, secs, what: &str| Away {
            who: who.to_owned(),
            since: Duration::from_secs(secs),
            trouble: Some(Trouble {
                what: format!("downstream {who} {what}"),
                advice: "",
            }),
            effort: Effort::Dialling,
        };
        let both = [
            away("a:1", 3, "refused the connection"),
            away("b:2", 9, "did not answer in time"),
        ];
        let alone = State::of_away(&both[..1], 0);
        assert_eq!((alone.key, alone.word), ("down", "No downstream"));
        assert_eq!(
            alone.why,
            "Downstream a:1 refused the connection. Trying again now."
        );
        let in_part = State::of_away(&both, 2);
        assert_eq!((in_part.key, in_part.word), ("idle", "Relaying in part"));
        assert_eq!(
            in_part.why,
            "Downstream b:2 did not answer in time. Trying again now. Another one is not connected, either."
        );
    }

    #[test]
    fn a_side_that_is_down_says_why_and_what_comes_next() {
        let said = |who: &str, trouble: Option<(&str, &'static str)>, effort| {
            let trouble = trouble.map(|(what, advice)| Trouble {
                what: what.to_owned(),
                advice,
            });
            why_away(who, trouble.as_ref(), effort)
        };
        let refused = Some(("upstream a:1 refused the connection", "Does it run?"));
        let waiting = |millis| Effort::Waiting(Duration::from_millis(millis));
        for (who, trouble, effort, expected) in [
            (
                "a:1",
                None,
                Effort::Listening,
                "Nobody has connected to a:1 yet.",
            ),
            (
                "a:1",
                None,
                Effort::Dialling,
                "Connecting to a:1, which has not answered yet.",
            ),
            (
                "a:1",
                refused,
                waiting(4200),
                "Upstream a:1 refused the connection. Next attempt in 5 s. Does it run?",
            ),
            (
                "b:2",
                refused,
                Effort::Dialling,
                "Upstream a:1 refused the connection. Trying b:2 now. Does it run?",
            ),
            (
                "b:2",
                refused,
                waiting(0),
                "Upstream a:1 refused the connection. Next attempt in 1 s, at b:2. Does it run?",
            ),
            (
                ":5",
                Some(("upstream 10.0.0.5:4001 closed the connection after 3 s", "")),
                Effort::Listening,
                "Upstream 10.0.0.5:4001 closed the connection after 3 s. Waiting for the next one at :5.",
            ),
        ] {
            assert_eq!(said(who, trouble, effort), expected);
        }
    }
}
