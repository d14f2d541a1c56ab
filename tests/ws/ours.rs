//! Our own host and client: many connections over one WebSocket, each as if there were nothing in between.

use std::io::{ErrorKind, Read, Write};
use std::thread;
use std::time::Duration;

use crate::common::hydrant::hydrant;
use crate::common::peers::{Place, connect, connect_narrow, echo, half_close, reset};
use crate::common::scratch::Scratch;
use crate::common::service::{ask, bytes, handed, is_reset, next, service};
use crate::rig::{Relay, client, exchange, host};

#[test]
fn programs_reach_the_service_whoever_came_first() {
    let relay = Relay::start("");
    let (_client, at) = relay.client("", "");
    let _host = relay.host("", echo(), "");
    assert_eq!(ask(at, b"hello"), b"hello");
    let much = bytes(3 << 20);
    assert!(ask(at, &much) == much, "megabytes come back as they were");
    assert_eq!(ask(at, b""), b"");
}

#[test]
fn many_at_a_time_get_what_is_theirs() {
    let relay = Relay::start("");
    let _host = relay.host("/host", echo(), "");
    let clients = [relay.client("/client", ""), relay.client("/client", "")];
    let asking: Vec<_> = (0..64)
        .map(|i: usize| {
            let at = clients[i % 2].1;
            thread::spawn(move || {
                let sent = bytes(1000 * i + i);
                assert!(ask(at, &sent) == sent, "connection {i}");
            })
        })
        .collect();
    for asking in asking {
        asking.join().expect("it got what is its own");
    }
    relay.run.report_until("| 0 connections |");
}

#[test]
fn each_direction_ends_by_itself() {
    let relay = Relay::start("");
    let (at, accepted) = handed();
    let _host = relay.host("", at, "");
    let (_client, at) = relay.client("", "");

    // The program ends first, and is answered.
    let mut program = connect(at);
    program.write_all(b"a request").expect("it is read");
    half_close(&program);
    let mut served = next(&accepted);
    let mut request = Vec::new();
    served.read_to_end(&mut request).expect("it ends well");
    assert_eq!(request, b"a request");
    served.write_all(b"an answer").expect("it is read");
    drop(served);
    let mut answer = Vec::new();
    program.read_to_end(&mut answer).expect("it ends well");
    assert_eq!(answer, b"an answer");

    // The service ends first, and goes on listening.
    let mut program = connect(at);
    let mut served = next(&accepted);
    half_close(&served);
    assert_eq!(program.read(&mut [0; 16]).expect("it ends well"), 0);
    program.write_all(b"and yet").expect("it is read");
    half_close(&program);
    let mut late = Vec::new();
    served.read_to_end(&mut late).expect("it ends well");
    assert_eq!(late, b"and yet");
}

#[test]
fn a_reset_at_one_end_is_one_at_the_other() {
    let relay = Relay::start("");
    let (at, accepted) = handed();
    let _host = relay.host("", at, "");
    let (_client, at) = relay.client("", "");
    let program = connect(at);
    reset(next(&accepted));
    assert!(is_reset(program));
    let program = connect(at);
    let served = next(&accepted);
    reset(program);
    assert!(is_reset(served));
}

#[test]
fn names_keep_tunnels_apart() {
    let relay = Relay::start("");
    let says = |text: &'static str| {
        service(move |mut stream| stream.write_all(text.as_bytes()).expect("it is read"))
    };
    let _hosts = [
        relay.host("/host", says("none"), ""),
        relay.host("/host/a", says("first"), ""),
        relay.host("/host/b", says("second"), ""),
    ];
    for (path, text) in [
        ("", "none"),
        ("/client/a", "first"),
        ("/client/b", "second"),
    ] {
        let (_client, at) = relay.client(path, "");
        assert_eq!(ask(at, b""), text.as_bytes(), "{path}");
    }
}

#[test]
fn a_target_that_refuses_resets_its_client() {
    let relay = Relay::start("");
    let nobody = Place::new();
    let host = relay.host("", nobody.at, "");
    let (_client, at) = relay.client("", "");
    assert!(is_reset(connect(at)));
    host.wait_log("refused the connection: its client is reset");
}

#[test]
fn without_a_host_a_connection_waits_and_is_reset() {
    let relay = Relay::start("--pair-timeout 0.2");
    let (_client, at) = relay.client("/client/web", "");
    assert!(is_reset(connect(at)));
    relay.run.wait_log("no host within 0.2 s");

    let relay = Relay::start("--pair-timeout 30");
    let (_client, at) = relay.client("/client/web", "");
    let mut program = connect(at);
    program.write_all(b"early").expect("it is read");
    half_close(&program);
    relay.run.report_until("1 connection |");
    let _host = relay.host("/host/web", echo(), "");
    let mut back = Vec::new();
    program.read_to_end(&mut back).expect("it ends well");
    assert_eq!(back, b"early");
}

#[test]
fn all_come_back_when_the_relay_does() {
    let place = Place::everywhere();
    let port = place.at.port();
    let relay = Relay::start_at(port, "");
    let host = relay.host("", echo(), "");
    let (client, at) = relay.client("", "");
    let held = connect(at);
    exchange(&held, b"before");
    relay.run.stop();
    client.wait_log("lost");
    assert!(is_reset(held), "what was under way is over");
    // Who comes meanwhile waits.
    let program = connect(at);
    let _relay = Relay::start_at(port, "");
    host.wait_log("connected (was down");
    exchange(&program, b"after");
}

#[test]
fn a_host_that_returns_is_found_again() {
    let relay = Relay::start("");
    let first = relay.host("", echo(), "");
    let (_client, at) = relay.client("", "");
    exchange(&connect(at), b"one");
    first.stop();
    let _second = relay.host("", echo(), "");
    exchange(&connect(at), b"two");
}

#[test]
fn a_living_host_keeps_its_name() {
    let relay = Relay::start("");
    let _first = relay.host("/host/web", echo(), "");
    let second = host(relay.at, "/host/web", echo(), "");
    second.wait_log("409 Conflict: \"another host is connected as web\"");
    let (_client, at) = relay.client("/client/web", "");
    exchange(&connect(at), b"one");
}

#[test]
fn who_does_not_read_holds_up_nobody_else_and_little_memory() {
    let relay = Relay::start("");
    let target = service(|mut stream| {
        let mut byte = [0];
        // One byte says what is wanted: everything there is, or an echo.
        if stream.read(&mut byte).unwrap_or(0) == 1 && byte == *b"!" {
            let much = bytes(1 << 20);
            while stream.write_all(&much).is_ok() {}
        } else {
            let _ = stream.write_all(&byte);
        }
    });
    let _host = relay.host("", target, "");
    let (_client, at) = relay.client("", "");
    let mut greedy = connect_narrow(at);
    greedy.write_all(b"!").expect("it is read");
    for _ in 0..20 {
        assert_eq!(ask(at, b"?"), b"?");
    }
    let line = relay.run.report();
    let told = line.split(" to clients").next().expect("a figure");
    let mut words = told.rsplit(' ');
    let unit = words.next().expect("a unit");
    let amount: f64 = words.next().expect("a number").parse().expect("a number");
    // What windows, outboxes and the narrow reader's kernels take.
    let most = match unit {
        "MiB" => 16.0,
        "B" | "KiB" => 1024.0,
        _ => 0.0,
    };
    assert!(amount <= most, "{line}");
    let resident = relay.run.resident_kib();
    assert!(resident < 64 << 10, "{resident} KiB");
    drop(greedy);
    relay.run.report_until("| 0 connections |");
}

#[test]
fn bytes_nobody_takes_stop_at_the_sender() {
    let relay = Relay::start("");
    let (target, accepted) = handed();
    let _host = relay.host("", target, "");
    let (_client, at) = relay.client("", "");
    let mut program = connect(at);
    let _unread = next(&accepted);
    program
        .set_write_timeout(Some(Duration::from_millis(500)))
        .expect("a deadline");
    let piece = bytes(1 << 16);
    let mut taken = 0;
    let stopped = loop {
        match program.write(&piece) {
            Ok(count) => taken += count,
            Err(error) => break error,
        }
        assert!(taken < 64 << 20, "it takes everything");
    };
    assert_eq!(stopped.kind(), ErrorKind::WouldBlock);
}

#[test]
fn tokens_let_in_and_are_read_again() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Scratch::new();
    let tokens = folder.at("tokens");
    let keep = |file: &str, text: &str| {
        std::fs::write(file, text).expect("a file");
        std::fs::set_permissions(file, PermissionsExt::from_mode(0o600)).expect("it is ours");
    };
    let write = |text: &str| keep(&tokens, text);
    write("web 0123456789abcdef host\nweb fedcba9876543210 client\n");
    let (host_token, client_token) = (folder.at("host"), folder.at("client"));
    keep(&host_token, "0123456789abcdef\n");
    keep(&client_token, "fedcba9876543210\n");
    let relay = Relay::start(&format!("--tokens {tokens}"));
    let host = relay.host("/host/web", echo(), &format!("--token-file {host_token}"));
    let flags = format!("--token-file {client_token}");
    let (program, at) = relay.client("/client/web", &flags);
    assert_eq!(ask(at, b"let in"), b"let in");

    let (refused, _) = client(
        relay.at,
        "/client/web",
        &format!("--token-file {host_token}"),
    );
    refused.wait_log("403 Forbidden: \"this token is not for a client\"");
    let (refused, _) = client(relay.at, "/client/other", &flags);
    refused.wait_log("401 Unauthorized: \"the token or the name is wrong\"");

    write("web 0123456789abcdef host\nweb another-one-9876 client\n");
    relay.run.signal("HUP");
    program.wait_log("has closed (1008: \"its token is not in --tokens any more\")");
    program.wait_log("401 Unauthorized");
    assert!(!host.has_logged("lost"), "its token is still good");
    for run in [&relay.run, &host, &program, &refused] {
        let told = run.log().join("\n");
        assert!(
            !told.contains("0123456789abcdef") && !told.contains("fedcba"),
            "{told}"
        );
    }
}

#[test]
fn a_proven_host_takes_over_from_its_stale_self() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Scratch::new();
    let tokens = folder.at("tokens");
    std::fs::write(&tokens, "- 0123456789abcdef\n").expect("a file");
    std::fs::set_permissions(&tokens, PermissionsExt::from_mode(0o600)).expect("it is ours");
    let token = folder.at("token");
    std::fs::write(&token, "0123456789abcdef").expect("a file");
    std::fs::set_permissions(&token, PermissionsExt::from_mode(0o600)).expect("it is ours");
    let flags = format!("--token-file {token}");
    let relay = Relay::start(&format!("--tokens {tokens}"));
    let stale = relay.host("", echo(), &flags);
    stale.signal("STOP");
    let _fresh = relay.host("", echo(), &flags);
    relay
        .run
        .wait_log("left: another host has come with its token");
    let (_client, at) = relay.client("", &flags);
    assert_eq!(ask(at, b"served"), b"served");
    stale.signal("CONT");
}

#[test]
fn a_stop_lets_connections_finish_and_then_cuts_them() {
    let relay = Relay::start("--drain 1h");
    let _host = relay.host("", echo(), "");
    let (_client, at) = relay.client("", "");
    let mut program = connect(at);
    exchange(&program, b"under way");
    relay.run.signal("TERM");
    exchange(&program, b"still served");
    half_close(&program);
    assert_eq!(program.read(&mut [0; 16]).expect("it ends well"), 0);
    relay
        .run
        .wait_log("stopped by SIGTERM: 2 WebSockets, 0 connections cut");

    let relay = Relay::start("--drain 0.1");
    let _host = relay.host("", echo(), "");
    let (_client, at) = relay.client("", "");
    let program = connect(at);
    exchange(&program, b"under way");
    relay.run.signal("TERM");
    relay.run.wait_log("1 connection cut");
    assert!(is_reset(program));
}

#[test]
fn a_report_shows_who_is_there() {
    let relay = Relay::start("--name hall");
    let _host = relay.host("/host/web", echo(), "");
    let (client, at) = relay.client("/client/web", "");
    let program = connect(at);
    exchange(&program, b"0123456789");
    relay.run.signal("USR1");
    relay.run.wait_logs(&["ws[hall]: host web (", "UP"]);
    relay
        .run
        .wait_logs(&["ws[hall]: client web (", "| 1 connection |"]);
    relay
        .run
        .wait_logs(&["connection of client web", "10 B to it, 10 B from it"]);
    relay.run.wait_log(
        "2 WebSockets | 1 connection | refused: 0 requests | 0 B held | in all 10 B to clients",
    );
    client.signal("USR1");
    client.wait_logs(&["program 127.0.0.1:", "10 B from the relay, 10 B to it"]);
    client.wait_log("ws client: UP | ws://");
}

#[test]
fn a_client_lets_in_whom_it_is_told_to() {
    let relay = Relay::start("");
    let _host = relay.host("", echo(), "");
    let (client, at) = relay.client("", "--allow 192.0.2.0/24");
    let mut program = connect(at);
    assert_eq!(program.read(&mut [0; 16]).unwrap_or(0), 0);
    client.wait_log("refused: not in --allow");
}

#[test]
fn a_port_in_use_is_said() {
    let place = Place::opened();
    let at = place.at;
    let finished = hydrant(&format!("ws client ws://127.0.0.1:1 {at}")).run();
    assert_eq!(finished.code, 1);
    let said = finished.stderr.join("\n");
    assert!(said.contains("port in use"), "{said}");
}
