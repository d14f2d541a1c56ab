//! Which pages may open a WebSocket from a browser (RFC 6454; RFC 6455, section 10.2).

use std::error::Error;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use super::fields::is_visible;
use crate::base::units::Typed;

/// `SCHEME://HOST` or `SCHEME://HOST:PORT`, in small letters and without the scheme's own port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin(String);

impl Origin {
    /// Whether a page's `Origin` field is one of these. A page without an origin (`null`) is none of them, and neither
    /// is one that can't be read.
    pub fn allows(allowed: &[Self], field: &str) -> bool {
        field
            .parse()
            .is_ok_and(|origin: Self| allowed.contains(&origin))
    }

    /// Whether a page comes from this machine, by its `Origin` field: from an address of the loopback, or from
    /// `localhost`. A name that somebody else has let stand for such an address is none of them.
    pub fn is_of_this_machine(field: &str) -> bool {
        let Ok(Self(origin)) = field.parse() else {
            return false;
        };
        let host = origin.split_once("://").map_or("", |(_, host)| host);
        let is_port = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit());
        let host = match host.rsplit_once(':') {
            Some((host, port)) if is_port(port) => host,
            _ => host,
        };
        let bare = host
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'));
        let ip = bare.unwrap_or(host).parse::<IpAddr>();
        let is_local = |name: &str| name == "localhost" || name.ends_with(".localhost");
        ip.map_or_else(|_| is_local(host), |ip| ip.to_canonical().is_loopback())
    }
}

impl FromStr for Origin {
    type Err = OriginError;

    fn from_str(text: &str) -> Result<Self, OriginError> {
        let wrong = || OriginError {
            given: text.to_owned(),
        };
        let (scheme, host) = text.split_once("://").ok_or_else(wrong)?;
        let is_good = scheme.bytes().all(|b| b.is_ascii_alphanumeric())
            && !scheme.is_empty()
            && is_visible(host.as_bytes())
            && !host.contains(['/', '?', '#', '@', ',', '*']);
        if !is_good {
            return Err(wrong());
        }
        let scheme = scheme.to_ascii_lowercase();
        let host = host.to_ascii_lowercase();
        let own_port = match scheme.as_str() {
            "http" | "ws" => ":80",
            "https" | "wss" => ":443",
            _ => "",
        };
        let host = host.strip_suffix(own_port).unwrap_or(&host);
        Ok(Self(format!("{scheme}://{host}")))
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Not an origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OriginError {
    given: String,
}

impl fmt::Display for OriginError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} is not an origin: write https://HOST or http://HOST:PORT, without a path",
            Typed(&self.given)
        )
    }
}

impl Error for OriginError {}
