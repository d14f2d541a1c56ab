//! From a connection to a client: who may connect, which name is whose, and the proof of it. Each refusal has one named
//! reason, which is counted and logged, and told to those who asked for the envelope.

use std::fmt;

use crate::base::units::Span;
use crate::proto::mailbox::{Nonce, Notice, PROOF_LEN, Reader, Refused, Request, verify};
use crate::reactor::net::{Close, Peer, SockId};
use crate::reactor::{Cx, plain};
use crate::roles::callers::address;
use crate::roles::hub::config::Auth;
use crate::roles::hub::serve::client::{Client, ClientId, Message, Name, Shown, Stage};
use crate::roles::hub::serve::leaving::Reason;
use crate::roles::hub::serve::{Hub, NEWCOMERS_MAX, Tick, shared};
use crate::roles::link::Link;
use crate::roles::listening::NO_DESCRIPTORS;
use crate::roles::tls::HANDSHAKE;

/// Why a connection did not become a client. The text is the label of the counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Its address is not in the list of those who may connect.
    NotAllowed,
    /// As many connections as may be are there from its address already.
    MaxClientsPerIp,
    /// Too many connections had not said their names, and it was the oldest.
    Newcomers,
    /// It was not registered in time.
    NameTimeout,
    /// It went before it was registered.
    Unnamed,
    /// What it said first is no name.
    BadName,
    /// Another client has its name.
    NameInUse,
    /// It has not proven that its name is its own.
    Proof,
    /// As many clients as may be are registered already.
    Full,
    /// The hub ended before it was registered.
    Ending,
    /// There was no TLS with it.
    Tls,
}

impl Refusal {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::NotAllowed,
        Self::MaxClientsPerIp,
        Self::Newcomers,
        Self::NameTimeout,
        Self::Unnamed,
        Self::BadName,
        Self::NameInUse,
        Self::Proof,
        Self::Full,
        Self::Ending,
        Self::Tls,
    ];

    /// What a connection with the envelope is told.
    fn told(self) -> Option<Refused> {
        match self {
            Self::BadName => Some(Refused::BadName),
            Self::NameInUse => Some(Refused::NameInUse),
            Self::Proof => Some(Refused::Proof),
            Self::Full => Some(Refused::Full),
            _ => None,
        }
    }
}

impl Refusal {
    /// The word for it, in the log and in counters.
    pub fn word(self) -> &'static str {
        match self {
            Self::NotAllowed => "not-allowed",
            Self::MaxClientsPerIp => "max-clients-per-ip",
            Self::Newcomers => "newcomers",
            Self::NameTimeout => "name-timeout",
            Self::Unnamed => "unnamed",
            Self::BadName => Refused::BadName.word(),
            Self::NameInUse => Refused::NameInUse.word(),
            Self::Proof => Refused::Proof.word(),
            Self::Full => Refused::Full.word(),
            Self::Ending => "ending",
            Self::Tls => "tls",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl Hub {
    /// A connection came in.
    pub(super) fn accepted(&mut self, cx: &mut Cx<'_>, sock: SockId, peer: Peer) {
        if let Some((refusal, why)) = self.turns_away(peer) {
            cx.close(sock, Close::Orderly);
            return self.say_refused(cx, peer, refusal, &why);
        }
        let mut link = match Link::accepted(cx, sock, &self.config.tls) {
            Ok(link) => link,
            Err(error) => {
                cx.close(sock, Close::Orderly);
                return self.say_refused(cx, peer, Refusal::Tls, &plain(&error));
            }
        };
        let newcomers = self.newcomers.len();
        if (newcomers >= NEWCOMERS_MAX || newcomers > 0 && !cx.has_spare())
            && let Some(oldest) = self.oldest_silent(cx)
        {
            let why = format!("{newcomers} later ones have not said their names either");
            self.refuse(cx, oldest, Refusal::Newcomers, &why);
        }
        // Counted though there may be no limit: one may be set while it runs.
        if let Some(ip) = address(peer) {
            self.callers.came(ip);
        }
        let number = self.arrivals;
        self.arrivals += 1;
        link.want_read(cx, true);
        let wait = match link.is_tls() {
            true => self.config.name_timeout.min(HANDSHAKE),
            false => self.config.name_timeout,
        };
        let client = Client::new(link, peer, number, cx.now(), self.config.max_message);
        let id = self.clients.insert(client);
        self.newcomers.insert(number, id);
        self.clients[id].timer = Some(cx.timer(wait, Tick::Client.tag(id)));
        cx.set_tag(sock, id as u32);
        if self.newcomers.len() >= NEWCOMERS_MAX && self.oldest_silent(cx).is_none() {
            self.accept(cx, false);
        }
    }

    /// The oldest newcomer, unless it merely waits for its turn in a handshake: that may end it, or let it in, and then
    /// nobody has to go who came later and has not had the time to say anything.
    fn oldest_silent(&self, cx: &Cx<'_>) -> Option<ClientId> {
        let waits = |link: &Link| link.is_handshaking() && link.is_readable(cx);
        let oldest = self.newcomers.values().copied().next();
        oldest.filter(|id| !waits(&self.clients[*id].link))
    }

    /// Accepts again once there is room for newcomers.
    pub(super) fn accept_again(&mut self, cx: &mut Cx<'_>) {
        let is_room =
            |hub: &Self| hub.newcomers.len() < NEWCOMERS_MAX || hub.oldest_silent(cx).is_some();
        if self.full && is_room(self) {
            self.accept(cx, true);
        }
    }

    fn accept(&mut self, cx: &mut Cx<'_>, accepted: bool) {
        self.full = !accepted;
        for listener in &self.listeners {
            cx.want_read(*listener, accepted);
        }
    }

    fn turns_away(&self, peer: Peer) -> Option<(Refusal, String)> {
        if self.ending.is_some() {
            return Some((Refusal::Ending, "the hub ends".to_owned()));
        }
        let ip = address(peer)?;
        if !self.config.allow.allows(ip) {
            return Some((Refusal::NotAllowed, "not in --allow".to_owned()));
        }
        let max = self.config.max_clients_per_ip?;
        (self.callers.of(ip) >= max).then(|| {
            let why = format!("as many from there as may be, {max} (--max-clients-per-ip)");
            (Refusal::MaxClientsPerIp, why)
        })
    }

    /// A connection has said its name.
    pub(super) fn named(&mut self, cx: &mut Cx<'_>, id: ClientId, name: &[u8]) {
        match &self.config.auth {
            Auth::Local | Auth::Anyone => self.register(cx, id, shared(name)),
            Auth::Tokens(_) if !self.clients[id].envelope => {
                let why = format!("{} came without the envelope and a proof", Shown(name));
                self.refuse(cx, id, Refusal::Proof, &why);
            }
            Auth::Tokens(_) => {
                let nonce = Nonce(cx.nonce());
                let mut words = Vec::new();
                Notice::Nonce(nonce).write(&mut words);
                self.notify(id, &words);
                self.clients[id].stage = Stage::Proving {
                    name: shared(name),
                    nonce,
                };
            }
        }
    }

    /// A connection that was asked for a proof has answered something.
    pub(super) fn answered(&mut self, cx: &mut Cx<'_>, id: ClientId, request: Option<Request>) {
        let Stage::Proving { name, nonce } = &self.clients[id].stage else {
            return;
        };
        let Auth::Tokens(tokens) = &self.config.auth else {
            return;
        };
        // A name that nobody may have takes as long as one with a wrong token.
        let (token, known) = match tokens.of(name) {
            Some(token) => (&token[..], true),
            None => (&[0; PROOF_LEN][..], false),
        };
        let name = Name::clone(name);
        let proven = match request {
            Some(Request::Proof(proof)) => verify(token, nonce, &name, &proof) && known,
            _ => false,
        };
        if proven {
            return self.register(cx, id, name);
        }
        let why = match known {
            true => format!("{} is not proven by its token", Shown(&name)),
            false => format!("{} has no token", Shown(&name)),
        };
        self.refuse(cx, id, Refusal::Proof, &why);
    }

    fn register(&mut self, cx: &mut Cx<'_>, id: ClientId, name: Name) {
        if let Some(holder) = self.names.get(&name).copied() {
            if !matches!(self.config.auth, Auth::Tokens(_)) {
                let why = format!("{} is {}", Shown(&name), self.clients[holder].peer);
                return self.refuse(cx, id, Refusal::NameInUse, &why);
            }
            self.drop_client(cx, holder, Reason::TakenOver);
        }
        if self
            .config
            .max_clients
            .is_some_and(|max| self.names.len() >= max)
        {
            let why = format!(
                "as many are registered as may be, {} (--max-clients)",
                self.names.len()
            );
            return self.refuse(cx, id, Refusal::Full, &why);
        }
        if !cx.admit(self.clients[id].link.sock()) {
            return self.refuse(cx, id, Refusal::Full, NO_DESCRIPTORS);
        }
        self.names.insert(Name::clone(&name), id);
        self.counts.clients_most = self.counts.clients_most.max(self.names.len());
        let client = &mut self.clients[id];
        self.newcomers.remove(&client.number);
        let (peer, envelope) = (client.peer, client.envelope);
        let text = format!(
            "client {} ({peer}) connected ({} now)",
            Shown(&name),
            self.names.len()
        );
        client.stage = Stage::Member { name };
        if let Some(timer) = client.timer.take() {
            cx.cancel(timer);
        }
        client.timer = self
            .config
            .idle_timeout
            .map(|idle| cx.timer(idle, Tick::Client.tag(id)));
        if envelope {
            self.notify(id, b"ok");
        }
        self.journal.came(cx.now(), text);
    }

    /// Turns a connection away that is not registered; tells it why, where it can be told.
    pub(super) fn refuse(&mut self, cx: &mut Cx<'_>, id: ClientId, refusal: Refusal, why: &str) {
        let client = &mut self.clients[id];
        self.newcomers.remove(&client.number);
        client.stage = Stage::Leaving { told: None };
        client.message = Message::None;
        client.reader = Reader::of_client(0);
        let (peer, envelope) = (client.peer, client.envelope);
        self.say_refused(cx, peer, refusal, why);
        match refusal.told().filter(|_| envelope) {
            Some(refused) => {
                let mut words = Vec::new();
                Notice::Refused(refused.word().as_bytes()).write(&mut words);
                self.notify(id, &words);
                self.begin_leaving(cx, id);
            }
            None => self.remove(cx, id, Close::Orderly),
        }
    }

    fn say_refused(&mut self, cx: &Cx<'_>, peer: Peer, refusal: Refusal, why: &str) {
        self.counts.refused[refusal as usize] += 1;
        let now = cx.now();
        let text = format!("client {peer} refused: {refusal}; {why}");
        match refusal {
            // It was its own doing, or nobody's: health checks do so all day.
            Refusal::Unnamed | Refusal::Ending => self.journal.went(now, text),
            _ => {
                let from = address(peer).map_or_else(|| peer.to_string(), |ip| ip.to_string());
                let kind = match refusal {
                    // There are many ways to be wrong, each with a remedy of its own.
                    Refusal::Tls => format!("refused: {refusal}: {from}: {why}"),
                    _ => format!("refused: {refusal}: {from}"),
                };
                self.journal.refused(now, &kind, text);
            }
        }
    }

    /// A client's timer has run out: it is late with its name, or silent, or takes nothing of its last bytes.
    pub(super) fn client_timer(
        &mut self,
        cx: &mut Cx<'_>,
        id: ClientId,
        key: crate::base::wheel::TimerKey,
    ) {
        let Some(client) = self.clients.get_mut(id) else {
            return;
        };
        if client.timer != Some(key) {
            return;
        }
        client.timer = None;
        match &client.stage {
            Stage::Opening if client.link.is_handshaking() => {
                let limit = Span(self.config.name_timeout.min(HANDSHAKE));
                let why = format!("no TLS handshake within {limit}");
                self.refuse(cx, id, Refusal::Tls, &why);
            }
            Stage::Opening | Stage::Proving { .. }
                if cx.now().since(client.came) < self.config.name_timeout =>
            {
                let rest = self.config.name_timeout - cx.now().since(client.came);
                client.timer = Some(cx.timer(rest, Tick::Client.tag(id)));
            }
            Stage::Opening | Stage::Proving { .. } => {
                let what = match client.stage {
                    Stage::Opening => "no name",
                    _ => "no proof",
                };
                let why = format!("{what} within {}", Span(self.config.name_timeout));
                self.refuse(cx, id, Refusal::NameTimeout, &why);
            }
            Stage::Member { .. } => {
                let Some(idle) = self.config.idle_timeout else {
                    return;
                };
                let silent = cx.now().since(client.last_byte);
                if silent < idle {
                    client.timer = Some(cx.timer(idle - silent, Tick::Client.tag(id)));
                } else {
                    self.drop_client(cx, id, Reason::Idle);
                }
            }
            Stage::Leaving { .. } => self.cut_one(cx, id),
        }
    }
}
