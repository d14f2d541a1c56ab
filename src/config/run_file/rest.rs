//! The sections that are no roles: `[console]`, `[metrics]`, `[log]`, and what the command line says beside the file.

use std::ops::Range;

use toml_edit::Table;

use super::section::{Reader, in_file, key_place, keys_of, near, place, texts};
use crate::base::endpoint::Endpoint;
use crate::base::option::{Opt, Values};
use crate::base::units::Typed;
use crate::cli::GLOBALS;
use crate::config::{Globals, console_of};
use crate::roles::console::config::ConsoleConfig;
use crate::roles::console::options as console_options;

/// What is no role.
pub(super) struct Rest<'a> {
    pub(super) values: Values,
    flags: &'a [(&'static str, String)],
    /// Where those listen who only watch, and where that stands.
    pub(super) watchers: Vec<(Endpoint, Range<usize>)>,
    pub(super) console: Option<ConsoleConfig>,
}

impl<'a> Rest<'a> {
    pub(super) fn new(flags: &'a [(&'static str, String)]) -> Self {
        Self {
            values: Values::new(vec![GLOBALS]),
            flags,
            watchers: Vec::new(),
            console: None,
        }
    }

    pub(super) fn globals(&mut self, reader: &mut Reader<'_>) -> Globals {
        for (flag, given) in self.flags {
            if let Some(opt) = self.values.find(flag) {
                self.values.put(opt, given.clone());
            }
        }
        match Globals::from_values(&self.values) {
            Ok(globals) => globals,
            Err(error) => {
                reader.note(0..0, in_file(&error.to_string()));
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
                let (text, at) = given.into_iter().next().expect("one text");
                let text = match reader.place_passed("listen", text) {
                    Ok(text) => text,
                    Err(text) => {
                        reader.note(at, text);
                        continue;
                    }
                };
                match Endpoint::plain(&text) {
                    Ok(endpoint) => {
                        rest.watchers.push((endpoint, at));
                        rest.values.put(opt, text);
                    }
                    Err(error) => reader.note(at, error.to_string()),
                }
            }
        }
    }
    if table.is_empty() {
        reader.note(table.span().unwrap_or_default(), "metrics needs listen");
    }
}

/// `[console]`: the page in front of all of them.
pub(super) fn console(reader: &mut Reader<'_>, rest: &mut Rest<'_>, table: &Table) {
    let mut values = Values::new(vec![console_options::OPTIONS]);
    let mut bind = table.span().unwrap_or_default();
    let known = reader.mistakes.len();
    let mut saves = false;
    let all = || {
        let own = console_options::OPTIONS.iter();
        own.filter(|opt| !NOT_IN_FILE.contains(&opt.name()))
    };
    for (key, item) in keys_of(table) {
        match all().find(|opt| opt.name() == key.get()) {
            Some(opt) => {
                if opt.name() == "bind" {
                    bind = place(item);
                }
                reader.setting(&mut values, opt, item);
            }
            None if key.get() == "save" => saves = reader.truth("save", item).unwrap_or(false),
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
    if reader.mistakes.len() > known {
        return;
    }
    match console_of(&values) {
        Ok(config) => {
            rest.watchers.push((config.bind.clone(), bind));
            rest.console = Some(ConsoleConfig { saves, ..config });
        }
        Err(error) => reader.note(bind, in_file(&error.discreet())),
    }
}

/// `[log]`.
pub(super) fn log(reader: &mut Reader<'_>, rest: &mut Rest<'_>, table: &Table) {
    for (key, item) in keys_of(table) {
        let opt = GLOBALS.iter().find(|opt| opt.name() == key.get());
        match opt.filter(|opt| LOG.contains(&opt.name())) {
            Some(opt) => reader.setting(&mut rest.values, opt, item),
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
