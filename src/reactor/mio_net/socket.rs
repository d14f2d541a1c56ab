//! What is done to one socket, without the poll and the table of sockets.
//!
//! What each message takes, a read and a send of one slice, goes to the kernel without the C library between. In there
//! a thread may be cancelled, which it prepares for before each call and clears up after: as much work as a turn of the
//! loop does itself for one of them, on pages of a library that nothing else in a turn needs.

use std::io::{self, ErrorKind, IoSlice, IoSliceMut, Read};
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use rustix::io::retry_on_intr;
use rustix::net::{self, RecvFlags, SendFlags};
use socket2::{Domain, Protocol, SockAddr, Socket, TcpKeepalive, Type};

use crate::reactor::net::Keepalive;

/// Takes one waiting connection, non-blocking and closed on exec.
pub(super) fn accept(listener: &Socket) -> io::Result<(Socket, SockAddr)> {
    for _ in 1..ACCEPT_TRIES {
        match listener.accept4(libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC) {
            // That one left before it was served; the next may be there.
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::ConnectionAborted | ErrorKind::Interrupted
                ) => {}
            outcome => return outcome,
        }
    }
    listener.accept4(libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC)
}

/// Begins to connect to a TCP address.
pub(super) fn connect_tcp(to: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(
        Domain::for_address(to),
        Type::STREAM.nonblocking(),
        Some(Protocol::TCP),
    )?;
    socket.set_tcp_nodelay(true)?;
    match socket.connect(&to.into()) {
        Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => Err(error),
        _ => Ok(socket),
    }
}

/// Connects to a Unix socket, which ends at once either way.
pub(super) fn connect_unix(path: &Path) -> io::Result<Socket> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM.nonblocking(), None)?;
    match socket.connect(&SockAddr::unix(path)?) {
        Ok(()) => Ok(socket),
        // Unlike TCP, a Unix socket does not go on trying by itself, so this must not look like "later".
        Err(error) if error.kind() == ErrorKind::WouldBlock => Err(io::Error::new(
            ErrorKind::ResourceBusy,
            "too many connections wait to be accepted there",
        )),
        Err(error) => Err(error),
    }
}

/// Reads what is there.
pub(super) fn recv(socket: &Socket, into: &mut [u8]) -> io::Result<usize> {
    let (bytes, _) = retry_on_intr(|| net::recv(socket, &mut *into, RecvFlags::empty()))?;
    Ok(bytes)
}

/// As `recv`, into one slice after the other.
pub(super) fn recv_slices(mut socket: &Socket, into: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
    retry(|| socket.read_vectored(into))
}

/// Takes what is there off a TCP stream, without copying it: MSG_TRUNC leaves `room` alone.
pub(super) fn recv_away(socket: &Socket, room: &mut [MaybeUninit<u8>]) -> io::Result<usize> {
    retry(|| socket.recv_with_flags(room, libc::MSG_TRUNC))
}

/// Reads what is there into memory that nobody looks at.
pub(super) fn recv_uninit(socket: &Socket, room: &mut [MaybeUninit<u8>]) -> io::Result<usize> {
    retry(|| socket.recv(room))
}

/// Writes the first slice and then the second, as far as they are taken.
pub(super) fn send(socket: &Socket, from: [&[u8]; 2]) -> io::Result<usize> {
    match from {
        [only, []] | [[], only] => Ok(retry_on_intr(|| {
            net::send(socket, only, SendFlags::NOSIGNAL)
        })?),
        from => send_both(socket, from),
    }
}

/// Apart from what most messages run, which needs no room for its slices.
#[inline(never)]
fn send_both(socket: &Socket, from: [&[u8]; 2]) -> io::Result<usize> {
    send_slices(socket, &from.map(IoSlice::new))
}

/// As [`send`], of any number of slices.
pub(super) fn send_slices(socket: &Socket, from: &[IoSlice<'_>]) -> io::Result<usize> {
    retry(|| socket.send_vectored_with_flags(from, libc::MSG_NOSIGNAL))
}

fn retry(mut call: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match call() {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            outcome => return outcome,
        }
    }
}

/// Reads away what has come in, up to [`READ_AWAY_MAX`]. Closing a socket that still holds unread bytes sends a
/// reset, which would take from the peer what it has not read yet.
pub(super) fn read_away(socket: &Socket) {
    let mut scratch = [MaybeUninit::<u8>::uninit(); 4096];
    let mut left = READ_AWAY_MAX;
    while left > 0 {
        match socket.recv(&mut scratch) {
            Ok(n) if n > 0 => left = left.saturating_sub(n),
            _ => return,
        }
    }
}

/// Sets how soon a dead TCP peer is noticed.
pub(super) fn set_keepalive(socket: &Socket, keepalive: Keepalive) -> io::Result<()> {
    let idle = whole_secs(keepalive.idle);
    let times = TcpKeepalive::new()
        .with_time(Duration::from_secs(idle))
        .with_interval(Duration::from_secs((idle / 3).max(1)))
        .with_retries(PROBES);
    socket.set_tcp_keepalive(&times)?;
    socket.set_tcp_user_timeout(
        keepalive
            .user_timeout
            .map(|after| Duration::from_secs(whole_secs(after))),
    )
}

/// Seconds, rounded up, within what the kernel takes for a keepalive time.
fn whole_secs(duration: Duration) -> u64 {
    let secs = duration
        .as_secs()
        .saturating_add(u64::from(duration.subsec_nanos() > 0));
    secs.clamp(1, KEEPALIVE_SECS_MAX)
}

/// How often one accept tries again because the connection was gone before it could be taken.
const ACCEPT_TRIES: usize = 16;

/// The most that is read away before an orderly close. A peer that has sent more is reset.
const READ_AWAY_MAX: usize = 64 << 10;

/// Keepalive probes without an answer that end a connection.
const PROBES: u32 = 3;

/// MAX_TCP_KEEPIDLE and MAX_TCP_KEEPINTVL of Linux.
const KEEPALIVE_SECS_MAX: u64 = 32_767;
