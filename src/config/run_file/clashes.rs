//! What of several sections can't be true at once: one name, one place to listen, one standard stream for two.

use std::collections::HashMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::crew::Draft;
use super::rest::Rest;
use super::section::{Entry, Reader};
use crate::base::endpoint::Endpoint;
use crate::config::Run;
use crate::roles::relay::config::{Output, RelayConfig, Source, Way};

/// Notes that a name is taken. `names`: those before it, and the lines on which they stand.
pub(super) fn note_name(
    reader: &mut Reader<'_>,
    names: &mut HashMap<String, usize>,
    entry: &Entry,
) {
    if entry.lost.may_be("name") {
        return;
    }
    let name = entry.name();
    let own = reader.lines.number(entry.header.start);
    let Some(line) = names.get(&name) else {
        names.insert(name, own);
        return;
    };
    let told = match entry.values.given("name") {
        true => format!("the name {name} is taken, on line {line}: give this one another"),
        false => format!("it is called {name}, as the one on line {line} is: give it a name"),
    };
    reader.note(entry.place_of("name"), told);
}

/// What two places have in common that can't stand beside each other: a port, or the file of a socket.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) enum Ground {
    Port(u16),
    File(PathBuf),
}

impl Ground {
    pub(super) fn of(at: &Endpoint) -> Self {
        match at {
            Endpoint::Tcp { port, .. } => Self::Port(*port),
            Endpoint::Unix(path) => Self::File(real(path)),
        }
    }
}

/// Where a path leads, as far as there are folders on it: one file has many names.
fn real(path: &Path) -> PathBuf {
    let whole = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let (Some(folder), Some(name)) = (whole.parent(), whole.file_name()) else {
        return whole;
    };
    match folder.canonicalize() {
        Ok(folder) => folder.join(name),
        Err(_) => whole,
    }
}

/// A place, where it stands in the file, and whose it is. One that stands nowhere there is that of `--metrics`.
type Taken = (Endpoint, Option<Range<usize>>, usize);

/// Notes places and streams that two want.
pub(super) fn note(reader: &mut Reader<'_>, crew: &[Draft], rest: &Rest<'_>) {
    let mut taken: HashMap<Ground, Vec<Taken>> = HashMap::new();
    let watchers = &rest.watchers;
    if let Some(at) = &rest.flagged {
        let nobody = usize::MAX;
        taken.insert(Ground::of(at), vec![(at.clone(), None, nobody)]);
    }
    let mine = crew.iter().enumerate().flat_map(|(index, draft)| {
        let places = draft.listens.iter();
        places.map(move |(at, place)| (at.clone(), place.clone(), index))
    });
    // Each is another one than all roles, and than the others of its kind.
    let watchers = (crew.len()..)
        .zip(watchers)
        .map(|(index, (at, place))| (at.clone(), place.clone(), index));
    for (at, place, index) in mine.chain(watchers) {
        let ground = Ground::of(&at);
        let is_file = matches!(ground, Ground::File(_));
        let near = taken.entry(ground).or_default();
        // Within one role, its own rules have found it; but not that two paths are one.
        let clash = near.iter().find(|(other, _, whose)| match is_file {
            true => *whose != index || *other != at,
            false => *whose != index && other.overlaps(&at),
        });
        if let Some((other, first, _)) = clash {
            let by = match first {
                Some(first) => {
                    let line = reader.lines.number(first.start);
                    format!("{other} stands on line {line}")
                }
                None => format!("the command line says --metrics {other}"),
            };
            reader.note(place.clone(), format!("{at} is taken: {by}"));
        }
        near.push((at, Some(place), index));
    }
    let stdin = |relay: &RelayConfig| relay.source == Source::Stdin;
    note_stream(reader, crew, "stdin", "src", stdin);
    let stdout = |relay: &RelayConfig| {
        let written = |output: &Output| output.way == Way::Stdout;
        relay.dump.is_some() || relay.outputs.iter().any(written)
    };
    note_stream(reader, crew, "stdout", "dump", stdout);
}

fn note_stream(
    reader: &mut Reader<'_>,
    crew: &[Draft],
    stream: &str,
    key: &str,
    uses: impl Fn(&RelayConfig) -> bool,
) {
    let uses = |draft: &&Draft| match draft.member.as_ref().map(|member| &member.run) {
        Some(Run::Relay(relay)) => uses(relay),
        _ => false,
    };
    let mut users = crew.iter().filter(uses);
    let Some(first) = users.next() else {
        return;
    };
    let line = reader.lines.number(first.entry.header.start);
    for Draft { entry, .. } in users {
        reader.note(
            entry.place_of(key),
            format!("{stream} is in use by the relay of line {line}: there is one"),
        );
    }
}

/// Where a role listens, and where that stands.
pub(super) fn places(entry: &Entry, run: &Run) -> Vec<(Endpoint, Range<usize>)> {
    let word = |index: usize| match entry.words.get(index) {
        Some(word) => word.at.clone(),
        None => entry.header.clone(),
    };
    match run {
        Run::Relay(relay) => {
            let source = match &relay.source {
                Source::Listen(at) => Some((at.clone(), word(0))),
                Source::Dial(_) | Source::Stdin => None,
            };
            let outputs = relay.outputs.iter().enumerate();
            let listening = outputs.filter_map(|(index, output)| match &output.way {
                Way::Listen(at) => Some((at.clone(), word(1 + index))),
                Way::Dial(_) | Way::Stdout => None,
            });
            source.into_iter().chain(listening).collect()
        }
        run => {
            let own = entry.words.iter().position(|word| word.key == "listen");
            let at_own = |at: &Endpoint| (at.clone(), word(own.unwrap_or_default()));
            run.listens().into_iter().map(at_own).collect()
        }
    }
}
