//! What a hub is told to do, and what its clients are: parsed, checked, with nothing impossible left in it.

use std::time::Duration;

use crate::base::access::Access;
use crate::base::backoff::Retry;
use crate::base::endpoint::Endpoint;
use crate::base::secret::Secret;
use crate::base::tokens::Tokens;
use crate::roles::tls::Tls;

/// A hub's orders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServeConfig {
    /// `--name`: stands in its log lines.
    pub name: Option<String>,
    /// Where it listens.
    pub listen: Endpoint,
    /// Who may be who.
    pub auth: Auth,
    /// `--name-timeout`: how soon a connection has to be registered.
    pub name_timeout: Duration,
    /// `--idle-timeout`: a client silent for so long is dropped. `None`: silence is no reason.
    pub idle_timeout: Option<Duration>,
    /// `--max-message`: the longest message, in bytes.
    pub max_message: usize,
    /// `--queue`: bytes that may wait for one client. A message of the longest length and its head fit.
    pub queue: usize,
    /// `--memory`: bytes of memory that all queues and unfinished messages take together. At least `queue`.
    pub memory: usize,
    /// `--max-clients`: the most registered clients. `None`: as many as there are descriptors.
    pub max_clients: Option<usize>,
    /// `--max-clients-per-ip`: connections at a time from one IPv4 address or one IPv6 /64.
    pub max_clients_per_ip: Option<usize>,
    /// `--allow`: who may connect.
    pub allow: Access,
    /// `--drain`: how long a client that ends may still take what is its own.
    pub drain: Duration,
    /// What clients are shown, where they have to speak TLS.
    pub tls: Tls,
}

impl ServeConfig {
    /// These orders, with all of `other`'s that may change while a hub runs.
    pub fn with_live_of(&self, other: &Self) -> Self {
        let auth = match (&self.auth, &other.auth) {
            (Auth::Tokens(_), Auth::Tokens(_)) => other.auth.clone(),
            (auth, _) => auth.clone(),
        };
        Self {
            auth,
            name_timeout: other.name_timeout,
            idle_timeout: other.idle_timeout,
            max_clients: other.max_clients,
            max_clients_per_ip: other.max_clients_per_ip,
            allow: other.allow.clone(),
            drain: other.drain,
            ..self.clone()
        }
    }

    /// A hub that listens there, for this machine only, with every option at its default.
    pub fn new(listen: Endpoint) -> Self {
        Self {
            name: None,
            listen,
            auth: Auth::Local,
            name_timeout: Duration::from_secs(3),
            idle_timeout: Some(Duration::from_secs(30)),
            max_message: 1 << 20,
            queue: 4 << 20,
            memory: 256 << 20,
            max_clients: Some(10_000),
            max_clients_per_ip: None,
            allow: Access::ALL,
            drain: Duration::from_secs(2),
            tls: Tls::default(),
        }
    }
}

/// Who may be who.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Auth {
    /// Anyone on this machine may have any name that is free. The hub listens on a loopback address or a Unix socket.
    Local,
    /// `--no-auth`: so may anyone at all.
    Anyone,
    /// `--tokens`: who proves to have the token that goes with a name.
    Tokens(Tokens),
}

/// Who a client of a hub is, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Where the hub is.
    pub hub: Endpoint,
    /// The client's name, which is one.
    pub name: Vec<u8>,
    /// `--token-file` or `HYDRANT_TOKEN`: what proves that the name is its own.
    pub token: Option<Secret>,
    /// `--connect-timeout`: how long the hub may take to let it in, and to answer.
    pub timeout: Duration,
    /// What the hub has to show, where it is dialled by TLS.
    pub tls: Tls,
}

/// The orders of a client of a hub.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserConfig {
    /// Who it is.
    pub account: Account,
    /// What it is for.
    pub task: TaskConfig,
}

/// What a client of a hub is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TaskConfig {
    /// `hub client`: somebody types.
    Prompt,
    /// `hub send`.
    Send {
        /// To whom; a possible name.
        dest: Vec<u8>,
        /// What. `None`: what stdin brings.
        data: Option<Vec<u8>>,
        /// `--max-message`: more than so many bytes are several messages.
        max_message: usize,
    },
    /// `hub recv`.
    Recv {
        /// `--count`: ends after so many messages. `None`: does not end.
        count: Option<u64>,
        /// `--newline`: behind each message.
        newline: bool,
    },
}

/// The orders of one end of a tunnel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TunnelConfig {
    /// Who it is.
    pub account: Account,
    /// `--to`: the other end's name, which is not its own.
    pub peer: Vec<u8>,
    /// `--listen`: each connection that comes here goes to the other end.
    pub listen: Option<Endpoint>,
    /// `--forward`: what comes from the other end goes here. One of the two is there, or both.
    pub forward: Option<Endpoint>,
    /// `--allow`: who may connect.
    pub allow: Access,
    /// `--max-streams`: connections at a time, in both directions together.
    pub max_streams: usize,
    /// `--retry`: the waits between attempts to reach the hub.
    pub retry: Retry,
    /// `--keepalive`: TCP keepalive on local connections.
    pub keepalive: Option<Duration>,
    /// `--drain`: how long connections may finish when it is stopped.
    pub drain: Duration,
}
