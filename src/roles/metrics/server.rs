//! Connections that ask by HTTP: one request each, within a deadline, and its answer, which has a deadline too.
//!
//! ```text
//!   Asking ──whole──> Waiting ──answer──> Telling ──all sent──> Parting (our end is shut) ──its end──> closed
//!      └── a bad head: an answer at once        every stage but Waiting has a deadline ──> closed
//! ```

use std::rc::Rc;
use std::time::Duration;

use slab::Slab;

use crate::base::time::Time;
use crate::base::units::Span;
use crate::base::wheel::TimerKey;
use crate::proto::http1::{Answer, Fault, HeadBuf};
use crate::reactor::Cx;
use crate::reactor::net::{Close, Peer, SockId};

/// All connections.
pub(super) struct Server {
    conns: Slab<Conn>,
    scratch: Box<[u8]>,
}

struct Conn {
    sock: SockId,
    peer: Peer,
    since: Time,
    stage: Stage,
    head: HeadBuf,
    deadline: Option<TimerKey>,
}

enum Stage {
    Asking,
    Waiting,
    Telling { content: Content, sent: usize },
    Parting,
}

/// An answer as it is written: a head of its own, and a body that several may share.
#[derive(Clone, Debug)]
pub(super) struct Content {
    head: Vec<u8>,
    body: Rc<[u8]>,
}

impl Content {
    /// Head and body in one.
    pub(super) fn whole(bytes: Vec<u8>) -> Self {
        Self {
            head: bytes,
            body: Rc::from([]),
        }
    }

    /// A body of this type.
    pub(super) fn of(kind: &str, body: Rc<[u8]>) -> Self {
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nCache-Control: no-store\r\n\
             X-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n",
            body.len()
        );
        Self {
            head: head.into_bytes(),
            body,
        }
    }

    fn len(&self) -> usize {
        self.head.len() + self.body.len()
    }

    /// What is left of it after so many bytes.
    fn rest(&self, sent: usize) -> [&[u8]; 2] {
        let head = &self.head[sent.min(self.head.len())..];
        let body = &self.body[sent.saturating_sub(self.head.len())..];
        [head, body]
    }

    /// The answer to a `HEAD`: without its body.
    fn without_body(mut self) -> Self {
        let end = self.head.windows(4).position(|four| four == b"\r\n\r\n");
        self.head
            .truncate(end.map_or(self.head.len(), |end| end + 4));
        self.body = Rc::from([]);
        self
    }
}

impl Server {
    pub(super) fn new() -> Self {
        Self {
            conns: Slab::new(),
            scratch: vec![0; READ_MAX].into_boxed_slice(),
        }
    }

    /// A listener whose connections come here.
    pub(super) fn listens(&self, cx: &mut Cx<'_>, listener: SockId) {
        cx.set_tag(listener, u32::MAX);
    }

    /// A connection came in. Says so where another had to go for it.
    pub(super) fn accepted(&mut self, cx: &mut Cx<'_>, sock: SockId, peer: Peer) -> Option<String> {
        let mut said = None;
        if self.conns.len() >= CONNECTIONS_MAX {
            let oldest = self.conns.iter().min_by_key(|(_, conn)| conn.since);
            if let Some((key, conn)) = oldest.map(|(key, conn)| (key, conn.peer)) {
                said = Some(format!(
                    "{conn} dropped: {CONNECTIONS_MAX} others came after it"
                ));
                self.close(cx, key, Close::Reset);
            }
        }
        let entry = self.conns.vacant_entry();
        let key = entry.key();
        cx.set_tag(sock, key as u32);
        cx.want_read(sock, true);
        entry.insert(Conn {
            sock,
            peer,
            since: cx.now(),
            stage: Stage::Asking,
            head: HeadBuf::new(),
            deadline: Some(cx.timer(ASKING, key as u32)),
        });
        said
    }

    /// Reads. A connection whose request is whole by now.
    pub(super) fn readable(&mut self, cx: &mut Cx<'_>, sock: SockId) -> Option<usize> {
        let key = cx.tag(sock)? as usize;
        let conn = self.conns.get_mut(key)?;
        let count = match cx.read(sock, &mut self.scratch) {
            Ok(None) => return None,
            // One that half-closes after its request still gets its answer.
            Ok(Some(0)) if matches!(conn.stage, Stage::Waiting | Stage::Telling { .. }) => {
                cx.want_read(sock, false);
                return None;
            }
            Ok(Some(0)) | Err(_) => {
                self.close(cx, key, Close::Orderly);
                return None;
            }
            Ok(Some(count)) => count,
        };
        // What comes behind a request is not read as another one: the connection ends with its answer.
        if !matches!(conn.stage, Stage::Asking) {
            return None;
        }
        match conn.head.feed(&self.scratch[..count]) {
            Ok(_) if !conn.head.is_complete() => None,
            Ok(_) => {
                conn.stage = Stage::Waiting;
                if let Some(timer) = conn.deadline.take() {
                    cx.cancel(timer);
                }
                Some(key)
            }
            Err(fault) => {
                self.refuse(cx, key, fault);
                None
            }
        }
    }

    fn refuse(&mut self, cx: &mut Cx<'_>, key: usize, fault: Fault) {
        let answer = Answer::from(fault).bytes();
        self.tell(cx, key, Content::whole(answer));
    }

    /// The head of a request that is whole and has no answer yet.
    pub(super) fn head(&self, key: usize) -> Option<&HeadBuf> {
        let conn = self.conns.get(key)?;
        matches!(conn.stage, Stage::Waiting).then_some(&conn.head)
    }

    /// Answers a request. One whose connection has gone is left alone.
    pub(super) fn answer(&mut self, cx: &mut Cx<'_>, key: usize, content: Content) {
        let Some(head) = self.head(key) else {
            return;
        };
        let content = match head.bytes().starts_with(b"HEAD ") {
            true => content.without_body(),
            false => content,
        };
        self.tell(cx, key, content);
    }

    fn tell(&mut self, cx: &mut Cx<'_>, key: usize, content: Content) {
        let conn = &mut self.conns[key];
        if let Some(timer) = conn.deadline.take() {
            cx.cancel(timer);
        }
        conn.deadline = Some(cx.timer(TELLING, key as u32));
        conn.stage = Stage::Telling { content, sent: 0 };
        self.go_on(cx, key);
    }

    pub(super) fn writable(&mut self, cx: &mut Cx<'_>, sock: SockId) {
        if let Some(key) = cx.tag(sock) {
            self.go_on(cx, key as usize);
        }
    }

    fn go_on(&mut self, cx: &mut Cx<'_>, key: usize) {
        let Some(conn) = self.conns.get_mut(key) else {
            return;
        };
        let Stage::Telling { content, sent } = &mut conn.stage else {
            return;
        };
        match cx.write(conn.sock, content.rest(*sent)) {
            Ok(count) => *sent += count.unwrap_or(0),
            Err(_) => return self.close(cx, key, Close::Orderly),
        }
        let is_sent = *sent == content.len();
        cx.want_write(conn.sock, !is_sent);
        if is_sent {
            conn.stage = Stage::Parting;
            cx.want_read(conn.sock, true);
            // Closed at once, it might not read the answer: bytes that nobody takes turn a close into a reset.
            if cx.shutdown(conn.sock).is_err() {
                self.close(cx, key, Close::Orderly);
            }
        }
    }

    /// A deadline is over. Says whom it has cost the connection, where that was slow.
    pub(super) fn overdue(&mut self, cx: &mut Cx<'_>, tag: u32) -> Option<String> {
        let key = tag as usize;
        let conn = self.conns.get_mut(key)?;
        conn.deadline = None;
        let took = Span(cx.now().since(conn.since));
        let (said, how) = match conn.stage {
            Stage::Asking => (Some("its request is not whole"), Close::Orderly),
            Stage::Telling { .. } => (Some("it has not taken its answer"), Close::Reset),
            Stage::Waiting | Stage::Parting => (None, Close::Orderly),
        };
        let text = said.map(|why| format!("{} dropped: {why} after {took}", conn.peer));
        self.close(cx, key, how);
        text
    }

    fn close(&mut self, cx: &mut Cx<'_>, key: usize, how: Close) {
        let Some(conn) = self.conns.try_remove(key) else {
            return;
        };
        if let Some(timer) = conn.deadline {
            cx.cancel(timer);
        }
        cx.close(conn.sock, how);
    }
}

/// Connections at a time; one more takes the place of the oldest.
const CONNECTIONS_MAX: usize = 64;
/// How long a request may take to be whole.
const ASKING: Duration = Duration::from_secs(5);
/// How long an answer may take to be taken.
const TELLING: Duration = Duration::from_secs(10);
const READ_MAX: usize = 8 << 10;
