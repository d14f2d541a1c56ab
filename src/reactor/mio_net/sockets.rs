//! The table of sockets: what has to be known of each, and whose event it is that a wait has brought. What is done to a
//! socket, and when the poll waits, it does not know.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::rc::Rc;

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use rustix::event::epoll::EventFlags;
use slab::Slab;
use socket2::{SockAddr, Socket};

use super::listen::SocketFile;
use crate::reactor::net::{Peer, Ready, SockId, StdStream};

/// The sockets, each in a place that may have had other tenants before.
#[derive(Debug)]
pub(super) struct Sockets {
    entries: Slab<Entry>,
    /// Counts every socket that was ever opened, so that no two of a place's tenants share a generation.
    generation: u32,
}

/// A socket and what has to be known of it. There may be very many, so it is small; see the assertion below.
#[derive(Debug)]
pub(super) struct Entry {
    generation: u32,
    // Before the socket, since it is dropped first: see `SocketFile`.
    pub(super) kind: Kind,
    pub(super) socket: Socket,
}

const _: () = assert!(size_of::<Option<Entry>>() <= 24);

/// What a socket is. Which stream is wary, and why, the network says at its top.
#[derive(Debug)]
pub(super) enum Kind {
    Listener(Family),
    Stream { what: Stream, wary: bool },
}

/// Where a listener is.
#[derive(Clone, Debug)]
pub(super) enum Family {
    Tcp,
    /// The file is its own, or the service manager's.
    Unix {
        _file: Option<Rc<SocketFile>>,
    },
}

/// What a stream leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stream {
    Tcp,
    Unix,
    Stdin,
    Stdout,
}

impl Stream {
    /// A standard stream.
    pub(super) fn of_std(which: StdStream) -> Self {
        match which {
            StdStream::Stdin => Self::Stdin,
            StdStream::Stdout => Self::Stdout,
        }
    }

    /// Who is at an address of one of its ends.
    pub(super) fn peer(self, address: &SockAddr) -> Peer {
        match (self, address.as_socket()) {
            (Self::Tcp, Some(at)) => Peer::Tcp(SocketAddr::new(at.ip().to_canonical(), at.port())),
            (Self::Tcp | Self::Unix, _) => Peer::Unix,
            (Self::Stdin | Self::Stdout, _) => Peer::Stdio,
        }
    }
}

impl Sockets {
    pub(super) fn new() -> Self {
        Self {
            entries: Slab::new(),
            generation: 0,
        }
    }

    /// How many sockets there are.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Gives a socket a place, and has `registry` announce all that can happen to it.
    pub(super) fn insert(
        &mut self,
        registry: &Registry,
        socket: Socket,
        kind: Kind,
    ) -> io::Result<SockId> {
        let interest = match kind {
            Kind::Listener(_) => Interest::READABLE,
            Kind::Stream { .. } => Interest::READABLE | Interest::WRITABLE | Interest::PRIORITY,
        };
        let place = self.entries.vacant_entry();
        let key = u32::try_from(place.key()).expect("there are fewer descriptors than 2^32");
        let id = SockId {
            key,
            generation: self.generation.wrapping_add(1),
        };
        registry.register(&mut SourceFd(&socket.as_raw_fd()), token(id), interest)?;
        self.generation = id.generation;
        place.insert(Entry {
            generation: id.generation,
            kind,
            socket,
        });
        Ok(id)
    }

    /// Takes a socket out, if it is there still.
    pub(super) fn remove(&mut self, id: SockId) -> Option<Entry> {
        self.find(id)?;
        Some(self.entries.remove(id.key as usize))
    }

    /// The socket with this id; nothing if that is gone.
    pub(super) fn find(&self, id: SockId) -> Option<&Entry> {
        self.entries
            .get(id.key as usize)
            .filter(|entry| entry.generation == id.generation)
    }

    /// The listener with this id.
    pub(super) fn listener(&self, id: SockId) -> io::Result<(&Socket, &Family)> {
        match self.find(id) {
            Some(Entry {
                socket,
                kind: Kind::Listener(family),
                ..
            }) => Ok((socket, family)),
            _ => Err(ErrorKind::NotConnected.into()),
        }
    }

    /// The stream with this id, and whether it is wary.
    pub(super) fn stream(&self, id: SockId) -> io::Result<(&Socket, Stream, bool)> {
        match self.find(id) {
            Some(Entry {
                socket,
                kind: Kind::Stream { what, wary },
                ..
            }) => Ok((socket, *what, *wary)),
            _ => Err(ErrorKind::NotConnected.into()),
        }
    }

    /// What an event says of the socket that has it; nothing if that is gone.
    pub(super) fn ready(&mut self, token: Token, flags: EventFlags) -> Option<Ready> {
        let id = sock_id(token);
        let entry = self
            .entries
            .get_mut(id.key as usize)
            .filter(|entry| entry.generation == id.generation)?;
        let over = EventFlags::ERR | EventFlags::HUP;
        if let Kind::Stream { wary, .. } = &mut entry.kind {
            *wary |= flags.intersects(over | EventFlags::RDHUP | EventFlags::PRI);
        }
        Some(Ready::Sock {
            id,
            readable: flags.intersects(over | EventFlags::IN | EventFlags::PRI),
            writable: flags.intersects(over | EventFlags::OUT),
        })
    }
}

fn token(id: SockId) -> Token {
    Token(id.key as usize | (id.generation as usize) << 32)
}

fn sock_id(token: Token) -> SockId {
    // Each half is meant to lose the other.
    SockId {
        key: token.0 as u32,
        generation: (token.0 >> 32) as u32,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_keeps_the_whole_id() {
        for id in [
            SockId {
                key: 0,
                generation: 1,
            },
            SockId {
                key: u32::MAX - 9,
                generation: u32::MAX,
            },
        ] {
            assert_eq!(sock_id(token(id)), id);
        }
    }
}
