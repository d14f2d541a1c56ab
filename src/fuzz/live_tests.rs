//! Options that change while a role runs, in a simulated network: whoever is connected counts for nothing that they
//! would not have counted for at its start.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::time::Duration;

use crate::config::{Config, Env, Run};
use crate::reactor::net::Addr;
use crate::reactor::view::ClientRow;
use crate::reactor::{Cx, Event, Options, Reactor, Role};
use crate::roles::hub::Hub;
use crate::roles::relay::Relay;
use crate::sim::{Actor, Behaviour, Faults, Handle, Receiver, SimNet};

/// Who has a limit of clients.
#[allow(clippy::large_enum_variant, reason = "there is one of them")]
enum Party {
    Relay(Relay),
    Hub(Hub),
}

impl Role for Party {
    fn on(&mut self, cx: &mut Cx<'_>, event: Event) {
        match self {
            Self::Relay(relay) => relay.on(cx, event),
            Self::Hub(hub) => hub.on(cx, event),
        }
    }
}

impl Party {
    fn new(run: &Run) -> Self {
        match run.clone() {
            Run::Relay(config) => Self::Relay(Relay::new(*config)),
            Run::HubServe { config, .. } => Self::Hub(Hub::new(*config)),
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
            Party::Hub(_) => Vec::new(),
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

const SECOND: Duration = Duration::from_secs(1);
/// How many come at first.
const MANY: u16 = 40;
