//! What is kept is one process's: what two would write, each would take for somebody else's. So there is a lock on it,
//! which is nobody's any more when its process is, however that has ended.
//!
//! Settings have a folder of their own, which is what is locked. A run file may stand among others, and it is another
//! file after each save: there a file beside it is locked, which goes with the lock. One that a process has left that
//! was killed is in nobody's way.

use std::fs::{self, DirBuilder, File, Metadata, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use rustix::fs::{OFlags, major, minor};

use super::found::behind;
use super::theirs::beside;

/// A lock that is held for as long as there may be something to be written.
#[derive(Debug)]
pub(in crate::app) enum Lock {
    Folder(FolderLock),
    Run(Arc<RunLock>),
}

impl Lock {
    /// Locks what is there now, if that is something else than was locked: whoever takes that away, or the folder that
    /// it is in, takes the lock along.
    ///
    /// # Errors
    /// That another process has what is there.
    pub(super) fn renew(&mut self) -> Result<(), String> {
        match self {
            Self::Folder(lock) => lock.renew(),
            Self::Run(lock) => lock.renew(),
        }
    }
}

/// The lock of the folder that settings are in.
#[derive(Debug)]
pub(in crate::app) struct FolderLock {
    file: File,
    settings: PathBuf,
}

impl FolderLock {
    fn renew(&mut self) -> Result<(), String> {
        let folder = self.settings.parent().map(fs::metadata);
        if !folder.is_some_and(|there| is_same(there, &self.file))
            && let Some(new) = lock_folder(&self.settings)?
        {
            *self = new;
        }
        Ok(())
    }
}

/// Locks the folder that these settings are in; `None` where that can't be done.
///
/// # Errors
/// That another console has them.
pub(in crate::app) fn lock_folder(settings: &Path) -> Result<Option<FolderLock>, String> {
    let Some(folder) = settings.parent() else {
        return Ok(None);
    };
    let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
    let Ok(opened) = made.and_then(|()| File::open(folder)) else {
        return Ok(None);
    };
    match opened.try_lock() {
        Ok(()) => {
            let settings = settings.to_owned();
            return Ok(Some(FolderLock {
                file: opened,
                settings,
            }));
        }
        Err(TryLockError::WouldBlock) => {}
        // Such as a folder on another machine that has no locks: two are not kept apart there.
        Err(TryLockError::Error(_)) => return Ok(None),
    }
    Err(format!(
        "another hydrant console{} has its settings in {}: look at its page, or give this one an XDG_CONFIG_HOME of \
         its own, or run a file",
        who(&opened),
        settings.display()
    ))
}

/// The lock of a run file that is kept.
#[derive(Debug)]
pub(in crate::app) struct RunLock {
    file: Mutex<File>,
    path: PathBuf,
    /// The run file, by the name that it was given.
    named: PathBuf,
}

impl RunLock {
    fn file(&self) -> MutexGuard<'_, File> {
        self.file.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn renew(&self) -> Result<(), String> {
        let mut file = self.file();
        if !leads_to(&self.path, &file)
            && let Some(new) = lock_beside(&self.path, &self.named)?
        {
            *file = new;
        }
        Ok(())
    }
}

/// What is locked goes before the lock does: nobody else's is taken away.
impl Drop for RunLock {
    fn drop(&mut self) {
        if leads_to(&self.path, &self.file()) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Gives it back, if nobody else holds it, in a thread: that its file goes takes as long as a disk likes.
pub(in crate::app) fn give_back(lock: Option<Arc<RunLock>>) {
    if let Some(lock) = lock {
        // Without a thread it is done here.
        let _ = thread::Builder::new()
            .name("lock".to_owned())
            .spawn(move || drop(lock));
    }
}

/// Locks this run file; `None` where that can't be done, as where no file can be saved.
///
/// # Errors
/// That another process keeps it.
pub(in crate::app) fn lock_run_file(named: &Path) -> Result<Option<RunLock>, String> {
    let Ok(file) = std::path::absolute(named).and_then(|path| behind(&path)) else {
        return Ok(None);
    };
    let path = beside(&file, "lock");
    let locked = lock_beside(&path, named)?;
    Ok(locked.map(|file| RunLock {
        file: Mutex::new(file),
        path,
        named: named.to_owned(),
    }))
}

/// Locks the file at this path, made for that, for the sake of the run file of that name.
fn lock_beside(path: &Path, named: &Path) -> Result<Option<File>, String> {
    for _ in 0..TRIES {
        let Ok(opened) = open(path) else {
            return Ok(None);
        };
        match opened.try_lock() {
            // Whoever had it may have taken it away meanwhile.
            Ok(()) if leads_to(path, &opened) => return Ok(Some(opened)),
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(format!(
                    "another hydrant run{} keeps {} (save = true): look at its page, or let only one of them save",
                    who(&opened),
                    named.display()
                ));
            }
            Err(TryLockError::Error(_)) => return Ok(None),
        }
    }
    Ok(None)
}

/// Opens what is locked, and makes it if it is not there. One that is another user's can be locked, too.
fn open(path: &Path) -> io::Result<File> {
    let flags = OFlags::NOFOLLOW.bits() as i32;
    let mut options = OpenOptions::new();
    let own = options
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o644)
        .custom_flags(flags)
        .open(path);
    own.or_else(|_| OpenOptions::new().read(true).custom_flags(flags).open(path))
}

fn leads_to(path: &Path, file: &File) -> bool {
    is_same(fs::symlink_metadata(path), file)
}

fn is_same(there: io::Result<Metadata>, file: &File) -> bool {
    let place = |about: Metadata| (about.dev(), about.ino());
    matches!((there.map(place), file.metadata().map(place)), (Ok(there), Ok(ours)) if there == ours)
}

/// Who has locked this: ` (process 708)`, as far as that can be known.
fn who(file: &File) -> String {
    let locks = fs::read_to_string("/proc/locks").unwrap_or_default();
    let owner = file.metadata().ok().and_then(|about| {
        let dev = about.dev();
        owner_of(&locks, (major(dev), minor(dev)), about.ino())
    });
    owner.map_or_else(String::new, |pid| format!(" (process {pid})"))
}

/// Who holds a lock of the kind of flock(2), by what `/proc/locks` says of a device and an inode on it:
/// `1: FLOCK  ADVISORY  WRITE 708 00:13:90 0 EOF`.
fn owner_of(locks: &str, (major, minor): (u32, u32), inode: u64) -> Option<u32> {
    let place = format!("{major:02x}:{minor:02x}:{inode}");
    locks.lines().find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        match fields[..] {
            [_, "FLOCK", _, _, pid, at, ..] if at == place => {
                pid.parse().ok().filter(|pid| *pid > 0)
            }
            _ => None,
        }
    })
}

/// More often than one after the other ends at just that moment.
const TRIES: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_says_who_holds_a_lock() {
        let locks = "1: POSIX  ADVISORY  WRITE 707 fe:01:91 0 EOF\n2: -> FLOCK ADVISORY WRITE 709 fe:01:91 0 EOF\n\
                     3: FLOCK  ADVISORY  WRITE 708 fe:01:91 0 EOF\n4: FLOCK  ADVISORY  WRITE 0 fe:01:92 0 EOF\n";
        let of = |inode| owner_of(locks, (0xfe, 1), inode);
        assert_eq!((of(91), of(92), of(90)), (Some(708), None, None));
        assert_eq!(owner_of(locks, (0xfe, 2), 91), None);
    }
}
