//! Who wants what of which socket, and what is ready: two bits a direction, and the queue of visits that follow from
//! them. It knows no socket, only ids.
//!
//! ```text
//!               edge from the net
//!      idle  ────────────────────>  ready
//!       ^ │ want                 want │ ^
//!       │ v                           v │ not wanted any more
//!     waiting ──────────────────>  queued ──> a visit ──> WouldBlock or drained: waiting; else: queued again
//!               edge from the net
//! ```
//!
//! **Invariant.** A direction that is both wanted and ready has its socket in the queue.

use std::collections::VecDeque;

use crate::reactor::event::{DialId, RoleId};
use crate::reactor::net::SockId;

/// Whose socket or timer it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    Role(RoleId),
    Dial(DialId),
}

/// A direction of a stream. A listener's connections are its `Read` side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Read,
    Write,
}

/// What a socket is to the process, where descriptors are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Listener,
    /// It was dialled or opened from here.
    Own,
    /// It has connected, and nobody has let it in yet.
    Stranger,
    Guest,
}

impl Kind {
    const ALL: [Self; 4] = [Self::Listener, Self::Own, Self::Stranger, Self::Guest];
}

/// A visit that is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Visit {
    Sock(SockId),
    Again(RoleId),
}

/// What the reactor remembers of a socket.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slot {
    pub(super) owner: Owner,
    pub(super) tag: u32,
    generation: u32,
    bits: u16,
    /// The round in which it was visited last.
    round: u16,
}

impl Slot {
    /// Whether a visit for this direction is due.
    pub(super) fn due(&self, way: Way) -> bool {
        self.wants(way) && self.is_ready(way) && self.bits & (PAUSED | DEFERRED) == 0
    }

    pub(super) fn wants(&self, way: Way) -> bool {
        self.bits & want_bit(way) != 0
    }

    pub(super) fn is_ready(&self, way: Way) -> bool {
        self.bits & ready_bit(way) != 0
    }

    pub(super) fn is_listener(&self) -> bool {
        self.bits & LISTENER != 0
    }

    pub(super) fn is_guest(&self) -> bool {
        self.kind() == Kind::Guest
    }

    pub(super) fn kind(&self) -> Kind {
        Kind::ALL[usize::from(self.bits >> KIND_SHIFT)]
    }

    /// Whether a role is to write to it, and nothing else is due.
    fn is_writer(&self) -> bool {
        let is_only_writable = self.due(Way::Write) && !self.due(Way::Read) && !self.is_pressed();
        is_only_writable && matches!(self.owner, Owner::Role(_))
    }

    fn is_pressed(&self) -> bool {
        self.bits & (PRESSED | DEFERRED) == PRESSED
    }

    /// Takes the order for one more visit off it, if it has one.
    pub(super) fn take_press(&mut self) -> bool {
        let pressed = self.is_pressed();
        self.bits &= !PRESSED;
        pressed
    }
}

/// All sockets, by their place, and the visits that are due.
#[derive(Debug, Default)]
pub(super) struct Table {
    slots: Vec<Slot>,
    queue: VecDeque<Visit>,
    /// Those whose visits are put off, each of them once. May hold ids that are stale.
    deferred: VecDeque<SockId>,
    /// Rounds of visits that were begun. Two that are 65,536 apart look alike.
    round: u16,
    /// How many sockets there are of each kind.
    counts: [usize; Kind::ALL.len()],
}

impl Table {
    /// Takes in a socket. Nothing is wanted of it. A stream counts as writable until a write says otherwise.
    pub(super) fn adopt(&mut self, id: SockId, owner: Owner, kind: Kind) {
        let place = id.key as usize;
        // It may have had another owner.
        self.release(id);
        let vacant = Slot {
            owner,
            tag: 0,
            generation: 0,
            bits: 0,
            round: self.round.wrapping_sub(1),
        };
        if self.slots.len() <= place {
            self.slots.resize(place + 1, vacant);
        }
        let bits = OPEN
            | (kind as u16) << KIND_SHIFT
            | if kind == Kind::Listener {
                LISTENER | READ_READY
            } else {
                WRITE_READY
            };
        self.counts[kind as usize] += 1;
        self.slots[place] = Slot {
            generation: id.generation,
            bits,
            ..vacant
        };
    }

    /// Forgets a socket; visits that are queued for it find nothing.
    pub(super) fn release(&mut self, id: SockId) {
        if let Some(place) = self.place(id) {
            self.counts[self.slots[place].kind() as usize] -= 1;
            self.slots[place].bits = 0;
        }
    }

    /// How many sockets there are of a kind.
    pub(super) fn count(&self, kind: Kind) -> usize {
        self.counts[kind as usize]
    }

    /// Makes a socket one of another kind. What it was before; nothing if it is gone.
    pub(super) fn set_kind(&mut self, id: SockId, kind: Kind) -> Option<Kind> {
        let place = self.place(id)?;
        let before = self.slots[place].kind();
        let bits = &mut self.slots[place].bits;
        *bits = *bits & !(KINDS << KIND_SHIFT) | (kind as u16) << KIND_SHIFT;
        self.counts[before as usize] -= 1;
        self.counts[kind as usize] += 1;
        Some(before)
    }

    pub(super) fn get(&self, id: SockId) -> Option<&Slot> {
        self.place(id).map(|place| &self.slots[place])
    }

    pub(super) fn get_mut(&mut self, id: SockId) -> Option<&mut Slot> {
        self.place(id).map(|place| &mut self.slots[place])
    }

    /// Where a socket stands; nowhere once it was released, though another one may stand there by now.
    fn place(&self, id: SockId) -> Option<usize> {
        let place = id.key as usize;
        let slot = self.slots.get(place)?;
        (slot.bits & OPEN != 0 && slot.generation == id.generation).then_some(place)
    }

    /// Says whether a direction is wanted from now on.
    pub(super) fn want(&mut self, id: SockId, way: Way, wanted: bool) {
        let Some(place) = self.place(id) else { return };
        let slot = &mut self.slots[place];
        match wanted {
            true => slot.bits |= want_bit(way),
            false => slot.bits &= !want_bit(way),
        }
        self.enqueue_at(place, id);
    }

    /// The net says that a direction may have become ready.
    pub(super) fn edge(&mut self, id: SockId, way: Way) {
        self.edges(id, way == Way::Read, way == Way::Write);
    }

    /// It says so of either, or of both.
    pub(super) fn edges(&mut self, id: SockId, readable: bool, writable: bool) {
        let Some(place) = self.place(id) else { return };
        let slot = &mut self.slots[place];
        slot.bits |= if readable { READ_READY } else { 0 };
        slot.bits |= if writable { WRITE_READY } else { 0 };
        self.enqueue_at(place, id);
    }

    /// A direction gives nothing more until the next edge.
    pub(super) fn spent(&mut self, id: SockId, way: Way) {
        if let Some(slot) = self.get_mut(id) {
            slot.bits &= !ready_bit(way);
        }
    }

    /// Makes no visits to a listener until it is resumed; what is wanted and ready stays so.
    pub(super) fn pause(&mut self, id: SockId) {
        if let Some(slot) = self.get_mut(id) {
            slot.bits |= PAUSED;
        }
    }

    /// Ends a pause.
    pub(super) fn resume(&mut self, id: SockId) {
        if let Some(slot) = self.get_mut(id) {
            slot.bits &= !PAUSED;
            self.enqueue(id);
        }
    }

    /// Makes no visits to a stream until it is the first of those that were put off.
    pub(super) fn defer(&mut self, id: SockId) {
        if let Some(slot) = self.get_mut(id)
            && slot.bits & DEFERRED == 0
        {
            slot.bits |= DEFERRED;
            self.deferred.push_back(id);
        }
    }

    /// Whether visits may have been put off.
    pub(super) fn has_deferred(&self) -> bool {
        !self.deferred.is_empty()
    }

    /// Takes the first of those that were put off, whose visits are made as ever from now on.
    pub(super) fn next_deferred(&mut self) -> Option<SockId> {
        while let Some(id) = self.deferred.pop_front() {
            if let Some(slot) = self.get_mut(id) {
                slot.bits &= !DEFERRED;
                return Some(id);
            }
        }
        None
    }

    /// Queues one visit for reading, whether or not anything is ready.
    pub(super) fn press(&mut self, id: SockId) {
        if let Some(slot) = self.get_mut(id) {
            slot.bits |= PRESSED;
            self.enqueue(id);
        }
    }

    /// Queues a visit to a role itself.
    pub(super) fn again(&mut self, role: RoleId) {
        self.queue.push_back(Visit::Again(role));
    }

    /// Queues a visit if one is due and none is queued.
    pub(super) fn enqueue(&mut self, id: SockId) {
        if let Some(place) = self.place(id) {
            self.enqueue_at(place, id);
        }
    }

    fn enqueue_at(&mut self, place: usize, id: SockId) {
        let slot = &mut self.slots[place];
        let due = slot.due(Way::Read) || slot.due(Way::Write) || slot.is_pressed();
        if due && slot.bits & QUEUED == 0 {
            slot.bits |= QUEUED;
            self.queue.push_back(Visit::Sock(id));
        }
    }

    /// Begins a round of visits.
    pub(super) fn begin_round(&mut self) {
        self.round = self.round.wrapping_add(1);
    }

    /// The visits that are due now. Those that the visits themselves bring up come after these.
    pub(super) fn due(&self) -> usize {
        self.queue.len()
    }

    /// Whether no visit is due, not even one that was put off.
    pub(super) fn is_idle(&self) -> bool {
        self.queue.is_empty() && self.deferred.is_empty()
    }

    /// Takes the first visit off the queue.
    pub(super) fn next(&mut self) -> Option<Visit> {
        let visit = self.queue.pop_front()?;
        let round = self.round;
        if let Visit::Sock(id) = visit
            && let Some(slot) = self.get_mut(id)
        {
            slot.bits &= !QUEUED;
            slot.round = round;
        }
        Some(visit)
    }

    /// Takes the first visit off the queue if it is a role's stream's that is only to be written to, and has not been
    /// visited in this round; otherwise puts it at the end.
    pub(super) fn next_writer(&mut self) -> Option<SockId> {
        let visit = self.queue.pop_front()?;
        let round = self.round;
        if let Visit::Sock(id) = visit {
            let slot = self.get_mut(id)?;
            if slot.round != round && slot.is_writer() {
                slot.bits &= !QUEUED;
                slot.round = round;
                return Some(id);
            }
        }
        self.queue.push_back(visit);
        None
    }

    /// The sockets of one owner.
    pub(super) fn owned_by(&self, owner: Owner) -> Vec<SockId> {
        let held = |(place, slot): (usize, &Slot)| {
            let id = SockId {
                key: place as u32,
                generation: slot.generation,
            };
            (slot.bits & OPEN != 0 && slot.owner == owner).then_some(id)
        };
        self.slots.iter().enumerate().filter_map(held).collect()
    }

    /// All sockets.
    pub(super) fn all(&self) -> impl Iterator<Item = SockId> {
        self.slots
            .iter()
            .enumerate()
            .filter(|(_, slot)| slot.bits & OPEN != 0)
            .map(|(place, slot)| SockId {
                key: place as u32,
                generation: slot.generation,
            })
    }

    /// Panics where the invariant of this file does not hold.
    pub(super) fn check_invariants(&self) {
        for id in self.all() {
            let slot = self.get(id).expect("all() lists open slots");
            let due = slot.due(Way::Read) || slot.due(Way::Write);
            assert!(
                !due || slot.bits & QUEUED != 0,
                "{id:?} is wanted and ready, yet nobody will visit it: {slot:?}"
            );
            let queued = self.queue.contains(&Visit::Sock(id));
            assert_eq!(
                queued,
                slot.bits & QUEUED != 0,
                "{id:?}: the queue and the bit differ"
            );
        }
    }
}

const READ_WANT: u16 = 1;
const WRITE_WANT: u16 = 1 << 1;
const READ_READY: u16 = 1 << 2;
const WRITE_READY: u16 = 1 << 3;
/// A visit stands in the queue.
const QUEUED: u16 = 1 << 4;
/// One visit is due though no edge announces it.
const PRESSED: u16 = 1 << 5;
const LISTENER: u16 = 1 << 6;
const OPEN: u16 = 1 << 7;
/// A timer will end the pause.
const PAUSED: u16 = 1 << 8;

/// Its visits are put off.
const DEFERRED: u16 = 1 << 9;

/// The highest bits are the kind.
const KIND_SHIFT: u32 = 14;
const KINDS: u16 = 0b11;

fn want_bit(way: Way) -> u16 {
    match way {
        Way::Read => READ_WANT,
        Way::Write => WRITE_WANT,
    }
}

fn ready_bit(way: Way) -> u16 {
    match way {
        Way::Read => READ_READY,
        Way::Write => WRITE_READY,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROLE: RoleId = RoleId {
        key: 0,
        generation: 1,
    };
    const A: SockId = SockId {
        key: 3,
        generation: 7,
    };

    fn table() -> Table {
        let mut table = Table::default();
        table.adopt(A, Owner::Role(ROLE), Kind::Stranger);
        table
    }

    #[test]
    fn want_and_edge_in_either_order_queue_one_visit() {
        let mut table = table();
        table.want(A, Way::Read, true);
        assert_eq!(table.due(), 0);
        table.edge(A, Way::Read);
        table.edge(A, Way::Read);
        assert_eq!(table.due(), 1);
        assert_eq!(table.next(), Some(Visit::Sock(A)));

        table.want(A, Way::Write, true);
        assert_eq!(table.due(), 1, "a fresh stream counts as writable");
        table.check_invariants();
    }

    #[test]
    fn a_stale_id_finds_nothing() {
        let mut table = table();
        table.release(A);
        table.adopt(
            SockId { generation: 8, ..A },
            Owner::Role(ROLE),
            Kind::Stranger,
        );
        table.want(A, Way::Read, true);
        table.edge(A, Way::Read);
        assert_eq!(table.due(), 0);
        assert!(table.get(A).is_none(), "its place is another one's");
    }

    #[test]
    fn a_paused_listener_is_visited_once_it_is_resumed() {
        let mut table = Table::default();
        table.adopt(A, Owner::Role(ROLE), Kind::Listener);
        table.pause(A);
        table.want(A, Way::Read, true);
        table.edge(A, Way::Read);
        assert_eq!(table.due(), 0);
        table.resume(A);
        assert_eq!(table.due(), 1);
        table.check_invariants();
    }

    #[test]
    fn those_that_are_put_off_are_visited_one_by_one() {
        let mut table = table();
        let other = SockId { key: 5, ..A };
        table.adopt(other, Owner::Role(ROLE), Kind::Stranger);
        for id in [A, other] {
            table.defer(id);
            table.defer(id);
            table.want(id, Way::Read, true);
            table.edge(id, Way::Read);
            table.press(id);
        }
        assert_eq!((table.due(), table.is_idle()), (0, false));
        assert_eq!(table.next_deferred(), Some(A));
        table.enqueue(A);
        assert_eq!(table.next(), Some(Visit::Sock(A)));
        table.release(other);
        assert_eq!(table.next_deferred(), None);
        assert!(table.is_idle());
    }

    #[test]
    fn only_writers_that_have_had_no_visit_get_one_at_the_end_of_a_round() {
        let mut table = table();
        let [reader, late] = [5, 6].map(|key| SockId { key, ..A });
        for id in [reader, late] {
            table.adopt(id, Owner::Role(ROLE), Kind::Stranger);
        }
        table.begin_round();
        table.want(A, Way::Write, true);
        assert_eq!(table.next(), Some(Visit::Sock(A)));
        table.enqueue(A);
        table.want(reader, Way::Read, true);
        table.edge(reader, Way::Read);
        table.again(ROLE);
        table.want(late, Way::Write, true);
        let round: Vec<_> = (0..table.due()).map(|_| table.next_writer()).collect();
        assert_eq!(round, [None, None, None, Some(late)]);
        table.spent(late, Way::Write);
        table.check_invariants();
        let next: Vec<_> = std::iter::from_fn(|| table.next()).collect();
        assert_eq!(
            next,
            [Visit::Sock(A), Visit::Sock(reader), Visit::Again(ROLE)]
        );
        table.enqueue(A);
        table.begin_round();
        assert_eq!(table.next_writer(), Some(A));
    }

    #[test]
    fn spent_readiness_waits_for_an_edge() {
        let mut table = table();
        table.want(A, Way::Read, true);
        table.edge(A, Way::Read);
        table.next();
        table.spent(A, Way::Read);
        table.enqueue(A);
        assert_eq!(table.due(), 0);
        table.check_invariants();
    }
}
