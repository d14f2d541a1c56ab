//! What the relay does for every read, every client and every timer, measured without a kernel:
//! `cargo bench --bench hot_path`. Figures of one machine in one hour can be compared, others not.

use std::ffi::OsString;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};

use hydrant::base::ring::Ring;
use hydrant::base::time::Time;
use hydrant::base::wheel::Wheel;
use hydrant::config::{Config, Env, Run};
use hydrant::reactor::net::Addr;
use hydrant::reactor::{Options, Reactor, RoleId};
use hydrant::roles::relay::Relay;
use hydrant::sim::{Actor, Behaviour, Faults, Handle, RemoteId, SimNet};

fn main() {
    divan::main();
}

/// One write into the ring, and as many reads out of it as there are readers.
#[divan::bench(args = [1, 100])]
fn ring_push_and_read(bencher: Bencher, readers: usize) {
    let mut ring = Ring::new(16 << 20);
    let bytes = [7; MESSAGE];
    bencher
        .counter(BytesCount::new(MESSAGE))
        .bench_local(move || {
            let from = ring.head();
            let room = ring.reserve(MESSAGE);
            let n = room.len();
            room.copy_from_slice(&bytes[..n]);
            ring.commit(n);
            for _ in 0..readers {
                let _ = black_box(ring.read_up_to(black_box(from), usize::MAX));
            }
        });
}

/// A message that is read from the upstream and sent to each of so many clients, who take it all. The simulated
/// network's own work is in it.
#[divan::bench(args = [10, 1000])]
fn fan_out(bencher: Bencher, clients: usize) {
    let mut stage = Stage::new(clients);
    bencher
        .counter(ItemsCount::new(clients))
        .bench_local(move || stage.pass());
}

#[divan::bench]
fn wheel_insert_and_cancel(bencher: Bencher) {
    let mut wheel = full_wheel();
    let mut at = 0;
    bencher.bench_local(move || {
        at = (at + 7_919) % SPREAD_MS;
        let key = wheel.insert(Time::from_millis(SPREAD_MS + at), 0);
        wheel.cancel(black_box(key))
    });
}

/// A millisecond goes by, and each timer that runs out is set again.
#[divan::bench]
fn wheel_advance(bencher: Bencher) {
    let mut wheel = full_wheel();
    let mut now = Time::ZERO;
    let mut due = Vec::new();
    bencher.bench_local(move || {
        now = now + Duration::from_millis(1);
        wheel.advance(now, &mut due);
        for (_, value) in due.drain(..) {
            wheel.insert(now + Duration::from_millis(SPREAD_MS), value);
        }
    });
}

fn full_wheel() -> Wheel<u32> {
    let mut wheel = Wheel::new();
    for timer in 0..TIMERS {
        let at = u64::from(timer) * 7_919 % SPREAD_MS;
        wheel.insert(Time::from_millis(at), timer);
    }
    wheel
}

/// A relay with its upstream and its clients.
struct Stage {
    reactor: Reactor<Relay>,
    relay: RoleId,
    world: Handle,
    upstream: RemoteId,
    clients: Vec<RemoteId>,
}

impl Stage {
    fn new(count: usize) -> Self {
        let words = "10.0.0.1:5000 127.0.0.1:6000"
            .split(' ')
            .map(OsString::from);
        let config = Config::from_command_line(words, Env::default());
        let Ok(Run::Relay(config)) = config.map(|config| config.run) else {
            panic!("that is a relay");
        };
        let (net, world) = SimNet::new(1, Faults::none());
        let source = Addr::Tcp(SocketAddr::from(([10, 0, 0, 1], 5000)));
        let serve = Behaviour::serve(Actor::Manual);
        world.world().listen_remote(source.clone(), serve);
        let mut reactor = Reactor::new(Box::new(net), Options::default());
        let relay = reactor.add(Relay::new(*config));
        let door = Addr::Tcp(SocketAddr::from((Ipv4Addr::LOCALHOST, 6000)));
        let clients = (0..count)
            .map(|at| {
                let from = SocketAddr::from(([10, 0, 1, 1], 1 + at as u16));
                let to = door.clone();
                world.world().try_connect_remote(to, from, Actor::Manual)
            })
            .collect();
        let connected = |reactor: &Reactor<Relay>| {
            let role = reactor.role(relay).expect("it runs");
            role.client_count() == count && !world.world().accepted_at(&source).is_empty()
        };
        while !connected(&reactor) {
            reactor.turn(&mut Vec::new()).expect("a wait works");
        }
        let upstream = world.world().accepted_at(&source)[0];
        Self {
            reactor,
            relay,
            world,
            upstream,
            clients,
        }
    }

    fn pass(&mut self) {
        let sent = self.bytes_out() + (MESSAGE * self.clients.len()) as u64;
        self.world.world().remote_send(self.upstream, &[7; MESSAGE]);
        while self.bytes_out() < sent {
            self.reactor.turn(&mut Vec::new()).expect("a wait works");
        }
        for client in &self.clients {
            black_box(self.world.world().remote_read(*client, usize::MAX));
        }
    }

    fn bytes_out(&self) -> u64 {
        let relay = self.reactor.role(self.relay).expect("it runs");
        relay.counts().bytes_out
    }
}

const MESSAGE: usize = 256;
const TIMERS: u32 = 100_000;
const SPREAD_MS: u64 = 60_000;
