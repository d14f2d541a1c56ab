//! What of several sections can't be true at once: one name, one place to listen, one standard stream for two.

use std::ops::Range;

use super::Draft;
use super::mistake::line_of;
use super::section::{Entry, Reader};
use crate::base::endpoint::Endpoint;
use crate::config::Run;
use crate::roles::relay::config::{Output, RelayConfig, Source, Way};

/// Notes that a name is taken.
pub(super) fn note_name(reader: &mut Reader<'_>, crew: &[Draft], entry: &Entry, text: &str) {
    let name = entry.name();
    let Some(first) = crew.iter().find(|draft| draft.entry.name() == name) else {
        return;
    };
    let line = line_of(text, first.entry.header.start);
    let told = match entry.values.given("name") {
        true => format!("the name {name} is taken, on line {line}: give this one another"),
        false => format!("it is called {name}, as the one on line {line} is: give it a name"),
    };
    reader.note(entry.place_of("name"), told);
}

/// Notes places and streams that two want.
pub(super) fn note(
    reader: &mut Reader<'_>,
    crew: &[Draft],
    watchers: &[(Endpoint, Range<usize>)],
    text: &str,
) {
    let mut taken: Vec<(Endpoint, Range<usize>, usize)> = Vec::new();
    let mine = crew.iter().enumerate().flat_map(|(index, draft)| {
        let places = draft.listens.iter();
        places.map(move |(at, place)| (at.clone(), place.clone(), index))
    });
    let watchers = watchers
        .iter()
        .map(|(at, place)| (at.clone(), place.clone(), usize::MAX));
    for (at, place, index) in mine.chain(watchers) {
        // Within one role, its own rules have found it.
        let clash = taken
            .iter()
            .find(|(other, _, whose)| *whose != index && other.overlaps(&at));
        if let Some((other, first, _)) = clash {
            let line = line_of(text, first.start);
            reader.note(
                place.clone(),
                format!("{at} is taken: {other} stands on line {line}"),
            );
        }
        taken.push((at, place, index));
    }
    let stdin = |relay: &RelayConfig| relay.source == Source::Stdin;
    note_stream(reader, crew, text, "stdin", "src", stdin);
    let stdout = |relay: &RelayConfig| {
        let written = |output: &Output| output.way == Way::Stdout;
        relay.dump.is_some() || relay.outputs.iter().any(written)
    };
    note_stream(reader, crew, text, "stdout", "dump", stdout);
}

fn note_stream(
    reader: &mut Reader<'_>,
    crew: &[Draft],
    text: &str,
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
    let line = line_of(text, first.entry.header.start);
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
        Some((.., at)) => at.clone(),
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
            let own = entry.words.iter().position(|(key, ..)| *key == "listen");
            let at_own = |at: &Endpoint| (at.clone(), word(own.unwrap_or_default()));
            run.listens().into_iter().map(at_own).collect()
        }
    }
}
