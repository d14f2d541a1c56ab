//! The sections that are no roles: `[console]`, `[metrics]`, `[log]`, and what the command line says beside the file.

use std::ops::Range;

use toml_edit::Table;

use super::blame::place_named;
use super::rounds::Rounds;
use super::section::{Reader, in_file};
use super::value::{key_place, keys_of, near, place, texts};
use crate::base::endpoint::Endpoint;
use crate::base::option::{Opt, Values};
use crate::base::units::Typed;
use crate::cli::{GLOBALS, RoleId};
use crate::config::{ConfigError, Env, Globals, console_of, faults};
use crate::roles::console::config::ConsoleConfig;
use crate::roles::console::options as console_options;

/// What is no role.
pub(super) struct Rest<'a> {
    pub(super) values: Values,
    flags: &'a [(&'static str, String)],
    /// Where those listen who only watch, and where that stands.
    pub(super) watchers: Vec<(Endpoint, Range<usize>)>,
    /// `--metrics` of the command line, which wins over the file's.
    pub(super) flagged: Option<Endpoint>,
    pub(super) console: Option<ConsoleConfig>,
    /// What is changed on its page is written into the file.
    pub(super) saves: bool,
    /// Where the settings of `[log]` stand, by their keys.
    places: Vec<(&'static str, Range<usize>)>,
}

impl<'a> Rest<'a> {
    pub(super) fn new(flags: &'a [(&'static str, String)]) -> Self {
        let mut flagged = flags.iter().rev().filter(|(flag, _)| *flag == "--metrics");
        Self {
            values: Values::new(vec![GLOBALS]),
            flags,
            watchers: Vec::new(),
            flagged: flagged.find_map(|(_, given)| Endpoint::plain(given).ok()),
            console: None,
            saves: false,
            places: Vec::new(),
        }
    }

    /// Where a setting of `[log]` stands.
    pub(super) fn place_of(&self, key: &str) -> Option<Range<usize>> {
        let place = self.places.iter().find(|(name, _)| *name == key);
        place.map(|(_, at)| at.clone())
    }

    pub(super) fn globals(&mut self, reader: &mut Reader<'_>) -> Globals {
        for (flag, given) in self.flags {
            if let Some(opt) = self.values.find(flag) {
                self.values.put(opt, given.clone());
            }
        }
        match Globals::from_values(&self.values) {
            Ok(globals) => globals,
            Err(ConfigError::QuietAndVerbose) => {
                let places = ["quiet", "verbose"].map(|key| self.place_of(key));
                let at = places.into_iter().flatten().next().unwrap_or_default();
                reader.note(at, "quiet and verbose contradict each other: leave one out");
                Globals::default()
            }
            Err(error) => {
                let said = error.to_string();
                let at = place_named(&said, &self.places).unwrap_or_default();
                reader.note(at, in_file(&said));
                Globals::default()
            }
        }
    }
}

/// `[metrics]`.
pub(super) fn metrics(reader: &mut Reader<'_>, rest: &mut Rest<'_>, table: &Table) {
    let opt = GLOBALS.iter().find(|opt| opt.name() == "metrics");
    let opt = opt.expect("it is one of the global options");
    for (key, item) in keys_of(table) {
        if key.get() != "listen" {
            let near = near(key.get(), ["listen"].into_iter(), "listen");
            reader.note(
                key_place(key),
                format!("unknown key {} of metrics: {near}", Typed(key.get())),
            );
            continue;
        }
        match texts(item, false) {
            Err((at, text)) => reader.note(at, format!("listen: {text}")),
            Ok(given) => {
                let given = given.into_iter().next().expect("one text");
                let placed = reader.listen_place(&given);
                let (_, at) = given;
                let text = match placed {
                    Ok(text) => text,
                    Err(text) => {
                        reader.note(at, text);
                        continue;
                    }
                };
                match Endpoint::plain(&text) {
                    Ok(endpoint) => {
                        if rest.flagged.is_none() {
                            rest.watchers.push((endpoint, at));
                        }
                        rest.values.put(opt, text);
                    }
                    Err(error) => reader.note(at, error.to_string()),
                }
            }
        }
    }
    let header = table.span().unwrap_or_default();
    if table.is_empty() && !reader.losses.under(header.start).may_be("listen") {
        reader.note(header, "metrics needs listen");
    }
}

/// `[console]`: the page in front of all of them.
pub(super) fn console(reader: &mut Reader<'_>, rest: &mut Rest<'_>, table: &Table) {
    let header = table.span().unwrap_or_default();
    let losses = reader.losses.under(header.start);
    let known = reader.mistakes.len();
    let Said {
        values,
        places,
        bad,
    } = said_of_console(reader, rest, table);
    let bind = place_named("--bind", &places).unwrap_or(header);
    let is_sound = reader.mistakes.len() == known && losses.is_nothing();
    let error = match console_of(&values, reader.env) {
        Ok(config) if is_sound => {
            rest.watchers.push((config.bind.clone(), bind));
            rest.console = Some(config);
            return;
        }
        Ok(_) => None,
        Err(error) => Some(error),
    };
    for fault in faults::of_files(RoleId::Console, &values) {
        let flag = fault.file_flag().unwrap_or_default();
        let place = places
            .iter()
            .find(|(name, _)| flag.strip_prefix("--") == Some(*name));
        let at = place.map_or_else(|| bind.clone(), |(_, at)| at.clone());
        reader.note(at, in_file(&fault.discreet()));
    }
    let dry = Env {
        is_dry: true,
        ..reader.env.clone()
    };
    let rounds = Rounds {
        values,
        words: Vec::new(),
        bland: Vec::new(),
        aside: bad,
        are_words_aside: false,
        places: &places,
        may_be: &|key| losses.may_be(key),
        build: &|values, _| console_of(values, &dry).map(|_| ()),
        place_of: &|_| bind.clone(),
        unnamed: Some("bind"),
    };
    rounds.note(reader);
    if let Some(error) = error.filter(|_| is_sound && reader.mistakes.len() == known) {
        // What only its files show when they are read for good.
        let said = error.discreet();
        let at = place_named(&said, &places).unwrap_or(bind);
        reader.note(at, in_file(&said));
    }
}

/// What `[console]` says.
struct Said {
    values: Values,
    /// Where its settings stand, by their keys.
    places: Vec<(&'static str, Range<usize>)>,
    /// Those that are wrong.
    bad: Vec<&'static str>,
}

fn said_of_console(reader: &mut Reader<'_>, rest: &mut Rest<'_>, table: &Table) -> Said {
    let mut values = Values::new(vec![console_options::OPTIONS]);
    let (mut places, mut bad) = (Vec::new(), Vec::new());
    let all = || {
        let own = console_options::OPTIONS.iter();
        own.filter(|opt| !NOT_IN_FILE.contains(&opt.name()))
    };
    for (key, item) in keys_of(table) {
        match all().find(|opt| opt.name() == key.get()) {
            Some(opt) => {
                places.push((opt.name(), place(item)));
                let known = reader.mistakes.len();
                reader.setting(&mut values, opt, item);
                if reader.mistakes.len() > known {
                    bad.push(opt.name());
                }
            }
            None if key.get() == "save" => rest.saves = reader.truth("save", item).unwrap_or(false),
            None => {
                let names = all().map(Opt::name).chain(["save"]);
                let near = near(key.get(), names, "hydrant console --help");
                let name = Typed(key.get()).to_string();
                reader.note(
                    key_place(key),
                    format!("unknown key {name} of console: {near}"),
                );
            }
        }
    }
    Said {
        values,
        places,
        bad,
    }
}

/// `[log]`.
pub(super) fn log(reader: &mut Reader<'_>, rest: &mut Rest<'_>, table: &Table) {
    for (key, item) in keys_of(table) {
        let opt = GLOBALS.iter().find(|opt| opt.name() == key.get());
        match opt.filter(|opt| LOG.contains(&opt.name())) {
            Some(opt) => {
                reader.setting(&mut rest.values, opt, item);
                rest.places.push((opt.name(), place(item)));
            }
            None => {
                let near = near(key.get(), LOG.iter().copied(), &LOG.join(", "));
                let name = Typed(key.get()).to_string();
                reader.note(key_place(key), format!("unknown key {name} of log: {near}"));
            }
        }
    }
}

/// Options of the console that make no sense where its relays come from a file.
const NOT_IN_FILE: &[&str] = &["no-browser", "import"];
/// The options that `[log]` has.
const LOG: &[&str] = &["log-file", "verbose", "quiet"];

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::base::secret::Secret;
    use crate::config::{Env, RunFile};

    #[test]
    fn the_environment_s_token_guards_the_console() {
        let text = "[[relay]]\nsrc = 1\ndst = 0\n[console]\nbind = \"127.0.0.1:7700\"\n";
        let token = Secret::from(b"0123456789abcdef0123".to_vec());
        let env = Env {
            token: Some(token.clone()),
            ..Env::default()
        };
        let file = RunFile::parse(text, Path::new("/"), &[], &env).expect("it is right");
        let globals = file.globals;
        assert_eq!(globals.console.expect("it is there").token, Some(token));
        let file = RunFile::parse(text, Path::new("/"), &[], &Env::default());
        let globals = file.expect("it is right").globals;
        assert_eq!(globals.console.expect("it is there").token, None);
    }
}
