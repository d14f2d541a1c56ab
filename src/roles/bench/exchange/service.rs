//! The service behind whatever is measured. Every connection says at its beginning what it is for: to be read only, to
//! be sent as much as it takes, or to get back what it sends.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use crate::base::endpoint::Endpoint;
use crate::reactor::net::{Addr, Close, SockId};
use crate::reactor::{Cx, End, Event, Role, plain};
use crate::roles::bench::board::{Board, Cue, Order, lock};
use crate::roles::bench::config::Work;
use crate::roles::bench::exchange::reel::{Place, Reel};
use crate::roles::bench::exchange::{HEAD, read_head};
use crate::roles::bench::machine;
use crate::roles::bench::source::free_ports;

/// How a service is to behave.
#[derive(Clone, Debug)]
pub(in crate::roles::bench) struct Setup {
    pub(in crate::roles::bench) board: Arc<Board>,
    /// Where it listens.
    pub(in crate::roles::bench) at: Endpoint,
    /// Every byte that is only read is compared.
    pub(in crate::roles::bench) check: bool,
}

/// A service on a loop of its own.
#[derive(Debug)]
pub struct Service {
    setup: Setup,
    reel: Reel,
    guests: Vec<Guest>,
    /// Places in `guests` that are free.
    vacant: Vec<u32>,
    buffer: Box<[u8]>,
    cue: Cue,
}

#[derive(Debug, Default)]
struct Guest {
    head: [u8; HEAD],
    /// Of the head, the bytes that have come.
    come: usize,
    work: Option<Work>,
    /// The next byte that it sends, or is sent.
    place: Place,
    /// Bytes to be given back that were not taken at once, and those of them that have been taken since.
    owed: Vec<u8>,
    given: usize,
    /// Bytes that were only read.
    received: u64,
    /// It has sent nothing more since what was counted was handed over.
    is_starved: bool,
    wrong: bool,
}

impl Service {
    pub(in crate::roles::bench) fn new(setup: Setup) -> Self {
        Self {
            setup,
            reel: Reel::new(),
            guests: Vec::new(),
            vacant: Vec::new(),
            buffer: vec![0; BUFFER].into_boxed_slice(),
            cue: Cue::Begin,
        }
    }

    fn start(&mut self, cx: &mut Cx<'_>) -> io::Result<()> {
        let source = &self.setup.board.source;
        *lock(&source.thread) = machine::this_thread();
        for (_, at) in cx.listen_at(&self.setup.at)? {
            if let Addr::Tcp(at) = at {
                *lock(&source.at) = Some(at);
            }
        }
        *lock(&source.free_ports) = Some(free_ports(cx)?);
        self.look(cx);
        Ok(())
    }

    fn look(&mut self, cx: &mut Cx<'_>) {
        let cue = self.setup.board.cue();
        if std::mem::replace(&mut self.cue, cue) != cue && cue == Cue::Tell {
            self.watch();
        }
        match self.setup.board.order() {
            Order::Stop => cx.finish(End::Done),
            _ => drop(cx.timer(LOOK, 0)),
        }
    }

    /// From now on it is looked who sends nothing more, among those who only send.
    fn watch(&mut self) {
        let mut starved = 0;
        let only_send = |guest: &&mut Guest| guest.work == Some(Work::Up);
        for guest in self.guests.iter_mut().filter(only_send) {
            guest.is_starved = true;
            starved += 1;
        }
        if starved > 0 {
            let board = &self.setup.board.clients;
            board.starved.store(starved, Relaxed);
        }
    }

    fn accepted(&mut self, cx: &mut Cx<'_>, sock: SockId) {
        let place = self.vacant.pop().unwrap_or_else(|| {
            self.guests.push(Guest::default());
            self.guests.len() as u32 - 1
        });
        self.guests[place as usize] = Guest::default();
        cx.set_tag(sock, place);
        cx.want_read(sock, true);
    }

    fn readable(&mut self, cx: &mut Cx<'_>, sock: SockId) {
        let Some(tag) = cx.tag(sock) else {
            return;
        };
        let guest = &mut self.guests[tag as usize];
        let only_counted = guest.work == Some(Work::Up) && !self.setup.check;
        let read = match only_counted {
            true => cx.discard(sock, DISCARD_MAX),
            false => cx.read(sock, &mut self.buffer),
        };
        let n = match read {
            Ok(None) => return,
            Ok(Some(n)) if n > 0 => n,
            Ok(_) | Err(_) => return self.remove(cx, sock, tag),
        };
        if only_counted {
            return guest.count(&self.setup.board, n);
        }
        let bytes = &self.buffer[..n];
        let taken = guest.take_head(bytes);
        if guest.work.is_none() && guest.come == HEAD {
            let Some((number, work)) = read_head(guest.head) else {
                self.setup.board.source.altered.fetch_add(1, Relaxed);
                return self.remove(cx, sock, tag);
            };
            guest.work = Some(work);
            guest.place = Place::of(number);
            cx.want_write(sock, work == Work::Down);
        }
        let bytes = &bytes[taken..];
        match guest.work {
            Some(Work::Up) => {
                guest.check(&self.setup.board, &self.reel, bytes);
                guest.count(&self.setup.board, bytes.len());
            }
            Some(Work::Echo) if !bytes.is_empty() => match cx.write(sock, [bytes, &[]]) {
                Ok(written) => guest.owe(cx, sock, &bytes[written.unwrap_or(0)..]),
                Err(_) => self.remove(cx, sock, tag),
            },
            Some(Work::Echo | Work::Down) | None => {}
        }
    }

    fn writable(&mut self, cx: &mut Cx<'_>, sock: SockId) {
        let Some(tag) = cx.tag(sock) else {
            return;
        };
        let guest = &mut self.guests[tag as usize];
        let written = match guest.work {
            Some(Work::Down) => cx.write(sock, [self.reel.piece(guest.place, WRITE), &[]]),
            _ => cx.write(sock, [&guest.owed[guest.given..], &[]]),
        };
        let Ok(written) = written else {
            return self.remove(cx, sock, tag);
        };
        let written = written.unwrap_or(0);
        if guest.work == Some(Work::Down) {
            guest.place.advance(written);
            return;
        }
        guest.given += written;
        if guest.given == guest.owed.len() {
            guest.owed.clear();
            guest.given = 0;
            cx.want_write(sock, false);
            cx.want_read(sock, true);
        }
    }

    fn remove(&mut self, cx: &mut Cx<'_>, sock: SockId, tag: u32) {
        let guest = std::mem::take(&mut self.guests[tag as usize]);
        if guest.is_starved {
            self.setup.board.clients.starved.fetch_sub(1, Relaxed);
        }
        self.vacant.push(tag);
        cx.close(sock, Close::Orderly);
    }
}

impl Guest {
    /// Takes the rest of the head, if that has not come yet. Returns how many bytes that was.
    fn take_head(&mut self, bytes: &[u8]) -> usize {
        let taken = bytes.len().min(HEAD - self.come);
        self.head[self.come..self.come + taken].copy_from_slice(&bytes[..taken]);
        self.come += taken;
        taken
    }

    fn check(&mut self, board: &Board, reel: &Reel, bytes: &[u8]) {
        if !self.wrong && !reel.is_at(self.place, bytes) {
            self.wrong = true;
            board.source.altered.fetch_add(1, Relaxed);
        }
        self.place.advance(bytes.len());
    }

    fn count(&mut self, board: &Board, bytes: usize) {
        if self.received == 0 && bytes > 0 {
            board.clients.reached.fetch_add(1, Relaxed);
        }
        self.received += bytes as u64;
        if bytes > 0 && std::mem::take(&mut self.is_starved) {
            board.clients.starved.fetch_sub(1, Relaxed);
        }
        // Nobody else writes it, so it need not be locked for that.
        let received = &board.source.received;
        received.store(received.load(Relaxed) + bytes as u64, Relaxed);
    }

    /// Keeps what was not taken. Nothing more is read before it is.
    fn owe(&mut self, cx: &mut Cx<'_>, sock: SockId, rest: &[u8]) {
        if !rest.is_empty() {
            self.owed.extend_from_slice(rest);
            cx.want_read(sock, false);
            cx.want_write(sock, true);
        }
    }
}

impl Role for Service {
    fn on(&mut self, cx: &mut Cx<'_>, event: Event) {
        match event {
            Event::Start => {
                if let Err(error) = self.start(cx) {
                    let text = format!("the service can't listen: {}", plain(&error));
                    cx.finish(End::Failed(text));
                }
            }
            Event::Accepted { sock, .. } => self.accepted(cx, sock),
            Event::Readable(sock) => self.readable(cx, sock),
            Event::Writable(sock) => self.writable(cx, sock),
            Event::Timer { .. } => self.look(cx),
            Event::Drain(_) => cx.finish(End::Done),
            Event::Connected { .. }
            | Event::ConnectFailed { .. }
            | Event::Again
            | Event::Reload
            | Event::Report
            | Event::Reply { .. } => {}
        }
    }
}

/// How often the board is looked at.
const LOOK: Duration = Duration::from_millis(10);
const BUFFER: usize = 256 << 10;
const DISCARD_MAX: usize = 1 << 20;
/// What is offered in one write.
const WRITE: usize = 64 << 10;
