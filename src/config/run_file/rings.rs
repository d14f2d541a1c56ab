//! Relays of one file that feed each other in a ring: what goes in would go round for ever. One that dials itself is
//! found by its own rules.

use std::collections::HashMap;
use std::ops::Range;

use super::clashes::Ground;
use super::crew::Draft;
use super::section::{Entry, Reader};
use crate::base::endpoint::{Endpoint, Host};
use crate::base::units::Count;
use crate::config::Run;
use crate::roles::relay::config::{RelayConfig, Source, Way};

/// A relay that begins.
struct Node<'a> {
    entry: &'a Entry,
    relay: &'a RelayConfig,
}

/// Who is fed, and where in the file it says so.
struct Feed {
    to: usize,
    at: Range<usize>,
}

/// Notes rings. One whose relays may get their bytes elsewhere, from another source of a list, is none.
pub(super) fn note(reader: &mut Reader<'_>, crew: &[Draft]) {
    let begun = crew.iter().filter(|draft| draft.entry.is_enabled);
    let nodes = begun.filter_map(|draft| match &draft.member.as_ref()?.run {
        Run::Relay(relay) => Some(Node {
            entry: &draft.entry,
            relay,
        }),
        _ => None,
    });
    let nodes: Vec<Node<'_>> = nodes.collect();
    for ring in rings(&feeds(&nodes)) {
        let shown = ring.iter().take(SHOWN_MAX).map(|(node, _)| {
            let entry = nodes[*node].entry;
            let line = reader.lines.number(entry.header.start);
            format!("{} (line {line})", entry.name())
        });
        let shown: Vec<String> = shown.collect();
        let more = match ring.len() - shown.len() {
            0 => String::new(),
            more => format!(" and {}", Count(more, "more relay")),
        };
        let at = ring.iter().map(|(_, at)| at.clone());
        let at = at.max_by_key(|at| at.start).unwrap_or_default();
        let text = format!(
            "what goes in would go round for ever: these relays feed each other in a ring: {}{more}",
            shown.join(", ")
        );
        reader.note(at, text);
    }
}

/// Whom each relay feeds: one that dials where it listens, or that listens where it dials.
fn feeds(nodes: &[Node<'_>]) -> Vec<Vec<Feed>> {
    let (mut sources, mut outputs) = (Places::default(), Places::default());
    for (at, node) in nodes.iter().enumerate() {
        if let Source::Listen(place) = &node.relay.source {
            sources.add(at, place);
        }
        for output in &node.relay.outputs {
            if let Way::Listen(place) = &output.way {
                outputs.add(at, place);
            }
        }
    }
    let mut feeds: Vec<Vec<Feed>> = nodes.iter().map(|_| Vec::new()).collect();
    for (own, node) in nodes.iter().enumerate() {
        let word = |index: usize| {
            let word = node.entry.words.get(index);
            word.map_or(node.entry.header.clone(), |word| word.at.clone())
        };
        if let Source::Dial(places) = &node.relay.source
            && let [only] = &places[..]
        {
            for from in outputs.reached(only) {
                feeds[from].push(Feed {
                    to: own,
                    at: word(0),
                });
            }
        }
        for (index, output) in node.relay.outputs.iter().enumerate() {
            let Way::Dial(dialled) = &output.way else {
                continue;
            };
            feeds[own].extend(sources.reached(dialled).map(|to| Feed {
                to,
                at: word(1 + index),
            }));
        }
    }
    feeds
}

/// Where relays listen. Of those that can't stand together, which is a mistake of its own, the first alone: else many
/// who dial and many who listen at one place would make a feed for each pair of them.
#[derive(Default)]
struct Places<'a>(HashMap<Ground, Vec<(usize, &'a Endpoint)>>);

impl<'a> Places<'a> {
    fn add(&mut self, node: usize, place: &'a Endpoint) {
        let ground = Ground::of(place);
        // Two paths of one file are one place.
        let is_file = matches!(ground, Ground::File(_));
        let near = self.0.entry(ground).or_default();
        let mut others = near.iter();
        if !others.any(|(_, other)| is_file || other.overlaps(place)) {
            near.push((node, place));
        }
    }

    /// The relays that are reached where somebody dials this.
    fn reached(&self, dialled: &Endpoint) -> impl Iterator<Item = usize> {
        let near = self.0.get(&Ground::of(dialled)).into_iter().flatten();
        near.filter(|(_, place)| is_reached(place, dialled))
            .map(|(node, _)| *node)
    }
}

/// As [`Endpoint::is_reached_by`], at once for the most of those that have one port.
fn is_reached(place: &Endpoint, dialled: &Endpoint) -> bool {
    match (place, dialled) {
        // They are one file.
        (Endpoint::Unix(_), Endpoint::Unix(_)) => true,
        (
            Endpoint::Tcp {
                host: Host::Ip(own),
                ..
            },
            Endpoint::Tcp {
                host: Host::Ip(ip), ..
            },
        ) if !own.is_unspecified() && !ip.is_unspecified() && own != ip => false,
        _ => place.is_reached_by(dialled),
    }
}

/// Rings, each relay being in one at most: its relays, and where each says that it feeds the next.
fn rings(feeds: &[Vec<Feed>]) -> Vec<Vec<(usize, Range<usize>)>> {
    #[derive(Clone, Copy, PartialEq)]
    enum State {
        New,
        OnWay,
        Over,
    }
    let mut states = vec![State::New; feeds.len()];
    let mut rings: Vec<Vec<(usize, Range<usize>)>> = Vec::new();
    let mut is_told = vec![false; feeds.len()];
    for first in 0..feeds.len() {
        // Those on the way from the first, and which of their feeds is next.
        let mut way: Vec<(usize, usize)> = Vec::new();
        if states[first] == State::New {
            states[first] = State::OnWay;
            way.push((first, 0));
        }
        while let Some((node, next)) = way.last_mut() {
            let Some(feed) = feeds[*node].get(*next) else {
                states[*node] = State::Over;
                way.pop();
                continue;
            };
            *next += 1;
            match states[feed.to] {
                State::New => {
                    states[feed.to] = State::OnWay;
                    way.push((feed.to, 0));
                }
                State::OnWay => {
                    let begin = way.iter().position(|(node, _)| *node == feed.to);
                    let ring = &way[begin.unwrap_or_default()..];
                    if ring.iter().any(|(node, _)| is_told[*node]) {
                        continue;
                    }
                    let ring = ring.iter().map(|(node, next)| {
                        is_told[*node] = true;
                        (*node, feeds[*node][next - 1].at.clone())
                    });
                    rings.push(ring.collect());
                }
                State::Over => {}
            }
        }
    }
    rings
}

/// How many relays of a ring are named.
const SHOWN_MAX: usize = 5;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_those_that_listen_at_one_place_the_first_is_fed() {
        let place = |text: &str| text.parse::<Endpoint>().expect("a place");
        let all = [
            "127.0.0.1:1",
            "127.0.0.1:1",
            "0.0.0.0:1",
            "127.0.0.2:1",
            "127.0.0.1:2",
            "unix:/x/s",
            "unix:/x/./s",
        ]
        .map(place);
        let mut places = Places::default();
        for (node, at) in all.iter().enumerate() {
            places.add(node, at);
        }
        let reached = |text: &str| places.reached(&place(text)).collect::<Vec<usize>>();
        assert_eq!(reached("127.0.0.1:1"), [0]);
        assert_eq!(reached("127.0.0.2:1"), [3]);
        assert_eq!(reached("127.0.0.1:2"), [4]);
        assert_eq!(reached("unix:/x/s"), [5]);
        assert_eq!(reached("127.0.0.1:3"), [0; 0]);
    }
}
