//! Records that end with certain bytes. It remembers of a record begun only what the end may have begun in, so no
//! byte is searched again, however many pieces a record comes in.

use super::framing::{DELIM_MAX, Delim};
use super::{Malformed, Piece};

/// Between two pieces.
#[derive(Clone, Debug)]
pub(super) struct Delimited {
    delim: Delim,
    /// The last of several ends in a piece can be told only by going through them all: an end that overlaps the one
    /// before it is none.
    in_order: bool,
    /// The record begun is too long: its end is awaited.
    skipping: bool,
    /// Of the record begun.
    tail: Tail,
}

/// The latest bytes of a record, one fewer than end it.
#[derive(Clone, Debug, Default)]
pub(super) struct Tail {
    bytes: [u8; DELIM_MAX],
    len: usize,
}

impl Delimited {
    pub(super) fn new(delim: Delim) -> Self {
        Self {
            delim,
            in_order: delim.overlaps_itself(),
            skipping: false,
            tail: Tail::default(),
        }
    }

    pub(super) fn feed(&mut self, bytes: &[u8], before: usize, max: usize) -> Piece {
        let seam = self.tail.end(&self.delim, bytes);
        if self.skipping {
            return self.skip(bytes, before, seam, None);
        }
        let reach = self.delim.as_bytes().len() - 1;
        // The record begun starts at `start`, or `begun` bytes before the piece; it does not end before `searched`.
        let (mut start, mut begun, mut searched) = (0, before, 0);
        if let Some(end) = seam
            && before + end <= max
        {
            (start, begun, searched) = (end, 0, end);
        }
        // A search goes no further than the record may: what it finds is near enough then.
        let too_long = loop {
            let limit = bytes.len().min(start.saturating_add(max - begun));
            let within = start.max(searched.saturating_sub(reach))..limit;
            let end = match self.in_order {
                true => self.delim.first_end(bytes, within),
                false => self.delim.last_end(bytes, within),
            };
            let Some(end) = end else {
                break begun + limit - start >= max;
            };
            searched = if self.in_order { end } else { limit };
            (start, begun) = (end, 0);
        };
        if start > 0 {
            self.tail = Tail::default();
            Piece::Whole(start)
        } else if too_long {
            self.skip(bytes, before, seam, Some(Malformed::TooLong { max }))
        } else {
            self.tail.push(&self.delim, bytes);
            Piece::Partial(bytes.len())
        }
    }

    fn skip(
        &mut self,
        bytes: &[u8],
        before: usize,
        seam: Option<usize>,
        why: Option<Malformed>,
    ) -> Piece {
        let end = seam.or_else(|| self.delim.first_end(bytes, 0..bytes.len()));
        self.skipping = end.is_none();
        match end {
            Some(_) => self.tail = Tail::default(),
            None => self.tail.push(&self.delim, bytes),
        }
        Piece::Garbage {
            before,
            bytes: end.unwrap_or(bytes.len()),
            why,
        }
    }
}

impl Tail {
    /// The record goes on with these bytes.
    pub(super) fn push(&mut self, delim: &Delim, bytes: &[u8]) {
        let reach = delim.as_bytes().len() - 1;
        let new = &bytes[bytes.len().saturating_sub(reach)..];
        let kept = self.len.min(reach - new.len());
        self.bytes.copy_within(self.len - kept..self.len, 0);
        self.bytes[kept..kept + new.len()].copy_from_slice(new);
        self.len = kept + new.len();
    }

    /// Where in `bytes` the record ends, if its end begins before them.
    pub(super) fn end(&self, delim: &Delim, bytes: &[u8]) -> Option<usize> {
        if self.len == 0 {
            return None;
        }
        let new = &bytes[..bytes.len().min(delim.as_bytes().len() - 1)];
        let mut both = [0; 2 * DELIM_MAX];
        let len = self.len + new.len();
        both[..self.len].copy_from_slice(&self.bytes[..self.len]);
        both[self.len..len].copy_from_slice(new);
        let end = delim.first_end(&both, 0..len)?;
        Some(end - self.len)
    }
}
