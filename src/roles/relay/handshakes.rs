//! Connections on `tls://` whose two sides do not know each other yet. They are nobody's clients and nobody's upstream;
//! what they wait for is the other side's next flight, or that their own turn comes: one flight a turn.
//!
//! ```text
//!   came in, or dialled ──> shaking hands ──> joins, as a plain connection does at once
//!                                └── 5 s are over, refused, left, evicted ──> closed; a dial has failed
//! ```
//!
//! At most 1,024 at a time. One more takes the place of the oldest whose other side has nothing to say; where all have,
//! the next are left in the kernel's queue until some have had their turn.

use std::io;

use slab::Slab;

use crate::base::endpoint::Endpoint;
use crate::base::wheel::TimerKey;
use crate::proto::tls::TlsError;
use crate::reactor::net::{Close, Peer, SockId};
use crate::reactor::{Cx, DialError, DialId, plain};
use crate::roles::relay::admission::Refusal;
use crate::roles::relay::config::{Source, Way};
use crate::roles::relay::{Kind, Relay, Tick};
use crate::roles::tls::{HANDSHAKE, Handshake, Secured};

/// What a connection will be once the two sides know each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Goal {
    /// A client that came in at this output.
    Client(usize),
    /// An upstream that came in.
    Upstream,
    /// What this dial is for.
    Dialled(DialId),
}

/// A connection that shakes hands.
#[derive(Debug)]
struct Pending {
    sock: SockId,
    peer: Peer,
    goal: Goal,
    tls: Box<Secured>,
    deadline: TimerKey,
    serial: u64,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Handshakes {
    table: Slab<Pending>,
    serial: u64,
    /// Clients among them that came in.
    clients: usize,
    /// Nobody is accepted where TLS is spoken until some have had their turn.
    full: bool,
}

impl Handshakes {
    /// Clients that have been let in and are not there yet.
    pub(super) fn clients(&self) -> usize {
        self.clients
    }

    pub(super) fn sockets(&self) -> impl Iterator<Item = SockId> {
        self.table.iter().map(|(_, pending)| pending.sock)
    }

    fn remove(&mut self, index: usize) -> Option<Pending> {
        let pending = self.table.try_remove(index)?;
        self.clients -= usize::from(matches!(pending.goal, Goal::Client(_)));
        Some(pending)
    }

    /// The oldest that came in and whose other side has nothing to say.
    fn idlest(&self, cx: &Cx<'_>) -> Option<usize> {
        let idle = |pending: &Pending| {
            !matches!(pending.goal, Goal::Dialled(_)) && !cx.is_readable(pending.sock)
        };
        let idle = self.table.iter().filter(|(_, pending)| idle(pending));
        idle.min_by_key(|(_, pending)| pending.serial)
            .map(|(index, _)| index)
    }
}

impl Relay {
    /// A connection begins to shake hands.
    pub(super) fn begin_handshake(
        &mut self,
        cx: &mut Cx<'_>,
        sock: SockId,
        peer: Peer,
        goal: Goal,
        tls: Result<Secured, TlsError>,
    ) {
        let tls = match tls {
            Ok(tls) => Box::new(tls),
            Err(error) => return self.handshake_failed(cx, sock, peer, goal, &error.to_string()),
        };
        if self.handshakes.table.len() >= HANDSHAKES_MAX
            && let Some(idlest) = self.handshakes.idlest(cx)
        {
            let why = format!("no TLS handshake so far, and {HANDSHAKES_MAX} are under way");
            self.give_up_handshake(cx, idlest, &why);
        }
        self.handshakes.serial += 1;
        self.handshakes.clients += usize::from(matches!(goal, Goal::Client(_)));
        let entry = self.handshakes.table.vacant_entry();
        let index = entry.key() as u32;
        entry.insert(Pending {
            sock,
            peer,
            goal,
            tls,
            deadline: cx.timer(HANDSHAKE, Tick::Handshake.tag(index)),
            serial: self.handshakes.serial,
        });
        cx.set_tag(sock, Kind::Handshake.tag(index));
        cx.want_read(sock, true);
        if matches!(goal, Goal::Dialled(_)) {
            cx.defer(sock); // the first word is ours
        }
        if self.handshakes.table.len() >= HANDSHAKES_MAX && self.handshakes.idlest(cx).is_none() {
            self.accept_tls(cx, false);
        }
    }

    /// Its other side has said something, or its turn has come to be heard.
    pub(super) fn handshake_ready(&mut self, cx: &mut Cx<'_>, index: u32) {
        let Some(pending) = self.handshakes.table.get_mut(index as usize) else {
            return;
        };
        if !cx.is_deferred() {
            return cx.defer(pending.sock);
        }
        let sock = pending.sock;
        let shaken = pending.tls.shake(cx, sock, &mut self.cipher);
        let is_held_up = pending.tls.wants_write();
        cx.want_write(sock, is_held_up);
        // Where only our last flight is still to go, what comes in stays in the kernel, and is no reason for a visit.
        cx.want_read(sock, pending.tls.is_handshaking() || !is_held_up);
        match shaken {
            Ok(Handshake::Going) => {}
            Ok(Handshake::Done) => self.handshake_done(cx, index),
            Err(error) => self.give_up_handshake(cx, index as usize, &plain(&error)),
        }
        if self.handshakes.full {
            self.accept_tls(cx, true);
        }
    }

    /// The time for a handshake is over.
    pub(super) fn handshake_overdue(&mut self, cx: &mut Cx<'_>, index: u32) {
        let why = format!("no TLS handshake within {} s", HANDSHAKE.as_secs());
        self.give_up_handshake(cx, index as usize, &why);
    }

    /// Ends those that will not be needed: the relay takes in nobody any more, and some dials may have been given up.
    pub(super) fn end_handshakes(&mut self, cx: &mut Cx<'_>) {
        let pending = self.handshakes.table.iter();
        let needless = pending.filter(|(_, pending)| !self.is_wanted(pending.goal));
        let needless: Vec<_> = needless.map(|(index, _)| index).collect();
        for index in needless {
            if let Some(pending) = self.handshakes.remove(index) {
                cx.cancel(pending.deadline);
                cx.close(pending.sock, Close::Orderly);
                self.forget_newcomer(pending.peer, pending.goal);
            }
        }
    }

    fn is_wanted(&self, goal: Goal) -> bool {
        match goal {
            Goal::Client(_) | Goal::Upstream => self.flush.is_none(),
            Goal::Dialled(dial) => self.endpoint_of(dial).is_some(),
        }
    }

    fn handshake_done(&mut self, cx: &mut Cx<'_>, index: u32) {
        let Some(Pending {
            sock,
            peer,
            goal,
            tls,
            deadline,
            ..
        }) = self.handshakes.remove(index as usize)
        else {
            return;
        };
        cx.cancel(deadline);
        if !self.is_wanted(goal) {
            self.forget_newcomer(peer, goal);
            return cx.close(sock, Close::Orderly);
        }
        match goal {
            Goal::Client(output) if self.outputs[output].websocket => {
                self.await_upgrade(cx, output, sock, peer, Some(tls));
            }
            Goal::Client(output) => {
                self.join(cx, output, sock, peer, Some(tls), Vec::new());
            }
            Goal::Upstream => self.upstream_arrived(cx, sock, peer, Some(tls)),
            Goal::Dialled(dial) => self.dial_succeeded(cx, dial, sock, peer, Some(tls)),
        }
    }

    fn give_up_handshake(&mut self, cx: &mut Cx<'_>, index: usize, why: &str) {
        let Some(pending) = self.handshakes.remove(index) else {
            return;
        };
        cx.cancel(pending.deadline);
        self.handshake_failed(cx, pending.sock, pending.peer, pending.goal, why);
    }

    fn handshake_failed(
        &mut self,
        cx: &mut Cx<'_>,
        sock: SockId,
        peer: Peer,
        goal: Goal,
        why: &str,
    ) {
        self.forget_newcomer(peer, goal);
        let who = match goal {
            Goal::Client(_) => "client",
            Goal::Upstream => "upstream",
            Goal::Dialled(dial) => {
                cx.close(sock, Close::Orderly);
                let error = DialError::Layer(io::Error::other(why.to_owned()));
                return self.dial_failed(cx, dial, &error);
            }
        };
        self.refuse(cx, sock, who, peer, Refusal::Tls, why);
    }

    /// Somebody who was let in did not come to be a client.
    fn forget_newcomer(&mut self, peer: Peer, goal: Goal) {
        if matches!(goal, Goal::Client(_)) {
            self.dismiss_client(peer);
        }
    }

    /// Where a dial of ours that is still wanted leads.
    pub(super) fn endpoint_of(&self, dial: DialId) -> Option<&Endpoint> {
        if let Some(output) = self.output_of_dial(dial) {
            return match &self.outputs[output].way {
                Way::Dial(endpoint) => Some(endpoint),
                Way::Listen(_) | Way::Stdout => None,
            };
        }
        let Source::Dial(endpoints) = &self.config.source else {
            return None;
        };
        if self.is_upstream_dial(dial) {
            endpoints.get(self.upstream.dialler.at)
        } else if self.is_standby_dial(dial) {
            endpoints.first()
        } else {
            None
        }
    }

    /// A dial has reached somebody: with TLS, the two have still to shake hands.
    pub(super) fn dial_reached(&mut self, cx: &mut Cx<'_>, dial: DialId, sock: SockId, peer: Peer) {
        match self.endpoint_of(dial) {
            Some(endpoint) if endpoint.is_tls() => {
                let tls = self.config.tls.dialled(endpoint);
                self.begin_handshake(cx, sock, peer, Goal::Dialled(dial), tls);
            }
            _ => self.dial_succeeded(cx, dial, sock, peer, None),
        }
    }

    fn dial_succeeded(
        &mut self,
        cx: &mut Cx<'_>,
        dial: DialId,
        sock: SockId,
        peer: Peer,
        tls: Option<Box<Secured>>,
    ) {
        match self.output_of_dial(dial) {
            Some(output) => self.output_connected(cx, output, sock, peer, tls),
            None if self.is_standby_dial(dial) => self.standby_connected(cx, sock, peer, tls),
            None => self.upstream_connected(cx, sock, peer, tls),
        }
    }

    pub(super) fn dial_failed(&mut self, cx: &mut Cx<'_>, dial: DialId, error: &DialError) {
        match self.output_of_dial(dial) {
            Some(output) => self.output_dial_failed(cx, output, error),
            None if self.is_upstream_dial(dial) => self.upstream_dial_failed(cx, error),
            None if self.is_standby_dial(dial) => self.standby_failed(cx),
            None => {}
        }
    }

    /// Says whether those who would have to shake hands are accepted.
    fn accept_tls(&mut self, cx: &mut Cx<'_>, accepted: bool) {
        self.handshakes.full = !accepted;
        if matches!(&self.config.source, Source::Listen(at) if at.is_tls()) {
            self.upstream.set_crowded(cx, !accepted);
        }
        for outlet in &self.outputs {
            if matches!(&outlet.way, Way::Listen(at) if at.is_tls()) {
                outlet
                    .listeners()
                    .for_each(|listener| cx.want_read(listener, accepted));
            }
        }
    }
}

/// Handshakes at a time.
const HANDSHAKES_MAX: usize = 1024;
