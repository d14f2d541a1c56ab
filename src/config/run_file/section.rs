//! The sections of a run file, and what stands in one: settings for the options of a role's table, words, and where
//! each of them stands.

use std::collections::HashMap;
use std::ops::Range;
use std::path::Path;

use toml_edit::{Item, Key, Table, Value};

use super::lost::{Losses, Lost};
use super::mistake::{Lines, Mistake};
use super::value::{Placed, key_place, keys_of, near, place, texts};
use crate::base::option::{Kind, Opt, OptionError, Values};
use crate::base::units::Typed;
use crate::cli::{GLOBALS, ROLES, RoleId};
use crate::config::outputs::{Said, said, slow_key};
use crate::config::{Env, Run, Sheet, relative};
use crate::roles::console::options as console;
use crate::roles::relay::config::Slow;

/// A kind of section.
#[derive(Debug)]
pub(super) struct Section {
    /// Its name, as it stands between the brackets.
    pub(super) name: &'static str,
    /// Which role it is.
    pub(super) role: RoleId,
    /// The keys for what are words on a command line, in their order, and whether there may be several of each.
    pub(super) words: &'static [(&'static str, bool)],
}

/// All sections that are roles.
pub(super) const SECTIONS: &[Section] = &[
    Section {
        name: "relay",
        role: RoleId::Relay,
        words: &[("src", true), ("dst", true)],
    },
    Section {
        name: "hub",
        role: RoleId::HubServe,
        words: &[("listen", false)],
    },
    Section {
        name: "tunnel.serve",
        role: RoleId::TunnelServe,
        words: &[("listen", false)],
    },
    Section {
        name: "tunnel.expose",
        role: RoleId::TunnelExpose,
        words: &[("server", false), ("target", false)],
    },
    Section {
        name: "ws.relay",
        role: RoleId::WsRelay,
        words: &[("listen", false)],
    },
    Section {
        name: "ws.host",
        role: RoleId::WsHost,
        words: &[("url", false), ("target", false)],
    },
    Section {
        name: "ws.client",
        role: RoleId::WsClient,
        words: &[("url", false), ("listen", false)],
    },
];

impl Section {
    /// Its options.
    pub(super) fn options(&self) -> &'static [Opt] {
        let role = ROLES.iter().find(|role| role.id == self.role);
        role.expect("each section is a role").options
    }

    /// The name of a role that has none of its own: as [`Run::word`](crate::config::Run::word).
    pub(super) fn word(&self) -> &'static str {
        match self.role {
            RoleId::HubServe => "hub",
            RoleId::TunnelServe => "tunnel",
            RoleId::WsRelay => "ws",
            _ => self.command(),
        }
    }

    /// What its role is called on the command line.
    pub(super) fn command(&self) -> &'static str {
        let role = ROLES.iter().find(|role| role.id == self.role);
        role.expect("each section is a role").name
    }
}

/// Whether a section of any kind has such a key.
pub(super) fn is_key(name: &str) -> bool {
    let words = SECTIONS.iter().flat_map(|section| section.words);
    let mut words = words.map(|(word, _)| *word).chain(["enabled", "save"]);
    words.any(|own| own == name) || options().any(|opt| opt.name() == name)
}

/// Whether that is a truth.
pub(super) fn is_switch(name: &str) -> bool {
    let is_it = |opt: &Opt| opt.name() == name && opt.is_switch();
    ["enabled", "save"].contains(&name) || options().any(is_it)
}

/// The options of all sections.
fn options() -> impl Iterator<Item = &'static Opt> {
    let roles = SECTIONS.iter().flat_map(Section::options);
    roles.chain(GLOBALS).chain(console::OPTIONS)
}

/// What stands in one section.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) section: &'static Section,
    /// Where it begins.
    pub(super) header: Range<usize>,
    pub(super) values: Values,
    pub(super) words: Vec<Word>,
    /// The parts of `src` where it is a list, which is one word.
    pub(super) sources: Vec<Placed>,
    /// Where settings stand, by their keys: the value's place.
    pub(super) places: Vec<(&'static str, Range<usize>)>,
    /// What `[[relay.output]]` says of its own: which of the words it is, and `--slow`.
    pub(super) slows: Vec<(usize, String)>,
    /// Settings whose values are wrong by themselves, and are left out.
    pub(super) bad: Vec<&'static str>,
    /// It is to run.
    pub(super) is_enabled: bool,
    /// Nothing in it was wrong by itself.
    pub(super) is_sound: bool,
    /// What may stand there, too, where it can't be read.
    pub(super) lost: Lost,
}

/// What stands for a word of a command line.
#[derive(Debug)]
pub(super) struct Word {
    pub(super) key: &'static str,
    /// What it means: a relative path is a whole one, and `fd:NAME` the place where that socket listens.
    pub(super) text: String,
    /// As the file has it, but for `fd:NAME`.
    pub(super) typed: String,
    /// Where it stands.
    pub(super) at: Range<usize>,
}

impl Entry {
    /// Where a setting stands; where the section begins if it is not there.
    pub(super) fn place_of(&self, key: &str) -> Range<usize> {
        let place = self.places.iter().find(|(name, _)| *name == key);
        place.map_or_else(|| self.header.clone(), |(_, at)| at.clone())
    }

    /// The name that it has: its own, or the word for what it is.
    pub(super) fn name(&self) -> String {
        let own = self.values.text("name").ok().flatten();
        own.unwrap_or_else(|| self.section.word().to_owned())
    }

    /// What it says, as a command line would. `run` is what that makes.
    pub(super) fn sheet(&self, run: &Run) -> Sheet {
        let words = self.words.iter().map(|word| (word.key, word.text.as_str()));
        let words: Vec<(&str, &str)> = words.collect();
        let typed = self
            .words
            .iter()
            .map(|word| (word.key, word.typed.as_str()));
        let typed: Vec<(&str, &str)> = typed.collect();
        // A shell stands in any folder, and a page changes what the file has.
        let mut sheet = Sheet::new(self.section.role, &words, &self.values);
        if words != typed {
            sheet.fields = Sheet::new(self.section.role, &typed, &self.values).fields;
        }
        let Run::Relay(plain) = run else {
            return sheet;
        };
        let own = self.slows.iter().map(|(at, word)| {
            // The first word is SRC.
            (at.saturating_sub(1), typed[*at].1, Slow::of(word))
        });
        let own: Vec<_> = own.collect();
        match said(plain, &own) {
            Said::AsItIs => {}
            Said::Not(fields) => sheet.unsaid = fields,
            Said::ByFlag(slow) => {
                let mut values = self.values.clone();
                let opt = values.find("--slow").expect("the relay has it");
                values.put(opt, slow.word().to_owned());
                sheet.command = Sheet::new(self.section.role, &words, &values).command;
            }
        }
        let fields = own.iter();
        sheet
            .fields
            .extend(fields.map(|(_, dst, slow)| (slow_key(dst), slow.word().to_owned())));
        sheet
    }

    /// The words alone, for what builds orders out of them.
    pub(super) fn plain_words(&self) -> Vec<String> {
        self.words.iter().map(|word| word.text.clone()).collect()
    }
}

/// Reads sections, and notes what is wrong in them.
pub(super) struct Reader<'a> {
    /// The folder from which paths start that are not absolute.
    pub(super) folder: &'a Path,
    /// What is found around the file.
    pub(super) env: &'a Env,
    pub(super) lines: Lines,
    /// Listening sockets that `fd:NAME` has named, and on which line.
    pub(super) sockets: HashMap<String, usize>,
    /// What of the file can't be read.
    pub(super) losses: Losses,
    pub(super) mistakes: Vec<Mistake>,
}

impl Reader<'_> {
    pub(super) fn note(&mut self, at: Range<usize>, text: impl Into<String>) {
        self.mistakes.push(Mistake::new(at, text));
    }

    /// Reads the section of a role.
    pub(super) fn entry(&mut self, section: &'static Section, table: &Table) -> Entry {
        let header = table.span().unwrap_or_default();
        let mut entry = Entry {
            section,
            lost: self.losses.under(header.start),
            header,
            values: Values::new(vec![section.options(), GLOBALS]),
            words: Vec::new(),
            sources: Vec::new(),
            places: Vec::new(),
            slows: Vec::new(),
            bad: Vec::new(),
            is_enabled: true,
            is_sound: true,
        };
        let known = self.mistakes.len();
        for (key, item) in keys_of(table) {
            let name = key.get();
            let word = section.words.iter().find(|(word, _)| *word == name);
            let opt = section.options().iter().find(|opt| opt.name() == name);
            if let Some((word, many)) = word {
                self.words(&mut entry, word, *many, item);
            } else if let Some(opt) = opt {
                let known = self.mistakes.len();
                self.setting(&mut entry.values, opt, item);
                if self.mistakes.len() > known {
                    entry.bad.push(opt.name());
                }
                entry.places.push((opt.name(), place(item)));
            } else if name == "enabled" {
                entry.is_enabled = self.truth(name, item).unwrap_or(true);
            } else if name != "output" || section.role != RoleId::Relay {
                self.unknown_key(section, key);
            }
        }
        // In the order of the command line, whatever the order of the file.
        let order = |key: &str| section.words.iter().position(|(word, _)| *word == key);
        entry.words.sort_by_key(|word| order(word.key));
        if section.role == RoleId::Relay
            && let Some(outputs) = table.get("output")
        {
            self.outputs(&mut entry, outputs);
        }
        entry.is_sound = self.mistakes.len() == known && entry.lost.is_nothing();
        entry
    }

    /// What no flag stands for: a truth.
    pub(super) fn truth(&mut self, name: &str, item: &Item) -> Option<bool> {
        let truth = item.as_bool();
        if truth.is_none() {
            self.note(place(item), format!("{name} is true or false"));
        }
        truth
    }

    /// `[[relay.output]]`: one more DST each, with a policy of its own.
    fn outputs(&mut self, entry: &mut Entry, item: &Item) {
        let Some(tables) = item.as_array_of_tables() else {
            return self.note(place(item), "output is a section: [[relay.output]]");
        };
        let slow = entry
            .section
            .options()
            .iter()
            .find(|opt| opt.name() == "slow");
        let slow = slow.expect("the relay has it");
        for table in tables {
            let (index, known) = (entry.words.len(), self.mistakes.len());
            let mut own = None;
            for (key, item) in keys_of(table) {
                match key.get() {
                    "dst" => self.words(entry, "dst", false, item),
                    "slow" => {
                        let mut values = Values::new(vec![entry.section.options()]);
                        self.setting(&mut values, slow, item);
                        own = values.choice("slow").ok().flatten().map(str::to_owned);
                    }
                    name => {
                        let near = near(name, ["dst", "slow"].into_iter(), "dst and slow");
                        let text = format!("unknown key {} of an output: {near}", Typed(name));
                        self.note(key_place(key), text);
                    }
                }
            }
            // Without a place of its own it would be that of another one.
            if entry.words.len() > index {
                entry.slows.extend(own.map(|slow| (index, slow)));
            }
            let header = table.span().unwrap_or_default();
            let is_lost = self.losses.under(header.start).may_be("dst");
            if entry.words.len() == index && self.mistakes.len() == known && !is_lost {
                self.note(header, "an output needs a dst");
            }
        }
    }

    fn unknown_key(&mut self, section: &Section, key: &Key) {
        let name = key.get();
        let words = section.words.iter().map(|(word, _)| *word);
        let all = words.chain(section.options().iter().map(Opt::name));
        let see = format!("hydrant {} --help", section.command());
        let near = near(name, all.chain(["enabled"]), &see);
        self.note(
            key_place(key),
            format!("unknown key {} of {}: {near}", Typed(name), section.name),
        );
    }

    /// A value of an option.
    pub(super) fn setting(&mut self, values: &mut Values, opt: &'static Opt, item: &Item) {
        let name = opt.name();
        if opt.is_switch() {
            return match item.as_value() {
                Some(Value::Boolean(on)) if !*on.value() => {}
                Some(Value::Boolean(_)) => values.put(opt, String::new()),
                // `verbose = 2` is `-vv`.
                Some(Value::Integer(times)) if (1..=2).contains(times.value()) => {
                    (0..*times.value()).for_each(|_| values.put(opt, String::new()));
                }
                _ => self.note(place(item), format!("{name} is true or false")),
            };
        }
        let given = match texts(item, opt.many) {
            Ok(given) => given,
            Err((at, text)) => return self.note(at, format!("{name}: {text}")),
        };
        for (mut text, at) in given {
            if let Kind::Path { .. } = opt.kind
                && !text.is_empty()
            {
                let is_relative = Path::new(&text).is_relative();
                let fault = relative::fault(self.folder, name).filter(|_| is_relative);
                if let Some(fault) = fault {
                    self.note(at, format!("{name}: {fault}"));
                    continue;
                }
                text = self.folder.join(&text).to_string_lossy().into_owned();
            }
            match opt.read(&text) {
                Ok(_) => values.put(opt, text),
                // Whoever took the key for another one wrote a secret there.
                Err(OptionError::Control { .. }) if matches!(opt.kind, Kind::Path { .. }) => {
                    self.note(at, format!("{name}: a path has no control characters"));
                }
                Err(error) => self.note(at, in_file(&error.to_string())),
            }
        }
    }
}

/// What is said about a command line, as it is said about a file: keys have no dashes, and words small letters. What
/// stands in quotes, or in the middle of something else, was typed so.
pub(crate) fn in_file(text: &str) -> String {
    let mut told = String::new();
    let mut is_quoted = false;
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        is_quoted ^= c == '"';
        let is_start = !is_quoted && !told.ends_with(is_inner);
        let ends = |at: usize| !rest[at..].starts_with(|c: char| c.is_alphanumeric() || c == '_');
        let word = WORDS
            .iter()
            .find(|(word, _)| rest.starts_with(word) && ends(word.len()));
        let flag = rest.strip_prefix("--");
        let flag = flag.filter(|flag| flag.starts_with(|c: char| c.is_ascii_lowercase()));
        match (word, flag) {
            (Some((word, key)), _) if is_start => {
                told += key;
                rest = &rest[word.len()..];
            }
            (_, Some(flag)) if is_start => rest = flag,
            _ => {
                told.push(c);
                rest = &rest[c.len_utf8()..];
            }
        }
    }
    told
}

/// Whether something goes on that has begun: a path, a host, a number.
fn is_inner(c: char) -> bool {
    c.is_alphanumeric() || "/._-".contains(c)
}

/// Words of command lines, and their keys.
const WORDS: [(&str, &str); 6] = [
    ("SRC", "src"),
    ("DST", "dst"),
    ("ADDR", "listen"),
    ("TARGET", "target"),
    ("LISTEN", "listen"),
    ("URL", "url"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_section_is_a_role_whose_words_it_has() {
        for section in SECTIONS {
            assert!(!section.options().is_empty(), "{section:?}");
            for (word, _) in section.words {
                let clash = section.options().iter().any(|opt| opt.name() == *word);
                assert!(!clash, "{word} is an option too");
            }
        }
    }

    #[test]
    fn what_is_said_of_flags_is_said_of_keys() {
        let cases = [
            ("--retry: x is no wait", "retry: x is no wait"),
            ("SRC -- and --mode a", "src -- and mode a"),
            ("--", "--"),
            (
                "--tokens /x/--y/URL.txt: no URL",
                "tokens /x/--y/URL.txt: no url",
            ),
            ("\"a --b DST\" is no DST", "\"a --b DST\" is no dst"),
        ];
        for (said, told) in cases {
            assert_eq!(in_file(said), told);
        }
    }
}
