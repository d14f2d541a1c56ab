//! A simulated network on which any number of bytes costs no time: upstreams say so much, and clients take so much,
//! that nobody could keep it. What is said is records of zeros, what is taken is counted. Connections, their ends and
//! the clock are the simulated network's; the processor's time is what a made-up rule says.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use hydrant::base::time::Time;
use hydrant::reactor::net::{
    Addr, Close, Io, Keepalive, Lookup, Net, Peer, Ready, SockId, StdStream,
};
use hydrant::reactor::{Options, Reactor, RoleId};
use hydrant::roles::relay::Relay;
use hydrant::sim::{Actor, Behaviour, Faults, Handle, RemoteId, SimNet};

use crate::stage::relay;

/// What an upstream has to say.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Says {
    /// As much as anybody asks for.
    Everything,
    /// Whenever it is asked, so many bytes.
    Pieces(usize),
    /// So many bytes as fast as they are read, and then a pause.
    Bursts(usize, Duration),
}

/// One relay's side of it.
pub(crate) struct Line {
    says: Says,
    /// What is left of a piece or of a burst.
    left: usize,
    /// What each record ends with.
    pub(crate) last_byte: u8,
    upstreams: BTreeSet<SockId>,
    /// How long each read might have been that brought something.
    pub(crate) reads: Vec<usize>,
    /// The memory that they went to, from its first byte to its last.
    pub(crate) touched: Option<(usize, usize)>,
    pub(crate) sent: u64,
    /// Clients that were sent something since the latest read, and by the one before.
    takers: usize,
    shared: usize,
    /// Nanoseconds for each byte sent to each client, by the size of a read and those who share it.
    pub(crate) cost: Box<dyn FnMut(usize, usize) -> f64>,
}

/// What net and driver both know.
pub(crate) struct Flows {
    lines: Vec<Line>,
    /// Which line's a client's socket is, and which port it came from.
    clients: BTreeMap<SockId, (usize, u16)>,
    stalled: BTreeSet<(usize, u16)>,
    /// To be told by the next wait.
    edges: Vec<Ready>,
    used: f64,
    /// The part of it that the clock was not moved by yet.
    owed: f64,
    /// The upstreams that say something again at some time.
    paused: Vec<(Time, usize)>,
    /// Where waiting needs the processor, too.
    busy: bool,
}

struct FloodNet {
    net: SimNet,
    world: Handle,
    flows: Rc<RefCell<Flows>>,
}

impl FloodNet {
    fn take_edges(&self, out: &mut Vec<Ready>) -> bool {
        let mut flows = self.flows.borrow_mut();
        let now = self.world.world().time();
        let (over, rest) = flows.paused.iter().partition(|(until, _)| *until <= now);
        flows.paused = rest;
        let over: Vec<(Time, usize)> = over;
        for (_, line) in over {
            let Says::Bursts(bytes, _) = flows.lines[line].says else {
                continue;
            };
            flows.lines[line].left = bytes;
            flows.wake_upstream(line);
        }
        out.append(&mut flows.edges);
        !out.is_empty()
    }
}

impl Flows {
    fn wake_upstream(&mut self, line: usize) {
        let edges = self.lines[line].upstreams.iter().map(|id| Ready::Sock {
            id: *id,
            readable: true,
            writable: false,
        });
        self.edges.extend(edges);
    }

    fn say(&mut self, at: usize, now: Time, into: &mut [u8]) -> io::Result<Io> {
        let line = &mut self.lines[at];
        if let Says::Pieces(bytes) = line.says {
            line.left = bytes;
        }
        let bytes = match line.says {
            Says::Everything => into.len(),
            Says::Pieces(_) | Says::Bursts(..) => into.len().min(line.left),
        };
        if bytes == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        line.left -= bytes.min(line.left);
        line.reads.push(into.len());
        let begin = into.as_ptr().addr();
        let (first, end) = line.touched.unwrap_or((begin, begin));
        line.touched = Some((first.min(begin), end.max(begin + into.len())));
        line.shared = std::mem::take(&mut line.takers);
        for record in into[..bytes].chunks_mut(RECORD) {
            let last = record.last_mut().expect("no chunk is empty");
            *last = line.last_byte;
        }
        let says = line.says;
        // As where the kernel gave less than was asked for: there is no more.
        let more = bytes == into.len();
        match says {
            Says::Pieces(_) if !more => self.wake_upstream(at),
            Says::Bursts(_, pause) if self.lines[at].left == 0 => {
                self.paused.push((now + pause, at));
            }
            _ => {}
        }
        Ok(Io { bytes, more })
    }

    fn take(&mut self, client: (usize, u16), bytes: usize) -> io::Result<Io> {
        if self.stalled.contains(&client) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let line = &mut self.lines[client.0];
        line.takers += 1;
        line.sent += bytes as u64;
        let size = line.reads.last().copied().unwrap_or(1);
        let took = (line.cost)(size, line.shared.max(1)) * bytes as f64;
        self.used += took;
        self.owed += took;
        Ok(Io { bytes, more: true })
    }
}

impl Net for FloodNet {
    fn now(&self) -> Time {
        self.net.now()
    }

    fn clock(&self) -> Time {
        self.net.clock()
    }

    fn cpu_time(&self) -> Duration {
        Duration::from_nanos(self.flows.borrow().used as u64)
    }

    fn wait(&mut self, until: Option<Time>, out: &mut Vec<Ready>) -> io::Result<()> {
        let worked = std::mem::take(&mut self.flows.borrow_mut().owed);
        let worked = Duration::from_nanos(worked as u64);
        self.world.world().run_for(worked);
        let began = self.world.world().time();
        if self.flows.borrow().busy {
            self.world.world().run_for(LOOK);
        }
        let pauses = self.flows.borrow().paused.iter().map(|(end, _)| *end).min();
        let is_awake = self.take_edges(out);
        let until = match is_awake {
            true => Some(Time::ZERO),
            false => until.into_iter().chain(pauses).min(),
        };
        self.net.wait(until, out)?;
        self.take_edges(out);
        let waited = self.world.world().time().since(began);
        let mut flows = self.flows.borrow_mut();
        if flows.busy {
            flows.used += waited.as_nanos() as f64;
        }
        Ok(())
    }

    fn listen(&mut self, at: &Addr) -> io::Result<(SockId, Addr)> {
        self.net.listen(at)
    }

    fn accept(&mut self, listener: SockId) -> io::Result<(SockId, Peer)> {
        let (id, peer) = self.net.accept(listener)?;
        let Peer::Tcp(from) = peer else {
            unreachable!("they all come by TCP");
        };
        let IpAddr::V4(ip) = from.ip() else {
            unreachable!("and by IPv4");
        };
        let client = (usize::from(ip.octets()[2]), from.port());
        self.flows.borrow_mut().clients.insert(id, client);
        Ok((id, peer))
    }

    fn connect(&mut self, to: &Addr) -> io::Result<SockId> {
        let id = self.net.connect(to)?;
        let Addr::Tcp(to) = to else {
            unreachable!("relays dial by TCP");
        };
        let mut flows = self.flows.borrow_mut();
        let line = usize::from(to.port() - UPSTREAM_PORT);
        flows.lines[line].upstreams.insert(id);
        Ok(id)
    }

    fn connected(&mut self, id: SockId) -> io::Result<Option<Peer>> {
        self.net.connected(id)
    }

    fn open_std(&mut self, which: StdStream) -> io::Result<SockId> {
        self.net.open_std(which)
    }

    fn read(&mut self, id: SockId, into: &mut [u8]) -> io::Result<Io> {
        let mut flows = self.flows.borrow_mut();
        let is_its = |line: &Line| line.upstreams.contains(&id);
        match flows.lines.iter().position(is_its) {
            Some(line) => flows.say(line, self.world.world().time(), into),
            None => self.net.read(id, into),
        }
    }

    fn discard(&mut self, id: SockId, max: usize) -> io::Result<Io> {
        self.net.discard(id, max)
    }

    fn write(&mut self, id: SockId, from: [&[u8]; 2]) -> io::Result<Io> {
        let mut flows = self.flows.borrow_mut();
        match flows.clients.get(&id).copied() {
            Some(client) => flows.take(client, from.map(<[u8]>::len).iter().sum()),
            None => self.net.write(id, from),
        }
    }

    fn shutdown(&mut self, id: SockId) -> io::Result<()> {
        self.net.shutdown(id)
    }

    fn close(&mut self, id: SockId, how: Close) {
        let mut flows = self.flows.borrow_mut();
        flows.clients.remove(&id);
        for line in &mut flows.lines {
            line.upstreams.remove(&id);
        }
        self.net.close(id, how);
    }

    fn set_keepalive(&mut self, id: SockId, keepalive: Keepalive) -> io::Result<()> {
        self.net.set_keepalive(id, keepalive)
    }

    fn unacknowledged(&self, id: SockId) -> Option<u32> {
        self.net.unacknowledged(id)
    }

    fn unanswered(&self, id: SockId) -> Option<Duration> {
        self.net.unanswered(id)
    }

    fn is_over(&self, id: SockId) -> bool {
        self.net.is_over(id)
    }

    fn local(&self, id: SockId) -> Option<SocketAddr> {
        self.net.local(id)
    }

    fn resolve(&mut self, lookup: Lookup, name: &str) {
        self.net.resolve(lookup, name);
    }

    fn resolve_now(&mut self, name: &str) -> io::Result<Vec<IpAddr>> {
        self.net.resolve_now(name)
    }

    fn sockets_left(&self) -> usize {
        self.net.sockets_left()
    }

    fn utc_millis(&self) -> u64 {
        self.net.utc_millis()
    }

    fn random(&mut self) -> u64 {
        self.net.random()
    }
}

/// Relays, each with an upstream of its own, on one loop.
pub(crate) struct Flood {
    reactor: Reactor<Relay>,
    relays: Vec<RoleId>,
    world: Handle,
    flows: Rc<RefCell<Flows>>,
    clients: Vec<BTreeMap<u16, RemoteId>>,
    next_port: u16,
}

impl Flood {
    /// One relay for each of these, what it is told beside.
    pub(crate) fn new(options: &[&str], busy: bool) -> Self {
        let (net, world) = SimNet::new(1, Faults::none());
        let lines = options.iter().map(|_| Line {
            says: Says::Everything,
            left: 0,
            last_byte: 0,
            upstreams: BTreeSet::new(),
            reads: Vec::new(),
            touched: None,
            sent: 0,
            takers: 0,
            shared: 0,
            cost: Box::new(|_, _| 0.1),
        });
        let flows = Rc::new(RefCell::new(Flows {
            lines: lines.collect(),
            clients: BTreeMap::new(),
            stalled: BTreeSet::new(),
            edges: Vec::new(),
            used: 0.0,
            owed: 0.0,
            paused: Vec::new(),
            busy,
        }));
        let net = FloodNet {
            net,
            world: world.clone(),
            flows: Rc::clone(&flows),
        };
        let loop_options = Options {
            busy_poll: busy,
            ..Options::default()
        };
        let mut reactor = Reactor::new(Box::new(net), loop_options);
        let mut relays = Vec::new();
        for (at, options) in (0..).zip(options) {
            let source = SocketAddr::from(([10, 0, 0, 1], UPSTREAM_PORT + at));
            let serve = Behaviour::serve(Actor::Manual);
            world.world().listen_remote(Addr::Tcp(source), serve);
            let line = format!("{source} 127.0.0.1:{} {options}", DOOR + at);
            relays.push(reactor.add(relay(line.trim_end())));
        }
        Self {
            reactor,
            clients: vec![BTreeMap::new(); relays.len()],
            relays,
            world,
            flows,
            next_port: 1,
        }
    }

    /// One relay of a command line's end, with an upstream that has everything to say.
    pub(crate) fn of(options: &str) -> Self {
        Self::new(&[options], false)
    }

    pub(crate) fn line<T>(&self, at: usize, see: impl FnOnce(&mut Line) -> T) -> T {
        see(&mut self.flows.borrow_mut().lines[at])
    }

    /// What its upstream says from now on.
    pub(crate) fn set_says(&mut self, at: usize, says: Says) {
        self.line(at, |line| {
            line.says = says;
            line.left = match says {
                Says::Everything => 0,
                Says::Pieces(bytes) | Says::Bursts(bytes, _) => bytes,
            };
        });
    }

    pub(crate) fn relay(&self, at: usize) -> &Relay {
        self.reactor.role(self.relays[at]).expect("it runs")
    }

    /// So many clients are there from now on: some come, or those leave who came last.
    pub(crate) fn crowd(&mut self, at: usize, count: usize) {
        while self.clients[at].len() > count {
            let (_, client) = self.clients[at].pop_last().expect("there is one");
            self.world.world().remote_reset(client);
        }
        while self.clients[at].len() < count {
            let port = self.next_port;
            self.next_port += 1;
            let from = SocketAddr::from(([10, 1, at as u8, 1], port));
            let door = SocketAddr::from((Ipv4Addr::LOCALHOST, DOOR + at as u16));
            let mut world = self.world.world();
            let client = world.connect_remote(Addr::Tcp(door), from, Actor::Manual);
            self.clients[at].insert(port, client);
        }
        for _ in 0..TURNS_MAX {
            if self.relay(at).client_count() == count {
                return;
            }
            self.turn();
        }
        panic!("{} of {count} clients", self.relay(at).client_count());
    }

    /// All but the first so many clients stall, and those wake.
    pub(crate) fn stall_all_but(&mut self, at: usize, count: usize) {
        for (nth, port) in self.clients[at].keys().enumerate() {
            self.set_stalled((at, *port), nth >= count);
        }
    }

    fn set_stalled(&self, client: (usize, u16), stalled: bool) {
        let mut flows = self.flows.borrow_mut();
        if stalled {
            flows.stalled.insert(client);
        } else if flows.stalled.remove(&client) {
            let sock = flows.clients.iter().find(|(_, its)| **its == client);
            let edge = sock.map(|(id, _)| Ready::Sock {
                id: *id,
                readable: false,
                writable: true,
            });
            flows.edges.extend(edge);
        }
    }

    pub(crate) fn turn(&mut self) {
        self.reactor.turn(&mut Vec::new()).expect("a wait works");
    }

    /// Turns until so many more reads have brought something, and tells how long they might have been.
    pub(crate) fn read(&mut self, at: usize, count: usize) -> Vec<usize> {
        let before = self.line(at, |line| line.reads.len());
        for _ in 0..TURNS_MAX + 200 * count {
            let reads = self.line(at, |line| line.reads.len());
            if reads >= before + count {
                self.reactor.check_invariants();
                self.relay(at).check_invariants();
                return self.line(at, |line| line.reads[before..].to_vec());
            }
            self.turn();
        }
        panic!("reads stopped: {}", self.line(at, |line| line.reads.len()));
    }
}

/// The size that most of these reads had.
pub(crate) fn usual(reads: &[usize]) -> usize {
    let mut counts = BTreeMap::new();
    for size in reads {
        *counts.entry(*size).or_insert(0) += 1;
    }
    let most = counts.into_iter().max_by_key(|(_, count)| *count);
    most.expect("there were some").0
}

/// The longest record.
const RECORD: usize = 8 << 10;
/// What a look at what is ready takes where it never sleeps.
const LOOK: Duration = Duration::from_micros(2);
const UPSTREAM_PORT: u16 = 5000;
const DOOR: u16 = 6000;
/// More than any of these scenes takes.
const TURNS_MAX: usize = 20_000;
