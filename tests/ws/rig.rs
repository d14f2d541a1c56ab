//! A tunnel that runs: a relay, a host, a client, and a service behind it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;

use crate::common::hydrant::{Hydrant, hydrant};

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
