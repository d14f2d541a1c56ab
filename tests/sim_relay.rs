//! The relay in a simulated network: 256 seeds, each a life of its own with faults of its own. A seed that fails is
//! named, and `HYDRANT_SEED=n cargo test --test sim_relay replay -- --nocapture` shows all that happened in it.
//! `HYDRANT_SEEDS=1000..9000 cargo test --test sim_relay more_seeds` lives through as many more as there is time for.

#[path = "sim_relay/flood.rs"]
mod flood;
#[path = "sim_relay/hot_path.rs"]
mod hot_path;
#[path = "sim_relay/read_size.rs"]
mod read_size;
#[path = "common/scratch.rs"]
#[allow(dead_code, reason = "other test binaries need more of it")]
mod scratch;
#[path = "common/seeds.rs"]
mod seeds;
#[path = "common/stage.rs"]
mod stage;
#[path = "common/tools.rs"]
#[allow(dead_code, reason = "other test binaries need more of it")]
mod tools;
#[path = "common/work.rs"]
mod work;

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::time::Duration;

use hydrant::fuzz::{relay_by_seed, relay_traced};
use hydrant::reactor::net::Addr;
use hydrant::reactor::{Options, Reactor};
use hydrant::roles::relay::Relay;
use hydrant::sim::{Actor, Ending, Faults, SimNet, Source};

use stage::{MESSAGE, Stage, relay};

fn run(seeds: Range<u64>) {
    seeds::live(seeds, "sim_relay replay", relay_by_seed);
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

/// Shows all that happens with the seed in HYDRANT_SEED, or with the fuzzer's input in the file HYDRANT_SCRIPT.
#[test]
fn replay() {
    let played = match (seeds::wanted(), env::var("HYDRANT_SCRIPT").ok()) {
        (Some(seed), _) => relay_by_seed(seed, true),
        (None, Some(file)) => relay_traced(&fs::read(file).expect("the script can be read")),
        (None, None) => return,
    };
    for line in played.trace {
        eprintln!("{line}");
    }
}

#[test]
fn a_seed_is_a_run() {
    for seed in 0..8 {
        assert_eq!(relay_by_seed(seed, true), relay_by_seed(seed, true));
    }
}

/// What a message costs in system calls: nothing is asked twice, and nothing that is known already.
#[test]
fn a_message_is_read_once_and_written_once_to_each() {
    for (clients, waits) in [(1, 1), (512, 1), (1000, 2)] {
        let mut stage = Stage::new(clients);
        stage.pass(&MESSAGE); // the first read finds out that there is no more
        stage.world.world().trace(true);
        stage.pass(&MESSAGE);
        let mut calls = BTreeMap::new();
        let world = stage.world.world();
        for line in world.trace_lines().filter(|line| line.contains(" -> ")) {
            let call = line.split(' ').nth(1).unwrap_or_default();
            *calls.entry(call.to_owned()).or_insert(0) += 1;
        }
        let calls: Vec<(&str, usize)> = calls.iter().map(|(call, n)| (&call[..], *n)).collect();
        assert_eq!(calls, [("read", 1), ("wait", waits), ("write", clients)]);
    }
}

/// Over a thin line a record of TLS takes longer than `--idle-timeout`.
#[test]
fn an_upstream_that_sends_a_long_record_by_tls_is_not_silent() {
    let thin = Faults {
        delay: Duration::from_millis(40),
        send_buffer: 300,
        ..Faults::none()
    };
    let (net, world) = SimNet::new(1, thin);
    let mut reactor = Reactor::new(Box::new(net), Options::default());
    let certificate = "--tls-cert src/fuzz/tls/certificate.pem --tls-key src/fuzz/tls/key.pem";
    let door = format!("127.0.0.1:5000 tls://127.0.0.1:7000 --mode listen-listen {certificate}");
    reactor.add(relay(&door));
    let impatient = "--tls-insecure --idle-timeout 1s --upstream-loss exit";
    let near = reactor.add(relay(&format!(
        "tls://127.0.0.1:7000 127.0.0.1:6000 {impatient}"
    )));
    let pass = |reactor: &mut Reactor<Relay>, millis: u64| {
        let end = world.world().time() + Duration::from_millis(millis);
        while world.world().time() < end {
            reactor.turn(&mut Vec::new()).expect("a wait works");
        }
    };
    // The handshake is over.
    pass(&mut reactor, 600);
    *world.world().faults() = Faults::none();
    let said = Actor::Source(Source {
        chunk_max: 16_000,
        ending: Ending::Stay,
        ..Source::pattern(0, 16_000)
    });
    let from = SocketAddr::from(([10, 0, 0, 1], 1000));
    let to = Addr::Tcp(SocketAddr::from((Ipv4Addr::LOCALHOST, 5000)));
    world.world().connect_remote(to, from, said);
    for _ in 0..40 {
        pass(&mut reactor, 100);
        let relay = reactor.role(near).expect("nobody was silent");
        if relay.counts().bytes_in == 16_000 {
            return;
        }
    }
    panic!("it does not come");
}
