//! The side that bytes come from: dialled, listened for, or stdin.
//!
//! ```text
//!   dialled:  dialling ──> active ──lost──> waiting (--retry) ──> dialling
//!   listened: candidates ──first byte──> active (the one before is closed) ──lost──> candidates
//! ```
//!
//! A connection that came in is a mere candidate until its first byte: a port scan is no upstream. A candidate that
//! has something to say waits until what the active one had sent before has been read.

use std::fmt;
use std::io;
use std::time::Duration;

use crate::base::access::caller;
use crate::base::time::Time;
use crate::base::units::{Bytes, Count, Span};
use crate::base::wheel::TimerKey;
use crate::proto::record::Malformed;
use crate::proto::tls::looks_like_tls;
use crate::reactor::net::{Addr, Close, Keepalive, Peer, SockId, StdStream};
use crate::reactor::view::Trouble;
use crate::reactor::{Cx, plain};
use crate::roles::callers::address;
use crate::roles::listening::listen;
use crate::roles::relay::config::{RelayConfig, Source, UpstreamLoss};
use crate::roles::relay::conn::{Conn, conn};
use crate::roles::relay::failover::Dialler;
use crate::roles::relay::{Audience, Kind, Relay, Why};

/// The state of the upstream side.
///
/// What each message looks at comes first, in memory as here.
#[derive(Debug)]
#[repr(C)]
pub(super) struct Upstream {
    /// Whether newcomers are taken in at present.
    pub(super) accepting: bool,
    /// Whether the connections are read at present.
    pub(super) reading: bool,
    pub(super) silence_said: bool,
    pub(super) last_byte: Option<Time>,
    pub(super) candidates: Vec<Conn>,
    pub(super) active: Option<Conn>,
    listeners: Vec<SockId>,
    pub(super) dialler: Dialler,
    pub(super) down_since: Option<Time>,
    /// When some of a record of TLS came that was not whole yet.
    pub(super) last_part: Time,
    /// `--idle-timeout` while the upstream is read.
    pub(super) idle: Option<TimerKey>,
    /// Since when it has been read without a break: while it is not, its silence is our doing.
    pub(super) reading_since: Time,
    /// Whether newcomers are kept waiting all the same, since they would have to shake hands as too many do already.
    crowded: bool,
}

/// How a connection from the upstream came to its end.
pub(super) enum Loss<'a> {
    Closed,
    Failed(&'a io::Error),
    Silent(Duration),
}

impl fmt::Display for Loss<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("closed the connection"),
            Self::Failed(error) => write!(f, "lost ({})", plain(error)),
            Self::Silent(silence) => write!(
                f,
                "silent for {}, taken for dead (--idle-timeout),",
                Span(*silence)
            ),
        }
    }
}

impl Upstream {
    pub(super) fn new(config: &RelayConfig) -> Self {
        Self {
            active: None,
            candidates: Vec::new(),
            listeners: Vec::new(),
            dialler: Dialler::new(config.retry),
            down_since: None,
            last_byte: None,
            last_part: Time::ZERO,
            silence_said: false,
            idle: None,
            reading_since: Time::ZERO,
            accepting: true,
            crowded: false,
            reading: false,
        }
    }

    /// Whether anybody is connected on this side.
    pub(super) fn is_up(&self) -> bool {
        self.active.is_some() || !self.candidates.is_empty()
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Conn> {
        self.active.iter().chain(&self.candidates)
    }

    /// Its connections and its listeners.
    pub(super) fn sockets(&self) -> impl Iterator<Item = SockId> {
        let listeners = self.listeners.iter().copied();
        self.all().map(|conn| conn.sock).chain(listeners)
    }

    /// Says whether newcomers are taken in from now on.
    pub(super) fn set_accepting(&mut self, cx: &mut Cx<'_>, accepting: bool) {
        self.accepting = accepting;
        self.listen(cx);
    }

    /// Says whether as many shake hands already as may: newcomers, who would have to, wait until some have done so.
    pub(super) fn set_crowded(&mut self, cx: &mut Cx<'_>, crowded: bool) {
        self.crowded = crowded;
        self.listen(cx);
    }

    fn listen(&self, cx: &mut Cx<'_>) {
        let listens = self.accepting && !self.crowded;
        self.listeners
            .iter()
            .for_each(|listener| cx.want_read(*listener, listens));
    }

    /// A connection, active or not.
    pub(super) fn conn_mut(&mut self, sock: SockId) -> Option<&mut Conn> {
        match &mut self.active {
            Some(conn) if conn.sock == sock => Some(conn),
            _ => self.candidates.iter_mut().find(|conn| conn.sock == sock),
        }
    }

    /// The peer of a plain connection that nothing has come over before.
    fn is_first_of(&mut self, sock: SockId) -> Option<Peer> {
        let conn = self.conn_mut(sock)?;
        (conn.bytes == 0 && conn.tls.is_none()).then_some(conn.peer)
    }

    pub(super) fn candidate(&mut self, sock: SockId) -> Option<&mut Conn> {
        self.candidates.iter_mut().find(|conn| conn.sock == sock)
    }
}

impl Relay {
    /// Opens this side's listeners; nothing is logged or dialled yet.
    pub(super) fn bind_upstream(&mut self, cx: &mut Cx<'_>) -> Result<(), String> {
        if let Source::Listen(at) = &self.config.source {
            let at = at.clone();
            for (sock, real) in listen(cx, &at)? {
                cx.set_tag(sock, Kind::UpstreamListener.tag(0));
                self.upstream.listeners.push(sock);
                self.bound.push((real, Audience::Upstream));
            }
        }
        Ok(())
    }

    pub(super) fn start_upstream(&mut self, cx: &mut Cx<'_>) -> Result<(), String> {
        self.upstream.down_since = Some(cx.now());
        self.warn_of_upstream(cx);
        match self.config.source {
            Source::Listen(_) => {}
            Source::Dial(_) => self.dial_upstream(cx),
            Source::Stdin => {
                let sock = cx
                    .open_std(StdStream::Stdin)
                    .map_err(|error| format!("can't read stdin: {error}"))?;
                self.attach(cx, sock);
                self.upstream.active = Some(conn(cx, sock, Peer::Stdio, None));
            }
        }
        Ok(())
    }

    /// Says what a user may not have thought of.
    fn warn_of_upstream(&mut self, cx: &Cx<'_>) {
        let text = match &self.config.source {
            Source::Listen(_) if self.config.allow_upstream.is_all() => {
                let open = self.bound.iter().find_map(|(at, what)| match at {
                    Addr::Tcp(at) if *what == Audience::Upstream && !at.ip().is_loopback() => {
                        Some(at)
                    }
                    _ => None,
                });
                let Some(at) = open else { return };
                format!(
                    "anyone who reaches {at} can become the upstream; --allow-upstream CIDR limits it"
                )
            }
            Source::Dial(places) if places.len() > 1 && self.config.idle_timeout.is_none() => {
                let first = &places[0];
                format!("{first} would not fail by being silent; --idle-timeout TIME sets a limit")
            }
            _ => return,
        };
        self.journal.warn(cx.now(), "upstream", text);
    }

    /// Whether this side's connections are to be read now.
    pub(super) fn set_reading(&mut self, cx: &mut Cx<'_>, reading: bool) {
        if self.upstream.reading == reading {
            return;
        }
        self.upstream.reading = reading;
        self.upstream.reading_since = cx.now();
        for conn in self.upstream.all() {
            conn.want_read(cx, reading && conn.deferred.is_none());
        }
    }

    pub(super) fn upstream_readable(&mut self, cx: &mut Cx<'_>, sock: SockId) {
        let candidate = self.upstream.candidate(sock).is_some();
        if candidate && self.defer(cx, sock) {
            return;
        }
        match self.pull(cx, sock) {
            Ok(Some(n @ 1..)) => {
                let whole = self.records.whole();
                if let Some(peer) = self.upstream.is_first_of(sock) {
                    self.notice_tls(cx, peer, n);
                }
                if candidate {
                    self.promote(cx, sock, n);
                }
                self.take_in(cx, n);
                let conn = self.upstream.active.as_mut().expect("bytes came from it");
                conn.bytes += n as u64;
                self.upstream.last_byte = Some(cx.now());
                self.upstream.silence_said = false;
                if self.records.whole() > whole {
                    self.fan_out(cx);
                } else {
                    self.refresh_gate(cx);
                }
            }
            nothing => self.nothing_came(cx, sock, candidate, nothing),
        }
        self.undefer(cx);
    }

    #[cold]
    fn nothing_came(
        &mut self,
        cx: &mut Cx<'_>,
        sock: SockId,
        candidate: bool,
        read: io::Result<Option<usize>>,
    ) {
        match read {
            Ok(None) => self.upstream.note_part(cx, sock),
            _ if candidate => self.drop_candidate(cx, sock),
            Ok(Some(_)) => self.upstream_lost(cx, Loss::Closed),
            Err(error) => self.upstream_lost(cx, Loss::Failed(&error)),
        }
    }

    /// Looks at the first bytes of a plain connection, `fresh` of which have just come in.
    #[cold]
    fn notice_tls(&mut self, cx: &Cx<'_>, peer: Peer, fresh: usize) {
        let head = self.ring.head();
        let begun = self.ring.read_up_to(head - fresh as u64, fresh);
        if begun.is_ok_and(|[first, _]| looks_like_tls(first)) {
            self.hint_upstream_tls(cx, peer);
        }
    }

    /// Sends what is left of `--upstream-send` to a connection that can take it.
    pub(super) fn greet_upstream(&mut self, cx: &mut Cx<'_>, sock: SockId) {
        let standby = self.standby_socket() == Some(sock);
        let conn = if standby {
            self.standby.conn_mut()
        } else {
            self.upstream.conn_mut(sock)
        };
        let Some(conn) = conn else {
            return;
        };
        let rest = [&self.config.upstream_send[conn.greeted..], &[]];
        let written = match &mut conn.tls {
            Some(tls) => tls.write(cx, sock, rest),
            None => cx.write(sock, rest),
        };
        match written {
            Ok(n) => {
                conn.greeted += n.unwrap_or(0);
                let left = conn.greeted < self.config.upstream_send.len();
                let waits = conn.tls.as_ref().is_some_and(|tls| tls.wants_write());
                cx.want_write(sock, left || waits);
            }
            // The read side will say what is wrong with it, and has the bytes that came before.
            Err(_) => cx.want_write(sock, false),
        }
    }

    /// Closes all of this side, for good.
    pub(super) fn close_upstream(&mut self, cx: &mut Cx<'_>) {
        let upstream = &mut self.upstream;
        for mut conn in upstream
            .active
            .take()
            .into_iter()
            .chain(upstream.candidates.drain(..))
        {
            conn.close(cx);
        }
        for listener in upstream.listeners.drain(..) {
            cx.close(listener, Close::Orderly);
        }
        upstream.dialler.redial.stop(cx);
        self.stop_standby(cx);
    }

    /// A fresh connection: known as the upstream's, and read as the others are.
    pub(super) fn attach(&mut self, cx: &mut Cx<'_>, sock: SockId) {
        cx.set_tag(sock, Kind::Upstream.tag(0));
        self.guard_upstream(cx, sock);
        cx.want_read(sock, self.upstream.reading);
        self.watch_idle(cx);
    }

    /// What every connection to or from the upstream gets: an early notice of its death, and `--upstream-send`.
    pub(super) fn guard_upstream(&self, cx: &mut Cx<'_>, sock: SockId) {
        if let Some(idle) = self.config.keepalive {
            let user_timeout = Some(idle);
            cx.set_keepalive(sock, Keepalive { idle, user_timeout });
        }
        cx.want_write(sock, !self.config.upstream_send.is_empty());
    }

    pub(super) fn upstream_lost(&mut self, cx: &mut Cx<'_>, loss: Loss<'_>) {
        let Some(mut conn) = self.upstream.active.take() else {
            return;
        };
        conn.close(cx);
        let cut = self.records.begin_anew(&mut self.ring, 0);
        self.counts.discarded += cut;
        if self.config.source == Source::Stdin {
            if cut > 0 {
                let cut = Bytes(cut);
                let text = format!("stdin ended in the middle of a record: {cut} discarded");
                self.journal.warn(cx.now(), "cut", text);
            }
            if let Loss::Failed(error) = loss {
                self.failure = Some(format!("can't read stdin: {}", plain(error)));
            }
            return self.begin_flush(cx, Why::SourceEnded);
        }
        let now = cx.now();
        let lasted = now.since(conn.since);
        let who = self.source_name(conn.peer);
        let then = self.upstream_loss_text();
        let what = format!("upstream {who} {loss} after {}", Span(lasted));
        let text = format!("{what}, {then}");
        self.upstream.dialler.redial.trouble = Some(Trouble { what, advice: "" });
        // One that connects to us comes from another port each time. How it went is news even so.
        let kind = match (&self.config.source, address(conn.peer)) {
            (Source::Listen(_), Some(ip)) => format!("upstream lost: {} {loss}", caller(ip)),
            _ => format!("upstream lost: {who}"),
        };
        self.journal.warn(now, &kind, text);
        self.upstream.down_since = Some(now);
        match self.config.upstream_loss {
            UpstreamLoss::Keep => {}
            UpstreamLoss::Close => self.end_clients(cx),
            UpstreamLoss::Exit => return self.end_with_upstream(cx, &who, &loss),
        }
        // What it had begun has left room, and those who lead no more may leave less.
        self.refresh_gate(cx);
        if matches!(self.config.source, Source::Dial(_)) {
            self.redial_upstream(cx, lasted);
        }
    }

    /// Finds the records in what was just read.
    fn take_in(&mut self, cx: &mut Cx<'_>, fresh: usize) {
        let (before, whole) = (self.ring.head(), self.records.whole());
        let wrong = self.records.take_in(&mut self.ring, fresh);
        if self.records.whole() > whole {
            // Nobody can lack what was not whole yet.
            self.timeline.mark(whole, cx.now());
        }
        self.counts.discarded += before - self.ring.head();
        if let Some(framed) = &mut self.framed {
            let now_whole = self.records.whole();
            framed.extend(&self.ring, now_whole, now_whole - whole);
        }
        if let Some(wrong) = wrong {
            self.warn_of_malformed(cx, &wrong);
        }
    }

    #[cold]
    fn warn_of_malformed(&mut self, cx: &Cx<'_>, wrong: &Malformed) {
        let text = format!(
            "the upstream's bytes are no {}: {wrong}",
            self.config.framing
        );
        self.journal.warn(cx.now(), "malformed", text);
    }

    fn upstream_loss_text(&self) -> String {
        let clients = Count(self.clients.len(), "client");
        match self.config.upstream_loss {
            UpstreamLoss::Keep if self.clients.len() == 1 => format!("{clients} stays"),
            UpstreamLoss::Keep => format!("{clients} stay"),
            UpstreamLoss::Close | UpstreamLoss::Exit => {
                format!("{clients} to be closed (--upstream-loss)")
            }
        }
    }

    pub(super) fn upstream_is_up(&mut self) {
        self.counts.upstreams += 1;
        self.upstream.down_since = None;
        self.upstream.silence_said = false;
    }

    /// " (was down 5.2 s, 3 attempts)", after an outage.
    pub(super) fn outage(&self, now: Time) -> String {
        let Some(since) = self
            .upstream
            .down_since
            .filter(|_| self.counts.bytes_in > 0 || self.upstream.dialler.redial.attempts > 1)
        else {
            return String::new();
        };
        let down = now.since(since);
        match self.upstream.dialler.redial.attempts {
            // A mere change of connections is no outage.
            0 | 1 if down < OUTAGE => String::new(),
            0 | 1 => format!(" (was down {})", Span(down)),
            n => format!(" (was down {}, {n} attempts)", Span(down)),
        }
    }

    /// How the upstream is called in the log: a dialled one as the user wrote it.
    pub(super) fn source_name(&self, peer: Peer) -> String {
        match &self.config.source {
            Source::Dial(endpoints) => endpoints[self.upstream.dialler.at].to_string(),
            _ => peer.to_string(),
        }
    }

    /// The mode in which the upstream would connect to us.
    pub(super) fn listen_mode(&self) -> &'static str {
        match self.outputs.iter().all(|outlet| outlet.is_dialled()) {
            true => "listen-connect",
            false => "listen-listen",
        }
    }
}

/// A shorter break is not worth a word.
const OUTAGE: Duration = Duration::from_millis(100);
