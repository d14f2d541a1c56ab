//! `SimNet`: the network as a function of a seed.
//!
//! The reactor and the roles run on it unmodified. Time is virtual and jumps from one thing that happens to the next;
//! peers, names and signals are moved by a driver or act by themselves; and whatever the contract of
//! [`Net`] allows to go wrong does, at rates that [`Faults`] draws. Two runs with one seed and one driver are equal to
//! the last event.
//!
//! ```text
//! driver -- Handle --> World <-- SimNet -- impl Net -- reactor and roles
//!                        |
//!                        agenda: calls, segments, resets, late events, actors' ticks, the driver's actions
//! ```
//!
//! A driver takes turns with the program, and looks at both in between:
//!
//! ```
//! use hydrant::reactor::net::Net;
//! use hydrant::sim::{Faults, SimNet};
//!
//! let (mut net, handle) = SimNet::new(42, Faults::none());
//! let mut ready = Vec::new();
//! while !handle.world().stuck() {
//!     net.wait(None, &mut ready).unwrap();
//!     // The program does its work here; then comes what must always hold.
//!     ready.clear();
//! }
//! ```
//!
//! The handle's borrow must not be held while the program runs: `handle.world().time()`, not `let world = ...`.

mod actor;
mod conn;
mod faults;
mod pattern;
mod pipe;
mod remote;
mod socket;
mod table;
mod world;

use std::cell::{RefCell, RefMut};
use std::fmt;
use std::io::{self, IoSlice, IoSliceMut};
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

pub use actor::{Actor, Content, Ending, Receiver, Source};
pub use faults::{CONNECT_TIMEOUT, Faults};
pub use pattern::{Broken, Follower, LOCATE_MIN, locate, pattern, pattern_into};
pub use remote::{Behaviour, RemoteId, RemoteState};
pub use table::BACKLOG;
pub use world::{Action, Answer, TRACE_MAX, World};

use crate::base::time::Time;
use crate::reactor::net::{
    Addr, Close, Io, Keepalive, Lookup, Net, Peer, Ready, SockId, StdStream,
};

/// The program's door to a simulated world.
pub struct SimNet {
    world: Rc<RefCell<World>>,
    now: Time,
    /// What is read into slices, or away, comes through here. It is as long as the longest such read, and is made once:
    /// to clear new memory at each would be most of their work.
    scratch: Vec<u8>,
}

/// A driver's door to the same world.
#[derive(Clone)]
pub struct Handle {
    world: Rc<RefCell<World>>,
}

impl SimNet {
    /// A world of its own, empty but for the standard streams.
    pub fn new(seed: u64, faults: Faults) -> (Self, Handle) {
        let world = Rc::new(RefCell::new(World::new(seed, faults)));
        (
            Self {
                world: Rc::clone(&world),
                now: Time::ZERO,
                scratch: Vec::new(),
            },
            Handle { world },
        )
    }

    /// Does a call and notes how it went.
    fn call<T: fmt::Debug>(
        &self,
        name: fmt::Arguments<'_>,
        call: impl FnOnce(&mut World) -> T,
    ) -> T {
        let mut world = self.world.borrow_mut();
        let result = call(&mut world);
        world.note(|| format!("{name} -> {result:?}"));
        result
    }

    fn read_to_scratch(&mut self, id: SockId, max: usize) -> io::Result<Io> {
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.resize(scratch.len().max(max), 0);
        let done = self.read(id, &mut scratch[..max]);
        self.scratch = scratch;
        done
    }
}

impl Handle {
    /// The world, until the borrow ends.
    ///
    /// # Panics
    /// If the borrow is still held when the program, or the driver, borrows the world again.
    pub fn world(&self) -> RefMut<'_, World> {
        self.world.borrow_mut()
    }
}

impl Net for SimNet {
    fn now(&self) -> Time {
        self.now
    }

    fn clock(&self) -> Time {
        self.world.borrow_mut().look_at_clock()
    }

    fn wait(&mut self, until: Option<Time>, out: &mut Vec<Ready>) -> io::Result<()> {
        let had = out.len();
        let timeout = until.map(|end| {
            if end <= self.now {
                Duration::ZERO
            } else {
                end.since(self.clock())
            }
        });
        self.call(format_args!("wait {timeout:?}"), |world| {
            world.wait(timeout, out);
        });
        let mut world = self.world.borrow_mut();
        for ready in &out[had..] {
            world.note(|| format!("{ready:?}"));
        }
        self.now = world.time();
        Ok(())
    }

    fn listen(&mut self, at: &Addr) -> io::Result<(SockId, Addr)> {
        self.call(format_args!("listen {at}"), |world| world.listen(at))
    }

    fn accept(&mut self, listener: SockId) -> io::Result<(SockId, Peer)> {
        self.call(format_args!("accept {listener:?}"), |world| {
            world.accept(listener)
        })
    }

    fn connect(&mut self, to: &Addr) -> io::Result<SockId> {
        self.call(format_args!("connect {to}"), |world| world.connect(to))
    }

    fn connected(&mut self, id: SockId) -> io::Result<Option<Peer>> {
        self.call(format_args!("connected {id:?}"), |world| {
            world.connected(id)
        })
    }

    fn open_std(&mut self, which: StdStream) -> io::Result<SockId> {
        self.call(format_args!("open {which:?}"), |world| {
            world.open_std(which)
        })
    }

    fn read(&mut self, id: SockId, into: &mut [u8]) -> io::Result<Io> {
        self.call(format_args!("read {id:?} {}", into.len()), |world| {
            world.read(id, into)
        })
    }

    fn read_slices(&mut self, id: SockId, into: &mut [IoSliceMut<'_>]) -> io::Result<Io> {
        let max = into.iter().map(|slice| slice.len()).sum();
        let done = self.read_to_scratch(id, max)?;
        let mut rest = &self.scratch[..done.bytes];
        for slice in into {
            let here;
            (here, rest) = rest.split_at(rest.len().min(slice.len()));
            slice[..here.len()].copy_from_slice(here);
        }
        Ok(done)
    }

    fn discard(&mut self, id: SockId, max: usize) -> io::Result<Io> {
        self.read_to_scratch(id, max)
    }

    fn write(&mut self, id: SockId, from: [&[u8]; 2]) -> io::Result<Io> {
        let sizes = from.map(<[u8]>::len);
        self.call(format_args!("write {id:?} {sizes:?}"), |world| {
            world.write(id, from)
        })
    }

    fn write_slices(&mut self, id: SockId, from: &[IoSlice<'_>]) -> io::Result<Io> {
        let from: Vec<&[u8]> = from.iter().map(|slice| &**slice).collect();
        self.write(id, [&from.concat(), &[]])
    }

    fn shutdown(&mut self, id: SockId) -> io::Result<()> {
        self.call(format_args!("shutdown {id:?}"), |world| world.shutdown(id))
    }

    fn close(&mut self, id: SockId, how: Close) {
        self.call(format_args!("close {id:?} {how:?}"), |world| {
            world.close(id, how);
        });
    }

    fn set_keepalive(&mut self, id: SockId, keepalive: Keepalive) -> io::Result<()> {
        self.call(format_args!("keepalive {id:?} {keepalive:?}"), |world| {
            world.set_keepalive(id, keepalive)
        })
    }

    fn unacknowledged(&self, id: SockId) -> Option<u32> {
        self.call(format_args!("unacknowledged {id:?}"), |world| {
            world.unacknowledged(id)
        })
    }

    fn unanswered(&self, id: SockId) -> Option<Duration> {
        self.call(format_args!("unanswered {id:?}"), |world| {
            world.unanswered(id)
        })
    }

    fn is_over(&self, id: SockId) -> bool {
        self.call(format_args!("over {id:?}"), |world| world.is_over(id))
    }

    fn local(&self, id: SockId) -> Option<SocketAddr> {
        self.call(format_args!("local {id:?}"), |world| world.local(id))
    }

    fn resolve(&mut self, lookup: Lookup, name: &str) {
        self.call(format_args!("resolve {lookup:?} {name}"), |world| {
            world.resolve(lookup, name);
        });
    }

    fn resolve_now(&mut self, name: &str) -> io::Result<Vec<IpAddr>> {
        self.call(format_args!("resolve now {name}"), |world| {
            world.look_up(name).result.map_err(io::Error::from)
        })
    }

    fn sockets_left(&self) -> usize {
        self.world.borrow().sockets_left()
    }

    /// Every run takes place on the same day.
    fn utc_millis(&self) -> u64 {
        1_767_225_600_000 + self.now().nanos() / 1_000_000
    }

    fn random(&mut self) -> u64 {
        self.world.borrow_mut().random()
    }
}

#[cfg(test)]
mod tests;
