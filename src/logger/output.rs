//! Where the log goes: stderr or a file, and the terminal with its live line. All writing happens in one thread, by
//! one call a line.
//!
//! stderr is written through a copy of its descriptor, past the standard library's lock: whoever holds that while
//! stderr is stuck would stop everyone who still wants to print an error.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use log::Level;

use super::line::{LINE_MAX, Shape, printable};
use super::queue::{Job, Queue};

/// What the thread writes to.
pub(super) struct Output {
    log: Box<dyn Write + Send>,
    /// The log's file, if it is not stderr.
    path: Option<PathBuf>,
    terminal: Option<Terminal>,
    /// Lines that could not be written, since the last that could.
    lost: u64,
}

impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Output")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

/// A terminal that shows a live line.
pub(super) struct Terminal {
    to: Box<dyn Write + Send>,
    columns: fn() -> usize,
    shown: String,
}

impl Output {
    /// stderr, or `path` in its place.
    pub(super) fn open(path: Option<PathBuf>) -> io::Result<Self> {
        let log: Box<dyn Write + Send> = match &path {
            Some(path) => Box::new(open(path)?),
            None => Box::new(stderr()?),
        };
        let terminal = if io::stderr().is_terminal() {
            Some(Terminal::new(Box::new(stderr()?), columns))
        } else {
            None
        };
        Ok(Self::new(log, path, terminal))
    }

    pub(super) fn new(
        log: Box<dyn Write + Send>,
        path: Option<PathBuf>,
        terminal: Option<Terminal>,
    ) -> Self {
        Self {
            log,
            path,
            terminal,
            lost: 0,
        }
    }

    pub(super) fn has_terminal(&self) -> bool {
        self.terminal.is_some()
    }

    /// What to say of lines that found no room.
    pub(super) fn complaint(&self) -> String {
        match &self.path {
            Some(path) => format!("{} took them too slowly", path.display()),
            None => "stderr was not read".to_owned(),
        }
    }

    /// Writes what comes out of `queue`, for as long as the process lives. Nothing that goes wrong here ends that.
    pub(super) fn run(mut self, queue: &Queue) {
        let mut shape = Shape::new();
        loop {
            match queue.next(&mut shape) {
                Job::Line(line) => self.line(&line, &mut shape),
                Job::Reopen => self.reopen(&mut shape),
                Job::Live(text) => self.live(text.as_deref().unwrap_or_default()),
            }
        }
    }

    fn line(&mut self, line: &[u8], shape: &mut Shape) {
        match self.write(line) {
            Ok(()) if self.lost > 0 => {
                let text = format_args!(
                    "log lines lost before this one, for want of a place to write: {}",
                    self.lost
                );
                let notice = shape.own(Level::Warn, text);
                if self.write(&notice).is_ok() {
                    self.lost = 0;
                }
            }
            Ok(()) => {}
            Err(_) => self.lost += 1,
        }
    }

    fn write(&mut self, line: &[u8]) -> io::Result<()> {
        match &mut self.terminal {
            // The log and the live line share a screen.
            Some(terminal) if self.path.is_none() && !terminal.shown.is_empty() => {
                let whole = [ERASE, line, terminal.shown.as_bytes()].concat();
                write_all(&mut self.log, &whole)
            }
            _ => write_all(&mut self.log, line),
        }
    }

    fn reopen(&mut self, shape: &mut Shape) {
        let Some(path) = &self.path else { return };
        match open(path) {
            Ok(file) => self.log = Box::new(file),
            Err(error) => {
                let notice = shape.own(
                    Level::Warn,
                    format_args!("{error}; the old one stays in use"),
                );
                self.line(&notice, shape);
            }
        }
    }

    fn live(&mut self, text: &str) {
        let Some(terminal) = &mut self.terminal else {
            return;
        };
        // One column stays free: a full line would make some terminals go to the next one.
        let columns = (terminal.columns)().saturating_sub(1);
        terminal.shown = printable(text, LINE_MAX).chars().take(columns).collect();
        // A terminal that is gone needs no live line.
        let _ = write_all(
            &mut terminal.to,
            &[ERASE, terminal.shown.as_bytes()].concat(),
        );
    }
}

impl Terminal {
    pub(super) fn new(to: Box<dyn Write + Send>, columns: fn() -> usize) -> Self {
        Self {
            to,
            columns,
            shown: String::new(),
        }
    }
}

/// Opens a log's file without waiting for anything: not for a pipe's reader, nor for whoever is to call a terminal.
fn open(path: &Path) -> io::Result<File> {
    let named = |error: io::Error| {
        let is_pipe = fs::metadata(path).is_ok_and(|found| found.file_type().is_fifo());
        let message = match error.raw_os_error() {
            Some(libc::ENXIO) if is_pipe => "nobody reads this pipe".to_owned(),
            _ => error.to_string(),
        };
        let message = format!("can't open the log file {}: {message}", path.display());
        io::Error::new(error.kind(), message)
    };
    OpenOptions::new()
        .append(true)
        .create(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
        .open(path)
        .map_err(named)
}

fn stderr() -> io::Result<File> {
    Ok(File::from(io::stderr().as_fd().try_clone_to_owned()?))
}

fn columns() -> usize {
    terminal_size::terminal_size_of(io::stderr()).map_or(COLUMNS, |(width, _)| usize::from(width.0))
}

/// Writes all of `bytes`, in one call where that is possible.
fn write_all(to: &mut impl Write, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match to.write(bytes) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(n) => bytes = &bytes[n..],
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            // A pipe that is full, or a shared stderr that another process has made non-blocking. This thread may wait.
            Err(error) if error.kind() == ErrorKind::WouldBlock => thread::park_timeout(RETRY),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Back to the start of the line, and nothing left on it.
const ERASE: &[u8] = b"\r\x1b[K";

/// The width of a terminal that does not tell.
const COLUMNS: usize = 80;

/// How long a stderr that takes nothing just now is left alone.
const RETRY: Duration = Duration::from_millis(10);
