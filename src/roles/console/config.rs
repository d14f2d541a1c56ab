//! What a console is told to do.

use crate::base::access::Access;
use crate::base::endpoint::Endpoint;
use crate::base::secret::Secret;

/// A console's orders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsoleConfig {
    /// `--bind`: where browsers connect.
    pub bind: Endpoint,
    /// `--allow-host`: names that browsers reach it by, besides addresses and `localhost`.
    pub hosts: Vec<String>,
    /// `--token-file`: opens everything. `None` only on an address of this machine alone.
    pub token: Option<Secret>,
    /// `--view-token-file`: opens what there is to see.
    pub view_token: Option<Secret>,
    /// `--trust-proxy`: proxies in front, whose X-Forwarded-For is believed where wrong tokens are counted.
    pub trust_proxy: Access,
    /// `--max-connections`: the most at a time.
    pub max_connections: usize,
    /// It is for `hydrant status` on a socket of its user's: nothing is sampled or pushed while nobody asks.
    pub is_private: bool,
}
