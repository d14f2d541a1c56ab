//! How the lines of a text end, what stands before the first and behind the last, and how headers are written: that
//! stays as it is, whatever values are changed.

use std::borrow::Cow;

/// A text that was made of another one, `before`, with what that has in its lines' place: the mark at its beginning,
/// what each line ends with, whether the last one ends, and the blanks and quotes in each header. Lines that are new
/// end as most do.
pub(crate) fn as_before(before: &str, after: &str) -> String {
    let plain = before.strip_prefix(MARK).unwrap_or(before);
    let mut made = before[..before.len() - plain.len()].to_owned();
    let ends_in_dos = |line: &&str| line.ends_with("\r\n");
    let lines: Vec<&str> = plain.split_inclusive('\n').collect();
    let dos = lines.iter().filter(|line| ends_in_dos(line)).count();
    let ended = lines.iter().filter(|line| line.ends_with('\n')).count();
    let most = if dos * 2 > ended { "\r\n" } else { "\n" };
    // Where all end alike, and headers have nothing that they can do without, nothing has to be found again.
    let is_mixed = (1..ended).contains(&dos);
    let (old_texts, new_texts) = (texts(plain), texts(after));
    let is_free = |text: &Cow<'_, str>| matches!(text, Cow::Owned(_));
    let new: Vec<&str> = after.split_inclusive('\n').collect();
    let stayed = match is_mixed || old_texts.iter().any(is_free) {
        true => stayed(&old_texts, &new_texts),
        false => vec![None; new.len()],
    };
    for (line, old) in new.iter().zip(stayed) {
        let ends = line.ends_with('\n');
        let old = old.map(|old| lines[old]);
        let text = stripped(old.unwrap_or(line));
        let end = old.map_or(most, |old| &old[text.len()..]);
        made.push_str(text);
        made.push_str(match (end, ends) {
            (_, false) => "",
            // It was the last one, and is not any more.
            ("", true) => most,
            (end, true) => end,
        });
    }
    let last = lines.last().copied().unwrap_or_default();
    let is_open = !last.is_empty() && !last.ends_with('\n');
    if is_open && new_texts.last() == old_texts.last() {
        made.truncate(made.trim_end_matches(['\r', '\n']).len());
    }
    made
}

/// Which of the old lines each of the new ones is, if any: as few as can be have come or gone, found as in E. W. Myers,
/// "An O(ND) Difference Algorithm and Its Variations", 1986.
fn stayed(old: &[Cow<'_, str>], new: &[Cow<'_, str>]) -> Vec<Option<usize>> {
    let (all_old, all_new) = (old.len().cast_signed(), new.len().cast_signed());
    let shift = all_old + all_new + 1;
    // How many old lines are behind one, for each difference between those and the new ones that are.
    let mut reached = vec![0_isize; (2 * shift + 1).cast_unsigned()];
    let place = |diagonal: isize, middle: isize| (middle + diagonal).cast_unsigned();
    let comes = |reached: &[isize], diagonal: isize, steps: isize, middle: isize| {
        let (gone, come) = (
            reached[place(diagonal - 1, middle)],
            reached[place(diagonal + 1, middle)],
        );
        diagonal == -steps || diagonal != steps && gone < come
    };
    let mut before = Vec::new();
    'steps: for steps in 0..shift {
        before.push(reached[place(-steps - 1, shift)..=place(steps + 1, shift)].to_vec());
        for diagonal in (-steps..=steps).step_by(2) {
            let mut at = match comes(&reached, diagonal, steps, shift) {
                true => reached[place(diagonal + 1, shift)],
                false => reached[place(diagonal - 1, shift)] + 1,
            };
            let is_same = |at: isize| {
                let old = old.get(at.cast_unsigned());
                old.is_some() && old == new.get((at - diagonal).cast_unsigned())
            };
            while is_same(at) {
                at += 1;
            }
            reached[place(diagonal, shift)] = at;
            if at >= all_old && at - diagonal >= all_new {
                break 'steps;
            }
        }
    }
    // The way back tells which were the same.
    let mut stayed = vec![None; new.len()];
    let (mut at, mut diagonal) = (all_old, all_old - all_new);
    let all_steps = before.len().cast_signed();
    for (steps, reached) in (0..all_steps).zip(&before).rev() {
        let from = match comes(reached, diagonal, steps, steps + 1) {
            true => diagonal + 1,
            false => diagonal - 1,
        };
        let begun = match from > diagonal {
            true => reached[place(from, steps + 1)],
            false => reached[place(from, steps + 1)] + 1,
        };
        while at > begun {
            at -= 1;
            stayed[(at - diagonal).cast_unsigned()] = Some(at.cast_unsigned());
        }
        (at, diagonal) = (reached[place(from, steps + 1)], from);
    }
    stayed
}

/// What each line says.
fn texts(text: &str) -> Vec<Cow<'_, str>> {
    let lines = text.split_inclusive('\n');
    lines.map(|line| essence(stripped(line))).collect()
}

/// A header without the blanks and the quotes that a person may write into it: of each kind of section `toml_edit`
/// knows the first one's, and writes the others like that. Any other line as it is: what is changed has none that looks
/// like a header.
fn essence(line: &str) -> Cow<'_, str> {
    let is_free = |found: char| matches!(found, ' ' | '\t' | '"' | '\'');
    let blank = line.len() - line.trim_start().len();
    let header = line[blank..].split('#').next().unwrap_or_default();
    let end = blank + header.rfind(']').map_or(0, |last| last + 1);
    let header = &line[blank..end];
    match header.starts_with('[') && header.contains(is_free) {
        true => Cow::Owned([&line[..blank], &header.replace(is_free, ""), &line[end..]].concat()),
        false => Cow::Borrowed(line),
    }
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
            // One that is new is not another one that comes much later.
            (
                "a\nb\r\nc\r\nd\nx\r\n",
                "x\na\nb\nc\nd\nx\n",
                "x\r\na\nb\r\nc\r\nd\nx\r\n",
            ),
            ("a\nb\nx\r\nc\n", "a\nx\nb\nx\nc\n", "a\nx\nb\nx\r\nc\n"),
            ("a\r\n\r\nb\n\nc\n", "\nc\n", "\r\nc\n"),
            // The last one is open, and stays so.
            ("a\nb", "c\nb\n", "c\nb"),
            ("a\r\nb", "c\nb\n", "c\r\nb"),
            ("a\nb", "b\nc\n", "b\nc\n"),
            ("a\r\nb\r\nc", "a\nc\nd\n", "a\r\nc\r\nd\r\n"),
            ("a\n", "a", "a"),
            // A header is written as it was; another line that begins with a bracket is another one.
            ("[[ a ]]\nb\n", "[[a]]\nc\n", "[[ a ]]\nc\n"),
            (
                "[ 'a' . b ] # [ c ]",
                "[a.b] # [ c ]\n",
                "[ 'a' . b ] # [ c ]",
            ),
            ("[ a ]\n[ 1 ] # c\n", "[a]\n[2] # c\n", "[ a ]\n[2] # c\n"),
        ] {
            assert_eq!(as_before(before, after), expected, "{before:?} {after:?}");
        }
    }
}
