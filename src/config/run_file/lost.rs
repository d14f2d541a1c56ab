//! What of a file can't be read, by the section in which it stands: whether something is missing there, or is as it is
//! by default, can't be told then.

use std::collections::HashMap;

/// What of one section can't be read.
#[derive(Clone, Debug, Default)]
pub(super) struct Lost {
    /// The keys; `None`: what stands there may be any.
    keys: Vec<Option<String>>,
}

impl Lost {
    /// Whether this key may be among it.
    pub(super) fn may_be(&self, key: &str) -> bool {
        let is_it = |own: &Option<String>| own.as_deref().is_none_or(|own| own == key);
        self.keys.iter().any(is_it)
    }

    /// This key is there, and what it says can't be told.
    pub(super) fn add(&mut self, key: &str) {
        self.keys.push(Some(key.to_owned()));
    }

    /// Whether all of the section can be read.
    pub(super) fn is_nothing(&self) -> bool {
        self.keys.is_empty()
    }
}

/// What of a file can't be read.
#[derive(Clone, Debug, Default)]
pub(super) struct Losses {
    /// By the place at which the section begins.
    sections: HashMap<usize, Lost>,
}

impl Losses {
    /// Something of the section that begins there can't be read.
    pub(super) fn add(&mut self, section: usize, key: Option<String>) {
        self.sections.entry(section).or_default().keys.push(key);
    }

    /// What of the section that begins there can't be read.
    pub(super) fn under(&self, section: usize) -> Lost {
        self.sections.get(&section).cloned().unwrap_or_default()
    }
}
