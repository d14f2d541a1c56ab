//! What simulated upstreams say: bytes that tell by themselves whose they are and where in the stream they stand, so
//! that a lost, repeated or altered one shows.
//!
//! The stream is a row of 8-byte blocks. A block is its number and the upstream's, scrambled by a bijection: any
//! sixteen bytes hold a whole block, which is unscrambled to learn the place, and the rest confirms it.

/// The byte at `offset` (less than 2^51) of what `upstream` says.
pub fn pattern(upstream: u16, offset: u64) -> u8 {
    block(upstream, offset / 8)[place(offset)]
}

/// Adds the `count` bytes from `offset` on to `out`.
pub fn pattern_into(upstream: u16, offset: u64, count: usize, out: &mut Vec<u8>) {
    out.reserve(count);
    let (mut at, end) = (offset, offset + count as u64);
    while at < end {
        let rest = &block(upstream, at / 8)[place(at)..];
        let piece = rest.len().min((end - at) as usize);
        out.extend_from_slice(&rest[..piece]);
        at += piece as u64;
    }
}

/// Which upstream said `bytes`, and at which offset they begin. `None` if they are not one piece of one upstream, or
/// fewer than [`LOCATE_MIN`].
pub fn locate(bytes: &[u8]) -> Option<(u16, u64)> {
    if bytes.len() < LOCATE_MIN {
        return None;
    }
    (0..8).find_map(|skip| {
        let whole = bytes[skip..skip + 8].try_into().expect("eight bytes");
        let plain = unscramble(u64::from_le_bytes(whole));
        let upstream = u16::try_from(plain >> 48).expect("sixteen bits");
        let offset = ((plain & NUMBER_MASK) * 8).checked_sub(skip as u64)?;
        let mut follower = Follower {
            upstream,
            head: Vec::new(),
            next: Some(offset),
        };
        follower.feed(bytes).is_ok().then_some((upstream, offset))
    })
}

/// Reads along with one receiver, and complains at the first byte that does not follow the one before.
#[derive(Clone, Debug)]
pub struct Follower {
    upstream: u16,
    // The first few bytes, as long as they are too few to tell where they stand.
    head: Vec<u8>,
    next: Option<u64>,
}

/// A byte that did not follow the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broken {
    /// Where the stream should have gone on; `None` if already its beginning was not this upstream's.
    pub expected: Option<u64>,
}

impl Follower {
    /// A receiver of `upstream`, who may begin anywhere in it.
    pub const fn new(upstream: u16) -> Self {
        Self {
            upstream,
            head: Vec::new(),
            next: None,
        }
    }

    /// A receiver of `upstream` who must begin at `offset`.
    pub const fn starting_at(upstream: u16, offset: u64) -> Self {
        Self {
            upstream,
            head: Vec::new(),
            next: Some(offset),
        }
    }

    /// The offset of the byte that must come next; `None` while it isn't known where the receiver began.
    pub const fn next(&self) -> Option<u64> {
        self.next
    }

    /// Takes what came next.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<(), Broken> {
        let Some(mut next) = self.next else {
            self.head.extend(bytes);
            if self.head.len() >= LOCATE_MIN {
                let head = std::mem::take(&mut self.head);
                let found = locate(&head).filter(|(upstream, _)| *upstream == self.upstream);
                let (_, start) = found.ok_or(Broken { expected: None })?;
                self.next = Some(start + head.len() as u64);
            }
            return Ok(());
        };
        let mut rest = bytes;
        while !rest.is_empty() {
            // Block by block: the simulator's runs spend much of their time here.
            let expected = &block(self.upstream, next / 8)[place(next)..];
            let count = expected.len().min(rest.len());
            let (piece, behind) = rest.split_at(count);
            if piece != &expected[..count] {
                let same = piece.iter().zip(expected).take_while(|(a, b)| a == b);
                return Err(Broken {
                    expected: Some(next + same.count() as u64),
                });
            }
            next += count as u64;
            rest = behind;
        }
        self.next = Some(next);
        Ok(())
    }
}

/// So many bytes are enough to tell where in a stream they stand.
pub const LOCATE_MIN: usize = 16;

const NUMBER_MASK: u64 = (1 << 48) - 1;
const FACTORS: [u64; 3] = [
    0x9e37_79b9_7f4a_7c15,
    0xd6e8_feb8_6659_fd93,
    0xa076_1d64_78bd_642f,
];

fn place(offset: u64) -> usize {
    usize::try_from(offset % 8).expect("less than 8")
}

fn block(upstream: u16, number: u64) -> [u8; 8] {
    let mut x = u64::from(upstream) << 48 | (number & NUMBER_MASK);
    for factor in FACTORS {
        x = x.wrapping_mul(factor);
        x ^= x >> 32;
    }
    x.to_le_bytes()
}

fn unscramble(mut x: u64) -> u64 {
    for factor in FACTORS.into_iter().rev() {
        x ^= x >> 32;
        x = x.wrapping_mul(inverse(factor));
    }
    x
}

/// The number whose product with `odd` is 1 modulo 2^64, by Newton's iteration: each round doubles the good bits.
const fn inverse(odd: u64) -> u64 {
    let mut x = odd;
    let mut round = 0;
    while round < 5 {
        x = x.wrapping_mul(2u64.wrapping_sub(odd.wrapping_mul(x)));
        round += 1;
    }
    x
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(upstream: u16, offset: u64, count: usize) -> Vec<u8> {
        let mut out = Vec::new();
        pattern_into(upstream, offset, count, &mut out);
        out
    }

    #[test]
    fn a_piece_is_its_bytes() {
        for offset in 0..20 {
            for count in 0..20 {
                let single: Vec<u8> = (offset..).take(count).map(|at| pattern(7, at)).collect();
                assert_eq!(piece(7, offset, count), single);
            }
        }
    }

    #[test]
    fn sixteen_bytes_tell_where_they_stand() {
        for offset in (0..100).chain(1 << 40..(1 << 40) + 20) {
            assert_eq!(locate(&piece(3, offset, 16)), Some((3, offset)));
            assert_eq!(locate(&piece(3, offset, 15)), None);
        }
    }

    #[test]
    fn a_lost_repeated_or_altered_byte_shows() {
        let whole = piece(1, 5, 400);
        assert!(Follower::new(1).feed(&whole).is_ok());
        assert!(Follower::new(2).feed(&whole).is_err());
        for at in 0..whole.len() - 1 {
            let mut lost = whole.clone();
            lost.remove(at);
            let mut twice = whole.clone();
            twice.insert(at, whole[at]);
            let mut altered = whole.clone();
            altered[at] ^= 1;
            for bad in [&altered, &lost, &twice] {
                // Bytes next to each other may be equal, and the first one may be the one that is lost.
                let same = bad[..whole.len().min(bad.len())] == whole[..whole.len().min(bad.len())];
                assert!(
                    same || Follower::starting_at(1, 5).feed(bad).is_err(),
                    "{at}"
                );
            }
        }
    }
}
