//! A file that is no TOML, mended as far as it takes to read the rest of it: each header and each setting is read by
//! itself, what is wrong with it is noted, and as little as possible of it is left out. Nobody runs what comes of this:
//! it is there to find the other mistakes.
//!
//! ```text
//!   text ──Pieces──> each by itself ──wrong──> noted, and mended or blank ──> text that is TOML ──> the other mistakes
//! ```

mod budget;
mod pieces;
mod repair;

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::ops::Range;

use self::budget::Budget;
pub(super) use self::pieces::is_beginning;
use self::pieces::{Kind, Piece, Pieces};
use self::repair::{Edit, Repair, Swap, blank, copy, in_file};
use super::lost::Losses;
use super::mistake::{Lines, Mistake, SHOWN_MAX};
use super::section::{self, SECTIONS};
use super::syntax::{said, span_of};

/// A file that is no TOML, mended.
pub(super) struct Mended {
    /// What can be read, with each line where it is in the file. `None`: that was too much.
    pub(super) text: Option<String>,
    /// Why it is no TOML: at places of the file.
    pub(super) mistakes: Vec<Mistake>,
    /// What of its sections can't be read.
    pub(super) losses: Losses,
    /// What stands there instead of what.
    swaps: Vec<Swap>,
}

impl Mended {
    /// Mends a file that is no TOML.
    pub(super) fn of(text: &str) -> Self {
        let (text, lone) = without_lone_returns(text);
        let mut mender = Mender::of(&text);
        let mut pieces = Pieces::of(&text);
        while let (true, Some(piece)) = (mender.stop.is_none(), pieces.next(false)) {
            let begin = piece.at.start;
            if mender.mistakes.len() < SHOWN_MAX {
                mender.take(&mut pieces, piece);
            } else {
                mender.stop = Some(begin);
            }
            if mender.budget.is_used_up() {
                mender.stop = Some(begin);
            }
        }
        // What else is wrong in those lines may come of that.
        let lines: HashSet<usize> = lone.iter().map(|at| mender.lines.number(*at)).collect();
        let known = &mender.lines;
        let is_other = |wrong: &Mistake| !lines.contains(&known.number(wrong.at.start));
        mender.mistakes.retain(is_other);
        for at in lone {
            mender.note(at..at + 1, LONE_RETURN);
        }
        mender.finish()
    }

    /// The place in the file of a place in the mended text.
    pub(super) fn in_file(&self, at: Range<usize>) -> Range<usize> {
        in_file(&self.swaps, 0, at)
    }
}

/// A text with blanks for carriage returns that end no line; and where the first of each line is.
fn without_lone_returns(text: &str) -> (Cow<'_, str>, Vec<usize>) {
    if !text.contains('\r') {
        return (Cow::Borrowed(text), Vec::new());
    }
    let mut mended = String::with_capacity(text.len());
    let mut first: Vec<usize> = Vec::new();
    for line in text.split_inclusive('\n') {
        let begin = mended.len();
        let (line, end) = match line.strip_suffix("\r\n") {
            Some(line) => (line, "\r\n"),
            None => (line, ""),
        };
        first.extend(line.find('\r').map(|at| begin + at));
        mended += &line.replace('\r', " ");
        mended += end;
    }
    (Cow::Owned(mended), first)
}

/// One header or setting, and what becomes of it.
struct Part {
    at: Range<usize>,
    is_header: bool,
    /// It belongs to the section before it.
    is_output: bool,
    /// What stands there instead of what, in their order.
    edits: Vec<Edit>,
    /// The keys that can't be read of it.
    lost: Vec<Option<String>>,
}

struct Mender<'a> {
    text: &'a str,
    lines: Lines,
    parts: Vec<Part>,
    mistakes: Vec<Mistake>,
    /// The keys of this section, and where they stand.
    keys: HashMap<String, usize>,
    /// Sections of which there is one, and where they stand.
    tables: HashMap<String, usize>,
    /// Something of this section may have been a header: what follows may be another section's.
    has_gap: bool,
    /// The header of this section can't be read, or is none that there is.
    is_headless: bool,
    has_relay: bool,
    budget: Budget,
    /// Where mending stopped: there were enough mistakes, or no more may be parsed.
    stop: Option<usize>,
}

impl<'a> Mender<'a> {
    fn of(text: &'a str) -> Self {
        Self {
            text,
            lines: Lines::of(text),
            parts: Vec::new(),
            mistakes: Vec::new(),
            keys: HashMap::new(),
            tables: HashMap::new(),
            has_gap: false,
            is_headless: false,
            has_relay: false,
            budget: Budget::of(text),
            stop: None,
        }
    }

    fn note(&mut self, at: Range<usize>, text: impl Into<String>) {
        self.mistakes.push(Mistake::new(at, text));
    }

    fn take(&mut self, pieces: &mut Pieces<'_>, piece: Piece) {
        let text = &self.text[piece.at.clone()];
        match &piece.kind {
            Kind::Comment => {
                if let Some(Err(error)) = self.budget.parse(text) {
                    self.note(span_of(&error, piece.at.start), said(&error));
                    self.push(&piece, vec![blank(self.text, piece.at.clone())], None);
                }
            }
            Kind::Header => self.header(&piece),
            Kind::Strange if header_meant(text).is_some() => self.header(&piece),
            Kind::Strange | Kind::Setting { .. } => match self.budget.parse(text) {
                None => {}
                Some(Ok(_)) => self.setting(&piece),
                Some(Err(_)) => {
                    let is_long = text.contains('\n') && piece.open.is_none();
                    let cut = is_long.then(|| pieces.again(&piece)).flatten();
                    self.wrong_setting(&cut.unwrap_or(piece));
                }
            },
        }
    }

    fn push(&mut self, piece: &Piece, edits: Vec<Edit>, lost: Option<Option<String>>) {
        self.parts.push(Part {
            at: piece.at.clone(),
            is_header: false,
            is_output: false,
            edits,
            lost: lost.into_iter().collect(),
        });
    }

    /// A setting that is TOML, but for one that is there already.
    fn setting(&mut self, piece: &Piece) {
        let edits = match self.is_first(piece) {
            true => Vec::new(),
            false => vec![blank(self.text, piece.at.clone())],
        };
        self.push(piece, edits, None);
    }

    /// Whether this section has no such key yet. One that it has is noted.
    fn is_first(&mut self, piece: &Piece) -> bool {
        let Kind::Setting { key: at } = &piece.kind else {
            return true;
        };
        let key = plain_key(&self.text[at.clone()]);
        let Some(first) = self.keys.get(&key) else {
            self.keys.insert(key, at.start);
            return true;
        };
        // Where a header can't be told from other things, this may be the key of another section.
        if !self.has_gap {
            let line = self.lines.number(*first);
            // What is no key may be a part of a value that ends with =, as base64 does.
            let name = match section::is_key(&key) {
                true => key,
                false => "this".to_owned(),
            };
            let text = format!("{name} stands here twice: the first is on line {line}");
            self.note(at.clone(), text);
        }
        false
    }

    /// A setting that is no TOML.
    fn wrong_setting(&mut self, piece: &Piece) {
        let is_first = self.is_first(piece);
        let text = &self.text[piece.at.clone()];
        let is_setting = matches!(piece.kind, Kind::Setting { .. });
        let name = match &piece.kind {
            // A key that is written with blanks, too.
            Kind::Setting { key } => {
                let words = self.text[key.clone()].split_whitespace();
                plain_key(&words.collect::<Vec<_>>().join("-"))
            }
            _ => first_word(text).to_owned(),
        };
        let key = Some(name).filter(|name| section::is_key(name));
        self.has_gap |= key.is_none() && !is_setting;
        let mut repair = Repair::of(self.text, piece, key.as_deref());
        repair.run(&mut self.budget);
        let edits = match (repair.edits, is_first) {
            (Some(edits), true) => edits,
            _ => vec![blank(self.text, piece.at.clone())],
        };
        self.mistakes.extend(repair.mistakes);
        self.push(piece, edits, Some(key));
    }

    fn header(&mut self, piece: &Piece) {
        let text = self.text;
        let header = Header::of(text, piece.at.clone());
        let name = plain_key(&text[header.name.clone()]);
        let alone = format!("[{name}]");
        let (Some(read), Some(named)) = (
            self.budget.parse(&text[piece.at.clone()]),
            self.budget.parse(&alone),
        ) else {
            return;
        };
        let is_output = name == OUTPUT;
        let known = SECTIONS.iter().any(|section| section.name == name) || is_output;
        let is_one = ONE_OF_A_KIND.contains(&name.as_str());
        // What stands in quotes may be a value of the list before it.
        let is_plain = text[header.name.clone()] == name;
        let is_name = !name.is_empty() && named.is_ok() && (known || is_one || is_plain);
        let first = self.tables.get(&name).filter(|_| is_one).copied();
        let wants = match (known, is_one) {
            (true, _) => 2,
            (_, true) => 1,
            _ => header.opened.clamp(1, 2),
        };
        let mut lost = Vec::new();
        let is_wrong = read.is_err();
        if let Err(error) = &read {
            let said = header.wrong(&name, wants, is_name);
            self.note(span_of(error, piece.at.start), said);
            lost.extend((!header.is_alone).then_some(None));
        } else if known && header.opened == 1 {
            let said = format!("there may be several of these: write [[{name}]]");
            self.note(header.name.clone(), said);
        }
        if let (Some(first), true) = (first, is_name) {
            let line = self.lines.number(first);
            let said = format!("[{name}] stands here twice: the first is on line {line}");
            self.note(header.name.clone(), said);
        }
        let is_astray = is_output && (self.is_headless || !self.has_relay);
        if is_astray && !self.is_headless {
            self.note(header.name.clone(), ASTRAY);
        }
        self.is_headless = is_astray || !is_name || first.is_some();
        let is_left_out = self.is_headless;
        self.is_headless |= !known && !is_one;
        self.has_relay |= name == "relay";
        let edits = match (is_left_out, is_wrong || known && header.opened == 1) {
            (true, _) => vec![(piece.at.clone(), format!("[[\"{UNREADABLE}\"]]"))],
            (false, true) => header.with_brackets(piece.at.clone(), &name, wants),
            (false, false) => Vec::new(),
        };
        if is_one && first.is_none() {
            self.tables.insert(name, piece.at.start);
        }
        self.keys.clear();
        self.has_gap = false;
        self.parts.push(Part {
            at: piece.at.clone(),
            is_header: true,
            is_output,
            edits,
            lost,
        });
    }

    /// Puts it all together. What each part is by itself may still contradict the others.
    fn finish(mut self) -> Mended {
        let mut told = HashSet::new();
        while self.stop.is_none() {
            let (text, swaps, losses, begins) = self.put_together();
            let error = match self.budget.parse(&text) {
                Some(Ok(_)) => {
                    return Mended {
                        text: Some(text),
                        mistakes: self.mistakes,
                        losses,
                        swaps,
                    };
                }
                Some(Err(error)) => error,
                None => break,
            };
            let at = span_of(&error, 0);
            let place = begins.partition_point(|begin| *begin <= at.start);
            let Some(part) = place.checked_sub(1).filter(|place| told.insert(*place)) else {
                break;
            };
            let at = in_file(&swaps, 0, at);
            self.note(at, said(&error));
            let part = &mut self.parts[part];
            part.edits = vec![match part.is_header {
                true => (part.at.clone(), format!("[[\"{UNREADABLE}\"]]")),
                false => blank(self.text, part.at.clone()),
            }];
            if self.mistakes.len() >= SHOWN_MAX {
                break;
            }
        }
        self.stopped()
    }

    /// What is told where mending has stopped: that it has, too, among what is shown.
    fn stopped(mut self) -> Mended {
        self.mistakes.sort_by_key(|mistake| mistake.at.start);
        let hidden = self
            .mistakes
            .drain(self.mistakes.len().min(SHOWN_MAX - 1)..);
        let hidden = hidden.map(|mistake| mistake.at.start).min();
        let end = hidden.or(self.stop).unwrap_or(self.text.len());
        self.note(end..end, UNREAD);
        Mended {
            text: None,
            mistakes: self.mistakes,
            losses: Losses::default(),
            swaps: Vec::new(),
        }
    }

    /// The mended text, what in it stands for what, what is lost, and where each part begins.
    fn put_together(&self) -> (String, Vec<Swap>, Losses, Vec<usize>) {
        let mut text = String::new();
        let (mut swaps, mut begins) = (Vec::new(), Vec::new());
        let mut losses = Losses::default();
        let mut copied = 0;
        // Where the section begins, and the one that it belongs to.
        let (mut own, mut whole) = (usize::MAX, usize::MAX);
        for part in &self.parts {
            text += &self.text[copied..part.at.start];
            begins.push(text.len());
            if part.is_header {
                own = text.len();
                whole = if part.is_output { whole } else { own };
            }
            for key in &part.lost {
                losses.add(own, key.clone());
                if whole != own {
                    losses.add(whole, key.clone());
                }
            }
            copy(
                self.text,
                part.at.clone(),
                &part.edits,
                &mut text,
                &mut swaps,
            );
            copied = part.at.end;
        }
        text += &self.text[copied..];
        (text, swaps, losses, begins)
    }
}

/// What is taken for a header, part by part.
struct Header {
    /// How many brackets open it.
    opened: usize,
    /// Where its name stands.
    name: Range<usize>,
    /// Nothing but a comment stands behind it.
    is_alone: bool,
}

impl Header {
    fn of(file: &str, at: Range<usize>) -> Self {
        let text = &file[at.clone()];
        if !text.starts_with('[')
            && let Some(name) = header_meant(text)
        {
            return Self {
                opened: 0,
                name: at.start + name.start..at.start + name.end,
                is_alone: true,
            };
        }
        let inner = text.trim_start_matches(['[', ' ', '\t']);
        let begin = at.start + text.len() - inner.len();
        let end = inner.find([']', '#', '=']).unwrap_or(inner.len());
        let name = inner[..end].trim_end();
        let behind = inner[end..].trim_start_matches([']', ' ', '\t']);
        Self {
            opened: text[..text.len() - inner.len()].matches('[').count(),
            name: begin..begin + name.len(),
            is_alone: behind.is_empty() || behind.starts_with('#'),
        }
    }

    fn wrong(&self, name: &str, wants: usize, is_name: bool) -> String {
        if !is_name {
            return "this is no header: write [[relay]], with the name of a section".to_owned();
        }
        if !self.is_alone {
            return "a header stands alone in its line".to_owned();
        }
        let (open, close) = ("[".repeat(wants), "]".repeat(wants));
        match self.opened {
            0 => format!("a header stands in brackets: write {open}{name}{close}"),
            _ => format!("this header is not closed as it is opened: write {open}{name}{close}"),
        }
    }

    /// The same name, in as many brackets as it wants, and nothing behind it.
    fn with_brackets(&self, at: Range<usize>, name: &str, wants: usize) -> Vec<Edit> {
        vec![
            (at.start..self.name.start, "[".repeat(wants)),
            (self.name.clone(), name.to_owned()),
            (self.name.end..at.end, "]".repeat(wants)),
        ]
    }
}

/// A key without its quotes and the blanks around its dots.
fn plain_key(text: &str) -> String {
    let parts = text.split('.');
    let parts: Vec<&str> = parts
        .map(|part| part.trim().trim_matches(['"', '\'']))
        .collect();
    parts.join(".")
}

fn first_word(text: &str) -> &str {
    let is_of_word = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
    let behind = text.trim_start_matches(is_of_word);
    &text[..text.len() - behind.len()]
}

/// The name of a section in a line that has no `=`, where it is all that stands there, but for brackets of any kind and
/// a colon; or any name where there are the brackets of a header.
fn header_meant(text: &str) -> Option<Range<usize>> {
    let line = text.split('#').next().unwrap_or_default();
    let is_of_name = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let mut words = line
        .split(|c: char| !is_of_name(c))
        .filter(|word| !word.is_empty());
    let is_known = |name: &str| {
        let mut known = SECTIONS.iter().map(|section| section.name);
        known.any(|own| own == name) || ONE_OF_A_KIND.contains(&name) || name == OUTPUT
    };
    let inner = line.trim_matches(|c: char| !is_of_name(c) || c == '-');
    let is_alone = line.trim_end().ends_with(']')
        && inner.starts_with(|c: char| c.is_ascii_alphabetic())
        && inner.chars().all(is_of_name)
        && !section::is_key(inner);
    let name = match line.contains(['[', ']']) {
        true => words
            .find(|word| is_known(word))
            .or(is_alone.then_some(inner)),
        false => Some(inner).filter(|inner| is_known(inner)),
    }?;
    let begin = line.find(name)?;
    Some(begin..begin + name.len())
}

pub(super) const ASTRAY: &str = "an output belongs to the [[relay]] above it: there is none";
const LONE_RETURN: &str =
    "a carriage return stands alone here: lines end with LF, or with CR and LF";
/// The section that stands for one whose header can't be read.
pub(super) const UNREADABLE: &str = " unreadable ";
/// The sections of which there is one.
const ONE_OF_A_KIND: [&str; 3] = ["console", "metrics", "log"];
/// The section that belongs to the relay before it.
const OUTPUT: &str = "relay.output";
const UNREAD: &str =
    "this can't be read further: what else is wrong is told once the others are mended";

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::{Env, RunFile};

    const FILE: &str = r#"# ours
[[relay]]
name = "sports" # it
src = ["127.0.0.1:5000", "127.0.0.1:5001"]
dst = ":6000"
max-lag = "5s"

[[relay.output]]
dst = "connect:b:7000"
slow = "block"

[[relay]]
name = "b"
src = "unix:in"
dst = [
  ":6001", # first
  "ws://:6002",
  'connect:c:1',
]
retry = 5
stats = true

[[hub]]
listen = "127.0.0.1:8080"

[[tunnel.serve]]
listen = "127.0.0.1:7000"
no-auth = true

[console]
bind = "127.0.0.1:7700"

[metrics]
listen = 9100
"#;

    /// The lines on which something is wrong.
    fn lines(text: &str) -> Vec<usize> {
        let found = RunFile::parse(text, Path::new("/nonexistent"), &[], &Env::default());
        let lines = Lines::of(text);
        let all = found.err().unwrap_or_default().into_iter();
        let mut all: Vec<usize> = all.map(|wrong| lines.number(wrong.at.start)).collect();
        all.sort_unstable();
        all
    }

    /// Whatever a slip makes of one line, nothing is said of another; and what is wrong elsewhere is said all the same.
    #[test]
    fn a_slip_is_told_where_it_is() {
        assert_eq!(lines(FILE), [0; 0]);
        let mut told = 0;
        let signs = FILE.match_indices(['"', '\'', '[', ']', '=', ',']);
        for (at, sign) in signs {
            for instead in ["", "x", "\""] {
                let slip = format!("{}{instead}{}", &FILE[..at], &FILE[at + 1..]);
                let own = Lines::of(&slip).number(at);
                let text = format!("{slip}[[ws.relay]]\nlisten = 0\nnmae = 1\n");
                let other = text.find("nmae").expect("it was just written");
                let other = Lines::of(&text).number(other);
                let mut others = lines(&text);
                told += others.len() - 1;
                others.retain(|line| !is_near(own, *line));
                assert_eq!(
                    others,
                    [other],
                    "{sign} -> {instead:?} in line {own}: {text}"
                );
            }
        }
        assert!(told > 150, "{told}");
    }

    /// However much is wrong, what is parsed to tell it is some times the file, and what is not read is told.
    #[test]
    fn mending_ends() {
        let commas = format!("a = [{}]\n", "'x' ".repeat(3000));
        for (text, count) in [
            // Texts of one list that have no end: each would be mended.
            (format!("a = [\n{}", "\"\n".repeat(20_000)), SHOWN_MAX),
            // Sections that contradict each other, each found when all is read.
            ("[a]\nb = 1\n[a.b]\n".repeat(2000), 0),
            ("b c\n".repeat(20_000), SHOWN_MAX),
            (commas, 2),
        ] {
            let all = lines(&text);
            let head = &text[..20];
            let mended = Mended::of(&text);
            assert!(all.len() <= SHOWN_MAX + 1, "{}: {head}", all.len());
            assert!(count == 0 || all.len() == count, "{}: {head}", all.len());
            let is_told = mended.mistakes.iter().any(|wrong| wrong.text == UNREAD);
            assert_eq!(is_told, mended.text.is_none(), "{head}");
        }
        let most = |count: usize| Mended::of(&"b c\n".repeat(count));
        assert!(most(SHOWN_MAX).text.is_some());
        assert_eq!(most(SHOWN_MAX + 1).text, None);
        let last = most(SHOWN_MAX + 1).mistakes.pop().map(|wrong| wrong.text);
        assert_eq!(last.as_deref(), Some(UNREAD));
    }

    /// Where one thing is wrong in two places, it is told at the second; and a list may be wrong as a whole.
    fn is_near(own: usize, line: usize) -> bool {
        own == line || (15..=19).contains(&own) && (15..=19).contains(&line)
    }
}
