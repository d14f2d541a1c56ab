//! A connection: one request at a time, its head and body bounded, and what is on its way out.

use std::io::{self, IoSlice};
use std::rc::Rc;
use std::time::Duration;

use crate::base::time::Time;
use crate::base::wheel::TimerKey;
use crate::proto::http1::{Fault, HeadBuf, Request};
use crate::reactor::Cx;
use crate::reactor::net::{Peer, SockId};

use super::{READ_MAX, TIMER};

pub(super) struct Conn {
    pub(super) sock: SockId,
    pub(super) peer: Peer,
    pub(super) serial: u64,
    /// It came, or had its last answer.
    pub(super) since: Time,
    pub(super) phase: Phase,
    /// What is known of who it is.
    pub(super) trust: Trust,
    /// Requests that it has had an answer to.
    pub(super) answered: u64,
    /// It stays for another request.
    pub(super) keeps: bool,
    /// It waits for a word before it sends its body.
    hesitates: bool,
    /// It asks for a head alone.
    pub(super) is_head: bool,
    pub(super) head: HeadBuf,
    pub(super) body: Vec<u8>,
    pub(super) deadline: Option<TimerKey>,
    /// Bytes behind the request that is being answered.
    ahead: Vec<u8>,
    /// What is on its way out: these bytes, then those, of which so many are gone.
    out: Vec<u8>,
    tail: Rc<[u8]>,
    sent: usize,
}

/// What is known of who it is, the least first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Trust {
    /// Nothing.
    Stranger,
    /// They may look.
    Viewer,
    /// They may do all that can be done.
    Owner,
}

/// What a connection is doing.
#[derive(Clone, Copy, Debug)]
pub(super) enum Phase {
    Head,
    /// Its head is whole, and somebody looks at it before the body is read.
    Judged {
        len: usize,
    },
    Body {
        len: usize,
    },
    Waiting,
    Answering,
    Streaming,
    Parting,
}

/// What to do next with what came in.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Wait for more.
    More,
    /// The head is whole, and not all of the body is there.
    Judge,
    /// The request is whole.
    Whole,
    /// It is to be refused.
    Fault(Fault),
}

impl Conn {
    pub(super) fn new(sock: SockId, peer: Peer, serial: u64, now: Time) -> Self {
        Self {
            sock,
            peer,
            serial,
            since: now,
            phase: Phase::Head,
            trust: Trust::Stranger,
            answered: 0,
            keeps: true,
            hesitates: false,
            is_head: false,
            head: HeadBuf::new(),
            body: Vec::new(),
            deadline: None,
            ahead: Vec::new(),
            out: Vec::new(),
            tail: [].into(),
            sent: 0,
        }
    }

    /// Takes bytes that came in.
    pub(super) fn feed(&mut self, bytes: &[u8], body_max: usize) -> Next {
        let mut rest = bytes;
        let is_head = matches!(self.phase, Phase::Head);
        if let Phase::Head = self.phase {
            match self.head.feed(rest) {
                Err(fault) => return Next::Fault(fault),
                Ok(taken) => rest = &rest[taken..],
            }
            if !self.head.is_complete() {
                return Next::More;
            }
            match self.begin_body(body_max) {
                Err(fault) => return Next::Fault(fault),
                Ok(len) => self.phase = Phase::Body { len },
            }
        }
        let Phase::Body { len } = self.phase else {
            // Nothing is read meanwhile, but for the end.
            return Next::More;
        };
        let taken = rest.len().min(len - self.body.len());
        self.body.extend_from_slice(&rest[..taken]);
        self.ahead.extend_from_slice(&rest[taken..]);
        match self.body.len() == len {
            true => Next::Whole,
            false if is_head => {
                self.phase = Phase::Judged { len };
                Next::Judge
            }
            false => Next::More,
        }
    }

    /// The body may come. Whether that is to be said (RFC 9110, section 10.1.1): whoever has begun it waits for
    /// nothing.
    pub(super) fn go_ahead(&mut self, head: HeadBuf) -> bool {
        if let Phase::Judged { len } = self.phase {
            self.phase = Phase::Body { len };
            self.head = head;
        }
        std::mem::take(&mut self.hesitates) && self.body.is_empty()
    }

    /// The head is whole: how long is the body that follows?
    fn begin_body(&mut self, body_max: usize) -> Result<usize, Fault> {
        // It is one also where something else of it is wrong.
        self.is_head = self.head.bytes().starts_with(b"HEAD ");
        let request = Request::parse(&self.head)?;
        self.keeps = request.is_1_1 && !request.fields.lists("Connection", "close");
        self.hesitates = request.is_1_1 && request.fields.lists("Expect", "100-continue");
        let length = usize::try_from(request.content_length.unwrap_or(0));
        length
            .ok()
            .filter(|length| *length <= body_max)
            .ok_or(Fault::Body)
    }

    /// The answer is out: the next request, whose beginning may be here already.
    pub(super) fn next_request(&mut self, now: Time, body_max: usize) -> Next {
        self.phase = Phase::Head;
        self.head.clear();
        self.body.clear();
        self.answered += 1;
        self.since = now;
        let ahead = std::mem::take(&mut self.ahead);
        self.feed(&ahead, body_max)
    }

    /// Whether nothing of a request has come.
    pub(super) fn is_idle(&self) -> bool {
        matches!(self.phase, Phase::Head) && self.head.is_empty()
    }

    /// This is to go out, where nothing but [`GO_ON`] is on its way.
    pub(super) fn put(&mut self, out: Vec<u8>, tail: Rc<[u8]>) {
        debug_assert!(self.backlog() <= GO_ON.len(), "one answer at a time");
        self.extend(&out);
        self.tail = tail;
    }

    /// Puts bytes behind what waits to go out.
    pub(super) fn extend(&mut self, bytes: &[u8]) {
        self.out.drain(..self.sent.min(self.out.len()));
        self.sent = 0;
        self.out.extend_from_slice(bytes);
    }

    /// Bytes that wait to go out.
    pub(super) fn backlog(&self) -> usize {
        self.out.len() + self.tail.len() - self.sent
    }

    /// One write. How many bytes it took.
    pub(super) fn flush(&mut self, cx: &mut Cx<'_>) -> io::Result<usize> {
        let mut taken = 0;
        if self.backlog() > 0 {
            let out = &self.out[self.sent.min(self.out.len())..];
            let tail = &self.tail[self.sent.saturating_sub(self.out.len())..];
            let out = &out[..out.len().min(WRITE_MAX)];
            let tail = &tail[..tail.len().min(WRITE_MAX - out.len())];
            let slices = [IoSlice::new(out), IoSlice::new(tail)];
            taken = cx.write_slices(self.sock, &slices)?.unwrap_or(0);
            self.sent += taken;
        }
        let is_out = self.backlog() == 0;
        if is_out {
            // A page may be open for days: what one answer took is given back.
            (self.out, self.tail, self.sent) = (Vec::new(), [].into(), 0);
        }
        cx.want_write(self.sock, !is_out);
        Ok(taken)
    }

    /// Gives it so long for what it does now; `None`: as long as it likes.
    pub(super) fn arm(&mut self, cx: &mut Cx<'_>, key: usize, after: Option<Duration>) {
        if let Some(timer) = self.deadline.take() {
            cx.cancel(timer);
        }
        self.deadline = after.map(|after| cx.timer(after, TIMER | key as u32));
    }

    pub(super) fn check_invariants(&self, body_max: usize) {
        assert!(self.ahead.len() <= READ_MAX && self.body.len() <= body_max);
        assert!(self.sent <= self.out.len() + self.tail.len());
        let most = match self.phase {
            Phase::Answering | Phase::Streaming => usize::MAX,
            Phase::Body { .. } | Phase::Waiting => GO_ON.len(),
            Phase::Head | Phase::Judged { .. } | Phase::Parting => 0,
        };
        assert!(self.backlog() <= most, "{:?}", self.phase);
        let may_last = matches!(self.phase, Phase::Streaming) && self.backlog() == 0;
        assert!(may_last || self.deadline.is_some(), "{:?}", self.phase);
    }
}

/// What is said to who waits for a word before its body.
pub(super) const GO_ON: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";
/// The most that one write offers.
const WRITE_MAX: usize = 64 << 10;
