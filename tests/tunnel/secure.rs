//! A tunnel whose two ends speak TLS: what goes through is what was sent, and each mistake is explained.

use std::io::{Read, Write};

use rustls::version::{TLS12, TLS13};

use crate::common::feed::pattern;
use crate::common::hydrant::hydrant;
use crate::common::peers::{connect, half_close, leave};
use crate::common::secure::{Office, say_end};
use crate::common::service::{ask, bytes, handed, next};
use crate::common::tools::{Tool, have};
use crate::rig::{Backend, Server};

/// A ping of yamux: the first word of those who know no hello.
const PING: [u8; 12] = [0, 2, 0, 1, 0, 0, 0, 0, 0, 0, 0, 7];
/// How a frame begins that opens a stream.
const SYN: [u8; 4] = [0, 1, 0, 1];

fn secured(office: &Office, flags: &str) -> Server {
    Server::start(&format!("{} {flags}", office.accepting()))
}

/// The server's endpoint, as those dial it who want to know whom they talk to.
fn named(server: &Server) -> String {
    format!("tls://localhost:{}", server.at.port())
}

#[test]
fn what_goes_through_is_what_was_sent() {
    let office = Office::new();
    let server = secured(&office, "");
    let words = format!("--echo {}", office.dialling());
    let backend = Backend::start(named(&server), &words);
    let public = backend.public();
    let sent = bytes(3_000_000);
    assert!(ask(public, &sent) == sent, "it came back as it went");
    let crowd: Vec<_> = (0..20).map(|_| connect(public)).collect();
    for (i, mut client) in crowd.iter().enumerate() {
        client.write_all(&[i as u8; 1000]).expect("it is read");
    }
    for (i, mut client) in crowd.iter().enumerate() {
        let mut back = [0; 1000];
        client.read_exact(&mut back).expect("it comes back");
        assert_eq!(back, [i as u8; 1000]);
    }
    // Both say their last.
    drop(crowd);
    assert!(backend.run.stop().iter().all(|line| !line.contains("TLS:")));
    server.run.wait_logs(&["backend ", " lost: it went away"]);
}

#[test]
fn the_address_itself_may_say_so() {
    let office = Office::new();
    let line = format!("tunnel serve tls://0 --ports 0 {}", office.accepting());
    let run = hydrant(&line).start();
    let at = run.address_of("backends");
    let mut backend = office.connect(at);
    backend.write_all(&PING).expect("it is read");
    run.wait_log(" connected, public at ");
}

#[test]
fn whoever_knows_no_hello_may_speak_tls_in_both_versions() {
    let office = Office::new();
    let server = secured(&office, "");
    for version in [&TLS12, &TLS13] {
        let mut backend = office.client(connect(server.at), &[version], None);
        let us = backend.sock.local_addr().expect("it is connected");
        backend.write_all(&PING).expect("it is read");
        backend.flush().expect("it is read");
        let mut answer = [0; 12];
        backend.read_exact(&mut answer).expect("it says something");
        let is = format!("backend {us} connected, public at ");
        server.run.wait_log(&is);
        say_end(&mut backend);
        let is = format!("backend {us} lost: it closed the connection");
        server.run.wait_log(&is);
    }
    let mut cut = office.connect(server.at);
    cut.write_all(&PING).expect("it is read");
    cut.read_exact(&mut [0; 12]).expect("it says something");
    leave(&cut.sock);
    let is = "lost: TLS: ended without close_notify, so bytes may be missing";
    server.run.wait_log(is);
}

/// All of it is with the server's TLS when the connection ends, with a word or without.
#[test]
fn the_tail_of_a_carrier_with_tls_arrives_however_that_ends() {
    let office = Office::new();
    let server = secured(&office, "");
    for (in_order, why) in [
        (true, "it closed the connection"),
        (false, "TLS: ended without close_notify"),
    ] {
        let mut backend = office.connect(server.at);
        backend.write_all(&PING).expect("it is read");
        backend.flush().expect("it is read");
        let line = server.run.wait_log(" connected, public at ");
        let public = line.rsplit(' ').next().unwrap_or_default();
        let mut client = connect(public.parse().expect("HOST:PORT"));
        let mut frame = [0; 12];
        while frame[..4] != SYN {
            backend.read_exact(&mut frame).expect("a stream is opened");
            if frame[..4] == PING[..4] {
                // Whatever it says shows that it is alive.
                backend.write_all(&PING).expect("it is read");
                backend.flush().expect("it is read");
            }
        }
        let tail = bytes(200_000);
        let stream = frame[7];
        let (taken, last) = (header(1, 2, stream, 0), header(0, 4, stream, tail.len()));
        backend
            .write_all(&[taken, last, tail.clone()].concat())
            .expect("it is read");
        backend.flush().expect("it is read");
        match in_order {
            true => say_end(&mut backend),
            // What it still gets may not be answered by a reset.
            false => half_close(&backend.sock),
        }
        server.run.wait_logs(&[" lost: ", why]);
        let mut all = Vec::new();
        client.read_to_end(&mut all).expect("it ends well");
        assert!(all == tail, "{} bytes came, {why}", all.len());
    }
}

/// As above, of what a client had said, for a service that reads it later.
#[test]
fn the_tail_of_a_carrier_with_tls_reaches_the_service_however_that_ends() {
    let office = Office::new();
    let issued = office.issue();
    for (in_order, why) in [
        (true, "closed the connection"),
        (false, "ended without close_notify"),
    ] {
        let (at, server) = handed();
        let (service, reached) = handed();
        let words = format!("{service} {}", office.dialling());
        let backend = Backend::start(format!("tls://localhost:{}", at.port()), &words);
        // It greets, and hears that its own way is not known here.
        let mut first = office.server(next(&server), &issued, false);
        first.write_all(&PING).expect("it is read");
        let mut second = office.server(next(&server), &issued, false);
        let tail = bytes(200_000);
        let (opens, last) = (header(1, 1, 2, 0), header(0, 4, 2, tail.len()));
        second
            .write_all(&[opens, last, tail.clone()].concat())
            .expect("it is read");
        second.flush().expect("it is read");
        let mut reader = next(&reached);
        match in_order {
            true => say_end(&mut second),
            false => half_close(&second.sock),
        }
        backend.run.wait_logs(&[why, "; retrying"]);
        let mut all = Vec::new();
        reader.read_to_end(&mut all).expect("it ends well");
        assert!(all == tail, "{} bytes came, {why}", all.len());
    }
}

/// The header of a frame of a small stream's.
fn header(kind: u8, flags: u8, stream: u8, length: usize) -> Vec<u8> {
    let mut header = vec![0, kind, 0, flags, 0, 0, 0, stream];
    header.extend((length as u32).to_be_bytes());
    header
}

#[test]
fn openssl_is_a_backend() {
    if !have("openssl") {
        return;
    }
    let office = Office::new();
    let server = secured(&office, "");
    let (at, ca) = (server.at.to_string(), office.at("ca"));
    let args = ["s_client", "-quiet", "-verify_return_error", "-connect"];
    let mut openssl = Tool::start("openssl", &[&args[..], &[&at, "-CAfile", &ca]].concat());
    let mut stdin = openssl.0.stdin.take().expect("a pipe");
    stdin.write_all(&PING).expect("it is read");
    stdin.flush().expect("it is read");
    server.run.wait_log(" connected, public at ");
    let mut stdout = openssl.0.stdout.take().expect("a pipe");
    let mut answer = [0; 12];
    stdout.read_exact(&mut answer).expect("it says something");
    assert_eq!(answer[..2], [0, 2], "a ping, or the answer to ours");
}

#[test]
fn a_backend_may_have_to_show_a_certificate() {
    let office = Office::new();
    let ca = office.at("ca");
    let server = secured(&office, &format!("--tls-client-ca {ca}"));
    let (at, ca) = (named(&server), office.dialling());
    let shy = hydrant(&format!("tunnel expose {at} --echo {ca} --retry 1h")).start();
    shy.wait_log("can't be used (TLS: it asks for a certificate; --tls-client-cert FILE shows one");
    server.run.wait_logs(&[
        "backend 127.0.0.1 refused: TLS: it showed no certificate",
        "--tls-client-ca asks for one",
    ]);
    let issued = office.authority.issue(&["me"]);
    office.put("mine", &format!("{}{}", issued.certificate, issued.key));
    let words = format!("--echo {ca} --tls-client-cert {}", office.at("mine"));
    let backend = Backend::start(at, &words);
    assert_eq!(ask(backend.public(), b"known"), b"known");
}

#[test]
fn mistakes_are_explained() {
    let office = Office::new();
    let server = secured(&office, "");
    let port = server.at.port();
    let expose = |to: String, flags: &str| {
        hydrant(&format!("tunnel expose {to} --echo --retry 1h {flags}")).start()
    };
    let unknown = expose(format!("tls://localhost:{port}"), "");
    unknown.wait_log("can't be used (TLS: its certificate is issued by nobody we trust; --tls-ca");
    office.install(&office.authority.issue(&["other.example"]));
    server.run.signal("HUP");
    server.run.wait_log("certificates read again");
    let other = expose(format!("tls://localhost:{port}"), &office.dialling());
    other.wait_log("(TLS: its certificate is for other.example, not for localhost)");
    let old = Office::new();
    old.install(&old.authority.issue_expired(&["localhost"]));
    let expired = secured(&old, "");
    let late = expose(named(&expired), &old.dialling());
    late.wait_log("can't be used (TLS: its certificate expired ");
    let careless = expose(format!("tls://localhost:{port}"), "--tls-insecure");
    careless.wait_logs(&["[WARN]", "certificates are not verified (--tls-insecure)"]);
    careless.wait_log(" connected, public at ");

    let plain = expose(format!("localhost:{port}"), "");
    plain.wait_log(&format!(
        "server localhost:{port} speaks TLS: write tls:// before it"
    ));
    server
        .run
        .wait_log("backend 127.0.0.1 refused: TLS: plain bytes came instead");
    let mut browser = connect(server.at);
    browser
        .write_all(b"GET / HTTP/1.1\r\n")
        .expect("it is read");
    server
        .run
        .wait_log("backend 127.0.0.1 refused: TLS: plain HTTP came instead");
    let open = Server::start("");
    let lost = expose(format!("tls://{}", open.at), "");
    lost.wait_log("can't be used (TLS: ");
    open.run.wait_log(
        "refused: it speaks TLS, which is not spoken here: add --tls-cert FILE and --tls-key FILE",
    );
}

#[test]
fn a_new_certificate_is_for_new_connections() {
    let office = Office::new();
    let server = secured(&office, "");
    let words = format!("--echo {}", office.dialling());
    let backend = Backend::start(named(&server), &words);
    let public = backend.public();
    let first = office.connect(server.at);
    // Nobody has to say that the files have changed.
    office.install(&office.issue());
    server.run.wait_log("certificates read again");
    let second = office.connect(server.at);
    assert_ne!(
        first.conn.peer_certificates(),
        second.conn.peer_certificates()
    );
    office.put("key", "rubbish");
    server.run.signal("HUP");
    server
        .run
        .wait_logs(&["[WARN]", "has no private key", "stays in use"]);
    let third = office.connect(server.at);
    assert_eq!(
        second.conn.peer_certificates(),
        third.conn.peer_certificates()
    );
    assert_eq!(ask(public, b"still here"), b"still here");
}

/// Those who are silent are closed in time, and hold up nobody.
#[test]
fn a_handshake_has_a_deadline_and_holds_up_nobody() {
    let office = Office::new();
    let server = secured(&office, "");
    let mut silent = connect(server.at);
    let crowd: Vec<_> = (0..300).map(|_| connect(server.at)).collect();
    let words = format!("--echo {}", office.dialling());
    let backend = Backend::start(named(&server), &words);
    let sent = pattern(0, 100_000);
    assert!(ask(backend.public(), &sent) == sent, "it came back");
    assert!(matches!(silent.read(&mut [0]), Ok(0)), "it is closed");
    let late = connect(server.at);
    drop(crowd);
    server
        .run
        .wait_log("backend 127.0.0.1 refused: no TLS handshake within 5 s");
    assert!(matches!((&late).read(&mut [0]), Ok(0)), "it is closed");
}
