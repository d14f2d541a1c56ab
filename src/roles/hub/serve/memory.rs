//! What all queues and unfinished messages take together, and who goes when that is too much.

use crate::reactor::Cx;
use crate::roles::hub::serve::client::{Client, ClientId};
use crate::roles::hub::serve::{Hub, Reason};

/// The books: bytes of memory, not only of messages.
#[derive(Debug)]
pub(super) struct Memory {
    limit: usize,
    queued: usize,
    unfinished: usize,
}

impl Memory {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit,
            queued: 0,
            unfinished: 0,
        }
    }

    pub(super) fn held(&self) -> usize {
        self.queued + self.unfinished
    }

    /// A queue took so much and takes so much now.
    pub(super) fn queue_changed(&mut self, before: usize, now: usize) {
        self.queued = self.queued - before + now;
    }

    /// An unfinished message took so much and takes so much now.
    pub(super) fn message_changed(&mut self, before: usize, now: usize) {
        self.unfinished = self.unfinished - before + now;
    }

    pub(super) fn check(&self, queued: usize, unfinished: usize) {
        assert_eq!(self.queued, queued, "memory of queues");
        assert_eq!(self.unfinished, unfinished, "memory of unfinished messages");
        assert!(self.held() <= self.limit, "more memory than --memory");
    }

    fn is_short(&self) -> bool {
        self.held() > self.limit
    }
}

impl Hub {
    /// Drops clients until what is held is within the limit: those that hold most of whatever there is more of,
    /// messages that are not whole or messages that nobody takes.
    pub(super) fn shed(&mut self, cx: &mut Cx<'_>) {
        while self.memory.is_short() {
            let size: fn(&Client) -> usize = match self.memory.unfinished > self.memory.queued {
                true => |client| client.message.held(),
                false => |client| client.queue.held(),
            };
            let largest = self.clients.iter().max_by_key(|(_, client)| size(client));
            let largest: ClientId = largest.expect("somebody holds it").0;
            self.drop_client(cx, largest, Reason::Memory);
        }
    }
}
