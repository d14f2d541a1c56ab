//! Peers that break the rules: each is told by which, costs little, and its neighbours never notice.

use std::io::{Read, Write};
use std::net::TcpStream;

use hydrant::proto::websocket::{FrameHead, Key, Opcode, mask};

use crate::common::peers::{connect, connect_narrow, echo};
use crate::peer::{Plain, answer, request};
use crate::rig::{Relay, exchange};

const MUX: &[&str] = &["hydrant.mux.v1"];
const KEY: Key = Key([1, 2, 3, 4]);

/// A frame of a client's.
fn frame(opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    let mut bytes = FrameHead::new(opcode, true, payload.len() as u64, Some(KEY)).to_vec();
    let mut payload = payload.to_vec();
    mask(&mut payload, KEY, 0);
    bytes.append(&mut payload);
    bytes
}

/// The code of the close that comes next. It is not waited for what an answer to it would bring: the end.
fn close_code(stream: &mut TcpStream) -> u16 {
    let mut all = Vec::new();
    let mut piece = [0; 4096];
    loop {
        let count = stream.read(&mut piece).expect("a close comes first");
        assert!(count > 0, "no close in {all:02x?}");
        all.extend(&piece[..count]);
        let close = all
            .windows(2)
            .rposition(|two| two[0] == 0x88 && two[1] >= 2);
        if let Some(at) = close
            && all.len() >= at + 2 + usize::from(all[at + 1])
        {
            return u16::from_be_bytes([all[at + 2], all[at + 3]]);
        }
    }
}

/// Says this behind an upgrade with the subprotocol: the code by which it is closed.
fn closed_by(relay: &Relay, bytes: &[u8]) -> u16 {
    let (mut stream, answered) = answer(relay.at, &request(relay.at, "/client", None, MUX));
    assert_eq!(answered.status, 101);
    assert!(
        answered
            .head
            .contains("Sec-WebSocket-Protocol: hydrant.mux.v1\r\n")
    );
    stream.write_all(bytes).expect("it is read");
    close_code(&mut stream)
}

/// A yamux header.
fn header(kind: u8, flags: u16, stream: u32, length: u32) -> Vec<u8> {
    let mut bytes = vec![0, kind];
    bytes.extend(flags.to_be_bytes());
    bytes.extend(stream.to_be_bytes());
    bytes.extend(length.to_be_bytes());
    bytes
}

#[test]
fn broken_frames_are_closed_with_their_code() {
    let relay = Relay::start("");
    let _host = relay.host("", echo(), "");
    let (_client, at) = relay.client("", "");
    let neighbour = connect(at);
    exchange(&neighbour, b"before");
    let unmasked = FrameHead::new(Opcode::Binary, true, 3, None).to_vec();
    for (what, bytes, code) in [
        ("not masked", [unmasked, b"abc".to_vec()].concat(), 1002),
        ("text", frame(Opcode::Text, b"hello"), 1003),
        (
            "a length with its top bit set",
            vec![0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 1, 1, 2, 3, 4],
            1002,
        ),
        ("compressed", vec![0xc2, 0x80, 1, 2, 3, 4], 1002),
        ("a long ping", vec![0x89, 0xfe, 0, 126, 1, 2, 3, 4], 1002),
        ("an opcode of nobody's", vec![0x83, 0x80, 1, 2, 3, 4], 1002),
        (
            "another version of yamux",
            frame(Opcode::Binary, &[1; 12]),
            1002,
        ),
        (
            "a stream of the wrong side",
            frame(Opcode::Binary, &header(1, 1, 2, 0)),
            1002,
        ),
        (
            "more than the window, with its SYN",
            frame(Opcode::Binary, &header(0, 1, 1, 262_145)),
            1002,
        ),
        (
            "credit beyond all bounds",
            frame(
                Opcode::Binary,
                &[header(1, 1, 1, 0), header(1, 0, 1, u32::MAX)].concat(),
            ),
            1002,
        ),
        (
            "as much at once",
            frame(Opcode::Binary, &header(1, 1, 1, u32::MAX)),
            1002,
        ),
        (
            "a close",
            frame(Opcode::Close, &1000u16.to_be_bytes()),
            1000,
        ),
    ] {
        assert_eq!(closed_by(&relay, &bytes), code, "{what}");
    }
    exchange(&neighbour, b"after");
    relay.run.report_until("2 WebSockets |");
}

#[test]
fn a_frame_announced_and_not_sent_costs_nothing() {
    let relay = Relay::start("");
    let mut streams = Vec::new();
    for _ in 0..20 {
        let (mut stream, _) = answer(relay.at, &request(relay.at, "/client", None, &[]));
        let head = FrameHead::new(Opcode::Binary, true, 1 << 40, Some(KEY));
        stream.write_all(&head).expect("it is read");
        streams.push(stream);
    }
    relay.run.report_until("20 WebSockets |");
    let resident = relay.run.resident_kib();
    assert!(resident < 64 << 10, "{resident} KiB");
}

#[test]
fn pings_that_nobody_reads_the_answers_of_end_and_hold_little() {
    let relay = Relay::start("");
    let _host = relay.host("", echo(), "");
    let (_client, at) = relay.client("", "");
    let mut flood = connect_narrow(relay.at);
    flood
        .write_all(&request(relay.at, "/client", None, MUX))
        .expect("it is read");
    // As many yamux pings as it takes: who does not read is sent away.
    let ping = frame(Opcode::Binary, &header(2, 1, 0, 7)).repeat(500);
    let mut sent = 0;
    while flood.write_all(&ping).is_ok() {
        sent += ping.len();
        assert!(sent < 256 << 20, "it answers for ever");
    }
    exchange(&connect(at), b"others are served");

    let mut flood = connect_narrow(relay.at);
    flood
        .write_all(&request(relay.at, "/client", None, &[]))
        .expect("it is read");
    // Of WebSocket pings only the latest is owed an answer: they may go on, and hold nothing.
    let ping = frame(Opcode::Ping, &[7; 125]).repeat(200);
    for _ in 0..400 {
        flood.write_all(&ping).expect("it is read");
    }
    exchange(&connect(at), b"others are served");
    let resident = relay.run.resident_kib();
    assert!(resident < 64 << 10, "{resident} KiB");
}

#[test]
fn a_host_opens_no_streams() {
    let relay = Relay::start("");
    let (mut stream, _) = answer(relay.at, &request(relay.at, "/host", None, MUX));
    stream
        .write_all(&frame(Opcode::Binary, &header(1, 1, 1, 0)))
        .expect("it is read");
    let mut heard = Vec::new();
    let reset = header(1, 8, 1, 0);
    while !heard.windows(reset.len()).any(|part| part == reset) {
        let mut byte = [0; 64];
        let count = stream.read(&mut byte).expect("it is answered");
        assert!(count > 0, "{heard:02x?}");
        heard.extend_from_slice(&byte[..count]);
    }
}

#[test]
fn messages_of_any_size_and_in_fragments_pass() {
    let relay = Relay::start("");
    let mut host = Plain::dial(relay.at, "/host");
    let (mut stream, _) = answer(relay.at, &request(relay.at, "/client", None, &[]));
    let much = vec![0xab; 4 << 20];
    let mut bytes = frame(Opcode::Binary, &much);
    bytes[0] &= 0x7f;
    bytes.extend(frame(Opcode::Ping, b"within"));
    bytes.extend(frame(Opcode::Continuation, b"the end"));
    bytes.extend(frame(Opcode::Binary, b""));
    let writing = std::thread::spawn(move || stream.write_all(&bytes).map(|()| stream));
    assert!(host.hear(much.len() + 7).ends_with(b"the end"));
    writing.join().expect("it is done").expect("it is read");
}
