//! A child process that runs the program: its log read line by line, signals, its end. It is killed when dropped.

use std::ffi::OsString;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;

use super::scratch::Scratch;
use super::{DEADLINE, within};

/// The program, ready to start with these words, which are split at spaces. stdin is empty; stdout and stderr are
/// pipes.
pub(crate) fn hydrant(line: &str) -> Launch {
    Launch {
        program: PROGRAM.into(),
        shell: None,
        args: line.split_whitespace().map(str::to_owned).collect(),
        stdin: Stdio::null(),
        stdout: Stdio::piped(),
        stderr: None,
        user: None,
        env: Vec::new(),
    }
}

/// How the program is to be started.
pub(crate) struct Launch {
    program: PathBuf,
    shell: Option<&'static str>,
    args: Vec<String>,
    stdin: Stdio,
    stdout: Stdio,
    stderr: Option<Stdio>,
    user: Option<u32>,
    env: Vec<(&'static str, OsString)>,
}

impl Launch {
    /// One more word, with whatever is in it.
    pub(crate) fn arg(mut self, arg: impl Into<String>) -> Self {
        self.args.push(arg.into());
        self
    }

    pub(crate) fn stdin(mut self, stdin: impl Into<Stdio>) -> Self {
        self.stdin = stdin.into();
        self
    }

    pub(crate) fn stdout(mut self, stdout: impl Into<Stdio>) -> Self {
        self.stdout = stdout.into();
        self
    }

    /// Another stderr than the pipe that is read. That the program has ended then shows in its stdout.
    pub(crate) fn stderr(mut self, stderr: impl Into<Stdio>) -> Self {
        self.stderr = Some(stderr.into());
        self
    }

    /// Starts it from a shell, where `exec "$0" "$@"` is the command line.
    pub(crate) fn shell(mut self, script: &'static str) -> Self {
        self.shell = Some(script);
        self
    }

    /// A variable of its environment.
    pub(crate) fn env(mut self, name: &'static str, value: impl Into<OsString>) -> Self {
        self.env.push((name, value.into()));
        self
    }

    /// Starts it as another user, which root can.
    pub(crate) fn user(mut self, user: u32) -> Self {
        self.user = Some(user);
        self
    }

    /// Starts a copy in a folder that everyone can read.
    pub(crate) fn copied_to(mut self, folder: &Scratch) -> Self {
        self.program = folder.at("hydrant").into();
        // Not by this process: a child that another test is just starting would keep the file open for writing, and
        // what is open for writing can't be run.
        let copied = Command::new("cp").arg(PROGRAM).arg(&self.program).status();
        assert!(copied.is_ok_and(|status| status.success()), "no copy");
        self
    }

    pub(crate) fn start(self) -> Hydrant {
        let mut command = match self.shell {
            Some(script) => {
                let mut shell = Command::new("sh");
                shell.arg("-c").arg(script).arg(self.program);
                shell
            }
            None => Command::new(self.program),
        };
        command.args(&self.args).stdin(self.stdin);
        // A look-up that nobody answers ends soon then.
        command.env("RES_OPTIONS", "timeout:1 attempts:1");
        command.envs(self.env);
        command.stdout(self.stdout);
        command.stderr(self.stderr.unwrap_or_else(Stdio::piped));
        if let Some(user) = self.user {
            std::os::unix::process::CommandExt::uid(&mut command, user);
        }
        let mut child = command
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?} can't be started: {error}"));
        let log = Arc::new(Log::default());
        match child.stderr.take() {
            Some(stderr) => log.clone().read(stderr),
            None => log
                .clone()
                .read(child.stdout.take().expect("stdout shows when it ends")),
        }
        Hydrant { child, log }
    }

    /// Starts it and waits for its end.
    pub(crate) fn run(self) -> Finished {
        let mut hydrant = self.start();
        let stdout = hydrant.stdout();
        let stdout = within("reading stdout", move || read_all(stdout));
        let code = hydrant.wait_exit();
        Finished {
            code,
            stdout: String::from_utf8(stdout).expect("stdout is text"),
            stderr: hydrant.log(),
        }
    }
}

/// What a program that has ended said.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Finished {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: Vec<String>,
}

/// The program as it runs.
pub(crate) struct Hydrant {
    child: Child,
    log: Arc<Log>,
}

impl Hydrant {
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Takes its stdin, where that is a pipe.
    pub(crate) fn stdin(&mut self) -> ChildStdin {
        self.child.stdin.take().expect("stdin is a pipe")
    }

    /// Takes its stdout.
    pub(crate) fn stdout(&mut self) -> ChildStdout {
        self.child.stdout.take().expect("stdout is a pipe")
    }

    /// All lines of the log so far.
    pub(crate) fn log(&self) -> Vec<String> {
        let state = self.log.lock();
        state.lines.iter().map(|line| line.text.clone()).collect()
    }

    /// The first line with `part` in it that no call has returned yet, as soon as it is there.
    #[track_caller]
    pub(crate) fn wait_log(&self, part: &str) -> String {
        self.wait_logs(&[part])
    }

    /// As `wait_log`, with several parts.
    #[track_caller]
    pub(crate) fn wait_logs(&self, parts: &[&str]) -> String {
        let end = Instant::now() + DEADLINE;
        let mut state = self.log.lock();
        loop {
            let fits =
                |line: &&mut Line| !line.taken && parts.iter().all(|part| line.text.contains(part));
            if let Some(line) = state.lines.iter_mut().find(fits) {
                line.taken = true;
                return line.text.clone();
            }
            let left = end.saturating_duration_since(Instant::now());
            let over = state.ended || left.is_zero();
            assert!(!over, "no line with {parts:?} in the log; see below");
            state = self.log.grown.wait_timeout(state, left).unwrap().0;
        }
    }

    /// Whether a line with `part` in it has been logged.
    pub(crate) fn has_logged(&self, part: &str) -> bool {
        self.log().iter().any(|line| line.contains(part))
    }

    /// The address of the next listener for `what`, with which it can be dialled.
    #[track_caller]
    pub(crate) fn address_of(&self, what: &str) -> SocketAddr {
        self.address_by("", what)
    }

    /// As `address_of`, of a role by its label: it may be one of several.
    #[track_caller]
    pub(crate) fn address_by(&self, label: &str, what: &str) -> SocketAddr {
        let line = self.wait_logs(&[&format!("{label}: listening on "), &format!(" for {what}")]);
        let at = line.split("listening on ").nth(1).unwrap_or_default();
        let at = at.split(' ').next().unwrap_or_default();
        let mut at: SocketAddr = at
            .parse()
            .unwrap_or_else(|_| panic!("{line:?} has no address"));
        match at.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => at.set_ip(Ipv4Addr::LOCALHOST.into()),
            IpAddr::V6(ip) if ip.is_unspecified() => at.set_ip(Ipv6Addr::LOCALHOST.into()),
            _ => {}
        }
        assert_ne!(at.port(), 0, "{line:?} does not say the real port");
        at
    }

    /// Sends a signal: `TERM`, `INT`, `USR1`, ...
    pub(crate) fn signal(&self, name: &str) {
        // The child has not been waited for, so its number is still its own.
        signal(self.pid(), name);
    }

    /// SIGUSR1, and the line that answers it. By then it has dealt with all that happened before.
    #[track_caller]
    pub(crate) fn report(&self) -> String {
        self.signal("USR1");
        self.wait_log(" | in all ")
    }

    /// Asks for reports until one has `part` in it.
    #[track_caller]
    pub(crate) fn report_until(&self, part: &str) -> String {
        let end = Instant::now() + DEADLINE;
        loop {
            let line = self.report();
            if line.contains(part) {
                return line;
            }
            assert!(Instant::now() < end, "no report has {part:?}: {line}");
        }
    }

    /// Open descriptors.
    pub(crate) fn descriptors(&self) -> usize {
        let folder = format!("/proc/{}/fd", self.pid());
        fs::read_dir(folder).expect("it runs").count()
    }

    /// Memory that is there, in KiB.
    pub(crate) fn resident_kib(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("it runs");
        let line = status.lines().find(|line| line.starts_with("VmRSS:"));
        let kib = line.and_then(|line| line.split_whitespace().nth(1));
        kib.expect("a figure").parse().expect("a number")
    }

    /// Processor time used so far, in ticks of a hundredth of a second.
    pub(crate) fn processor_ticks(&self) -> u64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid())).expect("it runs");
        // Behind the name, which may have spaces in it: state, ten more, then utime and stime.
        let (_, rest) = stat.rsplit_once(") ").expect("a name in parentheses");
        let ticks = rest.split(' ').skip(11).take(2);
        ticks.map(|field| field.parse::<u64>().unwrap()).sum()
    }

    /// Waits for its end, and returns the exit code.
    #[track_caller]
    pub(crate) fn wait_exit(&mut self) -> i32 {
        let end = Instant::now() + DEADLINE;
        let mut state = self.log.lock();
        while !state.ended {
            let left = end.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "it still runs; its log is below");
            state = self.log.grown.wait_timeout(state, left).unwrap().0;
        }
        drop(state);
        let status = self.child.wait().expect("it can be waited for");
        status
            .code()
            .unwrap_or_else(|| panic!("it was killed: {status}"))
    }

    /// Kills it, and waits for that.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("it can be");
        self.child.wait().expect("it can be waited for");
    }

    /// SIGTERM, which is to end it well.
    #[track_caller]
    pub(crate) fn stop(mut self) -> Vec<String> {
        self.signal("TERM");
        assert_eq!(self.wait_exit(), 0);
        self.log()
    }
}

impl Drop for Hydrant {
    fn drop(&mut self) {
        if thread::panicking() {
            let lines = self.log().join("\n");
            println!("the log of {}:\n{lines}", self.pid());
        }
        // Where it has ended there is nothing to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends a signal to a process that was started here and has not been waited for.
pub(crate) fn signal(pid: u32, name: &str) {
    let status = Command::new("sh")
        .arg("-c")
        .arg(format!("kill -s {name} {pid}"))
        .status()
        .expect("there is a shell");
    assert!(status.success(), "SIG{name} can't be sent to {pid}");
}

/// What the program has logged.
#[derive(Default)]
struct Log {
    state: Mutex<State>,
    grown: Condvar,
}

#[derive(Default)]
struct State {
    lines: Vec<Line>,
    ended: bool,
}

struct Line {
    text: String,
    /// A call has returned it.
    taken: bool,
}

impl Log {
    fn read(self: Arc<Self>, from: impl Read + Send + 'static) {
        thread::spawn(move || {
            for line in BufReader::new(from).split(b'\n') {
                let Ok(line) = line else { break };
                let text = String::from_utf8_lossy(&line).into_owned();
                self.lock().lines.push(Line { text, taken: false });
                self.grown.notify_all();
            }
            self.lock().ended = true;
            self.grown.notify_all();
        });
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A test that fails may hold it; what has been logged is still to be shown.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All that a pipe brings until it ends.
pub(crate) fn read_all(mut from: impl Read) -> Vec<u8> {
    let mut all = Vec::new();
    from.read_to_end(&mut all).expect("a pipe can be read");
    all
}

const PROGRAM: &str = env!("CARGO_BIN_EXE_hydrant");
