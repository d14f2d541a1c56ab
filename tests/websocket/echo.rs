//! An end that sends back every message as it came, made of a session and nothing else.

use hydrant::proto::websocket::{
    Close, Event, FrameHead, Key, Kind, Opcode, Reader, Session, Side, mask,
};

/// What the echo has answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    Text(Vec<u8>),
    Binary(Vec<u8>),
    Pong(Vec<u8>),
    /// Its close, with the code; nothing came after it.
    Close(Option<u16>),
}

/// The masking key of everything that a client sends here.
pub(crate) const KEY: Key = Key([0x5a, 0x00, 0xff, 0x13]);

/// A frame with any bits in its first byte, as an end on the other side sends it to one on this side.
pub(crate) fn raw(to: Side, first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = frame(other(to), Opcode::Binary, payload);
    bytes[0] = first;
    bytes
}

/// A frame as an end on this side sends it.
fn frame(from: Side, opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    let key = (from == Side::Client).then_some(KEY);
    let mut bytes = FrameHead::new(opcode, true, payload.len() as u64, key).to_vec();
    let start = bytes.len();
    bytes.extend_from_slice(payload);
    if let Some(key) = key {
        mask(&mut bytes[start..], key, 0);
    }
    bytes
}

fn other(side: Side) -> Side {
    match side {
        Side::Client => Side::Server,
        Side::Server => Side::Client,
    }
}

/// Lets an end on this side echo what comes in these pieces.
pub(crate) fn echo<'a>(side: Side, pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<Reply> {
    let mut session = Session::new(side, u64::MAX);
    let (mut message, mut answered) = (Vec::new(), Vec::new());
    for piece in pieces {
        let mut piece = piece.to_vec();
        let mut rest = &mut piece[..];
        while !rest.is_empty() {
            let mut taken = rest.len();
            let mut echoes = None;
            if let Ok((count, event)) = session.feed(rest) {
                taken = count;
                if let Some(Event::Data { kind, bytes, ends }) = event {
                    message.extend_from_slice(bytes);
                    echoes = ends.then_some(kind);
                }
            }
            if let Some(kind) = echoes.filter(|_| session.is_open()) {
                let opcode = match kind {
                    Kind::Text => Opcode::Text,
                    Kind::Binary => Opcode::Binary,
                };
                answered.extend(frame(side, opcode, &message));
                message.clear();
            }
            let control = session.control(|| KEY);
            answered.extend_from_slice(control);
            let count = control.len();
            session.control_sent(count);
            rest = &mut rest[taken..];
        }
    }
    assert!(!session.owes());
    assert_eq!(session.is_closed(), session.peer_has_ended());
    replies(other(side), answered)
}

/// What an end on this side reads of it.
fn replies(side: Side, mut bytes: Vec<u8>) -> Vec<Reply> {
    let mut reader = Reader::new(side, u64::MAX);
    let mut all = Vec::new();
    let mut rest = &mut bytes[..];
    while !rest.is_empty() {
        let (taken, event) = reader.feed(rest).expect("an echo breaks no rule");
        match event {
            Some(Event::Data { kind, bytes, ends }) => {
                assert!(ends, "an echo does not fragment");
                all.push(match kind {
                    Kind::Text => Reply::Text(bytes.to_vec()),
                    Kind::Binary => Reply::Binary(bytes.to_vec()),
                });
            }
            Some(Event::Pong(payload)) => all.push(Reply::Pong(payload.to_vec())),
            Some(Event::Close(Close { code, .. })) => {
                all.push(Reply::Close(code.map(|code| code.number())));
            }
            Some(Event::Ping(_)) => panic!("an echo never asks"),
            None => assert!(
                matches!(all.last(), Some(Reply::Close(_))),
                "bytes that mean nothing"
            ),
        }
        rest = &mut rest[taken..];
    }
    all
}
