//! How far clients are behind: in bytes, and in seconds since the oldest byte that they lack came in.
//!
//! What waits in the kernel counts too (SIOCOUTQ): a client that has vanished shows its lag at once, though the kernel
//! would swallow a slow feed for minutes. The kernel is asked about each client once a second, or up to fifty times
//! where `--max-lag` or `--stall-timeout` is short (with a `--max-lag` in bytes, eight times), a few clients at a time,
//! and never for the sake of a write.
//!
//! Whoever has bytes waiting and has taken none of late is asked about once more each second (TCP_INFO): while data
//! is unacknowledged the kernel sends no keepalive probes, and would go on sending the data itself for a quarter of an
//! hour. One whose kernel has answered none of that for `--keepalive` is dead. One that merely pauses answers.

use std::time::Duration;

use crate::base::time::Time;
use crate::reactor::Cx;
use crate::reactor::net::Peer;
use crate::reactor::view::Spread;
use crate::roles::relay::clients::{Client, ClientId};
use crate::roles::relay::config::{MaxLag, RelayConfig, Slow};
use crate::roles::relay::framed::Framed;
use crate::roles::relay::leaving::Reason;
use crate::roles::relay::{Relay, Tick};

/// The round of samples that is under way, and the worst lag that the last whole one found.
#[derive(Debug)]
pub(super) struct Sampler {
    /// How long a round takes.
    round: Duration,
    /// The place in the table of clients that is next.
    next: u32,
    found: Option<Worst>,
    worst: Option<Worst>,
    /// How far behind clients were found to be.
    pub(super) ages: Spread,
}

/// The client that is furthest behind.
#[derive(Clone, Copy, Debug)]
pub(super) struct Worst {
    pub(super) age: Duration,
    pub(super) bytes: u64,
    pub(super) peer: Peer,
}

impl Sampler {
    pub(super) fn new(config: &RelayConfig) -> Self {
        let age = config.max_lag.map(|max| match max {
            MaxLag::Age(age) => age,
            // So many bytes may come in no time; what comes in an eighth of a second is little enough.
            MaxLag::Bytes(_) => ROUND_MAX,
        });
        let shortest = age.into_iter().chain(config.stall_timeout).min();
        let round = shortest.map_or(ROUND_MAX, |shortest| {
            (shortest / LOOKS).clamp(ROUND_MIN, ROUND_MAX)
        });
        Self {
            round,
            next: 0,
            found: None,
            worst: None,
            ages: Spread::default(),
        }
    }

    /// The time until the next few of so many are looked at: no shorter than what keeps the cost within bounds.
    fn pause(&self, places: u32) -> Duration {
        let slices = places.div_ceil(SLICE).max(1);
        (self.round / slices).max(PAUSE_MIN)
    }

    /// A client is gone, and its lag with it.
    pub(super) fn forget(&mut self, peer: Peer) {
        for worst in [&mut self.found, &mut self.worst] {
            worst.take_if(|worst| worst.peer == peer);
        }
    }

    /// Looks at clients as often as another one would.
    pub(super) fn set_round(&mut self, other: &Self) {
        self.round = other.round;
    }

    pub(super) fn worst(&self) -> Option<&Worst> {
        self.worst.as_ref()
    }
}

impl Client {
    /// How many bytes of the stream that went to it it may not have, where its kernel has not acknowledged so many
    /// bytes of whatever sort: no fewer.
    pub(super) fn lacks(&self, framed: Option<&Framed>, unacknowledged: Option<u32>) -> u64 {
        let waits = unacknowledged.unwrap_or(0);
        let waits = u64::from(waits.saturating_sub(self.is_shut.into()));
        let waits = self.tls.as_ref().map_or(waits, |tls| tls.lacks(waits));
        match (&self.websocket, framed) {
            (Some(websocket), Some(framed)) => websocket.payload_of(framed, self.cursor, waits),
            _ => waits,
        }
    }

    /// The highest offset that its kernel has acknowledged, where so many of the bytes that were written to it are not.
    pub(super) fn acked_by(&self, framed: Option<&Framed>, unacknowledged: Option<u32>) -> u64 {
        let aside = self.aside.as_ref().map_or(0, |aside| aside.left());
        let lacks = self.lacks(framed, unacknowledged);
        let acked = self.cursor.saturating_sub(lacks + aside as u64);
        acked.max(self.acked)
    }

    /// Takes in how many of the bytes that were written to it its kernel has not acknowledged.
    pub(super) fn note_acknowledged(
        &mut self,
        framed: Option<&Framed>,
        unacknowledged: Option<u32>,
        now: Time,
    ) {
        let acked = self.acked_by(framed, unacknowledged);
        if let (Some(0), Some(tls)) = (unacknowledged, &mut self.tls) {
            tls.all_acknowledged();
        }
        if acked > self.acked {
            self.acked = acked;
            self.progress = now;
            self.has_skipped = false;
        }
    }

    /// Whether its kernel has answered nothing for `patience` though it was asked again and again, as far as looks can
    /// tell that come now and then. A single question may have been answered a moment later, however long the silence
    /// before it was.
    fn is_dead(&mut self, cx: &Cx<'_>, patience: Duration) -> bool {
        let now = cx.now();
        let waits = self.acked < self.cursor && self.progress < now;
        if waits
            && self
                .asked_alive
                .is_some_and(|then| now.since(then) < ALIVE_LOOK.min(patience / LOOKS))
        {
            return false;
        }
        self.asked_alive = waits.then_some(now);
        let silence = waits.then(|| cx.unanswered(self.sock)).flatten();
        self.silent_since = silence.map(|silence| {
            let heard_since = |since: &Time| now.since(*since) > silence;
            self.silent_since
                .filter(|since| !heard_since(since))
                .unwrap_or(now)
        });
        self.silent_since
            .is_some_and(|since| now.since(since) >= patience)
    }
}

impl Relay {
    /// Looks at the next few clients.
    pub(super) fn sample_lag(&mut self, cx: &mut Cx<'_>) {
        let places = self.clients.places();
        let end = self.sampler.next + SLICE;
        for place in self.sampler.next..end.min(places) {
            if let Some(id) = self.clients.at(place) {
                self.sample(cx, id);
            }
        }
        self.sampler.next = end;
        if end >= places {
            self.sampler.next = 0;
            self.clients.trim();
            self.sampler.worst = self.sampler.found.take();
        }
        cx.timer(self.sampler.pause(places), Tick::Sample.tag(0));
    }

    /// Asks the kernel how many of the bytes that were written to a client its own has not acknowledged, and notes what
    /// that says of it.
    pub(super) fn ask_acknowledged(&mut self, cx: &Cx<'_>, id: ClientId) -> Option<u32> {
        let client = self.clients.get_mut(id)?;
        let left = cx.unacknowledged(client.sock);
        client.note_acknowledged(self.framed.as_deref(), left, cx.now());
        left
    }

    fn sample(&mut self, cx: &mut Cx<'_>, id: ClientId) {
        let now = cx.now();
        let owes = |client: &Client| client.acked < client.cursor || client.withheld > 0;
        let left = match self.clients.get(id).is_some_and(owes) {
            true => self.ask_acknowledged(cx, id),
            false => None,
        };
        let keepalive = self.config.keepalive;
        let client = self.clients.get_mut(id);
        if let (Some(patience), Some(client)) = (keepalive, client)
            && client.is_dead(cx, patience)
        {
            return self.drop_client(cx, id, Reason::Dead, None);
        }
        let Some(client) = self.clients.get(id) else {
            return;
        };
        if client.finishing {
            return; // it has all that it will ever get, and only the end is still to be acknowledged
        }
        if let Some(reason) = client.leaving()
            && now.since(client.progress) >= self.patience(client.slow)
        {
            return self.drop_client(cx, id, reason, None);
        }
        let (acked, peer, slow) = (client.acked, client.peer, client.slow);
        let (quiet, has_skipped) = (now.since(client.progress), client.has_skipped);
        // In the midst of a pass it may not have been sent what it lacks.
        let was_sent = client.behind || client.acked < client.cursor;
        let joined = client.joined;
        let (bytes, age) = self.lag_since(acked, joined, now);
        self.sampler.ages.note(age);
        let waits = if has_skipped { quiet } else { quiet.min(age) };
        if self
            .sampler
            .found
            .is_none_or(|found| (age, bytes) > (found.age, found.bytes))
        {
            self.sampler.found = Some(Worst { age, bytes, peer });
        }
        let max_lag = self.config.max_lag;
        let over = max_lag.is_some_and(|max| self.is_over(id, max, now));
        let stalled = self
            .config
            .stall_timeout
            .is_some_and(|stall| was_sent && bytes > 0 && waits >= stall);
        if stalled {
            return self.drop_client(cx, id, Reason::Stalled, None);
        }
        match slow {
            _ if !over => {}
            Slow::Block => self.note_laggard(cx, id),
            Slow::Drop => self.drop_client(cx, id, Reason::Lagging, None),
            Slow::Skip => {
                self.withhold(cx, id, left);
                // A leader that has skipped holds nobody up any more.
                self.refresh_gate(cx);
            }
        }
        self.release(cx, id, left);
    }

    /// Whether a client is further behind than `max`. What it was given when it joined, such as `--backlog`, is no lag
    /// until it has caught up with that once, as long as it takes bytes and does not fall far further behind.
    pub(super) fn is_over(&mut self, id: ClientId, max: MaxLag, now: Time) -> bool {
        let Some(client) = self.clients.get(id) else {
            return false;
        };
        let (acked, joined) = (client.acked, client.joined);
        let has_caught_up =
            acked >= client.live && !max.is_passed(self.lag_since(acked, joined, now));
        if has_caught_up && let Some(client) = self.clients.get_mut(id) {
            client.live = 0;
        }
        self.is_over_at(id, acked, max, now)
    }

    /// The same of a client that has everything below `cursor`, as far as that matters.
    pub(super) fn is_over_at(&self, id: ClientId, cursor: u64, max: MaxLag, now: Time) -> bool {
        let Some(client) = self.clients.get(id) else {
            return false;
        };
        let given = client.live.saturating_sub(client.first);
        let quiet = now.since(client.progress);
        let (bytes, age) = self.lag_since(cursor, client.joined, now);
        let over = max.is_passed((bytes, age));
        match max {
            _ if !over || given == 0 => over,
            MaxLag::Age(age) => quiet > age || bytes > 2 * given,
            MaxLag::Bytes(most) => bytes > most.saturating_add(given),
        }
    }

    /// As [`Relay::lag`], for a client that came at this time: what was there before is not older to it than itself.
    pub(super) fn lag_since(&self, cursor: u64, joined: Time, now: Time) -> (u64, Duration) {
        let (bytes, age) = self.lag(cursor, now);
        (bytes, age.min(now.since(joined)))
    }

    /// How far behind a client is that has everything below `cursor`.
    pub(super) fn lag(&self, cursor: u64, now: Time) -> (u64, Duration) {
        let bytes = self.records.whole() - cursor;
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
}

/// A client is looked at so often within the lag that it is allowed.
const LOOKS: u32 = 8;
const ROUND_MIN: Duration = Duration::from_millis(20);
const ROUND_MAX: Duration = Duration::from_secs(1);
/// How often it is asked whether a client that takes nothing is alive: where looks are more frequent, not at each.
const ALIVE_LOOK: Duration = Duration::from_secs(1);
/// Clients that are looked at in one go: about 50 microseconds' work.
pub(super) const SLICE: u32 = 128;
/// The least time between two such goes, so that a round of many clients takes longer instead: 64,000 looks a second at
/// most.
const PAUSE_MIN: Duration = Duration::from_millis(2);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_clients_make_a_round_longer_and_not_the_work() {
        let mut config = RelayConfig::new(crate::roles::relay::config::Source::Stdin, Vec::new());
        let round = |config: &RelayConfig, places: u32| {
            Sampler::new(config).pause(places) * places.div_ceil(SLICE).max(1)
        };
        for places in [0, 1, 128, 129, 10_000] {
            let took = round(&config, places);
            assert!(took <= ROUND_MAX && took > ROUND_MAX * 99 / 100, "{took:?}");
        }
        config.max_lag = Some(MaxLag::Bytes(1_000));
        assert_eq!(round(&config, 1000), ROUND_MAX / LOOKS);
        config.max_lag = Some(MaxLag::Age(Duration::from_millis(100)));
        assert_eq!(round(&config, 1000), ROUND_MIN);
        let took = round(&config, 10_000);
        assert_eq!(took, Duration::from_millis(158));
    }
}
