//! What everything else stands on: no I/O, no clock, nothing of ours imported.

pub mod access;
pub mod backoff;
pub mod byte_queue;
pub mod endpoint;
pub mod form;
pub mod laggards;
pub mod option;
pub mod outbox;
pub mod repeats;
pub mod ring;
pub mod rng;
pub mod secret;
pub mod time;
pub mod timeline;
pub mod tokens;
pub mod units;
pub mod wheel;

/// The target of a log record that is not a line of the log but the one status line of a terminal: drawn in place of
/// the one before, and nowhere else.
pub const LIVE: &str = "hydrant::live";
