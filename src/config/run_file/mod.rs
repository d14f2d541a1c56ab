//! The run file: many roles in one process, in TOML. Every mistake in it is found, and told with its place.
//!
//! ```text
//!   text ──toml_edit──> section.rs: settings and words, each with its place
//!                          │ the same builders as for a command line
//!                          v
//!                       Members ──clashes.rs: names, places to listen, standard streams──> RunFile
//! ```

mod blame;
mod clashes;
mod edit;
mod example;
mod foresight;
mod mistake;
mod rest;
mod secrets;
mod section;

use std::collections::HashMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use toml_edit::{Document, Item};

use self::blame::{blame, listens_alone};
pub use self::edit::{Edit, enabled};
pub use self::example::example;
pub use self::mistake::Mistake;
use self::mistake::{Lines, SHOWN_MAX, show};
use self::rest::{Rest, console, log, metrics};
use self::section::{Entry, Reader, SECTIONS, Section, key_place, keys_of, near};
use crate::base::endpoint::Endpoint;
use crate::base::units::{Count, Typed};
use crate::cli::RoleId;
use crate::config::files::read_small;
use crate::config::{ConfigError, Env, FileFault, Globals, Member, Run, build};
use crate::roles::relay::config::{RelayConfig, Slow};

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
        RunFile::read(&self.path)
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
        let text = Self::read(path)?;
        Self::of(path, text, flags, env)
    }

    fn read(path: &Path) -> Result<String, ConfigError> {
        let name = path.to_string_lossy();
        let unreadable = |fault| ConfigError::File {
            flag: "the run file",
            path: path.to_owned(),
            fault,
        };
        let (bytes, _) = read_small(path, SIZE_MAX).map_err(unreadable)?;
        String::from_utf8(bytes).map_err(|error| {
            let at = error.utf8_error().valid_up_to();
            let text = String::from_utf8_lossy(error.as_bytes());
            let wrong = Mistake::new(at..at + 1, "this is not UTF-8");
            Self::shown(&name, &text, vec![wrong])
        })
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
        let folder = path.parent().unwrap_or(Path::new(""));
        match Self::parse(&text, folder, flags, env) {
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
        let document = Document::parse(text).map_err(|error| {
            let at = error.span().unwrap_or_default();
            let said = error.message().lines().collect::<Vec<_>>().join(", ");
            vec![Mistake::new(at, said)]
        })?;
        let mut reader = Reader {
            folder,
            env,
            lines: Lines::of(text),
            sockets: HashMap::new(),
            mistakes: Vec::new(),
        };
        let mut rest = Rest::new(flags);
        let mut entries = Vec::new();
        for (key, item) in keys_of(document.as_table()) {
            top(
                &mut reader,
                &mut entries,
                &mut rest,
                key.get(),
                key_place(key),
                item,
            );
        }
        if entries.is_empty() && reader.mistakes.is_empty() {
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
        clashes::note(&mut reader, &crew, &rest.watchers);
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
                None => unknown_section(reader, &whole, key_place(key)),
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
        _ => unknown_section(reader, name, at),
    }
}

fn unknown_section(reader: &mut Reader<'_>, name: &str, at: Range<usize>) {
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
        None => reader.note(
            at,
            format!("there may be several of these: write [[{}]]", section.name),
        ),
    }
}

/// The keys for the words of a role's command line; none where it has no section.
pub(super) fn word_keys(role: RoleId) -> Vec<&'static str> {
    let section = SECTIONS.iter().find(|section| section.role == role);
    let words = section.map_or(&[][..], |section| section.words);
    words.iter().map(|(key, _)| *key).collect()
}

/// What stands in a section, and the role that it makes if nothing is wrong.
struct Draft {
    entry: Entry,
    member: Option<Member>,
    /// Where it listens, and where that stands.
    listens: Vec<(Endpoint, Range<usize>)>,
}

/// Makes roles of what stands in their sections.
fn crew(reader: &mut Reader<'_>, entries: Vec<Entry>) -> Vec<Draft> {
    let env = reader.env;
    let mut crew: Vec<Draft> = Vec::new();
    let mut names = HashMap::new();
    for entry in entries {
        clashes::note_name(reader, &mut names, &entry);
        let words = entry.section.words.iter().map(|(word, _)| *word);
        let missing: Vec<&str> = words.filter(|word| lacks(&entry, word)).collect();
        for word in &missing {
            let text = format!("this {} has no {word}", entry.section.name);
            reader.note(entry.header.clone(), text);
        }
        let words = entry.plain_words();
        let built = match missing.is_empty() {
            true => build(entry.section.role, &entry.values, &words, env).map(Some),
            false => Ok(None),
        };
        let member = match built {
            Ok(Some((run, certificates))) => {
                let mut member = Member::alone(run, certificates);
                member.sheet = Some(entry.sheet(&member.run));
                quieten(&mut member.run, &entry.slows);
                member.is_enabled = entry.is_enabled;
                Some(member)
            }
            Ok(None) => None,
            Err(error) => {
                blame(reader, &entry, env, &error);
                None
            }
        };
        let listens = match &member {
            Some(member) => clashes::places(&entry, &member.run),
            None => listens_alone(&entry, env),
        };
        crew.push(Draft {
            entry,
            member,
            listens,
        });
    }
    crew
}

/// Whether a word is missing. A service is not needed where there is an echo.
fn lacks(entry: &Entry, word: &str) -> bool {
    let echoes = entry.section.role == RoleId::TunnelExpose && entry.values.given("echo");
    let has = entry.words.iter().any(|(key, ..)| *key == word);
    !(has || word == "target" && echoes)
}

/// In a process of many, nobody's address is for stdout; and an output has the policy that it says.
fn quieten(run: &mut Run, slows: &[(usize, String)]) {
    match run {
        Run::Relay(relay) => slows
            .iter()
            .for_each(|(index, word)| set_slow(relay, *index, word)),
        Run::TunnelExpose(expose) => expose.prints = false,
        _ => {}
    }
}

fn set_slow(relay: &mut RelayConfig, index: usize, word: &str) {
    // The first word is SRC.
    let output = index
        .checked_sub(1)
        .and_then(|at| relay.outputs.get_mut(at));
    if let Some(output) = output {
        output.slow = Slow::of(word);
    }
}

/// The longest file that is read.
const SIZE_MAX: u64 = 1 << 20;
