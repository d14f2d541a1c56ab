//! The clients: those whom the relay under test serves. They count, compare, and take the time of what arrives, each
//! time by a clock that was read after the bytes were.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use hdrhistogram::Histogram;

use crate::base::endpoint::Endpoint;
use crate::base::time::Time;
use crate::proto::tls::Connector;
use crate::reactor::net::{Close, SockId};
use crate::reactor::{Cx, End, Event, Role};
use crate::roles::bench::board::{Board, Cue, Cut, Told, delays, lock};
use crate::roles::bench::dialect::{Dialect, Subscriber};
use crate::roles::bench::follower::{Follower, Found};
use crate::roles::bench::machine;
use crate::roles::bench::pattern::Filler;
use crate::roles::bench::sealed::Sealed;

/// How the clients are to behave.
#[derive(Clone, Debug)]
pub(super) struct Setup {
    pub(super) board: Arc<Board>,
    pub(super) to: Endpoint,
    pub(super) count: usize,
    /// `None`: the messages are as long as they say of themselves.
    pub(super) filler: Option<Arc<Filler>>,
    pub(super) reading: Reading,
    /// Each leaves after its first message, and comes again.
    pub(super) churn: bool,
    /// All are connected before the first message is sent, and so miss it.
    pub(super) from_start: bool,
    /// What they speak with the relay.
    pub(super) dialect: Dialect,
    /// They speak TLS by this.
    pub(super) tls: Option<Connector>,
    /// Nanoseconds from 1970 to the zero of the loop's clock.
    pub(super) utc: u64,
}

/// What is done with bytes that arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    /// They are counted, and never copied to us.
    Count,
    /// Messages are told apart.
    Messages,
    /// And every byte is compared.
    Check,
}

/// All clients, on a loop of their own.
#[derive(Debug)]
pub struct Clients {
    setup: Setup,
    clients: Vec<Client>,
    /// Places of clients that are not connected.
    vacant: Vec<u32>,
    dialling: usize,
    tally: Tally,
    wrong: Wrong,
    cue: Cue,
    counting_since: Time,
    stalled: Option<Time>,
    /// Finds out how long messages are, by what this client gets.
    learner: Option<(usize, Follower)>,
    buffer: Box<[u8]>,
    /// What has been decrypted, or taken out of a broker's words, last.
    plain: Vec<u8>,
}

#[derive(Debug, Default)]
struct Client {
    sock: Option<SockId>,
    since: Time,
    bytes: u64,
    /// Of them, those before counting began.
    before: u64,
    /// It has got nothing more since what was counted was handed over.
    is_starved: bool,
    follower: Follower,
    layer: Option<Layer>,
}

/// What is between the bytes of a connection and those that count.
#[derive(Debug)]
enum Layer {
    /// TLS.
    Sealed(Box<Sealed>),
    /// A broker's protocol.
    Spoken(Box<Subscriber>),
}

impl Layer {
    fn begin(cx: &mut Cx<'_>, sock: SockId, setup: &Setup) -> io::Result<Option<Self>> {
        let check = setup.reading == Reading::Check;
        match &setup.tls {
            Some(tls) => {
                let sealed = Sealed::begin(cx, sock, tls, check)?;
                Ok(Some(Self::Sealed(Box::new(sealed))))
            }
            None => {
                let spoken = Subscriber::begin(cx, sock, setup.dialect)?;
                Ok(spoken.map(|spoken| Self::Spoken(Box::new(spoken))))
            }
        }
    }
}

impl Client {
    /// Whether it gets all that comes: a broker's client is connected for nothing before.
    fn is_in(&self) -> bool {
        match &self.layer {
            Some(Layer::Spoken(spoken)) => spoken.is_subscribed(),
            _ => true,
        }
    }
}

impl Client {
    /// Whether it has got bytes, and found no message in them.
    fn is_unread(&self) -> bool {
        self.bytes > 0 && !self.follower.has_begun()
    }
}

/// What is counted while it is told to be.
#[derive(Debug)]
struct Tally {
    delays: Histogram<u64>,
    visits: u64,
}

/// What is never to happen, and therefore counted from the first byte on.
#[derive(Debug, Default)]
struct Wrong {
    lost: u64,
    repeated: u64,
    altered: u64,
}

impl Tally {
    fn new() -> Self {
        Self {
            delays: delays(),
            visits: 0,
        }
    }
}

impl Clients {
    pub(super) fn new(setup: Setup) -> Self {
        let clients: Vec<Client> = (0..setup.count).map(|_| Client::default()).collect();
        Self {
            vacant: (0..setup.count as u32).rev().collect(),
            clients,
            setup,
            dialling: 0,
            tally: Tally::new(),
            wrong: Wrong::default(),
            cue: Cue::Begin,
            counting_since: Time::ZERO,
            stalled: None,
            learner: None,
            buffer: vec![0; BUFFER].into_boxed_slice(),
            plain: Vec::new(),
        }
    }

    fn look(&mut self, cx: &mut Cx<'_>) {
        let cue = self.setup.board.cue();
        if cue != self.cue {
            self.cue = cue;
            match cue {
                Cue::Begin => {}
                Cue::Count => self.begin_counting(cx),
                Cue::Stall => {
                    self.stall(cx);
                    self.begin_counting(cx);
                }
                Cue::Tell => self.tell(cx),
                Cue::Stop => return self.leave(cx),
            }
        }
        self.probe_stalled(cx);
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
        let Some(place) = self.vacant.pop() else {
            return cx.close(sock, Close::Orderly);
        };
        let (layer, failed) = match Layer::begin(cx, sock, &self.setup) {
            Ok(layer) => (layer, false),
            Err(_) => (None, true),
        };
        let client = &mut self.clients[place as usize];
        *client = Client {
            sock: Some(sock),
            since: cx.clock(),
            follower: match self.setup.from_start && self.setup.dialect.is_brokers() {
                true => Follower::from_start(),
                false => Follower::default(),
            },
            layer,
            ..Client::default()
        };
        cx.set_tag(sock, place);
        cx.want_read(sock, true);
        if client.is_in() {
            self.setup.board.clients.connected.fetch_add(1, Relaxed);
        }
        if failed {
            self.lose(cx, place as usize);
        }
        self.dial(cx);
    }

    fn readable(&mut self, cx: &mut Cx<'_>, sock: SockId) {
        let Some(place) = cx.tag(sock).map(|tag| tag as usize) else {
            return;
        };
        let counts = self.setup.reading == Reading::Count;
        let read = match (&mut self.clients[place].layer, self.setup.reading) {
            (Some(Layer::Sealed(sealed)), _) => match cx.read(sock, &mut self.buffer) {
                Ok(Some(n @ 1..)) => {
                    let bytes = &self.buffer[..n];
                    sealed
                        .take(cx, sock, bytes, &mut self.plain)
                        .map(|n| (n > 0).then_some(n))
                }
                other => other,
            },
            (Some(Layer::Spoken(spoken)), _) => {
                let bodies = (!counts).then_some(&mut self.plain);
                spoken.read(cx, sock, &self.setup.board, &mut self.buffer, bodies)
            }
            (None, Reading::Count) => cx.discard(sock, DISCARD_MAX),
            (None, Reading::Messages | Reading::Check) => cx.read(sock, &mut self.buffer),
        };
        match read {
            Ok(None) => {}
            Ok(Some(n)) if n > 0 => self.take(cx, place, n),
            Ok(_) | Err(_) => self.lose(cx, place),
        }
    }

    fn take(&mut self, cx: &mut Cx<'_>, place: usize, n: usize) {
        let now = cx.clock();
        let client = &mut self.clients[place];
        let board = &self.setup.board.clients;
        if client.bytes == 0 && !self.setup.churn {
            board.reached.fetch_add(1, Relaxed);
        }
        client.bytes += n as u64;
        if std::mem::take(&mut client.is_starved) {
            board.starved.fetch_sub(1, Relaxed);
        }
        // Nobody else writes it, so it need not be locked for that.
        board
            .bytes
            .store(board.bytes.load(Relaxed) + n as u64, Relaxed);
        if self.setup.reading != Reading::Count {
            self.follow(now, place, n);
        }
        if self.setup.churn {
            self.turn_over(cx, place, now);
        }
    }

    /// Tells the messages apart that the buffer's first bytes bring.
    fn follow(&mut self, now: Time, place: usize, n: usize) {
        let (board, client) = (&self.setup.board, &mut self.clients[place]);
        let bytes = match client.layer.is_some() {
            true => &self.plain[..n],
            false => &self.buffer[..n],
        };
        let Some(filler) = &self.setup.filler else {
            // Whoever is first tells it to the others.
            let (teacher, learner) = self.learner.get_or_insert((place, Follower::default()));
            if *teacher == place
                && let Some(size) = learner.learn(bytes)
            {
                board.clients.learned_size.store(size, Relaxed);
                self.setup.filler = Some(Arc::new(Filler::new(size)));
            }
            return;
        };
        let [from, to] = board.source.counted.each_ref().map(|seq| seq.load(Relaxed));
        let arrived = self.setup.utc + now.nanos();
        let (tally, wrong) = (&mut self.tally, &mut self.wrong);
        let check = self.setup.reading == Reading::Check;
        let (churn, counts_all) = (self.setup.churn, to == 0);
        let joined = self.setup.utc + (client.since + JOIN).nanos();
        let first = board.source.first.load(Relaxed);
        let misses = self.setup.from_start;
        client
            .follower
            .feed(bytes, filler, check, |found| match found {
                Found::Message(_) if churn => {}
                Found::Begun(head) => {
                    if misses && head.due > joined {
                        wrong.lost += head.seq.saturating_sub(first);
                    }
                }
                Found::Message(head) => {
                    if counts_all || (from..to).contains(&head.seq) {
                        let delay = arrived.saturating_sub(head.due).max(1);
                        tally.delays.saturating_record(delay);
                    }
                }
                Found::Lost(count) => wrong.lost += count,
                Found::Repeated => wrong.repeated += 1,
                Found::Altered => wrong.altered += 1,
            });
        board.clients.arrived.store(tally.delays.len(), Relaxed);
    }

    /// Where clients come and go: it has got what it came for.
    fn turn_over(&mut self, cx: &mut Cx<'_>, place: usize, now: Time) {
        let is_in = self.clients[place].is_in();
        let Some(sock) = self.clients[place].sock.take() else {
            return;
        };
        let waited = now.since(self.clients[place].since);
        self.tally
            .delays
            .saturating_record((waited.as_nanos() as u64).max(1));
        self.tally.visits += 1;
        let board = &self.setup.board.clients;
        board.visits.fetch_add(1, Relaxed);
        if is_in {
            board.connected.fetch_sub(1, Relaxed);
        }
        // Ports of connections that we end in good order stay taken for a minute, and there are not so many.
        let how = match self.tally.visits % ORDERLY_EACH {
            0 => Close::Orderly,
            _ => Close::Reset,
        };
        cx.close(sock, how);
        self.vacant.push(place as u32);
        self.dial(cx);
    }

    /// A connection has ended without our doing.
    fn lose(&mut self, cx: &mut Cx<'_>, place: usize) {
        if let Some(sock) = self.clients[place].sock.take() {
            cx.close(sock, Close::Orderly);
            let (client, board) = (&mut self.clients[place], &self.setup.board.clients);
            board.gone.fetch_add(1, Relaxed);
            if std::mem::take(&mut client.is_starved) {
                board.starved.fetch_sub(1, Relaxed);
            }
            if client.is_in() {
                board.bytes_gone.fetch_add(client.bytes, Relaxed);
                board.connected.fetch_sub(1, Relaxed);
            }
        }
    }

    fn begin_counting(&mut self, cx: &Cx<'_>) {
        self.tally = Tally::new();
        self.setup.board.clients.arrived.store(0, Relaxed);
        for client in &mut self.clients {
            client.before = client.bytes;
        }
        self.counting_since = cx.clock();
    }

    fn tell(&mut self, cx: &Cx<'_>) {
        let time = cx.clock().since(self.counting_since);
        let seconds = time.as_secs_f64().max(1e-9);
        let counted = self
            .clients
            .iter()
            .skip(usize::from(self.stalled.is_some()));
        let mut rates: Vec<f64> = counted
            .map(|client| (client.bytes - client.before) as f64 / seconds)
            .collect();
        rates.sort_by(f64::total_cmp);
        let mut starved = 0;
        for client in &mut self.clients {
            client.is_starved = client.sock.is_some();
            starved += usize::from(client.is_starved);
        }
        self.setup.board.clients.starved.store(starved, Relaxed);
        *lock(&self.setup.board.clients.told) = Some(Told {
            time,
            rates,
            delays: self.tally.delays.clone(),
            arrived: self.tally.delays.len(),
            lost: self.wrong.lost,
            repeated: self.wrong.repeated,
            altered: self.wrong.altered,
            understood: self.setup.filler.is_some(),
            unread: match self.setup.churn {
                // Nobody stays until its first message is whole.
                true => 0,
                false => self.clients.iter().filter(|it| it.is_unread()).count(),
            },
        });
    }

    /// The first client stops reading.
    fn stall(&mut self, cx: &mut Cx<'_>) {
        if let Some(sock) = self.clients[0].sock {
            cx.want_read(sock, false);
            self.setup.board.clients.stalls.store(true, Relaxed);
            self.stalled = Some(cx.clock());
        }
    }

    /// Nothing announces the end of a connection that is not read: a write of nothing tells.
    fn probe_stalled(&mut self, cx: &mut Cx<'_>) {
        let (Some(stalled), Some(sock)) = (self.stalled, self.clients[0].sock) else {
            return;
        };
        if cx.write(sock, [&[], &[]]).is_err() {
            self.clients[0].sock = None;
            cx.close(sock, Close::Orderly);
            let seen = cx.clock();
            *lock(&self.setup.board.clients.cut) = Some(Cut { stalled, seen });
        }
    }

    fn leave(&mut self, cx: &mut Cx<'_>) {
        for client in &self.clients {
            if let Some(sock) = client.sock {
                cx.close(sock, Close::Reset);
            }
        }
        cx.finish(End::Done);
    }
}

impl Role for Clients {
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
            Event::Timer { .. } => self.look(cx),
            Event::Drain(_) => self.leave(cx),
            Event::Accepted { .. }
            | Event::Writable(_)
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
/// A relay may take so long to let somebody in who is connected.
const JOIN: Duration = Duration::from_secs(1);
/// One client in so many of those who come and go leaves in good order.
const ORDERLY_EACH: u64 = 16;
const BUFFER: usize = 256 << 10;
const DISCARD_MAX: usize = 1 << 20;
