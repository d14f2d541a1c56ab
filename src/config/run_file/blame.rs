//! Whose fault it is that a section makes no role: a word that is wrong by itself, or a setting that the error names.

use std::ops::Range;

use super::rounds::{self, Rounds};
use super::section::{Entry, Reader, in_file};
use crate::base::endpoint::Endpoint;
use crate::base::option::{Kind, Values};
use crate::base::secret::addresses;
use crate::cli::{GLOBALS, RoleId};
use crate::config::{ConfigError, Env, Run, build, faults};

/// Notes all that is wrong with a section. `error`: what was met first, where it was complete.
pub(super) fn blame(
    reader: &mut Reader<'_>,
    entry: &Entry,
    env: &Env,
    error: Option<&ConfigError>,
) {
    let known = reader.mistakes.len();
    let wrong_words = blame_words(reader, entry, env);
    let files = match env.is_dry {
        true => Vec::new(),
        false => faults::of_files(entry.section.role, &entry.values),
    };
    for fault in files {
        let said = fault.discreet();
        let flag = fault.file_flag().unwrap_or_default();
        let at = entry.place_of(flag.trim_start_matches('-'));
        reader.note(at, in_file(&said));
    }
    note_rounds(reader, entry, env, &wrong_words, error.is_some());
    // What only its files show when they are read for good.
    if let Some(error) = error
        && reader.mistakes.len() == known
        && entry.is_sound
    {
        let said = error.discreet();
        let at = place_named(&said, &entry.places).unwrap_or_else(|| place_of(entry, error));
        reader.note(at, in_file(&said));
    }
}

/// Looks at a section again and again. `are_whole`: no word is missing.
fn note_rounds(
    reader: &mut Reader<'_>,
    entry: &Entry,
    env: &Env,
    wrong_words: &[usize],
    are_whole: bool,
) {
    let dry = Env {
        is_dry: true,
        ..env.clone()
    };
    let role = entry.section.role;
    let keys = entry.section.words.iter().map(|(key, _)| *key);
    let echoes = role == RoleId::TunnelExpose && entry.values.given("echo");
    let has_target = entry.words.iter().any(|word| word.key == "target");
    let keys = keys.filter(|key| *key != "target" || !echoes || has_target);
    let bland: Vec<String> = keys
        .enumerate()
        .map(|(at, key)| rounds::bland(key, at))
        .collect();
    let words = entry.words.iter().enumerate();
    let words = words.map(|(at, word)| match wrong_words.contains(&at) {
        true => rounds::bland(word.key, at),
        false => word.text.clone(),
    });
    let words = match are_whole && knows_sides(entry) {
        true => words.collect(),
        false => bland.clone(),
    };
    let rounds = Rounds {
        values: entry.values.clone(),
        words,
        bland,
        aside: entry.bad.clone(),
        are_words_aside: !are_whole || !wrong_words.is_empty() || !knows_sides(entry),
        places: &entry.places,
        may_be: &|key| entry.lost.may_be(key),
        build: &|values, words| build(role, values, words, &dry).map(|_| ()),
        place_of: &|error| place_of(entry, error),
        unnamed: None,
    };
    rounds.note(reader);
}

/// Whether it is known which of its places a relay dials, and that all of its words are there.
fn knows_sides(entry: &Entry) -> bool {
    let keys = entry.section.words.iter().map(|(key, _)| *key);
    let mut keys = keys.chain(["mode"]);
    !entry.bad.contains(&"mode") && !keys.any(|key| entry.lost.may_be(key))
}

/// Where something stands that names no setting.
fn place_of(entry: &Entry, error: &ConfigError) -> Range<usize> {
    place_meant(entry, error).unwrap_or_else(|| entry.header.clone())
}

/// Notes words that are wrong by themselves. Which those are.
fn blame_words(reader: &mut Reader<'_>, entry: &Entry, env: &Env) -> Vec<usize> {
    let mut wrong = Vec::new();
    for (at, word) in entry.words.iter().enumerate() {
        let whole = [(word.text.clone(), word.at.clone())];
        // Of a list, all the parts that are wrong by themselves; the list, if it is only as a whole.
        let parts: &[(String, Range<usize>)] = match word.key {
            "src" => &entry.sources,
            _ => &[],
        };
        let known = reader.mistakes.len();
        for (text, place) in parts.iter().flat_map(|(text, place)| {
            let parts = addresses(text);
            parts.map(|part| (part.to_owned(), place.clone()))
        }) {
            blame_word(reader, entry, env, at, (&text, place));
        }
        if reader.mistakes.len() == known {
            let [(text, place)] = &whole;
            blame_word(reader, entry, env, at, (text, place.clone()));
        }
        if reader.mistakes.len() > known {
            wrong.push(at);
        }
    }
    wrong
}

/// Notes a word that is wrong by itself.
fn blame_word(
    reader: &mut Reader<'_>,
    entry: &Entry,
    env: &Env,
    at: usize,
    (text, place): (&str, Range<usize>),
) {
    let key = entry.words[at].key;
    let Err(error) = build_alone(entry, env, at, text, None) else {
        return;
    };
    // Where the mode is wrong, what is wrong by any of them is.
    let modes = entry
        .section
        .options()
        .iter()
        .find(|opt| opt.name() == "mode");
    let modes = match modes.map(|opt| opt.kind) {
        Some(Kind::Choice(modes)) if !knows_sides(entry) => modes,
        _ => &[],
    };
    let is_right = |mode: &&str| build_alone(entry, env, at, text, Some(mode)).is_ok();
    if modes.iter().any(is_right) {
        return;
    }
    let said = in_file(&error.discreet());
    reader.note(
        place,
        match said.starts_with(key) {
            true => said,
            false => format!("{key}: {said}"),
        },
    );
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
    let meant = words.find(|word| word.key == "dst" && is_it(&word.text));
    meant.map(|word| word.at.clone())
}

/// Builds the role with one of its words, in the company of others that are right, and without any setting but those
/// that say how words are read.
fn build_alone(
    entry: &Entry,
    env: &Env,
    at: usize,
    word: &str,
    mode: Option<&str>,
) -> Result<Run, ConfigError> {
    let options = entry.section.options();
    let mut values = Values::new(vec![options, GLOBALS]);
    for name in ["mode", "no-auth", "echo"] {
        if let Some(opt) = options.iter().find(|opt| opt.name() == name) {
            let given = entry.values.all_given(name).into_iter();
            given.for_each(|given| values.put(opt, given));
        }
    }
    if let (Some(mode), Some(opt)) = (mode, values.find("--mode")) {
        values.put(opt, mode.to_owned());
    }
    // Tokens would be read from their file; here it only matters that there are some.
    let is_guarded = entry.places.iter().any(|(name, _)| *name == "tokens")
        || entry.lost.may_be("tokens")
        || entry.lost.may_be("no-auth");
    if is_guarded && let Some(opt) = options.iter().find(|opt| opt.name() == "no-auth") {
        values.put(opt, String::new());
    }
    let count = entry.section.words.len();
    let key = entry.words[at].key;
    let own = entry
        .section
        .words
        .iter()
        .position(|(name, _)| *name == key);
    // An echo has no target, and neither has whoever is looked at beside one.
    let echoes = values.find("--echo").is_some() && values.given("echo");
    let is_there = |place: &usize| {
        let key = entry.section.words[*place].0;
        Some(*place) == own || key != "target" || !echoes
    };
    let words: Vec<String> = (0..count)
        .filter(is_there)
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
    if entry.section.role == RoleId::Relay && entry.lost.may_be("mode") {
        // Who can tell which of them it dials?
        return listens;
    }
    for (at, word) in entry.words.iter().enumerate() {
        let place = &word.at;
        let Ok(run) = build_alone(entry, env, at, &word.text, None) else {
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
