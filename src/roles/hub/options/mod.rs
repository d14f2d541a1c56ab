//! The options of the hub and of its clients, and how settings and words become orders.

mod error;
mod serve;

pub use error::OrderError;
pub(crate) use error::no_auth;
pub use serve::{SERVE, build_serve};

/// How a hub is asked for, after `hydrant hub serve`.
pub const SERVE_WORDS: &str = "ADDR";
