//! Upstreams that come in: who of them is the one whose bytes go out.
//!
//! A connection that came in is a mere candidate until its first byte: a port scan is no upstream. A candidate that
//! has something to say waits until what the active one had sent before has been read.

use crate::reactor::Cx;
use crate::reactor::net::{Peer, SockId};
use crate::roles::callers::address;
use crate::roles::relay::Relay;
use crate::roles::relay::admission::Refusal;
use crate::roles::relay::config::{Source, Takeover};
use crate::roles::relay::conn::{Conn, conn};
use crate::roles::relay::handshakes::Goal;
use crate::roles::tls::Secured;

/// Since when a candidate waits, in bytes that the active upstream had sent by then.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deferred {
    active: SockId,
    bytes: u64,
}

impl Relay {
    pub(super) fn upstream_accepted(&mut self, cx: &mut Cx<'_>, sock: SockId, peer: Peer) {
        if address(peer).is_some_and(|ip| !self.config.allow_upstream.allows(ip)) {
            return self.refuse(
                cx,
                sock,
                "upstream",
                peer,
                Refusal::NotAllowed,
                "not in --allow-upstream",
            );
        }
        if matches!(&self.config.source, Source::Listen(at) if at.is_tls()) {
            let tls = self.config.tls.accepted();
            return self.begin_handshake(cx, sock, peer, Goal::Upstream, tls);
        }
        self.upstream_arrived(cx, sock, peer, None);
    }

    /// A connection that may be an upstream is there, and its peer is known as far as it has to be.
    pub(super) fn upstream_arrived(
        &mut self,
        cx: &mut Cx<'_>,
        sock: SockId,
        peer: Peer,
        tls: Option<Box<Secured>>,
    ) {
        let taken = self.upstream.active.is_some();
        if taken && self.config.takeover == Takeover::Refuse {
            let why = "another is connected (--takeover refuse)";
            return self.refuse(cx, sock, "upstream", peer, Refusal::UpstreamTaken, why);
        }
        let others = self.upstream.candidates.len();
        if others >= CANDIDATES_MAX || others > 0 && !cx.has_spare() {
            self.evict_candidate(cx);
        }
        self.attach(cx, sock);
        let conn = conn(cx, sock, peer, tls);
        self.upstream.candidates.push(conn);
        if taken {
            let text = format!("upstream {peer} connected too; it takes over at its first byte");
            self.journal.upstream(cx.now(), text);
        } else {
            let text = format!("upstream {peer} connected{}", self.outage(cx.now()));
            self.journal.upstream(cx.now(), text);
        }
    }

    /// Makes room for one more candidate: the oldest that has nothing to say goes. Where all have, they are the next to
    /// be read, and those who come wait in the kernel's queue.
    fn evict_candidate(&mut self, cx: &mut Cx<'_>) {
        let now = cx.now();
        // One that came in this very turn has had no chance to show that it has something to say.
        let silent = |conn: &Conn| !conn.is_readable(cx) && conn.since < now;
        let Some(at) = self.upstream.candidates.iter().position(silent) else {
            return self.upstream.set_accepting(cx, false);
        };
        let oldest = self.upstream.candidates.remove(at);
        let others = self.upstream.candidates.len() + 1;
        let why = format!("it has sent nothing, and {others} others wait");
        self.refuse(
            cx,
            oldest.sock,
            "upstream",
            oldest.peer,
            Refusal::Silent,
            &why,
        );
    }

    /// Lets a candidate wait while the active upstream may still have bytes that were sent before the candidate's, or a
    /// candidate that came before it has. More than a kernel can hold is no remainder: then two upstreams are live, and
    /// the newer one wins.
    #[cold]
    pub(super) fn defer(&mut self, cx: &mut Cx<'_>, sock: SockId) -> bool {
        let Some(active) = &self.upstream.active else {
            return self.wait_for_elders(cx, sock);
        };
        let now = Deferred {
            active: active.sock,
            bytes: active.bytes,
        };
        let readable = active.is_readable(cx);
        let Some(conn) = self.upstream.candidate(sock) else {
            return false;
        };
        let since = *conn.deferred.get_or_insert(now);
        let stale = since.active == now.active && now.bytes - since.bytes > REMAINDER_MAX;
        if readable && !stale {
            cx.want_read(sock, false);
            return true;
        }
        conn.deferred = None;
        self.wait_for_elders(cx, sock)
    }

    /// Whether a candidate that came before this one has something to say, which was sent before. Its visit is due, and
    /// then this one has its turn.
    fn wait_for_elders(&self, cx: &Cx<'_>, sock: SockId) -> bool {
        let elders = self.upstream.candidates.iter();
        elders
            .take_while(|conn| conn.sock != sock)
            .any(|conn| conn.is_readable(cx))
    }

    /// Lets deferred candidates try again once the active upstream has been read to its end for now.
    pub(super) fn undefer(&mut self, cx: &mut Cx<'_>) {
        if !self.upstream.accepting && self.upstream.candidates.len() < CANDIDATES_MAX {
            self.upstream.set_accepting(cx, true);
        }
        if !self.upstream.candidates.is_empty() {
            self.undefer_some(cx);
        }
    }

    #[cold]
    fn undefer_some(&mut self, cx: &mut Cx<'_>) {
        let (drained, bytes) = match &self.upstream.active {
            Some(active) => (!active.is_readable(cx), active.bytes),
            None => (true, 0),
        };
        for conn in &mut self.upstream.candidates {
            if let Some(since) = conn.deferred
                && (drained || bytes.saturating_sub(since.bytes) > REMAINDER_MAX)
            {
                // Its own visit settles whether it still has to wait.
                if drained {
                    conn.deferred = None;
                }
                conn.want_read(cx, self.upstream.reading);
            }
        }
    }

    /// A candidate has sent its first byte.
    #[cold]
    pub(super) fn promote(&mut self, cx: &mut Cx<'_>, sock: SockId, fresh: usize) {
        let Some(at) = self
            .upstream
            .candidates
            .iter()
            .position(|conn| conn.sock == sock)
        else {
            return;
        };
        let conn = self.upstream.candidates.remove(at);
        let peer = conn.peer;
        self.counts.discarded += self.records.begin_anew(&mut self.ring, fresh);
        if let Some(mut old) = self.upstream.active.replace(conn) {
            old.close(cx);
            let text = format!(
                "upstream {} replaced by {peer} (--takeover replace)",
                old.peer
            );
            self.journal.warn(cx.now(), "replaced", text);
        }
        self.upstream_is_up();
        self.watch_idle(cx);
        if self.config.takeover == Takeover::Refuse {
            for other in std::mem::take(&mut self.upstream.candidates) {
                let why = "another has sent the first byte (--takeover refuse)";
                self.refuse(
                    cx,
                    other.sock,
                    "upstream",
                    other.peer,
                    Refusal::UpstreamTaken,
                    why,
                );
            }
        }
    }

    pub(super) fn drop_candidate(&mut self, cx: &mut Cx<'_>, sock: SockId) {
        let Some(at) = self
            .upstream
            .candidates
            .iter()
            .position(|conn| conn.sock == sock)
        else {
            return;
        };
        let mut conn = self.upstream.candidates.remove(at);
        conn.close(cx);
        self.journal
            .info(format!("upstream {} left without a byte", conn.peer));
        if !self.upstream.is_up() {
            self.upstream.down_since.get_or_insert(cx.now());
        }
    }
}

/// Connections in a listen mode that have sent nothing yet; beyond, the oldest of them is closed.
pub const CANDIDATES_MAX: usize = 64;
/// More than any socket's receive buffer holds (tcp_rmem allows 6 MiB by default, up to 16 MiB when tuned).
const REMAINDER_MAX: u64 = 32 << 20;
