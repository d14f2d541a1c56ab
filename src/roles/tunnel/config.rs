//! A tunnel's orders: parsed, checked, impossible states gone.

use std::net::IpAddr;
use std::time::Duration;

use crate::base::access::Access;
use crate::base::backoff::Retry;
use crate::base::endpoint::Endpoint;
use crate::base::secret::Secret;
use crate::proto::hello::Name;
use crate::roles::tls::Tls;
use crate::roles::tunnel::tokens::{PortRange, Tokens};

/// The orders of `tunnel serve`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServeConfig {
    /// Stands in the log lines.
    pub name: Option<String>,
    /// Where backends connect.
    pub listen: Endpoint,
    /// The ports that backends are given. `None`: the 20 after its own. 0: any free one.
    pub ports: Option<PortRange>,
    /// The address that the public ports are on. `None`: the one of `listen`.
    pub public_bind: Option<PublicBind>,
    /// The host that backends are told. `None`: the address.
    pub public_name: Option<String>,
    /// How long a client is held whose backend is away.
    pub linger: Duration,
    /// How soon a backend has to answer when a client comes.
    pub alive_timeout: Duration,
    /// Who may be a backend.
    pub allow: Access,
    /// Who may be a client.
    pub allow_clients: Access,
    /// Backends at a time.
    pub max_backends: Option<usize>,
    /// Clients at a time.
    pub max_clients: Option<usize>,
    /// Clients at a time from one address.
    pub max_clients_per_ip: Option<usize>,
    /// Clients at a time of one backend.
    pub max_streams: usize,
    /// Who has to prove what. `None`: nobody anything.
    pub tokens: Option<Tokens>,
    /// Anyone may come, from elsewhere, too.
    pub no_auth: bool,
    /// TCP keepalive.
    pub keepalive: Option<Duration>,
    /// How long what is under way may finish when it is stopped.
    pub drain: Duration,
    /// What backends are shown, where they have to speak TLS.
    pub tls: Tls,
}

/// The address of public ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PublicBind {
    /// Every interface.
    Any,
    /// This one.
    Ip(IpAddr),
}

/// The orders of `tunnel expose`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExposeConfig {
    /// The relay.
    pub server: Endpoint,
    /// What is published.
    pub target: Target,
    /// The name to publish under, which also stands in the log lines.
    pub name: Option<Name>,
    /// The wanted public port.
    pub port: Option<u16>,
    /// What proves the name.
    pub token: Option<Secret>,
    /// Tells the service each client's address.
    pub proxy_protocol: Option<ProxyProtocol>,
    /// Waits between attempts to connect.
    pub retry: Retry,
    /// When an attempt to connect, to the relay or to the service, is given up.
    pub connect_timeout: Duration,
    /// Clients at a time.
    pub max_streams: usize,
    /// TCP keepalive.
    pub keepalive: Option<Duration>,
    /// How long what is under way may finish when it is stopped.
    pub drain: Duration,
    /// The public side's address is printed on stdout. No option sets it.
    pub prints: bool,
    /// What the relay has to show, where it is dialled by TLS.
    pub tls: Tls,
}

/// What `expose` publishes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A service.
    Service(Endpoint),
    /// `--echo`: each client hears itself.
    Echo,
}

/// Which PROXY header a service gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyProtocol {
    /// A line of text.
    V1,
    /// The binary one.
    V2,
}
