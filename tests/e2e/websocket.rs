//! The feed as WebSocket messages: what clients of a `ws://` destination get, and what becomes of those who ask or
//! speak otherwise than by the rules.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;

use hydrant::fuzz::websocket::Told;
use hydrant::proto::http1::{Ask, HeadBuf, Response};
use hydrant::proto::websocket::{
    CloseCode, Event, FrameHead, Key, Kind, Opcode, Reader, Side, mask,
};

use crate::common::feed::{Feed, pattern};
use crate::common::hydrant::{Hydrant, hydrant};
use crate::common::peers::{Place, connect, connect_from, connect_narrow, leave};

const WS: &str = "WebSocket clients";
const NONCE: [u8; 16] = *b"the sample nonce";

/// A relay with a plain destination and one for WebSockets, and its upstream.
fn relay(flags: &str) -> (Hydrant, TcpStream) {
    relay_to(&format!("127.0.0.1:0 ws://127.0.0.1:0/ {flags}"))
}

/// A relay to these destinations, and its upstream.
fn relay_to(words: &str) -> (Hydrant, TcpStream) {
    let mut place = Place::opened();
    let line = format!("{} {words}", place.at);
    let hydrant = hydrant(&line).start();
    let upstream = place.accept();
    hydrant.wait_log(&format!("upstream {} connected", place.at));
    (hydrant, upstream)
}

/// A record of 1000 bytes that says which one it is.
fn numbered(number: u64) -> Vec<u8> {
    let mut record = pattern(number, 1000);
    record[..8].copy_from_slice(&number.to_be_bytes());
    record
}

/// A client, from its upgrade on.
struct Client {
    stream: TcpStream,
    reader: Reader,
    /// What has come and was not looked at.
    bytes: Vec<u8>,
    /// The message that has begun.
    begun: Vec<u8>,
}

impl Client {
    /// A client that the relay knows of.
    fn new(hydrant: &Hydrant, stream: TcpStream) -> Self {
        let at = stream.peer_addr().unwrap().to_string();
        let ask = Ask {
            host: &at,
            path: "/feed?x",
            offered: &[],
            bearer: None,
            nonce: &NONCE,
        };
        let mut own = Self {
            stream,
            reader: Reader::new(Side::Client, u64::MAX),
            bytes: Vec::new(),
            begun: Vec::new(),
        };
        own.stream.write_all(&ask.request().unwrap()).unwrap();
        let head = own.head();
        assert_eq!(ask.granted(&Response::parse(&head).unwrap()), Ok(None));
        let us = own.stream.local_addr().unwrap();
        hydrant.wait_log(&format!("client {us} connected"));
        own
    }

    fn connect(hydrant: &Hydrant, to: SocketAddr) -> Self {
        Self::new(hydrant, connect(to))
    }

    fn head(&mut self) -> HeadBuf {
        let mut head = HeadBuf::new();
        while !head.is_complete() {
            let bytes = self.read().expect("an answer");
            let taken = head.feed(&bytes).unwrap();
            self.bytes = bytes[taken..].to_vec();
        }
        head
    }

    fn read(&mut self) -> Option<Vec<u8>> {
        let mut bytes = vec![0; 64 << 10];
        match self.stream.read(&mut bytes) {
            Ok(0) => None,
            Ok(count) => {
                bytes.truncate(count);
                Some(bytes)
            }
            Err(error) if error.kind() == ErrorKind::ConnectionReset => None,
            Err(error) => panic!("nothing came: {error}"),
        }
    }

    /// The next message, control frame or close; `None` at the end of the connection.
    fn next(&mut self) -> Option<Told> {
        loop {
            while !self.bytes.is_empty() {
                let (taken, event) = self.reader.feed(&mut self.bytes).expect("good frames");
                let told = match event {
                    Some(Event::Data { kind, bytes, ends }) => {
                        self.begun.extend_from_slice(bytes);
                        ends.then(|| Told::Message {
                            kind,
                            bytes: std::mem::take(&mut self.begun),
                            ends,
                        })
                    }
                    Some(Event::Ping(payload)) => Some(Told::Ping(payload.to_vec())),
                    Some(Event::Pong(payload)) => Some(Told::Pong(payload.to_vec())),
                    Some(Event::Close(close)) => {
                        Some(Told::Close(close.code, close.reason.to_owned()))
                    }
                    None => None,
                };
                self.bytes.drain(..taken);
                if told.is_some() {
                    return told;
                }
            }
            self.bytes = self.read()?;
        }
    }

    #[track_caller]
    fn message(&mut self) -> Vec<u8> {
        match self.next() {
            Some(Told::Message {
                kind: Kind::Binary,
                bytes,
                ends: true,
            }) => bytes,
            other => panic!("no message: {other:?}"),
        }
    }

    /// So many bytes of the feed, in whatever messages.
    #[track_caller]
    fn take(&mut self, at: u64, len: usize) {
        let mut taken = 0;
        while taken < len {
            let message = self.message();
            assert!(
                message == pattern(at + taken as u64, message.len()),
                "a wrong byte in the {} from {}",
                message.len(),
                at + taken as u64
            );
            taken += message.len();
        }
        assert_eq!(taken, len);
    }

    /// Takes messages of [`numbered`] records up to the one with this number. How many were left out.
    #[track_caller]
    fn skip_to(&mut self, last: u64) -> u64 {
        let (mut expected, mut skipped) = (0, 0);
        while expected <= last {
            let message = self.message();
            let number = u64::from_be_bytes(*message.first_chunk().unwrap());
            assert!(message == numbered(number));
            assert!(number >= expected, "{number} after {expected}");
            skipped += number - expected;
            expected = number + 1;
        }
        skipped
    }

    fn say(&mut self, opcode: Opcode, payload: &[u8]) {
        let key = Key([7, 0, 255, 3]);
        let mut bytes = FrameHead::new(opcode, true, payload.len() as u64, Some(key)).to_vec();
        let head = bytes.len();
        bytes.extend_from_slice(payload);
        mask(&mut bytes[head..], key, 0);
        self.stream.write_all(&bytes).expect("it is taken");
    }
}

#[test]
fn each_record_is_a_message_beside_the_plain_stream() {
    let (hydrant, mut upstream) = relay("--framing line");
    let mut plain = connect(hydrant.address_of("clients"));
    let at = hydrant.address_of(WS);
    hydrant.report_until("| 1 client | ");
    let mut clients: Vec<_> = (0..3).map(|_| Client::connect(&hydrant, at)).collect();
    upstream.write_all(b"one\ntwo\n\nfo").unwrap();
    upstream.write_all(b"ur\nunfinished").unwrap();
    let long = [&[b'x'; 70_000][..], b"\n"].concat();
    for client in &mut clients {
        for record in ["one\n", "two\n", "\n", "four\n"] {
            assert_eq!(client.message(), record.as_bytes());
        }
    }
    let mut late = Client::connect(&hydrant, at);
    upstream.write_all(&long).unwrap();
    let long = [b"unfinished", &long[..]].concat();
    clients.push(late);
    for client in &mut clients {
        assert!(client.message() == long);
    }
    let mut bytes = vec![0; 14 + long.len()];
    plain.read_exact(&mut bytes).unwrap();
    assert!(bytes == [b"one\ntwo\n\nfour\n", &long[..]].concat());
    late = clients.pop().unwrap();
    drop(clients);
    hydrant.report_until("| 2 clients | ");
    drop(late);
    // Nobody is left who wants messages; they are made again for the next one.
    hydrant.report_until("| 1 client | ");
    upstream.write_all(b"unseen\n").unwrap();
    hydrant.report_until("last byte");
    plain.read_exact(&mut bytes[..7]).unwrap();
    let mut next = Client::connect(&hydrant, at);
    upstream.write_all(b"seen\n").unwrap();
    assert_eq!(next.message(), b"seen\n");
}

#[test]
fn a_raw_stream_comes_whole_and_in_order() {
    let (hydrant, mut upstream) = relay_to("ws://127.0.0.1:0 --ring 1M --slow block");
    let at = hydrant.address_of(WS);
    let clients: Vec<_> = (0..4).map(|_| Client::connect(&hydrant, at)).collect();
    let takers: Vec<_> = clients
        .into_iter()
        .map(|mut client| thread::spawn(move || client.take(0, 20_000_000)))
        .collect();
    Feed::default().send(&mut upstream, 20_000_000);
    for taker in takers {
        taker.join().expect("it gets everything");
    }
}

#[test]
fn a_newcomer_gets_the_backlog_in_whole_messages() {
    let (hydrant, mut upstream) = relay("--framing line --backlog 20");
    let mut plain = connect(hydrant.address_of("clients"));
    hydrant.report_until("| 1 client | ");
    upstream
        .write_all(b"aaaaaaaaaa\nbbbbbbbbbb\nccccc\n")
        .unwrap();
    plain.read_exact(&mut [0; 28]).unwrap();
    let at = hydrant.address_of(WS);
    let mut first = Client::connect(&hydrant, at);
    assert_eq!(first.message(), b"bbbbbbbbbb\n");
    assert_eq!(first.message(), b"ccccc\n");
    upstream.write_all(b"ddddd\n").unwrap();
    assert_eq!(first.message(), b"ddddd\n");
    let mut second = Client::connect(&hydrant, at);
    for record in [b"ccccc\n", b"ddddd\n"] {
        assert_eq!(second.message(), record);
    }
}

#[test]
fn pings_are_answered_and_messages_thrown_away() {
    let (hydrant, mut upstream) = relay("");
    let mut client = Client::connect(&hydrant, hydrant.address_of(WS));
    client.say(Opcode::Text, "nobody reads this".as_bytes());
    client.say(Opcode::Ping, b"there?");
    assert_eq!(client.next(), Some(Told::Pong(b"there?".to_vec())));
    upstream.write_all(b"hello").unwrap();
    assert_eq!(client.message(), b"hello");
    client.say(Opcode::Ping, b"still?");
    assert_eq!(client.next(), Some(Told::Pong(b"still?".to_vec())));
    client.say(Opcode::Close, &4000u16.to_be_bytes());
    let code = CloseCode::new(4000);
    assert_eq!(client.next(), Some(Told::Close(code, String::new())));
    assert_eq!(client.next(), None);
    let us = client.stream.local_addr().unwrap();
    hydrant.wait_log(&format!("client {us} left; took 5 B"));
}

#[test]
fn a_client_that_breaks_the_rules_is_told_so_and_dropped() {
    let (hydrant, mut upstream) = relay("");
    let at = hydrant.address_of(WS);
    let mut good = Client::connect(&hydrant, at);
    let wrongs: [(&[u8], u16); 3] = [
        (b"\x81\x02hi", 1002),
        (b"\x82\xff\x80\0\0\0\0\0\0\0mask", 1002),
        (b"\x81\x81\0\0\0\0\xff", 1007),
    ];
    for (wrong, code) in wrongs {
        let mut bad = Client::connect(&hydrant, at);
        bad.stream.write_all(wrong).unwrap();
        match bad.next() {
            Some(Told::Close(given, why)) => {
                assert_eq!(given, CloseCode::new(code));
                assert!(!why.is_empty());
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(bad.next(), None);
    }
    hydrant.report_until("drops 3 (protocol 3)");
    upstream.write_all(b"unharmed").unwrap();
    assert_eq!(good.message(), b"unharmed");
}

/// What is answered to these bytes, up to the end.
fn answered(at: SocketAddr, request: &[u8]) -> String {
    let mut stream = connect(at);
    stream.write_all(request).unwrap();
    let mut answer = String::new();
    stream
        .read_to_string(&mut answer)
        .expect("an answer in whole");
    answer
}

#[test]
fn whoever_asks_for_something_else_is_told_what_is_here() {
    let (hydrant, _upstream) = relay("");
    let at = hydrant.address_of(WS);
    let long = format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(9000));
    let old = "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
               Sec-WebSocket-Version: 8\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    let cases = [
        (
            "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
            "426",
            "open it with ws://",
        ),
        ("GET / HTTP/1.1\r\n\r\n", "400", "no Host"),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n",
            "413",
            "a body",
        ),
        (old, "426", "Sec-WebSocket-Version: 13"),
        (&long, "431", "more than 8192 bytes"),
        ("\u{16}\u{3}\u{1}", "400", "this is TLS"),
        ("SSH-2.0-x\n", "400", "CR LF"),
    ];
    for (request, status, why) in cases {
        let answer = answered(at, request.as_bytes());
        let first = format!("HTTP/1.1 {status} ");
        assert!(
            answer.starts_with(&first) && answer.contains(why),
            "{answer}"
        );
    }
    hydrant.report_until("refused: no-upgrade 7");
    let silent = answered(at, b"GET / HTTP/1.1\r\n");
    assert!(silent.starts_with("HTTP/1.1 408 "), "{silent}");
    hydrant.report_until("refused: no-upgrade 8");
    hydrant.report_until("| 0 clients | ");
}

/// One address that asks wrongly hides no other.
#[test]
fn the_log_says_of_each_address_that_it_asked_for_something_else() {
    let (hydrant, _upstream) = relay("");
    let at = hydrant.address_of(WS);
    for last in [1, 2] {
        let mut stream = connect_from([127, 0, 0, last].into(), at);
        stream.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
        stream.read_to_end(&mut Vec::new()).expect("an answer");
        hydrant.wait_log(&format!("client 127.0.0.{last} refused: "));
    }
}

#[test]
fn those_who_say_nothing_take_no_place_from_those_who_ask() {
    let (hydrant, mut upstream) = relay("--max-clients 1000");
    let at = hydrant.address_of(WS);
    let mut silent: Vec<_> = (0..257).map(|_| connect(at)).collect();
    hydrant.wait_log("256 others wait");
    let mut client = Client::connect(&hydrant, at);
    upstream.write_all(b"hello").unwrap();
    assert_eq!(client.message(), b"hello");
    // The oldest made room, without an answer.
    assert_eq!(silent[0].read(&mut [0; 9]).unwrap_or(0), 0);
    drop(silent);
    let lines = hydrant.stop();
    assert!(
        lines.iter().any(|line| line.contains("drained")),
        "{lines:?}"
    );
}

#[test]
fn a_client_that_stops_reading_is_dropped_and_hurts_nobody() {
    let (hydrant, mut upstream) = relay("--ring 512K");
    let at = hydrant.address_of(WS);
    let mut other = Client::connect(&hydrant, at);
    let stalled = Client::new(&hydrant, connect_narrow(at));
    let who = stalled.stream.local_addr().unwrap();
    let dropped = format!("[WARN] relay: client {who} dropped: overtaken; ");
    let mut feed = Feed::default();
    while !hydrant.has_logged(&dropped) {
        assert!(feed.at < 64 << 20, "it was never overtaken");
        let at = feed.at;
        feed.send(&mut upstream, 128 << 10);
        other.take(at, 128 << 10);
    }
    let mut stalled = stalled;
    let mut at = 0;
    while let Some(told) = stalled.next() {
        let Told::Message { bytes, .. } = told else {
            panic!("{told:?}");
        };
        assert!(bytes == pattern(at, bytes.len()));
        at += bytes.len() as u64;
    }
    assert!(at < feed.at);
}

#[test]
fn a_client_that_skips_gets_whole_messages_only() {
    let (hydrant, mut upstream) = relay("--ring 512K --slow skip --framing fixed:1000");
    let at = hydrant.address_of(WS);
    let mut fast = Client::connect(&hydrant, at);
    let mut slow = Client::new(&hydrant, connect_narrow(at));
    let mut next = 0;
    while !hydrant.has_logged("(--slow skip)") {
        assert!(next < 64_000, "it never skipped");
        for number in next..next + 100 {
            upstream.write_all(&numbered(number)).unwrap();
        }
        for number in next..next + 100 {
            assert!(fast.message() == numbered(number));
        }
        next += 100;
    }
    assert!(slow.skip_to(next - 1) > 0);
    drop(fast);
}

/// A thin feed, all of which the kernels would take: whoever has frozen is sent no more for a while. One of two goes on
/// before the feed ends, the other one after that.
#[test]
fn a_client_that_is_sent_no_more_gets_whole_messages_and_the_end() {
    let flags = "--slow skip --max-lag 100ms --framing fixed:1000";
    let mut hydrant = hydrant(&format!("- ws://127.0.0.1:0 {flags}"))
        .stdin(std::process::Stdio::piped())
        .start();
    let mut stdin = hydrant.stdin();
    let at = hydrant.address_of(WS);
    let mut clients = [(); 2].map(|()| Client::new(&hydrant, connect_narrow(at)));
    let said = clients.each_ref().map(|client| {
        let who = client.stream.local_addr().unwrap();
        format!("client {who} skipped ")
    });
    let mut next = 0;
    while !said.iter().all(|said| hydrant.has_logged(said)) {
        assert!(next < 10_000, "they never skipped");
        stdin.write_all(&numbered(next)).unwrap();
        next += 1;
        hydrant.report();
    }
    let [goes_on, frozen] = &mut clients;
    assert!(goes_on.skip_to(next - 1) > 0);
    stdin.write_all(&numbered(next)).unwrap();
    assert!(goes_on.message() == numbered(next));
    drop(stdin);
    assert!(frozen.skip_to(next) > 0);
    for client in &mut clients {
        let normal = Told::Close(Some(CloseCode::NORMAL), String::new());
        assert_eq!(client.next(), Some(normal));
        client.say(Opcode::Close, &1000u16.to_be_bytes());
        assert_eq!(client.next(), None);
    }
    assert_eq!(hydrant.wait_exit(), 0);
    hydrant.wait_log("source ended: 2 clients drained, 0 cut; up ");
}

#[test]
fn block_loses_nothing_and_waits_for_whoever_comes() {
    let (hydrant, mut upstream) = relay("--ring 512K --slow block");
    let at = hydrant.address_of(WS);
    let mut plain = connect(hydrant.address_of("clients"));
    let sender = thread::spawn(move || {
        Feed::default().send(&mut upstream, 8 << 20);
        upstream
    });
    let plain = thread::spawn(move || {
        let mut bytes = vec![0; 8 << 20];
        plain.read_exact(&mut bytes).unwrap();
        bytes == pattern(0, 8 << 20)
    });
    let mut slow = Client::new(&hydrant, connect_narrow(at));
    slow.take(0, 8 << 20);
    assert!(plain.join().unwrap());
    leave(&sender.join().unwrap());
}

#[test]
fn the_end_of_the_feed_is_a_close() {
    let mut hydrant = hydrant("- ws://127.0.0.1:0")
        .stdin(std::process::Stdio::piped())
        .start();
    let mut stdin = hydrant.stdin();
    let mut client = Client::connect(&hydrant, hydrant.address_of(WS));
    stdin.write_all(b"all there is").unwrap();
    drop(stdin);
    let mut all = Vec::new();
    let close = loop {
        match client.next() {
            Some(Told::Message { bytes, .. }) => all.extend(bytes),
            other => break other,
        }
    };
    assert_eq!(all, b"all there is");
    let normal = Told::Close(Some(CloseCode::NORMAL), String::new());
    assert_eq!(close, Some(normal));
    client.say(Opcode::Close, &1000u16.to_be_bytes());
    assert_eq!(client.next(), None);
    drop(client);
    assert_eq!(hydrant.wait_exit(), 0);
}

#[test]
fn a_relay_that_is_stopped_goes_away() {
    let (mut hydrant, mut upstream) = relay("--framing line");
    let mut client = Client::connect(&hydrant, hydrant.address_of(WS));
    upstream.write_all(b"whole\nnot").unwrap();
    assert_eq!(client.message(), b"whole\n");
    hydrant.signal("TERM");
    let away = Told::Close(Some(CloseCode::GOING_AWAY), String::new());
    assert_eq!(client.next(), Some(away));
    assert_eq!(client.next(), None);
    drop(client);
    assert_eq!(hydrant.wait_exit(), 0);
}
