//! One WebSocket on its link: frames around what is sent, the payload out of what comes, and whether the other end is
//! alive. It holds no payload.

use std::io;
use std::time::Duration;

use crate::base::outbox::Outbox;
use crate::base::time::Time;
use crate::proto::websocket::{
    CloseCode, Event, FrameHead, Key, Kind, Opcode, Session, Side, Violation, mask,
};
use crate::reactor::Cx;
use crate::reactor::net::{Close, SockId};
use crate::roles::link::Link;
use crate::roles::pump::{Carrier, Question};

/// A WebSocket that is up.
#[derive(Debug)]
pub(super) struct Wire {
    link: Link,
    side: Side,
    session: Session,
    /// What goes out before the first frame: the answer to the request for an upgrade.
    preface: Vec<u8>,
    /// The head of the frame that is being sent, and how much of it was.
    head: Option<(FrameHead, usize)>,
    /// How much of that frame's payload is still to be sent.
    left: usize,
    /// Our close follows what waits.
    closes: Option<(CloseCode, String)>,
    /// Our close was to follow what waits, whether it has begun or not.
    finishes: bool,
    ping_every: Duration,
    /// When the next ping is due, and how many have not been answered.
    ping_due: Time,
    missed: u32,
    /// Something has come since the last ping.
    heard: bool,
    /// Something has come since the session on it last asked.
    brings: bool,
    /// Bytes that were written in all.
    written: u64,
    /// The last ping that was due.
    question: Option<Question>,
}

/// What has come in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// Payload of this kind, at the end of what was taken.
    Data(Kind, usize),
    /// The other end will send nothing more, for this reason, and in these words.
    Close(Option<CloseCode>, String),
    /// Nothing that the caller needs to know.
    Nothing,
}

impl Wire {
    /// From the first byte after the upgrade on. `preface` is sent before any frame.
    pub(super) fn new(
        cx: &mut Cx<'_>,
        link: Link,
        side: Side,
        ping_every: Duration,
        preface: Vec<u8>,
    ) -> Self {
        let mut wire = Self {
            link,
            side,
            session: Session::new(side, u64::MAX),
            preface,
            head: None,
            left: 0,
            closes: None,
            finishes: false,
            ping_every,
            ping_due: cx.now() + ping_every,
            missed: 0,
            // Before the first ping nothing has to be answered.
            heard: true,
            brings: false,
            written: 0,
            question: None,
        };
        wire.link.want_read(cx, true);
        wire.link.want_write(cx, !wire.preface.is_empty());
        wire
    }

    /// A close of the other end's is answered by [`Wire::finish`] only: what goes the other way may go on.
    pub(super) fn answer_late(&mut self) {
        self.session.answer_late();
    }

    pub(super) fn sock(&self) -> SockId {
        self.link.sock()
    }

    pub(super) fn read(&mut self, cx: &mut Cx<'_>, into: &mut [u8]) -> io::Result<Option<usize>> {
        let read = self.link.read(cx, into);
        let some = matches!(read, Ok(Some(1..))) || self.link.has_heard();
        (self.heard, self.brings) = (self.heard || some, self.brings || some);
        read
    }

    /// Takes some of the bytes that were read: how many, and what came of them.
    pub(super) fn feed(
        &mut self,
        cx: &mut Cx<'_>,
        bytes: &mut [u8],
    ) -> Result<(usize, Heard), Violation> {
        let fed = self.session.feed(bytes).map(|(taken, event)| {
            let heard = match event {
                Some(Event::Data { kind, bytes, .. }) => Heard::Data(kind, bytes.len()),
                Some(Event::Close(close)) => Heard::Close(close.code, close.reason.to_owned()),
                Some(Event::Ping(_) | Event::Pong(_)) | None => Heard::Nothing,
            };
            (taken, heard)
        });
        if self.session.owes() {
            self.link.want_write(cx, true);
        }
        fed
    }

    /// Closes at once: what waits is not sent any more.
    pub(super) fn close(&mut self, cx: &mut Cx<'_>, code: CloseCode, reason: &str) {
        (self.closes, self.finishes) = (None, false);
        self.session.close(code, reason);
        self.link.want_write(cx, true);
    }

    /// Closes behind what waits.
    pub(super) fn finish(&mut self, cx: &mut Cx<'_>, code: CloseCode, reason: &str) {
        (self.closes, self.finishes) = (Some((code, reason.to_owned())), true);
        self.link.want_write(cx, true);
    }

    /// Whether both ends have closed, and our close has left.
    pub(super) fn is_closed(&self) -> bool {
        self.session.is_closed() && self.link.is_flushed()
    }

    /// Whether the other end has closed, or was at fault.
    pub(super) fn peer_has_ended(&self) -> bool {
        self.session.peer_has_ended()
    }

    /// Whether more payload can be sent.
    pub(super) fn is_open(&self) -> bool {
        self.session.is_open() && self.closes.is_none()
    }

    /// Whether our close has left, and the other end's machine has it, with all that stood before it.
    pub(super) fn has_told(&self, cx: &Cx<'_>) -> bool {
        !self.session.is_open() && self.is_flushed() && self.unacknowledged(cx) == 0
    }

    /// Whether our close follows what waits, or has followed it: who reads slowly may still be at it.
    pub(super) fn finishes(&self) -> bool {
        self.finishes
    }

    /// Bytes that the other end's kernel has not acknowledged.
    pub(super) fn unacknowledged(&self, cx: &Cx<'_>) -> usize {
        cx.unacknowledged(self.sock()).unwrap_or(0) as usize
    }

    /// Reads the link, or leaves it alone.
    pub(super) fn want_read(&mut self, cx: &mut Cx<'_>, wanted: bool) {
        self.link.want_read(cx, wanted);
    }

    /// Fails where the other end is known to be gone.
    pub(super) fn probe(&mut self, cx: &mut Cx<'_>) -> io::Result<()> {
        self.link.probe(cx)
    }

    /// Ends the connection.
    pub(super) fn drop_link(&mut self, cx: &mut Cx<'_>, how: Close) {
        self.link.close(cx, how);
    }

    /// Pings when it is time to. Whether the other end is alive: it has let fewer than two go by, or, behind our close,
    /// which no ping may follow, has said something in so much time. A ping that has not reached it has not gone by, as
    /// long as the line moves what stands before it. One that has closed can answer nothing more; it is pinged all the
    /// same, since its proxy, or itself, may take silence for death.
    pub(super) fn tick(&mut self, cx: &mut Cx<'_>) -> bool {
        let now = cx.now();
        if now < self.ping_due {
            return true;
        }
        self.ping_due = now + self.ping_every;
        if self.peer_has_ended() {
            self.ask(cx);
            return true;
        }
        let taken = self.taken(cx);
        let is_coming = self.question.as_mut().is_some_and(|it| it.look(taken, now));
        self.missed = match std::mem::take(&mut self.heard) || is_coming {
            true => 0,
            false => self.missed + 1,
        };
        if self.missed > MISSED_MAX {
            return false;
        }
        // One more behind it would put off for ever when the first is due.
        if !is_coming {
            self.question = Some(self.question(cx));
            self.ask(cx);
        }
        true
    }

    /// What a ping of now would be: it begins behind the message that is being sent.
    pub(super) fn question(&self, cx: &Cx<'_>) -> Question {
        let head = self.head.as_ref();
        let head_left = head.map_or(0, |(head, sent)| head.len() - sent);
        let before = self.preface.len() + head_left + self.left;
        Question::new(self.written + before as u64, self.taken(cx), cx.now())
    }

    /// Bytes that the other end's machine has.
    pub(super) fn taken(&self, cx: &Cx<'_>) -> u64 {
        self.written.saturating_sub(self.under_way(cx))
    }

    /// What came is not read at the moment, so its silence says nothing.
    pub(super) fn excuse(&mut self) {
        self.heard = true;
    }

    /// Pings at once.
    pub(super) fn ask(&mut self, cx: &mut Cx<'_>) {
        self.session.ping(b"hydrant");
        self.link.want_write(cx, true);
    }

    /// One write of what is due. Whether there may be more to send, and it would be taken.
    fn send_some(&mut self, cx: &mut Cx<'_>, out: &mut Outbox) -> io::Result<bool> {
        if !self.preface.is_empty() {
            let sent = self.link.write(cx, [&self.preface, &[]])?;
            self.written += sent as u64;
            self.preface.drain(..sent);
            return Ok(self.preface.is_empty());
        }
        if self.head.is_none() && self.left == 0 {
            if out.is_empty()
                && let Some((code, reason)) = self.closes.take()
            {
                self.session.close(code, &reason);
            }
            if self.session.owes() {
                let control = self.session.control(|| key(cx));
                let len = control.len();
                let sent = self.link.write(cx, [control, &[]])?;
                self.session.control_sent(sent);
                self.written += sent as u64;
                return Ok(sent == len);
            }
            if out.is_empty() || !self.session.is_open() {
                if !self.link.is_flushed() {
                    // What the link has taken still has to leave.
                    self.link.write(cx, [&[], &[]])?;
                }
                return Ok(false);
            }
            self.begin(cx, out);
        }
        let (head, head_sent) = match &self.head {
            Some((head, sent)) => (&head[*sent..], *sent),
            None => (&[][..], 0),
        };
        let payload = &out.pending()[..self.left];
        let len = head.len() + payload.len();
        let head_len = head.len();
        let sent = self.link.write(cx, [head, payload])?;
        self.written += sent as u64;
        match sent >= head_len {
            true => {
                self.head = None;
                self.left -= sent - head_len;
                out.sent(sent - head_len);
            }
            false => {
                if let Some((_, at)) = &mut self.head {
                    *at = head_sent + sent;
                }
            }
        }
        Ok(sent == len)
    }

    /// Begins a message of what waits: the payload is masked where it lies, by a client.
    fn begin(&mut self, cx: &mut Cx<'_>, out: &mut Outbox) {
        let len = out.len().min(MESSAGE_MAX);
        let key = (self.side == Side::Client).then(|| key(cx));
        if let Some(key) = key {
            mask(&mut out.pending_mut()[..len], key, 0);
        }
        let head = FrameHead::new(Opcode::Binary, true, len as u64, key);
        self.head = Some((head, 0));
        self.left = len;
    }
}

impl Carrier for Wire {
    fn want_send(&mut self, cx: &mut Cx<'_>) {
        self.link.want_write(cx, true);
    }

    fn send(&mut self, cx: &mut Cx<'_>, out: &mut Outbox) -> io::Result<()> {
        let mut goes_on = true;
        for _ in 0..WRITES_A_VISIT {
            goes_on = self.send_some(cx, out)?;
            if !goes_on {
                break;
            }
        }
        let is_under_way = self.head.is_some() || self.left > 0 || !self.preface.is_empty();
        let may_send = !out.is_empty() && self.session.is_open();
        let wants = is_under_way || self.session.owes() || may_send || self.closes.is_some();
        self.link.want_write(cx, wants || goes_on);
        Ok(())
    }

    fn is_flushed(&self) -> bool {
        let is_under_way = self.head.is_some() || self.left > 0 || !self.preface.is_empty();
        let is_due = self.session.owes() || self.closes.is_some();
        !is_under_way && !is_due && self.link.is_flushed()
    }

    fn under_way(&self, cx: &Cx<'_>) -> u64 {
        self.link.under_way(cx)
    }

    fn has_heard(&mut self) -> bool {
        std::mem::take(&mut self.brings)
    }
}

fn key(cx: &mut Cx<'_>) -> Key {
    Key((cx.random() as u32).to_ne_bytes())
}

/// The longest message that is sent: large writes, and no receiver has to hold much.
const MESSAGE_MAX: usize = 64 << 10;
/// Writes of one visit.
const WRITES_A_VISIT: usize = 4;
/// A peer that has missed more pings than this is dead.
const MISSED_MAX: u32 = 1;
