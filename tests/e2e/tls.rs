//! `tls://` on every side: what goes through is what was sent, whoever is slow or wrong hurts nobody, and each mistake
//! is explained.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::Instant;

use rustls::DEFAULT_VERSIONS;
use rustls::version::{TLS12, TLS13};

use crate::common::DEADLINE;
use crate::common::feed::{Ending, Feed, Taker, pattern};
use crate::common::hydrant::{Hydrant, hydrant, read_all};
use crate::common::peers::{Place, connect, connect_narrow, half_close, leave, reset, vanish};
use crate::common::records::{Kind, Reader};
use crate::common::secure::{Client, Office, say_end};
use crate::common::tools::{Tool, have};

/// A relay from a plain upstream to `tls://`, and a place for plain clients beside it.
struct Relay {
    office: Office,
    hydrant: Hydrant,
    place: Place,
    secure: SocketAddr,
    plain: SocketAddr,
}

impl Relay {
    fn new(flags: &str) -> Self {
        Self::with(Office::new(), flags)
    }

    fn with(office: Office, flags: &str) -> Self {
        let place = Place::opened();
        let accepting = office.accepting();
        let line = format!("{} tls://0 0 --retry 20ms {accepting} {flags}", place.at);
        let hydrant = hydrant(&line).start();
        let secure = hydrant.address_of("clients");
        let plain = hydrant.address_of("clients");
        Self {
            office,
            hydrant,
            place,
            secure,
            plain,
        }
    }

    fn client(&self) -> Taker<Client> {
        self.joined(self.office.connect(self.secure))
    }

    /// Waits until the relay knows of it.
    #[track_caller]
    fn joined(&self, client: Client) -> Taker<Client> {
        let us = client.sock.local_addr().expect("it is connected");
        self.hydrant.wait_log(&format!("client {us} connected"));
        Taker::new(client, 0)
    }

    fn plain_client(&self) -> Taker<TcpStream> {
        let stream = connect(self.plain);
        let us = stream.local_addr().expect("it is connected");
        self.hydrant.wait_log(&format!("client {us} connected"));
        Taker::new(stream, 0)
    }
}

#[test]
fn clients_of_both_versions_and_plain_ones_get_the_same() {
    let mut relay = Relay::new("");
    let mut upstream = relay.place.accept();
    let mut secure: Vec<_> = [&TLS12, &TLS13]
        .map(|version| {
            let stream = connect(relay.secure);
            relay.joined(relay.office.client(stream, &[version], None))
        })
        .into();
    let mut plain = relay.plain_client();
    let mut feed = Feed::default();
    for len in [1, 100, 16 << 10, 3_000_000] {
        feed.send(&mut upstream, len);
        for taker in &mut secure {
            taker.take(len);
        }
        plain.take(len);
    }
    relay.hydrant.signal("TERM");
    for mut taker in secure {
        assert_eq!(
            taker.take_rest(),
            Ending::Orderly,
            "close_notify came before the end"
        );
    }
    assert_eq!(relay.hydrant.wait_exit(), 0);
}

#[test]
fn every_side_may_speak_it() {
    for mode in [
        "connect-listen",
        "listen-connect",
        "connect-connect",
        "listen-listen",
    ] {
        let office = Office::new();
        let issued = office.issue();
        let (up, down) = mode.split_once('-').expect("two sides");
        let mut from = (up == "connect").then(Place::opened);
        let mut to = (down == "connect").then(Place::opened);
        let word = |place: &Option<Place>| match place {
            Some(place) => format!("tls://localhost:{}", place.at.port()),
            None => "tls://127.0.0.1:0".to_owned(),
        };
        let accepting = if mode == "connect-connect" {
            String::new()
        } else {
            office.accepting()
        };
        let dialling = if mode == "listen-listen" {
            String::new()
        } else {
            office.dialling()
        };
        let line = format!(
            "{} {} --mode {mode} --retry 20ms {accepting} {dialling}",
            word(&from),
            word(&to)
        );
        let hydrant = hydrant(&line).start();
        let mut feed = Feed::default();
        let len = 2_000_000;
        match (&mut from, &mut to) {
            (Some(from), Some(to)) => {
                let mut upstream = office.server(from.accept(), &issued, false);
                let mut taker = Taker::new(office.server(to.accept(), &issued, false), 0);
                let taking = thread::spawn(move || taker.take(len));
                feed.send(&mut upstream, len);
                taking.join().expect("it gets everything");
            }
            (Some(from), None) => {
                let mut upstream = office.server(from.accept(), &issued, false);
                upstream.flush().expect("a handshake");
                let mut taker = Taker::new(office.connect(hydrant.address_of("clients")), 0);
                hydrant.report_until("| 1 client | ");
                let taking = thread::spawn(move || taker.take(len));
                feed.send(&mut upstream, len);
                taking.join().expect("it gets everything");
            }
            (None, Some(to)) => {
                let mut upstream = office.connect(hydrant.address_of("the upstream"));
                let mut taker = Taker::new(office.server(to.accept(), &issued, false), 0);
                let taking = thread::spawn(move || taker.take(len));
                feed.send(&mut upstream, len);
                taking.join().expect("it gets everything");
            }
            (None, None) => {
                let mut upstream = office.connect(hydrant.address_of("the upstream"));
                let mut taker = Taker::new(office.connect(hydrant.address_of("clients")), 0);
                hydrant.report_until("| 1 client | ");
                let taking = thread::spawn(move || taker.take(len));
                feed.send(&mut upstream, len);
                taking.join().expect("it gets everything");
            }
        }
    }
}

/// By the exit code, too.
#[test]
fn what_was_cut_off_is_no_whole_file() {
    let office = Office::new();
    for (is_whole, code) in [(true, 0), (false, 1)] {
        let flags = "--mode listen-connect --upstream-loss exit";
        let mut at = hydrant(&format!("tls://0 - {flags} {}", office.accepting())).start();
        let mut stdout = at.stdout();
        let mut upstream = office.connect(at.address_of("the upstream"));
        upstream.write_all(b"some").expect("it is read");
        stdout.read_exact(&mut [0; 4]).expect("it comes");
        match is_whole {
            true => say_end(&mut upstream),
            false => half_close(&upstream.sock),
        }
        assert_eq!(at.wait_exit(), code);
        let said = at.has_logged("did not end as it should");
        assert_eq!(said, !is_whole);
    }
}

#[test]
fn an_upstreams_end_is_told_from_its_truncation() {
    let office = Office::new();
    let at = hydrant(&format!(
        "tls://0 0 --mode listen-listen {}",
        office.accepting()
    ))
    .start();
    let to = at.address_of("the upstream");
    let mut whole = office.connect(to);
    // Both in one segment: nothing announces the end by itself.
    whole
        .conn
        .writer()
        .write_all(b"whole")
        .expect("there is room");
    say_end(&mut whole);
    at.wait_log("closed the connection after");
    let mut cut = office.connect(to);
    cut.write_all(b"cut").expect("it is read");
    half_close(&cut.sock);
    at.wait_log("lost (TLS: ended without close_notify, so bytes may be missing) after");
}

/// A reset behind its end takes nothing of it away.
#[test]
fn an_upstream_may_reset_what_it_has_ended() {
    let office = Office::new();
    let line = format!("tls://0 0 --mode listen-listen {}", office.accepting());
    let at = hydrant(&line).start();
    let mut hasty = office.connect(at.address_of("the upstream"));
    hasty.write_all(b"hasty").expect("it is read");
    at.wait_log("connected");
    say_end(&mut hasty);
    reset(hasty.sock);
    at.wait_log("closed the connection after");
}

#[test]
fn a_client_that_has_said_its_last_still_receives() {
    let mut relay = Relay::new("");
    let mut upstream = relay.place.accept();
    let mut polite = relay.client();
    say_end(&mut polite.stream);
    let mut rude = relay.client();
    half_close(&rude.stream.sock);
    let mut feed = Feed::default();
    feed.send(&mut upstream, 2_000_000);
    polite.take(2_000_000);
    rude.take(2_000_000);
    let before = relay.hydrant.processor_ticks();
    let report = relay.hydrant.report();
    assert!(report.contains("| 2 clients | "), "{report}");
    relay.hydrant.report();
    assert!(relay.hydrant.processor_ticks() - before < 50, "it spins");
    leave(&polite.stream.sock);
}

#[test]
fn a_slow_client_is_dropped_as_any_other() {
    let mut relay = Relay::new("--ring 512K");
    let mut upstream = relay.place.accept();
    let mut others: Vec<_> = (0..2).map(|_| relay.client()).collect();
    let narrow = connect_narrow(relay.secure);
    let mut slow = relay.joined(relay.office.client(narrow, DEFAULT_VERSIONS, None));
    let who = slow.stream.sock.local_addr().expect("it is connected");
    let line = format!("client {who} dropped: overtaken; ");
    let mut feed = Feed::default();
    while !relay.hydrant.has_logged(&line) {
        assert!(feed.at < 64 << 20, "it was never overtaken");
        feed.send(&mut upstream, 128 << 10);
        for other in &mut others {
            other.take(128 << 10);
        }
    }
    assert_eq!(slow.take_rest(), Ending::Reset);
    assert!(slow.at < feed.at);
    feed.send(&mut upstream, 1_000_000);
    for other in &mut others {
        other.take(1_000_000);
    }
}

#[test]
fn those_who_connect_may_have_to_show_a_certificate() {
    let office = Office::new();
    let flags = format!("--tls-client-ca {}", office.at("ca"));
    let relay = Relay::with(office, &flags);
    let known = relay.office.authority.issue(&["me"]);
    for version in [&TLS12, &TLS13] {
        let stream = connect(relay.secure);
        let client = relay.office.client(stream, &[version], Some(&known));
        relay.joined(client);
    }
    // With TLS 1.3 it learns of its refusal only when it reads.
    let mut unknown = relay.office.connect(relay.secure);
    let error = unknown.read(&mut [0]).expect_err("it was refused");
    assert!(error.to_string().contains("CertificateRequired"), "{error}");
    relay.hydrant.wait_log(
        "client 127.0.0.1 refused: TLS: it showed no certificate, and --tls-client-ca asks for one",
    );
}

/// Under `block`, what went to a destination that then refused our certificate was never looked at: it gets it again.
#[test]
fn what_a_refusing_destination_was_sent_is_sent_again() {
    let office = Office::new();
    let shown = office.authority.issue(&["me"]);
    office.put("mine", &format!("{}{}", shown.certificate, shown.key));
    let issued = office.issue();
    let (mut from, mut to) = (Place::opened(), Place::opened());
    // Its own certificate is no one's that the destination knows, at first.
    let stranger = Office::new().authority.issue(&["me"]);
    office.put("mine", &format!("{}{}", stranger.certificate, stranger.key));
    let line = format!(
        "{} tls://localhost:{} --mode connect-connect --retry 20ms {} --tls-client-cert {}",
        from.at,
        to.at.port(),
        office.dialling(),
        office.at("mine")
    );
    let at = hydrant(&line).start();
    let mut upstream = from.accept();
    let mut feed = Feed::default();
    feed.send(&mut upstream, 100_000);
    let mut refusing = office.server(to.accept(), &issued, true);
    // It answers the hello, and looks at what comes then only when it is all there.
    let (conn, sock) = (&mut refusing.conn, &mut refusing.sock);
    while !conn.wants_write() {
        conn.read_tls(sock).expect("a hello");
        conn.process_new_packets().expect("a good one");
    }
    while conn.wants_write() {
        conn.write_tls(sock).expect("it is read");
    }
    at.report_until("97 KiB in, 97 KiB out");
    let refused = refusing.read(&mut [0; 10]).expect_err("it is unknown");
    assert_eq!(refused.kind(), ErrorKind::InvalidData, "{refused}");
    at.wait_log("it does not trust the issuer of our certificate (alert unknown_ca)");
    office.put("mine", &format!("{}{}", shown.certificate, shown.key));
    at.signal("HUP");
    at.wait_log("certificates read again");
    let end = Instant::now() + DEADLINE;
    loop {
        assert!(Instant::now() < end, "it never shows the new certificate");
        let mut server = office.server(to.accept(), &issued, true);
        let mut first = [0; 1];
        if server.read(&mut first).is_ok() {
            assert_eq!(first[..], pattern(0, 1));
            Taker::new(server, 1).take(99_999);
            return;
        }
    }
}

#[test]
fn mistakes_of_an_upstream_are_explained() {
    let office = Office::new();
    let authority = &office.authority;
    let names = ["localhost"];
    let cases = [
        (
            Office::new().issue(),
            "its certificate is issued by nobody we trust; --tls-ca FILE",
        ),
        (
            authority.issue(&["other.example"]),
            "is for other.example, not for localhost",
        ),
        (authority.issue_expired(&names), "its certificate expired "),
        (
            authority.issue_early(&names),
            "its certificate is not valid yet",
        ),
    ];
    for (issued, said) in cases {
        let mut place = Place::opened();
        let word = format!("tls://localhost:{}", place.at.port());
        let line = format!("{word} 0 --retry 1h {}", office.dialling());
        let at = hydrant(&line).start();
        let mut server = office.server(place.accept(), &issued, false);
        assert!(server.read(&mut [0]).is_err(), "it was accepted");
        at.wait_logs(&[&format!("upstream {word} can't be used (TLS: "), said]);
    }
    let mut place = Place::opened();
    let word = format!("tls://localhost:{}", place.at.port());
    let at = hydrant(&format!("{word} 0 --retry 1h {}", office.dialling())).start();
    let mut plain = place.accept();
    plain.write_all(b"a plain feed\n").expect("it is read");
    at.wait_log("can't be used (TLS: plain bytes came instead); retrying until it answers");
}

#[test]
fn whoever_verifies_nothing_is_warned() {
    let office = Office::new();
    let issued = Office::new().authority.issue_expired(&["other.example"]);
    let mut place = Place::opened();
    let line = format!("tls://{} 0 --tls-insecure", place.at);
    let at = hydrant(&line).start();
    at.wait_logs(&["[WARN]", "certificates are not verified (--tls-insecure)"]);
    let mut server = office.server(place.accept(), &issued, false);
    server.write_all(b"x").expect("it takes anybody");
    server.flush().expect("it takes anybody");
    at.report_until("in all 1 B in");
}

#[test]
fn plain_and_tls_on_each_others_ports_are_explained() {
    let mut relay = Relay::new("");
    let _upstream = relay.place.accept();
    let mut browser = connect(relay.secure);
    browser
        .write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .expect("it is read");
    relay
        .hydrant
        .wait_log("client 127.0.0.1 refused: TLS: plain HTTP came instead");
    let hello = b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00";
    let mut lost = connect(relay.plain);
    let us = lost.local_addr().expect("it is connected");
    lost.write_all(hello).expect("it is read");
    relay.hydrant.wait_log(&format!(
        "client {us} speaks TLS, which is not spoken here: write tls:// before the DST"
    ));

    let listens = hydrant("0 0 --mode listen-listen").start();
    let mut lost = connect(listens.address_of("the upstream"));
    lost.write_all(hello).expect("it is read");
    listens.wait_log("speaks TLS, which is passed on as it is: write tls:// before the SRC");
}

/// What one of an address did wrong hides nothing of what others of it do; the same again is only counted.
#[test]
fn each_mistake_of_an_address_is_said_and_each_once() {
    let mut relay = Relay::new("");
    let _upstream = relay.place.accept();
    let at = relay.secure;
    let says = |words: &[u8]| {
        let mut stream = connect(at);
        stream.write_all(words).expect("it is read");
        half_close(&stream);
        while matches!(stream.read(&mut [0; 64]), Ok(1..)) {}
    };
    for _ in 0..3 {
        says(b"GET / HTTP/1.1\r\n\r\n");
        says(b"a plain greeting\n");
        says(b"\x16\x03\x01\x02");
    }
    let told = [
        "TLS: plain HTTP came instead",
        "TLS: plain bytes came instead",
        "TLS: it left in the middle of the handshake",
    ];
    for why in told {
        relay
            .hydrant
            .wait_log(&format!("client 127.0.0.1 refused: {why}"));
    }
    relay.hydrant.signal("TERM");
    for why in told {
        relay.hydrant.wait_logs(&[why, "(2 times in"]);
    }
}

#[test]
fn mistakes_in_the_files_end_it_at_once() {
    let office = Office::new();
    let other = office.issue();
    office.put("other", &other.key);
    office.put("empty", "");
    let run = |cert: &str, key: &str| {
        let (cert, key) = (office.at(cert), office.at(key));
        let line = format!("0 tls://0 --mode listen-listen --tls-cert {cert} --tls-key {key}");
        let done = hydrant(&line).run();
        assert_eq!((done.code, done.stdout.as_str()), (1, ""));
        done.stderr.join("\n")
    };
    let at = |name: &str| office.at(name);
    assert_eq!(
        run("cert", "other"),
        format!(
            "hydrant: --tls-key {} has a key that does not match the certificate",
            at("other")
        )
    );
    assert_eq!(
        run("none", "key"),
        format!(
            "hydrant: can't read --tls-cert {}: no such file or directory",
            at("none")
        )
    );
    assert_eq!(
        run("empty", "key"),
        format!(
            "hydrant: --tls-cert {} has no certificate: it takes PEM, -----BEGIN CERTIFICATE-----",
            at("empty")
        )
    );
    assert_eq!(
        run("cert", "cert"),
        format!(
            "hydrant: --tls-key {} has no private key: it takes PEM, -----BEGIN PRIVATE KEY-----",
            at("cert")
        )
    );
}

#[test]
fn a_certificate_of_our_own_that_is_out_of_date_is_told_at_the_start() {
    let office = Office::new();
    let names = ["localhost"];
    for (issued, what) in [
        (office.authority.issue_expired(&names), " expired "),
        (office.authority.issue_early(&names), " is not valid yet"),
    ] {
        office.install(&issued);
        let at = hydrant(&format!(
            "127.0.0.1:0 tls://127.0.0.1:0 --mode listen-listen {}",
            office.accepting()
        ))
        .start();
        at.wait_logs(&[
            "[WARN] hydrant: --tls-cert ",
            what,
            "who checks that will not connect",
        ]);
    }
}

#[test]
fn a_new_certificate_is_for_new_connections() {
    let mut relay = Relay::new("");
    let mut upstream = relay.place.accept();
    let mut old = relay.client();
    let first = shown(&old.stream);

    relay.office.install(&relay.office.issue());
    relay.hydrant.signal("HUP");
    relay
        .hydrant
        .wait_log("certificates read again; they hold for new connections");
    let mut new = relay.client();
    let second = shown(&new.stream);
    assert_ne!(first, second);

    let names = ["localhost", "127.0.0.1"];
    relay
        .office
        .install(&relay.office.authority.issue_expired(&names));
    relay.hydrant.signal("HUP");
    relay
        .hydrant
        .wait_logs(&[" expired ", "what was read before stays in use"]);
    assert_eq!(shown(&relay.client().stream), second);

    relay.office.put("key", "rubbish");
    relay.hydrant.signal("HUP");
    relay.hydrant.wait_logs(&[
        "[WARN]",
        "has no private key",
        "what was read before stays in use",
    ]);
    assert_eq!(shown(&relay.client().stream), second);

    // Nobody has to say that the files have changed.
    relay.office.install(&relay.office.issue());
    relay
        .hydrant
        .wait_log("certificates read again; they hold for new connections");
    let third = shown(&relay.client().stream);
    let said = relay.hydrant.log();
    let bad = said
        .iter()
        .filter(|line| line.contains("has no private key"));
    assert_eq!(bad.count(), 1, "it is said once");
    assert!(third != first && third != second);

    let mut feed = Feed::default();
    feed.send(&mut upstream, 100_000);
    old.take(100_000);
    new.take(100_000);
}

/// The certificate that the other side has shown.
fn shown(client: &Client) -> Vec<u8> {
    let chain = client.conn.peer_certificates().expect("it showed one");
    chain[0].to_vec()
}

#[test]
fn a_handshake_has_a_deadline_and_holds_up_nobody() {
    let mut relay = Relay::new("");
    let mut upstream = relay.place.accept();
    let mut silent = connect(relay.secure);
    let mut slow = connect(relay.secure);
    slow.write_all(b"\x16\x03\x01").expect("it is read");
    let mut taker = relay.client();
    Feed::default().send(&mut upstream, 1_000_000);
    taker.take(1_000_000);
    relay
        .hydrant
        .wait_log("client 127.0.0.1 refused: no TLS handshake within 5 s");
    assert!(matches!(silent.read(&mut [0]), Ok(0)), "it is closed");
    assert!(
        matches!(slow.read(&mut [0]), Ok(0) | Err(_)),
        "it is closed"
    );
}

/// Whoever is tried on the side shakes hands there, too, and what he sends meanwhile goes to nobody.
#[test]
fn failback_goes_by_tls() {
    let office = Office::new();
    let issued = office.issue();
    let (mut first, mut second) = (Place::new(), Place::opened());
    let to = |place: &Place| format!("tls://localhost:{}", place.at.port());
    let line = format!(
        "{},{} 0 --retry 20ms --idle-timeout 1h --failback 100ms {}",
        to(&first),
        to(&second),
        office.dialling()
    );
    let hydrant = hydrant(&line).start();
    let mut client = Taker::new(connect(hydrant.address_of("clients")), 0);
    hydrant.report_until("| 1 client | ");
    let mut in_use = office.server(second.accept(), &issued, false);
    in_use.write_all(b"second").expect("it is read");
    in_use.flush().expect("it is read");
    let mut said = [0; 6];
    client
        .stream
        .read_exact(&mut said)
        .expect("it is passed on");
    assert_eq!(&said, b"second");
    first.open();
    let mut back = office.server(first.accept(), &issued, false);
    let start = Instant::now();
    while !hydrant.has_logged("has sent records for 100 ms: in use again") {
        assert!(start.elapsed() < DEADLINE, "it is not in use again");
        back.write_all(b"?").expect("it is read");
        back.flush().expect("it is read");
        hydrant.report();
    }
    back.write_all(b"!").expect("it is read");
    back.flush().expect("it is read");
    let mut byte = [b'?'];
    while byte != *b"!" {
        client
            .stream
            .read_exact(&mut byte)
            .expect("it is passed on");
    }
}

#[test]
fn an_upstream_by_tls_is_greeted() {
    let office = Office::new();
    let issued = office.issue();
    office.put("login", "LOGIN me\n");
    let mut place = Place::opened();
    let line = format!(
        "tls://localhost:{} 0 --retry 10ms --upstream-send {} {}",
        place.at.port(),
        office.at("login"),
        office.dialling()
    );
    let _run = hydrant(&line).start();
    for _ in 0..2 {
        let mut upstream = office.server(place.accept(), &issued, false);
        let mut greeting = [0; 9];
        upstream.read_exact(&mut greeting).expect("it is greeted");
        assert_eq!(&greeting, b"LOGIN me\n");
        leave(&upstream.sock);
    }
}

#[test]
fn a_client_that_goes_on_skips_from_record_to_record() {
    let kind = Kind::Market;
    let flags = format!(
        "--slow skip --ring 64K --record-max 1K --framing {}",
        kind.framing()
    );
    let mut relay = Relay::new(&flags);
    let mut upstream = relay.place.accept();
    let mut other = Reader::new(kind, relay.client().stream);
    let narrow = connect_narrow(relay.secure);
    let frozen = relay.joined(relay.office.client(narrow, DEFAULT_VERSIONS, None));
    let who = frozen.stream.sock.local_addr().expect("it is connected");
    let mut frozen = Reader::new(kind, frozen.stream);
    let said = format!("client {who} skipped ");
    let mut sent = 0_u64;
    while !relay.hydrant.has_logged(&said) {
        assert!(sent < 2_000_000, "it never skipped");
        upstream
            .write_all(&kind.records(sent..sent + 100))
            .expect("it is read");
        other.take(sent..sent + 100);
        sent += 100;
    }
    let (mut next, mut jumps) = (0, 0);
    while next < sent {
        let number = frozen.next().expect("a whole record");
        assert!(number >= next, "{number} came twice, or late");
        jumps += u32::from(number > next);
        next = number + 1;
    }
    assert!(jumps > 0);
    upstream
        .write_all(&kind.records(sent..sent + 10))
        .expect("it is read");
    frozen.take(sent..sent + 10);
    other.take(sent..sent + 10);
    assert!(relay.hydrant.report().contains("| drops 0 | "));
}

/// The upstream is lost, and that is the end for a client that is behind; the next upstream overtakes it. It misses
/// bytes, and is told of the end all the same.
#[test]
fn a_client_that_skips_to_its_end_is_told_of_it() {
    let mut relay = Relay::new("--slow skip --ring 64K --hold off --upstream-loss close");
    let mut upstream = relay.place.accept();
    let narrow = connect_narrow(relay.secure);
    let frozen = relay.office.client(narrow, DEFAULT_VERSIONS, None);
    let mut frozen = relay.joined(frozen).stream;
    let who = frozen.sock.local_addr().expect("it is connected");
    let mut feed = Feed::default();
    feed.send(&mut upstream, 8 << 20);
    relay.hydrant.wait_log(&format!("client {who} skipped "));
    relay.hydrant.report_until("in all 8.0 MiB in");
    feed.send(&mut upstream, 4 << 10);
    leave(&upstream);
    relay.hydrant.wait_log(", 1 client to be closed");
    let mut next = relay.place.accept();
    feed.send(&mut next, 1 << 20);
    relay.hydrant.report_until("in all 9.0 MiB in");
    let mut got = Vec::new();
    let end = frozen.read_to_end(&mut got);
    end.expect("it is told of the end");
    assert!((got.len() as u64) < feed.at);
}

/// Of what a destination's kernel has acknowledged, the last record of TLS may be cut, and no use to anybody.
#[test]
fn every_record_arrives_in_one_of_a_destinations_lives() {
    let kind = Kind::Nmea;
    let office = Office::new();
    let issued = office.issue();
    let (mut from, mut to) = (Place::opened(), Place::narrow());
    let line = format!(
        "{} tls://localhost:{} --mode connect-connect --retry 20ms --upstream-loss exit --framing {} {}",
        from.at,
        to.at.port(),
        kind.framing(),
        office.dialling()
    );
    let mut hydrant = hydrant(&line).start();
    let mut upstream = from.accept();
    let count = 60_000;
    let sender = thread::spawn(move || {
        upstream
            .write_all(&kind.records(0..count))
            .expect("the relay takes it");
    });
    let mut end = 0;
    let mut note = |bytes: &[u8]| {
        let numbers = kind.numbers(bytes);
        let Some(first) = numbers.first() else { return };
        assert!(*first <= end, "{end} was next, and {first} came");
        assert!(numbers.is_sorted_by(|a, b| a + 1 == *b));
        end = first + numbers.len() as u64;
    };
    for len in [1, 10_000, 300_000, 77_777, 500_000, 100_001] {
        let mut life = office.server(to.accept(), &issued, false);
        let mut got = vec![0; len];
        life.read_exact(&mut got).expect("there is so much of it");
        vanish(&life.sock);
        life.sock.set_nonblocking(true).expect("a socket may be");
        let rest = life.read_to_end(&mut got).expect_err("it goes on");
        assert_eq!(rest.kind(), ErrorKind::WouldBlock);
        note(&got);
        reset(life.sock);
    }
    let mut got = Vec::new();
    let mut last = office.server(to.accept(), &issued, false);
    last.read_to_end(&mut got).expect("an orderly end");
    note(&got);
    assert_eq!(end, count);
    sender.join().expect("everything is sent");
    assert_eq!(hydrant.wait_exit(), 0);
}

/// Many who say nothing take no place from those who do, and the oldest of them go first.
#[test]
fn a_crowd_that_is_silent_keeps_nobody_out() {
    let mut relay = Relay::new("");
    let mut upstream = relay.place.accept();
    let mut plain = relay.plain_client();
    let crowd: Vec<_> = (0..1_100).map(|_| connect(relay.secure)).collect();
    let mut late = relay.client();
    relay
        .hydrant
        .wait_log("client 127.0.0.1 refused: no TLS handshake so far, and 1024 are under way");
    assert!(
        matches!((&crowd[0]).read(&mut [0]), Ok(0)),
        "the oldest is closed"
    );
    let mut feed = Feed::default();
    feed.send(&mut upstream, 1_000_000);
    plain.take(1_000_000);
    late.take(1_000_000);
}

#[test]
fn openssl_receives_in_both_versions() {
    if !have("openssl") {
        return;
    }
    let mut relay = Relay::new("");
    let mut upstream = relay.place.accept();
    let (at, ca) = (relay.secure.to_string(), relay.office.at("ca"));
    let mut clients: Vec<_> = ["-tls1_2", "-tls1_3"]
        .iter()
        .map(|version| {
            let args = [
                "s_client",
                "-quiet",
                "-verify_return_error",
                "-servername",
                "localhost",
            ];
            let to = ["-connect", &at, "-CAfile", &ca, version];
            Tool::start("openssl", &[&args[..], &to[..]].concat())
        })
        .collect();
    relay.hydrant.report_until("| 2 clients | ");
    let takers: Vec<_> = clients
        .iter_mut()
        .map(|client| {
            let mut taker = Taker::new(client.0.stdout.take().expect("a pipe"), 0);
            thread::spawn(move || taker.take(3_000_000))
        })
        .collect();
    Feed::default().send(&mut upstream, 3_000_000);
    for taker in takers {
        taker.join().expect("it gets everything");
    }
}

#[test]
fn openssl_asks_for_a_certificate_and_receives() {
    if !have("openssl") {
        return;
    }
    let office = Office::new();
    office.install(&office.authority.issue_p256(&["localhost"]));
    let (mut from, to) = (Place::opened(), Place::new());
    let port = to.at.port().to_string();
    let at = |name| office.at(name);
    let (cert, key, ca) = (at("cert"), at("key"), at("ca"));
    let files = ["-cert", &cert, "-key", &key, "-CAfile", &ca];
    let args = [
        "s_server",
        "-quiet",
        "-accept",
        &port,
        "-Verify",
        "1",
        "-verify_return_error",
    ];
    let mut server = Tool::start("openssl", &[&args[..], &files[..]].concat());
    let line = format!(
        "{} tls://localhost:{port} --mode connect-connect --retry 20ms {} {}",
        from.at,
        office.dialling(),
        format_args!("--tls-client-cert {cert} --tls-client-key {key}")
    );
    let hydrant = hydrant(&line).start();
    let mut upstream = from.accept();
    hydrant.wait_log("downstream tls://localhost");
    hydrant.wait_log(" connected");
    let mut taker = Taker::new(server.0.stdout.take().expect("a pipe"), 0);
    let taker = thread::spawn(move || taker.take(2_000_000));
    Feed::default().send(&mut upstream, 2_000_000);
    taker.join().expect("it gets everything");
}

/// A feed that happens to be an answer of HTTP's, to a program that asks for it.
#[test]
fn curl_receives_what_is_an_answer_to_it() {
    if !have("curl") {
        return;
    }
    let mut relay = Relay::new("--backlog 64K --upstream-loss close");
    let mut upstream = relay.place.accept();
    let body = "in the clear to nobody";
    let head = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n";
    write!(upstream, "{head}{body}").expect("it is read");
    let sent = format!("in all {} B in", head.len() + body.len());
    relay.hydrant.report_until(&sent);
    let url = format!("https://localhost:{}/", relay.secure.port());
    let ca = relay.office.at("ca");
    let mut curl = Tool::start("curl", &["-sS", "--max-time", "30", "--cacert", &ca, &url]);
    relay.hydrant.report_until("| 1 client | ");
    leave(&upstream);
    let said = read_all(curl.0.stdout.take().expect("a pipe"));
    assert_eq!(String::from_utf8_lossy(&said), body);
    assert!(
        curl.0.wait().is_ok_and(|status| status.success()),
        "the end was no truncation"
    );
}
