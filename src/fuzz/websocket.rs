//! WebSocket frames: any bytes cut in several ways, and messages that are encoded and read again.

use crate::base::rng::Rng;
use crate::fuzz::script::Script;
use crate::proto::websocket::{
    CONTROL_MAX, Close, CloseCode, Event, FrameHead, Key, Kind, Opcode, Reader, Session, Side,
    Violation, mask,
};

/// Feeds the script's bytes as a peer's to both sides, or draws messages and control frames and sends them.
///
/// # Panics
/// When the pieces in which bytes come change what they mean, when what is owed to the peer breaks a rule itself or is
/// not bounded, or when messages do not come out as they went in.
pub fn websocket(data: &[u8]) {
    let mut script = Script::new(data);
    let side = [Side::Client, Side::Server][script.pick(2)];
    let mut rng = Rng::new(u64::from(script.take_u8()));
    if script.pick(2) == 0 {
        let message_max = [u64::MAX, 300][script.pick(2)];
        check_pieces(side, message_max, script.take_rest(), &mut rng);
    } else {
        let (bytes, sent) = draw(&mut script, side, &mut rng);
        let all = bytes.len();
        assert_eq!(told(side, u64::MAX, &bytes, &mut || all), sent);
        check_pieces(side, u64::MAX, &bytes, &mut rng);
    }
}

/// What came of a peer's bytes, with the pieces of messages put together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// A message, or what there is of it.
    Message {
        /// What it is made of.
        kind: Kind,
        /// Its bytes so far.
        bytes: Vec<u8>,
        /// Whether these are all.
        ends: bool,
    },
    /// A ping with this payload.
    Ping(Vec<u8>),
    /// A pong with this payload.
    Pong(Vec<u8>),
    /// A close with this code and this reason.
    Close(Option<CloseCode>, String),
    /// The peer was at fault; nothing follows.
    Broken(Violation),
}

/// Reads the bytes in pieces of the sizes drawn, and tells what comes of them.
pub fn told(
    side: Side,
    message_max: u64,
    bytes: &[u8],
    size: &mut dyn FnMut() -> usize,
) -> Vec<Told> {
    let mut reader = Reader::new(side, message_max);
    let mut all = Vec::new();
    let mut bytes = bytes.to_vec();
    let mut rest = &mut bytes[..];
    while !rest.is_empty() {
        let at = size().clamp(1, rest.len());
        let (mut piece, later) = rest.split_at_mut(at);
        rest = later;
        while !piece.is_empty() {
            let len = piece.len();
            match reader.feed(piece) {
                Ok((taken, event)) => {
                    assert!((1..=len).contains(&taken), "feeding gets somewhere");
                    if let Some(event) = event {
                        tell(&mut all, event);
                    }
                    piece = &mut piece[taken..];
                }
                Err(violation) => {
                    all.push(Told::Broken(violation));
                    assert_eq!(reader.feed(&mut [0x88]), Ok((1, None)));
                    return all;
                }
            }
        }
    }
    all
}

fn tell(all: &mut Vec<Told>, event: Event<'_>) {
    match event {
        Event::Data { kind, bytes, ends } => {
            assert!(ends || !bytes.is_empty(), "an event tells something");
            // Control frames stand within a message, and the message is told where it began.
            let open = all
                .iter_mut()
                .rev()
                .find(|told| matches!(told, Told::Message { .. }));
            if let Some(Told::Message {
                kind: same,
                bytes: before,
                ends: over @ false,
            }) = open
            {
                assert_eq!(kind, *same, "a message is of one kind");
                before.extend_from_slice(bytes);
                *over = ends;
            } else {
                let bytes = bytes.to_vec();
                all.push(Told::Message { kind, bytes, ends });
            }
        }
        Event::Ping(payload) => all.push(Told::Ping(payload.to_vec())),
        Event::Pong(payload) => all.push(Told::Pong(payload.to_vec())),
        Event::Close(Close { code, reason }) => all.push(Told::Close(code, reason.to_owned())),
    }
}

fn check_pieces(side: Side, message_max: u64, bytes: &[u8], rng: &mut Rng) {
    let at_once = told(side, message_max, bytes, &mut || bytes.len());
    let by_one = told(side, message_max, bytes, &mut || 1);
    let longest = 1 + rng.below(bytes.len() as u64 + 1);
    let mut drawn = Rng::new(rng.next());
    let in_pieces = told(side, message_max, bytes, &mut || {
        1 + drawn.below(longest) as usize
    });
    if at_once.last() == Some(&Told::Broken(Violation::NotUtf8)) {
        // What the last piece had right is not told, so only the verdict is the same.
        assert_eq!(by_one.last(), at_once.last());
        assert_eq!(in_pieces.last(), at_once.last());
    } else {
        // Control frames within a message are told in between, wherever its pieces end.
        assert_eq!(sorted(&by_one), sorted(&at_once), "one by one");
        assert_eq!(sorted(&in_pieces), sorted(&at_once), "in pieces");
    }
    check_owed(side, message_max, bytes, rng, &at_once);
}

/// Messages first, each in its order: a piece of a message that had no byte yet may be told before or after a ping.
fn sorted(told: &[Told]) -> Vec<&Told> {
    let is_message = |told: &&&Told| matches!(told, Told::Message { .. });
    let messages = told.iter().filter(|told| is_message(&told));
    let others = told.iter().filter(|told| !is_message(&told));
    messages.chain(others).collect()
}

/// Everything that a session wants to be sent is right itself, and bounded, though the peer takes it only now and then.
fn check_owed(side: Side, message_max: u64, bytes: &[u8], rng: &mut Rng, told_of: &[Told]) {
    let mut session = Session::new(side, message_max);
    let mut owed = Vec::new();
    let mut bytes = bytes.to_vec();
    let mut rest = &mut bytes[..];
    let mut draw = Rng::new(rng.next());
    while !rest.is_empty() {
        let size = (1 + draw.below(9) as usize).min(rest.len());
        match session.feed(&mut rest[..size]) {
            Ok((taken, _)) => rest = &mut rest[taken..],
            Err(_) => break,
        }
        if draw.below(4) == 0 {
            let control = session.control(|| key(rng));
            assert!(
                control.len() <= CONTROL_MAX + 6,
                "one control frame at a time"
            );
            let count = draw.below(control.len() as u64 + 1) as usize;
            owed.extend_from_slice(&control[..count]);
            session.control_sent(count);
        }
    }
    let mut frames = 0;
    while session.owes() {
        let control = session.control(|| key(rng)).to_vec();
        session.control_sent(control.len());
        owed.extend(control);
        frames += 1;
        assert!(
            frames <= 2,
            "a pong or a close, and the frame that was begun"
        );
    }
    let ended = |told: &Told| matches!(told, Told::Close(..) | Told::Broken(_));
    let has_ended = told_of.iter().any(ended);
    assert_eq!(session.peer_has_ended(), has_ended);
    assert_eq!(session.is_closed(), has_ended);
    let other = match side {
        Side::Client => Side::Server,
        Side::Server => Side::Client,
    };
    let all = owed.len();
    let owed = told(other, 0, &owed, &mut || all);
    let pings = told_of
        .iter()
        .filter(|told| matches!(told, Told::Ping(_)))
        .count();
    let (close, pongs): (Vec<_>, Vec<_>) = owed
        .iter()
        .partition(|told| matches!(told, Told::Close(..)));
    assert!(pongs.len() <= pings, "no pong without a ping");
    assert!(
        pongs.iter().all(|told| matches!(told, Told::Pong(_))),
        "{owed:?}"
    );
    assert_eq!(
        close.len(),
        usize::from(has_ended),
        "one close, if there is cause: {owed:?}"
    );
}

/// The bytes that a peer of `side` sends, and what is in them.
fn draw(script: &mut Script<'_>, side: Side, rng: &mut Rng) -> (Vec<u8>, Vec<Told>) {
    let mut all = (Vec::new(), Vec::new());
    while !script.is_empty() && all.0.len() < STREAM_MAX {
        match script.pick(8) {
            0 => draw_control(script, side, rng, &mut all),
            1 => {
                let code = CloseCode::new(1000 + script.take_u16() % 4000);
                let mut payload =
                    code.map_or(Vec::new(), |code| code.number().to_be_bytes().to_vec());
                let reason = if code.is_some() { "gone" } else { "" };
                payload.extend_from_slice(reason.as_bytes());
                frame(Opcode::Close, true, payload, side, rng, &mut all.0);
                all.1.push(Told::Close(code, reason.to_owned()));
                break;
            }
            _ => draw_message(script, side, rng, &mut all),
        }
    }
    all
}

fn draw_control(
    script: &mut Script<'_>,
    side: Side,
    rng: &mut Rng,
    (bytes, told): &mut (Vec<u8>, Vec<Told>),
) {
    let payload = vec![script.take_u8(); script.pick(CONTROL_MAX + 1)];
    if script.pick(2) == 0 {
        frame(Opcode::Ping, true, payload.clone(), side, rng, bytes);
        told.push(Told::Ping(payload));
    } else {
        frame(Opcode::Pong, true, payload.clone(), side, rng, bytes);
        told.push(Told::Pong(payload));
    }
}

fn draw_message(
    script: &mut Script<'_>,
    side: Side,
    rng: &mut Rng,
    all: &mut (Vec<u8>, Vec<Told>),
) {
    let is_text = script.pick(2) == 0;
    let len =
        [7, 125, 126, 130, 300, 7, 7, 65_600][script.pick(8)].min(script.pick(0x1_0000) + 1) - 1;
    let (kind, first, payload) = if is_text {
        let text: Vec<u8> = "aß水🦀".bytes().cycle().take(len).collect();
        let whole = String::from_utf8_lossy(&text);
        let text = whole.trim_end_matches('\u{fffd}').as_bytes().to_vec();
        (Kind::Text, Opcode::Text, text)
    } else {
        let bytes = (0..len).map(|_| rng.next() as u8).collect();
        (Kind::Binary, Opcode::Binary, bytes)
    };
    let (mut rest, mut opcode) = (&payload[..], first);
    // Told before the control frames within it, if it has a byte by then.
    let mut place = None;
    loop {
        let size = [rest.len(), rest.len().min(1), 0, rest.len() / 2][script.pick(4)];
        let last = size == rest.len() && script.pick(2) == 0 || script.is_empty();
        let (piece, later) = rest.split_at(if last { rest.len() } else { size });
        frame(opcode, last, piece.to_vec(), side, rng, &mut all.0);
        if place.is_none() && (last || !piece.is_empty()) {
            place = Some(all.1.len());
            let bytes = payload.clone();
            all.1.push(Told::Message {
                kind,
                bytes,
                ends: true,
            });
        }
        if last {
            return;
        }
        (rest, opcode) = (later, Opcode::Continuation);
        if script.pick(3) == 0 {
            draw_control(script, side, rng, all);
        }
    }
}

/// Appends a frame for `side` to read.
fn frame(
    opcode: Opcode,
    last: bool,
    mut payload: Vec<u8>,
    side: Side,
    rng: &mut Rng,
    out: &mut Vec<u8>,
) {
    let key = (side == Side::Server).then(|| key(rng));
    out.extend_from_slice(&FrameHead::new(opcode, last, payload.len() as u64, key));
    if let Some(key) = key {
        mask(&mut payload, key, 0);
    }
    out.append(&mut payload);
}

fn key(rng: &mut Rng) -> Key {
    Key((rng.next() as u32).to_be_bytes())
}

const STREAM_MAX: usize = 70_000;
