//! Other people's programs at the other end. A machine that has only Rust can do without.

use std::env;
use std::process::{Child, Command, Stdio};

/// A program that runs, and is killed when dropped.
#[derive(Debug)]
pub(crate) struct Tool(pub(crate) Child);

impl Tool {
    /// Starts it, with pipes for stdin and stdout.
    pub(crate) fn start(program: &str, args: &[&str]) -> Self {
        let child = Command::new(program)
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{program} can't be started: {error}"));
        Self(child)
    }
}

impl Drop for Tool {
    fn drop(&mut self) {
        // Where it has ended there is nothing to kill.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Whether a test that needs `program` can run. Says so where it can't, and fails where everything has to be there.
#[track_caller]
pub(crate) fn have(program: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    let found = env::split_paths(&path).any(|folder| folder.join(program).is_file());
    found || skip(&format!("{program} is not installed"))
}

/// Leaves a test out, for a reason: returns `false`, or fails where everything has to be there.
#[track_caller]
pub(crate) fn skip(reason: &str) -> bool {
    let all = env::var_os("HYDRANT_TEST_ALL").is_some_and(|all| all == "1");
    assert!(!all, "{reason}, and HYDRANT_TEST_ALL=1 asks for it");
    println!("skipped: {reason}");
    false
}
