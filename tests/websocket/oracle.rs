//! The same scripts played with tungstenite at the other end, as client and as server.

use std::io::{self, Read, Write};

use hydrant::fuzz::websocket::{Told, told};
use hydrant::proto::websocket::{CloseCode, FrameHead, Key, Kind, Opcode, Side, Violation, mask};
use proptest::collection::vec;
use proptest::prelude::*;
use tungstenite::protocol::frame::coding::{CloseCode as TheirCode, Control, Data, OpCode};
use tungstenite::protocol::frame::{CloseFrame, Frame, FrameHeader};
use tungstenite::protocol::{Role, WebSocketConfig};
use tungstenite::{Error, Message, WebSocket};

/// Memory in place of a connection: what is read was put there before, and what is written stays there.
#[derive(Debug, Default)]
struct Memory {
    to_read: Vec<u8>,
    at: usize,
    written: Vec<u8>,
}

impl Read for Memory {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let rest = &self.to_read[self.at..];
        if rest.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let count = rest.len().min(into.len());
        into[..count].copy_from_slice(&rest[..count]);
        self.at += count;
        Ok(count)
    }
}

impl Write for Memory {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.written.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What is to be said, by whoever says it.
#[derive(Clone, Debug)]
enum Say {
    /// A message in fragments of these lengths, with pings in between, and its rest.
    Message {
        is_text: bool,
        len: usize,
        fragments: Vec<usize>,
    },
    Ping(usize),
    Pong(usize),
}

fn say() -> impl Strategy<Value = Say> {
    let len = prop_oneof![0usize..20, 120usize..130, 65_500usize..65_600];
    prop_oneof![
        (any::<bool>(), len, vec(0usize..40, 0..4)).prop_map(|(is_text, len, fragments)| {
            Say::Message {
                is_text,
                len,
                fragments,
            }
        }),
        (0usize..126).prop_map(Say::Ping),
        (0usize..126).prop_map(Say::Pong),
    ]
}

fn text(len: usize) -> Vec<u8> {
    let text: Vec<u8> = "aß水🦀".bytes().cycle().take(len).collect();
    let whole = String::from_utf8_lossy(&text);
    whole.trim_end_matches('\u{fffd}').as_bytes().to_vec()
}

/// One frame: what it is, whether it is the last of its message, and its payload.
type Piece = (Opcode, bool, Vec<u8>);

/// The frames that say it, and what is to be told of them.
fn frames(script: &[Say]) -> (Vec<Piece>, Vec<Told>) {
    let (mut frames, mut expected) = (Vec::new(), Vec::new());
    for say in script {
        match say {
            Say::Ping(len) => {
                frames.push((Opcode::Ping, true, vec![7; *len]));
                expected.push(Told::Ping(vec![7; *len]));
            }
            Say::Pong(len) => {
                frames.push((Opcode::Pong, true, vec![8; *len]));
                expected.push(Told::Pong(vec![8; *len]));
            }
            Say::Message {
                is_text,
                len,
                fragments,
            } => {
                let (mut opcode, kind, payload) = match is_text {
                    true => (Opcode::Text, Kind::Text, text(*len)),
                    false => (Opcode::Binary, Kind::Binary, vec![0xab; *len]),
                };
                let mut rest = &payload[..];
                for fragment in fragments {
                    let (piece, later) = rest.split_at((*fragment).min(rest.len()));
                    frames.push((opcode, false, piece.to_vec()));
                    (rest, opcode) = (later, Opcode::Continuation);
                }
                frames.push((opcode, true, rest.to_vec()));
                let ends = true;
                expected.push(Told::Message {
                    kind,
                    bytes: payload,
                    ends,
                });
            }
        }
    }
    (frames, expected)
}

fn encode(frames: &[Piece], key: Option<Key>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (opcode, last, payload) in frames {
        bytes.extend_from_slice(&FrameHead::new(*opcode, *last, payload.len() as u64, key));
        let mut payload = payload.clone();
        if let Some(key) = key {
            mask(&mut payload, key, 0);
        }
        bytes.append(&mut payload);
    }
    bytes
}

fn their_opcode(opcode: Opcode) -> OpCode {
    match opcode {
        Opcode::Continuation => OpCode::Data(Data::Continue),
        Opcode::Text => OpCode::Data(Data::Text),
        Opcode::Binary => OpCode::Data(Data::Binary),
        Opcode::Close => OpCode::Control(Control::Close),
        Opcode::Ping => OpCode::Control(Control::Ping),
        Opcode::Pong => OpCode::Control(Control::Pong),
    }
}

/// The role of tungstenite where we are `side`.
fn their_role(side: Side) -> Role {
    match side {
        Side::Client => Role::Server,
        Side::Server => Role::Client,
    }
}

fn other(side: Side) -> Side {
    match side {
        Side::Client => Side::Server,
        Side::Server => Side::Client,
    }
}

/// Everything that tungstenite reads out of the bytes that `side` sends, and the error in which it ends.
fn theirs(side: Side, bytes: &[u8]) -> (Vec<Told>, Error, Vec<u8>) {
    let memory = Memory {
        to_read: bytes.to_vec(),
        ..Memory::default()
    };
    let config = WebSocketConfig::default().write_buffer_size(0);
    let mut socket = WebSocket::from_raw_socket(memory, their_role(side), Some(config));
    let mut all = Vec::new();
    let error = loop {
        match socket.read() {
            Ok(message) => all.push(told_by(message)),
            Err(error) => break error,
        }
    };
    // Its last answer may still wait for a chance.
    let _ = socket.flush();
    (all, error, socket.into_inner().written)
}

fn told_by(message: Message) -> Told {
    let ends = true;
    match message {
        Message::Text(text) => Told::Message {
            kind: Kind::Text,
            bytes: text.as_bytes().to_vec(),
            ends,
        },
        Message::Binary(bytes) => Told::Message {
            kind: Kind::Binary,
            bytes: bytes.to_vec(),
            ends,
        },
        Message::Ping(payload) => Told::Ping(payload.to_vec()),
        Message::Pong(payload) => Told::Pong(payload.to_vec()),
        Message::Close(None) => Told::Close(None, String::new()),
        Message::Close(Some(frame)) => Told::Close(
            CloseCode::new(frame.code.into()),
            frame.reason.as_str().to_owned(),
        ),
        Message::Frame(_) => panic!("frames are not read"),
    }
}

fn sides() -> impl Strategy<Value = Side> {
    prop_oneof![Just(Side::Client), Just(Side::Server)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn it_reads_what_we_send(
        side in sides(), script in vec(say(), 0..6), key in any::<[u8; 4]>(), closes in any::<bool>()
    ) {
        let (mut pieces, mut expected) = frames(&script);
        if closes {
            let payload = [&1001u16.to_be_bytes()[..], b"gone"].concat();
            pieces.push((Opcode::Close, true, payload));
            expected.push(Told::Close(Some(CloseCode::GOING_AWAY), "gone".to_owned()));
        }
        let bytes = encode(&pieces, (side == Side::Client).then_some(Key(key)));
        let (mut seen, error, written) = theirs(side, &bytes);
        expected.sort_by_key(order);
        seen.sort_by_key(order);
        prop_assert_eq!(&seen, &expected);
        match (&error, closes, side) {
            (Error::Io(error), false, _) => prop_assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
            // As a client it waits for us to end the connection.
            (Error::Io(error), true, Side::Server) => prop_assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
            (Error::ConnectionClosed, true, Side::Client) => {}
            _ => prop_assert!(false, "{}", error),
        }
        let all = written.len();
        let answers = told(side, u64::MAX, &written, &mut || all);
        prop_assert!(!answers.iter().any(|told| matches!(told, Told::Broken(_))), "{:?}", answers);
        let close = Told::Close(Some(CloseCode::GOING_AWAY), "gone".to_owned());
        prop_assert_eq!(answers.last() == Some(&close), closes);
    }

    #[test]
    fn we_read_what_it_sends(
        side in sides(), script in vec(say(), 0..6), closes in any::<bool>(), piece in 1usize..3000
    ) {
        let (pieces, mut expected) = frames(&script);
        let config = WebSocketConfig::default();
        let mut socket = WebSocket::from_raw_socket(Memory::default(), their_role(side), Some(config));
        for (opcode, last, payload) in pieces {
            let header = FrameHeader { is_final: last, opcode: their_opcode(opcode), ..FrameHeader::default() };
            socket.send(Message::Frame(Frame::from_payload(header, payload.into()))).unwrap();
        }
        if closes {
            socket.close(Some(CloseFrame { code: TheirCode::Away, reason: "gone".into() })).unwrap();
            expected.push(Told::Close(Some(CloseCode::GOING_AWAY), "gone".to_owned()));
        }
        let bytes = socket.into_inner().written;
        prop_assert_eq!(told(side, u64::MAX, &bytes, &mut || piece), expected);
    }

    /// Of bytes that were tampered with, nothing is accepted here that is not accepted there.
    #[test]
    fn it_accepts_whatever_we_accept(
        side in sides(), script in vec(say(), 1..4), key in any::<[u8; 4]>(),
        flips in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4), near in 2usize..200
    ) {
        let (mut pieces, _) = frames(&script);
        pieces.push((Opcode::Close, true, 1000u16.to_be_bytes().to_vec()));
        let mut bytes = encode(&pieces, (side == Side::Client).then_some(Key(key)));
        let near = near.min(bytes.len());
        for (place, bits) in flips {
            bytes[place.index(near)] ^= bits;
        }
        let all = bytes.len();
        let ours = told(other(side), u64::MAX, &bytes, &mut || all);
        let (seen, error, _) = theirs(side, &bytes);
        match (ours.last(), &error) {
            // Which messages are too long is a setting, and it has its own.
            (_, Error::Capacity(_)) => {}
            (Some(Told::Broken(violation)), error) => {
                // It waits for the end of a head or of a frame, and answers a bad code in its own close.
                let lenient = matches!(violation, Violation::LengthNotMinimal | Violation::CloseCode { .. });
                let waits = matches!(error, Error::Io(_));
                prop_assert!(lenient || waits || is_fault(error), "{violation} and {error}");
            }
            (_, error) => {
                // 1014 came into the registry later than 1012 and 1013.
                let is_1014 = |code: &CloseCode| code.number() == 1014;
                let code_of_later_days = matches!(ours.last(), Some(Told::Close(Some(code), _)) if is_1014(code));
                prop_assert!(!is_fault(error) || code_of_later_days, "{:?}: {error}", ours.last());
                let mut whole: Vec<_> =
                    ours.into_iter().filter(|told| !matches!(told, Told::Message { ends: false, .. })).collect();
                let mut seen = seen;
                whole.sort_by_key(order);
                seen.sort_by_key(order);
                prop_assert!(whole == seen || code_of_later_days);
            }
        }
    }
}

fn is_fault(error: &Error) -> bool {
    matches!(error, Error::Protocol(_) | Error::Utf8(_))
}

/// Messages first: a message is told where it begins by us, and where it ends by them.
fn order(told: &Told) -> u8 {
    u8::from(!matches!(told, Told::Message { .. }))
}
