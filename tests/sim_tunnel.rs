//! The reverse tunnel in a simulated network: 64 seeds, each a life of its own with faults of its own. A seed that
//! fails is named, and `HYDRANT_SEED=n cargo test --test sim_tunnel replay -- --nocapture` shows all that happened.
//! `HYDRANT_SEEDS=1000..9000 cargo test --test sim_tunnel more_seeds` lives through as many more as there is time for.

#[path = "common/seeds.rs"]
mod seeds;

use std::ops::Range;

use hydrant::fuzz::tunnel_by_seed;

fn run(seeds: Range<u64>) {
    let half = seeds.clone().count() / 2;
    let lives = seeds::live(seeds, "sim_tunnel replay", tunnel_by_seed);
    let outlived = lives.iter().filter(|life| life.has_owed()).count();
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

#[test]
fn more_seeds() {
    run(seeds::more());
}

#[test]
fn replay() {
    if let Some(seed) = seeds::wanted() {
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
