//! A stream in which each byte depends on its place, so that a receiver can tell what is missing, twice or elsewhere.

use std::io::{ErrorKind, Read, Write};
use std::sync::OnceLock;

/// Bytes of the stream from `offset` on. It repeats, but after a prime number of bytes, so that no buffer on the way is
/// as long as several repeats: that a whole one is lost can't go unseen.
pub(crate) fn pattern(offset: u64, len: usize) -> Vec<u8> {
    static ONCE: OnceLock<Vec<u8>> = OnceLock::new();
    let once = ONCE.get_or_init(|| (0..PERIOD).map(scattered).collect());
    let mut bytes = Vec::with_capacity(len);
    let mut at = (offset % PERIOD) as usize;
    while bytes.len() < len {
        let piece = (once.len() - at).min(len - bytes.len());
        bytes.extend_from_slice(&once[at..at + piece]);
        at = 0;
    }
    bytes
}

fn scattered(place: u64) -> u8 {
    ((place + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8
}

/// Sends the stream, over whatever connection is there.
#[derive(Debug, Default)]
pub(crate) struct Feed {
    /// The offset of the next byte.
    pub(crate) at: u64,
}

impl Feed {
    /// The next `len` bytes.
    #[track_caller]
    pub(crate) fn send(&mut self, to: &mut impl Write, len: usize) {
        let mut left = len;
        while left > 0 {
            let piece = left.min(PIECE);
            to.write_all(&pattern(self.at, piece))
                .unwrap_or_else(|error| panic!("byte {} can't be sent: {error}", self.at));
            self.at += piece as u64;
            left -= piece;
        }
    }
}

/// Receives the stream, and checks every byte of it.
#[derive(Debug)]
pub(crate) struct Taker<S> {
    pub(crate) stream: S,
    /// The offset of the next byte.
    pub(crate) at: u64,
}

/// How a stream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    Orderly,
    Reset,
}

impl<S: Read> Taker<S> {
    /// Expects the stream from `at` on.
    pub(crate) fn new(stream: S, at: u64) -> Self {
        Self { stream, at }
    }

    /// Takes the next `len` bytes.
    #[track_caller]
    pub(crate) fn take(&mut self, len: usize) {
        let end = self.at + len as u64;
        let mut buffer = vec![0; PIECE.min(len)];
        while self.at < end {
            let piece = buffer.len().min((end - self.at) as usize);
            match self.stream.read(&mut buffer[..piece]) {
                Ok(0) => panic!("the stream ended at {}, before {end}", self.at),
                Ok(n) => self.check(&buffer[..n]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => panic!("no byte at {}: {error}", self.at),
            }
        }
    }

    /// Takes all that is left, and says how it ended.
    #[track_caller]
    pub(crate) fn take_rest(&mut self) -> Ending {
        let mut buffer = vec![0; PIECE];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => return Ending::Orderly,
                Ok(n) => self.check(&buffer[..n]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return Ending::Reset,
                Err(error) => panic!("no byte at {}: {error}", self.at),
            }
        }
    }

    #[track_caller]
    fn check(&mut self, got: &[u8]) {
        let expected = pattern(self.at, got.len());
        if got != expected {
            let same = got.iter().zip(&expected).take_while(|(a, b)| a == b);
            let wrong = self.at + same.count() as u64;
            panic!(
                "byte {wrong} is not what was sent; the last piece began at {}",
                self.at
            );
        }
        self.at += got.len() as u64;
    }
}

/// What is written or read at a time.
const PIECE: usize = 64 << 10;

/// The first prime number above 2^20.
const PERIOD: u64 = (1 << 20) + 7;
