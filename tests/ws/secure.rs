//! Over `wss://`: what goes through is what was sent, and each mistake is explained.

use std::io::{Read, Write};
use std::net::SocketAddr;

use crate::common::hydrant::{Hydrant, hydrant};
use crate::common::peers::{connect, echo};
use crate::common::secure::Office;
use crate::common::service::{ask, bytes};
use crate::common::tools::have;
use crate::proxies::proxy;
use crate::rig::{Relay, exchange};

/// An end that dials the relay by name, as those do who want to know whom they talk to.
fn end(relay: &Relay, words: &str, flags: &str) -> Hydrant {
    let (part, last) = words.split_once(' ').expect("a part and a word");
    let port = relay.at.port();
    let line = format!("ws {part} wss://localhost:{port} {last} --retry 0.05..0.2 {flags}");
    hydrant(&line).start()
}

fn secured(office: &Office) -> Relay {
    Relay::start(&office.accepting())
}

fn tunnel(relay: &Relay, flags: &str) -> (Hydrant, Hydrant, SocketAddr) {
    let host = end(relay, &format!("host {}", echo()), flags);
    let client = end(relay, "client 0", flags);
    let at = client.address_of("programs");
    host.wait_log(" connected");
    client.wait_log(" connected");
    (host, client, at)
}

#[test]
fn what_goes_through_is_what_was_sent() {
    let office = Office::new();
    let relay = secured(&office);
    let (_host, _client, at) = tunnel(&relay, &office.dialling());
    let much = bytes(3 << 20);
    assert!(ask(at, &much) == much);
    let crowd: Vec<_> = (0..20).map(|_| connect(at)).collect();
    for (i, program) in crowd.iter().enumerate() {
        exchange(program, &vec![i as u8; 10_000]);
    }
}

#[test]
fn through_a_proxy_too() {
    let office = Office::new();
    let relay = secured(&office);
    let (proxy, seen) = proxy(None);
    let flags = format!("{} --proxy {proxy}", office.dialling());
    let host = end(
        &relay,
        &format!("host {}", echo()),
        &flags.replace(&proxy.to_string(), "off"),
    );
    host.wait_log(" connected");
    // It is asked for the relay by its address: the proxy of this test looks no names up.
    let line = format!("ws client wss://127.0.0.1:{} 0 {flags}", relay.at.port());
    let client = hydrant(&line).start();
    let at = client.address_of("programs");
    client.wait_log(" connected");
    assert_eq!(ask(at, b"hidden"), b"hidden");
    assert!(
        seen.recv()
            .expect("it was asked")
            .starts_with("CONNECT 127.0.0.1:")
    );
}

#[test]
fn the_environments_proxy_counts_unless_it_is_spared() {
    let office = Office::new();
    let relay = secured(&office);
    let (proxy, seen) = proxy(None);
    let line = format!(
        "ws host wss://127.0.0.1:{} {} {}",
        relay.at.port(),
        echo(),
        office.dialling()
    );
    let run = hydrant(&line)
        .env("HTTPS_PROXY", format!("http://{proxy}"))
        .start();
    run.wait_log(" connected");
    assert!(
        seen.recv()
            .expect("it was asked")
            .starts_with("CONNECT 127.0.0.1:")
    );
    run.stop();
    let run = hydrant(&line)
        .env("HTTPS_PROXY", format!("http://{proxy}"))
        .env("NO_PROXY", "127.0.0.1")
        .start();
    run.wait_log(" connected");
    assert!(seen.try_recv().is_err(), "nobody was asked");
}

#[test]
fn mistakes_are_explained() {
    let office = Office::new();
    let relay = secured(&office);
    let host = end(&relay, &format!("host {}", echo()), "");
    host.wait_log("TLS:");
    let insecure = end(&relay, &format!("host {}", echo()), "--tls-insecure");
    insecure.wait_log("--tls-insecure");
    insecure.wait_log(" connected");

    // Plain where TLS is spoken, and the other way round.
    let line = format!("ws client ws://{} 0 --retry 0.05..0.2", relay.at);
    let plain = hydrant(&line).start();
    plain.wait_log("speaks TLS: write wss://; retrying");
    relay.run.wait_log("refused: ");
    let open = Relay::start("");
    let client = end(&open, "client 0", &office.dialling());
    client.wait_log("plain HTTP came instead; retrying");
    open.run
        .wait_log("this is TLS, and plain HTTP is spoken here");
}

#[test]
fn curl_is_answered_by_tls() {
    if !have("curl") {
        return;
    }
    let office = Office::new();
    // curl may be built on a library that knows only some keys.
    office.install(&office.authority.issue_p256(&["localhost"]));
    let relay = secured(&office);
    let output = std::process::Command::new("curl")
        .args(["-sS", "-m", "20", "--cacert", &office.at("ca")])
        .arg(format!("https://localhost:{}/healthz", relay.at.port()))
        .output()
        .expect("curl runs");
    assert!(output.status.success(), "{output:?}");
    assert_eq!(output.stdout, b"ok\n");
}

#[test]
fn a_handshake_has_a_deadline() {
    let office = Office::new();
    let relay = secured(&office);
    let mut silent = connect(relay.at);
    silent.write_all(b"\x16\x03\x01").expect("it is read");
    relay
        .run
        .wait_log("127.0.0.1 refused: no TLS handshake within 5 s");
    assert!(
        matches!(silent.read(&mut [0]), Ok(0) | Err(_)),
        "it is closed"
    );
}
