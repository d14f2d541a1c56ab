//! The ways out: places where clients connect, destinations that are dialled, and stdout; joining and leaving.

use crate::base::time::Time;
use crate::base::units::Span;
use crate::reactor::net::{Close, Keepalive, Peer, SockId, StdStream};
use crate::reactor::{Cx, DialError, DialId};
use crate::roles::listening::listen;
use crate::roles::relay::clients::{Client, ClientId};
use crate::roles::relay::config::{Output, RelayConfig, Resume, Slow, Way};
use crate::roles::relay::failover::every;
use crate::roles::relay::handshakes::Goal;
use crate::roles::relay::live::resumption;
use crate::roles::relay::messages::WebSocket;
use crate::roles::relay::redial::Redial;
use crate::roles::relay::skip::Aside;
use crate::roles::relay::{Audience, Kind, Relay, Tick};
use crate::roles::tls::Secured;

/// One way out, and its state.
#[derive(Debug)]
pub(super) struct Outlet {
    pub(super) way: Way,
    pub(super) slow: Slow,
    /// Those who connect get messages.
    pub(super) websocket: bool,
    listeners: Vec<SockId>,
    pub(super) dialled: Option<Destination>,
    pub(super) clients: usize,
    /// Of these, the ones that have not got everything yet that they will ever get.
    pub(super) taking: usize,
    /// Where a dialled destination goes on that comes back.
    pub(super) resume: Resume,
    next: Next,
}

/// Where the next client of a way out begins, and what the ring keeps for its sake.
#[derive(Clone, Copy, Debug)]
enum Next {
    /// At the newest, or within the backlog: nothing is kept.
    Newest,
    /// There, as far as the ring happens to have it still: nothing is kept.
    IfHeld(u64),
    /// Where this client has not acknowledged any more, which is kept.
    Unacknowledged(ClientId),
    /// Under `block`, while nobody takes bytes: there, from where on all is kept, and so is what a client that has got
    /// everything has still to acknowledge.
    Parked {
        at: u64,
        unacknowledged: Option<ClientId>,
    },
}

/// The state of a dialled destination while it is not connected.
#[derive(Debug)]
pub(super) struct Destination {
    pub(super) redial: Redial,
    pub(super) down_since: Option<Time>,
}

impl Outlet {
    pub(super) fn new(output: &Output, config: &RelayConfig) -> Self {
        let dialled = matches!(output.way, Way::Dial(_)).then(|| Destination {
            redial: Redial::new(config.retry),
            down_since: None,
        });
        Self {
            way: output.way.clone(),
            slow: output.slow,
            websocket: output.websocket,
            listeners: Vec::new(),
            dialled,
            clients: 0,
            taking: 0,
            next: match output.slow {
                Slow::Block => Next::Parked {
                    at: 0,
                    unacknowledged: None,
                },
                Slow::Drop | Slow::Skip => Next::Newest,
            },
            resume: resumption(config, output.slow),
        }
    }

    /// Under `block`, while nobody takes bytes: the first byte that waits in the ring for whoever comes.
    pub(super) fn parked(&self) -> Option<u64> {
        match self.next {
            Next::Parked { at, .. } => Some(at),
            Next::Newest | Next::IfHeld(_) | Next::Unacknowledged(_) => None,
        }
    }

    /// Whether nothing must stay in the ring for its sake beside what its clients have still to get.
    pub(super) fn keeps_nothing(&self) -> bool {
        matches!(self.next, Next::Newest | Next::IfHeld(_))
    }

    /// Whether it is a destination that is not connected, or not any more, and for which bytes below `head` wait.
    pub(super) fn is_owed(&self, head: u64) -> bool {
        self.is_dialled() && self.parked().is_some_and(|parked| parked < head)
    }

    /// Its client, while what that has not acknowledged must stay in the ring.
    pub(super) fn retaining(&self) -> Option<ClientId> {
        match self.next {
            Next::Unacknowledged(client) => Some(client),
            Next::Parked { unacknowledged, .. } => unacknowledged,
            Next::Newest | Next::IfHeld(_) => None,
        }
    }

    /// Whoever comes begins at the newest.
    pub(super) fn forget_place(&mut self) {
        self.next = Next::Newest;
    }

    /// Whether it may want bytes again that it was sent, as far as the ring happens to have them.
    pub(super) fn may_go_back(&self) -> bool {
        self.is_dialled() && self.slow != Slow::Block && self.resume != Resume::Live
    }

    /// Whether nothing waits for it while it is away.
    fn begins_at_newest(&self) -> bool {
        self.is_dialled() && self.resume == Resume::Live
    }

    pub(super) fn is_dialled(&self) -> bool {
        self.dialled.is_some()
    }

    pub(super) fn listeners(&self) -> impl Iterator<Item = SockId> {
        self.listeners.iter().copied()
    }

    /// What a client of it is called in the log.
    pub(super) fn called(&self, peer: Peer) -> String {
        match &self.way {
            Way::Dial(endpoint) => format!("downstream {endpoint}"),
            Way::Stdout => "stdout".to_owned(),
            Way::Listen(_) => format!("client {peer}"),
        }
    }

    /// What it is called in the log.
    pub(super) fn name(&self) -> String {
        match &self.way {
            Way::Listen(at) if self.websocket => match at.to_string().strip_prefix("tls://") {
                Some(at) => format!("clients of wss://{at}"),
                None => format!("clients of ws://{at}"),
            },
            Way::Listen(at) => format!("clients of {at}"),
            Way::Dial(to) => to.to_string(),
            Way::Stdout => "stdout".to_owned(),
        }
    }
}

impl Relay {
    /// Opens the listeners; nothing is logged or dialled yet.
    pub(super) fn bind_outputs(&mut self, cx: &mut Cx<'_>) -> Result<(), String> {
        for index in 0..self.outputs.len() {
            let Way::Listen(at) = self.outputs[index].way.clone() else {
                continue;
            };
            for (sock, real) in listen(cx, &at)? {
                cx.set_tag(sock, Kind::OutputListener.tag(index as u32));
                self.outputs[index].listeners.push(sock);
                let for_whom = match self.outputs[index].websocket {
                    true => Audience::WebSockets,
                    false => Audience::Clients,
                };
                self.bound.push((real, for_whom));
            }
        }
        Ok(())
    }

    pub(super) fn start_outputs(&mut self, cx: &mut Cx<'_>) -> Result<(), String> {
        for index in 0..self.outputs.len() {
            match self.outputs[index].way {
                Way::Listen(_) => {}
                Way::Dial(_) => self.dial_output(cx, index),
                Way::Stdout => {
                    let sock = cx
                        .open_std(StdStream::Stdout)
                        .map_err(|error| format!("can't write to stdout: {error}"))?;
                    self.join(cx, index, sock, Peer::Stdio, None, Vec::new());
                }
            }
        }
        Ok(())
    }

    pub(super) fn client_accepted(
        &mut self,
        cx: &mut Cx<'_>,
        output: usize,
        sock: SockId,
        peer: Peer,
    ) {
        if !self.admit_client(cx, sock, peer) {
            return;
        }
        self.guard_client(cx, sock);
        match &self.outputs[output].way {
            Way::Listen(at) if at.is_tls() => {
                let tls = self.config.tls.accepted();
                self.begin_handshake(cx, sock, peer, Goal::Client(output), tls);
            }
            _ if self.outputs[output].websocket => {
                self.await_upgrade(cx, output, sock, peer, None);
            }
            _ => {
                self.join(cx, output, sock, peer, None, Vec::new());
            }
        }
    }

    /// What every connection to or from a client gets: a notice of its death, but never for a mere pause.
    fn guard_client(&self, cx: &mut Cx<'_>, sock: SockId) {
        if let Some(idle) = self.config.keepalive {
            let user_timeout = None;
            cx.set_keepalive(sock, Keepalive { idle, user_timeout });
        }
    }

    /// Clients that came by themselves, with those who have still to shake hands.
    pub(super) fn listening_clients(&self) -> usize {
        let listening = |outlet: &&Outlet| matches!(outlet.way, Way::Listen(_));
        let outlets = self.outputs.iter().filter(listening);
        let there: usize = outlets.map(|outlet| outlet.clients).sum();
        there + self.handshakes.clients()
    }

    /// Of those who came by themselves and are meant, the one that half-closed first.
    pub(super) fn oldest_half_closed(&self, is_meant: impl Fn(Peer) -> bool) -> Option<ClientId> {
        let came = |id: &&ClientId| {
            self.clients.get(**id).is_some_and(|client| {
                matches!(self.outputs[usize::from(client.output)].way, Way::Listen(_))
                    && is_meant(client.peer)
            })
        };
        self.clients.half_closed().iter().find(came).copied()
    }

    pub(super) fn output_of_dial(&self, dial: DialId) -> Option<usize> {
        let is_it = |outlet: &Outlet| {
            outlet
                .dialled
                .as_ref()
                .is_some_and(|dialled| dialled.redial.is(dial))
        };
        self.outputs.iter().position(is_it)
    }

    pub(super) fn output_connected(
        &mut self,
        cx: &mut Cx<'_>,
        output: usize,
        sock: SockId,
        peer: Peer,
        tls: Option<Box<Secured>>,
    ) {
        self.guard_client(cx, sock);
        self.journal.forget(cx.now(), &down_key(output));
        self.join(cx, output, sock, peer, tls, Vec::new());
        if let Some(dialled) = &mut self.outputs[output].dialled {
            dialled.redial.answered();
            dialled.redial.attempts = 0;
            dialled.down_since = None;
        }
    }

    pub(super) fn output_dial_failed(&mut self, cx: &mut Cx<'_>, output: usize, error: &DialError) {
        let Way::Dial(endpoint) = &self.outputs[output].way else {
            return;
        };
        let what = format!("downstream {endpoint} {error}");
        let every = every(&self.config);
        let text = format!("{what}; retrying until it answers ({every})");
        self.journal.warn(cx.now(), &down_key(output), text);
        if let Some(dialled) = &mut self.outputs[output].dialled {
            dialled.redial.failed(what, error);
            let tag = Tick::OutputRetry.tag(output as u32);
            dialled.redial.wait(cx, tag);
        }
    }

    /// The wait between two attempts is over.
    pub(super) fn dial_output(&mut self, cx: &mut Cx<'_>, output: usize) {
        let timeout = self.config.connect_timeout;
        let outlet = &mut self.outputs[output];
        let (Way::Dial(endpoint), Some(dialled)) = (&outlet.way, &mut outlet.dialled) else {
            return;
        };
        dialled.down_since.get_or_insert(cx.now());
        dialled.redial.dial(cx, endpoint, timeout);
    }

    /// Takes a client in. What there is to be said to it before the stream stands in `greeting`.
    pub(super) fn join(
        &mut self,
        cx: &mut Cx<'_>,
        output: usize,
        sock: SockId,
        peer: Peer,
        tls: Option<Box<Secured>>,
        greeting: Vec<u8>,
    ) -> ClientId {
        let now = cx.now();
        let cursor = self.joins_at(output);
        self.outputs[output].next = Next::Newest;
        let is_websocket = self.outputs[output].websocket;
        let begin = is_websocket.then(|| self.first_message(output, cursor));
        let begin = begin.flatten();
        // The message may have begun below what the ring of the stream has.
        let cursor = begin.map_or(cursor, |begin| begin.plain.max(self.ring.tail()));
        let outlet = &mut self.outputs[output];
        outlet.clients += 1;
        outlet.taking += 1;
        let client = Client {
            sock,
            peer,
            cursor,
            first: cursor,
            live: self.records.whole(),
            until: u64::MAX,
            acked: cursor,
            progress: now,
            silent_since: None,
            asked_alive: None,
            joined: now,
            tls,
            aside: (!greeting.is_empty()).then(|| Box::new(Aside::new([&greeting, &[]]))),
            websocket: begin.map(|begin| Box::new(WebSocket::new(begin))),
            serial: 0,
            output: output as u16,
            slow: outlet.slow,
            behind: false,
            queued: false,
            heaped: false,
            has_skipped: false,
            withheld: 0,
            lags: false,
            half_closed: false,
            may_be_gone: false,
            finishing: false,
            is_shut: false,
        };
        let text = self.joined_text(output, peer, now);
        let head = self.records.whole();
        let id = self.clients.insert(client, head);
        self.counts.clients_most = self.counts.clients_most.max(self.clients.len());
        let outlet = &mut self.outputs[output];
        if outlet.is_dialled() && outlet.slow == Slow::Block && outlet.resume == Resume::Acked {
            outlet.next = Next::Unacknowledged(id);
        }
        cx.set_tag(sock, Kind::Client.tag(id.key));
        cx.want_read(sock, true);
        self.journal.came(now, text);
        cx.want_write(sock, cursor < head || !greeting.is_empty());
        if self.flush.is_some() {
            self.end_clients(cx);
        }
        self.refresh_gate(cx);
        id
    }

    /// The offset at which a newcomer begins: where bytes wait for it, where it was when it was lost, within the
    /// backlog, or at the newest; in any case where a record begins.
    pub(super) fn joins_at(&self, output: usize) -> u64 {
        let outlet = &self.outputs[output];
        let next = outlet.next;
        let listens = matches!(outlet.way, Way::Listen(_));
        let whole = self.records.whole();
        match next {
            Next::Parked { at, .. } | Next::IfHeld(at) => {
                let held = at.max(self.ring.tail());
                self.records.at_or_before(&self.ring, held)
            }
            Next::Newest | Next::Unacknowledged(_) if listens => {
                let from = whole - self.backlog_now();
                self.records.at_or_after(&self.ring, from)
            }
            Next::Newest | Next::Unacknowledged(_) => whole,
        }
    }

    /// How much of the backlog there is by now.
    pub(super) fn backlog_now(&self) -> u64 {
        let whole = self.records.whole();
        (self.config.backlog as u64).min(whole - self.ring.tail().min(whole))
    }

    /// A client of this output is gone: where does the next one go on?
    pub(super) fn note_resumption(&mut self, output: usize, client: &Client, is_acked: u64) {
        let (ring, records) = (&self.ring, &self.records);
        let outlet = &mut self.outputs[output];
        outlet.next = match outlet.next {
            Next::Unacknowledged(_) => Next::Newest,
            Next::Parked { at, .. } => Next::Parked {
                at,
                unacknowledged: None,
            },
            next @ (Next::Newest | Next::IfHeld(_)) => next,
        };
        let blocks = outlet.slow == Slow::Block && outlet.taking == 0;
        let begins_at_newest = outlet.begins_at_newest();
        if begins_at_newest || !blocks && !outlet.may_go_back() {
            return;
        }
        // One that was not to get any more, as a WebSocket that has closed, has not held the ring back.
        let cursor = client.cursor.max(ring.tail());
        let at = match outlet.resume {
            _ if !outlet.is_dialled() => records.at_or_before(ring, cursor),
            Resume::Acked => records.at_or_before(ring, is_acked.max(ring.tail())),
            Resume::Written | Resume::Live => records.at_or_after(ring, cursor),
        };
        outlet.next = match blocks {
            true => Next::Parked {
                at,
                unacknowledged: None,
            },
            false => Next::IfHeld(at),
        };
    }

    /// A client has all that it will ever get: what comes in from now on waits for the next one.
    pub(super) fn note_finished(&mut self, output: usize, cursor: u64) {
        let outlet = &mut self.outputs[output];
        outlet.taking -= 1;
        let begins_at_newest = outlet.begins_at_newest();
        let waits = outlet.slow == Slow::Block && outlet.way != Way::Stdout && !begins_at_newest;
        if waits && outlet.taking == 0 {
            outlet.next = Next::Parked {
                at: cursor,
                unacknowledged: outlet.retaining(),
            };
        }
    }

    fn joined_text(&self, output: usize, peer: Peer, now: Time) -> String {
        let outlet = &self.outputs[output];
        match (&outlet.way, &outlet.dialled) {
            (
                Way::Dial(endpoint),
                Some(Destination {
                    redial,
                    down_since: Some(since),
                }),
            ) if redial.attempts > 1 => {
                let (down, attempts) = (Span(now.since(*since)), redial.attempts);
                format!("downstream {endpoint} connected (was down {down}, {attempts} attempts)")
            }
            (Way::Dial(endpoint), _) => format!("downstream {endpoint} connected"),
            _ => format!("client {peer} connected ({} now)", self.clients.len() + 1),
        }
    }

    /// A destination was lost: at once again if the connection had lasted, else after the wait.
    pub(super) fn redial_output(&mut self, cx: &mut Cx<'_>, output: usize, joined: Time) {
        let now = cx.now();
        let Some(dialled) = &mut self.outputs[output].dialled else {
            return;
        };
        dialled.down_since = Some(now);
        if dialled.redial.had_lasted(now.since(joined)) {
            self.dial_output(cx, output);
        } else {
            dialled
                .redial
                .wait(cx, Tick::OutputRetry.tag(output as u32));
        }
    }

    /// Stops accepting and dialling. Destinations for which bytes still wait are kept where `keep_dialling` says so.
    pub(super) fn close_outputs(&mut self, cx: &mut Cx<'_>, keep_dialling: bool) {
        self.close_upgrades(cx);
        let head = self.records.whole();
        for outlet in &mut self.outputs {
            for listener in outlet.listeners.drain(..) {
                cx.close(listener, Close::Orderly);
            }
            let is_owed = outlet.is_owed(head);
            let Some(dialled) = &mut outlet.dialled else {
                continue;
            };
            if keep_dialling && (is_owed || outlet.clients > 0) {
                continue;
            }
            dialled.redial.stop(cx);
        }
    }
}

fn down_key(output: usize) -> String {
    format!("downstream {output} down")
}
