//! The relay's options, and how settings and words become a `RelayConfig`.

mod build;
mod error;
mod table;
mod wrong;

pub use build::build;
pub use error::{FitError, OrderError};
pub use table::OPTIONS;
pub use wrong::{wrong_destinations, wrong_sources};

/// How a relay is asked for, after `hydrant` or `hydrant relay`.
pub const SYNOPSIS: &str = "SRC DST [DST2 ...]";
