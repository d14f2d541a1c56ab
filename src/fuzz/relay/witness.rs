//! Stands between the loop and the relay, keeps its own books of what goes in and out, and compares after each event.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use super::stage::{Stage, Who};
use crate::base::time::Time;
use crate::reactor::net::SockId;
use crate::reactor::{Cx, Event, Role};
use crate::roles::relay::config::{Output, Slow, Way};
use crate::roles::relay::{Counts, Reason, Relay};
use crate::sim::{RemoteId, pattern_into};

/// A relay under watch.
pub(super) struct Witness {
    pub(super) relay: Relay,
    pub(super) stage: Stage,
    pub(super) book: Rc<RefCell<Book>>,
}

/// What has gone in and out so far, as seen from outside of the relay.
#[derive(Default)]
pub(super) struct Book {
    /// Every byte that the relay has read from its upstreams.
    pub(super) stream: Vec<u8>,
    /// How much of each life that was.
    pub(super) read: BTreeMap<u16, u64>,
    /// Whose byte was the last.
    pub(super) latest: Option<u16>,
    pub(super) clients: BTreeMap<SockId, Known>,
    /// By output: where the next client may begin if it need not begin at the head.
    pub(super) parked: Vec<Vec<u64>>,
    /// Most clients at a time.
    pub(super) most: usize,
    /// What each receiver may and did read.
    pub(super) served: BTreeMap<RemoteId, Served>,
    pub(super) ending_since: Option<Time>,
    pub(super) drained_at: Option<Time>,
    pub(super) counts: Counts,
}

/// A client of the relay.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known {
    pub(super) remote: RemoteId,
    pub(super) output: usize,
    pub(super) start: u64,
    pub(super) cursor: u64,
    /// When it last took something, as far as its kernel told.
    pub(super) progress: Time,
    landed: u64,
}

/// What a receiver reads: a piece of the stream, from here on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Served {
    pub(super) who: Who,
    pub(super) start: u64,
    pub(super) taken: u64,
    /// It was let go with every byte.
    pub(super) drained: bool,
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
        self.relay.on(cx, event);
        self.relay.check_invariants();
        let book = Rc::clone(&self.book);
        let mut book = book.borrow_mut();
        if let (Some(sock), Some(before)) = (sock, before) {
            self.note_read(&mut book, sock, before);
        }
        if self.relay.is_ending() {
            book.ending_since.get_or_insert(now);
        }
        self.note_gone(&mut book, now);
        self.note_new(&mut book, now, sock);
        self.note_written(&mut book, now);
        assert_eq!(self.relay.counts().bytes_in, book.stream.len() as u64);
        book.counts = self.relay.counts().clone();
    }
}

impl Witness {
    pub(super) fn new(stage: Stage, book: &Rc<RefCell<Book>>) -> Self {
        let config = stage.scenario.config.clone();
        let parked = |slow| if slow == Slow::Block { vec![0] } else { vec![] };
        book.borrow_mut().parked = config.outputs.iter().map(|out| parked(out.slow)).collect();
        Self {
            relay: Relay::new(config),
            stage,
            book: Rc::clone(book),
        }
    }

    /// Bytes came in: they are a life's next ones.
    fn note_read(&self, book: &mut Book, sock: SockId, before: u64) {
        let count = self.relay.counts().bytes_in - book.stream.len() as u64;
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
        let read = book.read.entry(life).or_default();
        pattern_into(life, *read, count as usize, &mut book.stream);
        *read += count;
        book.latest = Some(life);
    }

    /// Clients that are gone were counted, for a reason that is true.
    fn note_gone(&self, book: &mut Book, now: Time) {
        let here: Vec<_> = self.relay.client_sockets().collect();
        let gone: Vec<_> = book
            .clients
            .iter()
            .filter(|(sock, _)| !here.contains(sock))
            .map(|(sock, known)| (*sock, *known))
            .collect();
        let (old, new) = (book.counts.gone, self.relay.counts().gone);
        let reasons: Vec<_> = Reason::ALL
            .into_iter()
            .filter(|reason| new[*reason as usize] > old[*reason as usize])
            .collect();
        let lead = book.clients.values().map(|known| known.cursor).max();
        let mut left = Vec::new();
        for (sock, mut known) in gone {
            known.cursor = known.start + self.stage.handle.world().moved(sock).1;
            let fits = |reason: &&Reason| self.is_true(book, now, **reason, &known, lead);
            let Some(reason) = reasons.iter().find(fits) else {
                panic!("{sock:?} is gone, and none of {reasons:?} is true of it: {known:?}");
            };
            book.clients.remove(&sock);
            if *reason == Reason::Drained
                && let Some(served) = book.served.get_mut(&known.remote)
            {
                served.drained = true;
            }
            left.push(known);
        }
        self.park(book, &left);
        let known: u64 = book.served.len() as u64 - book.clients.len() as u64;
        let counted: u64 = new.iter().sum();
        assert!(
            counted == known || counted == known + 1,
            "{known} clients are gone, and {counted} were counted"
        );
    }

    /// Under `block` the last to leave an output leaves its place in the stream to the next. Of several who leave in
    /// one event, any may be the last.
    fn park(&self, book: &mut Book, left: &[Known]) {
        let outputs = &self.stage.scenario.config.outputs;
        for known in left {
            let Output { way, slow } = &outputs[known.output];
            let is_last = book
                .clients
                .values()
                .all(|other| other.output != known.output);
            let can_return = *way != Way::Stdout || self.relay.is_ending();
            if *slow == Slow::Block && is_last && can_return {
                book.parked[known.output].push(known.cursor);
            }
        }
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
        let head = book.stream.len() as u64;
        let drops = config.outputs[known.output].slow == Slow::Drop;
        let world = self.stage.handle.world();
        let over =
            |since: Option<Time>, span: Duration| since.is_some_and(|at| now.since(at) >= span);
        match reason {
            Reason::Left => !world.is_open(known.remote),
            Reason::Dead | Reason::Record => false,
            Reason::Overtaken => {
                let leads = !config.hold.is_zero() && lead == Some(known.cursor);
                drops && !leads && head - known.cursor > config.ring as u64
            }
            Reason::Lagging => drops && config.max_lag.is_some(),
            Reason::Stalled => {
                drops && !config.hold.is_zero() && over(Some(known.progress), config.hold)
            }
            Reason::HalfClosed => {
                config.max_clients.is_some() || self.stage.scenario.descriptors.is_some()
            }
            Reason::Drained => self.relay.is_ending() && known.cursor == head,
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
            let known = book.clients.remove(&sock).expect("it has just joined");
            assert!(self.is_true(book, now, Reason::Drained, &known, None));
            self.park(book, &[known]);
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
        let head = book.stream.len() as u64;
        let cursor = self.relay.cursors().find(|(other, _)| *other == sock);
        let start = cursor.map_or(head, |(_, cursor)| cursor);
        let parked = std::mem::take(&mut book.parked[output]);
        if parked.is_empty() {
            // A dialled destination goes on after the last byte that was written to it (`--resume written`).
            let Output { way, slow } = &self.stage.scenario.config.outputs[output];
            let resumes = matches!(way, Way::Dial(_)) && *slow == Slow::Drop;
            assert!(
                start == head || resumes,
                "{sock:?} began at {start}, not at the head, {head}"
            );
        } else {
            assert!(
                parked.contains(&start),
                "{sock:?} began at {start}, not at {parked:?}"
            );
        }
        let known = Known {
            remote,
            output,
            start,
            cursor: start,
            progress: now,
            landed: 0,
        };
        let served = Served {
            who: who.expect("matched above"),
            start,
            taken: 0,
            drained: false,
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

    /// Each cursor stands where the bytes end that were written.
    fn note_written(&self, book: &mut Book, now: Time) {
        let world = self.stage.handle.world();
        for (sock, cursor) in self.relay.cursors() {
            let known = book
                .clients
                .get_mut(&sock)
                .expect("all clients are known by now");
            let written = world.moved(sock).1;
            assert_eq!(
                cursor,
                known.start + written,
                "{sock:?} is not where its bytes are"
            );
            known.cursor = cursor;
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
