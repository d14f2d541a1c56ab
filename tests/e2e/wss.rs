//! The feed as WebSocket messages by TLS: what clients of a `wss://` destination get, and who may ask for it.

use std::io::{Read, Write};
use std::net::TcpStream;

use rustls::version::{TLS12, TLS13};
use tungstenite::protocol::Role;
use tungstenite::{Error, Message, WebSocket};

use crate::common::feed::{Feed, Taker, pattern};
use crate::common::hydrant::{Hydrant, hydrant};
use crate::common::peers::{Place, connect, connect_narrow, leave};
use crate::common::secure::{Client, Office};

const WS: &str = "WebSocket clients";

/// A relay with a destination for WebSockets by TLS and a plain one, and its upstream.
fn relay(flags: &str) -> (Office, Hydrant, TcpStream) {
    let office = Office::new();
    let mut place = Place::opened();
    let accepting = office.accepting();
    let line = format!(
        "{} wss://localhost:0 127.0.0.1:0 {accepting} {flags}",
        place.at
    );
    let hydrant = hydrant(&line).start();
    let upstream = place.accept();
    hydrant.wait_log(&format!("upstream {} connected", place.at));
    (office, hydrant, upstream)
}

/// Asks for a WebSocket, as a page of `origin` does: what the answer is, and the client if it is granted.
fn ask(mut stream: Client, origin: &str) -> Result<WebSocket<Client>, String> {
    let origin = match origin {
        "" => String::new(),
        origin => format!("Origin: {origin}\r\n"),
    };
    write!(
        stream,
        "GET /feed HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n{origin}\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    .and_then(|()| stream.flush())
    .expect("it is read");
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("an answer");
        head.extend_from_slice(&byte);
    }
    let mut head = String::from_utf8(head).expect("text");
    if head.starts_with("HTTP/1.1 101 ") {
        // Of RFC 6455, section 1.3.
        assert!(head.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{head}");
        return Ok(WebSocket::from_raw_socket(stream, Role::Client, None));
    }
    stream
        .read_to_string(&mut head)
        .expect("the rest, and its end");
    Err(head)
}

/// A client that the relay knows of.
fn joined(hydrant: &Hydrant, stream: Client) -> WebSocket<Client> {
    let us = stream.sock.local_addr().expect("it is connected");
    let client = ask(stream, "").expect("it is granted");
    hydrant.wait_log(&format!("client {us} connected"));
    client
}

#[track_caller]
fn message(client: &mut WebSocket<Client>) -> Vec<u8> {
    match client.read().expect("a message comes") {
        Message::Binary(bytes) => bytes.to_vec(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn each_record_is_a_message_in_both_versions() {
    let (office, hydrant, mut upstream) = relay("--framing line --upstream-loss close");
    let at = hydrant.address_of(WS);
    let mut clients: Vec<_> = [&TLS12, &TLS13]
        .into_iter()
        .map(|version| {
            let stream = office.client(connect(at), &[version], None);
            joined(&hydrant, stream)
        })
        .collect();
    upstream.write_all(b"one\ntwo\nthr").expect("it is read");
    upstream.write_all(b"ee\n").expect("it is read");
    for client in &mut clients {
        assert_eq!(message(client), b"one\n");
        assert_eq!(message(client), b"two\n");
        client.send(Message::Ping("?".into())).expect("it is read");
        assert_eq!(message(client), b"three\n");
        let answer = client.read().expect("an answer");
        assert_eq!(answer, Message::Pong("?".into()));
    }
    drop(upstream);
    for client in &mut clients {
        let Message::Close(Some(close)) = client.read().expect("a close comes") else {
            panic!("it just ends");
        };
        assert_eq!(u16::from(close.code), 1000);
        // Both have closed: TLS and TCP say so as well.
        assert!(matches!(client.read(), Err(Error::ConnectionClosed)));
        let rest = client.get_mut().read(&mut [0]);
        assert_eq!(rest.expect("close_notify comes"), 0);
    }
}

#[test]
fn what_breaks_tls_before_it_asks_is_told_and_counted() {
    let (office, hydrant, _upstream) = relay("");
    let stream = connect(hydrant.address_of(WS));
    // In this version the last word of a handshake is the server's.
    let mut stream = office.client(stream, &[&TLS12], None);
    while stream.conn.is_handshaking() {
        stream
            .conn
            .complete_io(&mut stream.sock)
            .expect("it is answered");
    }
    stream
        .sock
        .write_all(b"GET /feed HTTP/1.1\r\nHost: localhost\r\n")
        .expect("it is read");
    hydrant.wait_log("client 127.0.0.1 refused: TLS: it broke the protocol");
    hydrant.report_until("refused: tls 1");
}

#[test]
fn a_raw_stream_comes_whole_and_a_client_that_stops_reading_hurts_nobody() {
    let (office, hydrant, mut upstream) = relay("--ring 512K");
    let at = hydrant.address_of(WS);
    let mut good = joined(&hydrant, office.connect(at));
    let plain = connect(hydrant.address_of("clients"));
    hydrant.wait_log(&format!(
        "client {} connected",
        plain.local_addr().expect("it is connected")
    ));
    let mut plain = Taker::new(plain, 0);
    let stalled = office.client(connect_narrow(at), &[&TLS13], None);
    let stalled = joined(&hydrant, stalled);
    let who = stalled
        .get_ref()
        .sock
        .local_addr()
        .expect("it is connected");
    let dropped = format!("[WARN] relay: client {who} dropped: overtaken; ");
    let mut feed = Feed::default();
    let mut got = 0;
    while !hydrant.has_logged(&dropped) {
        assert!(feed.at < 64 << 20, "it was never overtaken");
        feed.send(&mut upstream, 128 << 10);
        plain.take(128 << 10);
        while got < feed.at {
            let bytes = message(&mut good);
            assert!(bytes == pattern(got, bytes.len()));
            got += bytes.len() as u64;
        }
    }
}

/// A thin feed, all of which the kernels would take: whoever has frozen is sent no more for a while.
#[test]
fn a_client_that_is_sent_no_more_gets_whole_messages_and_the_end() {
    let flags = "--slow skip --max-lag 100ms --framing line --upstream-loss close";
    let (office, hydrant, mut upstream) = relay(flags);
    let narrow = connect_narrow(hydrant.address_of(WS));
    let frozen = office.client(narrow, &[&TLS13], None);
    let mut frozen = joined(&hydrant, frozen);
    let who = frozen.get_ref().sock.local_addr().expect("a connection");
    let said = format!("client {who} skipped ");
    let mut sent = 0_u64;
    while !hydrant.has_logged(&said) {
        assert!(sent < 10_000, "it never skipped");
        let line = format!("{sent:0999}\n");
        upstream.write_all(line.as_bytes()).expect("it is read");
        sent += 1;
        // Now and then what was written is waited for, or all of it would be there at once.
        if sent.is_multiple_of(16) {
            hydrant.report();
        }
    }
    leave(&upstream);
    let mut seen = Vec::new();
    let close = loop {
        match frozen.read().expect("a message or a close comes") {
            Message::Binary(line) => {
                assert_eq!((line.len(), line.last()), (1000, Some(&b'\n')));
                let number = std::str::from_utf8(&line[..999]).expect("text");
                seen.push(number.parse::<u64>().expect("a number"));
            }
            Message::Close(close) => break close.expect("it says why"),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(u16::from(close.code), 1000);
    assert!(seen.is_sorted_by(|one, next| one < next));
    assert_eq!((seen.first(), seen.last()), (Some(&0), Some(&(sent - 1))));
    assert!((seen.len() as u64) < sent);
    assert!(matches!(frozen.read(), Err(Error::ConnectionClosed)));
    hydrant.report_until("| drops 0 | ");
}

#[test]
fn pages_of_other_origins_are_refused() {
    let (office, hydrant, _upstream) = relay(
        "--origin https://feed.example,http://localhost:8000 --origin https://wall.example:444",
    );
    let at = hydrant.address_of(WS);
    for origin in [
        "",
        "https://feed.example",
        "https://Feed.example:443",
        "https://wall.example:444",
    ] {
        ask(office.connect(at), origin).unwrap_or_else(|error| panic!("{origin}: {error}"));
    }
    for origin in ["https://evil.example", "http://feed.example", "null"] {
        let said = ask(office.connect(at), origin).expect_err(origin);
        assert!(said.starts_with("HTTP/1.1 403 "), "{said}");
        let expected = format!("\r\n\r\npages of {origin} may not, only those of --origin\n");
        assert!(said.ends_with(&expected), "{said}");
    }
    hydrant.wait_log(" refused: pages of https://evil.example may not, only those of --origin");
}

#[test]
fn whoever_is_wrong_is_told_so() {
    let (office, hydrant, _upstream) = relay("");
    let at = hydrant.address_of(WS);
    let mut plain = connect(at);
    plain
        .write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .expect("it is read");
    hydrant.wait_log("client 127.0.0.1 refused: TLS: plain HTTP came instead");
    let mut browser = office.connect(at);
    browser
        .write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .expect("it is read");
    let mut answer = String::new();
    browser
        .read_to_string(&mut answer)
        .expect("an answer, and its end");
    assert!(answer.starts_with("HTTP/1.1 426 "), "{answer}");
}
