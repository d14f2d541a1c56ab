//! What takes as long as a disk or a name server likes: files are read in a thread of its own, which brings about a
//! turn when it is through, and names are looked up by the loop's resolver. What comes of it is looked for between
//! turns.

use std::io;
use std::net::IpAddr;
use std::sync::mpsc::{self, Receiver, TryRecvError};
use std::sync::{Arc, Weak};
use std::thread;

use super::RoleSet;
use crate::base::endpoint::{Endpoint, Host};
use crate::reactor::Reactor;
use crate::reactor::net::Wake;

/// Work that is under way. Dropped, nobody waits for it any more.
pub(super) struct Errand<T> {
    outcome: Receiver<T>,
    /// Held by the thread as long as it works.
    under_way: Weak<()>,
}

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
        let held = Arc::new(());
        let under_way = Arc::downgrade(&held);
        let run = move || {
            // Whoever asked may have gone.
            let _ = done.send(work());
            drop(held);
            wake();
        };
        thread::Builder::new()
            .name(name.to_owned())
            .spawn(run)
            .map_err(|error| format!("can't start a thread: {error}"))?;
        Ok(Self { outcome, under_way })
    }

    /// What came of it, once something has; an error where it broke off.
    pub(super) fn outcome(&self) -> Option<Result<T, Broken>> {
        match self.outcome.try_recv() {
            Ok(outcome) => Some(Ok(outcome)),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => Some(Err(Broken)),
        }
    }
}

/// Work that takes for ever, as with a network file system whose server is gone. Nobody waits for it any more, but its
/// thread may hang as long as that does: there are to be few of those.
#[derive(Default)]
pub(super) struct Hanging(Vec<Weak<()>>);

impl Hanging {
    /// Whatever comes of it late is not looked at.
    pub(super) fn abandon<T>(&mut self, errand: &Errand<T>) {
        self.0.push(Weak::clone(&errand.under_way));
    }

    /// Whether so many hang that no more are to be begun.
    pub(super) fn is_full(&mut self) -> bool {
        self.0.retain(|one| one.strong_count() > 0);
        self.0.len() >= HANGING_MAX
    }
}

/// Work that may hang at a time.
const HANGING_MAX: usize = 4;

/// The work broke off.
#[derive(Debug)]
pub(super) struct Broken;

/// A name, and its addresses or why it has none.
pub(super) type Known = (String, io::Result<Vec<IpAddr>>);

/// Names at which roles are about to listen, and what is known of them.
#[derive(Default)]
pub(super) struct Hosts {
    asked: Vec<(String, Receiver<io::Result<Vec<IpAddr>>>)>,
    known: Vec<Known>,
}

impl Hosts {
    /// Has the names among these places looked up that have not been.
    pub(super) fn want<'a>(
        &mut self,
        reactor: &mut Reactor<RoleSet>,
        places: impl IntoIterator<Item = &'a Endpoint>,
    ) {
        for at in places {
            let Endpoint::Tcp {
                host: Host::Name(name),
                ..
            } = at
            else {
                continue;
            };
            let is_asked = self.asked.iter().any(|(asked, _)| asked == name);
            if !is_asked && !self.known.iter().any(|(known, _)| known == name) {
                self.asked.push((name.clone(), reactor.look_up(name)));
            }
        }
    }

    /// Takes in what has been found by now. Whether that is all that was wanted.
    pub(super) fn are_known(&mut self) -> bool {
        let mut at = 0;
        while let Some((_, answer)) = self.asked.get(at) {
            let answer = match answer.try_recv() {
                Ok(answer) => answer,
                Err(TryRecvError::Disconnected) => Err(io::Error::other("looking it up broke off")),
                Err(TryRecvError::Empty) => {
                    at += 1;
                    continue;
                }
            };
            let (name, _) = self.asked.swap_remove(at);
            self.known.push((name, answer));
        }
        self.asked.is_empty()
    }

    /// All that is known.
    pub(super) fn take(&mut self) -> Vec<Known> {
        std::mem::take(&mut self.known)
    }
}
