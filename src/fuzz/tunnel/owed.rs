//! What those who outlive their session are to get of its streams: all that had come, and then the end.

use std::collections::BTreeMap;

use super::roles::Party;
use crate::reactor::{Reactor, RoleId};
use crate::sim::{RemoteId, RemoteState, World};

/// How many bytes each of them gets in all.
#[derive(Default)]
pub(super) struct Owed(BTreeMap<RemoteId, u64>);

impl Owed {
    /// Remembers those of which these parties know, and sees that nothing is taken from what they are owed.
    pub(super) fn note(&mut self, reactor: &Reactor<Party>, parties: &[RoleId], world: &World) {
        let parties = parties.iter().filter_map(|id| reactor.role(*id));
        for (sock, bytes) in parties.flat_map(Party::outliving) {
            if let Some(remote) = world.remote_of(sock) {
                let before = *self.0.entry(remote).or_insert(bytes);
                assert_eq!(bytes, before, "what {remote:?} is owed");
            }
        }
    }

    /// All of them.
    pub(super) fn all(&self) -> impl Iterator<Item = RemoteId> {
        self.0.keys().copied()
    }

    /// When all is calm: whoever has not left before, and reads, has got all of it and its end, and nobody was reset
    /// before.
    pub(super) fn check(&self, world: &World) {
        for (&id, &bytes) in self.0.iter().filter(|(id, _)| !world.was_cut(**id)) {
            let (arrived, has_end) = (world.arrived_total(id), world.saw_fin(id));
            let is_due = match world.remote_state(id) {
                RemoteState::Open => has_end || world.remote_unread(id) == 0,
                RemoteState::Lost => true,
                _ => has_end,
            };
            let is_reset = world.saw_reset(id);
            assert!(
                !is_due || (has_end || is_reset) && arrived == bytes,
                "{id:?} was owed {bytes} bytes and their end, and has {arrived}"
            );
        }
    }
}
