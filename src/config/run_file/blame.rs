//! Whose fault it is that a section makes no role: a word that is wrong by itself, or a setting that the error names.

use std::ops::Range;

use super::section::{Entry, Reader, in_file};
use crate::base::endpoint::Endpoint;
use crate::base::option::Values;
use crate::cli::GLOBALS;
use crate::config::{ConfigError, Env, Run, build};

/// Finds what of a section is wrong: a word that is wrong by itself, or a setting that the error names.
pub(super) fn blame(reader: &mut Reader<'_>, entry: &Entry, env: &Env, error: &ConfigError) {
    let mut found = !entry.is_sound;
    for (at, (key, word, place)) in entry.words.iter().enumerate() {
        let parts = if *key == "src" {
            &entry.sources[..]
        } else {
            &[]
        };
        let part = |part: &&(String, Range<usize>)| build_alone(entry, env, at, &part.0).is_err();
        // Of a list, the first part that is wrong by itself.
        let (word, place) = parts
            .iter()
            .find(part)
            .map_or((word, place), |it| (&it.0, &it.1));
        if let Err(error) = build_alone(entry, env, at, word) {
            let said = in_file(&error.discreet());
            let text = match said.starts_with(key) {
                true => said,
                false => format!("{key}: {said}"),
            };
            reader.note(place.clone(), text);
            found = true;
        }
    }
    // What is wrong with the whole may well be what was wrong with a part.
    if found {
        return;
    }
    let said = error.discreet();
    let at = place_named(&said, &entry.places)
        .or_else(|| place_meant(entry, error))
        .unwrap_or_else(|| entry.header.clone());
    reader.note(at, in_file(&said));
}

/// Where the setting stands that is named first in what is said of flags.
pub(super) fn place_named(
    said: &str,
    places: &[(&'static str, Range<usize>)],
) -> Option<Range<usize>> {
    let place_in = |name: &str| {
        let flag = format!("--{name}");
        let at = said.find(&flag)?;
        let rest = &said[at + flag.len()..];
        let is_it = !rest.starts_with(|c: char| c.is_ascii_lowercase() || c == '-');
        is_it.then_some(at)
    };
    let named = places
        .iter()
        .filter_map(|(name, at)| Some((place_in(name)?, at)));
    let first = named.min_by_key(|(at, _)| *at);
    first.map(|(_, at)| at.clone())
}

/// Where the word stands that an error means: the last that means the place that two want.
fn place_meant(entry: &Entry, error: &ConfigError) -> Option<Range<usize>> {
    let ConfigError::Relay(error) = error else {
        return None;
    };
    let wanted = error.place_wanted()?;
    let is_it = |word: &str| {
        let ends = ["wss://", "ws://", "tls://"];
        let plain = word.strip_prefix("listen:").unwrap_or(word);
        let plain = ends
            .iter()
            .find_map(|end| plain.strip_prefix(end))
            .unwrap_or(plain);
        let plain = plain.trim_end_matches('/').parse::<Endpoint>();
        plain.is_ok_and(|at| at.overlaps(wanted))
    };
    let mut words = entry.words.iter().rev();
    let meant = words.find(|(key, word, _)| *key == "dst" && is_it(word));
    meant.map(|(.., at)| at.clone())
}

/// Builds the role with one of its words, in the company of others that are right, and without any setting but those
/// that say how words are read.
fn build_alone(entry: &Entry, env: &Env, at: usize, word: &str) -> Result<Run, ConfigError> {
    let options = entry.section.options();
    let mut values = Values::new(vec![options, GLOBALS]);
    for name in ["mode", "no-auth", "echo"] {
        if let Some(opt) = options.iter().find(|opt| opt.name() == name) {
            let given = entry.values.all_given(name).into_iter();
            given.for_each(|given| values.put(opt, given));
        }
    }
    // Tokens would be read from their file; here it only matters that there are some.
    if entry.places.iter().any(|(name, _)| *name == "tokens")
        && let Some(opt) = options.iter().find(|opt| opt.name() == "no-auth")
    {
        values.put(opt, String::new());
    }
    let count = entry.section.words.len();
    let key = &entry.words[at].0;
    let own = entry.section.words.iter().position(|(name, _)| name == key);
    let words: Vec<String> = (0..count)
        .map(
            |place| match (Some(place) == own, entry.section.words[place].0) {
                (true, _) => word.to_owned(),
                (false, "url") => format!("ws://{}/", ELSEWHERE[0]),
                (false, _) => ELSEWHERE[place % 2].to_owned(),
            },
        )
        .collect();
    match build(entry.section.role, &values, &words, env) {
        // Certificates are settings, which are left out here.
        Err(ConfigError::CertificateFiles(_)) => {
            let plain = words
                .iter()
                .map(|word| word.replace("tls://", "").replace("wss://", "ws://"))
                .collect::<Vec<_>>();
            build(entry.section.role, &values, &plain, env).map(|(run, _)| run)
        }
        built => built.map(|(run, _)| run),
    }
}

/// Where a section that makes no role would listen, as far as its words say.
pub(super) fn listens_alone(entry: &Entry, env: &Env) -> Vec<(Endpoint, Range<usize>)> {
    let mut listens = Vec::new();
    for (at, (_, word, place)) in entry.words.iter().enumerate() {
        let Ok(run) = build_alone(entry, env, at, word) else {
            continue;
        };
        let places = run.listens().into_iter().cloned();
        let real = places.filter(|at| !ELSEWHERE.contains(&at.to_string().as_str()));
        listens.extend(real.map(|at| (at, place.clone())));
    }
    listens
}

/// Places that stand for words which are not looked at (RFC 5737, for documentation).
const ELSEWHERE: [&str; 2] = ["192.0.2.1:1", "192.0.2.1:2"];
