//! The witness of what demanding feeds ask for: what a client may skip, and what is held back of the stream.

use super::book::{Book, Known};
use super::ledger::{Path, surely};
use super::witness::Witness;
use crate::base::time::Time;
use crate::reactor::net::SockId;
use crate::roles::relay::config::{MaxLag, Slow};

impl Witness {
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
        if !known.has_skipped {
            let (_, since) = known.lag(ledger, book.head_before);
            known.progress = since.map_or(now, |since| since.max(known.progress));
            let may_wait =
                self.stage.scenario.is_local(known.output) || known.landed < known.written;
            known.has_skipped = to > rest_end && may_wait;
        }
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

    /// A client under `skip` that is too far behind by what waits in its kernel, and takes nothing of that, is sent
    /// nothing more but the rest of the record that it has begun.
    pub(super) fn look_at_sent(&self, book: &Book, known: &Known, written: u64, now: Time) {
        let scenario = &self.stage.scenario;
        let Some(max @ MaxLag::Age(age)) = scenario.config.max_lag else {
            return;
        };
        let (bytes, since) = known.lag(&book.ledger, book.head_before);
        let late = surely(age) + 2 * scenario.faults.delay;
        let long = |since: Time| now.since(since) > late;
        let lags = since.is_some_and(long) && !known.may_catch_up(max, bytes, now);
        let whole = known.written >= known.path.rest() && book.ledger.is_begin(known.cursor);
        let skips = scenario.config.outputs[known.output].slow == Slow::Skip;
        let lasts = known.until == u64::MAX && !scenario.is_local(known.output);
        let sent = skips && lasts && whole && lags && long(known.progress);
        assert!(
            !sent || written == known.written,
            "{known:?} takes nothing, and was sent more: {written}"
        );
    }

    /// The books agree with the relay's counters.
    pub(super) fn settle(&self, book: &mut Book) {
        let counts = self.relay.counts();
        assert_eq!(
            counts.bytes_in, book.ledger.taken,
            "bytes came from elsewhere"
        );
        assert_eq!(
            counts.skipped, book.skipped,
            "the count of what was skipped is off"
        );
        book.held = counts.bytes_in - counts.discarded;
        let unfinished = book.held.checked_sub(book.head());
        let most = self.stage.scenario.config.record_max as u64;
        let fits = unfinished.is_some_and(|bytes| {
            bytes <= most && (bytes == 0 || book.active.is_some() || self.relay.is_ending())
        });
        assert!(fits, "{unfinished:?} bytes are held back");
        (book.head_before, book.held_before) = (book.head(), book.held);
        book.lead_before = book.lead();
        book.counts = counts.clone();
    }
}
