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
}

impl Stage {
    /// With so many clients, who are all there already.
    pub(crate) fn new(count: usize) -> Self {
        let (net, world) = SimNet::new(1, Faults::none());
        let source = Addr::Tcp(SocketAddr::from(([10, 0, 0, 1], 5000)));
        let serve = Behaviour::serve(Actor::Manual);
        world.world().listen_remote(source.clone(), serve);
        let mut reactor = Reactor::new(Box::new(net), Options::default());
        let relay = reactor.add(relay("10.0.0.1:5000 127.0.0.1:6000"));
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

    /// The upstream sends one message, and each client takes it.
    pub(crate) fn pass(&mut self) {
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

/// Bytes of a message.
pub(crate) const MESSAGE: usize = 256;
