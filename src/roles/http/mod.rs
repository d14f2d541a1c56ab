//! The serving half of HTTP/1.1, for roles that answer requests: connections, their limits and their deadlines. It does
//! not know what is asked for, and who may ask.
//!
//! ```text
//!   Head ──whole──> Judged ──> Body ──whole──> Waiting ──answer──> Answering ──out──┬──> Head (kept)
//!                      └──refused──> Answering    └──stream──> Streaming            └──> Parting ──> closed
//! ```
//!
//! A body that does not come with its head is read only once the role has looked at that ([`Server::go_ahead`]): who
//! may not send it is told so at once, and so is whoever asks whether it may come (`Expect: 100-continue`). A
//! connection that is refused in the midst of a request is shut on our side, and closed when its other end is.
//!
//! Whole requests stand in a queue, of which one is handed out ([`Server::next`]) at an
//! [`crate::reactor::Event::Again`], and of those one is asked for at a time: however many connections there are, and
//! however many requests each sends ahead, a turn is not longer for it.
//!
//! **Invariant.** Of each connection one read at most is held ahead, and what waits for it is at most what its role
//! gave it while [`Server::backlog`] was short, and one answer.

mod conn;
mod content;

use std::collections::VecDeque;
use std::time::Duration;

use slab::Slab;

use crate::base::units::Span;
use crate::proto::http1::{Fault, HeadBuf};
use crate::reactor::Cx;
use crate::reactor::net::{Close, Peer, SockId};

pub(crate) use self::conn::Trust;
use self::conn::{Conn, GO_ON, Next, Phase};
pub(crate) use self::content::Content;

/// Limits, and how a request that is none is answered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Connections at a time.
    pub(crate) connections: usize,
    /// The longest body of a request, in bytes.
    pub(crate) body: usize,
    /// How long a request may take to be whole, the first one from the connection on.
    pub(crate) asking: Duration,
    /// How long a connection is kept for its next request; `None`: it has but one.
    pub(crate) idle: Option<Duration>,
    /// How long an answer may be waited for.
    pub(crate) waiting: Duration,
    /// How long a reader may take nothing of what waits for it.
    pub(crate) telling: Duration,
    /// The answer to what is no request.
    pub(crate) refusal: fn(Fault) -> Content,
}

/// All connections.
pub(crate) struct Server {
    limits: Limits,
    conns: Slab<Conn>,
    serial: u64,
    /// Those whose request is whole, and waits to be looked at.
    whole: VecDeque<ConnId>,
    /// An [`crate::reactor::Event::Again`] is on its way.
    is_awake: bool,
    scratch: Box<[u8]>,
}

/// A connection, and which of its place's tenants it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ConnId {
    key: usize,
    serial: u64,
}

/// A request that is whole.
pub(crate) struct Asked {
    pub(crate) conn: ConnId,
    /// Who sent it.
    pub(crate) peer: Peer,
    pub(crate) head: HeadBuf,
    pub(crate) body: Vec<u8>,
    /// Its body has come. Otherwise it is refused, or [`Server::go_ahead`] is called.
    pub(crate) is_whole: bool,
}

impl Asked {
    /// Whether only the head of an answer is asked for.
    pub(crate) fn is_head(&self) -> bool {
        self.head.bytes().starts_with(b"HEAD ")
    }
}

impl Server {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            conns: Slab::new(),
            serial: 0,
            whole: VecDeque::new(),
            is_awake: false,
            scratch: vec![0; READ_MAX].into_boxed_slice(),
        }
    }

    /// A connection came in. Says so where another had to go for it, or it for the others.
    ///
    /// Whoever has not shown a right makes way first, then those who may only look, the oldest before the others, and
    /// at last whoever is only kept. A quarter of the places is not for those who look: however many they are, there
    /// is one for an owner, who is a stranger at first.
    pub(crate) fn accepted(&mut self, cx: &mut Cx<'_>, sock: SockId, peer: Peer) -> Option<String> {
        let mut said = None;
        let most = match cx.has_spare() {
            true => self.limits.connections,
            false => self.limits.connections.min(self.conns.len().max(LEAST)),
        };
        if self.conns.len() >= most {
            let Some(key) = self.dispensable() else {
                cx.close(sock, Close::Reset);
                return Some(format!("{peer} turned away: {most} connections are enough"));
            };
            let gone = self.conns[key].peer;
            said = Some(format!("{gone} dropped: {most} others came after it"));
            self.close(cx, key, Close::Reset);
        }
        self.serial += 1;
        let key = self
            .conns
            .insert(Conn::new(sock, peer, self.serial, cx.now()));
        cx.set_tag(sock, key as u32);
        cx.want_read(sock, true);
        self.conns[key].arm(cx, key, Some(self.limits.asking));
        said
    }

    fn dispensable(&self) -> Option<usize> {
        let looks = |conn: &Conn| conn.trust == Trust::Viewer;
        let viewers = self.conns.iter().filter(|(_, conn)| looks(conn)).count();
        let are_many = viewers > self.limits.connections * 3 / 4;
        let may_go = |conn: &Conn| match are_many {
            true => looks(conn),
            false => conn.trust < Trust::Owner || conn.is_idle(),
        };
        let rank = |conn: &Conn| (conn.trust, conn.since);
        let candidates = self.conns.iter().filter(|(_, conn)| may_go(conn));
        candidates
            .min_by_key(|(_, conn)| rank(conn))
            .map(|(key, _)| key)
    }

    /// There is something to read.
    pub(crate) fn readable(&mut self, cx: &mut Cx<'_>, sock: SockId) {
        let Some(key) = self.key_of(cx, sock) else {
            return;
        };
        let count = match cx.read(sock, &mut self.scratch) {
            Ok(None) => return,
            Ok(Some(0)) | Err(_) => return self.close(cx, key, Close::Orderly),
            Ok(Some(count)) => count,
        };
        let conn = &mut self.conns[key];
        if conn.is_idle() && conn.answered > 0 {
            conn.arm(cx, key, Some(self.limits.asking));
        }
        let next = conn.feed(&self.scratch[..count], self.limits.body);
        self.go_on(cx, key, next);
    }

    fn go_on(&mut self, cx: &mut Cx<'_>, key: usize, next: Next) {
        match next {
            Next::More => {}
            Next::Judge => {
                cx.want_read(self.conns[key].sock, false);
                self.whole.push_back(self.id(key));
                self.wake(cx);
            }
            Next::Whole => {
                let conn = &mut self.conns[key];
                conn.phase = Phase::Waiting;
                conn.arm(cx, key, Some(self.limits.waiting));
                cx.want_read(conn.sock, false);
                self.whole.push_back(self.id(key));
                self.wake(cx);
            }
            Next::Fault(fault) => {
                let conn = &mut self.conns[key];
                conn.keeps = false;
                conn.phase = Phase::Waiting;
                cx.want_read(conn.sock, false);
                self.tell(cx, key, (self.limits.refusal)(fault));
            }
        }
    }

    /// Asks for one [`crate::reactor::Event::Again`], if none is on its way.
    pub(crate) fn wake(&mut self, cx: &mut Cx<'_>) {
        if !self.is_awake {
            self.is_awake = true;
            cx.again();
        }
    }

    /// To be called first at each [`crate::reactor::Event::Again`]: another one comes while requests are left, or
    /// whatever else `is_more` says.
    pub(crate) fn woken(&mut self, cx: &mut Cx<'_>, is_more: bool) {
        self.is_awake = false;
        while self.whole.front().is_some_and(|id| self.key(*id).is_none()) {
            self.whole.pop_front();
        }
        if is_more || !self.whole.is_empty() {
            self.wake(cx);
        }
    }

    /// The next request, where there is one.
    pub(crate) fn next(&mut self) -> Option<Asked> {
        let id = self.whole.pop_front()?;
        let key = self.key(id)?;
        let conn = &mut self.conns[key];
        Some(Asked {
            conn: id,
            peer: conn.peer,
            head: std::mem::take(&mut conn.head),
            is_whole: !matches!(conn.phase, Phase::Judged { .. }),
            // What has come of one that is not whole stays where the rest will be.
            body: match conn.phase {
                Phase::Judged { .. } => Vec::new(),
                _ => std::mem::take(&mut conn.body),
            },
        })
    }

    /// The body of a request that was looked at may come.
    pub(crate) fn go_ahead(&mut self, cx: &mut Cx<'_>, asked: Asked) {
        let Some(key) = self.key(asked.conn) else {
            return;
        };
        let conn = &mut self.conns[key];
        cx.want_read(conn.sock, true);
        if conn.go_ahead(asked.head) {
            conn.extend(GO_ON);
            if conn.flush(cx).is_err() {
                self.close(cx, key, Close::Reset);
            }
        }
    }

    /// Whoever sent this is known from now on, and is not turned away for those of whom less is.
    pub(crate) fn vouch(&mut self, id: ConnId, trust: Trust) {
        if let Some(key) = self.key(id) {
            self.conns[key].trust = trust;
        }
    }

    /// Answers a request. One whose connection has gone, or has its answer, is left alone.
    pub(crate) fn answer(&mut self, cx: &mut Cx<'_>, id: ConnId, content: Content) {
        let Some(key) = self.key(id) else { return };
        match self.conns[key].phase {
            Phase::Waiting => self.tell(cx, key, content),
            Phase::Judged { .. } => {
                // What is still to come of it is not the next request.
                self.conns[key].keeps = false;
                self.tell(cx, key, content);
            }
            _ => {}
        }
    }

    fn tell(&mut self, cx: &mut Cx<'_>, key: usize, content: Content) {
        let may_keep = self.limits.idle.is_some();
        let conn = &mut self.conns[key];
        conn.keeps &= may_keep;
        let (head, body) = content.parts(conn.keeps, conn.is_head);
        conn.put(head, body);
        conn.phase = Phase::Answering;
        conn.arm(cx, key, Some(self.limits.telling));
        self.flush(cx, key);
    }

    /// Begins an answer that has no end. What follows is [`Server::push`]ed.
    pub(crate) fn stream(&mut self, cx: &mut Cx<'_>, id: ConnId, content: Content) {
        let waits = |key: &usize| matches!(self.conns[*key].phase, Phase::Waiting);
        let Some(key) = self.key(id).filter(waits) else {
            return;
        };
        let conn = &mut self.conns[key];
        conn.put(content.open(), [].into());
        conn.phase = Phase::Streaming;
        conn.arm(cx, key, Some(self.limits.telling));
        // Its end is noticed at once; what it says is nothing to us.
        cx.want_read(conn.sock, true);
        self.flush(cx, key);
    }

    /// Adds to a stream.
    pub(crate) fn push(&mut self, cx: &mut Cx<'_>, id: ConnId, bytes: &[u8]) {
        let streams = |key: &usize| matches!(self.conns[*key].phase, Phase::Streaming);
        let Some(key) = self.key(id).filter(streams) else {
            return;
        };
        let conn = &mut self.conns[key];
        let was_idle = conn.backlog() == 0;
        conn.extend(bytes);
        // What is on its way already is waited for: one write a visit.
        if was_idle {
            conn.arm(cx, key, Some(self.limits.telling));
            self.flush(cx, key);
        }
    }

    /// All is over: whoever has asked for something gets the answer, and goes; all others go at once.
    pub(crate) fn leave(&mut self, cx: &mut Cx<'_>) {
        let keys: Vec<usize> = self.conns.iter().map(|(key, _)| key).collect();
        for key in keys {
            match self.conns[key].phase {
                Phase::Waiting | Phase::Answering => self.conns[key].keeps = false,
                _ => self.close(cx, key, Close::Orderly),
            }
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.conns.is_empty()
    }

    /// Ends a connection, whatever it is at.
    pub(crate) fn end(&mut self, cx: &mut Cx<'_>, id: ConnId) {
        if let Some(key) = self.key(id) {
            self.close(cx, key, Close::Orderly);
        }
    }

    /// Bytes that wait for a reader; `None` where it is gone.
    pub(crate) fn backlog(&self, id: ConnId) -> Option<usize> {
        self.key(id).map(|key| self.conns[key].backlog())
    }

    /// There is room to write. The stream that has nothing left to write by now.
    pub(crate) fn writable(&mut self, cx: &mut Cx<'_>, sock: SockId) -> Option<ConnId> {
        let key = self.key_of(cx, sock)?;
        let id = self.id(key);
        self.flush(cx, key);
        let conn = &self.conns[self.key(id)?];
        (matches!(conn.phase, Phase::Streaming) && conn.backlog() == 0).then_some(id)
    }

    /// One write, and what follows from it.
    fn flush(&mut self, cx: &mut Cx<'_>, key: usize) {
        let telling = self.limits.telling;
        let conn = &mut self.conns[key];
        let Ok(taken) = conn.flush(cx) else {
            return self.close(cx, key, Close::Reset);
        };
        if matches!(conn.phase, Phase::Body { .. } | Phase::Waiting) {
            // That was the word to go on: the time is the request's.
            return;
        }
        let is_out = conn.backlog() == 0;
        if taken > 0 || is_out {
            conn.arm(cx, key, (!is_out).then_some(telling));
        }
        if is_out && matches!(conn.phase, Phase::Answering) {
            self.answered(cx, key);
        }
    }

    /// An answer is out: the next request, whose beginning may be here already, or the end.
    fn answered(&mut self, cx: &mut Cx<'_>, key: usize) {
        let now = cx.now();
        let conn = &mut self.conns[key];
        conn.arm(cx, key, self.limits.idle.or(Some(self.limits.telling)));
        cx.want_read(conn.sock, true);
        if conn.keeps {
            let next = conn.next_request(now, self.limits.body);
            if !conn.is_idle() {
                conn.arm(cx, key, Some(self.limits.asking));
            }
            return self.go_on(cx, key, next);
        }
        conn.phase = Phase::Parting;
        conn.arm(cx, key, Some(self.limits.telling));
        // Closed at once, it might not read the answer: bytes that nobody takes turn a close into a reset.
        if cx.shutdown(conn.sock).is_err() {
            self.close(cx, key, Close::Orderly);
        }
    }

    /// A timer is over. Says whom it has cost the connection, where that was slow.
    pub(crate) fn overdue(&mut self, cx: &mut Cx<'_>, tag: u32) -> Option<String> {
        let key = (tag ^ TIMER) as usize;
        let conn = self.conns.get_mut(key).filter(|_| tag & TIMER != 0)?;
        conn.deadline = None;
        let took = Span(cx.now().since(conn.since));
        let (said, how) = match conn.phase {
            Phase::Head | Phase::Judged { .. } | Phase::Body { .. }
                if !conn.is_idle() || conn.answered == 0 =>
            {
                (Some("its request is not whole"), Close::Orderly)
            }
            Phase::Answering => (Some("it has not taken its answer"), Close::Reset),
            Phase::Streaming => (Some("it reads nothing of what it is sent"), Close::Reset),
            Phase::Waiting => (Some("there is no answer to its request"), Close::Reset),
            Phase::Head | Phase::Judged { .. } | Phase::Body { .. } | Phase::Parting => {
                (None, Close::Orderly)
            }
        };
        let text = said.map(|why| format!("{} dropped: {why} after {took}", conn.peer));
        self.close(cx, key, how);
        text
    }

    /// Every socket of a connection.
    pub(crate) fn sockets(&self) -> impl Iterator<Item = SockId> {
        self.conns.iter().map(|(_, conn)| conn.sock)
    }

    /// Panics where an invariant does not hold.
    pub(crate) fn check_invariants(&self) {
        assert!(self.conns.len() <= self.limits.connections);
        for (_, conn) in &self.conns {
            conn.check_invariants(self.limits.body);
        }
        let waiting = |(_, conn): &(usize, &Conn)| {
            matches!(conn.phase, Phase::Waiting | Phase::Judged { .. })
        };
        let waiting = self.conns.iter().filter(waiting).count();
        let queued = self.whole.iter().filter(|id| self.key(**id).is_some());
        assert!(queued.count() <= waiting, "a request is handed out once");
    }

    fn id(&self, key: usize) -> ConnId {
        let serial = self.conns[key].serial;
        ConnId { key, serial }
    }

    fn key(&self, id: ConnId) -> Option<usize> {
        let conn = self.conns.get(id.key)?;
        (conn.serial == id.serial).then_some(id.key)
    }

    fn key_of(&self, cx: &Cx<'_>, sock: SockId) -> Option<usize> {
        let key = cx.tag(sock)? as usize;
        let conn = self.conns.get(key)?;
        (conn.sock == sock).then_some(key)
    }

    fn close(&mut self, cx: &mut Cx<'_>, key: usize, how: Close) {
        let mut conn = self.conns.remove(key);
        conn.arm(cx, key, None);
        cx.close(conn.sock, how);
    }
}

/// So many have room, however few descriptors there are.
const LEAST: usize = 4;
/// The most that one read takes, and is held of a connection ahead of its time.
const READ_MAX: usize = 16 << 10;
/// What tells the timers here from those of the role around.
const TIMER: u32 = 1 << 31;
