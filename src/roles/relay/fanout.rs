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
use std::time::Duration;

use crate::base::time::Time;
use crate::base::wheel::TimerKey;
use crate::reactor::Cx;
use crate::reactor::net::SockId;
use crate::roles::relay::clients::ClientId;
use crate::roles::relay::config::Slow;
use crate::roles::relay::leaving::Reason;
use crate::roles::relay::{Relay, Tick};

/// Whether the upstream may be read, and since when it may not.
#[derive(Debug, Default)]
pub(super) struct Gate {
    state: State,
    full_since: Time,
    timer: Option<TimerKey>,
    held_said: bool,
    /// `--wait-clients` has been met once.
    met: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    Open,
    /// Not so many clients as `--wait-clients` asks for have been there yet.
    #[default]
    Waiting,
    /// A pass is under way.
    Passing,
    /// The ring has no room that somebody does not still need.
    Full,
}

impl Relay {
    /// Looks again whether the upstream may be read, after anything that could have changed it.
    pub(super) fn refresh_gate(&mut self, cx: &mut Cx<'_>) {
        let state = self.gate_state();
        if state != self.gate.state {
            if self.gate.state == State::Full {
                self.reopen(cx);
            }
            if state == State::Full {
                self.hold_back(cx);
            }
            self.gate.state = state;
        }
        self.set_reading(cx, state == State::Open);
    }

    fn gate_state(&mut self) -> State {
        self.gate.met |= self.clients.len() >= self.config.wait_clients;
        if !self.gate.met {
            State::Waiting
        } else if self.pass.is_some() {
            State::Passing
        } else if self.room() < self.room_min {
            State::Full
        } else {
            State::Open
        }
    }

    /// Bytes that can be read without overwriting any that somebody has a right to.
    fn room(&mut self) -> usize {
        let head = self.ring.head();
        let parked = self.outputs.iter().filter_map(|outlet| outlet.parked).min();
        let keep = [parked, self.clients.hindmost_blocking(), self.leader()]
            .into_iter()
            .flatten()
            .min();
        self.ring.room(keep.unwrap_or(head))
    }

    /// The client that the ring must not overtake.
    fn leader(&mut self) -> Option<u64> {
        match self.config.hold.is_zero() {
            true => None,
            false => self.clients.lead(self.ring.head()),
        }
    }

    /// One read of the upstream, into the ring. `Ok(None)`: nothing came, or nothing may be read now.
    pub(super) fn pull(&mut self, cx: &mut Cx<'_>, sock: SockId) -> io::Result<Option<usize>> {
        if self.gate.state != State::Open {
            return Ok(None);
        }
        let room = self.room().min(self.read_max);
        if self.nobody_is_behind() {
            // What nobody needs any more is the part of the ring that is still hot in the cache.
            self.ring.rewind();
        }
        let head = self.ring.head();
        let read = cx.read(sock, self.ring.reserve(room));
        let Ok(Some(n @ 1..)) = read else {
            // What was reserved is gone from the ring, though nothing came.
            self.shed(cx);
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

    /// Brings what was just read to everybody who can take it, and drops whom the ring has overtaken.
    pub(super) fn fan_out(&mut self, cx: &mut Cx<'_>) {
        self.shed(cx);
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
            Ok(true) => self.clients.stay_current(id),
            Ok(false) => {
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
            Ok(true) => {
                self.clients.catch_up(id);
                let Some(client) = self.clients.get(id) else {
                    return;
                };
                cx.want_write(client.sock, false);
                if self.flush.is_some() {
                    self.finish_client(cx, id);
                }
            }
            Ok(false) => {}
            Err(error) => self.drop_failed(cx, id, &error),
        }
        if self.gate.state == State::Full {
            self.refresh_gate(cx);
        }
    }

    /// One send of at most `max` bytes. Whether the client now has everything.
    fn send(&mut self, cx: &mut Cx<'_>, id: ClientId, max: usize) -> io::Result<bool> {
        let head = self.ring.head();
        let Some(client) = self.clients.get_mut(id) else {
            return Ok(true);
        };
        if client.cursor == head {
            return Ok(true);
        }
        let from = self
            .ring
            .read_up_to(client.cursor, max)
            .expect("whom the ring overtakes is dropped in the same visit");
        let Some(n) = cx.write(client.sock, from)? else {
            return Ok(false);
        };
        client.cursor += n as u64;
        let cursor = client.cursor;
        self.counts.bytes_out += n as u64;
        self.clients.moved_to(cursor);
        Ok(cursor == head)
    }

    /// Drops every client that the ring has overtaken.
    fn shed(&mut self, cx: &mut Cx<'_>) {
        while let Some(id) = self.clients.overtaken(self.ring.tail()) {
            self.drop_client(cx, id, Reason::Overtaken, None);
        }
    }

    /// The ring is full: the upstream waits, but not for ever for clients that take nothing.
    fn hold_back(&mut self, cx: &mut Cx<'_>) {
        self.gate.full_since = cx.now();
        self.gate.held_said = false;
        self.watch_progress(cx, true);
        self.arm_hold(cx);
    }

    fn reopen(&mut self, cx: &mut Cx<'_>) {
        if let Some(timer) = self.gate.timer.take() {
            cx.cancel(timer);
        }
    }

    fn arm_hold(&mut self, cx: &mut Cx<'_>) {
        let head = self.ring.head();
        let holds = self
            .leader()
            .is_some_and(|leader| leader < head && self.ring.room(leader) < self.room_min);
        self.gate.timer = holds.then(|| cx.timer(self.config.hold / HOLD_LOOKS, Tick::Hold.tag(0)));
    }

    /// A quarter of `--hold` is over while the ring is full.
    pub(super) fn look_at_held(&mut self, cx: &mut Cx<'_>) {
        self.gate.timer = None;
        if self.gate.state != State::Full {
            return;
        }
        self.watch_progress(cx, false);
        let (now, full_since, hold) = (cx.now(), self.gate.full_since, self.config.hold);
        let stalled = |client: &super::clients::Client| {
            client.slow == Slow::Drop
                && client.behind
                && now.since(client.progress.max(full_since)) >= hold
        };
        let due: Vec<_> = self
            .clients
            .iter()
            .filter(|(_, client)| stalled(client))
            .map(|(id, _)| id)
            .collect();
        for id in due {
            self.drop_client(cx, id, Reason::Stalled, None);
        }
        if self.gate.state == State::Full && self.gate.timer.is_none() {
            self.arm_hold(cx);
        }
    }

    /// Notes who has taken bytes since the last look. What counts is what the client's own kernel has acknowledged: on
    /// a thin line ours may take a megabyte at once and then nothing for minutes, while the client takes all the time.
    pub(super) fn watch_progress(&mut self, cx: &mut Cx<'_>, first: bool) {
        let now = cx.now();
        let ids: Vec<_> = self
            .clients
            .iter()
            .filter(|(_, client)| client.behind)
            .map(|(id, _)| id)
            .collect();
        for id in ids {
            let Some(client) = self.clients.get_mut(id) else {
                continue;
            };
            let unacknowledged = cx.unacknowledged(client.sock).unwrap_or(0);
            let acked = client.cursor.saturating_sub(u64::from(unacknowledged));
            if acked > client.acked {
                client.acked = acked;
                if !first {
                    client.progress = now;
                }
            }
        }
    }

    /// Says so, once a time, when clients that must not lose a byte have held the upstream back for a while.
    pub(super) fn watch_held(&mut self, now: Time) {
        let held = now.since(self.gate.full_since);
        if self.gate.state != State::Full
            || self.gate.held_said
            || held < HELD_SAID
            || !self.upstream.is_up()
        {
            return;
        }
        let Some(by) = self.held_by() else { return };
        self.gate.held_said = true;
        let text = format!(
            "upstream held back {} s by {by} (--slow block, ring full)",
            held.as_secs()
        );
        self.journal.warn(now, "held back", text);
    }

    /// Who holds the upstream back under `block`: the hindmost, or a destination that is not connected.
    fn held_by(&mut self) -> Option<String> {
        let parked = self
            .outputs
            .iter()
            .filter(|outlet| outlet.parked.is_some())
            .min_by_key(|outlet| outlet.parked);
        let hindmost = self
            .clients
            .iter()
            .filter(|(_, client)| client.slow == Slow::Block && client.behind)
            .min_by_key(|(_, client)| client.cursor);
        match (hindmost, parked) {
            (Some((_, client)), Some(outlet)) if outlet.parked < Some(client.cursor) => {
                Some(outlet.name())
            }
            (Some((_, client)), _) => Some(client.peer.to_string()),
            (None, Some(outlet)) => Some(outlet.name()),
            (None, None) => None,
        }
    }

    /// How far a cursor is behind: in bytes, and in time since its next byte came in.
    pub(super) fn lag(&self, cursor: u64, now: Time) -> (u64, Duration) {
        let bytes = self.ring.head() - cursor;
        let arrived = if bytes == 0 {
            None
        } else {
            self.timeline.arrived(cursor)
        };
        (
            bytes,
            arrived.map_or(Duration::ZERO, |arrived| now.since(arrived)),
        )
    }

    /// The client that is furthest behind: its name and its lag in words.
    pub(super) fn worst_lag(&self, cx: &Cx<'_>) -> Option<(Duration, u64, String)> {
        let taken = |client: &super::clients::Client| {
            let unacknowledged = cx.unacknowledged(client.sock).unwrap_or(0);
            client.cursor.saturating_sub(u64::from(unacknowledged))
        };
        let (cursor, worst) = self
            .clients
            .iter()
            .map(|(_, client)| (taken(client), client))
            .min_by_key(|(at, _)| *at)?;
        let (bytes, age) = self.lag(cursor, cx.now());
        Some((age, bytes, worst.peer.to_string()))
    }
}

/// Sends in one visit: about a millisecond's work, after which the others on the loop have their turn.
pub(super) const SENDS_A_VISIT: usize = 512;
/// Bytes that a client which is behind gets in one visit.
const CATCH_UP_MAX: usize = 256 << 10;
/// How often within `--hold` it is looked whether the clients that hold the upstream back take anything.
const HOLD_LOOKS: u32 = 4;
/// How long the upstream is held back before a line says so.
const HELD_SAID: Duration = Duration::from_secs(5);
