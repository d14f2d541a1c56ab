//! What a program that measures others asks of the machine beside the network: cores for its threads, and a child's
//! whole family. It knows no role and no socket.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

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
