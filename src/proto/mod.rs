//! Wire formats without I/O and without a clock: bytes in, what they mean out. What a peer sends never panics here, and
//! nothing is allocated by a length that was only declared.

pub mod hello;
pub mod http1;
pub mod mailbox;
pub mod proxy;
pub mod record;
pub mod tls;
pub mod websocket;
pub mod yamux;
