//! Connections that are waited for, one at a time: for a program without a loop, whose cost is to be compared with that
//! of one. No role has any.

use std::io::{self, IoSlice, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

/// A listener that is asked whether anybody has come.
#[derive(Debug)]
pub struct Listener(TcpListener);

impl Listener {
    /// Listens.
    ///
    /// # Errors
    /// Where it can't.
    pub fn new(at: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(at)?;
        listener.set_nonblocking(true)?;
        Ok(Self(listener))
    }

    /// Whoever has come, if anybody has.
    pub fn accept(&self) -> Option<Conn> {
        let (stream, _) = self.0.accept().ok()?;
        Conn::new(stream).ok()
    }
}

/// A connection.
#[derive(Debug)]
pub struct Conn(TcpStream);

impl Conn {
    /// Connects.
    ///
    /// # Errors
    /// Where nobody answers.
    pub fn to(addr: SocketAddr) -> io::Result<Self> {
        Self::new(TcpStream::connect(addr)?)
    }

    fn new(stream: TcpStream) -> io::Result<Self> {
        stream.set_nonblocking(false)?;
        stream.set_nodelay(true)?;
        Ok(Self(stream))
    }

    /// Reads wait no longer than this, and then fail with [`io::ErrorKind::WouldBlock`].
    ///
    /// # Errors
    /// Where the system refuses.
    pub fn patience(&self, time: Duration) -> io::Result<()> {
        self.0.set_read_timeout(Some(time))
    }

    /// Waits until something comes, or the peer ends.
    ///
    /// # Errors
    /// The connection's.
    pub fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.0.read(into)
    }

    /// Waits until some of it is taken.
    ///
    /// # Errors
    /// The connection's.
    pub fn write(&mut self, from: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.write_vectored(from)
    }
}
