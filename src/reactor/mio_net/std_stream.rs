//! Standard streams as sockets: a helper thread moves the bytes between the stream and one end of a socket pair, and
//! the poll sees the other end. The stream itself stays blocking, since other processes share that setting, and may
//! be a regular file, which epoll refuses.
//!
//! The pair is a bounded pipe: who fills it faster than the other side empties it has to wait. A thread that hangs in
//! a read of a terminal, or in a write to a pipe that nobody reads, keeps nobody from leaving: the process ends
//! without it.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::thread;

use socket2::{SockRef, Socket};

use crate::reactor::net::StdStream;
use crate::reactor::sys;

/// Which standard streams are open, and how reading or writing them failed.
#[derive(Debug, Default)]
pub(super) struct StdStreams {
    stdin: bool,
    stdout: bool,
    unread: Failure,
    unwritten: Failure,
}

impl StdStreams {
    /// Our end of a standard stream. Each can be had once.
    pub(super) fn open(&mut self, which: StdStream) -> io::Result<Socket> {
        let file = match which {
            StdStream::Stdin => io::stdin().as_fd().try_clone_to_owned()?,
            StdStream::Stdout => io::stdout().as_fd().try_clone_to_owned()?,
        };
        self.open_file(which, file)
    }

    /// As `open`, with any file in place of the standard stream.
    pub(super) fn open_file(&mut self, which: StdStream, file: OwnedFd) -> io::Result<Socket> {
        let opened = match which {
            StdStream::Stdin => &mut self.stdin,
            StdStream::Stdout => &mut self.stdout,
        };
        if *opened {
            return Err(io::Error::new(
                ErrorKind::AlreadyExists,
                "this standard stream is in use already",
            ));
        }
        let (ours, theirs) = UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        SockRef::from(&ours).set_send_buffer_size(PIPE)?;
        SockRef::from(&theirs).set_send_buffer_size(PIPE)?;
        let file = File::from(file);
        match which {
            StdStream::Stdin => {
                let failure = self.unread.clone();
                start("stdin", move || feed(file, theirs, &failure))?;
            }
            StdStream::Stdout => {
                let failure = self.unwritten.clone();
                start("stdout", move || drain(&theirs, file, &failure))?;
            }
        }
        *opened = true;
        Ok(ours.into())
    }

    /// Our end of stdout is closed: it may be had again. What its thread still holds comes first.
    pub(super) fn close_stdout(&mut self) {
        self.stdout = false;
        self.unwritten = Failure::default();
    }

    /// What a failed call on stdout's socket really means: why its thread gave up, or that it is gone.
    pub(super) fn stdout_error(&self) -> io::Error {
        self.stdout_failure()
            .unwrap_or_else(|| ErrorKind::BrokenPipe.into())
    }

    /// Why the thread that writes stdout gave up, if it did.
    pub(super) fn stdout_failure(&self) -> Option<io::Error> {
        self.unwritten.get()
    }

    /// Why the thread that reads stdin gave up before its end, if it did.
    pub(super) fn stdin_failure(&self) -> Option<io::Error> {
        self.unread.get()
    }
}

/// The operating system's code for why a stream could not be moved on; 0 while it can. It is set before the thread
/// drops its end, so whoever sees that end gone finds the reason here.
#[derive(Clone, Debug, Default)]
struct Failure(Arc<AtomicI32>);

impl Failure {
    fn get(&self) -> Option<io::Error> {
        match self.0.load(Ordering::Acquire) {
            0 => None,
            code => Some(io::Error::from_raw_os_error(code)),
        }
    }

    fn set(&self, error: &io::Error) {
        let code = error.raw_os_error().unwrap_or(libc::EIO);
        self.0.store(code, Ordering::Release);
    }
}

fn start(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    thread::Builder::new().name(name.to_owned()).spawn(work)?;
    Ok(())
}

/// Moves what `input` holds into `pair` until either ends. An error ends it too, since no more will come.
fn feed(mut input: File, mut pair: UnixStream, failure: &Failure) {
    let mut buffer = vec![0; CHUNK];
    loop {
        match input.read(&mut buffer) {
            Ok(0) => break,
            Ok(n) => {
                if pair.write_all(&buffer[..n]).is_err() {
                    return;
                }
            }
            Err(error) => match try_again(error, || sys::wait_readable(input.as_fd())) {
                Ok(()) => {}
                Err(error) => {
                    failure.set(&error);
                    break;
                }
            },
        }
    }
    let _ = pair.shutdown(Shutdown::Write);
}

/// Moves what comes out of `pair` into `output` until either ends. That `pair` is dropped without a failure tells the
/// other end that every byte has been handed over.
fn drain(mut pair: &UnixStream, mut output: File, failure: &Failure) {
    let mut buffer = vec![0; CHUNK];
    loop {
        let n = match pair.read(&mut buffer) {
            Ok(0) => return,
            Ok(n) => n,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(_) => return,
        };
        if let Err(error) = write_all(&mut output, &buffer[..n]) {
            failure.set(&error);
            return;
        }
    }
}

fn write_all(output: &mut File, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match output.write(bytes) {
            Ok(0) => return Err(io::Error::from_raw_os_error(libc::EIO)),
            Ok(n) => bytes = &bytes[n..],
            Err(error) => try_again(error, || sys::wait_writable(output.as_fd()))?,
        }
    }
    Ok(())
}

/// Whether an error means no more than "later". Another process may have made the shared stream non-blocking.
fn try_again(error: io::Error, wait: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
    match error.kind() {
        ErrorKind::Interrupted => Ok(()),
        ErrorKind::WouldBlock => match wait() {
            Err(error) if error.kind() != ErrorKind::Interrupted => Err(error),
            _ => Ok(()),
        },
        _ => Err(error),
    }
}

/// The most that one read takes. Large, for the cost of a call counts more here than the memory of two threads.
const CHUNK: usize = 256 << 10;

/// What the pair may hold for each direction. The kernel takes no more than `net.core.wmem_max`.
const PIPE: usize = 1 << 20;
