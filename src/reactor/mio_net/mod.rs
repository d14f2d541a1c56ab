//! The real network: `mio::Poll`, sockets in a slab, signals, helper threads and the clock. The only module that
//! names any of them. It knows what is ready; who wants what, and when to stop waiting, is the reactor's.
//!
//! Every socket is registered once, edge-triggered, for all that can happen to it. An event's token is the socket's
//! whole [`SockId`], so an event for a tenant that has left its place is recognised and thrown away.
//!
//! **Invariant:** when a read comes up short, and [`Io::more`] says that nothing is left, the kernel owes the socket
//! another event. That holds because anything that arrives after the last wait raises a new edge. It would not hold
//! for an end, an error or an urgent mark that the last event has announced already and that a short read may have
//! stopped in front of: a socket which has seen one of those is *wary*, and from then on asked until it says
//! `WouldBlock`.

mod alarm;
pub mod blocking;
mod clock;
mod descriptors;
mod listen;
mod passed;
mod resolver;
mod signals;
mod socket;
mod sockets;
mod std_stream;
#[cfg(test)]
mod tests;

use std::io::{self, ErrorKind, IoSlice, IoSliceMut};
use std::net::{IpAddr, Shutdown, SocketAddr};
use std::os::fd::{AsFd, AsRawFd};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use mio::unix::SourceFd;
use mio::{Poll, Token, Waker};
use rustix::buffer::spare_capacity;
use rustix::event::epoll;
use rustix::io::Errno;
use rustix::time::Timespec;
use signal_hook_mio::v1_0::Signals;
use socket2::Socket;

use super::net::{Addr, Close, Io, Keepalive, Lookup, Net, Peer, Ready, SockId, StdStream, Wake};
use super::sys;
use crate::base::time::Time;
use alarm::Alarm;
pub use clock::Epoch;
use clock::time_since;
use descriptors::Descriptors;
pub use listen::is_dead;
pub use passed::Passed;
use resolver::Resolver;
pub use signals::{bear_file_limit, end_by_next_signal};
use sockets::{Family, Kind, Sockets, Stream};
use std_stream::StdStreams;

/// What a [`MioNet`] is to do beside sockets.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// The zero of its clock. `None`: the moment when it is made.
    pub epoch: Option<Epoch>,
    /// Catch SIGINT, SIGTERM, SIGHUP and SIGUSR1 and report them as [`Ready::Signal`]. They stay caught until the
    /// process ends.
    pub signals: bool,
}

/// The network of the operating system.
///
/// What each turn looks at comes first, in memory as here.
#[repr(C, align(64))]
pub struct MioNet {
    /// The zero of its clock, by [`sys::monotonic`].
    start: u64,
    now: Time,
    poll: Poll,
    alarm: Alarm,
    /// What the latest wait brought, with room for as much as one brings. mio registers what is waited for; the wait
    /// itself goes to the kernel without the C library between, as do reads and writes (see socket.rs).
    events: Vec<epoll::Event>,
    sockets: Sockets,
    std_streams: StdStreams,
    resolver: Resolver,
    waker: Arc<Waker>,
    signals: Option<Signals>,
    descriptors: Descriptors,
    /// Room for what is thrown away; nothing is ever in it.
    discarded: Vec<u8>,
    /// Listeners that are there already.
    passed: Vec<Passed>,
}

impl MioNet {
    /// A network without sockets. Raises the limit of open descriptors as far as the system lets it.
    pub fn new(options: Options) -> io::Result<Self> {
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKER)?);
        let alarm = Alarm::new(poll.registry(), ALARM)?;
        let signals = if options.signals {
            Some(signals::catch(poll.registry(), SIGNALS)?)
        } else {
            None
        };
        Ok(Self {
            poll,
            alarm,
            events: Vec::with_capacity(EVENTS_MAX),
            sockets: Sockets::new(),
            std_streams: StdStreams::default(),
            resolver: Resolver::new(Arc::clone(&waker)),
            waker,
            signals,
            start: options
                .epoch
                .map_or_else(sys::monotonic, |epoch| epoch.start),
            now: Time::ZERO,
            descriptors: Descriptors::new(),
            discarded: Vec::new(),
            passed: Vec::new(),
        })
    }

    /// Whoever is to listen where one of these does, listens on a copy of it.
    pub fn take_over(&mut self, passed: Vec<Passed>) {
        self.passed = passed;
    }

    /// How many descriptors this process may have open.
    pub fn descriptor_limit(&self) -> usize {
        self.descriptors.limit()
    }

    fn insert(&mut self, socket: Socket, kind: Kind) -> io::Result<SockId> {
        self.sockets.insert(self.poll.registry(), socket, kind)
    }

    fn insert_stream(&mut self, socket: Socket, what: Stream) -> io::Result<SockId> {
        self.insert(socket, Kind::Stream { what, wary: false })
    }

    /// An error as the caller is to see it: stdout's socket pair is not what has failed.
    #[cold]
    fn explain(&self, error: io::Error, what: Stream) -> io::Error {
        match error.kind() {
            ErrorKind::BrokenPipe | ErrorKind::ConnectionReset if what == Stream::Stdout => {
                self.std_streams.stdout_error()
            }
            _ => error,
        }
    }

    /// What comes in at a stream, `max` bytes at most, by `recv`.
    fn take_in(
        &self,
        id: SockId,
        max: usize,
        recv: impl FnOnce(&Socket, Stream) -> io::Result<usize>,
    ) -> io::Result<Io> {
        let (socket, what, wary) = self.sockets.stream(id)?;
        if max == 0 {
            return Ok(Io {
                bytes: 0,
                more: true,
            });
        }
        let bytes = recv(socket, what).map_err(|error| self.explain(error, what))?;
        let failure = match what {
            Stream::Stdin if bytes == 0 => self.std_streams.stdin_failure(),
            Stream::Stdout if bytes == 0 => self.std_streams.stdout_failure(),
            _ => None,
        };
        if let Some(error) = failure {
            return Err(error);
        }
        Ok(Io {
            bytes,
            more: bytes == max || bytes == 0 || wary,
        })
    }

    /// **Invariant.** An event's data is the token that mio was given: so mio registers on Linux (1.2), and its own
    /// events are read so there. The network's tests hold it.
    fn dispatch(&mut self, out: &mut Vec<Ready>) {
        for event in &self.events {
            match Token(event.data.u64() as usize) {
                WAKER => poll_resolver(&mut self.resolver, out),
                ALARM => self.alarm.rang(),
                SIGNALS => signals::take(&mut self.signals, out),
                token => {
                    if let Some(ready) = self.sockets.ready(token, event.flags) {
                        out.push(ready);
                    }
                }
            }
        }
    }
}

impl Net for MioNet {
    fn now(&self) -> Time {
        self.now
    }

    fn clock(&self) -> Time {
        time_since(self.start)
    }

    fn cpu_time(&self) -> Duration {
        sys::thread_time()
    }

    fn wait(&mut self, until: Option<Time>, out: &mut Vec<Ready>) -> io::Result<()> {
        let sleeps = match until {
            None => true,
            Some(end) if end <= self.now => false,
            Some(end) => {
                let start = self.start;
                self.alarm.ends_by(end, || time_since(start))?
            }
        };
        let timeout = (!sleeps).then_some(&AT_ONCE);
        self.events.clear();
        let room = spare_capacity(&mut self.events);
        let outcome = epoll::wait(self.poll.registry(), room, timeout);
        self.now = self.clock();
        match outcome {
            Ok(_) => self.dispatch(out),
            // A signal: the next wait finds it at once.
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    fn listen(&mut self, at: &Addr) -> io::Result<(SockId, Addr)> {
        if let Some(passed) = self.passed.iter().find(|passed| passed.at == *at) {
            let family = match at {
                Addr::Tcp(_) => Family::Tcp,
                Addr::Unix(_) => Family::Unix { _file: None },
            };
            let socket = passed.copy()?;
            return Ok((self.insert(socket, Kind::Listener(family))?, at.clone()));
        }
        match at {
            Addr::Tcp(at) => {
                let (socket, bound) = listen::tcp(*at)?;
                Ok((
                    self.insert(socket, Kind::Listener(Family::Tcp))?,
                    Addr::Tcp(bound),
                ))
            }
            Addr::Unix(path) => {
                let (socket, file) = listen::unix(path)?;
                let family = Family::Unix {
                    _file: Some(Rc::new(file)),
                };
                Ok((self.insert(socket, Kind::Listener(family))?, at.clone()))
            }
        }
    }

    fn share(&mut self, listener: SockId) -> io::Result<SockId> {
        let (socket, family) = self.sockets.listener(listener)?;
        let (socket, family) = (socket.try_clone()?, family.clone());
        self.insert(socket, Kind::Listener(family))
    }

    fn listen_beside(&mut self, at: &Addr, ours: &[SockId]) -> io::Result<(SockId, Addr)> {
        let Addr::Tcp(place) = at else {
            return self.listen(at);
        };
        let ours = ours.iter().filter_map(|id| self.sockets.find(*id));
        let ours: Vec<&Socket> = ours.map(|entry| &entry.socket).collect();
        let (socket, bound) = listen::tcp_beside(*place, &ours)?;
        let id = self.insert(socket, Kind::Listener(Family::Tcp))?;
        Ok((id, Addr::Tcp(bound)))
    }

    fn waker(&self) -> Wake {
        let waker = Arc::clone(&self.waker);
        // Where it fails, the next event wakes the loop.
        Arc::new(move || drop(waker.wake()))
    }

    fn accept(&mut self, listener: SockId) -> io::Result<(SockId, Peer)> {
        let (socket, family) = self.sockets.listener(listener)?;
        let what = match family {
            Family::Tcp => Stream::Tcp,
            Family::Unix { .. } => Stream::Unix,
        };
        let (socket, address) = socket::accept(socket)?;
        let peer = what.peer(&address);
        Ok((self.insert_stream(socket, what)?, peer))
    }

    fn connect(&mut self, to: &Addr) -> io::Result<SockId> {
        match to {
            Addr::Tcp(to) => self.insert_stream(socket::connect_tcp(*to)?, Stream::Tcp),
            Addr::Unix(path) => self.insert_stream(socket::connect_unix(path)?, Stream::Unix),
        }
    }

    fn connected(&mut self, id: SockId) -> io::Result<Option<Peer>> {
        let (socket, what, _) = self.sockets.stream(id)?;
        if let Some(error) = socket.take_error()? {
            return Err(error);
        }
        let address = match socket.peer_addr() {
            Ok(address) => address,
            Err(error) if error.kind() == ErrorKind::NotConnected => return Ok(None),
            Err(error) => return Err(error),
        };
        if what == Stream::Tcp && socket.local_addr()?.as_socket() == address.as_socket() {
            // Dialling a local port that nobody listens on may get that very port as its own, and so reach itself. An
            // orderly close would keep the port busy for a minute.
            socket.set_linger(Some(Duration::ZERO))?;
            return Err(ErrorKind::ConnectionRefused.into());
        }
        Ok(Some(what.peer(&address)))
    }

    fn open_std(&mut self, which: StdStream) -> io::Result<SockId> {
        let socket = self.std_streams.open(which)?;
        self.descriptors.note_std_opened();
        self.insert_stream(socket, Stream::of_std(which))
    }

    fn read(&mut self, id: SockId, into: &mut [u8]) -> io::Result<Io> {
        let max = into.len();
        self.take_in(id, max, |socket, _| socket::recv(socket, into))
    }

    fn read_slices(&mut self, id: SockId, into: &mut [IoSliceMut<'_>]) -> io::Result<Io> {
        let max = into.iter().map(|slice| slice.len()).sum();
        self.take_in(id, max, |socket, _| socket::recv_slices(socket, into))
    }

    fn discard(&mut self, id: SockId, max: usize) -> io::Result<Io> {
        let max = max.min(DISCARD_MAX);
        let mut room = std::mem::take(&mut self.discarded);
        room.reserve(DISCARD_MAX);
        let room_max = &mut room.spare_capacity_mut()[..max];
        let done = self.take_in(id, max, |socket, what| match what {
            Stream::Tcp => socket::recv_away(socket, room_max),
            Stream::Unix | Stream::Stdin | Stream::Stdout => socket::recv_uninit(socket, room_max),
        });
        self.discarded = room;
        done
    }

    fn write(&mut self, id: SockId, from: [&[u8]; 2]) -> io::Result<Io> {
        let (socket, what, _) = self.sockets.stream(id)?;
        let bytes = socket::send(socket, from).map_err(|error| self.explain(error, what))?;
        // A send that comes up short has told the kernel to say when there is room.
        Ok(Io {
            bytes,
            more: bytes == from[0].len() + from[1].len(),
        })
    }

    fn write_slices(&mut self, id: SockId, from: &[IoSlice<'_>]) -> io::Result<Io> {
        let (socket, what, _) = self.sockets.stream(id)?;
        let bytes = socket::send_slices(socket, from).map_err(|error| self.explain(error, what))?;
        let asked: usize = from.iter().map(|slice| slice.len()).sum();
        let more = bytes == asked;
        Ok(Io { bytes, more })
    }

    fn shutdown(&mut self, id: SockId) -> io::Result<()> {
        let (socket, ..) = self.sockets.stream(id)?;
        socket.shutdown(Shutdown::Write)
    }

    fn close(&mut self, id: SockId, how: Close) {
        let Some(entry) = self.sockets.remove(id) else {
            return;
        };
        // Dropping the descriptor takes it out of the poll too, unless another one stands for the same listener.
        if let Kind::Listener(_) = entry.kind {
            let _ = self
                .poll
                .registry()
                .deregister(&mut SourceFd(&entry.socket.as_raw_fd()));
        }
        if let Kind::Stream {
            what: Stream::Stdout,
            ..
        } = entry.kind
        {
            self.std_streams.close_stdout();
            self.descriptors.note_std_closed();
        }
        if let Kind::Stream { .. } = entry.kind {
            match how {
                Close::Orderly => socket::read_away(&entry.socket),
                // Where it fails there is no connection to reset.
                Close::Reset => drop(entry.socket.set_linger(Some(Duration::ZERO))),
            }
        }
    }

    fn set_keepalive(&mut self, id: SockId, keepalive: Keepalive) -> io::Result<()> {
        let (socket, what, _) = self.sockets.stream(id)?;
        if what != Stream::Tcp {
            return Ok(());
        }
        socket::set_keepalive(socket, keepalive)
    }

    fn unacknowledged(&self, id: SockId) -> Option<u32> {
        match self.sockets.stream(id) {
            Ok((socket, Stream::Tcp, _)) => sys::unacknowledged(socket.as_fd()),
            _ => None,
        }
    }

    fn unanswered(&self, id: SockId) -> Option<Duration> {
        match self.sockets.stream(id) {
            Ok((socket, Stream::Tcp, _)) => sys::unanswered(socket.as_fd()),
            _ => None,
        }
    }

    fn is_over(&self, id: SockId) -> bool {
        match self.sockets.stream(id) {
            Ok((socket, Stream::Tcp, _)) => sys::is_over(socket.as_fd()),
            _ => false,
        }
    }

    fn local(&self, id: SockId) -> Option<SocketAddr> {
        let (socket, what, _) = self.sockets.stream(id).ok()?;
        match what.peer(&socket.local_addr().ok()?) {
            Peer::Tcp(at) => Some(at),
            Peer::Unix | Peer::Stdio => None,
        }
    }

    fn resolve(&mut self, lookup: Lookup, name: &str) {
        self.resolver.ask(lookup, name);
    }

    fn resolve_now(&mut self, name: &str) -> io::Result<Vec<IpAddr>> {
        resolver::look_up(name).map_err(|(kind, text)| io::Error::new(kind, text))
    }

    fn sockets_left(&self) -> usize {
        self.descriptors.left(self.sockets.len())
    }

    fn utc_millis(&self) -> u64 {
        clock::utc_millis()
    }

    fn trim_memory(&mut self) {
        sys::trim_memory();
    }

    fn random(&mut self) -> u64 {
        getrandom::u64().expect("Linux has a source of randomness")
    }
}

/// What few events are about is called, never merged into what a wait runs for each message.
#[cold]
fn poll_resolver(resolver: &mut Resolver, out: &mut Vec<Ready>) {
    resolver.poll(out);
}

const WAKER: Token = Token(usize::MAX);
const SIGNALS: Token = Token(usize::MAX - 1);
const ALARM: Token = Token(usize::MAX - 2);

/// The timeout of a wait that only looks.
const AT_ONCE: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 0,
};

/// The most events that one wait takes in; the rest come with the next.
const EVENTS_MAX: usize = 1024;

/// The most that is thrown away in one go.
const DISCARD_MAX: usize = 1 << 20;
