//! What a connection says, in either direction: one long reel of random bytes that runs round for ever. Each connection
//! begins at a place of its own, so bytes of another, and bytes out of place, are seen to be wrong.

use crate::base::rng::Rng;

/// The bytes that all connections share.
#[derive(Debug)]
pub(in crate::roles::bench) struct Reel(Vec<u8>);

/// Where a connection stands on the reel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::roles::bench) struct Place(usize);

impl Place {
    /// Where the connection of this number begins.
    pub(in crate::roles::bench) fn of(number: u32) -> Self {
        Self(Rng::new(u64::from(number)).below(ROUND as u64) as usize)
    }

    /// Goes on by so many bytes.
    pub(in crate::roles::bench) fn advance(&mut self, bytes: usize) {
        self.0 = (self.0 + bytes) % ROUND;
    }
}

impl Reel {
    pub(in crate::roles::bench) fn new() -> Self {
        let mut rng = Rng::new(0);
        let mut bytes: Vec<u8> = (0..ROUND.div_ceil(8))
            .flat_map(|_| rng.next().to_le_bytes())
            .collect();
        bytes.truncate(ROUND);
        bytes.extend_from_within(..PIECE);
        Self(bytes)
    }

    /// The next bytes from a place on, as many as there are in one piece, at most `most`.
    pub(in crate::roles::bench) fn piece(&self, from: Place, most: usize) -> &[u8] {
        &self.0[from.0..from.0 + most.min(PIECE)]
    }

    /// Adds the next `count` bytes to a message.
    pub(in crate::roles::bench) fn write(&self, mut from: Place, count: usize, into: &mut Vec<u8>) {
        let mut left = count;
        while left > 0 {
            let piece = self.piece(from, left);
            into.extend_from_slice(piece);
            from.advance(piece.len());
            left -= piece.len();
        }
    }

    /// Whether these are the next bytes.
    pub(in crate::roles::bench) fn is_at(&self, mut from: Place, bytes: &[u8]) -> bool {
        bytes.chunks(PIECE).all(|chunk| {
            let same = self.piece(from, chunk.len()) == chunk;
            from.advance(chunk.len());
            same
        })
    }
}

/// After so many bytes the reel begins again: a prime, so that it is out of step with every buffer.
const ROUND: usize = 1_048_573;
/// What can be had in one piece.
const PIECE: usize = 256 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_runs_round_and_tells_right_from_wrong() {
        let reel = Reel::new();
        let (mut place, mut all) = (Place::of(7), Vec::new());
        reel.write(place, 3 * ROUND, &mut all);
        assert!(reel.is_at(place, &all));
        all[2 * ROUND] ^= 1;
        assert!(!reel.is_at(place, &all));
        assert!(!reel.is_at(Place::of(8), &all[..64]));
        place.advance(ROUND);
        assert_eq!(place, Place::of(7));
        place.advance(1);
        assert!(reel.is_at(place, &all[1..1000]));
    }
}
