//! The tunnel's voice in the log: its name in front, floods of comings and goings rationed, repeats collapsed.

use crate::base::repeats::{Rate, Repeats};
use crate::base::time::Time;

/// What a role has said lately.
#[derive(Debug)]
pub(super) struct Journal {
    label: String,
    repeats: Repeats,
    clients: Rate,
    backends: Rate,
    lines: Vec<String>,
}

impl Journal {
    /// `name` stands behind the role's own.
    pub(super) fn new(name: Option<&str>) -> Self {
        Self {
            label: match name {
                Some(name) => format!("tunnel[{name}]"),
                None => "tunnel".to_owned(),
            },
            repeats: Repeats::new(),
            clients: Rate::new(EACH_SECOND),
            backends: Rate::new(BACKENDS_EACH_SECOND),
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

    /// A client came or went.
    pub(super) fn client(&mut self, now: Time, text: String) {
        if self.clients.admit(now) {
            self.info(text);
        }
    }

    /// A backend came or went.
    pub(super) fn backend(&mut self, now: Time, text: String) {
        if self.backends.admit(now) {
            self.info(text);
        }
    }

    /// Says the counts that are due; about once a second.
    pub(super) fn tick(&mut self, now: Time) {
        if let Some(n) = self.clients.missed(now) {
            self.info(format!("{n} more lines about clients that came and went"));
        }
        if let Some(n) = self.backends.missed(now) {
            self.info(format!("{n} more lines about backends that came and went"));
        }
        self.repeats.flush(now, &mut self.lines);
        for text in self.lines.drain(..) {
            log::warn!("{}: {text}", self.label);
        }
    }
}

/// Comings and goings of clients that are said one by one within a second.
const EACH_SECOND: u32 = 20;
/// Those of backends: each of them is somebody's service.
const BACKENDS_EACH_SECOND: u32 = 100;
