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

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::time::Duration;

use crate::base::time::Time;
use crate::base::units::Count;
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
}

/// The claim of one role.
#[derive(Clone, Copy, Debug)]
struct Claimed {
    role: RoleId,
    claim: Claim,
    guests: usize,
}

impl Claimed {
    /// How many more guests it can be sure of where each role has such a part of its own.
    fn owed(&self, part: usize) -> usize {
        part.min(self.claim.guests).saturating_sub(self.guests)
    }
}

/// What all roles would have, and the sums of that: there may be a thousand roles, and someone is let in at any time.
#[derive(Debug, Default)]
pub(super) struct Claims {
    /// By the place of the role.
    all: Vec<Option<Claimed>>,
    count: usize,
    /// How many have guests.
    hosts: usize,
    needs: usize,
    /// How many want to have so many left free.
    reserves: BTreeMap<usize, usize>,
    /// How many more guests all can be sure of together, where each has such a part of its own. The part changes with
    /// what roles need, hardly with guests.
    owed: usize,
    part: usize,
    /// There are others since it was last looked whether there is room for the guests of all.
    is_new: bool,
    /// What was said of that the last time, and when; nothing where there was room.
    said: Option<(Time, String)>,
    /// How many claims have been looked at.
    #[cfg(test)]
    looks: usize,
}

impl Claims {
    fn of(&self, role: RoleId) -> Option<&Claimed> {
        let claimed = self.all.get(role.key as usize)?.as_ref();
        claimed.filter(|claimed| claimed.role == role)
    }

    /// In place of what the role has claimed before.
    fn put(&mut self, role: RoleId, claim: Claim) {
        let before = self.of(role).copied();
        self.is_new |= before.is_none_or(|before| before.claim != claim);
        let guests = before.map_or(0, |claimed| claimed.guests);
        self.take_out(role);
        let place = role.key as usize;
        if self.all.len() <= place {
            self.all.resize(place + 1, None);
        }
        let claimed = Claimed {
            role,
            claim,
            guests,
        };
        self.count += 1;
        self.hosts += usize::from(claim.guests > 0);
        self.needs += claim.needs;
        *self.reserves.entry(claim.reserve).or_default() += 1;
        self.owed += claimed.owed(self.part);
        self.all[place] = Some(claimed);
    }

    /// The role is over. What was said of the room may hold no more.
    pub(super) fn remove(&mut self, role: RoleId) {
        self.is_new |= self.of(role).is_some();
        self.take_out(role);
    }

    fn take_out(&mut self, role: RoleId) {
        let Some(Claimed { claim, .. }) = self.of(role).copied() else {
            return;
        };
        self.owed -= self.of(role).map_or(0, |claimed| claimed.owed(self.part));
        self.all[role.key as usize] = None;
        self.count -= 1;
        self.hosts -= usize::from(claim.guests > 0);
        self.needs -= claim.needs;
        if let Entry::Occupied(mut alike) = self.reserves.entry(claim.reserve) {
            *alike.get_mut() -= 1;
            if *alike.get() == 0 {
                alike.remove();
            }
        }
    }

    /// A role has one guest more.
    fn come(&mut self, role: RoleId) {
        self.count_guests(role, |guests| *guests += 1);
    }

    /// A role has one guest less.
    fn go(&mut self, role: RoleId) {
        self.count_guests(role, |guests| *guests -= 1);
    }

    fn count_guests(&mut self, role: RoleId, count: impl FnOnce(&mut usize)) {
        #[cfg(test)]
        {
            self.looks += 1;
        }
        let claimed = self.all.get_mut(role.key as usize).and_then(Option::as_mut);
        if let Some(claimed) = claimed.filter(|claimed| claimed.role == role) {
            self.owed -= claimed.owed(self.part);
            count(&mut claimed.guests);
            self.owed += claimed.owed(self.part);
        }
    }

    /// How many more guests a role can be sure of, and how many all others can, where each has such a part of its own.
    fn owed(&mut self, role: RoleId, part: usize) -> (usize, usize) {
        if self.part != part {
            self.part = part;
            self.owed = self.sum(|claimed| claimed.owed(part));
            #[cfg(test)]
            {
                self.looks += self.all.len();
            }
        }
        let own = self.of(role).map_or(0, |claimed| claimed.owed(part));
        (own, self.owed - own)
    }

    /// The most that one of them would have left free.
    fn reserve(&self) -> usize {
        self.reserves.last_key_value().map_or(0, |(most, _)| *most)
    }

    fn sum(&self, figure: impl Fn(&Claimed) -> usize) -> usize {
        self.all.iter().flatten().map(figure).sum()
    }

    /// What is to be said where a role has been told to let in more guests than there is room for in all.
    fn shortage(&self, room: usize) -> Option<String> {
        let all = self.all.iter().flatten().map(|it| it.claim.guests);
        // One that lets in as many as it can has not been told a number.
        let told = all.filter(|guests| *guests < usize::MAX);
        let (most, sum) = told.fold((0, 0_usize), |(most, sum), guests| {
            (most.max(guests), sum.saturating_add(guests))
        });
        let clients = Count(room, "client");
        let at_most = match self.hosts {
            0 | 1 => "at most".to_owned(),
            _ => format!("of all roles together at most, and not for {sum}"),
        };
        (most > room).then(|| {
            format!("descriptors are enough for {clients} {at_most} (raise it: ulimit -n)")
        })
    }

    /// Panics where what is kept is not what the claims come to.
    pub(super) fn check_invariants(&self) {
        let reserves = self.all.iter().flatten().map(|it| it.claim.reserve);
        let kept = (self.count, self.hosts, self.needs, self.reserve());
        let are = (
            self.sum(|_| 1),
            self.sum(|it| usize::from(it.claim.guests > 0)),
            self.sum(|it| it.claim.needs),
            reserves.max().unwrap_or(0),
        );
        assert_eq!(kept, are, "claims are counted wrong");
        let owed = self.sum(|it| it.owed(self.part));
        assert_eq!(
            self.owed, owed,
            "what hosts can be sure of is counted wrong"
        );
    }
}

impl Core {
    /// Notes what a role would have, in place of what it said before.
    pub(super) fn claim(&mut self, role: RoleId, claim: Claim) -> Room {
        self.claims.put(role, claim);
        self.room()
    }

    fn room(&self) -> Room {
        let (all, kept) = (self.all(), self.kept_back());
        Room {
            guests: all.saturating_sub(kept),
            missing: (kept + 1).saturating_sub(all),
        }
    }

    /// Says how many guests there is room for where roles would have more: in one line for all of them, since they
    /// share it. To be called before every turn.
    pub(super) fn say_room(&mut self) {
        if self.claims.is_new {
            self.say_new_room();
        }
    }

    #[cold]
    fn say_new_room(&mut self) {
        let said = self.claims.said.as_ref();
        if said.is_some_and(|(at, _)| self.now.since(*at) < TOGETHER) {
            return;
        }
        self.claims.is_new = false;
        let text = self.claims.shortage(self.room().guests);
        if let Some(text) = &text
            && said.is_none_or(|(_, said)| said != text)
        {
            log::warn!("hydrant: {text}");
        }
        self.claims.said = text.map(|text| (self.now, text));
    }

    /// Makes a socket of a role's its guest, if there is room for it. A role that has claimed nothing has no limit.
    pub(super) fn admit(&mut self, role: RoleId, sock: SockId) -> bool {
        if self.claims.of(role).is_none() {
            return true;
        }
        let Some(before) = self.table.set_kind(sock, Kind::Guest) else {
            return true;
        };
        if before == Kind::Guest {
            return true;
        }
        let is_room = self.is_room(role, 0);
        match is_room {
            true => self.claims.come(role),
            false => drop(self.table.set_kind(sock, before)),
        }
        is_room
    }

    /// Counts a socket that was dialled for a guest among its role's guests, for whom there was room.
    pub(super) fn count_in(&mut self, role: RoleId, sock: SockId) {
        if self.claims.of(role).is_some()
            && let Some(before) = self.table.set_kind(sock, Kind::Guest)
            && before != Kind::Guest
        {
            self.claims.come(role);
        }
    }

    /// Whether a role may have one more guest for whom a socket is still to be opened, as for `pending` others.
    pub(super) fn has_room(&mut self, role: RoleId, pending: usize) -> bool {
        self.claims.of(role).is_none() || self.is_room(role, pending + 1)
    }

    /// Whether more strangers may stay: what roles need themselves is not theirs.
    pub(super) fn has_spare(&self) -> bool {
        let needed = self
            .claims
            .needs
            .saturating_sub(self.table.count(Kind::Own));
        self.claims.count == 0 || self.free() >= SPARE + needed
    }

    /// Whether another connection can be taken in this turn. What is closed in it gives descriptors free only at its
    /// end: those who are turned away are to take none that somebody else counts on.
    pub(super) fn may_accept(&self) -> bool {
        self.closing_count() == 0 || self.net.sockets_left() > 0
    }

    /// A socket is about to be forgotten.
    pub(super) fn uncount(&mut self, sock: SockId) {
        let slot = self.table.get(sock).filter(|slot| slot.is_guest());
        if let Some(Owner::Role(role)) = slot.map(|slot| slot.owner) {
            self.claims.go(role);
        }
    }

    fn is_room(&mut self, role: RoleId, to_open: usize) -> bool {
        let (free, kept) = (self.free(), self.kept_back());
        if free < kept + to_open {
            return false;
        }
        let room = self.all().saturating_sub(kept);
        let part = room / 2 / self.claims.hosts.max(1);
        let (own, others) = self.claims.owed(role, part);
        own > 0 || free >= kept + others + to_open
    }

    /// Descriptors that no guest may have.
    fn kept_back(&self) -> usize {
        let used = self.table.count(Kind::Own) + self.table.count(Kind::Stranger);
        (self.claims.reserve() + self.claims.needs).saturating_sub(used)
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
/// Roles that begin within this time have one line about the room that they have.
const TOGETHER: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::rng::Rng;

    fn role(key: u32, generation: u32) -> RoleId {
        RoleId { key, generation }
    }

    fn claim(reserve: usize, needs: usize, guests: usize) -> Claim {
        Claim {
            reserve,
            needs,
            guests,
        }
    }

    /// Whoever is let in, or goes, costs no look at the claims of all roles.
    #[test]
    fn guests_of_one_of_many_roles_concern_no_other() {
        const ROLES: u32 = 1_000;
        const GUESTS: usize = 10_000;
        let mut claims = Claims::default();
        for key in 0..ROLES {
            claims.put(role(key, 1), claim(3, 2, GUESTS));
        }
        let part = 50;
        assert_eq!(claims.owed(role(7, 1), part), (50, 50 * 999));
        claims.looks = 0;
        for at in 0..GUESTS {
            let (own, others) = claims.owed(role(7, 1), part);
            assert_eq!((own, others), (part.saturating_sub(at), 50 * 999));
            claims.come(role(7, 1));
        }
        for _ in 0..GUESTS {
            claims.go(role(7, 1));
        }
        assert!(claims.looks <= 2 * GUESTS, "{}", claims.looks);
        claims.check_invariants();
    }

    /// One that can never have what it was told to have is why it is said; the sum is what all were told.
    #[test]
    fn a_shortage_is_that_of_all_roles() {
        let mut claims = Claims::default();
        claims.put(role(0, 1), claim(0, 2, 100));
        assert_eq!(claims.shortage(100), None);
        let alone = "descriptors are enough for 99 clients at most (raise it: ulimit -n)";
        assert_eq!(claims.shortage(99).as_deref(), Some(alone));
        // It has as many as there are.
        claims.put(role(1, 1), claim(0, 2, usize::MAX));
        claims.put(role(2, 1), claim(0, 2, 40));
        assert_eq!(claims.shortage(100), None);
        let together = "descriptors are enough for 1 client of all roles together at most, and not for 140 \
                        (raise it: ulimit -n)";
        assert_eq!(claims.shortage(1).as_deref(), Some(together));
        claims.is_new = false;
        claims.put(role(0, 1), claim(0, 2, 100));
        assert!(!claims.is_new, "it claims the same");
        claims.remove(role(0, 1));
        assert!(claims.is_new, "a shortage that comes back is said again");
        assert_eq!(claims.shortage(40), None);
    }

    /// Whatever comes, goes and changes, the sums are those of the claims, and one that is gone has none.
    #[test]
    fn the_sums_are_those_of_the_claims() {
        for seed in 0..64 {
            let mut rng = Rng::new(seed);
            let mut claims = Claims::default();
            let mut there: Vec<(RoleId, usize)> = Vec::new();
            let mut generation = 0;
            for _ in 0..400 {
                let mut below = |most: u64| rng.below(most) as usize;
                let at = below(there.len().max(1) as u64);
                match below(6) {
                    0 => {
                        generation += 1;
                        let taken = |key| there.iter().any(|(it, _)| it.key == key);
                        let key = (0..).find(|key| !taken(*key)).expect("a place");
                        let guests = [0, 3, usize::MAX][below(3)];
                        claims.put(role(key, generation), claim(below(9), below(9), guests));
                        there.push((role(key, generation), 0));
                    }
                    _ if there.is_empty() => {}
                    1 => {
                        let (gone, _) = there.swap_remove(at);
                        claims.remove(gone);
                        claims.remove(gone);
                        claims.come(gone);
                        assert!(claims.of(gone).is_none());
                    }
                    2 => claims.put(there[at].0, claim(below(9), below(9), below(9))),
                    3 if there[at].1 > 0 => {
                        there[at].1 -= 1;
                        claims.go(there[at].0);
                    }
                    4 => {
                        let part = below(8);
                        let (id, guests) = there[at];
                        let most = claims.of(id).expect("it is there").claim.guests;
                        let own = part.min(most).saturating_sub(guests);
                        assert_eq!(claims.owed(id, part).0, own);
                    }
                    _ => {
                        there[at].1 += 1;
                        claims.come(there[at].0);
                    }
                }
                claims.check_invariants();
            }
        }
    }
}
