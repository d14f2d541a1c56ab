//! What a role may do: the loop, lent to it for the length of one event.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::SocketAddr;
use std::time::Duration;

use crate::base::endpoint::Endpoint;
use crate::base::time::Time;
use crate::base::wheel::TimerKey;
use crate::reactor::budget::{Claim, Room};
use crate::reactor::command::{Command, Ticket};
use crate::reactor::core::Core;
use crate::reactor::event::{DialId, End, RoleId};
use crate::reactor::net::{Addr, Close, Keepalive, SockId, StdStream};
use crate::reactor::reserve::Listening;
use crate::reactor::table::{Kind, Owner, Way};

/// The context of one event. Effects happen at once, but for [`Cx::close`] and [`Cx::dial`], which wait for the end of
/// the turn.
pub struct Cx<'a> {
    pub(super) core: &'a mut Core,
    pub(super) role: RoleId,
}

impl Cx<'_> {
    /// The time at which this turn began.
    pub fn now(&self) -> Time {
        self.core.now
    }

    /// The time as it is, read afresh.
    pub fn clock(&self) -> Time {
        self.core.net.clock()
    }

    /// This role times itself from now on, until [`Cx::end_timing`]. All others' calls are timed meanwhile.
    pub fn begin_timing(&mut self) {
        let used = self.core.net.cpu_time();
        self.core.timings.begin(self.role, self.core.now, used);
    }

    /// The processor's time that this role has taken since [`Cx::begin_timing`], and the loop itself, but neither what
    /// other roles did nor what went by idly. `None` where that was so long ago, and there are others, that it is not
    /// known.
    pub fn end_timing(&mut self) -> Option<Duration> {
        let used = self.core.net.cpu_time();
        self.core.timings.end(self.role, used)
    }

    /// The time of day, in milliseconds since 1970: to be shown, and never to be reckoned with.
    pub fn utc_millis(&self) -> u64 {
        self.core.net.utc_millis()
    }

    /// Fresh randomness.
    pub fn random(&mut self) -> u64 {
        self.core.net.random()
    }

    /// So many fresh random bytes, a multiple of 8.
    pub fn nonce<const N: usize>(&mut self) -> [u8; N] {
        const { assert!(N.is_multiple_of(8)) };
        let mut nonce = [0; N];
        for word in nonce.chunks_exact_mut(8) {
            word.copy_from_slice(&self.random().to_be_bytes());
        }
        nonce
    }

    /// How many more sockets can be opened before the descriptors run out.
    pub fn sockets_left(&self) -> usize {
        self.core.net.sockets_left()
    }

    /// Says what this role would have of the process's descriptors, in place of what it said before. Returns what
    /// there is for guests.
    pub fn claim(&mut self, claim: Claim) -> Room {
        self.core.claim(self.role, claim)
    }

    /// Whether someone who has connected may stay as a guest of this role's: as long as it does, its descriptor counts
    /// as one of theirs. So it is with all where the role has claimed nothing.
    pub fn admit(&mut self, sock: SockId) -> bool {
        self.core.admit(self.role, sock)
    }

    /// Whether there is room for one more guest for whom this role will open a socket, beside `pending` others for whom
    /// it is about to. [`Cx::count_in`] takes the socket then.
    pub fn has_room(&mut self, pending: usize) -> bool {
        self.core.has_room(self.role, pending)
    }

    /// Counts a socket that was opened for a guest as that guest's.
    pub fn count_in(&mut self, sock: SockId) {
        self.core.count_in(self.role, sock);
    }

    /// Whether there are descriptors for more strangers: for those who have connected and are nobody's guests yet.
    pub fn has_spare(&self) -> bool {
        self.core.has_spare()
    }

    /// Asks something of the owner of the loop, who knows all roles. The answer comes as [`super::Event::Reply`].
    pub fn ask(&mut self, command: Command) -> Ticket {
        self.core.tickets += 1;
        let ticket = Ticket(self.core.tickets);
        self.core.asked.push((self.role, ticket, command));
        ticket
    }

    /// Begins to listen on every address of an endpoint, all of them or none; connections come as
    /// [`super::Event::Accepted`]. Returns the listeners and their real addresses, which share one port. A name is
    /// looked up at once, however long that takes: only for when nothing runs yet.
    pub fn listen_at(&mut self, at: &Endpoint) -> io::Result<Vec<(SockId, Addr)>> {
        let places = self.core.places(at)?;
        let open = match self.core.take_reserved(&places) {
            Some(reserved) => reserved,
            None => self.core.open_listeners(&places, &[])?,
        };
        for (id, _) in &open {
            self.core
                .table
                .adopt(*id, Owner::Role(self.role), Kind::Listener);
            self.core.table.want(*id, Way::Read, true);
        }
        self.core.listening.push(Listening {
            role: self.role,
            places,
            open: open.clone(),
        });
        Ok(open)
    }

    /// Resolves and connects from the end of this turn on, within `timeout` in all. The answer,
    /// [`super::Event::Connected`] or [`super::Event::ConnectFailed`], comes with a later event, never from inside of
    /// this call.
    pub fn dial(&mut self, to: &Endpoint, timeout: Duration) -> DialId {
        self.core.dial(self.role, to, timeout)
    }

    /// Ends a dial; it will not be answered. One that is over already is left alone, and one of this turn's has opened
    /// nothing.
    pub fn cancel_dial(&mut self, dial: DialId) {
        self.core.cancel_dial(dial);
    }

    /// Opens a standard stream; see [`super::net::Net::open_std`].
    pub fn open_std(&mut self, which: StdStream) -> io::Result<SockId> {
        let id = self.core.net.open_std(which)?;
        self.core.table.adopt(id, Owner::Role(self.role), Kind::Own);
        Ok(id)
    }

    /// One read. `Ok(None)`: nothing there now, an event will come. `Ok(Some(0))`, into a buffer that is not empty: the
    /// stream has ended.
    pub fn read(&mut self, id: SockId, into: &mut [u8]) -> io::Result<Option<usize>> {
        let done = self.core.net.read(id, into);
        self.settle(id, Way::Read, done)
    }

    /// As [`Cx::read`], into any number of slices, one filled before the next. It may leave any out at the end.
    pub fn read_slices(
        &mut self,
        id: SockId,
        into: &mut [IoSliceMut<'_>],
    ) -> io::Result<Option<usize>> {
        let done = self.core.net.read_slices(id, into);
        self.settle(id, Way::Read, done)
    }

    /// One read of at most `max` bytes, which are thrown away; else as [`Cx::read`].
    pub fn discard(&mut self, id: SockId, max: usize) -> io::Result<Option<usize>> {
        let done = self.core.net.discard(id, max);
        self.settle(id, Way::Read, done)
    }

    /// One write of two slices, the second of which may be empty. `Ok(None)`: nothing taken now, an event will come if
    /// writing is wanted. Both slices empty: a probe that takes no time and fails where the peer is known to be gone.
    pub fn write(&mut self, id: SockId, from: [&[u8]; 2]) -> io::Result<Option<usize>> {
        let done = self.core.net.write(id, from);
        self.settle(id, Way::Write, done)
    }

    /// As [`Cx::write`], of any number of slices, of which it may leave any out at the end.
    pub fn write_slices(&mut self, id: SockId, from: &[IoSlice<'_>]) -> io::Result<Option<usize>> {
        let done = self.core.net.write_slices(id, from);
        self.settle(id, Way::Write, done)
    }

    /// Ends our direction of a stream.
    pub fn shutdown(&mut self, id: SockId) -> io::Result<()> {
        self.core.net.shutdown(id)
    }

    /// Closes a socket at the end of this turn. From now on it gets no event.
    pub fn close(&mut self, id: SockId, how: Close) {
        self.core.close(id, how);
    }

    /// Whether reads, or a listener's connections, are wanted.
    pub fn want_read(&mut self, id: SockId, wanted: bool) {
        self.core.table.want(id, Way::Read, wanted);
    }

    /// Whether room to write is wanted.
    pub fn want_write(&mut self, id: SockId, wanted: bool) {
        self.core.table.want(id, Way::Write, wanted);
    }

    /// Whether a read may give something at once, as far as is known.
    pub fn is_readable(&self, id: SockId) -> bool {
        self.core
            .table
            .get(id)
            .is_some_and(|slot| slot.is_ready(Way::Read))
    }

    /// Asks for one [`super::Event::Readable`] though no readiness announces it (for bytes that a layer
    /// above the socket holds).
    pub fn revisit(&mut self, id: SockId) {
        self.core.table.press(id);
    }

    /// Puts off a stream's visits to the end of a turn. At the end of each turn one of those that were put off has its
    /// [`super::Event::Readable`], in which [`Cx::is_deferred`] holds: for work that is too long to keep the others
    /// waiting, and too much if many have it to do at once.
    pub fn defer(&mut self, id: SockId) {
        self.core.table.defer(id);
    }

    /// Whether this event is the visit that [`Cx::defer`] has put off.
    pub fn is_deferred(&self) -> bool {
        self.core.in_deferred
    }

    /// Asks for one [`super::Event::Again`], after the others have had their visit.
    pub fn again(&mut self) {
        self.core.table.again(self.role);
    }

    /// Writes a number on a socket that [`Cx::tag`] reads back: what the role knows it by. 0 at first.
    pub fn set_tag(&mut self, id: SockId, tag: u32) {
        if let Some(slot) = self.core.table.get_mut(id) {
            slot.tag = tag;
        }
    }

    /// The number on a socket; `None` where the socket is gone.
    pub fn tag(&self, id: SockId) -> Option<u32> {
        self.core.table.get(id).map(|slot| slot.tag)
    }

    /// Sets how soon a dead peer is noticed.
    pub fn set_keepalive(&mut self, id: SockId, keepalive: Keepalive) {
        // A socket that refuses the option is about to report why by itself.
        let _ = self.core.net.set_keepalive(id, keepalive);
    }

    /// Gives memory that is free back to the operating system, which takes a look through all of the heap: for when
    /// much of it has become so.
    pub fn trim_memory(&mut self) {
        self.core.net.trim_memory();
    }

    /// Bytes that the peer's kernel has not acknowledged yet, where that is known.
    pub fn unacknowledged(&self, id: SockId) -> Option<u32> {
        self.core.net.unacknowledged(id)
    }

    /// For how long the peer's kernel has owed an answer; see [`super::net::Net::unanswered`].
    pub fn unanswered(&self, id: SockId) -> Option<Duration> {
        self.core.net.unanswered(id)
    }

    /// Whether a TCP connection is over in both directions; see [`super::net::Net::is_over`].
    pub fn is_over(&self, id: SockId) -> bool {
        self.core.net.is_over(id)
    }

    /// Our own end of a TCP stream, which is the peer's name for us.
    pub fn local(&self, id: SockId) -> Option<SocketAddr> {
        self.core.net.local(id)
    }

    /// Sets a timer. `tag` comes back in its event.
    pub fn timer(&mut self, after: Duration, tag: u32) -> TimerKey {
        self.core.timer(after, Owner::Role(self.role), tag)
    }

    /// Takes a timer back: its event will not come, even if it is due already.
    pub fn cancel(&mut self, key: TimerKey) {
        self.core.cancel(key);
    }

    /// The role is over. Its sockets, dials and timers go with it at the end of this turn, and it gets no more
    /// events.
    pub fn finish(&mut self, end: End) {
        self.core.claims.leave(self.role);
        self.core.finished.push((self.role, end));
    }

    fn settle(
        &mut self,
        id: SockId,
        way: Way,
        done: io::Result<super::net::Io>,
    ) -> io::Result<Option<usize>> {
        match done {
            Ok(done) => {
                // Nothing announces an end twice, so it counts as waiting for whatever may still come (an error).
                let ended = way == Way::Read && done.bytes == 0;
                if !done.more || ended {
                    self.core.table.spent(id, way);
                }
                Ok(Some(done.bytes))
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.core.table.spent(id, way);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}
