//! What others may ask by HTTP: metrics that Prometheus' own tool accepts, and whether hydrant is ready.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};

use crate::common::feed::{Feed, Taker};
use crate::common::hydrant::{Hydrant, hydrant};
use crate::common::peers::{Place, connect, reset};
use crate::common::tools::have;
use crate::common::within;
use crate::rig::{File, ask, get};

fn watched(line: &str) -> (Hydrant, SocketAddr) {
    let hydrant = hydrant(&format!("{line} --metrics 127.0.0.1:0")).start();
    let at = hydrant.address_of("metrics");
    (hydrant, at)
}

/// The value of a sample, whose labels are given as they are written.
#[track_caller]
fn value(text: &str, sample: &str) -> f64 {
    let line = text.lines().find_map(|line| line.strip_prefix(sample));
    let value = line.unwrap_or_else(|| panic!("no {sample} in {text}"));
    value.trim().parse().expect("a number")
}

#[test]
fn a_relay_is_counted() {
    let mut source = Place::new();
    let (hydrant, at) = watched(&format!(
        "{} 127.0.0.1:0 --name sports --retry 20ms",
        source.at
    ));
    let clients = hydrant.address_of("clients");
    let mut up = source.accept();
    hydrant.wait_logs(&["upstream", "connected"]);
    let mut taker = Taker::new(connect(clients), 0);
    hydrant.wait_logs(&["client", "connected"]);
    Feed::default().send(&mut up, 10_000);
    taker.take(10_000);
    let (status, text) = get(at, "/metrics");
    assert_eq!(status, 200);
    let role = "{role=\"sports\",kind=\"relay\"}";
    assert_eq!(
        value(&text, &format!("hydrant_received_bytes_total{role}")),
        10_000.0
    );
    assert_eq!(
        value(&text, &format!("hydrant_sent_bytes_total{role}")),
        10_000.0
    );
    assert_eq!(value(&text, &format!("hydrant_clients{role}")), 1.0);
    assert_eq!(value(&text, "hydrant_role_up{role=\"sports\"}"), 1.0);
    let up_state = "hydrant_upstream_state{role=\"sports\",kind=\"relay\",state=\"up\"}";
    assert_eq!(value(&text, up_state), 1.0);
    assert!(value(&text, "hydrant_loop_turn_seconds_count") > 0.0);
    assert!(value(&text, "process_resident_memory_bytes") > 0.0);
    assert!(value(&text, "process_open_fds") > 0.0);
    reset(taker.stream);
    hydrant.wait_log(" left");
    let (_, text) = get(at, "/metrics");
    let left = "hydrant_clients_gone_total{role=\"sports\",kind=\"relay\",reason=\"left\"}";
    assert_eq!(value(&text, left), 1.0);
    hydrant.stop();
}

#[test]
fn ready_means_that_the_upstream_is_there() {
    let mut source = Place::new();
    let (hydrant, at) = watched(&format!("{} 127.0.0.1:0 --retry 20ms", source.at));
    let up = source.accept();
    hydrant.wait_logs(&["upstream", "connected"]);
    // Connected, though it has sent nothing yet.
    assert_eq!(get(at, "/readyz"), (200, "ready\n".to_owned()));
    drop(up);
    hydrant.wait_log("closed the connection");
    source.close();
    hydrant.wait_log("refused");
    let (status, text) = get(at, "/readyz");
    assert_eq!(status, 503);
    assert!(
        text.starts_with("relay: upstream ") && text.ends_with(" is down\n"),
        "{text}"
    );
    assert_eq!(get(at, "/healthz"), (200, "ok\n".to_owned()));
    hydrant.stop();
}

#[test]
fn what_is_asked_badly_is_answered_well() {
    let (hydrant, at) = watched("127.0.0.1:1 127.0.0.1:0 --retry 1h");
    let cases = [
        ("GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n", 404),
        ("POST /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n", 405),
        ("GET /metrics HTTP/1.1\r\n\r\n", 400),
        (
            "GET /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\nabc",
            413,
        ),
        ("GET /metrics HTTP/1.1\nHost: localhost\n\n", 400),
        ("\x16\x03\x01", 400),
    ];
    for (request, status) in cases {
        assert_eq!(ask(at, request).0, status, "{request:?}");
    }
    let long = format!(
        "GET /metrics HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n",
        "y".repeat(9000)
    );
    assert_eq!(ask(at, &long).0, 431);
    let (status, body) = ask(at, "HEAD /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!((status, body.as_str()), (200, ""));
    hydrant.stop();
}

/// Those who only connect go when others come; the feed is not for them to stop, and neither is a scrape.
#[test]
fn more_connections_than_there_is_room_for_cost_the_oldest() {
    let (hydrant, at) = watched("127.0.0.1:1 127.0.0.1:0 --retry 1h");
    let mut idle: Vec<TcpStream> = (0..65).map(|_| connect(at)).collect();
    hydrant.wait_log("64 others came after it");
    let mut first = idle.remove(0);
    let ended = within("its end", move || first.read(&mut [0]));
    assert!(!matches!(ended, Ok(1..)), "{ended:?}");
    assert_eq!(get(at, "/healthz").0, 200);
    hydrant.stop();
}

#[test]
fn every_kind_of_role_is_in_them() {
    let text = "[[relay]]\nname = \"r\"\nsrc = \"127.0.0.1:1\"\ndst = \"127.0.0.1:0\"\nretry = \"1h\"\n\
                [[hub]]\nname = \"h\"\nlisten = \"127.0.0.1:0\"\n\
                [[tunnel.serve]]\nname = \"s\"\nlisten = \"127.0.0.1:0\"\n\
                [[tunnel.expose]]\nname = \"e\"\nserver = \"127.0.0.1:1\"\necho = true\n\
                [[ws.relay]]\nname = \"w\"\nlisten = \"127.0.0.1:0\"\n\
                [[ws.host]]\nname = \"wh\"\nurl = \"ws://127.0.0.1:1\"\ntarget = \"127.0.0.1:1\"\n\
                [[ws.client]]\nname = \"wc\"\nurl = \"ws://127.0.0.1:1\"\nlisten = \"127.0.0.1:0\"\n\
                [metrics]\nlisten = \"127.0.0.1:0\"\n";
    let file = File::new(text);
    let hydrant = file.run();
    let at = hydrant.address_of("metrics");
    let (_, text) = get(at, "/metrics");
    for (name, kind) in [
        ("r", "relay"),
        ("h", "hub serve"),
        ("s", "tunnel serve"),
        ("e", "tunnel expose"),
        ("w", "ws relay"),
        ("wh", "ws host"),
        ("wc", "ws client"),
    ] {
        let clients = format!("hydrant_clients{{role=\"{name}\",kind=\"{kind}\"}}");
        assert_eq!(value(&text, &clients), 0.0);
    }
    if have("promtool") {
        let mut tool = Command::new("promtool")
            .args(["check", "metrics"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it is installed");
        let mut stdin = tool.stdin.take().expect("it is a pipe");
        stdin.write_all(text.as_bytes()).expect("it is read");
        drop(stdin);
        let said = tool.wait_with_output().expect("it ends");
        let wrong = String::from_utf8_lossy(&said.stderr).into_owned();
        let wrong = wrong + &String::from_utf8_lossy(&said.stdout);
        assert!(said.status.success() && wrong.trim().is_empty(), "{wrong}");
    }
    hydrant.stop();
}

#[test]
fn a_role_without_metrics_says_so() {
    for line in [
        "demo --metrics 9100",
        "bench --metrics 9100",
        "a:1 :0 --metrics nowhere",
    ] {
        let said = hydrant(line).run();
        assert_eq!(said.code, 2, "{line}");
        assert!(said.stderr[0].contains("--metrics"), "{:?}", said.stderr);
    }
}

/// A page elsewhere, whose name server has pointed its name here, reads nothing.
#[test]
fn only_an_address_reaches_this_machine_s_own_metrics() {
    let (_hydrant, at) = watched("127.0.0.1:1 127.0.0.1:0");
    for (host, expected) in [
        ("evil.example:80".to_owned(), 403),
        ("evil.example".to_owned(), 403),
        (format!("localhost:{}", at.port()), 200),
        ("127.0.0.1".to_owned(), 200),
        ("[::1]:9100".to_owned(), 200),
    ] {
        let (status, _) = ask(
            at,
            &format!("GET /healthz HTTP/1.1\r\nHost: {host}\r\n\r\n"),
        );
        assert_eq!(status, expected, "{host}");
    }
}
