//! A role's voice in the log: its name in front, repeats collapsed, comings and goings rationed.

use crate::base::LIVE;
use crate::base::repeats::{Rate, Repeats};
use crate::base::time::Time;
use crate::base::units::Count;

/// What a role has said lately.
#[derive(Debug)]
pub(crate) struct Journal {
    label: String,
    repeats: Repeats,
    joins: Rate,
    leaves: Rate,
    drops: Rate,
    upstreams: Rate,
    lines: Vec<String>,
}

/// What a role says whose `--token-file` holds another token.
pub(crate) const TOKEN_READ: &str = "token read again; it holds from the next connection on";

impl Journal {
    /// The voice of a role whose lines begin with `label`: `relay[sports]`.
    pub(crate) fn new(label: String) -> Self {
        Self {
            label,
            repeats: Repeats::new(),
            joins: Rate::new(EACH_SECOND),
            leaves: Rate::new(EACH_SECOND),
            drops: Rate::new(EACH_SECOND),
            upstreams: Rate::new(UPSTREAMS_EACH_SECOND),
            lines: Vec::new(),
        }
    }

    /// A line that comes once.
    pub(crate) fn info(&self, text: String) {
        log::info!("{}: {text}", self.label);
    }

    /// A line about one connection, for those who look for a mistake.
    pub(crate) fn debug(&self, text: &str) {
        log::debug!("{}: {text}", self.label);
    }

    /// A line that may come again and again: the first of its kind is said, the next ones are counted.
    pub(crate) fn warn(&mut self, now: Time, kind: &str, text: String) {
        if let Some(text) = self.repeats.say(now, kind, text) {
            log::warn!("{}: {text}", self.label);
        }
    }

    /// Somebody was turned away. Strangers can make as many `kind`s of that as they have addresses: few are told apart.
    pub(crate) fn refused(&mut self, now: Time, kind: &str, text: String) {
        if let Some(text) = self.repeats.say_among(now, REFUSALS, kind, 0, |_| text) {
            log::warn!("{}: {text}", self.label);
        }
    }

    /// The client called `who` has skipped so many bytes. There may be many of these: few are told apart.
    pub(crate) fn skipped(
        &mut self,
        now: Time,
        who: &str,
        bytes: u64,
        text: impl FnOnce(u64) -> String,
    ) {
        if let Some(text) = self.repeats.say_among(now, SKIPS, who, bytes, text) {
            log::warn!("{}: {text}", self.label);
        }
    }

    /// A client that may have skipped is gone: says what was not said of that yet.
    pub(crate) fn skips_no_more(&mut self, now: Time, who: &str) {
        if let Some(text) = self.repeats.forget_among(now, SKIPS, who) {
            log::warn!("{}: {text}", self.label);
        }
    }

    /// The role ends: says all counts that were not said yet.
    pub(crate) fn conclude(&mut self, now: Time) {
        self.tick(now);
        self.repeats.conclude(now, &mut self.lines);
        self.write_lines();
    }

    fn write_lines(&mut self) {
        for text in self.lines.drain(..) {
            log::warn!("{}: {text}", self.label);
        }
    }

    /// What `kind` spoke of is over: the next time it is news again.
    pub(crate) fn forget(&mut self, now: Time, kind: &str) {
        if let Some(text) = self.repeats.forget(now, kind) {
            log::warn!("{}: {text}", self.label);
        }
    }

    /// The relay's figures, which say themselves whose they are.
    pub(super) fn figures(&self, text: String) {
        log::info!("{text}");
    }

    /// The figures in a line that is drawn again and again: as an error, so that no level of logging hides what was
    /// asked for.
    pub(super) fn live(&self, text: String) {
        log::error!(target: LIVE, "{text}");
    }

    /// Advice about how hydrant was started, which is nothing that the relay did.
    pub(super) fn hint(&mut self, now: Time, text: String) {
        if let Some(text) = self.repeats.say(now, "hint", text) {
            log::warn!("{}: {text}", self.adviser());
        }
    }

    /// Who gives advice: the program, unless the role has a name, as it has wherever there may be several.
    fn adviser(&self) -> &str {
        match self.label.contains('[') {
            true => &self.label,
            false => "hydrant",
        }
    }

    /// Somebody joined.
    pub(crate) fn came(&mut self, now: Time, text: String) {
        if self.joins.admit(now) {
            self.info(text);
        }
    }

    /// Somebody left.
    pub(crate) fn went(&mut self, now: Time, text: String) {
        if self.leaves.admit(now) {
            self.info(text);
        }
    }

    /// Somebody was dropped.
    pub(crate) fn dropped(&mut self, now: Time, text: String) {
        if self.drops.admit(now) {
            log::warn!("{}: {text}", self.label);
        }
    }

    /// Something of a connection on the upstream side.
    pub(crate) fn upstream(&mut self, now: Time, text: String) {
        if self.upstreams.admit(now) {
            self.info(text);
        }
    }

    /// Says the counts that are due; about once a second.
    pub(crate) fn tick(&mut self, now: Time) {
        if let Some(n) = self.joins.missed(now) {
            self.info(format!("{} connected", Count(n as usize, "more client")));
        }
        if let Some(n) = self.leaves.missed(now) {
            self.info(format!("{} left", Count(n as usize, "more client")));
        }
        if let Some(n) = self.drops.missed(now) {
            log::warn!(
                "{}: {} dropped",
                self.label,
                Count(n as usize, "more client")
            );
        }
        if let Some(n) = self.upstreams.missed(now) {
            let lines = Count(n as usize, "more line");
            self.info(format!("{lines} about upstreams that came and went"));
        }
        self.repeats.flush(now, &mut self.lines);
        self.write_lines();
    }
}

/// Joins, and leaves, that are said one by one within a second.
const EACH_SECOND: u32 = 10;
/// Lines about connections of upstreams that are said one by one: each of them may be the feed.
const UPSTREAMS_EACH_SECOND: u32 = 200;
/// Groups of lines of which strangers can make many kinds, named as one line is.
const REFUSALS: &str = "more refused connection";
const SKIPS: &str = "more skip";

#[cfg(test)]
mod tests {
    use super::*;

    /// Where several relays run, whose upstream it is that should be waited for is of interest, and to no other.
    #[test]
    fn advice_is_given_by_whom_it_is_about() {
        for (label, adviser) in [("relay", "hydrant"), ("relay[sports]", "relay[sports]")] {
            assert_eq!(Journal::new(label.to_owned()).adviser(), adviser);
        }
    }
}
