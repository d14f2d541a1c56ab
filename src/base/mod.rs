//! What everything else stands on: no I/O, no clock, nothing of ours imported.

pub mod backoff;
pub mod endpoint;
pub mod laggards;
pub mod option;
pub mod repeats;
pub mod ring;
pub mod rng;
pub mod time;
pub mod timeline;
pub mod units;
pub mod wheel;
