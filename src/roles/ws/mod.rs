//! TCP over WebSocket: for networks that let nothing else through.
//!
//! ```text
//!   app ── ws client ══WebSocket══> ws relay <══WebSocket══ ws host ── service
//!             /client/NAME                       /host/NAME
//! ```
//!
//! Between our own programs each WebSocket carries a yamux session (the subprotocol `hydrant.mux.v1`), with a stream
//! for each TCP connection. A program that does not offer it, or a relay that does not choose it, is spoken to in the
//! plain way: one connection at a time, its bytes in binary messages.

mod adapter;
pub mod config;
pub mod options;
mod relay;
mod tokens;
mod url;
mod wire;

pub use self::adapter::Adapter;
pub use self::relay::Relay;
pub use self::tokens::{Part, Tokens, TokensError};
pub use self::url::{Proxy, ProxyError, Url, UrlError};

use std::time::Duration;

use crate::base::units::Bytes;
use crate::proto::yamux::Limits;
use crate::reactor::net::Keepalive;
use crate::roles::tags::{pack, unpack};

/// The subprotocol of our own hosts and clients.
const MUX: &str = "hydrant.mux.v1";

/// The limits of a session, which may hold so many bytes. `ping` is what `--ping` says.
fn limits(streams_max: usize, held_max: usize, ping: Duration) -> Limits {
    Limits {
        streams_max,
        window_max: 4 << 20,
        windows_max: held_max as u64,
        ping_every: ping,
        ping_timeout: 2 * ping,
        flight_max: None,
    }
}

/// How soon a dead peer is noticed by TCP. One that takes nothing for a while is not dead.
fn keepalive(idle: Duration) -> Keepalive {
    Keepalive {
        idle,
        user_timeout: None,
    }
}

/// What a last line says of bytes that the other ends are not known to have.
fn lost(bytes: usize) -> String {
    match bytes {
        0 => String::new(),
        bytes => format!(", up to {} under way lost", Bytes(bytes as u64)),
    }
}

/// What everybody is told at a stop.
const STOPS: &str = "hydrant stops";
/// What one session of a relay's may hold: one of its connections is reset rather than that it holds more.
const HELD_MAX: usize = 16 << 20;
/// One read of a WebSocket: several frames, so that a fast one takes few reads.
const READ_MAX: usize = 256 << 10;
/// Descriptors for what is neither a host's nor a client's.
const RESERVE: usize = 8;
/// How often a role looks at what has no timer of its own, or as often as it pings where that is more often.
const STOCK: Duration = Duration::from_secs(1);
/// How long the other end may take to answer a close.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);
/// What waits for a peer that reads slowly, where no window says how much that may be.
const QUEUE_MAX: usize = 128 << 10;
