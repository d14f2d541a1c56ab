//! What those who outlive their session are to get of its streams: all that had come, and then the end.

use std::collections::BTreeMap;

use crate::reactor::net::{Addr, SockId};
use crate::sim::{RemoteId, RemoteState, World};

/// What a life of a tunnel came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TunnelLife {
    /// The trace, where it was asked for.
    pub trace: Vec<String>,
    /// Clients that outlived their session to get the end of what they were told.
    pub clients_owed: usize,
    /// Connections of the service that did.
    pub services_owed: usize,
}

impl TunnelLife {
    /// Whether somebody outlived a session, and was owed something.
    pub fn has_owed(&self) -> bool {
        self.clients_owed + self.services_owed > 0
    }
}

/// How many bytes each of them gets in all.
#[derive(Default)]
pub(super) struct Owed(BTreeMap<RemoteId, u64>);

impl Owed {
    /// Remembers these, each with how many bytes it gets in all, and sees that nothing is taken from what they are
    /// owed.
    pub(super) fn note(&mut self, outliving: impl Iterator<Item = (SockId, u64)>, world: &World) {
        for (sock, bytes) in outliving {
            if let Some(remote) = world.remote_of(sock) {
                let before = *self.0.entry(remote).or_insert(bytes);
                assert_eq!(bytes, before, "what {remote:?} is owed");
            }
        }
    }

    /// Expects nothing more for these: who owes it to them was stopped, and has no longer than `--drain` for it.
    pub(super) fn forget(&mut self, outliving: impl Iterator<Item = (SockId, u64)>, world: &World) {
        for remote in outliving.filter_map(|(sock, _)| world.remote_of(sock)) {
            self.0.remove(&remote);
        }
    }

    /// What a life came to in which these were all, and the service is at this place.
    pub(super) fn life(&self, world: &World, service: &Addr) -> TunnelLife {
        let services = world.accepted_at(service);
        let services_owed = self.0.keys().filter(|id| services.contains(id)).count();
        TunnelLife {
            trace: world.trace_lines().map(str::to_owned).collect(),
            clients_owed: self.0.len() - services_owed,
            services_owed,
        }
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
