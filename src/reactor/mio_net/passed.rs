//! Listening sockets that the service manager opened before this process began (sd_listen_fds(3)). They are found by
//! name in a run file, and by their address from then on: whoever listens at that address listens on a copy.

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use socket2::{Socket, Type};

use crate::reactor::net::Addr;
use crate::reactor::sys;

/// A socket that was passed, which stays open as long as this.
#[derive(Debug)]
pub struct Passed {
    /// The name that the service manager gave it (`FileDescriptorName=`).
    pub name: String,
    /// Where it listens.
    pub at: Addr,
    socket: Socket,
}

impl Passed {
    /// Those that `LISTEN_FDS` counts, if they are meant for this process, in their order. What is no stream socket
    /// that listens is left out. They are taken once: after the first call there are none.
    pub fn of_environment() -> Vec<Self> {
        static TAKEN: AtomicBool = AtomicBool::new(false);
        let var = |name| std::env::var(name).ok();
        let is_ours =
            var("LISTEN_PID").and_then(|pid| pid.parse().ok()) == Some(std::process::id());
        let count = var("LISTEN_FDS").and_then(|count| count.parse::<u16>().ok());
        let (Some(count), true) = (count, is_ours) else {
            return Vec::new();
        };
        if TAKEN.swap(true, Ordering::Relaxed) {
            return Vec::new();
        }
        let names = var("LISTEN_FDNAMES").unwrap_or_default();
        let names = names.split(':').chain(std::iter::repeat("unknown"));
        let passed = (0..count).zip(names);
        passed
            .filter_map(|(index, name)| Self::take(FIRST + i32::from(index), name))
            .collect()
    }

    fn take(descriptor: i32, name: &str) -> Option<Self> {
        let socket = Socket::from(sys::take_descriptor(descriptor)?);
        let listens = socket.is_listener().ok()? && socket.r#type().ok()? == Type::STREAM;
        // No child of this process is to have it.
        socket.set_cloexec(true).ok()?;
        let at = socket.local_addr().ok()?;
        let at = match at.as_socket() {
            Some(at) => Addr::Tcp(at),
            None => Addr::Unix(PathBuf::from(at.as_pathname()?)),
        };
        listens.then(|| Self {
            name: name.to_owned(),
            at,
            socket,
        })
    }

    /// One more descriptor of it, as the loop needs it.
    pub(super) fn copy(&self) -> io::Result<Socket> {
        let socket = self.socket.try_clone()?;
        socket.set_nonblocking(true)?;
        if let Addr::Tcp(_) = self.at {
            socket.set_tcp_nodelay(true)?;
        }
        Ok(socket)
    }
}

/// The first descriptor that is passed (`SD_LISTEN_FDS_START`).
const FIRST: i32 = 3;
