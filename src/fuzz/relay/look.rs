//! What must hold between turns, when everything has come to rest, and at the end.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Play;
use super::scenario::Scenario;
use super::stage::Who;
use super::witness::{Book, Known};
use crate::base::time::Time;
use crate::reactor::net::SockId;
use crate::roles::relay::config::{Slow, Source as From, UpstreamLoss, Way};
use crate::roles::relay::{CANDIDATES_MAX, Relay};
use crate::sim::{Ending, RemoteId, RemoteState, World};

/// What is remembered from one turn to the next.
#[derive(Default)]
pub(super) struct Watch {
    /// Connections of upstreams that were open.
    pub(super) upstreams: BTreeMap<SockId, (RemoteId, u16)>,
    /// What they had been read to when it last grew or they were not read, and when that was.
    pub(super) quiet: BTreeMap<SockId, (u64, Time)>,
    still: (Time, u64, usize),
    still_turns: u32,
}

impl Play {
    /// What must hold after each turn.
    pub(super) fn look(&mut self) {
        self.look_at_receivers();
        self.look_at_sockets();
        self.look_at_upstreams();
        self.look_at_silence();
        self.look_at_lags();
        self.look_at_greetings();
        self.look_at_wants();
        self.look_for_spinning();
    }

    pub(super) fn relay(&self) -> Option<&Relay> {
        self.reactor.role(self.role).map(|witness| &witness.relay)
    }

    /// What each receiver has read is the next piece of its own piece of the stream.
    fn look_at_receivers(&self) {
        let mut book = self.book.borrow_mut();
        let book = &mut *book;
        for (remote, who) in self.stage.guests() {
            let bytes = self.stage.handle.world().take_received(remote);
            if bytes.is_empty() {
                continue;
            }
            let served = book.served.get_mut(&remote);
            let served =
                served.unwrap_or_else(|| panic!("{who:?} was sent bytes, and is no client"));
            let mut bytes = &bytes[..];
            while !bytes.is_empty() {
                let from = served.path.place(served.taken);
                let straight = served.path.straight(served.taken).min(bytes.len() as u64) as usize;
                assert!(
                    book.ledger.piece(from, straight) == Some(&bytes[..straight]),
                    "{who:?} was sent something else at {from}"
                );
                served.taken += straight as u64;
                bytes = &bytes[straight..];
            }
        }
    }

    /// The open sockets are those that the loop knows, and the relay's are those that the relay knows; none of them is
    /// owed a visit that nobody will make.
    fn look_at_sockets(&self) {
        let world = self.stage.handle.world();
        let open = world.open_sockets();
        let mut known: Vec<_> = self.reactor.sockets().collect();
        known.sort();
        assert_eq!(
            open, known,
            "the sockets that are open and those that are known differ"
        );
        let mut owned = self.reactor.sockets_of(self.role);
        let mut held: Vec<_> = self.relay().into_iter().flat_map(Relay::sockets).collect();
        owned.sort();
        held.sort();
        assert_eq!(
            owned, held,
            "the relay's sockets and those that it knows differ"
        );
        for id in open {
            let (reads, writes) = self.reactor.awaits(id);
            let (readable, writable) = world.owed(id);
            let lost = (reads && readable) || (writes && writable);
            assert!(
                !lost || world.event_due(id),
                "{id:?} waits for an event that will not come"
            );
        }
    }

    /// An upstream is let go when it has ended, and not before its last byte was read.
    fn look_at_upstreams(&mut self) {
        let world = self.stage.handle.world();
        let book = self.book.borrow();
        let mut now = BTreeMap::new();
        for sock in self.relay().into_iter().flat_map(Relay::sockets) {
            let Some(remote) = world.remote_of(sock) else {
                continue;
            };
            if let Some(Who::Life(life)) = self.stage.who(&world, remote) {
                now.insert(sock, (remote, life));
            }
        }
        for (sock, (remote, life)) in &self.watch.upstreams {
            let is_source = book.latest == Some(*life);
            if !now.contains_key(sock) && is_source && book.drained_at.is_none() {
                self.look_at_end_of(&world, &book, *remote, *life);
            }
        }
        assert!(now.len() <= CANDIDATES_MAX + 1, "too many candidates");
        self.watch.upstreams = now;
    }

    fn look_at_end_of(&self, world: &World, book: &Book, remote: RemoteId, life: u16) {
        let stdout_ends = |way: &Way| *way == Way::Stdout;
        let config = &self.stage.scenario.config;
        if config.outputs.iter().any(|output| stdout_ends(&output.way))
            && book.ending_since.is_some()
        {
            return;
        }
        let source = self.stage.life(life).map(|life| &life.source);
        let (sent, read) = (
            world.sent_total(remote),
            book.ledger.read.get(&life).copied().unwrap_or(0),
        );
        let has_ended =
            source.is_some_and(|source| sent == source.to && source.ending != Ending::Stay);
        let is_lost = !world.is_open(remote) || world.was_cut(remote);
        let silent = self.is_silent(world, life);
        assert!(
            is_lost || has_ended || silent,
            "life {life} was let go though it goes on"
        );
        let orderly = source.is_some_and(|source| source.ending != Ending::Reset);
        // Who closes with bytes unread resets.
        let orderly = orderly && config.upstream_send.is_empty();
        if has_ended && orderly && !world.was_cut(remote) {
            assert_eq!(read, sent, "the end of life {life} is missing");
        }
    }

    /// Whoever lacks bytes is waited for, and nobody else; the upstream is read unless somebody holds it back.
    fn look_at_wants(&self) {
        let Some(relay) = self.relay() else { return };
        let book = self.book.borrow();
        let head = book.ledger.head();
        for (sock, cursor) in relay.cursors() {
            let (_, writes) = self.reactor.wants(sock);
            let known = &book.clients[&sock];
            let lacks = cursor < head.min(known.until) || known.written < known.path.rest();
            // After the rest of a record there is one more visit.
            let visit = writes && known.written == known.path.rest() && known.written > 0;
            assert!(
                writes == lacks || visit,
                "{sock:?} stands at {cursor} of {head}: {known:?}"
            );
        }
        let world = self.stage.handle.world();
        for (sock, (remote, life)) in &self.watch.upstreams {
            let is_source = book.latest == Some(*life) || self.watch.upstreams.len() == 1;
            let idle = !self.reactor.wants(*sock).0;
            // What has been acknowledged is asked for once a second at the least.
            let since = self
                .watch
                .quiet
                .get(sock)
                .map_or(Time::ZERO, |(_, since)| *since);
            let asks = world.time().since(since) < ASKS;
            if is_source && idle && !asks && !relay.is_ending() && !self.is_held(&book, true) {
                let state = world.remote_state(*remote);
                panic!("nobody holds life {life} back ({state:?}), and yet it is not read");
            }
        }
    }

    /// Whether somebody has a right to bytes that fill the ring. `leader`: the leading client counts too.
    fn is_held(&self, book: &Book, leader: bool) -> bool {
        let config = &self.stage.scenario.config;
        if book.most < config.wait_clients {
            return true;
        }
        let blocks = |known: &&Known| config.outputs[known.output].slow == Slow::Block;
        let hindmost = book
            .clients
            .values()
            .filter(blocks)
            .map(|known| known.path.place(known.landed))
            .min();
        let outputs = config.outputs.iter().zip(&book.parked);
        let blocking = outputs.filter(|(output, _)| output.slow == Slow::Block);
        let parked = blocking
            .flat_map(|(_, parked)| parked)
            .map(|at| *at.start())
            .min();
        let lead = book.clients.values().map(|known| known.cursor).max();
        let lead = lead.filter(|_| leader && !config.hold.is_zero());
        let head = book.ledger.head();
        if config.max_lag.is_some() && hindmost.is_some_and(|hindmost| hindmost < head) {
            return true;
        }
        let keep = hindmost.into_iter().chain(parked).chain(lead).min();
        keep.is_some_and(|keep| head - keep > config.ring as u64 / 2)
    }

    fn look_for_spinning(&mut self) {
        let world = self.stage.handle.world();
        let open = world.open_sockets();
        let moved = open
            .iter()
            .map(|id| world.moved(*id))
            .map(|(read, written)| read + written)
            .sum();
        let still = (world.time(), moved, open.len());
        self.watch.still_turns += 1;
        if still != self.watch.still {
            self.watch.still = still;
            self.watch.still_turns = 0;
        }
        assert!(self.watch.still_turns < STILL_TURNS_MAX, "it spins");
    }

    /// What must hold once nothing moves any more, though the relay runs.
    pub(super) fn at_rest(&self) {
        let config = &self.stage.scenario.config;
        let world = self.stage.handle.world();
        let book = self.book.borrow();
        let relay = self.relay().expect("it runs");
        let head = book.ledger.head();
        for known in book.clients.values() {
            let served = &book.served[&known.remote];
            let all = served.path.place(served.taken) == head.min(known.until);
            assert!(
                all || self.stage.is_stalled(served.who),
                "{served:?} has not everything, of {head}"
            );
        }
        for (place, endpoint) in self.stage.scenario.dialled() {
            let connected = match place {
                // A silent one comes and goes.
                _ if Scenario::is_source(place) => {
                    !self.watch.upstreams.is_empty() || config.idle_timeout.is_some()
                }
                _ => book.clients.values().any(|known| known.output == place - 1),
            };
            // A relay that ends looks only for those for whom bytes wait.
            let is_done = relay.is_ending()
                && (Scenario::is_source(place)
                    || book.parked[place - 1]
                        .iter()
                        .all(|parked| *parked.start() == head));
            let is_open = self.stage.scenario.is_open_at_last(place) && !is_done;
            assert!(
                connected || !is_open,
                "{endpoint} is there, and was not dialled again"
            );
        }
        for (sock, (remote, life)) in &self.watch.upstreams {
            let is_read = self.reactor.wants(*sock).0;
            if is_read {
                let read = book.ledger.read.get(life).copied().unwrap_or(0);
                let all = !world.is_open(*remote) || read == world.sent_total(*remote);
                assert!(all, "life {life} is read, but not to the end");
            } else if book.latest == Some(*life) && !relay.is_ending() {
                assert!(
                    self.is_held(&book, false),
                    "life {life} is held back for ever"
                );
            }
        }
        drop(world);
        for (remote, who) in self.stage.guests() {
            let world = self.stage.handle.world();
            let waits =
                world.is_open(remote) && !world.saw_fin(remote) && !self.stage.is_stalled(who);
            let is_client = book.clients.values().any(|known| known.remote == remote);
            assert!(
                !waits || is_client || relay.is_ending(),
                "{who:?} is connected to nobody"
            );
        }
        let exits = config.source == From::Stdin || config.upstream_loss == UpstreamLoss::Exit;
        assert!(exits || !relay.is_ending() || self.stdout_is_closed());
    }

    fn stdout_is_closed(&self) -> bool {
        let world = self.stage.handle.world();
        let outputs = &self.stage.scenario.config.outputs;
        outputs.iter().any(|output| output.way == Way::Stdout) && !world.is_open(world.stdout())
    }

    /// What must hold when the relay is gone: it has left nothing behind, and who was let go with everything gets it.
    pub(super) fn after_the_end(&mut self) {
        assert_eq!(
            self.stage.handle.world().open_sockets(),
            [],
            "sockets are left open"
        );
        self.stage.calm_down();
        for _ in 0..AFTERMATH {
            self.stage.handle.world().run_for(Duration::from_secs(10));
            self.look_at_receivers();
        }
        let book = self.book.borrow();
        let world = self.stage.handle.world();
        for (remote, served) in &book.served {
            let receiver = self.stage.receiver(served.who);
            let minds = |receiver: &crate::sim::Receiver| {
                receiver.leave_after.is_some()
                    || receiver.stall_after.is_some()
                    || !receiver.says.is_empty()
            };
            let gone =
                world.remote_state(*remote) == RemoteState::Closed && !world.saw_fin(*remote);
            let Some(end) = served.drained else { continue };
            if receiver.is_some_and(minds) || world.was_cut(*remote) || gone {
                continue;
            }
            let taken = served.path.place(served.taken);
            assert_eq!(taken, end, "{:?} was let go with everything", served.who);
            assert!(
                !world.saw_reset(*remote),
                "{:?} was let go in order",
                served.who
            );
        }
    }
}

/// So many turns in which nothing moves and no time passes are too many.
const STILL_TURNS_MAX: u32 = 300;
const ASKS: Duration = Duration::from_millis(1_100);
const AFTERMATH: usize = 30;
