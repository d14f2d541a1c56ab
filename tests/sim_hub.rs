//! The hub in a simulated network: 256 seeds, each a life of its own with faults of its own. A seed that fails is
//! named, and `HYDRANT_SEED=n cargo test --test sim_hub replay -- --nocapture` shows all that happened in it.
//! `HYDRANT_SEEDS=1000..9000 cargo test --test sim_hub more_` lives through as many more as there is time for.

#[path = "common/seeds.rs"]
mod seeds;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Mutex;
use std::time::Duration;

use hydrant::base::secret::Secret;
use hydrant::base::time::Time;
use hydrant::config::{Config, Env, Run};
use hydrant::fuzz::{hub_by_seed, hub_tunnel_by_seed};
use hydrant::proto::mailbox::write_message;
use hydrant::reactor::net::{Addr, Signal};
use hydrant::reactor::{Cx, End, Event, Options, Reactor, Role, RoleId};
use hydrant::roles::hub::{Hub, Reason, Tunnel, User};
use hydrant::sim::{Actor, Behaviour, Content, Ending, Faults, Handle, RemoteId, SimNet, Source};

fn run(seeds: Range<u64>) {
    let enough = seeds.clone().count() / 12;
    let lives = seeds::live(seeds, "sim_hub replay", hub_by_seed);
    let complete = lives.iter().filter(|life| life.complete).count();
    assert!(
        complete >= enough,
        "only {complete} lives were peaceful enough to miss nothing"
    );
}

#[test]
fn seeds_0_to_63() {
    run(0..64);
}

#[test]
fn seeds_64_to_127() {
    run(64..128);
}

#[test]
fn seeds_128_to_191() {
    run(128..192);
}

#[test]
fn seeds_192_to_255() {
    run(192..256);
}

#[test]
fn more_seeds() {
    run(seeds::more());
}

#[test]
fn replay() {
    if let Some(seed) = seeds::wanted() {
        for line in hub_by_seed(seed, true).trace {
            eprintln!("{line}");
        }
    }
}

#[test]
fn a_seed_is_a_run() {
    for seed in 0..8 {
        assert_eq!(hub_by_seed(seed, true), hub_by_seed(seed, true));
    }
}

fn run_tunnels(seeds: Range<u64>) {
    let half = seeds.clone().count() / 2;
    let lives = seeds::live(seeds, "sim_hub replay_a_tunnel", hub_tunnel_by_seed);
    let outlived = lives.iter().filter(|life| life.has_owed()).count();
    assert!(
        outlived >= half,
        "in so few lives somebody outlives its session: {outlived}"
    );
}

#[test]
fn tunnels_0_to_31() {
    run_tunnels(0..32);
}

#[test]
fn tunnels_32_to_63() {
    run_tunnels(32..64);
}

#[test]
fn more_tunnels() {
    run_tunnels(seeds::more());
}

/// Shows the life of a tunnel through a hub.
#[test]
fn replay_a_tunnel() {
    if let Some(seed) = seeds::wanted() {
        for line in hub_tunnel_by_seed(seed, true).trace {
            eprintln!("{line}");
        }
    }
}

#[test]
fn a_tunnels_seed_is_a_run() {
    for seed in 0..4 {
        assert_eq!(
            hub_tunnel_by_seed(seed, true),
            hub_tunnel_by_seed(seed, true)
        );
    }
}

/// A hub, and clients of it that are ours.
#[allow(clippy::large_enum_variant, reason = "there are three of them")]
enum Party {
    Hub(Hub),
    User(User),
    End(Tunnel),
}

impl Role for Party {
    fn on(&mut self, cx: &mut Cx<'_>, event: Event) {
        match self {
            Self::Hub(hub) => hub.on(cx, event),
            Self::User(user) => user.on(cx, event),
            Self::End(tunnel) => tunnel.on(cx, event),
        }
    }
}

fn party(line: &str) -> Party {
    let words = line.split(' ').map(OsString::from);
    let env = Env {
        token: Some(Secret::from(b"0123456789abcdef".to_vec())),
        ..Env::default()
    };
    match Config::from_command_line(words, env).map(|config| config.run) {
        Ok(Run::HubServe { config, .. }) => Party::Hub(Hub::new(*config)),
        Ok(Run::HubUser(config)) => Party::User(User::new(*config, true)),
        Ok(Run::HubTunnel(config)) => Party::End(Tunnel::new(*config)),
        other => panic!("{line}: {other:?}"),
    }
}

/// A hub, and clients that the test moves by hand.
struct Play {
    reactor: Reactor<Party>,
    role: RoleId,
    handle: Handle,
}

impl Play {
    fn start(flags: &str) -> Self {
        let (net, handle) = SimNet::new(1, Faults::none());
        let mut reactor = Reactor::new(Box::new(net), Options::default());
        let role = reactor.add(party(&format!("hub serve 7000 {flags}")));
        let mut play = Self {
            reactor,
            role,
            handle,
        };
        play.pass(Duration::from_millis(10));
        play
    }

    fn hub(&self) -> &Hub {
        match self.reactor.role(self.role) {
            Some(Party::Hub(hub)) => hub,
            _ => panic!("it has ended"),
        }
    }

    fn pass(&mut self, time: Duration) {
        let end = self.handle.world().time() + time;
        while self.handle.world().time() < end {
            let mut ended = Vec::new();
            let turn = self.reactor.turn(&mut ended);
            turn.expect("a simulated wait works");
            assert!(ended.is_empty(), "{ended:?}");
            self.hub().check_invariants();
        }
    }

    fn client(&mut self, name: &str, port: u16) -> RemoteId {
        let from = SocketAddr::from(([10, 0, 0, 1], port));
        let to = local(7000);
        let remote = self.handle.world().connect_remote(to, from, Actor::Manual);
        self.pass(SECOND);
        self.says(remote, &format!("{name}|"));
        assert!(self.has(name), "{name}");
        remote
    }

    fn has(&self, name: &str) -> bool {
        self.hub().names().any(|known| known == name.as_bytes())
    }

    fn says(&mut self, remote: RemoteId, words: &str) {
        let sent = self.handle.world().remote_send(remote, words.as_bytes());
        assert_eq!(sent, words.len());
        self.pass(SECOND);
    }

    fn gone(&self, reason: Reason) -> u64 {
        self.hub().counts().gone[reason as usize]
    }
}

const SECOND: Duration = Duration::from_secs(1);

/// Log lines of the tests that look at them.
struct Lines(Mutex<Vec<String>>);

impl log::Log for Lines {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        let line = format!("{} {}", record.level(), record.args());
        if [VANISHED, STOPPED].iter().any(|what| line.contains(what)) {
            self.0.lock().expect("nobody panics here").push(line);
        }
    }

    fn flush(&self) {}
}

static LINES: Lines = Lines(Mutex::new(Vec::new()));
const VANISHED: &str = "client vanished ";
const STOPPED: &str = "early lost: ";

/// Log lines are kept from now on.
fn keep_lines() {
    // Another test may have said so.
    let _ = log::set_logger(&LINES);
    log::set_max_level(log::LevelFilter::Info);
}

/// How many lines have all of these in them.
fn lines(parts: &[&str]) -> usize {
    let lines = LINES.0.lock().expect("nobody panics there");
    let has_all = |line: &&String| parts.iter().all(|part| line.contains(part));
    lines.iter().filter(has_all).count()
}

/// A machine that went without a word. Where silence is no reason to drop it, the kernel gives it up once it has sent
/// the same bytes for a quarter of an hour.
#[test]
fn whose_machine_has_gone_is_dead_when_the_kernel_says_so() {
    keep_lines();
    let mut play = Play::start("--idle-timeout off");
    let vanished = play.client("vanished", 1000);
    let sender = play.client("sender", 1001);
    play.handle.world().remote_vanish(vanished);
    play.says(sender, "vanished|5|hello");
    play.pass(Duration::from_secs(60));
    assert_eq!(play.gone(Reason::Dead), 0, "so far it may only be late");
    play.pass(Duration::from_secs(20 * 60));
    assert_eq!(play.gone(Reason::Dead), 1);
    assert_eq!(play.hub().counts().drops(), 1);
    play.says(sender, "vanished|2|hisender|2|ok");
    assert_eq!(play.handle.world().remote_read(sender, 100), b"ok");
    assert_eq!(play.hub().counts().nobody, 1, "the name is free");
    play.client("vanished", 1002);
    let told = "WARN hub: client vanished (10.0.0.1:1000) dropped: dead; ";
    assert_eq!(lines(&[told]), 1);
}

/// By default, its silence is noticed long before.
#[test]
fn whose_machine_has_gone_is_idle_first() {
    let mut play = Play::start("--idle-timeout 30");
    let vanished = play.client("gone", 1000);
    play.handle.world().remote_vanish(vanished);
    play.pass(Duration::from_secs(31));
    assert_eq!((play.gone(Reason::Idle), play.gone(Reason::Dead)), (1, 0));
}

/// Says something to a tunnel's end, as a hub that takes nothing, and looks at what waits for that one meanwhile.
fn says_to_an_end(words: &[u8]) {
    let (net, handle) = SimNet::new(1, Faults::none());
    let hub = local(7000);
    let takes_nothing = Behaviour::serve(Actor::Manual);
    handle.world().listen_remote(hub.clone(), takes_nothing);
    let mut reactor = Reactor::new(Box::new(net), Options::default());
    let end = reactor.add(party("hub tunnel 7000 a --to b --listen 8000"));
    let mut said = 0;
    while handle.world().time() < Time::ZERO + Duration::from_secs(9) {
        let mut ended = Vec::new();
        reactor.turn(&mut ended).expect("a simulated wait works");
        let Some(Party::End(tunnel)) = reactor.role(end) else {
            panic!("it has ended: {ended:?}");
        };
        tunnel.check_invariants();
        let mut world = handle.world();
        if let Some(hub) = world.accepted_at(&hub).first().copied() {
            said += world.remote_send(hub, &words[said..]);
        }
    }
    assert!(said > 0, "it has come");
}

/// The ids differ, so that each is another's, and none of them names us.
#[test]
fn hellos_whose_answers_nobody_takes_are_not_answered_for_ever() {
    let mut words = b"|2|ok".to_vec();
    for id in 1u64..100_000 {
        let hello = [&[1][..], &id.to_be_bytes(), &[0; 8]].concat();
        write_message(b"b", &hello, &mut words);
    }
    says_to_an_end(&words);
}

#[test]
fn one_nonce_is_answered_and_no_more() {
    let mut nonce = Vec::new();
    write_message(b"", &[&b"nonce "[..], &[b'5'; 32]].concat(), &mut nonce);
    says_to_an_end(&nonce.repeat(20_000));
}

/// Lets so many seconds pass; who has ended since is added.
fn turns_for(
    reactor: &mut Reactor<Party>,
    handle: &Handle,
    seconds: u64,
    ended: &mut Vec<(RoleId, End)>,
) {
    let end = handle.world().time() + Duration::from_secs(seconds);
    while handle.world().time() < end {
        reactor.turn(ended).expect("a simulated wait works");
    }
}

/// A hub and the two ends of a tunnel through it, whose session stands; a service that moves by hand is at 9000.
fn tunnel(flags_of_a: &str, flags_of_b: &str) -> (Reactor<Party>, Handle, [RoleId; 3]) {
    let (net, handle) = SimNet::new(1, Faults::none());
    let behaviour = Behaviour::serve(Actor::Manual);
    handle.world().listen_remote(local(9000), behaviour);
    let mut reactor = Reactor::new(Box::new(net), Options::default());
    let lines = [
        "hub serve 7000".to_owned(),
        format!("hub tunnel 7000 a --to b --listen 8000{flags_of_a}"),
        format!("hub tunnel 7000 b --to a --forward 9000{flags_of_b}"),
    ];
    let parties = lines.map(|line| reactor.add(party(&line)));
    let mut ended = Vec::new();
    turns_for(&mut reactor, &handle, 10, &mut ended);
    assert!(ended.is_empty(), "{ended:?}");
    (reactor, handle, parties)
}

fn local(port: u16) -> Addr {
    Addr::Tcp(SocketAddr::from(([127, 0, 0, 1], port)))
}

/// An end that is stopped lets its connections finish: what its other end has said comes to the service, however late
/// that one reads, and then the end of it.
#[test]
fn an_end_that_is_stopped_brings_its_service_all_that_was_said() {
    let (mut reactor, handle, [_, _, b]) = tunnel("", " --drain 60s");
    let mut ended = Vec::new();
    let said = 200_000;
    let from = SocketAddr::from(([10, 0, 0, 1], 1000));
    let actor = Actor::Source(Source {
        content: Content::Pattern(0),
        from: 0,
        to: said,
        chunk_max: 16_000,
        gap_max: Duration::from_millis(200),
        ending: Ending::HalfClose,
    });
    handle.world().connect_remote(local(8000), from, actor);
    // It has nothing to say itself, and does not read for now.
    turns_for(&mut reactor, &handle, 1, &mut ended);
    reactor.tell(b, Event::Drain(Signal::Terminate));
    let service = handle.world().accepted_at(&local(9000))[0];
    handle.world().remote_shutdown(service);
    turns_for(&mut reactor, &handle, 20, &mut ended);
    assert!(ended.is_empty(), "not all of it is with the service");
    for _ in 0..100 {
        handle.world().remote_read(service, 10_000);
        turns_for(&mut reactor, &handle, 1, &mut ended);
    }
    let world = handle.world();
    assert_eq!(world.received_total(service), said);
    assert!(world.saw_fin(service) && !world.saw_reset(service));
    assert_eq!(ended.len(), 1, "{ended:?}");
}

/// What had come whole for a connection when its session went: it is read to its end, and is waited for by a stop. The
/// next session's streams have the same ids.
#[test]
fn what_had_come_whole_is_read_though_the_hub_or_the_other_end_is_lost() {
    let said = 200_000;
    for (loses_hub, stops) in [(true, true), (true, false), (false, false)] {
        let (mut reactor, handle, [hub, a, b]) = tunnel(" --drain 60s", " --drain 60s");
        let mut ended = Vec::new();
        let client = |port| {
            let from = SocketAddr::from(([10, 0, 0, 1], port));
            let mut world = handle.world();
            world.connect_remote(local(8000), from, Actor::Manual)
        };
        let slow = client(1000);
        turns_for(&mut reactor, &handle, 1, &mut ended);
        let service = handle.world().accepted_at(&local(9000))[0];
        let answers = Actor::Source(Source {
            content: Content::Pattern(0),
            from: 0,
            to: said,
            chunk_max: 16_000,
            gap_max: Duration::ZERO,
            ending: Ending::HalfClose,
        });
        handle.world().set_actor(service, answers);
        handle.world().remote_shutdown(slow);
        turns_for(&mut reactor, &handle, 2, &mut ended);
        handle.world().remote_close(service);
        let open = client(1001);
        turns_for(&mut reactor, &handle, 1, &mut ended);
        reactor.tell(
            if loses_hub { hub } else { b },
            Event::Drain(Signal::Terminate),
        );
        turns_for(&mut reactor, &handle, 3, &mut ended);
        if !loses_hub {
            // It lets what is open finish.
            handle.world().remote_reset(open);
            turns_for(&mut reactor, &handle, 3, &mut ended);
        }
        assert_eq!(
            handle.world().saw_reset(open),
            loses_hub,
            "its end had not come"
        );
        assert_eq!(ended.len(), 1, "{ended:?}");
        if stops {
            reactor.tell(a, Event::Drain(Signal::Terminate));
        } else {
            reactor.add(party(match loses_hub {
                true => "hub serve 7000",
                false => "hub tunnel 7000 b --to a --forward 9000",
            }));
            turns_for(&mut reactor, &handle, 40, &mut ended);
        }
        let next = (!stops).then(|| client(1002));
        for _ in 0..30 {
            handle.world().remote_read(slow, 10_000);
            turns_for(&mut reactor, &handle, 1, &mut ended);
        }
        let world = handle.world();
        assert_eq!(world.received_total(slow), said);
        assert!(world.saw_fin(slow) && !world.saw_reset(slow));
        assert_eq!(ended.iter().any(|(role, _)| *role == a), stops, "{ended:?}");
        assert!(next.is_none_or(|next| world.is_open(next)));
    }
}

/// An end that is stopped cuts, in the end, what does not finish, and its other end resets that at once.
#[test]
fn a_connection_that_is_cut_by_a_stop_is_reset_at_the_other_end() {
    let (mut reactor, handle, [_, a, _]) = tunnel(" --drain 1s", "");
    let mut ended = Vec::new();
    let from = SocketAddr::from(([10, 0, 0, 1], 1000));
    handle
        .world()
        .connect_remote(local(8000), from, Actor::Manual);
    turns_for(&mut reactor, &handle, 1, &mut ended);
    let service = handle.world().accepted_at(&local(9000))[0];
    reactor.tell(a, Event::Drain(Signal::Terminate));
    turns_for(&mut reactor, &handle, 4, &mut ended);
    assert!(handle.world().saw_reset(service));
    assert_eq!(ended.len(), 1, "{ended:?}");
}

/// An end that is stopped has only so much time for its last words, though no connection is there to be cut.
#[test]
fn an_end_that_is_stopped_does_not_wait_for_a_hub_that_takes_nothing() {
    let narrow = Faults {
        send_buffer: 100,
        receive_buffer: 100,
        ..Faults::none()
    };
    let (net, handle) = SimNet::new(1, narrow);
    let hub = local(7000);
    let takes_nothing = Behaviour::serve(Actor::Manual);
    handle.world().listen_remote(hub.clone(), takes_nothing);
    let mut reactor = Reactor::new(Box::new(net), Options::default());
    let a = reactor.add(party("hub tunnel 7000 a --to b --listen 8000 --drain 5s"));
    let mut ended = Vec::new();
    turns_for(&mut reactor, &handle, 1, &mut ended);
    let hub = handle.world().accepted_at(&hub)[0];
    handle.world().remote_send(hub, b"|2|ok");
    turns_for(&mut reactor, &handle, 3, &mut ended);
    let said = handle.world().remote_read(hub, 1000);
    let hello = b"b|17|\x01";
    let at = said.windows(hello.len()).position(|bytes| bytes == hello);
    let id = at.expect("it has asked for b") + hello.len();
    let mut answer = Vec::new();
    let body = [&[1; 9][..], &said[id..id + 8]].concat();
    write_message(b"b", &body, &mut answer);
    for _ in 0..20 {
        handle.world().remote_send(hub, &answer);
        turns_for(&mut reactor, &handle, 1, &mut ended);
    }
    match reactor.role(a) {
        Some(Party::End(tunnel)) => assert_eq!(tunnel.counts().sessions, 1),
        _ => panic!("it has ended: {ended:?}"),
    }
    reactor.tell(a, Event::Drain(Signal::Terminate));
    turns_for(&mut reactor, &handle, 4, &mut ended);
    assert!(ended.is_empty(), "it still has something to say");
    let overdue = handle.world().time() + Duration::from_secs(4);
    while ended.is_empty() {
        reactor.turn(&mut ended).expect("a simulated wait works");
        assert!(handle.world().time() < overdue, "it waits for ever");
    }
}

/// An end that is stopped says so behind all that it has said, however slowly a hub with TLS takes that.
#[test]
fn an_end_that_is_stopped_says_so_through_a_slow_hub_with_tls() {
    keep_lines();
    let slow = Faults {
        delay: Duration::from_millis(50),
        send_buffer: 4 << 10,
        receive_buffer: 4 << 10,
        ..Faults::none()
    };
    let (net, handle) = SimNet::new(1, slow);
    let mut reactor = Reactor::new(Box::new(net), Options::default());
    let files = "src/fuzz/tls";
    reactor.add(party(&format!(
        "hub serve 7000 --tls-cert {files}/certificate.pem --tls-key {files}/key.pem"
    )));
    let flags = "--tls-insecure --drain 60s";
    let end = |words: &str| party(&format!("hub tunnel tls://127.0.0.1:7000 {words} {flags}"));
    reactor.add(end("late --to early --listen 8001"));
    let early = reactor.add(end("early --to late --listen 8000"));
    let mut run_until = |done: &dyn Fn(&Reactor<Party>) -> bool, within: u64| {
        let end = handle.world().time() + Duration::from_secs(within);
        let mut ended = Vec::new();
        while handle.world().time() < end && !done(&reactor) {
            reactor.turn(&mut ended).expect("a simulated wait works");
        }
        assert!(done(&reactor), "it takes too long: {ended:?}");
    };
    let counts = |reactor: &Reactor<Party>| match reactor.role(early) {
        Some(Party::End(tunnel)) => tunnel.counts().clone(),
        _ => panic!("it has ended"),
    };
    run_until(&|reactor| counts(reactor).sessions == 1, 20);
    *handle.world().faults() = Faults::none();
    // Nobody is forwarded to anything there, so that it is reset with much on its way.
    let from = SocketAddr::from(([10, 0, 0, 1], 1000));
    let to = local(8000);
    let actor = Actor::Source(Source {
        content: Content::Pattern(0),
        from: 0,
        to: 200_000,
        chunk_max: 4000,
        gap_max: Duration::ZERO,
        ending: Ending::Stay,
    });
    handle.world().connect_remote(to, from, actor);
    run_until(&|reactor| counts(reactor).to_peer > 20_000, 60);
    reactor.tell(early, Event::Drain(Signal::Terminate));
    let mut ended = Vec::new();
    let end = handle.world().time() + Duration::from_secs(60);
    while handle.world().time() < end && lines(&[STOPPED]) == 0 {
        reactor.turn(&mut ended).expect("a simulated wait works");
    }
    assert_eq!(lines(&[STOPPED, "it is stopped; "]), 1, "{ended:?}");
}

/// A record of TLS that is longer than what a thin line brings within `--idle-timeout`.
#[test]
fn an_end_that_says_much_by_tls_over_a_thin_line_is_not_idle() {
    let thin = Faults {
        delay: Duration::from_millis(40),
        send_buffer: 25,
        ..Faults::none()
    };
    let (net, handle) = SimNet::new(1, thin);
    let serve = Behaviour::serve(Actor::Manual);
    handle.world().listen_remote(local(9000), serve);
    let mut reactor = Reactor::new(Box::new(net), Options::default());
    let files = "src/fuzz/tls";
    let hub = reactor.add(party(&format!(
        "hub serve 7000 --tls-cert {files}/certificate.pem --tls-key {files}/key.pem --idle-timeout 25s"
    )));
    let end = |words: &str| {
        party(&format!(
            "hub tunnel tls://127.0.0.1:7000 {words} --tls-insecure"
        ))
    };
    reactor.add(end("a --to b --listen 8000"));
    let mut ended = Vec::new();
    turns_for(&mut reactor, &handle, 10, &mut ended);
    *handle.world().faults() = Faults::none();
    reactor.add(end("b --to a --forward 9000"));
    turns_for(&mut reactor, &handle, 5, &mut ended);
    let said = 16_000;
    let talker = Actor::Source(Source {
        content: Content::Pattern(0),
        from: 0,
        to: said,
        chunk_max: 16_000,
        gap_max: Duration::ZERO,
        ending: Ending::HalfClose,
    });
    let from = SocketAddr::from(([10, 0, 0, 1], 1000));
    handle.world().connect_remote(local(8000), from, talker);
    turns_for(&mut reactor, &handle, 1, &mut ended);
    turns_for(&mut reactor, &handle, 60, &mut ended);
    let Some(Party::Hub(hub)) = reactor.role(hub) else {
        panic!("it has ended: {ended:?}");
    };
    assert_eq!(hub.counts().gone[Reason::Idle as usize], 0);
    assert!(hub.names().any(|name| name == b"a"));
}

/// A question to the other end stands behind much of what is said, and so does not arrive before that has, on a line
/// that is slow but well.
#[test]
fn an_end_that_says_much_over_a_thin_line_keeps_its_other_end() {
    let thin = Faults {
        delay: Duration::from_millis(40),
        send_buffer: 100,
        ..Faults::none()
    };
    let (net, handle) = SimNet::new(1, thin);
    let serve = Behaviour::serve(Actor::Manual);
    handle.world().listen_remote(local(9000), serve);
    let mut reactor = Reactor::new(Box::new(net), Options::default());
    reactor.add(party("hub serve 7000"));
    let a = reactor.add(party("hub tunnel 7000 a --to b --listen 8000"));
    let mut ended = Vec::new();
    turns_for(&mut reactor, &handle, 2, &mut ended);
    *handle.world().faults() = Faults::none();
    reactor.add(party("hub tunnel 7000 b --to a --forward 9000"));
    turns_for(&mut reactor, &handle, 5, &mut ended);
    let said = 200_000;
    let talker = Actor::Source(Source {
        content: Content::Pattern(0),
        from: 0,
        to: said,
        chunk_max: 4000,
        gap_max: Duration::ZERO,
        ending: Ending::HalfClose,
    });
    let from = SocketAddr::from(([10, 0, 0, 1], 1000));
    handle.world().connect_remote(local(8000), from, talker);
    turns_for(&mut reactor, &handle, 1, &mut ended);
    let service = handle.world().accepted_at(&local(9000))[0];
    for _ in 0..120 {
        turns_for(&mut reactor, &handle, 1, &mut ended);
        handle.world().remote_read(service, usize::MAX);
    }
    let Some(Party::End(end)) = reactor.role(a) else {
        panic!("it has ended: {ended:?}");
    };
    assert_eq!(end.counts().sessions, 1);
    let world = handle.world();
    assert_eq!(world.received_total(service), said);
    assert!(world.saw_fin(service) && !world.saw_reset(service));
}

/// Each client of ours that has nothing to say still says that it is alive, for as long as it is.
#[test]
fn our_clients_keep_themselves_alive() {
    for lines in [
        &["hub recv 7000 a"][..],
        &["hub client 7000 a"],
        &["hub tunnel 7000 a --to b --listen 8000"],
        &[
            "hub tunnel 7000 a --to b --listen 8000",
            "hub tunnel 7000 b --to a --forward 9000",
        ],
    ] {
        let mut play = Play::start("--idle-timeout 11");
        for line in lines {
            play.reactor.add(party(line));
        }
        play.pass(Duration::from_secs(3600));
        assert_eq!(play.hub().counts().gone.iter().sum::<u64>(), 0, "{lines:?}");
        assert!(play.has("a"), "{lines:?}");
    }
}
