//! The rules that a peer can break.

use std::error::Error;
use std::fmt;

use super::close::CloseCode;

/// A peer broke a rule of RFC 6455: the connection has to be failed with [`Violation::code`] (section 7.1.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Violation {
    /// A bit is set that only an extension may use, and none was negotiated (5.2).
    ReservedBits,
    /// An opcode that means nothing (5.2).
    Opcode {
        /// Which.
        number: u8,
    },
    /// A control frame in fragments (5.5).
    FragmentedControl,
    /// A control frame of more than 125 bytes (5.5).
    LongControl,
    /// A continuation, and no message has begun (5.4).
    NothingToContinue,
    /// A message within a message (5.4).
    NotContinued,
    /// A client did not mask its frame (5.1).
    NotMasked,
    /// A server did (5.1).
    Masked,
    /// A length with its top bit set (5.2).
    LengthTopBit,
    /// A length that fewer bytes could have said (5.2).
    LengthNotMinimal,
    /// A message longer than is taken here (10.4).
    TooLong {
        /// The longest accepted, in bytes.
        max: u64,
    },
    /// A text that is not UTF-8 (8.1).
    NotUtf8,
    /// A close frame with half a code (5.5.1).
    CloseTooShort,
    /// A close code that may not be sent (7.4).
    CloseCode {
        /// Which.
        number: u16,
    },
    /// The reason for closing is not UTF-8 (5.5.1).
    CloseNotUtf8,
}

impl Violation {
    /// The code to close with.
    pub fn code(self) -> CloseCode {
        match self {
            Self::NotUtf8 | Self::CloseNotUtf8 => CloseCode::NOT_THE_TYPE,
            Self::TooLong { .. } => CloseCode::TOO_BIG,
            _ => CloseCode::PROTOCOL,
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::ReservedBits => "a frame has a reserved bit set, and no extension was negotiated",
            Self::Opcode { number } => return write!(f, "a frame has the unknown opcode {number}"),
            Self::FragmentedControl => "a control frame is in fragments",
            Self::LongControl => "a control frame has more than 125 bytes",
            Self::NothingToContinue => "a frame continues a message that has not begun",
            Self::NotContinued => "a message begins within another",
            Self::NotMasked => "a frame of the client is not masked",
            Self::Masked => "a frame of the server is masked",
            Self::LengthTopBit => "a frame's length has its top bit set",
            Self::LengthNotMinimal => "a frame's length takes more bytes than it needs",
            Self::TooLong { max } => {
                return write!(f, "a message is longer than the {max} bytes accepted");
            }
            Self::NotUtf8 => "a text message is not UTF-8",
            Self::CloseTooShort => "a close frame has half a code",
            Self::CloseCode { number } => return write!(f, "the close code {number} is not one"),
            Self::CloseNotUtf8 => "the reason in a close frame is not UTF-8",
        };
        f.write_str(text)
    }
}

impl Error for Violation {}
