//! A stream in which each byte depends on its place, so that a receiver can tell what is missing, twice or elsewhere.

use std::io::{ErrorKind, Read, Write};

/// Bytes of the stream from `offset` on.
pub(crate) fn pattern(offset: u64, len: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(len + 16);
    let mut word = offset / 8;
    while bytes.len() < len + 8 {
        let scattered = (word + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        bytes.extend_from_slice(&(scattered ^ scattered >> 29).to_le_bytes());
        word += 1;
    }
    let skip = (offset % 8) as usize;
    bytes.drain(..skip);
    bytes.truncate(len);
    bytes
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
        if let Some(at) = got.iter().zip(&expected).position(|(a, b)| a != b) {
            let wrong = self.at + at as u64;
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
