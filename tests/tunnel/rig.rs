//! A tunnel that runs: a server, a backend, and a service behind it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use crate::common::hydrant::{Hydrant, hydrant};
use crate::common::peers::connect;
use crate::common::{DEADLINE, within};

/// `tunnel serve`.
pub(crate) struct Server {
    pub(crate) run: Hydrant,
    pub(crate) at: SocketAddr,
}

impl Server {
    /// On a free port, and with free public ports.
    pub(crate) fn start(flags: &str) -> Self {
        Self::start_at(0, &format!("--ports 0 {flags}"))
    }

    pub(crate) fn start_at(port: u16, flags: &str) -> Self {
        let run = hydrant(&format!("tunnel serve {port} {flags}")).start();
        let at = run.address_of("backends");
        Self { run, at }
    }
}

/// `tunnel expose`.
pub(crate) struct Backend {
    pub(crate) run: Hydrant,
    printed: mpsc::Receiver<SocketAddr>,
}

impl Backend {
    /// With these words behind `tunnel expose SERVER`.
    pub(crate) fn start(server: impl std::fmt::Display, words: &str) -> Self {
        let mut run = hydrant(&format!("tunnel expose {server} {words} --retry 0.05..0.2")).start();
        let stdout = run.stdout();
        let (send, printed) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let at = line.parse().expect("it prints HOST:PORT");
                if send.send(at).is_err() {
                    return;
                }
            }
        });
        Self { run, printed }
    }

    /// Where the public side is, once it is printed (again).
    #[track_caller]
    pub(crate) fn public(&self) -> SocketAddr {
        self.printed
            .recv_timeout(DEADLINE)
            .expect("it prints where it is public")
    }
}

/// An echo behind a server, and where it is public.
pub(crate) fn echo(flags: &str) -> (Server, Backend, SocketAddr) {
    let server = Server::start(flags);
    let backend = Backend::start(server.at, "--echo");
    let public = backend.public();
    (server, backend, public)
}

/// A service on a free port, where each connection is handed to `serve`.
pub(crate) fn service(serve: impl Fn(TcpStream) + Clone + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let at = listener.local_addr().expect("it is bound");
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            stream.set_read_timeout(Some(DEADLINE)).expect("a deadline");
            stream
                .set_write_timeout(Some(DEADLINE))
                .expect("a deadline");
            let serve = serve.clone();
            thread::spawn(move || serve(stream));
        }
    });
    at
}

/// A service whose connections are handed to the test.
pub(crate) fn handed() -> (SocketAddr, mpsc::Receiver<TcpStream>) {
    let (send, receive) = mpsc::channel();
    let at = service(move |stream| {
        // A test that is over takes no more.
        let _ = send.send(stream);
    });
    (at, receive)
}

/// The next connection that a service gets.
#[track_caller]
pub(crate) fn next(service: &mpsc::Receiver<TcpStream>) -> TcpStream {
    service
        .recv_timeout(DEADLINE)
        .expect("the service is reached")
}

/// Sends, ends its direction, and reads all that comes back.
pub(crate) fn ask(to: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let stream = connect(to);
    let mut writer = stream.try_clone().expect("a socket can be cloned");
    let bytes = bytes.to_vec();
    let writing = thread::spawn(move || {
        writer.write_all(&bytes).expect("it is read");
        writer.shutdown(Shutdown::Write).expect("it is connected");
    });
    let mut stream = stream;
    let all = within("reading an answer", move || {
        let mut all = Vec::new();
        stream.read_to_end(&mut all).expect("it ends well");
        all
    });
    writing.join().expect("all was written");
    all
}

/// Bytes that repeat nowhere near.
pub(crate) fn bytes(len: usize) -> Vec<u8> {
    (0..len as u64)
        .map(|i| (i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8)
        .collect()
}

/// Reads until the connection is over: whether that was by a reset.
pub(crate) fn is_reset(mut stream: TcpStream) -> bool {
    stream.set_read_timeout(Some(DEADLINE)).expect("a deadline");
    let mut into = [0; 4096];
    loop {
        match stream.read(&mut into) {
            Ok(0) => return false,
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return true,
            Err(error) => panic!("it is still open: {error}"),
        }
    }
}

/// Tries again and again until it works, or the deadline is over.
#[track_caller]
pub(crate) fn until<T>(what: &str, mut attempt: impl FnMut() -> Option<T>) -> T {
    let end = std::time::Instant::now() + DEADLINE;
    loop {
        if let Some(value) = attempt() {
            return value;
        }
        assert!(std::time::Instant::now() < end, "{what} takes too long");
        thread::park_timeout(Duration::from_millis(20));
    }
}
