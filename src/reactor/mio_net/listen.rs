//! Listening sockets: made, bound, and in the Unix case with a file that is ours to remove. Knows no poll and no
//! table.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use socket2::{Domain, Protocol, SockAddr, Socket, Type};

/// A socket that listens at a TCP address, and the address it really has.
///
/// `[::]` takes both families; where the machine has no IPv6 it becomes `0.0.0.0`, which is then all there is.
pub(super) fn tcp(at: SocketAddr) -> io::Result<(Socket, SocketAddr)> {
    tcp_with(at, false)
}

/// As [`tcp`], though `ours` listen at a part of `at`, or at more than that.
///
/// The kernel lets sockets of one user stand beside each other where all of them say so, and they say so for the length
/// of this call only: whoever else has the port keeps it. The kernel itself remembers that it was said: later on,
/// another program of the same user that says so too gets in, for as long as anything is left at the port.
pub(super) fn tcp_beside(at: SocketAddr, ours: &[&Socket]) -> io::Result<(Socket, SocketAddr)> {
    let allow = |allowed| ours.iter().try_for_each(|one| one.set_reuse_port(allowed));
    let listening = allow(true).and_then(|()| tcp_with(at, true));
    allow(false)?;
    let (socket, bound) = listening?;
    socket.set_reuse_port(false)?;
    Ok((socket, bound))
}

fn tcp_with(at: SocketAddr, is_beside: bool) -> io::Result<(Socket, SocketAddr)> {
    let bind = |at, dual_stack| bind(at, dual_stack, is_beside);
    let any = at.is_ipv6() && at.ip().is_unspecified();
    let socket = match bind(at, any) {
        Err(error) if any && lacks_ipv6(&error) => {
            bind(SocketAddr::from((Ipv4Addr::UNSPECIFIED, at.port())), false)?
        }
        outcome => outcome?,
    };
    // Accepted sockets inherit it, which saves a call for each.
    socket.set_tcp_nodelay(true)?;
    socket.listen(BACKLOG)?;
    let bound = socket.local_addr()?.as_socket();
    Ok((
        socket,
        bound.expect("a TCP socket is bound to an address of its own family"),
    ))
}

fn bind(at: SocketAddr, dual_stack: bool, is_beside: bool) -> io::Result<Socket> {
    let socket = Socket::new(
        Domain::for_address(at),
        Type::STREAM.nonblocking(),
        Some(Protocol::TCP),
    )?;
    socket.set_reuse_address(true)?;
    if is_beside {
        socket.set_reuse_port(true)?;
    }
    if at.is_ipv6() {
        socket.set_only_v6(!dual_stack)?;
    }
    socket.bind(&at.into())?;
    Ok(socket)
}

fn lacks_ipv6(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EAFNOSUPPORT | libc::EADDRNOTAVAIL)
    )
}

/// A socket that listens at `path`, and the file that stands for it.
///
/// A socket's file that is there already is replaced only where connecting to it is refused, since then nobody
/// listens any more. Whatever else is there is left alone, and is an error.
pub(super) fn unix(path: &Path) -> io::Result<(Socket, SocketFile)> {
    let address = SockAddr::unix(path)?;
    match fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => remove_stale(path, &address)?,
        Ok(_) => {
            let message = format!(
                "{} exists and is not a socket; remove it or choose another path",
                path.display()
            );
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, message));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let socket = Socket::new(Domain::UNIX, Type::STREAM.nonblocking(), None)?;
    socket.bind(&address)?;
    let file = SocketFile::of(path)?;
    socket.listen(BACKLOG)?;
    Ok((socket, file))
}

/// Whether this is a Unix socket at which nobody listens any more: connecting to it is refused.
pub fn is_dead(path: &Path) -> bool {
    let refused = SockAddr::unix(path).and_then(|address| probe(&address));
    refused.is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
}

fn probe(address: &SockAddr) -> io::Result<()> {
    let probe = Socket::new(Domain::UNIX, Type::STREAM.nonblocking(), None)?;
    probe.connect(address)
}

fn remove_stale(path: &Path, address: &SockAddr) -> io::Result<()> {
    match probe(address) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path),
        // Its queue is full, so somebody listens.
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            Err(io::ErrorKind::AddrInUse.into())
        }
        Err(error) => Err(error),
        Ok(()) => Err(io::ErrorKind::AddrInUse.into()),
    }
}

/// The file of a Unix socket that listens. Dropped, it takes the file away, if that is still the one it was made
/// with. Drop it before the socket: while the socket is open, no other file can have its inode number.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl SocketFile {
    fn of(path: &Path) -> io::Result<Self> {
        let made = fs::symlink_metadata(path)?;
        Ok(Self {
            path: path.to_owned(),
            device: made.dev(),
            inode: made.ino(),
        })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let ours = |found: fs::Metadata| (found.dev(), found.ino()) == (self.device, self.inode);
        if fs::symlink_metadata(&self.path).is_ok_and(ours)
            && let Err(error) = fs::remove_file(&self.path)
        {
            log::warn!("can't remove {}: {error}", self.path.display());
        }
    }
}

/// How many connections may wait to be accepted. The kernel takes no more than `net.core.somaxconn` of them.
const BACKLOG: i32 = 4096;
