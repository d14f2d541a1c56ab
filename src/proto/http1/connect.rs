//! Other programs in between: a proxy through which we go out (CONNECT, RFC 9110, section 9.3.6), and one that stands
//! before us and says for whom it asks.

use std::error::Error;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::fields::{Fields, is_visible};
use super::response::Response;
use crate::base::access::Access;

/// The request that asks a proxy for a way to `target`, `HOST:PORT`. `user`: `NAME:PASSWORD` where it wants one.
///
/// # Errors
/// [`ConnectError::Target`] for a target that no request can have.
pub fn connect_request(target: &str, user: Option<&[u8]>) -> Result<Vec<u8>, ConnectError> {
    let has_port = target
        .rsplit_once(':')
        .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
    if !has_port || !is_visible(target.as_bytes()) {
        return Err(ConnectError::Target);
    }
    let user = user
        .map(|user| format!("Proxy-Authorization: Basic {}\r\n", STANDARD.encode(user)))
        .unwrap_or_default();
    Ok(format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n{user}\r\n").into_bytes())
}

/// Whether the proxy has made the way, having been told `user` in [`connect_request`]. What follows its head comes from
/// the target.
///
/// # Errors
/// [`ConnectError::User`] for a 407, [`ConnectError::Refused`] for any other answer but a 2xx.
pub fn connected(response: &Response<'_>, user: Option<&[u8]>) -> Result<(), ConnectError> {
    if (200..300).contains(&response.status) {
        return Ok(());
    }
    let phrase = response.phrase.chars();
    let phrase = phrase.filter(|c| !c.is_control()).collect();
    Err(match response.status {
        407 => ConnectError::User {
            given: user.is_some(),
            phrase,
        },
        status => ConnectError::Refused { status, phrase },
    })
}

/// Why there is no way through a proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConnectError {
    /// The target is not `HOST:PORT`.
    Target,
    /// The proxy wants to know who asks (407).
    User {
        /// Whether it was told, and does not take that.
        given: bool,
        /// What it calls its answer.
        phrase: String,
    },
    /// The proxy does not want to.
    Refused {
        /// Its status.
        status: u16,
        /// What it calls that.
        phrase: String,
    },
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Target => f.write_str("a proxy needs a target of the form HOST:PORT"),
            Self::User {
                given: true,
                phrase,
            } => write!(
                f,
                "the proxy does not take this user and password (407 {phrase})"
            ),
            Self::User {
                given: false,
                phrase,
            } => write!(
                f,
                "the proxy wants a user and a password (407 {phrase}): write http://USER:PASSWORD@HOST:PORT"
            ),
            Self::Refused { status, phrase } => {
                write!(f, "the proxy refused the connection: {status} {phrase}")
            }
        }
    }
}

impl Error for ConnectError {}

/// Whom a request comes from: `peer` itself, unless that is a trusted proxy. Each proxy adds the address that it was
/// called from at the end of X-Forwarded-For, so the last one that is no trusted proxy is the client; anybody may have
/// made up what stands before it. Where `trusted` names no network, nobody is trusted.
pub fn client_address(peer: IpAddr, fields: &Fields<'_>, trusted: &Access) -> IpAddr {
    let is_trusted = |ip| !trusted.is_all() && trusted.allows(ip);
    let mut from = peer.to_canonical();
    if !is_trusted(from) {
        return from;
    }
    let members: Vec<&[u8]> = fields.members("X-Forwarded-For").collect();
    for member in members.into_iter().rev() {
        // What can't be read hides what stands before it: the last one known is as far as it goes.
        let member = str::from_utf8(member).ok();
        let Some(ip) = member.and_then(address) else {
            break;
        };
        from = ip;
        if !is_trusted(from) {
            break;
        }
    }
    from
}

/// An address, with or without a port, with or without brackets.
fn address(member: &str) -> Option<IpAddr> {
    let bare = member
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    let ip = bare.unwrap_or(member).parse::<IpAddr>().ok();
    let ip = ip.or_else(|| member.parse::<SocketAddr>().ok().map(|at| at.ip()));
    ip.map(|ip| ip.to_canonical())
}
