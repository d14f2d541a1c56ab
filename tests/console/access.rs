//! Who gets in: nobody from elsewhere, nobody without the token, and nobody who sends more than there is room for.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::Instant;

use serde_json::json;

use crate::common::DEADLINE;
use crate::common::hydrant::hydrant;
use crate::common::peers::connect;
use crate::common::scratch::Scratch;
use crate::rig::{Answer, Console, answer, keep};

const ADD: &str = "/api/v1/relays";
const ALL: &str = "open-sesame-and-more-of-it";
const VIEW: &str = "look-only-and-no-more";

fn json_from(console: &Console, fields: &str) -> Answer {
    console.request("POST", ADD, &format!("{fields}Connection: close\r\n"), "{}")
}

#[test]
fn a_page_elsewhere_and_a_name_elsewhere_reach_nothing() {
    let home = Scratch::new();
    let console = Console::start(&home);
    let port = console.at.port();
    let json = "Content-Type: application/json\r\n";
    for fields in [
        format!("Host: evil.example:{port}\r\n{json}"),
        format!("Host: localhost:1\r\n{json}"),
        format!("Host: 127.0.0.1:{port}\r\n{json}Origin: http://evil.example\r\n"),
        format!("Host: 127.0.0.1:{port}\r\n{json}Origin: null\r\n"),
        format!("Host: 127.0.0.1:{port}\r\n{json}Origin: http://localhost:{port}\r\n"),
        format!("Host: 127.0.0.1:{port}\r\n{json}Sec-Fetch-Site: cross-site\r\n"),
        format!("Host: 127.0.0.1:{port}\r\n{json}Sec-Fetch-Site: same-site\r\n"),
    ] {
        assert_eq!(json_from(&console, &fields).status, 403, "{fields}");
        let get = console.request(
            "GET",
            "/api/v1/state",
            &format!("{fields}Connection: close\r\n"),
            "",
        );
        assert_eq!(get.status, 403, "{fields}");
        let page = console.request("GET", "/", &format!("{fields}Connection: close\r\n"), "");
        assert_eq!(page.status, 403, "{fields}");
    }
    // What a form of another site can send unasked is no JSON.
    for kind in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
    ] {
        let fields = format!("Host: 127.0.0.1:{port}\r\nContent-Type: {kind}\r\n");
        assert_eq!(json_from(&console, &fields).status, 400, "{kind}");
    }
    assert_eq!(console.roles().len(), 1, "nothing was done");
    let own = format!(
        "Host: 127.0.0.1:{port}\r\n{json}Origin: http://127.0.0.1:{port}\r\nSec-Fetch-Site: same-origin\r\n"
    );
    assert_eq!(json_from(&console, &own).status, 200);
    assert_eq!(console.roles().len(), 2);
}

#[test]
fn nothing_is_done_by_get() {
    let home = Scratch::new();
    let console = Console::start(&home);
    for path in [
        "relays",
        "relays/1",
        "relays/1/start",
        "relays/1/stop",
        "relays/1/remove",
        "relays/1/dump",
        "relays/1/kick",
        "login",
    ] {
        let answer = console.get(&format!("/api/v1/{path}"));
        assert_eq!(answer.status, 405, "{path}");
        assert!(
            answer.head.contains("\r\nAllow: POST\r\n"),
            "{}",
            answer.head
        );
    }
    let page = console.post("/wall", &json!({}));
    assert_eq!(page.status, 405);
    assert!(
        page.head.contains("\r\nAllow: GET, HEAD\r\n"),
        "{}",
        page.head
    );
    let roles = console.roles();
    assert_eq!((roles.len(), &roles[0]["state"]), (1, &json!("stopped")));
}

/// A console that asks for a token, and knows another one for looking only.
fn with_tokens(home: &Scratch) -> Console {
    for (name, token) in [("token", ALL), ("wall", VIEW)] {
        keep(home, name, token);
    }
    let (token, wall) = (home.at("token"), home.at("wall"));
    Console::start_with(
        home,
        &format!("--bind 127.0.0.1:0 --token-file {token} --view-token-file {wall}"),
    )
}

/// What a token is exchanged for.
fn cookie(console: &Console, token: &str) -> String {
    let answer = console.post("/api/v1/login", &json!({ "token": token }));
    assert_eq!(answer.status, 200, "{answer:?}");
    let set = answer.head.split("Set-Cookie: ").nth(1).expect("a cookie");
    let set = set.lines().next().expect("a line");
    assert!(set.contains("; HttpOnly; SameSite=Strict"), "{set}");
    assert!(!set.contains(token), "the token itself stays out of it");
    set.split(';').next().expect("a value").to_owned()
}

#[test]
fn without_a_token_there_is_only_the_page_that_asks_for_one() {
    let home = Scratch::new();
    let console = with_tokens(&home);
    assert_eq!(console.get("/").status, 200);
    for path in [
        "state",
        "options",
        "events",
        "relays/1/clients",
        "relays/1/history",
    ] {
        assert_eq!(
            console.get(&format!("/api/v1/{path}")).status,
            401,
            "{path}"
        );
    }
    assert_eq!(console.post(ADD, &json!({})).status, 401);
    let wrong = console.post("/api/v1/login", &json!({ "token": "open" }));
    assert_eq!(wrong.status, 401);
}

#[test]
fn a_token_is_exchanged_for_a_cookie_that_no_script_reads() {
    let home = Scratch::new();
    let console = with_tokens(&home);
    let with = |method: &str, path: &str, cookie: &str| {
        let fields = format!(
            "Host: {}\r\nConnection: close\r\nContent-Type: application/json\r\nCookie: {cookie}\r\n",
            console.at
        );
        console.request(method, path, &fields, "{}")
    };
    let (all, view) = (cookie(&console, ALL), cookie(&console, VIEW));
    let state = with("GET", "/api/v1/state", &all);
    assert_eq!(state.json()["view_only"], json!(false));
    assert_eq!(with("POST", ADD, &all).status, 200);
    assert_eq!(
        with("GET", "/api/v1/state", &view).json()["view_only"],
        json!(true)
    );
    assert_eq!(with("POST", ADD, &view).status, 403);
    let seen = with("GET", "/api/v1/state", &view).json();
    assert_eq!(
        seen["settings"],
        json!(null),
        "where files lie is nobody's business"
    );
    for hidden in ["fields", "command"] {
        assert!(state.json()["roles"][0].get(hidden).is_some(), "{hidden}");
        assert!(seen["roles"][0].get(hidden).is_none(), "{hidden}");
    }
    for path in ["relays/1/clients", "options"] {
        assert_eq!(with("GET", &format!("/api/v1/{path}"), &view).status, 403);
    }
    assert_eq!(with("GET", "/api/v1/relays/1/history", &view).status, 200);
    assert_eq!(with("POST", "/api/v1/relays/1/start", &view).status, 403);
    let log = console.program.stop().join("\n");
    for secret in [ALL, VIEW] {
        assert!(!state.body.contains(secret) && !log.contains(secret));
    }
}

/// A token that is taken away opens nothing any more, neither for a cookie that it was exchanged for nor on a stream.
#[test]
fn tokens_are_read_again() {
    let home = Scratch::new();
    let console = with_tokens(&home);
    let fields = |cookie: &str| format!("Host: {}\r\nCookie: {cookie}\r\n", console.at);
    let old = cookie(&console, ALL);
    let mut stream = connect(console.at);
    let events = format!("GET /api/v1/events HTTP/1.1\r\n{}\r\n", fields(&old));
    stream.write_all(events.as_bytes()).expect("it reads");
    // Only then it is one that began by the old token.
    assert_eq!(answer(&mut stream).status, 200);
    keep(&home, "token", "another-one-and-long-too");
    console.program.signal("HUP");
    console.program.wait_log("console: tokens read again");
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).expect("it ends");
    let state = |cookie: &str| {
        let fields = format!("{}Connection: close\r\n", fields(cookie));
        console.request("GET", "/api/v1/state", &fields, "").status
    };
    assert_eq!(state(&old), 401);
    assert_eq!(state(&cookie(&console, "another-one-and-long-too")), 200);
    keep(&home, "token", "short");
    console.program.signal("HUP");
    console.program.wait_log("the tokens that it had are kept");
    assert_eq!(state(&cookie(&console, "another-one-and-long-too")), 200);
}

#[test]
fn a_token_that_others_can_read_is_refused() {
    let home = Scratch::new();
    for flags in ["--token-file {}", "--token-file {}.2 --view-token-file {}"] {
        keep(&home, "token.2", ALL);
        fs::write(home.path().join("token"), VIEW).expect("the folder can be written");
        let mode = PermissionsExt::from_mode(0o644);
        fs::set_permissions(home.path().join("token"), mode).expect("it is ours");
        let flags = flags.replace("{}", &home.at("token"));
        let finished = hydrant(&format!("console --no-browser --bind 127.0.0.1:0 {flags}")).run();
        assert_eq!(finished.code, 1, "{:?}", finished.stderr);
        assert!(
            finished.stderr[0].contains("chmod 600"),
            "{:?}",
            finished.stderr
        );
    }
}

#[test]
fn guesses_are_bounded_by_who_makes_them() {
    let home = Scratch::new();
    keep(&home, "token", "right-and-long-enough");
    let console = Console::start_with(
        &home,
        &format!("--bind 127.0.0.1:0 --token-file {}", home.at("token")),
    );
    let login = |token: &str| console.post("/api/v1/login", &json!({ "token": token }));
    let cookie = cookie(&console, "right-and-long-enough");
    let get = |field: &str| {
        let fields = format!("Host: {}\r\nConnection: close\r\n{field}\r\n", console.at);
        console.request("GET", "/api/v1/state", &fields, "").status
    };
    let guesses: Vec<u16> = (0..20)
        .map(|number| match number % 2 {
            0 => login("wrong").status,
            _ => get("Authorization: Bearer wrong"),
        })
        .collect();
    assert!(guesses.iter().all(|status| *status == 401), "{guesses:?}");
    assert_eq!(login("wrong").status, 429);
    assert_eq!(get("Authorization: Bearer wrong"), 429);
    assert_eq!(
        get("Authorization: Bearer right-and-long-enough"),
        429,
        "a guess is not looked at, or the bound would be none"
    );
    assert_eq!(get(&format!("Cookie: {cookie}")), 200, "who is in stays in");
}

#[test]
fn others_are_not_let_in_without_a_token() {
    for bind in ["0.0.0.0:0", ":0", "[::]:0"] {
        let finished = hydrant(&format!("console --no-browser --bind {bind}")).run();
        assert_eq!(finished.code, 2);
        assert!(
            finished.stderr[0].contains("without authentication: add --token-file FILE"),
            "{:?}",
            finished.stderr
        );
    }
}

#[test]
fn what_is_sent_is_bounded() {
    let home = Scratch::new();
    let console = Console::start_with(&home, "--bind 127.0.0.1:0 --max-connections 8");
    let status = |bytes: &[u8]| {
        let mut stream = connect(console.at);
        // Whoever is refused is not read to the end.
        let _ = stream.write_all(bytes);
        answer(&mut stream).status
    };
    let long = format!(
        "GET / HTTP/1.1\r\nHost: {}\r\nX: {}\r\n\r\n",
        console.at,
        "x".repeat(9000)
    );
    assert_eq!(status(long.as_bytes()), 431);
    let body = format!(
        "POST {ADD} HTTP/1.1\r\nHost: {}\r\nContent-Length: 99999999\r\n\r\n",
        console.at
    );
    assert_eq!(status(body.as_bytes()), 413);
    assert_eq!(status(b"\x16\x03\x01\x02\x00"), 400);
    assert_eq!(status(b"GET / HTTP/1.1\r\n\r\n"), 400, "no host");
    let idle: Vec<_> = (0..9).map(|_| connect(console.at)).collect();
    console
        .program
        .wait_log("dropped: 8 others came after it (--max-connections)");
    drop(idle);
}

#[test]
fn a_connection_serves_one_request_after_the_other() {
    let home = Scratch::new();
    let console = Console::start(&home);
    let mut stream = connect(console.at);
    let ask = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", console.at);
    // Two at once, the second one split.
    let two = ask("/api/v1/state") + &ask("/icon.svg");
    let (first, second) = two.split_at(two.len() - 9);
    stream.write_all(first.as_bytes()).unwrap();
    assert_eq!(answer(&mut stream).status, 200);
    stream.write_all(second.as_bytes()).unwrap();
    let icon = answer(&mut stream);
    assert!(icon.head.contains("Content-Type: image/svg+xml\r\n") && icon.body.starts_with("<svg"));
    stream.write_all(b"GET /nowhere HTTP/1.0\r\n\r\n").unwrap();
    assert_eq!(answer(&mut stream).status, 400);
    assert_eq!(
        stream.read(&mut [0; 1]).unwrap(),
        0,
        "HTTP/1.0 ends with its answer"
    );
}

/// Whatever the log is told, whoever starts it sees where to go; and not how to get in.
#[test]
fn where_it_is_stands_on_stderr_whatever_is_logged() {
    let home = Scratch::new();
    keep(&home, "token", ALL);
    let log = home.at("log");
    for flags in [
        "-q".to_owned(),
        format!("--log-file {log}"),
        "-v".to_owned(),
    ] {
        let program = hydrant(&format!(
            "console --no-browser --bind 127.0.0.1:0 --token-file {} {flags}",
            home.at("token")
        ))
        .env("XDG_CONFIG_HOME", home.path())
        .start();
        program.wait_log("open http://127.0.0.1:");
        let said = program.stop();
        let urls = said.iter().filter(|line| line.contains("http://"));
        assert_eq!(urls.count(), 1, "{flags}: {said:?}");
        assert!(!said.iter().any(|line| line.contains(ALL)), "{said:?}");
    }
}

/// Whatever a browser starts would know it as well.
#[test]
fn a_browser_does_not_inherit_the_token() {
    let home = Scratch::new();
    let script_at = home.path().join("script");
    let script = "#!/bin/sh\n{ echo \"opened $1\"; /usr/bin/env; echo end; } >\"${0%/*}/seen\"\n";
    fs::write(&script_at, script).expect("the folder can be written");
    fs::set_permissions(&script_at, PermissionsExt::from_mode(0o700)).expect("it is ours");
    // Not by this process: what a child of another test still has open for writing can't be run.
    let copied = Command::new("cp")
        .arg(&script_at)
        .arg(home.path().join("xdg-open"))
        .status();
    assert!(copied.is_ok_and(|status| status.success()), "no copy");
    let program = hydrant("console --bind 127.0.0.1:0")
        .env("XDG_CONFIG_HOME", home.path())
        .env("PATH", home.path())
        .env("DISPLAY", ":9")
        .env("HYDRANT_TOKEN", ALL)
        .env("HYDRANT_PROXY", "http://user:password@proxy:1")
        .start();
    program.wait_log("open http://127.0.0.1:");
    let end = Instant::now() + DEADLINE;
    let seen = loop {
        let seen = fs::read_to_string(home.path().join("seen")).unwrap_or_default();
        if seen.ends_with("end\n") {
            break seen;
        }
        assert!(Instant::now() < end, "no browser was opened: {seen}");
        std::thread::yield_now();
    };
    assert!(seen.starts_with("opened http://127.0.0.1:"), "{seen}");
    for secret in ["HYDRANT_TOKEN", "HYDRANT_PROXY"] {
        assert!(!seen.contains(secret), "{seen}");
    }
    program.stop();
}
