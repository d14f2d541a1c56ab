//! The hub in a simulated network: 256 seeds, each a life of its own with faults of its own. A seed that fails is
//! named, and `HYDRANT_SEED=n cargo test --test sim_hub replay -- --nocapture` shows all that happened in it.

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};

use hydrant::fuzz::{hub_by_seed, hub_tunnel_by_seed};

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
