//! The one-way relay: one upstream byte stream, fanned out to any number of receivers.
//!
//! ```text
//!   failover.rs, standby.rs ┐             gate.rs, leader.rs: when, pace.rs, read_size.rs: how much
//!   takeover.rs ────────────┴> upstream.rs ────────> ring ──fanout.rs──> clients.rs: a cursor each ──> outputs.rs
//!                                      records.rs: what of it       ├──> dump.rs
//!                           framed.rs: the same as messages ───────> messages.rs: WebSocket clients
//!
//!   who comes: admission.rs, upgrades.rs   how far behind, how alive: lag.rs   who goes: leaving.rs, ending.rs
//!   who skips: skip.rs   who says nothing: silence.rs   who is pinged: pings.rs   whose socket is whose: tags.rs
//!   who speaks TLS: handshakes.rs, encrypted.rs   what the upstream comes over: conn.rs
//!   who is dialled, and when again: redial.rs   what is said: journal.rs, report.rs   orders: options, config.rs
//!   which of those may change meanwhile: live.rs   what is shown of it: view.rs
//! ```
//!
//! **Invariant.** What a client has received is a contiguous piece of what may be passed on; with `--slow skip`, pieces
//! that begin where records do.
//!
//! **Invariant.** A client is gone only for a [`Reason`], which is counted and logged.
//!
//! **Invariant.** No event costs work proportional to all clients, but for what happens a few times a second at most
//! (stock-taking, a look at those who hold a full ring up) and ends.

mod admission;
mod clients;
pub mod config;
mod conn;
mod dump;
mod encrypted;
mod ending;
mod failover;
mod fanout;
mod framed;
mod gate;
mod handshakes;
mod lag;
mod leader;
mod leaving;
mod live;
mod messages;
pub mod options;
mod outputs;
mod pace;
mod pings;
mod read_size;
mod records;
mod redial;
mod report;
mod silence;
mod skip;
mod standby;
mod tags;
mod takeover;
mod upgrades;
mod upstream;
mod view;

use std::fmt;

use crate::base::ring::Ring;
use crate::base::time::Time;
use crate::base::timeline::Timeline;
use crate::base::wheel::TimerKey;
use crate::reactor::net::{Addr, Peer, SockId};
use crate::reactor::{Cx, End, Event, Role};
use crate::roles::callers::Callers;
use crate::roles::journal::Journal;
use crate::roles::listening::{MAX_CLIENTS, claim};

pub use self::admission::Refusal;
use self::clients::Clients;
use self::config::{RelayConfig, Source};
use self::dump::Dump;
use self::ending::{Flush, Why};
use self::framed::Framed;
pub(crate) use self::gate::ACKS_LOOK_MAX;
use self::gate::Gate;
use self::handshakes::Handshakes;
use self::lag::Sampler;
use self::leader::Leader;
pub use self::leaving::Reason;
use self::outputs::Outlet;
use self::pace::Pace;
use self::read_size::ReadSize;
use self::records::Records;
pub use self::report::Counts;
use self::report::{Rates, STOCK};
use self::standby::Standby;
use self::tags::{Kind, Tick};
pub use self::takeover::CANDIDATES_MAX;
use self::upgrades::Upgrades;
use self::upstream::Upstream;

/// A relay that runs.
///
/// What each message looks at comes first, in memory as here, so that it takes few lines of a processor's cache: by the
/// next message of a thin feed hardly any of it is still there. What few relays have, or only those that end, has a box
/// of its own.
#[repr(C, align(64))]
pub struct Relay {
    ring: Ring,
    timeline: Timeline,
    pace: Pace,
    outputs: Vec<Outlet>,
    /// Clients that the pass under way has still to look at.
    pass: Option<usize>,
    /// The most that one read of the upstream takes, and the least room that is worth one.
    read_max: usize,
    /// Sends that a visit's encrypting was worth, beside those that it made.
    effort: usize,
    /// The same as messages, where a way out is a WebSocket.
    framed: Option<Box<Framed>>,
    dump: Option<Box<Dump>>,
    flush: Option<Box<Flush>>,
    clients: Clients,
    // Some have that at their end, so that it is next to what the one behind has at its beginning.
    gate: Gate,
    upstream: Upstream,
    records: Records,
    counts: Counts,
    read_size: ReadSize,
    leader: Leader,
    config: RelayConfig,
    standby: Standby,
    upgrades: Upgrades,
    /// The ring's head when it was last asked what destinations have acknowledged, for the sake of a fresh start.
    asked_at: u64,
    /// The place in the table of clients that has the next ping.
    next_ping: u32,
    sampler: Sampler,
    /// Looks at those who only have to acknowledge their last bytes.
    poll: Option<TimerKey>,
    callers: Callers,
    /// Why it ends badly, if it does.
    failure: Option<String>,
    rates: Rates,
    /// A timer will show the figures.
    stats_due: bool,
    journal: Journal,
    started: Time,
    /// Where it listens, and for whom.
    bound: Vec<(Addr, Audience)>,
    /// What receivers send goes here, to be forgotten.
    scratch: Box<[u8]>,
    handshakes: Handshakes,
    /// What comes in over TLS goes here, to be decrypted.
    cipher: Box<[u8]>,
}

/// Whom a listener is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Audience {
    Clients,
    WebSockets,
    Upstream,
}

impl Audience {
    /// What those are called who connect there.
    fn word(self) -> &'static str {
        match self {
            Self::Clients => "clients",
            Self::WebSockets => "WebSocket clients",
            Self::Upstream => "the upstream",
        }
    }
}

impl fmt::Display for Audience {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl Relay {
    /// A relay with these orders. It does nothing before its first event.
    pub fn new(config: RelayConfig) -> Self {
        let label = match &config.name {
            Some(name) => format!("relay[{name}]"),
            None => "relay".to_owned(),
        };
        let read_max = READ_MAX.min(config.ring / 4).max(1);
        Self {
            // The room of one read beside what clients may lag, so that a read under way overtakes none of them early.
            ring: Ring::new(config.ring + read_max),
            framed: Framed::of(&config, config.ring + read_max).map(Box::new),
            records: Records::new(config.framing, config.record_max, config.ring),
            timeline: Timeline::new(),
            upstream: Upstream::new(&config),
            standby: Standby::new(config.retry),
            outputs: config
                .outputs
                .iter()
                .map(|output| Outlet::new(output, &config))
                .collect(),
            clients: Clients::new(),
            upgrades: Upgrades::default(),
            dump: None,
            pass: None,
            pace: Pace::new(),
            read_size: ReadSize::new(read_max),
            asked_at: 0,
            next_ping: 0,
            gate: Gate::default(),
            leader: Leader::default(),
            sampler: Sampler::new(&config),
            flush: None,
            poll: None,
            callers: Callers::default(),
            failure: None,
            counts: Counts::default(),
            rates: Rates::default(),
            stats_due: false,
            journal: Journal::new(label),
            started: Time::ZERO,
            bound: Vec::new(),
            read_max,
            scratch: vec![0; SCRATCH].into_boxed_slice(),
            handshakes: Handshakes::default(),
            cipher: encrypted::room(&config, read_max),
            effort: 0,
            config,
        }
    }

    /// What it has counted so far.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Where it listens for clients, by the real addresses.
    pub fn listens_at(&self) -> impl Iterator<Item = &Addr> {
        let for_clients = |(_, what): &&(Addr, Audience)| *what == Audience::Clients;
        self.bound.iter().filter(for_clients).map(|(at, _)| at)
    }

    /// Who its clients are.
    pub fn client_peers(&self) -> impl Iterator<Item = Peer> {
        self.clients.iter().map(|(_, client)| client.peer)
    }

    /// How many clients it has.
    pub fn client_count(&self) -> usize {
        self.clients.len()
    }

    /// The sockets of its clients.
    pub fn client_sockets(&self) -> impl Iterator<Item = SockId> {
        self.clients.iter().map(|(_, client)| client.sock)
    }

    /// Each client's socket and the offset of the next byte that it gets.
    pub fn cursors(&self) -> impl Iterator<Item = (SockId, u64)> {
        self.clients
            .iter()
            .map(|(_, client)| (client.sock, client.cursor))
    }

    /// Every socket that it knows.
    pub fn sockets(&self) -> impl Iterator<Item = SockId> {
        let dump = self.dump.iter().map(|dump| dump.sock());
        let outputs = self.outputs.iter().flat_map(Outlet::listeners);
        self.client_sockets()
            .chain(self.upstream.sockets())
            .chain(self.standby_socket())
            .chain(outputs)
            .chain(self.upgrades.sockets())
            .chain(dump)
            .chain(self.handshakes.sockets())
    }

    /// Whether it has begun to end.
    pub fn is_ending(&self) -> bool {
        self.flush.is_some()
    }

    /// Whether some clients have still to be sent what was read last, in visits to come.
    pub fn is_passing(&self) -> bool {
        self.pass.is_some()
    }

    /// Panics where the relay's books do not agree with each other. For tests and the simulator, between events.
    pub fn check_invariants(&self) {
        self.clients
            .check_invariants(self.ring.tail(), self.records.whole());
        self.check_messages();
        let retaining = self.outputs.iter().filter_map(|outlet| outlet.retaining());
        for client in retaining.filter_map(|id| self.clients.get(id)) {
            let kept = client.acked >= self.ring.tail();
            assert!(kept, "what was not acknowledged was overwritten");
        }
        for outlet in &self.outputs {
            assert!(
                outlet
                    .parked()
                    .is_none_or(|parked| parked >= self.ring.tail()),
                "bytes that wait were overwritten"
            );
            assert!(
                outlet.parked().is_none() || outlet.taking == 0,
                "bytes are parked beside a client that takes them"
            );
        }
    }

    fn start(&mut self, cx: &mut Cx<'_>) -> Result<(), String> {
        self.started = cx.now();
        self.bind_upstream(cx)?;
        self.bind_outputs(cx)?;
        self.limit_clients(cx)?;
        self.start_dump(cx)?;
        for (at, what) in &self.bound {
            self.journal.info(format!("listening on {at} for {what}"));
        }
        self.warn_of_insecurity(cx);
        self.start_outputs(cx)?;
        self.start_upstream(cx)?;
        self.start_pings(cx);
        self.rates.sample(cx.now(), &self.counts);
        cx.timer(STOCK, Tick::Stock.tag(0));
        self.sample_lag(cx);
        self.begin_stats(cx);
        self.refresh_gate(cx);
        Ok(())
    }

    /// Keeps descriptors back for upstreams and retries.
    fn limit_clients(&mut self, cx: &mut Cx<'_>) -> Result<(), String> {
        let silent = match self.config.source {
            Source::Listen(_) => CANDIDATES_MAX,
            Source::Dial(_) | Source::Stdin => 0,
        };
        let dialled = self.outputs.iter().filter(|outlet| outlet.is_dialled());
        let (dialled, all) = (dialled.count(), self.outputs.len());
        let asked = match dialled == all {
            true => Some(0),
            false => self.config.max_clients,
        };
        let needs = UPSTREAMS + dialled;
        claim(cx, (asked, MAX_CLIENTS), RESERVE + silent, needs)
    }

    fn stock(&mut self, cx: &mut Cx<'_>) {
        let now = cx.now();
        self.rates.sample(now, &self.counts);
        self.probe_half_closed(cx);
        self.watch_silence(cx);
        self.watch_held(cx);
        self.shed_stalled(cx);
        self.watch_end(now);
        if !self.upstream.accepting {
            self.upstream.set_accepting(cx, true);
        }
        self.journal.tick(now);
        cx.timer(STOCK, Tick::Stock.tag(0));
    }

    #[inline(never)]
    fn on_timer(&mut self, cx: &mut Cx<'_>, tag: u32) {
        let (tick, index) = Tick::of(tag);
        match tick {
            Tick::Stock => self.stock(cx),
            Tick::Stats => {
                self.stats_due = false;
                self.begin_stats(cx);
            }
            Tick::UpstreamRetry => self.dial_upstream(cx),
            Tick::OutputRetry => self.dial_output(cx, index as usize),
            Tick::StandbyRetry => self.dial_standby(cx),
            Tick::StandbyIdle => self.look_at_standby(cx),
            Tick::Idle => self.look_at_idle(cx),
            Tick::Sample => self.sample_lag(cx),
            Tick::Hold => self.look_at_held(cx),
            Tick::Ahead => self.look_at_leader(cx),
            Tick::Acks => self.look_at_acks(cx),
            Tick::Poll => self.poll_finishing(cx),
            Tick::Upgrade => self.upgrade_overdue(cx, index),
            Tick::Deadline => self.cut(cx),
            Tick::Handshake => self.handshake_overdue(cx, index),
            Tick::Ping => self.ping_clients(cx),
        }
    }

    /// One kind of them comes in all the time; see [`Relay::other_readable`] for the rest.
    fn on_readable(&mut self, cx: &mut Cx<'_>, sock: SockId) {
        match cx.tag(sock) {
            Some(tag) if tag == Kind::Upstream.tag(0) => self.upstream_readable(cx, sock),
            Some(tag) => self.other_readable(cx, sock, tag),
            None => {}
        }
    }

    /// Never merged into what each message goes through, nor is what else comes seldom: that is to lie close together.
    #[inline(never)]
    fn other_readable(&mut self, cx: &mut Cx<'_>, sock: SockId, tag: u32) {
        let (kind, index) = Kind::of(tag);
        match kind {
            Kind::Client => {
                if let Some(id) = self.clients.at(index) {
                    self.client_readable(cx, id);
                }
            }
            Kind::Upgrade => self.upgrade_readable(cx, index),
            Kind::Upstream => self.upstream_readable(cx, sock),
            Kind::Standby => self.standby_readable(cx, sock),
            Kind::Dump => {
                // Nobody sends anything from there but the end.
                match cx.read(sock, &mut self.scratch) {
                    Ok(None) => {}
                    Ok(Some(_)) => self.end_dump(cx, None),
                    Err(error) => self.end_dump(cx, Some(&error)),
                }
            }
            Kind::Handshake => self.handshake_ready(cx, index),
            Kind::UpstreamListener | Kind::OutputListener => {}
        }
    }

    #[inline(never)]
    fn on_writable(&mut self, cx: &mut Cx<'_>, sock: SockId) {
        match cx.tag(sock).map(Kind::of) {
            Some((Kind::Client, index)) => {
                if let Some(id) = self.clients.at(index) {
                    self.client_writable(cx, id);
                }
            }
            Some((Kind::Upstream | Kind::Standby, _)) => self.greet_upstream(cx, sock),
            Some((Kind::Upgrade, index)) => self.upgrade_writable(cx, index),
            Some((Kind::Dump, _)) => self.feed_dump(cx),
            Some((Kind::Handshake, index)) => self.handshake_ready(cx, index),
            _ => {}
        }
    }
}

impl Role for Relay {
    fn on(&mut self, cx: &mut Cx<'_>, event: Event) {
        match event {
            Event::Readable(sock) => {
                // Nothing in it is to be dropped, and what drops events of any kind need not be called to find that.
                std::mem::forget(event);
                self.on_readable(cx, sock);
            }
            event => self.on_other(cx, event),
        }
    }
}

impl Relay {
    #[inline(never)]
    fn on_other(&mut self, cx: &mut Cx<'_>, event: Event) {
        match event {
            Event::Start => {
                if let Err(text) = self.start(cx) {
                    cx.finish(End::Failed(text));
                }
            }
            Event::Accepted {
                listener,
                sock,
                peer,
            } => match cx.tag(listener).map(Kind::of) {
                Some((Kind::OutputListener, index)) => {
                    self.client_accepted(cx, index as usize, sock, peer)
                }
                _ => self.upstream_accepted(cx, sock, peer),
            },
            Event::Connected { dial, sock, peer } => self.dial_reached(cx, dial, sock, peer),
            Event::ConnectFailed { dial, error } => self.dial_failed(cx, dial, &error),
            Event::Readable(sock) => self.on_readable(cx, sock),
            Event::Writable(sock) => self.on_writable(cx, sock),
            Event::Timer { tag, .. } => self.on_timer(cx, tag),
            Event::Again => {
                self.go_on(cx);
                self.admit_granted(cx);
            }
            Event::Reload | Event::Reply { .. } => {}
            Event::Report => self.report(cx),
            Event::Drain(signal) => self.begin_flush(cx, Why::Stopped(signal)),
        }
    }
}

/// The most that one read takes. Measured: 1 MiB is never better by more than a fiftieth, and worse by a third with ten
/// clients.
const READ_MAX: usize = 512 << 10;
const SCRATCH: usize = 16 << 10;
/// Descriptors that clients leave to retries and to the process itself, beside those of upstreams that say nothing.
const RESERVE: usize = 32;
/// An upstream's, and that of the one that comes after it.
const UPSTREAMS: usize = 2;
