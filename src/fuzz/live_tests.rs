//! Options that change while a role runs, in a simulated network: whoever is connected counts for nothing that they
//! would not have counted for at its start.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::time::Duration;

use crate::config::{Config, Env, Run};
use crate::reactor::net::Addr;
use crate::reactor::view::ClientRow;
use crate::reactor::{Cx, End, Event, Options, Reactor, Role};
use crate::roles::hub::{Hub, Tunnel};
use crate::roles::relay::Relay;
use crate::sim::{Actor, Behaviour, Faults, Handle, Receiver, SimNet};

/// Who has a limit of clients.
#[allow(clippy::large_enum_variant, reason = "there is one of them")]
enum Party {
    Relay(Relay),
    Hub(Hub),
    Tunnel(Tunnel),
}

impl Role for Party {
    fn on(&mut self, cx: &mut Cx<'_>, event: Event) {
        match self {
            Self::Relay(relay) => relay.on(cx, event),
            Self::Hub(hub) => hub.on(cx, event),
            Self::Tunnel(tunnel) => tunnel.on(cx, event),
        }
    }
}

impl Party {
    fn new(run: &Run) -> Self {
        match run.clone() {
            Run::Relay(config) => Self::Relay(Relay::new(*config)),
            Run::HubServe { config, .. } => Self::Hub(Hub::new(*config)),
            Run::HubTunnel(config) => Self::Tunnel(Tunnel::new(*config)),
            other => panic!("{other:?}"),
        }
    }

    fn set_options(&mut self, cx: &mut Cx<'_>, run: &Run) {
        let held = match (self, run) {
            (Self::Relay(relay), Run::Relay(config)) => relay.set_options(cx, config),
            (Self::Hub(hub), Run::HubServe { config, .. }) => hub.set_options(cx, config),
            (_, other) => panic!("{other:?}"),
        };
        held.expect("there are descriptors");
    }

    fn clients(&self) -> usize {
        match self {
            Self::Relay(relay) => relay.client_count(),
            Self::Hub(hub) => hub.names().count(),
            Self::Tunnel(tunnel) => tunnel.counts().streams_most,
        }
    }
}

fn orders(line: &str) -> Run {
    let words = line.split(' ').map(OsString::from);
    let config = Config::from_command_line(words, Env::default());
    config.expect("it is right").run
}

fn pass(reactor: &mut Reactor<Party>, handle: &Handle, time: Duration) {
    let end = handle.world().time() + time;
    while handle.world().time() < end {
        let mut ended = Vec::new();
        reactor.turn(&mut ended).expect("a simulated wait works");
        assert!(ended.is_empty(), "{ended:?}");
    }
}

/// As many come in as before: those who are connected have their descriptors already.
#[test]
fn a_live_change_leaves_the_limit_of_clients_as_it_was() {
    let lines = [
        ("127.0.0.1:9000 7000", "--max-lag 5s", false, 106),
        (
            "hub serve 7000 --idle-timeout off",
            "--max-clients-per-ip 500",
            true,
            360,
        ),
    ];
    for (line, more, says, descriptors) in lines {
        let (net, handle) = SimNet::new(1, Faults::none());
        let upstream = SocketAddr::from(([127, 0, 0, 1], 9000));
        let silent = Behaviour::serve(Actor::Receiver(Receiver::eager()));
        handle.world().listen_remote(Addr::Tcp(upstream), silent);
        handle.world().set_socket_limit(descriptors);
        let mut reactor = Reactor::new(Box::new(net), Options::default());
        let role = reactor.add(Party::new(&orders(line)));
        pass(&mut reactor, &handle, SECOND);
        let come = |reactor: &mut Reactor<Party>, ports: std::ops::Range<u16>| {
            for port in ports {
                let to = Addr::Tcp(SocketAddr::from(([127, 0, 0, 1], 7000)));
                let from = SocketAddr::from(([127, 0, 0, 2], port));
                let remote = handle.world().connect_remote(to, from, Actor::Manual);
                // Newcomers of a hub have places of their own.
                pass(reactor, &handle, SECOND / 10);
                if says {
                    handle
                        .world()
                        .remote_send(remote, format!("c{port}|").as_bytes());
                    pass(reactor, &handle, SECOND / 10);
                }
            }
            reactor.role(role).expect("it runs").clients()
        };
        assert_eq!(
            come(&mut reactor, 1000..1000 + MANY),
            usize::from(MANY),
            "{line}"
        );
        let new = orders(&format!("{line} {more}"));
        reactor.with(role, |party, cx| party.set_options(cx, &new));
        // More than half of what there was room for is taken.
        let more = 2000..2000 + MANY / 2;
        let all = usize::from(MANY + MANY / 2);
        assert_eq!(come(&mut reactor, more), all, "{line}");
    }
}

/// Between two looks at all clients, too: who has everything is not behind, and has taken all of it.
#[test]
fn rows_tell_of_the_moment_at_which_they_are_asked_for() {
    let faults = Faults {
        receive_buffer: 500,
        ..Faults::none()
    };
    let (net, handle) = SimNet::new(1, faults);
    let upstream = Addr::Tcp(SocketAddr::from(([127, 0, 0, 1], 9000)));
    handle
        .world()
        .listen_remote(upstream.clone(), Behaviour::serve(Actor::Manual));
    let mut reactor = Reactor::new(Box::new(net), Options::default());
    // There is a turn at the moment at which they are asked for, and not only where something happens.
    reactor.turn_within(Some(SECOND / 100));
    let role = reactor.add(Party::new(&orders("127.0.0.1:9000 7000")));
    pass(&mut reactor, &handle, SECOND);
    let source = handle.world().accepted_at(&upstream)[0];
    let mut stalled = Receiver::eager();
    stalled.stall_after = Some(Duration::ZERO);
    for (port, receiver) in [(1, Receiver::eager()), (2, stalled)] {
        let to = Addr::Tcp(SocketAddr::from(([127, 0, 0, 1], 7000)));
        let from = SocketAddr::from(([127, 0, 0, 2], port));
        let actor = Actor::Receiver(receiver);
        handle.world().connect_remote(to, from, actor);
    }
    pass(&mut reactor, &handle, SECOND);
    let before = handle.world().time();
    for round in 1..=30 {
        assert_eq!(handle.world().remote_send(source, &[b'x'; 1000]), 1000);
        pass(&mut reactor, &handle, SECOND / 7);
        let now = handle.world().time();
        let rows = reactor.with(role, |party, cx| match party {
            Party::Relay(relay) => relay.client_page(cx, now, 0).rows,
            Party::Hub(_) | Party::Tunnel(_) => Vec::new(),
        });
        let rows = rows.expect("it runs");
        let shown = |row: &ClientRow| (row.bytes_out, row.waiting, row.lag);
        assert_eq!(
            shown(&rows[0]),
            (round * 1000, 0, Some(Duration::ZERO)),
            "{round}"
        );
        let lag = rows[1].lag.expect("a relay knows it");
        assert_eq!(
            (rows[1].bytes_out, rows[1].waiting),
            (500, round * 1000 - 500)
        );
        let late = now.since(before);
        assert!(lag <= late && lag >= late * 9 / 10, "{lag:?} of {late:?}");
    }
}

/// Two relays have the process's descriptors between them: neither shuts the other out, and none of them takes what the
/// other needs for its upstream, nor what is kept back for the process.
#[test]
fn guests_of_one_role_leave_room_for_those_of_another_and_for_what_it_needs_itself() {
    let (net, handle) = SimNet::new(1, Faults::none());
    let at = |port| Addr::Tcp(SocketAddr::from(([127, 0, 0, 1], port)));
    for port in [9000, 9001] {
        let behaviour = Behaviour::serve(Actor::Receiver(Receiver::eager()));
        handle.world().listen_remote(at(port), behaviour);
    }
    handle.world().set_socket_limit(240);
    let mut reactor = Reactor::new(Box::new(net), Options::default());
    let lines = ["127.0.0.1:9000 7000", "127.0.0.1:9001 7001"];
    let roles = lines.map(|line| reactor.add(Party::new(&orders(line))));
    pass(&mut reactor, &handle, SECOND);
    let come = |reactor: &mut Reactor<Party>, to: u16, from: u16| {
        let mut all = Vec::new();
        for port in from..from + 300 {
            let from = SocketAddr::from(([127, 0, 0, 2], port));
            let eager = Actor::Receiver(Receiver::eager());
            all.push(handle.world().connect_remote(at(to), from, eager));
        }
        pass(reactor, &handle, 2 * SECOND);
        all
    };
    let clients =
        |reactor: &Reactor<Party>| roles.map(|role| reactor.role(role).expect("it runs").clients());
    let first = come(&mut reactor, 7000, 1000);
    // Two listeners and two upstreams are open; 34 more are kept back, less the upstreams; a quarter is the other's.
    let room = 240 - 4 - 32;
    assert_eq!(clients(&reactor), [room - room / 4, 0]);
    come(&mut reactor, 7001, 2000);
    assert_eq!(clients(&reactor), [room - room / 4, room / 4]);
    assert_eq!(reactor.sockets_left(), 32);
    // An upstream that is lost is dialled again, though more clients wait.
    let lost = handle.world().accepted_at(&at(9001))[0];
    handle.world().remote_reset(lost);
    come(&mut reactor, 7001, 3000);
    pass(&mut reactor, &handle, 30 * SECOND);
    assert_eq!(handle.world().accepted_at(&at(9001)).len(), 2);
    // What the clients of one leave is for those of the other.
    for remote in first {
        handle.world().remote_reset(remote);
    }
    pass(&mut reactor, &handle, SECOND);
    come(&mut reactor, 7001, 4000);
    assert_eq!(clients(&reactor), [0, room - room / 4]);
    // Alone it has all of the room, but for what the other one no longer needs.
    reactor.with(roles[0], |_, cx| cx.finish(End::Done));
    let mut ended = Vec::new();
    reactor.turn(&mut ended).expect("a simulated wait works");
    assert_eq!(ended.len(), 1);
    come(&mut reactor, 7001, 5000);
    let alone = 240 - 2 - 31;
    let role = reactor.role(roles[1]).expect("it runs");
    assert_eq!(role.clients(), alone);
}

/// An end of a tunnel is of no use while its hub is away, and says so to those who ask whether all is ready.
#[test]
fn an_end_of_a_tunnel_is_ready_while_its_hub_has_it_in() {
    let (net, handle) = SimNet::new(1, Faults::none());
    let mut reactor = Reactor::new(Box::new(net), Options::default());
    let line = "hub tunnel 127.0.0.1:7000 desk --to lab --forward 127.0.0.1:9 --retry 1s";
    let tunnel = reactor.add(Party::new(&orders(line)));
    let look = |reactor: &Reactor<Party>| match reactor.role(tunnel).expect("it runs") {
        Party::Tunnel(tunnel) => {
            let view = tunnel.view(handle.world().time());
            let upstream = view.upstream.clone().expect("it has a hub");
            assert_eq!(upstream.who, "127.0.0.1:7000");
            (view.is_ready(), upstream.connections, upstream.since)
        }
        _ => unreachable!(),
    };
    pass(&mut reactor, &handle, 5 * SECOND);
    let (is_ready, connections, since) = look(&reactor);
    assert!(
        !is_ready && connections == 0 && since >= 5 * SECOND,
        "{since:?}"
    );
    let hub = reactor.add(Party::new(&orders("hub serve 7000")));
    pass(&mut reactor, &handle, 5 * SECOND);
    let (is_ready, connections, since) = look(&reactor);
    assert!(
        is_ready && connections == 1 && since < 5 * SECOND,
        "{since:?}"
    );
    reactor.with(hub, |_, cx| cx.finish(End::Done));
    reactor
        .turn(&mut Vec::new())
        .expect("a simulated wait works");
    pass(&mut reactor, &handle, 5 * SECOND);
    let (is_ready, connections, since) = look(&reactor);
    assert!(
        !is_ready && connections == 1 && since >= 4 * SECOND,
        "{since:?}"
    );
}

const SECOND: Duration = Duration::from_secs(1);
/// How many come at first.
const MANY: u16 = 40;
