//! The file of a report's picture. A report that is there is replaced by a whole one or stays as it is; what is no
//! plain file, as a pipe or a device, is written to.

use std::fs::{self, File, Metadata, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;

/// Finds out now, rather than when all is measured, whether a file can be written. Whatever is there stays.
pub(super) fn check(path: &Path) -> io::Result<()> {
    match fs::metadata(path) {
        // What is neither, as a pipe, may not stand to be opened for nothing.
        Ok(there) if !there.is_file() && !there.is_dir() => Ok(()),
        Ok(_) => OpenOptions::new().append(true).open(path).map(drop),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let (new, _) = begin_beside(&behind(path)?)?;
            fs::remove_file(new)
        }
        Err(error) => Err(error),
    }
}

/// Writes a file, or to whoever reads a pipe.
pub(super) fn write(path: &Path, text: &str) -> io::Result<()> {
    let before = match fs::metadata(path) {
        Ok(there) if there.is_file() => Some(there),
        Ok(_) => return write_in_place(path, text, PATIENCE),
        Err(_) => None,
    };
    let target = behind(path)?;
    let (new, file) = match begin_beside(&target) {
        Ok(begun) => begun,
        // Its folder may be another's, or have no room for one more name.
        Err(_) if before.is_some() => return write_in_place(path, text, PATIENCE),
        Err(error) => return Err(error),
    };
    let placed = fill(file, text, before.as_ref()).and_then(|()| fs::rename(&new, &target));
    if placed.is_err() {
        let _ = fs::remove_file(&new);
    }
    placed
}

/// The whole text, to be read by whom the file before it could be.
fn fill(mut file: File, text: &str, before: Option<&Metadata>) -> io::Result<()> {
    file.write_all(text.as_bytes())?;
    if let Some(before) = before {
        // Where it can't stay its owner's, it is ours.
        let _ = fchown(&file, Some(before.uid()), Some(before.gid()));
        file.set_permissions(Permissions::from_mode(before.mode() & 0o777))?;
    }
    // A disk that is full may say so no sooner.
    file.sync_all()
}

/// What a path leads to by symbolic links, whether or not anything is there.
fn behind(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..LINKS_MAX {
        match fs::read_link(&path) {
            Ok(to) => path = folder_of(&path).join(to),
            // It is no link, or nothing at all.
            Err(error) if matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::NotFound) => {
                return Ok(path);
            }
            Err(error) => return Err(error),
        }
    }
    Err(Errno::LOOP.into())
}

/// An empty file with a name of its own in the folder of another, and that name.
fn begin_beside(path: &Path) -> io::Result<(PathBuf, File)> {
    let mut number = 0;
    loop {
        let name = format!(".hydrant-{}-{number}.svg", std::process::id());
        let new = folder_of(path).join(name);
        match OpenOptions::new().write(true).create_new(true).open(&new) {
            Ok(file) => return Ok((new, file)),
            Err(error) if error.kind() == ErrorKind::AlreadyExists && number < NAMES_MAX => {
                number += 1;
            }
            Err(error) => return Err(error),
        }
    }
}

fn folder_of(path: &Path) -> &Path {
    let folder = path.parent().filter(|it| !it.as_os_str().is_empty());
    folder.unwrap_or(Path::new("."))
}

/// Writes over what is there. A pipe that nobody reads is not waited for, nor for longer than this one that somebody
/// has opened and reads no further, since no signal would end that.
fn write_in_place(path: &Path, text: &str, patience: Duration) -> io::Result<()> {
    let opened = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
        .open(path);
    let mut file = opened.map_err(|error| match error.raw_os_error() {
        Some(libc::ENXIO) => io::Error::other("nobody reads it"),
        _ => error,
    })?;
    let patience = Timespec::try_from(patience).map_err(io::Error::other)?;
    let mut rest = text.as_bytes();
    while !rest.is_empty() {
        match file.write(rest) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(taken) => rest = &rest[taken..],
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                let mut room = [PollFd::new(&file, PollFlags::OUT)];
                match rustix::event::poll(&mut room, Some(&patience)) {
                    Ok(0) => return Err(io::Error::other("whoever reads it has stopped")),
                    Ok(_) | Err(Errno::INTR) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// How long whoever reads a pipe may read nothing.
const PATIENCE: Duration = Duration::from_secs(10);
/// As many as the system follows.
const LINKS_MAX: u32 = 40;
/// Names that may be taken by what others have left behind.
const NAMES_MAX: u32 = 100;

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::unix::fs::symlink;
    use std::process::Command;
    use std::sync::mpsc;
    use std::thread;

    use super::*;

    /// A folder of its own, which goes with it.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let name = format!("hydrant-svg-{name}-{}", std::process::id());
            let path = std::env::temp_dir().join(name);
            let _ = fs::remove_dir_all(&path);
            fs::create_dir(&path).expect("it is new");
            Self(path)
        }

        fn names(&self) -> Vec<String> {
            let all = fs::read_dir(&self.0).expect("it is there");
            let name = |entry: io::Result<fs::DirEntry>| {
                let name = entry.expect("it can be read").file_name();
                name.into_string().expect("it is text")
            };
            let mut names: Vec<String> = all.map(name).collect();
            names.sort();
            names
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_link_stays_and_what_it_leads_to_is_written() {
        let folder = Folder::new("link");
        let [link, second] = ["link.svg", "second.svg"].map(|name| folder.0.join(name));
        symlink("second.svg", &link).expect("it is new");
        symlink("target.svg", &second).expect("it is new");
        check(&link).expect("it can be written");
        assert_eq!(folder.names(), ["link.svg", "second.svg"]);
        for text in ["a picture", "another"] {
            write(&link, text).expect("it can be written");
            assert_eq!(folder.names(), ["link.svg", "second.svg", "target.svg"]);
            let target = fs::read_to_string(folder.0.join("target.svg"));
            assert_eq!(target.expect("it is there"), text);
            assert!(link.is_symlink() && second.is_symlink());
            check(&link).expect("it can be written");
        }
        symlink("round.svg", folder.0.join("round.svg")).expect("it is new");
        check(&folder.0.join("round.svg")).expect_err("it leads nowhere");
    }

    /// Whoever has the old one open goes on to see it whole: it is replaced, not written over.
    #[test]
    fn an_earlier_report_is_replaced_as_a_whole() {
        let folder = Folder::new("whole");
        let path = folder.0.join("r.svg");
        fs::write(&path, "an earlier one").expect("it can be written");
        fs::set_permissions(&path, Permissions::from_mode(0o640)).expect("it is ours");
        let mut open = File::open(&path).expect("it is there");
        check(&path).expect("it can be written");
        write(&path, "new").expect("it can be written");
        let mut read = String::new();
        open.read_to_string(&mut read).expect("it can be read");
        assert_eq!(read, "an earlier one");
        assert_eq!(fs::read_to_string(&path).expect("it is there"), "new");
        let mode = fs::metadata(&path).expect("it is there").mode();
        assert_eq!(mode & 0o777, 0o640);
        assert_eq!(folder.names(), ["r.svg"]);
    }

    /// Nobody could end it, since the loop that hears of signals would stand still.
    #[test]
    fn a_pipe_that_nobody_reads_is_not_waited_for() {
        let name = format!("hydrant-svg-{}.pipe", std::process::id());
        let path = std::env::temp_dir().join(name);
        let _ = fs::remove_file(&path);
        let made = Command::new("mkfifo").arg(&path).status();
        assert!(made.expect("mkfifo is one of the coreutils").success());
        let (said, outcome) = mpsc::channel();
        let there = path.clone();
        thread::spawn(move || said.send(write_in_place(&there, "a", DEADLINE)));
        let outcome = outcome.recv_timeout(DEADLINE).expect("it does not wait");
        let error = outcome.expect_err("nobody reads it").to_string();
        assert_eq!(error, "nobody reads it");
        // More than fits into it.
        let reader = OpenOptions::new().read(true).write(true).open(&path);
        let mut reader = reader.expect("a pipe opens so at once");
        let text = "a".repeat(1 << 20);
        let (there, whole) = (path.clone(), text.clone());
        let writer = thread::spawn(move || write_in_place(&there, &whole, DEADLINE));
        let mut read = vec![0; text.len()];
        reader.read_exact(&mut read).expect("it comes");
        assert_eq!(read, text.as_bytes());
        writer.join().expect("it ends").expect("it is written");
        // It is open still, and nobody reads on.
        let error = write_in_place(&path, &text, Duration::ZERO).expect_err("it is full");
        assert_eq!(error.to_string(), "whoever reads it has stopped");
        fs::remove_file(path).expect("it is there");
    }

    const DEADLINE: Duration = Duration::from_secs(20);
}
