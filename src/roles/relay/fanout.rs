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
//! 512 sends, a large one counting as several, goes on in the next turn, and the upstream is read again when it is
//! through.

use std::io;

use crate::reactor::Cx;
use crate::reactor::net::SockId;
use crate::roles::relay::Relay;
use crate::roles::relay::clients::ClientId;
use crate::roles::relay::leaving::Reason;
use crate::roles::relay::outputs::Outlet;
use crate::roles::relay::read_size::Traffic;

impl Relay {
    /// One read of the upstream, into the ring. `Ok(None)`: nothing came, or nothing may be read now.
    pub(super) fn pull(&mut self, cx: &mut Cx<'_>, sock: SockId) -> io::Result<Option<usize>> {
        if !self.gate.is_open() {
            return Ok(None);
        }
        self.reuse_hot_memory(cx);
        // An open gate has looked whether there is room for it.
        let takers = self.clients.takers();
        let so_far = Traffic {
            read: self.counts.bytes_in,
            sent: self.counts.bytes_out,
        };
        self.read_size.before_read(so_far, cx);
        let room = self.pace.read_size(takers, self.read_size.now());
        debug_assert!(
            self.known_room() >= self.read_max,
            "the gate is open and the ring full"
        );
        self.shed(cx, self.ring.tail_after(room));
        if self.flush.is_some() {
            return Ok(None); // the last client of all was among them
        }
        self.records
            .forget_below(&self.ring, self.ring.tail_after(room));
        let into = self.ring.reserve(room);
        let read = match self.upstream.conn_mut(sock) {
            Some(conn) if conn.is_layered() => conn.pull(cx, into, &mut self.cipher),
            _ => cx.read(sock, into),
        };
        let Ok(Some(n @ 1..)) = read else {
            self.read_size.note(0);
            return read;
        };
        self.ring.commit(n);
        self.read_size.note(n);
        self.counts.bytes_in += n as u64;
        Ok(Some(n))
    }

    /// Starts over at the beginning of the ring: what was written last is what is hot in the cache. What has to stay, a
    /// record's beginning, the backlog, or what some have not taken yet, is carried along, and therefore only where it
    /// is little beside what was written since.
    fn reuse_hot_memory(&mut self, cx: &Cx<'_>) {
        if !self.ring.is_at_start() {
            self.start_over(cx);
        }
    }

    #[inline(never)]
    fn start_over(&mut self, cx: &Cx<'_>) {
        if self.outputs.iter().any(Outlet::may_go_back) {
            return;
        }
        let read = self.read_size.now();
        let is_worn = self.ring.place() >= REUSE_AFTER * read;
        if !is_worn && !self.nobody_is_behind() {
            return;
        }
        // The kernel is not asked for each of many small reads: one large one's worth makes no difference here. The
        // head goes back where a record dies with its upstream.
        if is_worn && self.ring.head().abs_diff(self.asked_at) >= read as u64 {
            self.asked_at = self.ring.head();
            self.ask_retaining(cx);
        }
        let keep_from = self.needed_from();
        let kept = (self.ring.head() - keep_from) as usize;
        let after = if is_worn { REUSE_AFTER } else { CARRY_AFTER };
        if self.ring.place() >= after * kept {
            self.records.forget_below(&self.ring, keep_from);
            self.ring.rewind(keep_from);
            if let Some(framed) = &mut self.framed {
                framed.rewind(keep_from);
            }
        }
    }

    /// The first byte that somebody may still be given.
    fn needed_from(&mut self) -> u64 {
        let whole = self.records.whole();
        let parked = self.outputs.iter().filter_map(|outlet| outlet.parked());
        let needed = [
            parked.min(),
            self.clients.hindmost_blocking(),
            self.clients.hindmost_droppable(),
            self.dump.as_ref().map(|dump| dump.cursor()),
            self.retained(),
            Some(whole - self.backlog_now()),
            self.framed.as_ref().and_then(|framed| framed.lacks(whole)),
        ];
        let needed = needed.into_iter().flatten().fold(whole, u64::min);
        self.records.keep_from(needed)
    }

    fn nobody_is_behind(&self) -> bool {
        let whole = self.records.whole();
        let mut parked = self.outputs.iter().filter_map(|outlet| outlet.parked());
        self.clients.behind() == 0
            && parked.all(|parked| parked == whole)
            && self.dump.as_ref().is_none_or(|dump| dump.cursor() == whole)
    }

    /// Brings what was just read to everybody who can take it.
    pub(super) fn fan_out(&mut self, cx: &mut Cx<'_>) {
        self.pass = Some(self.clients.begin_pass());
        self.pace.begin(cx.now(), self.counts.bytes_out);
        self.go_on(cx);
    }

    /// Does one visit's share of the pass that is under way.
    pub(super) fn go_on(&mut self, cx: &mut Cx<'_>) {
        let Some(mut left) = self.pass else { return };
        let mut sends = 0;
        while left > 0 && sends < self.config.sends_a_visit && self.flush.is_none() {
            left -= 1;
            let Some(id) = self.clients.next_current() else {
                continue;
            };
            let before = self.counts.bytes_out;
            self.serve(cx, id);
            let bytes = (self.counts.bytes_out - before) as usize;
            sends += 1 + bytes / PLAIN_SEND + std::mem::take(&mut self.effort);
        }
        if self.flush.is_some() {
            return; // the last client of all has just ended it
        }
        self.pass = (left > 0).then_some(left);
        if left > 0 {
            cx.again();
        } else {
            self.pace.end(cx.now(), self.counts.bytes_out);
            self.feed_dump(cx);
        }
        self.refresh_gate(cx);
    }

    /// Sends a current client, just taken off the queue, what is new.
    fn serve(&mut self, cx: &mut Cx<'_>, id: ClientId) {
        match self.send(cx, id, usize::MAX) {
            Ok(Sent::All) => self.clients.stay_current(id),
            sent => self.stays_no_more(cx, id, sent),
        }
    }

    #[inline(never)]
    fn stays_no_more(&mut self, cx: &mut Cx<'_>, id: ClientId, sent: io::Result<Sent>) {
        match sent {
            Ok(Sent::All) => {}
            Ok(Sent::End) => self.finish_client(cx, id),
            Ok(Sent::Left(reason)) => self.drop_client(cx, id, reason, None),
            Ok(sent @ (Sent::Part | Sent::Withheld)) => {
                self.clients.fall_behind(id);
                if let Some(client) = self.clients.get(id) {
                    cx.want_write(client.sock, matches!(sent, Sent::Part));
                }
            }
            Err(error) => self.drop_failed(cx, id, &error),
        }
    }

    /// A client that was behind can take bytes again.
    pub(super) fn client_writable(&mut self, cx: &mut Cx<'_>, id: ClientId) {
        // Or it would never catch up with those who get a whole read in each turn.
        let sent = self.send(cx, id, CATCH_UP_MAX + self.read_size.last());
        let has_ended = matches!(sent, Ok(Sent::End));
        match sent {
            Ok(Sent::All) => {
                self.clients.catch_up(id);
                if let Some(client) = self.clients.get(id) {
                    cx.want_write(client.sock, false);
                }
            }
            Ok(Sent::End) => self.finish_client(cx, id),
            Ok(Sent::Left(reason)) => self.drop_client(cx, id, reason, None),
            Ok(Sent::Part) => {}
            Ok(Sent::Withheld) => {
                if let Some(client) = self.clients.get(id) {
                    cx.want_write(client.sock, false);
                }
            }
            Err(error) => self.drop_failed(cx, id, &error),
        }
        self.hurry_acks(cx, id);
        if self.gate.is_shut() || has_ended && self.flush.is_none() {
            self.refresh_gate(cx);
        }
    }

    /// One send of at most `max` bytes.
    fn send(&mut self, cx: &mut Cx<'_>, id: ClientId, max: usize) -> io::Result<Sent> {
        let Some(client) = self.clients.get_mut(id) else {
            return Ok(Sent::All);
        };
        if client.is_layered() {
            return self.send_layered(cx, id, max);
        }
        if client.withheld > 0 {
            return Ok(Sent::Withheld);
        }
        let end = self.records.whole().min(client.until);
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

    /// One send to a client that gets other bytes than the stream's, or gets others first.
    #[inline(never)]
    fn send_layered(&mut self, cx: &mut Cx<'_>, id: ClientId, max: usize) -> io::Result<Sent> {
        let Some(client) = self.clients.get_mut(id) else {
            return Ok(Sent::All);
        };
        if client.tls.is_some() {
            return self.send_encrypted(cx, id, max);
        }
        let Some(aside) = &mut client.aside else {
            return self.send_messages(cx, id, max);
        };
        let (n, rest) = aside.send(cx, client.sock)?;
        self.counts.bytes_out += n as u64;
        if !rest {
            client.aside = None;
        }
        Ok(Sent::Part)
    }

    /// Deals with every client that would lose bytes if the ring began at `tail`, while it still has them.
    fn shed(&mut self, cx: &mut Cx<'_>, tail: u64) {
        while let Some(id) = self.clients.overtaken(tail) {
            self.give_up(cx, id, Reason::Overtaken);
        }
    }
}

/// What a client has after a send.
pub(super) enum Sent {
    /// Not everything yet.
    Part,
    /// All that it gets for now, as it is too far behind.
    Withheld,
    /// Everything there is.
    All,
    /// Everything it will ever get.
    End,
    /// Its close has been answered: it goes, for this reason.
    Left(Reason),
}

/// The ring starts over once it has come so many times as far as what has to be carried along, and as a large read.
const REUSE_AFTER: usize = 4;
/// Once it has come so many times as far as that, it does so after a single read: the copy costs less than a sixth of
/// what it saves. (Measured: reads that go through 1.25 MiB cost a tenth more than those into the same 256 KiB.)
const CARRY_AFTER: usize = 16;
/// Bytes that one send is good for, as the length of a visit is counted.
const PLAIN_SEND: usize = 32 << 10;
/// Bytes that a client which is behind gets in one visit, beside as many as the latest read brought.
const CATCH_UP_MAX: usize = 256 << 10;
