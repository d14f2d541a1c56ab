//! The real program under test, and what it talks to. Whatever has to be waited for is waited for by event, with a
//! deadline. Nothing here knows what is being tested.
#![allow(
    dead_code,
    reason = "each test binary needs a part of it, and none of them all"
)]

pub(crate) mod authority;
pub(crate) mod feed;
pub(crate) mod hydrant;
pub(crate) mod peers;
pub(crate) mod records;
pub(crate) mod scratch;
pub(crate) mod secure;
pub(crate) mod service;
pub(crate) mod states;
pub(crate) mod tools;

use std::io::{BufRead, BufReader};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use tools::Tool;

/// By then everything has happened that is going to happen, on however slow a machine.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// Runs `call`, which may block, and returns what it does; panics where that takes too long.
#[track_caller]
pub(crate) fn within<T: Send + 'static>(
    what: &str,
    call: impl FnOnce() -> T + Send + 'static,
) -> T {
    let (done, outcome) = mpsc::channel();
    thread::spawn(move || done.send(call()));
    match outcome.recv_timeout(DEADLINE) {
        Ok(value) => value,
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("{what} took longer than {DEADLINE:?}"),
        Err(mpsc::RecvTimeoutError::Disconnected) => panic!("{what} failed"),
    }
}

/// The first line that a program prints. Nobody reads any other.
#[track_caller]
pub(crate) fn first_line(tool: &mut Tool) -> String {
    let stdout = tool.0.stdout.take().expect("stdout is a pipe");
    let line = within("printing a line", move || {
        BufReader::new(stdout).lines().next()
    });
    line.expect("it prints a line").expect("text")
}
