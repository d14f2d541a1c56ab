//! Pairs of a sender and a receiver, whose messages go through a broker: a hub, or NATS.
//!
//! ```text
//!   sender s7 ──> the broker ──> receiver r7 ──told, within one process──> sender s7: so many more
//! ```
//!
//! A sender has so many messages under way at a time and sends the next ones when they arrive: no broker gets more
//! than it can pass on, and each gets the same.

mod run;
mod speech;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use hdrhistogram::Histogram;

use crate::base::endpoint::Endpoint;
use crate::base::time::Time;
use crate::reactor::net::{Close, SockId};
use crate::reactor::{Cx, End, Event, Role};
use crate::roles::bench::board::{Board, Cue, Told, add_waiting, delays, lock};
use crate::roles::bench::exchange::reel::{Place, Reel};
use crate::roles::bench::machine;

use self::speech::{Heard, Speech};

/// How the pairs are to behave.
#[derive(Clone, Debug)]
struct Setup {
    board: Arc<Board>,
    to: Endpoint,
    speech: Speech,
    pairs: usize,
    /// Bytes in a message.
    size: usize,
    /// Messages of a pair that are under way at a time.
    pending: usize,
    /// Every byte is compared.
    check: bool,
}

/// All pairs, on a loop of their own.
#[derive(Debug)]
pub struct Pairs {
    setup: Setup,
    /// Senders at even places, each with its receiver behind it.
    peers: Vec<Peer>,
    dialling: bool,
    ready: usize,
    delays: Histogram<u64>,
    wrong: u64,
    cue: Cue,
    counting_since: Time,
    buffer: Box<[u8]>,
    /// What every message holds behind its number and its time.
    reel: Reel,
}

#[derive(Debug, Default)]
struct Peer {
    sock: Option<SockId>,
    ready: bool,
    out: Vec<u8>,
    sent: usize,
    /// Of what came, what is not whole yet.
    part: Vec<u8>,
    /// The number of the next message, to be sent or to come.
    next: u64,
    messages: u64,
    /// Of them, those before counting began.
    before: u64,
    /// It has got nothing more since what was counted was handed over.
    is_starved: bool,
    /// When the messages were sent that are under way.
    under_way: VecDeque<Time>,
    /// What a broker says in front of each of its messages.
    label: Vec<u8>,
}

impl Pairs {
    fn new(setup: Setup) -> Self {
        Self {
            peers: (0..2 * setup.pairs).map(|_| Peer::default()).collect(),
            dialling: false,
            ready: 0,
            delays: delays(),
            wrong: 0,
            cue: Cue::Begin,
            counting_since: Time::ZERO,
            buffer: vec![0; BUFFER].into_boxed_slice(),
            reel: Reel::new(),
            setup,
        }
    }

    fn look(&mut self, cx: &mut Cx<'_>) {
        let cue = self.setup.board.cue();
        if cue != self.cue {
            self.cue = cue;
            match cue {
                Cue::Begin | Cue::Stall => {}
                Cue::Count => self.begin_counting(cx),
                Cue::Tell => self.tell(cx),
                Cue::Stop => return self.leave(cx),
            }
        }
        self.dial(cx);
        cx.timer(LOOK, 0);
    }

    /// One at a time: a broker that is not there yet refuses one, not hundreds.
    fn dial(&mut self, cx: &mut Cx<'_>) {
        if !self.dialling && self.peers.iter().any(|peer| peer.sock.is_none()) {
            self.dialling = true;
            cx.dial(&self.setup.to, DIAL_TIMEOUT);
        }
    }

    fn connected(&mut self, cx: &mut Cx<'_>, sock: SockId) {
        self.dialling = false;
        let Some(place) = self.peers.iter().position(|peer| peer.sock.is_none()) else {
            return cx.close(sock, Close::Orderly);
        };
        let peer = &mut self.peers[place];
        peer.sock = Some(sock);
        peer.out = self.setup.speech.opening(&name(place));
        peer.label = match self.setup.speech {
            // A hub says who sent it, and NATS to whom.
            Speech::Hub => name(place ^ 1).into_bytes(),
            Speech::Nats => name(place).into_bytes(),
        };
        cx.set_tag(sock, place as u32);
        cx.want_read(sock, true);
        self.send(cx, place);
        self.dial(cx);
    }

    /// One write.
    fn send(&mut self, cx: &mut Cx<'_>, place: usize) {
        let peer = &mut self.peers[place];
        let Some(sock) = peer.sock else {
            return;
        };
        match cx.write(sock, [&peer.out[peer.sent..], &[]]) {
            Ok(written) => {
                peer.sent += written.unwrap_or(0);
                if peer.sent == peer.out.len() {
                    peer.out.clear();
                    peer.sent = 0;
                }
                cx.want_write(sock, !peer.out.is_empty());
            }
            Err(_) => self.lose(cx, place),
        }
    }

    fn readable(&mut self, cx: &mut Cx<'_>, place: usize) {
        let Some(sock) = self.peers[place].sock else {
            return;
        };
        let mut buffer = std::mem::take(&mut self.buffer);
        match cx.read(sock, &mut buffer) {
            Ok(None) => {}
            Ok(Some(n)) if n > 0 => self.take(cx, place, &buffer[..n]),
            Ok(_) | Err(_) => self.lose(cx, place),
        }
        self.buffer = buffer;
    }

    fn take(&mut self, cx: &mut Cx<'_>, place: usize, bytes: &[u8]) {
        let now = cx.clock();
        let mut part = std::mem::take(&mut self.peers[place].part);
        let all = match part.is_empty() {
            true => bytes,
            false => {
                part.extend_from_slice(bytes);
                &part
            }
        };
        let (mut rest, mut arrived) = (all, 0);
        while let Some((took, heard)) = self.setup.speech.read(rest) {
            match heard {
                Heard::Ready if !self.peers[place].ready => self.let_in(cx, place),
                Heard::Message { label, body } if is_receiver(place) => {
                    arrived += 1;
                    self.arrive(place, (label, body), now);
                }
                // Nobody sends to a sender.
                Heard::Message { .. } => self.wrong += 1,
                Heard::Ping => {
                    self.peers[place].out.extend_from_slice(b"PONG\r\n");
                    self.send(cx, place);
                }
                Heard::Ready | Heard::Other => {}
                Heard::Refused => {
                    let text = String::from_utf8_lossy(&rest[..took.min(80)]);
                    self.setup
                        .board
                        .fail(format!("the broker says {}", text.escape_debug()));
                }
            }
            rest = &rest[took..];
        }
        if !rest.is_empty() {
            self.peers[place].part = rest.to_vec();
        }
        if let Some(sender) = place.checked_sub(1).filter(|_| arrived > 0) {
            self.write(cx, sender, arrived);
        }
    }

    fn let_in(&mut self, cx: &mut Cx<'_>, place: usize) {
        self.peers[place].ready = true;
        self.ready += 1;
        if self.ready == self.peers.len() {
            for sender in (0..self.peers.len()).step_by(2) {
                self.write(cx, sender, self.setup.pending);
            }
        }
    }

    /// A message has come to a receiver.
    fn arrive(&mut self, place: usize, (label, body): (&[u8], &[u8]), now: Time) {
        let board = &self.setup.board.clients;
        let peer = &mut self.peers[place];
        if peer.messages == 0 {
            board.reached.fetch_add(1, Relaxed);
        }
        peer.messages += 1;
        if std::mem::take(&mut peer.is_starved) {
            board.starved.fetch_sub(1, Relaxed);
        }
        // Nobody else writes it, so it need not be locked for that.
        let bytes = board.bytes.load(Relaxed) + body.len() as u64;
        board.bytes.store(bytes, Relaxed);
        let number = |at: usize| {
            let bytes = body.get(at..at + 8).and_then(|bytes| bytes.try_into().ok());
            u64::from_be_bytes(bytes.unwrap_or(NOBODY))
        };
        let (seq, own) = (number(0), first(place));
        let is_own = label == peer.label && body.len() == self.setup.size && seq >= own;
        // Of others' messages, and of those that come again, there is none to be waited for.
        let missing = match seq.checked_sub(own + peer.next) {
            Some(missing) if is_own && missing < peer.under_way.len() as u64 => missing,
            _ => return self.wrong += 1,
        };
        peer.under_way.drain(..missing as usize);
        let sent = peer.under_way.pop_front().expect("so many are under way");
        peer.next += missing + 1;
        let is_same = !self.setup.check
            || number(8) == sent.nanos()
                && self
                    .reel
                    .is_at(filling(seq, body.len()), &body[STAMP.min(body.len())..]);
        self.wrong += missing + u64::from(!is_same);
        let waited = now.since(sent).as_nanos() as u64;
        self.delays.saturating_record(waited.max(1));
    }

    /// A sender sends so many messages.
    fn write(&mut self, cx: &mut Cx<'_>, place: usize, messages: usize) {
        let Some([sender, receiver]) = self.peers.get_mut(place..place + 2) else {
            return;
        };
        let (to, size) = (name(place + 1), self.setup.size);
        let now = cx.clock();
        for _ in 0..messages {
            let number = first(place) + sender.next;
            let write = |out: &mut Vec<u8>| write_body(number, now, size, &self.reel, out);
            self.setup.speech.write(&to, size, &mut sender.out, write);
            sender.next += 1;
            receiver.under_way.push_back(now);
        }
        self.send(cx, place);
    }

    /// A connection has ended without our doing. One that had got nowhere may have come before the broker was ready.
    fn lose(&mut self, cx: &mut Cx<'_>, place: usize) {
        let peer = &mut self.peers[place];
        if let Some(sock) = peer.sock.take() {
            cx.close(sock, Close::Orderly);
        }
        let board = &self.setup.board.clients;
        if peer.ready {
            board.gone.fetch_add(1, Relaxed);
        }
        if std::mem::take(&mut peer.is_starved) {
            board.starved.fetch_sub(1, Relaxed);
        }
        peer.out.clear();
        peer.sent = 0;
        peer.part.clear();
    }

    fn begin_counting(&mut self, cx: &Cx<'_>) {
        self.delays = delays();
        for peer in &mut self.peers {
            peer.before = peer.messages;
        }
        self.counting_since = cx.clock();
    }

    fn tell(&mut self, cx: &Cx<'_>) {
        let time = cx.clock().since(self.counting_since);
        let seconds = time.as_secs_f64().max(1e-9);
        let size = self.setup.size as f64;
        let rate = |peer: &Peer| (peer.messages - peer.before) as f64 * size / seconds;
        let receivers = self.peers.iter().skip(1).step_by(2);
        let mut rates: Vec<f64> = receivers.map(rate).collect();
        rates.sort_by(f64::total_cmp);
        let mut starved = 0;
        for receiver in self.peers.iter_mut().skip(1).step_by(2) {
            receiver.is_starved = receiver.sock.is_some();
            starved += usize::from(receiver.is_starved);
        }
        self.setup.board.clients.starved.store(starved, Relaxed);
        let (mut delays, arrived) = (self.delays.clone(), self.delays.len());
        let sent = self.peers.iter().flat_map(|peer| &peer.under_way);
        add_waiting(&mut delays, sent.map(|sent| cx.clock().since(*sent)));
        *lock(&self.setup.board.clients.told) = Some(Told {
            time,
            rates,
            delays,
            arrived,
            lost: 0,
            repeated: 0,
            altered: self.wrong,
            understood: true,
            unread: 0,
        });
    }

    fn leave(&mut self, cx: &mut Cx<'_>) {
        for sock in self.peers.iter().filter_map(|peer| peer.sock) {
            cx.close(sock, Close::Reset);
        }
        cx.finish(End::Done);
    }
}

impl Role for Pairs {
    fn on(&mut self, cx: &mut Cx<'_>, event: Event) {
        match event {
            Event::Start => {
                *lock(&self.setup.board.clients.thread) = machine::this_thread();
                self.look(cx);
            }
            Event::Connected { sock, .. } => self.connected(cx, sock),
            Event::ConnectFailed { .. } => {
                // The next look tries again.
                self.dialling = false;
                self.setup.board.clients.refused.fetch_add(1, Relaxed);
            }
            Event::Readable(sock) => {
                if let Some(place) = cx.tag(sock) {
                    self.readable(cx, place as usize);
                }
            }
            Event::Writable(sock) => {
                if let Some(place) = cx.tag(sock) {
                    self.send(cx, place as usize);
                }
            }
            Event::Timer { .. } => self.look(cx),
            Event::Drain(_) => self.leave(cx),
            Event::Accepted { .. }
            | Event::Again
            | Event::Reload
            | Event::Report
            | Event::Reply { .. } => {}
        }
    }
}

/// Who is at a place: `s3`, and `r3` behind it.
fn name(place: usize) -> String {
    let letter = if is_receiver(place) { 'r' } else { 's' };
    format!("{letter}{}", place / 2)
}

fn is_receiver(place: usize) -> bool {
    !place.is_multiple_of(2)
}

fn write_body(number: u64, now: Time, size: usize, reel: &Reel, out: &mut Vec<u8>) {
    out.extend_from_slice(&number.to_be_bytes());
    out.extend_from_slice(&now.nanos().to_be_bytes());
    reel.write(filling(number, size), size.saturating_sub(STAMP), out);
}

/// The number of the first message of a pair: no other pair has any of its numbers.
fn first(place: usize) -> u64 {
    (place as u64 / 2) << PAIR_SHIFT
}

/// Where the filling of a message begins, by its number and its length.
fn filling(number: u64, size: usize) -> Place {
    let mut place = Place::of((number >> PAIR_SHIFT) as u32);
    place.advance((number & ((1 << PAIR_SHIFT) - 1)) as usize * size);
    place
}

/// Of a message's number, the bits that tell the messages of a pair apart.
const PAIR_SHIFT: u32 = 40;
/// The number of no message.
const NOBODY: [u8; 8] = [u8::MAX; 8];
/// A message's number, and the time when it was written.
const STAMP: usize = 16;
/// How often the board is looked at.
const LOOK: Duration = Duration::from_millis(5);
const DIAL_TIMEOUT: Duration = Duration::from_secs(5);
const BUFFER: usize = 256 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: usize = 128;

    /// Two pairs at a hub; three messages of the first one are under way.
    fn pairs() -> Pairs {
        let mut pairs = Pairs::new(Setup {
            board: Arc::default(),
            to: "127.0.0.1:1".parse().expect("an endpoint"),
            speech: Speech::Hub,
            pairs: 2,
            size: SIZE,
            pending: 3,
            check: true,
        });
        let receiver = &mut pairs.peers[1];
        receiver.label = b"s0".to_vec();
        receiver.under_way.extend((1..=3).map(sent));
        pairs
    }

    fn sent(millis: u64) -> Time {
        Time::from_nanos(millis * 1_000_000)
    }

    /// The messages of the pair of this sender, of which the first was sent after a millisecond.
    fn message(pairs: &Pairs, sender: usize, seq: u64) -> Vec<u8> {
        let mut body = Vec::new();
        let number = first(sender) + seq;
        write_body(number, sent(seq + 1), SIZE, &pairs.reel, &mut body);
        body
    }

    /// What comes to the first receiver, and how much of it is wrong, and how much was waited for.
    #[track_caller]
    fn arrives(all: &[(&[u8], usize, u64, usize)], wrong: u64, arrived: u64) {
        let mut pairs = pairs();
        for (label, sender, seq, flipped) in all {
            let mut body = message(&pairs, *sender, *seq);
            if let Some(byte) = body.get_mut(*flipped) {
                *byte ^= 1;
            }
            pairs.arrive(1, (label, &body), sent(1000));
        }
        assert_eq!(
            (pairs.wrong, pairs.delays.len()),
            (wrong, arrived),
            "{all:?}"
        );
    }

    const WHOLE: usize = SIZE;

    #[test]
    fn a_message_of_another_pair_is_wrong() {
        arrives(&[(b"s0", 0, 0, WHOLE), (b"s0", 0, 1, WHOLE)], 0, 2);
        arrives(&[(b"s0", 2, 0, WHOLE), (b"s0", 0, 0, WHOLE)], 1, 1);
        arrives(&[(b"s1", 0, 0, WHOLE)], 1, 0);
    }

    #[test]
    fn every_byte_of_a_message_is_compared() {
        for flipped in 0..SIZE {
            let mut pairs = pairs();
            let mut body = message(&pairs, 0, 0);
            body[flipped] ^= 1;
            pairs.arrive(1, (b"s0", &body), sent(1000));
            assert!(pairs.wrong > 0, "byte {flipped}");
        }
        let mut pairs = pairs();
        let body = message(&pairs, 0, 0);
        pairs.arrive(1, (b"s0", &body[..SIZE - 1]), sent(1000));
        assert_eq!(pairs.wrong, 1);
    }

    #[test]
    fn a_message_that_is_lost_or_comes_again_is_wrong_once() {
        arrives(&[(b"s0", 0, 1, WHOLE), (b"s0", 0, 2, WHOLE)], 1, 2);
        arrives(
            &[
                (b"s0", 0, 0, WHOLE),
                (b"s0", 0, 0, WHOLE),
                (b"s0", 0, 1, WHOLE),
            ],
            1,
            2,
        );
        // Nobody has sent so many.
        arrives(&[(b"s0", 0, 3, WHOLE)], 1, 0);
    }
}
