//! The `yamux` crate at the other end, in both roles: random scripts of open, write, finish and reset.
//!
//! It is a crate for futures. Nothing here waits: everything is polled in turn, again and again, until all has arrived
//! that can arrive.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use futures::io::{AsyncRead, AsyncWrite};
use proptest::prelude::*;

use super::super::*;
use super::START;
use crate::base::rng::Rng;

/// What the crate's connection reads and writes.
#[derive(Clone, Default)]
struct Wire {
    to_oracle: Rc<RefCell<VecDeque<u8>>>,
    from_oracle: Rc<RefCell<Vec<u8>>>,
}

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        into: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let mut bytes = self.to_oracle.borrow_mut();
        if bytes.is_empty() {
            return Poll::Pending;
        }
        let count = bytes.len().min(into.len());
        for (place, byte) in into.iter_mut().zip(bytes.drain(..count)) {
            *place = byte;
        }
        Poll::Ready(Ok(count))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        from: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.from_oracle.borrow_mut().extend_from_slice(from);
        Poll::Ready(Ok(from.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// What one end has done with one stream, and what it is still to do.
#[derive(Default)]
struct Life {
    to_write: VecDeque<u8>,
    written: Vec<u8>,
    read: Vec<u8>,
    finish: bool,
    finished: bool,
    saw_end: bool,
    saw_reset: bool,
    did_reset: bool,
}

/// The crate's end.
struct Oracle {
    connection: yamux::Connection<Wire>,
    /// By id. `None`: dropped, which resets it.
    streams: BTreeMap<u32, (Option<yamux::Stream>, Life)>,
    to_open: usize,
    failed: Option<String>,
}

impl Oracle {
    fn new(wire: Wire, mode: yamux::Mode) -> Self {
        Self {
            connection: yamux::Connection::new(wire, yamux::Config::default(), mode),
            streams: BTreeMap::new(),
            to_open: 0,
            failed: None,
        }
    }

    fn turn(&mut self) {
        let cx = &mut Context::from_waker(Waker::noop());
        while self.to_open > 0 {
            match self.connection.poll_new_outbound(cx) {
                Poll::Ready(Ok(stream)) => self.adopt(stream),
                Poll::Ready(Err(error)) => self.failed = Some(error.to_string()),
                Poll::Pending => break,
            }
            self.to_open -= 1;
        }
        for (stream, life) in self.streams.values_mut() {
            if let Some(stream) = stream {
                live(Pin::new(stream), life, cx);
            }
        }
        // Only this moves what the streams have said.
        while let Poll::Ready(Some(result)) = self.connection.poll_next_inbound(cx) {
            match result {
                Ok(stream) => self.adopt(stream),
                Err(error) => {
                    self.failed = Some(error.to_string());
                    return;
                }
            }
        }
    }

    fn adopt(&mut self, stream: yamux::Stream) {
        let id: u32 = stream.id().to_string().parse().expect("an id is a number");
        self.streams.insert(id, (Some(stream), Life::default()));
    }
}

fn live(mut stream: Pin<&mut yamux::Stream>, life: &mut Life, cx: &mut Context<'_>) {
    let (chunk, _) = life.to_write.as_slices();
    if !chunk.is_empty() {
        match stream.as_mut().poll_write(cx, chunk) {
            Poll::Ready(Ok(count)) => life.written.extend(life.to_write.drain(..count)),
            Poll::Ready(Err(_)) => life.to_write.clear(),
            Poll::Pending => {}
        }
    } else if life.finish && !life.finished {
        life.finished = stream.as_mut().poll_close(cx).is_ready();
    }
    let mut buffer = [0; 4096];
    match stream.poll_read(cx, &mut buffer) {
        Poll::Ready(Ok(0)) => life.saw_end = true,
        Poll::Ready(Ok(count)) => life.read.extend_from_slice(&buffer[..count]),
        Poll::Ready(Err(_)) => life.saw_reset = true,
        Poll::Pending => {}
    }
}

/// Our end.
struct Ours {
    session: Session,
    streams: BTreeMap<u32, Life>,
}

impl Ours {
    fn turn(&mut self, wire: &Wire, chunk: usize) {
        let input = std::mem::take(&mut *wire.from_oracle.borrow_mut());
        for mut rest in input.chunks(chunk) {
            while let Some(event) = self
                .session
                .feed(START, &mut rest)
                .expect("the crate keeps the rules")
            {
                self.on(event);
                self.say(wire);
            }
        }
        for (id, life) in &mut self.streams {
            let id = StreamId(*id);
            let most = self.session.sendable(id).min(life.to_write.len());
            if most > 0 {
                // What the session itself has to say goes first.
                while let Some(header) = self.session.poll(START) {
                    wire.to_oracle.borrow_mut().extend(header);
                }
                let header = self.session.data(id, most);
                let bytes: Vec<u8> = life.to_write.drain(..most).collect();
                wire.to_oracle.borrow_mut().extend(header);
                wire.to_oracle.borrow_mut().extend(&bytes);
                life.written.extend(bytes);
            } else if life.finish && life.to_write.is_empty() {
                self.session.finish(id);
                life.finished = true;
            }
        }
        self.say(wire);
        self.session.check_invariants();
    }

    fn say(&mut self, wire: &Wire) {
        while let Some(header) = self.session.poll(START) {
            wire.to_oracle.borrow_mut().extend(header);
        }
    }

    fn on(&mut self, event: Event<'_>) {
        match event {
            Event::Opened(id) => {
                self.session.accept(id, id.get());
                self.streams.insert(id.get(), Life::default());
            }
            Event::Data(id, tag, payload) => {
                assert_eq!(id.get(), tag);
                self.life(id).read.extend(payload.pieces().flatten());
                self.session.consumed(START, id, payload.len());
            }
            Event::Finished(id, _) => self.life(id).saw_end = true,
            Event::Reset(id, _) => self.life(id).saw_reset = true,
            Event::Taken(..) | Event::Credit(..) | Event::Pong => {}
            Event::GoAway(why) => panic!("the crate goes away: {why}"),
        }
    }

    fn life(&mut self, id: StreamId) -> &mut Life {
        self.streams.get_mut(&id.get()).expect("we know it")
    }
}

/// One step of a script: who acts, on which stream, what it does and how much of it.
type Step = (bool, u8, u8, u16);

struct Play {
    wire: Wire,
    ours: Ours,
    oracle: Oracle,
    rng: Rng,
}

impl Play {
    fn new(side: Side) -> Self {
        let wire = Wire::default();
        let mode = match side {
            Side::Client => yamux::Mode::Server,
            Side::Server => yamux::Mode::Client,
        };
        Self {
            oracle: Oracle::new(wire.clone(), mode),
            ours: Ours {
                session: Session::new(side, Limits::default(), START),
                streams: BTreeMap::new(),
            },
            wire,
            rng: Rng::new(7),
        }
    }

    fn step(&mut self, (by_us, which, what, amount): Step) {
        let bytes = |rng: &mut Rng| -> Vec<u8> {
            (0..u32::from(amount) * 8)
                .map(|_| rng.next() as u8)
                .collect()
        };
        if what < 3 {
            match by_us {
                true => self.open(),
                false => self.oracle.to_open += 1,
            }
            return;
        }
        let ids: Vec<u32> = match by_us {
            true => self.ours.streams.keys().copied().collect(),
            false => self.oracle.streams.keys().copied().collect(),
        };
        let Some(&id) = ids.get(usize::from(which) % ids.len().max(1)) else {
            return;
        };
        if by_us {
            let life = self.ours.streams.get_mut(&id).expect("just listed");
            match what {
                3..8 if !life.finish => life.to_write.extend(bytes(&mut self.rng)),
                8 => life.finish = true,
                9 => {
                    self.ours.session.reset(StreamId(id));
                    life.did_reset = true;
                }
                _ => {}
            }
            return;
        }
        let (stream, life) = self.oracle.streams.get_mut(&id).expect("just listed");
        match what {
            3..8 if !life.finish => life.to_write.extend(bytes(&mut self.rng)),
            8 => life.finish = true,
            9 => *stream = None,
            _ => {}
        }
    }

    fn open(&mut self) {
        let id = self.ours.session.open(START, 0).expect("there is room");
        self.ours.session.streams.get_mut(&id.0).expect("new").tag = id.get();
        self.ours.streams.insert(id.get(), Life::default());
    }

    fn turn(&mut self) {
        self.ours.turn(&self.wire, 777);
        self.oracle.turn();
        assert_eq!(self.oracle.failed, None, "the crate objects");
    }

    /// Until nothing moves any more.
    fn settle(&mut self) {
        let (mut quiet, mut before) = (0, 0);
        while quiet < 20 {
            self.turn();
            let moved = self.moved();
            let moves = !self.wire.from_oracle.borrow().is_empty()
                || !self.wire.to_oracle.borrow().is_empty()
                || moved != before;
            before = moved;
            quiet = if moves { 0 } else { quiet + 1 };
        }
    }

    /// Bytes written and read so far.
    fn moved(&self) -> usize {
        let theirs = self.oracle.streams.values().map(|(_, life)| life);
        let all = self.ours.streams.values().chain(theirs);
        all.map(|life| life.read.len() + life.written.len()).sum()
    }

    /// What each end read is what the other wrote: all of it where nobody reset the stream, else a beginning of it.
    fn check(&self) {
        for (id, ours) in &self.ours.streams {
            let Some((stream, theirs)) = self.oracle.streams.get(id) else {
                // The crate tells its user of a stream that was reset at once never, or too late.
                assert!(!self.ours.session.has(StreamId(*id)), "stream {id} is lost");
                continue;
            };
            assert!(ours.written.starts_with(&theirs.read), "stream {id}");
            assert!(theirs.written.starts_with(&ours.read), "stream {id}");
            if stream.is_none() || ours.saw_reset || ours.did_reset {
                continue;
            }
            assert_eq!(ours.written.len(), theirs.read.len(), "stream {id}, to it");
            assert_eq!(theirs.written.len(), ours.read.len(), "stream {id}, to us");
            assert_eq!(ours.finished, theirs.saw_end, "stream {id}: its end");
            assert_eq!(theirs.finished, ours.saw_end, "stream {id}: its end");
        }
    }
}

fn script() -> impl Strategy<Value = Vec<Step>> {
    let step = (any::<bool>(), any::<u8>(), 0u8..10, any::<u16>());
    prop::collection::vec(step, 1..60)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn the_crate_and_we_understand_each_other(is_client: bool, steps in script()) {
        let side = if is_client { Side::Client } else { Side::Server };
        let mut play = Play::new(side);
        for step in steps {
            play.step(step);
            play.turn();
        }
        play.settle();
        play.check();
    }
}

#[test]
fn much_more_than_a_window_goes_through_both_ways() {
    for side in [Side::Client, Side::Server] {
        let mut play = Play::new(side);
        play.open();
        play.oracle.to_open = 1;
        play.settle();
        // The crate says that it opens a stream with the first bytes of it.
        for (_, life) in play.oracle.streams.values_mut() {
            life.to_write.push_back(b'!');
        }
        play.settle();
        assert_eq!(play.ours.streams.len(), 2);
        let bytes: Vec<u8> = (0..3 << 20).map(|i: u32| (i >> 3) as u8).collect();
        for life in play.ours.streams.values_mut() {
            life.to_write.extend(&bytes);
            life.finish = true;
        }
        play.settle();
        for (_, life) in play.oracle.streams.values_mut() {
            assert_eq!(life.read.len(), bytes.len());
            life.to_write.extend(&bytes);
            life.finish = true;
        }
        play.settle();
        play.check();
        for life in play.ours.streams.values() {
            assert!(life.read[1..] == bytes && life.saw_end);
        }
        assert!(play.ours.session.is_empty(), "both directions have ended");
    }
}
