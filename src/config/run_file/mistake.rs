//! What is wrong in a file, and where: one line that says it, and below it the line that it is about, with carets.

use std::fmt::Write;
use std::ops::Range;

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

/// The line on which a byte stands, from 1 on.
pub(super) fn line_of(file: &str, at: usize) -> usize {
    1 + file.as_bytes()[..at.min(file.len())]
        .iter()
        .filter(|byte| **byte == b'\n')
        .count()
}

/// All mistakes of a file, in the order in which they stand there, as they are shown to people.
pub(super) fn show(name: &str, file: &str, mut mistakes: Vec<Mistake>) -> String {
    mistakes.sort_by_key(|mistake| mistake.at.start);
    let mut text = String::new();
    for mistake in &mistakes {
        show_one(&mut text, name, file, mistake);
    }
    text
}

fn show_one(text: &mut String, name: &str, file: &str, mistake: &Mistake) {
    let start = floor(file, mistake.at.start);
    let begin = file[..start].rfind('\n').map_or(0, |at| at + 1);
    let end = file[start..].find('\n').map_or(file.len(), |at| start + at);
    let number = line_of(file, start);
    let column = 1 + file[begin..start].chars().count();
    let line = file[begin..end].trim_end_matches('\r');
    // A long line is shown from a little before the place that counts.
    let skipped = column.saturating_sub(WIDTH - CONTEXT + 1);
    let shown: String = line.chars().skip(skipped).take(WIDTH).map(plain).collect();
    let length = file[start..floor(file, mistake.at.end.min(end)).max(start)]
        .chars()
        .count();
    let before = column - 1 - skipped;
    let room = (shown.chars().count() + 1).saturating_sub(before).max(1);
    let carets = "^".repeat(length.clamp(1, room));
    let margin = " ".repeat(number.to_string().len());
    let wrong: String = mistake.text.chars().map(plain).collect();
    let _ = writeln!(
        text,
        "{name}:{number}:{column}: {wrong}\n {number} | {shown}\n {margin} | {:before$}{carets}",
        ""
    );
}

/// A character as it takes one column and drives no terminal.
fn plain(letter: char) -> char {
    match letter.is_control() {
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
        let expected = "f.toml:2:9: no\n 2 |  name = \"\u{fc}ber\" # x\n   |         ^^^^^^\n";
        assert_eq!(show("f.toml", file, vec![mistake]), expected);
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
    fn mistakes_stand_in_the_order_of_the_file() {
        let mistakes = vec![Mistake::new(4..5, "second"), Mistake::new(0..1, "first")];
        let shown = show("f", "a\nb\nc", mistakes);
        assert!(shown.find("first") < shown.find("second"), "{shown}");
    }
}
