//! The roles of a simulated tunnel, of either kind, made from command lines as a user would write them.

use std::ffi::OsString;

use super::{ECHO_PORT, SERVICE_PORT, WEB_PORT};
use crate::config::{Config, Env, Run};
use crate::reactor::net::SockId;
use crate::reactor::{Cx, Event, Role};
use crate::roles::hub::{Hub, Tunnel};
use crate::roles::pump::Channels;
use crate::roles::tunnel::{Expose, Serve};

/// One of them.
#[allow(clippy::large_enum_variant, reason = "there are three of them")]
pub(super) enum Party {
    Serve(Serve),
    Expose(Expose),
    Hub(Hub),
    End(Tunnel),
}

impl Party {
    pub(super) fn check_invariants(&self) {
        match self {
            Self::Serve(serve) => serve.check_invariants(),
            Self::Expose(expose) => expose.check_invariants(),
            Self::Hub(_) => {}
            Self::End(tunnel) => tunnel.check_invariants(),
        }
    }

    pub(super) fn sockets(&self) -> Box<dyn Iterator<Item = SockId> + '_> {
        match self {
            Self::Serve(serve) => Box::new(serve.sockets()),
            Self::Expose(expose) => Box::new(expose.sockets()),
            Self::Hub(hub) => Box::new(hub.sockets()),
            Self::End(tunnel) => Box::new(tunnel.sockets()),
        }
    }

    /// Those who outlive their session: the socket of each, and how many bytes of its stream it gets in all.
    pub(super) fn outliving(&self) -> Box<dyn Iterator<Item = (SockId, u64)> + '_> {
        match self {
            Self::Serve(serve) => Box::new(serve.outliving()),
            Self::Expose(expose) => Box::new(expose.outliving()),
            Self::Hub(_) => Box::new(std::iter::empty()),
            Self::End(tunnel) => Box::new(tunnel.outliving()),
        }
    }

    /// Whether somebody would outlive its session, if that went now.
    pub(super) fn owes(&self, cx: &Cx<'_>) -> bool {
        match self {
            Self::Serve(serve) => serve.owes(cx),
            Self::Expose(expose) => expose.owes(cx),
            Self::Hub(_) => false,
            Self::End(tunnel) => tunnel.owes(cx),
        }
    }

    /// Clients that a tunnel through a hub has turned away.
    pub(super) fn refused(&self) -> u64 {
        match self {
            Self::End(tunnel) => tunnel.counts().refused,
            Self::Serve(_) | Self::Expose(_) | Self::Hub(_) => 0,
        }
    }
}

impl Role for Party {
    fn on(&mut self, cx: &mut Cx<'_>, event: Event) {
        match self {
            Self::Serve(serve) => serve.on(cx, event),
            Self::Expose(expose) => expose.on(cx, event),
            Self::Hub(hub) => hub.on(cx, event),
            Self::End(tunnel) => tunnel.on(cx, event),
        }
    }
}

/// A server with this `--linger`, and two backends of it.
pub(super) fn all(linger: &str) -> [Party; 3] {
    let retry = "--retry 0.1..1";
    [
        party(&format!("tunnel serve 7000 --linger {linger}")),
        party(&format!(
            "tunnel expose 7000 {SERVICE_PORT} --name web --port {WEB_PORT} {retry}"
        )),
        party(&format!(
            "tunnel expose 7000 --echo --name echo --port {ECHO_PORT} {retry}"
        )),
    ]
}

/// A hub, and a tunnel through it that serves both directions.
pub(super) fn through_a_hub() -> [Party; 3] {
    let both = format!("--forward {SERVICE_PORT} --retry 0.1..1");
    [
        party("hub serve 7000"),
        party(&format!(
            "hub tunnel 7000 a --to b --listen {WEB_PORT} {both}"
        )),
        party(&format!(
            "hub tunnel 7000 b --to a --listen {ECHO_PORT} {both}"
        )),
    ]
}

/// The role that a command line asks for.
pub(super) fn party(line: &str) -> Party {
    let words = line.split(' ').map(OsString::from);
    match Config::from_command_line(words, Env::default()).map(|config| config.run) {
        Ok(Run::TunnelServe { config, .. }) => Party::Serve(Serve::new(*config)),
        Ok(Run::TunnelExpose(config)) => Party::Expose(Expose::new(*config)),
        Ok(Run::HubServe { config, .. }) => Party::Hub(Hub::new(*config)),
        Ok(Run::HubTunnel(config)) => Party::End(Tunnel::new(*config)),
        other => panic!("{line}: {other:?}"),
    }
}
