//! The reverse tunnel: a service behind a NAT or a firewall gets a public port.
//!
//! ```text
//!   client ──> serve: a port for each backend ══ one connection, dialled from inside ══ expose ──> service
//! ```
//!
//! Both ends speak yamux (`proto::yamux`) behind a hello (`proto::hello`); a backend that begins with yamux itself is
//! taken as it is, and a relay that knows no hello is spoken to in its own way.

pub mod config;
mod expose;
pub mod options;
mod serve;
mod tokens;

pub use self::expose::Expose;
pub use self::serve::Serve;
pub use self::tokens::{Grant, PortRange, Tokens};

use std::time::Duration;

use crate::base::units::Bytes;
use crate::proto::yamux::Limits;
use crate::reactor::net::Keepalive;
use crate::roles::pump::TURN_MAX;
use crate::roles::tags::{pack, unpack};

/// The limits of a session of ours.
fn limits(streams_max: usize) -> Limits {
    Limits {
        streams_max,
        ..Limits::default()
    }
}

/// How soon a dead peer of a tunnel's is noticed by TCP, which also ends what it does not acknowledge.
fn keepalive(idle: Duration) -> Keepalive {
    Keepalive {
        idle,
        user_timeout: Some(2 * idle),
    }
}

/// Clients may pause for as long as they like.
fn client_keepalive(idle: Duration) -> Keepalive {
    Keepalive {
        idle,
        user_timeout: None,
    }
}

/// A client that holds more than its share is reset rather than that a session holds more than this.
const HELD_MAX: usize = 64 << 20;
/// One read of a carrier: what one turn of a stream's sends, so that the reads of a fast session begin and end where
/// the turns do, and what was read is still in the cache when it is written.
const READ_MAX: usize = TURN_MAX;
/// How often a role looks at what has no timer of its own.
const STOCK: Duration = Duration::from_secs(1);

/// What a last line says of bytes that the other end of the session is not known to have.
fn lost(bytes: u64) -> String {
    match bytes {
        0 => String::new(),
        bytes => format!(", up to {} under way lost", Bytes(bytes)),
    }
}
