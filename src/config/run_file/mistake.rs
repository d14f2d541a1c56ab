//! What is wrong in a file, and where: one line that says it, and below it the line that it is about, with carets.

use std::fmt::Write;
use std::ops::Range;

use super::secrets::hidden;
use crate::base::units::{Count, columns, is_unseen};

/// One mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// The bytes of the file that it is about.
    pub at: Range<usize>,
    /// What is wrong, in one line.
    pub text: String,
}

impl Mistake {
    /// This, there.
    pub fn new(at: Range<usize>, text: impl Into<String>) -> Self {
        let text = text.into();
        Self { at, text }
    }
}

/// Where the lines of a file begin.
pub(super) struct Lines(Vec<usize>);

impl Lines {
    pub(super) fn of(file: &str) -> Self {
        let ends = file.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        Self(ends.map(|(at, _)| at + 1).collect())
    }

    /// The line on which a byte stands, from 1 on.
    pub(super) fn number(&self, at: usize) -> usize {
        1 + self.0.partition_point(|begin| *begin <= at)
    }
}

/// The mistakes of a file, in the order in which they stand there, as they are shown to people: the first of them, if
/// there are very many, and how many more there are. What may be a secret is left out.
pub(super) fn show(name: &str, file: &str, mut mistakes: Vec<Mistake>) -> String {
    mistakes.sort_by_key(|mistake| mistake.at.start);
    let page = Page {
        name,
        file,
        hidden: hidden(file),
        lines: Lines::of(file),
    };
    let mut text = String::new();
    for mistake in mistakes.iter().take(SHOWN_MAX) {
        show_one(&mut text, &page, mistake);
    }
    if let Some(more @ 1..) = mistakes.len().checked_sub(SHOWN_MAX) {
        let _ = writeln!(text, "{name}: and {}", Count(more, "more mistake"));
    }
    text
}

/// A file whose mistakes are shown.
struct Page<'a> {
    name: &'a str,
    file: &'a str,
    hidden: Vec<Range<usize>>,
    lines: Lines,
}

fn show_one(text: &mut String, page: &Page<'_>, mistake: &Mistake) {
    let (name, file, hidden) = (page.name, page.file, &page.hidden[..]);
    let start = floor(file, mistake.at.start);
    // What tells a text's encoding stands in no column.
    let mark = file.len() - file.trim_start_matches('\u{feff}').len();
    let begin = file[..start].rfind('\n').map_or(mark, |at| at + 1);
    let begin = begin.min(start);
    let end = file[start..].find('\n').map_or(file.len(), |at| start + at);
    let number = page.lines.number(start);
    let column = 1 + file[begin..start].chars().count();
    let cells = cells(file, begin..end, hidden);
    let place = |at: usize| cells.iter().filter(|cell| cell.0 < at).count();
    let of = part_of(hidden, start).map_or(start, |part| part.start);
    let to = floor(file, mistake.at.end.min(end)).max(start);
    let (from, to) = (place(of), place(to));
    // A long line is shown from a little before the place that counts.
    let skipped = (from + 1).saturating_sub(WIDTH - CONTEXT + 1);
    let shown: String = cells
        .iter()
        .skip(skipped)
        .take(WIDTH)
        .map(|cell| cell.1)
        .collect();
    let wide = |cells: &[(usize, char)]| cells.iter().map(|cell| columns(cell.1)).sum::<usize>();
    let before = wide(&cells[skipped..from]);
    let marked = &cells[from..to.max(from).min(cells.len().min(skipped + WIDTH).max(from))];
    let carets = "^".repeat(wide(marked).max(1));
    let margin = " ".repeat(number.to_string().len());
    let wrong = without_secrets(&mistake.text);
    let wrong: String = wrong.chars().take(TEXT_MAX).map(plain).collect();
    let _ = writeln!(
        text,
        "{name}:{number}:{column}: {wrong}\n {number} | {shown}\n {margin} | {:before$}{carets}",
        ""
    );
}

/// A text that may quote addresses, without what stands before their `@`, a user and maybe a password, and without what
/// stands behind their `?`.
fn without_secrets(text: &str) -> String {
    let words = text.split(' ').map(|word| match word.rsplit_once('@') {
        Some((before, host)) if !before.is_empty() && !before.ends_with("unix:") => {
            let scheme = before.find("://").map_or("", |at| &before[..at + 3]);
            format!("{scheme}...@{}", without_query(host))
        }
        _ => without_query(word),
    });
    words.collect::<Vec<_>>().join(" ")
}

/// Without what stands behind a `?`, but for the signs that end a word of a sentence.
fn without_query(word: &str) -> String {
    let end = word.trim_end_matches([',', ':', ';', '"']).len();
    match word[..end].split_once('?') {
        Some((before, query)) if !query.is_empty() => format!("{before}?...{}", &word[end..]),
        _ => word.to_owned(),
    }
}

/// What is shown of a line: each character with its place in the file, and three dots for a part that is hidden.
fn cells(file: &str, line: Range<usize>, hidden: &[Range<usize>]) -> Vec<(usize, char)> {
    let mut cells: Vec<(usize, char)> = Vec::new();
    let text = file[line.clone()].trim_end_matches('\r');
    for (at, letter) in text.char_indices() {
        let at = line.start + at;
        match part_of(hidden, at) {
            Some(part) if at == part.start.max(line.start) => cells.extend([(at, '.'); 3]),
            Some(_) => {}
            None => cells.push((at, plain(letter))),
        }
    }
    cells
}

/// The hidden part in which a place lies.
fn part_of(hidden: &[Range<usize>], at: usize) -> Option<&Range<usize>> {
    let next = hidden.partition_point(|part| part.end <= at);
    hidden.get(next).filter(|part| part.start <= at)
}

/// A character as it drives no terminal.
fn plain(letter: char) -> char {
    match is_unseen(letter) {
        true => ' ',
        false => letter,
    }
}

/// The start of the character that a byte belongs to.
fn floor(file: &str, at: usize) -> usize {
    let mut at = at.min(file.len());
    while !file.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// How many mistakes are shown of a file. Who has more will start with those.
pub(crate) const SHOWN_MAX: usize = 100;
/// How much of what is said of one is shown: a value of a file is as long as it likes.
const TEXT_MAX: usize = 1000;
/// What is shown of a line.
const WIDTH: usize = 100;
/// What is shown at least of what follows a mistake in a long line.
const CONTEXT: usize = 40;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn carets_stand_below_what_is_wrong() {
        let file = "a = 1\n\tname = \"\u{fc}ber\" # x\n";
        let at = file.find('"').unwrap();
        let mistake = Mistake::new(at..at + "\"\u{fc}ber\"".len(), "no");
        let expected = "f.toml:2:9: no\n 2 |  name = \"\u{fc}ber\" ...\n   |         ^^^^^^\n";
        assert_eq!(show("f.toml", file, vec![mistake]), expected);
    }

    #[test]
    fn what_may_be_a_secret_is_not_shown() {
        let show = |file: &str, at: Range<usize>, text: &str| {
            show("f", file, vec![Mistake::new(at, text)])
        };
        assert_eq!(
            show("a = 1\ntoken = \"S\" # S\n", 6..11, "no"),
            "f:2:1: no\n 2 | token = ...\n   | ^^^^^\n"
        );
        assert_eq!(
            show(
                "url = 'ws://u:S@h'",
                6..18,
                "ws://u:S@h is wrong, u@unix:x, unix:@x a/x?S, is it x?"
            ),
            "f:1:7: ws://...@h is wrong, ...@unix:x, unix:@x a/x?..., is it x?\n 1 | url = ...\n   |       ^^^\n"
        );
        let key = "tls-key = \"\"\"\nS\\q\n\"\"\"\n";
        assert_eq!(show(key, 15..17, "no"), "f:2:2: no\n 2 | ...\n   | ^^^\n");
    }

    #[test]
    fn any_place_can_be_shown() {
        let long = "x".repeat(1000);
        for file in ["", "\n", "\u{fc}", "a\r\nb", &long] {
            for start in 0..=file.len() + 1 {
                for end in [start, start + 1, start + 5000] {
                    let shown = show("f", file, vec![Mistake::new(start..end, "t")]);
                    assert_eq!(shown.lines().count(), 3, "{shown}");
                    assert!(shown.lines().all(|line| line.chars().count() < 120));
                }
            }
        }
    }

    #[test]
    fn carets_are_as_wide_as_what_is_wrong() {
        let file = "dst = [\"\u{65e5}\u{672c}\", \"e\u{301}:x\"]";
        let at = file.find("\"e").unwrap();
        let shown = show(
            "f",
            file,
            vec![Mistake::new(7..15, "a"), Mistake::new(at..at + 7, "b")],
        );
        let carets: Vec<&str> = shown.lines().filter(|line| line.contains('^')).collect();
        assert_eq!(carets, ["   |        ^^^^^^", "   |                ^^^^^"]);
    }

    #[test]
    fn of_very_many_the_first_are_shown() {
        let file = "x\n".repeat(SHOWN_MAX + 2);
        let all = |count: usize| {
            (0..count)
                .map(|at| Mistake::new(at * 2..at * 2 + 1, "no"))
                .collect()
        };
        assert_eq!(
            show("f", &file, all(SHOWN_MAX)).lines().count(),
            3 * SHOWN_MAX
        );
        let shown = show("f", &file, all(SHOWN_MAX + 1));
        assert!(shown.ends_with("\nf: and 1 more mistake\n"), "{shown}");
        assert!(show("f", &file, all(SHOWN_MAX + 2)).ends_with("\nf: and 2 more mistakes\n"));
        let long = show("f", "", vec![Mistake::new(0..0, "x".repeat(5000))]);
        assert!(long.len() < 1100, "{long}");
    }

    #[test]
    fn mistakes_stand_in_the_order_of_the_file() {
        let mistakes = vec![Mistake::new(4..5, "second"), Mistake::new(0..1, "first")];
        let shown = show("f", "a\nb\nc", mistakes);
        assert!(shown.find("first") < shown.find("second"), "{shown}");
    }
}
