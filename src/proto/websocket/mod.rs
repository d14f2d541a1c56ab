//! WebSocket (RFC 6455) in either role, from the first frame on; the upgrade before it is HTTP and stands in
//! [`crate::proto::http1`]. No extension is known here, so none may ever be negotiated.
//!
//! A frame need not be whole to be passed on: [`Reader::feed`] hands out pieces of payload as they come, unmasked where
//! they lie, and holds nothing but heads and control frames (125 bytes at most). Sending copies nothing either: a
//! [`FrameHead`] is written before bytes that the caller has. [`Session`] adds what the peer is owed: pongs, and the
//! closing handshake.
//!
//! ```text
//!   bytes ──feed──> head ──> payload ──> Data { kind, bytes, ends } ... (pieces of messages)
//!                     │         └──────> Ping | Pong | Close        (whole, between or within messages)
//!                     └─ a broken rule: Violation, which has a close code; nothing is read after it
//! ```
//!
//! How the bytes were cut into pieces never shows, but in where the pieces of a message end.

mod close;
mod frame;
mod reader;
mod session;
#[cfg(test)]
mod tests;
mod utf8;
mod violation;

pub use self::close::{Close, CloseCode};
pub use self::frame::{CONTROL_MAX, FrameHead, HEAD_MAX, Key, Opcode, mask};
pub use self::reader::{Event, Kind, Reader};
pub use self::session::Session;
pub use self::violation::Violation;

/// Which end of the connection we are. A client masks what it sends, and a server does not (RFC 6455, section 5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// We have asked for the upgrade.
    Client,
    /// We have granted it.
    Server,
}
