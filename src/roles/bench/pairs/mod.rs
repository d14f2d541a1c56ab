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

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use hdrhistogram::Histogram;

use crate::base::endpoint::Endpoint;
use crate::base::time::Time;
use crate::reactor::net::{Close, SockId};
use crate::reactor::{Cx, End, Event, Role};
use crate::roles::bench::board::{Board, Cue, Told, delays, lock};
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
    filling: Vec<u8>,
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
            filling: (0..setup.size.saturating_sub(STAMP))
                .map(|at| (at % 251) as u8)
                .collect(),
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
        let name = name(place);
        self.peers[place].sock = Some(sock);
        self.peers[place].out = self.setup.speech.opening(&name);
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
                Heard::Message(body) => {
                    arrived += 1;
                    self.arrive(place, body, now);
                }
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
        if arrived > 0 {
            self.write(cx, place - 1, arrived);
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
    fn arrive(&mut self, place: usize, body: &[u8], now: Time) {
        let board = &self.setup.board.clients;
        let peer = &mut self.peers[place];
        if peer.messages == 0 {
            board.reached.fetch_add(1, Relaxed);
        }
        peer.messages += 1;
        // Nobody else writes it, so it need not be locked for that.
        let bytes = board.bytes.load(Relaxed) + body.len() as u64;
        board.bytes.store(bytes, Relaxed);
        let number = |at: usize| {
            let bytes = body.get(at..at + 8).and_then(|bytes| bytes.try_into().ok());
            u64::from_be_bytes(bytes.unwrap_or_default())
        };
        let is_next = number(0) == peer.next && body.len() == self.setup.size;
        let is_same = !self.setup.check || body[STAMP.min(body.len())..] == self.filling;
        self.wrong += u64::from(!is_next || !is_same);
        peer.next += 1;
        let waited = now.nanos().saturating_sub(number(8));
        self.delays.saturating_record(waited.max(1));
    }

    /// A sender sends so many messages.
    fn write(&mut self, cx: &mut Cx<'_>, place: usize, messages: usize) {
        let Some(peer) = self.peers.get_mut(place) else {
            return;
        };
        let to = name(place + 1);
        let now = cx.clock().nanos();
        for _ in 0..messages {
            let number = peer.next;
            self.setup
                .speech
                .write(&to, self.setup.size, &mut peer.out, |out| {
                    out.extend_from_slice(&number.to_be_bytes());
                    out.extend_from_slice(&now.to_be_bytes());
                    out.extend_from_slice(&self.filling);
                });
            peer.next += 1;
        }
        self.send(cx, place);
    }

    /// A connection has ended without our doing. One that had got nowhere may have come before the broker was ready.
    fn lose(&mut self, cx: &mut Cx<'_>, place: usize) {
        let peer = &mut self.peers[place];
        if let Some(sock) = peer.sock.take() {
            cx.close(sock, Close::Orderly);
        }
        if peer.ready {
            self.setup.board.clients.gone.fetch_add(1, Relaxed);
        }
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
        *lock(&self.setup.board.clients.told) = Some(Told {
            time,
            rates,
            delays: self.delays.clone(),
            lost: 0,
            repeated: 0,
            altered: self.wrong,
            understood: true,
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
    let letter = if place.is_multiple_of(2) { 's' } else { 'r' };
    format!("{letter}{}", place / 2)
}

/// A message's number, and the time when it was written.
const STAMP: usize = 16;
/// How often the board is looked at.
const LOOK: Duration = Duration::from_millis(5);
const DIAL_TIMEOUT: Duration = Duration::from_secs(5);
const BUFFER: usize = 256 << 10;
