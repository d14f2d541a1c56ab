//! Services behind what is tested, and those who ask them something through it.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use super::peers::connect;
use super::{DEADLINE, within};

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
    let mut stream = connect(to);
    let mut writer = stream.try_clone().expect("a socket can be cloned");
    let bytes = bytes.to_vec();
    let writing = thread::spawn(move || {
        writer.write_all(&bytes).expect("it is read");
        writer.shutdown(Shutdown::Write).expect("it is connected");
    });
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
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return true,
            Err(error) => panic!("it is still open: {error}"),
        }
    }
}

/// Tries again and again until it works, or the deadline is over.
#[track_caller]
pub(crate) fn until<T>(what: &str, mut attempt: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + DEADLINE;
    loop {
        if let Some(value) = attempt() {
            return value;
        }
        assert!(Instant::now() < end, "{what} takes too long");
        thread::park_timeout(Duration::from_millis(20));
    }
}
