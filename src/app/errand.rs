//! Work that takes as long as a disk or a name server likes, in a thread of its own. What comes of it is looked for
//! between turns; the thread brings about a turn when it is through.

use std::io;
use std::net::IpAddr;
use std::sync::mpsc::{self, Receiver, TryRecvError};
use std::thread;

use crate::base::endpoint::{Endpoint, Host};
use crate::reactor::mio_net;
use crate::reactor::net::Wake;

/// Work that is under way. Dropped, nobody waits for it any more.
pub(super) struct Errand<T>(Receiver<T>);

impl<T: Send + 'static> Errand<T> {
    /// Begins it. `name` is the thread's.
    ///
    /// # Errors
    /// That there can't be one more thread.
    pub(super) fn begin(
        name: &str,
        wake: Wake,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<Self, String> {
        let (done, outcome) = mpsc::channel();
        let run = move || {
            // Whoever asked may have gone.
            let _ = done.send(work());
            wake();
        };
        thread::Builder::new()
            .name(name.to_owned())
            .spawn(run)
            .map_err(|error| format!("can't start a thread: {error}"))?;
        Ok(Self(outcome))
    }

    /// What came of it, once something has; an error where it broke off.
    pub(super) fn outcome(&self) -> Option<Result<T, Broken>> {
        match self.0.try_recv() {
            Ok(outcome) => Some(Ok(outcome)),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => Some(Err(Broken)),
        }
    }
}

/// The work broke off.
#[derive(Debug)]
pub(super) struct Broken;

/// A name, and its addresses or why it has none.
pub(super) type Known = (String, io::Result<Vec<IpAddr>>);

/// The names among these places, looked up: for a thread.
pub(super) fn look_up<'a>(places: impl IntoIterator<Item = &'a Endpoint>) -> Vec<Known> {
    let names = places.into_iter().filter_map(|at| match at {
        Endpoint::Tcp {
            host: Host::Name(name),
            ..
        } => Some(name.clone()),
        _ => None,
    });
    names
        .map(|name| {
            let addresses = mio_net::look_up(&name);
            (name, addresses)
        })
        .collect()
}
