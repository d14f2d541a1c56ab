//! Keys and values of a file, each with its place: as what would be typed on a command line.

use std::ops::Range;

use toml_edit::{Item, Key, Table, Value};

use crate::cli::{nearest, one_of};

/// What someone may have meant by a name that does not exist.
pub(super) fn near(name: &str, all: impl Iterator<Item = &'static str>, otherwise: &str) -> String {
    let near = nearest(name, all);
    match near.is_empty() {
        true => format!("see {otherwise}"),
        false => format!("did you mean {}?", one_of(&near)),
    }
}

/// The keys of a table with their places, in order.
pub(super) fn keys_of(table: &Table) -> impl Iterator<Item = (&Key, &Item)> {
    table
        .iter()
        .filter_map(|(name, _)| table.get_key_value(name))
}

/// Where a value stands.
pub(super) fn place(item: &Item) -> Range<usize> {
    item.span().unwrap_or_default()
}

/// Where a key stands.
pub(super) fn key_place(key: &Key) -> Range<usize> {
    key.span().unwrap_or_default()
}

/// A text, and where it stands.
pub(super) type Placed = (String, Range<usize>);

/// A value as it would be typed: one text, or several where there may be.
pub(super) fn texts(item: &Item, many: bool) -> Result<Vec<Placed>, (Range<usize>, &'static str)> {
    let wrong = |at: Range<usize>| {
        let text = match many {
            true => "this is neither a text, nor a number, nor a list of them",
            false => "this is neither a text nor a number",
        };
        (at, text)
    };
    match item.as_value() {
        Some(Value::Array(list)) if many && !list.is_empty() => list
            .iter()
            .map(|value| {
                let at = value.span().unwrap_or_default();
                text(value).map(|text| (text, at.clone())).ok_or(wrong(at))
            })
            .collect(),
        Some(value) => {
            let at = place(item);
            let text = text(value).ok_or(wrong(at.clone()))?;
            Ok(vec![(text, at)])
        }
        None => Err(wrong(place(item))),
    }
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.value().clone()),
        Value::Integer(number) => Some(number.value().to_string()),
        Value::Float(number) => Some(number.value().to_string()),
        _ => None,
    }
}
