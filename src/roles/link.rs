//! A byte stream of a role's: plain TCP, a Unix socket or a standard stream, and the roles see no difference. It is the
//! one place where a layer between a socket and its bytes belongs.

use std::io;

use crate::reactor::Cx;
use crate::reactor::net::{Close, SockId};

/// One end of a byte stream. It holds no bytes; those who write keep what was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    sock: SockId,
}

impl Link {
    /// The stream on this socket.
    pub fn new(sock: SockId) -> Self {
        Self { sock }
    }

    /// The socket that its events are about.
    pub fn sock(&self) -> SockId {
        self.sock
    }

    /// One read. `Ok(None)`: nothing there now. `Ok(Some(0))`: the stream has ended.
    pub fn read(&mut self, cx: &mut Cx<'_>, into: &mut [u8]) -> io::Result<Option<usize>> {
        cx.read(self.sock, into)
    }

    /// One write of two slices. Returns how many bytes were taken.
    pub fn write(&mut self, cx: &mut Cx<'_>, from: [&[u8]; 2]) -> io::Result<usize> {
        Ok(cx.write(self.sock, from)?.unwrap_or(0))
    }

    /// Whether a read may give something at once.
    pub fn is_readable(&self, cx: &Cx<'_>) -> bool {
        cx.is_readable(self.sock)
    }

    /// Fails where the peer is known to be gone.
    pub fn probe(&mut self, cx: &mut Cx<'_>) -> io::Result<()> {
        cx.write(self.sock, [&[], &[]]).map(drop)
    }

    /// Ends our direction.
    pub fn finish(&mut self, cx: &mut Cx<'_>) -> io::Result<()> {
        cx.shutdown(self.sock)
    }

    /// Whether reads are wanted.
    pub fn want_read(&mut self, cx: &mut Cx<'_>, wanted: bool) {
        cx.want_read(self.sock, wanted);
    }

    /// Whether room to write is wanted.
    pub fn want_write(&mut self, cx: &mut Cx<'_>, wanted: bool) {
        cx.want_write(self.sock, wanted);
    }

    /// Closes it at the end of this turn.
    pub fn close(&mut self, cx: &mut Cx<'_>, how: Close) {
        cx.close(self.sock, how);
    }
}
