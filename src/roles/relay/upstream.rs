//! The side that bytes come from: dialled, listened for, or stdin.
//!
//! ```text
//!   dialled:  dialling ──> active ──lost──> waiting (--retry) ──> dialling
//!   listened: candidates ──first byte──> active (the one before is closed) ──lost──> candidates
//! ```
//!
//! A connection that came in is a mere candidate until its first byte: a port scan is no upstream. A candidate that
//! has something to say waits until what the active one had sent before has been read.

use std::io;
use std::time::Duration;

use crate::base::backoff::Backoff;
use crate::base::time::Time;
use crate::base::units::Span;
use crate::base::wheel::TimerKey;
use crate::reactor::net::{Close, Keepalive, Peer, SockId, StdStream};
use crate::reactor::{Cx, DialError, DialId, plain};
use crate::roles::relay::config::{RelayConfig, Source};
use crate::roles::relay::takeover::Deferred;
use crate::roles::relay::{Kind, Relay, Tick, Why};

/// The state of the upstream side.
#[derive(Debug)]
pub(super) struct Upstream {
    pub(super) active: Option<Conn>,
    pub(super) candidates: Vec<Conn>,
    listeners: Vec<SockId>,
    dial: Option<DialId>,
    retry: Option<TimerKey>,
    backoff: Backoff,
    /// The wait before the attempt that succeeded last, or would be waited first.
    wait: Duration,
    /// Attempts since the connection was lost.
    attempts: u32,
    pub(super) down_since: Option<Time>,
    pub(super) last_byte: Option<Time>,
    silence_said: bool,
    /// Stdin has ended.
    pub(super) ended: bool,
    /// Whether the connections are read at present.
    pub(super) reading: bool,
}

/// A connection from the upstream.
#[derive(Debug)]
pub(super) struct Conn {
    pub(super) sock: SockId,
    pub(super) peer: Peer,
    pub(super) since: Time,
    /// Bytes that came in over it.
    pub(super) bytes: u64,
    /// It has something to say, and waits for the active one to be read to its end.
    pub(super) deferred: Option<Deferred>,
}

impl Upstream {
    pub(super) fn new(config: &RelayConfig) -> Self {
        Self {
            active: None,
            candidates: Vec::new(),
            listeners: Vec::new(),
            dial: None,
            retry: None,
            backoff: Backoff::new(config.retry),
            wait: config.retry.min,
            attempts: 0,
            down_since: None,
            last_byte: None,
            silence_said: false,
            ended: false,
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

    pub(super) fn candidate(&mut self, sock: SockId) -> Option<&mut Conn> {
        self.candidates.iter_mut().find(|conn| conn.sock == sock)
    }
}

impl Relay {
    /// Opens this side's listeners; nothing is logged or dialled yet.
    pub(super) fn bind_upstream(&mut self, cx: &mut Cx<'_>) -> Result<(), String> {
        if let Source::Listen(at) = &self.config.source {
            let at = at.clone();
            for (sock, real) in self.bind(cx, &at)? {
                cx.set_tag(sock, Kind::UpstreamListener.tag(0));
                self.upstream.listeners.push(sock);
                self.bound.push((real, "the upstream"));
            }
        }
        Ok(())
    }

    pub(super) fn start_upstream(&mut self, cx: &mut Cx<'_>) -> Result<(), String> {
        self.upstream.down_since = Some(cx.now());
        match self.config.source {
            Source::Listen(_) => {}
            Source::Dial(_) => self.dial_upstream(cx),
            Source::Stdin => {
                let sock = cx
                    .open_std(StdStream::Stdin)
                    .map_err(|error| format!("can't read stdin: {error}"))?;
                self.attach(cx, sock);
                self.upstream.active = Some(conn(cx, sock, Peer::Stdio));
            }
        }
        Ok(())
    }

    /// Whether this side's connections are to be read now.
    pub(super) fn set_reading(&mut self, cx: &mut Cx<'_>, reading: bool) {
        if self.upstream.reading == reading {
            return;
        }
        self.upstream.reading = reading;
        for conn in self.upstream.all() {
            cx.want_read(conn.sock, reading && conn.deferred.is_none());
        }
    }

    pub(super) fn upstream_connected(&mut self, cx: &mut Cx<'_>, sock: SockId, peer: Peer) {
        self.upstream.dial = None;
        self.attach(cx, sock);
        self.upstream.active = Some(conn(cx, sock, peer));
        self.journal.forget(cx.now(), "upstream down");
        let text = format!(
            "upstream {} connected{}",
            self.source_name(peer),
            self.outage(cx.now())
        );
        self.journal.info(text);
        self.upstream_is_up();
    }

    pub(super) fn upstream_dial_failed(&mut self, cx: &mut Cx<'_>, error: &DialError) {
        self.upstream.dial = None;
        let Source::Dial(endpoint) = &self.config.source else {
            return;
        };
        let every = every(&self.config);
        let text = format!("upstream {endpoint} {error}; retrying until it answers ({every})");
        let hint = (error.is_refused()
            && self.upstream.attempts == 1
            && endpoint.is_this_machine())
        .then(|| {
            format!(
                "connection to {endpoint} refused; to have the upstream connect there: --mode {}",
                self.listen_mode()
            )
        });
        self.journal.warn(cx.now(), "upstream down", text);
        if let Some(hint) = hint {
            log::warn!("hydrant: {hint}");
        }
        self.upstream.wait = self.upstream.backoff.next(cx.random());
        self.upstream.retry = Some(cx.timer(self.upstream.wait, Tick::UpstreamRetry.tag(0)));
    }

    /// The wait between two attempts is over.
    pub(super) fn dial_upstream(&mut self, cx: &mut Cx<'_>) {
        let Source::Dial(endpoint) = &self.config.source else {
            return;
        };
        self.upstream.retry = None;
        self.upstream.attempts += 1;
        self.upstream.dial = Some(cx.dial(endpoint, self.config.connect_timeout));
    }

    pub(super) fn is_upstream_dial(&self, dial: DialId) -> bool {
        self.upstream.dial == Some(dial)
    }

    pub(super) fn upstream_readable(&mut self, cx: &mut Cx<'_>, sock: SockId) {
        let candidate = self.upstream.candidate(sock).is_some();
        if candidate && self.defer(cx, sock) {
            return;
        }
        match self.pull(cx, sock) {
            Ok(None) => {}
            Ok(Some(0)) if candidate => self.drop_candidate(cx, sock),
            Err(_) if candidate => self.drop_candidate(cx, sock),
            Ok(Some(0)) => self.upstream_lost(cx, None),
            Err(error) => self.upstream_lost(cx, Some(&error)),
            Ok(Some(n)) => {
                if candidate {
                    self.promote(cx, sock);
                }
                let conn = self.upstream.active.as_mut().expect("bytes came from it");
                conn.bytes += n as u64;
                self.upstream.last_byte = Some(cx.now());
                self.upstream.silence_said = false;
                self.fan_out(cx);
            }
        }
        self.undefer(cx);
    }

    /// Says so, once a silence, when clients wait for a connected upstream that sends nothing.
    pub(super) fn watch_silence(&mut self, now: Time) {
        let Some(conn) = self
            .upstream
            .active
            .as_ref()
            .or(self.upstream.candidates.first())
        else {
            return;
        };
        let since = self
            .upstream
            .last_byte
            .map_or(conn.since, |last| last.max(conn.since));
        let silence = now.since(since);
        let waiting = self.clients.len();
        let expected = waiting > 0 && self.upstream.reading && conn.peer != Peer::Stdio;
        if expected && silence >= SILENCE && !self.upstream.silence_said {
            self.upstream.silence_said = true;
            let who = self.source_name(conn.peer);
            let clients = if waiting == 1 {
                "1 client".to_owned()
            } else {
                format!("{waiting} clients")
            };
            let text = format!(
                "upstream {who} connected but silent for {} s, {clients} waiting",
                silence.as_secs()
            );
            self.journal.warn(now, "silent", text);
        }
    }

    /// Closes all of this side, for good.
    pub(super) fn close_upstream(&mut self, cx: &mut Cx<'_>) {
        let upstream = &mut self.upstream;
        for conn in upstream
            .active
            .take()
            .into_iter()
            .chain(upstream.candidates.drain(..))
        {
            cx.close(conn.sock, Close::Orderly);
        }
        for listener in upstream.listeners.drain(..) {
            cx.close(listener, Close::Orderly);
        }
        if let Some(dial) = upstream.dial.take() {
            cx.cancel_dial(dial);
        }
        if let Some(retry) = upstream.retry.take() {
            cx.cancel(retry);
        }
    }

    /// A fresh connection: known as the upstream's, and read as the others are.
    pub(super) fn attach(&mut self, cx: &mut Cx<'_>, sock: SockId) {
        cx.set_tag(sock, Kind::Upstream.tag(0));
        if let Some(idle) = self.config.keepalive {
            cx.set_keepalive(
                sock,
                Keepalive {
                    idle,
                    user_timeout: Some(idle),
                },
            );
        }
        cx.want_read(sock, self.upstream.reading);
    }

    fn upstream_lost(&mut self, cx: &mut Cx<'_>, error: Option<&io::Error>) {
        let Some(conn) = self.upstream.active.take() else {
            return;
        };
        cx.close(conn.sock, Close::Orderly);
        if self.config.source == Source::Stdin {
            self.upstream.ended = true;
            return self.begin_flush(cx, Why::SourceEnded);
        }
        let now = cx.now();
        let lasted = now.since(conn.since);
        let who = self.source_name(conn.peer);
        let how = error.map_or("closed the connection".to_owned(), |error| {
            format!("lost ({})", plain(error))
        });
        let text = format!(
            "upstream {who} {how} after {}, {} clients stay",
            Span(lasted),
            self.clients.len()
        );
        self.journal.warn(now, "upstream lost", text);
        self.upstream.down_since = Some(now);
        self.upstream.attempts = 0;
        if !matches!(self.config.source, Source::Dial(_)) {
            return;
        }
        if lasted > self.upstream.wait {
            self.upstream.backoff.reset();
            self.upstream.wait = self.config.retry.min;
            self.dial_upstream(cx);
        } else {
            self.upstream.wait = self.upstream.backoff.next(cx.random());
            self.upstream.retry = Some(cx.timer(self.upstream.wait, Tick::UpstreamRetry.tag(0)));
        }
    }

    pub(super) fn upstream_is_up(&mut self) {
        self.upstream.down_since = None;
        self.upstream.silence_said = false;
    }

    /// " (was down 5.2 s, 3 attempts)", after an outage.
    pub(super) fn outage(&self, now: Time) -> String {
        let Some(since) = self
            .upstream
            .down_since
            .filter(|_| self.counts.bytes_in > 0 || self.upstream.attempts > 1)
        else {
            return String::new();
        };
        match self.upstream.attempts {
            0 | 1 => format!(" (was down {})", Span(now.since(since))),
            n => format!(" (was down {}, {n} attempts)", Span(now.since(since))),
        }
    }

    /// How the upstream is called in the log: a dialled one as the user wrote it.
    fn source_name(&self, peer: Peer) -> String {
        match &self.config.source {
            Source::Dial(endpoint) => endpoint.to_string(),
            _ => peer.to_string(),
        }
    }

    /// The mode in which the upstream would connect to us.
    fn listen_mode(&self) -> &'static str {
        match self.outputs.iter().all(|outlet| outlet.is_dialled()) {
            true => "listen-connect",
            false => "listen-listen",
        }
    }
}

pub(super) fn conn(cx: &Cx<'_>, sock: SockId, peer: Peer) -> Conn {
    Conn {
        sock,
        peer,
        since: cx.now(),
        bytes: 0,
        deferred: None,
    }
}

/// "every 5 s", or the range.
pub(super) fn every(config: &RelayConfig) -> String {
    let retry = config.retry;
    match retry.min == retry.max {
        true => format!("every {}", Span(retry.min)),
        false => format!("every {} to {}", Span(retry.min), Span(retry.max)),
    }
}

/// An upstream that is silent for so long while clients wait is worth a line.
const SILENCE: Duration = Duration::from_secs(10);
