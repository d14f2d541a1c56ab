//! What is asked of the machine beside the network: cores for threads, a child's whole family, and the service manager.
//! It knows no role and none of the network's sockets.

use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::Duration;

use crate::reactor::sys;

/// The cores on which this thread may run, at least one, in ascending order.
pub fn cores() -> io::Result<Vec<usize>> {
    sys::affinity()
}

/// Keeps this thread, and the threads and processes that it starts from now on, on these cores.
///
/// # Errors
/// Where none of them may be used.
pub fn stay_on(cores: &[usize]) -> io::Result<()> {
    sys::set_affinity(cores)
}

/// Gives a child a process group of its own, whose id is the child's, and has the child killed should this thread end
/// before it.
pub fn own_group(command: &mut Command) {
    command.process_group(0);
    sys::die_with_parent(command);
}

/// Asks all processes of a group to end.
pub fn end_group(group: u32) {
    sys::signal_group(group, libc::SIGTERM);
}

/// Ends all processes of a group at once.
pub fn kill_group(group: u32) {
    sys::signal_group(group, libc::SIGKILL);
}

/// Has large memory come from the system and go back to it, for as long as the process runs: a buffer costs what of it
/// is used, however many have been there before.
pub fn map_large_memory() {
    sys::map_large_memory();
}

/// Asks one process to end. One that is gone is left alone.
pub fn end_process(process: u32) {
    sys::signal_process(process, libc::SIGTERM);
}

/// Ends one process at once. A child is waited for, so that it is gone.
pub fn kill_process(process: u32) {
    if sys::signal_process(process, libc::SIGKILL) {
        sys::reap(process);
    }
}

/// Has processes that this one's children leave behind become its own children, so that they can be found.
pub fn adopt_orphans() -> io::Result<()> {
    sys::adopt_orphans()
}

/// The time since this machine was started. The reactor's clock stands still while the machine sleeps, and this one
/// does not.
pub fn since_boot() -> Duration {
    sys::since_boot()
}

/// How many descriptors this process may have open; 0 where the system does not say.
pub fn descriptors_max() -> usize {
    sys::descriptor_limits().map_or(0, |(soft, _)| usize::try_from(soft).unwrap_or(usize::MAX))
}

/// The service manager that has started this process, if it wants to be told how it goes (sd_notify(3)).
#[derive(Debug)]
pub struct Manager {
    socket: UnixDatagram,
    address: SocketAddr,
}

impl Manager {
    /// The one that `NOTIFY_SOCKET` names; `None` where it names none, or one that can't be reached.
    pub fn of_environment() -> Option<Self> {
        Self::at(&std::env::var_os("NOTIFY_SOCKET")?)
    }

    /// The one that listens there.
    pub(crate) fn at(name: &OsStr) -> Option<Self> {
        let name = name.as_bytes();
        let address = match name.split_first() {
            Some((b'@', name)) => SocketAddr::from_abstract_name(name),
            Some((b'/', _)) => SocketAddr::from_pathname(OsStr::from_bytes(name)),
            _ => return None,
        };
        let socket = UnixDatagram::unbound().ok()?;
        socket.set_nonblocking(true).ok()?;
        Some(Self {
            socket,
            address: address.ok()?,
        })
    }

    /// Tells it something. One that takes nothing now is not waited for.
    pub fn tell(&self, state: &str) {
        let _ = self.socket.send_to_addr(state.as_bytes(), &self.address);
    }

    /// How soon it wants a sign of life again and again, if it does and means this process.
    pub fn watchdog() -> Option<Duration> {
        let number = |name| std::env::var(name).ok()?.parse::<u64>().ok();
        let is_ours = number("WATCHDOG_PID").is_none_or(|pid| pid == u64::from(std::process::id()));
        number("WATCHDOG_USEC")
            .filter(|micros| is_ours && *micros > 0)
            .map(Duration::from_micros)
    }
}
