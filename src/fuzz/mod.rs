//! The bodies of the fuzz targets, as plain functions: stable builds and lints them, `tests/corpus.rs` replays what is
//! kept in `fuzz/corpus` through them, and the property tests feed them random bytes.
//!
//! A body takes any bytes at all and panics when what must hold does not. To add a target: a body here and its line in
//! [`TARGETS`], three lines in `fuzz/fuzz_targets`, its name in `fuzz/Cargo.toml`, and a named seed or two.

mod cast;
mod console;
mod endpoint;
pub mod framing;
mod http1;
mod hub;
#[cfg(test)]
mod live_tests;
mod mailbox;
mod owed;
mod relay;
mod ring;
mod run_file;
pub mod script;
mod tls_record;
mod tunnel;
pub mod websocket;
mod wheel;
mod ws;
mod yamux;

pub use self::console::{console, console_by_seed};
pub use self::endpoint::endpoint;
pub use self::framing::framing;
pub use self::http1::http1;
pub use self::hub::{HubPlayed, hub, hub_by_seed};
pub use self::mailbox::mailbox;
pub use self::owed::TunnelLife;
pub use self::relay::{Played, relay, relay_by_seed, relay_traced};
pub use self::ring::ring;
pub use self::run_file::run_file;
pub use self::tls_record::tls_record;
pub use self::tunnel::{hub_tunnel, hub_tunnel_by_seed, tunnel, tunnel_by_seed};
pub use self::websocket::websocket;
pub use self::wheel::wheel;
pub use self::ws::{ws, ws_by_seed};
pub use self::yamux::yamux;

/// A target: its name, which is also that of its corpus folder and of its file, and its body.
pub type Target = (&'static str, fn(&[u8]));

/// Every target.
pub const TARGETS: &[Target] = &[
    ("console", console),
    ("endpoint", endpoint),
    ("relay", relay),
    ("framing", framing),
    ("hub", hub),
    ("hub_tunnel", hub_tunnel),
    ("mailbox", mailbox),
    ("ring", ring),
    ("run_file", run_file),
    ("tls_record", tls_record),
    ("tunnel", tunnel),
    ("http1", http1),
    ("websocket", websocket),
    ("wheel", wheel),
    ("ws", ws),
    ("yamux", yamux),
];
