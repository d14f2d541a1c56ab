//! The program's table of sockets, who is found by a call, and the events that are raised and told.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::conn::{Conn, ConnId, Owner, Wire};
use super::world::{Due, World};
use crate::reactor::net::{Addr, Ready, SockId};

/// The table of sockets.
#[derive(Default)]
pub(super) struct Sockets {
    pub(super) places: Vec<Place>,
    pub(super) free: Vec<u32>,
    pub(super) open: usize,
    /// Most can be open at once; `None` is no limit.
    pub(super) limit: Option<usize>,
    /// The latest few that were closed.
    pub(super) graves: VecDeque<SockId>,
}

pub(super) struct Place {
    pub(super) generation: u32,
    pub(super) tenant: Option<Tenant>,
}

pub(super) enum Tenant {
    Listener(Listener),
    Stream(Stream),
}

pub(super) struct Listener {
    pub(super) at: Addr,
    /// Answered ones first, up to `BACKLOG`.
    pub(super) waiting: VecDeque<ConnId>,
}

#[derive(Clone, Copy)]
pub(super) struct Stream {
    pub(super) conn: ConnId,
    pub(super) side: usize,
    /// Told `WouldBlock` for no good reason, until an event says otherwise.
    pub(super) read_held: bool,
    pub(super) write_held: bool,
    /// A write fell short: an event is owed when there is room.
    pub(super) starved: bool,
    /// The end, or a failure of both directions, has been told.
    pub(super) told: bool,
    /// Bytes that the program has read and written.
    pub(super) moved: [u64; 2],
}

/// An event that is to be told.
#[derive(Clone, Copy, Debug)]
pub(super) struct Edge {
    pub(super) id: SockId,
    pub(super) readable: bool,
    pub(super) writable: bool,
}

impl Stream {
    pub(super) const fn new(conn: ConnId, side: usize) -> Self {
        Self {
            conn,
            side,
            read_held: false,
            write_held: false,
            starved: false,
            told: false,
            moved: [0; 2],
        }
    }
}

/// Listeners.
impl World {
    /// An attempt to connect has reached its goal.
    pub(super) fn on_call(&mut self, id: ConnId) {
        let Some(conn) = self
            .conns
            .get(&id)
            .filter(|conn| conn.ends[0].owner != Owner::Gone)
        else {
            return;
        };
        let (to, wire) = (conn.to.clone(), conn.wire);
        let from_program = matches!(conn.ends[0].owner, Owner::Socket(_));
        if wire == Wire::Tcp && self.rng.chance(self.faults.ignore) {
            self.ignore(id);
        } else if self.rng.chance(self.faults.refuse) {
            self.refuse(id, libc::ECONNREFUSED);
        } else if let Some(listener) = self.listener_for(&to) {
            let waiting = self.waiting(listener);
            waiting.push_back(id);
            if waiting.len() <= BACKLOG {
                self.answer(id);
                self.raise(listener, true, false);
            }
        } else if from_program {
            self.call_remote(id, &to);
        } else {
            self.call_early(id);
        }
    }

    pub(super) fn listener_for(&self, to: &Addr) -> Option<SockId> {
        let wildcards: &[IpAddr] = &[Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()];
        let exact = self.listeners.get(to);
        let Addr::Tcp(tcp) = to else {
            return exact.copied();
        };
        let fitting = wildcards
            .iter()
            .filter(|any| any.is_ipv6() || tcp.is_ipv4());
        let any = |ip: &IpAddr| {
            self.listeners
                .get(&Addr::Tcp(SocketAddr::new(*ip, tcp.port())))
        };
        exact
            .or_else(|| fitting.copied().find_map(|ip| any(&ip)))
            .copied()
    }

    pub(super) fn waiting(&mut self, listener: SockId) -> &mut VecDeque<ConnId> {
        match self
            .place_mut(listener)
            .and_then(|place| place.tenant.as_mut())
        {
            Some(Tenant::Listener(listener)) => &mut listener.waiting,
            _ => unreachable!("the caller has seen the listener"),
        }
    }

    /// Drops those that gave up before they were answered.
    pub(super) fn forget_lost_calls(&mut self, listener: SockId) {
        let mut waiting = std::mem::take(self.waiting(listener));
        waiting.retain(|conn| self.conns.contains_key(conn));
        *self.waiting(listener) = waiting;
    }

    pub(super) fn free_port(&mut self) -> u16 {
        self.next_port = self.next_port.checked_add(1).unwrap_or(1024);
        self.next_port
    }
}

/// The table and its events.
impl World {
    pub(super) fn settle(&mut self, tenant: Tenant) -> io::Result<SockId> {
        if self.sockets_left() == 0 {
            return Err(os_error(libc::EMFILE));
        }
        self.sockets.open += 1;
        let key = self.sockets.free.pop().unwrap_or_else(|| {
            self.sockets.places.push(Place {
                generation: 0,
                tenant: None,
            });
            u32::try_from(self.sockets.places.len() - 1).expect("fewer sockets than 2^32")
        });
        let place = &mut self.sockets.places[key as usize];
        place.tenant = Some(tenant);
        Ok(SockId {
            key,
            generation: place.generation,
        })
    }

    pub(super) fn tenant(&self, id: SockId) -> Option<&Tenant> {
        let place = self.sockets.places.get(id.key as usize)?;
        place
            .tenant
            .as_ref()
            .filter(|_| place.generation == id.generation)
    }

    pub(super) fn place_mut(&mut self, id: SockId) -> Option<&mut Place> {
        self.sockets
            .places
            .get_mut(id.key as usize)
            .filter(|place| place.generation == id.generation)
    }

    pub(super) fn stream_mut(&mut self, id: SockId) -> io::Result<(&mut Stream, &mut Conn)> {
        let place = self
            .sockets
            .places
            .get_mut(id.key as usize)
            .filter(|place| place.generation == id.generation);
        match place.and_then(|place| place.tenant.as_mut()) {
            Some(Tenant::Stream(stream)) => {
                let conn = self
                    .conns
                    .get_mut(&stream.conn)
                    .expect("a stream has a connection");
                Ok((stream, conn))
            }
            _ => Err(gone()),
        }
    }

    /// What `poll` would say: readable, writable.
    pub(super) fn polled(&self, id: SockId) -> (bool, bool) {
        match self.tenant(id) {
            None => (false, false),
            Some(Tenant::Listener(listener)) => {
                let answered = |conn| self.conns.get(conn).is_some_and(|conn| conn.ends[1].up);
                (listener.waiting.iter().take(BACKLOG).any(answered), false)
            }
            Some(Tenant::Stream(stream)) => {
                let conn = &self.conns[&stream.conn];
                let (end, inbound) = (&conn.ends[stream.side], conn.inbound(stream.side));
                let readable = end.dead || inbound.arrived() > 0 || inbound.end_arrived();
                let writable = end.dead || (end.up && conn.outbound(stream.side).has_space());
                (
                    readable && !stream.read_held,
                    writable && !stream.write_held,
                )
            }
        }
    }

    /// Answers `WouldBlock` for a while.
    pub(super) fn hold(&mut self, id: SockId, read: bool) {
        let until = self.soon();
        let Ok((stream, _)) = self.stream_mut(id) else {
            return;
        };
        let held = if read {
            &mut stream.read_held
        } else {
            &mut stream.write_held
        };
        *held = true;
        stream.starved |= !read;
        self.schedule(until, Due::Unhold { id, read });
    }

    pub(super) fn on_unhold(&mut self, id: SockId, read: bool) {
        let Ok((stream, _)) = self.stream_mut(id) else {
            return;
        };
        if read {
            stream.read_held = false;
            self.raise(id, true, false);
        } else {
            stream.write_held = false;
            self.announce_room(id);
        }
    }

    /// Owes an event to a socket whose write fell short, if there is room now.
    pub(super) fn announce_room(&mut self, id: SockId) {
        let (_, writable) = self.polled(id);
        let Ok((stream, _)) = self.stream_mut(id) else {
            return;
        };
        if stream.starved && writable {
            stream.starved = false;
            self.raise(id, false, true);
        }
    }

    /// Room was gone again when it was to be told of: whoever looks in vain is told of the next, as in Linux.
    fn owe_room(&mut self, id: SockId) {
        if let Ok((stream, _)) = self.stream_mut(id) {
            stream.starved = true;
        }
    }

    pub(super) fn raise(&mut self, id: SockId, readable: bool, writable: bool) {
        let edge = Edge {
            id,
            readable,
            writable,
        };
        if self.rng.chance(self.faults.late_event) {
            let at = self.soon();
            self.schedule(at, Due::Edge(edge));
        } else {
            self.post(edge);
        }
    }

    pub(super) fn post(&mut self, edge: Edge) {
        if self.rng.chance(self.faults.split_event) {
            self.edges.push(edge);
            return;
        }
        match self.edges.iter_mut().find(|other| other.id == edge.id) {
            Some(other) => {
                other.readable |= edge.readable;
                other.writable |= edge.writable;
            }
            None => self.edges.push(edge),
        }
    }

    /// Adds to `out` the events that are still true, as epoll looks again before it tells.
    pub(super) fn tell_edges(&mut self, out: &mut Vec<Ready>) {
        let mut edges = std::mem::take(&mut self.edges);
        if edges.len() > 1 && self.rng.chance(self.faults.partial) {
            let told = 1 + self.index(edges.len() as u64 - 1);
            self.edges = edges.split_off(told);
        }
        for Edge {
            id,
            mut readable,
            mut writable,
        } in edges
        {
            let (can_read, can_write) = self.polled(id);
            if self.tenant(id).is_none() {
                if !self.rng.chance(self.faults.stale) {
                    continue;
                }
            } else if !self.rng.chance(self.faults.spurious) {
                if writable && !can_write {
                    self.owe_room(id);
                }
                readable &= can_read;
                writable &= can_write;
            }
            if (readable || writable) && self.rng.chance(self.faults.both_ways) {
                readable |= can_read;
                writable |= can_write;
            }
            if readable || writable {
                out.push(Ready::Sock {
                    id,
                    readable,
                    writable,
                });
            }
        }
    }

    /// Adds to `out` what is not so: about any socket, or one that is gone.
    pub(super) fn tell_untruths(&mut self, out: &mut Vec<Ready>) {
        if self.rng.chance(self.faults.spurious) {
            let open = self.open_sockets();
            if !open.is_empty() {
                let id = open[self.index(open.len() as u64)];
                let readable = self.rng.chance(500);
                out.push(Ready::Sock {
                    id,
                    readable,
                    writable: !readable,
                });
            }
        }
        if self.rng.chance(self.faults.stale) && !self.sockets.graves.is_empty() {
            let index = self.index(self.sockets.graves.len() as u64);
            out.push(Ready::Sock {
                id: self.sockets.graves[index],
                readable: true,
                writable: true,
            });
        }
    }
}

/// So many answered connections wait at a listener; the callers after them have to wait for an answer.
pub const BACKLOG: usize = 1024;

pub(super) const GRAVES_MAX: usize = 16;

pub(super) fn os_error(number: i32) -> io::Error {
    io::Error::from_raw_os_error(number)
}

/// What every call says for a socket that is closed.
pub(super) fn gone() -> io::Error {
    os_error(libc::ENOTCONN)
}

/// Whether two listeners would claim the same connections.
pub(super) fn in_conflict(a: &Addr, b: &Addr) -> bool {
    let (Addr::Tcp(a), Addr::Tcp(b)) = (a, b) else {
        return a == b;
    };
    let covers =
        |a: &SocketAddr, b: &SocketAddr| a.ip().is_unspecified() && (a.is_ipv6() || b.is_ipv4());
    a.port() == b.port() && (a.ip() == b.ip() || covers(a, b) || covers(b, a))
}
