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
use crate::reactor::table::{Kind, Owner, Slot};

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
    /// What says so to the user: `--max-clients`, ...
    pub limit: &'static str,
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
    /// It has been told to go. It shares what there is until it is over, and what is said of that is not for it.
    is_leaving: bool,
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
    /// Some are about to begin or to be told to go: nothing is said until all have.
    is_changing: bool,
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
        let is_leaving = before.is_some_and(|before| before.is_leaving);
        self.is_new |= !is_leaving && before.is_none_or(|before| before.claim != claim);
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
            is_leaving,
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
        self.is_new |= self.of(role).is_some_and(|claimed| !claimed.is_leaving);
        self.take_out(role);
    }

    /// The role has been told to go, or is over once this turn is: what is said of the room from now on is said of the
    /// others.
    pub(super) fn leave(&mut self, role: RoleId) {
        let claimed = self.all.get_mut(role.key as usize).and_then(Option::as_mut);
        if let Some(claimed) = claimed.filter(|claimed| claimed.role == role) {
            self.is_new |= !claimed.is_leaving;
            claimed.is_leaving = true;
        }
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

    /// Those that will be there once all that were told to go are gone.
    fn staying(&self) -> impl Iterator<Item = &Claimed> + Clone {
        let all = self.all.iter().flatten();
        all.filter(|claimed| !claimed.is_leaving)
    }

    /// What is to be said where a role that stays can never have as many guests as it was told to let in, though no
    /// other one has any.
    ///
    /// The sum of all those numbers is no reason to say something: each is the most that its role takes, be it by
    /// default, and all of them hardly ever come at once. But what one of them can have is less than the room: the
    /// parts that the others can be sure of are kept for them, those without a number too. One without a number takes
    /// what there is, and can't be short of it.
    fn shortage(&self, room: usize) -> Option<String> {
        let hosts = self.staying().filter(|it| it.claim.guests > 0);
        let guests: Vec<usize> = hosts.clone().map(|it| it.claim.guests).collect();
        let told = hosts.filter(|it| it.claim.guests < usize::MAX);
        // What the one with the most can have, any other one can.
        let Claim {
            guests: most,
            limit,
            ..
        } = told.max_by_key(|it| it.claim.guests)?.claim;
        let reach = reach(&guests, most, room);
        if most <= reach {
            return None;
        }
        let more = room_for(&guests, most, room) - room;
        let sum = guests
            .iter()
            .fold(0, |sum: usize, of| sum.saturating_add(*of));
        let clients = Count(room, "client");
        let have = match guests.len() {
            1 => String::new(),
            _ => format!(" of all roles together, of which one role can have {reach} at most"),
        };
        let at_once = match sum {
            usize::MAX => String::new(),
            sum if sum == most => String::new(),
            sum => format!(" (by {} for the {sum} of all roles at once)", sum - room),
        };
        Some(format!(
            "descriptors are enough for {clients}{have}, and not the {most} of {limit}: raise ulimit -n, or \
             LimitNOFILE= of its service, by {more} or more{at_once}"
        ))
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

    /// Roles are about to begin and to be told to go, or all of them have been: only then it is known what will run.
    pub(super) fn note_changing(&mut self, is_changing: bool) {
        self.claims.is_changing = is_changing;
    }

    /// The most guests of all roles together, once those are gone that were told to go.
    fn room_to_come(&self) -> usize {
        let (mut freed, mut theirs) = (0, 0);
        let leaving = self.claims.all.iter().flatten();
        for claimed in leaving.filter(|claimed| claimed.is_leaving) {
            for sock in self.table.owned_by(Owner::Role(claimed.role)) {
                match self.table.get(sock).map(Slot::kind) {
                    Some(Kind::Listener) => freed += 1,
                    Some(Kind::Own | Kind::Stranger) => theirs += 1,
                    Some(Kind::Guest) | None => {}
                }
            }
        }
        let used = self.table.count(Kind::Own) + self.table.count(Kind::Stranger);
        let reserve = self.claims.staying().map(|it| it.claim.reserve).max();
        let needs: usize = self.claims.staying().map(|it| it.claim.needs).sum();
        let kept = (reserve.unwrap_or(0) + needs).max(used - theirs);
        let all = self.all().saturating_add(used + freed);
        all.saturating_sub(kept)
    }

    /// Says how many guests there is room for where roles would have more: in one line for all of them, since they
    /// share it. To be called before every turn.
    pub(super) fn say_room(&mut self) {
        if self.claims.is_new && !self.claims.is_changing {
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
        let text = self.claims.shortage(self.room_to_come());
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

/// The most guests that a role with `most` of them can have where there is such a room for `guests` of each.
fn reach(guests: &[usize], most: usize, room: usize) -> usize {
    let part = room / 2 / guests.len();
    let kept: usize = guests.iter().map(|guests| part.min(*guests)).sum();
    room - (kept - part.min(most))
}

/// A room that is larger, and enough for `most` guests of one of them.
fn room_for(guests: &[usize], most: usize, room: usize) -> usize {
    // In wholes of a part, which is what makes more room never less of a reach.
    let whole = 2 * guests.len();
    let is_enough = |room: usize| {
        let kept = |guests: usize| guests.saturating_mul(whole).min(room);
        let all: usize = guests.iter().map(|guests| kept(*guests)).sum();
        room * whole - (all - kept(most)) >= most * whole
    };
    // Half of it and more is never kept for others.
    let (mut short, mut enough) = (room, most * 2);
    while enough - short > 1 {
        let middle = short + (enough - short) / 2;
        match is_enough(middle) {
            true => enough = middle,
            false => short = middle,
        }
    }
    enough
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
            limit: "--max-clients",
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

    /// What is told of it: how many there may be in all, of one role, and how many more descriptors it takes.
    fn told(claims: &Claims, room: usize) -> Option<String> {
        let text = claims.shortage(room)?;
        let digits = text.split(|c: char| !c.is_ascii_digit());
        let numbers: Vec<&str> = digits.filter(|number| !number.is_empty()).collect();
        Some(numbers.join(" "))
    }

    /// One that can never have what it was told to have is why it is said; the sum is what all were told.
    #[test]
    fn a_shortage_is_that_of_all_roles() {
        let mut claims = Claims::default();
        claims.put(role(0, 1), claim(0, 2, 100));
        assert_eq!(claims.shortage(100), None);
        let alone = "descriptors are enough for 99 clients, and not the 100 of --max-clients: raise ulimit -n, or \
                     LimitNOFILE= of its service, by 1 or more";
        assert_eq!(claims.shortage(99).as_deref(), Some(alone));
        // All of them together would have 140, and each can have its own.
        claims.put(role(2, 1), claim(0, 2, 40));
        assert_eq!(claims.shortage(134), None);
        // A quarter is the other's, whether that has guests or not.
        let together = "descriptors are enough for 120 clients of all roles together, of which one role can have 90 \
                        at most, and not the 100 of --max-clients: raise ulimit -n, or LimitNOFILE= of its service, \
                        by 14 or more (by 20 for the 140 of all roles at once)";
        assert_eq!(claims.shortage(120).as_deref(), Some(together));
        // One without a number has such a part, and is never short.
        claims.put(role(1, 1), claim(0, 2, usize::MAX));
        claims.remove(role(2, 1));
        assert_eq!(claims.shortage(134), None);
        assert_eq!(told(&claims, 120).as_deref(), Some("120 90 100 14"));
        claims.is_new = false;
        claims.put(role(0, 1), claim(0, 2, 100));
        assert!(!claims.is_new, "it claims the same");
        claims.remove(role(0, 1));
        assert!(claims.is_new, "a shortage that comes back is said again");
        assert_eq!(claims.shortage(40), None);
    }

    /// One that was told to go wants nothing any more, whatever it says until it is over.
    #[test]
    fn a_shortage_is_not_that_of_those_who_go() {
        let mut claims = Claims::default();
        claims.put(role(0, 1), claim(0, 2, 100));
        claims.put(role(1, 1), claim(0, 2, 60));
        assert!(claims.shortage(80).is_some());
        claims.is_new = false;
        claims.leave(role(0, 1));
        assert!(claims.is_new && claims.shortage(60).is_none());
        assert_eq!(told(&claims, 59).as_deref(), Some("59 60 1"));
        claims.is_new = false;
        claims.put(role(0, 1), claim(0, 3, 200));
        claims.leave(role(0, 1));
        claims.remove(role(0, 1));
        assert!(!claims.is_new, "nothing of those that stay is new");
        claims.check_invariants();
    }

    /// What is said agrees with whom is let in, and who does what it says has no shortage.
    #[test]
    fn a_shortage_is_what_a_role_alone_comes_to() {
        for seed in 0..512 {
            let mut rng = Rng::new(seed);
            let mut below = |most: u64| rng.below(most) as usize;
            let count = 1 + below(6);
            let room = 1 + below(200);
            let mut claims = Claims::default();
            for key in 0..count as u32 {
                let guests = [usize::MAX, 1 + below(20), 1 + below(300)][below(3)];
                claims.put(role(key, 1), claim(0, 0, guests));
            }
            let part = room / 2 / count;
            // As in `is_room`, with nothing kept back.
            let comes_to = |claims: &mut Claims, id: RoleId, most: usize| {
                let mut guests = 0;
                while guests < most {
                    let free = room - guests;
                    let (own, others) = claims.owed(id, part);
                    // The newcomer has its descriptor by then.
                    if free == 0 || own == 0 && free - 1 < others {
                        break;
                    }
                    claims.come(id);
                    guests += 1;
                }
                (0..guests).for_each(|_| claims.go(id));
                guests
            };
            let all: Vec<usize> = claims
                .all
                .iter()
                .flatten()
                .map(|it| it.claim.guests)
                .collect();
            let is_short = (0..count as u32).any(|key| {
                let most = all[key as usize];
                most < usize::MAX && comes_to(&mut claims, role(key, 1), most) < most
            });
            let said = told(&claims, room);
            assert_eq!(said.is_some(), is_short, "{seed}: {room} {all:?}");
            let Some(said) = said else { continue };
            let numbers: Vec<usize> = said.split(' ').map(|it| it.parse().unwrap()).collect();
            let (most, more) = match count {
                1 => (numbers[1], numbers[2]),
                _ => (numbers[2], numbers[3]),
            };
            let key = all.iter().position(|guests| *guests == most).unwrap() as u32;
            if count > 1 {
                assert_eq!(
                    numbers[1],
                    comes_to(&mut claims, role(key, 1), most),
                    "{seed}"
                );
            }
            assert_eq!(
                told(&claims, room + more),
                None,
                "{seed}: {room} {more} {all:?}"
            );
        }
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
