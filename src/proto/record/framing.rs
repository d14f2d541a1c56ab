//! The framings a user can choose: how each is written, how long its records are, and the length of one record whose
//! start is known. Following a stream is the splitter's.

use std::error::Error;
use std::fmt;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::str::FromStr;

use memchr::{memchr, memrchr};

use super::delimited::Tail;
use crate::base::units::{Typed, parse_size};

/// What bounds a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// Nothing: every byte is a record of its own, and every place a boundary.
    Raw,
    /// `\n`, which is the record's last byte.
    Line,
    /// Its length in bytes, the same for all.
    Fixed(NonZeroUsize),
    /// A length in front.
    Len(Prefix),
    /// Some bytes, which are the record's last ones. The first place where they stand counts, whatever overlaps it.
    Delim(Delim),
    /// MPEG transport stream: [`PACKET`] bytes, the first of them 0x47. What passes for a start: at the very beginning
    /// of an upstream, a sync byte there and one 188 further on (so the first packet waits for one byte of the
    /// second); anywhere else, and after a packet without its sync byte, three of them 188 apart. From then on each
    /// packet passes once it is complete.
    MpegTs,
}

/// How a length is written in front of a record: the record is the length's own bytes, as many as it says, and `extra`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prefix {
    /// How many bytes the length takes.
    pub width: Width,
    /// The lowest byte comes first.
    pub little: bool,
    /// Bytes that the length does not count, besides its own.
    pub extra: usize,
}

/// How many bytes a length takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Width {
    /// Two.
    U16,
    /// Four.
    U32,
}

/// The bytes that end a record: 1 to [`DELIM_MAX`] of them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Delim {
    bytes: [u8; DELIM_MAX],
    len: u8,
}

/// The most bytes that may end a record.
pub const DELIM_MAX: usize = 16;

/// The length of an MPEG-TS packet.
pub const PACKET: usize = 188;

/// How many places are tried one by one from one that has a delimiter's last byte, before the next such place is
/// searched for: where that byte stands everywhere, a search each would cost several times as much.
const STRIDE: usize = 32;

/// What every MPEG-TS packet begins with.
pub(super) const SYNC: u8 = 0x47;

/// Why a text names no framing. Each holds what was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FramingError {
    /// There is none of this name.
    Unknown(String),
    /// The length in `fixed:N` is none.
    Fixed(String),
    /// The kind of length in `len:...` is none of the four, or what follows it is not `+N`.
    Len(String),
    /// The bytes in `delim:HEX` are not pairs of hexadecimal digits.
    Delim(String),
    /// There are too many bytes in `delim:HEX`: so many.
    DelimTooLong(usize),
}

impl Framing {
    /// The shortest record there can be: a limit below it would let nothing pass.
    pub fn shortest(&self) -> usize {
        match self {
            Self::Raw | Self::Line => 1,
            Self::Fixed(len) => len.get(),
            Self::Len(prefix) => prefix.width.bytes().saturating_add(prefix.extra),
            Self::Delim(delim) => delim.as_bytes().len(),
            Self::MpegTs => PACKET,
        }
    }

    /// The most bytes that a splitter ever holds back.
    pub fn partial_max(&self, record_max: usize) -> usize {
        match self {
            Self::Raw => 0,
            Self::Fixed(len) => len.get() - 1,
            Self::Line | Self::Len(_) | Self::Delim(_) => record_max - 1,
            Self::MpegTs => 2 * PACKET,
        }
    }

    /// The length of the first whole record in `bytes`, which begin at a boundary. None if it is not complete in
    /// there, or is none that a splitter would have passed on. Raw: 1, since each byte is a record.
    pub fn record_len(&self, bytes: &[u8], record_max: usize) -> Option<usize> {
        self.record_len_in([bytes, &[]], record_max)
    }

    /// [`Framing::record_len`] of bytes that go over a ring's seam: the second slice continues the first.
    pub fn record_len_in(&self, [first, second]: [&[u8]; 2], record_max: usize) -> Option<usize> {
        let held = first.len() + second.len();
        let len = match self {
            Self::Raw => 1,
            Self::Line => Delim::LINE.first_in([first, second], record_max)?,
            Self::Fixed(len) => len.get(),
            Self::Len(prefix) => prefix.record_len(first.iter().chain(second))?,
            Self::Delim(delim) => delim.first_in([first, second], record_max)?,
            Self::MpegTs if first.first().or(second.first()) == Some(&SYNC) => PACKET,
            Self::MpegTs => return None,
        };
        (len <= held && len <= record_max).then_some(len)
    }
}

impl Prefix {
    /// The whole record's length out of its first bytes, none if they are too few.
    pub(super) fn record_len<'a>(&self, mut bytes: impl Iterator<Item = &'a u8>) -> Option<usize> {
        let mut length = [0; 4];
        let length = &mut length[..self.width.bytes()];
        for byte in length.iter_mut() {
            *byte = *bytes.next()?;
        }
        if self.little {
            length.reverse();
        }
        let length = length
            .iter()
            .fold(0, |sum, &byte| sum << 8 | usize::from(byte));
        Some(
            length
                .saturating_add(self.width.bytes())
                .saturating_add(self.extra),
        )
    }
}

impl Width {
    /// The number itself.
    pub const fn bytes(self) -> usize {
        match self {
            Self::U16 => 2,
            Self::U32 => 4,
        }
    }
}

impl Delim {
    pub(super) const LINE: Self = Self {
        bytes: [b'\n', 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        len: 1,
    };

    /// These bytes, if there are not too many of them, nor none.
    pub fn new(bytes: &[u8]) -> Option<Self> {
        let mut own = [0; DELIM_MAX];
        own.get_mut(..bytes.len())?.copy_from_slice(bytes);
        (!bytes.is_empty()).then_some(Self {
            bytes: own,
            len: bytes.len() as u8,
        })
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }

    /// Whether two of it can overlap: some of its first bytes are its last ones too.
    pub(super) fn overlaps_itself(&self) -> bool {
        let bytes = self.as_bytes();
        (1..bytes.len()).any(|len| bytes.starts_with(&bytes[bytes.len() - len..]))
    }

    /// The end of the first one that lies within a part of `bytes`.
    pub(super) fn first_end(&self, bytes: &[u8], within: Range<usize>) -> Option<usize> {
        let (last, mut from) = self.search(within.start);
        while let Some(ahead) = memchr(last, bytes.get(from..within.end)?) {
            let stop = within.end.min(from + ahead + STRIDE);
            let mut places = from + ahead..stop;
            if let Some(place) = places.find(|place| self.ends_at(bytes, *place)) {
                return Some(place + 1);
            }
            from = stop;
        }
        None
    }

    /// The end of the last one that lies within a part of `bytes`.
    pub(super) fn last_end(&self, bytes: &[u8], within: Range<usize>) -> Option<usize> {
        let (last, lowest) = self.search(within.start);
        let mut to = within.end;
        while let Some(ahead) = memrchr(last, bytes.get(lowest..to)?) {
            let stop = lowest.max((lowest + ahead + 1).saturating_sub(STRIDE));
            let mut places = (stop..=lowest + ahead).rev();
            if let Some(place) = places.find(|place| self.ends_at(bytes, *place)) {
                return Some(place + 1);
            }
            to = stop;
        }
        None
    }

    /// Its last byte, and the first place where that may stand.
    fn search(&self, start: usize) -> (u8, usize) {
        let reach = self.as_bytes().len() - 1;
        (self.bytes[reach], start + reach)
    }

    fn ends_at(&self, bytes: &[u8], place: usize) -> bool {
        let mut pairs = bytes[..=place]
            .iter()
            .rev()
            .zip(self.as_bytes().iter().rev());
        pairs.all(|(found, own)| found == own)
    }

    fn first_in(&self, [first, second]: [&[u8]; 2], max: usize) -> Option<usize> {
        let first = &first[..first.len().min(max)];
        let second = &second[..second.len().min(max - first.len())];
        if let Some(end) = self.first_end(first, 0..first.len()) {
            return Some(end);
        }
        let mut tail = Tail::default();
        tail.push(self, first);
        let end = tail.end(self, second);
        let end = end.or_else(|| self.first_end(second, 0..second.len()))?;
        Some(first.len() + end)
    }
}

impl fmt::Debug for Delim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Delim(\"{}\")", self.as_bytes().escape_ascii())
    }
}

impl FromStr for Framing {
    type Err = FramingError;

    fn from_str(text: &str) -> Result<Self, FramingError> {
        match text.split_once(':') {
            None if text == "raw" => Ok(Self::Raw),
            None if text == "line" => Ok(Self::Line),
            None if text == "mpegts" => Ok(Self::MpegTs),
            None if text == "fixed" => Err(FramingError::Fixed(text.to_owned())),
            None if text == "len" => Err(FramingError::Len(text.to_owned())),
            None if text == "delim" => Err(FramingError::Delim(text.to_owned())),
            Some(("fixed", len)) => {
                let len = number(len).and_then(NonZeroUsize::new).map(Self::Fixed);
                len.ok_or_else(|| FramingError::Fixed(text.to_owned()))
            }
            Some(("len", prefix)) => {
                let prefix = parse_prefix(prefix).map(Self::Len);
                prefix.ok_or_else(|| FramingError::Len(text.to_owned()))
            }
            Some(("delim", hex)) => {
                let bytes = parse_hex(hex).filter(|bytes| !bytes.is_empty());
                let bytes = bytes.ok_or_else(|| FramingError::Delim(text.to_owned()))?;
                let delim = Delim::new(&bytes).map(Self::Delim);
                delim.ok_or(FramingError::DelimTooLong(bytes.len()))
            }
            _ => Err(FramingError::Unknown(text.to_owned())),
        }
    }
}

fn number(text: &str) -> Option<usize> {
    usize::try_from(parse_size(text).ok()?).ok()
}

fn parse_prefix(text: &str) -> Option<Prefix> {
    let (kind, extra) = match text.split_once('+') {
        Some((kind, extra)) => (kind, number(extra)?),
        None => (text, 0),
    };
    let (width, little) = match kind {
        "u16be" => (Width::U16, false),
        "u16le" => (Width::U16, true),
        "u32be" => (Width::U32, false),
        "u32le" => (Width::U32, true),
        _ => return None,
    };
    Some(Prefix {
        width,
        little,
        extra,
    })
}

fn parse_hex(text: &str) -> Option<Vec<u8>> {
    let pairs = text.as_bytes().chunks(2);
    let bytes = pairs.map(|pair| {
        let [high, low] = pair else { return None };
        let digit = |c: u8| char::from(c).to_digit(16);
        u8::try_from(digit(*high)? << 4 | digit(*low)?).ok()
    });
    bytes.collect()
}

impl fmt::Display for Framing {
    /// As a user would give it; it reads back to the same.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Raw => f.write_str("raw"),
            Self::Line => f.write_str("line"),
            Self::Fixed(len) => write!(f, "fixed:{len}"),
            Self::Len(prefix) => {
                let bits = 8 * prefix.width.bytes();
                write!(f, "len:u{bits}{}", if prefix.little { "le" } else { "be" })?;
                match prefix.extra {
                    0 => Ok(()),
                    extra => write!(f, "+{extra}"),
                }
            }
            Self::Delim(delim) => {
                f.write_str("delim:")?;
                delim
                    .as_bytes()
                    .iter()
                    .try_for_each(|byte| write!(f, "{byte:02x}"))
            }
            Self::MpegTs => f.write_str("mpegts"),
        }
    }
}

impl fmt::Display for FramingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(given) => write!(
                f,
                "{} is no framing: write raw, line, fixed:N, len:u16be, len:u16le, len:u32be, len:u32le, delim:HEX \
                 or mpegts",
                Typed(given)
            ),
            Self::Fixed(given) => write!(
                f,
                "{} is no length of records: write fixed:N with N bytes, at least 1, as in fixed:512",
                Typed(given)
            ),
            Self::Len(given) => write!(
                f,
                "{} is no kind of length: write len:u16be, len:u16le, len:u32be or len:u32le, with +N behind it if \
                 there are N bytes that it doesn't count, as in len:u16be+2",
                Typed(given)
            ),
            Self::Delim(given) => write!(
                f,
                "{} is no end of a record: write delim:HEX with two hexadecimal digits a byte, as in delim:0d0a",
                Typed(given)
            ),
            Self::DelimTooLong(len) => write!(
                f,
                "{len} bytes are too many for the end of a record: the most are {DELIM_MAX}"
            ),
        }
    }
}

impl Error for FramingError {}
