//! What the process itself is at: descriptors, memory, processor time. Read from /proc, which takes no longer than a
//! copy, and only when somebody asks.

use std::fs;
use std::time::Duration;

use super::RoleSet;
use crate::base::time::Time;
use crate::reactor::command::Process;
use crate::reactor::{Reactor, host};

/// A look at it.
pub(super) fn look(reactor: &Reactor<RoleSet>, reloads: (u64, u64)) -> Process {
    let most = host::descriptors_max();
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    Process {
        age: reactor.clock().since(Time::ZERO),
        turns: reactor.turns().clone(),
        descriptors: (most.saturating_sub(reactor.sockets_left()), most),
        memory: resident(&status),
        processor: processor(&stat),
        reloads,
    }
}

/// `VmRSS:    1234 kB` of /proc/self/status.
fn resident(status: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let number = line.trim().strip_suffix("kB")?.trim();
    number.parse::<u64>().ok().map(|kib| kib << 10)
}

/// utime and stime of /proc/self/stat, the 14th and 15th field.
fn processor(stat: &str) -> Option<Duration> {
    // Behind the name, which may have spaces in it, stands the third field.
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut fields = rest.split(' ').skip(11);
    let mut ticks = || fields.next()?.parse::<u64>().ok();
    Some(Duration::from_millis((ticks()? + ticks()?) * TICK_MS))
}

/// USER_HZ is 100 wherever hydrant runs.
const TICK_MS: u64 = 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_s_files_are_understood() {
        let status = "Name:\tx\nVmRSS:\t    1234 kB\nThreads:\t1\n";
        assert_eq!(resident(status), Some(1234 << 10));
        let stat = "7 (a b) c) S 1 2 3 4 5 6 7 8 9 10 150 50 0 0";
        assert_eq!(processor(stat), Some(Duration::from_secs(2)));
        assert_eq!((resident(""), processor("")), (None, None));
    }
}
