//! A client's stdout, and what it has still to take.

use std::io;

use crate::base::byte_queue::ByteQueue;
use crate::reactor::Cx;
use crate::reactor::net::{SockId, StdStream};
use crate::roles::hub::user::Kind;

/// Stdout.
#[derive(Debug)]
pub(super) struct Output {
    sock: SockId,
    waiting: ByteQueue,
    last: bool,
    shut: bool,
}

impl Output {
    pub(super) fn open(cx: &mut Cx<'_>) -> io::Result<Self> {
        let sock = cx.open_std(StdStream::Stdout)?;
        cx.set_tag(sock, Kind::Stdout as u32);
        cx.want_read(sock, true);
        Ok(Self {
            sock,
            waiting: ByteQueue::new(),
            last: false,
            shut: false,
        })
    }

    /// How many bytes wait.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Queues bytes. [`Output::flush`] writes them.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        if !self.last {
            self.waiting.push(bytes);
        }
    }

    /// Nothing more comes. [`Output::readable`] tells when all is out.
    pub(super) fn finish(&mut self, cx: &mut Cx<'_>) -> io::Result<()> {
        self.last = true;
        self.flush(cx)
    }

    /// One write.
    pub(super) fn flush(&mut self, cx: &mut Cx<'_>) -> io::Result<()> {
        if !self.waiting.is_empty() {
            let sent = cx.write(self.sock, self.waiting.front())?.unwrap_or(0);
            self.waiting.consume(sent);
        }
        cx.want_write(self.sock, !self.waiting.is_empty());
        if self.last && self.waiting.is_empty() && !self.shut {
            self.shut = true;
            cx.shutdown(self.sock)?;
        }
        Ok(())
    }

    /// Whether stdout has ended: by our own doing with all that was said, or because its reader has gone.
    pub(super) fn readable(&mut self, cx: &mut Cx<'_>) -> io::Result<bool> {
        Ok(cx.read(self.sock, &mut [0; 16])?.is_some())
    }
}
