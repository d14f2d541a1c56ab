//! Where roles stand. A place is had by the next role once the one in it is gone, so that a process which starts and
//! stops roles for ever needs no more places than it ever had roles at a time; who stands there is told apart by a
//! generation.

use slab::Slab;

use crate::reactor::event::RoleId;

/// The roles on the loop.
pub(super) struct Berths<R> {
    places: Slab<(RoleId, R)>,
    /// How many roles have been put here, those that are gone included: the generation of the latest.
    placed: u32,
}

impl<R> Berths<R> {
    pub(super) fn new() -> Self {
        Self {
            places: Slab::new(),
            placed: 0,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Gives a role the place that was freed last.
    pub(super) fn place(&mut self, role: R) -> RoleId {
        self.placed = self.placed.wrapping_add(1);
        let id = RoleId {
            key: self.places.vacant_key() as u32,
            generation: self.placed,
        };
        self.places.insert((id, role));
        id
    }

    pub(super) fn get(&self, id: RoleId) -> Option<&R> {
        let (stands, role) = self.places.get(id.key as usize)?;
        (*stands == id).then_some(role)
    }

    pub(super) fn get_mut(&mut self, id: RoleId) -> Option<&mut R> {
        let (stands, role) = self.places.get_mut(id.key as usize)?;
        (*stands == id).then_some(role)
    }

    /// Forgets a role. Whether it was there.
    pub(super) fn remove(&mut self, id: RoleId) -> bool {
        let is_there = self.get(id).is_some();
        if is_there {
            drop(self.places.remove(id.key as usize));
        }
        is_there
    }

    /// All of them, by their places.
    pub(super) fn all(&self) -> Vec<RoleId> {
        self.places.iter().map(|(_, (id, _))| *id).collect()
    }
}
