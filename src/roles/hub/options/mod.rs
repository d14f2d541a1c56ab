//! The options of the hub and of its clients, and how settings and words become orders.

mod error;
mod serve;
mod tunnel;
mod user;

pub use error::OrderError;
pub(crate) use error::no_auth;
pub use serve::{SERVE, build_serve};
pub use tunnel::{TUNNEL, build_tunnel};
pub use user::{CLIENT, RECV, SEND, build_client, build_recv, build_send};
