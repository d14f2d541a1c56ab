//! What a terminal has room for of what is shown on it again and again. A line that wraps, or one too many, would push
//! the top out of sight each second.

use std::fmt::Write as _;
use std::io;

use crate::base::units::columns;

/// How many columns and lines stdout's terminal has; `None` where that is not known.
pub(super) fn room() -> Option<(usize, usize)> {
    let (width, height) = terminal_size::terminal_size_of(io::stdout())?;
    Some((width.0.into(), height.0.into()))
}

/// As much of it as there is room for. A row of a table is cut at the edge; a sentence goes on in the next line. Where
/// there are too many, those before the last ones are counted instead: what is wrong with all stands at the end.
pub(super) fn fitted(text: &str, (width, height): (usize, usize)) -> String {
    let lines: Vec<&str> = text.lines().map(|line| cut(line, width)).collect();
    let rows = |lines: &[&str]| -> usize { lines.iter().map(|line| rows_of(line, width)).sum() };
    // The cursor stands in a line of its own.
    let most = height.saturating_sub(1);
    let mut shown = String::new();
    if rows(&lines) <= most {
        lines.iter().for_each(|line| push(&mut shown, line));
        return shown;
    }
    let (body, end) = lines.split_at(lines.len().saturating_sub(LAST));
    let free = most.saturating_sub(rows(end) + 1);
    let fits = |count: &usize| rows(&body[..*count]) <= free;
    let kept = (0..=body.len()).rev().find(fits).unwrap_or_default();
    body[..kept].iter().for_each(|line| push(&mut shown, line));
    let _ = writeln!(shown, "... {} more lines", body.len() - kept);
    end.iter().for_each(|line| push(&mut shown, line));
    shown
}

fn push(shown: &mut String, line: &str) {
    shown.push_str(line);
    shown.push('\n');
}

/// A row of a table, which has gaps between its columns, as far as it goes; a sentence as it is.
fn cut(line: &str, width: usize) -> &str {
    if !line.contains("  ") {
        return line;
    }
    let mut used = 0;
    let end = line.char_indices().find(|(_, letter)| {
        used += columns(*letter);
        used > width
    });
    end.map_or(line, |(end, _)| line[..end].trim_end())
}

fn rows_of(line: &str, width: usize) -> usize {
    let used: usize = line.chars().map(columns).sum();
    used.div_ceil(width.max(1)).max(1)
}

/// How many lines at the end are always shown.
const LAST: usize = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fits_is_shown_as_it_is() {
        let text = "head\na  b\nc  d\n";
        assert_eq!(fitted(text, (80, 4)), text);
    }

    #[test]
    fn a_row_ends_at_the_edge_and_a_sentence_goes_on() {
        let text = "ROLE  WHY\nr1    because of it\nnot saved: because of it\n";
        let shown = fitted(text, (12, 24));
        assert_eq!(shown, "ROLE  WHY\nr1    becaus\nnot saved: because of it\n");
        // Letters of East Asia take two columns, and none is cut in half.
        assert_eq!(fitted("放  送送", (7, 24)), "放  送\n");
        assert_eq!(fitted("放  ", (3, 24)), "放\n");
    }

    #[test]
    fn the_head_and_the_end_stay_in_sight() {
        let rows: Vec<String> = (1..=30).map(|n| format!("r{n}  up")).collect();
        let text = format!("head\n{}\nnot saved: the disk is full\n", rows.join("\n"));
        let shown = fitted(&text, (80, 10));
        let lines: Vec<&str> = shown.lines().collect();
        assert_eq!(lines.len(), 9, "{shown}");
        assert_eq!(lines[..3], ["head", "r1  up", "r2  up"]);
        assert_eq!(lines[6], "... 24 more lines");
        assert_eq!(lines[7..], ["r30  up", "not saved: the disk is full"]);
        // Not even the end has room, and something is shown all the same.
        for height in 0..5 {
            assert!(!fitted(&text, (20, height)).is_empty());
        }
        assert!(!fitted(&text, (0, 0)).is_empty());
    }
}
