//! The relay's voice in the log: its name in front, and repeats collapsed.

use crate::base::repeats::{Rate, Repeats};
use crate::base::time::Time;

/// What the relay has said lately.
#[derive(Debug)]
pub(super) struct Journal {
    label: String,
    repeats: Repeats,
    joins: Rate,
    leaves: Rate,
    upstreams: Rate,
    lines: Vec<String>,
}

impl Journal {
    pub(super) fn new(label: String) -> Self {
        Self {
            label,
            repeats: Repeats::new(),
            joins: Rate::new(EACH_SECOND),
            leaves: Rate::new(EACH_SECOND),
            upstreams: Rate::new(UPSTREAMS_EACH_SECOND),
            lines: Vec::new(),
        }
    }

    pub(super) fn info(&self, text: String) {
        log::info!("{}: {text}", self.label);
    }

    /// A line that may come again and again: the first of its kind is said, the next ones are counted.
    pub(super) fn warn(&mut self, now: Time, kind: &str, text: String) {
        if let Some(text) = self.repeats.say(now, kind, text) {
            log::warn!("{}: {text}", self.label);
        }
    }

    /// What `kind` spoke of is over: the next time it is news again.
    pub(super) fn forget(&mut self, now: Time, kind: &str) {
        if let Some(text) = self.repeats.forget(now, kind) {
            log::warn!("{}: {text}", self.label);
        }
    }

    /// Somebody joined.
    pub(super) fn came(&mut self, now: Time, text: String) {
        if self.joins.admit(now) {
            self.info(text);
        }
    }

    /// Somebody left.
    pub(super) fn went(&mut self, now: Time, text: String) {
        if self.leaves.admit(now) {
            self.info(text);
        }
    }

    /// Something of a connection on the upstream side.
    pub(super) fn upstream(&mut self, now: Time, text: String) {
        if self.upstreams.admit(now) {
            self.info(text);
        }
    }

    /// Says the counts that are due; about once a second.
    pub(super) fn tick(&mut self, now: Time) {
        if let Some(n) = self.joins.missed(now) {
            self.info(format!("{n} more clients connected"));
        }
        if let Some(n) = self.leaves.missed(now) {
            self.info(format!("{n} more clients left"));
        }
        if let Some(n) = self.upstreams.missed(now) {
            self.info(format!("{n} more lines about upstreams that came and went"));
        }
        self.repeats.flush(now, &mut self.lines);
        for text in self.lines.drain(..) {
            log::warn!("{}: {text}", self.label);
        }
    }
}

/// Joins, and leaves, that are said one by one within a second.
const EACH_SECOND: u32 = 10;
/// Lines about connections of upstreams that are said one by one: each of them may be the feed.
const UPSTREAMS_EACH_SECOND: u32 = 200;
