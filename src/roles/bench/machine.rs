//! What `/proc` says of threads and of groups of processes: time on a core, time waiting for one, memory, descriptors.
//! Reads only; what is gone counts as nothing.

use std::fs;
use std::ops::Sub;
use std::path::Path;
use std::time::Duration;

/// How a thread or process has spent its time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Usage {
    /// On a core, user and system.
    pub(super) cpu: Duration,
    /// Ready to run, and no core was free.
    pub(super) waited: Duration,
}

impl Sub for Usage {
    type Output = Self;

    fn sub(self, earlier: Self) -> Self {
        Self {
            cpu: self.cpu.saturating_sub(earlier.cpu),
            waited: self.waited.saturating_sub(earlier.waited),
        }
    }
}

/// What the relay's processes have and use.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Family {
    /// Time on a core of all of them, those included that have ended and were waited for.
    pub(super) cpu: Duration,
    /// Each thread by its name in `/proc`.
    threads: Vec<(String, Usage)>,
    /// Resident bytes.
    pub(super) resident: u64,
    /// Of them, those that are no file's: heap and stacks.
    pub(super) anonymous: u64,
    /// Open descriptors.
    pub(super) descriptors: u64,
}

impl Family {
    /// All processes of a group.
    pub(super) fn of_group(group: u32) -> Self {
        let mut family = Self::default();
        let Ok(all) = fs::read_dir("/proc") else {
            return family;
        };
        for entry in all.flatten() {
            let name = entry.file_name();
            let is_process = name
                .to_str()
                .is_some_and(|name| name.parse::<u32>().is_ok());
            let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
            if is_process && let Some(stat) = Stat::parse(&stat).filter(|stat| stat.group == group)
            {
                family.add(&entry.path(), &stat);
            }
        }
        family
    }

    /// Takes another family's processes in.
    pub(super) fn join(&mut self, other: Self) {
        self.cpu += other.cpu;
        self.threads.extend(other.threads);
        self.resident += other.resident;
        self.anonymous += other.anonymous;
        self.descriptors += other.descriptors;
    }

    fn add(&mut self, process: &Path, stat: &Stat) {
        let mut live = Duration::ZERO;
        let tasks = fs::read_dir(process.join("task"));
        for task in tasks.into_iter().flatten().flatten() {
            let name = task.path().display().to_string();
            let usage = thread(&name);
            live += usage.cpu;
            self.threads.push((name, usage));
        }
        // The scheduler's own figures are exact, but know only the threads that live.
        self.cpu += live.max(stat.own) + stat.children;
        let status = fs::read_to_string(process.join("status")).unwrap_or_default();
        self.resident += kibibytes(&status, "VmRSS:");
        self.anonymous += kibibytes(&status, "RssAnon:");
        let open = fs::read_dir(process.join("fd"));
        self.descriptors += open.map_or(0, |open| open.count() as u64);
    }

    /// How long its busiest thread since `earlier` has waited for a core that none of its own had.
    pub(super) fn waited_since(&self, earlier: &Self) -> Duration {
        let before = |name: &str| {
            let found = earlier.threads.iter().find(|(other, _)| other == name);
            found.map_or(Usage::default(), |(_, usage)| *usage)
        };
        let used = |(name, usage): &(String, Usage)| *usage - before(name);
        let all: Vec<Usage> = self.threads.iter().map(used).collect();
        let Some(busiest) = all.iter().max_by_key(|usage| usage.cpu) else {
            return Duration::ZERO;
        };
        let total: Duration = all.iter().map(|usage| usage.cpu).sum();
        busiest.waited.saturating_sub(total - busiest.cpu)
    }
}

/// The calling thread, as `/proc` names it: `/proc/PID/task/TID`.
pub(super) fn this_thread() -> String {
    let link = fs::read_link("/proc/thread-self").unwrap_or_default();
    format!("/proc/{}", link.display())
}

/// How a thread has spent its time.
pub(super) fn thread(name: &str) -> Usage {
    let text = fs::read_to_string(format!("{name}/schedstat")).unwrap_or_default();
    let mut fields = text.split_whitespace().map(|field| field.parse().ok());
    let mut nanos = || Duration::from_nanos(fields.next().flatten().unwrap_or(0));
    Usage {
        cpu: nanos(),
        waited: nanos(),
    }
}

/// Whether anybody on this machine listens at a TCP port. Nobody is dialled for that.
pub(super) fn is_listened_at(port: u16) -> bool {
    let tables = ["/proc/self/net/tcp", "/proc/self/net/tcp6"];
    let texts = tables.map(|table| fs::read_to_string(table).unwrap_or_default());
    texts.iter().any(|text| has_listener(text, port))
}

/// Whether a table of `/proc/net` has a listener at a port. Fields: number, own address and port in hexadecimal, the
/// peer's, state.
fn has_listener(table: &str, port: u16) -> bool {
    let port = format!(":{port:04X}");
    table.lines().any(|line| {
        let mut fields = line.split_whitespace().skip(1);
        let at_it = fields.next().is_some_and(|at| at.ends_with(&port));
        at_it && fields.nth(1) == Some(LISTENS)
    })
}

/// What is taken from `/proc/PID/stat`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stat {
    group: u32,
    own: Duration,
    children: Duration,
}

impl Stat {
    fn parse(text: &str) -> Option<Self> {
        // The name may have anything in it, a closing bracket too. Behind it: state, parent, group.
        let (_, rest) = text.rsplit_once(") ")?;
        let fields: Vec<&str> = rest.split_whitespace().collect();
        let ticks = |at: usize| fields.get(at)?.parse::<u64>().ok();
        let time = |at| {
            Some(Duration::from_millis(
                (ticks(at)? + ticks(at + 1)?) * TICK_MS,
            ))
        };
        Some(Self {
            group: fields.get(2)?.parse().ok()?,
            own: time(11)?,
            children: time(13)?,
        })
    }
}

fn kibibytes(status: &str, key: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(key));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    number.unwrap_or(0) << 10
}

/// The state of a listening socket, as `/proc/net` writes it.
const LISTENS: &str = "0A";
/// USER_HZ is 100 on every platform that is supported.
const TICK_MS: u64 = 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stat_line_is_read_whatever_the_name_is() {
        let line = "4711 (a ) b) S 1 99 99 0 -1 0 0 0 0 0 12 30 1 2 20 0 1 0 55 0";
        let stat = Stat::parse(line).expect("it is one");
        assert_eq!(stat.group, 99);
        assert_eq!(stat.own, Duration::from_millis(420));
        assert_eq!(stat.children, Duration::from_millis(30));
        assert_eq!(Stat::parse("4711 (x"), None);
    }

    #[test]
    fn a_listener_is_told_from_a_connection() {
        let table = "  sl  local_address rem_address   st tx_queue\n   \
                     0: 0100007F:1B58 00000000:0000 0A 00000000:00000000\n   \
                     1: 0100007F:1B59 0100007F:A000 01 00000000:00000000\n";
        assert!(has_listener(table, 7000));
        assert!(!has_listener(table, 7001) && !has_listener(table, 0));
    }

    #[test]
    fn this_process_is_found_by_its_group() {
        let stat = fs::read_to_string("/proc/self/stat").expect("Linux has it");
        let own = Stat::parse(&stat).expect("it is one");
        let family = Family::of_group(own.group);
        assert!(family.resident > 0 && family.anonymous > 0 && family.descriptors > 2);
        let me = this_thread();
        assert!(
            family
                .threads
                .iter()
                .any(|(name, _)| name.starts_with(&me[..me.rfind('/').unwrap_or(0)]))
        );
    }

    #[test]
    fn waiting_for_ones_own_threads_does_not_count() {
        let family = |main: (u64, u64), other: (u64, u64)| Family {
            threads: [("a", main), ("b", other)]
                .map(|(name, (cpu, waited))| {
                    let [cpu, waited] = [cpu, waited].map(Duration::from_millis);
                    (name.to_owned(), Usage { cpu, waited })
                })
                .to_vec(),
            ..Family::default()
        };
        let (before, after) = (family((10, 5), (0, 0)), family((100, 55), (20, 90)));
        assert_eq!(after.waited_since(&before), Duration::from_millis(30));
        assert_eq!(before.waited_since(&before), Duration::ZERO);
    }
}
