//! A frame's header: 12 bytes, big-endian. It knows which headers are well formed, and nothing of streams.
//!
//! ```text
//!   version u8 = 0 | type u8 | flags u16 | stream u32 | length u32
//! ```
//!
//! The length counts the payload that follows (Data), the credit that is added (WindowUpdate), or is an opaque value
//! (Ping) or a code (GoAway); only Data has a payload.

use std::fmt;

use super::error::Violation;

/// Bytes of a header.
pub const HEADER_LEN: usize = 12;

/// A stream of a session. Ids are never used again within it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId(pub(super) u32);

impl StreamId {
    /// No stream's: frames about the session as a whole bear it.
    pub const NONE: Self = Self(0);

    /// The id as it goes over the wire.
    pub fn get(self) -> u32 {
        self.0
    }
}

impl fmt::Debug for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "~{}", self.0)
    }
}

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Payload of a stream.
    Data,
    /// Credit for a stream.
    WindowUpdate,
    /// A question whether the other side is there, or the answer.
    Ping,
    /// No more streams; the session ends.
    GoAway,
}

/// The flags of a header. Bits that nobody has given a meaning are ignored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags(u16);

impl Flags {
    /// None of them.
    pub const NONE: Self = Self(0);
    /// The first frame of a stream; a Ping that asks.
    pub const SYN: Self = Self(1);
    /// The stream was taken; a Ping that answers.
    pub const ACK: Self = Self(2);
    /// The sender's direction of the stream ends with this frame.
    pub const FIN: Self = Self(4);
    /// Both directions of the stream end at once.
    pub const RST: Self = Self(8);

    /// Whether this flag is among them.
    pub fn has(self, flag: Self) -> bool {
        self.0 & flag.0 != 0
    }
}

/// A header that is well formed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// What the frame is.
    pub kind: Kind,
    /// Its flags.
    pub flags: Flags,
    /// The stream's id; 0 for a Ping and a GoAway.
    pub stream: u32,
    /// What the kind says.
    pub length: u32,
}

impl Header {
    /// Reads a header.
    pub fn decode(bytes: &[u8; HEADER_LEN]) -> Result<Self, Violation> {
        let [version, kind, flags @ .., s0, s1, s2, s3, l0, l1, l2, l3] = *bytes;
        if version != VERSION {
            return Err(Violation::Version(version));
        }
        let kind = match kind {
            0 => Kind::Data,
            1 => Kind::WindowUpdate,
            2 => Kind::Ping,
            3 => Kind::GoAway,
            other => return Err(Violation::Type(other)),
        };
        let stream = u32::from_be_bytes([s0, s1, s2, s3]);
        match kind {
            Kind::Data | Kind::WindowUpdate if stream == 0 => return Err(Violation::StreamZero),
            Kind::Ping | Kind::GoAway if stream != 0 => {
                return Err(Violation::SessionFrameOnStream(stream));
            }
            _ => {}
        }
        Ok(Self {
            kind,
            flags: Flags(u16::from_be_bytes(flags)),
            stream,
            length: u32::from_be_bytes([l0, l1, l2, l3]),
        })
    }

    /// The bytes that [`Header::decode`] reads.
    pub fn encode(self) -> [u8; HEADER_LEN] {
        let kind = match self.kind {
            Kind::Data => 0,
            Kind::WindowUpdate => 1,
            Kind::Ping => 2,
            Kind::GoAway => 3,
        };
        let [f0, f1] = self.flags.0.to_be_bytes();
        let [s0, s1, s2, s3] = self.stream.to_be_bytes();
        let [l0, l1, l2, l3] = self.length.to_be_bytes();
        [VERSION, kind, f0, f1, s0, s1, s2, s3, l0, l1, l2, l3]
    }
}

/// Why a session ends, as a GoAway says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GoAway {
    /// As it should; the streams that are open may finish.
    Normal,
    /// The other side broke a rule.
    Protocol,
    /// The sender is in trouble.
    Internal,
    /// A code without a meaning.
    Unknown(u32),
}

impl GoAway {
    pub(super) fn code(self) -> u32 {
        match self {
            Self::Normal => 0,
            Self::Protocol => 1,
            Self::Internal => 2,
            Self::Unknown(code) => code,
        }
    }

    pub(super) fn of(code: u32) -> Self {
        match code {
            0 => Self::Normal,
            1 => Self::Protocol,
            2 => Self::Internal,
            code => Self::Unknown(code),
        }
    }
}

impl fmt::Display for GoAway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Normal => f.write_str("it goes away"),
            Self::Protocol => f.write_str("it says that we broke the protocol"),
            Self::Internal => f.write_str("it says that it is in trouble"),
            Self::Unknown(code) => write!(f, "it goes away, for reason {code}"),
        }
    }
}

const VERSION: u8 = 0;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_header_is_twelve_bytes_in_network_order() {
        let header = Header {
            kind: Kind::WindowUpdate,
            flags: Flags::ACK,
            stream: 0x0102_0304,
            length: 0x0506_0708,
        };
        let bytes = [0, 1, 0, 2, 1, 2, 3, 4, 5, 6, 7, 8];
        assert_eq!(header.encode(), bytes);
        assert_eq!(Header::decode(&bytes), Ok(header));
    }

    #[test]
    fn what_is_no_header_is_named() {
        let decode = |version, kind, stream| {
            Header::decode(&[version, kind, 0, 0, 0, 0, 0, stream, 0, 0, 0, 0])
        };
        assert_eq!(decode(1, 0, 1), Err(Violation::Version(1)));
        assert_eq!(decode(0, 4, 1), Err(Violation::Type(4)));
        assert_eq!(decode(0, 0, 0), Err(Violation::StreamZero));
        assert_eq!(decode(0, 1, 0), Err(Violation::StreamZero));
        assert_eq!(decode(0, 2, 9), Err(Violation::SessionFrameOnStream(9)));
        assert_eq!(decode(0, 3, 9), Err(Violation::SessionFrameOnStream(9)));
    }

    proptest! {
        #[test]
        fn a_header_that_was_read_is_written_as_it_was(bytes: [u8; HEADER_LEN]) {
            let mut bytes = bytes;
            bytes[0] = 0;
            bytes[1] &= 3;
            if let Ok(header) = Header::decode(&bytes) {
                prop_assert_eq!(header.encode(), bytes);
            }
        }
    }
}
