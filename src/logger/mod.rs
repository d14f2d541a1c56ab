//! The log: `log` in front, `simplelog` for the shape of a line, and behind them a bounded queue that one thread
//! empties, with one write call a line. So nobody who logs ever waits for stderr, or for the disk: what does not fit
//! is dropped, counted and reported. Knows nothing of roles; a message carries its own prefix.
//!
//! ```text
//! 2026-01-01T12:00:00.123Z [INFO] relay[sports]: listening on 0.0.0.0:6000 for clients
//! ```

mod line;
mod output;
mod queue;
#[cfg(test)]
mod tests;

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::Duration;

use log::{LevelFilter, Log, Metadata, Record};

use crate::base::LIVE;
use line::Shape;
use output::Output;
use queue::Queue;

/// What is logged, and where to.
#[derive(Clone, Debug)]
pub struct Options {
    /// The least important level that is written.
    pub level: LevelFilter,
    /// The least important level that is kept for [`tail`], which keeps the last lines; `None`: nothing is.
    pub tail: Option<LevelFilter>,
    /// A file to append to, in place of stderr.
    pub file: Option<PathBuf>,
    /// How a message that speaks of a flag is put, where no command line has it.
    pub wording: Option<fn(&str) -> String>,
}

/// The log of this process. The functions of this module do the same as the methods, for those who have no handle;
/// they do nothing before [`Logger::start`].
#[derive(Clone, Debug)]
pub struct Logger {
    queue: Arc<Queue>,
    /// Whether there is a terminal to show a live line on.
    live: bool,
}

impl Logger {
    /// Starts the log, once in a process. Fails where the file can't be opened, and says which and why.
    pub fn start(options: Options) -> io::Result<Self> {
        let output = Output::open(options.file.clone())?;
        let (logger, front) = Self::over(output, &options)?;
        let taken = |error| io::Error::new(io::ErrorKind::AlreadyExists, error);
        log::set_boxed_logger(Box::new(front)).map_err(taken)?;
        log::set_max_level(
            options
                .tail
                .map_or(options.level, |tail| tail.max(options.level)),
        );
        Ok(LOGGER.get_or_init(|| logger).clone())
    }

    fn over(output: Output, options: &Options) -> io::Result<(Self, Front)> {
        let queue = Arc::new(Queue::new(output.complaint(), options.level, options.tail));
        let logger = Self {
            queue: Arc::clone(&queue),
            live: output.has_terminal(),
        };
        let front = Front {
            shape: Mutex::new(Shape::new()),
            queue: Arc::clone(&queue),
            wording: options.wording,
        };
        thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || output.run(&queue))?;
        Ok((logger, front))
    }

    /// Opens the log file anew, as is due after it has been renamed. Where that fails the old one stays in use.
    pub fn reopen(&self) {
        self.queue.reopen();
    }

    /// Whether [`Logger::live`] shows anything: stderr is a terminal.
    pub fn is_live(&self) -> bool {
        self.live
    }

    /// Shows `text` as the terminal's last line, in place of the one before. Log lines go above it.
    pub fn live(&self, text: &str) {
        if self.live {
            self.queue.set_live(Some(text.to_owned()));
        }
    }

    /// Takes the live line away.
    pub fn live_end(&self) {
        if self.live {
            self.queue.set_live(None);
        }
    }

    /// Waits until everything that was logged is written, at most for `deadline`, and says whether it is.
    pub fn flush(&self, deadline: Duration) -> bool {
        self.queue.flush(deadline)
    }
}

/// The last lines, without their ends, behind the one of this number; lines are counted from 1. Nothing where nothing
/// is kept.
pub fn tail(after: u64) -> Vec<(u64, String)> {
    let logger = LOGGER.get();
    logger.map_or_else(Vec::new, |logger| logger.queue.tail(after))
}

/// See [`Logger::reopen`].
pub fn reopen() {
    if let Some(logger) = LOGGER.get() {
        logger.reopen();
    }
}

/// See [`Logger::is_live`].
pub fn is_live() -> bool {
    LOGGER.get().is_some_and(Logger::is_live)
}

/// See [`Logger::live`].
pub fn live(text: &str) {
    if let Some(logger) = LOGGER.get() {
        logger.live(text);
    }
}

/// See [`Logger::live_end`].
pub fn live_end() {
    if let Some(logger) = LOGGER.get() {
        logger.live_end();
    }
}

/// See [`Logger::flush`].
pub fn flush(deadline: Duration) -> bool {
    LOGGER.get().is_none_or(|logger| logger.flush(deadline))
}

/// What the macros of `log` call.
#[derive(Debug)]
struct Front {
    shape: Mutex<Shape>,
    queue: Arc<Queue>,
    wording: Option<fn(&str) -> String>,
}

impl Front {
    fn push(&self, record: &Record<'_>) {
        let mut shape = self.shape.lock().unwrap_or_else(PoisonError::into_inner);
        self.queue.push(&mut shape, record);
    }
}

impl Log for Front {
    /// Only hydrant speaks: what libraries have to say on their own is for their developers.
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().split("::").next() == Some(env!("CARGO_CRATE_NAME"))
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        if record.target() == LIVE {
            return live(&record.args().to_string());
        }
        let Some(wording) = self.wording else {
            return self.push(record);
        };
        let text = record.args().to_string();
        match text.contains("--") {
            true => {
                let level = record.level();
                let args = wording(&text);
                self.push(
                    &Record::builder()
                        .level(level)
                        .args(format_args!("{args}"))
                        .build(),
                );
            }
            false => self.push(record),
        }
    }

    fn flush(&self) {}
}

static LOGGER: OnceLock<Logger> = OnceLock::new();
