//! When the upstream may be read: not before `--wait-clients` are there, not in the middle of a pass, not into a ring
//! that is full of what somebody has a right to (to get it, or to get it again as long as it is not acknowledged), not
//! while `--max-lag` is passed under `block`, however empty the ring is, and for a moment not while a leader that is
//! worth it is behind.
//!
//! ```text
//!   Waiting ──> Open ──read──> Passing ──> Open
//!               ^  │
//!               │  ├──> Ahead: the leader is behind and takes bytes (leader.rs)
//!               ├──┼─────── it is current, or not worth the wait
//!               │  │
//!               │  └──> Held: the ring is full of what `block` or the leader still need, or `--max-lag` is passed
//!               └────────── room, and nobody lags: somebody took, acknowledged or left, or was stalled for `--hold`
//! ```

use std::time::Duration;

use crate::base::time::Time;
use crate::base::wheel::TimerKey;
use crate::reactor::Cx;
use crate::roles::relay::clients::{Client, ClientId};
use crate::roles::relay::config::{MaxLag, Slow};
use crate::roles::relay::leaving::Reason;
use crate::roles::relay::outputs::Outlet;
use crate::roles::relay::{Relay, Tick};

/// Whether the upstream may be read, and since when it may not.
///
/// What each message looks at comes last, in memory as here.
#[derive(Debug, Default)]
#[repr(C)]
pub(super) struct Gate {
    held_since: Time,
    /// When it was last looked who takes bytes.
    looked: Option<Time>,
    hold: Option<TimerKey>,
    /// The next question what was acknowledged, and when it is asked.
    acks: Option<(TimerKey, Time)>,
    /// Under `block`, those who were seen to lag too far by what waits in their kernels. Some may be gone.
    laggards: Vec<ClientId>,
    held_said: bool,
    state: State,
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
    /// The upstream is so far ahead of the leader, who is taking bytes all the time, that more of it would only push
    /// out of the cache what the leader is about to get.
    Ahead,
    /// The ring has no room that somebody does not still need, or a client under `block` is beyond `--max-lag`.
    Held,
}

impl Gate {
    pub(super) fn is_open(&self) -> bool {
        self.state == State::Open
    }

    /// Whether it is the clients' turn: what they take may open it.
    pub(super) fn is_shut(&self) -> bool {
        matches!(self.state, State::Held | State::Ahead)
    }
}

impl Relay {
    /// Looks again whether the upstream may be read, after anything that could have changed it.
    pub(super) fn refresh_gate(&mut self, cx: &mut Cx<'_>) {
        let state = self.gate_state(cx);
        if state != self.gate.state {
            self.move_gate(cx, state);
        } else if state == State::Held {
            self.arm_missing(cx);
        }
        self.set_reading(cx, state == State::Open);
    }

    #[inline(never)]
    fn move_gate(&mut self, cx: &mut Cx<'_>, state: State) {
        self.cancel_gate_timers(cx);
        self.gate.state = state;
        match state {
            State::Held => self.hold_back(cx),
            State::Ahead => self.await_leader(cx),
            State::Open | State::Waiting | State::Passing => {}
        }
    }

    fn gate_state(&mut self, cx: &Cx<'_>) -> State {
        self.gate.met |= self.clients.len() >= self.config.wait_clients;
        if !self.gate.met {
            State::Waiting
        } else if self.pass.is_some() {
            State::Passing
        } else if self.room(cx) < self.read_max || self.lags_too_far(cx.now()) {
            State::Held
        } else if self.is_far_ahead(cx.now()) {
            State::Ahead
        } else {
            State::Open
        }
    }

    /// Bytes that can be read without overwriting any that somebody has a right to.
    fn room(&mut self, cx: &Cx<'_>) -> usize {
        let room = self.known_room();
        if room >= self.read_max {
            return room;
        }
        self.room_acknowledged(cx, room)
    }

    #[inline(never)]
    fn room_acknowledged(&mut self, cx: &Cx<'_>, room: usize) -> usize {
        // Whatever happens while the upstream is held, a timer asks.
        if self.gate.state == State::Held || self.retained().is_none() {
            return room;
        }
        // It may be that only what nobody has acknowledged, as far as we know, stands in the way: ask.
        self.ask_retaining(cx);
        self.known_room()
    }

    /// As above, by what is known without asking the kernel.
    pub(super) fn known_room(&mut self) -> usize {
        if self.clients.behind() == 0 && self.outputs.iter().all(Outlet::keeps_nothing) {
            let room = self.ring.room(self.records.whole());
            debug_assert_eq!(room, self.room_kept(), "nobody needs what is whole");
            return room;
        }
        self.room_kept()
    }

    #[inline(never)]
    fn room_kept(&mut self) -> usize {
        let whole = self.records.whole();
        let parked = self
            .outputs
            .iter()
            .filter_map(|outlet| outlet.parked())
            .min();
        let block = [parked, self.clients.hindmost_blocking()];
        let block = block.into_iter().flatten().fold(whole, u64::min);
        let keep = self.records.keep_from(block);
        let keep = keep.min(self.protected().unwrap_or(whole));
        self.ring.room(keep.min(self.retained().unwrap_or(whole)))
    }

    /// The first byte that must stay in the ring though it was written: a dialled destination has not acknowledged it,
    /// and would get it again, from its record's beginning.
    pub(super) fn retained(&self) -> Option<u64> {
        let acked = |outlet: &Outlet| {
            self.clients
                .get(outlet.retaining()?)
                .map(|client| client.acked)
        };
        let acked = self.outputs.iter().filter_map(acked).min()?;
        Some(self.records.keep_from(acked))
    }

    /// Asks what those destinations have acknowledged that would get the rest again.
    pub(super) fn ask_retaining(&mut self, cx: &Cx<'_>) {
        let retaining: Vec<_> = self.outputs.iter().filter_map(Outlet::retaining).collect();
        for id in retaining {
            self.ask_acknowledged(cx, id);
        }
    }

    /// `--max-lag` under `block`: the upstream waits for whoever is behind so far, by what waits in the ring, or
    /// by what the sampler has found to wait in the kernel.
    fn lags_too_far(&mut self, now: Time) -> bool {
        self.config
            .max_lag
            .is_some_and(|max| self.somebody_lags(max, now))
    }

    #[inline(never)]
    fn somebody_lags(&mut self, max: MaxLag, now: Time) -> bool {
        if let Some((hindmost, id)) = self.clients.hindmost_waited_for()
            && self.is_over_at(id, hindmost, max, now)
        {
            return true;
        }
        // One who still lags is enough.
        while let Some(id) = self.gate.laggards.last().copied() {
            if self.is_known_to_lag(id, max, now) {
                return true;
            }
            self.gate.laggards.pop();
            if let Some(client) = self.clients.get_mut(id) {
                client.lags = false;
            }
        }
        false
    }

    /// Whether it lagged too far, if it has acknowledged nothing since it was last asked.
    fn is_known_to_lag(&mut self, id: ClientId, max: MaxLag, now: Time) -> bool {
        // Whoever gets no more than it has been given holds nobody up.
        let client = self.clients.get(id).filter(|it| it.until == u64::MAX);
        client.is_some() && self.is_over(id, max, now)
    }

    /// Asks those who were seen to lag too far what they have acknowledged: as many as do not lag any more, and one.
    fn ask_laggards(&mut self, cx: &Cx<'_>) {
        let Some(max) = self.config.max_lag else {
            return;
        };
        for at in (0..self.gate.laggards.len()).rev() {
            let id = self.gate.laggards[at];
            self.ask_acknowledged(cx, id);
            if self.is_known_to_lag(id, max, cx.now()) {
                return;
            }
        }
    }

    /// The sampler has found that a client which must not lose a byte lags too far: until it has caught up, the
    /// upstream waits.
    pub(super) fn note_laggard(&mut self, cx: &mut Cx<'_>, id: ClientId) {
        let Some(client) = self.clients.get_mut(id) else {
            return;
        };
        if !std::mem::replace(&mut client.lags, true) {
            self.gate.laggards.push(id);
            self.refresh_gate(cx);
        }
    }

    /// The upstream waits, but not for ever for clients that take nothing, unless they are under `block`.
    fn hold_back(&mut self, cx: &mut Cx<'_>) {
        self.gate.held_since = cx.now();
        self.gate.held_said = false;
        // A gate that shuts with every read must not look at all who are behind each time.
        let pause = self.config.hold / HOLD_LOOKS;
        let now = cx.now();
        if self.gate.looked.is_none_or(|then| now.since(then) >= pause) {
            self.watch_progress(cx);
        }
        self.arm_hold(cx);
        self.arm_acks(cx, ACKS_LOOK);
    }

    /// It waits still, but not always because of the same ones: a destination that has come back may have taken the
    /// place of its own absence.
    #[inline(never)]
    fn arm_missing(&mut self, cx: &mut Cx<'_>) {
        if self.gate.hold.is_none() {
            self.arm_hold(cx);
        }
        if self.gate.acks.is_none() {
            self.arm_acks(cx, ACKS_LOOK);
        }
    }

    /// Nothing announces an acknowledgement: where it may be all that the upstream waits for, a timer asks.
    fn arm_acks(&mut self, cx: &mut Cx<'_>, wait: Duration) {
        let mut retaining = self.outputs.iter().filter_map(Outlet::retaining);
        if !self.gate.laggards.is_empty() || retaining.next().is_some() {
            let due = cx.now() + wait;
            self.gate.acks = Some((cx.timer(wait, Tick::Acks.tag(0)), due));
        }
    }

    /// A client has taken bytes again: where it is one of those whose acknowledgements the upstream waits for, they are
    /// asked for soon, however long they have been waited for.
    pub(super) fn hurry_acks(&mut self, cx: &mut Cx<'_>, id: ClientId) {
        let lags = self.clients.get(id).is_some_and(|client| client.lags);
        let mut retaining = self.outputs.iter().filter_map(Outlet::retaining);
        let soon = cx.now() + ACKS_LOOK;
        if let Some((timer, due)) = self.gate.acks
            && due > soon
            && (lags || retaining.any(|it| it == id))
        {
            cx.cancel(timer);
            self.arm_acks(cx, ACKS_LOOK);
        }
    }

    pub(super) fn look_at_acks(&mut self, cx: &mut Cx<'_>) {
        // The longer it has been, the less a moment more matters.
        let held = cx.now().since(self.gate.held_since);
        self.gate.acks = None;
        self.ask_retaining(cx);
        self.ask_laggards(cx);
        self.arm_acks(cx, held.clamp(ACKS_LOOK, ACKS_LOOK_MAX));
        self.refresh_gate(cx);
    }

    fn cancel_gate_timers(&mut self, cx: &mut Cx<'_>) {
        let hold = self.gate.hold.take();
        let ahead = self.leader.end_wait();
        let acks = self.gate.acks.take().map(|(timer, _)| timer);
        hold.into_iter()
            .chain(ahead)
            .chain(acks)
            .for_each(|timer| cx.cancel(timer));
    }

    fn arm_hold(&mut self, cx: &mut Cx<'_>) {
        let pause = self.config.hold / HOLD_LOOKS;
        let holds = self.is_full_for_the_leader();
        self.gate.hold = holds.then(|| cx.timer(pause, Tick::Hold.tag(0)));
    }

    /// Whether the ring is full of what clients are waited for that may be overtaken.
    fn is_full_for_the_leader(&mut self) -> bool {
        let head = self.records.whole();
        self.protected()
            .is_some_and(|from| from < head && self.ring.room(from) < self.read_max)
    }

    /// A quarter of `--hold` is over while the upstream is held.
    pub(super) fn look_at_held(&mut self, cx: &mut Cx<'_>) {
        self.gate.hold = None;
        if self.gate.state != State::Held {
            return;
        }
        // They may have taken bytes just now, and the upstream be held for another reason.
        if self.is_full_for_the_leader() {
            self.drop_stalled(cx, self.gate.held_since);
        }
        if self.gate.state == State::Held && self.gate.hold.is_none() {
            self.arm_hold(cx);
        }
    }

    /// Drops all who have taken nothing for `--hold`, counted from `since` at the earliest.
    pub(super) fn drop_stalled(&mut self, cx: &mut Cx<'_>, since: Time) {
        self.watch_progress(cx);
        let (now, hold) = (cx.now(), self.config.hold);
        let stalled = |client: &Client| {
            client.slow != Slow::Block
                && client.behind
                && now.since(client.progress.max(since)) >= hold
        };
        let due: Vec<_> = self
            .clients
            .iter()
            .filter(|(_, client)| stalled(client))
            .map(|(id, _)| id)
            .collect();
        let dropped = !due.is_empty();
        for id in due {
            self.take_away(cx, id, Reason::Stalled, None);
        }
        if dropped {
            self.after_drop(cx);
        }
    }

    /// Notes who has taken bytes since the last look. What counts is what the client's own kernel has acknowledged: on
    /// a thin line ours may take a megabyte at once and then nothing for minutes, while the client takes all the time.
    pub(super) fn watch_progress(&mut self, cx: &mut Cx<'_>) {
        let now = cx.now();
        self.gate.looked = Some(now);
        let ids: Vec<_> = self
            .clients
            .iter()
            .filter(|(_, client)| client.behind && client.slow != Slow::Block)
            .map(|(id, _)| id)
            .collect();
        for id in ids {
            let left = self.ask_acknowledged(cx, id);
            // Or it would be dropped for taking nothing while it is sent nothing.
            self.release(cx, id, left);
        }
    }

    /// Says so, once a time, when clients that must not lose a byte have held the upstream back for a while.
    pub(super) fn watch_held(&mut self, cx: &Cx<'_>) {
        let now = cx.now();
        let held = now.since(self.gate.held_since);
        if self.gate.state != State::Held
            || self.gate.held_said
            || held < HELD_SAID
            || !self.upstream.is_up()
        {
            return;
        }
        let Some(by) = self.held_by() else { return };
        self.gate.held_said = true;
        let max_lag = self.config.max_lag;
        let why = match max_lag {
            Some(max) if self.known_room() >= self.read_max => format!("behind by --max-lag {max}"),
            _ => "ring full".to_owned(),
        };
        let text = format!(
            "upstream held back {} s by {by} (--slow block, {why})",
            held.as_secs()
        );
        self.journal.warn(now, "held back", text);
    }

    /// Who holds the upstream back under `block`: the hindmost, or a destination that is not connected.
    fn held_by(&mut self) -> Option<String> {
        let parked = self
            .outputs
            .iter()
            .filter(|outlet| outlet.parked().is_some())
            .min_by_key(|outlet| outlet.parked());
        let retaining = |id| self.outputs.iter().any(|it| it.retaining() == Some(id));
        let holds = |(id, client): &(ClientId, &Client)| {
            client.slow == Slow::Block && (client.behind || client.lags || retaining(*id))
        };
        let hindmost = self.clients.iter().filter(holds);
        let hindmost = hindmost.min_by_key(|(_, client)| client.acked);
        match (hindmost, parked) {
            (Some((_, client)), Some(outlet)) if outlet.parked() < Some(client.acked) => {
                Some(outlet.name())
            }
            (Some((_, client)), _) => Some(client.peer.to_string()),
            (None, Some(outlet)) => Some(outlet.name()),
            (None, None) => None,
        }
    }
}

/// How often within `--hold` it is looked whether the clients that hold the upstream back take anything.
const HOLD_LOOKS: u32 = 4;
/// How long the upstream is held back before a line says so.
const HELD_SAID: Duration = Duration::from_secs(5);
/// How often the kernel is asked what was acknowledged, while that may be all that the upstream waits for: as often as
/// this at first, and less and less, but never less than the second.
const ACKS_LOOK: Duration = Duration::from_millis(2);
pub(crate) const ACKS_LOOK_MAX: Duration = Duration::from_secs(1);
