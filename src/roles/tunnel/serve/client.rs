//! Public clients: let in or turned away, held while their backend is away, and piped to a stream of its session.
//!
//! ```text
//!   accepted ──> waits in its place's queue ──> piped ──> left
//!                  │ the backend is away: for --linger at most
//!                  │ it has as many streams as it takes: for 75 s at most
//!                  └ the backend is asked whether it is alive: for --alive-timeout at most
//!
//!   piped ──its backend is gone──> reset, or, where the end of its answer had come, owed.rs
//! ```

use std::time::Duration;

use super::{Kind, Serve, Tick};
use crate::base::time::Time;
use crate::base::units::{Bytes, Count, Span};
use crate::base::wheel::TimerKey;
use crate::proto::proxy::Call;
use crate::proto::yamux::{GoAway, OpenError};
use crate::reactor::net::{Close, Peer, SockId};
use crate::reactor::{Cx, plain};
use crate::roles::callers::address;
use crate::roles::link::Link;
use crate::roles::listening::NO_DESCRIPTORS;
use crate::roles::pump::{Channel, Mux, Outcome, hindmost};

/// A client of a public port.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) sock: SockId,
    pub(super) peer: Peer,
    pub(super) place: usize,
    pub(super) since: Time,
    /// How many came before it.
    pub(super) number: u64,
    /// The end of its wait for a backend.
    held: Option<(TimerKey, Wait)>,
    /// Its stream.
    pub(super) piped: Option<Piped>,
}

/// A client's stream.
#[derive(Debug)]
pub(super) struct Piped {
    /// The backend that has it, or had it before its session went.
    opened_by: usize,
    pub(super) channel: Channel,
}

impl Piped {
    /// The backend that has it; `None`: it is gone, and the client still owed what that had said.
    fn backend(&self) -> Option<usize> {
        (!self.channel.is_alone()).then_some(self.opened_by)
    }
}

/// What a client waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wait {
    /// Its backend's return.
    Return,
    /// Its backend to take a stream.
    Room,
}

impl Client {
    /// Bytes to it, and from it.
    pub(super) fn bytes(&self) -> (u64, u64) {
        let bytes = |channel: &Channel| (channel.from_stream, channel.to_stream);
        self.channel().map_or((0, 0), bytes)
    }

    pub(super) fn channel(&self) -> Option<&Channel> {
        self.piped.as_ref().map(|piped| &piped.channel)
    }

    /// The backend that its stream is with.
    pub(super) fn backend(&self) -> Option<usize> {
        self.piped.as_ref()?.backend()
    }

    /// Whether it is not read at the moment, so that only a probe shows that it is gone.
    pub(super) fn is_unread(&self) -> bool {
        self.channel().is_none_or(Channel::is_paused)
    }
}

impl Serve {
    pub(super) fn client_accepted(
        &mut self,
        cx: &mut Cx<'_>,
        place: usize,
        sock: SockId,
        peer: Peer,
    ) {
        let no_room = |cx: &mut Cx<'_>| (!cx.admit(sock)).then(|| NO_DESCRIPTORS.to_owned());
        if let Some(why) = self.unwelcome(place, peer).or_else(|| no_room(cx)) {
            cx.close(sock, Close::Orderly);
            return self.refuse_client(cx.now(), peer, &why);
        }
        if let Some(idle) = self.config.keepalive {
            cx.set_keepalive(sock, super::super::client_keepalive(idle));
        }
        if let Some(ip) = address(peer) {
            self.callers.came(ip);
        }
        let key = self.clients.insert(Client {
            sock,
            peer,
            place,
            since: cx.now(),
            number: self.counts.clients,
            held: None,
            piped: None,
        });
        cx.set_tag(sock, Kind::Client.tag(key));
        let entry = &mut self.places[place];
        entry.clients += 1;
        entry.waiting.push_back(key);
        let (label, clients, backend) = (entry.label(), entry.clients, entry.backend);
        self.counts.clients += 1;
        self.counts.clients_most = self.counts.clients_most.max(self.clients.len());
        let text = format!("client {peer} of {label} connected ({clients} now)");
        self.journal.came(cx.now(), text);
        match backend.filter(|backend| self.backends[*backend].takes_streams()) {
            None => self.hold_client(cx, key),
            Some(backend) => {
                // Who was heard from just now need not be waited for, and is asked all the same: it may be gone since.
                let heard = self.backends[backend].mux.session.heard();
                self.ask_backend(cx, backend);
                if cx.now().since(heard) <= FRESH {
                    self.open_waiting(cx, place);
                }
            }
        }
    }

    /// Why a client may not come in, if so.
    fn unwelcome(&self, place: usize, peer: Peer) -> Option<String> {
        let ip = address(peer);
        if ip.is_some_and(|ip| !self.config.allow_clients.allows(ip)) {
            return Some("not in --allow-clients".to_owned());
        }
        let in_all = self.clients.len();
        if self.config.max_clients.is_some_and(|max| in_all >= max) {
            return Some(full(in_all, "connected (--max-clients)"));
        }
        if let (Some(max), Some(ip)) = (self.config.max_clients_per_ip, ip)
            && self.callers.of(ip) >= max
        {
            return Some(full(max, "connected from there (--max-clients-per-ip)"));
        }
        let clients = self.places[place].clients;
        if clients >= self.config.max_streams {
            let label = self.places[place].label();
            return Some(full(
                clients,
                &format!("connected to {label} (--max-streams)"),
            ));
        }
        let place = &self.places[place];
        let is_away = place.backend.is_none();
        (is_away && self.config.linger == Duration::ZERO)
            .then(|| format!("the backend of {} is away", place.label()))
    }

    fn refuse_client(&mut self, now: Time, peer: Peer, why: &str) {
        self.counts.refused += 1;
        let from = address(peer).map_or_else(|| peer.to_string(), |ip| ip.to_string());
        let kind = format!("refused: client {from}: {why}");
        let text = format!("client {from} refused: {why}");
        self.journal.refused(now, &kind, text);
    }

    /// Lets a client wait for its backend's return.
    pub(super) fn hold_client(&mut self, cx: &mut Cx<'_>, key: usize) {
        self.let_wait(cx, key, Wait::Return);
    }

    /// One that waits for the same already has no more time for it.
    fn let_wait(&mut self, cx: &mut Cx<'_>, key: usize, wait: Wait) {
        let client = &mut self.clients[key];
        match client.held {
            Some((_, other)) if other == wait => return,
            Some((timer, _)) => cx.cancel(timer),
            None => {}
        }
        let timer = cx.timer(self.patience(wait), Tick::Held.tag(key));
        self.clients[key].held = Some((timer, wait));
    }

    fn patience(&self, wait: Wait) -> Duration {
        match wait {
            Wait::Return => self.config.linger,
            Wait::Room => ROOM_TIMEOUT,
        }
    }

    pub(super) fn client_overdue(&mut self, cx: &mut Cx<'_>, key: usize) {
        let held = self.clients.get_mut(key).and_then(|it| it.held.take());
        if let Some((_, wait)) = held {
            let after = Span(self.patience(wait));
            let why = match wait {
                Wait::Return => format!("its backend was away for {after}"),
                Wait::Room => format!("its backend took no more streams for {after}"),
            };
            self.end_client(cx, key, Close::Orderly, &why);
        }
    }

    /// The backend of a place is alive: those who wait are piped, as far as its session takes them.
    pub(super) fn open_waiting(&mut self, cx: &mut Cx<'_>, place: usize) {
        while let Some(entry) = self.places.get(place)
            && let Some(&key) = entry.waiting.front()
            && let Some(backend) = entry.backend
        {
            match self.pipe(cx, backend, key) {
                Ok(()) => {}
                // The next one that is taken makes room.
                Err(OpenError::Backlog) => return self.let_all_wait(cx, place, Wait::Room),
                Err(OpenError::GoingAway) => return self.let_all_wait(cx, place, Wait::Return),
                Err(OpenError::IdsUsedUp) => {
                    let entry = &mut self.backends[backend];
                    entry.mux.session.go_away(GoAway::Normal);
                    entry.mux.say(cx);
                    let why = "its session's stream ids are used up";
                    return self.end_backend(cx, backend, why);
                }
            }
        }
    }

    fn let_all_wait(&mut self, cx: &mut Cx<'_>, place: usize, wait: Wait) {
        for at in (0..self.places[place].waiting.len()).rev() {
            let key = self.places[place].waiting[at];
            let waits = |(_, other)| other == wait;
            if wait == Wait::Room && self.clients[key].held.is_some_and(waits) {
                // Those before it have been told, too.
                return;
            }
            self.let_wait(cx, key, wait);
        }
    }

    fn pipe(&mut self, cx: &mut Cx<'_>, backend: usize, key: usize) -> Result<(), OpenError> {
        let entry = &mut self.backends[backend];
        let stream = entry.mux.session.open(cx.now(), key as u32)?;
        entry.mux.say(cx);
        let client = &mut self.clients[key];
        if entry.client_address {
            let call = match (client.peer, cx.local(client.sock)) {
                (Peer::Tcp(from), Some(to)) => Call::new(from, to),
                _ => Call::default(),
            };
            entry.mux.say_on(cx, stream, &call.write_v2());
        }
        let mut channel = Channel::new(stream, key as u32);
        let outcome = channel.connect(cx, Link::new(client.sock));
        client.piped = Some(Piped {
            opened_by: backend,
            channel,
        });
        if let Some((timer, _)) = client.held.take() {
            cx.cancel(timer);
        }
        let place = client.place;
        self.places[place].waiting.retain(|other| *other != key);
        self.settle(cx, key, outcome);
        Ok(())
    }

    pub(super) fn client_readable(&mut self, cx: &mut Cx<'_>, key: usize) {
        self.with_piped(cx, key, |cx, mux, channel| match mux {
            Some(mux) => mux.link_readable(cx, channel),
            None => channel.read_away(cx),
        });
    }

    pub(super) fn client_writable(&mut self, cx: &mut Cx<'_>, key: usize) {
        self.with_piped(cx, key, |cx, mux, channel| match mux {
            Some(mux) => mux.link_writable(cx, channel),
            None => channel.deliver(cx),
        });
    }

    /// Looks whether a client that is not read is still there.
    pub(super) fn probe_client(&mut self, cx: &mut Cx<'_>, key: usize) {
        if let Some(client) = self.clients.get_mut(key)
            && let Err(error) = Link::new(client.sock).probe(cx)
        {
            self.settle(cx, key, Outcome::Broken(error));
        }
    }

    /// Does something with a client's channel and its session, and with what becomes of it.
    pub(super) fn with_channel(
        &mut self,
        cx: &mut Cx<'_>,
        key: usize,
        act: impl FnOnce(&mut Cx<'_>, &mut Mux, &mut Channel) -> Outcome,
    ) {
        self.with_piped(cx, key, |cx, mux, channel| match mux {
            Some(mux) => act(cx, mux, channel),
            None => Outcome::Going,
        });
    }

    /// As [`Serve::with_channel`], also where there is no session any more.
    fn with_piped(
        &mut self,
        cx: &mut Cx<'_>,
        key: usize,
        act: impl FnOnce(&mut Cx<'_>, Option<&mut Mux>, &mut Channel) -> Outcome,
    ) {
        let Some(client) = self.clients.get_mut(key) else {
            return;
        };
        let Some(piped) = &mut client.piped else {
            return;
        };
        let backend = piped.backend();
        let mux = backend.map(|backend| &mut self.backends[backend].mux);
        let channel = &mut piped.channel;
        let before = (channel.from_stream, channel.to_stream);
        let outcome = act(cx, mux, channel);
        self.counts.to_clients += channel.from_stream - before.0;
        self.counts.from_clients += channel.to_stream - before.1;
        self.settle(cx, key, outcome);
    }

    fn settle(&mut self, cx: &mut Cx<'_>, key: usize, outcome: Outcome) {
        match outcome {
            Outcome::Going => {}
            Outcome::Over => self.end_client(cx, key, Close::Orderly, "finished"),
            Outcome::Broken(error) => {
                self.end_client(cx, key, Close::Reset, &plain(&error));
            }
        }
    }

    /// Resets the client of a backend that holds up the others, see [`hindmost`].
    pub(super) fn end_hindmost(&mut self, cx: &mut Cx<'_>, backend: usize) {
        let ours = self
            .clients
            .iter()
            .filter(|(_, client)| client.backend() == Some(backend));
        let hindmost = hindmost(ours.filter_map(|(key, client)| Some((key, client.channel()?))));
        if let Some(key) = hindmost {
            let why = "it reads too little, and the session's memory is full";
            self.end_client(cx, key, Close::Reset, why);
        }
    }

    /// A client is over.
    pub(super) fn end_client(&mut self, cx: &mut Cx<'_>, key: usize, how: Close, why: &str) {
        let Some(mut client) = self.clients.try_remove(key) else {
            return;
        };
        let (to, from) = client.bytes();
        let backend = client.backend();
        match (backend, &mut client.piped) {
            (Some(backend), Some(piped)) => {
                let entry = &mut self.backends[backend];
                entry.mux.end(cx, &mut piped.channel, how);
                entry.to_clients += to;
                entry.from_clients += from;
            }
            _ => cx.close(client.sock, how),
        }
        self.forget_client(cx, key, &mut client, why);
        if let Some(backend) = backend {
            // One more stream may be opened now; while the backend is asked whether it is alive, that has to wait.
            let place = client.place;
            let entry = &self.backends[backend];
            let is_alive = entry.takes_streams() && !entry.is_asked();
            if is_alive && !self.places[place].waiting.is_empty() {
                self.open_waiting(cx, place);
            }
            self.leave_if_done(cx, backend);
        }
        self.finish_if_drained(cx);
    }

    /// A client whose session is gone is reset.
    pub(super) fn drop_piped(&mut self, cx: &mut Cx<'_>, key: usize) {
        let mut client = self.clients.remove(key);
        cx.close(client.sock, Close::Reset);
        self.forget_client(cx, key, &mut client, "the backend is gone");
    }

    fn forget_client(&mut self, cx: &mut Cx<'_>, key: usize, client: &mut Client, why: &str) {
        self.counts.left += 1;
        if let Some((timer, _)) = client.held.take() {
            cx.cancel(timer);
        }
        if let Some(ip) = address(client.peer) {
            self.callers.went(ip);
        }
        let place = &mut self.places[client.place];
        place.clients -= 1;
        if client.piped.is_none() {
            place.waiting.retain(|other| *other != key);
        }
        let label = place.label();
        if place.is_over && place.clients == 0 {
            self.places.remove(client.place);
        }
        let now = cx.now();
        let (to, from) = client.bytes();
        let text = format!(
            "client {} of {} left: {why}; {} to it, {} from it in {}",
            client.peer,
            label,
            Bytes(to),
            Bytes(from),
            Span(now.since(client.since))
        );
        self.journal.went(now, text);
    }
}

/// "2 clients are connected (--max-clients)"
fn full(clients: usize, how: &str) -> String {
    let verb = if clients == 1 { "is" } else { "are" };
    format!("{} {verb} {how}", Count(clients, "client"))
}

/// As long as hashicorp's yamux waits for a stream to be taken.
const ROOM_TIMEOUT: Duration = Duration::from_secs(75);
/// A backend that was heard from so lately need not be waited for.
const FRESH: Duration = Duration::from_secs(1);
