//! The simulator itself: that a seed is a run, that no event it owes is lost, and that its parts do what they say.

use std::net::{Ipv4Addr, SocketAddr};

use super::*;
use crate::base::rng::Rng;

/// A program on the net: takes one upstream, dials one receiver, and copies from the one to the other by edges alone.
struct Copier {
    net: SimNet,
    handle: Handle,
    listener: SockId,
    upstream: Option<SockId>,
    receiver: SockId,
    receiver_up: bool,
    buffer: Vec<u8>,
    // What is ready: the upstream to be read, the receiver to be written.
    readable: bool,
    writable: bool,
    ended: bool,
    // The bug that one of the tests looks for.
    forgets_more: bool,
}

impl Copier {
    fn new(seed: u64, faults: Faults, source: Source, receiver: Receiver) -> Self {
        let (mut net, handle) = SimNet::new(seed, faults);
        handle.world().trace(true);
        let (listener, at) = net.listen(&local(0)).unwrap();
        handle
            .world()
            .listen_remote(local(9), Behaviour::serve(Actor::Receiver(receiver)));
        handle
            .world()
            .connect_remote(at, peer(1), Actor::Source(source));
        let to = net.connect(&local(9)).unwrap();
        Self {
            net,
            handle,
            listener,
            upstream: None,
            receiver: to,
            receiver_up: false,
            buffer: Vec::new(),
            readable: false,
            writable: false,
            ended: false,
            forgets_more: false,
        }
    }

    fn run(&mut self) {
        let mut ready = Vec::new();
        loop {
            assert!(self.handle.world().waits() < 1_000_000, "spins");
            self.net.wait(None, &mut ready).unwrap();
            for event in ready.drain(..) {
                let Ready::Sock {
                    id,
                    readable,
                    writable,
                } = event
                else {
                    continue;
                };
                if id == self.listener && self.upstream.is_none() {
                    self.upstream = self.net.accept(id).ok().map(|(id, _)| id);
                }
                self.readable |= Some(id) == self.upstream && readable;
                self.writable |= id == self.receiver && writable;
            }
            while self.step() {}
            if self.handle.world().stuck() || self.handle.world().over() {
                return;
            }
        }
    }

    /// One read or write, if one is wanted and may succeed.
    fn step(&mut self) -> bool {
        if self.writable && !self.receiver_up {
            self.receiver_up = matches!(self.net.connected(self.receiver), Ok(Some(_)));
            self.writable = self.receiver_up;
            return true;
        }
        if self.writable && !self.buffer.is_empty() {
            let (a, b) = self.buffer.split_at(self.buffer.len() / 3);
            let io = self.net.write(self.receiver, [a, b]).ok();
            self.buffer.drain(..io.map_or(0, |io| io.bytes));
            self.writable = io.is_some_and(|io| io.more);
            return true;
        }
        let Some(upstream) = self
            .upstream
            .filter(|_| self.readable && self.buffer.len() < 5000)
        else {
            return self.finish();
        };
        let mut into = [0; 1000];
        match self.net.read(upstream, &mut into) {
            Ok(Io { bytes: 0, .. }) => {
                self.ended = true;
                self.readable = false;
            }
            Ok(io) => {
                self.buffer.extend(&into[..io.bytes]);
                self.readable = io.more && !self.forgets_more;
            }
            Err(_) => self.readable = false,
        }
        true
    }

    fn finish(&mut self) -> bool {
        if self.ended && self.buffer.is_empty() {
            self.net.close(self.receiver, Close::Orderly);
            self.upstream
                .take()
                .into_iter()
                .for_each(|id| self.net.close(id, Close::Orderly));
            self.ended = false;
        }
        false
    }

    fn trace(&self) -> String {
        self.handle
            .world()
            .trace_lines()
            .collect::<Vec<_>>()
            .join("\n")
    }
}

fn local(port: u16) -> Addr {
    Addr::Tcp(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
}

fn peer(host: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, host], 5000))
}

fn drawn(seed: u64) -> Faults {
    Faults::draw_harmless(&mut Rng::new(seed))
}

fn receiver_of(handle: &Handle) -> RemoteId {
    handle.world().accepted_at(&local(9))[0]
}

#[test]
fn edges_alone_carry_every_byte_through_any_harmless_network() {
    for seed in 0..200 {
        let source = Source::pattern(3, 20_000);
        let mut copier = Copier::new(seed, drawn(seed), source, Receiver::eager());
        copier.run();
        let receiver = receiver_of(&copier.handle);
        let world = copier.handle.world();
        let mut follower = Follower::starting_at(3, 0);
        assert_eq!(
            follower.feed(world.received(receiver)),
            Ok(()),
            "seed {seed}"
        );
        assert_eq!(follower.next(), Some(20_000), "seed {seed}");
        assert_eq!(
            world.remote_state(receiver),
            RemoteState::Closed,
            "seed {seed}"
        );
        assert!(world.saw_fin(receiver), "seed {seed}");
        assert_eq!(world.open_sockets(), [copier.listener], "seed {seed}");
        assert!(
            world.conns.is_empty() || world.conns.len() == 2,
            "only the standard streams are left"
        );
    }
}

#[test]
fn a_seed_is_a_run() {
    let run = |seed| {
        let mut copier = Copier::new(seed, drawn(7), Source::pattern(0, 5_000), Receiver::eager());
        copier.run();
        copier.trace()
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}

#[test]
fn whoever_forgets_that_there_is_more_is_not_told_again() {
    let source = Source {
        ending: Ending::Stay,
        chunk_max: 100_000,
        ..Source::pattern(0, 50_000)
    };
    let mut copier = Copier::new(0, Faults::none(), source, Receiver::eager());
    copier.forgets_more = true;
    copier.run();
    let upstream = copier.upstream.unwrap();
    let world = copier.handle.world();
    assert!(world.received_total(receiver_of_world(&world)) < 50_000);
    // This is what a checker finds: bytes to read, wanted, and no event on its way.
    assert_eq!(world.owed(upstream), (true, true));
    assert!(!world.event_due(upstream));
}

fn receiver_of_world(world: &World) -> RemoteId {
    world.accepted_at(&local(9))[0]
}

#[test]
fn a_cut_is_seen_at_both_ends() {
    for seed in 0..50 {
        let faults = Faults {
            cut: 300,
            ..drawn(seed)
        };
        let source = Source {
            ending: Ending::Stay,
            ..Source::pattern(0, 100_000)
        };
        let mut copier = Copier::new(seed, faults, source, Receiver::eager());
        copier.run();
        let receiver = receiver_of(&copier.handle);
        let world = copier.handle.world();
        assert!(world.received_total(receiver) < 100_000, "seed {seed}");
        let mut follower = Follower::starting_at(0, 0);
        assert_eq!(
            follower.feed(world.received(receiver)),
            Ok(()),
            "seed {seed}"
        );
    }
}

#[test]
fn a_stalled_receiver_holds_the_source_and_a_resumed_one_lets_it_go() {
    let receiver = Receiver {
        stall_after: Some(Duration::from_millis(5)),
        resume_after: Some(Duration::from_secs(60)),
        ..Receiver::eager()
    };
    let mut copier = Copier::new(0, Faults::none(), Source::pattern(0, 1 << 20), receiver);
    copier.handle.world().stop_at(Time::from_millis(59_000));
    copier.run();
    let receiver = receiver_of(&copier.handle);
    let stalled = copier.handle.world().received_total(receiver);
    assert!(stalled < 1 << 20, "{stalled}");
    copier.handle.world().stop_at(Time::from_nanos(u64::MAX));
    copier.run();
    assert_eq!(copier.handle.world().received_total(receiver), 1 << 20);
}

#[test]
fn an_early_caller_waits_for_the_listener_and_a_hasty_one_is_refused() {
    let (mut net, handle) = SimNet::new(0, Faults::none());
    let patient = handle
        .world()
        .connect_remote(local(80), peer(1), Actor::Manual);
    let hasty = handle
        .world()
        .try_connect_remote(local(80), peer(2), Actor::Manual);
    net.wait(None, &mut Vec::new()).unwrap();
    assert!(handle.world().stuck());
    assert_eq!(
        handle.world().remote_state(patient),
        RemoteState::Connecting
    );
    assert_eq!(handle.world().remote_state(hasty), RemoteState::Refused);
    let (listener, _) = net.listen(&local(80)).unwrap();
    let mut ready = Vec::new();
    net.wait(None, &mut ready).unwrap();
    assert!(matches!(ready[..], [Ready::Sock { id, readable: true, .. }] if id == listener));
    assert_eq!(net.accept(listener).unwrap().1, Peer::Tcp(peer(1)));
    handle.world().run_for(Duration::from_millis(1));
    assert!(handle.world().is_open(patient));
}

#[test]
fn out_of_descriptors_a_connection_waits() {
    let (mut net, handle) = SimNet::new(0, Faults::none());
    let (listener, at) = net.listen(&local(0)).unwrap();
    handle.world().connect_remote(at, peer(1), Actor::Manual);
    handle.world().run_for(Duration::from_secs(1));
    handle.world().set_socket_limit(1);
    assert_eq!(net.sockets_left(), 0);
    let full = net.accept(listener).unwrap_err();
    assert!(crate::reactor::net::is_exhaustion(&full));
    handle.world().set_socket_limit(2);
    assert!(net.accept(listener).is_ok());
}

#[test]
fn a_listeners_address_is_its_own() {
    let (mut net, _) = SimNet::new(0, Faults::none());
    let (first, at) = net.listen(&local(0)).unwrap();
    assert_eq!(
        net.listen(&at).unwrap_err().kind(),
        io::ErrorKind::AddrInUse
    );
    let Addr::Tcp(tcp) = &at else { unreachable!() };
    let any = Addr::Tcp(SocketAddr::from(([0, 0, 0, 0], tcp.port())));
    assert_eq!(
        net.listen(&any).unwrap_err().kind(),
        io::ErrorKind::AddrInUse
    );
    net.close(first, Close::Orderly);
    let (_, again) = net.listen(&any).unwrap();
    assert_eq!(again, any);
}

#[test]
fn names_answer_as_scripted() {
    let (mut net, handle) = SimNet::new(0, Faults::none());
    let (one, two) = (Ipv4Addr::LOCALHOST.into(), Ipv4Addr::BROADCAST.into());
    let timed_out = Answer::failing(io::ErrorKind::TimedOut);
    handle.world().set_name(
        "a",
        [Answer::with(&[one]), timed_out, Answer::with(&[two, one])],
    );
    let mut ask = |name: &str| {
        let mut ready = Vec::new();
        net.resolve(Lookup(5), name);
        net.wait(None, &mut ready).unwrap();
        match ready.pop() {
            Some(Ready::Resolved(Lookup(5), answer)) => answer.map_err(|error| error.kind()),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(ask("a"), Ok(vec![one]));
    assert_eq!(ask("a"), Err(io::ErrorKind::TimedOut));
    assert_eq!(ask("a"), Ok(vec![two, one]));
    assert_eq!(ask("a"), Ok(vec![two, one]));
    assert_eq!(ask("b"), Err(io::ErrorKind::NotFound));
}

#[test]
fn a_vanished_peer_is_noticed_by_keepalive_only() {
    let (mut net, handle) = SimNet::new(0, Faults::none());
    handle
        .world()
        .listen_remote(local(9), Behaviour::serve(Actor::Manual));
    let id = net.connect(&local(9)).unwrap();
    handle.world().run_for(Duration::from_secs(1));
    let remote = receiver_of(&handle);
    handle.world().remote_vanish(remote);
    handle.world().run_for(Duration::from_secs(10_000));
    assert_eq!(
        net.read(id, &mut [0]).unwrap_err().kind(),
        io::ErrorKind::WouldBlock
    );
    let idle = Duration::from_secs(30);
    net.set_keepalive(
        id,
        Keepalive {
            idle,
            user_timeout: None,
        },
    )
    .unwrap();
    handle.world().run_for(Duration::from_secs(61));
    assert_eq!(
        net.read(id, &mut [0]).unwrap_err().kind(),
        io::ErrorKind::TimedOut
    );
}

#[test]
fn standard_streams_are_pipes_of_the_driver() {
    let (mut net, handle) = SimNet::new(0, Faults::none());
    let stdin = handle.world().stdin();
    let stdout = handle.world().stdout();
    let input = net.open_std(StdStream::Stdin).unwrap();
    assert!(net.open_std(StdStream::Stdin).is_err());
    handle.world().remote_send(stdin, b"in");
    handle.world().remote_close(stdin);
    handle.world().run_for(Duration::ZERO);
    let mut into = [0; 8];
    assert_eq!(
        net.read(input, &mut into).unwrap(),
        Io {
            bytes: 2,
            more: true
        }
    );
    assert_eq!(net.read(input, &mut into).unwrap().bytes, 0);

    let output = net.open_std(StdStream::Stdout).unwrap();
    net.write(output, [b"out", b""]).unwrap();
    net.shutdown(output).unwrap();
    handle.world().run_for(Duration::ZERO);
    assert_eq!(
        net.read(output, &mut into).unwrap_err().kind(),
        io::ErrorKind::WouldBlock
    );
    assert_eq!(handle.world().remote_read(stdout, 100), b"out");
    handle.world().run_for(Duration::ZERO);
    assert_eq!(net.read(output, &mut into).unwrap().bytes, 0);
}

#[test]
fn stdout_without_a_reader_is_a_broken_pipe() {
    let (mut net, handle) = SimNet::new(0, Faults::none());
    let output = net.open_std(StdStream::Stdout).unwrap();
    let stdout = handle.world().stdout();
    handle.world().remote_close(stdout);
    for _ in 0..2 {
        assert_eq!(
            net.write(output, [b"x", b""]).unwrap_err().kind(),
            io::ErrorKind::BrokenPipe
        );
        assert_eq!(
            net.read(output, &mut [0]).unwrap_err().kind(),
            io::ErrorKind::BrokenPipe
        );
    }
}

#[test]
fn an_echo_answers_all_and_closes_at_the_end() {
    let (mut net, handle) = SimNet::new(0, Faults::none());
    handle
        .world()
        .listen_remote(local(9), Behaviour::serve(Actor::Echo));
    let id = net.connect(&local(9)).unwrap();
    handle.world().run_for(Duration::from_secs(1));
    net.write(id, [b"to and", b" fro"]).unwrap();
    net.shutdown(id).unwrap();
    handle.world().run_for(Duration::from_secs(1));
    let mut into = [0; 16];
    assert_eq!(
        net.read(id, &mut into).unwrap(),
        Io {
            bytes: 10,
            more: true
        }
    );
    assert_eq!(&into[..10], b"to and fro");
    assert_eq!(net.read(id, &mut into).unwrap().bytes, 0);
}

#[test]
fn actions_happen_inside_waits_in_order() {
    let (mut net, handle) = SimNet::new(0, Faults::none());
    for signal in [
        crate::reactor::net::Signal::HangUp,
        crate::reactor::net::Signal::Terminate,
    ] {
        handle
            .world()
            .at(Time::from_millis(5), move |world| world.signal(signal));
    }
    let mut ready = Vec::new();
    net.wait(Some(Time::from_millis(4)), &mut ready).unwrap();
    assert!(ready.is_empty());
    net.wait(None, &mut ready).unwrap();
    assert_eq!(format!("{ready:?}"), "[Signal(HangUp), Signal(Terminate)]");
    assert_eq!(net.now(), Time::from_millis(5));
}

#[test]
fn stale_events_speak_of_former_tenants() {
    let (mut net, handle) = SimNet::new(
        0,
        Faults {
            stale: 1000,
            ..Faults::none()
        },
    );
    let (old, _) = net.listen(&local(0)).unwrap();
    net.close(old, Close::Orderly);
    let (new, _) = net.listen(&local(0)).unwrap();
    assert_eq!(new.key, old.key);
    let mut ready = Vec::new();
    net.wait(Some(Time::ZERO), &mut ready).unwrap();
    assert!(matches!(ready[..], [Ready::Sock { id, .. }] if id == old));
    assert_eq!(
        net.accept(old).unwrap_err().kind(),
        io::ErrorKind::NotConnected
    );
    assert_eq!(handle.world().open_sockets(), [new]);
}

#[test]
fn a_world_where_nobody_can_move_is_stuck() {
    let receiver = Receiver {
        stall_after: Some(Duration::ZERO),
        ..Receiver::eager()
    };
    let source = Source::pattern(0, 1 << 20);
    let mut copier = Copier::new(0, Faults::none(), source, receiver);
    copier.run();
    let world = copier.handle.world();
    assert!(world.stuck() && world.time() < Time::from_millis(10_000));
}
