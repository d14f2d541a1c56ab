//! All that is wrong with a section at once: what is wrong is told and put aside, and the rest is looked at again, as
//! if that had its default. What may only come of something that was put aside is not told.

use std::ops::Range;

use super::blame::place_named;
use super::section::{Reader, in_file};
use crate::base::option::Values;
use crate::config::ConfigError;

/// What of a section is still looked at.
pub(super) struct Rounds<'a> {
    pub(super) values: Values,
    pub(super) words: Vec<String>,
    /// Words that are right by themselves and stand for those that are there.
    pub(super) bland: Vec<String>,
    /// Settings that are not known: wrong, or not to be read.
    pub(super) aside: Vec<&'static str>,
    /// What the words are is not known.
    pub(super) are_words_aside: bool,
    /// Where settings stand, by their keys.
    pub(super) places: &'a [(&'static str, Range<usize>)],
    /// Whether a setting that is not there may stand in what can't be read.
    pub(super) may_be: &'a dyn Fn(&str) -> bool,
    /// Makes a role of it, or what else it is for.
    pub(super) build: &'a dyn Fn(&Values, &[String]) -> Made,
    /// Where that stands which names no setting.
    pub(super) place_of: &'a dyn Fn(&ConfigError) -> Range<usize>,
    /// The setting that is at fault where none is named.
    pub(super) unnamed: Option<&'static str>,
}

/// What comes of making it.
type Made = Result<(), ConfigError>;

impl Rounds<'_> {
    /// Notes what is wrong. Whether anything is.
    pub(super) fn note(mut self, reader: &mut Reader<'_>) -> bool {
        let known = reader.mistakes.len();
        let mut told = None;
        let mut are_words_bland = self.words == self.bland;
        // Each round puts a setting aside, or the words.
        for _ in 0..self.values.pairs().len() + 2 {
            let Err(error) = (self.build)(&self.values, &self.words) else {
                break;
            };
            let said = error.discreet();
            let mut named = self.named(&said);
            if named.is_empty() {
                named.extend(self.unnamed);
            }
            // With other words it is the same mistake.
            if !self.is_doubted(&said, &named) && told.as_ref() != Some(&said) {
                self.note_one(reader, &error, &named);
            }
            told = Some(said);
            match named.into_iter().find(|name| self.values.given(name)) {
                Some(name) => {
                    self.values = self.values.without(name);
                    self.aside.push(name);
                }
                None if !are_words_bland => {
                    self.words.clone_from(&self.bland);
                    (are_words_bland, self.are_words_aside) = (true, true);
                }
                None => break,
            }
        }
        reader.mistakes.len() > known
    }

    /// The settings that are named in what is said of flags, in that order.
    fn named(&self, said: &str) -> Vec<&'static str> {
        let opts = flags_in(said).filter_map(|flag| self.values.find(flag));
        opts.map(|opt| opt.name()).collect()
    }

    /// Whether it may come of what was put aside, or can't be read.
    fn is_doubted(&self, said: &str, named: &[&'static str]) -> bool {
        let is_aside = |name: &&str| {
            let is_lost = !self.values.given(name) && (self.may_be)(name);
            self.aside.contains(name) || is_lost
        };
        named.iter().any(is_aside) || self.are_words_aside && is_about_words(said)
    }

    fn note_one(&self, reader: &mut Reader<'_>, error: &ConfigError, named: &[&'static str]) {
        let said = error.discreet();
        let unnamed = || {
            let name = self.unnamed?;
            let place = self.places.iter().find(|(own, _)| *own == name);
            place.map(|(_, at)| at.clone())
        };
        let at = place_named(&said, self.places).or_else(unnamed);
        let at = at.unwrap_or_else(|| (self.place_of)(error));
        let all = match named.first() {
            Some(name) => self.values.all_given(name),
            None => Vec::new(),
        };
        if all.len() < 2 {
            return reader.note(at, in_file(&said));
        }
        // Of several values each may be wrong by itself.
        let mut others: Vec<String> = all
            .iter()
            .filter_map(|given| self.build_with(named[0], given).err())
            .map(|error| error.discreet())
            .filter(|said| self.named(said).first() == Some(&named[0]))
            .collect();
        others.dedup();
        if others.is_empty() {
            others.push(said);
        }
        for said in others {
            reader.note(at.clone(), in_file(&said));
        }
    }

    /// Looks at it with one value for a setting.
    fn build_with(&self, name: &str, given: &str) -> Result<(), ConfigError> {
        let mut values = self.values.without(name);
        let opt = values.find(&format!("--{name}"));
        values.put(opt.expect("it was named by its flag"), given.to_owned());
        (self.build)(&values, &self.words)
    }
}

/// The flags that are named in what is said of them.
pub(in crate::config) fn flags_in(said: &str) -> impl Iterator<Item = &str> {
    let words = said.split(|c: char| c != '-' && !c.is_ascii_lowercase());
    words.filter(|word| word.starts_with("--"))
}

/// Whether what is said depends on what the words are.
pub(in crate::config) fn is_about_words(said: &str) -> bool {
    let words = [
        "SRC", "DST", "ADDR", "TARGET", "LISTEN", "URL", "tls://", BLAND,
    ];
    words.iter().any(|word| said.contains(word))
}

/// A word that is right by itself and is no place that anybody names: one of this machine, so that nothing has to
/// guard it.
pub(in crate::config) fn bland(key: &str, at: usize) -> String {
    match key {
        "url" => format!("ws://{BLAND}{}/", at + 1),
        _ => format!("{BLAND}{}", at + 1),
    }
}

/// How each of them begins, but for its scheme.
const BLAND: &str = "127.191.2.1:";
