//! What all WebSockets of a relay may hold together, and who goes when that is too much.
//!
//! Counted are the bytes of connections that their receivers have not taken, those that wait to be sent, and those that
//! plain hosts have said before they have clients.

use super::Relay;
use super::peers::{Body, Peer};
use crate::reactor::Cx;
use crate::roles::pump::longest_waiting;
use crate::roles::ws::HELD_MAX;

/// The books.
#[derive(Debug)]
pub(super) struct Memory {
    limit: usize,
    held: usize,
}

impl Memory {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, held: 0 }
    }

    /// Somebody held so much and holds so much now.
    pub(super) fn changed(&mut self, before: usize, now: usize) {
        self.held = self.held - before + now;
    }

    fn is_short(&self) -> bool {
        self.held > self.limit
    }
}

impl Peer {
    /// Bytes that wait for it here.
    pub(super) fn unsent(&self) -> usize {
        match &self.body {
            Body::Mux(mux) => mux.unsent(),
            Body::Plain(plain) => plain.out.len(),
        }
    }

    /// Bytes that wait here for it, or because of it, beside those of its connections.
    pub(super) fn burden(&self) -> usize {
        let early = match &self.body {
            Body::Mux(_) => 0,
            Body::Plain(plain) => plain.early.len(),
        };
        self.unsent() + early
    }
}

impl Relay {
    /// Bytes that wait here for whoever is to take them.
    pub fn held(&self) -> usize {
        self.memory.held
    }

    /// What one WebSocket's connections may hold.
    pub(super) fn held_max(&self) -> usize {
        HELD_MAX.min(self.config.memory)
    }

    /// A connection may hold more or less than before.
    pub(super) fn note_lane(&mut self, key: usize) {
        if let Some(lane) = self.lanes.get_mut(key) {
            let now = lane.held();
            self.memory
                .changed(std::mem::replace(&mut lane.noted, now), now);
        }
    }

    /// As above, for a WebSocket itself.
    pub(super) fn note_peer(&mut self, key: usize) {
        if let Some(peer) = self.peers.get_mut(key) {
            let now = peer.burden();
            self.memory
                .changed(std::mem::replace(&mut peer.noted, now), now);
        }
    }

    /// Ends what waits until all is within the limit: a WebSocket for which more waits than any connection holds, else
    /// the connection that [`longest_waiting`] names.
    pub(super) fn shed(&mut self, cx: &mut Cx<'_>) {
        while self.memory.is_short() {
            self.counts.shed += 1;
            let most = self.lanes.iter().map(|(_, lane)| lane.noted).max();
            let peer = self.peers.iter().max_by_key(|(_, peer)| peer.noted);
            if let Some((peer, _)) = peer.filter(|(_, peer)| peer.noted > most.unwrap_or(0)) {
                let why = "it holds the most, and all memory is taken (--memory)";
                self.peer_gone(cx, peer, why);
                continue;
            }
            let lanes = self.lanes.iter();
            let waits = lanes.map(|(key, lane)| (key, lane.noted, lane.waits_since()));
            let lane = longest_waiting(waits).expect("something holds it");
            let why = "it is read too slowly, and all memory is taken (--memory)";
            self.reset_lane(cx, lane, why);
        }
    }

    pub(super) fn check_memory(&self) {
        let lanes = self.lanes.iter().map(|(_, lane)| lane.noted);
        let peers = self.peers.iter().map(|(_, peer)| peer.noted);
        let noted: usize = lanes.chain(peers).sum();
        assert_eq!(self.memory.held, noted, "the books of memory");
        assert!(!self.memory.is_short(), "more memory than --memory");
        for (_, lane) in &self.lanes {
            assert_eq!(lane.noted, lane.held(), "what a connection holds");
        }
        for (_, peer) in &self.peers {
            // What sessions say for themselves comes between two looks, and has a bound of its own.
            let unnoted = peer.burden().saturating_sub(peer.noted);
            assert!(unnoted <= CHATTER_MAX, "{unnoted} bytes stand in no books");
        }
    }
}

/// What a session has to say for itself takes no more than this: see [`crate::roles::pump::Mux`].
const CHATTER_MAX: usize = 128 << 10;
