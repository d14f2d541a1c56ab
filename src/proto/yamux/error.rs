//! What can go wrong in a session: the rules that a peer may break, and why a stream can't be opened.

use std::error::Error;
use std::fmt;
use std::time::Duration;

/// A rule that the peer broke: the session is over. Each holds what was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Violation {
    /// A version that nobody speaks.
    Version(u8),
    /// A type that there is not.
    Type(u8),
    /// Data or credit for stream 0, which is none.
    StreamZero,
    /// A Ping or a GoAway for a stream.
    SessionFrameOnStream(u32),
    /// The peer opened a stream with an id of our own kind: odd ones are the client's, even ones the server's.
    Parity(u32),
    /// A second SYN for a stream that is open.
    SecondSyn(u32),
    /// A SYN with an id that was used before.
    IdReused(u32),
    /// More data than was granted.
    WindowOverrun {
        /// The stream.
        stream: u32,
        /// What the frame declares.
        len: u32,
        /// What was granted and not used yet.
        granted: u32,
    },
    /// A frame longer than any window ever is.
    FrameTooLong {
        /// What the frame declares.
        len: u32,
        /// The longest window.
        max: u32,
    },
    /// Credit that passes what a u32 holds.
    CreditOverflow(u32),
    /// Data behind the end of its direction.
    DataAfterFin(u32),
    /// A second end of one direction.
    SecondFin(u32),
    /// Too many frames that move nothing: pings, frames without payload, frames for streams that are gone.
    Flood,
    /// More answers are due than there is room for.
    TooManyAnswers,
}

impl fmt::Display for Violation {
    /// A clause whose subject is the peer.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version(version) => write!(f, "speaks version {version} of yamux, or none"),
            Self::Type(kind) => write!(f, "sent a frame of type {kind}, which there is not"),
            Self::StreamZero => f.write_str("sent data or credit for stream 0"),
            Self::SessionFrameOnStream(stream) => {
                write!(f, "sent a ping or a go-away for stream {stream}")
            }
            Self::Parity(stream) => {
                write!(f, "opened stream {stream}, an id of the other side's")
            }
            Self::SecondSyn(stream) => write!(f, "opened stream {stream} twice"),
            Self::IdReused(stream) => write!(f, "used the id {stream} again"),
            Self::WindowOverrun {
                stream,
                len,
                granted,
            } => write!(
                f,
                "sent {len} bytes on stream {stream}, of {granted} granted"
            ),
            Self::FrameTooLong { len, max } => {
                write!(f, "sent a frame of {len} bytes, of {max} that any may have")
            }
            Self::CreditOverflow(stream) => {
                write!(f, "granted stream {stream} more than 4 GiB")
            }
            Self::DataAfterFin(stream) => {
                write!(f, "sent data on stream {stream} behind its end")
            }
            Self::SecondFin(stream) => write!(f, "ended stream {stream} twice"),
            Self::Flood => f.write_str("floods us with frames that move nothing"),
            Self::TooManyAnswers => f.write_str("asks for more answers than there is room for"),
        }
    }
}

impl Error for Violation {}

/// Why no stream can be opened now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenError {
    /// The peer, or we, have said that the session ends.
    GoingAway,
    /// The ids have run out: the session has to be made anew.
    IdsUsedUp,
    /// As many streams as may be wait for the peer to take them.
    Backlog,
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::GoingAway => "the session is going away",
            Self::IdsUsedUp => "the session's stream ids are used up",
            Self::Backlog => "too many streams wait to be taken",
        })
    }
}

impl Error for OpenError {}

/// The peer was asked whether it is there, and nothing has come from it since.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Silent {
    /// For how long.
    pub after: Duration,
}
