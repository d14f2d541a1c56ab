//! Where the records of a byte stream begin and end.
//!
//! It says of an upstream's bytes which are whole records, which belong to one that is not complete yet, and which
//! belong to none. It keeps none of the bytes and does not know where they lie: a caller whose bytes stand in a ring
//! publishes, holds back and removes by the numbers it is told.
//!
//! ```text
//!   passed on or removed    | partial: fed, held back |    fed now
//!   .... record record gap  | the record begun .......|..... record record rec
//!                           |                         |                   |
//!                           |<---- Whole(n): all of the partial and n --->|
//!                           |<- Garbage: `before` of the partial, then `bytes` ->|
//! ```
//!
//! How the bytes were cut into pieces never shows: fed at once, one by one or in any other pieces, the same bytes
//! belong to the same records.

mod delimited;
mod framing;
mod packets;
mod prefixed;
#[cfg(test)]
mod tests;

use std::error::Error;
use std::fmt;

pub use self::framing::{DELIM_MAX, Delim, Framing, FramingError, PACKET, Prefix, Width};

use self::delimited::Delimited;
use self::packets::Packets;
use self::prefixed::Prefixed;

/// Follows one upstream's bytes from record to record.
#[derive(Clone, Debug)]
pub struct Splitter {
    framing: Framing,
    record_max: usize,
    /// How many of the bytes fed are neither passed on nor removed: the beginning of a record, or what may be one.
    partial: usize,
    form: Form,
}

/// What the next bytes are. Never a wrong guess: what has been said of a byte is final, but for the partial ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece {
    /// The partial bytes and the next so many complete one or more records, as many as can be told: all of it may be
    /// passed on. 0 where a byte that belongs to the next record was needed to be sure (mpegts).
    Whole(usize),
    /// The next so many bytes, always all that are left, begin a record or continue it. They are partial from now on.
    Partial(usize),
    /// Bytes that belong to no record: the oldest `before` of the partial ones, and the next `bytes`. As long as
    /// partial ones remain, `bytes` is 0.
    Garbage {
        /// How many of the partial bytes, from the oldest on.
        before: usize,
        /// How many of the bytes being fed.
        bytes: usize,
        /// What was wrong: said with the first garbage of a loss of sync, and not again before the next one.
        why: Option<Malformed>,
    },
}

/// How an upstream broke its framing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// A record did not end in time. Its bytes are garbage up to its end; the next record is passed on again.
    TooLong {
        /// The longest accepted.
        max: usize,
    },
    /// A length that no record may have, so that nobody knows where the next record begins: all is garbage until
    /// [`Splitter::reset`].
    Length {
        /// How long the whole record would be.
        given: usize,
        /// The longest accepted.
        max: usize,
    },
    /// No packet begins where one should. Garbage up to the first of three sync bytes that stand 188 apart.
    NoSync,
}

impl Splitter {
    /// At the beginning of an upstream's bytes. No record longer than `record_max` is passed on.
    ///
    /// # Panics
    /// If not even the shortest record may pass ([`Framing::shortest`]).
    pub fn new(framing: Framing, record_max: usize) -> Self {
        assert!(
            framing.shortest() <= record_max,
            "{framing}: no record fits into {record_max} bytes"
        );
        Self {
            framing,
            record_max,
            partial: 0,
            form: Form::new(framing),
        }
    }

    /// Tells what the next bytes of the upstream are, as far as one piece goes. The caller feeds the rest again until
    /// none is left:
    ///
    /// ```
    /// use hydrant::proto::record::{Framing, Piece, Splitter};
    ///
    /// let mut splitter = Splitter::new(Framing::Line, 80);
    /// let mut rest: &[u8] = b"one\ntwo\nthr";
    /// let mut pieces = Vec::new();
    /// while !rest.is_empty() {
    ///     let piece = splitter.feed(rest);
    ///     rest = &rest[piece.taken()..];
    ///     pieces.push(piece);
    /// }
    /// assert_eq!(pieces, [Piece::Whole(8), Piece::Partial(3)]);
    /// ```
    ///
    /// That ends: a piece takes a byte, or makes partial bytes fewer. No bytes are `Partial(0)`.
    pub fn feed(&mut self, bytes: &[u8]) -> Piece {
        if bytes.is_empty() {
            return Piece::Partial(0);
        }
        let (before, max) = (self.partial, self.record_max);
        let piece = match &mut self.form {
            Form::Raw => Piece::Whole(bytes.len()),
            Form::Fixed(len) => match bytes.len().checked_sub((before + bytes.len()) % *len) {
                Some(whole @ 1..) => Piece::Whole(whole),
                _ => Piece::Partial(bytes.len()),
            },
            Form::Delimited(form) => form.feed(bytes, before, max),
            Form::Prefixed(form) => form.feed(bytes, before, max),
            Form::Packets(form) => form.feed(bytes, before),
        };
        self.partial = match piece {
            Piece::Whole(_) => 0,
            Piece::Partial(taken) => before + taken,
            Piece::Garbage { before: gone, .. } => before - gone,
        };
        piece
    }

    /// Another upstream begins. The partial bytes of the old one, at most [`Framing::partial_max`], die with it.
    pub fn reset(&mut self) {
        self.form = Form::new(self.framing);
        self.partial = 0;
    }
}

impl Piece {
    /// How many of the bytes that were fed it covers.
    pub fn taken(self) -> usize {
        match self {
            Self::Whole(taken) | Self::Partial(taken) | Self::Garbage { bytes: taken, .. } => taken,
        }
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong { max } => {
                write!(f, "a record is longer than the {max} bytes accepted")
            }
            Self::Length { given, max } => {
                write!(f, "a record claims {given} bytes, of {max} accepted")
            }
            Self::NoSync => f.write_str("no MPEG-TS packet begins where one should"),
        }
    }
}

impl Error for Malformed {}

/// What each framing remembers from one piece to the next, besides how many bytes are partial.
#[derive(Clone, Debug)]
enum Form {
    Raw,
    Fixed(usize),
    Delimited(Delimited),
    Prefixed(Prefixed),
    Packets(Packets),
}

impl Form {
    fn new(framing: Framing) -> Self {
        match framing {
            Framing::Raw => Self::Raw,
            Framing::Fixed(len) => Self::Fixed(len.get()),
            Framing::Line => Self::Delimited(Delimited::new(Delim::LINE)),
            Framing::Delim(delim) => Self::Delimited(Delimited::new(delim)),
            Framing::Len(prefix) => Self::Prefixed(Prefixed::new(prefix)),
            Framing::MpegTs => Self::Packets(Packets::new()),
        }
    }
}
