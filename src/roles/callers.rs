//! How many clients come from one place, for the roles that limit it.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::base::access::caller;
use crate::reactor::net::Peer;

/// Clients by the address that they count under.
#[derive(Debug, Default)]
pub(crate) struct Callers {
    clients: BTreeMap<IpAddr, usize>,
}

impl Callers {
    /// How many are connected from there.
    pub(crate) fn of(&self, ip: IpAddr) -> usize {
        self.clients.get(&caller(ip)).copied().unwrap_or(0)
    }

    /// One more is.
    pub(crate) fn came(&mut self, ip: IpAddr) {
        *self.clients.entry(caller(ip)).or_default() += 1;
    }

    /// One fewer is.
    pub(crate) fn went(&mut self, ip: IpAddr) {
        if let Some(clients) = self.clients.get_mut(&caller(ip)) {
            *clients -= 1;
            if *clients == 0 {
                self.clients.remove(&caller(ip));
            }
        }
    }
}

/// The address of a peer that has one.
pub(crate) fn address(peer: Peer) -> Option<IpAddr> {
    match peer {
        Peer::Tcp(at) => Some(at.ip()),
        Peer::Unix | Peer::Stdio => None,
    }
}
