//! Those who receive: one small record each, and who of them is current (has every byte so far) or behind.
//!
//! ```text
//!    join ──> current ──short write──> behind ──caught up──> current
//!                │                        │
//!                └──────── leave ─────────┘   overtaken by the ring, stalled, gone, ...
//! ```
//!
//! One under `skip` may be withheld while it is behind (skip.rs): it is sent nothing of the stream then, and skips.
//!
//! A current client stands in a queue that each pass of the fan-out walks through; one that is behind stands in a
//! heap by its cursor and is not touched until it is writable or the ring reaches it. So the work for a read of the
//! upstream depends on those who can take bytes, never on all who are connected.

use std::collections::VecDeque;

use slab::Slab;

use crate::base::laggards::{Laggards, Real};
use crate::base::time::Time;
use crate::reactor::net::{Peer, SockId};
use crate::roles::relay::config::Slow;
use crate::roles::relay::messages::WebSocket;
use crate::roles::relay::skip::Aside;
use crate::roles::tls::Secured;

/// A client: its place in the table and which of the place's tenants it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ClientId {
    pub(super) key: u32,
    pub(super) serial: u32,
}

/// What the relay remembers of a client. There may be ten thousand: keep it small.
///
/// What a pass looks at comes first and takes 64 bytes, which lie on two of a cache's lines at most: among hundreds of
/// clients little of it is still in a cache when the next message comes. Hence the order, in memory as here.
#[derive(Debug)]
#[repr(C)]
pub(super) struct Client {
    pub(super) sock: SockId,
    /// The offset of the next byte that it gets.
    pub(super) cursor: u64,
    /// The offset of the first byte that it does not get any more; `u64::MAX` while there is no such.
    pub(super) until: u64,
    /// Where it speaks TLS: its session.
    pub(super) tls: Option<Box<Secured>>,
    /// Bytes that it gets before those at its cursor.
    pub(super) aside: Option<Box<Aside>>,
    /// What it has besides if it gets messages.
    pub(super) websocket: Option<Box<WebSocket>>,
    pub(super) serial: u32,
    /// While it is sent no more of the stream: how many bytes waited in its kernel when that began. Else 0.
    pub(super) withheld: u32,
    pub(super) output: u16,
    pub(super) slow: Slow,
    pub(super) behind: bool,
    /// An entry of it is in the queue of those who are current: that goes out only when its turn comes.
    pub(super) queued: bool,
    /// It has every byte there will ever be, and our end of the stream is to be shut.
    pub(super) finishing: bool,
    /// An entry of it is in the heap.
    pub(super) heaped: bool,
    /// It has skipped since it last took something: the oldest byte that it lacks is older than it seems.
    pub(super) has_skipped: bool,
    /// The offset at which it joined.
    pub(super) first: u64,
    /// The stream's head when it joined, while it has still to catch up with what it was given then; else 0.
    pub(super) live: u64,
    /// The highest offset that its kernel was seen to have acknowledged, and when that last grew.
    pub(super) acked: u64,
    pub(super) progress: Time,
    /// Since when its kernel has been seen to answer nothing, though it was asked.
    pub(super) silent_since: Option<Time>,
    /// When it was last asked whether it is alive, while bytes wait for it.
    pub(super) asked_alive: Option<Time>,
    pub(super) joined: Time,
    pub(super) peer: Peer,
    /// The upstream waits for it, by what its kernel had not acknowledged when it was last looked at.
    pub(super) lags: bool,
    /// It has said that it will send nothing more. It still receives.
    pub(super) half_closed: bool,
    /// While its last bytes were under way it said that it will send nothing more, or was reset.
    pub(super) may_be_gone: bool,
    /// Our end of the stream has been shut: the end counts as the last of the bytes that wait to be acknowledged.
    pub(super) is_shut: bool,
}

const _: () = assert!(std::mem::offset_of!(Client, first) == 64);

impl Client {
    /// Whether it gets other bytes than the stream's, or has still to get others first.
    pub(super) fn is_layered(&self) -> bool {
        self.tls.is_some() || self.aside.is_some() || self.websocket.is_some()
    }

    /// The first byte of the ring that it still needs; past all of them where it only lacks what is kept aside.
    pub(super) fn needs_from(&self) -> u64 {
        if self.cursor == self.until {
            u64::MAX
        } else {
            self.cursor
        }
    }
}

/// All clients. What each message looks at comes first, in memory as here.
#[derive(Debug)]
#[repr(C)]
pub(super) struct Clients {
    table: Slab<Client>,
    behind: usize,
    /// Those that have all that they will ever get; neither current nor behind.
    finishing: usize,
    /// Those that have every byte so far, in the order in which they are served. May hold ids that are stale.
    current: VecDeque<ClientId>,
    /// The furthest cursor; unknown after the client that had it has left.
    lead: Option<u64>,
    /// Those that are behind, by policy.
    droppable: Laggards<ClientId>,
    blocking: Laggards<ClientId>,
    places: u32,
    serial: u32,
    half_closed: VecDeque<ClientId>,
    /// How many of these are gone.
    half_closed_gone: usize,
}

impl Clients {
    pub(super) fn new() -> Self {
        Self {
            table: Slab::new(),
            places: 0,
            serial: 0,
            current: VecDeque::new(),
            behind: 0,
            finishing: 0,
            droppable: Laggards::new(),
            blocking: Laggards::new(),
            half_closed: VecDeque::new(),
            half_closed_gone: 0,
            lead: None,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.table.len()
    }

    /// One more than the highest place that was taken since [`Clients::trim`].
    pub(super) fn places(&self) -> u32 {
        self.places
    }

    /// Forgets the places that a crowd has left at the end of the table. The work is that of a walk through them.
    pub(super) fn trim(&mut self) {
        if self.table.is_empty() {
            self.table.clear(); // or the place that was left last would be the next one's
        }
        let last = self.table.iter().next_back();
        self.places = last.map_or(0, |(key, _)| key as u32 + 1);
    }

    pub(super) fn behind(&self) -> usize {
        self.behind
    }

    /// How many are served by a pass.
    pub(super) fn takers(&self) -> usize {
        self.table.len() - self.behind - self.finishing
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (ClientId, &Client)> {
        self.table.iter().map(|(key, client)| {
            (
                ClientId {
                    key: key as u32,
                    serial: client.serial,
                },
                client,
            )
        })
    }

    pub(super) fn get(&self, id: ClientId) -> Option<&Client> {
        self.table
            .get(id.key as usize)
            .filter(|client| client.serial == id.serial)
    }

    pub(super) fn get_mut(&mut self, id: ClientId) -> Option<&mut Client> {
        self.table
            .get_mut(id.key as usize)
            .filter(|client| client.serial == id.serial)
    }

    /// The client at a place of the table.
    pub(super) fn at(&self, key: u32) -> Option<ClientId> {
        self.table.get(key as usize).map(|client| ClientId {
            key,
            serial: client.serial,
        })
    }

    /// Takes a client in, whose cursor is at `head` or before it.
    pub(super) fn insert(&mut self, mut client: Client, head: u64) -> ClientId {
        self.serial = self.serial.wrapping_add(1);
        client.serial = self.serial;
        client.behind = client.cursor < head;
        client.heaped = client.behind;
        client.queued = !client.behind;
        let (cursor, slow, behind) = (client.cursor, client.slow, client.behind);
        let id = ClientId {
            key: self.table.insert(client) as u32,
            serial: self.serial,
        };
        self.places = self.places.max(id.key + 1);
        self.lead = if self.table.len() == 1 {
            Some(cursor)
        } else {
            self.lead.map(|lead| lead.max(cursor))
        };
        if behind {
            self.behind += 1;
            self.heap(slow).push(cursor, id);
        } else {
            self.current.push_back(id);
        }
        self.sweep();
        id
    }

    pub(super) fn remove(&mut self, id: ClientId) -> Option<Client> {
        self.get(id)?;
        let client = self.table.remove(id.key as usize);
        if client.behind {
            self.behind -= 1;
        }
        if client.finishing {
            self.finishing -= 1;
        }
        if self.lead == Some(client.cursor) {
            self.lead = None;
        }
        if client.half_closed {
            self.half_closed_gone += 1;
            if 2 * self.half_closed_gone > self.half_closed.len() {
                let table = &self.table;
                self.half_closed.retain(|id| is_here(table, *id));
                self.half_closed_gone = 0;
            }
        }
        Some(client)
    }

    /// The pass under way is given up, and nobody is current any more.
    pub(super) fn end_passes(&mut self) {
        for id in std::mem::take(&mut self.current) {
            if let Some(client) = self.get_mut(id) {
                client.queued = false;
            }
        }
    }

    /// How many entries the pass that begins now has to look at.
    pub(super) fn begin_pass(&mut self) -> usize {
        // Whoever was first goes last, so that nobody is always last.
        let all = self.current.len();
        if all > 1 {
            let first = self.current.pop_front();
            self.current.extend(first);
        }
        all
    }

    /// The next client of a pass, taken off the queue; `None` for an entry whose client is gone, or has fallen behind.
    pub(super) fn next_current(&mut self) -> Option<ClientId> {
        let id = self.current.pop_front()?;
        let client = self.get_mut(id)?;
        client.queued = false;
        (!client.behind && !client.finishing).then_some(id)
    }

    /// Puts a client that has every byte back into the queue of those who are served at once.
    pub(super) fn stay_current(&mut self, id: ClientId) {
        if let Some(client) = self.get_mut(id)
            && !std::mem::replace(&mut client.queued, true)
        {
            self.current.push_back(id);
        }
    }

    /// A client that was behind has caught up.
    pub(super) fn catch_up(&mut self, id: ClientId) {
        let Some(client) = self.get_mut(id) else {
            return;
        };
        if client.behind {
            client.behind = false;
            self.behind -= 1;
            self.stay_current(id);
        }
    }

    /// A client that could not take everything, or is not served at once any more, whatever it has.
    pub(super) fn fall_behind(&mut self, id: ClientId) {
        let Some(client) = self.get_mut(id) else {
            return;
        };
        if client.behind {
            return;
        }
        client.behind = true;
        let (cursor, slow, heaped) = (
            client.cursor,
            client.slow,
            std::mem::replace(&mut client.heaped, true),
        );
        self.behind += 1;
        if !heaped {
            self.heap(slow).push(cursor, id);
        }
    }

    /// A client has all that it will ever get.
    pub(super) fn finish(&mut self, id: ClientId) {
        let Some(client) = self.get_mut(id) else {
            return;
        };
        if std::mem::replace(&mut client.finishing, true) {
            return;
        }
        let behind = std::mem::replace(&mut client.behind, false);
        self.behind -= usize::from(behind);
        self.finishing += 1;
        self.lead = None;
    }

    /// A cursor moved forward.
    pub(super) fn moved_to(&mut self, cursor: u64) {
        self.lead = self.lead.map(|lead| lead.max(cursor));
    }

    /// The furthest cursor of all.
    pub(super) fn lead(&mut self, head: u64) -> Option<u64> {
        if self.table.is_empty() {
            return None;
        }
        if self.behind + self.finishing < self.table.len() {
            return Some(head);
        }
        if self.behind == 0 {
            return None; // nobody takes anything any more
        }
        if self.lead.is_none() {
            let taking = self.table.iter().filter(|(_, client)| !client.finishing);
            self.lead = taking.map(|(_, client)| client.cursor).max();
        }
        self.lead
    }

    /// The next droppable client whose cursor is below `tail`.
    pub(super) fn overtaken(&mut self, tail: u64) -> Option<ClientId> {
        let table = &mut self.table;
        let id = self.droppable.pop_below(tail, |id| real(table, id))?;
        if let Some(client) = self.get_mut(id) {
            client.heaped = false;
        }
        Some(id)
    }

    /// A client that was taken out of the heap goes on, further ahead.
    pub(super) fn requeue(&mut self, id: ClientId) {
        let Some(client) = self.get_mut(id) else {
            return;
        };
        if !client.behind || std::mem::replace(&mut client.heaped, true) {
            return;
        }
        let (from, slow) = (client.needs_from(), client.slow);
        self.heap(slow).push(from, id);
    }

    /// The hindmost of the clients that may be overtaken.
    pub(super) fn hindmost_droppable(&mut self) -> Option<u64> {
        let table = &mut self.table;
        self.droppable.min(|id| real(table, id))
    }

    /// The hindmost of the clients that must not lose a byte.
    pub(super) fn hindmost_blocking(&mut self) -> Option<u64> {
        self.hindmost_waited_for().map(|(cursor, _)| cursor)
    }

    /// The same, and who that is.
    pub(super) fn hindmost_waited_for(&mut self) -> Option<(u64, ClientId)> {
        let table = &mut self.table;
        let hindmost = self.blocking.hindmost(|id| real(table, id));
        hindmost.filter(|(needs_from, _)| *needs_from < u64::MAX)
    }

    /// Notes that a client will send nothing more.
    pub(super) fn half_close(&mut self, id: ClientId) {
        let Some(client) = self.get_mut(id) else {
            return;
        };
        if !std::mem::replace(&mut client.half_closed, true) {
            self.half_closed.push_back(id);
        }
    }

    /// The half-closed ones, the oldest first. At most half of the ids are stale.
    pub(super) fn half_closed(&self) -> &VecDeque<ClientId> {
        &self.half_closed
    }

    /// Throws out the entries of clients that are gone, once they are more than those of the living: a relay whose
    /// upstream is silent makes no pass that would do it.
    fn sweep(&mut self) {
        let most = 2 * self.table.len() + SLACK;
        let table = &mut self.table;
        if self.current.len() > most {
            self.current.retain(|id| is_here(table, *id));
        }
        for heap in [&mut self.droppable, &mut self.blocking] {
            if heap.len() > most {
                heap.retain(|id| matches!(real(table, id), Real::At(_)));
            }
        }
    }

    fn heap(&mut self, slow: Slow) -> &mut Laggards<ClientId> {
        match slow {
            Slow::Drop | Slow::Skip => &mut self.droppable,
            Slow::Block => &mut self.blocking,
        }
    }

    /// Panics where the books do not agree with each other.
    pub(super) fn check_invariants(&self, tail: u64, head: u64) {
        let all = || self.table.iter().map(|(_, client)| client);
        let behind = all().filter(|client| client.behind).count();
        assert_eq!(
            behind, self.behind,
            "the count of those who are behind is off"
        );
        let finishing = all().filter(|client| client.finishing).count();
        assert_eq!(
            finishing, self.finishing,
            "the count of those who are finishing is off"
        );
        for (id, client) in self.iter().filter(|(_, client)| !client.finishing) {
            assert!(client.cursor <= head, "{id:?} is ahead of the stream");
            assert!(
                client.needs_from() >= tail,
                "{id:?} was overtaken and not shed: {} < {tail}",
                client.cursor
            );
            let queued = self.current.iter().filter(|queued| **queued == id).count();
            assert!(
                queued == usize::from(client.queued) && (client.queued || client.behind),
                "{id:?} stands in the queue {queued} times: {client:?}"
            );
            assert!(
                !client.behind || client.heaped,
                "{id:?} is behind and in no heap"
            );
            client.check_withheld();
            assert!(
                self.lead.is_none_or(|lead| lead >= client.cursor),
                "{id:?} is ahead of the leader"
            );
        }
    }
}

/// Stale entries that the queue may hold beside as many as there are clients, before it is swept.
const SLACK: usize = 64;

fn is_here(table: &Slab<Client>, id: ClientId) -> bool {
    table
        .get(id.key as usize)
        .is_some_and(|client| client.serial == id.serial)
}

/// Where a client of the heap really is. One that is not behind any more leaves the heap.
fn real(table: &mut Slab<Client>, id: ClientId) -> Real {
    match table
        .get_mut(id.key as usize)
        .filter(|client| client.serial == id.serial)
    {
        Some(client) if client.behind => Real::At(client.needs_from()),
        Some(client) => {
            client.heaped = false;
            Real::Gone
        }
        None => Real::Gone,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(cursor: u64) -> Client {
        Client {
            sock: SockId {
                key: 0,
                generation: 0,
            },
            peer: Peer::Unix,
            cursor,
            first: cursor,
            live: 0,
            until: u64::MAX,
            acked: cursor,
            progress: Time::ZERO,
            silent_since: None,
            asked_alive: None,
            joined: Time::ZERO,
            tls: None,
            aside: None,
            websocket: None,
            serial: 0,
            output: 0,
            slow: Slow::Drop,
            behind: false,
            queued: false,
            heaped: false,
            has_skipped: false,
            withheld: 0,
            lags: false,
            half_closed: false,
            may_be_gone: false,
            finishing: false,
            is_shut: false,
        }
    }

    /// A client that was here, and the one who has its place now.
    fn old_and_new(clients: &mut Clients, cursor: u64) -> (ClientId, ClientId) {
        let old = clients.insert(client(cursor), 100);
        clients.remove(old);
        let new = clients.insert(client(cursor), 100);
        assert_eq!(old.key, new.key);
        (old, new)
    }

    #[test]
    fn nobody_is_served_for_one_who_had_its_place() {
        let mut clients = Clients::new();
        let (old, new) = old_and_new(&mut clients, 100);
        assert!(clients.get(old).is_none());
        assert!(clients.get_mut(old).is_none());
        let entries = clients.begin_pass();
        let served: Vec<_> = (0..entries)
            .filter_map(|_| clients.next_current())
            .collect();
        assert_eq!(served, [new]);
    }

    /// Whoever is lost when only our end of the stream is still on its way has every byte, and gets none of them again.
    #[test]
    fn our_end_of_the_stream_is_no_byte_that_it_lacks() {
        let mut client = client(100);
        assert_eq!(
            [0, 1, 5].map(|left| client.lacks(None, Some(left))),
            [0, 1, 5]
        );
        client.is_shut = true;
        assert_eq!(
            [0, 1, 5].map(|left| client.lacks(None, Some(left))),
            [0, 0, 4]
        );
        assert_eq!(client.lacks(None, None), 0);
    }

    /// Its entry in the queue outlives its falling behind: it has one all the same when it has caught up.
    #[test]
    fn whoever_catches_up_is_served_once() {
        let mut clients = Clients::new();
        let ids = [1, 2].map(|_| clients.insert(client(100), 100));
        for _ in 0..3 {
            clients.fall_behind(ids[0]);
            clients.check_invariants(0, 100);
            clients.catch_up(ids[0]);
            clients.check_invariants(0, 100);
        }
        clients.fall_behind(ids[1]);
        let entries = clients.begin_pass();
        let served: Vec<_> = (0..entries)
            .filter_map(|_| clients.next_current())
            .collect();
        assert_eq!(served, [ids[0]]);
        clients.stay_current(ids[0]);
        clients.catch_up(ids[1]);
        clients.check_invariants(0, 100);
    }

    #[test]
    fn of_those_who_half_closed_few_are_gone() {
        let mut clients = Clients::new();
        let ids: Vec<_> = (0..10).map(|_| clients.insert(client(100), 100)).collect();
        for id in &ids {
            clients.half_close(*id);
        }
        for id in &ids[..9] {
            clients.remove(*id);
            let here = clients.half_closed().iter();
            let here = here.filter(|id| clients.get(**id).is_some()).count();
            assert!(clients.half_closed().len() <= 2 * here);
        }
        assert_eq!(clients.half_closed().back(), Some(&ids[9]));
    }

    /// Whoever walks through the places, walks through no more than needed once a crowd has gone.
    #[test]
    fn places_are_as_many_as_the_highest_needs() {
        let mut clients = Clients::new();
        let ids: Vec<_> = (0..1000)
            .map(|_| clients.insert(client(100), 100))
            .collect();
        clients.remove(ids[500]);
        clients.trim();
        assert_eq!(clients.places(), 1000);
        for id in &ids[501..] {
            clients.remove(*id);
        }
        clients.trim();
        assert_eq!(clients.places(), 500);
        for id in &ids[..500] {
            clients.remove(*id);
        }
        clients.trim();
        assert_eq!(clients.places(), 0);
        clients.insert(client(100), 100);
        assert_eq!(clients.places(), 1);
    }

    #[test]
    fn nobody_is_overtaken_for_one_who_had_its_place() {
        let mut clients = Clients::new();
        let (_, new) = old_and_new(&mut clients, 10);
        assert_eq!(clients.overtaken(50), Some(new));
        assert_eq!(clients.overtaken(50), None);
    }
}
