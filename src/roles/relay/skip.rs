//! A client that is too far behind: dropped, or, by `--slow skip`, let to jump to the newest record. The rest of the
//! one that it has begun is kept aside for it. Where what waits in its kernel alone is too old, it is sent no more, and
//! goes on skipping, until half of that is taken.
//!
//! ```text
//!   behind ──overtaken, or beyond --max-lag──> jumps ──the rest of its record is sent──> behind, at the newest
//!     ^                                          │
//!     │                                          └── beyond --max-lag by its kernel: withheld ──┐
//!     └── half of what waited there is taken, or it gets its end ────────────────────────────────┘
//! ```

use std::io;

use crate::base::time::Time;
use crate::base::units::{Bytes, Span};
use crate::reactor::Cx;
use crate::reactor::net::{Peer, SockId};
use crate::roles::relay::clients::{Client, ClientId};
use crate::roles::relay::config::Slow;
use crate::roles::relay::leaving::Reason;
use crate::roles::relay::{Relay, framed};

impl Relay {
    /// What `--slow` says about a client that is too far behind: it is dropped, or skips to the newest record.
    pub(super) fn give_up(&mut self, cx: &mut Cx<'_>, id: ClientId, reason: Reason) {
        match self.clients.get(id).map(|client| client.slow) {
            Some(Slow::Skip) => self.skip(cx, id, reason),
            Some(Slow::Drop | Slow::Block) => self.drop_client(cx, id, reason, None),
            None => {}
        }
    }

    /// Lets a client jump to the newest record. The rest of the one that it has begun is kept aside for it.
    fn skip(&mut self, cx: &mut Cx<'_>, id: ClientId, reason: Reason) {
        let Some(client) = self.clients.get_mut(id) else {
            return;
        };
        let now = cx.now();
        let (from, peer, sock) = (client.cursor, client.peer, client.sock);
        let (acked, joined, withheld) = (client.acked, client.joined, client.withheld > 0);
        let message = match (&client.websocket, &self.framed) {
            (Some(websocket), Some(framed)) => websocket.rest(framed),
            _ => None,
        };
        let rest_end = match (&client.aside, message) {
            // It stands where a record begins, and has not even got the rest of the one before.
            (Some(_), _) => from,
            (None, Some((end, _))) => end,
            (None, None) => self.records.at_or_after(&self.ring, from),
        };
        let newest = self.records.newest(&self.ring).min(client.until);
        let to = newest.max(rest_end);
        if to == rest_end && reason == Reason::Lagging {
            return; // what it lacks is in the kernel, or is the newest record: nothing is left to skip yet
        }
        let rest = (rest_end - from) as usize;
        debug_assert!(
            rest <= self.config.record_max.max(framed::MESSAGE_MAX),
            "no record is longer than --record-max, and no message of a raw stream than that"
        );
        if let (None, Some((_, rest))) = (&client.aside, message) {
            client.aside = Some(Box::new(Aside::new(rest)));
        } else if rest > 0 {
            let rest = self
                .ring
                .read_up_to(from, rest)
                .expect("it is shed before its bytes go");
            client.aside = Some(Box::new(Aside::new(rest)));
        }
        if let (Some(websocket), Some(framed)) = (&mut client.websocket, &self.framed) {
            websocket.jump(framed.at_or_after(to));
        }
        let skipped = to - rest_end;
        let is_over = client.aside.is_none() && to == client.until;
        client.cursor = to;
        let waits_since = self.timeline.arrived(acked).unwrap_or(now);
        client.note_skipped(from, skipped, waits_since);
        self.counts.skipped += skipped;
        self.clients.requeue(id);
        self.clients.moved_to(to);
        if !withheld {
            cx.want_write(sock, true);
        }
        let (_, age) = self.lag_since(acked, joined, now);
        if skipped > 0 {
            let age = Span(age);
            let text = |sum| {
                let sum = Bytes(sum);
                format!("client {peer} skipped {sum}, {age} behind (--slow skip)")
            };
            self.journal.skipped(now, &peer.to_string(), skipped, text);
        }
        if is_over {
            self.end_client(cx, id);
        }
    }

    /// What our kernel has of the stream can't be skipped. So a client that is too far behind, by what waits there, is
    /// sent no more, and skips what comes in meanwhile: until `left`, the bytes that wait there, are half as many.
    pub(super) fn withhold(&mut self, cx: &mut Cx<'_>, id: ClientId, left: Option<u32>) {
        let needs_none = |client: &Client| client.needs_from() == u64::MAX;
        if self.clients.get(id).is_some_and(needs_none) {
            return; // the ring may have gone on without it
        }
        self.skip(cx, id, Reason::Lagging);
        let Some(client) = self.clients.get_mut(id) else {
            return;
        };
        let begun = match &client.websocket {
            Some(websocket) => websocket.is_within(),
            None => self.records.at_or_after(&self.ring, client.cursor) != client.cursor,
        };
        // What it has begun it gets to the end first, and so does everybody for whom there is an end.
        let whole = !begun && client.aside.is_none() && client.until == u64::MAX;
        if let (true, 0, Some(left @ 1..)) = (whole, client.withheld, left) {
            client.withheld = left;
            let flushed = client.tls.as_ref().is_none_or(|tls| tls.unsent() == 0);
            let owes = client.websocket.as_ref().is_some_and(|it| it.owes());
            cx.want_write(client.sock, !flushed || owes);
            self.clients.fall_behind(id);
        }
    }

    /// Goes on sending to a client if its kernel, in which so many bytes are left, has taken enough of what it had.
    pub(super) fn release(&mut self, cx: &mut Cx<'_>, id: ClientId, left: Option<u32>) {
        let is_limited = self.config.max_lag.is_some();
        if let Some(client) = self.clients.get_mut(id)
            && client.withheld > 0
            && (!is_limited || left.is_none_or(|left| left <= client.withheld / 2))
        {
            client.withheld = 0;
            cx.want_write(client.sock, true);
        }
    }
}

impl Client {
    /// So many bytes from `from` on are left out, and the oldest that it lacked before came in at `waits_since`. They
    /// were not taken: what counts as acknowledged moves along, and the wait for it goes on.
    fn note_skipped(&mut self, from: u64, skipped: u64, waits_since: Time) {
        if !self.has_skipped {
            self.progress = self.progress.max(waits_since);
        }
        // Who has taken all that was sent waits for nothing, but where nobody tells how much that is.
        let waits = self.acked < from || !matches!(self.peer, Peer::Tcp(_));
        self.has_skipped |= skipped > 0 && waits;
        self.first += skipped;
        self.acked += skipped;
    }

    /// Panics where it is sent no more of the stream, and may not be kept from it.
    pub(super) fn check_withheld(&self) {
        let websocket = self.websocket.as_ref();
        let within = websocket.is_some_and(|websocket| websocket.is_within());
        assert!(
            self.withheld == 0
                || self.slow == Slow::Skip && self.behind && self.aside.is_none() && !within,
            "it is kept from the stream: {self:?}"
        );
    }
}

/// The rest of a record that its client had begun when it skipped.
#[derive(Debug)]
pub(super) struct Aside {
    bytes: Vec<u8>,
    sent: usize,
}

impl Aside {
    /// How many bytes wait.
    pub(super) fn left(&self) -> usize {
        self.bytes.len() - self.sent
    }

    pub(super) fn new(bytes: [&[u8]; 2]) -> Self {
        Self {
            bytes: bytes.concat(),
            sent: 0,
        }
    }

    /// The bytes that wait.
    pub(super) fn rest(&self) -> &[u8] {
        &self.bytes[self.sent..]
    }

    /// So many more have gone. Whether none are left.
    pub(super) fn went(&mut self, n: usize) -> bool {
        self.sent += n;
        self.left() == 0
    }

    /// One send. How many bytes went, and whether some are left.
    pub(super) fn send(&mut self, cx: &mut Cx<'_>, sock: SockId) -> io::Result<(usize, bool)> {
        let n = cx.write(sock, [self.rest(), &[]])?.unwrap_or(0);
        Ok((n, !self.went(n)))
    }
}
