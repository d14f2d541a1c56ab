//! What must hold between turns.

use std::collections::BTreeMap;

use super::Play;
use super::book::Book;
use super::stage::Who;
use crate::base::time::Time;
use crate::reactor::net::SockId;
use crate::roles::relay::{CANDIDATES_MAX, Relay};
use crate::sim::{Ending, RemoteId, World};

/// What is remembered from one turn to the next.
#[derive(Default)]
pub(super) struct Watch {
    /// Connections of upstreams that were open.
    pub(super) upstreams: BTreeMap<SockId, (RemoteId, u16)>,
    /// What they had been read to when it last grew or they were not read, when that was, and whether they are read.
    pub(super) quiet: BTreeMap<SockId, (u64, Time, bool)>,
    /// Clients that are beyond `--max-lag`, and since when.
    pub(super) lagging: BTreeMap<SockId, Time>,
    /// How much had been read when the pass under way began, and for how many turns it has been.
    pass: (u64, usize),
    still: (Time, u64, usize),
    still_turns: u32,
}

impl Play {
    /// What must hold after each turn.
    pub(super) fn look(&mut self) {
        self.look_at_receivers();
        self.look_at_sockets();
        self.look_at_upstreams();
        self.look_at_wants();
        self.look_at_silence();
        self.look_at_stalled();
        self.look_at_laggards();
        self.look_at_pass();
        self.note_held_back();
        self.look_for_spinning();
    }

    fn note_held_back(&self) {
        let mut book = self.book.borrow_mut();
        let now = self.now();
        let is_held = book.is_held(&self.stage.scenario, now, false);
        let since = book.held_back.unwrap_or(now);
        book.held_back = is_held.then_some(since);
    }

    pub(super) fn relay(&self) -> Option<&Relay> {
        self.reactor.role(self.role).map(|witness| &witness.relay)
    }

    /// What each receiver has read is the next piece of its own piece of the stream.
    pub(super) fn look_at_receivers(&self) {
        let mut book = self.book.borrow_mut();
        let Book { served, ledger, .. } = &mut *book;
        let mut world = self.stage.handle.world();
        for (remote, served) in served {
            let bytes = world.take_received(*remote);
            let (mut bytes, who) = (&bytes[..], served.who);
            while !bytes.is_empty() {
                let from = served.path.place(served.taken);
                let straight = served.path.straight(served.taken).min(bytes.len() as u64) as usize;
                let piece = ledger.piece(from, straight);
                assert!(
                    piece == Some(&bytes[..straight]),
                    "{who:?} was sent something else at {from}"
                );
                served.taken += straight as u64;
                bytes = &bytes[straight..];
            }
        }
    }

    /// Whoever is no client has been sent nothing.
    pub(super) fn look_at_strangers(&self) {
        let book = self.book.borrow();
        for (remote, who) in self.stage.guests() {
            let heard = self.stage.handle.world().received_total(remote);
            let is_client = book.served.contains_key(&remote);
            assert!(
                is_client || heard == 0,
                "{who:?} was sent bytes, and is no client"
            );
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
        let scenario = &self.stage.scenario;
        let silence = world.time().since(book.heard);
        let is_silent = scenario
            .config
            .idle_timeout
            .is_some_and(|idle| silence >= idle);
        let is_replaced = book.replaced == Some(life);
        if is_silent || is_replaced || (scenario.writes_to_stdout() && book.ending_since.is_some())
        {
            return;
        }
        let source = self.stage.life(life).map(|life| &life.source);
        let (sent, read) = (world.sent_total(remote), book.ledger.read_of(life));
        let ends = source.map_or(Ending::Stay, |source| source.ending);
        let has_ended = source.is_some_and(|source| sent == source.to) && ends != Ending::Stay;
        let is_lost = !world.is_open(remote) || world.was_cut(remote);
        assert!(
            is_lost || has_ended,
            "life {life} was let go though it goes on"
        );
        // Whoever closes with something unread, as a greeting, resets.
        let orderly = ends != Ending::Reset && scenario.config.upstream_send.is_empty();
        if has_ended && orderly && !world.was_cut(remote) {
            assert_eq!(read, sent, "the end of life {life} is missing");
        }
    }

    /// Whoever lacks bytes is waited for, and nobody else; the upstream is read unless somebody holds it back.
    fn look_at_wants(&self) {
        let Some(relay) = self.relay() else { return };
        let book = self.book.borrow();
        for (sock, cursor) in relay.cursors() {
            let (_, writes) = self.reactor.wants(sock);
            let known = &book.clients[&sock];
            let end = known.until.min(book.head());
            let rest = known.path.rest();
            let lacks = cursor < end || known.written < rest;
            // After a skip there is one more visit.
            let visit = writes && known.written == rest && known.path.skipped() > 0;
            let waits = book.may_be_withheld(&self.stage.scenario, known, self.now());
            assert!(
                writes == lacks || visit || waits || relay.is_passing(),
                "{sock:?} stands at {cursor} of {end}: {known:?}"
            );
        }
        let world = self.stage.handle.world();
        for (sock, (remote, life)) in &self.watch.upstreams {
            let is_source = book.active == Some(*sock) || self.watch.upstreams.len() == 1;
            let idle = !self.reactor.wants(*sock).0;
            if is_source && idle && !relay.is_ending() && !self.is_held(&book, world.time(), false)
            {
                let state = world.remote_state(*remote);
                panic!("nobody holds life {life} back ({state:?}), and yet it is not read");
            }
            let greeting = &self.stage.scenario.config.upstream_send;
            let heard = world.received(*remote);
            assert!(
                greeting.starts_with(heard),
                "life {life} was sent something else"
            );
        }
    }

    /// Whether somebody holds the upstream back.
    pub(super) fn is_held(&self, book: &Book, now: Time, at_rest: bool) -> bool {
        let is_passing = self.relay().is_some_and(Relay::is_passing);
        is_passing && !at_rest || book.is_held(&self.stage.scenario, now, at_rest)
    }

    /// A pass is through when everybody could have been sent something.
    fn look_at_pass(&mut self) {
        let book = self.book.borrow();
        let is_passing = self.relay().is_some_and(Relay::is_passing);
        let read = book.counts.bytes_in;
        self.watch.pass = match self.watch.pass {
            (since, turns) if is_passing && since == read => (read, turns + 1),
            _ => (read, 0),
        };
        assert!(
            self.watch.pass.1 <= book.most,
            "some are never sent what was read last"
        );
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
}

/// So many turns in which nothing moves and no time passes are too many.
const STILL_TURNS_MAX: u32 = 300;
