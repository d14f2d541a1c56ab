//! A byte stream of a role's: plain TCP, a Unix socket, a standard stream, or any of them with TLS between the socket
//! and its bytes; the roles see no difference.
//!
//! ```text
//!   role ── read, write, finish, want ──> Link ── plain ──────────> socket
//!                                          └── Secured (tls.rs) ──> socket
//! ```
//!
//! What TLS asks of a role is little, and plain links keep it as well:
//!
//! - A readable event is answered with [`Link::read`], a writable one with [`Link::write`], though there may be nothing
//!   to write: so the handshake goes on, and what is encrypted already leaves.
//! - A handshake needs no deadline of its own: a role has one for whatever a peer has to say first. Until it is over,
//!   reads give nothing and writes take nothing. It goes on at the end of a turn, one flight a turn, whoever waits.
//! - Bytes that were taken may wait here for the network, 64 KiB at most. Who closes because all has been said looks at
//!   [`Link::is_flushed`] first.

use std::io::{self, IoSlice, IoSliceMut};

use crate::base::endpoint::Endpoint;
use crate::proto::tls::TlsError;
use crate::reactor::Cx;
use crate::reactor::net::{Close, SockId};
use crate::roles::tls::{Secured, Tls};

/// One end of a byte stream. A plain one holds no bytes; those who write keep what was not taken.
#[derive(Debug)]
pub struct Link {
    sock: SockId,
    tls: Option<Box<Cover>>,
}

/// TLS on a link.
#[derive(Debug)]
struct Cover {
    secured: Secured,
    /// What the role wants, whatever TLS itself wants besides.
    wants_read: bool,
    wants_write: bool,
    /// Our direction is to end once all before it has left.
    finishing: bool,
}

impl Link {
    /// The stream on this socket, as it is.
    pub fn new(sock: SockId) -> Self {
        Self { sock, tls: None }
    }

    /// A connection that came in where TLS is spoken if `tls` has something to show.
    ///
    /// # Errors
    /// Where there can be no session (with the [`TlsError`] inside).
    pub fn accepted(cx: &mut Cx<'_>, sock: SockId, tls: &Tls) -> io::Result<Self> {
        match tls.acceptor {
            None => Ok(Self::new(sock)),
            Some(_) => tls
                .accepted()
                .map(|session| Self::secured(cx, sock, session))
                .map_err(io::Error::other),
        }
    }

    /// A connection that was dialled, with TLS if its endpoint says so. It may also stand on a plain link that has led
    /// to `to` through somebody else, and on which nothing of TLS has come yet.
    ///
    /// # Errors
    /// Where there can be no session (with the [`TlsError`] inside).
    pub fn dialled(cx: &mut Cx<'_>, sock: SockId, to: &Endpoint, tls: &Tls) -> io::Result<Self> {
        if !to.is_tls() {
            return Ok(Self::new(sock));
        }
        let session = tls.dialled(to).map_err(io::Error::other)?;
        let link = Self::secured(cx, sock, session);
        // The first word is ours.
        cx.defer(sock);
        Ok(link)
    }

    fn secured(cx: &mut Cx<'_>, sock: SockId, secured: Secured) -> Self {
        let mut link = Self {
            sock,
            tls: Some(Box::new(Cover {
                secured,
                wants_read: false,
                wants_write: false,
                finishing: false,
            })),
        };
        link.settle(cx);
        link
    }

    /// The socket that its events are about.
    pub fn sock(&self) -> SockId {
        self.sock
    }

    /// Whether TLS is spoken on it.
    pub fn is_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// Whether the two sides of TLS are still finding out about each other.
    pub fn is_handshaking(&self) -> bool {
        let tls = self.tls.as_ref();
        tls.is_some_and(|tls| tls.secured.is_handshaking())
    }

    /// One read. `Ok(None)`: nothing there now. `Ok(Some(0))`, into a buffer that is not empty: the stream has ended.
    ///
    /// # Errors
    /// The socket's; and those of TLS, with the [`TlsError`] inside: see [`Secured::read`], and [`is_truncation`].
    pub fn read(&mut self, cx: &mut Cx<'_>, into: &mut [u8]) -> io::Result<Option<usize>> {
        let Some(tls) = &mut self.tls else {
            return cx.read(self.sock, into);
        };
        if tls.secured.is_handshaking() {
            if !cx.is_deferred() {
                cx.defer(self.sock);
                return Ok(None);
            }
            let shaken = tls.secured.shake(cx, self.sock, into);
            self.settle(cx);
            return shaken.map(|_| None);
        }
        let read = tls.secured.read_within(cx, self.sock, into);
        self.settle(cx);
        read
    }

    /// Whether TLS has taken bytes since the last call, if only some of a record, which no read has given yet. A peer
    /// on a thin line is alive that needs its time for a whole one.
    pub fn has_heard(&mut self) -> bool {
        self.tls.as_mut().is_some_and(|tls| tls.secured.has_heard())
    }

    /// As [`Link::read`], into any number of slices, one filled before the next. It may leave any out at the end.
    ///
    /// # Errors
    /// As there.
    pub fn read_slices(
        &mut self,
        cx: &mut Cx<'_>,
        into: &mut [IoSliceMut<'_>],
    ) -> io::Result<Option<usize>> {
        match (&self.tls, into) {
            (None, into) => cx.read_slices(self.sock, into),
            (Some(_), [first, ..]) => self.read(cx, first),
            (Some(_), []) => self.read(cx, &mut []),
        }
    }

    /// One write of two slices. Returns how many bytes were taken.
    ///
    /// # Errors
    /// The socket's.
    pub fn write(&mut self, cx: &mut Cx<'_>, from: [&[u8]; 2]) -> io::Result<usize> {
        let Some(tls) = &mut self.tls else {
            return Ok(cx.write(self.sock, from)?.unwrap_or(0));
        };
        let written = tls.secured.write(cx, self.sock, from);
        if tls.finishing && self.is_flushed() {
            self.end_direction(cx)?;
        }
        self.settle(cx);
        written.map(|taken| taken.unwrap_or(0))
    }

    /// As [`Link::write`], of any number of slices, of which it may leave any out at the end.
    ///
    /// # Errors
    /// The socket's.
    pub fn write_slices(&mut self, cx: &mut Cx<'_>, from: &[IoSlice<'_>]) -> io::Result<usize> {
        if self.tls.is_none() {
            return Ok(cx.write_slices(self.sock, from)?.unwrap_or(0));
        }
        let slice = |at: usize| from.get(at).map_or(&[][..], |slice| slice);
        self.write(cx, [slice(0), slice(1)])
    }

    /// How many bytes of what it has taken the peer's machine is not known to have; over TLS with what its records add.
    /// Falls as the line moves. 0 where the network can't tell and nothing waits here.
    pub fn under_way(&self, cx: &Cx<'_>) -> u64 {
        let unsent = self.tls.as_ref().map_or(0, |tls| tls.secured.unsent());
        unsent as u64 + cx.unacknowledged(self.sock).map_or(0, u64::from)
    }

    /// Whether all that was taken has left for the network.
    pub fn is_flushed(&self) -> bool {
        let tls = self.tls.as_ref();
        tls.is_none_or(|tls| !tls.secured.wants_write())
    }

    /// Whether a read may give something at once.
    pub fn is_readable(&self, cx: &Cx<'_>) -> bool {
        let holds = self.tls.as_ref().is_some_and(|tls| tls.secured.holds());
        holds || cx.is_readable(self.sock)
    }

    /// Fails where the peer is known to be gone.
    ///
    /// # Errors
    /// Then.
    pub fn probe(&mut self, cx: &mut Cx<'_>) -> io::Result<()> {
        cx.write(self.sock, [&[], &[]]).map(drop)
    }

    /// Ends our direction, behind all that was taken.
    ///
    /// # Errors
    /// The socket's.
    pub fn finish(&mut self, cx: &mut Cx<'_>) -> io::Result<()> {
        let Some(tls) = &mut self.tls else {
            return cx.shutdown(self.sock);
        };
        tls.finishing = true;
        if !tls.secured.is_handshaking() {
            tls.secured.close();
        }
        self.write(cx, [&[], &[]]).map(drop)
    }

    /// Tells the peer that nothing more will come, and then the socket.
    fn end_direction(&mut self, cx: &mut Cx<'_>) -> io::Result<()> {
        let Some(tls) = &mut self.tls else {
            return Ok(());
        };
        if tls.secured.is_handshaking() {
            return Ok(());
        }
        tls.secured.close();
        if tls.secured.flush(cx, self.sock)? {
            tls.finishing = false;
            cx.shutdown(self.sock)?;
        }
        Ok(())
    }

    /// Whether reads are wanted.
    pub fn want_read(&mut self, cx: &mut Cx<'_>, wanted: bool) {
        match &mut self.tls {
            None => cx.want_read(self.sock, wanted),
            Some(tls) => {
                tls.wants_read = wanted;
                self.settle(cx);
            }
        }
    }

    /// Whether room to write is wanted.
    pub fn want_write(&mut self, cx: &mut Cx<'_>, wanted: bool) {
        match &mut self.tls {
            None => cx.want_write(self.sock, wanted),
            Some(tls) => {
                tls.wants_write = wanted;
                self.settle(cx);
            }
        }
    }

    /// Closes it at the end of this turn. Where TLS is spoken and the end is no accident, the peer is told so first, as
    /// far as its kernel takes it.
    pub fn close(&mut self, cx: &mut Cx<'_>, how: Close) {
        if let (Some(tls), Close::Orderly) = (&mut self.tls, how)
            && !tls.secured.is_handshaking()
        {
            tls.secured.close();
            // It is over in any case.
            let _ = tls.secured.flush(cx, self.sock);
        }
        cx.close(self.sock, how);
    }

    /// Wants of the socket what the role and TLS want together. Until the handshake is over, the role's bytes wait.
    fn settle(&mut self, cx: &mut Cx<'_>) {
        let Some(tls) = &self.tls else {
            return;
        };
        let shaking = tls.secured.is_handshaking();
        let is_due = (tls.wants_write || tls.finishing) && !shaking;
        cx.want_write(self.sock, is_due || tls.secured.wants_write());
        cx.want_read(self.sock, tls.wants_read || shaking);
        if tls.wants_read && !shaking && tls.secured.holds() {
            cx.revisit(self.sock);
        }
    }
}

/// Whether the connection ended though TLS had not said that it would: somebody may have cut it.
pub fn is_truncation(error: &io::Error) -> bool {
    matches!(tls_error(error), Some(TlsError::Truncated))
}

/// What TLS has against a connection, where it is that which ended it.
pub fn tls_error(error: &io::Error) -> Option<&TlsError> {
    error.get_ref()?.downcast_ref()
}
