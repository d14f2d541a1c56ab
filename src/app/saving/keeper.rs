//! Keeps what is changed on a page in its file, in a thread of its own, since a disk may take as long as it likes. Of
//! all that it was given it writes the last, and tries again until that stands there; and then it looks now and then
//! whether a file stands there still, which turns no loop. Texts are counted: a text holds all that those before it
//! did, and so whoever waits for one hears of it when a later one is written.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use super::kept_file::{Kept, KeptFile, SharedText, hold_text};
use super::lock::Lock;
use crate::reactor::net::Wake;

/// The thread's other end. What it was given is written, or is said to be unwritten, before [`Keeper::finish`] returns.
pub(in crate::app) struct Keeper {
    slot: Arc<Slot>,
    /// How many texts it was given, and how often the file said what it is to hold.
    given: u64,
    come: Arc<Mutex<Come>>,
    /// Where something stands that somebody else wrote.
    theirs: SharedText,
    /// What the file held when it was last looked at.
    known: SharedText,
    /// Its other end goes with the thread.
    through: Receiver<()>,
    path: PathBuf,
    what: &'static str,
}

/// What has come of the texts, by their numbers.
#[derive(Debug, Default)]
struct Come {
    /// This one is in the file.
    saved: u64,
    /// This one is, or could not be written.
    tried: u64,
    /// How often the file was found to hold what it is to, or was made to.
    written: u64,
    /// Why the last one is not in the file.
    fault: Option<String>,
    /// Why the file can't be read any more that the last one was in.
    lack: Option<String>,
    /// It is looked whether the file is there, with nothing to be written.
    is_looking: bool,
    /// The disk has not answered for long, and nobody waits for it until it does.
    is_slow: bool,
}

/// What the log is to say of one thing once the file holds it.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::app) struct Said {
    pub(in crate::app) about: About,
    /// `None`: what was to be said of that is not so any more.
    pub(in crate::app) line: Option<String>,
}

/// What a line of the log is about: the last one of each counts.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::app) enum About {
    /// A role, by its id.
    Role(u64),
    /// The section of a destination of a role.
    Section(Option<u64>, String),
}

/// What the thread is to see to. A disk may hang, or be full for days: so it holds the last text alone, and one line of
/// each thing.
#[derive(Default)]
struct Pending {
    /// The number of what was given last.
    number: u64,
    /// This is in the file, whatever was to be before.
    found: Option<String>,
    /// This is to be in the file, behind that.
    text: Option<String>,
    /// This was in the file, and is to be again once somebody else's is not.
    watched: Option<String>,
    said: Vec<Said>,
    /// They go away once all of it is in the file, or could not be written.
    tried: Vec<Sender<()>>,
    /// Nothing more comes.
    is_over: bool,
    /// The thread has broken off.
    is_broken: bool,
}

impl Pending {
    fn is_empty(&self) -> bool {
        let texts = [&self.found, &self.text, &self.watched];
        let is_new = texts.iter().any(|text| text.is_some()) || self.is_over;
        !is_new && self.tried.is_empty()
    }
}

#[derive(Default)]
struct Slot {
    pending: Mutex<Pending>,
    changed: Condvar,
}

impl Slot {
    fn lock(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, what: impl FnOnce(&mut Pending)) {
        what(&mut self.lock());
        self.changed.notify_one();
    }

    /// Takes what there is to see to, once there is something; after [`AGAIN`] at the latest.
    fn take(&self) -> Pending {
        let is_idle = |pending: &mut Pending| pending.is_empty();
        let waited = self.changed.wait_timeout_while(self.lock(), AGAIN, is_idle);
        let mut pending = waited.unwrap_or_else(PoisonError::into_inner).0;
        let is_over = pending.is_over;
        let taken = std::mem::take(&mut *pending);
        pending.is_over = is_over;
        taken
    }
}

/// Of each thing the last line counts.
fn say(all: &mut Vec<Said>, said: Vec<Said>) {
    for one in said {
        all.retain(|before| before.about != one.about);
        if one.line.is_some() {
            all.push(one);
        }
    }
}

impl Keeper {
    /// `known`: what the file held when it was read; `None` where there was none. `run` is what is done in the thread.
    /// Whenever something comes of a text, `wake` is called.
    pub(in crate::app) fn start_with(
        path: PathBuf,
        known: Option<String>,
        kept: Kept,
        wake: Wake,
        run: impl FnOnce(Writer) + Send + 'static,
    ) -> Result<Self, String> {
        let what = kept.label();
        let (come, theirs) = (Arc::<Mutex<Come>>::default(), SharedText::default());
        let slot = Arc::<Slot>::default();
        let (over, through) = mpsc::channel();
        let file = KeptFile::new(path.clone(), known, kept);
        let known = Arc::clone(&file.known);
        let writer = Writer {
            slot: Arc::clone(&slot),
            file,
            unwritten: None,
            watched: None,
            number: 0,
            said: Vec::new(),
            come: Arc::clone(&come),
            theirs: Arc::clone(&theirs),
            lock: None,
            what,
            wake,
        };
        thread::Builder::new()
            .name("settings".to_owned())
            .spawn(move || {
                let _over: Sender<()> = over;
                run(writer);
            })
            .map_err(|error| format!("can't keep {}: {error}", path.display()))?;
        Ok(Self {
            slot,
            given: 0,
            come,
            theirs,
            known,
            through,
            path,
            what,
        })
    }

    /// This is to be in the file, and these lines in the log once it is.
    pub(in crate::app) fn keep(&mut self, text: String, said: Vec<Said>) {
        self.given += 1;
        self.slot.tell(|pending| {
            pending.number = self.given;
            pending.text = Some(text);
            // A line that is not so any more may be with the thread already.
            for one in said {
                pending.said.retain(|before| before.about != one.about);
                pending.said.push(one);
            }
        });
    }

    /// The file has been read again, and this is what it says: what was to be written before counts no more.
    pub(in crate::app) fn found(&mut self, text: String) {
        self.given += 1;
        self.slot.tell(|pending| {
            pending.number = self.given;
            pending.found = Some(text);
            (pending.text, pending.watched) = (None, None);
            pending.said.clear();
        });
    }

    /// Somebody else's stands in the place of this text, which was written before: once that is gone, it is to be there
    /// again. Until then nothing of it is unsaved.
    pub(in crate::app) fn look_after(&mut self, text: String) {
        self.slot.tell(|pending| pending.watched = Some(text));
    }

    /// Ends once all that was given is in the file, or could not be written: for a thread that is about to read it.
    pub(in crate::app) fn tried(&self) -> Receiver<()> {
        let (held, ends) = mpsc::channel();
        self.slot.tell(|pending| {
            if !pending.is_broken {
                pending.tried.push(held);
            }
        });
        ends
    }

    /// What the file holds, as far as is known; so it stays while it is locked, which takes as long as the disk does.
    pub(in crate::app) fn known(&self) -> SharedText {
        Arc::clone(&self.known)
    }

    pub(in crate::app) fn path(&self) -> &Path {
        &self.path
    }

    /// Why what was given last is not in the file, or can't be read there any more.
    pub(in crate::app) fn fault(&self) -> Option<String> {
        let come = look(&self.come);
        come.fault.as_ref().or(come.lack.as_ref()).cloned()
    }

    /// How often the file was found to hold what it is to, or was made to.
    pub(in crate::app) fn written(&self) -> u64 {
        look(&self.come).written
    }

    /// The number of what was given last.
    pub(in crate::app) fn given(&self) -> u64 {
        self.given
    }

    /// What has come of the text of this number, or why it is not in the file yet; `None` where that is not known.
    /// `late`: what is to be said of a disk that was waited for long enough.
    pub(super) fn outcome(&self, number: u64, late: Option<&str>) -> Option<Result<(), String>> {
        let mut come = look(&self.come);
        if number <= come.saved {
            return Some(Ok(()));
        }
        if number > come.tried {
            match late {
                Some(late) if !come.is_slow || come.fault.as_deref() != Some(late) => {
                    log::error!("{} not saved: {late}", self.what);
                    (come.is_slow, come.fault) = (true, Some(late.to_owned()));
                }
                None if !come.is_slow => return None,
                _ => {}
            }
        }
        Some(Err(come.fault.clone().unwrap_or_default()))
    }

    /// Whether the disk has not answered for long.
    pub(in crate::app) fn is_slow(&self) -> bool {
        look(&self.come).is_slow
    }

    /// Where something stands that somebody else wrote, and a save met: for as long as this runs.
    pub(in crate::app) fn theirs(&self) -> Option<String> {
        hold_text(&self.theirs).clone()
    }

    /// Whether it does no more than look at what is saved.
    fn only_looks(&self) -> bool {
        let come = look(&self.come);
        come.is_looking && come.saved >= self.given
    }

    /// Waits so long until what was given last is written, or can't be.
    pub(in crate::app) fn finish(&mut self, patience: Duration) {
        self.slot.tell(|pending| pending.is_over = true);
        let is_saved = self.only_looks();
        let patience = match is_saved {
            true => patience.min(LAST_LOOK),
            false => patience,
        };
        if self.through.recv_timeout(patience) == Err(RecvTimeoutError::Timeout) {
            if !is_saved {
                log::error!("{} may not be saved: the disk does not answer", self.what);
            }
            return;
        }
        let fault = look(&self.come).fault.clone();
        if let Some(fault) = fault {
            log::error!("{} not saved: {fault}", self.what);
        }
    }
}

/// Nobody gives it anything any more.
impl Drop for Keeper {
    fn drop(&mut self) {
        self.slot.tell(|pending| pending.is_over = true);
    }
}

/// The thread's own.
pub(in crate::app) struct Writer {
    slot: Arc<Slot>,
    file: KeptFile,
    unwritten: Option<String>,
    /// Where nothing is unwritten: what is to be there again.
    watched: Option<String>,
    /// The number of what was taken last.
    number: u64,
    /// What the log is to say once that is written.
    said: Vec<Said>,
    come: Arc<Mutex<Come>>,
    theirs: SharedText,
    lock: Option<Lock>,
    what: &'static str,
    wake: Wake,
}

impl Writer {
    /// As [`Writer::run`], with a lock that is given back after the last text.
    pub(in crate::app) fn run_locked(mut self, lock: Option<Lock>) {
        self.lock = lock;
        self.run();
    }

    pub(in crate::app) fn run(mut self) {
        self.file.put_right();
        self.say_found();
        loop {
            let is_awaited = self.unwritten.is_some() || self.watched.is_some();
            let pending = self.slot.take();
            if !is_awaited && pending.is_empty() {
                self.look_there();
                continue;
            }
            let (is_over, tried) = self.take(pending);
            let written = self.write();
            if is_over {
                // What could not be written may be by now.
                if let Some(fault) = written {
                    look(&self.come).fault = fault;
                }
                return;
            }
            drop(tried);
            self.tell(written);
        }
    }

    /// Whether nothing more comes, and who waits for what is about to be tried.
    fn take(&mut self, pending: Pending) -> (bool, Vec<Sender<()>>) {
        self.number = self.number.max(pending.number);
        if let Some(text) = pending.found {
            self.file.found(text);
            let mut come = look(&self.come);
            if come.fault.take().is_some() {
                log::info!("{}: {FORGOTTEN}", self.what);
            }
            // It was there just now.
            (come.lack, come.is_slow) = (None, false);
            (self.unwritten, self.watched) = (None, None);
            self.said.clear();
        }
        if let Some(text) = pending.text {
            self.unwritten = Some(text);
        }
        self.watched = pending.watched.or(self.watched.take());
        say(&mut self.said, pending.said);
        (pending.is_over, pending.tried)
    }

    /// Writes what is to be in the file. `None`: there is nothing new; else why it is not there, if so.
    fn write(&mut self) -> Option<Option<String>> {
        // What is unwritten holds all that there was before.
        let text = self.unwritten.as_deref().or(self.watched.as_deref())?;
        let locked = self.lock.as_mut().map_or(Ok(()), Lock::renew);
        let written = locked.and_then(|()| self.file.write(text));
        self.say_found();
        if written.is_ok() {
            self.watched = None;
            let mut come = look(&self.come);
            (come.lack, come.written) = (None, come.written + 1);
            if self.file.take_anew() {
                log::info!("{}: {ANEW}", self.what);
            }
        }
        self.unwritten.as_ref()?;
        if written.is_ok() {
            self.unwritten = None;
            for line in self.said.drain(..).filter_map(|said| said.line) {
                log::info!("{line}");
            }
        }
        Some(written.err())
    }

    /// Says whether the file is still there that holds all that it is to.
    fn look_there(&self) {
        self.look_by(|| self.file.lack());
    }

    fn look_by(&self, lack: impl FnOnce() -> Option<String>) {
        look(&self.come).is_looking = true;
        let now = lack();
        let mut come = look(&self.come);
        come.is_looking = false;
        if come.lack != now {
            match &now {
                Some(text) => log::warn!("{}: {text}", self.what),
                None => log::info!("{}: it is there again", self.what),
            }
            come.lack = now;
        }
    }

    /// What has come of all that was taken.
    fn tell(&self, written: Option<Option<String>>) {
        // As long as there is more to be written, nothing is saved again.
        let is_last = self.slot.lock().text.is_none();
        let mut come = look(&self.come);
        if let Some(now) = written
            && come.fault != now
            && (is_last || now.is_some())
        {
            match &now {
                Some(text) => log::error!("{} not saved: {text}", self.what),
                None => log::info!("{} saved again", self.what),
            }
            come.fault = now;
        }
        (come.tried, come.is_slow) = (self.number, false);
        if self.unwritten.is_none() {
            come.saved = self.number;
        }
        drop(come);
        (self.wake)();
    }

    /// What somebody else wrote is theirs, and they are to hear of it.
    fn say_found(&mut self) {
        for theirs in self.file.take_found() {
            let text = format!(
                "what somebody else wrote into the file while it was being saved is kept in {}",
                theirs.display()
            );
            log::warn!("{}: {text}", self.what);
            *hold_text(&self.theirs) = Some(text);
        }
    }
}

/// Whoever counts on it hears that it is no more: nothing else would say so.
impl Drop for Writer {
    fn drop(&mut self) {
        if thread::panicking() {
            log::error!("{} not saved: {BROKEN}", self.what);
            let mut come = look(&self.come);
            (come.tried, come.fault) = (u64::MAX, Some(BROKEN.to_owned()));
            drop(come);
            (self.wake)();
            self.slot.tell(|pending| {
                pending.is_broken = true;
                pending.tried.clear();
            });
        }
    }
}

fn look(come: &Mutex<Come>) -> MutexGuard<'_, Come> {
    come.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What became of a file that somebody else has taken away.
const ANEW: &str = "the file was not there any more, and is written again";
/// What became of what was not saved.
const FORGOTTEN: &str =
    "what could not be saved counts no more, since the file was read again and says another thing";
/// Why nothing is saved any more.
const BROKEN: &str =
    "what saves it has broken off: nothing is saved until hydrant is started again";
/// How long the end waits for the disk, and so does whoever reads what is to be written.
pub(in crate::app) const LAST_SAVE: Duration = Duration::from_secs(5);
/// How long the end waits for a look at what is saved.
const LAST_LOOK: Duration = Duration::from_millis(500);
/// How soon a file that could not be written is tried again, and one that could be is looked for.
pub(in crate::app) const AGAIN: Duration = Duration::from_secs(5);

#[cfg(test)]
pub(in crate::app) mod tests {
    use std::fs;

    use super::*;
    use crate::app::saving::theirs::{beside, named_after};
    use crate::app::tests::DEADLINE;

    impl Keeper {
        fn start(
            path: PathBuf,
            known: Option<String>,
            kept: Kept,
            wake: Wake,
        ) -> Result<Self, String> {
            Self::start_with(path, known, kept, wake, Writer::run)
        }
    }

    /// A keeper that writes nothing before the test says so.
    pub(in crate::app) fn held_keeper(
        path: PathBuf,
        known: Option<String>,
        kept: Kept,
        wake: Wake,
    ) -> (Keeper, Sender<()>) {
        let (go, gate) = mpsc::channel();
        let run = move |writer: Writer| {
            gate.recv().expect("the test lives");
            writer.run();
        };
        let keeper = Keeper::start_with(path, known, kept, wake, run);
        (keeper.expect("a thread"), go)
    }

    /// Nobody is to be woken.
    fn nobody() -> Wake {
        Arc::new(|| ())
    }

    #[test]
    fn the_last_word_is_what_stands_there() {
        let name = format!("hydrant-keeper-{}.toml", std::process::id());
        let path = std::env::temp_dir().join(name);
        let _ = fs::remove_file(&path);
        let mut keeper = Keeper::start(path.clone(), None, Kept::Settings, nobody()).unwrap();
        for number in 0..100 {
            keeper.keep(number.to_string(), Vec::new());
        }
        keeper.finish(LAST_SAVE);
        assert_eq!(
            (keeper.fault(), fs::read_to_string(&path).unwrap().as_str()),
            (None, "99")
        );
        let _ = fs::remove_file(path);
    }

    /// A disk that hangs is no reason to hold more and more: the last text, and the last line of each thing.
    #[test]
    fn while_the_disk_hangs_one_text_and_one_line_of_each_are_held() {
        let name = format!("hydrant-hangs-{}.toml", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::write(&path, "none").unwrap();
        let known = Some("none".to_owned());
        let (at, hangs) = mpsc::channel();
        let (go, gate) = mpsc::channel::<()>();
        let gate = Mutex::new(gate);
        // It comes no further than behind the first text, until the other end goes.
        let wake = move || {
            at.send(()).unwrap_or_default();
            let _ = gate.lock().expect("one thread has it").recv();
        };
        let mut keeper =
            Keeper::start(path.clone(), known, Kept::Settings, Arc::new(wake)).unwrap();
        let about = |role, line: &str| Said {
            about: About::Role(role),
            line: Some(line.to_owned()),
        };
        keeper.keep("first".to_owned(), Vec::new());
        hangs.recv_timeout(DEADLINE).expect("it is taken");
        for number in 0..100 {
            let line = |role| about(role, &number.to_string());
            keeper.keep(number.to_string(), vec![line(1), line(2)]);
        }
        let gone = Said {
            about: About::Role(2),
            line: None,
        };
        keeper.keep("last".to_owned(), vec![gone]);
        let held = keeper.slot.lock();
        assert_eq!(held.text.as_deref(), Some("last"));
        assert!(held.said.len() <= 2, "{:?}", held.said);
        drop(held);
        drop(go);
        keeper.finish(LAST_SAVE);
        assert_eq!(fs::read_to_string(&path).unwrap(), "last");
        for left in [path.clone(), beside(&path, "bak")] {
            let _ = fs::remove_file(left);
        }
    }

    /// A disk that hangs while it is looked whether the file is there keeps nobody who has saved all.
    #[test]
    fn a_look_that_hangs_is_no_reason_to_wait() {
        let path = std::env::temp_dir().join("hydrant-never-looked-at.toml");
        let (at, hangs) = mpsc::channel();
        let (go, gate) = mpsc::channel::<()>();
        let run = move |writer: Writer| {
            writer.look_by(|| {
                at.send(()).expect("the test lives");
                let _ = gate.recv();
                None
            });
        };
        let mut keeper =
            Keeper::start_with(path, None, Kept::Settings, nobody(), run).expect("a thread");
        hangs.recv_timeout(DEADLINE).expect("it looks");
        assert!(keeper.only_looks());
        keeper.finish(DEADLINE);
        keeper.keep("text".to_owned(), Vec::new());
        assert!(!keeper.only_looks(), "there is something to be saved");
        drop(go);
    }

    /// Of what is to be said of one thing the last counts, and nothing where that is not so any more.
    #[test]
    fn one_line_is_said_of_each_thing() {
        let said = |role, line: Option<&str>| Said {
            about: About::Role(role),
            line: line.map(str::to_owned),
        };
        let mut all = Vec::new();
        say(&mut all, vec![said(1, Some("on")), said(2, Some("on"))]);
        say(&mut all, vec![said(1, Some("off"))]);
        assert_eq!(all, [said(2, Some("on")), said(1, Some("off"))]);
        say(&mut all, vec![said(2, None)]);
        assert_eq!(all, [said(1, Some("off"))]);
    }

    /// Where the thread comes to an end that it should not, the page does not say that all is saved, and nobody waits.
    #[test]
    fn one_that_breaks_off_says_so() {
        let name = format!("hydrant-never-written-{}.toml", std::process::id());
        let path = std::env::temp_dir().join(name);
        let broken = |_: Writer| std::panic::resume_unwind(Box::new(()));
        let mut keeper =
            Keeper::start_with(path.clone(), None, Kept::Settings, nobody(), broken).unwrap();
        keeper.keep("text".to_owned(), Vec::new());
        let tried = keeper.tried().recv_timeout(DEADLINE);
        assert_eq!(tried, Err(RecvTimeoutError::Disconnected));
        keeper.finish(LAST_SAVE);
        let fault = keeper.fault().expect("the page says so");
        assert!(fault.contains("broken off") && !path.exists(), "{fault}");
    }

    /// What a process left that was killed while it saved is put right at the next start, saved or not.
    #[test]
    fn what_somebody_else_wrote_meanwhile_is_told() {
        let folder = std::env::temp_dir().join(format!("hydrant-met-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join("f.toml");
        for (new, there) in [("two", "two"), ("three", "theirs")] {
            let left = named_after(&path, b"one", new.as_bytes());
            fs::write(left, there).unwrap();
        }
        let mut keeper = Keeper::start(path.clone(), None, Kept::Settings, nobody()).unwrap();
        keeper.finish(LAST_SAVE);
        let theirs = beside(&path, "theirs");
        assert_eq!(fs::read_to_string(&theirs).unwrap(), "theirs");
        let told = keeper.theirs().expect("the page says so");
        assert!(told.ends_with(theirs.to_str().unwrap()), "{told}");
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
        let _ = fs::remove_dir_all(folder);
    }
}
