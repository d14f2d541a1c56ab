//! Keeps what is changed on a page in its file, in a thread of its own, since a disk may take as long as it likes. Of
//! all that it was given it writes the last, and tries again until that stands there.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use super::settings_file::{SettingsFile, Shared, lock};

/// The thread's other end. What it was given is written, or is said to be unwritten, before [`Keeper::finish`] returns.
pub(super) struct Keeper {
    jobs: Option<Sender<Job>>,
    fault: Shared,
    /// What the file held when it was last looked at.
    known: Shared,
    /// The same, which nobody holds while the disk is at work.
    said: Shared,
    /// Its other end goes with the thread.
    through: Receiver<()>,
    path: PathBuf,
    what: &'static str,
}

enum Job {
    /// This is to be in the file.
    Keep(String),
    /// This is in the file, whatever was to be.
    Found(String),
    /// It goes away once all that was given before is in the file, or could not be written.
    Tried(Sender<()>),
}

impl Keeper {
    /// `known`: what the file held when it was read; `None` where there was none.
    /// `what` it is, in the log.
    pub(super) fn start(
        path: PathBuf,
        known: Option<String>,
        what: &'static str,
    ) -> Result<Self, String> {
        let fault = Arc::new(Mutex::new(None));
        let (jobs, asked) = mpsc::channel();
        let (over, through) = mpsc::channel();
        let file = SettingsFile::new(path.clone(), known);
        let (known, said) = (Arc::clone(&file.known), Arc::clone(&file.said));
        let failed = Arc::clone(&fault);
        thread::Builder::new()
            .name("settings".to_owned())
            .spawn(move || {
                keep(file, &asked, &failed, what);
                drop(over);
            })
            .map_err(|error| format!("can't keep {}: {error}", path.display()))?;
        Ok(Self {
            jobs: Some(jobs),
            fault,
            known,
            said,
            through,
            path,
            what,
        })
    }

    /// This is to be in the file.
    pub(super) fn keep(&self, text: String) {
        self.tell(Job::Keep(text));
    }

    /// The file has been read again, and this is what it says: what was to be written before counts no more.
    pub(super) fn found(&self, text: String) {
        self.tell(Job::Found(text));
    }

    /// Ends once all that was given is in the file, or could not be written: for a thread that is about to read it.
    pub(super) fn tried(&self) -> Receiver<()> {
        let (held, ends) = mpsc::channel();
        self.tell(Job::Tried(held));
        ends
    }

    fn tell(&self, job: Job) {
        if let Some(jobs) = &self.jobs {
            // The thread lives as long as this does.
            let _ = jobs.send(job);
        }
    }

    /// What the file held when it was last looked at. The disk is not waited for, unlike with [`Self::known`].
    pub(super) fn said(&self) -> Option<String> {
        lock(&self.said).clone()
    }

    /// What the file holds, as far as is known; so it stays while it is locked, which takes as long as the disk does.
    pub(super) fn known(&self) -> Shared {
        Arc::clone(&self.known)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Why what was given last is not in the file.
    pub(super) fn fault(&self) -> Option<String> {
        lock(&self.fault).clone()
    }

    /// Waits until what was given last is written, or can't be; a disk that hangs is not waited for for ever.
    pub(super) fn finish(&mut self) {
        drop(self.jobs.take());
        if self.through.recv_timeout(LAST) == Err(RecvTimeoutError::Timeout) {
            log::error!("{} may not be saved: the disk does not answer", self.what);
            return;
        }
        if let Some(fault) = self.fault() {
            log::error!("{} not saved: {fault}", self.what);
        }
    }
}

fn keep(mut file: SettingsFile, asked: &Receiver<Job>, fault: &Mutex<Option<String>>, what: &str) {
    let mut unwritten: Option<String> = None;
    let mut waiting: Vec<Sender<()>> = Vec::new();
    loop {
        let wait = match unwritten {
            Some(_) => asked.recv_timeout(AGAIN),
            None => asked.recv().map_err(RecvTimeoutError::from),
        };
        match wait {
            // Of several that wait, the last one says it all.
            Ok(first) => {
                for job in std::iter::once(first).chain(asked.try_iter()) {
                    match job {
                        Job::Keep(text) => unwritten = Some(text),
                        Job::Found(text) => {
                            file.found(text);
                            *lock(fault) = None;
                            unwritten = None;
                        }
                        Job::Tried(held) => waiting.push(held),
                    }
                }
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                // What could not be written may be by now.
                if let Some(text) = &unwritten {
                    *lock(fault) = file.write(text).err();
                }
                return;
            }
        }
        let Some(text) = &unwritten else {
            waiting.clear();
            continue;
        };
        let written = file.write(text);
        waiting.clear();
        let now = written.err();
        if now.is_none() {
            unwritten = None;
        }
        let mut said = lock(fault);
        if *said != now {
            match &now {
                Some(text) => log::error!("{what} not saved: {text}"),
                None => log::info!("{what} saved again"),
            }
            *said = now;
        }
    }
}

/// How long the end waits for the disk, and so does whoever reads what is to be written.
pub(super) const LAST: Duration = Duration::from_secs(5);
/// How soon a file that could not be written is tried again.
const AGAIN: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_last_word_is_what_stands_there() {
        let name = format!("hydrant-keeper-{}.toml", std::process::id());
        let path = std::env::temp_dir().join(name);
        let _ = fs::remove_file(&path);
        let mut keeper = Keeper::start(path.clone(), None, "test: it").unwrap();
        for number in 0..100 {
            keeper.keep(number.to_string());
        }
        keeper.finish();
        assert_eq!(
            (keeper.fault(), fs::read_to_string(&path).unwrap().as_str()),
            (None, "99")
        );
        let _ = fs::remove_file(path);
    }

    /// The loop asks, and a save holds what is known until the disk has answered.
    #[test]
    fn what_the_file_said_is_told_while_the_disk_is_at_work() {
        let name = format!("hydrant-said-{}.toml", std::process::id());
        let path = std::env::temp_dir().join(name);
        let keeper = Keeper::start(path, Some("one".to_owned()), "test: it").unwrap();
        let (known, (told, hears)) = (keeper.known(), mpsc::channel());
        thread::scope(|scope| {
            let held = lock(&known);
            scope.spawn(move || told.send(keeper.said()));
            let said = hears.recv_timeout(LAST);
            drop(held);
            assert_eq!(said, Ok(Some("one".to_owned())));
        });
    }
}
