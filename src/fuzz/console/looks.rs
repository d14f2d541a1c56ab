//! What a console shows to whom.

use std::collections::BTreeSet;

use serde_json::Value;

use super::tests::{BEARER, SECOND, asked, console};
use super::*;
use crate::roles::console::Work;

fn state_by(play: &mut Play, bearer: &str) -> Value {
    let answer = asked(play, &request("GET", "/api/v1/state", bearer));
    assert_eq!(answer.status, 200, "{}", answer.body);
    serde_json::from_str(&answer.body).expect("it is JSON")
}

/// What comes of requests that are sent one behind the other, whose heads are of interest.
fn heads(play: &mut Play, words: &str) -> Vec<String> {
    let guest = play.guest();
    assert_eq!(play.says(guest, words.as_bytes()), words.len());
    let heard = String::from_utf8(play.hears_for(guest, SECOND)).expect("it is text");
    heard
        .split("HTTP/1.1 ")
        .skip(1)
        .map(str::to_owned)
        .collect()
}

fn post(path: &str, field: &str, body: &str) -> String {
    let length = body.len();
    let fields = format!("{field}Content-Type: application/json\r\nContent-Length: {length}\r\n");
    request("POST", path, &fields) + body
}

fn logs_in(play: &mut Play, token: &str, times: usize) -> Vec<String> {
    let body = format!(r#"{{"token":"{token}"}}"#);
    let heads = heads(play, &post("/api/v1/login", "", &body).repeat(times));
    let cookies = heads.iter().map(|head| {
        let cookie = head.split("Set-Cookie: ").nth(1).expect("a cookie");
        format!("Cookie: {}\r\n", cookie.split(';').next().expect("a value"))
    });
    cookies.collect()
}

fn keys(object: &Value) -> BTreeSet<&str> {
    let object = object.as_object().expect("an object");
    object.keys().map(String::as_str).collect()
}

/// Whoever may only look is shown what is named here; what is added to the state for others is not among it.
#[test]
fn who_may_look_is_shown_what_is_on_the_wall_and_no_more() {
    let mut play = console(8);
    play.pass(SECOND);
    let all = state_by(&mut play, BEARER);
    let seen = state_by(
        &mut play,
        &format!("Authorization: Bearer {VIEW_TOKEN}\r\n"),
    );
    let shown = [
        "age",
        "bytes_in",
        "bytes_out",
        "clients",
        "clients_most",
        "doors",
        "drops",
        "drops_10m",
        "drops_total",
        "dump",
        "figures",
        "has_lag",
        "id",
        "in",
        "kind",
        "lag",
        "listening",
        "name",
        "out",
        "reconnects",
        "refused",
        "running",
        "since",
        "state",
        "upstream",
        "why",
        "word",
    ];
    assert_eq!(keys(&seen["roles"][0]), BTreeSet::from(shown));
    let kept = BTreeSet::from([
        "command", "errors", "fields", "fixed", "label", "run", "unsaid",
    ]);
    let (of_all, of_seen) = (keys(&all["roles"][0]), keys(&seen["roles"][0]));
    assert_eq!(
        of_all
            .difference(&of_seen)
            .copied()
            .collect::<BTreeSet<_>>(),
        kept
    );
    let shown = [
        "guarded",
        "look",
        "roles",
        "settings",
        "started",
        "utc",
        "version",
        "view_only",
    ];
    assert_eq!(keys(&seen), BTreeSet::from(shown));
    assert_eq!(keys(&seen), keys(&all));
    assert_eq!(
        (&seen["settings"], &seen["view_only"]),
        (&Value::Null, &true.into())
    );
    assert_eq!(all["view_only"], false);
}

/// Whoever has the token for looking may give back as many cookies as they like: it costs no other viewer theirs.
#[test]
fn nobody_logs_all_others_out() {
    let mut play = console(64);
    let other = logs_in(&mut play, VIEW_TOKEN, 1).remove(0);
    let mut statuses = Vec::new();
    for _ in 0..11 {
        let cookies = logs_in(&mut play, VIEW_TOKEN, 100);
        let outs = cookies
            .iter()
            .map(|cookie| post("/api/v1/logout", cookie, "{}"));
        let heads = heads(&mut play, &outs.collect::<String>());
        statuses.extend(heads.iter().map(|head| head[..3].to_owned()));
    }
    assert_eq!(statuses.len(), 1100);
    state_by(&mut play, &other);
    assert!(statuses[..20].iter().all(|status| status == "200"));
    assert!(statuses.contains(&"429".to_owned()));
    // Who may do everything can log out in any case.
    let owner = logs_in(&mut play, TOKEN, 1).remove(0);
    let out = post("/api/v1/logout", &owner, "{}");
    assert!(heads(&mut play, &out)[0].starts_with("200"));
}

/// A page has a way to log out as soon as there is a token, whenever that was.
#[test]
fn a_token_that_comes_later_is_shown_too() {
    let mut play = Play::new(Party::console(8, None), 1, Faults::none());
    assert_eq!(state_by(&mut play, "")["guarded"], false);
    let role = play.role;
    let token = Some(Secret::from(TOKEN.as_bytes().to_vec()));
    play.reactor.with(role, |party, cx| match party {
        Party::Console(console) => console.set_tokens(cx, token.clone(), None),
        Party::Metrics(_) => unreachable!("it is a console"),
    });
    assert_eq!(state_by(&mut play, BEARER)["guarded"], true);
}

/// For so long: the most that one turn has done of what takes time, and all of it.
fn works_for(play: &mut Play, time: Duration) -> (Work, Work) {
    let work = |play: &Play| match play.reactor.role(play.role) {
        Some(Party::Console(console)) => console.work(),
        _ => panic!("it has ended"),
    };
    let (begun, end) = (work(play), play.now() + time);
    let (mut before, mut most) = (begun, Work::default());
    play.handle.world().stop_at(end);
    while play.now() < end {
        play.turn();
        let now = work(play);
        most.rows = most.rows.max(now.rows - before.rows);
        most.seen = most.seen.max(now.seen - before.seen);
        most.told = most.told.max(now.told - before.told);
        most.lines = most.lines.max(now.lines - before.lines);
        most.fed = most.fed.max(now.fed - before.fed);
        before = now;
    }
    let all = Work {
        rows: before.rows - begun.rows,
        seen: before.seen - begun.seen,
        told: before.told - begun.told,
        lines: before.lines - begun.lines,
        fed: before.fed - begun.fed,
    };
    (most, all)
}

/// What a turn does grows neither with the number of relays nor with that of pages, and while nobody looks nothing is
/// written.
#[test]
fn a_turn_is_no_longer_for_many_relays_or_pages() {
    let mut play = console(64);
    play.owner.tabs = 1500;
    play.pass(SECOND);
    let (_, all) = works_for(&mut play, SECOND * 5);
    assert_eq!(all, Work::default());
    assert!(play.owner.looks >= 5, "samples are taken all the same");
    assert_eq!(play.owner.sheets, 0, "without the settings");
    let pages: Vec<_> = (0..30)
        .map(|_| {
            let page = play.guest();
            play.says(page, request("GET", "/api/v1/events", BEARER).as_bytes());
            page
        })
        .collect();
    let mut heard = 0;
    for _ in 0..30 {
        let (most, _) = works_for(&mut play, SECOND / 10);
        assert!((1..=32).contains(&most.rows) || most.rows == 0, "{most:?}");
        assert!(most.told <= 4, "{most:?}");
        assert_eq!(most.seen, 0, "nobody is there who may only look");
        for page in &pages {
            play.handle.world().remote_read(*page, usize::MAX);
        }
    }
    for page in pages {
        let text = play.hears(page);
        let text = String::from_utf8_lossy(&text);
        heard += text.matches("event: state\n").count();
        assert!(text.contains(r#""name":"relay 1499""#), "the last one too");
    }
    assert!(heard >= 60, "{heard}");
    assert!(state_by(&mut play, BEARER)["roles"][1499]["fields"].is_object());
}

/// A line is written once, however many pages have it, and a few pages a turn are sent what they have not had.
#[test]
fn a_line_is_written_once_and_sent_to_a_few_pages_a_turn() {
    let mut play = console(64);
    let pages: Vec<_> = (0..40)
        .map(|_| {
            let page = play.guest();
            play.says(page, request("GET", "/api/v1/events", BEARER).as_bytes());
            page
        })
        .collect();
    play.pass(SECOND * 2);
    for page in &pages {
        play.takes(*page);
    }
    play.owner.lines += 900;
    let (most, all) = works_for(&mut play, SECOND / 2);
    assert_eq!(all.lines, 900, "{all:?}");
    assert!(most.fed <= 4 && all.fed >= 40, "{most:?} {all:?}");
    for _ in 0..60 {
        play.pass(SECOND / 10);
        for page in &pages {
            play.handle.world().remote_read(*page, usize::MAX);
        }
    }
    for page in pages {
        let heard = String::from_utf8(play.hears(page)).expect("it is text");
        assert_eq!(heard.matches("event: log\n").count(), 900);
    }
}

/// The screen on the wall shows no log, and is sent none.
#[test]
fn the_wall_is_sent_no_log() {
    let mut play = console(8);
    let mut heard = |query: &str| {
        let page = play.guest();
        let path = format!("/api/v1/events{query}");
        play.says(page, request("GET", &path, BEARER).as_bytes());
        let heard = play.hears_for(page, SECOND * 3);
        let heard = String::from_utf8(heard).expect("it is text");
        ["state", "log"].map(|kind| heard.matches(&format!("event: {kind}\n")).count())
    };
    assert!(matches!(heard(""), [states, 20] if states > 1));
    assert!(matches!(heard("?wall=1"), [states, 0] if states > 1));
}
