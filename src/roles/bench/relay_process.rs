//! The relay under test, as processes of its own: started, watched, ended. What it says on stderr is read, and the
//! last line kept, to be shown if it dies.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use crate::reactor::{host, plain};
use crate::roles::bench::board::lock;
use crate::roles::bench::machine::{Family, Process, adopted, relatives};

/// All processes of a relay, in the order in which they were started.
///
/// What one starts is found by its group or its parents. A process whose parent has ended becomes the bench's own
/// child, and belongs to the relay if no other is under way.
#[derive(Debug, Default)]
pub(super) struct RelayProcesses(Vec<RelayProcess>);

impl RelayProcesses {
    /// Starts one more, on the cores on which this thread stays. `who` is what it is called.
    pub(super) fn start(&mut self, words: &[String], who: String) -> Result<(), String> {
        host::adopt_orphans()
            .map_err(|error| format!("can't watch a relay's processes: {}", plain(&error)))?;
        self.0.push(RelayProcess::start(words, who)?);
        Ok(())
    }

    /// What each of them has and uses. What they have left behind is the first one's.
    pub(super) fn families(&self) -> Vec<Family> {
        let mut families: Vec<Family> = self.0.iter().map(RelayProcess::family).collect();
        if let Some(first) = families.first_mut() {
            first.join(Family::of(&self.left_behind()));
        }
        families
    }

    /// Processes whose parents have ended, if it can be told whose they are.
    fn left_behind(&self) -> Vec<Process> {
        let started = lock(&STARTED).clone();
        let is_own = |id: &u32| self.0.iter().any(|process| process.child.id() == *id);
        match started.iter().all(is_own) {
            true => adopted(&started),
            false => Vec::new(),
        }
    }

    /// What all of them have and use.
    pub(super) fn family(&self) -> Family {
        let mut all = Family::default();
        for family in self.families() {
            all.join(family);
        }
        all
    }

    /// Says how one ended, if one has.
    pub(super) fn check(&mut self) -> Result<(), String> {
        self.0.iter_mut().try_for_each(RelayProcess::check)
    }

    /// Whether one has ended, and not well.
    pub(super) fn has_failed(&mut self) -> bool {
        let has_failed = |process: &mut RelayProcess| {
            let ended = process.child.try_wait().ok().flatten();
            ended.is_some_and(|status| !status.success())
        };
        self.0.iter_mut().any(has_failed)
    }

    /// Whether the last words of one are that something is in use, as the system calls a port that somebody else has.
    pub(super) fn says_in_use(&self) -> bool {
        let says_so = |process: &RelayProcess| lock(&process.last_line).contains(IN_USE);
        self.0.iter().any(says_so)
    }

    /// Asks all to end. They are not waited for before they are dropped.
    pub(super) fn end(&self) {
        for process in &self.0 {
            process.end();
        }
        for process in self.left_behind() {
            host::end_process(process.id);
        }
    }

    /// Whether all have ended, and what they have left behind.
    pub(super) fn have_ended(&mut self) -> bool {
        self.0.iter_mut().all(RelayProcess::has_ended)
            && self.left_behind().iter().all(Process::is_over)
    }
}

impl Drop for RelayProcesses {
    fn drop(&mut self) {
        self.0.clear();
        // Of several relays under way the last one to go takes along what any of them has left behind. That may leave
        // processes behind in turn.
        for _ in 0..GENERATIONS_MAX {
            for process in self.left_behind() {
                host::kill_process(process.id);
            }
        }
    }
}

/// One that was started. It is killed when dropped, with all that it has started itself.
#[derive(Debug)]
struct RelayProcess {
    /// What it is called.
    who: String,
    child: Child,
    last_line: Arc<Mutex<String>>,
    /// Ends when its stderr does.
    said_all: Receiver<()>,
}

impl RelayProcess {
    /// Starts it on the cores on which this thread stays.
    fn start(words: &[String], who: String) -> Result<Self, String> {
        let (program, args) = words.split_first().expect("a command has words");
        let mut command = Command::new(program);
        command
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        host::own_group(&mut command);
        let mut child = command
            .spawn()
            .map_err(|error| format!("can't start {program}: {}", plain(&error)))?;
        lock(&STARTED).push(child.id());
        let (done, said_all) = mpsc::channel();
        let last_line = Arc::default();
        if let Some(stderr) = child.stderr.take() {
            keep_last_line(stderr, Arc::clone(&last_line), done);
        }
        Ok(Self {
            who,
            child,
            last_line,
            said_all,
        })
    }

    /// What its processes have and use.
    fn family(&self) -> Family {
        Family::of(&relatives(self.child.id()))
    }

    /// Its processes that are in other groups than its own.
    fn astray(&self) -> Vec<Process> {
        let group = self.child.id();
        let mut all = relatives(group);
        all.retain(|process| process.group() != group);
        all
    }

    /// Says how it ended, if it has.
    fn check(&mut self) -> Result<(), String> {
        match self.child.try_wait() {
            Ok(None) => Ok(()),
            Ok(Some(status)) => Err(self.obituary(status)),
            Err(error) => Err(format!("can't watch {}: {}", self.who, plain(&error))),
        }
    }

    /// Asks it to end. It is not waited for before it is dropped.
    fn end(&self) {
        // Where its parent has ended meanwhile, a process would not be found any more.
        let astray = self.astray();
        host::end_group(self.child.id());
        for process in astray {
            host::end_process(process.id);
        }
    }

    /// Whether it has ended.
    fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    fn obituary(&self, status: ExitStatus) -> String {
        // What it said just before may still be in the pipe. A child of its own may hold that open for longer.
        let _ = self.said_all.recv_timeout(LAST_WORDS);
        let who = &self.who;
        // A relay that puts itself into the background seems to have come to its end.
        let hint = match status.success() {
            true => "; it has to stay in the foreground",
            false => "",
        };
        match lock(&self.last_line).as_str() {
            "" => format!("{who} has ended ({status}), without a word on stderr{hint}"),
            last => format!("{who} has ended ({status}){hint}; its last line: {last}"),
        }
    }
}

impl Drop for RelayProcess {
    fn drop(&mut self) {
        let astray = self.astray();
        host::kill_group(self.child.id());
        for process in astray {
            host::kill_process(process.id);
        }
        // It was killed, or had ended: either way there is nothing to wait for long.
        let _ = self.child.wait();
        lock(&STARTED).retain(|id| *id != self.child.id());
    }
}

/// Reads all that it says, so that it never waits for us.
fn keep_last_line(from: ChildStderr, into: Arc<Mutex<String>>, done: Sender<()>) {
    thread::spawn(move || {
        let _done = done;
        let mut from = BufReader::new(from);
        loop {
            let mut line = Vec::new();
            let read = from.by_ref().take(LINE_MAX).read_until(b'\n', &mut line);
            if !matches!(read, Ok(1..)) {
                return;
            }
            let text = String::from_utf8_lossy(&line);
            let text: String = text.chars().filter(|c| !c.is_control()).collect();
            if !text.trim().is_empty() {
                *lock(&into) = text;
            }
        }
    });
}

/// The children of this program, which are told by this from those that have come to it because theirs have ended.
static STARTED: Mutex<Vec<u32>> = Mutex::new(Vec::new());
/// How often processes are looked for that those before them have left behind.
const GENERATIONS_MAX: u32 = 8;
/// In "Address already in use", which is what most programs say, and in what hydrant says.
const IN_USE: &str = "in use";
/// A longer line counts as several.
const LINE_MAX: u64 = 1024;
const LAST_WORDS: Duration = Duration::from_millis(500);
