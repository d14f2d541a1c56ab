//! Records with their length in front. A length that no record may have leaves nothing to go by: the rest of the
//! upstream is garbage.

use super::framing::Prefix;
use super::{Malformed, Piece};

/// Between two pieces.
#[derive(Clone, Debug)]
pub(super) struct Prefixed {
    prefix: Prefix,
    /// What has come of the length of the record begun.
    head: [u8; 4],
    head_len: usize,
    lost: bool,
}

impl Prefixed {
    pub(super) fn new(prefix: Prefix) -> Self {
        Self {
            prefix,
            head: [0; 4],
            head_len: 0,
            lost: false,
        }
    }

    pub(super) fn feed(&mut self, bytes: &[u8], before: usize, max: usize) -> Piece {
        let mut why = None;
        let mut end = 0;
        if !self.lost {
            let head = &self.head[..self.head_len];
            let mut begun = before;
            let mut next = self.prefix.record_len(head.iter().chain(bytes));
            while let Some(len) = next {
                if len > max {
                    why = Some(Malformed::Length { given: len, max });
                    break;
                }
                if len - begun > bytes.len() - end {
                    break;
                }
                end += len - begun;
                begun = 0;
                next = self.prefix.record_len(bytes[end..].iter());
            }
        }
        if end > 0 {
            self.head_len = 0;
            return Piece::Whole(end);
        }
        self.lost |= why.is_some();
        if self.lost {
            return Piece::Garbage {
                before,
                bytes: bytes.len(),
                why,
            };
        }
        let missing = self.prefix.width.bytes() - self.head_len;
        for byte in bytes.iter().take(missing) {
            self.head[self.head_len] = *byte;
            self.head_len += 1;
        }
        Piece::Partial(bytes.len())
    }
}
