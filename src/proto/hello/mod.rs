//! The reverse tunnel's hello: how a backend and `tunnel serve` agree, and prove to each other who they are, before any
//! byte of yamux. No I/O; nonces and tokens are the caller's.
//!
//! ```text
//!   backend                          serve
//!     HELLO      versions, nonce, name  ──>
//!                                <── CHALLENGE  version, nonce, whether a proof is asked for
//!     PROOF      mac                    ──>
//!                                <── ACCEPT     public address, linger, mac     or REFUSE
//! ```
//!
//! A message is `48 59 44 01`, type u8, length u16, and so many bytes of fields: tag u8, length u16, value. Numbers are
//! big-endian. The mac is HMAC-SHA-256(token, label 00 every byte so far of both directions in the order of types, the
//! message's own up to but without its mac field, which is its last).

mod message;
mod sides;

use std::error::Error;
use std::fmt;
use std::str::FromStr;

pub use self::message::{MESSAGE_MAX, Malformed};
pub use self::sides::{Answer, Asked, Asking, Fault, Hello, Proven, Serving, refuse};

/// The first byte of a hello. A peer that begins with 0 speaks yamux at once.
pub const FIRST_BYTE: u8 = MAGIC[0];

/// Bytes of a nonce.
pub const NONCE_LEN: usize = 32;

const MAGIC: [u8; 4] = *b"HYD\x01";

/// What a backend calls itself: 1 to 63 of `a-z 0-9 . _ -`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(String);

impl Name {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Name {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let is_good = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b);
        match (1..=63).contains(&text.len()) && text.bytes().all(is_good) {
            true => Ok(Self(text.to_owned())),
            false => Err(NameError),
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Not a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NameError;

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name has 1 to 63 characters, of a-z 0-9 . _ -")
    }
}

impl Error for NameError {}

/// Why `serve` turns a backend away. The text that goes with it is for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// A message that breaks the rules.
    Malformed,
    /// No version that both speak.
    Version,
    /// The proof is wrong: the token, or the name, which nobody is told.
    Proof,
    /// Another backend holds the name.
    NameInUse,
    /// The wanted port can't be had.
    Port,
    /// As many backends as may be are there.
    Full,
    /// `serve` is about to end.
    Draining,
    /// A code without a meaning.
    Unknown(u8),
}

impl Code {
    /// The code as it goes over the wire.
    pub fn get(self) -> u8 {
        match self {
            Self::Malformed => 1,
            Self::Version => 2,
            Self::Proof => 3,
            Self::NameInUse => 4,
            Self::Port => 5,
            Self::Full => 6,
            Self::Draining => 7,
            Self::Unknown(code) => code,
        }
    }

    fn of(code: u8) -> Self {
        match code {
            1 => Self::Malformed,
            2 => Self::Version,
            3 => Self::Proof,
            4 => Self::NameInUse,
            5 => Self::Port,
            6 => Self::Full,
            7 => Self::Draining,
            code => Self::Unknown(code),
        }
    }
}

#[cfg(test)]
mod tests;
