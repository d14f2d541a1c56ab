//! Backends that were taken in: their sessions, whether they are alive, and their ends.

use std::time::Duration;

use super::client::Client;
use super::{Kind, Serve, Tick};
use crate::base::secret::Secret;
use crate::base::time::Time;
use crate::base::units::{Bytes, Span};
use crate::base::wheel::TimerKey;
use crate::proto::hello::Name;
use crate::proto::yamux::{Event, GoAway, Session, Side, StreamId};
use crate::reactor::net::{Close, Peer};
use crate::reactor::{Cx, plain};
use crate::roles::link::Link;
use crate::roles::pump::{Channels, Mux, Question};

/// A backend and its session.
#[derive(Debug)]
pub(super) struct Backend {
    pub(super) mux: Mux,
    pub(super) peer: Peer,
    pub(super) place: usize,
    pub(super) name: Option<Name>,
    /// What proved the name.
    pub(super) token: Option<Secret>,
    /// Each stream begins with its client's address.
    pub(super) client_address: bool,
    /// It replaced another one of its name.
    took_over: bool,
    pub(super) since: Time,
    /// Bytes of clients that have left; those of the others are in their channels.
    pub(super) to_clients: u64,
    pub(super) from_clients: u64,
    /// It speaks the seed's way, and is to be told its address on the first stream that it opens.
    wants_address: bool,
    /// It is asked whether it is alive, since a client or another backend wants to know.
    asked: Option<Asked>,
    /// Handshakes that wait for it to prove dead or alive.
    rivals: Vec<usize>,
    /// It takes no new streams.
    leaving: bool,
}

/// A backend is asked whether it is alive.
#[derive(Debug)]
struct Asked {
    since: Time,
    /// How long it may take yet.
    timer: TimerKey,
    /// The ping under way began no sooner: its answer was not on its way to us already.
    is_fresh: bool,
    question: Question,
}

/// Who becomes a backend.
pub(super) struct Newcomer {
    pub(super) link: Link,
    pub(super) peer: Peer,
    pub(super) place: usize,
    pub(super) name: Option<Name>,
    pub(super) token: Option<Secret>,
    pub(super) client_address: bool,
    pub(super) is_plain: bool,
    /// It replaced another one of its name.
    pub(super) took_over: bool,
    /// What it is to be sent before anything else.
    pub(super) preface: Vec<u8>,
}

impl Backend {
    /// Whether a client's stream can be opened.
    pub(super) fn takes_streams(&self) -> bool {
        !self.leaving
    }

    /// Whether it is asked whether it is alive, and has not answered yet.
    pub(super) fn is_asked(&self) -> bool {
        self.asked.is_some()
    }

    /// Tells it that no more clients come.
    pub(super) fn go_away(&mut self, cx: &mut Cx<'_>) {
        self.leaving = true;
        self.mux.session.go_away(GoAway::Normal);
        self.mux.say(cx);
    }

    /// "web (10.0.0.5:4000)"
    pub(super) fn label(&self) -> String {
        match &self.name {
            Some(name) => format!("{name} ({})", self.peer),
            None => self.peer.to_string(),
        }
    }
}

impl Serve {
    pub(super) fn add_backend(&mut self, cx: &mut Cx<'_>, newcomer: Newcomer, rest: &[u8]) {
        let Newcomer {
            link,
            peer,
            place,
            name,
            token,
            client_address,
            is_plain,
            took_over,
            preface,
        } = newcomer;
        let limits = super::super::limits(self.config.max_streams);
        let session = Session::new(Side::Server, limits, cx.now());
        let entry = self.backends.vacant_entry();
        let key = entry.key();
        cx.set_tag(link.sock(), Kind::Backend.tag(key));
        let backend = entry.insert(Backend {
            mux: Mux::new(session, link),
            peer,
            place,
            name,
            token,
            client_address,
            took_over,
            since: cx.now(),
            to_clients: 0,
            from_clients: 0,
            wants_address: is_plain,
            asked: None,
            rivals: Vec::new(),
            leaving: false,
        });
        backend.mux.preface(cx, &preface);
        backend.mux.session.ping(cx.now());
        backend.mux.say(cx);
        let label = backend.label();
        self.places[place].backend = Some(key);
        self.places[place].away = None;
        self.counts.backends += 1;
        let public = &self.places[place].public;
        let text = format!("backend {label} connected, public at {public}");
        self.journal.upstream(cx.now(), text);
        self.feed_backend(cx, key, rest);
        self.open_waiting(cx, place);
    }

    pub(super) fn backend_readable(&mut self, cx: &mut Cx<'_>, key: usize) {
        let Some(backend) = self.backends.get_mut(key) else {
            return;
        };
        let mut scratch = std::mem::take(&mut self.scratch);
        match backend.mux.carrier_mut().read(cx, &mut scratch) {
            Ok(None) => {}
            Ok(Some(0)) => self.backend_ended(cx, key),
            Ok(Some(count)) => self.feed_backend(cx, key, &scratch[..count]),
            Err(error) => self.end_backend(cx, key, &plain(&error)),
        }
        self.scratch = scratch;
    }

    fn backend_ended(&mut self, cx: &mut Cx<'_>, key: usize) {
        let mux = &mut self.backends[key].mux;
        if mux.parting_since().is_none() {
            return self.end_backend(cx, key, "it closed the connection");
        }
        mux.peer_parted(cx);
        match self.draining {
            Some(_) => self.finish_if_drained(cx),
            None => self.end_backend(cx, key, "it went away"),
        }
    }

    fn feed_backend(&mut self, cx: &mut Cx<'_>, key: usize, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let mut rest = bytes;
        loop {
            let Some(backend) = self.backends.get_mut(key) else {
                return;
            };
            match backend.mux.session.feed(cx.now(), &mut rest) {
                Ok(Some(event)) => self.on_event(cx, key, event),
                Ok(None) => break,
                Err(violation) => {
                    backend.mux.session.go_away(GoAway::Protocol);
                    backend.mux.say(cx);
                    return self.end_backend(cx, key, &format!("it {violation}"));
                }
            }
            if let Some(backend) = self.backends.get_mut(key) {
                backend.mux.say(cx);
            }
        }
        // Answers come of what is no event, too.
        if let Some(backend) = self.backends.get_mut(key) {
            backend.mux.say(cx);
        }
        self.backend_heard(cx, key);
        self.check_backend(cx, key);
    }

    fn on_event(&mut self, cx: &mut Cx<'_>, key: usize, event: Event<'_>) {
        match event {
            Event::Opened(id) => self.stream_opened(cx, key, id),
            Event::Taken(..) => {
                let place = self.backends[key].place;
                self.open_waiting(cx, place);
            }
            Event::Data(id, ADDRESS, payload) => {
                self.backends[key].mux.consume(cx, id, payload.len());
            }
            Event::Data(_, tag, payload) => {
                self.with_channel(cx, tag as usize, |cx, mux, channel| {
                    mux.stream_data(cx, channel, payload)
                });
            }
            Event::Credit(_, tag) => {
                self.with_channel(cx, tag as usize, |cx, mux, channel| {
                    mux.stream_credit(cx, channel)
                });
            }
            Event::Finished(_, tag) => {
                self.with_channel(cx, tag as usize, |cx, mux, channel| {
                    mux.stream_finished(cx, channel)
                });
            }
            Event::Reset(_, tag) => {
                if tag != ADDRESS {
                    self.end_client(cx, tag as usize, Close::Reset, "reset by the backend");
                }
            }
            Event::Pong => {}
            Event::GoAway(GoAway::Normal) => {
                self.backends[key].leaving = true;
                self.leave_if_done(cx, key);
            }
            Event::GoAway(why) => self.end_backend(cx, key, &why.to_string()),
        }
    }

    /// A backend opens streams for one purpose only: to be told its address, once, if it speaks the seed's way.
    fn stream_opened(&mut self, cx: &mut Cx<'_>, key: usize, id: StreamId) {
        let backend = &mut self.backends[key];
        if !std::mem::take(&mut backend.wants_address) {
            backend.mux.session.reset(id);
            return;
        }
        let public = self.places[backend.place].public.as_bytes();
        backend.mux.session.accept(id, ADDRESS);
        // The seed reads no more than this.
        let public = &public[..public.len().min(ADDRESS_MAX)];
        backend.mux.say_on(cx, id, public);
        backend.mux.session.finish(id);
    }

    pub(super) fn backend_writable(&mut self, cx: &mut Cx<'_>, key: usize) {
        let Some(backend) = self.backends.get_mut(key) else {
            return;
        };
        match backend.mux.flush(cx) {
            Ok(resumed) => {
                for client in resumed {
                    self.with_channel(cx, client as usize, |cx, mux, channel| {
                        mux.resume(cx, channel)
                    });
                }
                self.finish_if_drained(cx);
            }
            Err(error) => self.end_backend(cx, key, &plain(&error)),
        }
    }

    /// Ends a backend that can't be talked to, and resets who holds too much.
    pub(super) fn check_backend(&mut self, cx: &mut Cx<'_>, key: usize) {
        let Some(backend) = self.backends.get(key) else {
            return;
        };
        if backend.mux.is_choked() {
            return self.end_backend(cx, key, "it does not read what it asks for");
        }
        while let Some(backend) = self.backends.get(key)
            && backend.mux.held() > super::super::HELD_MAX
        {
            self.end_hindmost(cx, key);
        }
    }

    /// Something came from a backend. It is alive if that is the answer, or can't have been on its way when we asked:
    /// an answer may be behind much else on a thin line.
    fn backend_heard(&mut self, cx: &mut Cx<'_>, key: usize) {
        let Some(backend) = self.backends.get_mut(key) else {
            return;
        };
        let Some(asked) = &mut backend.asked else {
            return;
        };
        let is_answered = !backend.mux.session.is_asking();
        let is_late = cx.now().since(asked.since) >= self.config.alive_timeout / LATE_PART;
        if !(is_late || is_answered && asked.is_fresh) {
            if is_answered {
                asked.is_fresh = true;
                backend.mux.session.ping(cx.now());
                backend.mux.say(cx);
            }
            return;
        }
        cx.cancel(asked.timer);
        backend.asked = None;
        let place = backend.place;
        for rival in std::mem::take(&mut backend.rivals) {
            self.settled.push_back((rival, false));
            cx.again();
        }
        self.open_waiting(cx, place);
    }

    /// Asks a backend whether it is alive, unless it has been asked already.
    pub(super) fn ask_backend(&mut self, cx: &mut Cx<'_>, key: usize) {
        let backend = &mut self.backends[key];
        if backend.asked.is_none() {
            let is_fresh = !backend.mux.session.is_asking();
            backend.mux.session.ping(cx.now());
            backend.mux.say(cx);
            backend.asked = Some(Asked {
                since: cx.now(),
                timer: cx.timer(self.config.alive_timeout, Tick::Alive.tag(key)),
                is_fresh,
                question: Question::behind(&backend.mux, cx),
            });
        }
    }

    /// A handshake wants the name of a backend: it shall have it if that is dead.
    pub(super) fn ask_holder(&mut self, cx: &mut Cx<'_>, key: usize, rival: usize) {
        let backend = &mut self.backends[key];
        backend.rivals.push(rival);
        match backend.mux.parting_since() {
            Some(_) => self.end_backend(cx, key, "it went away"),
            None => self.ask_backend(cx, key),
        }
    }

    /// A handshake that waited for a name is gone: whatever becomes of the holder is no news for its place any more.
    pub(super) fn forget_rival(&mut self, rival: usize) {
        for (_, backend) in &mut self.backends {
            backend.rivals.retain(|other| *other != rival);
        }
        self.settled.retain(|(other, _)| *other != rival);
    }

    pub(super) fn backend_overdue(&mut self, cx: &mut Cx<'_>, key: usize) {
        let limit = self.config.alive_timeout;
        let Some(backend) = self.backends.get_mut(key) else {
            return;
        };
        if let Some(asked) = &mut backend.asked {
            // On a thin line it may have been behind what clients have sent, and not be heard yet.
            let left = (asked.question.owed_since(&backend.mux, cx) + limit).since(cx.now());
            if !left.is_zero() {
                asked.timer = cx.timer(left, Tick::Alive.tag(key));
                return;
            }
            backend.asked = None;
        }
        let limit = Span(limit);
        self.backend_dies(cx, key, &format!("no sign of life within {limit}"));
    }

    /// A dead backend's clients are closed at once, those that wait for its sign of life among them.
    fn backend_dies(&mut self, cx: &mut Cx<'_>, key: usize, why: &str) {
        let place = self.backends[key].place;
        for client in self.places[place].waiting.clone() {
            self.end_client(cx, client, Close::Orderly, "the backend is dead");
        }
        self.end_backend(cx, key, why);
    }

    pub(super) fn tick_backend(&mut self, cx: &mut Cx<'_>, key: usize) {
        let Some(backend) = self.backends.get_mut(key) else {
            return;
        };
        if let Some(since) = backend.mux.parting_since() {
            let is_late = cx.now().since(since) >= self.config.drain;
            if self.draining.is_none() && (is_late || backend.mux.is_parted(cx)) {
                self.end_backend(cx, key, "it went away");
            }
            return;
        }
        if let Some(asked) = &mut backend.asked {
            asked.question.owed_since(&backend.mux, cx);
        }
        match backend.mux.tick(cx) {
            Ok(()) => {}
            Err(silent) => {
                let after = Span(silent.after);
                self.backend_dies(cx, key, &format!("no sign of life within {after}"));
            }
        }
    }

    /// A backend that goes away is gone once its last client is, and has all that the clients have said.
    pub(super) fn leave_if_done(&mut self, cx: &mut Cx<'_>, key: usize) {
        let Some(backend) = self.backends.get_mut(key) else {
            return;
        };
        if !backend.leaving || !backend.mux.session.is_empty() || self.draining.is_some() {
            return;
        }
        // A stream may have left the session before its client has taken all of it.
        let is_its = |client: &Client| client.backend() == Some(key);
        if !self.clients.iter().any(|(_, client)| is_its(client)) {
            backend.mux.part(cx);
        }
    }

    pub(super) fn replace_backend(&mut self, cx: &mut Cx<'_>, key: usize, by: Peer) {
        let now = cx.now();
        let backend = &self.backends[key];
        if backend.took_over && now.since(backend.since) < AGAIN {
            let label = backend.label();
            let text =
                format!("backend {label} is replaced again: do two have its name and token?");
            self.journal.warn(now, "replaced-again", text);
        }
        self.end_backend(cx, key, &format!("it is back, from {by}"));
    }

    /// A backend is gone. The clients of its streams are reset, except for those who have the end of what it said to
    /// them still to read; the port of an unnamed one closes.
    pub(super) fn end_backend(&mut self, cx: &mut Cx<'_>, key: usize, why: &str) {
        let mut backend = self.backends.remove(key);
        // Whatever there is to say about it, once.
        let _ = backend.mux.flush(cx);
        backend.mux.carrier_mut().close(cx, Close::Orderly);
        if let Some(asked) = backend.asked.take() {
            cx.cancel(asked.timer);
        }
        for rival in backend.rivals.drain(..) {
            self.settled.push_back((rival, true));
            cx.again();
        }
        let place = backend.place;
        self.places[place].backend = None;
        self.places[place].away = Some(cx.now());
        let (piped, waiting): (Vec<usize>, Vec<usize>) = {
            let ours = self
                .clients
                .iter()
                .filter(|(_, c)| c.place == place && !c.is_alone());
            let (piped, waiting): (Vec<_>, Vec<_>) = ours.partition(|(_, c)| c.piped.is_some());
            let key = |(key, _): (usize, &Client)| key;
            (
                piped.into_iter().map(key).collect(),
                waiting.into_iter().map(key).collect(),
            )
        };
        for client in &piped {
            let gone = self.clients[*client].bytes();
            backend.to_clients += gone.0;
            backend.from_clients += gone.1;
        }
        let parted = self.part(cx, piped);
        for client in &parted.cut {
            self.drop_piped(cx, *client);
        }
        let now = cx.now();
        let text = format!(
            "backend {} lost: {why}; {}; {} to clients, {} from them in {}",
            backend.label(),
            parted.told("client"),
            Bytes(backend.to_clients),
            Bytes(backend.from_clients),
            Span(now.since(backend.since))
        );
        self.journal.upstream(now, text);
        let keeps = backend.name.is_some() && self.draining.is_none();
        for client in waiting {
            match keeps {
                true => self.hold_client(cx, client),
                false => self.end_client(cx, client, Close::Orderly, "the backend is gone"),
            }
        }
        if backend.name.is_none() {
            self.remove_place(cx, place);
        }
        self.check_owed(cx);
        self.finish_if_drained(cx);
    }
}

/// The tag of the stream on which a backend is told its address.
const ADDRESS: u32 = u32::MAX;
/// What comes behind such a part of the time that an answer may take was not on its way when we asked: the loop reads
/// within moments what has come.
const LATE_PART: u32 = 4;
/// A backend that is replaced so soon behind one that was has a rival.
const AGAIN: Duration = Duration::from_secs(60);
/// The seed's buffer has 128 bytes.
const ADDRESS_MAX: usize = 127;
