//! What must hold of limits: whoever is over one is dropped in time, or waited for.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Play;
use super::book::Known;
use super::ledger::surely;
use crate::base::time::Time;
use crate::reactor::net::SockId;
use crate::roles::relay::Relay;
use crate::roles::relay::config::{MaxLag, Slow};

impl Play {
    /// `--idle-timeout`: an upstream that is read and says nothing is not kept for longer.
    pub(super) fn look_at_silence(&mut self) {
        let world = self.stage.handle.world();
        let (now, book) = (world.time(), self.book.borrow());
        let known: Vec<_> = self.watch.upstreams.keys().copied().collect();
        self.watch.quiet.retain(|sock, _| known.contains(sock));
        for sock in known {
            let (read, _) = world.moved(sock);
            let is_read = self.reactor.wants(sock).0;
            let quiet = self.watch.quiet.entry(sock);
            let quiet = quiet.or_insert((read, now, is_read));
            if !is_read || !quiet.2 || quiet.0 != read {
                *quiet = (read, now, is_read);
            }
            let in_use = book.active == Some(sock);
            if let Some(idle) = self.stage.scenario.config.idle_timeout.filter(|_| in_use) {
                let silence = now.since(quiet.1.max(book.heard));
                assert!(
                    silence <= surely(idle),
                    "{sock:?} is kept though silent for {silence:?}"
                );
            }
        }
    }

    /// `--stall-timeout`: whoever takes nothing is not kept for longer.
    pub(super) fn look_at_stalled(&self) {
        let Some(stall) = self.stage.scenario.config.stall_timeout else {
            return;
        };
        let (now, book) = (self.now(), self.book.borrow());
        let takes = |known: &&Known| !known.is_finishing();
        for known in book.clients.values().filter(takes) {
            let since = known.waits_since(&book.ledger);
            let waits = since.map_or(Duration::ZERO, |since| now.since(since));
            // Who has skipped waits on while there is nothing to take; but it is looked only while there is something.
            let is_fresh = known
                .lacks_since
                .is_none_or(|since| now.since(since) <= surely(stall) - stall);
            assert!(
                waits <= surely(stall) || is_fresh,
                "it has taken nothing for {waits:?}: {known:?}"
            );
        }
    }

    /// `--max-lag`: whoever is beyond it, by what has arrived at its kernel, is dropped, or the upstream waits.
    pub(super) fn look_at_laggards(&mut self) {
        let config = &self.stage.scenario.config;
        let Some(max) = config.max_lag else { return };
        let (now, book) = (self.now(), self.book.borrow());
        let mut lagging = BTreeMap::new();
        for (sock, known) in &book.clients {
            let (bytes, arrived) = known.lag(&book.ledger, book.head());
            let age = arrived.map_or(Duration::ZERO, |arrived| now.since(arrived));
            let takes = known.is_finishing() || known.may_catch_up(max, bytes, now);
            if !takes && max.is_passed((bytes, age)) {
                let before = self.watch.lagging.get(sock).copied();
                let since = match (max, arrived) {
                    (MaxLag::Age(max), Some(arrived)) => arrived + max,
                    _ => before.unwrap_or(now),
                };
                lagging.insert(*sock, since);
            }
        }
        self.watch.lagging = lagging;
        let soon = match max {
            MaxLag::Age(max) => surely(max) - max,
            MaxLag::Bytes(_) => surely(Duration::from_secs(1)) - Duration::from_secs(1),
        };
        let is_overdue = |(_, since): &(&SockId, &Time)| now.since(**since) > soon;
        let overdue = self.watch.lagging.iter().filter(is_overdue);
        let overdue = overdue.map(|(sock, _)| &book.clients[sock]);
        let slow = |known: &Known| config.outputs[known.output].slow;
        for known in overdue.clone() {
            let drops = slow(known) == Slow::Drop;
            assert!(
                !drops,
                "it is kept at {} of {}: {known:?}",
                known.cursor,
                book.head()
            );
        }
        // Whoever gets no more than it has been given holds nobody up.
        let blocks = |known: &&Known| slow(known) == Slow::Block && known.until == u64::MAX;
        let Some(known) = { overdue }.find(blocks) else {
            return;
        };
        if self.relay().is_none_or(Relay::is_ending) {
            return;
        }
        for sock in self.watch.upstreams.keys() {
            let is_read = self.reactor.wants(*sock).0 && book.standby != Some(*sock);
            assert!(!is_read, "the upstream is read in spite of {known:?}");
        }
    }
}
