//! What a file is made of, whether it is TOML or not: headers and settings, each with the lines over which it goes.
//! Where a bracket or a quote is never closed, what follows is not taken for a part of it: it ends before the first
//! line that looks like a beginning of its own.

use std::ops::Range;

/// A header, a setting, or what may have been meant for one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) kind: Kind,
    /// Where it stands, without the blanks before it and the end of its last line.
    pub(super) at: Range<usize>,
    /// Where its last character stands that is neither a blank nor in a comment.
    pub(super) end: usize,
    /// A list, or a text in several lines, that has no end.
    pub(super) open: Option<Open>,
    /// Texts of one line that have no end.
    pub(super) open_texts: Vec<usize>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Comment,
    /// It begins with a bracket.
    Header,
    /// It has a `=`.
    Setting {
        /// What stands before that.
        key: Range<usize>,
    },
    /// It is none of these.
    Strange,
}

/// What is not closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Open {
    /// Where it begins.
    pub(super) at: usize,
    /// What would close it.
    pub(super) by: &'static str,
}

/// Goes through a file, piece by piece.
pub(super) struct Pieces<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Pieces<'a> {
    pub(super) fn of(text: &'a str) -> Self {
        Self {
            text,
            at: text.len() - text.trim_start_matches('\u{feff}').len(),
        }
    }

    /// The next one. `is_cut`: one of several lines ends before the first that looks like a beginning of its own,
    /// though the text or the braces that it lies in are closed.
    pub(super) fn next(&mut self, is_cut: bool) -> Option<Piece> {
        self.skip(|byte| byte.is_ascii_whitespace());
        let begin = self.at;
        let mut piece = Piece {
            kind: Kind::Comment,
            at: begin..begin,
            end: begin,
            open: None,
            open_texts: Vec::new(),
        };
        match self.byte()? {
            b'#' => self.skip(|byte| byte != b'\n'),
            b'[' => {
                piece.kind = Kind::Header;
                self.skip(|byte| byte != b'\n');
            }
            _ if self.key() => {
                let key = self.text[begin..self.at].trim_end();
                piece.kind = Kind::Setting {
                    key: begin..begin + key.len(),
                };
                self.at += 1;
                piece.end = self.at;
                self.value(&mut piece, is_cut);
            }
            _ => {
                piece.kind = Kind::Strange;
                self.at = begin;
                // The lines of a list without its = belong together, too.
                self.skip(|byte| is_of_name(byte.into()));
                self.skip(|byte| b" \t:".contains(&byte));
                match self.byte() {
                    Some(b'[') if self.at > begin => self.value(&mut piece, is_cut),
                    _ => self.skip(|byte| byte != b'\n'),
                }
            }
        }
        piece.at.end = begin + self.text[begin..self.at].trim_end().len();
        piece.end = piece.end.min(piece.at.end);
        Some(piece)
    }

    /// Reads the piece that begins there once more.
    pub(super) fn again(&mut self, piece: &Piece) -> Option<Piece> {
        self.at = piece.at.start;
        self.next(true)
    }

    /// Up to the `=` of this line, if there is one.
    fn key(&mut self) -> bool {
        loop {
            match self.byte() {
                Some(b'=') => return true,
                None | Some(b'\n' | b'#') => return false,
                Some(quote @ (b'"' | b'\'')) => {
                    self.at += 1;
                    self.skip(|byte| byte != quote && byte != b'\n');
                    self.at += usize::from(self.byte() == Some(quote));
                }
                Some(_) => self.at += 1,
            }
        }
    }

    fn value(&mut self, piece: &mut Piece, is_cut: bool) {
        let mut open: Vec<Open> = Vec::new();
        let mut lines = 0;
        while let Some(byte) = self.byte() {
            let at = self.at;
            match byte {
                b'\n' if open.is_empty() => return,
                b'\n' => {
                    lines += 1;
                    let is_table = open.iter().any(|open| open.by == "}");
                    let next = &self.text[at + 1..];
                    let is_over = match is_table && !is_cut {
                        true => is_header(next) || lines > LINES_MAX,
                        false => is_beginning(next),
                    };
                    if is_over {
                        break;
                    }
                    self.at += 1;
                    continue;
                }
                b' ' | b'\t' | b'\r' => {
                    self.at += 1;
                    continue;
                }
                b'#' => {
                    self.skip(|byte| byte != b'\n');
                    continue;
                }
                b'"' | b'\'' => {
                    let (by, is_closed) = self.string(byte);
                    let is_long = by.len() > 1;
                    let may_be_cut = is_long && (is_cut || !is_closed);
                    if may_be_cut && self.cut(at) || is_long && !is_closed {
                        open.push(Open { at, by });
                        piece.end = self.at;
                        break;
                    }
                    if !is_closed {
                        piece.open_texts.push(at);
                    }
                }
                b'[' | b'{' => {
                    let by = if byte == b'[' { "]" } else { "}" };
                    open.push(Open { at, by });
                    self.at += 1;
                }
                b']' | b'}' => {
                    open.pop();
                    self.at += 1;
                }
                b'.' | b'=' | b',' => self.at += 1,
                _ => self.skip(|byte| !b".=,[]{} \t#\r\n".contains(&byte)),
            }
            piece.end = self.at;
        }
        piece.open = open.last().copied();
    }

    /// Goes back to the end of the line, from this place on, behind which something begins anew. Whether there is one
    /// before the place that was reached.
    fn cut(&mut self, from: usize) -> bool {
        let passed = &self.text[from..self.at];
        let mut ends = passed.match_indices('\n').take(LINES_MAX);
        let end = ends.find(|(end, _)| is_beginning(&self.text[from + end + 1..]));
        if let Some((end, _)) = end {
            self.at = from + end;
        }
        end.is_some()
    }

    /// Up to behind a text, or to the end of its line, or of the file, where it has no end: what closes it, and whether
    /// it is closed.
    fn string(&mut self, quote: u8) -> (&'static str, bool) {
        let [long, short] = match quote {
            b'"' => ["\"\"\"", "\""],
            _ => ["'''", "'"],
        };
        let is_long = self.text[self.at..].starts_with(long);
        let by = if is_long { long } else { short };
        self.at += by.len();
        let bytes = self.text.as_bytes();
        while let Some(byte) = self.byte() {
            match byte {
                b'\n' if by.len() == 1 => return (by, false),
                b'\\' if quote == b'"' && matches!(bytes.get(self.at + 1), Some(b'\\' | b'"')) => {
                    self.at += 2;
                }
                _ if bytes[self.at..].starts_with(by.as_bytes()) => {
                    self.at += by.len();
                    // Two quotes may stand right before the three that close it.
                    for _ in 0..by.len() - 1 {
                        self.at += usize::from(self.byte() == Some(quote));
                    }
                    return (by, true);
                }
                _ => self.at += 1,
            }
        }
        (by, false)
    }

    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn skip(&mut self, is_skipped: impl Fn(u8) -> bool) {
        let rest = &self.text.as_bytes()[self.at..];
        let skipped = rest.iter().position(|byte| !is_skipped(*byte));
        self.at += skipped.unwrap_or(rest.len());
    }
}

/// Whether a line, which goes up to the first end of one, looks like the beginning of something new: a header, or a key
/// with a value.
pub(in crate::config::run_file) fn is_beginning(line: &str) -> bool {
    let line = first_line(line);
    let name = line.trim_start_matches(is_of_name);
    let is_name = line.starts_with(|c: char| c.is_ascii_alphabetic());
    // What base64 is filled up with is no value.
    let value = name.trim_start_matches(BLANKS).strip_prefix('=');
    let value = value.map_or("", |value| value.trim_start_matches('=').trim());
    is_header(line) || is_name && !value.is_empty()
}

fn is_header(line: &str) -> bool {
    let line = first_line(line);
    let name = line.trim_start_matches(['[', ' ', '\t']);
    let behind = name.trim_start_matches(is_of_name);
    let word = &name[..name.len() - behind.len()];
    let behind = behind.trim_start_matches(BLANKS);
    line.starts_with('[')
        && word.starts_with(|c: char| c.is_ascii_alphabetic())
        && !["true", "false", "inf", "nan"].contains(&word)
        && (behind.is_empty() || behind.starts_with([']', '#']))
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default().trim_matches(BLANKS)
}

fn is_of_name(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || "-_.".contains(letter)
}

const BLANKS: [char; 3] = [' ', '\t', '\r'];
/// How many lines of a table in braces, or of a text, are looked at for the beginning of something else.
const LINES_MAX: usize = 30;

#[cfg(test)]
mod tests {
    use super::*;

    /// The pieces of a text, each with what of it has no end.
    fn pieces(text: &str) -> Vec<(&str, &str)> {
        let mut pieces = Pieces::of(text);
        let all = std::iter::from_fn(|| pieces.next(false));
        let told = |piece: Piece| {
            let open = piece.open.map_or("", |open| &text[open.at..]);
            (&text[piece.at], &open[..open.len().min(1)])
        };
        all.map(told).collect()
    }

    #[test]
    fn a_file_falls_into_pieces() {
        for (text, expected) in [
            ("", &[][..]),
            (
                "\u{feff}# a\r\n\r\n [b] # c\r\n",
                &[("# a", ""), ("[b] # c", "")],
            ),
            (
                "a = 1 # b\nc = [ # d\n 1,\n] # e\nf",
                &[("a = 1 # b", ""), ("c = [ # d\n 1,\n] # e", ""), ("f", "")],
            ),
            (
                "a = \"]\\\"[\" \nb = '[\\'\nc = '''\n[x]\nd = 1'''\ne",
                &[
                    ("a = \"]\\\"[\"", ""),
                    ("b = '[\\'", ""),
                    ("c = '''\n[x]\nd = 1'''", ""),
                    ("e", ""),
                ],
            ),
            // What is not closed ends where something else begins.
            (
                "a = [1,\n\"x\",\n# b\nc = 2",
                &[("a = [1,\n\"x\",\n# b", "["), ("c = 2", "")],
            ),
            ("a = [1\n [[b.c]]\n", &[("a = [1", "["), ("[[b.c]]", "")]),
            ("a = {\n b = 1\n}\n", &[("a = {\n b = 1\n}", "")]),
            (
                "a = {\n b = 1\n[c]\n",
                &[("a = {\n b = 1", "{"), ("[c]", "")],
            ),
            (
                "a = \"\"\"\nb\nc = 1\n",
                &[("a = \"\"\"\nb", "\""), ("c = 1", "")],
            ),
            ("a = \"[\nb = 1", &[("a = \"[", ""), ("b = 1", "")]),
            ("a [\n\"b\",\n]\nc", &[("a [\n\"b\",\n]", ""), ("c", "")]),
            // Lists in a list, base64 and numbers are no beginnings.
            (
                "a = [\n[\"b\"],\n[true],\n[1]\n]",
                &[("a = [\n[\"b\"],\n[true],\n[1]\n]", "")],
            ),
            ("a = [\nMII=\nb\n]", &[("a = [\nMII=\nb\n]", "")]),
        ] {
            assert_eq!(pieces(text), expected, "{text}");
        }
    }

    #[test]
    fn a_text_that_something_new_ends_is_cut() {
        let text = "a = \"\"\"\nb = 1\nc = \"\"\"x\"\"\"\n";
        let mut pieces = Pieces::of(text);
        let whole = pieces.next(false).expect("there is one");
        assert_eq!(
            &text[whole.at.clone()],
            "a = \"\"\"\nb = 1\nc = \"\"\"x\"\"\""
        );
        let cut = pieces.again(&whole).expect("there is one");
        assert_eq!(&text[cut.at], "a = \"\"\"");
        assert_eq!(cut.open.map(|open| open.by), Some("\"\"\""));
        let next = pieces.next(false).expect("there is one");
        assert_eq!(&text[next.at], "b = 1");
    }
}
