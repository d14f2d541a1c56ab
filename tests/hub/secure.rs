//! A hub that speaks TLS, and clients that do or do not.

use std::io::{Read, Write};
use std::thread;

use rustls::version::{TLS12, TLS13};

use crate::common::hydrant::{hydrant, read_all};
use crate::common::peers::{connect, leave};
use crate::common::secure::{Client, Office, say_end};
use crate::common::service::{ask, bytes, service};
use crate::common::tools::{Tool, have};
use crate::common::within;
use crate::rig::Hub;

fn secured(office: &Office, flags: &str) -> Hub {
    Hub::start(&format!("{} {flags}", office.accepting()))
}

/// Registers under a name, as the seed's clients do.
fn register(mut client: Client, name: &str) -> Client {
    say(&mut client, format!("{name}|{name}|1|.").as_bytes());
    hears(&mut client, b".");
    client
}

fn say(client: &mut Client, bytes: &[u8]) {
    client.write_all(bytes).expect("the hub reads");
    client.flush().expect("the hub reads");
}

fn hears(client: &mut Client, bytes: &[u8]) {
    let mut got = vec![0; bytes.len()];
    client.read_exact(&mut got).expect("bytes come");
    assert!(got == bytes, "other bytes came");
}

#[test]
fn clients_of_both_versions_talk_to_each_other() {
    let office = Office::new();
    let hub = secured(&office, "");
    let dial = |version| office.client(connect(hub.at), &[version], None);
    let mut a = register(dial(&TLS12), "a");
    let mut b = register(dial(&TLS13), "b");
    let body = vec![7; 700_000];
    let mut message = format!("b|{}|", body.len()).into_bytes();
    message.extend_from_slice(&body);
    let sending = thread::spawn(move || {
        say(&mut a, &message);
        a
    });
    hears(&mut b, &body);
    let mut a = sending.join().expect("it is taken");
    say(&mut b, b"a|5|thank");
    hears(&mut a, b"thank");
    say_end(&mut a);
    assert_eq!(a.read(&mut [0]).expect("the hub says its last, too"), 0);
    hub.logs(&["client a (", " left; "]);
    leave(&b.sock);
    hub.logs(&["client b (", " left; "]);
}

/// A client that has said its last gets what is its own, to the last byte, though it reads late.
#[test]
fn whoever_leaves_has_every_byte_first() {
    let office = Office::new();
    let hub = secured(&office, "--drain 20s --queue 16M");
    let mut late = register(office.connect(hub.at), "late");
    let mut from = register(office.connect(hub.at), "from");
    let body = vec![9; 1 << 20];
    let mut message = format!("late|{}|", body.len()).into_bytes();
    message.extend_from_slice(&body);
    for _ in 0..8 {
        say(&mut from, &message);
    }
    say(&mut from, b"from|1|!");
    hears(&mut from, b"!");
    say_end(&mut late);
    let mut all = Vec::new();
    late.read_to_end(&mut all).expect("the hub says its last");
    assert_eq!(all.len(), 8 << 20);
    hub.logs(&["client late (", " left; "]);
}

#[test]
fn its_own_clients_speak_it() {
    let office = Office::new();
    let hub = secured(&office, "");
    let at = format!("tls://localhost:{}", hub.at.port());
    let ca = office.dialling();
    let line = format!("hub recv {at} a --count 1 --newline {ca}");
    let mut recv = hydrant(&line).start();
    let stdout = recv.stdout();
    hub.logs(&["client a (", " connected"]);
    let sent = hydrant(&format!("hub send {at} b a hello {ca}")).run();
    assert_eq!((sent.code, sent.stderr), (0, Vec::new()));
    assert_eq!(within("hello", || read_all(stdout)), b"hello\n");
    assert_eq!(recv.wait_exit(), 0);
    let absent = hydrant(&format!("hub send {at} b nobody hello {ca}")).run();
    assert_eq!(absent.code, 1);
}

#[test]
fn openssl_is_a_client() {
    if !have("openssl") {
        return;
    }
    let office = Office::new();
    let hub = secured(&office, "");
    let (at, ca) = (hub.at.to_string(), office.at("ca"));
    let args = ["s_client", "-quiet", "-verify_return_error", "-connect"];
    let mut openssl = Tool::start("openssl", &[&args[..], &[&at, "-CAfile", &ca]].concat());
    let mut stdin = openssl.0.stdin.take().expect("a pipe");
    stdin.write_all(b"me|me|5|hello").expect("it is read");
    stdin.flush().expect("it is read");
    let mut stdout = openssl.0.stdout.take().expect("a pipe");
    let mut echo = [0; 5];
    stdout.read_exact(&mut echo).expect("it comes back");
    assert_eq!(&echo, b"hello");
}

/// Both ends of a tunnel dial the hub by TLS, with a certificate of their own where it asks for one.
#[test]
fn a_tunnel_goes_through_it() {
    let at = service(|mut stream| {
        let mut all = Vec::new();
        stream.read_to_end(&mut all).expect("an end comes");
        all.reverse();
        stream.write_all(&all).expect("it is read");
    });
    let office = Office::new();
    let hub = secured(&office, "");
    let end = |name: &str, flags: &str| {
        let to = format!("tls://localhost:{}", hub.at.port());
        hydrant(&format!("hub tunnel {to} {name} --retry 0.05..0.2 {flags}")).start()
    };
    let ca = office.dialling();
    let b = end("b", &format!("--to a --forward {at} {ca}"));
    let a = end("a", &format!("--to b --listen 0 {ca}"));
    let listen = a.address_of("clients of b");
    a.wait_log("b is there");
    b.wait_log("a is there");
    let mut answer = bytes(5 << 20);
    answer.reverse();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| assert!(ask(listen, &bytes(5 << 20)) == answer, "other bytes came"));
        }
    });
    b.stop();
    a.wait_log("b lost: it is stopped");
    // One that trusts nobody who has signed for this hub does not even say its name.
    let stranger = end("b", "--to a --listen 0");
    stranger.wait_logs(&[
        "the hub tls://localhost:",
        "can't be used (TLS: its certificate is issued by nobody we trust",
        "retrying",
    ]);
    let plain = format!("hub tunnel {} b --to a --listen 0", hub.at);
    let plain = hydrant(&format!("{plain} --retry 0.05..0.2")).start();
    plain.wait_logs(&["speaks TLS: write tls:// before it", "retrying"]);
}

#[test]
fn a_tunnel_shows_its_certificate() {
    let office = Office::new();
    let hub = secured(&office, &format!("--tls-client-ca {}", office.at("ca")));
    let to = format!("tls://localhost:{}", hub.at.port());
    let line = format!("hub tunnel {to} a --to b --listen 0 --retry 0.05..0.2");
    let none = hydrant(&format!("{line} {}", office.dialling())).start();
    none.wait_log("TLS: it asks for a certificate; --tls-client-cert FILE");
    let own = format!(
        "--tls-client-cert {} --tls-client-key {}",
        office.at("cert"),
        office.at("key")
    );
    let shown = hydrant(&format!("{line} {} {own}", office.dialling())).start();
    shown.wait_log(" connected");
    hub.logs(&["client a (", " connected"]);
}

#[test]
fn mistakes_are_explained() {
    let office = Office::new();
    let hub = secured(&office, &format!("--tls-client-ca {}", office.at("ca")));
    let port = hub.at.port();
    let send = |to: String, flags: &str| {
        let done = hydrant(&format!("hub send {to} b a hello {flags}")).run();
        assert_eq!(done.code, 1, "{:?}", done.stderr);
        done.stderr.join("\n")
    };
    let at = format!("tls://localhost:{port}");
    let ca = office.dialling();
    let said = send(at.clone(), "");
    let expected = "can't be used (TLS: its certificate is issued by nobody we trust; --tls-ca";
    assert!(said.contains(expected), "{said}");
    let said = send(at, &ca);
    assert!(
        said.contains("TLS: it asks for a certificate; --tls-client-cert FILE"),
        "{said}"
    );
    hub.logs(&["refused: tls; TLS: it showed no certificate"]);
    let said = send(format!("localhost:{port}"), "");
    let expected = format!("hydrant: the hub localhost:{port} speaks TLS: write tls:// before it");
    assert_eq!(said, expected);
    hub.logs(&["refused: tls; TLS: plain bytes came instead"]);
    let report = hub.run.report();
    assert!(report.contains("| refused: tls 3 |"), "{report}");

    let open = Hub::start("");
    let said = send(format!("tls://{}", open.at), &ca);
    assert!(said.contains("can't be used (TLS: "), "{said}");
    open.logs(&[
        "refused: tls; it speaks TLS, which is not spoken here: add --tls-cert FILE and --tls-key FILE",
    ]);
}

#[test]
fn a_handshake_has_a_deadline_whatever_a_name_has() {
    let office = Office::new();
    let hub = secured(&office, "--name-timeout 1h");
    let mut silent = connect(hub.at);
    assert!(matches!(silent.read(&mut [0]), Ok(0)), "it is closed");
    hub.logs(&["refused: tls; no TLS handshake within 5 s"]);
}

/// Many who say nothing keep out nobody, and many who come at once all get in.
#[test]
fn a_crowd_gets_in() {
    let office = Office::new();
    let hub = secured(&office, "--name-timeout 20s");
    let silent: Vec<_> = (0..300).map(|_| connect(hub.at)).collect();
    let mut late = register(office.connect(hub.at), "late");
    drop(silent);
    let office = &office;
    thread::scope(|scope| {
        for i in 0..40 {
            let at = hub.at;
            scope.spawn(move || {
                for j in 0..5 {
                    register(office.connect(at), &format!("c{i}-{j}"));
                }
            });
        }
    });
    say(&mut late, b"late|2|ok");
    hears(&mut late, b"ok");
}
