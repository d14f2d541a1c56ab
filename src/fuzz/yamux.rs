//! yamux: bytes of a peer that knows the frames and not the rules. Whatever comes, nothing panics, the books agree, no
//! more is taken than was granted, and where the bytes are split makes no difference.

use std::collections::{BTreeMap, BTreeSet};

use crate::base::time::Time;
use crate::fuzz::script::Script;
use crate::proto::yamux::{Event, HEADER_LEN, Limits, Session, Side, StreamId, Violation};

/// Feeds a session what a script says, whole and in pieces.
///
/// # Panics
/// When what must hold does not.
pub fn yamux(data: &[u8]) {
    let mut script = Script::new(data);
    let side = match script.take_u8() % 2 {
        0 => Side::Client,
        _ => Side::Server,
    };
    let piece = 1 + script.pick(40);
    let opened = script.pick(4);
    let bytes = peer(&mut script);
    let whole = Run::new(side, opened).feed(&bytes, bytes.len().max(1));
    let pieces = Run::new(side, opened).feed(&bytes, piece);
    assert_eq!(whole, pieces, "split into pieces of {piece}");
}

/// What a peer sends that is drawn from a script: frames for few streams, and now and then anything at all.
fn peer(script: &mut Script<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    while !script.is_empty() && bytes.len() < BYTES_MAX {
        let kind = script.pick(9) as u8;
        if kind == 8 {
            let count = script.pick(20);
            bytes.extend((0..count).map(|_| script.take_u8()));
            continue;
        }
        // Most frames are data and updates.
        let kind = if kind > 3 { kind % 2 } else { kind };
        let flags = script.take_u8() & 15;
        let stream = if kind > 1 { 0 } else { script.pick(10) as u8 };
        let length = match script.pick(6) {
            0..4 => u32::from(script.take_u8()),
            4 => 262_130 + u32::from(script.take_u8()) / 8,
            _ => u32::MAX - u32::from(script.take_u8()),
        };
        bytes.extend([0, kind, 0, flags, 0, 0, 0, stream]);
        bytes.extend(length.to_be_bytes());
        if kind == 0 {
            bytes.resize(bytes.len() + length.min(300_000) as usize, stream);
        }
    }
    bytes
}

/// A session, and what its user saw of it.
struct Run {
    session: Session,
    seen: Seen,
    /// Streams on which more could be sent again.
    credited: BTreeSet<u32>,
    /// What users have not taken yet, by stream.
    waiting: BTreeMap<u32, usize>,
}

/// What came of some bytes, however they were split.
#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
    events: Vec<String>,
    /// Payload by stream.
    payload: BTreeMap<u32, u64>,
    /// Streams on which more could be sent again, where there was no violation.
    credited: BTreeSet<u32>,
    violation: Option<Violation>,
}

impl Run {
    fn new(side: Side, opened: usize) -> Self {
        let limits = Limits {
            streams_max: 4,
            ..Limits::default()
        };
        let mut session = Session::new(side, limits, NOW);
        for tag in 0..opened {
            session
                .open(NOW, tag as u32)
                .expect("nothing is in the way");
        }
        session.ping(NOW);
        let mut run = Self {
            session,
            seen: Seen::default(),
            credited: BTreeSet::new(),
            waiting: BTreeMap::new(),
        };
        run.say();
        run.send();
        run
    }

    fn feed(mut self, bytes: &[u8], piece: usize) -> Seen {
        for mut rest in bytes.chunks(piece) {
            loop {
                match self.session.feed(NOW, &mut rest) {
                    Ok(Some(event)) => self.on(event),
                    Ok(None) => break,
                    Err(violation) => {
                        self.seen.violation = Some(violation);
                        return self.seen;
                    }
                }
                self.say();
                self.session.check_invariants();
            }
            self.say();
        }
        // What was sent last may have been all that some waited for.
        while let Ok(Some(event)) = self.session.feed(NOW, &mut &[][..]) {
            self.on(event);
            self.say();
        }
        self.seen.credited = self.credited;
        self.seen
    }

    fn on(&mut self, event: Event<'_>) {
        match event {
            Event::Opened(id) if id.get() % 3 == 0 => self.session.reset(id),
            Event::Opened(id) => self.session.accept(id, id.get()),
            Event::Data(id, _, payload) => {
                assert!(!payload.is_empty());
                *self.seen.payload.entry(id.get()).or_default() += payload.len() as u64;
                self.data(id, payload.len());
                return;
            }
            Event::Finished(id, _) => {
                self.session.finish(id);
            }
            // It comes when what waited is sent, and that is asked after each piece: when, is no matter.
            Event::Credit(id, _) => {
                self.credited.insert(id.get());
                return;
            }
            _ => {}
        }
        self.seen.events.push(format!("{event:?}"));
        self.send();
    }

    /// Some streams' users take what comes. They do it in portions, whatever the pieces are in which it comes: when
    /// credit is given back decides which frame is one too many.
    fn data(&mut self, id: StreamId, len: usize) {
        assert!(
            self.session.held() <= self.session.len() as u64 * (16 << 20),
            "more is held than was granted"
        );
        if id.get() % 4 < 2 {
            let waiting = self.waiting.entry(id.get()).or_default();
            *waiting += len;
            while *waiting >= PORTION {
                *waiting -= PORTION;
                self.session.consumed(NOW, id, PORTION);
            }
        }
    }

    fn say(&mut self) {
        while let Some(header) = self.session.poll(NOW) {
            let known = [header[0], header[1] & !3, header[3] & !15];
            assert_eq!(known, [0; 3], "a header of our own: {header:?}");
            assert_eq!(header.len(), HEADER_LEN);
        }
    }

    /// Some streams' users send a little, as often as something has come, whatever the pieces are: how much of its
    /// credit is left decides which frame gives too much.
    fn send(&mut self) {
        for id in self.session.streams().collect::<Vec<_>>() {
            let room = self.session.sendable(id).min(3);
            if room > 0 && id.get() % 2 == 0 {
                self.session.data(id, room);
            }
        }
    }
}

const NOW: Time = Time::from_millis(5000);
const BYTES_MAX: usize = 1 << 20;
/// Half of the first window, with which credit is given back.
const PORTION: usize = 128 << 10;
