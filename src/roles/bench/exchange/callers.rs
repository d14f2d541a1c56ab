//! The clients of a service: they connect, send, read what comes back, compare it, and take the time of each answer.

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
use crate::roles::bench::config::Work;
use crate::roles::bench::exchange::Dress;
use crate::roles::bench::exchange::reel::{Place, Reel};
use crate::roles::bench::machine;

/// How the callers are to behave.
#[derive(Clone, Debug)]
pub(in crate::roles::bench) struct Setup {
    pub(in crate::roles::bench) board: Arc<Board>,
    pub(in crate::roles::bench) to: Endpoint,
    pub(in crate::roles::bench) count: usize,
    pub(in crate::roles::bench) work: Work,
    /// Bytes in a message that wants an answer, and in a write of one that does not.
    pub(in crate::roles::bench) size: usize,
    /// Messages of one connection that wait for their answers at a time.
    pub(in crate::roles::bench) pending: usize,
    pub(in crate::roles::bench) dress: Dress,
    /// Every byte that is sent down is compared. Answers always are.
    pub(in crate::roles::bench) check: bool,
}

/// All callers, on a loop of their own.
#[derive(Debug)]
pub struct Callers {
    setup: Setup,
    reel: Reel,
    callers: Vec<Caller>,
    /// Places of callers that are not connected.
    vacant: Vec<u32>,
    dialling: usize,
    delays: Histogram<u64>,
    /// Connections on which other bytes came than those that were sent.
    altered: u64,
    cue: Cue,
    counting_since: Time,
    buffer: Box<[u8]>,
}

#[derive(Debug, Default)]
struct Caller {
    sock: Option<SockId>,
    /// The opening, then messages that want an answer; and what of it was taken.
    outgoing: Vec<u8>,
    sent: usize,
    /// The next byte to send, and the next to come.
    out: Place,
    back: Place,
    /// When the messages that wait for an answer were begun.
    asked: VecDeque<Time>,
    /// Bytes of the answer that is coming in.
    answered: usize,
    bytes: u64,
    /// Of them, those before counting began.
    before: u64,
    /// It has got nothing more since what was counted was handed over.
    is_starved: bool,
    wrong: bool,
}

impl Callers {
    pub(in crate::roles::bench) fn new(setup: Setup) -> Self {
        Self {
            callers: (0..setup.count).map(|_| Caller::default()).collect(),
            vacant: (0..setup.count as u32).rev().collect(),
            setup,
            reel: Reel::new(),
            dialling: 0,
            delays: delays(),
            altered: 0,
            cue: Cue::Begin,
            counting_since: Time::ZERO,
            buffer: vec![0; BUFFER].into_boxed_slice(),
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

    /// Keeps attempts under way until everybody is there.
    fn dial(&mut self, cx: &mut Cx<'_>) {
        let open = self.vacant.len().saturating_sub(self.dialling);
        for _ in 0..open.min(DIALS_MAX.saturating_sub(self.dialling)) {
            self.dialling += 1;
            cx.dial(&self.setup.to, DIAL_TIMEOUT);
        }
    }

    fn connected(&mut self, cx: &mut Cx<'_>, sock: SockId) {
        self.dialling -= 1;
        let Some(number) = self.vacant.pop() else {
            return cx.close(sock, Close::Orderly);
        };
        self.callers[number as usize] = Caller {
            sock: Some(sock),
            outgoing: (self.setup.dress.opening)(number, self.setup.work),
            out: Place::of(number),
            back: Place::of(number),
            ..Caller::default()
        };
        cx.set_tag(sock, number);
        cx.want_read(sock, true);
        self.setup.board.clients.connected.fetch_add(1, Relaxed);
        self.ask(cx, number);
    }

    /// Begins as many messages as may wait for their answers, and sends what there is to send.
    fn ask(&mut self, cx: &mut Cx<'_>, number: u32) {
        let caller = &mut self.callers[number as usize];
        if self.setup.work == Work::Echo {
            let size = self.setup.size;
            while caller.asked.len() < self.setup.pending {
                let prefix = (self.setup.dress.prefix)(number, size);
                caller.outgoing.extend(prefix);
                self.reel.write(caller.out, size, &mut caller.outgoing);
                caller.out.advance(size);
                caller.asked.push_back(cx.clock());
            }
        }
        self.send(cx, number);
    }

    /// One write.
    fn send(&mut self, cx: &mut Cx<'_>, number: u32) {
        let caller = &mut self.callers[number as usize];
        let Some(sock) = caller.sock else {
            return;
        };
        let up = self.setup.work == Work::Up;
        let piece = match up {
            true => self.reel.piece(caller.out, self.setup.size),
            false => &[],
        };
        let waiting = &caller.outgoing[caller.sent..];
        let due = waiting.len();
        let Ok(written) = cx.write(sock, [waiting, piece]) else {
            return self.lose(cx, number);
        };
        let written = written.unwrap_or(0);
        caller.sent += written.min(due);
        caller.out.advance(written.saturating_sub(due));
        if caller.sent == caller.outgoing.len() {
            caller.outgoing.clear();
            caller.sent = 0;
        }
        cx.want_write(sock, up || !caller.outgoing.is_empty());
    }

    fn readable(&mut self, cx: &mut Cx<'_>, sock: SockId) {
        let Some(number) = cx.tag(sock) else {
            return;
        };
        let only_counted = self.setup.work == Work::Down && !self.setup.check;
        let read = match only_counted {
            true => cx.discard(sock, DISCARD_MAX),
            false => cx.read(sock, &mut self.buffer),
        };
        match read {
            Ok(None) => {}
            Ok(Some(n)) if n > 0 => self.take(cx, number, n, only_counted),
            Ok(_) | Err(_) => self.lose(cx, number),
        }
    }

    fn take(&mut self, cx: &mut Cx<'_>, number: u32, n: usize, only_counted: bool) {
        let now = cx.clock();
        let board = &self.setup.board.clients;
        let caller = &mut self.callers[number as usize];
        if caller.bytes == 0 {
            board.reached.fetch_add(1, Relaxed);
        }
        caller.bytes += n as u64;
        if std::mem::take(&mut caller.is_starved) {
            board.starved.fetch_sub(1, Relaxed);
        }
        // Nobody else writes it, so it need not be locked for that.
        board
            .bytes
            .store(board.bytes.load(Relaxed) + n as u64, Relaxed);
        if !only_counted && !caller.wrong && !self.reel.is_at(caller.back, &self.buffer[..n]) {
            caller.wrong = true;
            self.altered += 1;
        }
        caller.back.advance(n);
        if self.setup.work == Work::Echo {
            caller.answered += n;
            while caller.answered >= self.setup.size {
                caller.answered -= self.setup.size;
                // What nobody has asked for is wrong already.
                if let Some(asked) = caller.asked.pop_front() {
                    let waited = now.since(asked).as_nanos() as u64;
                    self.delays.saturating_record(waited.max(1));
                }
            }
            self.ask(cx, number);
        }
    }

    /// A connection has ended without our doing. One that had got nowhere may have come before the way was ready, and
    /// is made anew.
    fn lose(&mut self, cx: &mut Cx<'_>, number: u32) {
        let caller = &mut self.callers[number as usize];
        let Some(sock) = caller.sock.take() else {
            return;
        };
        cx.close(sock, Close::Orderly);
        let board = &self.setup.board.clients;
        board.connected.fetch_sub(1, Relaxed);
        if std::mem::take(&mut caller.is_starved) {
            board.starved.fetch_sub(1, Relaxed);
        }
        if self.cue == Cue::Begin && caller.bytes == 0 {
            self.vacant.push(number);
        } else {
            board.gone.fetch_add(1, Relaxed);
        }
    }

    fn begin_counting(&mut self, cx: &Cx<'_>) {
        self.delays = delays();
        for caller in &mut self.callers {
            caller.before = caller.bytes;
        }
        self.counting_since = cx.clock();
    }

    fn tell(&mut self, cx: &Cx<'_>) {
        let time = cx.clock().since(self.counting_since);
        let seconds = time.as_secs_f64().max(1e-9);
        let rate = |caller: &Caller| (caller.bytes - caller.before) as f64 / seconds;
        let mut rates: Vec<f64> = self.callers.iter().map(rate).collect();
        rates.sort_by(f64::total_cmp);
        // Where they send only, the service knows who has stopped.
        if self.setup.work != Work::Up {
            let mut starved = 0;
            for caller in &mut self.callers {
                caller.is_starved = caller.sock.is_some();
                starved += usize::from(caller.is_starved);
            }
            self.setup.board.clients.starved.store(starved, Relaxed);
        }
        let (mut delays, arrived) = (self.delays.clone(), self.delays.len());
        let asked = self.callers.iter().flat_map(|caller| &caller.asked);
        add_waiting(&mut delays, asked.map(|asked| cx.clock().since(*asked)));
        *lock(&self.setup.board.clients.told) = Some(Told {
            time,
            rates,
            delays,
            arrived,
            lost: 0,
            repeated: 0,
            altered: self.altered,
            understood: true,
            unread: 0,
        });
    }

    fn leave(&mut self, cx: &mut Cx<'_>) {
        for sock in self.callers.iter().filter_map(|caller| caller.sock) {
            cx.close(sock, Close::Reset);
        }
        cx.finish(End::Done);
    }
}

impl Role for Callers {
    fn on(&mut self, cx: &mut Cx<'_>, event: Event) {
        match event {
            Event::Start => {
                *lock(&self.setup.board.clients.thread) = machine::this_thread();
                self.look(cx);
            }
            Event::Connected { sock, .. } => self.connected(cx, sock),
            Event::ConnectFailed { .. } => {
                // The next look tries again.
                self.dialling -= 1;
                self.setup.board.clients.refused.fetch_add(1, Relaxed);
            }
            Event::Readable(sock) => self.readable(cx, sock),
            Event::Writable(sock) => {
                if let Some(number) = cx.tag(sock) {
                    self.send(cx, number);
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

/// How often the board is looked at.
const LOOK: Duration = Duration::from_millis(5);
const DIAL_TIMEOUT: Duration = Duration::from_secs(5);
/// Attempts to connect at a time: fewer than a listener keeps waiting.
const DIALS_MAX: usize = 100;
const BUFFER: usize = 256 << 10;
const DISCARD_MAX: usize = 1 << 20;
