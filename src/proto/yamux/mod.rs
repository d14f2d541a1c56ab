//! yamux: many streams over one connection, as hashicorp/yamux and its kin speak it. Either role, no I/O, no clock of
//! its own.
//!
//! ```text
//!   connection ──bytes──> feed ──Event, payload borrowed from the bytes──> user
//!   connection <──────────── poll: headers of its own (SYN, ACK, credit, FIN, RST, pings)
//!   connection <──────────── data: the header for payload that the user puts behind it itself
//! ```
//!
//! The verbs: [`Session::feed`] takes what the connection brings; [`Session::poll`] hands out what is to be sent before
//! anything else; [`Session::data`] makes the header of a frame whose payload never passes through here;
//! [`Session::consumed`] says that payload has left the user, so that the peer gets its credit back;
//! [`Session::tick`] keeps the time.
//!
//! It holds no payload. How much of it the user may have to hold follows from the windows, which begin at 256 KiB each
//! and grow with the measured round trip up to [`Limits`].

mod error;
mod flight;
mod frame;
mod guard;
mod input;
mod payload;
mod pings;
mod sending;
mod session;
mod stream;

pub use self::error::{OpenError, Silent, Violation};
pub use self::frame::{Flags, GoAway, HEADER_LEN, Header, Kind, StreamId};
pub use self::payload::Payload;
pub use self::session::{Event, Limits, Session, Side};
pub use self::stream::WINDOW_MIN;

/// The most payload that we put into one frame. There is room for more where there is room for as much: few frames are
/// much smaller than the largest.
pub const PAYLOAD_MAX: usize = 16 << 10;
/// A frame with so much, in bytes.
pub const FRAME_MAX: usize = HEADER_LEN + PAYLOAD_MAX;
/// Where what is under way is bounded, a ping follows each time so many bytes were sent.
pub const FLIGHT_MARK: u64 = 256 << 10;

#[cfg(test)]
mod tests;
