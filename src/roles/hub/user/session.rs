//! A client's connection with a hub: dialled, let in, kept alive, and read.
//!
//! ```text
//!   Dialling ──> Opening ──(nonce, proof)──> ok ──> Ready ──> Closing: our end is shut, the hub's is waited for
//!      ^            │ closed before a word, and no token: perhaps the hub is one of the seed's, which know no envelope
//!      └────────────┘ dials again, as their clients do
//! ```

use std::io;
use std::time::Duration;

use crate::base::byte_queue::ByteQueue;
use crate::base::time::Time;
use crate::base::units::Span;
use crate::base::wheel::TimerKey;
use crate::proto::mailbox::{
    Names, Notice, Piece, Reader, Request, prove, write_head, write_message, write_opening,
};
use crate::proto::tls::looks_like_tls;
use crate::reactor::net::{Close, Keepalive, SockId};
use crate::reactor::{Cx, DialError, DialId, plain};
use crate::roles::hub::config::Account;
use crate::roles::hub::serve::Shown;
use crate::roles::link::{Link, tls_error};

/// The connection.
#[derive(Debug)]
pub(crate) struct Session {
    account: Account,
    tags: Tags,
    state: State,
    /// A hub that knows no envelope is of no use.
    enveloped: bool,
    /// The stream to the hub, once there is one.
    link: Option<Link>,
    /// The hub is spoken to as the seed's clients do.
    plain: bool,
    /// The hub has sent a byte.
    heard: bool,
    /// The hub has had a proof. It asks once.
    proven: bool,
    reader: Reader,
    /// The message that is coming in.
    incoming: Incoming,
    out: ByteQueue,
    reading: bool,
    /// When bytes were last queued for the hub.
    wrote: Time,
    /// By when the hub has to answer.
    deadline: Option<Time>,
    /// The timer that looks at it, where that is set.
    late: Option<TimerKey>,
    /// The timer of the keepalive.
    alive: Option<TimerKey>,
}

/// What the connection's socket and its timers are called, in their tags.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tags {
    /// The socket's.
    pub(crate) sock: u32,
    /// The timer's whose end is told by [`Session::keep_alive`].
    pub(crate) alive: u32,
    /// The timer's whose end is told by [`Session::late`].
    pub(crate) late: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Dialling(DialId),
    Opening,
    Ready,
    /// Nothing more will be said; whether the hub has been told.
    Closing {
        told: bool,
    },
    Over,
}

#[derive(Debug)]
enum Incoming {
    /// The hub's own words.
    Notice(Vec<u8>),
    /// An empty message from ourselves, by which we keep ourselves alive.
    Echo,
    /// Somebody's.
    Message,
}

/// What comes of a connection.
#[derive(Debug)]
pub(crate) enum Said<'a> {
    /// The client is let in.
    Ready,
    /// A message begins, from this client of the hub.
    From(&'a [u8]),
    /// Bytes of a message; the last ones, if that is known.
    Bytes { bytes: &'a [u8], last: bool },
    /// Names that are registered.
    Names(Names<'a>),
}

/// Where a connection is, after something happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// It goes on.
    On,
    /// It has ended as it should.
    Closed,
}

impl Session {
    pub(crate) fn new(account: Account, tags: Tags) -> Self {
        Self {
            account,
            tags,
            state: State::Over,
            enveloped: false,
            link: None,
            plain: false,
            heard: false,
            proven: false,
            reader: Reader::of_hub(u64::MAX),
            incoming: Incoming::Message,
            out: ByteQueue::new(),
            reading: true,
            wrote: Time::ZERO,
            deadline: None,
            late: None,
            alive: None,
        }
    }

    /// A connection that is nothing without the envelope.
    pub(crate) fn enveloped(account: Account, tags: Tags) -> Self {
        Self {
            enveloped: true,
            ..Self::new(account, tags)
        }
    }

    /// Whether messages can't be told apart, and the hub answers nothing.
    pub(crate) fn is_plain(&self) -> bool {
        self.plain
    }

    /// Whether messages can be sent.
    pub(crate) fn is_ready(&self) -> bool {
        matches!(self.state, State::Ready)
    }

    /// Bytes that wait for the hub to take them.
    pub(crate) fn waiting(&self) -> usize {
        self.out.len()
    }

    /// Bytes of messages that the hub's machine is not known to have.
    pub(crate) fn under_way(&self, cx: &Cx<'_>) -> u64 {
        let link = self.link.as_ref();
        self.out.len() as u64 + link.map_or(0, |link| link.under_way(cx))
    }

    /// Whether the hub's machine has sent some of a record of TLS since the last call.
    pub(crate) fn has_heard(&mut self) -> bool {
        self.link.as_mut().is_some_and(Link::has_heard)
    }

    pub(crate) fn start(&mut self, cx: &mut Cx<'_>) {
        self.dial(cx);
        self.expect_answer(cx);
        self.alive = Some(cx.timer(KEEPALIVE, self.tags.alive));
    }

    fn dial(&mut self, cx: &mut Cx<'_>) {
        let (hub, timeout) = (&self.account.hub, self.account.timeout);
        self.state = State::Dialling(cx.dial(hub, timeout));
    }

    /// Whether this dial is its own.
    pub(crate) fn dials(&self, dial: DialId) -> bool {
        matches!(self.state, State::Dialling(ours) if ours == dial)
    }

    /// Gives it up, whatever it is at. Nothing of it comes any more.
    pub(crate) fn give_up(&mut self, cx: &mut Cx<'_>) {
        if let State::Dialling(dial) = self.state {
            cx.cancel_dial(dial);
        }
        if let Some(mut link) = self.link.take() {
            link.close(cx, Close::Orderly);
        }
        self.state = State::Over;
        for timer in [self.late.take(), self.alive.take()].into_iter().flatten() {
            cx.cancel(timer);
        }
    }

    /// An answer is to come within the time given.
    pub(crate) fn expect_answer(&mut self, cx: &mut Cx<'_>) {
        self.deadline = Some(cx.now() + self.account.timeout);
        if self.late.is_none() {
            self.late = Some(cx.timer(self.account.timeout, self.tags.late));
        }
    }

    /// The timer has run out.
    pub(crate) fn late(&mut self, cx: &mut Cx<'_>) -> Result<Step, String> {
        self.late = None;
        let Some(deadline) = self.deadline else {
            return Ok(Step::On);
        };
        if cx.now() < deadline {
            self.late = Some(cx.timer(deadline.since(cx.now()), self.tags.late));
            return Ok(Step::On);
        }
        if matches!(self.state, State::Closing { .. }) && self.is_flushed() {
            // Its kernel has everything; that it does not close is its own affair.
            return Ok(Step::Closed);
        }
        let (hub, time) = (&self.account.hub, Span(self.account.timeout));
        Err(format!("the hub {hub} did not answer within {time}"))
    }

    pub(crate) fn connected(
        &mut self,
        cx: &mut Cx<'_>,
        sock: SockId,
        on: &mut dyn FnMut(Said<'_>),
    ) -> Result<Step, String> {
        let dialled = Link::dialled(cx, sock, &self.account.hub, &self.account.tls);
        let mut link = dialled.map_err(|error| self.connect_failed(&DialError::Layer(error)))?;
        cx.set_tag(sock, self.tags.sock);
        link.want_read(cx, self.reading);
        self.link = Some(link);
        let keepalive = Keepalive {
            idle: DEAD_AFTER,
            user_timeout: Some(DEAD_AFTER),
        };
        cx.set_keepalive(sock, keepalive);
        let mut opening = Vec::new();
        write_opening(&self.account.name, !self.plain, &mut opening);
        self.out.push(&opening);
        self.state = State::Opening;
        if self.plain {
            // Nobody says so: a hub that is the seed's closes where it does not like the name.
            self.state = State::Ready;
            self.deadline = None;
            on(Said::Ready);
        }
        self.flush(cx)
    }

    pub(crate) fn connect_failed(&mut self, error: &DialError) -> String {
        format!("the hub {} {error}", self.account.hub)
    }

    /// One read, and what it means.
    pub(crate) fn readable(
        &mut self,
        cx: &mut Cx<'_>,
        buffer: &mut [u8],
        on: &mut dyn FnMut(Said<'_>),
    ) -> Result<Step, String> {
        let Some(link) = &mut self.link else {
            return Ok(Step::On);
        };
        match link.read(cx, buffer) {
            Ok(None) => Ok(Step::On),
            Ok(Some(0)) => self.lost(cx, None),
            Ok(Some(count)) if !self.heard && looks_like_tls(&buffer[..count]) => {
                let hub = &self.account.hub;
                Err(format!("the hub {hub} speaks TLS: write tls:// before it"))
            }
            Ok(Some(count)) => {
                self.heard = true;
                self.hear(&buffer[..count], on)?;
                self.flush(cx)
            }
            Err(error) => self.lost(cx, Some(&error)),
        }
    }

    fn hear(&mut self, bytes: &[u8], on: &mut dyn FnMut(Said<'_>)) -> Result<(), String> {
        if self.plain {
            on(Said::Bytes { bytes, last: true });
            return Ok(());
        }
        let mut reader = std::mem::replace(&mut self.reader, Reader::of_hub(0));
        let mut rest = bytes;
        loop {
            let fed = reader.feed(rest);
            let (took, piece) = fed.map_err(|fault| {
                let hub = &self.account.hub;
                format!("what {hub} says is not a hub's: {fault}")
            })?;
            rest = &rest[took..];
            match piece {
                None => break,
                Some(Piece::Head { name, len }) => {
                    self.incoming = match name {
                        [] => Incoming::Notice(Vec::new()),
                        own if own == self.account.name && len == 0 => Incoming::Echo,
                        sender => {
                            on(Said::From(sender));
                            Incoming::Message
                        }
                    };
                }
                Some(Piece::Body { bytes, last }) => match &mut self.incoming {
                    Incoming::Echo => {}
                    Incoming::Message => on(Said::Bytes { bytes, last }),
                    Incoming::Notice(notice) => {
                        notice.extend_from_slice(bytes);
                        if notice.len() > NOTICE_MAX {
                            return Err("the hub's answer is too long".to_owned());
                        }
                        if last {
                            let notice = std::mem::take(notice);
                            self.on_notice(&notice, on)?;
                        }
                    }
                },
                Some(Piece::Envelope | Piece::Name(_)) => {}
            }
        }
        self.reader = reader;
        Ok(())
    }

    fn on_notice(&mut self, notice: &[u8], on: &mut dyn FnMut(Said<'_>)) -> Result<(), String> {
        match (Notice::read(notice), self.state) {
            (Some(Notice::Ok), State::Opening) => {
                self.state = State::Ready;
                self.deadline = None;
                on(Said::Ready);
            }
            (Some(Notice::Refused(reason)), _) => {
                let (name, reason) = (Shown(&self.account.name), Shown(reason));
                return Err(format!(
                    "the hub {} refused {name}: {reason}",
                    self.account.hub
                ));
            }
            (Some(Notice::Nonce(_)), State::Opening) if self.proven => {
                let hub = &self.account.hub;
                return Err(format!("what {hub} says is not a hub's: a second nonce"));
            }
            (Some(Notice::Nonce(nonce)), State::Opening) => {
                let Some(token) = &self.account.token else {
                    return Err(format!(
                        "the hub {} asks for a token: --token-file FILE, or HYDRANT_TOKEN",
                        self.account.hub
                    ));
                };
                let mut proof = Vec::new();
                Request::Proof(prove(token, &nonce, &self.account.name)).write(&mut proof);
                self.request(&proof);
                self.proven = true;
            }
            (Some(Notice::Who(names)), State::Ready) => on(Said::Names(names)),
            _ => {}
        }
        Ok(())
    }

    /// Queues a message. [`Session::flush`] sends it.
    pub(crate) fn send(&mut self, dest: &[u8], bytes: &[u8]) {
        self.send_parts(dest, [bytes, &[]]);
    }

    /// Queues a message that lies in two places.
    pub(crate) fn send_parts(&mut self, dest: &[u8], parts: [&[u8]; 2]) {
        let mut head = Vec::new();
        write_head(dest, parts[0].len() + parts[1].len(), &mut head);
        self.out.push(&head);
        for part in parts {
            self.out.push(part);
        }
    }

    /// Queues a request to the hub itself.
    pub(crate) fn request(&mut self, body: &[u8]) {
        let mut message = Vec::new();
        write_message(b"", body, &mut message);
        self.out.push(&message);
    }

    /// Says that it is still there, unless something else has said so lately.
    pub(crate) fn keep_alive(&mut self, cx: &mut Cx<'_>) -> Result<Step, String> {
        self.alive = Some(cx.timer(KEEPALIVE, self.tags.alive));
        if self.is_ready() && self.out.is_empty() && cx.now().since(self.wrote) >= KEEPALIVE / 2 {
            let name = self.account.name.clone();
            self.send(&name, b"");
        }
        self.flush(cx)
    }

    /// One write.
    pub(crate) fn flush(&mut self, cx: &mut Cx<'_>) -> Result<Step, String> {
        let Some(link) = &mut self.link else {
            return Ok(Step::On);
        };
        if !self.out.is_empty() || !link.is_flushed() {
            match link.write(cx, self.out.front()) {
                Ok(0) => {}
                Ok(count) => {
                    self.out.consume(count);
                    self.wrote = cx.now();
                    // While it takes what is said, it has not been asked for long.
                    self.deadline = self.deadline.map(|_| self.wrote + self.account.timeout);
                }
                // Why it closed may stand in what it said last.
                Err(_) if self.reading => {
                    self.out = ByteQueue::new();
                }
                Err(error) => return self.lost(cx, Some(&error)),
            }
        }
        link.want_write(cx, !self.out.is_empty());
        if self.out.is_empty() && self.state == (State::Closing { told: false }) {
            // Once: a second time is an error where the hub has closed since.
            self.state = State::Closing { told: true };
            if let Err(error) = link.finish(cx) {
                return self.lost(cx, Some(&error));
            }
        }
        Ok(Step::On)
    }

    /// Whether what the hub sends is read.
    pub(crate) fn want_read(&mut self, cx: &mut Cx<'_>, wanted: bool) {
        self.reading = wanted;
        if let Some(link) = &mut self.link {
            link.want_read(cx, wanted);
        }
    }

    /// Nothing more will be sent: once the hub has it all, the connection ends.
    pub(crate) fn finish(&mut self, cx: &mut Cx<'_>) -> Result<Step, String> {
        if self.link.is_none() {
            self.state = State::Over;
            return Ok(Step::Closed);
        }
        self.state = State::Closing { told: false };
        self.expect_answer(cx);
        self.want_read(cx, true);
        self.flush(cx)
    }

    /// The connection's socket, while there is one.
    pub(crate) fn sock(&self) -> Option<SockId> {
        self.link.as_ref().map(Link::sock)
    }

    /// Whether the hub's machine has been given everything.
    pub(crate) fn is_flushed(&self) -> bool {
        self.out.is_empty() && self.link.as_ref().is_none_or(Link::is_flushed)
    }

    /// The connection is over.
    fn lost(&mut self, cx: &mut Cx<'_>, error: Option<&io::Error>) -> Result<Step, String> {
        let has_all = self.is_flushed();
        if let Some(mut link) = self.link.take() {
            link.close(cx, Close::Orderly);
        }
        let state = std::mem::replace(&mut self.state, State::Over);
        if matches!(state, State::Closing { .. }) && error.is_none() && has_all {
            return Ok(Step::Closed);
        }
        let is_tls = error.is_some_and(|error| tls_error(error).is_some());
        let may_be_plain = !self.heard && !self.plain && !self.enveloped && !is_tls;
        if may_be_plain && self.account.token.is_none() {
            self.plain = true;
            self.out = ByteQueue::new();
            self.dial(cx);
            return Ok(Step::On);
        }
        let how = match error {
            Some(error) if is_tls && !self.heard => format!("can't be used ({})", plain(error)),
            Some(error) => format!("is gone ({})", plain(error)),
            None => "has closed the connection".to_owned(),
        };
        Err(format!("the hub {} {how}", self.account.hub))
    }
}

/// How often a client that has nothing to say says so. A hub waits for 30 s by default, and so do the seed's.
const KEEPALIVE: Duration = Duration::from_secs(10);
/// A hub whose machine does not answer for so long is gone.
const DEAD_AFTER: Duration = Duration::from_secs(30);
/// The longest answer of the hub's that is looked at.
const NOTICE_MAX: usize = 16 << 20;
