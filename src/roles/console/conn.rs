//! A connection of the console's: one request at a time, its head and body bounded, an answer, and then the next
//! request, or a stream of events until one side has enough.
//!
//! ```text
//!   Head ──whole──> Body ──whole──> Waiting ──answer──> Answering ──out──> Head
//!                                      └──stream──> Streaming
//! ```

use std::io;
use std::time::Duration;

use crate::base::time::Time;
use crate::proto::http1::{Fault, HeadBuf};
use crate::reactor::Cx;
use crate::reactor::net::SockId;

use super::guard::Right;

/// A connection.
pub(super) struct Conn {
    pub(super) sock: SockId,
    pub(super) serial: u64,
    pub(super) phase: Phase,
    pub(super) head: HeadBuf,
    pub(super) body: Vec<u8>,
    /// Bytes behind the request that is being answered.
    ahead: Vec<u8>,
    out: Vec<u8>,
    sent: usize,
    /// It stays for another request.
    pub(super) keeps: bool,
    /// When it last got on: a request came, or bytes went out.
    pub(super) progress: Time,
}

/// What a connection is doing.
#[derive(Debug)]
pub(super) enum Phase {
    Head,
    Body {
        len: usize,
    },
    Waiting,
    Answering,
    Streaming(Stream),
    /// Nothing more is read of it, and it is closed once everything is out.
    Closing,
}

/// What a stream of events has had.
#[derive(Debug)]
pub(super) struct Stream {
    /// Whose payload it follows.
    pub(super) relay: Option<u64>,
    /// The last line of the log that it has.
    pub(super) line: u64,
    /// Where in the relay's payload it is; `None` before the first piece.
    pub(super) payload: Option<u64>,
    /// A piece has been asked for.
    pub(super) asked: bool,
    /// It has had the state.
    pub(super) begun: bool,
    /// What whoever reads it may do.
    pub(super) right: Right,
}

impl Stream {
    pub(super) fn new(relay: Option<u64>, right: Right) -> Self {
        Self {
            relay,
            line: 0,
            payload: None,
            asked: false,
            begun: false,
            right,
        }
    }
}

/// What to do next with what came in.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Wait for more.
    More,
    /// The head is whole: it says how long the body is.
    Head,
    /// So is the body.
    Request,
    /// It is to be refused.
    Fault(Fault),
}

impl Conn {
    pub(super) fn new(sock: SockId, serial: u64, now: Time) -> Self {
        Self {
            sock,
            serial,
            phase: Phase::Head,
            head: HeadBuf::new(),
            body: Vec::new(),
            ahead: Vec::new(),
            out: Vec::new(),
            sent: 0,
            keeps: true,
            progress: now,
        }
    }

    /// Takes bytes that came in.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Next {
        match self.phase {
            Phase::Head => match self.head.feed(bytes) {
                Err(fault) => Next::Fault(fault),
                Ok(taken) => {
                    self.ahead.extend_from_slice(&bytes[taken..]);
                    if self.head.is_complete() {
                        Next::Head
                    } else {
                        Next::More
                    }
                }
            },
            Phase::Body { len } => {
                let taken = bytes.len().min(len - self.body.len());
                self.body.extend_from_slice(&bytes[..taken]);
                self.ahead.extend_from_slice(&bytes[taken..]);
                if self.body.len() == len {
                    Next::Request
                } else {
                    Next::More
                }
            }
            // Nothing is read meanwhile, but for the end.
            _ => Next::More,
        }
    }

    /// The head is read and its body, of this length, is to follow.
    pub(super) fn expect_body(&mut self, len: usize) -> Next {
        self.phase = Phase::Body { len };
        let ahead = std::mem::take(&mut self.ahead);
        self.feed(&ahead)
    }

    /// The answer is out: the next request, whose beginning may be here already.
    pub(super) fn next_request(&mut self, now: Time) -> Next {
        self.phase = Phase::Head;
        self.head.clear();
        self.body.clear();
        self.progress = now;
        let ahead = std::mem::take(&mut self.ahead);
        self.feed(&ahead)
    }

    /// Whether nothing of a request has come.
    pub(super) fn is_idle(&self) -> bool {
        matches!(self.phase, Phase::Head) && self.head.is_empty()
    }

    /// Puts bytes behind what waits to go out. Whether there was room: a reader that does not read is not waited for.
    pub(super) fn push(&mut self, bytes: &[u8]) -> bool {
        if self.sent == self.out.len() {
            self.out.clear();
            self.sent = 0;
        }
        let fits = self.out.len() - self.sent + bytes.len() <= OUT_MAX;
        if fits {
            self.out.extend_from_slice(bytes);
        }
        fits
    }

    /// One write. Whether everything is out.
    pub(super) fn flush(&mut self, cx: &mut Cx<'_>) -> io::Result<bool> {
        if self.sent < self.out.len() {
            let end = self.out.len().min(self.sent + WRITE_MAX);
            let taken = cx
                .write(self.sock, [&self.out[self.sent..end], &[]])?
                .unwrap_or(0);
            self.sent += taken;
            if taken > 0 {
                self.progress = cx.now();
            }
        }
        let is_out = self.sent == self.out.len();
        cx.want_write(self.sock, !is_out);
        Ok(is_out)
    }

    /// Whether bytes wait to go out.
    pub(super) fn is_pending(&self) -> bool {
        self.sent < self.out.len()
    }

    /// Whether it has had its time.
    pub(super) fn is_overdue(&self, now: Time) -> bool {
        let patience = match self.phase {
            _ if self.is_pending() => STALL,
            Phase::Head if self.is_idle() => IDLE,
            Phase::Head | Phase::Body { .. } | Phase::Closing => REQUEST,
            Phase::Waiting | Phase::Answering | Phase::Streaming(_) => return false,
        };
        now.since(self.progress) > patience
    }
}

/// The longest that a body may be: a relay's settings are far shorter.
pub(super) const BODY_MAX: usize = 64 << 10;
/// How much may wait for a reader.
const OUT_MAX: usize = 1 << 20;
/// The most that one write offers.
const WRITE_MAX: usize = 64 << 10;
/// How long a request may take to come in.
const REQUEST: Duration = Duration::from_secs(10);
/// How long a connection is kept for the next request.
const IDLE: Duration = Duration::from_secs(60);
/// How long a reader may take nothing while bytes wait for it.
const STALL: Duration = Duration::from_secs(10);
