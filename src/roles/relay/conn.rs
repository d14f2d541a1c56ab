//! A connection from the upstream, whether it is in use or is to be: plain, or with TLS above it.

use std::io;

use crate::base::time::Time;
use crate::reactor::Cx;
use crate::reactor::net::{Close, Peer, SockId};
use crate::roles::relay::encrypted::part;
use crate::roles::relay::takeover::Deferred;
use crate::roles::tls::Secured;

/// A connection from the upstream.
///
/// What each message looks at comes first, in memory as here.
#[derive(Debug)]
#[repr(C)]
pub(super) struct Conn {
    pub(super) sock: SockId,
    /// Bytes that came in over it.
    pub(super) bytes: u64,
    /// Where it speaks TLS: its session.
    pub(super) tls: Option<Box<Secured>>,
    /// Bytes that came in before it was in use, the next to go out.
    pub(super) pending: Vec<u8>,
    pub(super) peer: Peer,
    pub(super) since: Time,
    /// How much of `--upstream-send` it has been sent.
    pub(super) greeted: usize,
    /// It has something to say, and waits for the active one to be read to its end.
    pub(super) deferred: Option<Deferred>,
}

impl Conn {
    /// Whether a read may give something at once, as far as is known.
    pub(super) fn is_readable(&self, cx: &Cx<'_>) -> bool {
        cx.is_readable(self.sock) || self.holds()
    }

    /// Whether what comes of it is not what its socket gives.
    pub(super) fn is_layered(&self) -> bool {
        self.tls.is_some() || !self.pending.is_empty()
    }

    /// One read of a connection whose bytes come through a layer above the socket, or have come before.
    #[inline(never)]
    pub(super) fn pull(
        &mut self,
        cx: &mut Cx<'_>,
        into: &mut [u8],
        cipher: &mut [u8],
    ) -> io::Result<Option<usize>> {
        if !self.pending.is_empty() {
            let n = self.pending.len().min(into.len());
            into[..n].copy_from_slice(&self.pending[..n]);
            self.pending.drain(..n);
            cx.revisit(self.sock);
            return Ok(Some(n));
        }
        let Some(tls) = &mut self.tls else {
            return cx.read(self.sock, into);
        };
        match tls.read(cx, self.sock, into, cipher) {
            // Every byte of it is here: a reset behind its end takes nothing away.
            Err(_) if tls.peer_has_closed() => Ok(Some(0)),
            read => read,
        }
    }

    /// Whether bytes of it are here already, so that no readiness announces them.
    fn holds(&self) -> bool {
        !self.pending.is_empty() || self.tls.as_ref().is_some_and(|tls| tls.holds())
    }

    /// Says whether it is to be read.
    pub(super) fn want_read(&self, cx: &mut Cx<'_>, wanted: bool) {
        cx.want_read(self.sock, wanted);
        if wanted && self.holds() {
            cx.revisit(self.sock);
        }
    }

    /// Takes leave of it.
    pub(super) fn close(&mut self, cx: &mut Cx<'_>) {
        part(cx, self.sock, self.tls.as_deref_mut(), Close::Orderly);
    }
}

/// One that has just been made.
pub(super) fn conn(cx: &Cx<'_>, sock: SockId, peer: Peer, tls: Option<Box<Secured>>) -> Conn {
    Conn {
        sock,
        peer,
        since: cx.now(),
        bytes: 0,
        greeted: 0,
        pending: Vec::new(),
        deferred: None,
        tls,
    }
}
