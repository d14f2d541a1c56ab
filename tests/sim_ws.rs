//! TCP over WebSocket in a simulated network: 32 seeds, each a life of its own with faults of its own. Each is minutes
//! of three programs and costs a second, hence no more of them here; the fuzz target `ws` plays as many as it is given
//! time for. A seed that fails is named, and `HYDRANT_SEED=n cargo test --test sim_ws replay -- --nocapture` shows all
//! that happened.

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};

use hydrant::fuzz::ws_by_seed;

fn run(seeds: Range<u64>) {
    let (mut failed, mut outlived) = (Vec::new(), 0);
    let third = (seeds.end - seeds.start) / 3;
    for seed in seeds {
        match catch_unwind(AssertUnwindSafe(|| ws_by_seed(seed, false))) {
            Ok(life) => outlived += u64::from(life.clients_owed + life.services_owed > 0),
            Err(_) => failed.push(seed),
        }
    }
    let first = failed.first().copied().unwrap_or_default();
    assert!(
        failed.is_empty(),
        "seeds that failed: {failed:?}; HYDRANT_SEED={first} cargo test --test sim_ws replay -- --nocapture"
    );
    assert!(
        outlived >= third,
        "in so few lives somebody outlives its WebSocket: {outlived}"
    );
}

#[test]
fn seeds_0_to_7() {
    run(0..8);
}

#[test]
fn seeds_8_to_15() {
    run(8..16);
}

#[test]
fn seeds_16_to_23() {
    run(16..24);
}

#[test]
fn seeds_24_to_31() {
    run(24..32);
}

/// The seed in HYDRANT_SEED, with its trace; without one there is nothing to replay.
#[test]
fn replay() {
    if let Some(seed) = std::env::var("HYDRANT_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok())
    {
        for line in ws_by_seed(seed, true).trace {
            eprintln!("{line}");
        }
    }
}

#[test]
fn a_seed_is_a_run() {
    for seed in 0..3 {
        assert_eq!(ws_by_seed(seed, true), ws_by_seed(seed, true));
    }
}
