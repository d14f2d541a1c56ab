//! What must hold of limits: whoever is over one is dropped in time.

use std::time::Duration;

use super::Play;
use super::ledger::surely;
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

    /// `--stall-timeout` and `--max-lag`: whoever is over them is not kept for longer.
    pub(super) fn look_at_lags(&self) {
        let config = &self.stage.scenario.config;
        let (now, book) = (self.now(), self.book.borrow());
        for (sock, known) in &book.clients {
            if known.is_finishing() {
                continue;
            }
            if let (Some(stall), Some(since)) =
                (config.stall_timeout, known.waits_since(&book.ledger))
            {
                let waits = now.since(since);
                assert!(
                    waits <= surely(stall),
                    "{sock:?} has taken nothing for {waits:?}: {known:?}"
                );
            }
            let drops = config.outputs[known.output].slow == Slow::Drop;
            if let (Some(MaxLag::Age(max)), true) = (config.max_lag, drops) {
                let (bytes, since) = known.lag(&book.ledger, book.ledger.head());
                let age = since.map_or(Duration::ZERO, |since| now.since(since));
                if known.may_catch_up(MaxLag::Age(max), bytes, now) {
                    continue;
                }
                assert!(age <= surely(max), "{sock:?} is {age:?} behind: {known:?}");
            }
        }
    }

    /// `--max-lag` under `block`: while somebody is beyond it, by what has arrived at its kernel, the upstream waits.
    pub(super) fn look_at_laggards(&mut self) {
        let config = &self.stage.scenario.config;
        let Some(max) = config.max_lag else { return };
        let (now, book) = (self.now(), self.book.borrow());
        let lags = |output: usize| config.outputs[output].slow == Slow::Block;
        let known = book.clients.iter().filter(|(_, known)| {
            let (bytes, since) = known.lag(&book.ledger, book.head());
            let age = since.map_or(Duration::ZERO, |since| now.since(since));
            let takes = known.is_finishing() || known.may_catch_up(max, bytes, now);
            lags(known.output) && !takes && max.is_passed((bytes, age))
        });
        let since = |sock| self.watch.lagging.get(sock).copied().unwrap_or(now);
        self.watch.lagging = known.map(|(sock, _)| (*sock, since(sock))).collect();
        let soon = match max {
            MaxLag::Age(max) => surely(max) - max,
            MaxLag::Bytes(_) => surely(Duration::from_secs(1)) - Duration::from_secs(1),
        };
        let mut overdue = self.watch.lagging.iter();
        let Some((laggard, _)) = overdue.find(|(_, since)| now.since(**since) > soon) else {
            return;
        };
        if self.relay().is_none_or(Relay::is_ending) {
            return;
        }
        for sock in self.watch.upstreams.keys() {
            let is_read = self.reactor.wants(*sock).0 && book.standby != Some(*sock);
            assert!(!is_read, "{laggard:?} lags, and the upstream is read");
        }
    }
}
