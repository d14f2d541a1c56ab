//! How many descriptors the process may have open, and how many of them are left for sockets. Knows none of them.

use std::fs;

use crate::reactor::sys;

/// The limit, and what counts against it beside the sockets.
#[derive(Debug)]
pub(super) struct Descriptors {
    limit: usize,
    /// Those that are in no table of sockets: the process's own, those of helper threads, and some to spare.
    apart: usize,
}

impl Descriptors {
    /// Raises the limit as far as the system lets it, and takes those that are open now for what is no socket.
    pub(super) fn new() -> Self {
        Self {
            limit: raise_limit(),
            apart: open() + SPARE,
        }
    }

    /// How many this process may have open.
    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    /// How many more sockets there may be, beside so many.
    pub(super) fn left(&self, sockets: usize) -> usize {
        self.limit.saturating_sub(self.apart + sockets)
    }

    /// A standard stream is in use.
    pub(super) fn note_std_opened(&mut self) {
        self.apart += PER_STD;
    }

    /// One is no more.
    pub(super) fn note_std_closed(&mut self) {
        self.apart -= PER_STD;
    }
}

/// Raises the soft limit of descriptors to the hard one and returns what holds then.
fn raise_limit() -> usize {
    let Ok((soft, hard)) = sys::descriptor_limits() else {
        return ASSUMED;
    };
    // Where it can't be raised, the old one still holds.
    let limit = if sys::set_descriptor_limit(hard).is_ok() {
        hard
    } else {
        soft
    };
    usize::try_from(limit).unwrap_or(usize::MAX)
}

fn open() -> usize {
    // One of them is the listing's own.
    fs::read_dir("/proc/self/fd").map_or(SPARE, |open| open.count().saturating_sub(1))
}

/// What may be open beside sockets at any moment: log and certificate files, the resolver's own sockets.
const SPARE: usize = 16;

/// A standard stream's copy, and its thread's end of the socket pair.
const PER_STD: usize = 2;

/// The limit where it can't be read, which is the usual one.
const ASSUMED: usize = 1024;
