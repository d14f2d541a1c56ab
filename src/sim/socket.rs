//! The program's side: its sockets, what each call to them does, and the events it is owed.
//!
//! Events are edges. One is raised when something changes (bytes, an end or a reset arrive; room comes after a write
//! fell short) and told once; whoever does not act on it, or stops while `more` is true, is not told again before the
//! next change. That is how a lost wake-up shows.

use std::collections::VecDeque;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use super::conn::{ConnId, End, Owner, Wire};
use super::remote::RemoteId;
use super::table::{BACKLOG, GRAVES_MAX, Listener, Stream, Tenant, gone, in_conflict, os_error};
use super::world::World;
use crate::reactor::net::{Addr, Close, Io, Keepalive, Peer, SockId, StdStream};

/// Queries of a driver.
impl World {
    /// The sockets that the program has open, in order.
    pub fn open_sockets(&self) -> Vec<SockId> {
        let places = (0..).zip(&self.sockets.places);
        places
            .filter(|(_, place)| place.tenant.is_some())
            .map(|(key, place)| SockId {
                key,
                generation: place.generation,
            })
            .collect()
    }

    /// Whether a read (or an accept) and a write would get somewhere at present.
    ///
    /// If one would, is wanted, is not known as ready by the program, and has no event under way
    /// ([`World::event_due`]), then a wake-up has been lost.
    pub fn owed(&self, id: SockId) -> (bool, bool) {
        let (readable, writable) = self.polled(id);
        let Some(Tenant::Stream(stream)) = self.tenant(id) else {
            return (readable, writable);
        };
        let conn = &self.conns[&stream.conn];
        let inbound = conn.inbound(stream.side);
        let news = !stream.told || inbound.arrived() > 0;
        let open = !conn.ends[stream.side].dead && !conn.outbound(stream.side).is_shut();
        (
            readable && news,
            writable && (open || conn.ends[stream.side].error.is_some()),
        )
    }

    /// The peer at the other end of a stream, once it is known who answers there; also after it has gone.
    pub fn remote_of(&self, id: SockId) -> Option<RemoteId> {
        match self.tenant(id) {
            Some(Tenant::Stream(stream)) => self.conns[&stream.conn].ends[1 - stream.side].remote,
            _ => None,
        }
    }

    /// Bytes that the program has read from a stream, and that it has written to it, so far.
    pub fn moved(&self, id: SockId) -> (u64, u64) {
        match self.tenant(id) {
            Some(Tenant::Stream(stream)) => (stream.moved[0], stream.moved[1]),
            _ => (0, 0),
        }
    }

    /// Whether events for this socket are under way.
    pub fn event_due(&self, id: SockId) -> bool {
        self.edges.iter().any(|edge| edge.id == id) || self.late_edges().any(|edge| edge.id == id)
    }

    /// Whether no more sockets can be opened.
    pub fn is_exhausted(&self) -> bool {
        self.sockets_left() == 0
    }

    /// Lets so many sockets be open at once, those that are open now included.
    pub const fn set_socket_limit(&mut self, limit: usize) {
        self.sockets.limit = Some(limit);
    }
}

/// The calls of [`Net`](crate::reactor::net::Net).
impl World {
    pub(super) fn listen(&mut self, at: &Addr) -> io::Result<(SockId, Addr)> {
        let mut at = at.clone();
        if let Addr::Tcp(tcp) = &mut at
            && tcp.port() == 0
        {
            tcp.set_port(self.free_port());
        }
        if self.listeners.keys().any(|taken| in_conflict(taken, &at))
            || self.servers.contains_key(&at)
        {
            return Err(os_error(libc::EADDRINUSE));
        }
        let listener = Listener {
            at: at.clone(),
            waiting: VecDeque::new(),
        };
        let id = self.settle(Tenant::Listener(listener))?;
        self.listeners.insert(at.clone(), id);
        for early in std::mem::take(&mut self.early) {
            self.call(early);
        }
        Ok((id, at))
    }

    pub(super) fn accept(&mut self, id: SockId) -> io::Result<(SockId, Peer)> {
        let Some(Tenant::Listener(_)) = self.tenant(id) else {
            return Err(gone());
        };
        if self.sockets_left() == 0 {
            // Linux sets the descriptor aside before it looks whether somebody waits.
            return Err(os_error(libc::EMFILE));
        }
        self.forget_lost_calls(id);
        let conn = self
            .waiting(id)
            .front()
            .copied()
            .ok_or(io::ErrorKind::WouldBlock)?;
        if self.rng.chance(self.faults.exhaust) {
            return Err(os_error(libc::EMFILE));
        }
        let accepted = self.settle(Tenant::Stream(Stream::new(conn, 1)))?;
        self.waiting(id).pop_front();
        if let Some(next) = self.waiting(id).get(BACKLOG - 1).copied() {
            self.answer(next);
        }
        let conn = self
            .conns
            .get_mut(&conn)
            .expect("lost calls have been forgotten");
        conn.ends[1].owner = Owner::Socket(accepted);
        let peer = conn.from;
        let (readable, writable) = self.polled(accepted);
        self.raise(accepted, readable, writable);
        Ok((accepted, peer))
    }

    pub(super) fn connect(&mut self, to: &Addr) -> io::Result<SockId> {
        if self.rng.chance(self.faults.exhaust) {
            return Err(os_error(libc::EMFILE));
        }
        let (wire, from) = match to {
            Addr::Tcp(_) => (
                Wire::Tcp,
                Peer::Tcp(SocketAddr::from((Ipv4Addr::LOCALHOST, self.free_port()))),
            ),
            Addr::Unix(_) if self.listener_for(to).is_none() && !self.servers.contains_key(to) => {
                return Err(os_error(libc::ENOENT));
            }
            Addr::Unix(_) => (Wire::Unix, Peer::Unix),
        };
        let conn = self.new_conn(wire, from, to.clone(), Owner::Nobody);
        let id = match self.settle(Tenant::Stream(Stream::new(conn, 0))) {
            Ok(id) => id,
            Err(error) => {
                self.conns.remove(&conn);
                return Err(error);
            }
        };
        self.conns.get_mut(&conn).expect("made above").ends[0].owner = Owner::Socket(id);
        self.call(conn);
        Ok(id)
    }

    pub(super) fn connected(&mut self, id: SockId) -> io::Result<Option<Peer>> {
        let (stream, conn) = self.stream_mut(id)?;
        let end = &mut conn.ends[stream.side];
        if end.dead {
            stream.told = true;
            return end
                .error
                .take()
                .map_or(Ok(None), |error| Err(os_error(error)));
        }
        let peer = match (&conn.to, conn.wire, stream.side) {
            (_, Wire::Stdin | Wire::Stdout, _) | (_, _, 1) => conn.from,
            (Addr::Tcp(to), ..) => Peer::Tcp(*to),
            (Addr::Unix(_), ..) => Peer::Unix,
        };
        Ok(end.up.then_some(peer))
    }

    pub(super) fn open_std(&mut self, which: StdStream) -> io::Result<SockId> {
        let remote = match which {
            StdStream::Stdin => self.stdin(),
            StdStream::Stdout => self.stdout(),
        };
        let (conn, _) = self.remotes[remote.index()]
            .conn
            .ok_or_else(|| os_error(libc::EBADF))?;
        if self.conns[&conn].ends[1].owner != Owner::Nobody {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let id = self.settle(Tenant::Stream(Stream::new(conn, 1)))?;
        self.conns.get_mut(&conn).expect("looked up above").ends[1].owner = Owner::Socket(id);
        let (readable, writable) = self.polled(id);
        self.raise(id, readable, writable);
        Ok(id)
    }

    pub(super) fn read(&mut self, id: SockId, into: &mut [u8]) -> io::Result<Io> {
        let (stream, conn) = self.stream_mut(id)?;
        if stream.read_held {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let (at, side) = (stream.conn, stream.side);
        let available = conn.inbound(side).arrived();
        let end = &mut conn.ends[side];
        if into.is_empty() {
            return Ok(Io {
                bytes: 0,
                more: true,
            });
        }
        if available > 0 {
            return self.read_bytes(id, at, side, into);
        }
        if conn.pipes[1 - side].end_arrived() {
            stream.told = true;
            return Ok(END);
        }
        if !end.dead {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        stream.told = true;
        match tell(end, conn.wire) {
            Some(error) => Err(os_error(error)),
            None => Ok(END),
        }
    }

    fn read_bytes(
        &mut self,
        id: SockId,
        at: ConnId,
        side: usize,
        into: &mut [u8],
    ) -> io::Result<Io> {
        if self.rng.chance(self.faults.block_read) {
            self.hold(id, true);
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let mut count = into.len();
        if self.rng.chance(self.faults.short_read) {
            let available = self.conns[&at].inbound(side).arrived().min(count);
            count = 1 + self.index(available as u64);
        }
        let bytes = self.pull(at, side, &mut into[..count]);
        self.stream_mut(id)?.0.moved[0] += bytes as u64;
        let conn = &self.conns[&at];
        let inbound = conn.inbound(side);
        // A buffer that was filled says nothing about what is left, but what is left may also be the end.
        let more = bytes == into.len()
            || inbound.arrived() > 0
            || inbound.end_arrived()
            || conn.ends[side].dead;
        Ok(Io { bytes, more })
    }

    pub(super) fn write(&mut self, id: SockId, from: [&[u8]; 2]) -> io::Result<Io> {
        let (stream, conn) = self.stream_mut(id)?;
        let (at, side) = (stream.conn, stream.side);
        let end = &mut conn.ends[side];
        if let Some(error) = tell(end, conn.wire) {
            stream.told = true;
            return Err(os_error(error));
        }
        if end.dead || conn.pipes[side].is_shut() || (conn.wire == Wire::Stdin && side == 1) {
            stream.told |= end.dead;
            return Err(os_error(libc::EPIPE));
        }
        let asked = from[0].len() + from[1].len();
        if asked == 0 {
            return Ok(Io {
                bytes: 0,
                more: true,
            });
        }
        if !end.up || stream.write_held || conn.pipes[side].room() == 0 {
            stream.starved = true;
            return Err(io::ErrorKind::WouldBlock.into());
        }
        if self.rng.chance(self.faults.block_write) {
            self.hold(id, false);
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let mut limit = asked;
        if asked > 1 && self.rng.chance(self.faults.short_write) {
            limit = 1 + self.index(asked as u64 - 1);
            self.hold(id, false);
        }
        let first = &from[0][..from[0].len().min(limit)];
        let second = &from[1][..limit - first.len()];
        let mut bytes = self.send(at, side, first);
        if bytes == first.len() {
            bytes += self.send(at, side, second);
        }
        let stream = self.stream_mut(id)?.0;
        stream.starved |= bytes < asked;
        stream.moved[1] += bytes as u64;
        Ok(Io {
            bytes,
            more: bytes == asked,
        })
    }

    pub(super) fn shutdown(&mut self, id: SockId) -> io::Result<()> {
        let (stream, conn) = self.stream_mut(id)?;
        let (at, side) = (stream.conn, stream.side);
        if !conn.ends[side].up || conn.ends[side].dead {
            return Err(os_error(libc::ENOTCONN));
        }
        self.send_end(at, side);
        Ok(())
    }

    pub(super) fn close(&mut self, id: SockId, how: Close) {
        if how == Close::Orderly {
            self.read_away(id);
        }
        let Some(place) = self.place_mut(id) else {
            return;
        };
        let Some(tenant) = place.tenant.take() else {
            return;
        };
        place.generation = place.generation.wrapping_add(1);
        self.sockets.free.push(id.key);
        self.sockets.open -= 1;
        self.sockets.graves.push_front(id);
        self.sockets.graves.truncate(GRAVES_MAX);
        match tenant {
            Tenant::Stream(Stream { conn, side, .. }) => self.leave(conn, side, how),
            Tenant::Listener(Listener { at, waiting }) => {
                self.listeners.remove(&at);
                for conn in waiting {
                    if self.conns.get(&conn).is_some_and(|conn| conn.ends[1].up) {
                        self.leave(conn, 1, Close::Reset);
                    } else {
                        self.refuse(conn, libc::ECONNREFUSED);
                    }
                }
            }
        }
    }

    /// Reads away what has come in, so that a close is no reset.
    fn read_away(&mut self, id: SockId) {
        if let Ok(Stream { conn, side, .. }) = self.stream_mut(id).map(|(stream, _)| *stream) {
            let unread = self.conns[&conn].inbound(side).arrived();
            self.pull(conn, side, &mut vec![0; unread.min(READ_AWAY_MAX)]);
        }
    }

    pub(super) fn set_keepalive(&mut self, id: SockId, keepalive: Keepalive) -> io::Result<()> {
        let Some(Tenant::Stream(stream)) = self.tenant(id) else {
            return Err(gone());
        };
        let Stream { conn: at, side, .. } = *stream;
        let conn = self.conns.get_mut(&at).expect("a stream has a connection");
        if conn.wire == Wire::Tcp {
            conn.ends[side].keepalive = Some(keepalive);
            self.plan_death(at, side);
        }
        Ok(())
    }

    /// Bytes that the program has written to a TCP stream and that have not landed, a FIN counted as one.
    pub fn unacknowledged(&self, id: SockId) -> Option<u32> {
        let Some(Tenant::Stream(stream)) = self.tenant(id) else {
            return None;
        };
        let conn = &self.conns[&stream.conn];
        let count = u32::try_from(conn.outbound(stream.side).unacknowledged()).unwrap_or(u32::MAX);
        (conn.wire == Wire::Tcp).then_some(count)
    }

    pub(super) fn unanswered(&self, id: SockId) -> Option<Duration> {
        let Some(Tenant::Stream(stream)) = self.tenant(id) else {
            return None;
        };
        self.conns[&stream.conn].unanswered(stream.side, self.now)
    }

    pub(super) fn is_over(&self, id: SockId) -> bool {
        let Some(Tenant::Stream(stream)) = self.tenant(id) else {
            return false;
        };
        let conn = &self.conns[&stream.conn];
        conn.wire == Wire::Tcp && conn.ends[stream.side].dead
    }

    pub(super) fn local(&self, id: SockId) -> Option<SocketAddr> {
        let Some(Tenant::Stream(stream)) = self.tenant(id) else {
            return None;
        };
        let conn = &self.conns[&stream.conn];
        match (conn.from, &conn.to, stream.side) {
            (Peer::Tcp(at), _, 0) | (Peer::Tcp(_), &Addr::Tcp(at), _) => Some(at),
            _ => None,
        }
    }

    pub(super) fn sockets_left(&self) -> usize {
        self.sockets
            .limit
            .map_or(usize::MAX, |limit| limit.saturating_sub(self.sockets.open))
    }
}

/// The error that a call on a dead end is told. What has failed at stdout goes on failing; all else is told once.
fn tell(end: &mut End, wire: Wire) -> Option<i32> {
    match wire {
        Wire::Stdout => end.error,
        Wire::Tcp | Wire::Unix | Wire::Stdin => end.error.take(),
    }
}

/// A read at the end of the stream, which can be read again.
const END: Io = Io {
    bytes: 0,
    more: true,
};

/// The most that an orderly close reads away first.
const READ_AWAY_MAX: usize = 64 << 10;
