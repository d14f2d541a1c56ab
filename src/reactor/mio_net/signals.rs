//! The process's signals: those that the loop hears of through the poll, what they mean to it, and those that are
//! borne.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use mio::{Interest, Registry, Token};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGXFSZ};
use signal_hook::flag;
use signal_hook_mio::v1_0::Signals;

use crate::reactor::net::{Ready, Signal};

/// Those that a loop hears of, each as it comes. Their event carries `token`.
pub(super) fn catch(registry: &Registry, token: Token) -> io::Result<Signals> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP, SIGUSR1])?;
    registry.register(&mut signals, token, Interest::READABLE)?;
    Ok(signals)
}

/// What has been caught since the last time.
///
/// What few events are about is called, never merged into what a wait runs for each message.
#[cold]
pub(super) fn take(signals: &mut Option<Signals>, out: &mut Vec<Ready>) {
    let caught = signals.iter_mut().flat_map(Signals::pending);
    out.extend(caught.filter_map(signal).map(Ready::Signal));
}

/// The loop is over, and nobody looks for signals any more: one to stop ends the process at once from now on, and its
/// code is 128 and the signal's number.
pub fn end_by_next_signal() {
    for signal in [SIGINT, SIGTERM] {
        let always = Arc::new(AtomicBool::new(true));
        if let Err(error) = flag::register_conditional_shutdown(signal, 128 + signal, always) {
            log::debug!("signal {signal} is not caught any more: {error}");
        }
    }
}

/// A write beyond the limit for files (RLIMIT_FSIZE) is an error from now on, as on a full disk: the signal that comes
/// with it would end the process.
///
/// # Errors
/// Where the system does not let a signal be caught.
pub fn bear_file_limit() -> io::Result<()> {
    // It is caught and not ignored: a program that is started from here is to find it as it was.
    flag::register(SIGXFSZ, Arc::default()).map(drop)
}

fn signal(number: i32) -> Option<Signal> {
    match number {
        SIGINT => Some(Signal::Interrupt),
        SIGTERM => Some(Signal::Terminate),
        SIGHUP => Some(Signal::HangUp),
        SIGUSR1 => Some(Signal::Report),
        _ => None,
    }
}
