//! Simulated lives by their seeds: many of them, of which those that fail are named, and one with all that happens in
//! it.

use std::env;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Lives through all of these, and returns what each came to.
///
/// # Panics
/// When one has: the message names all of those, and how the first is replayed by `replay`, as `sim_hub replay`.
pub(crate) fn live<T>(seeds: Range<u64>, replay: &str, life: fn(u64, bool) -> T) -> Vec<T> {
    let (mut failed, mut lives) = (Vec::new(), Vec::new());
    for seed in seeds {
        match catch_unwind(AssertUnwindSafe(|| life(seed, false))) {
            Ok(life) => lives.push(life),
            Err(_) => failed.push(seed),
        }
    }
    if let Some(first) = failed.first() {
        panic!(
            "seeds that failed: {failed:?}; HYDRANT_SEED={first} cargo test --test {replay} -- --nocapture"
        );
    }
    lives
}

/// The seeds in HYDRANT_SEEDS, as `1000..9000`; none if it is not set.
pub(crate) fn more() -> Range<u64> {
    let Ok(range) = env::var("HYDRANT_SEEDS") else {
        return 0..0;
    };
    let (from, to) = range.split_once("..").expect("HYDRANT_SEEDS=FROM..TO");
    let number = |text: &str| text.parse().expect("a seed is a number");
    let seeds = number(from)..number(to);
    assert!(!seeds.is_empty(), "HYDRANT_SEEDS names no seed");
    seeds
}

/// The seed in HYDRANT_SEED, of the life that is to be shown.
pub(crate) fn wanted() -> Option<u64> {
    let seed = env::var("HYDRANT_SEED").ok()?;
    Some(seed.parse().expect("a seed is a number"))
}
