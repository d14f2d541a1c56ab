//! What hydrant can be. A role sees events and a context; it never names mio, a clock or another role.

pub mod bench;
pub mod demo;
pub mod relay;
pub mod tls;
