//! What stands beside a file of settings while it is saved, and whose that is: a process may be killed at every moment,
//! and the next one has only the names.
//!
//! | name | what it holds |
//! |---|---|
//! | `FILE.saving` | ours, whole or not: it goes |
//! | `FILE.saving.OLD.NEW` | what was known, or was to be: it goes. Or what somebody else saved then |
//! | `FILE.theirs`, `FILE.theirs.2`, ... | that, for whoever wrote it |
//!
//! OLD and NEW are digests of what is known and what is to be: whatever has neither is somebody else's.

use std::ffi::OsStr;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::found::look;
use super::kept_file::put_where_nothing_is;
use crate::reactor::plain;

/// `console.toml.bak`
pub(super) fn beside(path: &Path, what: &str) -> PathBuf {
    let mut name = path.to_owned().into_os_string();
    name.push(".");
    name.push(what);
    name.into()
}

/// Where a new text stands until it changes places with an old one.
pub(super) fn named_after(path: &Path, old: &[u8], new: &[u8]) -> PathBuf {
    beside(path, &format!("{SAVING}.{}.{}", digest(old), digest(new)))
}

/// Clears away what was left of a save that came to no end. What somebody else wrote is kept, and `found` says where.
pub(super) fn put_right(path: &Path, found: &mut Vec<PathBuf>) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let name = entry?.file_name();
        let left = folder.join(&name);
        match left_of(path, &name) {
            Some(Left::Ours) => fs::remove_file(&left).map_err(in_the_way(&left))?,
            Some(Left::Either(digests)) => {
                let is_known = |bytes: &[u8]| digests.contains(&digest(bytes));
                match look(&left, LONGEST) {
                    Ok(Some(left_there)) if is_known(&left_there.bytes) => fs::remove_file(left)?,
                    Ok(None) => {}
                    _ => found.extend(put_aside(&left, path)?),
                }
            }
            None => {}
        }
    }
    Ok(())
}

/// Writes a file that was not there; it is whole, and on the disk, when this returns.
pub(super) fn write_whole(path: &Path, bytes: &[u8], before: Option<&Metadata>) -> io::Result<()> {
    // What is left of an earlier attempt, or was put in the way, is not written through.
    let _ = fs::remove_file(path);
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(in_the_way(path))?;
    file.write_all(bytes)?;
    before.map_or(Ok(()), |before| take_after(&file, before))?;
    file.sync_all()
}

/// Nobody can read the file who could not before. It stays its owner's where that can be kept, and else is ours: that
/// one is left with what its group, or anybody, may do. Where its group can't be kept, another one gets nothing.
fn take_after(file: &File, before: &Metadata) -> io::Result<()> {
    let (owner, group) = (Some(before.uid()), Some(before.gid()));
    let is_kept = fchown(file, owner, group).is_ok() || fchown(file, None, group).is_ok();
    let mode = before.mode() & if is_kept { 0o7777 } else { 0o7707 };
    file.set_permissions(fs::Permissions::from_mode(mode))
}

/// That something stands in the way, and where.
pub(super) fn in_the_way(at: &Path) -> impl FnOnce(io::Error) -> io::Error {
    use io::ErrorKind::{AlreadyExists, IsADirectory};
    move |error| match error.kind() {
        kind @ (AlreadyExists | IsADirectory) => {
            let text = format!("{} is in the way: {}", at.display(), plain(&error));
            io::Error::new(kind, text)
        }
        _ => error,
    }
}

/// What a name says of what stands there.
enum Left {
    Ours,
    /// Ours, if one of these is its digest.
    Either([String; 2]),
}

/// `None`: no save leaves something of this name.
fn left_of(path: &Path, name: &OsStr) -> Option<Left> {
    let own = path.file_name()?.as_bytes();
    let rest = str::from_utf8(name.as_bytes().strip_prefix(own)?).ok()?;
    let rest = rest.strip_prefix('.')?.strip_prefix(SAVING)?;
    if rest.is_empty() {
        return Some(Left::Ours);
    }
    let (old, new) = rest.strip_prefix('.')?.split_once('.')?;
    let is_digest = |text: &str| {
        text.len() == DIGEST_CHARS && text.bytes().all(|byte| byte.is_ascii_hexdigit())
    };
    let both = [old, new];
    both.into_iter()
        .all(is_digest)
        .then(|| Left::Either(both.map(str::to_owned)))
}

/// Moves what somebody else wrote to a `.theirs` that nothing was in until now, and says which; `None`: it is gone.
pub(super) fn put_aside(out: &Path, path: &Path) -> io::Result<Option<PathBuf>> {
    let more = (2..=THEIRS_MAX).map(|number| beside(path, &format!("theirs.{number}")));
    for theirs in std::iter::once(beside(path, "theirs")).chain(more) {
        // Where no renaming spares what is there, this does.
        if fs::symlink_metadata(&theirs).is_ok() {
            continue;
        }
        match put_where_nothing_is(out, &theirs) {
            Ok(true) => return Ok(Some(theirs)),
            Ok(false) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::other(format!(
        "there are {THEIRS_MAX} files of somebody else's beside it ({}, ...): move some away",
        beside(path, "theirs").display()
    )))
}

/// Whether two texts are one, as far as a name has room to tell.
fn digest(bytes: &[u8]) -> String {
    let whole = Sha256::digest(bytes);
    let some = whole.iter().take(DIGEST_CHARS / 2);
    some.map(|byte| format!("{byte:02x}")).collect()
}

/// What the names of files that are being saved go on with.
pub(super) const SAVING: &str = "saving";
/// A quarter of SHA-256: enough that nobody ever sees two alike, and a name with two of them is not too long.
const DIGEST_CHARS: usize = 16;
/// So many are kept; then whoever would save says that there are too many.
const THEIRS_MAX: u32 = 99;
/// More than is ever saved: what is longer is not ours.
const LONGEST: usize = 64 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_save_leaves_is_taken_for_that() {
        let path = Path::new("/x/f.toml");
        let is_left = |path: &Path, name: &OsStr| left_of(path, name).is_some();
        let named = named_after(path, b"old", b"new");
        let name = named.file_name().expect("it has one");
        assert!(is_left(path, name) && !is_left(Path::new("/x/g.toml"), name));
        let digests = |name: &OsStr| match left_of(path, name) {
            Some(Left::Either(digests)) => digests.to_vec(),
            _ => Vec::new(),
        };
        assert_eq!(digests(name), [digest(b"old"), digest(b"new")]);
        for (name, is_one) in [
            ("f.toml.saving", true),
            ("f.toml", false),
            ("f.toml.new", false),
            ("f.toml.saving2", false),
            ("f.toml.saving.0123456789abcdef", false),
            ("f.toml.saving.0123456789abcdef.0123456789abcdeg", false),
            ("f.toml.theirs", false),
        ] {
            assert_eq!(is_left(path, OsStr::new(name)), is_one, "{name}");
        }
        // Whatever a file is called.
        let path = Path::new(OsStr::from_bytes(b"/x/\xff"));
        let named = named_after(path, b"old", b"new");
        assert!(is_left(path, named.file_name().expect("it has one")));
    }
}
