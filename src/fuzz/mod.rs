//! The bodies of the fuzz targets, as plain functions: stable builds and lints them, `tests/corpus.rs` replays what is
//! kept in `fuzz/corpus` through them, and the property tests feed them random bytes.
//!
//! A body takes any bytes at all and panics when what must hold does not. To add a target: a body here and its line in
//! [`TARGETS`], three lines in `fuzz/fuzz_targets`, its name in `fuzz/Cargo.toml`, and a named seed or two.

mod endpoint;
pub mod framing;
mod relay;
mod ring;
pub mod script;
mod tls_record;
mod wheel;

pub use self::endpoint::endpoint;
pub use self::framing::framing;
pub use self::relay::{Played, relay, relay_by_seed, relay_traced};
pub use self::ring::ring;
pub use self::tls_record::tls_record;
pub use self::wheel::wheel;

/// A target: its name, which is also that of its corpus folder and of its file, and its body.
pub type Target = (&'static str, fn(&[u8]));

/// Every target.
pub const TARGETS: &[Target] = &[
    ("endpoint", endpoint),
    ("relay", relay),
    ("framing", framing),
    ("ring", ring),
    ("tls_record", tls_record),
    ("wheel", wheel),
];
