//! What hydrant can be. A role sees events and a context; it never names mio, a clock or another role.

pub mod bench;
pub(crate) mod callers;
pub mod console;
pub mod demo;
pub(crate) mod http;
pub mod hub;
pub(crate) mod journal;
pub mod link;
pub(crate) mod listening;
pub mod metrics;
pub mod pump;
pub mod relay;
pub mod status;
pub(crate) mod tags;
pub mod tls;
pub mod tunnel;
pub mod ws;
