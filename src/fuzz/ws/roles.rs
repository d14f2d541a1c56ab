//! The roles of a simulated WebSocket tunnel, made from command lines as a user would write them.

use std::ffi::OsString;
use std::fmt::Debug;

use super::{CLIENT_PORT, RELAY_PORT, SERVICE_PORT};
use crate::config::{Config, Env, Run};
use crate::fuzz::script::Script;
use crate::reactor::net::SockId;
use crate::reactor::{Cx, Event, Role};
use crate::roles::pump::Channels;
use crate::roles::ws::{Adapter, Relay, Tokens};

/// One of them.
#[allow(clippy::large_enum_variant, reason = "there are three of them")]
pub(super) enum Party {
    Relay(Relay),
    Adapter(Adapter),
}

impl Party {
    pub(super) fn check_invariants(&self) {
        match self {
            Self::Relay(relay) => relay.check_invariants(),
            Self::Adapter(adapter) => adapter.check_invariants(),
        }
    }

    /// Those who outlive their WebSocket: the socket of each, and how many bytes it gets in all.
    pub(super) fn outliving(&self) -> Box<dyn Iterator<Item = (SockId, u64)> + '_> {
        match self {
            Self::Relay(_) => Box::new(std::iter::empty()),
            Self::Adapter(adapter) => Box::new(adapter.outliving()),
        }
    }

    /// Whether somebody would outlive its WebSocket, if that went now.
    pub(super) fn owes(&self, cx: &Cx<'_>) -> bool {
        match self {
            Self::Relay(_) => false,
            Self::Adapter(adapter) => adapter.owes(cx),
        }
    }

    pub(super) fn sockets(&self) -> Box<dyn Iterator<Item = SockId> + '_> {
        match self {
            Self::Relay(relay) => Box::new(relay.sockets()),
            Self::Adapter(adapter) => Box::new(adapter.sockets()),
        }
    }
}

impl Role for Party {
    fn on(&mut self, cx: &mut Cx<'_>, event: Event) {
        match self {
            Self::Relay(relay) => relay.on(cx, event),
            Self::Adapter(adapter) => adapter.on(cx, event),
        }
    }
}

/// On which terms a tunnel runs.
#[derive(Clone, Copy)]
pub(super) struct Terms {
    pub(super) has_tokens: bool,
    takes_few: bool,
    has_rival: bool,
}

impl Terms {
    pub(super) fn draw(script: &mut Script<'_>) -> Self {
        Self {
            has_tokens: script.pick(2) == 1,
            takes_few: script.pick(3) == 2,
            has_rival: script.pick(4) == 3,
        }
    }
}

/// A relay, a host and a client that ping so often, and perhaps another host with the same name.
pub(super) fn all(ping: &str, terms: Terms) -> Vec<Party> {
    let tokens = if terms.has_tokens { TOKENS } else { "" };
    let few = if terms.takes_few {
        " --max-connections 3"
    } else {
        ""
    };
    let flags = format!("--ping {ping} --retry 0.1..1");
    let host = format!("ws host ws://127.0.0.1:{RELAY_PORT}/host {SERVICE_PORT} {flags}");
    let client = format!("ws client ws://127.0.0.1:{RELAY_PORT}/client {CLIENT_PORT} {flags}");
    let trusted = "--trust-proxy 10.2.0.0/16";
    let mut all = vec![
        relay(&format!("--ping {ping} {trusted}{few}"), tokens),
        end(&host),
        end(&client),
    ];
    if terms.has_rival {
        all.push(end(&host));
    }
    all
}

/// A host or a client with the token that is good for everything.
fn end(line: &str) -> Party {
    let Ok(Run::WsAdapter(mut config)) = run(line) else {
        panic!("{line}");
    };
    config.token = Some(TOKEN.as_bytes().to_vec().into());
    Party::Adapter(Adapter::new(*config))
}

/// A relay with these flags, and with these tokens where there are any.
pub(super) fn relay(flags: &str, tokens: &str) -> Party {
    let line = format!("ws relay {RELAY_PORT} {flags}");
    let Ok(Run::WsRelay { mut config, .. }) = run(line.trim_end()) else {
        panic!("{line}");
    };
    config.tokens = (!tokens.is_empty()).then(|| Tokens::parse(tokens).expect("they are good"));
    Party::Relay(Relay::new(*config))
}

/// The role of a command line.
#[cfg(test)]
pub(super) fn party(line: &str) -> Party {
    match run(line) {
        Ok(Run::WsRelay { config, .. }) => Party::Relay(Relay::new(*config)),
        Ok(Run::WsAdapter(config)) => Party::Adapter(Adapter::new(*config)),
        other => panic!("{line}: {other:?}"),
    }
}

fn run(line: &str) -> Result<Run, impl Debug> {
    let words = line.split(' ').map(OsString::from);
    Config::from_command_line(words, Env::default()).map(|config| config.run)
}

/// Good for everything.
pub(super) const TOKEN: &str = "tunnels-0123456789";
/// The tokens of most of the time.
pub(super) const TOKENS: &str = "- tunnels-0123456789\nx tunnels-0123456789\n";
/// Others, by which nobody who is there may stay.
pub(super) const OTHERS: &str = "- another-0123456789\nx another-0123456789\n";
/// Fewer: the strangers' tunnel is gone.
pub(super) const FEWER: &str = "- tunnels-0123456789\n";
