//! A tunnel that runs: a server, a backend, and a service behind it.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::sync::mpsc;
use std::thread;

use crate::common::DEADLINE;
use crate::common::hydrant::{Hydrant, hydrant};

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
