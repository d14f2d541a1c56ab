//! Bytes both ways: clients who talk with a service, through whatever stands between them.
//!
//! ```text
//!   callers.rs ──> {dst}, the processes under measure, {src} ──> service.rs
//!        └── opening, prefix: Dress ──┘           ^
//!                 reel.rs: what every byte is ────┘
//! ```
//!
//! A connection to the service begins with eight bytes that say what it is for (`head`); the rest follows from them. A
//! protocol that wants more around the bytes, or that has no service because its clients answer themselves, gives the
//! callers another [`Dress`].

pub(super) mod callers;
pub(super) mod reel;
mod run;
pub(super) mod service;

pub use self::callers::Callers;
pub use self::service::Service;

use crate::roles::bench::config::Work;

/// What a protocol wants around the bytes of a connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dress {
    /// What a connection begins with, by its number and what it is for.
    pub(super) opening: fn(u32, Work) -> Vec<u8>,
    /// What stands before each message that wants an answer, by the connection's number and the message's length.
    /// Answers come without.
    pub(super) prefix: fn(u32, usize) -> Vec<u8>,
}

impl Dress {
    /// What [`Service`] wants.
    pub(super) const SERVICE: Self = Self {
        opening: |number, work| head(number, work).to_vec(),
        prefix: |_, _| Vec::new(),
    };
}

/// What a connection to [`Service`] begins with: `HYB`, then `U`, `D` or `E` for up, down and echo, then its number as
/// u32 with the most significant byte first.
fn head(number: u32, work: Work) -> [u8; HEAD] {
    let letter = match work {
        Work::Up => b'U',
        Work::Down => b'D',
        Work::Echo => b'E',
    };
    let [a, b, c, d] = number.to_be_bytes();
    [b'H', b'Y', b'B', letter, a, b, c, d]
}

/// A connection's number, and what it is for; `None` if its first bytes are others than [`head`] writes.
fn read_head(head: [u8; HEAD]) -> Option<(u32, Work)> {
    let [b'H', b'Y', b'B', letter, number @ ..] = head else {
        return None;
    };
    let work = match letter {
        b'U' => Work::Up,
        b'D' => Work::Down,
        b'E' => Work::Echo,
        _ => return None,
    };
    Some((u32::from_be_bytes(number), work))
}

const HEAD: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_as_it_was_written() {
        for work in [Work::Up, Work::Down, Work::Echo] {
            assert_eq!(
                read_head(head(0x0102_0304, work)),
                Some((0x0102_0304, work))
            );
        }
        assert_eq!(read_head(*b"HYBX\0\0\0\0"), None);
        assert_eq!(read_head(*b"GET / HT"), None);
    }
}
