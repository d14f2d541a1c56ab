//! Who plays in a life of a tunnel of any kind, at its far ends: clients and the service.

use std::time::Duration;

use crate::base::rng::Rng;
use crate::reactor::net::Close;
use crate::sim::{Actor, Content, Ending, Follower, Receiver, Source, pattern_into};

/// Someone who says a pattern, in pieces of any size, and reads what comes.
pub(super) fn source(number: u16, bytes: u64, ending: Ending, rng: &mut Rng) -> Actor {
    Actor::Source(Source {
        content: Content::Pattern(number),
        from: 0,
        to: bytes,
        chunk_max: (1 + rng.below(40_000)).max(bytes / PIECES) as usize,
        gap_max: Duration::from_micros(rng.below(2000)),
        ending,
    })
}

/// Someone who says a little in one go and ends its direction, and reads slowly, but to the end. How much it says, too.
pub(super) fn slow_reader(number: u16, room: usize, rng: &mut Rng) -> (u64, Actor) {
    let bytes = rng.below(room.min(3000) as u64);
    let mut says = Vec::new();
    pattern_into(number, 0, bytes as usize, &mut says);
    let actor = Actor::Receiver(Receiver {
        bytes: 500 + rng.below(4500) as usize,
        every: Duration::from_micros(1000 + rng.below(50_000)),
        half_close_after: Some(Duration::from_millis(rng.below(600))),
        says: vec![(Duration::ZERO, says)],
        ..Receiver::eager()
    });
    (bytes, actor)
}

/// Someone who says a little, and may stall, leave or reset whenever it likes.
pub(super) fn restless(number: u16, says: u64, says_max: u64, rng: &mut Rng) -> Actor {
    let mut first = Vec::new();
    pattern_into(number, 0, says.min(3000) as usize, &mut first);
    Actor::Receiver(Receiver {
        bytes: (1 + rng.below(5000)).max(says_max / READS) as usize,
        every: Duration::from_micros(100 + rng.below(20_000)),
        stall_after: (rng.below(2) == 0).then(|| Duration::from_millis(rng.below(900))),
        leave_after: (rng.below(2) == 0).then(|| {
            let how = [Close::Orderly, Close::Reset][rng.below(2) as usize];
            (Duration::from_millis(rng.below(3000)), how)
        }),
        says: vec![(Duration::from_millis(rng.below(300)), first)],
        ..Receiver::eager()
    })
}

/// How somebody who has said all goes: most wait for what is still to come.
pub(super) fn any_ending(rng: &mut Rng) -> Ending {
    let endings = [
        Ending::HalfClose,
        Ending::HalfClose,
        Ending::Close,
        Ending::Reset,
    ];
    endings[rng.below(4) as usize]
}

/// Whether these bytes begin a pattern.
pub(super) fn begins(number: u16, bytes: &[u8]) -> bool {
    Follower::starting_at(number, 0).feed(bytes).is_ok()
}

/// Much is said in pieces of which the longest is at least this part of it: each costs turns at every hop, and takes
/// time, which ends before two bytes now and then have become 400,000.
const PIECES: u64 = 200;
/// The most that is said is read in no more reads than this, for the same reason.
const READS: u64 = 1000;
