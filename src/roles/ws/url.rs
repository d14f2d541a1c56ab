//! Where a relay is, and the proxy on the way there: `ws://HOST[:PORT][/PATH]`, `http://[USER:PASSWORD@]HOST:PORT`.

use std::error::Error;
use std::fmt;
use std::str::FromStr;

use crate::base::endpoint::{Endpoint, EndpointError};
use crate::base::secret::{Secret, shown};
use crate::base::units::Typed;

/// The address of a WebSocket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    /// Where to connect.
    pub endpoint: Endpoint,
    /// What stands in the Host field: the port only where it is not the scheme's own.
    pub host: String,
    /// The path, and the query if there is one. `/` where none was given.
    pub path: String,
}

impl Url {
    /// `HOST:PORT`, as a proxy wants it.
    pub fn target(&self) -> String {
        match &self.endpoint {
            Endpoint::Tcp { host, port, .. } => format!("{host}:{port}"),
            Endpoint::Unix(path) => path.display().to_string(),
        }
    }

    /// Whether it is `wss://`.
    pub fn is_tls(&self) -> bool {
        self.endpoint.is_tls()
    }
}

impl FromStr for Url {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        let given = || shown(text);
        let (scheme, rest) = text
            .split_once("://")
            .ok_or_else(|| UrlError::Scheme { given: given() })?;
        let tls = match scheme.to_ascii_lowercase().as_str() {
            "ws" => false,
            "wss" => true,
            _ => return Err(UrlError::Scheme { given: given() }),
        };
        let at = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(at);
        if authority.contains('@') {
            return Err(UrlError::User);
        }
        // A password may have anything in it: where no host can be made out, all before an @ may be one.
        let own_port = if tls { 443 } else { 80 };
        let endpoint = match endpoint_of(authority, own_port) {
            Err(_) if rest.contains('@') => return Err(UrlError::User),
            endpoint => endpoint.map_err(UrlError::Endpoint)?,
        };
        if path.contains('#') {
            return Err(UrlError::Fragment);
        }
        if !path.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(UrlError::Path { given: given() });
        }
        let host = match &endpoint {
            Endpoint::Tcp { host, port, .. } if *port == own_port => host.to_string(),
            Endpoint::Tcp { host, port, .. } => format!("{host}:{port}"),
            Endpoint::Unix(_) => return Err(UrlError::Path { given: given() }),
        };
        let endpoint = match endpoint {
            Endpoint::Tcp { host, port, .. } => Endpoint::Tcp { host, port, tls },
            unix @ Endpoint::Unix(_) => unix,
        };
        let path = match path {
            "" => "/".to_owned(),
            path if path.starts_with('/') => path.to_owned(),
            query => format!("/{query}"),
        };
        Ok(Self {
            endpoint,
            host,
            path,
        })
    }
}

impl fmt::Display for Url {
    /// Without what stands behind the `?`, which may be anybody's secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_tls() { "wss" } else { "ws" };
        let path = self.path.split('?').next().unwrap_or_default();
        write!(f, "{scheme}://{}{path}", self.host)
    }
}

/// An endpoint whose port may be left out.
fn endpoint_of(authority: &str, own_port: u16) -> Result<Endpoint, EndpointError> {
    match Endpoint::plain(authority) {
        Err(EndpointError::NoPort { host }) if !host.is_empty() => {
            Endpoint::plain(&format!("{host}:{own_port}"))
        }
        Ok(_) if authority.bytes().all(|byte| byte.is_ascii_digit()) => {
            Err(EndpointError::BadHost {
                host: authority.to_owned(),
            })
        }
        other => other,
    }
}

/// Not the address of a WebSocket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UrlError {
    /// It does not begin with `ws://` or `wss://`.
    Scheme {
        /// As it was given, without what may be a secret.
        given: String,
    },
    /// A user stands in it: a command line is no place for secrets.
    User,
    /// Something stands behind a `#`.
    Fragment,
    /// Something in it can't stand in a request.
    Path {
        /// As it was given, without what may be a secret.
        given: String,
    },
    /// The host or the port is wrong.
    Endpoint(EndpointError),
}

impl fmt::Display for UrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Scheme { given } => write!(
                f,
                "{} is no WebSocket's address: write ws://HOST:PORT/PATH or wss://HOST/PATH",
                Typed(given)
            ),
            Self::User => f.write_str(
                "a URL takes no user and no password: a token goes into --token-file or HYDRANT_TOKEN",
            ),
            Self::Fragment => f.write_str("a WebSocket's address has no # in it"),
            Self::Path { given } => write!(
                f,
                "{} has something in it that no request can have",
                Typed(given)
            ),
            Self::Endpoint(error) => error.fmt(f),
        }
    }
}

impl Error for UrlError {}

/// An HTTP proxy that makes a way by CONNECT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proxy {
    /// Where it is.
    pub endpoint: Endpoint,
    /// `USER:PASSWORD`, where it wants one.
    pub user: Option<Secret>,
}

impl FromStr for Proxy {
    type Err = ProxyError;

    fn from_str(text: &str) -> Result<Self, ProxyError> {
        let rest = match text.split_once("://") {
            None => text,
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => rest,
            Some((scheme, _)) => {
                return Err(ProxyError::Scheme {
                    scheme: scheme.to_owned(),
                });
            }
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (user, authority) = match rest.rsplit_once('@') {
            Some((user, authority)) => (Some(decoded(user).ok_or(ProxyError::User)?), authority),
            None => (None, rest),
        };
        let endpoint = endpoint_of(authority, PROXY_PORT).map_err(ProxyError::Endpoint)?;
        Ok(Self {
            endpoint,
            user: user.map(Secret::from),
        })
    }
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.endpoint.fmt(f)
    }
}

/// What stands behind percent signs (RFC 3986, section 2.1). `None`: what stands there is no number, or the result
/// would break a line.
fn decoded(text: &str) -> Option<Vec<u8>> {
    let mut bytes = text.bytes();
    let mut out = Vec::new();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'%' => {
                let digit = |byte: u8| char::from(byte).to_digit(16);
                (digit(bytes.next()?)? * 16 + digit(bytes.next()?)?) as u8
            }
            byte => byte,
        });
    }
    (!out.iter().any(u8::is_ascii_control)).then_some(out)
}

/// Not a proxy's address. It never shows what was given, which may hold a password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProxyError {
    /// Another scheme than `http`.
    Scheme {
        /// Which.
        scheme: String,
    },
    /// The user or the password can't be read.
    User,
    /// The host or the port is wrong.
    Endpoint(EndpointError),
}

impl fmt::Display for ProxyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Scheme { scheme } => write!(
                f,
                "a proxy at {}:// is not supported: write http://HOST:PORT",
                Typed(scheme)
            ),
            Self::User => f.write_str("the proxy's user and password can't be read"),
            Self::Endpoint(error) => error.fmt(f),
        }
    }
}

impl Error for ProxyError {}

/// What curl takes where none is given.
const PROXY_PORT: u16 = 1080;

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        text.parse()
            .unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn an_address_is_taken_apart() {
        let plain = url("ws://relay.example/host/web");
        assert_eq!(plain.target(), "relay.example:80");
        assert_eq!((&*plain.host, &*plain.path), ("relay.example", "/host/web"));
        let secure = url("WSS://[2001:db8::1]:8443?token=hidden");
        assert_eq!(secure.target(), "[2001:db8::1]:8443");
        assert_eq!(secure.path, "/?token=hidden");
        assert!(secure.is_tls());
        assert_eq!(secure.to_string(), "wss://[2001:db8::1]:8443/");
        assert_eq!(url("wss://relay.example").target(), "relay.example:443");
        assert_eq!(url("wss://relay.example:443/x").host, "relay.example");
        assert_eq!(url("ws://10.0.0.1:8080").path, "/");
    }

    #[test]
    fn what_is_no_address_is_named() {
        for (text, part) in [
            ("relay.example", "ws://HOST"),
            ("http://relay.example", "ws://HOST"),
            ("ws://user:secret@relay.example/host", "--token-file"),
            ("ws://relay.example/host#x", "#"),
            ("ws://relay.example/h\u{f6}st", "no request"),
            ("ws://relay.example:x/", "not a port"),
            ("ws:///host", ""),
            ("ws://8080/host", "host name"),
            ("ws://unix:x/host", ""),
        ] {
            let error = text.parse::<Url>().unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn a_slip_shows_no_secret() {
        for (text, shown) in [
            (
                "http://me:secret@relay.example/host",
                "http://...@relay.example/host",
            ),
            ("me:secret@relay.example", "...@relay.example is no"),
            (
                "http://relay.example/host?token=secret",
                "http://relay.example/host?...",
            ),
            (
                "http://me:sec?ret@relay.example/?t=secret",
                "http://... is no",
            ),
            (
                "ws://relay.example/h\u{f6}st?token=secret",
                "ws://relay.example/h",
            ),
            (
                "ws://relay.example/host?token=secret\u{f6}",
                "ws://relay.example/host?...",
            ),
            ("ws://relay.example/host?token=secret#", "#"),
            ("ws://me:secret/word@relay.example", "--token-file"),
            ("ws://me:sec?ret@relay.example", "--token-file"),
        ] {
            let error = text.parse::<Url>().unwrap_err().to_string();
            assert!(error.contains(shown), "{text}: {error}");
            assert!(!error.contains("sec"), "{error}");
        }
    }

    #[test]
    fn a_proxy_may_want_a_user() {
        let proxy: Proxy = "http://me:p%40ss@proxy.example:3128/".parse().unwrap();
        assert_eq!(proxy.to_string(), "proxy.example:3128");
        assert_eq!(proxy.user.as_deref(), Some(&b"me:p@ss"[..]));
        let bare: Proxy = "proxy.example".parse().unwrap();
        assert_eq!(bare.to_string(), "proxy.example:1080");
        for (text, part) in [
            ("https://proxy.example", "not supported"),
            ("http://me:%0a@proxy.example:1", "can't be read"),
            ("http://me:secret@:x", "not a port"),
        ] {
            let error = text.parse::<Proxy>().unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
            assert!(!error.contains("secret"), "{error}");
        }
    }
}
