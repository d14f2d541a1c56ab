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
use crate::roles::bench::machine::Family;

/// All processes of a relay, in the order in which they were started.
#[derive(Debug, Default)]
pub(super) struct RelayProcesses(Vec<RelayProcess>);

impl RelayProcesses {
    /// Starts one more, on the cores on which this thread stays.
    pub(super) fn start(&mut self, words: &[String]) -> Result<(), String> {
        self.0.push(RelayProcess::start(words)?);
        Ok(())
    }

    /// What each of them has and uses.
    pub(super) fn families(&self) -> Vec<Family> {
        self.0.iter().map(RelayProcess::family).collect()
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

    /// Asks all to end. They are not waited for before they are dropped.
    pub(super) fn end(&self) {
        for process in &self.0 {
            process.end();
        }
    }

    /// Whether all have ended.
    pub(super) fn have_ended(&mut self) -> bool {
        self.0.iter_mut().all(RelayProcess::has_ended)
    }
}

/// One that was started. It is killed when dropped, with all that it has started itself.
#[derive(Debug)]
struct RelayProcess {
    child: Child,
    last_line: Arc<Mutex<String>>,
    /// Ends when its stderr does.
    said_all: Receiver<()>,
}

impl RelayProcess {
    /// Starts it on the cores on which this thread stays.
    fn start(words: &[String]) -> Result<Self, String> {
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
        let (done, said_all) = mpsc::channel();
        let last_line = Arc::default();
        if let Some(stderr) = child.stderr.take() {
            keep_last_line(stderr, Arc::clone(&last_line), done);
        }
        Ok(Self {
            child,
            last_line,
            said_all,
        })
    }

    /// What its processes have and use.
    fn family(&self) -> Family {
        Family::of_group(self.child.id())
    }

    /// Says how it ended, if it has.
    fn check(&mut self) -> Result<(), String> {
        match self.child.try_wait() {
            Ok(None) => Ok(()),
            Ok(Some(status)) => Err(self.obituary(status)),
            Err(error) => Err(format!("can't watch the relay: {}", plain(&error))),
        }
    }

    /// Asks it to end. It is not waited for before it is dropped.
    fn end(&self) {
        host::end_group(self.child.id());
    }

    /// Whether it has ended.
    fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    fn obituary(&self, status: ExitStatus) -> String {
        // What it said just before may still be in the pipe. A child of its own may hold that open for longer.
        let _ = self.said_all.recv_timeout(LAST_WORDS);
        match lock(&self.last_line).as_str() {
            "" => format!("the relay has ended ({status}), without a word on stderr"),
            last => format!("the relay has ended ({status}); its last line: {last}"),
        }
    }
}

impl Drop for RelayProcess {
    fn drop(&mut self) {
        host::kill_group(self.child.id());
        // It was killed, or had ended: either way there is nothing to wait for long.
        let _ = self.child.wait();
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

/// A longer line counts as several.
const LINE_MAX: u64 = 1024;
const LAST_WORDS: Duration = Duration::from_millis(500);
