//! HTTP/1.1 as far as hydrant speaks it: heads of requests and of responses, the upgrade to WebSocket on either side,
//! CONNECT through a proxy, and plain answers. No bodies: whoever wants one reads [`Request::content_length`] bytes.
//!
//! ```text
//!   bytes ──feed──> HeadBuf ──complete──> Request ──> Upgrade ──> 101, then WebSocket
//!                      │                     │           └─ Fault
//!                      └─ Fault              └─ Fault ──> Answer (a status, and a line that says why)
//! ```
//!
//! httparse takes a head apart. What may stand in it is decided here, once and for everybody who reads it, so that what
//! is routed, what is let in and what is logged are never read from different fields. One that can be read in two ways
//! (RFC 9112, section 11.2) is refused, and a head that was refused is the last thing that is read of a connection.

mod answer;
mod connect;
mod fault;
mod fields;
mod head;
mod host;
mod origin;
mod request;
mod response;
#[cfg(test)]
mod tests;
mod upgrade;

pub use self::answer::{Answer, Status};
pub use self::connect::{ConnectError, client_address, connect_request, connected};
pub use self::fault::Fault;
pub use self::fields::Fields;
pub use self::head::{FIELDS_MAX, HEAD_MAX, HeadBuf};
pub use self::host::HostField;
pub use self::origin::{Origin, OriginError};
pub use self::request::{Bearer, Request};
pub use self::response::{Response, ResponseFault};
pub use self::upgrade::{Ask, AskError, NONCE, Nonce, Upgrade, UpgradeFault};
