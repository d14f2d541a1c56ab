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

/// A frame with any bits in its first byte, as a client sends it.
pub(crate) fn raw(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = FrameHead::new(Opcode::Binary, true, payload.len() as u64, Some(KEY)).to_vec();
    bytes[0] = first;
    let start = bytes.len();
    bytes.extend_from_slice(payload);
    mask(&mut bytes[start..], KEY, 0);
    bytes
}

/// Lets a server echo what a client sends in pieces of `size` bytes.
pub(crate) fn echo(sent: &[u8], size: usize) -> Vec<Reply> {
    let mut session = Session::new(Side::Server, u64::MAX);
    let (mut message, mut answered) = (Vec::new(), Vec::new());
    for piece in sent.chunks(size.max(1)) {
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
                answered.extend_from_slice(&FrameHead::new(
                    opcode,
                    true,
                    message.len() as u64,
                    None,
                ));
                answered.append(&mut message);
            }
            let control = session.control(|| unreachable!("a server masks nothing"));
            answered.extend_from_slice(control);
            let count = control.len();
            session.control_sent(count);
            rest = &mut rest[taken..];
        }
    }
    assert!(!session.owes());
    assert_eq!(session.is_closed(), session.peer_has_ended());
    replies(answered)
}

/// What a client reads of it.
fn replies(mut bytes: Vec<u8>) -> Vec<Reply> {
    let mut reader = Reader::new(Side::Client, u64::MAX);
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
