//! What must hold when everything has come to rest, and at the end.

use std::time::Duration;

use super::Play;
use super::book::Book;
use super::scenario::FIRST_OUTPUT;
use super::stage::Who;
use crate::roles::relay::Relay;
use crate::roles::relay::config::{Slow, Source as From, UpstreamLoss};
use crate::sim::{Receiver, RemoteId, RemoteState};

impl Play {
    /// What must hold once nothing moves any more, though the relay runs.
    pub(super) fn at_rest(&self) {
        let book = self.book.borrow();
        let relay = self.relay().expect("it runs");
        for known in book.clients.values() {
            let served = &book.served[&known.remote];
            let (place, end) = (
                served.path.place(served.taken),
                served.until.min(book.head()),
            );
            let who = served.who;
            let all = place == end || self.stage.is_stalled(who);
            assert!(all, "{who:?} has come to {place} of {end}, and no further");
        }
        self.dialled_at_rest(&book, relay);
        self.upstreams_at_rest(&book, relay);
        let config = &self.stage.scenario.config;
        let may_end = config.source == From::Stdin
            || config.upstream_loss == UpstreamLoss::Exit
            || self.stdout_is_closed();
        assert!(
            may_end || !relay.is_ending(),
            "it ends, and nothing told it to"
        );
    }

    /// Whoever is connected to the relay is its client, or will be where everybody [may be away](Play::may_be_away): a
    /// connection may be on its way then, and an end may be, however long it is waited. But not the same one.
    pub(super) fn everybody_comes(&mut self) {
        let end = self.now() + self.patience();
        let first = self.guests_alone();
        assert!(
            first.is_empty() || self.may_be_away(),
            "{first:?} are connected to nobody"
        );
        let upstreams = self.book.borrow().counts.upstreams;
        let mut alone = first.clone();
        while !alone.is_empty() && self.now() < end && !self.over {
            self.turn();
            let still = self.guests_alone();
            alone.retain(|guest| still.contains(guest));
        }
        assert!(
            alone.is_empty() || self.over,
            "{alone:?} are connected to nobody"
        );
        let book = self.book.borrow();
        let was_served = |(remote, _): &(RemoteId, Who)| book.served.contains_key(remote);
        let has_changed = self.over || book.counts.upstreams > upstreams;
        assert!(
            has_changed || first.iter().all(was_served),
            "of {first:?} some were let go, and nobody was lost"
        );
    }

    /// With a limit to its silence, a quiet upstream is let go and dialled again, over and over, and perhaps everybody
    /// with it.
    fn may_be_away(&self) -> bool {
        let config = &self.stage.scenario.config;
        config.idle_timeout.is_some() && config.upstream_loss != UpstreamLoss::Keep
    }

    /// Guests whose connection is open, and who are nobody's client.
    fn guests_alone(&self) -> Vec<(RemoteId, Who)> {
        if self.relay().is_none_or(Relay::is_ending) {
            return Vec::new();
        }
        let book = self.book.borrow();
        let is_client = |remote| book.clients.values().any(|known| known.remote == remote);
        let mut guests: Vec<_> = self.stage.guests().collect();
        let world = self.stage.handle.world();
        guests.retain(|&(remote, who)| {
            let is_open = world.is_open(remote) && !world.saw_fin(remote);
            is_open && !self.stage.is_stalled(who) && !is_client(remote)
        });
        guests
    }

    /// Whoever is dialled, and there, is connected. A relay that ends looks only for those for whom bytes wait.
    fn dialled_at_rest(&self, book: &Book, relay: &Relay) {
        let scenario = &self.stage.scenario;
        let config = &scenario.config;
        let mut source_is_there = false;
        for (place, endpoint) in scenario.dialled() {
            let is_open = scenario.is_open_at_last(place);
            let Some(output) = place.checked_sub(FIRST_OUTPUT) else {
                source_is_there |= is_open;
                continue;
            };
            let mut clients = book.clients.values();
            let connected = clients.any(|known| known.output == output);
            let mut parked = book.parked[output].iter();
            // Only under `block` do bytes wait.
            let waits = config.outputs[output].slow == Slow::Block
                && parked.any(|(from, _)| *from < book.head());
            let is_done = relay.is_ending() && !waits;
            let found = connected || is_done || self.may_be_away() || !is_open;
            assert!(found, "{endpoint} is there, and was not dialled again");
        }
        let may_be_away = relay.is_ending() || config.idle_timeout.is_some();
        let connected = !self.watch.upstreams.is_empty();
        let found = connected || may_be_away || !source_is_there;
        assert!(found, "an upstream is there, and was not dialled again");
    }

    /// An upstream that is read has been read to the end, and one that is not is held back by those who block.
    fn upstreams_at_rest(&self, book: &Book, relay: &Relay) {
        let world = self.stage.handle.world();
        for (sock, (remote, life)) in &self.watch.upstreams {
            let is_open = world.is_open(*remote);
            if self.reactor.wants(*sock).0 {
                let read = book.ledger.read_of(*life);
                let all = !is_open || read == world.sent_total(*remote);
                assert!(all, "life {life} is read, but not to the end");
            } else if book.active == Some(*sock) && !relay.is_ending() {
                let held = self.is_held(book, world.time(), true);
                assert!(held, "life {life} is held back for ever");
            }
            let greeting = &self.stage.scenario.config.upstream_send;
            let greeted = *world.received(*remote) == **greeting;
            let excused = !is_open || self.stage.scenario.config.idle_timeout.is_some();
            assert!(greeted || excused, "life {life} was not greeted");
        }
    }

    fn stdout_is_closed(&self) -> bool {
        let world = self.stage.handle.world();
        self.stage.scenario.writes_to_stdout() && !world.is_open(world.stdout())
    }

    /// What must hold when the relay is gone: it has left nothing behind, and who was let go with everything gets it.
    pub(super) fn after_the_end(&mut self) {
        let open = self.stage.handle.world().open_sockets();
        assert_eq!(open, [], "sockets are left open");
        self.stage.calm_down();
        for _ in 0..AFTERMATH {
            self.stage.handle.world().run_for(Duration::from_secs(10));
            self.look_at_receivers();
        }
        self.look_at_strangers();
        let book = self.book.borrow();
        let world = self.stage.handle.world();
        for (remote, served) in &book.served {
            let receiver = self.stage.receiver(served.who);
            let minds = |receiver: &Receiver| {
                receiver.leave_after.is_some()
                    || receiver.stall_after.is_some()
                    || !receiver.says.is_empty()
            };
            let left =
                world.remote_state(*remote) == RemoteState::Closed && !world.saw_fin(*remote);
            let excused = left || world.was_cut(*remote) || receiver.is_some_and(minds);
            if !served.drained || excused {
                continue;
            }
            let end = served.until.min(book.head());
            let place = served.path.place(served.taken);
            assert_eq!(place, end, "{:?} was let go with everything", served.who);
            let reset = world.saw_reset(*remote);
            assert!(!reset, "{:?} was let go in order", served.who);
        }
    }
}

/// Times ten seconds, that what is under way at the end takes to arrive at the most.
const AFTERMATH: usize = 30;
