//! The orders of the three roles: parsed, checked, impossible states gone.

use std::time::Duration;

use super::tokens::Tokens;
use super::url::{Proxy, Url};
use crate::base::access::Access;
use crate::base::backoff::Retry;
use crate::base::endpoint::Endpoint;
use crate::base::secret::Secret;
use crate::proto::http1::Origin;
use crate::roles::tls::Tls;

/// The orders of `ws relay`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelayConfig {
    /// Stands in the log lines.
    pub name: Option<String>,
    /// Where hosts and clients connect.
    pub listen: Endpoint,
    /// What those are shown who come by TLS.
    pub tls: Tls,
    /// Who has to bring what. `None`: nobody anything.
    pub tokens: Option<Tokens>,
    /// Anyone may come, from elsewhere, too.
    pub no_auth: bool,
    /// Who may connect.
    pub allow: Access,
    /// Proxies in front, whose X-Forwarded-For is believed.
    pub trust_proxy: Access,
    /// Pages that may connect from a browser. Empty: all.
    pub origins: Vec<Origin>,
    /// How long a client waits for a host.
    pub pair_timeout: Duration,
    /// WebSockets at a time.
    pub max_connections: Option<usize>,
    /// Connections at a time over one WebSocket.
    pub max_streams: usize,
    /// Bytes that all WebSockets may hold together.
    pub memory: usize,
    /// How often the other ends are pinged.
    pub ping: Duration,
    /// TCP keepalive.
    pub keepalive: Option<Duration>,
    /// How long what is under way may finish when it is stopped.
    pub drain: Duration,
}

/// The orders of `ws host` and of `ws client`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdapterConfig {
    /// Stands in the log lines.
    pub name: Option<String>,
    /// Where the relay is.
    pub url: Url,
    /// What the relay has to show, where it is at `wss://`.
    pub tls: Tls,
    /// What is at our own end.
    pub end: LocalEnd,
    /// The proxy on the way to the relay.
    pub proxy: Option<Proxy>,
    /// What lets us in.
    pub token: Option<Secret>,
    /// Waits between attempts to connect to the relay.
    pub retry: Retry,
    /// When an attempt to connect is given up.
    pub connect_timeout: Duration,
    /// Connections at a time.
    pub max_streams: usize,
    /// Bytes that connections may hold together since our own ends do not take them.
    pub memory: usize,
    /// How often the relay is pinged.
    pub ping: Duration,
    /// TCP keepalive.
    pub keepalive: Option<Duration>,
    /// How long what is under way may finish when it is stopped.
    pub drain: Duration,
}

/// The local end of a tunnel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LocalEnd {
    /// `ws host`: the service.
    Target(Endpoint),
    /// `ws client`: where programs connect, and who may.
    Listen {
        /// Where.
        at: Endpoint,
        /// Who.
        allow: Access,
    },
}
