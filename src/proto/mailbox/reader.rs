//! Reads one direction of a connection with a hub.
//!
//! ```text
//! of a client:  Opening ──> Name ──> Head ──> Body ──┐
//! of a hub:                           ^└────────────┘
//! ```

use memchr::memchr;

use super::{DIGITS_MAX, ENVELOPE, Fault, HEAD_MAX, NAME_MAX, NameFault, check_name};

/// Something that bytes mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// The client wants the envelope.
    Envelope,
    /// The client's name, which is one.
    Name(&'a [u8]),
    /// A message begins. Its bytes follow.
    Head {
        /// In a client's stream, to whom it goes; in a hub's, whom it comes from. Empty: the hub. At most
        /// [`NAME_MAX`] bytes without a `|`, which need not be a possible name.
        name: &'a [u8],
        /// How many bytes follow.
        len: u64,
    },
    /// More bytes of the message that has begun; none at all for the end of an empty one.
    Body {
        /// The bytes.
        bytes: &'a [u8],
        /// They are its last ones.
        last: bool,
    },
}

/// Tells what the bytes of one direction mean, however they are cut.
#[derive(Clone, Debug)]
pub struct Reader {
    stage: Stage,
    /// The longest message that is accepted.
    max: u64,
    /// The bytes so far of a name or head that is not complete.
    held: Vec<u8>,
    /// What is held has been told.
    told: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Opening,
    Name,
    Head,
    Body { left: u64 },
}

impl Reader {
    /// A reader of what a client sends, in messages of up to `max` bytes.
    pub fn of_client(max: u64) -> Self {
        Self::at(Stage::Opening, max)
    }

    /// A reader of what a hub sends to a client that has the envelope, in messages of up to `max` bytes.
    pub fn of_hub(max: u64) -> Self {
        Self::at(Stage::Head, max)
    }

    fn at(stage: Stage, max: u64) -> Self {
        Self {
            stage,
            max,
            held: Vec::new(),
            told: false,
        }
    }

    /// Whether a message has begun and is not complete. Its head alone is no beginning.
    pub fn is_within_message(&self) -> bool {
        matches!(self.stage, Stage::Body { .. })
    }

    /// Takes bytes, and tells the next thing that they mean and how many of them that took. To be called until it tells
    /// nothing, which it does when it has taken all of them.
    ///
    /// # Errors
    /// When a rule is broken. The reader is of no use any more.
    pub fn feed<'a>(&'a mut self, bytes: &'a [u8]) -> Result<(usize, Option<Piece<'a>>), Fault> {
        if std::mem::take(&mut self.told) {
            self.held.clear();
        }
        match self.stage {
            Stage::Opening => self.feed_opening(bytes),
            Stage::Name => {
                let Self { held, told, .. } = self;
                let (took, Some(name)) = gather(held, told, bytes, NAME_MAX + 1, name_end)? else {
                    return Ok((bytes.len(), None));
                };
                let name = &name[..name.len() - 1];
                check_name(name).map_err(Fault::Name)?;
                self.stage = Stage::Head;
                Ok((took, Some(Piece::Name(name))))
            }
            Stage::Head => {
                let Self { held, told, .. } = self;
                let (took, Some(head)) = gather(held, told, bytes, HEAD_MAX, head_end)? else {
                    return Ok((bytes.len(), None));
                };
                let (name, len) = take_apart(head);
                if len > self.max {
                    return Err(Fault::TooLong { len, max: self.max });
                }
                self.stage = Stage::Body { left: len };
                Ok((took, Some(Piece::Head { name, len })))
            }
            Stage::Body { left } => Ok(self.feed_body(left, bytes)),
        }
    }

    fn feed_opening<'a>(
        &'a mut self,
        bytes: &'a [u8],
    ) -> Result<(usize, Option<Piece<'a>>), Fault> {
        let Some(first) = self.held.first().or(bytes.first()) else {
            return Ok((0, None));
        };
        if *first != b'|' {
            self.stage = Stage::Name;
            return self.feed(bytes);
        }
        let Self { held, told, .. } = self;
        let (took, Some(_)) = gather(held, told, bytes, ENVELOPE.len(), envelope_end)? else {
            return Ok((bytes.len(), None));
        };
        self.stage = Stage::Name;
        Ok((took, Some(Piece::Envelope)))
    }

    fn feed_body<'a>(&mut self, left: u64, bytes: &'a [u8]) -> (usize, Option<Piece<'a>>) {
        let took = bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let left = left - took as u64;
        if took == 0 && left > 0 {
            return (0, None);
        }
        let last = left == 0;
        self.stage = match last {
            true => Stage::Head,
            false => Stage::Body { left },
        };
        let bytes = &bytes[..took];
        (took, Some(Piece::Body { bytes, last }))
    }
}

/// Where something of up to `max` bytes ends, the first of which are `held`. What is whole is returned in one piece,
/// with how many of `bytes` it took; what is not is held, and took all of them.
///
/// `end` looks from the start each time. With `max` bytes or more it finds an end or a fault, so that a byte costs
/// bounded work, and no more than `max` are held.
fn gather<'a>(
    held: &'a mut Vec<u8>,
    told: &mut bool,
    bytes: &'a [u8],
    max: usize,
    end: fn(&[u8]) -> Result<Option<usize>, Fault>,
) -> Result<(usize, Option<&'a [u8]>), Fault> {
    if held.is_empty() {
        if let Some(len) = end(bytes)? {
            return Ok((len, Some(&bytes[..len])));
        }
        held.extend_from_slice(bytes);
        return Ok((bytes.len(), None));
    }
    let before = held.len();
    let took = bytes.len().min(max - before);
    held.extend_from_slice(&bytes[..took]);
    match end(held)? {
        Some(len) => {
            *told = true;
            Ok((len - before, Some(&held[..len])))
        }
        None => Ok((took, None)),
    }
}

fn envelope_end(bytes: &[u8]) -> Result<Option<usize>, Fault> {
    let known = bytes.len().min(ENVELOPE.len());
    if bytes[..known] != ENVELOPE[..known] {
        return Err(Fault::Opening);
    }
    Ok((known == ENVELOPE.len()).then_some(known))
}

fn name_end(bytes: &[u8]) -> Result<Option<usize>, Fault> {
    match bar_within_name(bytes) {
        None if bytes.len() > NAME_MAX => Err(Fault::Name(NameFault::TooLong)),
        bar => Ok(bar.map(|bar| bar + 1)),
    }
}

fn head_end(bytes: &[u8]) -> Result<Option<usize>, Fault> {
    let Some(bar) = bar_within_name(bytes) else {
        return match bytes.len() > NAME_MAX {
            true => Err(Fault::HeadTooLong),
            false => Ok(None),
        };
    };
    for (digits, byte) in bytes[bar + 1..].iter().enumerate() {
        match byte {
            b'|' if digits == 0 => return Err(Fault::NoLength),
            b'|' => return Ok(Some(bar + 1 + digits + 1)),
            b'0'..=b'9' if digits < DIGITS_MAX => {}
            b'0'..=b'9' => return Err(Fault::TooManyDigits),
            other => return Err(Fault::NotDigit(*other)),
        }
    }
    Ok(None)
}

fn bar_within_name(bytes: &[u8]) -> Option<usize> {
    memchr(b'|', &bytes[..bytes.len().min(NAME_MAX + 1)])
}

/// A complete head's name and LENGTH.
fn take_apart(head: &[u8]) -> (&[u8], u64) {
    let bar = memchr(b'|', head).expect("a complete head has two bars");
    let digits = &head[bar + 1..head.len() - 1];
    let digit = |len: u64, digit: &u8| {
        len.saturating_mul(10)
            .saturating_add(u64::from(digit - b'0'))
    };
    (&head[..bar], digits.iter().fold(0, digit))
}
