//! The demonstration's composition: its role, a real relay for it, and what the two have to know of each other. The
//! relay gets all its settings as it would from the command line that the screen shows.

use std::ffi::OsString;
use std::io::IsTerminal;
use std::net::SocketAddr;

use super::RoleSet;
use super::desk::Desk;
use crate::config::settings::Settings;
use crate::config::{Config, Env, Run};
use crate::reactor::net::{Addr, Peer};
use crate::reactor::{End, Reactor, RoleId};
use crate::roles::demo::{Crowd, Demo, Setup, Stop};
use crate::roles::relay::config::RelayConfig;
use crate::roles::relay::{Reason, Relay};

/// What the owner of the loop remembers of a demonstration.
pub(super) struct Composition {
    demo: RoleId,
    feed_at: Option<SocketAddr>,
    relay: Option<RoleId>,
    desk: Option<Desk>,
    place: Place,
    begun: bool,
    /// A signal has told all roles to end, so that the relay does it in its own way.
    drains: bool,
    /// How many clients there were, and how many were gone by which reason, when the demo was told last.
    told: (usize, [u64; Reason::ALL.len()]),
}

/// Where the relay tries to listen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Usual,
    AnyPort,
}

impl Place {
    fn endpoint(self) -> &'static str {
        match self {
            Self::Usual => "127.0.0.1:7070",
            Self::AnyPort => "127.0.0.1:0",
        }
    }
}

impl Composition {
    pub(super) fn start(reactor: &mut Reactor<RoleSet>) -> Result<Self, String> {
        let setup = Setup {
            program: program(std::env::args_os().next()),
            terminal: std::io::stdout().is_terminal(),
        };
        let demo = reactor.add(RoleSet::Demo(Demo::new(setup)));
        let mut this = Self {
            demo,
            feed_at: as_demo(reactor, demo).and_then(Demo::feed_at),
            relay: None,
            desk: None,
            place: Place::Usual,
            begun: false,
            drains: false,
            told: (0, [0; Reason::ALL.len()]),
        };
        this.add_relay(reactor)?;
        Ok(this)
    }

    /// To be called after every turn, with the roles that ended in it. Takes those out whose end is no mistake.
    pub(super) fn between_turns(
        &mut self,
        reactor: &mut Reactor<RoleSet>,
        ended: &mut Vec<(RoleId, End)>,
    ) -> Result<(), String> {
        let failed = |id| move |(ended, end): &(RoleId, End)| *ended == id && *end != End::Done;
        if let Some(relay) = self.relay
            && self.place == Place::Usual
            && ended.iter().any(failed(relay))
        {
            ended.retain(|(id, _)| *id != relay);
            self.place = Place::AnyPort;
            self.add_relay(reactor)?;
        } else if !self.begun {
            self.begin(reactor);
        }
        if let Some(desk) = &mut self.desk {
            let others = [self.relay.unwrap_or(self.demo), self.demo];
            desk.mind(reactor, ended, &others);
        }
        self.tell_crowd(reactor);
        let stop = as_demo(reactor, self.demo).map(Demo::stop);
        self.drains |= matches!(stop, Some(Some(Stop::Signal(_))));
        let over = matches!(stop, None | Some(Some(Stop::OutOfTime)));
        if over
            && !self.drains
            && let Some(relay) = self.relay.take()
        {
            reactor.with(relay, |_, cx| cx.finish(End::Done));
            if let Some(desk) = self.desk.take() {
                desk.end(reactor);
            }
        }
        Ok(())
    }

    fn add_relay(&mut self, reactor: &mut Reactor<RoleSet>) -> Result<(), String> {
        let Some(feed) = self.feed_at else {
            return Ok(()); // the demo is about to say why
        };
        let relay = Relay::new(relay_config(feed, self.place.endpoint())?);
        self.relay = Some(reactor.add(RoleSet::Relay(relay)));
        Ok(())
    }

    /// A relay that has outlived its first turn listens.
    fn begin(&mut self, reactor: &mut Reactor<RoleSet>) {
        let Some(id) = self.relay else { return };
        let Some(relay) = as_relay(reactor, id) else {
            return;
        };
        let (Some(&Addr::Tcp(at)), Some(feed)) = (relay.listens_at().next(), self.feed_at) else {
            return;
        };
        self.begun = true;
        let command = format!("hydrant {}", command_line(feed, &at.to_string()).join(" "));
        self.desk = open_desk(reactor, feed, at, id);
        let console = self.desk.as_ref().and_then(|desk| desk.url(reactor));
        reactor.with(self.demo, |role, cx| {
            if let RoleSet::Demo(demo) = role {
                demo.begin(cx, at, &command, console.as_deref());
            }
        });
    }

    /// Tells the demo who is connected, if that has changed.
    fn tell_crowd(&mut self, reactor: &mut Reactor<RoleSet>) {
        let Some(relay) = self.relay.and_then(|id| as_relay(reactor, id)) else {
            return;
        };
        let now = (relay.client_count(), relay.counts().gone);
        if now == self.told {
            return;
        }
        let crowd = Crowd {
            clients: relay.client_peers().filter_map(address).collect(),
            gone: gone(&self.told.1, &now.1),
        };
        self.told = now;
        reactor.with(self.demo, |role, cx| {
            if let RoleSet::Demo(demo) = role {
                demo.crowd(cx, crowd);
            }
        });
    }
}

/// The console, with the demo's relay in it, on its usual port or on any. A demo without one is a demo all the same.
fn open_desk(
    reactor: &mut Reactor<RoleSet>,
    feed: SocketAddr,
    at: SocketAddr,
    relay: RoleId,
) -> Option<Desk> {
    let [src, dst, _, max_lag] = command_line(feed, &at.to_string());
    let mut settings = Settings {
        name: "demo".to_owned(),
        enabled: true,
        ..Settings::default()
    };
    for (key, value) in [("src", &src), ("dst", &dst), ("max-lag", &max_lag)] {
        settings.set(key, value);
    }
    let places = ["127.0.0.1:7700", "127.0.0.1:0"];
    places.iter().find_map(|bind| {
        let words = ["console", "--bind", bind].map(OsString::from);
        let Ok(Run::Console(orders)) =
            Config::from_command_line(words, Env::default()).map(|config| config.run)
        else {
            return None;
        };
        Desk::around(reactor, orders.console, settings.clone(), relay).ok()
    })
}

fn as_demo(reactor: &Reactor<RoleSet>, id: RoleId) -> Option<&Demo> {
    match reactor.role(id) {
        Some(RoleSet::Demo(demo)) => Some(demo),
        _ => None,
    }
}

fn as_relay(reactor: &Reactor<RoleSet>, id: RoleId) -> Option<&Relay> {
    match reactor.role(id) {
        Some(RoleSet::Relay(relay)) => Some(relay),
        _ => None,
    }
}

/// The relay's command line, without the program's name.
fn command_line(feed: SocketAddr, listen: &str) -> [String; 4] {
    let [flag, value] = MAX_LAG.map(str::to_owned);
    [feed.to_string(), listen.to_owned(), flag, value]
}

fn relay_config(feed: SocketAddr, listen: &str) -> Result<RelayConfig, String> {
    let words = command_line(feed, listen).map(OsString::from);
    let config = Config::from_command_line(words, Env::default());
    match config.map(|config| config.run) {
        Ok(Run::Relay(config)) => Ok(*config),
        Ok(_) => Err("the demo's relay is none".to_owned()),
        Err(exit) => Err(format!("the demo's relay: {}", exit.stderr.trim_end())),
    }
}

fn address(peer: Peer) -> Option<SocketAddr> {
    match peer {
        Peer::Tcp(at) => Some(at),
        Peer::Unix | Peer::Stdio => None,
    }
}

/// What became of the clients that are gone since `before`: the reason, if all had the same.
fn gone(before: &[u64], after: &[u64]) -> String {
    let grown = |reason: &&Reason| after[**reason as usize] > before[**reason as usize];
    let mut reasons = Reason::ALL.iter().filter(grown);
    match (reasons.next(), reasons.next()) {
        (Some(reason), None) if reason.is_drop() => format!("dropped ({reason})"),
        (Some(reason), None) => reason.to_string(),
        _ => "gone".to_owned(),
    }
}

/// This program's name as the user would type it in a shell: the path it was started by, or its plain name.
fn program(arg0: Option<OsString>) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "/._-+".contains(c);
    match arg0.and_then(|arg| arg.into_string().ok()) {
        Some(path) if path.contains('/') && path.chars().all(is_plain) => path,
        Some(path) if path.contains('/') => format!("'{}'", path.replace('\'', r"'\''")),
        _ => "hydrant".to_owned(),
    }
}

/// How far a client may lag: long enough that nobody is dropped who reads, short enough to be watched.
const MAX_LAG: [&str; 2] = ["--max-lag", "3s"];

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::roles::relay::config::MaxLag;

    #[test]
    fn the_program_is_named_as_it_is_typed() {
        let name = |arg0: &str| program(Some(arg0.into()));
        assert_eq!(name("./target/release/hydrant"), "./target/release/hydrant");
        assert_eq!(name("hydrant"), "hydrant");
        assert_eq!(name("/it's here/hydrant"), r"'/it'\''s here/hydrant'");
        assert_eq!(program(None), "hydrant");
    }

    #[test]
    fn who_is_gone_has_one_reason_or_none() {
        let none = [0; Reason::ALL.len()];
        let (mut one, mut two) = (none, none);
        one[Reason::Overtaken as usize] = 2;
        two[Reason::Overtaken as usize] = 2;
        two[Reason::Left as usize] = 1;
        assert_eq!(gone(&none, &one), "dropped (overtaken)");
        assert_eq!(gone(&one, &two), "left");
        assert_eq!(gone(&none, &two), "gone");
    }

    #[test]
    fn the_relay_is_told_to_drop_who_lags() {
        let feed = SocketAddr::from(([127, 0, 0, 1], 41_017));
        let config = relay_config(feed, Place::Usual.endpoint()).unwrap();
        assert_eq!(config.max_lag, Some(MaxLag::Age(Duration::from_secs(3))));
        assert_eq!(config.outputs.len(), 1);
    }
}
