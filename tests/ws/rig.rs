//! A tunnel that runs: a relay, a host, a client, and a service behind it.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread;

use crate::common::hydrant::{Hydrant, hydrant};
use crate::common::peers::connect;
use crate::common::{DEADLINE, within};

/// `ws relay` on a free port.
pub(crate) struct Relay {
    pub(crate) run: Hydrant,
    pub(crate) at: SocketAddr,
}

impl Relay {
    pub(crate) fn start(flags: &str) -> Self {
        Self::start_at(0, flags)
    }

    pub(crate) fn start_at(port: u16, flags: &str) -> Self {
        let run = hydrant(&format!("ws relay {port} {flags}")).start();
        let at = run.address_of("hosts and clients");
        Self { run, at }
    }

    /// `ws host` with this path, and a target that it is connected for.
    #[track_caller]
    pub(crate) fn host(&self, path: &str, target: SocketAddr, flags: &str) -> Hydrant {
        let run = host(self.at, path, target, flags);
        run.wait_log(" connected");
        run
    }

    /// `ws client` with this path, connected, and where programs reach it.
    #[track_caller]
    pub(crate) fn client(&self, path: &str, flags: &str) -> (Hydrant, SocketAddr) {
        let (run, at) = client(self.at, path, flags);
        run.wait_log(" connected");
        (run, at)
    }
}

/// `ws host`, connected or not.
pub(crate) fn host(relay: SocketAddr, path: &str, target: SocketAddr, flags: &str) -> Hydrant {
    hydrant(&format!(
        "ws host ws://{relay}{path} {target} --retry 0.05..0.2 {flags}"
    ))
    .start()
}

/// `ws client`, connected or not, and where programs reach it.
pub(crate) fn client(relay: SocketAddr, path: &str, flags: &str) -> (Hydrant, SocketAddr) {
    let line = format!("ws client ws://{relay}{path} 0 --retry 0.05..0.2 {flags}");
    let run = hydrant(&line).start();
    let at = run.address_of("programs");
    (run, at)
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

/// A service that sends back what it gets, and ends when that does.
pub(crate) fn echo() -> SocketAddr {
    service(|mut stream| {
        let mut bytes = [0; 65_536];
        while let Ok(count @ 1..) = stream.read(&mut bytes) {
            if stream.write_all(&bytes[..count]).is_err() {
                return;
            }
        }
        let _ = stream.shutdown(Shutdown::Write);
    })
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

/// Sends, and reads as much as came back, without an end in between.
pub(crate) fn exchange(stream: &TcpStream, bytes: &[u8]) {
    let mut writer = stream.try_clone().expect("a socket can be cloned");
    let sent = bytes.to_vec();
    let writing = thread::spawn(move || writer.write_all(&sent).expect("it is read"));
    let mut reader = stream;
    let mut back = vec![0; bytes.len()];
    reader.read_exact(&mut back).expect("it comes back");
    assert!(back == bytes, "other bytes come back");
    writing.join().expect("all was written");
}

/// How much memory of a program's is there.
pub(crate) fn resident_kib(run: &Hydrant) -> usize {
    let path = format!("/proc/{}/status", run.pid());
    let status = std::fs::read_to_string(path).expect("it runs");
    let line = status.lines().find(|line| line.starts_with("VmRSS"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1));
    kib.expect("a figure").parse().expect("a number")
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
