//! Connections before they are WebSockets: one request, within 5 s and 8 KiB, and the answer to it.
//!
//! ```text
//!   Asking ──good request──> (Waiting: a plain host is busy, or a host's name is taken) ──> 101, a peer
//!      └──bad request, or none in time──> Leaving (a status and a line that says why) ──> closed
//! ```

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use super::asking::ALIVE_TIMEOUT;
use super::judging::{Refusal, fault, unauthorized};
use super::peers::Newcomer;
use super::{BACK, Kind, REVOKED, Relay, Tick};
use crate::base::secret::Secret;
use crate::base::time::Time;
use crate::base::units::{Count, Span};
use crate::base::wheel::TimerKey;
use crate::proto::hello::Name;
use crate::proto::http1::{HeadBuf, Request, Status, Upgrade};
use crate::reactor::net::{Close, Peer, SockId};
use crate::reactor::{Cx, plain};
use crate::roles::callers::address;
use crate::roles::link::{Link, tls_error};
use crate::roles::ws::keepalive;
use crate::roles::ws::tokens::{Part, Tokens, Verdict};

/// A connection that is no WebSocket yet.
#[derive(Debug)]
pub(super) struct Arrival {
    link: Link,
    peer: Peer,
    /// Whom its request comes from, as far as that is known: a trusted proxy's word, or else `peer`.
    from: Option<IpAddr>,
    since: Time,
    pub(super) timer: TimerKey,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    /// Its request comes in.
    Asking(HeadHolder),
    /// Its request is good, and somebody else is in its way.
    Waiting(Box<Asked>),
    /// It is answered, and closed then: what is left of the answer.
    Leaving(Vec<u8>),
}

/// A head without a `Debug` output of its own: there are secrets in it.
struct HeadHolder(HeadBuf);

impl fmt::Debug for HeadHolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.bytes().len())
    }
}

/// A request for a WebSocket that may be granted.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) part: Part,
    pub(super) name: Option<Name>,
    pub(super) token: Option<Secret>,
    /// Whom it comes from, a trusted proxy's word taken for it.
    pub(super) from: Option<IpAddr>,
    pub(super) upgrade: Upgrade,
    /// What came behind the request.
    pub(super) rest: Vec<u8>,
}

impl Arrival {
    pub(super) fn sock(&self) -> SockId {
        self.link.sock()
    }

    fn waits(&self) -> bool {
        matches!(self.stage, Stage::Waiting(_))
    }

    /// What it has asked for, where it waits.
    pub(super) fn asked(&self) -> Option<&Asked> {
        match &self.stage {
            Stage::Waiting(asked) => Some(asked),
            Stage::Asking(_) | Stage::Leaving(_) => None,
        }
    }

    /// "192.0.2.7", "192.0.2.7 by 127.0.0.1"
    fn caller(&self) -> String {
        match (address(self.peer), self.from) {
            (Some(at), Some(from)) if at.to_canonical() != from => format!("{from} by {at}"),
            (Some(at), _) => at.to_string(),
            (None, _) => self.peer.to_string(),
        }
    }
}

impl Relay {
    pub(super) fn accepted(&mut self, cx: &mut Cx<'_>, sock: SockId, peer: Peer) {
        if !self.lets_in(cx, sock, peer) {
            return;
        }
        if let Some(idle) = self.config.keepalive {
            cx.set_keepalive(sock, keepalive(idle));
        }
        let mut link = match Link::accepted(cx, sock, &self.config.tls) {
            Ok(link) => link,
            Err(error) => {
                cx.close(sock, Close::Orderly);
                let text = format!("{peer} refused: {}", plain(&error));
                return self.journal.warn(cx.now(), "refused: tls", text);
            }
        };
        let entry = self.arrivals.vacant_entry();
        let key = entry.key();
        cx.set_tag(sock, Kind::Arrival.tag(key));
        link.want_read(cx, true);
        entry.insert(Arrival {
            link,
            peer,
            from: None,
            since: cx.now(),
            timer: cx.timer(HEAD_TIMEOUT, Tick::Arrival.tag(key)),
            stage: Stage::Asking(HeadHolder(HeadBuf::new())),
        });
    }

    /// The place of one is for another: of those who have their answer already, or else of those whose request has not
    /// come, the one that is there for the longest time. Those who wait never have all places.
    pub(super) fn make_way(&mut self, cx: &mut Cx<'_>) {
        let others = self.arrivals.iter().filter(|(_, other)| !other.waits());
        let is_asking = |arrival: &Arrival| matches!(arrival.stage, Stage::Asking(_));
        let first = others.min_by_key(|(_, other)| (is_asking(other), other.since));
        if let Some((key, is_asking)) = first.map(|(key, other)| (key, is_asking(other))) {
            // One that has its answer is counted already.
            if is_asking {
                self.say_refused(cx, key, "no request yet, and others wait");
            }
            self.drop_arrival(cx, key);
        }
    }

    pub(super) fn arrival_readable(&mut self, cx: &mut Cx<'_>, key: usize) {
        let Some(arrival) = self.arrivals.get_mut(key) else {
            return;
        };
        let mut bytes = [0; HEAD_READ];
        let count = match arrival.link.read(cx, &mut bytes) {
            Ok(None) => return,
            Ok(Some(0)) => return self.drop_arrival(cx, key),
            Ok(Some(count)) => count,
            Err(error) => {
                if let Some(error) = tls_error(&error) {
                    self.say_refused(cx, key, &error.to_string());
                }
                return self.drop_arrival(cx, key);
            }
        };
        match &mut arrival.stage {
            Stage::Leaving(_) => {}
            Stage::Waiting(asked) => {
                asked.rest.extend_from_slice(&bytes[..count]);
                if asked.rest.len() > EARLY_MAX {
                    // Back-pressure: it goes on when it is let in.
                    arrival.link.want_read(cx, false);
                }
            }
            Stage::Asking(head) => match head.0.feed(&bytes[..count]) {
                Ok(taken) if head.0.is_complete() => {
                    let rest = bytes[taken..count].to_vec();
                    self.judge(cx, key, rest);
                }
                Ok(_) => {}
                Err(broken) => self.refuse(cx, key, fault(broken)),
            },
        }
    }

    /// The request is there.
    fn judge(&mut self, cx: &mut Cx<'_>, key: usize, rest: Vec<u8>) {
        let arrival = &self.arrivals[key];
        let Stage::Asking(head) = &arrival.stage else {
            return;
        };
        let (mut from, peer) = (None, arrival.peer);
        let asked = Request::parse(&head.0).map_err(fault).and_then(|request| {
            from = self.caller_of(peer, &request);
            self.read_request(from, &request)
        });
        self.arrivals[key].from = from;
        match asked {
            Ok(mut asked) => {
                asked.rest = rest;
                self.seat(cx, key, asked);
            }
            Err(refusal) => self.refuse(cx, key, refusal),
        }
    }

    /// A good request: it is let in, or waits for its place.
    fn seat(&mut self, cx: &mut Cx<'_>, key: usize, asked: Asked) {
        if self.draining.is_some() {
            let refusal = Refusal::new(Status::UNAVAILABLE, "this relay is about to end");
            return self.refuse(cx, key, refusal);
        }
        let place = self.places.get(&asked.name);
        let host = place.and_then(|place| place.host);
        let after = match (asked.part, host) {
            (Part::Host, Some(_)) if asked.token.is_some() => {
                // Whoever proves that it is this host takes over from its stale self.
                self.retire(cx, &asked.name, BACK);
                None
            }
            (Part::Host, Some(host)) => {
                self.ask_peer(cx, host);
                Some(ALIVE_TIMEOUT)
            }
            (Part::Client, Some(host))
                if asked.upgrade.protocol().is_none() && self.peers[host].is_busy() =>
            {
                Some(self.config.pair_timeout)
            }
            _ => None,
        };
        let Some(after) = after else {
            return self.grant(cx, key, asked);
        };
        let most = self.waiting_most(&asked.name);
        let place = self.places.entry(asked.name.clone()).or_default();
        if most <= place.callers.len() + place.rivals.len() {
            let why = format!("too many wait for the host{} already", as_name(&asked.name));
            self.tidy(&asked.name);
            return self.refuse(cx, key, Refusal::new(Status::UNAVAILABLE, why));
        }
        match asked.part {
            Part::Host => place.rivals.push(key),
            Part::Client => place.callers.push_back(key),
        }
        let arrival = &mut self.arrivals[key];
        cx.cancel(arrival.timer);
        arrival.timer = cx.timer(after, Tick::Arrival.tag(key));
        arrival.stage = Stage::Waiting(Box::new(asked));
    }

    /// How many may wait for one name: few enough that others, and other names, find places.
    fn waiting_most(&self, name: &Option<Name>) -> usize {
        let elsewhere =
            |arrival: &Arrival| arrival.asked().is_some_and(|asked| asked.name != *name);
        let elsewhere = self.arrivals.iter().filter(|(_, other)| elsewhere(other));
        WAITING_MAX.min(WAITING_ALL_MAX.saturating_sub(elsewhere.count()))
    }

    fn grant(&mut self, cx: &mut Cx<'_>, key: usize, asked: Asked) {
        let most = self.config.max_connections.unwrap_or(usize::MAX);
        if self.peers.len() >= most {
            let here = Count(self.peers.len(), "WebSocket");
            let why = format!("{here} here (--max-connections)");
            return self.refuse(cx, key, Refusal::new(Status::UNAVAILABLE, why));
        }
        let arrival = self.remove_arrival(cx, key);
        let newcomer = Newcomer {
            link: arrival.link,
            at: arrival.peer,
            from: asked.from,
            part: asked.part,
            name: asked.name,
            token: asked.token,
            mux: asked.upgrade.protocol().is_some(),
            grant: asked.upgrade.grant(),
        };
        self.add_peer(cx, newcomer, asked.rest);
    }

    /// The time of an arrival is over: it was too slow, or waited for nothing, or for somebody who is dead.
    pub(super) fn arrival_overdue(&mut self, cx: &mut Cx<'_>, key: usize) {
        if self.waits_on(cx, key) {
            return;
        }
        let Some(arrival) = self.arrivals.get_mut(key) else {
            return;
        };
        match std::mem::replace(&mut arrival.stage, Stage::Leaving(Vec::new())) {
            Stage::Asking(_) => {
                let why = match arrival.link.is_handshaking() {
                    true => "no TLS handshake within 5 s",
                    false => "no request within 5 s",
                };
                let refusal = Refusal::new(Status::TIMEOUT, why);
                self.refuse(cx, key, refusal);
                // A second chance to read the answer would need a second deadline. One that was reset just now is gone
                // by the refusal itself.
                if self.arrivals.contains(key) {
                    self.drop_arrival(cx, key);
                }
            }
            Stage::Leaving(_) => self.drop_arrival(cx, key),
            Stage::Waiting(asked) => {
                self.leave_queue(key, &asked);
                match asked.part {
                    Part::Client => {
                        let span = Span(self.config.pair_timeout);
                        let place = self.places.get(&asked.name);
                        let why = match place.and_then(|place| place.host) {
                            Some(_) => {
                                format!("the host has a client, and was not free within {span}")
                            }
                            None => format!("the host has left, and was not back within {span}"),
                        };
                        self.refuse(cx, key, Refusal::new(Status::UNAVAILABLE, why));
                    }
                    Part::Host => {
                        // The holder has had its time.
                        self.retire(cx, &asked.name, "no sign of life, and another host is here");
                        self.grant(cx, key, *asked);
                    }
                }
            }
        }
    }

    /// The host of a name is gone, or has shown that it is alive.
    pub(super) fn admit_rivals(&mut self, cx: &mut Cx<'_>, name: &Option<Name>) {
        while let Some(place) = self.places.get_mut(name)
            && !place.rivals.is_empty()
        {
            let is_free = place.host.is_none();
            if let Some(host) = place.host
                && self.peers[host].is_asked()
            {
                return;
            }
            let key = place.rivals.remove(0);
            let Some(asked) = self.take_asked(key) else {
                continue;
            };
            match is_free {
                true => self.grant(cx, key, asked),
                false => {
                    let why = format!("another host is connected{}", as_name(name));
                    self.refuse(cx, key, Refusal::new(Status::CONFLICT, why));
                }
            }
        }
        self.tidy(name);
    }

    /// The host of a name takes a client again.
    pub(super) fn admit_callers(&mut self, cx: &mut Cx<'_>, name: &Option<Name>) {
        while let Some(place) = self.places.get_mut(name)
            && let Some(host) = place.host
            && !self.peers[host].is_busy()
            && place.waiting.is_empty()
            && let Some(key) = place.callers.pop_front()
        {
            if let Some(asked) = self.take_asked(key) {
                self.grant(cx, key, asked);
            }
        }
        self.tidy(name);
    }

    /// What an arrival that waits has asked for.
    fn take_asked(&mut self, key: usize) -> Option<Asked> {
        let arrival = self.arrivals.get_mut(key)?;
        match std::mem::replace(&mut arrival.stage, Stage::Leaving(Vec::new())) {
            Stage::Waiting(asked) => Some(*asked),
            other => {
                arrival.stage = other;
                None
            }
        }
    }

    /// Other tokens hold: who waits and would not be let in by them is told so.
    pub(super) fn rejudge(&mut self, cx: &mut Cx<'_>, tokens: &Tokens) {
        let good = |asked: &Asked| {
            let token = asked.token.as_deref();
            token.is_some_and(|token| tokens.judge(&asked.name, asked.part, token) == Verdict::Good)
        };
        let gone = self.arrivals.iter();
        let gone = gone.filter(|(_, arrival)| arrival.asked().is_some_and(|asked| !good(asked)));
        let gone: Vec<usize> = gone.map(|(key, _)| key).collect();
        for key in gone {
            if let Some(asked) = self.take_asked(key) {
                self.leave_queue(key, &asked);
                self.refuse(cx, key, unauthorized(REVOKED));
            }
        }
    }

    fn leave_queue(&mut self, key: usize, asked: &Asked) {
        if let Some(place) = self.places.get_mut(&asked.name) {
            place.callers.retain(|other| *other != key);
            place.rivals.retain(|other| *other != key);
        }
        self.tidy(&asked.name);
    }

    pub(super) fn refuse_drained(&mut self, cx: &mut Cx<'_>, key: usize) {
        if let Some(asked) = self.take_asked(key) {
            self.leave_queue(key, &asked);
        }
        if let Stage::Asking(_) = self.arrivals[key].stage {
            return self.drop_arrival(cx, key);
        }
        let refusal = Refusal::new(Status::UNAVAILABLE, "this relay is about to end");
        self.refuse(cx, key, refusal);
    }

    fn refuse(&mut self, cx: &mut Cx<'_>, key: usize, refusal: Refusal) {
        if let Some(why) = &refusal.why {
            self.say_refused(cx, key, why);
        }
        let mut bytes = refusal.answer.bytes();
        if refusal.head_only {
            let end = bytes.windows(4).position(|four| four == b"\r\n\r\n");
            bytes.truncate(end.map_or(bytes.len(), |end| end + 4));
        }
        let arrival = &mut self.arrivals[key];
        cx.cancel(arrival.timer);
        arrival.timer = cx.timer(HEAD_TIMEOUT, Tick::Arrival.tag(key));
        arrival.stage = Stage::Leaving(bytes);
        arrival.link.want_read(cx, true);
        self.arrival_writable(cx, key);
    }

    pub(super) fn arrival_writable(&mut self, cx: &mut Cx<'_>, key: usize) {
        let Some(arrival) = self.arrivals.get_mut(key) else {
            return;
        };
        let Stage::Leaving(answer) = &mut arrival.stage else {
            // What TLS has to say by itself.
            let written = arrival.link.write(cx, [&[], &[]]);
            return match written {
                Ok(_) => arrival.link.want_write(cx, false),
                Err(_) => self.drop_arrival(cx, key),
            };
        };
        match arrival.link.write(cx, [answer, &[]]) {
            Ok(count) => drop(answer.drain(..count)),
            Err(error) => {
                let text = format!("{}: {}", arrival.peer, plain(&error));
                self.journal.debug(&text);
                return self.drop_arrival(cx, key);
            }
        }
        let is_sent = answer.is_empty();
        arrival.link.want_write(cx, !is_sent);
        // Closed at once, it might not read the answer: bytes that nobody takes turn a close into a reset.
        if is_sent && arrival.link.finish(cx).is_err() {
            self.drop_arrival(cx, key);
        }
    }

    fn say_refused(&mut self, cx: &Cx<'_>, key: usize, why: &str) {
        self.counts.refused += 1;
        let from = self.arrivals[key].caller();
        let kind = format!("refused: {from}: {why}");
        self.journal
            .refused(cx.now(), &kind, format!("{from} refused: {why}"));
    }

    fn drop_arrival(&mut self, cx: &mut Cx<'_>, key: usize) {
        if let Some(asked) = self.take_asked(key) {
            self.leave_queue(key, &asked);
        }
        let mut arrival = self.remove_arrival(cx, key);
        arrival.link.close(cx, Close::Orderly);
        self.finish_if_drained(cx);
    }

    fn remove_arrival(&mut self, cx: &mut Cx<'_>, key: usize) -> Arrival {
        let arrival = self.arrivals.remove(key);
        cx.cancel(arrival.timer);
        arrival
    }
}

fn as_name(name: &Option<Name>) -> String {
    name.as_ref()
        .map_or_else(String::new, |name| format!(" as {name}"))
}

/// How long a request may take, and how long its answer.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
/// Connections that may be before their upgrade at a time: one more takes the place of another.
pub(super) const ARRIVALS_MAX: usize = 256;
/// Those of them that may wait for one host, and for all.
const WAITING_MAX: usize = 32;
const WAITING_ALL_MAX: usize = ARRIVALS_MAX / 2;
/// One read of a head.
const HEAD_READ: usize = 4096;
/// What may come behind a request that waits for its grant, beyond one read.
const EARLY_MAX: usize = 64 << 10;
