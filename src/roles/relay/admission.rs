//! Who may come in: each connection is checked as it comes, and each refusal has one named reason, which is counted and
//! logged.

use std::fmt;

use crate::base::access::caller;
use crate::base::time::Time;
use crate::base::units::Count;
use crate::reactor::Cx;
use crate::reactor::net::{Close, Peer, SockId};
use crate::roles::callers::address;
use crate::roles::listening::NO_DESCRIPTORS;
use crate::roles::relay::{Reason, Relay};

/// Why a connection was turned away. The text is the label of the counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Its address is not in the list of those who may connect here.
    NotAllowed,
    /// As many clients as may be are connected already.
    MaxClients,
    /// As many clients as may be are connected from its address already.
    MaxClientsPerIp,
    /// Another upstream is connected.
    UpstreamTaken,
    /// It came as an upstream and sent nothing, and its place was needed.
    Silent,
    /// It did not ask for a WebSocket by the rules and in time, where nothing else is served.
    NoUpgrade,
    /// The TLS handshake failed, or took too long.
    Tls,
}

impl Refusal {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::NotAllowed,
        Self::MaxClients,
        Self::MaxClientsPerIp,
        Self::UpstreamTaken,
        Self::Silent,
        Self::NoUpgrade,
        Self::Tls,
    ];
}

impl Refusal {
    /// The word for it, in the log and in counters.
    pub fn word(self) -> &'static str {
        match self {
            Self::NotAllowed => "not-allowed",
            Self::MaxClients => "max-clients",
            Self::MaxClientsPerIp => "max-clients-per-ip",
            Self::UpstreamTaken => "upstream-taken",
            Self::Silent => "silent",
            Self::NoUpgrade => "no-upgrade",
            Self::Tls => "tls",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl Relay {
    /// Lets a client in, or turns it away. Whether it may stay.
    pub(super) fn admit_client(&mut self, cx: &mut Cx<'_>, sock: SockId, peer: Peer) -> bool {
        if address(peer).is_some_and(|ip| !self.config.allow.allows(ip)) {
            self.refuse(
                cx,
                sock,
                "client",
                peer,
                Refusal::NotAllowed,
                "not in --allow",
            );
            return false;
        }
        if let (Some(max), Some(ip)) = (self.config.max_clients_per_ip, address(peer))
            && self.callers.of(ip) >= max
        {
            let Some(oldest) =
                self.oldest_half_closed(|peer| address(peer).map(caller) == Some(caller(ip)))
            else {
                let why = full(
                    &format!("{} from there", Count(max, "client")),
                    max,
                    "--max-clients-per-ip",
                );
                self.refuse(cx, sock, "client", peer, Refusal::MaxClientsPerIp, &why);
                return false;
            };
            self.drop_client(cx, oldest, Reason::HalfClosed, None);
        }
        if let Some(max) = self
            .config
            .max_clients
            .filter(|max| self.listening_clients() + self.upgrades.len() >= *max)
        {
            let Some(oldest) = self.oldest_half_closed(|_| true) else {
                let why = full(&Count(max, "client").to_string(), max, "--max-clients");
                self.refuse(cx, sock, "client", peer, Refusal::MaxClients, &why);
                return false;
            };
            self.drop_client(cx, oldest, Reason::HalfClosed, None);
        }
        if !cx.admit(sock) {
            if let Some(oldest) = self.oldest_half_closed(|_| true) {
                self.drop_client(cx, oldest, Reason::HalfClosed, None);
            }
            if !cx.admit(sock) {
                self.refuse(
                    cx,
                    sock,
                    "client",
                    peer,
                    Refusal::MaxClients,
                    NO_DESCRIPTORS,
                );
                return false;
            }
        }
        // Counted though there may be no limit: one may be set while it runs.
        if let Some(ip) = address(peer) {
            self.callers.came(ip);
        }
        true
    }

    /// A client that was let in is gone.
    pub(super) fn dismiss_client(&mut self, peer: Peer) {
        if let Some(ip) = address(peer) {
            self.callers.went(ip);
        }
    }

    /// Closes a connection that may not stay, and says why.
    pub(super) fn refuse(
        &mut self,
        cx: &mut Cx<'_>,
        sock: SockId,
        who: &str,
        peer: Peer,
        refusal: Refusal,
        why: &str,
    ) {
        cx.close(sock, Close::Orderly);
        self.note_refused(cx.now(), who, peer, refusal, why);
    }

    /// Counts a refusal, and says why: once for each address, until a minute is over.
    pub(super) fn note_refused(
        &mut self,
        now: Time,
        who: &str,
        peer: Peer,
        refusal: Refusal,
        why: &str,
    ) {
        self.counts.refused[refusal as usize] += 1;
        let from = address(peer).map_or_else(|| peer.to_string(), |ip| ip.to_string());
        // As many addresses as a network has are one kind.
        let unit = address(peer).map_or_else(|| from.clone(), |ip| caller(ip).to_string());
        let mut kind = format!("{refusal}: {who} {unit}");
        if refusal == Refusal::Tls {
            // Of many things that can be wrong with it one hides no other.
            kind = format!("{kind}: {why}");
        }
        self.journal
            .refused(now, &kind, format!("{who} {from} refused: {why}"));
    }
}

/// "2 clients are connected (--max-clients)"
fn full(who: &str, max: usize, flag: &str) -> String {
    let verb = if max == 1 { "is" } else { "are" };
    format!("{who} {verb} connected ({flag})")
}
