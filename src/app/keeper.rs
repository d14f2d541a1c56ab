//! Keeps what is changed on a page in its file, in a thread of its own, since a disk may take as long as it likes. It
//! writes what it was given last, beside the old file, and then takes that one's place, so that there is always a whole
//! one; the one that was there at the start stays as `.bak`. A file that somebody else has changed is not overwritten.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crate::reactor::plain;

/// The thread's other end. What it was given is written, or is said to be unwritten, before [`Keeper::finish`] returns.
pub(super) struct Keeper {
    jobs: Option<Sender<Job>>,
    fault: Shared,
    /// What the file held when it was last looked at.
    known: Shared,
    /// Its other end goes with the thread.
    through: Receiver<()>,
    path: PathBuf,
    what: &'static str,
}

/// Something that is told across threads, if there is anything to tell.
pub(super) type Shared = Arc<Mutex<Option<String>>>;

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
        let known = Arc::clone(&file.known);
        let said = Arc::clone(&fault);
        thread::Builder::new()
            .name("settings".to_owned())
            .spawn(move || {
                keep(file, &asked, &said, what);
                drop(over);
            })
            .map_err(|error| format!("can't keep {}: {error}", path.display()))?;
        Ok(Self {
            jobs: Some(jobs),
            fault,
            known,
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

    /// What the file holds, as far as is known; so it stays while it is locked.
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

pub(super) fn lock(shared: &Mutex<Option<String>>) -> MutexGuard<'_, Option<String>> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

struct SettingsFile {
    path: PathBuf,
    /// What it held when it was last looked at.
    known: Shared,
    /// The file that was there at the start is kept beside it.
    has_copy: bool,
}

impl SettingsFile {
    /// Where the path is a link, the file behind it is the one that is written.
    fn new(path: PathBuf, known: Option<String>) -> Self {
        Self {
            path: fs::canonicalize(&path).unwrap_or(path),
            known: Arc::new(Mutex::new(known)),
            has_copy: false,
        }
    }

    /// What somebody else has written counts, and is kept beside it like the file of the start.
    fn found(&mut self, text: String) {
        let known = lock(&self.known).replace(text);
        self.has_copy &= known == *lock(&self.known);
    }

    fn write(&mut self, text: &str) -> Result<(), String> {
        let path = self.path.clone();
        let shown = path.display();
        let found = match fs::read_to_string(&self.path) {
            Ok(found) => Some(found),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(format!("can't read {shown}: {}", plain(&error))),
        };
        if found.as_deref() == Some(text) {
            *lock(&self.known) = found;
            return Ok(());
        }
        if found.is_some() && found != *lock(&self.known) {
            return Err(format!(
                "{shown} was changed by somebody else and is left alone; start the console again, or have a run file \
                 read again, to have what it says, or move it away to have what you see here"
            ));
        }
        self.replace(text, found.is_some())
            .map_err(|error| format!("can't write {shown}: {}", plain(&error)))
    }

    fn replace(&mut self, text: &str, is_there: bool) -> io::Result<()> {
        let folder = self.path.parent().unwrap_or(Path::new(".")).to_owned();
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&folder)?;
        let before = match is_there {
            true => Some(fs::metadata(&self.path)?),
            false => None,
        };
        if before
            .as_ref()
            .is_some_and(|before| before.permissions().readonly())
        {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        let beside = self.beside("new");
        // What is left of an earlier attempt, or was put in the way, is not written through.
        let _ = fs::remove_file(&beside);
        let written = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&beside)
            .and_then(|mut file| {
                file.write_all(text.as_bytes())?;
                before.map_or(Ok(()), |before| take_after(&file, &before))?;
                file.sync_all()
            })
            .and_then(|()| self.keep_copy(is_there))
            .and_then(|()| self.put_in_place(&beside, text));
        if written.is_err() {
            // On a full disk it would be in the way of the next attempt.
            let _ = fs::remove_file(&beside);
        }
        written?;
        File::open(folder)?.sync_all()
    }
}

/// Who could read the file before still can, and nobody else: where its group can't be kept, another one gets nothing.
fn take_after(file: &File, before: &fs::Metadata) -> io::Result<()> {
    let (owner, group) = (Some(before.uid()), Some(before.gid()));
    let is_kept = fchown(file, owner, group).is_ok() || fchown(file, None, group).is_ok();
    let mode = before.mode() & if is_kept { 0o7777 } else { 0o7707 };
    file.set_permissions(fs::Permissions::from_mode(mode))
}

impl SettingsFile {
    /// Whoever holds the lock sees the file and what is known of it agree.
    fn put_in_place(&self, beside: &Path, text: &str) -> io::Result<()> {
        let mut known = lock(&self.known);
        fs::rename(beside, &self.path)?;
        *known = Some(text.to_owned());
        Ok(())
    }

    /// What was there at the start is kept, once.
    fn keep_copy(&mut self, is_there: bool) -> io::Result<()> {
        if is_there && !self.has_copy {
            let copy = self.beside("bak");
            let _ = fs::remove_file(&copy);
            fs::copy(&self.path, copy)?;
            self.has_copy = true;
        }
        Ok(())
    }

    /// `console.toml.bak`
    fn beside(&self, what: &str) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(".");
        name.push(what);
        name.into()
    }
}

/// How long the end waits for the disk, and so does whoever reads what is to be written.
pub(super) const LAST: Duration = Duration::from_secs(5);
/// How soon a file that could not be written is tried again.
const AGAIN: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let folder =
                std::env::temp_dir().join(format!("hydrant-keeper-{}-{name}", std::process::id()));
            let _ = fs::remove_dir_all(&folder);
            fs::create_dir(&folder).expect("a folder");
            Self(folder)
        }

        fn file(&self, known: Option<&str>) -> SettingsFile {
            SettingsFile::new(self.0.join("deep/console.toml"), known.map(str::to_owned))
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn it_writes_whole_files_and_keeps_the_one_before() {
        let folder = Folder::new("whole");
        let mut file = folder.file(None);
        file.write("one").unwrap();
        file.write("two").unwrap();
        file.write("three").unwrap();
        let read = |name: &str| fs::read_to_string(folder.0.join("deep").join(name)).unwrap();
        assert_eq!(
            (
                read("console.toml").as_str(),
                read("console.toml.bak").as_str()
            ),
            ("three", "one")
        );
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(
            (mode(&file.path), mode(&folder.0.join("deep"))),
            (0o600, 0o700)
        );
        assert_eq!(fs::read_dir(folder.0.join("deep")).unwrap().count(), 2);
    }

    #[test]
    fn a_link_stays_one() {
        let folder = Folder::new("link");
        let real = folder.0.join("real.toml");
        fs::write(&real, "one").unwrap();
        fs::create_dir(folder.0.join("deep")).unwrap();
        std::os::unix::fs::symlink(&real, folder.0.join("deep/console.toml")).unwrap();
        folder.file(Some("one")).write("two").unwrap();
        assert_eq!(fs::read_to_string(real).unwrap(), "two");
        let link = fs::symlink_metadata(folder.0.join("deep/console.toml")).unwrap();
        assert!(link.is_symlink());
    }

    #[test]
    fn what_others_have_changed_stays() {
        let folder = Folder::new("changed");
        let mut file = folder.file(None);
        file.write("one").unwrap();
        fs::write(&file.path, "theirs").unwrap();
        let error = file.write("two").unwrap_err();
        assert!(error.contains("was changed by somebody else"), "{error}");
        assert_eq!(fs::read_to_string(&file.path).unwrap(), "theirs");
        fs::remove_file(&file.path).unwrap();
        file.write("two").expect("it has been moved away");
        let mut late = folder.file(None);
        assert!(
            late.write("three").is_err(),
            "it was not there when it was read"
        );
    }

    #[test]
    fn what_can_not_be_written_is_said_and_not_lost() {
        let folder = Folder::new("readonly");
        let mut file = folder.file(None);
        file.write("one").unwrap();
        let mut mode = fs::metadata(&file.path).unwrap().permissions();
        mode.set_mode(0o400);
        fs::set_permissions(&file.path, mode).unwrap();
        let error = file.write("two").unwrap_err();
        assert!(
            error.contains("can't write") && error.contains("permission denied"),
            "{error}"
        );
        assert_eq!(fs::read_to_string(&file.path).unwrap(), "one");
        let mut blocked = SettingsFile::new(file.path.join("x/console.toml"), None);
        assert!(blocked.write("one").is_err());
    }

    #[test]
    fn the_last_word_is_what_stands_there() {
        let folder = Folder::new("last");
        let path = folder.file(None).path;
        let mut keeper = Keeper::start(path.clone(), None, "test: it").unwrap();
        for number in 0..100 {
            keeper.keep(number.to_string());
        }
        keeper.finish();
        assert_eq!(
            (keeper.fault(), fs::read_to_string(path).unwrap().as_str()),
            (None, "99")
        );
    }

    /// Whoever reads it meanwhile, and holds the lock, never finds what nobody has told of.
    #[test]
    fn what_it_writes_is_known_as_soon_as_it_is_there() {
        let folder = Folder::new("known");
        let mut file = folder.file(None);
        file.write("0").unwrap();
        let (known, path) = (Arc::clone(&file.known), file.path.clone());
        let writer = thread::spawn(move || {
            for number in 1..200 {
                file.write(&number.to_string()).unwrap();
            }
        });
        while !writer.is_finished() {
            let held = lock(&known);
            let there = fs::read_to_string(&path).unwrap();
            assert_eq!(Some(&there), held.as_ref());
        }
        writer.join().unwrap();
    }

    /// A link beside it, which somebody has put there, leads nowhere.
    #[test]
    fn what_stands_beside_it_is_not_written_through() {
        let folder = Folder::new("beside");
        let mut file = folder.file(None);
        file.write("one").unwrap();
        let theirs = folder.0.join("theirs");
        fs::write(&theirs, "theirs").unwrap();
        for what in ["new", "bak"] {
            std::os::unix::fs::symlink(&theirs, file.beside(what)).unwrap();
        }
        file.write("two").unwrap();
        assert_eq!(fs::read_to_string(&theirs).unwrap(), "theirs");
        assert_eq!(fs::read_to_string(file.beside("bak")).unwrap(), "one");
        assert_eq!(fs::read_to_string(&file.path).unwrap(), "two");
    }

    /// For root, who may give it to anybody.
    #[test]
    fn it_stays_its_owner_s() {
        let folder = Folder::new("owner");
        let mut file = folder.file(None);
        file.write("one").unwrap();
        if std::os::unix::fs::chown(&file.path, Some(12_345), Some(12_346)).is_err() {
            return;
        }
        file.write("two").unwrap();
        let now = fs::metadata(&file.path).unwrap();
        assert_eq!(
            (now.uid(), now.gid(), now.mode() & 0o777),
            (12_345, 12_346, 0o600)
        );
    }
}
