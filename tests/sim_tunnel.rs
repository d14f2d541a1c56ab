//! The reverse tunnel in a simulated network: 64 seeds, each a life of its own with faults of its own. A seed that
//! fails is named, and `HYDRANT_SEED=n cargo test --test sim_tunnel replay -- --nocapture` shows all that happened.

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};

use hydrant::fuzz::tunnel_by_seed;

fn run(seeds: Range<u64>) {
    let (mut failed, mut outlived) = (Vec::new(), 0);
    let half = (seeds.end - seeds.start) / 2;
    for seed in seeds {
        match catch_unwind(AssertUnwindSafe(|| tunnel_by_seed(seed, false))) {
            Ok(life) => outlived += u64::from(life.clients_owed + life.services_owed > 0),
            Err(_) => failed.push(seed),
        }
    }
    let first = failed.first().copied().unwrap_or_default();
    assert!(
        failed.is_empty(),
        "seeds that failed: {failed:?}; HYDRANT_SEED={first} cargo test --test sim_tunnel replay -- --nocapture"
    );
    assert!(
        outlived >= half,
        "in so few lives somebody outlives its session: {outlived}"
    );
}

#[test]
fn seeds_0_to_15() {
    run(0..16);
}

#[test]
fn seeds_16_to_31() {
    run(16..32);
}

#[test]
fn seeds_32_to_47() {
    run(32..48);
}

#[test]
fn seeds_48_to_63() {
    run(48..64);
}

/// The seed in HYDRANT_SEED, with its trace; without one, two equal runs of one seed.
#[test]
fn replay() {
    if let Some(seed) = std::env::var("HYDRANT_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok())
    {
        for line in tunnel_by_seed(seed, true).trace {
            eprintln!("{line}");
        }
    }
}

#[test]
fn a_seed_is_a_run() {
    for seed in 0..3 {
        assert_eq!(tunnel_by_seed(seed, true), tunnel_by_seed(seed, true));
    }
}
