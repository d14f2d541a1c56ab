//! What waits to be written. Whoever logs puts lines in and never waits; one thread takes them out.
//!
//! A queue that has overflowed takes nothing more until half of it is free, so that a reader who is merely slow gets
//! whole stretches of the log with a count between them, and not every other line.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use log::{Level, LevelFilter, Record};

use super::line::Shape;

/// The queue.
#[derive(Debug)]
pub(super) struct Queue {
    state: Mutex<State>,
    work: Condvar,
    idle: Condvar,
    /// Why lines are dropped.
    complaint: String,
    /// What is written, and what is kept.
    shown: LevelFilter,
    kept: LevelFilter,
}

#[derive(Debug, Default)]
struct State {
    jobs: VecDeque<Job>,
    /// Lines that found no room since the last that did.
    dropped: u64,
    live: Option<String>,
    live_changed: bool,
    /// The thread is at work on what it took out.
    busy: bool,
    tail: Option<Tail>,
}

/// The last lines, for those who look at them elsewhere than where they are written.
#[derive(Debug, Default)]
struct Tail {
    lines: VecDeque<String>,
    /// The number of the last one.
    last: u64,
}

impl Tail {
    fn push(&mut self, line: &[u8]) {
        let line = String::from_utf8_lossy(line);
        let line = line.trim_end();
        self.last += 1;
        self.lines
            .push_back(line[..line.floor_char_boundary(TAIL_LINE_MAX)].to_owned());
        if self.lines.len() > TAIL_MAX {
            self.lines.pop_front();
        }
    }
}

impl State {
    fn is_idle(&self) -> bool {
        self.jobs.is_empty() && self.dropped == 0 && !self.live_changed && !self.busy
    }
}

/// One thing for the thread to do.
#[derive(Debug)]
pub(super) enum Job {
    /// Write this line.
    Line(Vec<u8>),
    /// Open the log file anew.
    Reopen,
    /// Show this as the live line, or none.
    Live(Option<String>),
}

impl Queue {
    pub(super) fn new(complaint: String, shown: LevelFilter, kept: Option<LevelFilter>) -> Self {
        let state = State {
            tail: kept.map(|_| Tail::default()),
            ..State::default()
        };
        Self {
            shown,
            kept: kept.unwrap_or(LevelFilter::Off),
            state: Mutex::new(state),
            work: Condvar::new(),
            idle: Condvar::new(),
            complaint,
        }
    }

    /// Puts a record in, or counts it as dropped.
    pub(super) fn push(&self, shape: &mut Shape, record: &Record<'_>) {
        let mut state = self.lock();
        let line = shape.line(record);
        if let Some(tail) = state.tail.as_mut().filter(|_| record.level() <= self.kept) {
            tail.push(&line);
        }
        if record.level() > self.shown {
            return;
        }
        let room = if state.dropped == 0 {
            LINES_MAX
        } else {
            LINES_MAX / 2
        };
        if state.jobs.len() >= room {
            state.dropped += 1;
            return;
        }
        if let Some(notice) = self.notice(&mut state, shape) {
            state.jobs.push_back(notice);
        }
        state.jobs.push_back(Job::Line(line));
        drop(state);
        self.work.notify_one();
    }

    pub(super) fn tail(&self, after: u64) -> Vec<(u64, String)> {
        let state = self.lock();
        let Some(tail) = &state.tail else {
            return Vec::new();
        };
        let first = tail.last + 1 - tail.lines.len() as u64;
        let numbered = (first..).zip(&tail.lines);
        let fresh = numbered.filter(|(number, _)| *number > after);
        fresh.map(|(number, line)| (number, line.clone())).collect()
    }

    pub(super) fn reopen(&self) {
        let mut state = self.lock();
        // More of them in a row would do no more than one.
        if !matches!(state.jobs.back(), Some(Job::Reopen)) {
            state.jobs.push_back(Job::Reopen);
        }
        drop(state);
        self.work.notify_one();
    }

    pub(super) fn set_live(&self, text: Option<String>) {
        let mut state = self.lock();
        state.live = text;
        state.live_changed = true;
        drop(state);
        self.work.notify_one();
    }

    /// Waits until nothing is left to do, at most for `deadline`, and says whether that is so.
    pub(super) fn flush(&self, deadline: Duration) -> bool {
        let waited = self
            .idle
            .wait_timeout_while(self.lock(), deadline, |state| !state.is_idle());
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        state.is_idle()
    }

    /// The next thing to do, once there is one. What was taken out before is done.
    pub(super) fn next(&self, shape: &mut Shape) -> Job {
        let mut state = self.lock();
        state.busy = false;
        loop {
            let job = match state.jobs.pop_front() {
                Some(job) => Some(job),
                None => self.notice(&mut state, shape),
            };
            if let Some(job) = job {
                state.busy = true;
                return job;
            }
            if state.live_changed {
                (state.live_changed, state.busy) = (false, true);
                return Job::Live(state.live.take());
            }
            self.idle.notify_all();
            state = self
                .work
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// A line about those that were dropped, if any were.
    fn notice(&self, state: &mut State, shape: &mut Shape) -> Option<Job> {
        if state.dropped == 0 {
            return None;
        }
        let (dropped, complaint) = (state.dropped, &self.complaint);
        state.dropped = 0;
        let lines = if dropped == 1 { "line" } else { "lines" };
        let text = format_args!("{dropped} log {lines} dropped: {complaint}");
        Some(Job::Line(shape.own(Level::Warn, text)))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How many of the last lines are kept, and how much of each, in bytes.
const TAIL_MAX: usize = 1000;
const TAIL_LINE_MAX: usize = 2048;
/// How many lines may wait. At [`super::line::LINE_MAX`] each, that is the most memory the log can take.
pub(super) const LINES_MAX: usize = 1024;
