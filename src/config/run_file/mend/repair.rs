//! One setting that is no TOML, mended as far as that goes: a comma that is missing, a list that is not closed, a line
//! of a list. And the places of what was mended, in what it was.

use std::collections::HashSet;
use std::ops::Range;

use super::budget::Budget;
use super::pieces::{Open, Piece};
use crate::config::run_file::mistake::{Mistake, SHOWN_MAX};
use crate::config::run_file::syntax::{of_setting, span_of};

/// What stands there instead of what.
pub(super) type Edit = (Range<usize>, String);

/// A part of a mended text, and the part of the file that it stands for.
pub(super) struct Swap {
    pub(super) new: Range<usize>,
    pub(super) old: Range<usize>,
}

/// The place in the file of a place in what was mended, which stands for the file from `base` on.
pub(super) fn in_file(swaps: &[Swap], base: usize, at: Range<usize>) -> Range<usize> {
    let place = |at: usize| {
        let before = swaps.partition_point(|swap| swap.new.start <= at);
        match before.checked_sub(1).map(|last| &swaps[last]) {
            None => base + at,
            Some(Swap { new, old }) if at < new.end => old.end.min(old.start + (at - new.start)),
            Some(Swap { new, old }) => old.end + (at - new.end),
        }
    };
    place(at.start)..place(at.end)
}

/// A setting that is mended as far as it can be: a comma that is missing, a list that is not closed, a line of a list.
pub(super) struct Repair<'a> {
    file: &'a str,
    piece: &'a Piece,
    /// Its key, or the word that it begins with, where that is one of ours.
    key: Option<&'a str>,
    /// `None`: it can't be.
    pub(super) edits: Option<Vec<Edit>>,
    pub(super) mistakes: Vec<Mistake>,
    /// The lines of which something was said: what else is wrong there may come of it.
    told: HashSet<usize>,
}

impl<'a> Repair<'a> {
    pub(super) fn of(file: &'a str, piece: &'a Piece, key: Option<&'a str>) -> Self {
        Self {
            file,
            piece,
            key,
            edits: Some(Vec::new()),
            mistakes: Vec::new(),
            told: HashSet::new(),
        }
    }

    /// Mends it, as far as what may be parsed goes, and no further than mistakes are shown.
    pub(super) fn run(&mut self, budget: &mut Budget) {
        for at in self.piece.open_texts.iter().take(SHOWN_MAX) {
            let end = self.line_of(*at).end;
            let quote = &self.file[*at..at + 1];
            self.tell(
                *at..end,
                format!("this text has no end: {quote} is missing"),
            );
            self.leave_out(*at);
        }
        if self.piece.open_texts.len() > SHOWN_MAX {
            self.edits = None;
            return;
        }
        if let Some(Open { at, by }) = self.piece.open {
            let what = match by {
                "]" => "list",
                "}" => "table",
                _ => "text",
            };
            self.tell(
                at..at + by.len(),
                format!("this {what} has no end: {by} is missing"),
            );
            match (&mut self.edits, by) {
                (Some(edits), "]") => insert(edits, self.piece.end, "]"),
                _ => self.edits = None,
            }
        }
        while self.mistakes.len() <= SHOWN_MAX {
            let Some(edits) = &self.edits else { return };
            let (mut text, mut swaps) = (String::new(), Vec::new());
            let whole = self.piece.at.clone();
            copy(self.file, whole.clone(), edits, &mut text, &mut swaps);
            let error = match budget.parse(&text) {
                Some(Ok(_)) => return,
                Some(Err(error)) => error,
                None => break,
            };
            let Range { start: begin, end } = in_file(&swaps, whole.start, span_of(&error, 0));
            let is_new = self.tell(begin..end, of_setting(&error, self.key, &text));
            match (error.message().starts_with(NO_COMMA), &mut self.edits) {
                (true, Some(edits)) => insert(edits, begin, ","),
                _ if is_new => self.leave_out(begin),
                _ => self.edits = None,
            }
        }
        self.edits = None;
    }

    /// Something is wrong in a line. Whether nothing was said of that yet.
    fn tell(&mut self, at: Range<usize>, text: String) -> bool {
        let is_new = self.told.insert(self.line_of(at.start).start);
        if is_new {
            self.mistakes.push(Mistake::new(at, text));
        }
        is_new
    }

    fn line_of(&self, at: usize) -> Range<usize> {
        let file = &self.file[..self.piece.at.end];
        let at = at.min(file.len());
        let begin = file.as_bytes()[..at]
            .iter()
            .rposition(|byte| *byte == b'\n');
        let end = file.as_bytes()[at..].iter().position(|byte| *byte == b'\n');
        begin.map_or(0, |begin| begin + 1)..end.map_or(file.len(), |end| at + end)
    }

    /// Leaves out a line within a list, or all of it.
    fn leave_out(&mut self, at: usize) {
        let line = self.line_of(at);
        let is_within = line.start > self.piece.at.start && line.end < self.piece.at.end;
        let Some(edits) = self.edits.as_mut().filter(|_| is_within) else {
            self.edits = None;
            return;
        };
        edits.retain(|(old, _)| old.end < line.start || old.start > line.end);
        edits.push(blank(self.file, line));
        edits.sort_by_key(|(old, _)| old.start);
    }
}

fn insert(edits: &mut Vec<Edit>, at: usize, text: &str) {
    edits.push((at..at, text.to_owned()));
    edits.sort_by_key(|(old, _)| old.start);
}

/// Copies a part of a file with these edits to the end of a text. What is as long as what it stands for needs no swap.
pub(super) fn copy(
    file: &str,
    at: Range<usize>,
    edits: &[Edit],
    text: &mut String,
    swaps: &mut Vec<Swap>,
) {
    let mut copied = at.start;
    for (old, new) in edits {
        *text += &file[copied..old.start];
        let begin = text.len();
        *text += new;
        copied = old.end;
        if new.len() != old.len() {
            let (new, old) = (begin..text.len(), old.clone());
            swaps.push(Swap { new, old });
        }
    }
    *text += &file[copied..at.end];
}

/// Blanks in the place of a part, line by line.
pub(super) fn blank(file: &str, at: Range<usize>) -> (Range<usize>, String) {
    let blank = |byte: u8| if byte == b'\n' { '\n' } else { ' ' };
    let blanks = file[at.clone()].bytes().map(blank).collect();
    (at, blanks)
}

/// How what is said of a list begins that lacks a comma.
const NO_COMMA: &str = "missing comma between array elements";
