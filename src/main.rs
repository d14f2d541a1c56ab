//! Parse, log, run, exit code. Nothing else.

use std::io::{ErrorKind, IsTerminal, Write};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use hydrant::app;
use hydrant::base::secret::Secret;
use hydrant::config::{Config, Env};
use hydrant::reactor::host;
use hydrant::reactor::mio_net::{self, Passed};
use hydrant::roles::ws::options::Proxies;

fn main() {
    // Where it can't be had, hydrant runs all the same.
    let _ = mio_net::bear_file_limit();
    host::map_large_memory();
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
        sockets: Some(sockets()),
        passed: Some(passed.iter().map(place).collect()),
        is_check: false,
        is_dry: false,
    };
    let code = match Config::from_command_line(std::env::args_os().skip(1), env) {
        Ok(config) => app::run(config, passed),
        Err(exit) => {
            // A reader that has gone away needs no word any more.
            let _ = std::io::stderr().write_all(exit.stderr.as_bytes());
            match std::io::stdout().write_all(exit.stdout.as_bytes()) {
                Err(error) if error.kind() != ErrorKind::BrokenPipe => {
                    let _ = writeln!(std::io::stderr(), "hydrant: can't write to stdout: {error}");
                    1
                }
                _ => exit.code,
            }
        }
    };
    // Not a return: helper threads may still sit in a read of a standard stream.
    std::process::exit(i32::from(code));
}

fn secret(name: &str) -> Option<Secret> {
    std::env::var_os(name).map(|value| value.into_vec().into())
}

fn config_home() -> Option<PathBuf> {
    absolute("XDG_CONFIG_HOME").or_else(|| Some(absolute("HOME")?.join(".config")))
}

/// Where `hydrant status` finds the processes of this user. A service has a folder of its own from systemd, and whoever
/// has neither gets one among the temporary files that only this user may write to.
fn sockets() -> PathBuf {
    let own = absolute("XDG_RUNTIME_DIR").map(|folder| folder.join("hydrant"));
    let user = || {
        let own = std::fs::metadata("/proc/self").map_or(0, |process| process.uid());
        std::env::temp_dir().join(format!("hydrant-{own}"))
    };
    own.or_else(|| absolute("RUNTIME_DIRECTORY"))
        .unwrap_or_else(user)
}

/// The XDG base directory specification: a path that is not absolute does not count.
fn absolute(name: &str) -> Option<PathBuf> {
    std::env::var_os(name)
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
}
