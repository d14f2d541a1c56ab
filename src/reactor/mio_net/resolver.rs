//! Names to addresses, by the system's own resolver (getaddrinfo), which blocks: so it runs in helper threads.
//!
//! A thread is started when a name has to wait and none is idle, up to [`THREADS_MAX`]; they stay. A name that is
//! being looked up is not looked up twice: who asks meanwhile gets the same answer. Knows nothing of sockets; the
//! poll only as something to wake.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::{IpAddr, ToSocketAddrs};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use mio::Waker;

use super::Ready;
use crate::reactor::net::Lookup;

/// The helper threads and what they have been asked.
#[derive(Debug)]
pub(super) struct Resolver {
    desk: Arc<Desk>,
    /// Who waits for each name that is being looked up.
    asked: HashMap<Arc<str>, Vec<Lookup>>,
    threads: usize,
    answer_to: Sender<Answer>,
    answers: Receiver<Answer>,
    waker: Arc<Waker>,
}

/// Addresses, or the error's kind and text: one answer may go to several who asked, and an `io::Error` can't be
/// copied.
type Answer = (Arc<str>, Result<Vec<IpAddr>, (io::ErrorKind, String)>);

/// Where names wait for a thread.
#[derive(Debug, Default)]
struct Desk {
    queue: Mutex<Queue>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Queue {
    names: VecDeque<Arc<str>>,
    idle: usize,
    closed: bool,
}

impl Desk {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next name, once there is one; `None` when no more will come.
    fn next(&self) -> Option<Arc<str>> {
        let mut queue = self.queue();
        loop {
            if queue.closed {
                return None;
            }
            if let Some(name) = queue.names.pop_front() {
                return Some(name);
            }
            queue.idle += 1;
            queue = self
                .changed
                .wait(queue)
                .unwrap_or_else(PoisonError::into_inner);
            queue.idle -= 1;
        }
    }
}

impl Resolver {
    /// A resolver without threads yet, which wakes the poll through `waker` when there is an answer.
    pub(super) fn new(waker: Arc<Waker>) -> Self {
        let (answer_to, answers) = mpsc::channel();
        Self {
            desk: Arc::default(),
            asked: HashMap::new(),
            threads: 0,
            answer_to,
            answers,
            waker,
        }
    }

    /// Asks for a name's addresses.
    pub(super) fn ask(&mut self, lookup: Lookup, name: &str) {
        if let Some(waiting) = self.asked.get_mut(name) {
            waiting.push(lookup);
            return;
        }
        let name: Arc<str> = name.into();
        self.asked.insert(Arc::clone(&name), vec![lookup]);
        let mut queue = self.desk.queue();
        queue.names.push_back(Arc::clone(&name));
        let short = queue.names.len() > queue.idle;
        drop(queue);
        self.desk.changed.notify_one();
        if !short || self.threads == THREADS_MAX {
            return;
        }
        match self.start_thread() {
            Ok(()) => self.threads += 1,
            // The threads that there are will come to it.
            Err(_) if self.threads > 0 => {}
            Err(error) => {
                self.desk.queue().names.clear();
                reply(
                    &self.answer_to,
                    &self.waker,
                    (name, Err((error.kind(), error.to_string()))),
                );
            }
        }
    }

    /// Adds the answers that have come in to `out`.
    pub(super) fn poll(&mut self, out: &mut Vec<Ready>) {
        while let Ok((name, answer)) = self.answers.try_recv() {
            for lookup in self.asked.remove(&name).unwrap_or_default() {
                let copy = answer
                    .clone()
                    .map_err(|(kind, text)| io::Error::new(kind, text));
                out.push(Ready::Resolved(lookup, copy));
            }
        }
    }

    fn start_thread(&self) -> io::Result<()> {
        let (desk, answer_to, waker) = (
            Arc::clone(&self.desk),
            self.answer_to.clone(),
            Arc::clone(&self.waker),
        );
        let work = move || {
            while let Some(name) = desk.next() {
                let answer = look_up(&name);
                reply(&answer_to, &waker, (name, answer));
            }
        };
        thread::Builder::new()
            .name("resolver".to_owned())
            .spawn(work)?;
        Ok(())
    }
}

impl Drop for Resolver {
    /// Threads end when they next look for work. Nobody waits for them, since a look-up can't be cut short.
    fn drop(&mut self) {
        self.desk.queue().closed = true;
        self.desk.changed.notify_all();
    }
}

fn reply(answer_to: &Sender<Answer>, waker: &Waker, answer: Answer) {
    // Both fail only when the network is gone, and with it those who asked.
    if answer_to.send(answer).is_ok() {
        let _ = waker.wake();
    }
}

pub(super) fn look_up(name: &str) -> Result<Vec<IpAddr>, (io::ErrorKind, String)> {
    let found = (name, 0)
        .to_socket_addrs()
        .map_err(|error| (error.kind(), error.to_string()))?;
    let mut addresses = Vec::new();
    for address in found {
        let ip = address.ip().to_canonical();
        if !addresses.contains(&ip) {
            addresses.push(ip);
        }
    }
    if addresses.is_empty() {
        return Err((
            io::ErrorKind::NotFound,
            "the name has no address".to_owned(),
        ));
    }
    Ok(addresses)
}

/// More than a few dead names at a time are not to be expected, and each costs one thread that waits.
const THREADS_MAX: usize = 8;
