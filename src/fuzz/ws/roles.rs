//! The roles of a simulated WebSocket tunnel, made from command lines as a user would write them.

use std::ffi::OsString;

use super::{CLIENT_PORT, RELAY_PORT, SERVICE_PORT};
use crate::config::{Config, Env, Run};
use crate::reactor::net::SockId;
use crate::reactor::{Cx, Event, Role};
use crate::roles::ws::{Adapter, Relay};

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

/// A relay, a host and a client that ping so often.
pub(super) fn all(ping: &str) -> [Party; 3] {
    let flags = format!("--ping {ping} --retry 0.1..1");
    [
        party(&format!("ws relay {RELAY_PORT} --ping {ping}")),
        party(&format!(
            "ws host ws://127.0.0.1:{RELAY_PORT}/host {SERVICE_PORT} {flags}"
        )),
        party(&format!(
            "ws client ws://127.0.0.1:{RELAY_PORT}/client {CLIENT_PORT} {flags}"
        )),
    ]
}

fn party(line: &str) -> Party {
    let words = line.split(' ').map(OsString::from);
    match Config::from_command_line(words, Env::default()).map(|config| config.run) {
        Ok(Run::WsRelay { config, .. }) => Party::Relay(Relay::new(*config)),
        Ok(Run::WsAdapter(config)) => Party::Adapter(Adapter::new(*config)),
        other => panic!("{line}: {other:?}"),
    }
}
