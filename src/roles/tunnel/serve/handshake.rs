//! Backends before they are taken in: the hello, who they are, and what is left of their time.
//!
//! ```text
//!   first byte ── 0 ──> a session at once (the seed's way), where no proof is asked for
//!       └─ a hello ──> HELLO ──> PROOF ──> taken in
//!                                  └─ the name is held: its holder is asked ──> gone: taken in
//! ```

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use super::backend::Newcomer;
use super::{Kind, Serve, Tick};
use crate::base::secret::Secret;
use crate::base::time::Time;
use crate::base::units::Count;
use crate::base::wheel::TimerKey;
use crate::proto::hello::{self, Asked, Code, FIRST_BYTE, Hello, Proven, Serving};
use crate::proto::tls::looks_like_tls;
use crate::reactor::net::{Close, Peer, SockId};
use crate::reactor::{Cx, plain};
use crate::roles::callers::address;
use crate::roles::link::Link;
use crate::roles::listening::NO_DESCRIPTORS;

/// A connection that is no backend yet.
#[derive(Debug)]
pub(super) struct Handshake {
    pub(super) link: Link,
    peer: Peer,
    since: Time,
    timer: TimerKey,
    serving: Serving,
    /// Who it says it is, proven or not.
    name: Option<hello::Name>,
    stage: Stage,
    /// What it is still to be sent.
    out: Vec<u8>,
}

#[derive(Debug)]
enum Stage {
    /// Nothing has come yet.
    Silent,
    /// Something of a hello has.
    Hello,
    /// It was challenged.
    Challenged(Hello),
    /// It waits for the holder of its name.
    Waiting { hello: Hello, rest: Vec<u8> },
    /// It was refused: once the reason has left, it is closed.
    Leaving,
}

impl Serve {
    pub(super) fn backend_accepted(&mut self, cx: &mut Cx<'_>, sock: SockId, peer: Peer) {
        if address(peer).is_some_and(|ip| !self.config.allow.allows(ip)) {
            cx.close(sock, Close::Orderly);
            self.refused_backend(cx.now(), peer, None, "not in --allow");
            return;
        }
        if let Some(idle) = self.config.keepalive {
            cx.set_keepalive(sock, super::super::keepalive(idle));
        }
        let mut link = match Link::accepted(cx, sock, &self.config.tls) {
            Ok(link) => link,
            Err(error) => {
                cx.close(sock, Close::Orderly);
                return self.refused_backend(cx.now(), peer, None, &plain(&error));
            }
        };
        link.want_read(cx, true);
        let entry = self.handshakes.vacant_entry();
        let key = entry.key();
        cx.set_tag(sock, Kind::Handshake.tag(key));
        entry.insert(Handshake {
            link,
            peer,
            since: cx.now(),
            timer: cx.timer(HELLO_TIMEOUT, Tick::Handshake.tag(key)),
            serving: Serving::new(),
            name: None,
            stage: Stage::Silent,
            out: Vec::new(),
        });
        self.accept_if_room(cx);
    }

    /// While too many have not proven themselves yet, the others wait in the kernel.
    fn accept_if_room(&mut self, cx: &mut Cx<'_>) {
        let others = self.handshakes.len();
        let is_room = others == 0 || others < HANDSHAKES_MAX && cx.has_spare();
        if is_room != self.accepting {
            self.accepting = is_room;
            for sock in &self.listeners {
                cx.want_read(*sock, is_room);
            }
        }
    }

    /// Where places are short, those who had their time and have not proven themselves make way: those who have said
    /// nothing, and of the others the ones from the address that has the most.
    pub(super) fn evict_slow_handshakes(&mut self, cx: &mut Cx<'_>) {
        if self.accepting {
            return;
        }
        let now = cx.now();
        let is_slow = |handshake: &Handshake| {
            // What it has said may have to wait until it is its turn to be heard.
            let waits_for_us = handshake.link.is_readable(cx);
            let is_judged = matches!(handshake.stage, Stage::Waiting { .. } | Stage::Leaving);
            now.since(handshake.since) >= PATIENCE && !waits_for_us && !is_judged
        };
        let slow = self.handshakes.iter().filter(|(_, it)| is_slow(it));
        let slow: Vec<(usize, bool, Option<IpAddr>)> = slow
            .map(|(key, it)| (key, matches!(it.stage, Stage::Silent), address(it.peer)))
            .collect();
        let mut from = BTreeMap::new();
        for (_, _, ip) in &slow {
            *from.entry(*ip).or_insert(0) += 1;
        }
        let most = from.iter().max_by_key(|(_, count)| **count);
        let most = most.map(|(ip, _)| *ip);
        for (key, is_silent, ip) in slow {
            if is_silent {
                self.drop_handshake(cx, key, Some("it said nothing, and others wait"));
            } else if Some(ip) == most {
                self.drop_handshake(
                    cx,
                    key,
                    Some("its hello took longer than 1 s, and others wait"),
                );
            }
        }
    }

    pub(super) fn handshake_overdue(&mut self, cx: &mut Cx<'_>, key: usize) {
        let Some(handshake) = self.handshakes.get(key) else {
            return;
        };
        let why = match handshake.stage {
            // Its holder is neither heard nor dead: on a thin line a question takes its time.
            Stage::Waiting { .. } => return self.refuse_name(cx, key),
            _ if handshake.link.is_handshaking() => "no TLS handshake within 5 s",
            _ => "its hello took longer than 5 s",
        };
        self.drop_handshake(cx, key, Some(why));
    }

    pub(super) fn handshake_readable(&mut self, cx: &mut Cx<'_>, key: usize) {
        let Some(handshake) = self.handshakes.get_mut(key) else {
            return;
        };
        let mut bytes = [0; HELLO_READ];
        match handshake.link.read(cx, &mut bytes) {
            Ok(None) => {}
            Ok(Some(0)) => self.drop_handshake(cx, key, Some("it closed the connection")),
            Ok(Some(count)) => self.feed_handshake(cx, key, &bytes[..count]),
            Err(error) => self.drop_handshake(cx, key, Some(&plain(&error))),
        }
    }

    fn feed_handshake(&mut self, cx: &mut Cx<'_>, key: usize, bytes: &[u8]) {
        let mut rest = bytes;
        let handshake = &mut self.handshakes[key];
        if let Stage::Silent = handshake.stage {
            match bytes[0] {
                FIRST_BYTE => handshake.stage = Stage::Hello,
                0 if self.config.tokens.is_none() => return self.take_in_plain(cx, key, bytes),
                0 => {
                    let why = "it speaks no hello, and --tokens asks for a proof";
                    return self.drop_handshake(cx, key, Some(why));
                }
                _ if looks_like_tls(bytes) => {
                    let why = "it speaks TLS, which is not spoken here: add --tls-cert FILE and --tls-key FILE";
                    return self.drop_handshake(cx, key, Some(why));
                }
                _ => {
                    return self.drop_handshake(cx, key, Some("it speaks neither hello nor yamux"));
                }
            }
        }
        while let Some(handshake) = self.handshakes.get_mut(key) {
            match &mut handshake.stage {
                Stage::Waiting { rest: kept, .. } => {
                    kept.extend_from_slice(rest);
                    if kept.len() > EARLY_MAX {
                        let why = "it sent too much before it was taken in";
                        self.drop_handshake(cx, key, Some(why));
                    }
                    return;
                }
                Stage::Leaving => return,
                Stage::Silent | Stage::Hello | Stage::Challenged(_) => {}
            }
            match handshake.serving.feed(&mut rest) {
                Ok(None) => return,
                Ok(Some(Asked::Hello(hello))) => self.challenge(cx, key, hello),
                Ok(Some(Asked::Proof)) => return self.judge(cx, key, rest),
                Err((code, why)) => return self.refuse(cx, key, code, &why.to_string()),
            }
        }
    }

    fn challenge(&mut self, cx: &mut Cx<'_>, key: usize, hello: Hello) {
        let nonce = cx.nonce();
        let asks_proof = self.config.tokens.is_some();
        let handshake = &mut self.handshakes[key];
        let message = handshake.serving.challenge(nonce, asks_proof);
        handshake.name = hello.name.clone();
        handshake.stage = Stage::Challenged(hello);
        self.send(cx, key, &message);
    }

    /// Whether the proof holds, and all else that may stand in the way.
    fn judge(&mut self, cx: &mut Cx<'_>, key: usize, rest: &[u8]) {
        let handshake = &mut self.handshakes[key];
        let Stage::Challenged(hello) = std::mem::replace(&mut handshake.stage, Stage::Hello) else {
            return;
        };
        let grant = self.grant(hello.name.as_ref());
        let token = grant.map(|grant| grant.token.clone());
        // Where the name is unknown, the work is the same, and no token of a peer's makes it right.
        let nobody = Secret::from(cx.random().to_be_bytes().repeat(4));
        let verdict = self.handshakes[key]
            .serving
            .verify(token.as_ref().unwrap_or(&nobody));
        if verdict == Proven::No {
            return self.refuse(cx, key, Code::Proof, "the name or its token is wrong");
        }
        if self.draining.is_some() {
            return self.refuse(cx, key, Code::Draining, "this relay is about to end");
        }
        let holder = self.holder(hello.name.as_ref());
        let others = self.backends.len() - usize::from(holder.is_some());
        if self.config.max_backends.is_some_and(|max| others >= max) {
            let why = format!("{} here already (--max-backends)", Count(others, "backend"));
            return self.refuse(cx, key, Code::Full, &why);
        }
        if holder.is_none() && !cx.has_spare() {
            return self.refuse(cx, key, Code::Full, NO_DESCRIPTORS);
        }
        match (holder, verdict) {
            (Some(holder), Proven::NotAsked) => {
                // Without proof a name is handed over only when its holder is dead.
                let timeout = self.config.alive_timeout + Duration::from_secs(1);
                let handshake = &mut self.handshakes[key];
                cx.cancel(handshake.timer);
                handshake.timer = cx.timer(timeout, Tick::Handshake.tag(key));
                handshake.stage = Stage::Waiting {
                    hello,
                    rest: rest.to_vec(),
                };
                self.ask_holder(cx, holder, key);
            }
            (_, Proven::Yes) | (None, _) => self.take_in(cx, key, hello, token, rest),
            (_, Proven::No) => {}
        }
    }

    /// The holder of a name that a handshake waits for has answered, or is gone.
    pub(super) fn name_settled(&mut self, cx: &mut Cx<'_>, key: usize, is_free: bool) {
        let Some(handshake) = self.handshakes.get_mut(key) else {
            return;
        };
        let stage = std::mem::replace(&mut handshake.stage, Stage::Leaving);
        let Stage::Waiting { hello, rest } = stage else {
            handshake.stage = stage;
            return;
        };
        let is_free = is_free && self.holder(hello.name.as_ref()).is_none();
        match is_free {
            true => self.take_in(cx, key, hello, None, &rest),
            false => self.refuse_name(cx, key),
        }
    }

    fn refuse_name(&mut self, cx: &mut Cx<'_>, key: usize) {
        self.refuse(cx, key, Code::NameInUse, "another backend has this name");
    }

    /// Whoever proved all that was to be proven becomes a backend, in place of the one that has its name, unless there
    /// is no port for it.
    fn take_in(
        &mut self,
        cx: &mut Cx<'_>,
        key: usize,
        hello: Hello,
        token: Option<Secret>,
        rest: &[u8],
    ) {
        let sock = self.handshakes[key].link.sock();
        let place = match self.place_for(cx, sock, hello.name.as_ref(), hello.port) {
            Ok(place) => place,
            Err((code, why)) => return self.refuse(cx, key, code, &why),
        };
        let took_over = self.places[place].backend;
        if let Some(holder) = took_over {
            let by = self.handshakes[key].peer;
            self.replace_backend(cx, holder, by);
        }
        let handshake = self.remove_handshake(cx, key);
        let at = self.places[place].public.clone();
        let linger_secs = match hello.name {
            Some(_) => u32::try_from(self.config.linger.as_secs()).unwrap_or(u32::MAX),
            None => 0,
        };
        let proof = token.as_deref().unwrap_or_default();
        let accept = handshake
            .serving
            .accept(proof, &at, linger_secs, hello.client_address);
        let newcomer = Newcomer {
            link: handshake.link,
            peer: handshake.peer,
            place,
            name: hello.name,
            token,
            client_address: hello.client_address,
            is_plain: false,
            took_over: took_over.is_some(),
            preface: [handshake.out, accept].concat(),
        };
        self.add_backend(cx, newcomer, rest);
    }

    /// A backend that knows no hello: it is told its address on the stream that it opens.
    fn take_in_plain(&mut self, cx: &mut Cx<'_>, key: usize, bytes: &[u8]) {
        let handshake = &self.handshakes[key];
        let (sock, peer) = (handshake.link.sock(), handshake.peer);
        let full = |max| self.backends.len() >= max;
        if self.config.max_backends.is_some_and(full) {
            return self.drop_handshake(cx, key, Some("too many backends (--max-backends)"));
        }
        if !cx.has_spare() {
            return self.drop_handshake(cx, key, Some(NO_DESCRIPTORS));
        }
        let place = match self.place_for(cx, sock, None, 0) {
            Ok(place) => place,
            Err((_, why)) => return self.drop_handshake(cx, key, Some(&why)),
        };
        let handshake = self.remove_handshake(cx, key);
        let newcomer = Newcomer {
            link: handshake.link,
            peer,
            place,
            name: None,
            token: None,
            client_address: false,
            is_plain: true,
            took_over: false,
            preface: Vec::new(),
        };
        self.add_backend(cx, newcomer, bytes);
    }

    pub(super) fn refuse_drained(&mut self, cx: &mut Cx<'_>, key: usize) {
        if self.handshakes[key].link.is_handshaking() {
            self.drop_handshake(cx, key, Some("this relay is about to end"));
        } else if !matches!(self.handshakes[key].stage, Stage::Leaving) {
            self.refuse(cx, key, Code::Draining, "this relay is about to end");
        }
    }

    /// Says why, and closes once that has left.
    fn refuse(&mut self, cx: &mut Cx<'_>, key: usize, code: Code, why: &str) {
        let handshake = &mut self.handshakes[key];
        let (peer, name) = (handshake.peer, handshake.name.clone());
        handshake.stage = Stage::Leaving;
        self.refused_backend(cx.now(), peer, name.as_ref(), why);
        self.send(cx, key, &hello::refuse(code, why));
    }

    fn refused_backend(&mut self, now: Time, peer: Peer, name: Option<&hello::Name>, why: &str) {
        self.counts.backends_refused += 1;
        let from = address(peer).map_or_else(|| peer.to_string(), |ip| ip.to_string());
        let who = name.map_or_else(|| from.clone(), |name| format!("{name} ({from})"));
        let kind = format!("refused: backend {who}: {why}");
        let text = format!("backend {who} refused: {why}");
        self.journal.refused(now, &kind, text);
    }

    fn send(&mut self, cx: &mut Cx<'_>, key: usize, bytes: &[u8]) {
        self.handshakes[key].out.extend_from_slice(bytes);
        self.handshake_writable(cx, key);
    }

    pub(super) fn handshake_writable(&mut self, cx: &mut Cx<'_>, key: usize) {
        let Some(handshake) = self.handshakes.get_mut(key) else {
            return;
        };
        match handshake.link.write(cx, [&handshake.out, &[]]) {
            Ok(count) => {
                handshake.out.drain(..count);
                handshake.link.want_write(cx, !handshake.out.is_empty());
                let is_sent = handshake.out.is_empty() && handshake.link.is_flushed();
                if is_sent && matches!(handshake.stage, Stage::Leaving) {
                    self.drop_handshake(cx, key, None);
                }
            }
            Err(error) => self.drop_handshake(cx, key, Some(&plain(&error))),
        }
    }

    /// Closes a connection that became no backend.
    fn drop_handshake(&mut self, cx: &mut Cx<'_>, key: usize, why: Option<&str>) {
        let mut handshake = self.remove_handshake(cx, key);
        handshake.link.close(cx, Close::Orderly);
        if let Some(why) = why.filter(|_| !matches!(handshake.stage, Stage::Leaving)) {
            self.refused_backend(cx.now(), handshake.peer, handshake.name.as_ref(), why);
        }
        self.finish_if_drained(cx);
    }

    fn remove_handshake(&mut self, cx: &mut Cx<'_>, key: usize) -> Handshake {
        let handshake = self.handshakes.remove(key);
        cx.cancel(handshake.timer);
        if let Stage::Waiting { .. } = handshake.stage {
            self.forget_rival(key);
        }
        self.accept_if_room(cx);
        handshake
    }
}

/// All of a hello has to be over by then.
const HELLO_TIMEOUT: Duration = Duration::from_secs(5);
/// Connections that may be before their proof at a time.
pub(super) const HANDSHAKES_MAX: usize = 256;
/// Where places are short, one that has not proven itself for so long loses its own.
const PATIENCE: Duration = Duration::from_secs(1);
/// No hello is longer than two messages.
const HELLO_READ: usize = 4096;
/// What a backend may send while its name is not settled.
const EARLY_MAX: usize = 64 << 10;
