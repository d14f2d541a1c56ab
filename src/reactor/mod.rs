//! The event loop.

pub mod mio_net;
pub mod net;
mod sys;
