//! Public ports: which backend has which, which names keep theirs, and the listeners on them.

use std::collections::{BTreeSet, VecDeque};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::{Kind, Serve};
use crate::base::endpoint::{Endpoint, Host};
use crate::base::time::Time;
use crate::proto::hello::{Code, Name};
use crate::reactor::Cx;
use crate::reactor::net::{Addr, Close, SockId};
use crate::roles::tunnel::config::PublicBind;
use crate::roles::tunnel::tokens::{Grant, PortRange};

/// Listeners and their real addresses.
type Listeners = Vec<(SockId, Addr)>;

/// Why a backend gets no port: the code that it is told, and the same for people.
type Refusal = (Code, String);

/// A public port. That of a name stays when its backend goes. One that is over has no port any more, and is there for
/// those who still read what its backend had said.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) port: u16,
    pub(super) socks: Listeners,
    /// `HOST:PORT`, as backends are told.
    pub(super) public: String,
    pub(super) name: Option<Name>,
    pub(super) backend: Option<usize>,
    /// Its port is closed for good.
    pub(super) is_over: bool,
    /// Clients that wait for a backend, or for its sign of life, oldest first.
    pub(super) waiting: VecDeque<usize>,
    /// Clients in all.
    pub(super) clients: usize,
    /// Since when no backend is there.
    pub(super) away: Option<Time>,
}

impl Place {
    /// Who is published here, for people: its name, or its port.
    pub(super) fn label(&self) -> String {
        match &self.name {
            Some(name) => name.to_string(),
            None => format!("port {}", self.port),
        }
    }

    /// Whether nobody is there: neither a backend nor a client that waits for one.
    fn is_away(&self) -> bool {
        self.backend.is_none() && self.waiting.is_empty() && !self.is_over
    }
}

impl Serve {
    /// What a name may do, where names have to be proven.
    pub(super) fn grant(&self, name: Option<&Name>) -> Option<&Grant> {
        self.config.tokens.as_ref()?.get(name?)
    }

    /// The backend that has a name now.
    pub(super) fn holder(&self, name: Option<&Name>) -> Option<usize> {
        self.places[*self.names.get(name?)?].backend
    }

    /// The place for a backend: the one that its name has, or else a new one. `port`: the one that it wants, or 0.
    pub(super) fn place_for(
        &mut self,
        cx: &mut Cx<'_>,
        sock: SockId,
        name: Option<&Name>,
        port: u16,
    ) -> Result<usize, Refusal> {
        let ports = self.ports_of(name);
        if let Some(&place) = name.and_then(|name| self.names.get(name)) {
            let has = self.places[place].port;
            if (port == 0 || port == has) && ports.may(has) {
                return Ok(place);
            }
            // It asks for another one than it had, or may not have that one any more.
            let (port, socks) = self.wanted_port(cx, ports, port)?;
            self.close_place_socks(cx, place);
            self.open_place(cx, place, sock, port, socks);
            return Ok(place);
        }
        self.forget_oldest_name(cx);
        let (port, socks) = self.wanted_port(cx, ports, port)?;
        let place = self.places.insert(Place {
            port,
            socks: Vec::new(),
            public: String::new(),
            name: name.cloned(),
            backend: None,
            is_over: false,
            waiting: VecDeque::new(),
            clients: 0,
            away: None,
        });
        self.open_place(cx, place, sock, port, socks);
        if let Some(name) = name {
            self.names.insert(name.clone(), place);
        }
        Ok(place)
    }

    fn open_place(
        &mut self,
        cx: &mut Cx<'_>,
        place: usize,
        sock: SockId,
        port: u16,
        socks: Listeners,
    ) {
        let real = socks.iter().find_map(|(_, at)| match at {
            Addr::Tcp(at) => Some(*at),
            Addr::Unix(_) => None,
        });
        let real = real.unwrap_or(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port));
        let public = match &self.config.public_name {
            Some(host) => format!("{host}:{}", real.port()),
            None if real.ip().is_unspecified() => {
                // The way by which the backend reaches us is one by which others may, too.
                let local = cx.local(sock).map(|at| at.ip().to_canonical());
                let ip = local.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
                SocketAddr::new(ip, real.port()).to_string()
            }
            None => real.to_string(),
        };
        let entry = &mut self.places[place];
        entry.port = real.port();
        entry.public = public;
        for (sock, at) in socks {
            cx.set_tag(sock, Kind::Public.tag(place));
            entry.socks.push((sock, at.clone()));
            let label = entry.label();
            self.journal.upstream(
                cx.now(),
                format!("listening on {at} for clients of {label}"),
            );
        }
    }

    /// Ports that a backend may have.
    fn ports_of(&self, name: Option<&Name>) -> PortRange {
        let granted = self.grant(name).and_then(|grant| grant.ports);
        granted.or(self.config.ports).unwrap_or_else(|| {
            let own = self.listens_at.iter().find_map(|at| match at {
                Addr::Tcp(at) => Some(at.port()),
                Addr::Unix(_) => None,
            });
            PortRange::after(own.unwrap_or(0))
        })
    }

    /// A listener on the port that is wanted; 0: on any.
    fn wanted_port(
        &mut self,
        cx: &mut Cx<'_>,
        ports: PortRange,
        port: u16,
    ) -> Result<(u16, Listeners), Refusal> {
        if port == 0 {
            return self.any_port(cx, ports);
        }
        self.check_port(ports, port)?;
        Ok((port, self.listen_public(cx, port)?))
    }

    /// Whether the name of a place, where it has one, may still have that port.
    pub(super) fn is_granted(&self, place: &Place) -> bool {
        let name = place.name.as_ref();
        let is_known = self.config.tokens.is_none() || self.grant(name).is_some();
        is_known && self.ports_of(name).may(place.port)
    }

    /// Closes the ports that nobody may have any more. Clients who wait for their backends are turned away.
    pub(super) fn close_lost_places(&mut self, cx: &mut Cx<'_>) {
        let is_lost =
            |place: &Place| place.backend.is_none() && !place.is_over && !self.is_granted(place);
        let lost = self.places.iter().filter(|(_, place)| is_lost(place));
        let lost: Vec<usize> = lost.map(|(key, _)| key).collect();
        for key in lost {
            for client in self.places[key].waiting.clone() {
                let why = "its backend may not be public here any more";
                self.end_client(cx, client, Close::Orderly, why);
            }
            self.remove_place(cx, key);
        }
    }

    fn check_port(&self, ports: PortRange, port: u16) -> Result<(), Refusal> {
        if !ports.may(port) {
            return Err((Code::Port, format!("port {port} is not among {ports}")));
        }
        match self.taken_ports().any(|taken| taken == port) {
            true => Err((Code::Port, format!("port {port} is another backend's"))),
            false => Ok(()),
        }
    }

    fn taken_ports(&self) -> impl Iterator<Item = u16> {
        let there = self.places.iter().filter(|(_, place)| !place.is_over);
        there.map(|(_, place)| place.port)
    }

    /// Any port that nobody has, and one that a name had only where no other is left.
    fn any_port(&mut self, cx: &mut Cx<'_>, ports: PortRange) -> Result<(u16, Listeners), Refusal> {
        if ports.last == 0 {
            return Ok((0, self.listen_public(cx, 0)?));
        }
        let taken: BTreeSet<u16> = self.taken_ports().collect();
        for port in (ports.first..=ports.last).filter(|port| !taken.contains(port)) {
            if let Ok(socks) = self.listen_public(cx, port) {
                return Ok((port, socks));
            }
        }
        let away = self
            .places
            .iter()
            .filter(|(_, place)| place.is_away() && ports.has(place.port));
        let oldest = away.min_by_key(|(_, place)| place.away).map(|(key, _)| key);
        let Some(oldest) = oldest else {
            return Err((Code::Full, format!("no port of {ports} is left")));
        };
        let port = self.places[oldest].port;
        // A listener that is closed lives until the turn ends, so it changes hands instead.
        let socks = std::mem::take(&mut self.places[oldest].socks);
        self.remove_place(cx, oldest);
        Ok((port, socks))
    }

    /// A name that proves nothing may be made up: so many at most keep their ports while they are away.
    fn forget_oldest_name(&mut self, cx: &mut Cx<'_>) {
        let away = || self.places.iter().filter(|(_, place)| place.is_away());
        if self.config.tokens.is_none()
            && away().count() >= NAMES_AWAY_MAX
            && let Some((oldest, _)) = away().min_by_key(|(_, place)| place.away)
        {
            self.remove_place(cx, oldest);
        }
    }

    fn listen_public(&mut self, cx: &mut Cx<'_>, port: u16) -> Result<Listeners, Refusal> {
        let host = match self.config.public_bind {
            Some(PublicBind::Any) => Host::Any,
            Some(PublicBind::Ip(ip)) => Host::Ip(ip),
            None => self.own_host(),
        };
        let tls = false;
        let at = Endpoint::Tcp { host, port, tls };
        let socks = cx.listen_at(&at);
        socks.map_err(|error| {
            let why = crate::reactor::plain(&error);
            (Code::Port, format!("port {port} can't be had: {why}"))
        })
    }

    /// The host that backends connect to, looked up already.
    fn own_host(&self) -> Host {
        let own = self.listens_at.iter().find_map(|at| match at {
            Addr::Tcp(at) => Some(at.ip()),
            Addr::Unix(_) => None,
        });
        match own {
            Some(ip) if ip.is_unspecified() => Host::Any,
            Some(ip) => Host::Ip(ip),
            None => Host::Ip(Ipv4Addr::LOCALHOST.into()),
        }
    }

    fn close_place_socks(&mut self, cx: &mut Cx<'_>, place: usize) {
        for (sock, _) in self.places[place].socks.drain(..) {
            cx.close(sock, Close::Orderly);
        }
    }

    /// Closes a port for good. No client may wait there; the last one that still reads takes the place with it.
    pub(super) fn remove_place(&mut self, cx: &mut Cx<'_>, place: usize) {
        self.close_place_socks(cx, place);
        let entry = &mut self.places[place];
        debug_assert!(entry.waiting.is_empty(), "clients wait where nobody comes");
        entry.is_over = true;
        if let Some(name) = &entry.name {
            self.names.remove(name);
        }
        if entry.clients == 0 {
            self.places.remove(place);
        }
    }
}

/// Names without a proof that keep their ports while nobody is there.
pub(super) const NAMES_AWAY_MAX: usize = 256;
