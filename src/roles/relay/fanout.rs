//! The main job: upstream bytes into the ring, and out of it to everybody who can take them.
//!
//! ```text
//!              tail                                    head
//!    ───────────┬───────────────┬──────────┬────────────┬ ─ ─ ─ ─
//!    overwritten│               │          │            │ next read
//!    ───────────┴───────────────┴──────────┴────────────┴ ─ ─ ─ ─
//!               ^ overtaken     ^ behind   ^ the leader, when nobody is current
//! ```
//!
//! A read of the upstream is followed by a pass: one send of everything new to each current client. A pass longer than
//! 512 sends goes on in the next turn, and the upstream is read again when it is through.

use std::io;

use crate::reactor::Cx;
use crate::reactor::net::SockId;
use crate::roles::relay::Relay;
use crate::roles::relay::clients::ClientId;
use crate::roles::relay::leaving::Reason;

impl Relay {
    /// One read of the upstream, into the ring. `Ok(None)`: nothing came, or nothing may be read now.
    pub(super) fn pull(&mut self, cx: &mut Cx<'_>, sock: SockId) -> io::Result<Option<usize>> {
        if !self.gate.is_open() {
            return Ok(None);
        }
        let room = self.room().min(self.read_max);
        if self.nobody_is_behind() {
            // What nobody needs any more is the part of the ring that is still hot in the cache.
            self.ring.rewind(self.ring.head());
        }
        // The room itself counts as overwritten, whatever the read will give.
        self.ring.reserve(room);
        self.shed(cx);
        if self.flush.is_some() {
            return Ok(None); // the last client of all was among them
        }
        let head = self.ring.head();
        let read = cx.read(sock, self.ring.reserve(room));
        let Ok(Some(n @ 1..)) = read else {
            return read;
        };
        self.ring.commit(n);
        self.timeline.mark(head, cx.now());
        self.counts.bytes_in += n as u64;
        Ok(Some(n))
    }

    fn nobody_is_behind(&self) -> bool {
        let head = self.ring.head();
        self.clients.behind() == 0
            && self
                .outputs
                .iter()
                .all(|outlet| outlet.parked.is_none_or(|parked| parked == head))
            && self.dump.as_ref().is_none_or(|dump| dump.cursor() == head)
    }

    /// Brings what was just read to everybody who can take it.
    pub(super) fn fan_out(&mut self, cx: &mut Cx<'_>) {
        self.pass = Some(self.clients.begin_pass());
        self.go_on(cx);
    }

    /// Does one visit's share of the pass that is under way.
    pub(super) fn go_on(&mut self, cx: &mut Cx<'_>) {
        let Some(mut left) = self.pass else { return };
        let mut sends = 0;
        while left > 0 && sends < SENDS_A_VISIT && self.flush.is_none() {
            left -= 1;
            let Some(id) = self.clients.next_current() else {
                continue;
            };
            sends += 1;
            self.serve(cx, id);
        }
        if self.flush.is_some() {
            return; // the last client of all has just ended it
        }
        self.pass = (left > 0).then_some(left);
        if left > 0 {
            cx.again();
        } else {
            self.feed_dump(cx);
        }
        self.refresh_gate(cx);
    }

    /// Sends a current client, just taken off the queue, what is new.
    fn serve(&mut self, cx: &mut Cx<'_>, id: ClientId) {
        match self.send(cx, id, usize::MAX) {
            Ok(Sent::All) => self.clients.stay_current(id),
            Ok(Sent::End) => self.finish_client(cx, id),
            Ok(Sent::Part) => {
                self.clients.fall_behind(id);
                if let Some(client) = self.clients.get(id) {
                    cx.want_write(client.sock, true);
                }
            }
            Err(error) => self.drop_failed(cx, id, &error),
        }
    }

    /// A client that was behind can take bytes again.
    pub(super) fn client_writable(&mut self, cx: &mut Cx<'_>, id: ClientId) {
        match self.send(cx, id, CATCH_UP_MAX) {
            Ok(Sent::All) => {
                self.clients.catch_up(id);
                if let Some(client) = self.clients.get(id) {
                    cx.want_write(client.sock, false);
                }
            }
            Ok(Sent::End) => self.finish_client(cx, id),
            Ok(Sent::Part) => {}
            Err(error) => self.drop_failed(cx, id, &error),
        }
        if self.gate.is_shut() {
            self.refresh_gate(cx);
        }
    }

    /// One send of at most `max` bytes.
    fn send(&mut self, cx: &mut Cx<'_>, id: ClientId, max: usize) -> io::Result<Sent> {
        let head = self.ring.head();
        let Some(client) = self.clients.get_mut(id) else {
            return Ok(Sent::All);
        };
        let end = head.min(client.until);
        if client.cursor < end {
            let max = max.min((end - client.cursor) as usize);
            let from = self
                .ring
                .read_up_to(client.cursor, max)
                .expect("whom the ring overtakes is dropped at once");
            let Some(n) = cx.write(client.sock, from)? else {
                return Ok(Sent::Part);
            };
            client.cursor += n as u64;
            self.counts.bytes_out += n as u64;
        }
        let cursor = client.cursor;
        let sent = match cursor {
            _ if cursor == client.until => Sent::End,
            _ if cursor == end => Sent::All,
            _ => Sent::Part,
        };
        self.clients.moved_to(cursor);
        Ok(sent)
    }

    /// Drops every client that the ring has overtaken.
    fn shed(&mut self, cx: &mut Cx<'_>) {
        while let Some(id) = self.clients.overtaken(self.ring.tail()) {
            self.drop_client(cx, id, Reason::Overtaken, None);
        }
    }
}

/// What a client has after a send.
enum Sent {
    /// Not everything yet.
    Part,
    /// Everything there is.
    All,
    /// Everything it will ever get.
    End,
}

/// Sends in one visit: about a millisecond's work, after which the others on the loop have their turn.
pub(super) const SENDS_A_VISIT: usize = 512;
/// Bytes that a client which is behind gets in one visit.
const CATCH_UP_MAX: usize = 256 << 10;
