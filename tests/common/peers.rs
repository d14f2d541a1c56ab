//! Those whom the program talks to: sockets with deadlines, and places that are dialled before and after somebody
//! listens there.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread;
use std::time::Duration;

use socket2::{Domain, SockFilter, SockRef, Socket, Type};

use super::DEADLINE;

/// Connects, with deadlines on all that comes after.
#[track_caller]
pub(crate) fn connect(to: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::for_address(to), Type::STREAM, None).expect("a socket");
    connect_by(socket, to)
}

/// Connects with so little room for what comes in that a reader who pauses is soon felt at the other end.
#[track_caller]
pub(crate) fn connect_narrow(to: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::for_address(to), Type::STREAM, None).expect("a socket");
    socket
        .set_recv_buffer_size(NARROW)
        .expect("a buffer may be small");
    connect_by(socket, to)
}

/// Connects from an address of this machine's.
#[track_caller]
pub(crate) fn connect_from(from: IpAddr, to: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::for_address(to), Type::STREAM, None).expect("a socket");
    socket
        .bind(&SocketAddr::new(from, 0).into())
        .unwrap_or_else(|error| panic!("{from} is not ours: {error}"));
    connect_by(socket, to)
}

/// Who is let in and turned away at once may learn both at the same time: whoever reads is told of it.
#[track_caller]
fn connect_by(socket: Socket, to: SocketAddr) -> TcpStream {
    match socket.connect_timeout(&to.into(), DEADLINE) {
        Ok(()) => bound(socket.into()),
        // A reset behind an end, which is what is read.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => bound(socket.into()),
        Err(error) if error.kind() == ErrorKind::ConnectionReset => {
            let us = socket.local_addr().expect("it was connected");
            has_been_reset(us.as_socket().expect("it is TCP"))
        }
        Err(error) => panic!("can't connect to {to}: {error}"),
    }
}

/// A connection that its other end has reset, with the address that we had.
fn has_been_reset(us: SocketAddr) -> TcpStream {
    let listener = TcpListener::bind((us.ip(), 0)).expect("a port is free");
    let at = listener.local_addr().expect("it is bound");
    let socket = reusable(us).expect("nobody else has been given it");
    socket.connect(&at.into()).expect("it listens");
    let (other, _) = listener.accept().expect("it has connected");
    reset(other);
    bound(socket.into())
}

/// Nothing that is sent to us arrives any more, and nobody is told: to the other end we have vanished.
pub(crate) fn vanish(stream: &TcpStream) {
    let nothing = SockFilter::new((libc::BPF_RET | libc::BPF_K) as u16, 0, 0, 0);
    SockRef::from(stream)
        .attach_filter(&[nothing])
        .expect("a socket takes a filter");
}

/// Connects to a Unix socket.
#[track_caller]
pub(crate) fn connect_unix(to: &Path) -> UnixStream {
    let stream = UnixStream::connect(to)
        .unwrap_or_else(|error| panic!("can't connect to {}: {error}", to.display()));
    SockRef::from(&stream)
        .set_read_timeout(Some(DEADLINE))
        .expect("a deadline");
    stream
}

fn bound(stream: TcpStream) -> TcpStream {
    stream
        .set_read_timeout(Some(DEADLINE))
        .and_then(|()| stream.set_write_timeout(Some(DEADLINE)))
        .and_then(|()| stream.set_nodelay(true))
        .expect("a socket takes a deadline");
    stream
}

/// Ends a connection by a reset.
pub(crate) fn reset(stream: TcpStream) {
    SockRef::from(&stream)
        .set_linger(Some(Duration::ZERO))
        .expect("a socket can be told to reset");
}

/// Ends a connection, now rather than when the last copy is closed that a child of another test may have for a moment.
pub(crate) fn leave(stream: &TcpStream) {
    // Where the other end has reset it, it is over already.
    let _ = stream.shutdown(Shutdown::Both);
}

/// Nobody listens any more, now rather than when the last copy is closed that a child of another test may have for a
/// moment.
pub(crate) fn end(listener: &impl AsFd) {
    SockRef::from(listener)
        .shutdown(Shutdown::Both)
        .expect("it listened");
}

/// Ends our direction of a connection.
pub(crate) fn half_close(stream: &TcpStream) {
    stream.shutdown(Shutdown::Write).expect("it is connected");
}

/// A service on a free port that says again what it is told.
pub(crate) fn echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let at = listener.local_addr().expect("it is bound");
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            thread::spawn(move || {
                let mut from = stream.try_clone().expect("a descriptor");
                let _ = io::copy(&mut from, &mut stream);
                let _ = stream.shutdown(Shutdown::Write);
            });
        }
    });
    at
}

/// A port of this machine that is ours, whether anybody listens there or not.
#[derive(Debug)]
pub(crate) struct Place {
    /// Bound and never listening, it keeps the port from being given to anybody else.
    _keeper: Socket,
    pub(crate) at: SocketAddr,
    listener: Option<TcpListener>,
    /// What each connection's receive buffer holds; by default what the kernel thinks best.
    room: Option<usize>,
}

impl Place {
    /// A place where nobody listens yet: whoever dials is refused.
    pub(crate) fn new() -> Self {
        Self::on(Ipv4Addr::LOCALHOST.into()).expect("there is a free port")
    }

    /// As `new`, with somebody who listens.
    pub(crate) fn opened() -> Self {
        let mut place = Self::new();
        place.open();
        place
    }

    /// As `new`; who listens there has little room for what it does not read.
    pub(crate) fn narrow() -> Self {
        Self {
            room: Some(NARROW),
            ..Self::new()
        }
    }

    /// As `new`, at all addresses of this machine.
    pub(crate) fn everywhere() -> Self {
        Self::on(Ipv4Addr::UNSPECIFIED.into()).expect("there is a free port")
    }

    /// Two places whose ports come one behind the other.
    pub(crate) fn pair() -> [Self; 2] {
        let pair = || {
            let first = Self::new();
            let port = first.at.port().checked_add(1)?;
            let second = Self::at(SocketAddr::new(first.at.ip(), port)).ok()?;
            Some([first, second])
        };
        let mut attempts = (0..100).filter_map(|_| pair());
        attempts.next().expect("there are two free ports in a row")
    }

    /// A place at an address that this machine may not have.
    pub(crate) fn on(ip: IpAddr) -> io::Result<Self> {
        Self::at(SocketAddr::new(ip, 0))
    }

    fn at(at: SocketAddr) -> io::Result<Self> {
        let keeper = reusable(at)?;
        let at = keeper.local_addr()?.as_socket().expect("it is TCP");
        Ok(Self {
            _keeper: keeper,
            at,
            listener: None,
            room: None,
        })
    }

    /// Somebody listens from now on.
    pub(crate) fn open(&mut self) {
        let listener = reusable(self.at).expect("the port is ours");
        if let Some(size) = self.room {
            listener
                .set_recv_buffer_size(size)
                .expect("a buffer may be small");
        }
        listener.listen(BACKLOG).expect("a bound socket can listen");
        // On Linux it holds for accepting too.
        listener
            .set_read_timeout(Some(DEADLINE))
            .expect("a deadline");
        self.listener = Some(listener.into());
    }

    /// Nobody listens any more.
    pub(crate) fn close(&mut self) {
        if let Some(listener) = self.listener.take() {
            end(&listener);
        }
    }

    /// The next connection that comes in. Somebody listens from now on.
    #[track_caller]
    pub(crate) fn accept(&mut self) -> TcpStream {
        if self.listener.is_none() {
            self.open();
        }
        let listener = self.listener.as_ref().expect("just opened");
        let (stream, _) = listener
            .accept()
            .unwrap_or_else(|error| panic!("nobody dials {}: {error}", self.at));
        bound(stream)
    }
}

fn reusable(at: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(at), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.bind(&at.into())?;
    Ok(socket)
}

const BACKLOG: i32 = 128;

/// Less would make the kernels on both sides wait for each other.
const NARROW: usize = 32 << 10;
