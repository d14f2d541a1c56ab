//! How the lines of a text end, and what stands before the first and behind the last: that stays as it is, whatever
//! values are changed.

use std::collections::HashSet;

/// A text that was made of another one, `before`, with what that has in its lines' place: the mark at its beginning,
/// what each line ends with, and whether the last one ends. Lines that are new end as most do.
pub(crate) fn as_before(before: &str, after: &str) -> String {
    let plain = before.strip_prefix(MARK).unwrap_or(before);
    let mut made = before[..before.len() - plain.len()].to_owned();
    let ends_in_dos = |line: &&str| line.ends_with("\r\n");
    let lines: Vec<&str> = plain.split_inclusive('\n').collect();
    let dos = lines.iter().filter(|line| ends_in_dos(line)).count();
    let ended = lines.iter().filter(|line| line.ends_with('\n')).count();
    let most = if dos * 2 > ended { "\r\n" } else { "\n" };
    // Where all end alike, nothing has to be found again.
    let is_mixed = (1..ended).contains(&dos);
    let known = lines.iter().filter(|_| is_mixed);
    let known: HashSet<&str> = known.map(|line| stripped(line)).collect();
    // Both go on in step, but for what has come and what has gone.
    let mut at = 0;
    for line in after.split_inclusive('\n') {
        let text = stripped(line);
        let found = match known.contains(text) {
            true => lines[at..].iter().position(|old| stripped(old) == text),
            false => None,
        };
        let end = match found {
            Some(found) => {
                at += found + 1;
                &lines[at - 1][text.len()..]
            }
            None => most,
        };
        made.push_str(text);
        made.push_str(match (end, line.len() > text.len()) {
            (_, false) => "",
            // It was the last one, and is not any more.
            ("", true) => most,
            (end, true) => end,
        });
    }
    let last = lines.last().copied().unwrap_or_default();
    let is_open = !last.is_empty() && !last.ends_with('\n');
    if is_open && after.split_inclusive('\n').next_back().map(stripped) == Some(last) {
        made.truncate(made.trim_end_matches(['\r', '\n']).len());
    }
    made
}

fn stripped(line: &str) -> &str {
    let line = line.strip_suffix('\n').unwrap_or(line);
    line.strip_suffix('\r').unwrap_or(line)
}

/// What some editors put before the first byte of a text.
const MARK: char = '\u{feff}';

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_end_as_they_did() {
        for (before, after, expected) in [
            ("", "a\n", "a\n"),
            ("a\nb\n", "a\nc\n", "a\nc\n"),
            ("a\r\nb\r\n", "a\nc\n", "a\r\nc\r\n"),
            ("\u{feff}a\r\n", "a\nc\n", "\u{feff}a\r\nc\r\n"),
            ("\u{feff}", "a\n", "\u{feff}a\n"),
            // Each keeps its own, whatever goes or comes before it.
            ("a\nb\r\nc\nd\n", "b\nx\nc\nd\n", "b\r\nx\nc\nd\n"),
            ("a\r\nb\nc\r\n", "x\na\nb\nc\n", "x\r\na\r\nb\nc\r\n"),
            ("a\r\na\na\r\n", "a\na\na\na\n", "a\r\na\na\r\na\r\n"),
            // The last one is open, and stays so.
            ("a\nb", "c\nb\n", "c\nb"),
            ("a\r\nb", "c\nb\n", "c\r\nb"),
            ("a\nb", "b\nc\n", "b\nc\n"),
            ("a\r\nb\r\nc", "a\nc\nd\n", "a\r\nc\r\nd\r\n"),
            ("a\n", "a", "a"),
        ] {
            assert_eq!(as_before(before, after), expected, "{before:?} {after:?}");
        }
    }
}
