//! A value that takes the place of another, as whoever wrote that would have written it: with its quotes, as a number
//! where it was one, and in a list with the comments of what stays.
//!
//! ```toml
//! allow = [ # head
//!   # lead
//!   "10.0.0.0/8", # tail
//!   "::1", # tail
//!   # end
//! ]
//! ```

use toml_edit::{Array, RawString, Value};

use crate::config::outputs::is_moved;

/// A value as it would be typed, if it is no list.
pub(super) fn word(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.value().clone()),
        Value::Integer(number) => Some(number.value().to_string()),
        Value::Float(number) => Some(number.value().to_string()),
        Value::Boolean(is_on) => Some(is_on.value().to_string()),
        Value::Datetime(_) | Value::Array(_) | Value::InlineTable(_) => None,
    }
}

/// What was typed, written as `old` is where that can be.
pub(super) fn like(old: &Value, text: &str, fresh: Value) -> Value {
    let made = match old {
        Value::String(old) => {
            let raw = old.as_repr().and_then(|repr| repr.as_raw().as_str());
            let is_literal =
                raw.is_some_and(|raw| raw.starts_with('\'') && !raw.starts_with("'''"));
            let made = is_literal.then(|| format!("'{text}'").parse::<Value>().ok());
            made.flatten().filter(|_| fresh.is_str())
        }
        Value::Integer(_) => text.parse().ok().filter(Value::is_integer),
        Value::Float(_) => text.parse().ok().filter(Value::is_float),
        _ => None,
    };
    let is_it = |made: &Value| word(made).as_deref() == Some(text);
    made.filter(is_it).unwrap_or(fresh)
}

/// A list with these words in the place of those that it has.
pub(super) fn listed(old: &Array, words: &[&str]) -> Option<Array> {
    let made = Taken::apart(old)?.with(words).put_together(old);
    // Whatever somebody has written there, the words are these.
    let Ok(Value::Array(read)) = made.to_string().trim().parse::<Value>() else {
        return None;
    };
    let read: Option<Vec<String>> = read.iter().map(word).collect();
    (read? == words).then_some(made)
}

/// A list, with all that stands in it at its place.
struct Taken {
    /// Behind the bracket, in its line.
    head: String,
    pieces: Vec<Piece>,
    /// Before the closing bracket.
    end: String,
    /// What a line begins with that has a word in it, where words have lines of their own.
    line: Option<String>,
}

#[derive(Clone)]
struct Piece {
    /// From the line above it that is its first.
    lead: String,
    value: Value,
    text: String,
    /// Up to the comma.
    gap: String,
    /// Behind the comma, in its line.
    tail: String,
}

impl Taken {
    /// `None`: something else than words stands there.
    fn apart(list: &Array) -> Option<Self> {
        let mut pieces: Vec<Piece> = Vec::new();
        let mut head = String::new();
        for value in list {
            let decor = value.decor();
            let (before, lead) = split(raw(decor.prefix()));
            match pieces.last_mut() {
                Some(last) => before.clone_into(&mut last.tail),
                None => before.clone_into(&mut head),
            }
            pieces.push(Piece {
                lead: lead.to_owned(),
                text: word(value)?,
                gap: raw(decor.suffix()).to_owned(),
                value: value.clone(),
                tail: String::new(),
            });
        }
        let (behind, mut end) = split(raw(Some(list.trailing())));
        let mut behind = behind.to_owned();
        if let (Some(last), false) = (pieces.last(), list.trailing_comma()) {
            let (tail, rest) = split(&last.gap);
            (behind, end) = (tail.to_owned(), rest);
        }
        let end = end.to_owned();
        if let Some(last) = pieces.last_mut() {
            last.tail = behind;
            if !list.trailing_comma() {
                last.gap.clear();
            }
        }
        let own = pieces.iter().find(|piece| piece.lead.contains('\n'));
        let line = own.and_then(|own| own.lead.rfind('\n').map(|at| own.lead[at..].to_owned()));
        Some(Self {
            head,
            pieces,
            end,
            line,
        })
    }

    fn with(mut self, words: &[&str]) -> Self {
        let pieces = std::mem::take(&mut self.pieces);
        let mut old: Vec<Option<Piece>> = pieces.into_iter().map(Some).collect();
        let known: Vec<String> = old
            .iter()
            .flatten()
            .map(|piece| piece.text.clone())
            .collect();
        let known: Vec<&str> = known.iter().map(String::as_str).collect();
        let first = old.iter().flatten().next().map(|piece| piece.lead.clone());
        let mut made: Vec<Piece> = Vec::new();
        for (at, text) in words.iter().enumerate() {
            let is_it = |piece: &Option<Piece>| piece.as_ref().is_some_and(|it| it.text == *text);
            let place = match is_moved(&known, words, at) {
                true => Some(at),
                false => old.iter().position(is_it),
            };
            let piece = place.and_then(|place| old[place].take());
            made.push(match piece {
                Some(piece) => piece.saying(text),
                None => self.fresh(text),
            });
        }
        let mut kept = String::new();
        for (at, gone) in old.iter().enumerate() {
            let Some(gone) = gone else { continue };
            let stays = about_more(&gone.lead);
            // It stands above what was behind it.
            let behind = made
                .iter_mut()
                .find(|piece| known[at..].contains(&piece.text.as_str()));
            match behind {
                _ if stays.is_empty() => {}
                Some(piece) => piece.lead = format!("{stays}{}", from_line(&piece.lead)),
                None => kept.push_str(stays),
            }
        }
        if !kept.is_empty() {
            self.end = format!("{kept}{}", from_line(&self.end));
        }
        if self.line.is_none() {
            for (at, piece) in made.iter_mut().enumerate() {
                match (at, &first) {
                    (0, Some(first)) => piece.lead.clone_from(first),
                    (0, None) => piece.lead.clear(),
                    _ if piece.lead.is_empty() => piece.lead.push(' '),
                    _ => {}
                }
            }
        }
        self.pieces = made;
        self
    }

    fn fresh(&self, text: &str) -> Piece {
        Piece {
            lead: self.line.clone().unwrap_or_else(|| " ".to_owned()),
            value: Value::from(text),
            text: text.to_owned(),
            gap: String::new(),
            tail: String::new(),
        }
    }

    fn put_together(self, old: &Array) -> Array {
        let mut made = Array::new();
        let line = self.line.as_deref().unwrap_or("\n");
        // What stands behind a comment in its line is part of it.
        let joined =
            |before: &str, behind: &str| match before.contains('#') && !behind.starts_with('\n') {
                true => format!("{before}{}{}", line, behind.trim_start_matches([' ', '\t'])),
                false => format!("{before}{behind}"),
            };
        let has_comma = old.trailing_comma();
        let mut before = self.head;
        let count = self.pieces.len();
        for (at, piece) in self.pieces.into_iter().enumerate() {
            let Piece {
                lead,
                mut value,
                gap,
                tail,
                ..
            } = piece;
            value.decor_mut().set_prefix(joined(&before, &lead));
            let is_open = at + 1 == count && !has_comma;
            let suffix = match is_open {
                true => format!("{gap}{}", joined(&tail, &self.end)),
                false => gap,
            };
            value.decor_mut().set_suffix(suffix);
            made.push_formatted(value);
            before = tail;
        }
        if has_comma {
            made.set_trailing_comma(true);
            made.set_trailing(joined(&before, &self.end));
        }
        made
    }
}

impl Piece {
    /// At the same place, with another word.
    fn saying(self, text: &str) -> Self {
        if self.text == text {
            return self;
        }
        Self {
            value: like(&self.value, text, Value::from(text)),
            text: text.to_owned(),
            ..self
        }
    }
}

fn raw(of: Option<&RawString>) -> &str {
    of.and_then(RawString::as_str).unwrap_or_default()
}

/// What is left of a line, and the lines below it; all of it is the latter where no line ends.
fn split(text: &str) -> (&str, &str) {
    text.split_at(text.find('\n').unwrap_or(0))
}

fn from_line(text: &str) -> &str {
    text.strip_prefix('\n').unwrap_or(text)
}

/// What of that above a word an empty line keeps apart from it, if anything is said there.
fn about_more(lead: &str) -> &str {
    let mut end = 0;
    let mut at = 0;
    for line in lead.split_inclusive('\n') {
        at += line.len();
        // The first one is the end of the line above.
        if at > 1 && line.trim().is_empty() && line.ends_with('\n') {
            end = at;
        }
    }
    match &lead[..end] {
        said if said.contains('#') => said,
        _ => "",
    }
}
