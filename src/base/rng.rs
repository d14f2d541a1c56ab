//! A small random number generator (SplitMix64): the same seed gives the same numbers, on every machine and for ever.
//!
//! Good for simulations and jitter, not for secrets.

/// A generator and where it stands.
#[derive(Clone, Debug)]
pub struct Rng {
    state: u64,
}

impl Rng {
    /// The generator that begins at `seed`. Every seed is as good as any other.
    pub const fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// The next number, each of the 2^64 equally likely.
    pub const fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number less than `bound`; 0 if `bound` is 0.
    pub const fn below(&mut self, bound: u64) -> u64 {
        // The upper half of the product: no division, and a bias nobody will ever see.
        ((self.next() as u128 * bound as u128) >> 64) as u64
    }

    /// True `per_mille` times of a thousand: never for 0, always from 1,000 on. Always draws, so that a run under one
    /// ratio can be set beside a run under another.
    pub const fn chance(&mut self, per_mille: u32) -> bool {
        self.below(1000) < per_mille as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_a_sequence() {
        let mut rng = Rng::new(1_234_567);
        // The published test vector of SplitMix64.
        assert_eq!(
            [rng.next(), rng.next()],
            [6_457_827_717_110_365_317, 3_203_168_211_198_807_973]
        );
    }

    #[test]
    fn bounds_and_chances_hold_at_their_edges() {
        let mut rng = Rng::new(0);
        assert_eq!(rng.below(0), 0);
        let mut seen = [false; 3];
        for _ in 0..100 {
            seen[usize::try_from(rng.below(3)).expect("less than 3")] = true;
            assert_eq!(rng.below(1), 0);
            assert!(!rng.chance(0));
            assert!(rng.chance(1000));
        }
        assert_eq!(seen, [true; 3]);
        let hits = (0..10_000).filter(|_| rng.chance(250)).count();
        assert!((2_300..2_700).contains(&hits), "{hits}");
    }
}
