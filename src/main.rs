//! Parse, log, run, exit code. Nothing else.

use std::io::{IsTerminal, Write};
use std::os::unix::ffi::OsStringExt;

use hydrant::app;
use hydrant::config::{Config, Env};

fn main() {
    let env = Env {
        stderr_is_terminal: std::io::stderr().is_terminal(),
        token: std::env::var_os("HYDRANT_TOKEN").map(|token| token.into_vec().into()),
    };
    let code = match Config::from_command_line(std::env::args_os().skip(1), env) {
        Ok(config) => app::run(config),
        Err(exit) => {
            // A reader that has gone away needs no word any more.
            let _ = std::io::stdout().write_all(exit.stdout.as_bytes());
            let _ = std::io::stderr().write_all(exit.stderr.as_bytes());
            exit.code
        }
    };
    // Not a return: helper threads may still sit in a read of a standard stream.
    std::process::exit(i32::from(code));
}
