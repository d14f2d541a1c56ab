//! What stands at a place where a file is to be, and where a path leads to. Nothing is waited for: what stands there
//! may be a pipe that nobody writes to.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// What was found at a place.
pub(super) struct Found {
    pub(super) bytes: Vec<u8>,
    pub(super) about: Metadata,
}

impl Found {
    pub(super) fn is(&self, text: &str) -> bool {
        self.bytes == text.as_bytes()
    }
}

/// Whether there is the same in both, or nothing.
pub(super) fn is_same(one: Option<&Found>, other: Option<&Found>) -> bool {
    one.map(|found| &found.bytes) == other.map(|found| &found.bytes)
}

/// The file that a path leads to through links, or the place where it would be.
pub(super) fn behind(path: &Path) -> io::Result<PathBuf> {
    match fs::canonicalize(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        found => return found,
    }
    let mut path = path.to_owned();
    for _ in 0..LINKS_MAX {
        let Ok(to) = fs::read_link(&path) else {
            return Ok(path);
        };
        path = path.parent().unwrap_or(Path::new("/")).join(to);
    }
    Err(io::Error::other("too many links"))
}

/// What stands in a file, one byte more than `longest` at most; `None` where there is none. Nothing is waited for.
pub(super) fn look(path: &Path, longest: usize) -> io::Result<Option<Found>> {
    let Some((file, about)) = open(path)? else {
        return Ok(None);
    };
    let mut bytes = Vec::new();
    file.take(longest as u64 + 1).read_to_end(&mut bytes)?;
    Ok(Some(Found { bytes, about }))
}

/// Opens a plain file for reading; `None` where there is none.
pub(super) fn open(path: &Path) -> io::Result<Option<(File, Metadata)>> {
    let opened = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
        .open(path);
    let file = match opened {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    let about = file.metadata()?;
    if !about.is_file() {
        return Err(io::Error::other("it is no plain file"));
    }
    Ok(Some((file, about)))
}

/// The folder in which something is, or would be.
pub(super) fn folder_of(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new("/"))
}

/// As many links as Linux follows.
const LINKS_MAX: usize = 40;
