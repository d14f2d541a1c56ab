//! TCP over WebSocket in a simulated network: 32 seeds, each a life of its own with faults of its own. Each is minutes
//! of three programs and costs a second, hence no more of them here. A seed that fails is named, and
//! `HYDRANT_SEED=n cargo test --test sim_ws replay -- --nocapture` shows all that happened.
//! `HYDRANT_SEEDS=1000..1900 cargo test --test sim_ws more_seeds` lives through as many more as there is time for.

#[path = "common/seeds.rs"]
mod seeds;

use std::ops::Range;

use hydrant::fuzz::ws_by_seed;

fn run(seeds: Range<u64>) {
    let third = seeds.clone().count() / 3;
    let lives = seeds::live(seeds, "sim_ws replay", ws_by_seed);
    let outlived = lives.iter().filter(|life| life.has_owed()).count();
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

#[test]
fn more_seeds() {
    run(seeds::more());
}

#[test]
fn replay() {
    if let Some(seed) = seeds::wanted() {
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
