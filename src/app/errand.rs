//! What takes as long as a disk or a name server likes: files are read in a thread of its own, which brings about a
//! turn when it is through, and names are looked up by the loop's resolver. What comes of it is looked for between
//! turns.

use std::cell::RefCell;
use std::fmt;
use std::io;
use std::net::IpAddr;
use std::panic::{self, AssertUnwindSafe, PanicHookInfo};
use std::sync::Arc;
use std::sync::Once;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{self, Receiver, TryRecvError};
use std::thread;
use std::time::Duration;

use super::RoleSet;
use crate::base::endpoint::{Endpoint, Host};
use crate::base::time::Time;
use crate::reactor::Reactor;
use crate::reactor::net::Wake;

/// Work that is under way. Dropped, nobody waits for it any more.
pub(super) struct Errand<T> {
    outcome: Receiver<Result<T, Broken>>,
    /// When it was looked at first.
    since: Option<Time>,
    pub(super) patience: Duration,
}

impl<T: Send + 'static> Errand<T> {
    /// Begins it. `name` is the thread's.
    ///
    /// # Errors
    /// That there can't be one more thread, or that too many are under way.
    pub(super) fn begin(
        limit: &Limit,
        name: &str,
        wake: Wake,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<Self, String> {
        let counted = limit.one_more()?;
        let (done, outcome) = mpsc::channel();
        tell_by_outcome();
        let run = move || {
            FAULT.set(Some(String::new()));
            // Nothing of it is looked at any more but what it has said.
            let outcome = panic::catch_unwind(AssertUnwindSafe(work));
            let outcome = outcome.map_err(|_| Broken(FAULT.take().unwrap_or_default()));
            drop(counted);
            // Whoever asked may have gone.
            let _ = done.send(outcome);
            wake();
        };
        thread::Builder::new()
            .name(name.to_owned())
            .spawn(run)
            .map_err(|error| format!("can't start a thread: {error}"))?;
        Ok(Self {
            outcome,
            since: None,
            patience: PATIENCE,
        })
    }

    /// What came of it, once something has; an error where it broke off.
    pub(super) fn outcome(&self) -> Option<Result<T, Broken>> {
        match self.outcome.try_recv() {
            Ok(outcome) => Some(outcome),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => Some(Err(Broken(String::new()))),
        }
    }

    /// Whether it has taken so long that nobody is to wait for it any more. To be asked where there is no outcome yet.
    pub(super) fn is_late(&mut self, now: Time) -> bool {
        let since = *self.since.get_or_insert(now);
        now.since(since) >= self.patience
    }
}

/// How long files are read at most: whoever has asked for that waits a little longer.
const PATIENCE: Duration = Duration::from_secs(25);
pub(super) const LATE: &str = "the files have not been read within 25 s, as where a disk or a network file system \
    hangs: they are not waited for any more";

/// How many of them one owner may have under way at a time, those too that nobody waits for any more: on a network file
/// system whose server is gone, they hang as long as that does.
pub(super) struct Limit {
    under_way: Arc<AtomicUsize>,
    most: usize,
}

impl Limit {
    pub(super) fn new(most: usize) -> Self {
        Self {
            under_way: Arc::new(AtomicUsize::new(0)),
            most,
        }
    }

    /// For whoever reads the same files again and again, one after the other: all but the last are of no use any more.
    pub(super) fn few() -> Self {
        Self::new(FEW)
    }

    fn one_more(&self) -> Result<Counted, String> {
        let before = self.under_way.fetch_add(1, Relaxed);
        let counted = Counted(Arc::clone(&self.under_way));
        match before < self.most {
            true => Ok(counted),
            false => Err(format!(
                "{} earlier readings of files are not over yet: does a disk or a network file system hang?",
                self.most
            )),
        }
    }
}

/// One that is counted for as long as this is there.
struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

/// A reading, a change that is being made, and some that hang.
pub(super) const FEW: usize = 6;

/// The work broke off by a fault of the program's: where, and what was said there.
#[derive(Debug)]
pub(super) struct Broken(String);

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "broke off by a fault in hydrant: {}", self.0)
    }
}

thread_local! {
    /// In the thread of an errand: what it has said when it broke off.
    static FAULT: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// A fault in an errand is told by whoever waits for it, in a line of the log; what else a fault writes to stderr is
/// for those who build the program.
fn tell_by_outcome() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            match FAULT.with_borrow(Option::is_some) {
                true => FAULT.set(Some(said(info))),
                false => before(info),
            }
        }));
    });
}

/// Where something broke off, and what was said, in one line. What that quotes may be anything of a file.
fn said(info: &PanicHookInfo<'_>) -> String {
    let text = info.payload_as_str().unwrap_or_default();
    let line = text.lines().next().unwrap_or_default();
    let plain = match line.split_once(['`', '"']) {
        Some((before, _)) => format!("{before}..."),
        None => line.to_owned(),
    };
    match info.location() {
        Some(at) => format!("{}:{}: {plain}", at.file(), at.line()),
        None => plain,
    }
}

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

#[cfg(test)]
pub(super) mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::app::pulse::PULSE;
    use crate::app::tests::DEADLINE;
    use crate::base::units::Chosen;
    use crate::roles::console::WAITING;

    /// Work that is done when the test says so, and its end.
    pub(in crate::app) fn held<T: Send + 'static>(
        work: impl FnOnce() -> T + Send + 'static,
    ) -> (Errand<T>, mpsc::Sender<()>, Receiver<()>) {
        held_within(&Limit::few(), work)
    }

    /// As one of the few that there may be.
    pub(in crate::app) fn held_within<T: Send + 'static>(
        limit: &Limit,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> (Errand<T>, mpsc::Sender<()>, Receiver<()>) {
        let (go, gate) = mpsc::channel();
        let (over, done) = mpsc::channel();
        let wake: Wake = Arc::new(move || over.send(()).unwrap_or_default());
        let held = move || {
            let outcome = work();
            gate.recv().expect("the test lives");
            outcome
        };
        let errand = Errand::begin(limit, "held", wake, held).expect("a thread");
        (errand, go, done)
    }

    /// What hangs is counted though nobody waits for it, until it is over.
    #[test]
    fn there_are_only_so_many() {
        let few = Limit::new(2);
        let (over, ended) = mpsc::channel();
        let wake: Wake = Arc::new(move || over.send(()).unwrap_or_default());
        let begin = |gate: Receiver<()>| {
            let wait = move || gate.recv().unwrap_or_default();
            Errand::begin(&few, "waits", Arc::clone(&wake), wait)
        };
        let (gates, held): (Vec<_>, Vec<_>) = (0..3).map(|_| mpsc::channel()).unzip();
        let mut held = held.into_iter();
        let mut next = || begin(held.next().expect("there are three"));
        let (one, other) = (next().expect("one"), next().expect("another"));
        drop(one);
        let why = next().err().expect("no third");
        let begin = "2 earlier readings of files are not over yet: ";
        assert!(why.starts_with(begin), "{why}");
        drop(gates);
        // Nobody waits for what becomes of the first.
        for _ in 0..2 {
            ended.recv_timeout(DEADLINE).expect("it is over");
        }
        assert!(other.outcome().is_some());
        assert_eq!(few.under_way.load(Relaxed), 0);
    }

    /// Or they would never be told.
    #[test]
    fn files_are_given_up_before_those_give_up_who_wait_for_them() {
        assert!(PATIENCE + 2 * PULSE < WAITING);
        let said = format!("have not been read within {}, ", Chosen(PATIENCE));
        assert!(LATE.contains(&said), "{said}");
    }

    /// Whoever waits for it would wait for the next turn that something else brings about.
    #[test]
    fn work_that_breaks_off_wakes_the_loop_and_is_told() {
        let (over, done) = mpsc::channel();
        let wake: Wake = Arc::new(move || over.send(()).unwrap_or_default());
        let broken = || -> u8 { panic!("no such place: {} of `a secret`\nor \"one\"", 7) };
        let errand = Errand::begin(&Limit::new(1), "broken", wake, broken).expect("a thread");
        done.recv_timeout(DEADLINE).expect("the loop is woken");
        let outcome = errand.outcome().expect("it is over");
        let said = outcome.expect_err("it broke off").to_string();
        let begin = "broke off by a fault in hydrant: src/app/errand.rs:";
        assert!(said.starts_with(begin), "{said}");
        assert!(said.ends_with(": no such place: 7 of ..."), "{said}");
    }
}
