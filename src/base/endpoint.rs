//! Where to listen or dial, as a user writes it.

use std::net::IpAddr;
use std::path::PathBuf;

/// A place to listen at or to dial.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// A TCP port on some host.
    Tcp {
        /// Whose.
        host: Host,
        /// The port. 0, to listen: any free one.
        port: u16,
    },
    /// `unix:PATH`: a Unix stream socket.
    Unix(PathBuf),
}

/// Whose port it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    /// `:PORT` or `*:PORT`: every interface to listen on, this machine to dial.
    Any,
    /// A literal address.
    Ip(IpAddr),
    /// A name, looked up anew at every attempt.
    Name(String),
}
