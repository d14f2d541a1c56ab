//! What came in for one stream: the payload of frames that followed each other, as it lies in the input.
//!
//! ```text
//!   input: | header | xxxxxxxx | header | xxxxxxxx | header | xxx...
//!                     └ piece             └ piece             └ piece
//! ```

use std::fmt;
use std::io::IoSlice;

/// Bytes of one stream, in one or several pieces, so that one write can pass them all on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Payload<'a> {
    pieces: [&'a [u8]; PIECES_MAX],
    count: usize,
    len: usize,
}

impl<'a> Payload<'a> {
    /// How many bytes there are in all.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The pieces, in their order.
    pub fn pieces(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        self.pieces.into_iter().take(self.count)
    }

    /// Calls `write` with the pieces, for one vectored write.
    pub fn with_slices<T>(&self, write: impl FnOnce(&[IoSlice<'_>]) -> T) -> T {
        let slices = self.pieces.map(IoSlice::new);
        write(&slices[..self.count])
    }

    /// What is behind the first `count` bytes.
    ///
    /// # Panics
    /// If there are fewer.
    pub fn skip(&self, count: usize) -> Self {
        assert!(count <= self.len, "more than there is");
        let mut rest = Self::default();
        let mut skipped = count;
        for piece in self.pieces() {
            let here = skipped.min(piece.len());
            skipped -= here;
            if here < piece.len() {
                rest.push(&piece[here..]);
            }
        }
        rest
    }

    pub(super) fn takes_more(&self) -> bool {
        self.count < PIECES_MAX
    }

    pub(super) fn push(&mut self, piece: &'a [u8]) {
        self.pieces[self.count] = piece;
        self.count += 1;
        self.len += piece.len();
    }
}

impl Default for Payload<'_> {
    fn default() -> Self {
        Self {
            pieces: [&[]; PIECES_MAX],
            count: 0,
            len: 0,
        }
    }
}

impl<'a> From<&'a [u8]> for Payload<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        let mut payload = Self::default();
        payload.push(bytes);
        payload
    }
}

impl fmt::Debug for Payload<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.pieces()).finish()
    }
}

/// Frames of the largest that a read of 64 KiB may touch, and some small ones more.
const PIECES_MAX: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_skipped_may_end_anywhere() {
        let mut payload = Payload::from(&b"abc"[..]);
        payload.push(b"d");
        payload.push(b"efg");
        assert_eq!(payload.len(), 7);
        for count in 0..=7 {
            let rest = payload.skip(count);
            let bytes: Vec<u8> = rest.pieces().flatten().copied().collect();
            assert_eq!(bytes, b"abcdefg"[count..]);
            assert_eq!((rest.len(), rest.is_empty()), (7 - count, count == 7));
            assert!(rest.pieces().all(|piece| !piece.is_empty()));
        }
    }
}
