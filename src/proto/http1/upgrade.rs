//! From HTTP to WebSocket (RFC 6455, section 4), as the server that grants it and as the client that asks for it.

use std::error::Error;
use std::fmt;
use std::str;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest, Sha1};

use super::answer::{Answer, Status};
use super::fault::Fault;
use super::fields::{Fields, Twice, is_token, is_visible};
use super::request::{Request, only};
use super::response::Response;

/// Sixteen random bytes that a client draws for each upgrade.
pub type Nonce = [u8; NONCE];
/// How many bytes a nonce has.
pub const NONCE: usize = 16;

/// A request for an upgrade that can be granted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upgrade {
    accept: String,
    protocol: Option<&'static str>,
}

impl Upgrade {
    /// Looks at a request. Of the subprotocols that are `spoken` here, the first one that was offered is chosen; where
    /// none was, the connection goes on without one.
    pub fn of(request: &Request<'_>, spoken: &[&'static str]) -> Result<Self, UpgradeFault> {
        request.without_body()?;
        let fields = &request.fields;
        if request.method != "GET" {
            return Err(UpgradeFault::Method);
        }
        if !request.is_1_1
            || !fields.lists("Upgrade", "websocket")
            || !fields.lists("Connection", "upgrade")
        {
            return Err(UpgradeFault::NotAsked);
        }
        if only(fields, "Sec-WebSocket-Version")? != Some(VERSION.as_bytes()) {
            return Err(UpgradeFault::Version);
        }
        let key = only(fields, "Sec-WebSocket-Key")?.ok_or(UpgradeFault::Key)?;
        let is_nonce = key.len() == KEY && STANDARD.decode(key).is_ok_and(|key| key.len() == NONCE);
        if !is_nonce {
            return Err(UpgradeFault::Key);
        }
        let offered: Vec<&str> = fields.list("Sec-WebSocket-Protocol").collect();
        let protocol = spoken.iter().find(|spoken| offered.contains(spoken));
        Ok(Self {
            accept: accept(key),
            protocol: protocol.copied(),
        })
    }

    /// The subprotocol that was chosen.
    pub fn protocol(&self) -> Option<&'static str> {
        self.protocol
    }

    /// The response that grants it. WebSocket follows it. No extension is ever granted.
    pub fn grant(&self) -> Vec<u8> {
        let protocol = self
            .protocol
            .map(|name| format!("Sec-WebSocket-Protocol: {name}\r\n"))
            .unwrap_or_default();
        let text = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {}\r\n{protocol}\r\n",
            self.accept
        );
        text.into_bytes()
    }
}

/// Why an upgrade is not granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpgradeFault {
    /// The request itself is at fault.
    Request(Fault),
    /// Another method than GET.
    Method,
    /// Plain HTTP, as a browser asks that was given the address of a WebSocket.
    NotAsked,
    /// Another version than 13.
    Version,
    /// No key, or one that is not sixteen bytes in base64.
    Key,
}

impl From<Fault> for UpgradeFault {
    fn from(fault: Fault) -> Self {
        Self::Request(fault)
    }
}

impl fmt::Display for UpgradeFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Request(fault) => fault.fmt(f),
            Self::Method => f.write_str("a WebSocket begins with GET"),
            Self::NotAsked => {
                f.write_str("this is a WebSocket: open it with ws:// or wss:// in its address")
            }
            Self::Version => write!(f, "only version {VERSION} of WebSocket is spoken here"),
            Self::Key => f.write_str("the Sec-WebSocket-Key is not 16 bytes in base64"),
        }
    }
}

impl Error for UpgradeFault {}

impl From<UpgradeFault> for Answer {
    fn from(fault: UpgradeFault) -> Self {
        let why = fault.to_string();
        match fault {
            UpgradeFault::Request(fault) => fault.into(),
            UpgradeFault::Method => {
                Self::new(Status::METHOD_NOT_ALLOWED, &why).field("Allow", "GET")
            }
            UpgradeFault::NotAsked => {
                Self::new(Status::UPGRADE_REQUIRED, &why).field("Upgrade", "websocket")
            }
            UpgradeFault::Version => Self::new(Status::UPGRADE_REQUIRED, &why)
                .field("Upgrade", "websocket")
                .field("Sec-WebSocket-Version", VERSION),
            UpgradeFault::Key => Self::new(Status::BAD_REQUEST, &why),
        }
    }
}

/// What a client asks for.
#[derive(Clone, Copy)]
pub struct Ask<'a> {
    /// `HOST`, or `HOST:PORT` where the port is not the scheme's own.
    pub host: &'a str,
    /// The path, and the query if there is one.
    pub path: &'a str,
    /// Subprotocols, the best first.
    pub offered: &'a [&'static str],
    /// The token to be let in by.
    pub bearer: Option<&'a [u8]>,
    /// Drawn anew for each attempt.
    pub nonce: &'a Nonce,
}

/// Why a client can't ask, or was not granted what it asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AskError {
    /// The host, the path or the token has something in it that no request can have: which of them.
    Unwritable(&'static str),
    /// Another answer than 101: its status, and what the server calls it.
    Refused(u16, String),
    /// 101, but this field of it is missing or wrong.
    Field(&'static str),
}

impl fmt::Display for AskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unwritable(what) => {
                write!(
                    f,
                    "the {what} has characters in it that a request can't have"
                )
            }
            Self::Refused(status, phrase) => {
                let shown: String = phrase.chars().filter(|c| !c.is_control()).collect();
                write!(f, "the server refused the upgrade: {status} {shown}")
            }
            Self::Field(field) => write!(f, "the server's upgrade has no good {field}"),
        }
    }
}

impl Error for AskError {}

impl Ask<'_> {
    /// The request.
    pub fn request(&self) -> Result<Vec<u8>, AskError> {
        let mut text = Vec::new();
        let good = [
            ("host", is_visible(self.host.as_bytes())),
            (
                "path",
                self.path.starts_with('/') && is_visible(self.path.as_bytes()),
            ),
            ("token", self.bearer.is_none_or(is_visible)),
            (
                "subprotocol",
                self.offered.iter().all(|name| is_token(name)),
            ),
        ];
        if let Some((what, _)) = good.iter().find(|(_, good)| !good) {
            return Err(AskError::Unwritable(what));
        }
        let lines = format!(
            "GET {} HTTP/1.1\r\nHost: {}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: {}\r\nSec-WebSocket-Version: {VERSION}\r\n",
            self.path,
            self.host,
            STANDARD.encode(self.nonce)
        );
        text.extend_from_slice(lines.as_bytes());
        if !self.offered.is_empty() {
            let offered = self.offered.join(", ");
            text.extend_from_slice(format!("Sec-WebSocket-Protocol: {offered}\r\n").as_bytes());
        }
        if let Some(token) = self.bearer {
            text.extend_from_slice(b"Authorization: Bearer ");
            text.extend_from_slice(token);
            text.extend_from_slice(b"\r\n");
        }
        text.extend_from_slice(b"\r\n");
        Ok(text)
    }

    /// Looks at the answer. Granted, it returns the subprotocol that the server has chosen.
    pub fn granted(&self, response: &Response<'_>) -> Result<Option<&'static str>, AskError> {
        let fields = &response.fields;
        if response.status != 101 {
            return Err(AskError::Refused(
                response.status,
                response.phrase.to_owned(),
            ));
        }
        let only = |field| fields.only(field).map_err(|Twice| AskError::Field(field));
        if !lists_only(fields, "Upgrade", "websocket") {
            return Err(AskError::Field("Upgrade"));
        }
        if !fields.lists("Connection", "upgrade") {
            return Err(AskError::Field("Connection"));
        }
        let expected = accept(STANDARD.encode(self.nonce).as_bytes());
        if only("Sec-WebSocket-Accept")? != Some(expected.as_bytes()) {
            return Err(AskError::Field("Sec-WebSocket-Accept"));
        }
        if fields.list("Sec-WebSocket-Extensions").next().is_some() {
            return Err(AskError::Field("Sec-WebSocket-Extensions"));
        }
        const PROTOCOL: &str = "Sec-WebSocket-Protocol";
        let Some(chosen) = only(PROTOCOL)? else {
            return Ok(None);
        };
        let ours = self.offered.iter().find(|name| name.as_bytes() == chosen);
        ours.copied().map(Some).ok_or(AskError::Field(PROTOCOL))
    }
}

fn lists_only(fields: &Fields<'_>, name: &str, member: &str) -> bool {
    let mut list = fields.list(name);
    list.next()
        .is_some_and(|first| first.eq_ignore_ascii_case(member))
        && list.next().is_none()
}

/// What proves that the server has read the key (RFC 6455, section 4.2.2).
fn accept(key: &[u8]) -> String {
    let mut hash = Sha1::new();
    hash.update(key);
    hash.update(b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    STANDARD.encode(hash.finalize())
}

const VERSION: &str = "13";
const KEY: usize = 24; // sixteen bytes in base64

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 6455, section 1.3.
    #[test]
    fn a_key_is_answered_as_the_rfc_shows_it() {
        assert_eq!(
            accept(b"dGhlIHNhbXBsZSBub25jZQ=="),
            "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        );
    }
}
