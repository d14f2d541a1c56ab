//! Those who connect to a hub: somebody at a terminal (`hub client`), and scripts (`hub send`, `hub recv`).
//!
//! ```text
//!   stdin ──> task ──> session.rs ──> the hub
//!   stdout <── task <─────┘
//! ```

mod output;
mod prompt;
mod recv;
mod repr;
mod send;
pub(super) mod session;

use std::io;
use std::time::Duration;

use crate::reactor::net::{SockId, StdStream};
use crate::reactor::{Cx, End, Event, Role, plain};
use crate::roles::hub::config::{TaskConfig, UserConfig};

use self::output::Output;
use self::prompt::Prompt;
use self::recv::Recv;
use self::send::Send;
use self::session::{Said, Session, Step, Tags};

/// A client of a hub.
pub struct User {
    session: Session,
    task: Task,
    stdin: Option<SockId>,
    stdout: Option<Output>,
    /// How it ends, once stdout has what it has still to get.
    end: Option<End>,
    buffer: Box<[u8]>,
}

/// What it is for.
#[derive(Debug)]
enum Task {
    Prompt(Prompt),
    Send(Send),
    Recv(Recv),
}

impl User {
    /// A client with these orders, whose stdin is a terminal or not. It does nothing before its first event.
    pub fn new(config: UserConfig, terminal: bool) -> Self {
        let task = match &config.task {
            TaskConfig::Prompt => Task::Prompt(Prompt::new(terminal)),
            TaskConfig::Send {
                dest,
                data,
                max_message,
            } => Task::Send(Send::new(
                &config.account.name,
                dest,
                data.as_deref(),
                *max_message,
            )),
            TaskConfig::Recv { count, newline } => Task::Recv(Recv::new(*count, *newline)),
        };
        Self {
            session: Session::new(config.account, TAGS),
            task,
            stdin: None,
            stdout: None,
            end: None,
            buffer: vec![0; BUFFER].into_boxed_slice(),
        }
    }

    fn start(&mut self, cx: &mut Cx<'_>) -> Result<(), String> {
        if !matches!(self.task, Task::Send(_)) {
            let stdout = Output::open(cx)
                .map_err(|error| format!("can't write to stdout: {}", plain(&error)))?;
            self.stdout = Some(stdout);
        }
        self.session.start(cx);
        Ok(())
    }

    /// What the hub's side has brought.
    fn heard(&mut self, cx: &mut Cx<'_>, event: &Event) -> Result<Step, String> {
        let Self {
            session,
            task,
            stdout,
            buffer,
            ..
        } = self;
        let mut on = |said: Said<'_>| match (&mut *task, &mut *stdout) {
            (Task::Prompt(prompt), Some(stdout)) => prompt.heard(said, stdout),
            (Task::Recv(recv), Some(stdout)) => recv.heard(said, stdout),
            (Task::Send(send), _) => send.heard(said),
            _ => {}
        };
        match event {
            Event::Connected { sock, .. } => session.connected(cx, *sock, &mut on),
            Event::ConnectFailed { error, .. } => Err(session.connect_failed(error)),
            _ => session.readable(cx, buffer, &mut on),
        }
    }

    /// What stdin has brought.
    fn typed(&mut self, cx: &mut Cx<'_>, sock: SockId) -> Result<(), String> {
        let bytes = match cx.read(sock, &mut self.buffer) {
            Ok(None) => return Ok(()),
            Ok(Some(count)) => &self.buffer[..count],
            Err(error) => return Err(format!("can't read stdin: {}", plain(&error))),
        };
        if bytes.is_empty() {
            cx.want_read(sock, false);
        }
        match (&mut self.task, &mut self.stdout) {
            (Task::Prompt(prompt), Some(stdout)) => {
                prompt.typed(bytes, &mut self.session, stdout);
            }
            (Task::Send(send), _) => send.typed(bytes, &mut self.session),
            _ => {}
        }
        Ok(())
    }

    /// After each event: what it led to.
    fn go_on(&mut self, cx: &mut Cx<'_>) -> Result<(), String> {
        if self.session.is_ready() && self.stdin.is_none() && self.task.reads_stdin() {
            let sock = cx
                .open_std(StdStream::Stdin)
                .map_err(|error| format!("can't read stdin: {}", plain(&error)))?;
            cx.set_tag(sock, Kind::Stdin as u32);
            self.stdin = Some(sock);
        }
        if let Some(text) = self.task.failure(&self.session) {
            return Err(text);
        }
        if self.task.is_done() {
            self.finish(cx, End::Done);
            return Ok(());
        }
        if let Task::Send(send) = &mut self.task {
            send.go_on(cx, &mut self.session);
        }
        let mut step = self.session.flush(cx)?;
        if self.task.has_said_all() && self.session.is_ready() {
            step = self.session.finish(cx)?;
        }
        if step == Step::Closed {
            self.finish(cx, End::Done);
        }
        let backlog = self.stdout.as_ref().map_or(0, Output::waiting) + self.task.kept();
        self.session.want_read(cx, backlog < BACKLOG_MAX);
        if let Some(stdin) = self.stdin {
            let wanted = self.session.waiting() < BACKLOG_MAX && self.task.reads_stdin();
            cx.want_read(stdin, wanted);
        }
        if let Some(stdout) = &mut self.stdout {
            let flushed = stdout.flush(cx);
            self.mind(cx, flushed);
        }
        Ok(())
    }

    fn on_event(&mut self, cx: &mut Cx<'_>, event: &Event) -> Result<(), String> {
        let kind = |sock: &SockId| cx.tag(*sock).and_then(Kind::of);
        let step = match event {
            Event::Start => self.start(cx).map(|()| Step::On)?,
            Event::Connected { .. } | Event::ConnectFailed { .. } => self.heard(cx, event)?,
            Event::Readable(sock) => match kind(sock) {
                Some(Kind::Hub) => self.heard(cx, event)?,
                Some(Kind::Stdin) => self.typed(cx, *sock).map(|()| Step::On)?,
                Some(Kind::Stdout) => {
                    self.stdout_readable(cx);
                    return Ok(());
                }
                None => Step::On,
            },
            Event::Timer { tag, .. } if *tag == Tick::Alive as u32 => {
                self.session.keep_alive(cx)?
            }
            Event::Timer { tag, .. } if *tag == Tick::Late as u32 => self.session.late(cx)?,
            Event::Drain(_) => {
                self.finish(cx, End::Done);
                return Ok(());
            }
            _ => Step::On,
        };
        match step {
            Step::Closed => self.finish(cx, End::Done),
            Step::On => self.go_on(cx)?,
        }
        Ok(())
    }

    fn stdout_readable(&mut self, cx: &mut Cx<'_>) {
        let Some(stdout) = &mut self.stdout else {
            return;
        };
        match stdout.readable(cx) {
            Ok(true) => {
                let end = self.end.take().unwrap_or(End::Done);
                cx.finish(end);
            }
            Ok(false) => {}
            Err(error) => self.mind(cx, Err(error)),
        }
    }

    /// A stdout that nobody reads is the end, and no mistake; one that can't be written is.
    fn mind(&mut self, cx: &mut Cx<'_>, done: io::Result<()>) {
        let Err(error) = done else { return };
        self.stdout = None;
        let end = match error.kind() {
            io::ErrorKind::BrokenPipe => self.end.take().unwrap_or(End::Done),
            _ => End::Failed(format!("can't write to stdout: {}", plain(&error))),
        };
        cx.finish(end);
    }

    /// Ends, once stdout has what is its own.
    fn finish(&mut self, cx: &mut Cx<'_>, end: End) {
        if self.end.is_some() {
            return;
        }
        let Some(stdout) = &mut self.stdout else {
            return cx.finish(end);
        };
        if let Task::Prompt(prompt) = &self.task {
            prompt.leave(stdout);
        }
        let finished = stdout.finish(cx);
        self.end = Some(end);
        cx.timer(LAST_WORDS, Tick::Last as u32);
        self.mind(cx, finished);
    }
}

impl Task {
    fn reads_stdin(&self) -> bool {
        match self {
            Self::Prompt(prompt) => prompt.reads_stdin(),
            Self::Send(send) => send.reads_stdin(),
            Self::Recv(_) => false,
        }
    }

    /// Whether there is nothing left to do.
    fn is_done(&self) -> bool {
        match self {
            Self::Prompt(_) => false,
            Self::Send(send) => send.is_done(),
            Self::Recv(recv) => recv.is_done(),
        }
    }

    /// Whether nothing is left to do but to let the hub have it.
    fn has_said_all(&self) -> bool {
        match self {
            Self::Prompt(prompt) => prompt.has_said_all(),
            Self::Send(send) => send.has_said_all(),
            Self::Recv(_) => false,
        }
    }

    /// Bytes that wait to be shown.
    fn kept(&self) -> usize {
        match self {
            Self::Prompt(prompt) => prompt.kept(),
            Self::Send(_) | Self::Recv(_) => 0,
        }
    }

    fn failure(&self, session: &Session) -> Option<String> {
        match self {
            Self::Prompt(_) => None,
            Self::Send(send) => send.failure(),
            Self::Recv(recv) => recv.failure(session.is_plain() && session.is_ready()),
        }
    }
}

impl Role for User {
    #[inline(never)]
    fn on(&mut self, cx: &mut Cx<'_>, event: Event) {
        if self.end.is_some() {
            // Only stdout's last bytes are waited for, and not for ever.
            match event {
                Event::Readable(sock) if cx.tag(sock).and_then(Kind::of) == Some(Kind::Stdout) => {
                    self.stdout_readable(cx);
                }
                Event::Writable(_) => {
                    let flushed = self.stdout.as_mut().map_or(Ok(()), |out| out.flush(cx));
                    self.mind(cx, flushed);
                }
                Event::Timer { tag, .. } if tag == Tick::Last as u32 => {
                    let end = self.end.take().unwrap_or(End::Done);
                    cx.finish(end);
                }
                Event::Readable(sock) => cx.want_read(sock, false),
                _ => {}
            }
            return;
        }
        if let Err(text) = self.on_event(cx, &event) {
            self.finish(cx, End::Failed(text));
        }
    }
}

/// What a socket is to the client. It stands on the socket, in its tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Hub,
    Stdin,
    Stdout,
}

impl Kind {
    const ALL: [Self; 3] = [Self::Hub, Self::Stdin, Self::Stdout];

    fn of(tag: u32) -> Option<Self> {
        Self::ALL.get(tag as usize).copied()
    }
}

/// What a timer is to the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tick {
    Alive,
    Late,
    Last,
}

const TAGS: Tags = Tags {
    sock: Kind::Hub as u32,
    alive: Tick::Alive as u32,
    late: Tick::Late as u32,
};
/// What one read takes.
const BUFFER: usize = 64 << 10;
/// Who does not take more than this is waited for.
const BACKLOG_MAX: usize = 1 << 20;
/// How long the end waits for stdout.
const LAST_WORDS: Duration = Duration::from_secs(2);
