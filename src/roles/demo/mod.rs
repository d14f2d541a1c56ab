//! The demonstration: a feed, a client that shows what it gets, and one that stops reading; the relay between them is
//! a role of its own.
//!
//! ```text
//!   feed.rs ──> the relay ──> the viewer ──record.rs──> tally.rs ──> screen.rs
//!                    └──────> the staller
//! ```
//!
//! It knows nothing of relays but what it sees on its sockets and what the owner of the loop tells it: where to dial
//! ([`Demo::begin`]) and who is connected there ([`Demo::crowd`]).
//!
//! **Invariant.** Every figure on the screen was measured: delays end where a whole record has been read, and losses
//! are gaps between the numbers in the records.

mod feed;
mod record;
mod screen;
mod tally;

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use crate::base::endpoint::{Endpoint, Host};
use crate::base::repeats::Rate;
use crate::base::time::Time;
use crate::base::units::{Count, Span};
use crate::reactor::net::{Close, Signal, SockId};
use crate::reactor::{Cx, DialError, DialId, End, Event, Role, plain};

use self::feed::Feed;
use self::record::Scanner;
use self::screen::Screen;
use self::tally::{Millis, Tally};

/// What the demo finds around itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setup {
    /// How the user would type this program's name.
    pub program: String,
    /// Stdout is a terminal: the demo runs until somebody ends it. Elsewhere it ends by itself, and hurries.
    pub terminal: bool,
}

/// The relay's clients, as the owner of the loop sees them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Crowd {
    /// Who is connected.
    pub clients: BTreeSet<SocketAddr>,
    /// What became of those who are not any more: "left", or "dropped (lagging)".
    pub gone: String,
}

/// A demonstration that runs.
pub struct Demo {
    setup: Setup,
    screen: Option<Screen>,
    feed: Feed,
    feed_at: Option<SocketAddr>,
    relay_at: Option<SocketAddr>,
    viewer: Client,
    scanner: Scanner,
    tally: Tally,
    /// The second of the latest record that was shown.
    shown: u64,
    staller: Client,
    stalled: Option<Time>,
    known: BTreeSet<SocketAddr>,
    latest: Crowd,
    news: Rate,
    ending: Option<Ending>,
    buffer: Box<[u8]>,
}

/// One of the demo's own clients.
#[derive(Debug, Default)]
struct Client {
    dial: Option<DialId>,
    sock: Option<SockId>,
    at: Option<SocketAddr>,
}

/// Why a demonstration ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// Somebody asked for it.
    Signal(Signal),
    /// It has shown everything, and nobody is there who could end it.
    OutOfTime,
}

/// An end that is under way: the viewer reads what is still on its way, then the last words are said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Ending {
    why: Stop,
    said: bool,
}

impl Demo {
    /// A demonstration. It does nothing before its first event.
    pub fn new(setup: Setup) -> Self {
        Self {
            setup,
            screen: None,
            feed: Feed::default(),
            feed_at: None,
            relay_at: None,
            viewer: Client::default(),
            scanner: Scanner::default(),
            tally: Tally::default(),
            shown: 0,
            staller: Client::default(),
            stalled: None,
            known: BTreeSet::new(),
            latest: Crowd::default(),
            news: Rate::new(NEWS_A_SECOND),
            ending: None,
            buffer: vec![0; BUFFER].into_boxed_slice(),
        }
    }

    /// Where the feed listens, once it does.
    pub fn feed_at(&self) -> Option<SocketAddr> {
        self.feed_at
    }

    /// Why it is about to end, if it is.
    pub fn stop(&self) -> Option<Stop> {
        self.ending.map(|ending| ending.why)
    }

    /// The relay listens at `at`; `command` would start one like it, and `console` shows it. Says so, and sends the
    /// clients there.
    pub fn begin(&mut self, cx: &mut Cx<'_>, at: SocketAddr, command: &str, console: Option<&str>) {
        self.relay_at = Some(at);
        self.say(cx, &opening(&self.setup, at, command, console));
        let to = Endpoint::Tcp {
            host: Host::Ip(at.ip()),
            port: at.port(),
            tls: false,
        };
        self.viewer.dial = Some(cx.dial(&to, DIAL_TIMEOUT));
        self.staller.dial = Some(cx.dial(&to, DIAL_TIMEOUT));
        self.feed.begin(cx);
        if self.setup.terminal {
            cx.timer(STALL, Tick::Stall as u32);
        } else {
            cx.timer(STALL_IN_A_HURRY, Tick::Stall as u32);
            cx.timer(LENGTH, Tick::Over as u32);
        }
    }

    /// The relay's clients are others than they were.
    pub fn crowd(&mut self, cx: &mut Cx<'_>, crowd: Crowd) {
        self.latest = crowd;
        self.tell_crowd(cx);
    }

    fn start(&mut self, cx: &mut Cx<'_>) -> Result<(), String> {
        let screen = Screen::open(cx)
            .map_err(|error| format!("can't write to stdout: {}", plain(&error)))?;
        self.screen = Some(screen);
        let at = self
            .feed
            .open(cx)
            .map_err(|error| format!("can't listen on 127.0.0.1: {}", plain(&error)))?;
        self.feed_at = Some(at);
        Ok(())
    }

    fn connected(&mut self, cx: &mut Cx<'_>, dial: DialId, sock: SockId) {
        let is_viewer = self.viewer.dial == Some(dial);
        let (client, kind) = match is_viewer {
            true => (&mut self.viewer, Kind::Viewer),
            false => (&mut self.staller, Kind::Staller),
        };
        *client = Client {
            dial: None,
            sock: Some(sock),
            at: cx.local(sock),
        };
        cx.set_tag(sock, kind as u32);
        cx.want_read(sock, is_viewer || self.stalled.is_none());
        self.tell_crowd(cx);
    }

    fn connect_failed(&mut self, cx: &mut Cx<'_>, error: &DialError) {
        match self.ending {
            Some(_) => self.conclude(cx),
            None => cx.finish(End::Failed(format!("the demo's own relay {error}"))),
        }
    }

    fn view(&mut self, cx: &mut Cx<'_>, sock: SockId) {
        match cx.read(sock, &mut self.buffer) {
            Ok(None) => {}
            Ok(Some(n)) if n > 0 => self.take(cx, n),
            _ if self.ending.is_some() => {
                self.viewer.sock = None;
                cx.close(sock, Close::Orderly);
                self.conclude(cx);
            }
            _ => cx.finish(End::Failed("the relay closed the demo's client".to_owned())),
        }
    }

    /// Takes in what the viewer has read.
    fn take(&mut self, cx: &mut Cx<'_>, n: usize) {
        let now = cx.clock();
        let (tally, mut latest) = (&mut self.tally, None);
        self.scanner.feed(&self.buffer[..n], |record| {
            let delay = tally.see(&record, now);
            latest = Some((record.text, delay));
        });
        let Some((text, delay)) = latest else { return };
        let elapsed = self
            .screen
            .as_ref()
            .map_or(0, |screen| screen.elapsed(cx.now()).as_secs());
        if elapsed > self.shown && self.ending.is_none() {
            self.shown = elapsed;
            self.tell(cx, &format!("{text}   delay {}", Millis(delay)));
            if let Some(missed) = self.news.missed(now) {
                self.tell(cx, &format!("+- {missed} more came or went"));
            }
        }
    }

    /// Time for the second client to stop reading.
    fn stall(&mut self, cx: &mut Cx<'_>) {
        if self.ending.is_some() {
            return;
        }
        self.stalled = Some(cx.now());
        self.tally.restart_worst();
        if let Some(sock) = self.staller.sock {
            cx.want_read(sock, false);
        }
        self.tell(cx, "! a demo client stops reading");
    }

    /// Reads for the second client, and forgets it.
    fn discard(&mut self, cx: &mut Cx<'_>, sock: SockId) {
        if matches!(cx.read(sock, &mut self.buffer), Ok(Some(0)) | Err(_)) {
            cx.want_read(sock, false);
        }
    }

    /// Tells who came and who went, once it is known which of the relay's clients are the demo's own.
    fn tell_crowd(&mut self, cx: &mut Cx<'_>) {
        let (Some(viewer), Some(staller)) = (self.viewer.at, self.staller.at) else {
            return;
        };
        if self.ending.is_some() {
            return;
        }
        let Crowd { clients, gone } = std::mem::take(&mut self.latest);
        let before = std::mem::replace(&mut self.known, clients.clone());
        let now = cx.now();
        let count = Count(clients.len(), "client");
        for at in before.difference(&clients) {
            if *at == staller {
                self.tell_dropped(cx, &gone);
            } else if *at != viewer && self.news.admit(now) {
                self.tell(cx, &format!("- {at} {gone} ({count})"));
            }
        }
        for at in clients.difference(&before) {
            if ![viewer, staller].contains(at) && self.news.admit(now) {
                self.tell(cx, &format!("+ you: {at} ({count})"));
            }
        }
        self.latest = Crowd { clients, gone };
    }

    fn tell_dropped(&mut self, cx: &mut Cx<'_>, gone: &str) {
        if let Some(sock) = self.staller.sock.take() {
            cx.close(sock, Close::Orderly);
        }
        let text = match self.stalled {
            Some(since) => {
                let (after, worst) = (cx.now().since(since), Millis(self.tally.worst()));
                format!(
                    "! {gone} after {}; worst delay here meanwhile: {worst}",
                    Span(after)
                )
            }
            None => format!("! a demo client {gone}"),
        };
        self.tell(cx, &text);
    }

    /// The end begins: the viewer gets what is still on its way, for a moment.
    fn end(&mut self, cx: &mut Cx<'_>, why: Stop) {
        if self.ending.is_some() {
            return;
        }
        self.ending = Some(Ending { why, said: false });
        cx.timer(PATIENCE, Tick::Last as u32);
        for client in [&self.viewer, &self.staller] {
            if let Some(dial) = client.dial {
                cx.cancel_dial(dial);
            }
        }
        if let Some(sock) = self.staller.sock.take() {
            cx.close(sock, Close::Orderly);
        }
        if self.viewer.sock.is_none() {
            self.conclude(cx);
        }
    }

    /// The last words.
    fn conclude(&mut self, cx: &mut Cx<'_>) {
        let Some(ending) = &mut self.ending else {
            return;
        };
        if std::mem::replace(&mut ending.said, true) {
            return;
        }
        // A terminal has shown a ^C.
        let interrupted = ending.why == Stop::Signal(Signal::Interrupt) && self.setup.terminal;
        let new_line = if interrupted { "\n" } else { "" };
        let text = format!(
            "{new_line}{}\nYour own feed: hydrant HOST:PORT :6000",
            self.tally
        );
        self.say(cx, &text);
        if let Some(screen) = &mut self.screen {
            let finished = screen.finish(cx);
            self.mind(cx, finished);
        }
    }

    fn say(&mut self, cx: &mut Cx<'_>, text: &str) {
        if let Some(screen) = &mut self.screen {
            let said = screen.say(cx, format_args!("{text}"));
            self.mind(cx, said);
        }
    }

    fn tell(&mut self, cx: &mut Cx<'_>, text: &str) {
        if let Some(screen) = &mut self.screen {
            let said = screen.news(cx, format_args!("{text}"));
            self.mind(cx, said);
        }
    }

    /// A stdout that nobody reads is the end, and no mistake; one that can't be written is.
    fn mind(&mut self, cx: &mut Cx<'_>, said: io::Result<()>) {
        let Err(error) = said else { return };
        self.screen = None;
        cx.finish(match error.kind() {
            io::ErrorKind::BrokenPipe => End::Done,
            _ => End::Failed(format!("can't write to stdout: {}", plain(&error))),
        });
    }

    fn on_readable(&mut self, cx: &mut Cx<'_>, sock: SockId) {
        match cx.tag(sock).and_then(Kind::of) {
            Some(Kind::Viewer) => self.view(cx, sock),
            Some(Kind::Staller) => self.discard(cx, sock),
            Some(Kind::Receiver) => self.feed.readable(cx, sock),
            Some(Kind::Stdout) => {
                let Some(screen) = &mut self.screen else {
                    return;
                };
                match screen.readable(cx) {
                    Ok(true) => cx.finish(End::Done),
                    Ok(false) => {}
                    Err(error) => self.mind(cx, Err(error)),
                }
            }
            Some(Kind::Listener) | None => {}
        }
    }

    fn on_writable(&mut self, cx: &mut Cx<'_>, sock: SockId) {
        match (cx.tag(sock).and_then(Kind::of), &mut self.screen) {
            (Some(Kind::Receiver), _) => self.feed.writable(cx, sock),
            (Some(Kind::Stdout), Some(screen)) => {
                let written = screen.writable(cx);
                self.mind(cx, written);
            }
            _ => {}
        }
    }

    fn on_timer(&mut self, cx: &mut Cx<'_>, tag: u32) {
        match Tick::of(tag) {
            Some(Tick::Beat) if self.ending.is_none() => self.feed.beat(cx),
            Some(Tick::Stall) => self.stall(cx),
            Some(Tick::Over) => self.end(cx, Stop::OutOfTime),
            // Whatever the viewer or stdout still waits for, it has had its time.
            Some(Tick::Last) if self.ending.is_some_and(|ending| ending.said) => {
                cx.finish(End::Done)
            }
            Some(Tick::Last) => {
                cx.timer(PATIENCE, Tick::Last as u32);
                self.conclude(cx);
            }
            Some(Tick::Beat) | None => {}
        }
    }
}

impl Role for Demo {
    #[inline(never)]
    fn on(&mut self, cx: &mut Cx<'_>, event: Event) {
        match event {
            Event::Start => {
                if let Err(text) = self.start(cx) {
                    cx.finish(End::Failed(text));
                }
            }
            Event::Accepted { sock, .. } => self.feed.accepted(cx, sock),
            Event::Connected { dial, sock, .. } => self.connected(cx, dial, sock),
            Event::ConnectFailed { error, .. } => self.connect_failed(cx, &error),
            Event::Readable(sock) => self.on_readable(cx, sock),
            Event::Writable(sock) => self.on_writable(cx, sock),
            Event::Timer { tag, .. } => self.on_timer(cx, tag),
            Event::Drain(signal) => self.end(cx, Stop::Signal(signal)),
            Event::Again | Event::Reload | Event::Report | Event::Reply { .. } => {}
        }
    }
}

/// What a socket is to the demo. It stands on the socket, in its tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Listener,
    Receiver,
    Viewer,
    Staller,
    Stdout,
}

impl Kind {
    const ALL: [Self; 5] = [
        Self::Listener,
        Self::Receiver,
        Self::Viewer,
        Self::Staller,
        Self::Stdout,
    ];

    fn of(tag: u32) -> Option<Self> {
        Self::ALL.get(tag as usize).copied()
    }
}

/// What a timer is to the demo.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tick {
    Beat,
    Stall,
    Over,
    Last,
}

impl Tick {
    const ALL: [Self; 4] = [Self::Beat, Self::Stall, Self::Over, Self::Last];

    fn of(tag: u32) -> Option<Self> {
        Self::ALL.get(tag as usize).copied()
    }
}

/// The first words.
fn opening(setup: &Setup, at: SocketAddr, command: &str, console: Option<&str>) -> String {
    let until = match setup.terminal {
        true => "Ctrl-C ends.".to_owned(),
        false => format!("Ends after {}.", Span(LENGTH)),
    };
    let console = console.map_or_else(String::new, |url| {
        format!("  console {url} (= hydrant console)\n")
    });
    format!(
        "hydrant demo: timing feed, 5 records/s, this machine only. {until}\n  \
         relay {at} (= {command})\n{console}\
         Attach from another terminal:\n  \
         {} {at} -\n",
        setup.program
    )
}

/// Off a terminal: how long it lasts.
const LENGTH: Duration = Duration::from_secs(10);
/// When the second client stops reading.
const STALL: Duration = Duration::from_secs(10);
const STALL_IN_A_HURRY: Duration = Duration::from_secs(2);
/// How long the end waits for the viewer's last bytes, and then for stdout.
const PATIENCE: Duration = Duration::from_secs(1);
const DIAL_TIMEOUT: Duration = Duration::from_secs(5);
/// Joins and leaves that are told one by one.
const NEWS_A_SECOND: u32 = 10;
const BUFFER: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_opening_fits_a_terminal() {
        let at = SocketAddr::from(([127, 0, 0, 1], 40_707));
        let command = "hydrant 127.0.0.1:41017 127.0.0.1:40707 --max-lag 3s";
        let mut setup = Setup {
            program: "./hydrant".to_owned(),
            terminal: false,
        };
        let lines = "\
hydrant demo: timing feed, 5 records/s, this machine only. Ends after 10 s.
  relay 127.0.0.1:40707 (= hydrant 127.0.0.1:41017 127.0.0.1:40707 --max-lag 3s)
  console http://127.0.0.1:7700/ (= hydrant console)
Attach from another terminal:
  ./hydrant 127.0.0.1:40707 -
";
        let console = Some("http://127.0.0.1:7700/");
        assert_eq!(opening(&setup, at, command, console), lines);
        assert!(lines.lines().all(|line| line.len() <= 80));
        setup.terminal = true;
        assert!(opening(&setup, at, command, None).contains("only. Ctrl-C ends.\n"));
    }

    #[test]
    fn tags_come_back_as_they_were() {
        for kind in Kind::ALL {
            assert_eq!(Kind::of(kind as u32), Some(kind));
        }
        for tick in Tick::ALL {
            assert_eq!(Tick::of(tick as u32), Some(tick));
        }
        assert_eq!((Kind::of(5), Tick::of(4)), (None, None));
    }
}
