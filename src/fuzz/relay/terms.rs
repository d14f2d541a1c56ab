//! The witness of what demanding feeds ask for: where a client may begin, what it may skip, and when it gets its end.

use super::ledger::Path;
use super::stage::Who;
use super::witness::{Book, Known, Witness};
use crate::base::access::{Access, caller};
use crate::base::time::Time;
use crate::reactor::net::SockId;
use crate::roles::relay::Reason;
use crate::roles::relay::config::{Resume, Slow, UpstreamLoss, Way};
use crate::sim::RemoteId;

impl Witness {
    /// How much the ring has been given, what was taken out of it again left out.
    pub(super) fn held(&self) -> u64 {
        self.relay.counts().bytes_in - self.relay.counts().discarded
    }

    /// An upstream that is dialled is in use once it is connected.
    pub(super) fn note_source(&self, book: &mut Book, sock: SockId, connected: bool) {
        let world = self.stage.handle.world();
        let who = world
            .remote_of(sock)
            .and_then(|remote| self.stage.who(&world, remote));
        if connected
            && matches!(who, Some(Who::Life(_)))
            && self.relay.sockets().any(|other| other == sock)
        {
            book.source = Some(sock);
        }
    }

    /// Where the upstream in use has been lost, its clients may get nothing more.
    pub(super) fn note_loss(&self, book: &mut Book) {
        let is_here = |source: &SockId| self.relay.sockets().any(|sock| sock == *source);
        let lost = book.source.take_if(|source| !is_here(source)).is_some();
        let ends = self.stage.scenario.config.upstream_loss != UpstreamLoss::Keep;
        if (lost && ends) || self.relay.is_ending() {
            let head = book.ledger.head();
            for known in book.clients.values_mut() {
                known.until = known.until.min(head);
            }
        }
    }

    /// Whether somebody from there may be here at all.
    pub(super) fn may_come(&self, remote: RemoteId, access: &Access) {
        if let Some(home) = self.stage.homes.borrow().get(&remote) {
            assert!(access.allows(*home), "{remote:?} came from {home}");
        }
    }

    /// No more clients than may be from each address.
    pub(super) fn are_not_too_many(&self, book: &Book) {
        let Some(max) = self.stage.scenario.config.max_clients_per_ip else {
            return;
        };
        let homes = self.stage.homes.borrow();
        for home in homes.values() {
            let from = |known: &&Known| {
                homes.get(&known.remote).map(|ip| caller(*ip)) == Some(caller(*home))
            };
            let count = book.clients.values().filter(from).count();
            assert!(count <= max, "{count} clients come from {home}");
        }
    }

    /// A newcomer begins at a record: where its output's stream was left, within the backlog, or at the newest.
    pub(super) fn begins_well(&self, book: &mut Book, output: usize, start: u64) {
        let config = &self.stage.scenario.config;
        let ledger = &book.ledger;
        assert!(
            ledger.is_begin(start),
            "{start} is in the middle of a record"
        );
        let head = ledger.head();
        let parked = std::mem::take(&mut book.parked[output]);
        if !parked.is_empty() {
            let fits = parked.iter().any(|parked| parked.contains(&start));
            return assert!(
                fits,
                "output {output} goes on at {start} of {head}, and not at {parked:?}"
            );
        }
        let mates = book.clients.values().filter(|known| known.output == output);
        let mates: Vec<_> = mates.collect();
        let is_done = |known: &&Known| known.cursor == known.until;
        if config.outputs[output].slow == Slow::Block
            && mates.iter().any(is_done)
            && mates.iter().all(is_done)
        {
            let fits = mates.iter().any(|known| known.until == start);
            return assert!(
                fits,
                "output {output} goes on at {start}, and not where it ended"
            );
        }
        let backlog = match config.outputs[output].way {
            Way::Listen(_) => config.backlog as u64,
            _ => 0,
        };
        let from = ledger.begin_from(head.saturating_sub(backlog));
        assert_eq!(
            start, from,
            "a newcomer at {head} with a backlog of {backlog}"
        );
    }

    /// Under `block` the last to leave an output leaves its place in the stream to the next, and so does a destination
    /// that is dialled. Of several who leave in one event, any may be the last.
    pub(super) fn park(&self, book: &mut Book, left: &[(SockId, Known, Reason)]) {
        let config = &self.stage.scenario.config;
        let mut parked = Vec::new();
        for (sock, known, reason) in left {
            let output = &config.outputs[known.output];
            let others = book
                .clients
                .values()
                .any(|other| other.output == known.output && other.cursor != other.until);
            let can_return = output.way != Way::Stdout || self.relay.is_ending();
            let over = self.relay.is_ending() && *reason == Reason::Drained;
            if others || !can_return || over {
                continue;
            }
            let default = if output.slow == Slow::Block {
                Resume::Acked
            } else {
                Resume::Live
            };
            let dialled = matches!(output.way, Way::Dial(_));
            let resume = config.resume.unwrap_or(default);
            let ledger = &book.ledger;
            let at = match resume {
                _ if !dialled => {
                    let begin = ledger.begin_until(known.cursor);
                    begin..=begin
                }
                Resume::Live => ledger.head()..=ledger.head(),
                Resume::Written => {
                    let begin = ledger.begin_from(known.cursor);
                    begin..=begin
                }
                Resume::Acked => {
                    let open = self.stage.handle.world().unacknowledged(*sock).unwrap_or(0);
                    let acked = known.path.place(known.written.saturating_sub(open.into()));
                    // The end counts as a byte that was not acknowledged.
                    let end = u64::from(known.until < u64::MAX && open > 0);
                    ledger.begin_until(acked)..=ledger.begin_until(acked + end)
                }
            };
            match output.slow {
                Slow::Block => parked.push((known.output, at)),
                _ if dialled && resume != Resume::Live => {
                    parked.push((known.output, *at.start()..=u64::MAX))
                }
                _ => {}
            }
        }
        for (output, at) in parked {
            book.parked[output].push(at);
        }
    }

    /// A client under `skip` was too far behind: it gets the rest of its record, and then the newest.
    pub(super) fn note_skip(&self, book: &mut Book, sock: SockId, cursor: u64, now: Time) {
        let config = &self.stage.scenario.config;
        let known = book
            .clients
            .get_mut(&sock)
            .expect("all clients are known by now");
        assert_eq!(
            config.outputs[known.output].slow,
            Slow::Skip,
            "{known:?} goes on at {cursor}"
        );
        let from = known.path.cursor(known.written);
        let ledger = &book.ledger;
        let rest_end = ledger.begin_from(from);
        let newest = ledger.newest(book.head_before).min(known.until);
        let to = newest.max(rest_end);
        assert_eq!(cursor, to, "{known:?} skips from {from}");
        let overtaken = book.held_before - from > config.ring as u64;
        let lags = config
            .max_lag
            .is_some_and(|max| known.is_over(ledger, max, book.head_before, now));
        assert!(
            overtaken || lags,
            "{known:?} skips, and is only at {from} of {}",
            book.head_before
        );
        let at = known.written.max(known.path.rest()) + (rest_end - from);
        let jump = |path: &mut Path| path.jump(at, to - rest_end);
        jump(&mut known.path);
        let served = book
            .served
            .get_mut(&known.remote)
            .expect("who is served is known");
        jump(&mut served.path);
        book.skipped += to - rest_end;
    }

    /// The books agree with the relay's counters.
    pub(super) fn settle(&self, book: &mut Book) {
        let counts = self.relay.counts();
        let read: u64 = book.ledger.read.values().sum();
        assert_eq!(counts.bytes_in, read, "bytes came from elsewhere");
        assert_eq!(
            counts.skipped, book.skipped,
            "the count of what was skipped is off"
        );
        let unfinished = self.held().checked_sub(book.ledger.head());
        let most = self.stage.scenario.config.record_max as u64;
        let fits = unfinished.is_some_and(|bytes| {
            bytes <= most && (bytes == 0 || book.source.is_some() || self.relay.is_ending())
        });
        assert!(fits, "{unfinished:?} bytes are held back");
        self.are_not_too_many(book);
        (book.head_before, book.held_before) = (book.ledger.head(), self.held());
        book.counts = counts.clone();
    }
}
