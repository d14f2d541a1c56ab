//! Settings are one console's: what two would write, each would take for somebody else's. Their folder is locked as
//! long as it runs, which leaves nothing behind, however that ends.

use std::fs::{self, DirBuilder, File, TryLockError};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::Path;

use rustix::fs::{major, minor};

/// Locks the folder that these settings are in; `None` where that can't be done.
///
/// # Errors
/// That another console has them.
pub(super) fn lock_folder(settings: &Path) -> Result<Option<File>, String> {
    let Some(folder) = settings.parent() else {
        return Ok(None);
    };
    let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
    let Ok(opened) = made.and_then(|()| File::open(folder)) else {
        return Ok(None);
    };
    match opened.try_lock() {
        Ok(()) => return Ok(Some(opened)),
        Err(TryLockError::WouldBlock) => {}
        // Such as a folder on another machine that has no locks: two are not kept apart there.
        Err(TryLockError::Error(_)) => return Ok(None),
    }
    let locks = fs::read_to_string("/proc/locks").unwrap_or_default();
    let owner = opened.metadata().ok().and_then(|about| {
        let dev = about.dev();
        owner_of(&locks, (major(dev), minor(dev)), about.ino())
    });
    let who = owner.map_or_else(String::new, |pid| format!(" (process {pid})"));
    Err(format!(
        "another hydrant console{who} has its settings in {}: look at its page, or give this one an XDG_CONFIG_HOME of \
         its own, or run a file",
        settings.display()
    ))
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
