//! Stands between the loop and the relay, notes what goes in and out, and compares after each event.

use std::cell::RefCell;
use std::rc::Rc;

use super::book::{Book, Known, Served, Stopped};
use super::ledger::Path;
use super::stage::{Stage, Who};
use crate::base::time::Time;
use crate::reactor::net::SockId;
use crate::reactor::{Cx, Event, Role};
use crate::roles::relay::config::{Resume, Slow, UpstreamLoss, Way};
use crate::roles::relay::{Reason, Relay};
use crate::sim::World;

/// A relay under watch.
pub(super) struct Witness {
    pub(super) relay: Relay,
    pub(super) stage: Stage,
    book: Rc<RefCell<Book>>,
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
        let dialled = matches!(event, Event::Connected { .. });
        let before = sock.map(|sock| self.stage.handle.world().moved(sock).0);
        let drains = matches!(event, Event::Drain(_));
        self.relay.on(cx, event);
        self.relay.check_invariants();
        let book = Rc::clone(&self.book);
        let mut book = book.borrow_mut();
        if drains {
            book.drained_at.get_or_insert(now);
        }
        if let (Some(sock), Some(before)) = (sock, before) {
            self.note_read(&mut book, now, sock, before);
            self.note_dialled(&mut book, now, sock, dialled);
        }
        let was_finishing = book.finishing();
        self.note_loss(&mut book, now, sock);
        if self.relay.is_ending() && book.ending_since.is_none() {
            book.ending_since = Some(now);
            book.end_clients();
        }
        self.note_written(&mut book, now);
        self.note_gone(&mut book, now, &was_finishing);
        self.note_new(&mut book, now, sock);
        self.settle(&mut book);
    }
}

impl Witness {
    pub(super) fn new(stage: Stage, book: &Rc<RefCell<Book>>) -> Self {
        Self {
            relay: Relay::new(stage.scenario.config.clone()),
            stage,
            book: Rc::clone(book),
        }
    }

    fn note_read(&self, book: &mut Book, now: Time, sock: SockId, before: u64) {
        let counts = self.relay.counts();
        let count = counts.bytes_in - book.counts.bytes_in;
        book.held = counts.bytes_in - counts.discarded;
        let world = self.stage.handle.world();
        let read = world.moved(sock).0.saturating_sub(before);
        let remote = world.remote_of(sock);
        let who = remote.and_then(|remote| self.stage.who(&world, remote));
        match who {
            _ if count == 0 && read == 0 => {}
            Some(Who::Life(life)) if count == 0 => book.ledger.pass_over(life, read),
            _ if count == 0 => {}
            Some(Who::Life(life)) => {
                // What it had begun on probation comes first.
                assert!(read == count || read == 0, "bytes came from elsewhere");
                book.push(life, count, now);
                book.active = Some(sock);
            }
            _ => panic!("{who:?} was taken for an upstream"),
        }
    }

    /// An upstream that was dialled is the active one from the start.
    fn note_dialled(&self, book: &mut Book, now: Time, sock: SockId, dialled: bool) {
        let world = self.stage.handle.world();
        let who = world
            .remote_of(sock)
            .and_then(|remote| self.stage.who(&world, remote));
        if !dialled || !matches!(who, Some(Who::Life(_))) {
            return;
        }
        if self.relay.standby_socket() == Some(sock) {
            book.standby = Some(sock);
        } else {
            book.active = Some(sock);
            book.heard = now;
        }
    }

    /// If the upstream is gone, and none has taken its place, that may be the end for the clients. One on probation may
    /// take it: because it is gone, or by what it has just said.
    fn note_loss(&self, book: &mut Book, now: Time, sock: Option<SockId>) {
        let is_open = |wanted: SockId| self.relay.sockets().any(|sock| sock == wanted);
        let active = book.active.filter(|active| is_open(*active));
        let was_lost = book.active.is_some() && active.is_none();
        let standby = book
            .standby
            .filter(|_| self.relay.standby_socket().is_none());
        let promoted = standby.filter(|standby| is_open(*standby));
        book.standby = self.relay.standby_socket();
        if let (Some(_), true) = (promoted, was_lost) {
            book.replaced = book.latest;
        }
        if promoted.is_some() {
            book.heard = now;
        }
        book.active = promoted.or(active);
        let is_end = was_lost && (promoted.is_none() || promoted != sock);
        if is_end && self.stage.scenario.config.upstream_loss != UpstreamLoss::Keep {
            book.end_clients();
        }
    }

    /// Clients that are gone were counted, for a reason that is true.
    fn note_gone(&self, book: &mut Book, now: Time, was_finishing: &[SockId]) {
        let here: Vec<_> = self.relay.client_sockets().collect();
        let all = book
            .clients
            .iter()
            .map(|(sock, known)| (*sock, known.clone()));
        let gone: Vec<_> = all.filter(|(sock, _)| !here.contains(sock)).collect();
        let (old, new) = (book.counts.gone, self.relay.counts().gone);
        let mut reasons = Reason::ALL.to_vec();
        reasons.retain(|reason| new[*reason as usize] > old[*reason as usize]);
        let full = book.is_full(&self.stage.scenario, false);
        let mut stopped = Vec::new();
        for (sock, mut known) in gone {
            known.written = self.stage.handle.world().moved(sock).1;
            known.cursor = known.path.cursor(known.written);
            if self.skipped_to_its_end(book, &known, &reasons) {
                self.note_skip(book, sock, known.until, now);
                let skipped = &book.clients[&sock];
                known.path = skipped.path.clone();
                known.cursor = known.until;
            }
            let fits = |reason: &&Reason| book.is_true(&self.stage, now, **reason, &known, full);
            let Some(reason) = reasons.iter().find(fits) else {
                panic!("{sock:?} is gone, and none of {reasons:?} is true of it: {known:?}");
            };
            book.clients.remove(&sock);
            let is_let_go = matches!(reason, Reason::Drained | Reason::Unacknowledged);
            let served = book.served.get_mut(&known.remote);
            served.expect("each client is served").drained = is_let_go;
            if self.relay.is_ending() && (is_let_go || *reason == Reason::Stalled) {
                // Nobody comes back for what it lacks.
                book.parked[known.output].clear();
                continue;
            }
            let finished = was_finishing.contains(&sock);
            if finished && self.stage.scenario.resumes(known.output).is_some() {
                // It had its place parked, and that may be another one now.
                book.parked[known.output].clear();
            } else if finished {
                continue;
            }
            let acked = match reason {
                Reason::Drained => (known.cursor, known.cursor),
                _ => self.acked(sock, &known),
            };
            stopped.push(Stopped { known, acked });
        }
        let finished = book
            .clients
            .iter()
            .filter(|(_, known)| known.is_finishing());
        let finished = finished.filter(|(sock, _)| !was_finishing.contains(sock));
        stopped.extend(finished.map(|(_, known)| Stopped {
            known: known.clone(),
            acked: (known.cursor, known.cursor),
        }));
        book.park(&self.stage.scenario, &stopped);
        let known = (book.served.len() - book.clients.len()) as u64;
        let counted: u64 = new.iter().sum();
        // A newcomer may be gone already.
        assert!(
            counted == known || counted == known + 1,
            "{known} clients are gone, and {counted} were counted"
        );
    }

    /// Whether a client that is gone has skipped in that very event, to where the stream ends for it, and so had
    /// everything.
    fn skipped_to_its_end(&self, book: &Book, known: &Known, reasons: &[Reason]) -> bool {
        let skips = self.stage.scenario.config.outputs[known.output].slow == Slow::Skip;
        let lacked = known.cursor < known.until.min(book.head());
        let has_skipped = self.relay.counts().skipped > book.skipped;
        skips && lacked && has_skipped && reasons.contains(&Reason::Drained)
    }

    /// How far a client's kernel has taken what was written to it: between these. A FIN that is under way counts as a
    /// byte.
    fn acked(&self, sock: SockId, known: &Known) -> (u64, u64) {
        let waiting = self.stage.handle.world().unacknowledged(sock);
        let taken = known.written.saturating_sub(waiting.unwrap_or(0).into());
        let most = (taken + u64::from(known.is_finishing())).min(known.written);
        (known.path.place(taken), known.path.place(most))
    }

    /// A client that is new begins where it should.
    fn note_new(&self, book: &mut Book, now: Time, sock: Option<SockId>) {
        let is_new = |(sock, _): &(SockId, u64)| !book.clients.contains_key(sock);
        let new: Vec<_> = self.relay.cursors().filter(is_new).collect();
        for (new, cursor) in new {
            let written = self.stage.handle.world().moved(new).1;
            assert_eq!(written, 0, "a newcomer waits for its first visit");
            self.join(book, now, new, cursor);
        }
        // One that is taken in while the relay ends may be let go in the same event.
        let counted: u64 = self.relay.counts().gone.iter().sum();
        let gone = (book.served.len() - book.clients.len()) as u64;
        if counted > gone {
            let sock = sock.expect("a newcomer has a socket");
            self.join(book, now, sock, book.head());
            let known = book.clients.remove(&sock).expect("it has just joined");
            assert!(book.is_true(&self.stage, now, Reason::Drained, &known, false));
            let acked = (known.cursor, known.cursor);
            book.park(&self.stage.scenario, &[Stopped { known, acked }]);
        }
    }

    fn join(&self, book: &mut Book, now: Time, sock: SockId, start: u64) {
        let world = self.stage.handle.world();
        let remote = world.remote_of(sock).expect("a client is somebody");
        let who = self.stage.who(&world, remote);
        let Some(who @ Who::Guest { output, .. }) = who else {
            panic!("{who:?} was taken for a client");
        };
        let places = book.places(&self.stage.scenario, output);
        let head = book.head();
        let fits = |(from, to): &(u64, u64)| *from <= start && start <= *to && start <= head;
        let begins = places.iter().any(fits) && book.ledger.is_begin(start);
        assert!(
            begins,
            "{who:?} began at {start} of {head}, not in {places:?}"
        );
        let until = match book.ending_since {
            Some(_) => head,
            None => u64::MAX,
        };
        self.look_at_seam(book, &world, output, start);
        book.lives[output].push(remote);
        let known = Known {
            remote,
            output,
            path: Path::new(start),
            cursor: start,
            written: 0,
            joined: now,
            given: book.head().saturating_sub(start),
            until,
            landed: 0,
            progress: now,
            has_skipped: false,
            lacks_since: None,
        };
        let served = Served {
            who,
            path: Path::new(start),
            until,
            taken: 0,
            drained: false,
        };
        book.clients.insert(sock, known);
        let before = book.served.insert(remote, served);
        assert!(before.is_none(), "{who:?} was served before");
        book.most = book.most.max(book.clients.len());
        self.look_at_limits(book);
    }

    /// What the lives of a destination under `block` have received, one after the other, is everything: the next one
    /// begins no later than where what has arrived at the ones before it ends.
    fn look_at_seam(&self, book: &Book, world: &World, output: usize, start: u64) {
        let scenario = &self.stage.scenario;
        let blocks = scenario.config.outputs[output].slow == Slow::Block;
        let resumes = scenario.resumes(output) == Some(Resume::Acked);
        if !blocks || !resumes || scenario.is_local(output) {
            return;
        }
        let arrived = |remote| book.served[remote].path.place(world.arrived_total(*remote));
        let ends = book.lives[output].iter().map(arrived);
        let end = ends.max().unwrap_or(0);
        assert!(start <= end, "what lies between {end} and {start} is lost");
    }

    fn look_at_limits(&self, book: &Book) {
        let config = &self.stage.scenario.config;
        let came = |known: &&Known| matches!(config.outputs[known.output].way, Way::Listen(_));
        let count = book.clients.values().filter(came).count();
        let max = config.max_clients.unwrap_or(usize::MAX);
        assert!(count <= max, "more than --max-clients");
        let far = |known: &&Known| came(known) && !self.stage.scenario.is_local(known.output);
        let count = book.clients.values().filter(far).count();
        let max = config.max_clients_per_ip.unwrap_or(usize::MAX);
        let max = if config.allow.is_all() { max } else { 0 };
        assert!(
            count <= max,
            "more than --max-clients-per-ip, or than --allow allows"
        );
    }

    /// Each cursor stands where the bytes end that were written.
    fn note_written(&self, book: &mut Book, now: Time) {
        let config = &self.stage.scenario.config;
        let head = book.head();
        for (sock, cursor) in self.relay.cursors() {
            let Some(known) = book.clients.get(&sock) else {
                continue;
            };
            let written = self.stage.handle.world().moved(sock).1;
            if cursor != known.path.cursor(written) {
                assert_eq!(
                    written, known.written,
                    "{sock:?} is not where its bytes are: {cursor}, {known:?}"
                );
                self.note_skip(book, sock, cursor, now);
            }
            let known = &book.clients[&sock];
            let landed = match self.stage.scenario.is_local(known.output) {
                true => written,
                false => self.stage.handle.world().arrived_total(known.remote),
            };
            // What lands of the send in this very event is no sign of that it takes.
            if landed.min(known.written) == known.landed {
                self.look_at_sent(book, known, written, now);
            }
            let known = book.clients.get_mut(&sock).expect("looked up above");
            (known.cursor, known.written) = (cursor, written);
            if landed > known.landed {
                known.landed = landed;
                known.progress = now;
                known.has_skipped = false;
            }
            let (owed, _) = known.lag(&book.ledger, head);
            known.lacks_since = (owed > 0).then(|| known.lacks_since.unwrap_or(now));
            let known = &book.clients[&sock];
            let (acked, _) = self.acked(sock, known);
            let blocks = config.outputs[known.output].slow == Slow::Block;
            if blocks && book.lags_far(config.max_lag, acked, now) {
                book.lagged = Some(now);
            }
        }
    }
}
