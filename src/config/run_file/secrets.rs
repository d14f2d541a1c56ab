//! What of a file is shown to nobody: values in which a secret may stand, by intent or by mistake. The file need not
//! be TOML: it is just where it is not that its lines are shown.
//!
//! Shown are the values of keys that exist, but for those that name files (whoever takes `token-file` for `token`
//! writes the secret there) and for those that have an `@` or a `?` in them, as addresses with a password or a query
//! do. Nothing is shown of comments, of what is no `key = value`, and of text in several lines.

use std::ops::Range;

use crate::base::option::Kind;
use crate::cli::{GLOBALS, ROLES};

use super::mend::is_beginning;
use super::section::SECTIONS;

/// The parts that are not shown, in their order; none of them touches another.
pub(super) fn hidden(text: &str) -> Vec<Range<usize>> {
    let mut scan = Scan {
        text,
        at: text.len() - text.trim_start_matches('\u{feff}').len(),
        hidden: Vec::new(),
    };
    while scan.at < text.len() {
        scan.statement();
    }
    scan.hidden
}

struct Scan<'a> {
    text: &'a str,
    /// How far it has come.
    at: usize,
    hidden: Vec<Range<usize>>,
}

/// What a value has in it, besides what it says.
#[derive(Default)]
struct Found {
    /// Where it ceases to be what a value of ours can be: a table, a second `=`, a text in several lines.
    strange: Option<usize>,
}

impl Scan<'_> {
    /// One line, or the lines over which a value goes.
    fn statement(&mut self) {
        self.skip(|byte| byte.is_ascii_whitespace());
        let begin = self.at;
        match self.byte() {
            None => {}
            Some(b'[') => {
                // What stands in quotes may be a value of a list that is not closed.
                self.skip(|byte| !b"\n#\"'".contains(&byte));
                self.hide_line(self.at);
            }
            Some(b'#') => self.hide_line(begin),
            Some(_) => match self.key() {
                None => self.hide_line(begin),
                Some(key) => {
                    self.skip(|byte| byte == b' ' || byte == b'\t');
                    self.value(&key);
                }
            },
        }
    }

    /// The last part of a key, up to behind its `=`. `None`: there is no `=` in this line.
    fn key(&mut self) -> Option<String> {
        let begin = self.at;
        loop {
            match self.byte() {
                Some(b'=') => break,
                Some(quote @ (b'"' | b'\'')) => self.string(quote),
                None | Some(b'\n' | b'#') => return None,
                Some(_) => self.at += 1,
            }
        }
        let key = &self.text[begin..self.at];
        self.at += 1;
        let last = key.rsplit('.').next().unwrap_or_default();
        Some(last.trim().trim_matches(['"', '\'']).to_owned())
    }

    fn value(&mut self, key: &str) {
        let begin = self.at;
        let found = self.skip_value();
        let value = &self.text[begin..self.at];
        if !may_be_shown(key) || value.contains(['@', '?']) {
            self.hide_line(begin);
        } else if let Some(strange) = found.strange {
            self.hide_line(strange);
        } else {
            self.hide_line(self.at);
        }
    }

    /// Up to the end of a value, which is the end of its line or a comment.
    fn skip_value(&mut self) -> Found {
        let mut found = Found::default();
        let mut depth = 0_usize;
        while let Some(byte) = self.byte() {
            let at = self.at;
            match byte {
                b'\n' | b'#' if depth == 0 => break,
                // A list that is not closed ends where something else begins.
                b'\n' if is_beginning(&self.text[at + 1..]) => break,
                b'#' => {
                    self.skip(|byte| byte != b'\n');
                    found.strange.get_or_insert(at);
                }
                b'"' | b'\'' => {
                    let is_long =
                        self.text[at..].starts_with(["\"\"\"", "'''"][usize::from(byte == b'\'')]);
                    self.string(byte);
                    if is_long {
                        found.strange.get_or_insert(at);
                    }
                }
                b'{' | b'=' => {
                    found.strange.get_or_insert(at);
                    self.at += 1;
                }
                b'[' => {
                    depth += 1;
                    self.at += 1;
                }
                b']' => {
                    depth = depth.saturating_sub(1);
                    self.at += 1;
                }
                _ => self.at += 1,
            }
        }
        found
    }

    /// Up to behind a string, which ends with its line where nothing else ends it, or with the file if it may have
    /// several lines.
    fn string(&mut self, quote: u8) {
        let is_quote = |bytes: &[u8]| bytes.starts_with(&[quote; 3]);
        let bytes = self.text.as_bytes();
        let begin = self.at;
        let is_long = is_quote(&bytes[self.at..]);
        self.at += if is_long { 3 } else { 1 };
        while let Some(byte) = self.byte() {
            match byte {
                b'\\' if quote == b'"' && bytes.get(self.at + 1) != Some(&b'\n') => self.at += 1,
                b'\n' if !is_long => return,
                _ if is_long && is_quote(&bytes[self.at..]) => {
                    self.at += 3;
                    return;
                }
                _ if !is_long && byte == quote => {
                    self.at += 1;
                    return;
                }
                _ => {}
            }
            self.at = (self.at + 1).min(bytes.len());
        }
        // One that is never closed ends where something else begins.
        let mut ends = self.text[begin..].match_indices('\n');
        let end = ends.find(|(end, _)| is_beginning(&self.text[begin + end + 1..]));
        if let (true, Some((end, _))) = (is_long, end) {
            self.at = begin + end;
        }
    }

    /// Hides from here to the end of the line that has been reached.
    fn hide_line(&mut self, from: usize) {
        self.skip(|byte| byte != b'\n');
        let end = self.text[..self.at].trim_end().len();
        if from < end {
            self.hidden.push(from..end);
        }
    }

    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn skip(&mut self, is_skipped: impl Fn(u8) -> bool) {
        let rest = &self.text.as_bytes()[self.at..];
        self.at += rest
            .iter()
            .position(|byte| !is_skipped(*byte))
            .unwrap_or(rest.len());
    }
}

/// Whether the values of a key may be shown: it is one of ours, and names no file.
fn may_be_shown(key: &str) -> bool {
    let options = ROLES.iter().flat_map(|role| role.options).chain(GLOBALS);
    let mut options = options.filter(|opt| opt.name() == key).peekable();
    let words = SECTIONS.iter().flat_map(|section| section.words);
    let is_known = options.peek().is_some()
        || words.clone().any(|(word, _)| *word == key)
        || ["enabled", "save"].contains(&key);
    is_known && options.all(|opt| !matches!(opt.kind, Kind::Path { .. }))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is left of a file where nothing hidden stands.
    fn shown(text: &str) -> String {
        let mut left = String::new();
        let mut at = 0;
        for part in hidden(text) {
            assert!(at <= part.start && part.start < part.end, "{part:?}");
            left += &text[at..part.start];
            left += "...";
            at = part.end;
        }
        left + &text[at..]
    }

    #[test]
    fn what_may_be_a_secret_is_hidden() {
        for (text, left) in [
            ("[[relay]]\nsrc = \"a:1\"\n", "[[relay]]\nsrc = \"a:1\"\n"),
            ("token = \"S\"", "token = ..."),
            ("  \"token\"=S # S\r\ndst = 1", "  \"token\"=...\r\ndst = 1"),
            ("a.token = 'S'", "a.token = ..."),
            (
                "tokens = \"alice S\"\nname = \"x\"",
                "tokens = ...\nname = \"x\"",
            ),
            (
                "tls-key = \"\"\"\nS=\nname = 1\n\"\"\"\nname = 1",
                "tls-key = ...\nname = 1",
            ),
            (
                "name = \"\"\"\nS=\n\"\"\"\nname = 1",
                "name = ...\nname = 1",
            ),
            ("url = \"ws://u:S@h/x\"", "url = ..."),
            ("url = \"ws://h/x?t=S\"", "url = ..."),
            ("url = \"ws://h:1/x\"", "url = \"ws://h:1/x\""),
            ("url = \"ws://u:S@h", "url = ..."),
            ("src = [\"a:1\", # S\n \"b:1\"]", "src = [\"a:1\", ..."),
            (
                "src = [\"a:1\"\ntoken = \"S\"\n]\nname = 1",
                "src = [\"a:1\"\ntoken = ...\n...\nname = 1",
            ),
            (
                "name = \"\"\"\nS\ntoken = S\ndst = 1",
                "name = ...\ntoken = ...\ndst = 1",
            ),
            ("x = [{ token = \"S\" }]", "x = ..."),
            ("src = [{ token = \"S\" }]", "src = [..."),
            ("S", "..."),
            ("# S", "..."),
            ("[x] # S", "[x] ..."),
            ("[[x.\"S\"]] # S\na = 1", "[[x....\na = ..."),
            ("dst=\":1\n[\"S\"", "dst=\":1\n[..."),
            ("name = \"a\" S", "name = \"a\" S"),
            ("name = \"a # b\"", "name = \"a # b\""),
            ("name = \"a\\\" # b\"", "name = \"a\\\" # b\""),
            ("upstream-send = 'LOGIN S'", "upstream-send = ..."),
            ("\u{feff}token = S", "\u{feff}token = ..."),
        ] {
            assert_eq!(shown(text), left, "{text}");
        }
    }

    #[test]
    fn any_text_can_be_looked_at() {
        for text in [
            "\"",
            "'''",
            "a=\"\\",
            "=",
            "[",
            "a=[[[",
            "\u{fc}=\u{fc}",
            "\"\\\n\"=1",
            "a=\"\\\u{fc}\"",
        ] {
            for begin in 0..text.len() {
                if text.is_char_boundary(begin) {
                    shown(&text[begin..]);
                }
            }
        }
    }
}
