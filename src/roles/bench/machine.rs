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
    /// What these processes have and use.
    pub(super) fn of(processes: &[Process]) -> Self {
        let mut family = Self::default();
        for process in processes {
            family.add(Path::new(&format!("/proc/{}", process.id)), &process.stat);
        }
        family
    }

    /// A process of one thread that has spent its time so.
    #[cfg(test)]
    pub(super) fn of_one(thread: &str, usage: Usage) -> Self {
        Self {
            cpu: usage.cpu,
            threads: vec![(thread.to_owned(), usage)],
            ..Self::default()
        }
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

/// A process that was there a moment ago.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Process {
    pub(super) id: u32,
    stat: Stat,
}

impl Process {
    /// The group that it is in.
    pub(super) fn group(&self) -> u32 {
        self.stat.group
    }

    /// Whether it has ended, and only its parent has not asked how.
    pub(super) fn is_over(&self) -> bool {
        self.stat.is_over
    }

    fn all() -> Vec<Self> {
        let all = fs::read_dir("/proc").into_iter().flatten().flatten();
        let read = |entry: fs::DirEntry| {
            let id = entry.file_name().to_str()?.parse().ok()?;
            let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
            Stat::parse(&stat).map(|stat| Self { id, stat })
        };
        all.filter_map(read).collect()
    }
}

/// All processes of a group, and all that they have started, in whatever group these are.
pub(super) fn relatives(group: u32) -> Vec<Process> {
    with_descendants(Process::all(), |process| process.stat.group == group)
}

/// Children of this program that it has not started itself, by what it has started, and all that they have started: of
/// those whose own parents have ended (see `host::adopt_orphans`).
pub(super) fn adopted(started: &[u32]) -> Vec<Process> {
    let own = std::process::id();
    with_descendants(Process::all(), |process| {
        process.stat.parent == own && !started.contains(&process.id)
    })
}

/// Those among `all` that are meant, and their descendants.
fn with_descendants(all: Vec<Process>, is_meant: impl Fn(&Process) -> bool) -> Vec<Process> {
    let (mut found, mut rest): (Vec<Process>, Vec<Process>) = all.into_iter().partition(is_meant);
    let mut at = 0;
    while at < found.len() {
        let parent = found[at].id;
        let children = rest.extract_if(.., |process| process.stat.parent == parent);
        found.extend(children);
        at += 1;
    }
    found
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
    is_in_state(port, &[LISTENS])
}

/// Whether somebody has a TCP port, so that nobody else can listen there.
pub(super) fn is_taken(port: u16) -> bool {
    is_in_state(port, &[LISTENS, IS_CONNECTED, CONNECTS])
}

fn is_in_state(port: u16, states: &[&str]) -> bool {
    let tables = ["/proc/self/net/tcp", "/proc/self/net/tcp6"];
    let texts = tables.map(|table| fs::read_to_string(table).unwrap_or_default());
    texts.iter().any(|text| has_socket(text, port, states))
}

/// Whether a table of `/proc/net` has a socket of this port in one of these states. Fields: number, own address and
/// port in hexadecimal, the peer's, state.
fn has_socket(table: &str, port: u16, states: &[&str]) -> bool {
    let port = format!(":{port:04X}");
    table.lines().any(|line| {
        let mut fields = line.split_whitespace().skip(1);
        let at_it = fields.next().is_some_and(|at| at.ends_with(&port));
        at_it && fields.nth(1).is_some_and(|state| states.contains(&state))
    })
}

/// What is taken from `/proc/PID/stat`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stat {
    /// It has ended, and its parent has not asked how.
    is_over: bool,
    parent: u32,
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
            is_over: matches!(*fields.first()?, "Z" | "X"),
            parent: fields.get(1)?.parse().ok()?,
            group: fields.get(2)?.parse().ok()?,
            own: time(11)?,
            children: time(13)?,
        })
    }
}

/// Bytes of memory that programs can still be given, where the system says.
pub(super) fn available_memory() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    Some(kibibytes(&text, "MemAvailable:")).filter(|bytes| *bytes > 0)
}

fn kibibytes(status: &str, key: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(key));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    number.unwrap_or(0) << 10
}

/// States of sockets, as `/proc/net` writes them.
const LISTENS: &str = "0A";
const IS_CONNECTED: &str = "01";
const CONNECTS: &str = "02";
/// USER_HZ is 100 on every platform that is supported.
const TICK_MS: u64 = 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stat_line_is_read_whatever_the_name_is() {
        let line = "4711 (a ) b) S 1 99 99 0 -1 0 0 0 0 0 12 30 1 2 20 0 1 0 55 0";
        let stat = Stat::parse(line).expect("it is one");
        assert_eq!((stat.parent, stat.group, stat.is_over), (1, 99, false));
        assert_eq!(stat.own, Duration::from_millis(420));
        assert_eq!(stat.children, Duration::from_millis(30));
        assert_eq!(Stat::parse("4711 (x"), None);
    }

    #[test]
    fn a_listener_is_told_from_a_connection() {
        let table = "  sl  local_address rem_address   st tx_queue\n   \
                     0: 0100007F:1B58 00000000:0000 0A 00000000:00000000\n   \
                     1: 0100007F:1B59 0100007F:A000 01 00000000:00000000\n";
        assert!(has_socket(table, 7000, &[LISTENS]));
        assert!(!has_socket(table, 7001, &[LISTENS]) && !has_socket(table, 0, &[LISTENS]));
        assert!(has_socket(table, 7001, &[LISTENS, IS_CONNECTED]));
    }

    #[test]
    fn this_process_is_found_by_its_group() {
        let stat = fs::read_to_string("/proc/self/stat").expect("Linux has it");
        let own = Stat::parse(&stat).expect("it is one");
        let family = Family::of(&relatives(own.group));
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
    fn descendants_are_found_in_whatever_group() {
        let process = |(id, parent, group)| Process {
            id,
            stat: Stat {
                is_over: false,
                parent,
                group,
                own: Duration::ZERO,
                children: Duration::ZERO,
            },
        };
        // 5 has left the group of 3 with its child, 7 is an orphan of it, 8 is somebody else's.
        let all = [
            (7, 1, 3),
            (6, 5, 5),
            (5, 4, 5),
            (4, 3, 3),
            (3, 2, 3),
            (8, 2, 8),
        ]
        .map(process);
        let found = with_descendants(all.to_vec(), |process| process.stat.group == 3);
        let mut ids: Vec<u32> = found.iter().map(|process| process.id).collect();
        ids.sort_unstable();
        assert_eq!(ids, [3, 4, 5, 6, 7]);
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
