//! What a run needs of the machine, and whether that is there: better said before than found out in the middle.

use crate::base::units::write_size;
use crate::roles::bench::conduct::{Halt, House};
use crate::roles::bench::config::{Job, Scenario, Work};
use crate::roles::bench::figure::Thousands;
use crate::roles::bench::machine::available_memory;

/// Whether so many clients can be opened, of so many runs together.
pub(super) fn check_descriptors<H: House>(
    house: &H,
    clients: usize,
    runs: usize,
) -> Result<(), Halt> {
    let left = house.sockets_left().saturating_sub(SOCKETS_SPARE * runs);
    if clients <= left {
        return Ok(());
    }
    let asked = match clients {
        1 => "1 client needs".to_owned(),
        _ => format!("{} clients need", Thousands(clients as u64)),
    };
    let left = Thousands(left as u64);
    Err(Halt::Failed(format!(
        "{asked} more file descriptors: they are enough for {left} (ulimit -Hn)"
    )))
}

/// Whether the messages that the bench itself has under way find room in memory.
pub(super) fn check_memory(job: &Job) -> Result<(), Halt> {
    let (needed, there) = (held(job), available_memory());
    if there.is_none_or(|there| needed <= there) {
        return Ok(());
    }
    let mebibytes = |bytes: u64| Thousands(bytes >> 20);
    Err(Halt::Failed(format!(
        "{} clients with messages of {} need about {} MiB of memory in the bench alone, and {} MiB are free",
        Thousands(job.connections() as u64),
        write_size(job.size as u64),
        mebibytes(needed),
        mebibytes(there.unwrap_or(0)),
    )))
}

/// About how many bytes of messages the bench has in memory. A stream passes through; what is waited for as a whole, or
/// sent as one, is held by each.
fn held(job: &Job) -> u64 {
    let all = job.clients as u64 * job.size as u64;
    match job.scenario {
        Scenario::Tunnel(Work::Echo) | Scenario::Ws(Work::Echo) => all,
        // Two on their way, and one that is being put together.
        Scenario::Hub(_) => 3 * all,
        _ => 0,
    }
}

/// Descriptors that a run needs beside those of its clients.
const SOCKETS_SPARE: usize = 32;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::roles::bench::config::{Pace, Waits};

    #[test]
    fn messages_that_find_no_room_are_refused_before_they_are_made() {
        let mut job = Job {
            scenario: Scenario::Hub(Pace::Many),
            clients: 500,
            size: 1 << 20,
            rate: None,
            time: Duration::from_secs(1),
            waits: Waits::default(),
            check: false,
        };
        assert_eq!(held(&job), 1500 << 20);
        job.scenario = Scenario::Throughput;
        assert_eq!(held(&job), 0);
        // A petabyte and a half.
        (job.scenario, job.clients, job.size) = (Scenario::Ws(Work::Echo), 100_000, 16 << 30);
        let Err(Halt::Failed(text)) = check_memory(&job) else {
            panic!("no machine has so much");
        };
        let begin = "100,000 clients with messages of 16G need about 1,638,400,000 MiB of memory in the bench alone";
        assert!(text.starts_with(begin), "{text}");
    }
}
