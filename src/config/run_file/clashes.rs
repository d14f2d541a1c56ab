//! What of several sections can't be true at once: one name, one place to listen, one standard stream for two.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::crew::Draft;
use super::rest::Rest;
use super::section::{Entry, Reader, Word};
use crate::base::endpoint::{Endpoint, Host};
use crate::config::Run;
use crate::roles::relay::config::{Output, RelayConfig, Source, Way};
use crate::roles::tunnel::config::PublicBind;
use crate::roles::tunnel::{PortRange, Tokens};

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
        if let Some(taken) = clash {
            let by = said_by(reader, taken);
            reader.note(place.clone(), format!("{at} is taken: {by}"));
        }
        near.push((at, Some(place), index));
    }
    note_public_ports(reader, crew, &mut taken);
    let stdin = |relay: &RelayConfig| relay.source == Source::Stdin;
    note_stream(reader, crew, "stdin", "src", stdin);
    let stdout = |relay: &RelayConfig| {
        let written = |output: &Output| output.way == Way::Stdout;
        relay.dump.is_some() || relay.outputs.iter().any(written)
    };
    note_stream(reader, crew, "stdout", "dump", stdout);
}

/// Where it stands that a place is taken.
fn said_by(reader: &Reader<'_>, (at, place, _): &Taken) -> String {
    match place {
        Some(place) => {
            let line = reader.lines.number(place.start);
            format!("{at} stands on line {line}")
        }
        None => format!("the command line says --metrics {at}"),
    }
}

/// Notes public ports of which none is left to give away. Whoever has but one takes that for certain.
fn note_public_ports(
    reader: &mut Reader<'_>,
    crew: &[Draft],
    taken: &mut HashMap<Ground, Vec<Taken>>,
) {
    let servers = crew.iter().enumerate().filter_map(|(index, draft)| {
        let (host, ports) = public_ports(&draft.member.as_ref()?.run)?;
        Some((host, ports, draft.entry.place_of("ports"), index))
    });
    let mut servers: Vec<_> = servers.collect();
    // Those with fewer to choose from come first: what they take is taken for the others.
    servers.sort_by_key(|(_, ports, ..)| ports.last - ports.first);
    for (host, ports, place, index) in servers {
        let (mut free, mut clash) = (Vec::new(), None);
        for port in ports.first..=ports.last {
            let (host, tls) = (host.clone(), false);
            let at = Endpoint::Tcp { host, port, tls };
            let near = taken.get(&Ground::of(&at)).into_iter().flatten();
            match near.into_iter().find(|(other, ..)| other.overlaps(&at)) {
                Some(taken) if clash.is_none() => clash = Some((at, said_by(reader, taken))),
                Some(_) => {}
                None => free.push(at),
            }
            if free.len() > 1 {
                break;
            }
        }
        match (free.pop(), clash) {
            (Some(at), _) if free.is_empty() => {
                let near = taken.entry(Ground::of(&at)).or_default();
                near.push((at, Some(place), index));
            }
            (None, Some((at, by))) if ports.first == ports.last => {
                reader.note(place, format!("{at} is taken: {by}"));
            }
            (None, Some((_, by))) => {
                reader.note(place, format!("none of the ports {ports} is free: {by}"));
            }
            _ => {}
        }
    }
}

/// The public ports that a role gives away, and where they are; none where it takes any that is free.
fn public_ports(run: &Run) -> Option<(Host, PortRange)> {
    let Run::TunnelServe { config, .. } = run else {
        return None;
    };
    // Then those of the role are nobody's.
    let are_granted = |tokens: &Tokens| tokens.all_have_ports();
    if config.tokens.as_ref().is_some_and(are_granted) {
        return None;
    }
    let host = match (config.public_bind, &config.listen) {
        (Some(PublicBind::Any), _) => Host::Any,
        (Some(PublicBind::Ip(ip)), _) => Host::Ip(ip),
        (None, Endpoint::Tcp { host, .. }) => host.clone(),
        (None, Endpoint::Unix(_)) => Host::Ip(Ipv4Addr::LOCALHOST.into()),
    };
    let after = match config.listen {
        Endpoint::Tcp { port, .. } if port > 0 => Some(PortRange::after(port)),
        _ => None,
    };
    let ports = config.ports.or(after).filter(|ports| ports.last > 0)?;
    Some((host, ports))
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
        let is_set = entry.places.iter().any(|(name, _)| *name == key);
        let word = if key == "src" { "src" } else { "dst" };
        let is_it = |own: &&Word| own.key == word && own.text == "-";
        let at = match entry.words.iter().find(is_it) {
            Some(word) if !is_set => word.at.clone(),
            _ => entry.place_of(key),
        };
        reader.note(
            at,
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
