//! Who has changed something hears of it once that is on the disk, or is known not to come there now: what it was
//! answered then holds, whatever becomes of the process. A disk that hangs is not waited for for ever, and not for long
//! once the process stops.
//!
//! ```text
//!   change ──it holds──> text number N ──> Keeper ──N or a later one is saved──> answered
//!                                            └──can't be, or not in time──> answered, and why it is not saved
//! ```

use std::time::Duration;

use super::keeper::Keeper;
use crate::app::RoleSet;
use crate::base::time::Time;
use crate::reactor::command::{Reply, Ticket};
use crate::reactor::tabs::TabReply;
use crate::reactor::{Reactor, RoleId};

/// Those who wait.
pub(in crate::app) struct Waiters {
    waiting: Vec<Waiter>,
    /// How long each of them waits at most, for a change and for the disk together.
    pub(in crate::app) patience: Duration,
    /// How long they do once the process stops.
    pub(in crate::app) last: Duration,
    /// Until then, since it does.
    end: Option<Time>,
}

/// Somebody whose change holds.
pub(in crate::app) struct Waiter {
    pub(in crate::app) by: (RoleId, Ticket),
    /// What is answered.
    pub(in crate::app) reply: TabReply,
    /// When it was asked for.
    pub(in crate::app) since: Time,
    /// The role that was begun or stopped by hand, where it was that.
    pub(in crate::app) role: Option<u64>,
    /// The text that it is in.
    pub(in crate::app) number: u64,
}

impl Default for Waiters {
    fn default() -> Self {
        Self {
            waiting: Vec::new(),
            patience: PATIENCE,
            last: LAST_ANSWER,
            end: None,
        }
    }
}

impl Waiters {
    pub(in crate::app) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// How many wait.
    #[cfg(test)]
    pub(in crate::app) fn count(&self) -> usize {
        self.waiting.len()
    }

    /// One more waits.
    pub(in crate::app) fn wait(&mut self, waiter: Waiter) {
        self.waiting.push(waiter);
    }

    pub(in crate::app) fn is_late(&self, since: Time, now: Time) -> bool {
        now.since(since) >= self.patience
    }

    /// The process stops: nobody waits for long any more, and not at all for a disk that has not answered for long.
    pub(in crate::app) fn end(&mut self, now: Time, keeper: &Keeper) {
        let last = match keeper.is_slow() {
            true => Duration::ZERO,
            false => self.last,
        };
        self.end.get_or_insert(now + last);
    }

    /// What is said of the disk to whoever has waited since then, where that is long enough.
    fn lateness(&self, since: Time, now: Time) -> Option<&'static str> {
        match self.end {
            Some(end) => (now >= end).then_some(LAST_WORD),
            None => self.is_late(since, now).then_some(SLOW_DISK),
        }
    }

    /// Answers those of whom it is known what has come of their change, or who have waited for long enough.
    pub(in crate::app) fn answer_known(&mut self, reactor: &mut Reactor<RoleSet>, keeper: &Keeper) {
        let now = reactor.now();
        for waiter in std::mem::take(&mut self.waiting) {
            let late = self.lateness(waiter.since, now);
            match keeper.outcome(waiter.number, late) {
                Some(outcome) => waiter.answer(reactor, outcome.err()),
                None => self.waiting.push(waiter),
            }
        }
    }

    /// What was to be saved before counts no more: takes those out whose change may not have been.
    pub(in crate::app) fn take_unsaved(
        &mut self,
        reactor: &mut Reactor<RoleSet>,
        keeper: &Keeper,
    ) -> Vec<Waiter> {
        self.answer_known(reactor, keeper);
        std::mem::take(&mut self.waiting)
    }
}

impl Waiter {
    pub(in crate::app) fn new(
        by: (RoleId, Ticket),
        reply: TabReply,
        since: Time,
        number: u64,
    ) -> Self {
        Self {
            by,
            reply,
            since,
            role: None,
            number,
        }
    }

    /// Answers. `unsaved`: why its change is not on the disk.
    pub(in crate::app) fn answer(self, reactor: &mut Reactor<RoleSet>, unsaved: Option<String>) {
        let reply = match unsaved {
            Some(why) => TabReply::Unsaved(Box::new(self.reply), why),
            None => self.reply,
        };
        let (by, ticket) = self.by;
        reactor.answer(by, ticket, Reply::Tab(reply));
    }

    /// Its change holds no more.
    pub(in crate::app) fn refuse(self, reactor: &mut Reactor<RoleSet>, why: &str) {
        let reply = TabReply::Refused(why.to_owned());
        Self { reply, ..self }.answer(reactor, None);
    }
}

/// With the pulse of the loop, 10 s: less than a page waits for an answer.
const PATIENCE: Duration = Duration::from_secs(9);
/// As long as clients have by themselves for what is theirs.
const LAST_ANSWER: Duration = Duration::from_secs(2);
/// Why something is not saved yet.
const SLOW_DISK: &str = "the disk does not answer: it is saved once that does";
/// Why something may never be.
const LAST_WORD: &str = "the disk does not answer, and hydrant stops: it may not be saved";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::pulse::PULSE;
    use crate::roles::console::LEAVE;

    /// Or a connection would be closed before it is told.
    #[test]
    fn a_disk_is_given_up_at_the_end_before_those_are_who_wait_for_it() {
        assert!(LAST_ANSWER + PULSE < LEAVE);
    }
}
