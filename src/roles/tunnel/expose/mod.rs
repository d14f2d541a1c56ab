//! `tunnel expose`: connects to a server, and passes each client that comes there on to the service.
//!
//! ```text
//!   Resting ──wait is over──> Dialing ──> Greeting (hello) ──> Up (session.rs) ──lost──> Resting
//!                                  └ knows no hello: dialled again at once, and spoken to in its own way ──> Up
//! ```

mod address;
mod leaving;
mod owed;
mod session;
mod streams;
mod view;

use std::collections::{BTreeMap, BTreeSet};

use slab::Slab;

use self::session::Connection;
use self::streams::Stream;
use super::config::ExposeConfig;
use super::{READ_MAX, STOCK, pack, unpack};
use crate::base::backoff::Backoff;
use crate::base::time::Time;
use crate::base::units::{Bytes, Count, Span};
use crate::reactor::net::{Close, Signal, SockId, StdStream};
use crate::reactor::{Cx, DialError, DialId, End, Event, Role};
use crate::roles::journal::Journal;
use crate::roles::link::Link;
use crate::roles::listening;
use crate::roles::pump::{Channels, Tide};
use crate::roles::tls::INSECURE;

/// A backend that runs.
pub struct Expose {
    config: ExposeConfig,
    state: State,
    backoff: Backoff,
    /// The server turned out to know no hello, and the next connection speaks its way.
    speaks_plain: bool,
    /// The server has answered a hello once: whatever goes wrong later, it knows one.
    knows_hello: bool,
    /// The port that it had last; 0: none.
    last_port: u16,
    /// Where the public side was, as it was last printed.
    printed: String,
    /// Standard output, and what it is still to be given.
    stdout: Option<Link>,
    to_print: Vec<u8>,
    streams: Slab<Stream>,
    /// Attempts to reach the service.
    dials: BTreeMap<DialId, usize>,
    counts: Counts,
    tide: Tide,
    journal: Journal,
    started: Time,
    /// Since when there is no session.
    down: Option<Time>,
    /// The kinds of lines that have said why.
    said_down: BTreeSet<String>,
    /// The last of them, as the log has it.
    trouble: Option<String>,
    /// When the server is dialled again, while it rests.
    retry_at: Time,
    draining: Option<Signal>,
    /// It has stopped, and only closes what is left.
    finished: bool,
    scratch: Box<[u8]>,
}

/// What it has counted so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Clients that were passed on to the service.
    pub clients: u64,
    /// Bytes to the service.
    pub to_service: u64,
    /// Bytes from the service.
    pub from_service: u64,
    /// The most clients at a time.
    pub clients_most: usize,
    /// Sessions that were up.
    pub sessions: u64,
}

enum State {
    Resting,
    Dialing(DialId),
    Connected(Box<Connection>),
    Ended,
}

impl Expose {
    /// A backend with these orders. It does nothing before its first event.
    pub fn new(config: ExposeConfig) -> Self {
        let label = match &config.name {
            Some(name) => format!("tunnel expose[{name}]"),
            None => "tunnel expose".to_owned(),
        };
        Self {
            state: State::Ended,
            backoff: Backoff::new(config.retry),
            speaks_plain: false,
            knows_hello: false,
            last_port: 0,
            printed: String::new(),
            stdout: None,
            to_print: Vec::new(),
            streams: Slab::new(),
            dials: BTreeMap::new(),
            counts: Counts::default(),
            tide: Tide::default(),
            journal: Journal::new(label),
            started: Time::ZERO,
            down: None,
            said_down: BTreeSet::new(),
            trouble: None,
            retry_at: Time::ZERO,
            draining: None,
            finished: false,
            scratch: vec![0; READ_MAX].into_boxed_slice(),
            config,
        }
    }

    /// Its orders, before it runs.
    #[cfg(test)]
    pub(crate) fn orders(&mut self) -> &mut ExposeConfig {
        &mut self.config
    }

    /// What it has counted so far.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Where the public side is, once it has been.
    pub fn public(&self) -> &str {
        &self.printed
    }

    /// Every socket that it knows.
    pub fn sockets(&self) -> impl Iterator<Item = SockId> {
        let carrier = match &self.state {
            State::Connected(connection) => Some(connection.link().sock()),
            State::Resting | State::Dialing(_) | State::Ended => None,
        };
        let links = self.streams.iter().filter_map(|(_, s)| s.sock());
        let stdout = self.stdout.as_ref().map(Link::sock);
        links.chain(carrier).chain(stdout)
    }

    /// Panics where the books do not agree. For tests and the simulator, between events.
    pub fn check_invariants(&self) {
        if let State::Connected(connection) = &self.state {
            let ours = self.streams.iter().filter(|(_, it)| !it.is_alone());
            connection.check_invariants(ours.map(|(_, it)| it.channel.queued()).sum());
        } else {
            assert!(!self.has_streams(), "streams without a session");
        }
        assert!(self.owed() <= super::HELD_MAX);
        for (dial, key) in &self.dials {
            assert_eq!(self.streams[*key].dial(), Some(*dial));
        }
    }

    fn start(&mut self, cx: &mut Cx<'_>) -> Result<(), String> {
        self.started = cx.now();
        let asked = (Some(self.config.max_streams), listening::MAX_STREAMS);
        listening::claim(cx, asked, RESERVE, 1)?;
        // A closed stdout ends nothing: the address stands in the log, too.
        if self.config.prints {
            self.stdout = cx.open_std(StdStream::Stdout).ok().map(Link::new);
        }
        if let Some(link) = &mut self.stdout {
            cx.set_tag(link.sock(), Kind::Stdout.tag(0));
        }
        if self.config.tls.insecure {
            self.journal.warn(cx.now(), "insecure", INSECURE.to_owned());
        }
        cx.timer(STOCK, Tick::Stock.tag(0));
        self.down = Some(cx.now());
        self.dial(cx);
        Ok(())
    }

    fn dial(&mut self, cx: &mut Cx<'_>) {
        let dial = cx.dial(&self.config.server, self.config.connect_timeout);
        self.state = State::Dialing(dial);
    }

    /// The next attempt, after a wait.
    fn rest(&mut self, cx: &mut Cx<'_>) {
        if self.draining.is_some() {
            self.state = State::Ended;
            return self.finish_if_drained(cx);
        }
        let wait = self.backoff.next_spread(cx.random());
        cx.timer(wait, Tick::Retry.tag(0));
        self.retry_at = cx.now() + wait;
        self.state = State::Resting;
    }

    fn server_unreachable(&mut self, cx: &mut Cx<'_>, error: &DialError) {
        let server = &self.config.server;
        let text = format!("server {server} {error}; retrying until it answers");
        self.say_down(cx.now(), "unreachable", text);
        self.rest(cx);
    }

    /// Says why there is no session; each reason is news once, until there is one again.
    fn say_down(&mut self, now: Time, why: &str, text: String) {
        let trouble = text.split("; retrying").next();
        self.trouble = trouble.map(str::to_owned);
        let kind = format!("server-down: {why}");
        if self.said_down.contains(&kind) || self.said_down.len() < REASONS_MAX {
            self.journal.warn(now, &kind, text);
            self.said_down.insert(kind);
        }
    }

    /// Prints where the public side is, if that is news.
    fn print(&mut self, cx: &mut Cx<'_>, public: &str) {
        if self.printed == public {
            return;
        }
        self.printed = public.to_owned();
        self.to_print.extend_from_slice(public.as_bytes());
        self.to_print.push(b'\n');
        self.feed_stdout(cx);
    }

    fn feed_stdout(&mut self, cx: &mut Cx<'_>) {
        let Some(link) = &mut self.stdout else {
            return;
        };
        match link.write(cx, [&self.to_print, &[]]) {
            Ok(count) => {
                self.to_print.drain(..count);
                link.want_write(cx, !self.to_print.is_empty());
            }
            Err(_) => {
                link.close(cx, Close::Orderly);
                self.stdout = None;
            }
        }
    }

    fn stock(&mut self, cx: &mut Cx<'_>) {
        self.tick_session(cx);
        let paused: Vec<usize> = self
            .streams
            .iter()
            .filter(|(_, stream)| stream.is_paused())
            .map(|(key, _)| key)
            .collect();
        for key in paused {
            self.probe_stream(cx, key);
        }
        self.tick_owed(cx);
        let held = self.mux().map_or(0, |mux| mux.held()) + self.owed();
        self.tide.look(cx, held);
        self.journal.tick(cx.now());
        cx.timer(STOCK, Tick::Stock.tag(0));
    }

    fn finish(&mut self, cx: &mut Cx<'_>) {
        // What it does below may find that nothing is left to drain.
        let Some(signal) = self.draining.filter(|_| !self.finished) else {
            return;
        };
        self.finished = true;
        let cut: Vec<usize> = self.streams.iter().map(|(key, _)| key).collect();
        let up = Span(cx.now().since(self.started));
        let clients = Count(cut.len(), "client");
        let lost = super::lost(match &self.state {
            State::Connected(connection) => connection.undelivered(cx),
            State::Resting | State::Dialing(_) | State::Ended => 0,
        });
        self.journal
            .info(format!("stopped by {signal}: {clients} cut{lost}; up {up}"));
        for key in cut {
            self.end_stream(cx, key, Close::Reset);
        }
        self.state = State::Ended;
        cx.finish(End::Done);
    }

    fn report(&self, cx: &Cx<'_>) {
        let now = cx.now();
        let state = match (&self.state, self.down) {
            (State::Connected(connection), None) => connection.status(now),
            (_, Some(down)) => format!("DOWN {}", Span(now.since(down))),
            (_, None) => "DOWN".to_owned(),
        };
        let totals = self.bytes();
        for (_, stream) in &self.streams {
            let (to, from) = stream.bytes();
            let label = stream.label();
            let alone = match stream.is_alone() {
                true => " | its session is gone",
                false => "",
            };
            self.journal.info(format!(
                "client {label} | {} to the service, {} from it{alone}",
                Bytes(to),
                Bytes(from)
            ));
        }
        self.journal.info(format!(
            "{state} | {} | {} | in all {} to the service, {} from it",
            match self.printed.as_str() {
                "" => "not public yet",
                public => public,
            },
            Count(self.streams.len(), "client"),
            Bytes(totals.0),
            Bytes(totals.1)
        ));
    }

    fn on_timer(&mut self, cx: &mut Cx<'_>, tag: u32) {
        match Tick::of(tag) {
            Tick::Stock => self.stock(cx),
            Tick::Retry if self.draining.is_some() => {}
            Tick::Retry => self.dial(cx),
            Tick::Hello => self.hello_overdue(cx),
            Tick::Deadline => self.finish(cx),
        }
    }

    /// Whether the dial is the one to the server.
    fn is_server(&self, dial: DialId) -> bool {
        matches!(self.state, State::Dialing(ours) if ours == dial)
    }
}

impl Role for Expose {
    fn on(&mut self, cx: &mut Cx<'_>, event: Event) {
        match event {
            Event::Start => {
                if let Err(text) = self.start(cx) {
                    cx.finish(End::Failed(text));
                }
            }
            Event::Connected { dial, sock, .. } if self.is_server(dial) => {
                self.server_connected(cx, sock);
            }
            Event::Connected { dial, sock, .. } => self.service_connected(cx, dial, sock),
            Event::ConnectFailed { dial, error } if self.is_server(dial) => {
                self.server_unreachable(cx, &error);
            }
            Event::ConnectFailed { dial, error } => self.service_failed(cx, dial, &error),
            Event::Readable(sock) => match cx.tag(sock).map(Kind::of) {
                Some((Kind::Carrier, _)) => self.carrier_readable(cx),
                Some((Kind::Service, key)) => self.service_readable(cx, key),
                _ => {}
            },
            Event::Writable(sock) => match cx.tag(sock).map(Kind::of) {
                Some((Kind::Carrier, _)) => self.carrier_writable(cx),
                Some((Kind::Service, key)) => self.service_writable(cx, key),
                Some((Kind::Stdout, _)) => self.feed_stdout(cx),
                None => {}
            },
            Event::Timer { tag, .. } => self.on_timer(cx, tag),
            Event::Report => self.report(cx),
            Event::Drain(signal) => self.drain(cx, signal),
            Event::Accepted { .. } | Event::Again => {}
            Event::Reload | Event::Reply { .. } => {}
        }
    }
}

/// Descriptors for the server's connection and what else is no client's.
const RESERVE: usize = 8;
/// Reasons that are told apart while there is no session; a server that makes them up can't make us remember more.
const REASONS_MAX: usize = 32;

/// What a socket is to the backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Carrier,
    Service,
    Stdout,
}

impl Kind {
    const ALL: [Self; 3] = [Self::Carrier, Self::Service, Self::Stdout];

    fn tag(self, index: usize) -> u32 {
        pack(self as u32, index)
    }

    fn of(tag: u32) -> (Self, usize) {
        let (kind, index) = unpack(tag);
        (Self::ALL[kind as usize], index)
    }
}

/// What a timer is to the backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tick {
    Stock,
    Retry,
    Hello,
    Deadline,
}

impl Tick {
    const ALL: [Self; 4] = [Self::Stock, Self::Retry, Self::Hello, Self::Deadline];

    fn tag(self, index: usize) -> u32 {
        pack(self as u32, index)
    }

    fn of(tag: u32) -> Self {
        Self::ALL[unpack(tag).0 as usize]
    }
}
