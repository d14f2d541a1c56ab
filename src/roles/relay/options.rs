//! The relay's options, and how settings and words become a `RelayConfig`.

mod build;
mod error;
mod table;

pub use build::build;
pub use error::{FitError, OrderError};
pub use table::OPTIONS;

/// How a relay is asked for, after `hydrant` or `hydrant relay`.
pub const SYNOPSIS: &str = "SRC DST [DST2 ...]";
