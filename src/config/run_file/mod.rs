//! The run file: many roles in one process, in TOML. Every mistake in it is found, and told with its place.
//!
//! ```text
//!   text ──toml_edit──> section.rs: settings and words, each with its place
//!     └──no TOML──> mend/ ────┘  │ crew.rs: the same builders as for a command line
//!                                v
//!                             Members ──clashes.rs, rings.rs: what can't be true at once──> RunFile
//! ```

mod blame;
mod clashes;
mod crew;
mod edit;
mod example;
mod foresight;
mod lost;
mod mend;
mod mistake;
mod rest;
mod rings;
pub(super) mod rounds;
mod secrets;
mod section;
mod syntax;
mod value;
mod words;

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::string::FromUtf8Error;

use toml_edit::{Document, Item, Key, Table};

use self::crew::{Draft, crew};
pub use self::edit::{Edit, enabled, switched};
pub use self::example::example;
use self::mend::{ASTRAY, Mended, UNREADABLE};
pub use self::mistake::Mistake;
use self::mistake::{Lines, SHOWN_MAX, show};
use self::rest::{Rest, console, log, metrics};
pub(crate) use self::section::in_file;
use self::section::{Entry, Reader, SECTIONS, Section};
use self::value::{key_place, keys_of, near};
use crate::base::units::{Count, Typed};
use crate::cli::RoleId;
use crate::config::files::read_small;
use crate::config::{ConfigError, Env, FileFault, Globals, Member};

/// A run file without mistakes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunFile {
    /// Where it is.
    pub path: PathBuf,
    /// What stands in it.
    pub text: String,
    /// What holds for the whole process, `[log]` and `[metrics]` taken in.
    pub globals: Globals,
    /// The roles, in the order of their kinds and of the file.
    pub members: Vec<Member>,
    /// `save` of `[console]`: what is changed on the page is written here.
    pub saves: bool,
    /// What the command line said beside it.
    flags: Vec<(&'static str, String)>,
    env: Env,
}

/// What stands in a run file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parsed {
    /// As in [`RunFile`].
    pub globals: Globals,
    /// As in [`RunFile`].
    pub members: Vec<Member>,
    /// As in [`RunFile`].
    pub saves: bool,
}

/// Where a run file came from, and what goes with it.
#[derive(Clone, Debug)]
pub struct Origin {
    path: PathBuf,
    flags: Vec<(&'static str, String)>,
    env: Env,
}

impl Origin {
    /// Reads the file again.
    ///
    /// # Errors
    /// As [`RunFile::load`].
    pub fn load(&self) -> Result<RunFile, ConfigError> {
        RunFile::load(&self.path, &self.flags, &self.env)
    }

    /// What stands in it now.
    ///
    /// # Errors
    /// That it can't be read.
    pub fn text(&self) -> Result<String, ConfigError> {
        RunFile::read(&self.path)?.map_err(|bytes| {
            let (text, mistakes) = decode(&bytes);
            RunFile::shown(&self.path.to_string_lossy(), &text, mistakes)
        })
    }

    /// What it would be with another text.
    ///
    /// # Errors
    /// All mistakes in that.
    pub fn with(&self, text: String) -> Result<RunFile, ConfigError> {
        RunFile::of(&self.path, text, &self.flags, &self.env)
    }
}

impl RunFile {
    /// How many mistakes are shown of a file.
    pub const SHOWN_MAX: usize = SHOWN_MAX;

    /// Where it came from.
    pub fn origin(&self) -> Origin {
        Origin {
            path: self.path.clone(),
            flags: self.flags.clone(),
            env: self.env.clone(),
        }
    }

    /// Reads a file. What a command line says, `flags`, wins over what it says.
    ///
    /// # Errors
    /// That it can't be read, or all mistakes in it.
    pub fn load(
        path: &Path,
        flags: &[(&'static str, String)],
        env: &Env,
    ) -> Result<Self, ConfigError> {
        match Self::read(path)? {
            Ok(text) => Self::of(path, text, flags, env),
            Err(bytes) => Err(Self::no_text(path, &bytes, flags, env)),
        }
    }

    /// The text of a file; or what it holds, which is none.
    fn read(path: &Path) -> Result<Result<String, Vec<u8>>, ConfigError> {
        let unreadable = |fault| ConfigError::File {
            flag: "the run file",
            path: path.to_owned(),
            fault,
        };
        let (bytes, _) = read_small(path, SIZE_MAX).map_err(unreadable)?;
        Ok(String::from_utf8(bytes).map_err(FromUtf8Error::into_bytes))
    }

    /// All mistakes in a file that is no text.
    fn no_text(
        path: &Path,
        bytes: &[u8],
        flags: &[(&'static str, String)],
        env: &Env,
    ) -> ConfigError {
        let (text, mut mistakes) = decode(bytes);
        let lines = Lines::of(&text);
        let known: HashSet<usize> = mistakes
            .iter()
            .map(|mistake| lines.number(mistake.at.start))
            .collect();
        if bytes.starts_with(UTF_16[0]) || bytes.starts_with(UTF_16[1]) {
            mistakes = vec![Mistake::new(0..0, "this is UTF-16: save it as UTF-8")];
        } else if let Err(others) = Self::parse(&text, &folder_of(path), flags, env) {
            // What else is wrong in those lines may come of that.
            let is_other = |other: &Mistake| !known.contains(&lines.number(other.at.start));
            mistakes.extend(others.into_iter().filter(is_other));
        }
        Self::shown(&path.to_string_lossy(), &text, mistakes)
    }

    fn of(
        path: &Path,
        text: String,
        flags: &[(&'static str, String)],
        env: &Env,
    ) -> Result<Self, ConfigError> {
        if text.len() as u64 > SIZE_MAX {
            // Whoever wrote it could not read it again.
            return Err(ConfigError::File {
                flag: "the run file",
                path: path.to_owned(),
                fault: FileFault::TooLong { max: SIZE_MAX },
            });
        }
        let name = path.to_string_lossy();
        match Self::parse(&text, &folder_of(path), flags, env) {
            Ok(Parsed {
                globals,
                members,
                saves,
            }) => Ok(Self {
                path: path.to_owned(),
                text,
                globals,
                members,
                saves,
                flags: flags.to_vec(),
                env: env.clone(),
            }),
            Err(mistakes) => Err(Self::shown(&name, &text, mistakes)),
        }
    }

    /// Mistakes as they are shown to people.
    pub fn shown(name: &str, text: &str, mistakes: Vec<Mistake>) -> ConfigError {
        ConfigError::Mistakes(show(name, text, mistakes))
    }

    /// Reads what stands in a file that lies in `folder`.
    ///
    /// # Errors
    /// All mistakes in it, one at least; in no order.
    pub fn parse(
        text: &str,
        folder: &Path,
        flags: &[(&'static str, String)],
        env: &Env,
    ) -> Result<Parsed, Vec<Mistake>> {
        let error = match Document::parse(text) {
            Ok(document) => return Self::found(&document, None, folder, flags, env),
            Err(error) => error,
        };
        let mended = Mended::of(text);
        let mut mistakes = mended.mistakes.clone();
        if let Some(Ok(document)) = mended.text.as_deref().map(Document::parse) {
            let found = Self::found(&document, Some(&mended), folder, flags, env);
            let others = found.err().unwrap_or_default().into_iter();
            mistakes.extend(others.map(|other| Mistake {
                at: mended.in_file(other.at),
                ..other
            }));
        }
        if mistakes.is_empty() {
            mistakes.push(Mistake::new(
                syntax::span_of(&error, 0),
                syntax::said(&error),
            ));
        }
        // A place in what was mended may stand for one within a letter.
        for Mistake { at, .. } in &mut mistakes {
            *at = text.floor_char_boundary(at.start)..text.ceil_char_boundary(at.end);
        }
        Err(mistakes)
    }

    /// Reads a document. `mended`: it stands for one that is no TOML.
    fn found(
        document: &Document<&str>,
        mended: Option<&Mended>,
        folder: &Path,
        flags: &[(&'static str, String)],
        env: &Env,
    ) -> Result<Parsed, Vec<Mistake>> {
        let losses = mended.map(|mended| mended.losses.clone());
        let mut reader = Reader {
            folder,
            env,
            lines: Lines::of(document.raw()),
            sockets: HashMap::new(),
            losses: losses.unwrap_or_default(),
            mistakes: Vec::new(),
        };
        let mut rest = Rest::new(flags);
        let mut entries = Vec::new();
        let is_read = |key: &Key| mended.is_none() || key.get() != UNREADABLE;
        for (key, item) in keys_of(document.as_table()).filter(|(key, _)| is_read(key)) {
            top(
                &mut reader,
                &mut entries,
                &mut rest,
                key.get(),
                key_place(key),
                item,
            );
        }
        if entries.is_empty() && reader.mistakes.is_empty() && mended.is_none() {
            reader.note(
                0..0,
                "there is nothing to run here: hydrant run --example shows how",
            );
        }
        let crew = crew(&mut reader, entries);
        let mut globals = rest.globals(&mut reader);
        let spins = |draft: &Draft| {
            draft.entry.section.role == RoleId::Relay && draft.entry.values.given("busy-poll")
        };
        globals.console = rest.console.take();
        globals.busy_poll |= crew.iter().any(spins);
        clashes::note(&mut reader, &crew, &rest);
        rings::note(&mut reader, &crew);
        if env.is_check {
            foresight::note(&mut reader, &crew, &rest);
        }
        match reader.mistakes.is_empty() {
            true => Ok(Parsed {
                globals,
                members: crew.into_iter().filter_map(|draft| draft.member).collect(),
                saves: rest.saves,
            }),
            false => Err(reader.mistakes),
        }
    }

    /// "2 relays, 1 hub"
    pub fn summary(&self) -> String {
        let mut kinds: Vec<(&str, usize)> = Vec::new();
        for member in &self.members {
            let word = match member.run.family() {
                "ws" => "ws role",
                word => word,
            };
            match kinds.iter_mut().find(|(kind, _)| *kind == word) {
                Some((_, count)) => *count += 1,
                None => kinds.push((word, 1)),
            }
        }
        let kinds = kinds.iter().map(|(word, n)| Count(*n, word).to_string());
        kinds.collect::<Vec<_>>().join(", ")
    }
}

/// One key at the top of the file.
fn top(
    reader: &mut Reader<'_>,
    entries: &mut Vec<Entry>,
    rest: &mut Rest<'_>,
    name: &str,
    at: Range<usize>,
    item: &Item,
) {
    if let Some(section) = SECTIONS.iter().find(|section| section.name == name) {
        return sections(reader, entries, section, at, item);
    }
    let family = |section: &&Section| {
        section
            .name
            .split_once('.')
            .is_some_and(|(it, _)| it == name)
    };
    if SECTIONS.iter().any(|section| family(&section)) {
        let Some(table) = item.as_table() else {
            let all = SECTIONS
                .iter()
                .filter(family)
                .map(|it| format!("[[{}]]", it.name));
            let all: Vec<String> = all.collect();
            return reader.note(at, format!("{name} is a section: {}", all.join(" or ")));
        };
        for (key, item) in keys_of(table) {
            let whole = format!("{name}.{}", key.get());
            match SECTIONS.iter().find(|section| section.name == whole) {
                Some(section) => sections(reader, entries, section, key_place(key), item),
                None => unknown_section(reader, &whole, key.get(), key_place(key)),
            }
        }
        return;
    }
    match (name, item.as_table()) {
        ("metrics", Some(table)) => metrics(reader, rest, table),
        ("log", Some(table)) => log(reader, rest, table),
        ("console", Some(table)) => console(reader, rest, table),
        ("metrics" | "log" | "console", None) => {
            reader.note(at, format!("{name} is a section: [{name}]"))
        }
        _ => unknown_section(reader, name, name, at),
    }
}

/// A section that there is not: `last` is the part of its name that stands there.
fn unknown_section(reader: &mut Reader<'_>, name: &str, last: &str, at: Range<usize>) {
    // In quotes it may be a value of a list that is not closed, and that may be a secret.
    if at.len() != last.len() {
        return reader.note(at, "unknown section: write its name without quotes");
    }
    let all = SECTIONS.iter().map(|section| section.name);
    let near = near(
        name,
        all.chain(["metrics", "log", "console"]),
        "hydrant run --example",
    );
    reader.note(at, format!("unknown section {}: {near}", Typed(name)));
}

fn sections(
    reader: &mut Reader<'_>,
    entries: &mut Vec<Entry>,
    section: &'static Section,
    at: Range<usize>,
    item: &Item,
) {
    match item.as_array_of_tables() {
        Some(tables) => {
            let tables = tables.iter().map(|table| reader.entry(section, table));
            entries.extend(tables.collect::<Vec<_>>());
        }
        None => {
            let is_astray = |table: &Table| table.is_implicit() && table.contains_key("output");
            let text = match item.as_table().is_some_and(is_astray) {
                true => ASTRAY.to_owned(),
                false => format!("there may be several of these: write [[{}]]", section.name),
            };
            reader.note(at, text);
            // What else is wrong with it is to be seen at once, too.
            if let Some(table) = item.as_table().filter(|table| !table.is_implicit()) {
                entries.push(reader.entry(section, table));
            }
        }
    }
}

/// The keys for the words of a role's command line; none where it has no section.
pub(super) fn word_keys(role: RoleId) -> Vec<&'static str> {
    let section = SECTIONS.iter().find(|section| section.role == role);
    let words = section.map_or(&[][..], |section| section.words);
    words.iter().map(|(key, _)| *key).collect()
}

/// The folder of a file, from the root on.
fn folder_of(path: &Path) -> PathBuf {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned())
}

/// What can be read of a file that is no text, and where it is none.
fn decode(bytes: &[u8]) -> (String, Vec<Mistake>) {
    let mut text = String::new();
    let mut mistakes = Vec::new();
    let mut is_told = false;
    for chunk in bytes.utf8_chunks() {
        text += chunk.valid();
        // Of each line it is said once.
        is_told &= !chunk.valid().contains('\n');
        if chunk.invalid().is_empty() {
            continue;
        }
        let begin = text.len();
        text.push(char::REPLACEMENT_CHARACTER);
        if !is_told {
            let wrong = "this is not UTF-8: save the file in that encoding";
            mistakes.push(Mistake::new(begin..text.len(), wrong));
        }
        is_told = true;
    }
    (text, mistakes)
}

/// How a file begins that is in UTF-16.
const UTF_16: [&[u8]; 2] = [b"\xff\xfe", b"\xfe\xff"];
/// The longest file that is read.
const SIZE_MAX: u64 = 1 << 20;
