//! The hub in a simulated network: 256 seeds, each a life of its own with faults of its own. A seed that fails is
//! named, and `HYDRANT_SEED=n cargo test --test sim_hub replay -- --nocapture` shows all that happened in it.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::time::Duration;

use hydrant::config::{Config, Env, Run};
use hydrant::fuzz::{hub_by_seed, hub_tunnel_by_seed};
use hydrant::reactor::net::Addr;
use hydrant::reactor::{Cx, Event, Options, Reactor, Role, RoleId};
use hydrant::roles::hub::{Hub, Reason, Tunnel, User};
use hydrant::sim::{Actor, Faults, Handle, RemoteId, SimNet};

fn run(seeds: Range<u64>) {
    let mut failed = Vec::new();
    let mut complete = 0;
    for seed in seeds {
        match catch_unwind(AssertUnwindSafe(|| hub_by_seed(seed, false))) {
            Ok(played) => complete += u32::from(played.complete),
            Err(_) => failed.push(seed),
        }
    }
    let first = failed.first().copied().unwrap_or_default();
    assert!(
        failed.is_empty(),
        "seeds that failed: {failed:?}; HYDRANT_SEED={first} cargo test --test sim_hub replay -- --nocapture"
    );
    assert!(
        complete >= 5,
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

/// The seed in HYDRANT_SEED, with its trace; without one, two equal runs of one seed.
#[test]
fn replay() {
    if let Some(seed) = std::env::var("HYDRANT_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok())
    {
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
    let lives = |seed: &u64| catch_unwind(|| hub_tunnel_by_seed(*seed, false)).is_ok();
    let failed: Vec<u64> = seeds.filter(|seed| !lives(seed)).collect();
    let first = failed.first().copied().unwrap_or_default();
    assert!(
        failed.is_empty(),
        "seeds that failed: {failed:?}; HYDRANT_SEED={first} cargo test --test sim_hub replay_a_tunnel -- --nocapture"
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

/// The seed in HYDRANT_SEED, for a tunnel through a hub.
#[test]
fn replay_a_tunnel() {
    let seed = std::env::var("HYDRANT_SEED").ok();
    if let Some(seed) = seed.and_then(|seed| seed.parse().ok()) {
        for line in hub_tunnel_by_seed(seed, true) {
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
    match Config::from_command_line(words, Env::default()).map(|config| config.run) {
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
        let to = Addr::Tcp(SocketAddr::from(([127, 0, 0, 1], 7000)));
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

/// Log lines in which a client of the name vanished stands.
struct Lines(Mutex<Vec<String>>);

impl log::Log for Lines {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        let line = format!("{} {}", record.level(), record.args());
        if line.contains("client vanished ") {
            self.0.lock().expect("nobody panics here").push(line);
        }
    }

    fn flush(&self) {}
}

static LINES: Lines = Lines(Mutex::new(Vec::new()));

/// A machine that went without a word. Where silence is no reason to drop it, the kernel gives it up once it has sent
/// the same bytes for a quarter of an hour.
#[test]
fn whose_machine_has_gone_is_dead_when_the_kernel_says_so() {
    log::set_logger(&LINES).expect("there is no other");
    log::set_max_level(log::LevelFilter::Info);
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
    let lines = LINES.0.lock().expect("nobody panics there");
    let told = "WARN hub: client vanished (10.0.0.1:1000) dropped: dead; ";
    let dead = lines.iter().filter(|line| line.starts_with(told));
    assert_eq!(dead.count(), 1, "{lines:?}");
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
