//! Small files that options name, secrets and tokens; and the sockets that processes leave in their folder.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::retry_on_intr;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, timerfd_create, timerfd_settime,
};

use crate::base::option::Values;
use crate::base::secret::Secret;
use crate::base::tokens::Tokens;
use crate::config::{ConfigError, Env, FileFault};
use crate::roles::{tunnel, ws};

/// Reads a small file whose contents nobody else may see.
pub(super) fn read_secret(flag: &'static str, path: &Path) -> Result<Secret, ConfigError> {
    read_small(path, SECRET_MAX)
        .map(|(bytes, _)| bytes.into())
        .map_err(|fault| fault_of(flag, path, fault))
}

/// Reads what `--tokens` of a hub names.
pub(super) fn read_tokens(path: &Path) -> Result<Tokens, ConfigError> {
    let tokens = read_private(path, TOKENS_MAX)
        .and_then(|bytes| Tokens::parse(&bytes).map_err(FileFault::Tokens));
    tokens.map_err(|fault| fault_of("--tokens", path, fault))
}

/// Reads what `--tokens` of a tunnel names.
pub(super) fn read_tunnel_tokens(path: &Path) -> Result<tunnel::Tokens, ConfigError> {
    let tokens = read_private(path, TOKENS_MAX)
        .and_then(|bytes| tunnel::Tokens::parse(&bytes).map_err(FileFault::Tokens));
    tokens.map_err(|fault| fault_of("--tokens", path, fault))
}

/// Reads what `--tokens` of a relay of WebSockets names.
pub(super) fn read_ws_tokens(path: &Path) -> Result<ws::Tokens, ConfigError> {
    let tokens = read_private(path, TOKENS_MAX).and_then(|bytes| {
        let text = String::from_utf8_lossy(&bytes);
        ws::Tokens::parse(&text).map_err(FileFault::WsTokens)
    });
    tokens.map_err(|fault| fault_of("--tokens", path, fault))
}

/// The token of a side that dials: `--token-file`, or else `HYDRANT_TOKEN`.
pub(super) fn dialling_token(values: &Values, env: &Env) -> Result<Option<Secret>, ConfigError> {
    if let Some(path) = values.path("token-file")? {
        if env.is_dry {
            return Ok(Some(Secret::from(UNREAD.to_vec())));
        }
        return read_token("--token-file", &path).map(Some);
    }
    let Some(token) = env.token.as_ref().filter(|token| !token.is_empty()) else {
        return Ok(None);
    };
    Tokens::parse_one(token)
        .map(Some)
        .map_err(ConfigError::EnvToken)
}

/// Stands for a token that is not read.
const UNREAD: &[u8] = b"unread-unread-unread";

/// Reads a file that holds one token, of whichever side.
pub(super) fn read_token(flag: &'static str, path: &Path) -> Result<Secret, ConfigError> {
    let token = read_private(path, SECRET_MAX)
        .and_then(|bytes| Tokens::parse_one(&bytes).map_err(FileFault::Token));
    token.map_err(|fault| fault_of(flag, path, fault))
}

/// The sockets of processes in this folder, by their ids; none where it can't be read.
pub fn sockets_in(folder: &Path) -> Vec<(String, PathBuf)> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let found = entries.filter_map(|entry| {
        let path = entry.ok()?.path();
        let is_socket = path.extension()? == "sock";
        let pid = path.file_stem()?.to_str()?.to_owned();
        (is_socket && pid.parse::<u32>().is_ok()).then_some((pid, path))
    });
    let mut found: Vec<(String, PathBuf)> = found.collect();
    found.sort();
    found
}

/// Reads a file of tokens. One that others can read, or change, is refused: who sees the tokens can be anybody.
fn read_private(path: &Path, max: u64) -> Result<Vec<u8>, FileFault> {
    match read_small(path, max)? {
        (bytes, mode) if mode & 0o077 == 0 => Ok(bytes),
        (_, mode) => Err(FileFault::Exposed { mode: mode & 0o777 }),
    }
}

/// What a file of up to `max` bytes holds, and its mode.
pub(super) fn read_small(path: &Path, max: u64) -> Result<(Vec<u8>, u32), FileFault> {
    let (bytes, mode) =
        read_bounded(path, max).map_err(|error| FileFault::Unreadable(error.kind()))?;
    match bytes.len() as u64 {
        0 => Err(FileFault::Empty),
        len if len > max => Err(FileFault::TooLong { max }),
        _ => Ok((bytes, mode)),
    }
}

/// What a file holds, one byte more than `max` at most, and its mode. A pipe, such as a shell makes of `<(command)`, is
/// given [`PATIENCE`]: one that nobody writes to would hold up whoever waits here for ever.
///
/// # Errors
/// As for any file; `TimedOut` for what does not end, and `ResourceBusy` where the process has no descriptor for it.
pub(crate) fn read_bounded(path: &Path, max: u64) -> io::Result<(Vec<u8>, u32)> {
    read_whole(path, max).map_err(named)
}

/// The system's own kind of an error of which the standard library's says nothing.
fn named(error: io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(libc::EMFILE | libc::ENFILE) => io::Error::new(io::ErrorKind::ResourceBusy, NO_ROOM),
        _ => error,
    }
}

fn read_whole(path: &Path, max: u64) -> io::Result<(Vec<u8>, u32)> {
    let found = fs::metadata(path)?.file_type();
    if found.is_file() || found.is_dir() {
        return read_up_to(path, max);
    }
    if found.is_fifo() {
        return read_pipe(path, max);
    }
    let (done, outcome) = mpsc::channel();
    let path = path.to_owned();
    let read = move || {
        // Who asked may have given up.
        let _ = done.send(read_up_to(&path, max));
        READERS.fetch_sub(1, Ordering::Relaxed);
    };
    if READERS.fetch_add(1, Ordering::Relaxed) >= READERS_MAX {
        READERS.fetch_sub(1, Ordering::Relaxed);
        return Err(io::ErrorKind::TimedOut.into());
    }
    // It stays behind where nothing ever comes, and ends with the process.
    let begun = thread::Builder::new().name("pipe".to_owned()).spawn(read);
    if let Err(error) = begun {
        READERS.fetch_sub(1, Ordering::Relaxed);
        return Err(error);
    }
    outcome
        .recv_timeout(PATIENCE)
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

/// Reads a pipe to its end. One that nobody has opened to write is opened all the same.
fn read_pipe(path: &Path, max: u64) -> io::Result<(Vec<u8>, u32)> {
    let mut pipe = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(path)?;
    let mode = pipe.metadata()?.permissions().mode();
    let alarm = alarm(PATIENCE)?;
    let (mut bytes, mut room) = (Vec::new(), [0; 16 << 10]);
    while bytes.len() as u64 <= max {
        // Before the first writer has come there is nothing, not an end either.
        let mut asked = [
            PollFd::new(&pipe, PollFlags::IN),
            PollFd::new(&alarm, PollFlags::IN),
        ];
        retry_on_intr(|| poll(&mut asked, None))?;
        let is_late = !asked[1].revents().is_empty();
        if is_late {
            return Err(io::ErrorKind::TimedOut.into());
        }
        match pipe.read(&mut room) {
            Ok(0) => break,
            Ok(n) => bytes.extend_from_slice(&room[..n]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(usize::try_from(max.saturating_add(1)).unwrap_or(usize::MAX));
    Ok((bytes, mode))
}

/// What can be read once so much time has passed.
fn alarm(after: Duration) -> io::Result<OwnedFd> {
    let alarm = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::CLOEXEC)?;
    let zero = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    let once = Itimerspec {
        it_interval: zero,
        it_value: Timespec::try_from(after).map_err(io::Error::other)?,
    };
    timerfd_settime(&alarm, TimerfdTimerFlags::empty(), &once)?;
    Ok(alarm)
}

fn read_up_to(path: &Path, max: u64) -> io::Result<(Vec<u8>, u32)> {
    let mut bytes = Vec::new();
    let file = File::open(path)?;
    let mode = file.metadata()?.permissions().mode();
    file.take(max.saturating_add(1)).read_to_end(&mut bytes)?;
    Ok((bytes, mode))
}

pub(super) fn fault_of(flag: &'static str, path: &Path, fault: FileFault) -> ConfigError {
    ConfigError::File {
        flag,
        path: path.to_owned(),
        fault,
    }
}

/// Threads that read what is neither a plain file nor a pipe, such as a terminal.
static READERS: AtomicUsize = AtomicUsize::new(0);
/// The most of them: where nothing ever comes, each reload would leave one more behind.
const READERS_MAX: usize = 64;
/// The longest file that `--upstream-send` or `--token-file` takes.
pub(super) const SECRET_MAX: u64 = 64 << 10;
/// How long is waited for the end of what is no plain file.
const PATIENCE: Duration = Duration::from_secs(5);
/// What is said then.
pub(super) const NO_END: &str = "it has not ended within 5 s; is it a pipe that nobody writes to?";
/// What is said where there is no descriptor left for a file.
pub(super) const NO_ROOM: &str = "too many files are open (ulimit -n)";
/// The longest file that `--tokens` takes.
const TOKENS_MAX: u64 = 16 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_can_t_be_opened_for_want_of_descriptors_is_told_so() {
        for number in [libc::EMFILE, libc::ENFILE] {
            let kind = named(io::Error::from_raw_os_error(number)).kind();
            let fault = fault_of(
                "the run file",
                Path::new("x.toml"),
                FileFault::Unreadable(kind),
            );
            let said = "can't read the run file x.toml: too many files are open (ulimit -n)";
            assert_eq!(fault.to_string(), said);
            let secret = fault_of(
                "--token-file",
                Path::new("hunter2"),
                FileFault::Unreadable(kind),
            );
            let said = "can't read --token-file: too many files are open (ulimit -n)";
            assert_eq!(secret.discreet(), said);
        }
    }
}
