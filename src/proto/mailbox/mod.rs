//! The hub's protocol: what a client sends, and what a client that asked for the envelope receives.
//!
//! ```text
//! client:  device_a|              its name, within a few seconds; then any number of messages
//!          device_b|5|hello       to whom, how many bytes, the bytes
//!          |3|who                 to the hub itself, whose name is empty
//! hub:     hello                  to a client that did not ask for more: the bytes and nothing else
//!
//! client:  |8|envelopedevice_a|   asks for the envelope before its name
//! hub:     |2|ok                  then everything comes as SENDER|LENGTH|BYTES, the hub's own words from nobody
//!          device_b|5|hello
//! ```
//!
//! [`Reader`] takes either side's bytes, cut anywhere, and tells what they mean. No memory is set aside for a LENGTH:
//! the bytes of a message are handed on as they come, and the reader holds no more than a head that is not complete
//! ([`HEAD_MAX`]).

mod notice;
mod pairing;
mod proof;
mod reader;

use std::error::Error;
use std::fmt;

pub use self::notice::{Names, Notice, Refused, Request};
pub use self::pairing::{EndId, HELLO_EVERY, Heard, PAIRING_HEAD, PIECE_MAX, Pairing};
pub use self::proof::{NONCE_LEN, Nonce, PROOF_LEN, prove, verify};
pub use self::reader::{Piece, Reader};

/// The longest name, in bytes.
pub const NAME_MAX: usize = 255;
/// The most digits that a LENGTH has.
pub const DIGITS_MAX: usize = 20;
/// The longest head: a name, a LENGTH and their two bars.
pub const HEAD_MAX: usize = NAME_MAX + 1 + DIGITS_MAX + 1;

/// What asks for the envelope, in front of the name.
const ENVELOPE: &[u8] = b"|8|envelope";

/// Whether these bytes may be a client's name.
pub fn check_name(name: &[u8]) -> Result<(), NameFault> {
    match name {
        [] => Err(NameFault::Empty),
        _ if name.len() > NAME_MAX => Err(NameFault::TooLong),
        _ if name.contains(&b'|') => Err(NameFault::Bar),
        _ if name.iter().any(u8::is_ascii_control) => Err(NameFault::Control),
        [b' ', ..] | [.., b' '] => Err(NameFault::Space),
        _ => Ok(()),
    }
}

/// Adds how a client begins: its name, and before it what asks for the envelope.
pub fn write_opening(name: &[u8], envelope: bool, out: &mut Vec<u8>) {
    if envelope {
        out.extend_from_slice(ENVELOPE);
    }
    out.extend_from_slice(name);
    out.push(b'|');
}

/// Adds a message's head, behind which its `len` bytes are to follow. `name` is to whom it goes, or whom it comes from.
pub fn write_head(name: &[u8], len: usize, out: &mut Vec<u8>) {
    let mut digits = [b'0'; DIGITS_MAX];
    let (mut at, mut left) = (DIGITS_MAX, len);
    while left > 0 || at == DIGITS_MAX {
        at -= 1;
        digits[at] = b'0' + (left % 10) as u8;
        left /= 10;
    }
    out.extend_from_slice(name);
    out.push(b'|');
    out.extend_from_slice(&digits[at..]);
    out.push(b'|');
}

/// Adds a whole message.
pub fn write_message(name: &[u8], bytes: &[u8], out: &mut Vec<u8>) {
    write_head(name, bytes.len(), out);
    out.extend_from_slice(bytes);
}

/// What is wrong with a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameFault {
    /// It has no byte.
    Empty,
    /// It has more than [`NAME_MAX`] bytes.
    TooLong,
    /// A `|` is in it.
    Bar,
    /// A control character of ASCII is in it.
    Control,
    /// It begins or ends with a space.
    Space,
}

impl fmt::Display for NameFault {
    /// A clause whose subject is the name: "the name ...".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("is empty"),
            Self::TooLong => write!(f, "is longer than {NAME_MAX} bytes"),
            Self::Bar => f.write_str("has a | in it"),
            Self::Control => f.write_str("has a control character in it"),
            Self::Space => f.write_str("begins or ends with a space"),
        }
    }
}

impl Error for NameFault {}

/// How a stream of messages breaks the rules. Nothing that follows can be read any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It begins with a `|`, so without a name, and does not ask for the envelope.
    Opening,
    /// The name that it begins with.
    Name(NameFault),
    /// Whom the message is for, or from, is longer than any name.
    HeadTooLong,
    /// No digit stands where the LENGTH should.
    NoLength,
    /// This byte stands in the LENGTH.
    NotDigit(u8),
    /// The LENGTH has more than [`DIGITS_MAX`] digits.
    TooManyDigits,
    /// The LENGTH is more than is accepted.
    TooLong {
        /// The LENGTH; beyond what a `u64` holds, its largest.
        len: u64,
        /// The most.
        max: u64,
    },
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Opening => f.write_str("no name in front of the first |"),
            Self::Name(fault) => write!(f, "the name {fault}"),
            Self::HeadTooLong => write!(f, "no | within {} bytes of a head", NAME_MAX + 1),
            Self::NoLength => f.write_str("LENGTH is empty"),
            Self::NotDigit(byte) => {
                write!(f, "LENGTH has '{}' in it", byte.escape_ascii())
            }
            Self::TooManyDigits => write!(f, "LENGTH has more than {DIGITS_MAX} digits"),
            Self::TooLong { len, max } => write!(f, "LENGTH {len} is above {max}"),
        }
    }
}

impl Error for Fault {}

#[cfg(test)]
mod tests;
