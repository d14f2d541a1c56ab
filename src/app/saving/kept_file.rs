//! A file that is kept, of settings or of roles, which people and their editors write too. What is there is replaced as
//! a whole or not at all, at every moment; and what is not known, somebody else has written: that stays.
//!
//! ```text
//!   looked at ──as known──> .bak ──> .saving ──> .saving.OLD.NEW ──looked at again──> that and the file change places
//!                                                   what came out is known ──> it goes <──┤
//!                                                         and is not known ──> they change back
//! ```
//!
//! What can't be put back goes to a `.theirs` of its own: see `theirs`.
//!
//! Where a filesystem can't make two files change places, whoever saves between the last look and the renaming is
//! overwritten.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

use super::found::{Found, behind, folder_of, is_same, look, open};
use super::theirs::{SAVING, beside, in_the_way, named_after, put_aside, put_right, write_whole};
use crate::reactor::plain;

/// Something that is told across threads, if there is anything to tell.
pub(in crate::app) type SharedText = Arc<Mutex<Option<String>>>;

/// Nobody else reads or writes it as long as this is kept. Whoever broke off with it has left it whole.
pub(in crate::app) fn hold_text(shared: &Mutex<Option<String>>) -> MutexGuard<'_, Option<String>> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A file, and what is known of it.
pub(super) struct KeptFile {
    /// Where it is, or a link that leads there.
    named: PathBuf,
    /// What it held when it was last looked at.
    pub(super) known: SharedText,
    /// The file beside which that of the start is kept.
    copied: Option<PathBuf>,
    /// The file beside which nothing is left of a save.
    right: Option<PathBuf>,
    /// Where something stands that somebody else wrote and a save met, which nobody has been told yet.
    found: Vec<PathBuf>,
    /// It was gone and has been written again, which nobody has been told yet.
    is_anew: bool,
    kept: Kept,
}

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::app) enum Kept {
    /// The settings of a console.
    Settings,
    /// A run file.
    RunFile,
}

impl Kept {
    /// Whose it is and what, in the log.
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Settings => "console: settings",
            Self::RunFile => "hydrant: run file",
        }
    }

    /// What is to be done for it to be read again.
    fn again(self) -> &'static str {
        match self {
            Self::Settings => "start the console again",
            Self::RunFile => "have it read again (SIGHUP, or hydrant status reload)",
        }
    }
}

/// What is to be put in a place, in a file of its own until then.
struct New {
    path: PathBuf,
    /// Nothing is lost when it goes: it holds what is known, or what somebody else has overwritten.
    may_go: bool,
}

/// What has been done when a file is being written: the process may come to its end behind each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The file was found as it is known.
    Looked,
    /// What was there stands in a file of its own.
    CopyWritten,
    /// That is the `.bak`.
    CopyKept,
    /// What is to be there stands in a file of its own.
    Written,
    /// The file was still found as it is known.
    LookedAgain,
    /// What is to be there is there, and what was there stands beside it.
    Exchanged,
    /// What somebody else has put there is there again.
    PutBack,
}

impl KeptFile {
    /// `known`: what the file held when it was read; `None` where there was none.
    pub(super) fn new(named: PathBuf, known: Option<String>, kept: Kept) -> Self {
        Self {
            named: std::path::absolute(&named).unwrap_or(named),
            known: Arc::new(Mutex::new(known)),
            copied: None,
            right: None,
            found: Vec::new(),
            is_anew: false,
            kept,
        }
    }

    /// Puts right what is left of a process that was killed in the midst of a save. What can't be is tried again before
    /// the next save.
    pub(super) fn put_right(&mut self) {
        if let Ok(path) = behind(&self.named) {
            let _ = self.put_right_beside(&path);
        }
    }

    fn put_right_beside(&mut self, path: &Path) -> io::Result<()> {
        if self.right.as_deref() != Some(path) {
            put_right(path, &mut self.found)?;
            self.right = Some(path.to_owned());
        }
        Ok(())
    }

    /// Where something stands that somebody else wrote and a save met, since the last call.
    pub(super) fn take_found(&mut self) -> Vec<PathBuf> {
        std::mem::take(&mut self.found)
    }

    /// Whether the file was gone and has been written again, since the last call.
    pub(super) fn take_anew(&mut self) -> bool {
        std::mem::take(&mut self.is_anew)
    }

    /// Why what was saved last can't be read at the next start, if so. What the file says is not looked at.
    pub(super) fn lack(&self) -> Option<String> {
        if hold_text(&self.known).is_none() {
            return None;
        }
        let named = self.named.display();
        match behind(&self.named).and_then(|path| Ok((open(&path)?.is_some(), path))) {
            Ok((true, _)) => None,
            Ok((false, path)) if self.kept == Kept::RunFile && !folder_of(&path).is_dir() => Some(
                format!("{named} is not there any more, nor is its folder: nothing can be saved"),
            ),
            Ok((false, _)) => Some(format!(
                "{named} is not there any more: the next change writes it again"
            )),
            Err(error) => Some(format!("can't read {named}: {}", plain(&error))),
        }
    }

    /// What somebody else has written counts, and is kept beside it like the file of the start.
    pub(super) fn found(&mut self, text: String) {
        let mut known = hold_text(&self.known);
        if known.as_ref() != Some(&text) {
            *known = Some(text);
            self.copied = None;
        }
    }

    /// Has this in the file, or says why it is not.
    pub(super) fn write(&mut self, text: &str) -> Result<(), String> {
        self.write_by_steps(text, &mut |_| {})
    }

    /// As above; `passed` is told of each step.
    fn write_by_steps(&mut self, text: &str, passed: &mut dyn FnMut(Step)) -> Result<(), String> {
        // A link may lead elsewhere by now: what counts is what is read there at the next start.
        let path = behind(&self.named)
            .map_err(|error| format!("can't find {}: {}", self.named.display(), plain(&error)))?;
        let unreadable = |error| format!("can't read {}: {}", path.display(), plain(&error));
        let found = look(&path, self.longest(text)).map_err(unreadable)?;
        if found.as_ref().is_some_and(|found| found.is(text)) {
            *hold_text(&self.known) = Some(text.to_owned());
            return Ok(());
        }
        let is_known = |found: &Found| {
            let known = hold_text(&self.known);
            known.as_deref().is_some_and(|known| found.is(known))
        };
        if !found.as_ref().is_none_or(is_known) {
            return Err(changed(&path, self.kept));
        }
        let was_there = hold_text(&self.known).is_some();
        passed(Step::Looked);
        match self.replace(&path, text, found.as_ref(), passed) {
            Ok(true) => {
                self.is_anew |= found.is_none() && was_there;
                Ok(())
            }
            Ok(false) => Err(changed(&path, self.kept)),
            Err(error) => Err(format!("can't write {}: {}", path.display(), plain(&error))),
        }
    }

    /// So much is read that it can be told from what is known, and from what is to be there.
    fn longest(&self, text: &str) -> usize {
        let known = hold_text(&self.known).as_ref().map_or(0, String::len);
        known.max(text.len())
    }

    /// Puts a text in the place of what was found. Whether it is there: somebody else may have been quicker.
    fn replace(
        &mut self,
        path: &Path,
        text: &str,
        found: Option<&Found>,
        passed: &mut dyn FnMut(Step),
    ) -> io::Result<bool> {
        let folder = folder_of(path);
        // That of a run file was there: where it is gone, what is in its place may be anything.
        if self.kept == Kept::Settings {
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(folder)?;
        }
        if found.is_some_and(|found| found.about.permissions().readonly()) {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        self.put_right_beside(path)?;
        self.keep_copy(path, found, passed)?;
        let mut new = New {
            path: beside(path, SAVING),
            may_go: true,
        };
        let about = found.map(|found| &found.about);
        let placed = write_whole(&new.path, text.as_bytes(), about).and_then(|()| {
            if let Some(found) = found {
                // From here on its name tells what it may hold.
                let named = named_after(path, &found.bytes, text.as_bytes());
                if !put_where_nothing_is(&new.path, &named)? {
                    return Err(io::ErrorKind::AlreadyExists.into());
                }
                new.path = named;
            }
            passed(Step::Written);
            self.put_in_place(&mut new, path, text, found, passed)
        });
        if new.may_go {
            // On a full disk it would be in the way of the next attempt.
            let _ = fs::remove_file(&new.path);
        } else {
            return self.keep_theirs(path, &new.path, placed);
        }
        if placed? {
            File::open(folder)?.sync_all()?;
            return Ok(true);
        }
        Ok(false)
    }

    /// What came out holds what somebody else wrote: that is kept where no later attempt writes.
    fn keep_theirs(
        &mut self,
        path: &Path,
        out: &Path,
        placed: io::Result<bool>,
    ) -> io::Result<bool> {
        let theirs = match put_aside(out, path) {
            Ok(Some(theirs)) => {
                self.found.push(theirs.clone());
                theirs
            }
            Ok(None) => return placed,
            Err(_) => {
                self.right = None;
                out.to_owned()
            }
        };
        let text = format!("what somebody else wrote is in {}", theirs.display());
        Err(io::Error::other(match placed {
            Ok(_) => text,
            Err(error) => format!("{}; {text}", plain(&error)),
        }))
    }

    /// What was there at the start is kept, once.
    fn keep_copy(
        &mut self,
        path: &Path,
        found: Option<&Found>,
        passed: &mut dyn FnMut(Step),
    ) -> io::Result<()> {
        let Some(found) = found.filter(|_| self.copied.as_deref() != Some(path)) else {
            return Ok(());
        };
        let new = beside(path, SAVING);
        let kept = write_whole(&new, &found.bytes, Some(&found.about)).and_then(|()| {
            passed(Step::CopyWritten);
            let bak = beside(path, "bak");
            fs::rename(&new, &bak).map_err(in_the_way(&bak))
        });
        if kept.is_err() {
            let _ = fs::remove_file(&new);
        }
        kept?;
        passed(Step::CopyKept);
        self.copied = Some(path.to_owned());
        Ok(())
    }

    /// Whoever holds the lock sees the file and what is known of it agree.
    fn put_in_place(
        &self,
        new: &mut New,
        path: &Path,
        text: &str,
        found: Option<&Found>,
        passed: &mut dyn FnMut(Step),
    ) -> io::Result<bool> {
        let longest = self.longest(text);
        let mut known = hold_text(&self.known);
        if !self.leads_to(path) || !is_same(look(path, longest)?.as_ref(), found) {
            return Ok(false);
        }
        passed(Step::LookedAgain);
        let is_there = match found {
            None => put_where_nothing_is(&new.path, path)?,
            Some(found) => {
                let is_right = |out: Option<&_>| self.leads_to(path) && is_same(out, Some(found));
                exchange(new, path, (text, longest), &is_right, passed)? && self.leads_to(path)
            }
        };
        if is_there {
            *known = Some(text.to_owned());
        }
        Ok(is_there)
    }

    fn leads_to(&self, path: &Path) -> bool {
        behind(&self.named).is_ok_and(|now| now == path)
    }
}

/// What a file of settings says; `None` where there is none. What is no file, such as a pipe that nobody writes to, is
/// not waited for.
pub(in crate::app) fn read(path: &Path) -> io::Result<Option<String>> {
    let found = look(path, usize::MAX - 1)?;
    let text = found.map(|found| String::from_utf8(found.bytes));
    text.transpose()
        .map_err(|_| io::Error::other("it is not UTF-8"))
}

fn changed(path: &Path, kept: Kept) -> String {
    format!(
        "{} was changed by somebody else and is left alone; {} to have what it says, or move it away to have what you \
         see here",
        path.display(),
        kept.again()
    )
}

/// Whether nothing was there until now.
pub(super) fn put_where_nothing_is(new: &Path, path: &Path) -> io::Result<bool> {
    match renameat_with(CWD, new, CWD, path, RenameFlags::NOREPLACE) {
        Ok(()) => return Ok(true),
        Err(Errno::EXIST) => return Ok(false),
        Err(error) if is_unknown(error) => {}
        Err(error) => return Err(error.into()),
    }
    match fs::hard_link(new, path) {
        // It stands in both places now.
        Ok(()) => fs::remove_file(new).map(|()| true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(_) => fs::rename(new, path).map(|()| true),
    }
}

/// Makes the new file and the one that is there change places, if what was there `is_right`. Whether it was.
fn exchange(
    new: &mut New,
    path: &Path,
    (text, longest): (&str, usize),
    is_right: &dyn Fn(Option<&Found>) -> bool,
    passed: &mut dyn FnMut(Step),
) -> io::Result<bool> {
    let from = new.path.clone();
    let swap = || renameat_with(CWD, &from, CWD, path, RenameFlags::EXCHANGE);
    match swap() {
        Ok(()) => {}
        // It was looked at a moment ago.
        Err(error) if is_unknown(error) => return fs::rename(&from, path).map(|()| true),
        // Somebody moves it away just now.
        Err(Errno::NOENT) => return Ok(false),
        Err(error) => return Err(error.into()),
    }
    new.may_go = false;
    passed(Step::Exchanged);
    let out = look(&from, longest);
    if let Ok(out) = &out
        && is_right(out.as_ref())
    {
        new.may_go = true;
        return Ok(true);
    }
    match swap() {
        Ok(()) => {}
        // Ours is gone already, or what came out is.
        Err(Errno::NOENT) => {
            new.may_go = put_back_alone(&from, path)?;
            return match look(path, longest)? {
                Some(now) if now.is(text) => Ok(true),
                _ => out.map(|_| false),
            };
        }
        Err(error) => return Err(error.into()),
    }
    passed(Step::PutBack);
    // What can't be looked at may be ours, or theirs: it does not come in the place of what was put back.
    match look(&from, longest)? {
        Some(back) if back.is(text) => new.may_go = true,
        // It was changed once more meanwhile, and what is newer counts.
        Some(_) => match swap() {
            Ok(()) => {
                let older = look(&from, longest)?;
                new.may_go = out.as_ref().is_ok_and(|out| is_one(out, &older));
            }
            Err(Errno::NOENT) => new.may_go = put_back_alone(&from, path)?,
            Err(error) => return Err(error.into()),
        },
        None => {}
    }
    out.map(|_| false)
}

/// One of two is gone. Whether nothing is left of what came out: it stands where nothing was, or others put it right.
fn put_back_alone(from: &Path, path: &Path) -> io::Result<bool> {
    match put_where_nothing_is(from, path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        put => put,
    }
}

/// Whether both are one file, in which nothing was written between.
fn is_one(one: &Option<Found>, other: &Option<Found>) -> bool {
    let place = |found: &Found| (found.about.dev(), found.about.ino(), found.about.len());
    let (one, other) = (one.as_ref(), other.as_ref());
    is_same(one, other) && one.map(place) == other.map(place)
}

/// The filesystem, or the kernel, knows no such renaming.
fn is_unknown(error: Errno) -> bool {
    matches!(error, Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::thread;

    use super::*;

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let folder = std::env::temp_dir()
                .join(format!("hydrant-settings-{}-{name}", std::process::id()));
            let _ = fs::remove_dir_all(&folder);
            fs::create_dir(&folder).expect("a folder");
            Self(folder)
        }

        fn file(&self, known: Option<&str>) -> KeptFile {
            KeptFile::new(
                self.0.join("deep/console.toml"),
                known.map(str::to_owned),
                Kept::Settings,
            )
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
            (mode(&file.named), mode(&folder.0.join("deep"))),
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
        fs::write(&file.named, "theirs").unwrap();
        let error = file.write("two").unwrap_err();
        assert!(error.contains("was changed by somebody else"), "{error}");
        assert_eq!(fs::read_to_string(&file.named).unwrap(), "theirs");
        fs::remove_file(&file.named).unwrap();
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
        let mut mode = fs::metadata(&file.named).unwrap().permissions();
        mode.set_mode(0o400);
        fs::set_permissions(&file.named, mode).unwrap();
        let error = file.write("two").unwrap_err();
        assert!(
            error.contains("can't write") && error.contains("permission denied"),
            "{error}"
        );
        assert_eq!(fs::read_to_string(&file.named).unwrap(), "one");
        let mut blocked = KeptFile::new(file.named.join("x/console.toml"), None, Kept::Settings);
        assert!(blocked.write("one").is_err());
    }

    #[test]
    fn what_is_in_the_way_is_named() {
        for name in ["console.toml.saving", "console.toml.bak"] {
            let folder = Folder::new("way");
            let mut file = folder.file(None);
            file.write("one").unwrap();
            let way = folder.0.join("deep").join(name);
            fs::create_dir(&way).unwrap();
            // A later process looks for what is left anew.
            let mut file = folder.file(Some("one"));
            let error = file.write("two").unwrap_err();
            assert!(
                error.contains(&format!("{} is in the way: ", way.display())),
                "{error}"
            );
            fs::remove_dir(&way).unwrap();
            file.write("two").unwrap();
        }
    }

    /// Whoever reads it meanwhile, and holds the lock, never finds what nobody has told of.
    #[test]
    fn what_it_writes_is_known_as_soon_as_it_is_there() {
        let folder = Folder::new("known");
        let mut file = folder.file(None);
        file.write("0").unwrap();
        let (known, path) = (Arc::clone(&file.known), file.named.clone());
        let writer = thread::spawn(move || {
            for number in 1..200 {
                file.write(&number.to_string()).unwrap();
            }
        });
        while !writer.is_finished() {
            let held = hold_text(&known);
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
        for what in [SAVING, "bak"] {
            std::os::unix::fs::symlink(&theirs, beside(&file.named, what)).unwrap();
        }
        file.write("two").unwrap();
        assert_eq!(fs::read_to_string(&theirs).unwrap(), "theirs");
        assert_eq!(
            fs::read_to_string(beside(&file.named, "bak")).unwrap(),
            "one"
        );
        assert_eq!(fs::read_to_string(&file.named).unwrap(), "two");
    }

    /// For root, who may give it to anybody.
    #[test]
    fn it_stays_its_owner_s() {
        let folder = Folder::new("owner");
        let mut file = folder.file(None);
        file.write("one").unwrap();
        if let Err(error) = std::os::unix::fs::chown(&file.named, Some(12_345), Some(12_346)) {
            // No program that could be installed is missing.
            println!("skipped: can't give a file away: {error}");
            return;
        }
        file.write("two").unwrap();
        let now = fs::metadata(&file.named).unwrap();
        assert_eq!(
            (now.uid(), now.gid(), now.mode() & 0o777),
            (12_345, 12_346, 0o600)
        );
    }

    /// Does something when a step is passed.
    fn at(step: Step, mut what: impl FnMut()) -> impl FnMut(Step) {
        move |passed| {
            if passed == step {
                what();
            }
        }
    }

    fn whole(name: &str) -> String {
        name.repeat(50_000)
    }

    /// The process is killed at each step of a save: what is read at the next start is a whole file, and so is the
    /// copy.
    #[test]
    fn killed_at_any_step_it_leaves_whole_files() {
        let steps = [
            Step::Looked,
            Step::CopyWritten,
            Step::CopyKept,
            Step::Written,
            Step::LookedAgain,
            Step::Exchanged,
            Step::PutBack,
        ];
        for (step, is_disturbed) in steps.iter().flat_map(|step| [(step, false), (step, true)]) {
            let folder = Folder::new("killed");
            folder.file(None).write(&whole("one")).unwrap();
            folder
                .file(Some(&whole("one")))
                .write(&whole("two"))
                .unwrap();
            let mut file = folder.file(Some(&whole("two")));
            let (path, mut was_there) = (file.named.clone(), false);
            let killed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                let mut theirs = at(Step::LookedAgain, || {
                    if is_disturbed {
                        fs::write(&path, whole("theirs")).unwrap();
                    }
                });
                let mut kill = at(*step, || {
                    was_there = true;
                    std::panic::resume_unwind(Box::new(()));
                });
                file.write_by_steps(&whole("three"), &mut |step| {
                    theirs(step);
                    kill(step);
                })
            }));
            assert_eq!(killed.is_err(), was_there, "{step:?}");
            assert!(
                was_there || !is_disturbed && *step == Step::PutBack,
                "{step:?}"
            );
            let there = fs::read_to_string(&path).unwrap();
            let names = ["two", "three", "theirs"];
            assert!(
                names.map(whole).contains(&there),
                "{step:?}: {} bytes",
                there.len()
            );
            let copy = fs::read_to_string(beside(&path, "bak")).unwrap();
            assert!(
                ["one", "two"].map(whole).contains(&copy),
                "{step:?}: {} bytes",
                copy.len()
            );
            // What is left lies in nobody's way, and what somebody else saved is not what goes.
            folder.file(Some(&there)).write("four").unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), "four");
            assert_eq!(fs::read_to_string(beside(&path, "bak")).unwrap(), there);
            let is_out = is_disturbed && *step == Step::Exchanged;
            let theirs = fs::read_to_string(beside(&path, "theirs"));
            assert_eq!(theirs.ok(), is_out.then(|| whole("theirs")), "{step:?}");
            let left = fs::read_dir(path.parent().unwrap()).unwrap().count();
            assert_eq!(left, 2 + usize::from(is_out), "{step:?}");
        }
    }

    /// An editor that saves while it is being written, in either of the ways in which editors do that.
    #[test]
    fn what_is_saved_at_the_same_time_stays() {
        let in_place = |path: &Path, text: &str| fs::write(path, text).unwrap();
        let renamed = |path: &Path, text: &str| {
            fs::write(beside(path, "swp"), text).unwrap();
            fs::rename(beside(path, "swp"), path).unwrap();
        };
        let ways: [fn(&Path, &str); 2] = [in_place, renamed];
        let steps = [
            Step::Looked,
            Step::CopyWritten,
            Step::CopyKept,
            Step::Written,
            Step::LookedAgain,
            Step::Exchanged,
        ];
        for (step, save) in steps.iter().flat_map(|step| ways.map(|way| (*step, way))) {
            let folder = Folder::new("same");
            folder.file(None).write("one").unwrap();
            let mut file = folder.file(Some("one"));
            let path = file.named.clone();
            let written = file.write_by_steps("two", &mut at(step, || save(&path, "theirs")));
            let there = || fs::read_to_string(&path).unwrap();
            assert_eq!(there(), "theirs", "{step:?}");
            // It was there for a moment, and what was saved behind it is newer.
            assert_eq!(
                written.is_ok(),
                step == Step::Exchanged,
                "{step:?}: {written:?}"
            );
            let error = file.write("three").unwrap_err();
            assert!(
                error.contains(
                    "was changed by somebody else and is left alone; start the console again to"
                ),
                "{error}"
            );
            assert_eq!(there(), "theirs", "{step:?}");
            assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 2);
        }
        // Twice, and the last one counts.
        let folder = Folder::new("twice");
        folder.file(None).write("one").unwrap();
        let mut file = folder.file(Some("one"));
        let path = file.named.clone();
        let written = file.write_by_steps("two", &mut |step| match step {
            Step::LookedAgain => renamed(&path, "theirs"),
            Step::Exchanged => renamed(&path, "newer"),
            _ => {}
        });
        assert!(written.is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), "newer");
    }

    /// Another process that keeps the same file takes what came out away: what is in place is in place.
    #[test]
    fn what_another_process_puts_right_meanwhile_is_saved() {
        let folder = Folder::new("both");
        folder.file(None).write("one").unwrap();
        let mut file = folder.file(Some("one"));
        let path = file.named.clone();
        let other = || folder.file(Some("one")).put_right();
        file.write_by_steps("two", &mut at(Step::Exchanged, other))
            .unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "two");
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 2);
    }

    /// Whatever can't be looked at, or put back: what somebody else wrote is never what goes.
    #[test]
    fn what_can_not_be_told_from_theirs_is_kept() {
        let pipe = |path: &Path| {
            use rustix::fs::{FileType, Mode, mknodat};
            let _ = fs::remove_file(path);
            mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        };
        let is_pipe = |path: &Path| !fs::symlink_metadata(path).unwrap().is_file();
        let folder = Folder::new("unknown");
        let begin = || {
            let _ = fs::remove_dir_all(folder.0.join("deep"));
            folder.file(None).write("one").unwrap();
            let file = folder.file(Some("one"));
            (file.named.clone(), file)
        };
        let there = |path: &Path| fs::read_to_string(path).unwrap();
        // What comes out when theirs has been put back can't be looked at.
        let (path, mut file) = begin();
        fs::write(beside(&path, "theirs"), "older").unwrap();
        let written = file.write_by_steps("two", &mut |step| match step {
            Step::LookedAgain => fs::write(&path, "theirs").unwrap(),
            Step::PutBack => pipe(&named_after(&path, b"one", b"two")),
            _ => {}
        });
        let error = written.unwrap_err();
        assert_eq!(there(&path), "theirs");
        assert_eq!(there(&beside(&path, "theirs")), "older");
        assert!(is_pipe(&beside(&path, "theirs.2")));
        assert!(
            error.contains("no plain file") && error.contains(".theirs.2"),
            "{error}"
        );
        // What somebody else has put there can't, and is there again.
        let (path, mut file) = begin();
        let written = file.write_by_steps("two", &mut at(Step::LookedAgain, || pipe(&path)));
        let error = written.unwrap_err();
        assert!(is_pipe(&path) && error.contains("no plain file"), "{error}");
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 2);
    }

    /// What a process leaves that was killed: what is ours goes, whole or not, and what is not is kept and said.
    #[test]
    fn what_is_left_of_a_save_is_put_right() {
        let folder = Folder::new("left");
        let left = |old: &[u8], new: &[u8], there: &str| {
            let path = folder.0.join("deep/console.toml");
            fs::write(named_after(&path, old, new), there).unwrap();
        };
        folder.file(None).write("one").unwrap();
        let mut file = folder.file(Some("one"));
        let beside = |what: &str| beside(&file.named, what);
        let (partly, stranger) = (beside(SAVING), beside("new"));
        let (theirs, more) = (beside("theirs"), beside("theirs.2"));
        fs::write(&partly, "on").unwrap();
        fs::write(&stranger, "nobody has saved this here").unwrap();
        left(b"zero", b"one", "zero");
        left(b"one", b"two", "two");
        left(b"one", b"three", "theirs");
        file.put_right();
        assert_eq!(file.take_found(), std::slice::from_ref(&theirs));
        let names = || fs::read_dir(folder.0.join("deep")).unwrap().count();
        // The file, what somebody else wrote, and what no save has left.
        assert_eq!((names(), partly.exists()), (3, false));
        // Nobody has put it right at the start: the next save does that before it writes.
        left(b"one", b"three", "theirs too");
        folder.file(Some("one")).write("two").unwrap();
        let there = |path: &Path| fs::read_to_string(path).unwrap();
        assert_eq!(
            (there(&theirs), there(&more)),
            ("theirs".to_owned(), "theirs too".to_owned())
        );
        assert!(stranger.exists() && there(&file.named) == "two");
        assert_eq!(names(), 5);
    }

    #[test]
    fn one_that_is_made_at_the_same_time_stays() {
        for step in [Step::Looked, Step::Written, Step::LookedAgain] {
            let folder = Folder::new("made");
            let mut file = folder.file(None);
            let path = file.named.clone();
            fs::create_dir(path.parent().unwrap()).unwrap();
            let made = || fs::write(&path, "theirs").unwrap();
            file.write_by_steps("one", &mut at(step, made)).unwrap_err();
            assert_eq!(fs::read_to_string(&path).unwrap(), "theirs", "{step:?}");
            assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
        }
    }

    /// What is read at the next start is where the link leads then.
    #[test]
    fn a_link_is_followed_anew_at_each_save() {
        use std::os::unix::fs::symlink;
        let folder = Folder::new("led");
        let place = |name: &str| folder.0.join(name);
        let (old, new, link) = (
            place("old.toml"),
            place("new.toml"),
            place("deep/console.toml"),
        );
        fs::create_dir(place("deep")).unwrap();
        fs::write(&old, "one").unwrap();
        symlink(&old, &link).unwrap();
        let lead = |to: &Path| {
            fs::remove_file(&link).unwrap();
            symlink(to, &link).unwrap();
        };
        let mut file = folder.file(Some("one"));
        file.write("two").unwrap();
        let both = || [&old, &new].map(|path| fs::read_to_string(path).unwrap_or_default());
        fs::write(&new, "theirs").unwrap();
        lead(&new);
        file.write("three").expect_err("nobody knows what is there");
        assert_eq!(both(), ["two", "theirs"]);
        // The same stands there.
        fs::write(&new, "two").unwrap();
        file.write("three").unwrap();
        assert_eq!(both(), ["two", "three"]);
        assert_eq!(fs::read_to_string(beside(&new, "bak")).unwrap(), "two");
        // It is led away in the midst of it.
        fs::write(&old, "three").unwrap();
        for step in [Step::Written, Step::LookedAgain, Step::Exchanged] {
            lead(&new);
            file.write_by_steps("four", &mut at(step, || lead(&old)))
                .expect_err("it leads away");
            assert_eq!(both(), ["three", "three"], "{step:?}");
        }
        // Nothing is there yet, and the link stays one.
        fs::remove_file(&new).unwrap();
        lead(Path::new("../new.toml"));
        file.write("five").unwrap();
        assert_eq!(both(), ["three", "five"]);
    }

    /// A pipe that nobody writes to is not waited for.
    #[test]
    fn what_is_no_file_is_left_alone() {
        use rustix::fs::{FileType, Mode, mknodat};
        let folder = Folder::new("pipe");
        let mut file = folder.file(Some("one"));
        fs::create_dir(folder.0.join("deep")).unwrap();
        mknodat(CWD, &file.named, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        let error = file.write("two").unwrap_err();
        assert!(error.contains("it is no plain file"), "{error}");
        assert!(read(&file.named).is_err());
        assert_eq!(read(&folder.0.join("none")).unwrap(), None);
    }
}
