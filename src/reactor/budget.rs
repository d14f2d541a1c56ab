//! Who may take how many of the process's descriptors. All roles share them, and come and go: so each says what it
//! needs itself and how many guests it would have, and asks before it lets one in.
//!
//! ```text
//!   | in use | kept back for roles and the process | room for guests                                  |
//!                                                   | shared: first come | a part of its own a role |
//! ```
//!
//! What is kept back is never a guest's. Half of the room is divided among the roles that have guests, so that none of
//! them can be shut out by the guests of another; the other half is for whoever comes first. A role alone has all.

use crate::reactor::core::Core;
use crate::reactor::event::RoleId;
use crate::reactor::net::SockId;
use crate::reactor::table::{Kind, Owner};

/// What a role would have of the process's descriptors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Those that guests leave free, for what comes and goes beside them: strangers who are not let in yet, retries.
    /// The roles share the most that one of them wants.
    pub reserve: usize,
    /// Those that it dials or opens itself, of which no other role is to be short either.
    pub needs: usize,
    /// The most guests that it would let in. 0: it has none, and all who connect are strangers.
    pub guests: usize,
}

/// What there is for guests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// The most guests of all roles together.
    pub guests: usize,
    /// How many more descriptors it would take for one guest; 0 where there is room for one.
    pub missing: usize,
    /// How many roles have guests.
    pub hosts: usize,
}

/// The claim of one role.
#[derive(Clone, Copy, Debug)]
pub(super) struct Claimed {
    role: RoleId,
    claim: Claim,
    guests: usize,
}

impl Claimed {
    pub(super) fn is_of(&self, role: RoleId) -> bool {
        self.role == role
    }
}

impl Core {
    /// Notes what a role would have, in place of what it said before.
    pub(super) fn claim(&mut self, role: RoleId, claim: Claim) -> Room {
        match self.claims.iter_mut().find(|it| it.role == role) {
            Some(claimed) => claimed.claim = claim,
            None => self.claims.push(Claimed {
                role,
                claim,
                guests: 0,
            }),
        }
        let (all, kept) = (self.all(), self.kept_back());
        Room {
            guests: all.saturating_sub(kept),
            missing: (kept + 1).saturating_sub(all),
            hosts: self.hosts().count(),
        }
    }

    /// Makes a socket of a role's its guest, if there is room for it. A role that has claimed nothing has no limit.
    pub(super) fn admit(&mut self, role: RoleId, sock: SockId) -> bool {
        let Some(at) = self.claims.iter().position(|it| it.role == role) else {
            return true;
        };
        let Some(before) = self.table.set_kind(sock, Kind::Guest) else {
            return true;
        };
        if before == Kind::Guest {
            return true;
        }
        let is_room = self.is_room(at, 0);
        match is_room {
            true => self.claims[at].guests += 1,
            false => drop(self.table.set_kind(sock, before)),
        }
        is_room
    }

    /// Counts a socket that was dialled for a guest among its role's guests, for whom there was room.
    pub(super) fn count_in(&mut self, role: RoleId, sock: SockId) {
        if let Some(claimed) = self.claims.iter_mut().find(|it| it.role == role)
            && let Some(before) = self.table.set_kind(sock, Kind::Guest)
            && before != Kind::Guest
        {
            claimed.guests += 1;
        }
    }

    /// Whether a role may have one more guest for whom a socket is still to be opened, as for `pending` others.
    pub(super) fn has_room(&self, role: RoleId, pending: usize) -> bool {
        let at = self.claims.iter().position(|it| it.role == role);
        at.is_none_or(|at| self.is_room(at, pending + 1))
    }

    /// Whether more strangers may stay: what roles need themselves is not theirs.
    pub(super) fn has_spare(&self) -> bool {
        let needs: usize = self.claims.iter().map(|it| it.claim.needs).sum();
        let needed = needs.saturating_sub(self.table.count(Kind::Own));
        self.claims.is_empty() || self.free() >= SPARE + needed
    }

    /// Whether another connection can be taken in this turn. What is closed in it gives descriptors free only at its
    /// end: those who are turned away are to take none that somebody else counts on.
    pub(super) fn may_accept(&self) -> bool {
        self.closing_count() == 0 || self.net.sockets_left() > 0
    }

    /// A socket is about to be forgotten.
    pub(super) fn uncount(&mut self, sock: SockId) {
        let slot = self.table.get(sock).filter(|slot| slot.is_guest());
        if let Some(Owner::Role(role)) = slot.map(|slot| slot.owner)
            && let Some(claimed) = self.claims.iter_mut().find(|it| it.role == role)
        {
            claimed.guests -= 1;
        }
    }

    fn is_room(&self, at: usize, to_open: usize) -> bool {
        let (free, kept) = (self.free(), self.kept_back());
        if free < kept + to_open {
            return false;
        }
        let room = self.all().saturating_sub(kept);
        let part = room / 2 / self.hosts().count().max(1);
        let own = |it: &Claimed| part.min(it.claim.guests).saturating_sub(it.guests);
        if own(&self.claims[at]) > 0 {
            return true;
        }
        let role = self.claims[at].role;
        let others: usize = self.hosts().filter(|it| it.role != role).map(own).sum();
        free >= kept + others + to_open
    }

    /// Descriptors that no guest may have.
    fn kept_back(&self) -> usize {
        let claims = self.claims.iter().map(|it| it.claim);
        let needs: usize = claims.clone().map(|claim| claim.needs).sum();
        let reserve = claims.map(|claim| claim.reserve).max().unwrap_or(0);
        let used = self.table.count(Kind::Own) + self.table.count(Kind::Stranger);
        (reserve + needs).saturating_sub(used)
    }

    fn hosts(&self) -> impl Iterator<Item = &Claimed> {
        self.claims.iter().filter(|it| it.claim.guests > 0)
    }

    /// Descriptors that guests have, or might have if nothing was kept back.
    fn all(&self) -> usize {
        self.free().saturating_add(self.table.count(Kind::Guest))
    }

    /// Descriptors that are free once this turn is over.
    fn free(&self) -> usize {
        self.net.sockets_left().saturating_add(self.closing_count())
    }
}

/// Descriptors that strangers leave to the process itself: a file that is read again, a thread that looks up a name.
const SPARE: usize = 16;
