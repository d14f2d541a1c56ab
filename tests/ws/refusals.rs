//! Who is not let in is told why, before the upgrade.

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use crate::common::peers::connect;
use crate::common::scratch::Scratch;
use crate::common::tools::have;
use crate::peer::{answer, request};
use crate::rig::Relay;

const TOKEN: &str = "0123456789abcdef";
/// What stands for the text of an answer to HEAD, which has a length only.
const NO_BODY: &str = "\0\0\0";

/// A relay with a token for `web`, for hosts only, and the folder that its file is in.
fn guarded(flags: &str) -> (Relay, Scratch) {
    let folder = Scratch::new();
    let tokens = folder.at("tokens");
    std::fs::write(&tokens, format!("web {TOKEN} host\n")).expect("a file");
    std::fs::set_permissions(&tokens, PermissionsExt::from_mode(0o600)).expect("it is ours");
    (Relay::start(&format!("--tokens {tokens} {flags}")), folder)
}

fn status(relay: &Relay, path: &str, token: Option<&str>) -> (u16, String) {
    let (_, answered) = answer(
        relay.at,
        &request(relay.at, path, token, &["hydrant.mux.v1"]),
    );
    (answered.status, answered.body)
}

#[test]
fn a_token_is_needed_for_its_own_name_and_part() {
    let (relay, _folder) = guarded("");
    let wrong = (401, "the token or the name is wrong\n".to_owned());
    assert_eq!(status(&relay, "/host/web", Some(TOKEN)).0, 101);
    assert_eq!(status(&relay, "/host/web", Some("0123456789abcdeF")), wrong);
    assert_eq!(status(&relay, "/host/other", Some(TOKEN)), wrong);
    assert_eq!(status(&relay, "/host", Some(TOKEN)), wrong);
    let (code, why) = status(&relay, "/client/web", Some(TOKEN));
    assert_eq!((code, &*why), (403, "this token is not for a client\n"));
    let (_, answered) = answer(relay.at, &request(relay.at, "/host/web", None, &[]));
    assert_eq!(answered.status, 401);
    assert!(answered.head.contains("WWW-Authenticate: Bearer"));
    assert_eq!(
        answered.body,
        "a token is needed: Authorization: Bearer TOKEN\n"
    );
    // A token in the address lets nobody in, and nothing of it is logged.
    let (code, _) = status(&relay, &format!("/host/web?token={TOKEN}"), None);
    assert_eq!(code, 401);
    let log = relay.run.log().join("\n");
    assert!(!log.contains(TOKEN), "{log}");
}

#[test]
fn two_fields_that_say_different_things_let_nobody_in() {
    let (relay, _folder) = guarded("");
    let text = String::from_utf8(request(relay.at, "/host/web", Some(TOKEN), &[])).expect("text");
    for twice in ["Authorization: Bearer 0000000000000000", "Host: elsewhere"] {
        let text = text.replacen("\r\n", &format!("\r\n{twice}\r\n"), 1);
        let (_, answered) = answer(relay.at, text.as_bytes());
        assert_eq!(answered.status, 400, "{twice}");
    }
}

#[test]
fn other_paths_methods_and_versions_are_told_apart() {
    let relay = Relay::start("");
    let good = String::from_utf8(request(relay.at, "/host", None, &[])).expect("text");
    for (from, to, code, part) in [
        ("GET /host ", "GET /hosts ", 404, "/host/NAME"),
        ("GET /host ", "GET /host/WEB ", 404, "/host/NAME"),
        ("GET /host ", "GET / ", 404, "/host/NAME"),
        ("GET /host ", "POST /host ", 405, "GET"),
        ("Upgrade: websocket\r\n", "", 426, "ws://"),
        (
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Version: 8",
            426,
            "version 13",
        ),
        (
            "Sec-WebSocket-Key: ",
            "Sec-WebSocket-Key: x",
            400,
            "16 bytes",
        ),
        ("HTTP/1.1", "HTTP/1.0", 426, "ws://"),
        ("HTTP/1.1", "HTTP/2.0", 505, "HTTP/1.1"),
        (
            "Upgrade:",
            "Transfer-Encoding: chunked\r\nUpgrade:",
            411,
            "",
        ),
        ("Upgrade:", "Content-Length: 5\r\nUpgrade:", 413, ""),
    ] {
        assert!(good.contains(from));
        let (_, answered) = answer(relay.at, good.replacen(from, to, 1).as_bytes());
        assert_eq!(answered.status, code, "{to:?}: {}", answered.body);
        assert!(answered.body.contains(part), "{to:?}: {}", answered.body);
    }
    relay.run.report_until("refused: 11 requests");
}

#[test]
fn only_the_pages_named_may_connect_from_a_browser() {
    let relay = Relay::start("--origin https://a.example --origin http://b.example:8080");
    let good = String::from_utf8(request(relay.at, "/client", None, &[])).expect("text");
    for (origin, code) in [
        ("Origin: https://a.example\r\n", 101),
        ("Origin: http://b.example:8080\r\n", 101),
        ("", 101),
        ("Origin: http://a.example\r\n", 403),
        ("Origin: https://a.example.org\r\n", 403),
        ("Origin: null\r\n", 403),
    ] {
        let text = good.replacen("Upgrade:", &format!("{origin}Upgrade:"), 1);
        let (_, answered) = answer(relay.at, text.as_bytes());
        assert_eq!(answered.status, code, "{origin}");
    }
}

/// A page that somebody has opened on this machine reaches what strangers do not.
#[test]
fn where_only_this_machine_is_let_in_pages_of_others_are_not() {
    let (guarded, _folder) = guarded("");
    for (relay, token, code) in [
        (Relay::start(""), None, 403),
        (Relay::start("--no-auth"), None, 101),
        (guarded, Some(TOKEN), 101),
    ] {
        let good = String::from_utf8(request(relay.at, "/host/web", token, &[])).expect("text");
        for (origin, code) in [
            ("Origin: https://a.example\r\n", code),
            ("Origin: http://localhost:3000\r\n", 101),
        ] {
            let text = good.replacen("Upgrade:", &format!("{origin}Upgrade:"), 1);
            let (stream, answered) = answer(relay.at, text.as_bytes());
            assert_eq!(answered.status, code, "{origin}");
            drop(stream);
            relay.run.report_until("0 WebSockets |");
        }
    }
}

#[test]
fn an_address_is_the_proxys_word_only_where_that_is_trusted() {
    let ask = |relay: &Relay, forwarded: &str| {
        let text = String::from_utf8(request(relay.at, "/client", None, &[])).expect("text");
        let text = text.replacen("Upgrade:", &format!("{forwarded}Upgrade:"), 1);
        answer(relay.at, text.as_bytes()).1
    };
    let relay = Relay::start("--allow 192.0.2.0/24");
    let answered = ask(&relay, "X-Forwarded-For: 192.0.2.7\r\n");
    assert_eq!(
        (answered.status, &*answered.body),
        (403, "not in --allow\n")
    );

    let relay = Relay::start("--allow 192.0.2.0/24 --trust-proxy 127.0.0.0/8");
    for (said, code) in [
        ("", 403),
        ("X-Forwarded-For: 192.0.2.7\r\n", 101),
        ("X-Forwarded-For: 192.0.2.7, 198.51.100.1\r\n", 403),
        (
            "X-Forwarded-For: 198.51.100.1, 192.0.2.7, 127.0.0.9\r\n",
            101,
        ),
        ("X-Forwarded-For: nobody\r\n", 403),
    ] {
        assert_eq!(ask(&relay, said).status, code, "{said}");
    }
    relay.run.wait_log("client (192.0.2.7 by 127.0.0.1:");
    // Who was refused is said, and not only who has passed it on.
    relay
        .run
        .wait_log("198.51.100.1 by 127.0.0.1 refused: not in --allow");
}

#[test]
fn health_is_told_to_everybody() {
    let (relay, _folder) = guarded("--allow 192.0.2.0/24");
    for (line, code, body) in [
        ("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", 200, "ok\n"),
        ("HEAD /healthz HTTP/1.1\r\nHost: x\r\n\r\n", 200, NO_BODY),
        ("POST /healthz HTTP/1.1\r\nHost: x\r\n\r\n", 405, "GET it\n"),
    ] {
        let (_, answered) = answer(relay.at, line.as_bytes());
        assert_eq!((answered.status, &*answered.body), (code, body), "{line}");
    }
    relay.run.report_until("refused: 0 requests");
}

#[test]
fn slow_and_endless_heads_are_answered_and_cost_others_nothing() {
    let relay = Relay::start("");
    let mut slow = connect(relay.at);
    slow.write_all(b"GET /host HTTP/1.1\r\nHost: ")
        .expect("it is read");
    let mut endless = connect(relay.at);
    endless
        .write_all(b"GET /host HTTP/1.1\r\nHost: x\r\nX: ")
        .expect("it is read");
    let mut sent = 0;
    let line = [b'x'; 1024];
    // It ends by the answer, whatever is still written.
    while sent < 64 && endless.write_all(&line).is_ok() {
        sent += 1;
    }
    let mut told = [0; 12];
    endless.read_exact(&mut told).expect("it is answered");
    assert_eq!(&told, b"HTTP/1.1 431");
    let held: Vec<_> = (0..300).map(|_| connect(relay.at)).collect();
    assert_eq!(
        status(&relay, "/client", None).0,
        101,
        "silent ones make way"
    );
    drop(held);
    let mut slow_told = String::new();
    // One that others have taken the place of is closed without a word.
    let _ = slow.read_to_string(&mut slow_told);
    assert!(
        slow_told.is_empty() || slow_told.starts_with("HTTP/1.1 408"),
        "{slow_told}"
    );

    let relay = Relay::start("");
    let mut slow = connect(relay.at);
    slow.write_all(b"GET /host HTTP/1.1\r\nHost: ")
        .expect("it is read");
    slow_told.clear();
    slow.read_to_string(&mut slow_told).expect("it ends well");
    assert!(slow_told.starts_with("HTTP/1.1 408"), "{slow_told}");
    assert!(
        slow_told.ends_with("no request within 5 s\n"),
        "{slow_told}"
    );
}

#[test]
fn too_many_are_told_so() {
    let relay = Relay::start("--max-connections 2");
    let held = [
        answer(relay.at, &request(relay.at, "/host/a", None, &[])),
        answer(relay.at, &request(relay.at, "/host/b", None, &[])),
    ];
    let (code, why) = status(&relay, "/host/c", None);
    assert_eq!(
        (code, &*why),
        (503, "2 WebSockets here (--max-connections)\n")
    );
    drop(held);
    relay.run.report_until("0 WebSockets |");
    assert_eq!(status(&relay, "/host/c", None).0, 101);
}

#[test]
fn curl_reads_the_refusals() {
    if !have("curl") {
        return;
    }
    let (relay, _folder) = guarded("");
    let curl = |args: &[&str], path: &str| {
        let url = format!("http://{}{path}", relay.at);
        let output = Command::new("curl")
            .args(["-sS", "-m", "20", "-w", "%{http_code}"])
            .args(args)
            .arg(url)
            .output()
            .expect("curl runs");
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).expect("text")
    };
    assert_eq!(curl(&[], "/healthz"), "ok\n200");
    assert!(curl(&[], "/nothing").ends_with("/client/NAME\n404"));
    let upgrade = [
        "-H",
        "Connection: Upgrade",
        "-H",
        "Upgrade: websocket",
        "-H",
        "Sec-WebSocket-Version: 13",
        "-H",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    ];
    assert_eq!(
        curl(&upgrade, "/host/web"),
        "a token is needed: Authorization: Bearer TOKEN\n401"
    );
    let authorization = format!("Authorization: Bearer {TOKEN}");
    let with_token = [&upgrade[..], &["-H", &authorization]].concat();
    assert_eq!(
        curl(&with_token, "/client/web"),
        "this token is not for a client\n403"
    );
    assert!(
        curl(&["-H", &authorization], "/host/web").ends_with("ws:// or wss:// in its address\n426")
    );
}
