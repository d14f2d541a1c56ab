//! The source: what the relay under test gets its bytes from. It either sends as much as is taken, or keeps a schedule
//! of its own and says how late it was itself.

use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use hdrhistogram::Histogram;

use crate::base::endpoint::{Endpoint, Host};
use crate::base::time::Time;
use crate::reactor::net::{Addr, Close, SockId};
use crate::reactor::{Cx, DialError, End, Event, Role, plain};
use crate::roles::bench::board::{Board, Order, delays, lock};
use crate::roles::bench::config::Meet;
use crate::roles::bench::dialect::{Dialect, Publisher};
use crate::roles::bench::machine;
use crate::roles::bench::pattern::{Feed, Filler};
use crate::roles::bench::schedule::{NANOS, Phase, Schedule};

/// How a source is to behave.
#[derive(Clone, Debug)]
pub(super) struct Setup {
    pub(super) board: Arc<Board>,
    pub(super) filler: Arc<Filler>,
    /// What it speaks with the relay.
    pub(super) dialect: Dialect,
    /// Messages a second; `None`: as many as are taken.
    pub(super) rate: Option<u64>,
    /// The schedule runs for so long before its messages count.
    pub(super) warm_up: Duration,
    /// How long it keeps its schedule while that counts; `None`: for ever.
    pub(super) time: Option<Duration>,
    /// Where its schedule lies in the period, by the clock that all players share; `None`: anywhere.
    pub(super) phase: Option<Phase>,
    /// `None`: the relay is dialled at the free port that was found for it.
    pub(super) meet: Option<Meet>,
    /// Nanoseconds from 1970 to the zero of the loop's clock.
    pub(super) utc: u64,
}

/// A source on a loop of its own.
#[derive(Debug)]
pub struct Source {
    setup: Setup,
    relays: Vec<Relay>,
    schedule: Option<Schedule>,
    /// The number of the first message that is not due yet.
    due: u64,
    trickled: Time,
    late: Histogram<u64>,
    dialling: bool,
    /// It has been said that the relay can't be dialled.
    complained: bool,
    /// A timer is set for when clients have taken more of what is under way.
    waits_for_room: bool,
    scratch: Box<[u8]>,
}

/// A connection of the relay's.
#[derive(Debug)]
struct Relay {
    sock: SockId,
    feed: Feed,
    /// Where the relay is a broker.
    publisher: Option<Publisher>,
}

impl Relay {
    /// One write of what is due, at most. Returns how much was taken.
    fn write(&mut self, cx: &mut Cx<'_>) -> io::Result<usize> {
        let Some(publisher) = self.publisher.as_mut().filter(|it| !it.out().is_empty()) else {
            let taken = cx.write(self.sock, self.feed.ready())?.unwrap_or(0);
            self.feed.took(taken);
            return Ok(taken);
        };
        let rest = self.feed.rest();
        let taken = cx.write(self.sock, [rest, publisher.out()])?.unwrap_or(0);
        let of_rest = taken.min(rest.len());
        self.feed.took(of_rest);
        publisher.took(taken - of_rest);
        Ok(taken)
    }

    fn has_more(&self) -> bool {
        let has_words = |publisher: &Publisher| !publisher.out().is_empty();
        self.feed.waiting() > 0 || self.publisher.as_ref().is_some_and(has_words)
    }
}

impl Source {
    pub(super) fn new(setup: Setup) -> Self {
        Self {
            setup,
            relays: Vec::new(),
            schedule: None,
            due: 0,
            trickled: Time::ZERO,
            late: delays(),
            dialling: false,
            complained: false,
            waits_for_room: false,
            scratch: vec![0; SCRATCH].into_boxed_slice(),
        }
    }

    fn start(&mut self, cx: &mut Cx<'_>) -> io::Result<()> {
        *lock(&self.setup.board.source.thread) = machine::this_thread();
        let free = free_ports(cx)?;
        *lock(&self.setup.board.source.free_ports) = Some(free);
        let at = match &self.setup.meet {
            Some(Meet::Listen(at)) => Some(at.clone()),
            _ => None,
        };
        if let Some(at) = at {
            self.listen(cx, &at)?;
        }
        cx.timer(Duration::ZERO, Tick::Look as u32);
        Ok(())
    }

    fn listen(&self, cx: &mut Cx<'_>, at: &Endpoint) -> io::Result<()> {
        for (_, at) in cx.listen_at(at)? {
            if let Addr::Tcp(at) = at {
                *lock(&self.setup.board.source.at) = Some(at);
                log::log!(self.level(), "bench: the source listens on {at}");
            }
        }
        Ok(())
    }

    /// Where it listens is news to the user only where he has to start the relay himself.
    fn level(&self) -> log::Level {
        match self.setup.time {
            None if self.setup.board.order() == Order::Run => log::Level::Info,
            _ => log::Level::Debug,
        }
    }

    fn look(&mut self, cx: &mut Cx<'_>) {
        self.dial(cx);
        match self.setup.board.order() {
            Order::Hush => {}
            Order::Trickle => {
                // What nobody takes would be missed.
                if !self.relays.is_empty() && cx.now().since(self.trickled) >= TRICKLE {
                    self.trickled = cx.now();
                    self.due += 1;
                    self.pump_all(cx);
                }
            }
            Order::Run => self.run(cx),
            Order::Stop => return cx.finish(End::Done),
        }
        cx.timer(LOOK, Tick::Look as u32);
    }

    /// Dials a relay that doesn't dial, again and again until it is there.
    fn dial(&mut self, cx: &mut Cx<'_>) {
        if self.dialling || !self.relays.is_empty() {
            return;
        }
        let to = match &self.setup.meet {
            Some(Meet::Listen(_)) => return,
            Some(Meet::Dial(to)) => to.clone(),
            None => match *lock(&self.setup.board.source.free_ports) {
                Some([dst, _]) => local(dst),
                None => return,
            },
        };
        self.dialling = true;
        cx.dial(&to, DIAL_TIMEOUT);
    }

    /// Where the user has named the relay, that it can't be reached is said, once.
    fn dial_failed(&mut self, error: &DialError) {
        self.dialling = false;
        if let Some(Meet::Dial(to)) = &self.setup.meet
            && !std::mem::replace(&mut self.complained, true)
        {
            log::warn!("bench: the relay at {to} {error}; trying until it can be used");
        }
    }

    fn run(&mut self, cx: &mut Cx<'_>) {
        if self.relays.is_empty() || self.schedule.is_some() {
            return;
        }
        let Some(rate) = self.setup.rate else {
            for relay in &self.relays {
                cx.want_write(relay.sock, true);
            }
            return;
        };
        let warm_up = (rate as f64 * self.setup.warm_up.as_secs_f64()) as u64 + 1;
        let count = |time: Duration| (rate as f64 * time.as_secs_f64()).ceil() as u64;
        let counted = self.due + warm_up;
        let end = match self.setup.time {
            Some(time) => counted + count(time).max(1),
            None => u64::MAX,
        };
        let (earliest, nanos) = (cx.clock() + LEAD, NANOS / rate);
        let phase = self.setup.phase;
        self.schedule = Some(Schedule {
            start: phase.map_or(earliest, |phase| phase.next(earliest, nanos)),
            first: self.due,
            counted,
            end,
            rate,
        });
        let [from, to] = &self.setup.board.source.counted;
        to.store(end, Relaxed);
        from.store(counted, Relaxed);
        self.beat(cx);
    }

    /// Waits for the next message's time: by a timer as long as that is exact enough, then with open eyes.
    fn beat(&mut self, cx: &mut Cx<'_>) {
        let Some(schedule) = self.schedule else {
            return;
        };
        if self.due == schedule.end {
            *lock(&self.setup.board.source.late) = Some(self.late.clone());
            return self.conclude();
        }
        let due = schedule.due(self.due);
        let ahead = due.since(cx.clock());
        if ahead > SPIN {
            cx.timer(ahead - SPIN, Tick::Beat as u32);
            return;
        }
        let mut now = cx.clock();
        while now < due {
            if due.since(now) > SPIN_HARD {
                // The clients may have to share a core with us.
                std::thread::yield_now();
            } else {
                std::hint::spin_loop();
            }
            now = cx.clock();
        }
        if self.due >= schedule.counted {
            self.late
                .saturating_record((now.since(due).as_nanos() as u64).max(1));
        }
        self.due += 1;
        self.pump_all(cx);
        cx.again();
    }

    /// A schedule is through when all of it has been taken, not when its last message is due.
    fn conclude(&self) {
        let end = match self.schedule {
            Some(schedule) if self.due == schedule.end => schedule.end,
            _ => return,
        };
        let has_sent = |relay: &Relay| relay.feed.next() >= end && relay.feed.waiting() == 0;
        if self.relays.iter().all(has_sent) {
            self.setup.board.source.through.store(true, Relaxed);
        }
    }

    fn pump_all(&mut self, cx: &mut Cx<'_>) {
        for at in (0..self.relays.len()).rev() {
            self.pump(cx, at);
        }
    }

    /// The number of the first message that is too early yet, where as much is sent as is taken: a broker takes all
    /// that it gets, and cuts off those who do not keep up with it. So no more is under way than they can take.
    fn horizon(&self, next: u64) -> u64 {
        let (board, size) = (&self.setup.board.clients, self.setup.filler.size() as u64);
        let clients = board.connected.load(Relaxed) as u64;
        if !self.setup.dialect.is_brokers() || clients == 0 {
            return u64::MAX;
        }
        let gone = board.bytes_gone.load(Relaxed);
        let got = board.bytes.load(Relaxed).saturating_sub(gone);
        let under_way = (next * size * clients).saturating_sub(got);
        let most = UNDER_WAY.min(MESSAGES_UNDER_WAY * size);
        let most = most.max(2 * size * clients);
        next + most.saturating_sub(under_way) / (size * clients)
    }

    /// One write of what is due, at most.
    fn pump(&mut self, cx: &mut Cx<'_>, at: usize) {
        let saturating = self.setup.rate.is_none() && self.setup.board.order() == Order::Run;
        let horizon = match saturating {
            true => self.horizon(self.relays[at].feed.next()),
            false => 0,
        };
        let (utc, now) = (self.setup.utc, cx.now());
        let (schedule, due) = (self.schedule, self.due);
        let relay = &mut self.relays[at];
        let feed = &mut relay.feed;
        while feed.has_room()
            && (feed.next() < horizon && feed.waiting() < WRITE || feed.next() < due)
        {
            let at = match schedule {
                Some(schedule) if feed.next() >= schedule.first => schedule.due(feed.next()),
                _ => now,
            };
            feed.begin(utc + at.nanos());
        }
        let board = &self.setup.board.source;
        board.published.store(feed.next(), Relaxed);
        match relay.write(cx) {
            Ok(taken) => {
                board.sent.fetch_add(taken as u64, Relaxed);
                let next = relay.feed.next();
                let more = next < horizon || relay.has_more() || next < due;
                cx.want_write(relay.sock, more);
                if saturating && !more && !std::mem::replace(&mut self.waits_for_room, true) {
                    cx.timer(ROOM_LOOK, Tick::Room as u32);
                }
                self.conclude();
            }
            Err(_) => self.remove(cx, at),
        }
    }

    /// What the relay says, which is of no account unless it is a broker.
    fn hear(&mut self, cx: &mut Cx<'_>, sock: SockId) {
        let read = cx.read(sock, &mut self.scratch);
        let Some(at) = self.find(sock) else {
            return;
        };
        match read {
            Ok(None) => {}
            Ok(Some(0)) | Err(_) => self.remove(cx, at),
            Ok(Some(n)) => {
                let Some(publisher) = &mut self.relays[at].publisher else {
                    return;
                };
                if let Err(text) = publisher.hear(&self.scratch[..n]) {
                    let text = format!("the relay tells the source: {text}");
                    return cx.finish(End::Failed(text));
                }
                if !publisher.out().is_empty() {
                    cx.want_write(sock, true);
                }
            }
        }
    }

    fn meet(&mut self, cx: &mut Cx<'_>, sock: SockId) {
        self.dialling = false;
        self.complained = false;
        if self.relays.len() == RELAYS_MAX {
            self.complain_of_many();
            return cx.close(sock, Close::Reset);
        }
        cx.want_read(sock, true);
        let wrap = self.setup.dialect.wrap(self.setup.filler.size());
        let wrap = wrap.each_ref().map(Vec::as_slice);
        let relay = Relay {
            sock,
            feed: Feed::starting_with(&self.setup.filler, self.due, wrap),
            publisher: Publisher::of(self.setup.dialect),
        };
        let saturating = self.setup.rate.is_none() && self.setup.board.order() == Order::Run;
        if saturating || relay.has_more() {
            cx.want_write(sock, true);
        }
        self.relays.push(relay);
        self.setup.board.source.first.store(self.due, Relaxed);
        self.setup.board.source.met.fetch_add(1, Relaxed);
        self.setup.board.source.relays.fetch_add(1, Relaxed);
    }

    /// Where nobody else tells it, that connections are turned away is said, once.
    fn complain_of_many(&self) {
        let before = self.setup.board.source.turned_away.fetch_add(1, Relaxed);
        if before == 0 && self.level() == log::Level::Info {
            log::warn!(
                "bench: the relay has {RELAYS_MAX} connections to the source, and more are turned away"
            );
        }
    }

    fn remove(&mut self, cx: &mut Cx<'_>, at: usize) {
        let relay = self.relays.swap_remove(at);
        cx.close(relay.sock, Close::Orderly);
        self.setup.board.source.relays.fetch_sub(1, Relaxed);
        self.conclude();
        // What was published last is lost then, and nobody can tell how much.
        if relay.publisher.is_some() {
            let text = "the relay has closed the connection of the source that publishes to it";
            cx.finish(End::Failed(text.to_owned()));
        }
    }

    fn find(&self, sock: SockId) -> Option<usize> {
        self.relays.iter().position(|relay| relay.sock == sock)
    }
}

impl Role for Source {
    fn on(&mut self, cx: &mut Cx<'_>, event: Event) {
        match event {
            Event::Start => {
                if let Err(error) = self.start(cx) {
                    let text = format!("the source can't listen: {}", plain(&error));
                    cx.finish(End::Failed(text));
                }
            }
            Event::Accepted { sock, .. } | Event::Connected { sock, .. } => self.meet(cx, sock),
            Event::ConnectFailed { error, .. } => self.dial_failed(&error),
            Event::Readable(sock) => self.hear(cx, sock),
            Event::Writable(sock) => {
                if let Some(at) = self.find(sock) {
                    self.pump(cx, at);
                }
            }
            Event::Timer { tag, .. } if tag == Tick::Beat as u32 => self.beat(cx),
            Event::Timer { tag, .. } if tag == Tick::Room as u32 => {
                self.waits_for_room = false;
                self.pump_all(cx);
            }
            Event::Timer { .. } => self.look(cx),
            Event::Again => self.beat(cx),
            Event::Drain(_) => cx.finish(End::Done),
            Event::Reload | Event::Report | Event::Reply { .. } => {}
        }
    }
}

/// What a timer is to the source.
enum Tick {
    Look,
    Beat,
    Room,
}

/// Two ports on which nobody listens: they are listened at for a moment, both at a time.
pub(super) fn free_ports(cx: &mut Cx<'_>) -> io::Result<[u16; 2]> {
    let mut ports = [0; 2];
    let mut socks = Vec::new();
    for port in &mut ports {
        for (sock, at) in cx.listen_at(&local(0))? {
            if let Addr::Tcp(at) = at {
                *port = at.port();
            }
            socks.push(sock);
        }
    }
    for sock in socks {
        cx.close(sock, Close::Orderly);
    }
    Ok(ports)
}

pub(super) fn local(port: u16) -> Endpoint {
    Endpoint::Tcp {
        host: Host::Ip(Ipv4Addr::LOCALHOST.into()),
        port,
        tls: false,
    }
}

/// How often the board is looked at.
const LOOK: Duration = Duration::from_millis(10);
/// The time between two messages of a trickle.
const TRICKLE: Duration = Duration::from_millis(100);
/// The schedule begins so long after it was made.
const LEAD: Duration = Duration::from_millis(5);
/// A timer is trusted until so long before a message is due: epoll knows whole milliseconds only.
pub(super) const SPIN: Duration = Duration::from_millis(2);
/// From here on nobody else is let in.
const SPIN_HARD: Duration = Duration::from_micros(100);
const DIAL_TIMEOUT: Duration = Duration::from_secs(5);
/// What a source without a schedule keeps ready for one write.
const WRITE: usize = 64 << 10;
/// Bytes on their way to all clients of a broker together, but two messages to each at least: less than any broker
/// cuts somebody off for at once, as they come.
const UNDER_WAY: u64 = 16 << 20;
/// Messages on their way in all, likewise: more than a broker passes on before it is looked again.
const MESSAGES_UNDER_WAY: u64 = 16 << 10;
/// How often it is looked whether they have arrived.
const ROOM_LOOK: Duration = Duration::from_millis(1);
/// Connections of relays that fetch the bytes for each client anew. Each has a lap of messages to itself.
pub(super) const RELAYS_MAX: usize = 128;
const SCRATCH: usize = 4096;
