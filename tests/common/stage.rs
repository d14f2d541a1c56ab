//! A relay with its upstream and its clients, in a simulated network without faults.

use std::ffi::OsString;
use std::hint::black_box;
use std::net::{Ipv4Addr, SocketAddr};

use hydrant::config::{Config, Env, Run};
use hydrant::reactor::net::Addr;
use hydrant::reactor::{Options, Reactor, RoleId};
use hydrant::roles::relay::Relay;
use hydrant::sim::{Actor, Behaviour, Faults, Handle, RemoteId, SimNet};

/// The relay of a command line.
pub(crate) fn relay(line: &str) -> Relay {
    let words = line.split(' ').map(OsString::from);
    let config = Config::from_command_line(words, Env::default());
    match config.map(|config| config.run) {
        Ok(Run::Relay(config)) => Relay::new(*config),
        other => panic!("{line}: {other:?}"),
    }
}

/// A relay with its upstream and its clients.
pub(crate) struct Stage {
    reactor: Reactor<Relay>,
    relay: RoleId,
    pub(crate) world: Handle,
    upstream: RemoteId,
    clients: Vec<RemoteId>,
    /// What the relay will have sent in all once it has sent each client what the upstream said last.
    due: u64,
}

impl Stage {
    /// With so many clients, who are all there already.
    pub(crate) fn new(count: usize) -> Self {
        let little_room = Faults {
            send_buffer: ROOM,
            receive_buffer: ROOM,
            ..Faults::none()
        };
        let (net, world) = SimNet::new(1, little_room);
        let source = Addr::Tcp(SocketAddr::from(([10, 0, 0, 1], 5000)));
        let serve = Behaviour::serve(Actor::Manual);
        world.world().listen_remote(source.clone(), serve);
        let mut reactor = Reactor::new(Box::new(net), Options::default());
        let relay = reactor.add(relay("10.0.0.1:5000 127.0.0.1:6000"));
        let door = Addr::Tcp(SocketAddr::from((Ipv4Addr::LOCALHOST, 6000)));
        let connected = |reactor: &Reactor<Relay>, count| {
            let role = reactor.role(relay).expect("it runs");
            role.client_count() == count && !world.world().accepted_at(&source).is_empty()
        };
        let mut clients = Vec::new();
        while clients.len() < count {
            // Not all at once: the network looks at all who wait each time that one of them is let in.
            for at in clients.len()..count.min(clients.len() + AT_ONCE) {
                let from = SocketAddr::from(([10, 0, 1, 1], 1 + at as u16));
                let to = door.clone();
                clients.push(world.world().try_connect_remote(to, from, Actor::Manual));
            }
            while !connected(&reactor, clients.len()) {
                reactor.turn(&mut Vec::new()).expect("a wait works");
            }
        }
        let upstream = world.world().accepted_at(&source)[0];
        Self {
            reactor,
            relay,
            world,
            upstream,
            clients,
            due: 0,
        }
    }

    /// The upstream sends one message, and each client takes it.
    pub(crate) fn pass(&mut self, message: &[u8]) {
        self.say(message);
        self.deliver();
        self.take();
    }

    /// The upstream sends one message.
    pub(crate) fn say(&mut self, message: &[u8]) {
        let said = self.world.world().remote_send(self.upstream, message);
        assert_eq!(said, message.len(), "the network has room for it");
        self.due = self.bytes_out() + (said * self.clients.len()) as u64;
    }

    /// The loop turns until each client has been sent that message.
    pub(crate) fn deliver(&mut self) {
        while self.bytes_out() < self.due || self.relay().is_passing() {
            self.reactor.turn(&mut Vec::new()).expect("a wait works");
        }
    }

    /// Each client takes what it was sent.
    pub(crate) fn take(&mut self) {
        for client in &self.clients {
            black_box(self.world.world().remote_read(*client, usize::MAX));
        }
    }

    /// All but so many stop taking what they are sent, and by now can be sent no more.
    pub(crate) fn stall_all_but(&mut self, count: usize, message: &[u8]) {
        self.clients.truncate(count);
        self.pass(message);
        while self.bytes_out() > self.due {
            self.pass(message);
        }
    }

    fn bytes_out(&self) -> u64 {
        self.relay().counts().bytes_out
    }

    fn relay(&self) -> &Relay {
        self.reactor.role(self.relay).expect("it runs")
    }
}

/// A small message.
pub(crate) const MESSAGE: [u8; 256] = [7; 256];
/// Bytes that either end of a connection takes in: enough for a large message.
const ROOM: usize = 8 << 10;
/// A large one.
pub(crate) const LARGE: [u8; ROOM] = [7; ROOM];
/// Clients that come at a time.
const AT_ONCE: usize = 20;
