//! Parse, log, run, exit code. Nothing else.

use std::io::{IsTerminal, Write};
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use hydrant::app;
use hydrant::base::secret::Secret;
use hydrant::config::{Config, Env};
use hydrant::reactor::mio_net::Passed;
use hydrant::roles::ws::options::Proxies;

fn main() {
    let passed = Passed::of_environment();
    let place = |passed: &Passed| (passed.name.clone(), passed.at.to_string());
    let env = Env {
        stderr_is_terminal: std::io::stderr().is_terminal(),
        token: secret("HYDRANT_TOKEN"),
        port: std::env::var("PORT").ok().filter(|port| !port.is_empty()),
        proxies: Proxies {
            own: secret("HYDRANT_PROXY"),
            https: secret("HTTPS_PROXY").or_else(|| secret("https_proxy")),
            not_for: std::env::var("NO_PROXY")
                .or_else(|_| std::env::var("no_proxy"))
                .ok(),
        },
        config_home: config_home(),
        passed: Some(passed.iter().map(place).collect()),
    };
    let code = match Config::from_command_line(std::env::args_os().skip(1), env) {
        Ok(config) => app::run(config, passed),
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

fn secret(name: &str) -> Option<Secret> {
    std::env::var_os(name).map(|value| value.into_vec().into())
}

/// The XDG base directory specification: a path that is not absolute does not count.
fn config_home() -> Option<PathBuf> {
    let absolute = |name| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    absolute("XDG_CONFIG_HOME").or_else(|| Some(absolute("HOME")?.join(".config")))
}
