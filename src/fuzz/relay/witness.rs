//! Stands between the loop and the relay, keeps its own books of what goes in and out, and compares after each event.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::rc::Rc;
use std::time::Duration;

use super::ledger::{Ledger, Path, nearly};
use super::stage::{Stage, Who};
use crate::base::time::Time;
use crate::reactor::net::SockId;
use crate::reactor::{Cx, Event, Role};
use crate::roles::relay::config::{Slow, Way};
use crate::roles::relay::{Counts, Reason, Relay};
use crate::sim::RemoteId;

/// A relay under watch.
pub(super) struct Witness {
    pub(super) relay: Relay,
    pub(super) stage: Stage,
    pub(super) book: Rc<RefCell<Book>>,
}

/// What has gone in and out so far, as seen from outside of the relay.
#[derive(Default)]
pub(super) struct Book {
    /// What should be passed on of what the relay has read from its upstreams.
    pub(super) ledger: Ledger,
    /// The head before the latest event, and how much the ring had been given by then.
    pub(super) head_before: u64,
    pub(super) held_before: u64,
    pub(super) skipped: u64,
    /// The upstream that is in use.
    pub(super) source: Option<SockId>,
    /// Whose byte was the last.
    pub(super) latest: Option<u16>,
    pub(super) clients: BTreeMap<SockId, Known>,
    /// By output: where the next client may begin if it need not begin at the head.
    pub(super) parked: Vec<Vec<RangeInclusive<u64>>>,
    /// Most clients at a time.
    pub(super) most: usize,
    /// What each receiver may and did read.
    pub(super) served: BTreeMap<RemoteId, Served>,
    pub(super) ending_since: Option<Time>,
    pub(super) drained_at: Option<Time>,
    pub(super) counts: Counts,
}

/// A client of the relay.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) remote: RemoteId,
    pub(super) output: usize,
    pub(super) path: Path,
    pub(super) cursor: u64,
    /// It gets no more than the bytes before this one.
    pub(super) until: u64,
    pub(super) written: u64,
    pub(super) joined: Time,
    /// When it last took something, as far as its kernel told.
    pub(super) progress: Time,
    pub(super) landed: u64,
}

/// What a receiver reads: a piece of the stream, or several.
#[derive(Clone, Debug)]
pub(super) struct Served {
    pub(super) who: Who,
    pub(super) path: Path,
    pub(super) taken: u64,
    /// It was let go with every byte before this one.
    pub(super) drained: Option<u64>,
}

impl Role for Witness {
    fn on(&mut self, cx: &mut Cx<'_>, event: Event) {
        self.stage.handle.world().remark(|| format!("{event:?}"));
        let now = cx.now();
        let sock = match event {
            Event::Readable(sock) => Some(sock),
            Event::Accepted { sock, .. } | Event::Connected { sock, .. } => Some(sock),
            _ => None,
        };
        let before = sock.map(|sock| self.stage.handle.world().moved(sock).0);
        if matches!(event, Event::Drain(_)) {
            self.book.borrow_mut().drained_at.get_or_insert(now);
        }
        let connected = matches!(event, Event::Connected { .. });
        self.relay.on(cx, event);
        self.relay.check_invariants();
        let book = Rc::clone(&self.book);
        let mut book = book.borrow_mut();
        if let (Some(sock), Some(before)) = (sock, before) {
            self.note_read(&mut book, sock, before, now);
            self.note_source(&mut book, sock, connected);
        }
        if self.relay.is_ending() {
            book.ending_since.get_or_insert(now);
        }
        self.note_loss(&mut book);
        self.note_gone(&mut book, now);
        self.note_new(&mut book, now, sock);
        self.note_loss(&mut book);
        self.note_written(&mut book, now);
        self.settle(&mut book);
    }
}

impl Witness {
    pub(super) fn new(stage: Stage, book: &Rc<RefCell<Book>>) -> Self {
        let config = stage.scenario.config.clone();
        book.borrow_mut().ledger = Ledger::new(&stage.scenario);
        let parked = |slow| {
            if slow == Slow::Block {
                vec![0..=0]
            } else {
                vec![]
            }
        };
        book.borrow_mut().parked = config.outputs.iter().map(|out| parked(out.slow)).collect();
        Self {
            relay: Relay::new(config),
            stage,
            book: Rc::clone(book),
        }
    }

    /// Bytes came in: they are a life's next ones.
    fn note_read(&self, book: &mut Book, sock: SockId, before: u64, now: Time) {
        let count = self.relay.counts().bytes_in - book.counts.bytes_in;
        if count == 0 {
            return;
        }
        let world = self.stage.handle.world();
        assert_eq!(
            world.moved(sock).0 - before,
            count,
            "bytes came from elsewhere"
        );
        let remote = world.remote_of(sock).expect("bytes came from a peer");
        let who = self.stage.who(&world, remote);
        let Some(Who::Life(life)) = who else {
            panic!("{who:?} was taken for an upstream");
        };
        self.may_come(remote, &self.stage.scenario.config.allow_upstream);
        book.ledger.take_in(life, count, now);
        book.latest = Some(life);
        book.source = Some(sock);
    }

    /// Clients that are gone were counted, for a reason that is true.
    fn note_gone(&self, book: &mut Book, now: Time) {
        let here: Vec<_> = self.relay.client_sockets().collect();
        let gone: Vec<_> = book
            .clients
            .iter()
            .filter(|(sock, _)| !here.contains(sock))
            .map(|(sock, known)| (*sock, known.clone()))
            .collect();
        let (old, new) = (book.counts.gone, self.relay.counts().gone);
        let reasons: Vec<_> = Reason::ALL
            .into_iter()
            .filter(|reason| new[*reason as usize] > old[*reason as usize])
            .collect();
        let lead = book.clients.values().map(|known| known.cursor).max();
        let mut left = Vec::new();
        for (sock, mut known) in gone {
            known.written = self.stage.handle.world().moved(sock).1;
            known.cursor = known.path.cursor(known.written);
            let fits = |reason: &&Reason| self.is_true(book, now, **reason, &known, lead);
            let Some(reason) = reasons.iter().find(fits) else {
                panic!("{sock:?} is gone, and none of {reasons:?} is true of it: {known:?}");
            };
            book.clients.remove(&sock);
            if *reason == Reason::Drained
                && let Some(served) = book.served.get_mut(&known.remote)
            {
                served.drained = Some(known.until.min(book.ledger.head()));
            }
            left.push((sock, known, *reason));
        }
        self.park(book, &left);
        let known: u64 = book.served.len() as u64 - book.clients.len() as u64;
        let counted: u64 = new.iter().sum();
        assert!(
            counted == known || counted == known + 1,
            "{known} clients are gone, and {counted} were counted"
        );
    }

    fn is_true(
        &self,
        book: &Book,
        now: Time,
        reason: Reason,
        known: &Known,
        lead: Option<u64>,
    ) -> bool {
        let config = &self.stage.scenario.config;
        let slow = config.outputs[known.output].slow;
        let drops = slow == Slow::Drop;
        let world = self.stage.handle.world();
        let over =
            |since: Option<Time>, span: Duration| since.is_some_and(|at| now.since(at) >= span);
        match reason {
            Reason::Left => !world.is_open(known.remote),
            Reason::Dead | Reason::Record => false,
            Reason::Overtaken => {
                let leads = !config.hold.is_zero() && lead == Some(known.cursor);
                drops
                    && !leads
                    && self.held().max(book.held_before) - known.cursor > config.ring as u64
            }
            Reason::Lagging => {
                let max = config.max_lag;
                drops
                    && max
                        .is_some_and(|max| known.is_over(&book.ledger, max, book.head_before, now))
            }
            Reason::Stalled => {
                let holds = slow != Slow::Block && !config.hold.is_zero();
                let waits = known.waits_since(&book.ledger);
                let stall = config.stall_timeout;
                (holds && over(Some(known.progress), config.hold))
                    || stall.is_some_and(|stall| over(waits, nearly(stall)))
            }
            Reason::HalfClosed => {
                config.max_clients.is_some() || self.stage.scenario.descriptors.is_some()
            }
            Reason::Drained => known.cursor == known.until && known.written >= known.path.rest(),
            Reason::Cut
                if config
                    .outputs
                    .iter()
                    .any(|output| output.way == Way::Stdout) =>
            {
                over(book.ending_since, config.drain)
            }
            Reason::Cut => over(book.drained_at, config.drain),
        }
    }

    /// A client that is new begins where it should.
    fn note_new(&self, book: &mut Book, now: Time, sock: Option<SockId>) {
        let new: Vec<_> = self
            .relay
            .cursors()
            .filter(|(sock, _)| !book.clients.contains_key(sock))
            .collect();
        for (new, _) in new {
            let written = self.stage.handle.world().moved(new).1;
            assert_eq!(written, 0, "a newcomer waits for its first visit");
            self.join(book, now, new);
        }
        // One that is taken in while the relay ends may be let go in the same event.
        let counted: u64 = self.relay.counts().gone.iter().sum();
        let gone = (book.served.len() - book.clients.len()) as u64;
        if counted > gone {
            let sock = sock.expect("a newcomer has a socket");
            self.join(book, now, sock);
            let mut known = book.clients.remove(&sock).expect("it has just joined");
            known.until = known.until.min(book.ledger.head());
            assert!(self.is_true(book, now, Reason::Drained, &known, None));
            self.park(book, &[(sock, known, Reason::Drained)]);
        }
    }

    fn join(&self, book: &mut Book, now: Time, sock: SockId) {
        let world = self.stage.handle.world();
        let remote = world
            .remote_of(sock)
            .expect("a client is connected to somebody");
        let who = self.stage.who(&world, remote);
        let Some(Who::Guest { output, .. }) = who else {
            panic!("{who:?} was taken for a client");
        };
        drop(world);
        let head = book.ledger.head();
        let cursor = self.relay.cursors().find(|(other, _)| *other == sock);
        let start = cursor.map_or(head, |(_, cursor)| cursor);
        self.begins_well(book, output, start);
        if matches!(
            self.stage.scenario.config.outputs[output].way,
            Way::Listen(_)
        ) {
            self.may_come(remote, &self.stage.scenario.config.allow);
        }
        let known = Known {
            remote,
            output,
            path: Path::new(start),
            cursor: start,
            until: u64::MAX,
            written: 0,
            joined: now,
            progress: now,
            landed: 0,
        };
        let served = Served {
            who: who.expect("matched above"),
            path: Path::new(start),
            taken: 0,
            drained: None,
        };
        book.clients.insert(sock, known);
        assert!(
            book.served.insert(remote, served).is_none(),
            "{remote:?} was served before"
        );
        book.most = book.most.max(book.clients.len());
        if let Some(max) = self.stage.scenario.config.max_clients {
            let listens = |known: &&Known| {
                matches!(
                    self.stage.scenario.config.outputs[known.output].way,
                    Way::Listen(_)
                )
            };
            assert!(
                book.clients.values().filter(listens).count() <= max,
                "more than --max-clients"
            );
        }
    }

    /// Each cursor stands where the bytes end that were written, or it has skipped.
    fn note_written(&self, book: &mut Book, now: Time) {
        for (sock, cursor) in self.relay.cursors() {
            let written = self.stage.handle.world().moved(sock).1;
            let known = &book.clients[&sock];
            if cursor != known.path.cursor(written) {
                assert_eq!(
                    written, known.written,
                    "{sock:?} is not where its bytes are: {cursor}, {known:?}"
                );
                self.note_skip(book, sock, cursor, now);
            }
            let known = book
                .clients
                .get_mut(&sock)
                .expect("all clients are known by now");
            (known.cursor, known.written) = (cursor, written);
            let world = self.stage.handle.world();
            let landed = match self.stage.scenario.is_local(known.output) {
                true => written,
                false => {
                    world.received_total(known.remote) + world.remote_unread(known.remote) as u64
                }
            };
            if landed > known.landed {
                known.landed = landed;
                known.progress = now;
            }
        }
    }
}
