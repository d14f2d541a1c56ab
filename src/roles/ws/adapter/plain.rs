//! A WebSocket that is one connection: the bytes of our own end in its messages, and theirs out of them.
//!
//! ```text
//!   local link ──read straight into──> outbox ──one message for all that waits──> wire
//!   local link <──written straight from the wire's input────────────────────────── wire
//!      ^── queue: what the link did not take; while it is long, the wire is not read
//! ```
//!
//! A close frame ends both directions in practice: other programs answer it at once. So does ours, and what is still to
//! be written to our own end is no matter of the WebSocket's any more.

use std::io;

use super::{Adapter, State, Tick, Up};
use crate::base::byte_queue::ByteQueue;
use crate::base::outbox::Outbox;
use crate::base::wheel::TimerKey;
use crate::proto::websocket::CloseCode;
use crate::reactor::Cx;
use crate::reactor::net::{Close, SockId};
use crate::roles::link::Link;
use crate::roles::pump::Carrier;
use crate::roles::ws::wire::Wire;
use crate::roles::ws::{CLOSE_TIMEOUT, QUEUE_MAX};

/// A plain WebSocket to the relay.
pub(super) struct Plain {
    pub(super) wire: Wire,
    out: Outbox,
    pub(super) queue: ByteQueue,
    /// Our own end, by its key and by its link, which the host's is some time without.
    pub(super) stream: Option<usize>,
    pub(super) link: Option<Link>,
    /// The relay has said all: well, or not.
    relay_ended: bool,
    /// The relay has closed the TCP connection, too.
    hung_up: bool,
    /// What waits to be sent is not sent any more.
    cut: bool,
    /// The wire is not read.
    pub(super) paused: bool,
    /// The end of the closing handshake.
    timer: Option<TimerKey>,
    pub(super) from_relay: u64,
    pub(super) to_relay: u64,
}

impl Plain {
    pub(super) fn new(mut wire: Wire) -> Self {
        wire.answer_late();
        Self {
            wire,
            out: Outbox::new(QUEUE_MAX),
            queue: ByteQueue::new(),
            stream: None,
            link: None,
            relay_ended: false,
            hung_up: false,
            cut: false,
            paused: false,
            timer: None,
            from_relay: 0,
            to_relay: 0,
        }
    }

    pub(super) fn sock(&self) -> Option<SockId> {
        self.link.as_ref().map(Link::sock)
    }

    /// Bytes from the relay, and to it, of a connection that is not over.
    pub(super) fn bytes(&self) -> (u64, u64) {
        match self.stream {
            Some(_) => (self.from_relay, self.to_relay),
            None => (0, 0),
        }
    }

    /// Whether the relay has said all, and is to be told nothing more: how the connection goes then says nothing.
    pub(super) fn is_done(&self) -> bool {
        self.relay_ended && self.is_idle()
    }

    /// Whether nothing is under way.
    fn is_idle(&self) -> bool {
        self.stream.is_none() && (self.out.is_empty() || self.cut)
    }

    /// Bytes that wait to be sent.
    pub(super) fn unsent(&self) -> usize {
        match self.cut {
            true => 0,
            false => self.out.len(),
        }
    }

    /// Whether it takes nobody any more.
    pub(super) fn is_closing(&self) -> bool {
        self.relay_ended || !self.wire.is_open()
    }

    /// While it is not read, its silence says nothing.
    pub(super) fn excuse(&mut self) {
        if self.paused {
            self.wire.excuse();
        }
    }

    pub(super) fn flush(&mut self, cx: &mut Cx<'_>) -> io::Result<()> {
        self.wire.send(cx, &mut self.out)?;
        if let Some(link) = &mut self.link
            && self.out.room() >= READ
            && self.wire.is_open()
        {
            link.want_read(cx, true);
        }
        Ok(())
    }

    /// What waits goes to our own end, as far as it is taken.
    fn drain(&mut self, cx: &mut Cx<'_>) -> io::Result<()> {
        let Some(link) = &mut self.link else {
            return Ok(());
        };
        let count = link.write(cx, self.queue.front())?;
        self.queue.consume(count);
        self.from_relay += count as u64;
        link.want_write(cx, !self.queue.is_empty());
        if self.paused && self.queue.len() <= QUEUE_MAX / 2 {
            self.paused = false;
            self.wire.want_read(cx, true);
        }
        Ok(())
    }

    /// What our own end says goes to the relay, as far as there is room. Whether it has said all.
    fn fill(&mut self, cx: &mut Cx<'_>) -> io::Result<bool> {
        let Some(link) = &mut self.link else {
            return Ok(false);
        };
        if self.out.room() < READ || !self.wire.is_open() {
            link.want_read(cx, false);
            return Ok(false);
        }
        let Some(count) = link.read(cx, self.out.space(READ))? else {
            return Ok(false);
        };
        self.out.commit(count);
        self.to_relay += count as u64;
        if count > 0 {
            self.wire.want_send(cx);
        }
        Ok(count == 0)
    }

    /// Its end begins: the other one has so long to answer.
    fn begin_to_close(&mut self, cx: &mut Cx<'_>) {
        if self.timer.is_none() {
            self.timer = Some(cx.timer(CLOSE_TIMEOUT, Tick::Close.tag(0)));
        }
    }

    /// Closes our own end.
    pub(super) fn drop_local(&mut self, cx: &mut Cx<'_>, how: Close) {
        if let Some(mut link) = self.link.take() {
            link.close(cx, how);
        }
        if let Some(timer) = self.timer.take() {
            cx.cancel(timer);
        }
    }
}

impl Adapter {
    pub(super) fn plain(&mut self) -> Option<&mut Plain> {
        match &mut self.state {
            State::Up(up) => match &mut **up {
                Up::Plain(plain) => Some(plain),
                Up::Mux(_) => None,
            },
            _ => None,
        }
    }

    /// The relay knows one connection at a time: a host reaches for its target now, as its peers expect.
    pub(super) fn begin_plain(&mut self, cx: &mut Cx<'_>) {
        if self.plain().is_some() && self.is_host() {
            let key = self.add_plain_stream(cx);
            if let Some(plain) = self.plain() {
                plain.stream = Some(key);
            }
        }
    }

    /// Our own end is there.
    pub(super) fn attach_plain(&mut self, cx: &mut Cx<'_>, key: usize, mut link: Link) {
        let Some(plain) = self.plain() else {
            return;
        };
        plain.stream = Some(key);
        link.want_read(cx, true);
        plain.link = Some(link);
        self.plain_local_writable(cx);
    }

    /// Bytes from the relay.
    pub(super) fn plain_data(&mut self, cx: &mut Cx<'_>, bytes: &[u8]) {
        let Some(plain) = self.plain() else {
            return;
        };
        if plain.cut {
            return;
        }
        let mut taken = Ok(0);
        if let Some(link) = &mut plain.link
            && plain.queue.is_empty()
        {
            taken = link.write(cx, [bytes, &[]]);
        }
        let Ok(taken) = taken else {
            return self.end_plain_stream(cx, Close::Reset);
        };
        plain.from_relay += taken as u64;
        plain.queue.push(&bytes[taken..]);
        if let Some(link) = &mut plain.link
            && taken < bytes.len()
        {
            link.want_write(cx, true);
        }
        if plain.queue.len() >= QUEUE_MAX {
            plain.paused = true;
            plain.wire.want_read(cx, false);
        }
    }

    /// The relay has closed.
    pub(super) fn plain_ends(&mut self, cx: &mut Cx<'_>, code: Option<CloseCode>) {
        let Some(plain) = self.plain() else {
            return;
        };
        plain.relay_ended = true;
        plain.begin_to_close(cx);
        match code {
            None | Some(CloseCode::NORMAL | CloseCode::GOING_AWAY) => {
                plain.wire.finish(cx, CloseCode::NORMAL, "");
                self.part_plain(cx);
            }
            Some(code) => {
                plain.cut = true;
                plain.wire.close(cx, code, "");
                self.journal.warn(
                    cx.now(),
                    "plain-reset",
                    format!("the relay has broken a connection off (code {code})"),
                );
                self.end_plain_stream(cx, Close::Reset);
            }
        }
    }

    /// The relay has closed the TCP connection. That is no loss where it has closed the WebSocket well before.
    pub(super) fn relay_hangs_up(&mut self, cx: &mut Cx<'_>) {
        match self.plain() {
            Some(plain) if plain.relay_ended => {
                plain.hung_up = true;
                plain.wire.want_read(cx, false);
                self.plain_settled(cx);
            }
            _ => self.lose_relay(cx, "closed the connection"),
        }
    }

    pub(super) fn plain_local_readable(&mut self, cx: &mut Cx<'_>) {
        let Some(plain) = self.plain() else {
            return;
        };
        match plain.fill(cx) {
            Ok(false) => {}
            Ok(true) => {
                if let Some(link) = &mut plain.link {
                    link.want_read(cx, false);
                }
                plain.wire.finish(cx, CloseCode::NORMAL, "");
                plain.begin_to_close(cx);
            }
            Err(_) => self.end_plain_stream(cx, Close::Reset),
        }
    }

    pub(super) fn plain_local_writable(&mut self, cx: &mut Cx<'_>) {
        let Some(plain) = self.plain() else {
            return;
        };
        if plain.drain(cx).is_err() {
            self.end_plain_stream(cx, Close::Reset);
        }
        self.plain_settled(cx);
    }

    fn end_plain_stream(&mut self, cx: &mut Cx<'_>, how: Close) {
        if let Some(key) = self.plain().and_then(|plain| plain.stream) {
            self.end_stream(cx, key, how);
        }
    }

    /// Our own end is over; where that was not well, the relay is told so.
    pub(super) fn detach_plain(&mut self, cx: &mut Cx<'_>, how: Close) {
        let mut moved = (0, 0);
        if let Some(plain) = self.plain() {
            plain.stream = None;
            plain.queue = ByteQueue::new();
            if let Some(mut link) = plain.link.take() {
                link.close(cx, how);
            }
            if how == Close::Reset {
                plain.cut = true;
                plain
                    .wire
                    .close(cx, CloseCode::UNEXPECTED, "the connection is broken");
            }
            if std::mem::take(&mut plain.paused) {
                // Its close has to be read.
                plain.wire.want_read(cx, true);
            }
            plain.begin_to_close(cx);
            moved = (plain.from_relay, plain.to_relay);
        }
        self.counts.from_relay += moved.0;
        self.counts.to_relay += moved.1;
        self.plain_settled(cx);
    }

    /// A plain connection that both ends have closed is over, and makes room for the next one.
    pub(super) fn plain_settled(&mut self, cx: &mut Cx<'_>) {
        if self
            .plain()
            .is_some_and(|plain| plain.is_idle() && (plain.wire.is_closed() || plain.hung_up))
        {
            self.plain_over(cx);
        }
    }

    /// Its close was not answered in time.
    pub(super) fn close_overdue(&mut self, cx: &mut Cx<'_>) {
        let Some(plain) = self.plain() else {
            return;
        };
        plain.timer = None;
        match plain.is_idle() {
            true => self.plain_over(cx),
            // The relay still has something to say, or has not taken everything.
            false => plain.begin_to_close(cx),
        }
    }

    /// The next one is dialled at once where this one was good for something, and somebody wants it.
    pub(super) fn plain_over(&mut self, cx: &mut Cx<'_>) {
        let State::Up(mut up) = std::mem::replace(&mut self.state, State::Ended) else {
            return;
        };
        up.wire_mut().drop_link(cx, Close::Orderly);
        let mut was_good = false;
        if let Up::Plain(plain) = &mut *up {
            was_good = plain.from_relay > 0;
            plain.drop_local(cx, Close::Orderly);
        }
        self.down = Some(cx.now());
        if self.draining.is_some() {
            return self.finish_if_drained(cx);
        }
        let is_wanted = self.is_host() || !self.waiting.is_empty();
        match (was_good, is_wanted) {
            (_, false) => self.state = State::Idle,
            (true, true) => {
                self.backoff.reset();
                self.dial(cx);
            }
            (false, true) => self.rest(cx),
        }
        self.accept_if_room(cx);
    }
}

/// One read of our own end, and the least room for it.
const READ: usize = 16 << 10;
