//! What is said of a text that is no TOML, for those who do not know its grammar.

use std::ops::Range;

use toml_edit::TomlError;

use super::section::is_switch;

/// Where it is wrong, in a file in which the text begins at `base`.
pub(super) fn span_of(error: &TomlError, base: usize) -> Range<usize> {
    let at = error.span().unwrap_or_default();
    base + at.start..base + at.end
}

/// What is wrong, as the parser says it, in one line.
pub(super) fn said(error: &TomlError) -> String {
    error.message().lines().collect::<Vec<_>>().join(", ")
}

/// What is wrong with one setting. `key` is its key, or the word that it begins with, where that is one of ours; none
/// of its value is repeated, since that may be a secret.
pub(super) fn of_setting(error: &TomlError, key: Option<&str>, text: &str) -> String {
    let at = text.floor_char_boundary(error.span().unwrap_or_default().start);
    let (before, rest) = text.split_at(at);
    let rest = rest
        .split(['\n', '#'])
        .next()
        .unwrap_or_default()
        .trim_end();
    let named = |name: &str| error.message().starts_with(name);
    if named("key with no value") {
        return no_value(key, text);
    }
    if before.trim_end().ends_with('=') && rest.is_empty() {
        return format!("{} has no value", key.unwrap_or("this"));
    }
    if named("unquoted keys cannot be empty") && before.trim().is_empty() {
        return "there is no key before this =".to_owned();
    }
    if named("unexpected key or value") {
        return behind(rest);
    }
    if named("missing opening quote") {
        let quote = if rest.ends_with('"') { "\"" } else { "'" };
        return format!("this text has no beginning: {quote} is missing");
    }
    if named("invalid boolean") {
        return "true and false are written in small letters".to_owned();
    }
    let is_word = ["yes", "no", "on", "off"].contains(&rest.to_ascii_lowercase().as_str());
    match UNQUOTED.iter().any(|name| named(name)) {
        true if is_word && key.is_some_and(is_switch) => "write true or false".to_owned(),
        true if rest.ends_with(';') => "no semicolon ends a line".to_owned(),
        true if rest.starts_with(['\u{201c}', '\u{201d}', '\u{201e}', '\u{2018}', '\u{2019}']) => {
            "these quotes are none of TOML's: write \" or '".to_owned()
        }
        true => "a text stands in quotes: \"...\"".to_owned(),
        false => said(error),
    }
}

/// What is wrong with a line in which a `=` is missing, or not where it should be.
fn no_value(key: Option<&str>, text: &str) -> String {
    let Some(key) = key else {
        return "this is neither a [header] nor KEY = VALUE".to_owned();
    };
    let words = text.split('=').next().unwrap_or_default();
    let words: Vec<&str> = words.split_whitespace().collect();
    match text.contains('=') && words.len() > 1 {
        true => format!("a key has no blanks in it: did you mean {key}?"),
        false => format!("write {key} = VALUE"),
    }
}

/// What is wrong with what stands behind a value, in its line.
fn behind(rest: &str) -> String {
    let said = match rest.strip_prefix(',') {
        Some("") => "a setting ends without a comma",
        Some(_) => "several of them stand in brackets: [\"...\", \"...\"]",
        None if rest == ";" => "no semicolon ends a line",
        None => "this stands behind the value: each setting has a line of its own",
    };
    said.to_owned()
}

/// How what is said of a value begins that is not quoted, and no number either.
const UNQUOTED: [&str; 7] = [
    "string values must be quoted",
    "invalid float",
    "invalid integer",
    "invalid date-time",
    "invalid mantissa",
    "invalid fraction",
    "invalid exponent",
];
