//! The calls that no well-kept crate wraps safely, each behind a function that is safe to call: the only `unsafe` in
//! the crate. It knows descriptors and numbers, not sockets or roles.

#![allow(unsafe_code)]

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::Duration;

/// The time since the machine was started, that in which it was asleep included.
pub(super) fn since_boot() -> Duration {
    Duration::from_nanos(nanoseconds(libc::CLOCK_BOOTTIME))
}

/// Has memory of a mebibyte and more come from the system, zeroed and untouched, and go back to it, for good. Else the
/// first such piece that is freed makes glibc's allocator take the next ones, up to 32 MiB, from what it has recycled:
/// it clears those, by which a ring that nobody uses is all resident. Nothing elsewhere.
pub(super) fn map_large_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: it takes no pointer, and may be called at any time.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, 1 << 20);
        libc::mallopt(libc::M_TRIM_THRESHOLD, 1 << 20);
    }
}

/// Gives back what glibc's allocator keeps of memory that was freed: pages in the middle of its heap, too, which it
/// never does by itself. Nothing elsewhere.
pub(super) fn trim_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: it takes no pointer, and may be called at any time.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Nanoseconds on the clock that never goes back, which the kernel's timers go by, too. The standard library's comes as
/// seconds and the rest, with a check at each step from there to one number, and each turn of the loop asks for it.
pub(super) fn monotonic() -> u64 {
    nanoseconds(libc::CLOCK_MONOTONIC)
}

/// The processor's time that the calling thread has used.
pub(super) fn thread_time() -> Duration {
    Duration::from_nanos(nanoseconds(libc::CLOCK_THREAD_CPUTIME_ID))
}

fn nanoseconds(clock: libc::clockid_t) -> u64 {
    let mut at = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: it writes one timespec where the pointer says. It fails for a clock that there is not, which none of
    // these is.
    unsafe {
        libc::clock_gettime(clock, &raw mut at);
    }
    // Neither is ever negative there.
    at.tv_sec as u64 * 1_000_000_000 + at.tv_nsec as u64
}

/// Bytes that a socket has been given and that its peer's kernel has not acknowledged (SIOCOUTQ), a FIN that was sent
/// counted as one. `None` where the kernel does not know, as for what is not a connected socket.
pub(super) fn unacknowledged(socket: BorrowedFd<'_>) -> Option<u32> {
    let mut bytes: libc::c_int = 0;
    // SAFETY: the descriptor is open for as long as it is borrowed, and SIOCOUTQ, which is the same request as
    // TIOCOUTQ, writes one int where the pointer says.
    let outcome = unsafe { libc::ioctl(socket.as_raw_fd(), libc::TIOCOUTQ, &raw mut bytes) };
    if outcome == 0 {
        u32::try_from(bytes).ok()
    } else {
        None
    }
}

/// The time since a TCP socket's peer last acknowledged anything, if what was sent again after that, bytes or a window
/// probe, has not been answered (TCP_INFO). `None` where no answer is due, or where the kernel does not know.
pub(super) fn unanswered(socket: BorrowedFd<'_>) -> Option<Duration> {
    let info = tcp_info(socket)?;
    // Any answer ends the count of probes, but only progress that of retransmissions: a peer without room answers them
    // and takes nothing.
    let resent = info.tcpi_retransmits > 0 && info.tcpi_last_ack_recv > info.tcpi_last_data_sent;
    let due = resent || info.tcpi_probes > 0;
    due.then(|| Duration::from_millis(info.tcpi_last_ack_recv.into()))
}

/// Whether a TCP connection is over in both directions, however it came to that (TCP_INFO).
pub(super) fn is_over(socket: BorrowedFd<'_>) -> bool {
    tcp_info(socket).is_some_and(|info| info.tcpi_state == TCP_CLOSE)
}

/// The state of a socket whose connection is over, as Linux numbers them (`net/tcp_states.h`).
const TCP_CLOSE: u8 = 7;

fn tcp_info(socket: BorrowedFd<'_>) -> Option<libc::tcp_info> {
    let mut info = MaybeUninit::<libc::tcp_info>::zeroed();
    let mut len = size_of::<libc::tcp_info>() as libc::socklen_t;
    // SAFETY: the descriptor is open while it is borrowed, and no more than `len` bytes are written where the pointer
    // says, which is so long.
    let outcome = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            info.as_mut_ptr().cast(),
            &raw mut len,
        )
    };
    // SAFETY: it is made of integers only, for which zeros, where nothing was written, are values too.
    (outcome == 0).then(|| unsafe { info.assume_init() })
}

/// Makes this process's own what it was started with under this number. `None` where nothing is open there. Each number
/// may be asked for once, before anything else opens descriptors.
pub(super) fn take_descriptor(number: i32) -> Option<OwnedFd> {
    // SAFETY: this request takes no pointer, and a number that is not open is an error like any other.
    let flags = unsafe { libc::fcntl(number, libc::F_GETFD) };
    // SAFETY: it is open, and nobody else in this process owns it, since it was open before the process began and is
    // taken once.
    (flags >= 0).then(|| unsafe { OwnedFd::from_raw_fd(number) })
}

/// Waits, for as long as it takes, until a descriptor that somebody else has made non-blocking can be read.
pub(super) fn wait_readable(file: BorrowedFd<'_>) -> io::Result<()> {
    wait(file, libc::POLLIN)
}

/// Waits, for as long as it takes, until a descriptor that somebody else has made non-blocking can be written.
pub(super) fn wait_writable(file: BorrowedFd<'_>) -> io::Result<()> {
    wait(file, libc::POLLOUT)
}

fn wait(file: BorrowedFd<'_>, events: libc::c_short) -> io::Result<()> {
    let mut asked = libc::pollfd {
        fd: file.as_raw_fd(),
        events,
        revents: 0,
    };
    // SAFETY: the pointer is to one pollfd, as the count says, and the descriptor is open while it is borrowed.
    let outcome = unsafe { libc::poll(&raw mut asked, 1, -1) };
    if outcome < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

/// How many descriptors this process may have open (the soft limit), and how far it may raise that (the hard one).
pub(super) fn descriptor_limits() -> io::Result<(u64, u64)> {
    let limits = read_limits()?;
    // These are 64 bits wide on every platform that is supported.
    Ok((limits.rlim_cur, limits.rlim_max))
}

/// Sets the soft limit of open descriptors. One above the hard limit is an error.
pub(super) fn set_descriptor_limit(soft: u64) -> io::Result<()> {
    let limits = libc::rlimit {
        rlim_cur: soft,
        ..read_limits()?
    };
    // SAFETY: the pointer is to a whole rlimit, which is only read.
    let outcome = unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limits) };
    if outcome == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

fn read_limits() -> io::Result<libc::rlimit> {
    let mut limits = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: the pointer is to a whole rlimit, which is only written.
    let outcome = unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limits) };
    if outcome == 0 {
        Ok(limits)
    } else {
        Err(io::Error::last_os_error())
    }
}

/// The cores on which this thread may run.
pub(super) fn affinity() -> io::Result<Vec<usize>> {
    let mut set = no_cores();
    // SAFETY: the set is as large as is said, and only written; 0 is the calling thread.
    let outcome = unsafe { libc::sched_getaffinity(0, size_of_val(&set), &raw mut set) };
    if outcome != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the set is whole, and only numbers that it has room for are asked for.
    let is_in = |core: &usize| unsafe { libc::CPU_ISSET(*core, &set) };
    Ok((0..CORES_MAX).filter(is_in).collect())
}

/// Keeps this thread, and those that it starts from now on, on these cores.
pub(super) fn set_affinity(cores: &[usize]) -> io::Result<()> {
    let mut set = no_cores();
    for core in cores.iter().filter(|core| **core < CORES_MAX) {
        // SAFETY: the set has room for this number.
        unsafe { libc::CPU_SET(*core, &mut set) };
    }
    // SAFETY: the set is as large as is said, and only read; 0 is the calling thread.
    let outcome = unsafe { libc::sched_setaffinity(0, size_of_val(&set), &raw const set) };
    if outcome == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

fn no_cores() -> libc::cpu_set_t {
    // SAFETY: a set is an array of numbers, for which zeros are valid: no core is in it.
    unsafe { std::mem::zeroed() }
}

/// Sends a signal to all processes of a group. One that is gone is left alone.
pub(super) fn signal_group(group: u32, signal: libc::c_int) {
    let Ok(group) = libc::pid_t::try_from(group) else {
        return;
    };
    if group > 1 {
        // SAFETY: no memory is involved; a group that is gone is an error that means nothing here.
        let _ = unsafe { libc::kill(-group, signal) };
    }
}

/// Sends a signal to one process. False: it is gone, or not ours to signal.
pub(super) fn signal_process(process: u32, signal: libc::c_int) -> bool {
    match libc::pid_t::try_from(process) {
        // SAFETY: no memory is involved.
        Ok(process @ 2..) => unsafe { libc::kill(process, signal) == 0 },
        _ => false,
    }
}

/// Takes note of a child's end, once it has ended, so that nothing of it is left. What is no child is left alone.
pub(super) fn reap(child: u32) {
    if let Ok(child @ 2..) = libc::pid_t::try_from(child) {
        // SAFETY: the status is wanted nowhere, which a null pointer says.
        let _ = unsafe { libc::waitpid(child, std::ptr::null_mut(), 0) };
    }
}

/// Makes this process the parent of its descendants whose own parents end, rather than the first process of all.
pub(super) fn adopt_orphans() -> io::Result<()> {
    // SAFETY: a plain system call with numbers only.
    let outcome = unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1) };
    if outcome == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Has a child killed when the thread that starts it ends, however that happens.
pub(super) fn die_with_parent(command: &mut Command) {
    let ask = || {
        // SAFETY: a plain system call with numbers only, as is allowed between fork and exec.
        let outcome = unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
        if outcome == 0 {
            Ok(())
        } else {
            Err(io::Error::last_os_error())
        }
    };
    // SAFETY: the closure allocates nothing and takes no lock.
    unsafe { command.pre_exec(ask) };
}

const CORES_MAX: usize = libc::CPU_SETSIZE as usize;

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::os::fd::AsFd;

    #[test]
    fn the_clock_of_the_machine_goes_on() {
        let before = since_boot();
        assert!(before > Duration::ZERO && since_boot() >= before);
    }

    #[test]
    fn what_is_no_socket_has_nothing_unacknowledged() {
        let file = File::open("/dev/null").expect("/dev/null opens");
        assert_eq!(unacknowledged(file.as_fd()), None);
        assert_eq!(unanswered(file.as_fd()), None);
    }

    #[test]
    fn a_thread_stays_on_the_cores_it_was_put_on() {
        let all = affinity().expect("it can be asked");
        set_affinity(&all[..1]).expect("a core of its own is allowed");
        assert_eq!(affinity().expect("it can be asked"), all[..1]);
        let inherited = std::thread::spawn(|| affinity().expect("it can be asked"));
        assert_eq!(inherited.join().expect("it ends well"), all[..1]);
        assert!(set_affinity(&[]).is_err(), "a thread needs a core");
    }

    #[test]
    fn the_soft_limit_stays_below_the_hard_one() {
        let (soft, hard) = descriptor_limits().expect("limits can be read");
        assert!(soft <= hard);
        if hard < u64::MAX {
            assert!(set_descriptor_limit(hard + 1).is_err());
        }
    }
}
