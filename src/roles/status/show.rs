//! What a terminal is shown of the state that a process tells of itself.

use std::fmt::Write;
use std::time::Duration;

use serde_json::Value;

use crate::base::units::{Bytes, Rate, Span, Typed, columns, is_decimal};

/// Which role comes first.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Order {
    /// As in the run file, or as the tabs of the page.
    AsGiven,
    /// Those that are not as somebody wants them: a terminal may have no room for all.
    WorstFirst,
}

/// Whether all roles of a process are as somebody wants them.
pub(super) fn is_well(state: &Value) -> bool {
    list(state, "roles").iter().all(is_role_well)
}

fn is_role_well(role: &Value) -> bool {
    WELL.contains(&text(role, "state").as_str())
}

/// All roles of a process, a line each below a head; and what of its settings is not in their file.
pub(super) fn roles(process: &str, state: &Value, order: Order) -> String {
    let head = [
        "ROLE", "STATE", "IN", "OUT", "CLIENTS", "LAG", "DROPS", "WHY",
    ];
    let mut rows = vec![head.map(str::to_owned)];
    let mut all: Vec<&Value> = list(state, "roles").iter().collect();
    if order == Order::WorstFirst {
        all.sort_by_key(|role| is_role_well(role));
    }
    for role in all {
        let lag = &role["lag"];
        rows.push([
            text(role, "label"),
            text(role, "word"),
            rate(role, "in"),
            rate(role, "out"),
            count(role, "clients").to_string(),
            match lag.is_object() {
                true => format!("{} {}", span(lag, "seconds"), text(lag, "peer")),
                false => "-".to_owned(),
            },
            count(role, "drops_total").to_string(),
            text(role, "why"),
        ]);
    }
    let version = text(state, "version");
    let unsaved = not_saved(&state["settings"], "error");
    let note = match text(&state["settings"], "note") {
        none if none.is_empty() => none,
        note => format!("settings: {note}\n"),
    };
    format!(
        "hydrant {version}, process {process}\n{}{unsaved}{note}",
        table(&rows)
    )
}

/// That something is not saved, if `key` says why.
pub(super) fn not_saved(said: &Value, key: &str) -> String {
    match text(said, key) {
        none if none.is_empty() => none,
        why => format!("not saved: {why}\n"),
    }
}

/// Why something was not done: what is wrong with fields, where that is it.
pub(super) fn refusal(said: &Value) -> String {
    let errors = said["errors"].as_object().into_iter().flatten();
    let errors = errors.filter_map(|(_, text)| text.as_str());
    let errors: Vec<&str> = errors.flat_map(str::lines).collect();
    match errors.is_empty() {
        true => lines(said, "error"),
        false => errors.join("; "),
    }
}

/// The id of the one client of this address or label; or what was given, where nobody has that and it may be an id.
pub(super) fn client(page: &Value, name: &str) -> Result<String, String> {
    let is_it = |row: &&Value| {
        [text(row, "peer"), text(row, "label")]
            .iter()
            .any(|own| own == name)
    };
    let found: Vec<&Value> = list(page, "rows").iter().filter(is_it).collect();
    match found.as_slice() {
        [one] => Ok(text(one, "id")),
        [] if is_decimal(name) => Ok(name.to_owned()),
        [] => Err(format!("no client {} is there", Typed(name))),
        all => {
            // Those of a Unix socket have one address.
            let peers: Vec<String> = all
                .iter()
                .take(PEERS)
                .map(|row| format!("{} {}", text(row, "id"), text(row, "peer")))
                .collect();
            let more = if all.len() > PEERS { ", ..." } else { "" };
            Err(format!(
                "{} clients are called {}: give the id of one of them ({}{more})",
                all.len(),
                Typed(name),
                peers.join(", ")
            ))
        }
    }
}

/// Clients of a role.
pub(super) fn clients(page: &Value) -> String {
    let head = ["ID", "CLIENT", "LABEL", "LAG", "BEHIND", "TOOK", "FOR"];
    let mut rows = vec![head.map(str::to_owned)];
    for client in list(page, "rows") {
        rows.push([
            text(client, "id"),
            text(client, "peer"),
            text(client, "label"),
            span(client, "lag"),
            Bytes(count(client, "behind")).to_string(),
            Bytes(count(client, "bytes")).to_string(),
            span(client, "joined"),
        ]);
    }
    let mut shown = table(&rows);
    let left = count(page, "total").saturating_sub(rows.len() as u64 - 1);
    if left > 0 {
        let _ = writeln!(shown, "and {left} more, none of them further behind");
    }
    shown
}

/// What is not known yet is none.
fn rate(role: &Value, key: &str) -> String {
    match role[key].is_null() {
        true => "-".to_owned(),
        false => Rate(count(role, key)).to_string(),
    }
}

/// Columns as wide as their widest value; what is empty throughout is left out, and the last one is not filled up.
fn table<const N: usize>(rows: &[[String; N]]) -> String {
    let wide = |cell: &str| -> usize { cell.chars().map(columns).sum() };
    let width = |column: usize| rows.iter().map(|row| wide(&row[column])).max();
    let is_used = |column: &usize| rows.iter().skip(1).any(|row| !row[*column].is_empty());
    let used: Vec<usize> = (0..N)
        .filter(|column| rows.len() == 1 || is_used(column))
        .collect();
    let mut shown = String::new();
    for row in rows {
        let mut line = String::new();
        for column in &used {
            let cell = &row[*column];
            let gap = width(*column).unwrap_or_default() - wide(cell);
            let _ = write!(line, "{cell}{:gap$}  ", "");
        }
        shown += line.trim_end();
        shown.push('\n');
    }
    shown
}

pub(super) fn list<'a>(of: &'a Value, key: &str) -> &'a [Value] {
    of[key].as_array().map_or(&[], Vec::as_slice)
}

/// A text as a terminal may be shown it: what stands there comes from other processes and from peers.
pub(super) fn text(of: &Value, key: &str) -> String {
    let text = of[key].as_str().unwrap_or_default();
    text.chars().filter(|c| !c.is_control()).collect()
}

/// As [`text`], with its line ends: a mistake in a file is shown below the line that it is in.
pub(super) fn lines(of: &Value, key: &str) -> String {
    let text = of[key].as_str().unwrap_or_default();
    let is_shown = |c: &char| *c == '\n' || !c.is_control();
    text.chars().filter(is_shown).collect()
}

fn count(of: &Value, key: &str) -> u64 {
    let number = &of[key];
    number
        .as_u64()
        .unwrap_or_else(|| number.as_f64().unwrap_or_default() as u64)
}

fn span(of: &Value, key: &str) -> String {
    let seconds = of[key].as_f64().filter(|seconds| *seconds >= 0.0);
    let time = Duration::try_from_secs_f64(seconds.unwrap_or_default());
    Span(time.unwrap_or_default()).to_string()
}

/// The states in which a role is as somebody wants it, as the page has them.
const WELL: [&str; 3] = ["ending", "up", "stopped"];
/// How many are named of those of whom one can be meant.
const PEERS: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn columns_are_as_wide_as_what_is_in_them() {
        let state = json!({ "version": "1.2.3", "roles": [
            { "label": "relay[sports]", "word": "Relaying", "in": 2048, "out": 4096.0, "clients": 2,
              "lag": { "seconds": 0.2, "bytes": 9, "peer": "10.0.0.9:5" }, "drops_total": 1, "why": "It sends." },
            { "label": "hub", "word": "Stopped\u{1b}[2J", "why": "It does not run." },
        ] });
        let shown = roles("7", &state, Order::AsGiven);
        let lines: Vec<&str> = shown.lines().collect();
        assert_eq!(lines[0], "hydrant 1.2.3, process 7");
        let column = |line: &str, part: &str| line.find(part).unwrap_or_else(|| panic!("{shown}"));
        assert_eq!(column(lines[1], "STATE"), column(lines[2], "Relaying"));
        assert_eq!(column(lines[1], "WHY"), column(lines[3], "It does"));
        assert!(
            lines[2].contains("2 KiB/s") && lines[2].contains("10.0.0.9:5"),
            "{shown}"
        );
        assert!(!shown.contains('\u{1b}'));
    }

    #[test]
    fn what_is_not_known_yet_is_no_figure() {
        let state = json!({ "version": "1", "roles": [
            { "label": "hub", "word": "Running", "in": null, "out": 0, "clients": 2, "why": "It serves." },
        ] });
        let shown = roles("7", &state, Order::AsGiven);
        assert!(shown.contains("-   0 B/s"), "{shown}");
        let said =
            json!({ "error": "some fields are not right", "errors": { "dst": "port in use" } });
        assert_eq!(refusal(&said), "port in use");
        assert_eq!(
            refusal(&json!({ "error": "it does not run" })),
            "it does not run"
        );
    }

    /// A name may be of letters of East Asia, which take two columns, or have marks, which take none.
    #[test]
    fn columns_stand_below_each_other_whatever_letters_names_have() {
        let role = |label: &str| json!({ "label": label, "word": "Running" });
        let all = ["plain", "放送局", "e\u{301}te\u{301}"].map(role);
        let shown = roles(
            "7",
            &json!({ "version": "1", "roles": all }),
            Order::AsGiven,
        );
        let at = |line: &str| -> usize {
            let (before, _) = line.split_once("Running").unwrap_or_default();
            before.chars().map(columns).sum()
        };
        let places: Vec<usize> = shown.lines().skip(2).map(at).collect();
        assert_eq!(places, [8, 8, 8], "{shown}");
    }

    #[test]
    fn those_that_are_not_well_come_first_where_somebody_watches() {
        let role = |label: &str, state: &str| json!({ "label": label, "state": state });
        let all = [
            role("a", "up"),
            role("b", "down"),
            role("c", "stopped"),
            role("d", "silent"),
        ];
        let state = json!({ "version": "1", "roles": all });
        let order = |order| -> Vec<String> {
            let shown = roles("7", &state, order);
            shown
                .lines()
                .skip(2)
                .filter_map(|line| line.split(' ').next().map(str::to_owned))
                .collect()
        };
        assert_eq!(order(Order::AsGiven), ["a", "b", "c", "d"]);
        assert_eq!(order(Order::WorstFirst), ["b", "d", "a", "c"]);
        assert!(!is_well(&state));
        assert!(is_well(
            &json!({ "roles": [role("a", "up"), role("c", "stopped")] })
        ));
    }

    /// Whoever looks here is to know that the next start will not be as what runs.
    #[test]
    fn what_is_not_saved_is_said_below() {
        let mut state = json!({ "version": "1", "roles": [], "settings": { "error": "the disk\u{1b} is full" } });
        let shown = roles("7", &state, Order::AsGiven);
        assert!(
            shown.ends_with("\nnot saved: the disk is full\n"),
            "{shown}"
        );
        state["settings"]["error"] = json!(null);
        assert!(!roles("7", &state, Order::AsGiven).contains("saved"));
        state["settings"]["note"] = json!("there is more");
        assert!(roles("7", &state, Order::AsGiven).ends_with("\nsettings: there is more\n"));
    }

    #[test]
    fn one_client_is_meant_or_none() {
        let row =
            |id: u8| json!({ "peer": format!("a:{id}"), "label": "web", "id": id.to_string() });
        let rows = [1, 2, 3, 4].map(row);
        let page = json!({ "rows": rows });
        assert_eq!(client(&page, "a:2").expect("there is one"), "2");
        // The process knows whether there is one of this id: it may not be on this page.
        assert_eq!(client(&page, "17").expect("it is an id"), "17");
        let why = client(&page, "web").expect_err("there are four");
        assert_eq!(
            why,
            "4 clients are called web: give the id of one of them (1 a:1, 2 a:2, 3 a:3, ...)"
        );
        let why = client(&page, "b").expect_err("there is none");
        assert_eq!(why, "no client b is there");
    }

    #[test]
    fn clients_that_are_left_out_are_counted() {
        let page = json!({ "total": 3, "rows": [
            { "id": "1", "peer": "a:1", "label": "", "lag": 1.5, "behind": 10, "bytes": 20, "joined": 60.0 },
        ] });
        let shown = clients(&page);
        assert!(
            shown.ends_with("and 2 more, none of them further behind\n"),
            "{shown}"
        );
        assert!(!shown.contains("LABEL"), "{shown}");
    }
}
