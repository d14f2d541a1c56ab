//! Two sessions in memory, with the network between them in the test's hands.

#[path = "../../../tests/common/authority.rs"]
#[allow(
    dead_code,
    reason = "the tests of the whole program need the rest of it"
)]
mod authority;

use proptest::prelude::*;

use super::*;
use authority::{Authority, Issued};

/// What travels from one session to the other is cut into pieces of so many bytes.
type Cut = usize;

struct Pair {
    client: Session,
    server: Session,
}

impl Pair {
    fn new(connector: &Connector, acceptor: &Acceptor) -> Self {
        Self {
            client: connector.session("feed.example").expect("a good name"),
            server: acceptor.session().expect("a session"),
        }
    }

    /// Lets both say what they have to say until neither has anything.
    fn settle(&mut self, cut: Cut) -> Result<(), TlsError> {
        for _ in 0..100 {
            let there = carry(&mut self.client, &mut self.server, cut);
            let back = carry(&mut self.server, &mut self.client, cut);
            there.and(back)?;
            if !self.client.wants_send() && !self.server.wants_send() {
                return Ok(());
            }
        }
        panic!("they never come to an end");
    }

    fn connect(&mut self) {
        self.settle(usize::MAX).expect("the two can agree");
        assert!(!self.client.is_handshaking() && !self.server.is_handshaking());
    }
}

/// Takes everything that waits for the network.
fn drain(from: &mut Session) -> Vec<u8> {
    let mut out = Vec::new();
    while from.wants_send() {
        let sent = from.send(|slices| {
            slices.iter().for_each(|slice| out.extend_from_slice(slice));
            Ok(slices.iter().map(|slice| slice.len()).sum())
        });
        assert!(sent.expect("a vector takes it") > 0);
    }
    assert_eq!(from.unsent(), 0);
    out
}

fn feed_all(to: &mut Session, bytes: &[u8], cut: Cut) -> Result<(), TlsError> {
    for piece in bytes.chunks(cut) {
        assert_eq!(to.feed(piece)?, piece.len(), "no plaintext waits");
    }
    Ok(())
}

fn carry(from: &mut Session, to: &mut Session, cut: Cut) -> Result<(), TlsError> {
    let bytes = drain(from);
    feed_all(to, &bytes, cut)
}

/// Feeds `bytes` in pieces, and reads what comes out as soon as it does.
fn decrypt(to: &mut Session, bytes: &[u8], cut: Cut) -> Vec<u8> {
    let mut plain = Vec::new();
    let mut room = [0; 1000];
    for piece in bytes.chunks(cut) {
        let mut rest = piece;
        while !rest.is_empty() {
            let taken = to.feed(rest).expect("it is what was sent");
            rest = &rest[taken..];
            while let Some(n @ 1..) = to.read(&mut room) {
                plain.extend_from_slice(&room[..n]);
            }
        }
    }
    plain
}

fn identity(issued: &Issued) -> Identity {
    Identity::from_pem(issued.certificate.as_bytes(), issued.key.as_bytes()).expect("it was issued")
}

fn roots(authority: &Authority) -> Roots {
    Roots::from_pem(authority.pem().as_bytes()).expect("it is a certificate")
}

fn trusting(authority: &Authority) -> Connector {
    Connector::new(Trust::Roots(roots(authority)), None).expect("it can be used")
}

fn serving(issued: &Issued) -> Acceptor {
    Acceptor::new(identity(issued), None).expect("it can be used")
}

fn both() -> (Connector, Acceptor) {
    let authority = Authority::new();
    (
        trusting(&authority),
        serving(&authority.issue(&["feed.example"])),
    )
}

/// One that speaks only this version.
fn only(authority: &Authority, version: &'static rustls::SupportedProtocolVersion) -> Connector {
    let trust = Trust::Roots(roots(authority));
    let current = load::client(trust, None, &[version]).expect("it can be used");
    Connector {
        current: Arc::new(RwLock::new(current)),
    }
}

const VERSIONS: [&rustls::SupportedProtocolVersion; 2] =
    [&rustls::version::TLS12, &rustls::version::TLS13];

/// Bytes that show where they stand.
fn pattern(len: usize) -> Vec<u8> {
    (0..len as u32)
        .map(|at| (at.wrapping_mul(0x9e37_79b9) >> 24) as u8)
        .collect()
}

#[test]
fn both_ways_in_both_versions_however_the_bytes_are_cut() {
    let authority = Authority::new();
    let acceptor = serving(&authority.issue(&["feed.example"]));
    for version in VERSIONS {
        let connector = only(&authority, version);
        for cut in [1, 2, 3, 5, 6, 100, 4095, 4096, 4097, usize::MAX] {
            let mut pair = Pair::new(&connector, &acceptor);
            pair.settle(cut).expect("the two can agree");
            let plain = pattern(40_000);
            let (first, second) = plain.split_at(17_000);
            assert_eq!(pair.client.write([first, second]), plain.len());
            assert_eq!(pair.server.write([&plain, &[]]), plain.len());
            let (there, back) = (drain(&mut pair.client), drain(&mut pair.server));
            assert!(
                decrypt(&mut pair.server, &there, cut) == plain,
                "{version:?} {cut}"
            );
            assert!(
                decrypt(&mut pair.client, &back, cut) == plain,
                "{version:?} {cut}"
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Writes and pieces of any size, and a reader who takes as little as he likes.
    #[test]
    fn any_writes_and_any_pieces_give_the_same_plaintext(
        writes in prop::collection::vec(0_usize..40_000, 1..12),
        pieces in prop::collection::vec(1_usize..20_000, 1..12),
        room in 1_usize..20_000,
    ) {
        let (connector, acceptor) = both();
        let mut pair = Pair::new(&connector, &acceptor);
        pair.connect();
        let mut into = vec![0; room];
        let (mut sent, mut got) = (Vec::new(), Vec::new());
        let mut pieces = pieces.iter().cycle();
        for len in writes {
            let plain = pattern(len);
            let taken = pair.server.write([&plain, &[]]);
            sent.extend_from_slice(&plain[..taken]);
            let bytes = drain(&mut pair.server);
            let mut rest = &bytes[..];
            while !rest.is_empty() {
                let piece = rest.len().min(*pieces.next().expect("it goes round"));
                let taken = pair.client.feed(&rest[..piece]).expect("it is what was sent");
                prop_assert!(taken > 0 || pair.client.holds_plaintext());
                rest = &rest[taken..];
                if let Some(n) = pair.client.read(&mut into) {
                    got.extend_from_slice(&into[..n]);
                }
            }
            while let Some(n) = pair.client.read(&mut into) {
                got.extend_from_slice(&into[..n]);
            }
            prop_assert!(!pair.client.holds_plaintext());
        }
        prop_assert!(got == sent);
    }
}

#[test]
fn no_more_is_taken_than_the_buffer_holds() {
    let (connector, acceptor) = both();
    let mut pair = Pair::new(&connector, &acceptor);
    assert_eq!(
        pair.server.write([b"early", &[]]),
        0,
        "nobody knows the other yet"
    );
    pair.connect();
    let plain = pattern(200_000);
    let (mut at, mut wire) = (0, Vec::new());
    while at < plain.len() {
        let (first, second) = plain[at..].split_at((plain.len() - at) / 3);
        let taken = pair.server.write([first, second]);
        assert!((1..=BUFFER_MAX).contains(&taken), "{taken}");
        at += taken;
        if at < plain.len() {
            assert_eq!(pair.server.write([&plain, &[]]), 0, "it is full");
        }
        let unsent = pair.server.unsent();
        let bytes = drain(&mut pair.server);
        assert!(
            (bytes.len()..bytes.len() + 200).contains(&unsent),
            "{unsent}"
        );
        wire.extend(bytes);
    }
    assert!(decrypt(&mut pair.client, &wire, 4096) == plain);
}

/// Wherever what has arrived ends, the peer lacks no more than is said, and what is said is little more than it lacks.
#[test]
fn what_the_peer_may_lack_is_known() {
    let authority = Authority::new();
    let acceptor = serving(&authority.issue(&["feed.example"]));
    let lens = [[10, 1, 30], [40_000, 100, 3]];
    for (version, lens) in VERSIONS
        .into_iter()
        .flat_map(|it| lens.map(|lens| (it, lens)))
    {
        let mut pair = Pair::new(&only(&authority, version), &acceptor);
        pair.connect();
        let (mut wire, mut plain) = (Vec::new(), 0);
        for len in lens.iter().cycle().take(12) {
            plain += pair.server.write([&pattern(*len), &[]]);
            wire.extend(drain(&mut pair.server));
        }
        let longest = lens[0].max(lens[2]).min(RECORD_MAX);
        let (mut arrived, mut got) = (0, 0);
        while arrived < wire.len() {
            let lacks = pair.server.lacks((wire.len() - arrived) as u64) as usize;
            assert!(lacks >= plain - got, "{lacks} of {}", plain - got);
            // What the overhead of small records is, is known only so far.
            let most = 3 * (plain - got) / 2 + 2 * longest + OVERHEAD;
            assert!(lacks <= most, "{lacks} of {}", plain - got);
            let next = (arrived + 7 * lens[0] / 5).min(wire.len());
            got += decrypt(&mut pair.client, &wire[arrived..next], usize::MAX).len();
            arrived = next;
        }
        assert_eq!((got, pair.server.lacks(0)), (plain, 0));
        // What was said once, however much, says nothing of what is said later.
        pair.server.all_arrived();
        pair.server.write([b"x", &[]]);
        assert!(pair.server.lacks(0) <= 4, "{}", pair.server.lacks(0));
        let wire = drain(&mut pair.server);
        assert!((1..=4).contains(&pair.server.lacks(wire.len() as u64)));
    }
}

#[test]
fn a_short_write_keeps_the_rest() {
    let (connector, acceptor) = both();
    let mut pair = Pair::new(&connector, &acceptor);
    pair.connect();
    let plain = pattern(30_000);
    assert_eq!(pair.server.write([&plain, &[]]), plain.len());
    let mut wire = Vec::new();
    while pair.server.wants_send() {
        let sent = pair.server.send(|slices| {
            let n = slices[0].len().min(777);
            wire.extend_from_slice(&slices[0][..n]);
            Ok(n)
        });
        assert!(sent.is_ok());
    }
    assert!(decrypt(&mut pair.client, &wire, usize::MAX) == plain);
    assert_eq!(pair.server.write([b"x", &[]]), 1);
    let full = pair.server.send(|_| Err(io::ErrorKind::WouldBlock.into()));
    assert_eq!(
        full.map_err(|error| error.kind()),
        Err(io::ErrorKind::WouldBlock)
    );
    assert!(pair.server.wants_send());
}

#[test]
fn an_end_is_told_and_the_other_way_goes_on() {
    let authority = Authority::new();
    let acceptor = serving(&authority.issue(&["feed.example"]));
    for version in VERSIONS {
        let mut pair = Pair::new(&only(&authority, version), &acceptor);
        pair.connect();
        pair.client.write([b"last words", &[]]);
        pair.client.close();
        assert_eq!(pair.client.write([b"more", &[]]), 0);
        carry(&mut pair.client, &mut pair.server, usize::MAX).expect("an end is no error");
        let mut into = [0; 100];
        assert_eq!(pair.server.read(&mut into), Some(10));
        assert_eq!(pair.server.read(&mut into), Some(0));
        assert_eq!(pair.server.end(), Ok(()));
        assert_eq!(
            pair.server.feed(b"stray"),
            Ok(5),
            "what follows the end is ignored"
        );

        let plain = pattern(50_000);
        assert_eq!(pair.server.write([&plain, &[]]), plain.len());
        let wire = drain(&mut pair.server);
        assert!(decrypt(&mut pair.client, &wire, usize::MAX) == plain);
        pair.server.close();
        carry(&mut pair.server, &mut pair.client, 1).expect("an end is no error");
        assert_eq!(pair.client.read(&mut into), Some(0));
        assert_eq!(pair.client.end(), Ok(()));
    }
}

#[test]
fn a_truncation_is_no_end() {
    let (connector, acceptor) = both();
    let mut pair = Pair::new(&connector, &acceptor);
    assert_eq!(pair.server.end(), Err(TlsError::Left));
    assert_eq!(pair.client.end(), Err(TlsError::NoAnswer));
    let mut pair = Pair::new(&connector, &acceptor);
    pair.connect();
    pair.server.write([b"whole", &[]]);
    let wire = drain(&mut pair.server);
    pair.client.feed(&wire).expect("it is what was sent");
    assert_eq!(pair.client.end(), Err(TlsError::Truncated));
    let mut into = [0; 100];
    assert_eq!(
        pair.client.read(&mut into),
        Some(5),
        "what came before is still there"
    );
    assert_eq!(
        pair.client.write([b"still", &[]]),
        5,
        "the other way is whole"
    );
}

#[test]
fn what_was_changed_on_the_way_is_refused_and_the_peer_told() {
    let (connector, acceptor) = both();
    let mut pair = Pair::new(&connector, &acceptor);
    pair.connect();
    pair.server.write([b"whole", &[]]);
    let mut wire = drain(&mut pair.server);
    *wire.last_mut().expect("a record") ^= 1;
    let error = pair.client.feed(&wire).expect_err("it was changed");
    assert_eq!(error.to_string(), "TLS: what it sent can't be decrypted");
    assert_eq!(pair.client.feed(b"x"), Err(error));
    let alert = carry(&mut pair.client, &mut pair.server, usize::MAX);
    let alert = alert.expect_err("the alert says so").to_string();
    assert_eq!(alert, "TLS: it gave up (alert bad_record_mac)");
}

#[test]
fn a_peer_that_breaks_the_protocol_after_our_end_is_refused() {
    let (connector, acceptor) = both();
    let mut pair = Pair::new(&connector, &acceptor);
    pair.connect();
    pair.server.close();
    drain(&mut pair.server);
    assert!(pair.server.feed(&[0x17, 3, 3, 0, 20, 1, 2, 3]).is_ok());
    let error = pair
        .server
        .feed(&[0; 100])
        .expect_err("it can't be decrypted");
    assert_eq!(error.to_string(), "TLS: what it sent can't be decrypted");
}

/// What each of the two says where they can't agree: the dialling side first.
fn disagreement(connector: &Connector, acceptor: &Acceptor) -> (String, String) {
    let mut pair = Pair::new(connector, acceptor);
    let mut said = [None, None];
    for _ in 0..4 {
        for turn in [0, 1] {
            let (from, to) = match turn {
                0 => (&mut pair.client, &mut pair.server),
                _ => (&mut pair.server, &mut pair.client),
            };
            let bytes = drain(from);
            if let Err(error) = feed_all(to, &bytes, usize::MAX) {
                said[1 - turn].get_or_insert(error.to_string());
            }
        }
    }
    let [dialling, listening] = said.map(Option::unwrap_or_default);
    (dialling, listening)
}

#[test]
fn mistakes_about_the_servers_certificate_are_told_to_both() {
    let (authority, other) = (Authority::new(), Authority::new());
    let cases = [
        (
            other.issue(&["feed.example"]),
            "TLS: its certificate is issued by nobody we trust; --tls-ca FILE says whom else to trust",
            "TLS: it does not trust the issuer of our certificate (alert unknown_ca)",
        ),
        (
            authority.issue(&["other.example", "127.0.0.1"]),
            "TLS: its certificate is for other.example, 127.0.0.1, not for feed.example",
            "TLS: it does not accept our certificate (alert bad_certificate)",
        ),
        (
            authority.issue_early(&["feed.example"]),
            "TLS: its certificate is not valid yet, or this machine's clock is wrong",
            "TLS: it says that our certificate has expired (alert certificate_expired)",
        ),
        (
            authority.issue_issuers(&["feed.example"]),
            "TLS: its certificate is an issuer's: issue one for the server with it, or make it with \
             basicConstraints=CA:FALSE",
            "TLS: it does not accept our certificate (alert certificate_unknown)",
        ),
    ];
    for (issued, dialling, listening) in cases {
        let said = disagreement(&trusting(&authority), &serving(&issued));
        assert_eq!(said, (dialling.to_owned(), listening.to_owned()));
    }
    let expired = serving(&authority.issue_expired(&["feed.example"]));
    let (said, _) = disagreement(&trusting(&authority), &expired);
    let days = said
        .strip_prefix("TLS: its certificate expired ")
        .and_then(|rest| rest.strip_suffix(" days ago"))
        .and_then(|days| days.parse::<u32>().ok());
    assert!(days.is_some_and(|days| days > 9_000), "{said}");
}

/// An issuer that was made anew has the name that it had, and another key.
#[test]
fn an_issuer_of_the_same_name_is_not_the_same() {
    let (before, now) = (Authority::named("ours"), Authority::named("ours"));
    let (dialling, _) = disagreement(&trusting(&before), &serving(&now.issue(&["feed.example"])));
    assert_eq!(
        dialling,
        "TLS: its certificate has a signature that does not fit: its issuer may have been made anew, and --tls-ca be \
         of the old one"
    );
}

#[test]
fn whoever_trusts_anyone_connects() {
    let authority = Authority::new();
    let connector = Connector::new(Trust::Anyone, None).expect("it can be used");
    let issued = authority.issue_expired(&["other.example"]);
    for version in VERSIONS {
        let current = load::client(Trust::Anyone, None, &[version]).expect("it can be used");
        connector.renew(&Connector {
            current: Arc::new(RwLock::new(current)),
        });
        Pair::new(&connector, &serving(&issued)).connect();
    }
}

#[test]
fn those_who_connect_may_have_to_show_a_certificate() {
    let (authority, other) = (Authority::new(), Authority::new());
    let issued = authority.issue(&["feed.example"]);
    let acceptor = Acceptor::new(identity(&issued), Some(roots(&authority))).expect("it fits");
    let showing = |issued: &Issued| {
        let trust = Trust::Roots(roots(&authority));
        Connector::new(trust, Some(identity(issued))).expect("it fits")
    };
    Pair::new(&showing(&authority.issue(&["me"])), &acceptor).connect();
    let (dialling, listening) = disagreement(&trusting(&authority), &acceptor);
    assert_eq!(
        listening,
        "TLS: it showed no certificate, and --tls-client-ca asks for one"
    );
    assert_eq!(
        dialling,
        "TLS: it asks for a certificate; --tls-client-cert FILE shows one (alert certificate_required)"
    );
    let (_, listening) = disagreement(&showing(&other.issue(&["me"])), &acceptor);
    assert!(
        listening.contains("issued by nobody we trust"),
        "{listening}"
    );
}

#[test]
fn a_fresh_certificate_is_for_new_sessions() {
    let (old, new) = (Authority::new(), Authority::new());
    let acceptor = serving(&old.issue(&["feed.example"]));
    let held = acceptor.clone();
    let mut pair = Pair::new(&trusting(&old), &acceptor);
    pair.connect();
    acceptor.renew(&serving(&new.issue(&["feed.example"])));
    pair.server.write([b"still here", &[]]);
    let wire = drain(&mut pair.server);
    assert_eq!(decrypt(&mut pair.client, &wire, usize::MAX), b"still here");
    Pair::new(&trusting(&new), &held).connect();
    assert!(
        Pair::new(&trusting(&old), &held)
            .settle(usize::MAX)
            .is_err()
    );
}

#[test]
fn plain_bytes_are_told_from_broken_tls() {
    let (connector, acceptor) = both();
    let http = TlsError::NotTls(Seen::Http);
    let other = TlsError::NotTls(Seen::Other);
    let cases: [(&[u8], &TlsError); 4] = [
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", &http),
        (b"hello there\r\n", &other),
        (b"\x00\x01\x02\x03\x04\x05\x06", &other),
        (b"\x15\x03\x03\x00\x02\x02\x28", &other),
    ];
    for (bytes, error) in cases {
        let mut server = acceptor.session().expect("a session");
        assert_eq!(
            feed_all(&mut server, bytes, usize::MAX).as_ref(),
            Err(error)
        );
        let mut server = acceptor.session().expect("a session");
        let error = feed_all(&mut server, bytes, 1).expect_err("it is no TLS");
        assert!(matches!(error, TlsError::NotTls(_)), "{error}");
    }
    let mut client = connector.session("feed.example").expect("a good name");
    assert_eq!(client.feed(b"HTTP/1.1 400 Bad Request\r\n"), Err(http));
    let mut client = connector.session("feed.example").expect("a good name");
    let error = client
        .feed(b"\x15\x03\x03\x00\x02\x02\x28")
        .expect_err("an alert");
    assert!(
        error.to_string().ends_with("(alert handshake_failure)"),
        "{error}"
    );
    let mut server = acceptor.session().expect("a session");
    let error = server
        .feed(b"\x16\x03\x01\x00\x05\x63hello")
        .expect_err("no hello");
    assert!(
        error.to_string().starts_with("TLS: it broke the protocol"),
        "{error}"
    );

    let hello = drain(&mut connector.session("feed.example").expect("a good name"));
    assert!(looks_like_tls(&hello) && looks_like_tls(b"\x15\x03\x03\x00\x02"));
    for plain in [
        &b"GET /"[..],
        b"",
        b"\x16",
        b"\x16\x03",
        b"\x16\x02\x01\x00",
        b"\x47\x40",
    ] {
        assert!(!looks_like_tls(plain));
    }
}

#[test]
fn names_and_addresses_can_be_dialled() {
    let authority = Authority::new();
    let connector = trusting(&authority);
    for name in ["localhost", "feed.example.", "127.0.0.1", "::1"] {
        let bare = name.trim_end_matches('.');
        let mut pair = Pair {
            client: connector.session(name).expect("a good name"),
            server: serving(&authority.issue(&[bare]))
                .session()
                .expect("a session"),
        };
        pair.connect();
    }
    let error = connector
        .session("no name")
        .expect_err("a space")
        .to_string();
    assert_eq!(error, "TLS: no certificate can be for no name");
}

#[test]
fn mistakes_in_the_files_are_told() {
    let authority = Authority::new();
    let (one, two) = (authority.issue(&["a"]), authority.issue(&["b"]));
    let read = |chain: &str, key: &str| {
        let identity = Identity::from_pem(chain.as_bytes(), key.as_bytes())?;
        Acceptor::new(identity, None)
    };
    assert_eq!(read(&one.certificate, &two.key), Err(Fault::KeyMismatch));
    assert_eq!(read("", &one.key), Err(Fault::NoCertificate));
    assert_eq!(read(&one.key, &one.key), Err(Fault::NoCertificate));
    assert_eq!(read(&one.certificate, &one.certificate), Err(Fault::NoKey));
    let encrypted = one.key.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
    assert_eq!(read(&one.certificate, &encrypted), Err(Fault::EncryptedKey));
    for at in [60, one.certificate.len() - 5] {
        let cut = read(&one.certificate[..at], &one.key).map_err(|fault| fault.to_string());
        let said = "has a certificate that can't be read (-----END CERTIFICATE----- is missing)";
        assert_eq!(cut, Err(said.to_owned()));
        let cut = read(&one.certificate, &one.key[..at.min(one.key.len() - 5)]);
        let said = "has a key that can't be used (-----END PRIVATE KEY----- is missing)";
        assert_eq!(cut.map_err(|fault| fault.to_string()), Err(said.to_owned()));
    }
    let garbled = one.certificate.replacen("\nM", "\n\u{1b}[2J", 1);
    let garbled = read(&garbled, &one.key).expect_err("it is no base64");
    assert!(!garbled.to_string().contains('\u{1b}'), "{garbled}");
    let both = format!("{}{}", one.certificate, one.key);
    assert!(read(&both, &both).is_ok(), "one text may hold both");
    let other = one.certificate.replace("CERTIFICATE", "SOMETHING");
    assert_eq!(
        Roots::from_pem(other.as_bytes()).err(),
        Some(Fault::NoCertificate)
    );
    assert!(Fault::KeyMismatch.is_about_key() && !Fault::NoCertificate.is_about_key());
}
