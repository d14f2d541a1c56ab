//! The only door to the operating system: sockets, names, signals, randomness and the clock.
//!
//! A [`Net`] knows which sockets exist and what became ready. It does not know roles, timers or who wants what;
//! that is the reactor's. `MioNet` is the real one, `SimNet` a scripted one: the same reactor and the same roles run
//! on both, and `tests/conformance.rs` holds the two to one behaviour.

use std::fmt;
use std::io::{self, IoSlice, IoSliceMut};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::base::time::Time;

/// A socket: its place in the table of sockets, and which of the place's successive tenants it is. An id whose socket
/// has been closed matches nothing any more, so that a late event or call for it finds nothing.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SockId {
    /// The place, counted from 0. Places are reused, lowest first or most recent first, as the `Net` likes.
    pub key: u32,
    /// Which tenant of that place.
    pub generation: u32,
}

impl fmt::Debug for SockId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}.{}", self.key, self.generation)
    }
}

/// A question to the resolver, so that its late answer can be told from the next one's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lookup(pub u64);

/// Where to listen or connect, with nothing left to look up.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Addr {
    /// A TCP address. As a place to listen, `[::]` takes both families.
    Tcp(SocketAddr),
    /// The path of a Unix stream socket.
    Unix(PathBuf),
}

impl Addr {
    /// Whether only this machine's programs can be there, or come there.
    pub fn is_loopback(&self) -> bool {
        match self {
            Self::Tcp(at) => at.ip().to_canonical().is_loopback(),
            Self::Unix(_) => true,
        }
    }
}

impl fmt::Display for Addr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(at) => at.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// Who is at the other end of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// A TCP peer. An IPv4 address that came in mapped into IPv6 stands here as IPv4.
    Tcp(SocketAddr),
    /// A program on this machine, behind a Unix socket; such peers have no address.
    Unix,
    /// A standard stream of this process.
    Stdio,
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(at) => at.fmt(f),
            Self::Unix => f.write_str("unix"),
            Self::Stdio => f.write_str("-"),
        }
    }
}

/// A standard stream of this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StdStream {
    /// Standard input, to read from.
    Stdin,
    /// Standard output, to write to.
    Stdout,
}

/// What a read or a write did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Io {
    /// Bytes moved. Zero from a read into a buffer that is not empty is the end of the stream.
    pub bytes: usize,
    /// Another call may move more without waiting. False promises that a new readiness event will come first, so the
    /// caller need not ask again only to be told `WouldBlock`. True at the end of the stream, which can be read
    /// again.
    pub more: bool,
}

/// How a socket is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Close {
    /// What the kernel has taken is still delivered, then the end (FIN).
    Orderly,
    /// At once, by a reset, so that the peer can't take it for the end of the stream. A Unix socket knows no reset:
    /// its peer sees the end.
    Reset,
}

/// Ends a [`Net::wait`] early, from whatever thread.
pub type Wake = Arc<dyn Fn() + Send + Sync>;

/// How soon a connection whose peer is gone is noticed. All times are rounded up to whole seconds, as the kernel
/// takes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keepalive {
    /// The first probe goes out after so long without traffic, and the next ones, if none is answered, each a third
    /// of it later (at least a second): three without an answer, and the connection is dead.
    pub idle: Duration,
    /// Sent bytes that stay unacknowledged for so long end the connection too (TCP_USER_TIMEOUT). Not for receivers:
    /// one that merely pauses would die of it.
    pub user_timeout: Option<Duration>,
}

/// The signals that mean something to hydrant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGINT.
    Interrupt,
    /// SIGTERM.
    Terminate,
    /// SIGHUP.
    HangUp,
    /// SIGUSR1.
    Report,
    /// No signal of the system's: whoever runs hydrant has told it to stop one role of several.
    Command,
    /// Nor is this: a role is not in the run file any more, or not as it was.
    Reload,
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Interrupt => "SIGINT",
            Self::Terminate => "SIGTERM",
            Self::HangUp => "SIGHUP",
            Self::Report => "SIGUSR1",
            Self::Command => "a command",
            Self::Reload => "a reload",
        })
    }
}

/// What [`Net::wait`] found.
#[derive(Debug)]
pub enum Ready {
    /// A socket may have become readable or writable. May be spurious, and may speak of a socket that is gone.
    Sock {
        /// Which.
        id: SockId,
        /// A read, or an accept, may succeed, or report the end or an error.
        readable: bool,
        /// A write may succeed or report an error; a connection attempt may have ended.
        writable: bool,
    },
    /// The resolver's answer to [`Net::resolve`]: at least one address, in the resolver's order, or an error.
    Resolved(Lookup, io::Result<Vec<IpAddr>>),
    /// A signal came in.
    Signal(Signal),
}

/// The network, as the reactor sees it. Nothing here blocks but [`Net::wait`].
///
/// Streams and listeners report readiness by edges: after `WouldBlock`, or after an [`Io`] whose `more` is false, the
/// next [`Ready::Sock`] says when to try again. A call for an id that is gone, or that is a listener where a stream
/// is needed, fails with `NotConnected`.
pub trait Net {
    /// The time as it was when [`Net::wait`] last returned.
    fn now(&self) -> Time;

    /// The time as it is.
    fn clock(&self) -> Time;

    /// The processor's time that the calling thread has used, where the network knows it; else it is the clock's.
    fn cpu_time(&self) -> Duration {
        self.clock().since(Time::ZERO)
    }

    /// Waits until something is ready or this time has come (`None`: for as long as it takes), and adds what it found
    /// to `out`. A time that is not after [`Net::now`] only looks. It may return early with nothing found, as after a
    /// signal, but never by rounding the time down.
    fn wait(&mut self, until: Option<Time>, out: &mut Vec<Ready>) -> io::Result<()>;

    /// Begins to listen. A Unix socket's file is made, and a stale one replaced only where connecting to it is
    /// refused: `AddrInUse` if somebody listens there, `AlreadyExists` with its own message if the file is no socket.
    /// Returns the listener and the address it really has (port 0 becomes the one given; `[::]` becomes `0.0.0.0`
    /// where the machine has no IPv6).
    fn listen(&mut self, at: &Addr) -> io::Result<(SockId, Addr)>;

    /// A second listener at the place of another, which takes connections out of the same queue; the first may be
    /// closed at any time without the loss of one.
    ///
    /// # Errors
    /// `Unsupported` where the network has no such thing.
    fn share(&mut self, _listener: SockId) -> io::Result<SockId> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// As [`Net::listen`], at a place that takes in those of these listeners, or is a part of one: they are about to be
    /// closed, and until then each gets what is called by the more exact of the two addresses.
    ///
    /// # Errors
    /// As `listen`; that the place is in use where somebody else has a part of it, or the network can't do this.
    fn listen_beside(&mut self, at: &Addr, _ours: &[SockId]) -> io::Result<(SockId, Addr)> {
        self.listen(at)
    }

    /// Something that other threads may call to end a [`Net::wait`] early, with nothing found.
    fn waker(&self) -> Wake {
        Arc::new(|| {})
    }

    /// Takes one waiting connection. `WouldBlock` when none waits. Out of descriptors or memory, the error is one for
    /// which [`is_exhaustion`] holds, and the connection goes on waiting.
    fn accept(&mut self, listener: SockId) -> io::Result<(SockId, Peer)>;

    /// Begins to connect. The attempt's end is announced by writability, and told by [`Net::connected`]. What can be
    /// told at once (no route, nobody at a Unix socket) is an error here.
    fn connect(&mut self, to: &Addr) -> io::Result<SockId>;

    /// How an attempt to connect went: the peer, `Ok(None)` if it is still under way, or why it failed, which is told
    /// once; the socket is the caller's to close all the same.
    fn connected(&mut self, id: SockId) -> io::Result<Option<Peer>>;

    /// A standard stream, as a socket. A helper thread moves the bytes through a bounded pipe, since standard streams
    /// may be files and must stay blocking for the sake of others who share them. Each can be open once at a time, and
    /// stdin once in all.
    ///
    /// Stdin is read and ends like any stream; where reading it fails, what came before is read first, and then the
    /// error. Stdout is written; after [`Net::shutdown`] it reads as ended once the
    /// last byte has been handed to the operating system. Where that failed, reading and writing it fail likewise:
    /// with `BrokenPipe` if its reader is gone, or with what else went wrong, such as a full disk.
    fn open_std(&mut self, which: StdStream) -> io::Result<SockId>;

    /// Reads what is there, up to `into`'s length. `WouldBlock` when nothing is. A TCP urgent byte is left out.
    fn read(&mut self, id: SockId, into: &mut [u8]) -> io::Result<Io>;

    /// As [`Net::read`], into any number of slices, one filled before the next. It may leave any out at the end. One of
    /// them at least is not empty.
    fn read_slices(&mut self, id: SockId, into: &mut [IoSliceMut<'_>]) -> io::Result<Io> {
        let first = into.iter_mut().find(|slice| !slice.is_empty());
        self.read(id, first.map_or(&mut [][..], |slice| slice))
    }

    /// Reads up to `max` bytes and throws them away; else as [`Net::read`]. A TCP stream's bytes are not even copied.
    fn discard(&mut self, id: SockId, max: usize) -> io::Result<Io>;

    /// Writes the first slice and then the second (which may be empty), as far as they are taken. `WouldBlock` when
    /// nothing is.
    fn write(&mut self, id: SockId, from: [&[u8]; 2]) -> io::Result<Io>;

    /// As [`Net::write`], of any number of slices, of which it may leave any out at the end.
    fn write_slices(&mut self, id: SockId, from: &[IoSlice<'_>]) -> io::Result<Io> {
        let first = |at: usize| from.get(at).map_or(&[][..], |slice| slice);
        self.write(id, [first(0), first(1)])
    }

    /// Ends our direction of the stream (FIN); the other stays open.
    fn shutdown(&mut self, id: SockId) -> io::Result<()>;

    /// Closes a socket, whatever it is. A Unix listener's file is removed. An id that is gone already is no error. An
    /// orderly close first reads away what has come in, up to a limit: unread input would turn it into a reset.
    fn close(&mut self, id: SockId, how: Close);

    /// Sets how soon a dead peer is noticed. No effect on what is not TCP.
    fn set_keepalive(&mut self, id: SockId, keepalive: Keepalive) -> io::Result<()>;

    /// Bytes that were written to a TCP stream and that its peer's kernel has not acknowledged yet (SIOCOUTQ), the
    /// FIN counted as one; `None` where that can't be known.
    fn unacknowledged(&self, id: SockId) -> Option<u32>;

    /// For how long a TCP peer's kernel has been silent while it owes an answer: the time since it last acknowledged
    /// anything, if bytes or a window probe were sent to it again after that (TCP_INFO). `None` where it owes nothing,
    /// and where that can't be known. A peer that merely pauses owes an answer for a moment after each probe.
    fn unanswered(&self, id: SockId) -> Option<Duration>;

    /// Whether a TCP connection is over in both directions, be it by a reset or because its kernel has given it up
    /// (TCP_INFO). After the peer's end nothing else shows that. False for what is not TCP.
    fn is_over(&self, id: SockId) -> bool;

    /// Our own end of a TCP stream; `None` for what is none, or is gone.
    fn local(&self, id: SockId) -> Option<SocketAddr>;

    /// Asks for a name's addresses. The answer is a [`Ready::Resolved`] from a later [`Net::wait`].
    fn resolve(&mut self, lookup: Lookup, name: &str);

    /// A name's addresses, at least one, however long the look-up takes: for listeners, before anything runs.
    fn resolve_now(&mut self, name: &str) -> io::Result<Vec<IpAddr>>;

    /// How many more sockets can be opened before the descriptors run out, as far as is known.
    fn sockets_left(&self) -> usize;

    /// The time of day, in milliseconds since 1970, for people.
    fn utc_millis(&self) -> u64;

    /// Fresh randomness, good enough for jitter and for secrets.
    fn random(&mut self) -> u64;

    /// Gives the operating system back what the allocator keeps of memory that is free, where it has such a call.
    fn trim_memory(&mut self) {}
}

/// Whether `error` says that descriptors or memory have run out: waiting a little may help, trying at once does not.
pub fn is_exhaustion(error: &io::Error) -> bool {
    // ENOSPC is epoll's word for too many watched sockets.
    matches!(
        error.raw_os_error(),
        Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM | libc::ENOSPC)
    )
}
