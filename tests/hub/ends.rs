//! A tunnel's end and what it meets: an end made by hand, others who say what no end says, and every limit.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};

use crate::common::hydrant::{Hydrant, hydrant};
use crate::common::peers::{Place, connect, connect_from};
use crate::common::service::{ask, handed, is_reset, next, service};
use crate::rig::{Client, Hub};
use crate::tunnel::end;

/// An end whose peer is made by hand.
struct Half {
    hub: Hub,
    end: Hydrant,
    /// The peer, whose name is b, or the one given.
    peer: Client,
    /// The end's id.
    id: Vec<u8>,
}

impl Half {
    fn start(flags: &str) -> Self {
        let hub = Hub::start("");
        let mut peer = hub.enveloped("b");
        let end = end(hub.at, "a", &format!("--to b {flags}"));
        let (from, hello) = peer.message();
        assert_eq!((from.as_str(), hello.len(), hello[0]), ("a", 17, 1));
        assert_eq!(hello[9..], [0; 8], "it knows nobody yet");
        let id = hello[1..9].to_vec();
        Self { hub, end, peer, id }
    }

    /// With a session that stands.
    fn paired(flags: &str) -> Self {
        let mut half = Self::start(flags);
        half.say(1, b"");
        let hello = |of: &[u8]| [&[1][..], &half.id, of].concat();
        let (asks, answer) = (hello(&[0; 8]), hello(&PEER));
        // It asks again and again until it hears us.
        let mut said = half.peer.message().1;
        while said == asks {
            said = half.peer.message().1;
        }
        assert_eq!(said, answer, "a HELLO that names us");
        half.end.wait_log("b is there");
        half
    }

    /// Sends a message of this kind, from us to the end.
    fn say(&mut self, kind: u8, bytes: &[u8]) {
        let body = [&[kind][..], &PEER, &self.id, bytes].concat();
        self.peer
            .send([format!("a|{}|", body.len()).as_bytes(), &body].concat());
    }

    /// The next piece of the session's stream.
    fn piece(&mut self) -> Vec<u8> {
        let (from, body) = self.peer.message();
        let head = [&[2][..], &self.id, &PEER].concat();
        assert!(from == "a" && body.starts_with(&head), "{body:?}");
        body[17..].to_vec()
    }

    /// The end has given this one up, and asks anew under another id.
    fn begins_anew(&mut self, why: &str) {
        self.end.wait_logs(&["b lost: it ", why]);
        loop {
            let (_, body) = self.peer.message();
            if body[0] == 1 {
                assert!(body[1..9] != self.id && body[9..] == [0; 8], "{body:?}");
                return;
            }
        }
    }
}

const PEER: [u8; 8] = *b"\0peer id";

/// The format to the letter: hub messages on a plain socket, frames of yamux by hand.
#[test]
fn a_peer_made_by_hand_carries_a_connection() {
    let (at, served) = handed();
    let mut half = Half::paired(&format!("--listen 0 --forward {at}"));
    let listen = half.end.address_of("clients of b");
    let mut client = connect(listen);
    // a is the smaller name, so it is yamux's client and its first stream is 1: whether we are there, and a SYN.
    let ping_and_syn = [
        [0, 2, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0],
        [0, 1, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0],
    ];
    let mut said = Vec::new();
    while said.len() < 24 {
        said.extend(half.piece());
    }
    assert_eq!(said, ping_and_syn.concat());
    half.say(2, &[0, 1, 0, 2, 0, 0, 0, 1, 0, 0, 0, 0]);
    half.say(2, &[0, 2, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0]);
    client.write_all(b"hello").unwrap();
    assert_eq!(half.piece(), b"\0\0\0\0\0\0\0\x01\0\0\0\x05hello");
    // Cut where it pleases, and with an end.
    half.say(2, b"\0\0\0\x04\0\0\0\x01\0");
    half.say(2, b"\0\0\x05h");
    half.say(2, b"ello");
    Client(client.try_clone().unwrap()).ends_with("hello");
    drop(client);
    // Ours are even.
    half.say(2, b"\0\0\0\x01\0\0\0\x02\0\0\0\x02hi");
    Client(next(&served)).gets("hi");
}

#[test]
fn what_no_end_says_is_dropped_and_told() {
    let at = service(|mut stream| stream.write_all(b"hello").expect("it is read"));
    let hub = Hub::start("");
    let mut b = hub.enveloped("b");
    let a = end(hub.at, "a", "--to b --listen 0");
    b.message();
    for garbage in ["", "GET / HTTP/1.1\r\n\r\n", "\u{1}too short"] {
        b.send(format!("a|{}|{garbage}", garbage.len()));
    }
    b.send([&b"a|40000|"[..], &[2; 40_000]].concat());
    a.wait_log("b says what no tunnel does (0 bytes): it is dropped");
    a.report_until("messages dropped: 3 garbage, 1 stray, 0 from others");
    // It is none the worse for it.
    drop(b);
    let b = end(hub.at, "b", &format!("--to a --forward {at}"));
    a.wait_log("b is there");
    b.wait_log("a is there");
    let listen = a.address_of("clients of b");
    assert_eq!(ask(listen, b""), b"hello");
    // A second tunnel to the same end is not heard.
    let c = end(hub.at, "c", "--to a --listen 0");
    a.wait_log("messages of c are dropped: this tunnel is with b");
    assert!(is_reset(connect(c.address_of("clients of a"))));
    c.wait_log("refused: a is away");
    assert_eq!(ask(listen, b""), b"hello");
}

#[test]
fn a_peer_that_breaks_the_rules_is_left_and_asked_anew() {
    let broken: [(&[u8], &str); 4] = [
        (&[7; 12], "version"),
        (&[0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0], "1"),
        (&[0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1], "protocol"),
        (&[0; (16 << 10) + 1], "sent a piece that is too long"),
    ];
    for (bytes, why) in broken {
        let mut half = Half::paired("--listen 0");
        half.say(2, bytes);
        half.begins_anew(why);
        drop(half.hub);
    }
}

#[test]
fn pieces_of_another_session_are_not_taken_for_this_ones() {
    let (at, served) = handed();
    let mut half = Half::paired(&format!("--forward {at}"));
    let own = std::mem::replace(&mut half.id, b"another!".to_vec());
    half.say(2, b"\0\0\0\x01\0\0\0\x02\0\0\0\x02no");
    half.id = own;
    half.say(2, b"\0\0\0\x01\0\0\0\x02\0\0\0\x02hi");
    Client(next(&served)).gets("hi");
    half.end.report_until("0 garbage, 1 stray");
}

#[test]
fn an_absent_peer_is_told_and_clients_are_turned_away_at_once() {
    let hub = Hub::start("");
    let a = end(hub.at, "a", "--to b --listen 0");
    a.wait_log(" connected");
    assert!(is_reset(connect(a.address_of("clients of b"))));
    a.wait_log("client 127.0.0.1 refused: b is away");
    a.wait_log("b has not answered for 10 s: no tunnel runs there with --to a, or not at this hub");
    a.report_until("NO PEER ");
    a.stop();
}

#[test]
fn a_name_that_is_taken_is_waited_for() {
    let hub = Hub::start("");
    let holder = hub.plain("a");
    let a = end(hub.at, "a", "--to b --listen 0");
    a.wait_log(&format!(
        "the hub {} refused a: name-in-use; retrying",
        hub.at
    ));
    a.report_until("NO HUB ");
    drop(holder);
    a.wait_log(&format!("hub {} connected", hub.at));
}

#[test]
fn a_hub_that_is_not_there_or_knows_no_envelope_is_told() {
    let mut place = Place::new();
    let a = end(place.at, "a", "--to b --listen 0");
    a.wait_log(&format!(
        "the hub {} refused the connection; retrying",
        place.at
    ));
    drop(place.accept());
    a.report_until("NO HUB ");
    drop(place.accept());
}

#[test]
fn what_can_not_be_forwarded_is_reset() {
    let nobody = Place::new();
    let hub = Hub::start("");
    let a = end(hub.at, "a", "--to b --listen 0");
    let listen = a.address_of("clients of b");
    let b = end(hub.at, "b", &format!("--to a --forward {}", nobody.at));
    a.wait_log("b is there");
    assert!(is_reset(connect(listen)));
    b.wait_log(&format!(
        "{} refused the connection: its client is reset",
        nobody.at
    ));
    drop(b);
    let b = end(hub.at, "b", "--to a --listen 0");
    a.wait_log("b is there again");
    assert!(is_reset(connect(listen)));
    b.wait_log("a has a client for us, and --forward does not say where to: it is reset");
}

#[test]
fn limits_hold_at_their_edges() {
    let (at, served) = handed();
    let hub = Hub::start("");
    let b = end(hub.at, "b", &format!("--to a --forward {at}"));
    let a = end(
        hub.at,
        "a",
        "--to b --listen 0 --max-streams 2 --allow 127.0.0.1",
    );
    let listen = a.address_of("clients of b");
    a.wait_log("b is there");
    b.wait_log("a is there");
    let reaches = |to: SocketAddr| -> (TcpStream, TcpStream) { (connect(to), next(&served)) };
    let (first, _first) = reaches(listen);
    let (_second, _other) = reaches(listen);
    assert!(is_reset(connect(listen)));
    a.wait_log("client 127.0.0.1 refused: 2 connections at a time (--max-streams)");
    drop((first, _first));
    a.report_until(" 1 connection open");
    reaches(listen);
    let elsewhere = "127.0.0.2".parse().expect("an address");
    assert!(is_reset(connect_from(elsewhere, listen)));
    a.wait_log("client 127.0.0.2 refused: not in --allow");
    a.report_until("3 accepted, 2 refused");
}

/// The other end's own limit: what it does not take is reset here.
#[test]
fn more_streams_than_the_other_end_takes_are_reset() {
    let (at, served) = handed();
    let hub = Hub::start("");
    let b = end(
        hub.at,
        "b",
        &format!("--to a --forward {at} --max-streams 1"),
    );
    let a = end(hub.at, "a", "--to b --listen 0");
    let listen = a.address_of("clients of b");
    a.wait_log("b is there");
    b.wait_log("a is there");
    let _first = connect(listen);
    let _served = next(&served);
    assert!(is_reset(connect(listen)));
}

#[test]
fn mistakes_are_one_line() {
    let cases = [
        ("hub tunnel 8080 a --listen 1", 2, "--to is missing"),
        ("hub tunnel 8080 --to b --listen 1", 2, "NAME is missing"),
        (
            "hub tunnel 8080 a --to b",
            2,
            "nothing to do: add --listen ADDR",
        ),
        (
            "hub tunnel 8080 a --to a --listen 1",
            2,
            "NAME and --to are both a",
        ),
        (
            "hub tunnel 8080 a --to b|c --listen 1",
            2,
            "--to b|c has a | in it",
        ),
        (
            "hub tunnel 8080 a --to b --forward :0",
            2,
            "port 0 is only for listening",
        ),
        ("hub tunnel 8080 a --to b --forward tls://x:1", 2, "tls"),
        (
            "hub tunnel 8080 a --to b --listen 1 --token-file /none",
            1,
            "can't read --token-file: no such file",
        ),
    ];
    for (line, code, part) in cases {
        let run = hydrant(line).run();
        let is_so = run.stderr.len() == 1 && run.stderr[0].contains(part);
        assert!(run.code == code && is_so, "{line}: {run:?}");
    }
    let mut place = Place::new();
    place.open();
    let run = hydrant(&format!("hub tunnel 8080 a --to b --listen {}", place.at)).run();
    assert_eq!(run.code, 1);
    assert!(run.stderr[0].contains("port in use"), "{run:?}");
}
