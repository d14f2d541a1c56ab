//! The connection to the server: the hello, or the way of those who know none; and the session behind it.

use std::io;
use std::time::Duration;

use super::address::ADDRESS;
use super::{Expose, Kind, State, Tick};
use crate::base::time::Time;
use crate::base::units::{Span, Typed};
use crate::base::wheel::TimerKey;
use crate::proto::hello::{Answer, Asking, Code, Fault, Hello};
use crate::proto::tls::looks_like_tls;
use crate::proto::yamux::{Event, GoAway, Session, Side, StreamId};
use crate::reactor::net::{Close, SockId};
use crate::reactor::{Cx, DialError, plain};
use crate::roles::link::{Link, tls_error};
use crate::roles::pump::Mux;

/// A connection to the server.
pub(super) struct Connection {
    pub(super) stage: Stage,
    pub(super) since: Time,
}

pub(super) enum Stage {
    /// The hello is under way.
    Greeting(Greeting),
    /// The session is up.
    Up(Box<Up>),
}

pub(super) struct Greeting {
    link: Link,
    asking: Asking,
    /// What is still to be sent.
    out: Vec<u8>,
    /// It has said something that is a hello's.
    answered: bool,
    timer: TimerKey,
}

pub(super) struct Up {
    pub(super) mux: Mux,
    /// Each stream begins with its client's address.
    client_address: bool,
    /// The stream on which a server that knows no hello says where the public side is, and what it has said so far.
    pub(super) address: Option<(StreamId, Vec<u8>)>,
    /// The server takes the backend for gone once its clients are.
    pub(super) leaving: bool,
}

impl Connection {
    pub(super) fn link(&self) -> &Link {
        match &self.stage {
            Stage::Greeting(greeting) => &greeting.link,
            Stage::Up(up) => up.mux.carrier(),
        }
    }

    fn link_mut(&mut self) -> &mut Link {
        match &mut self.stage {
            Stage::Greeting(greeting) => &mut greeting.link,
            Stage::Up(up) => up.mux.carrier_mut(),
        }
    }

    pub(super) fn mux(&mut self) -> Option<&mut Mux> {
        match &mut self.stage {
            Stage::Greeting(_) => None,
            Stage::Up(up) => Some(&mut up.mux),
        }
    }

    /// Whether its session is up.
    pub(super) fn is_up(&self) -> bool {
        matches!(self.stage, Stage::Up(_))
    }

    /// Closes it, whatever is under way.
    pub(super) fn abandon(&mut self, cx: &mut Cx<'_>) {
        match &mut self.stage {
            Stage::Greeting(greeting) => cx.cancel(greeting.timer),
            Stage::Up(up) => {
                // Whatever there is to say about it, once.
                let _ = up.mux.flush(cx);
            }
        }
        self.link_mut().close(cx, Close::Orderly);
    }

    pub(super) fn client_address(&self) -> bool {
        matches!(&self.stage, Stage::Up(up) if up.client_address)
    }

    pub(super) fn go_away(&mut self, cx: &mut Cx<'_>) {
        if let Stage::Up(up) = &mut self.stage {
            up.mux.session.go_away(GoAway::Normal);
            up.mux.say(cx);
        }
    }

    pub(super) fn status(&self, now: Time) -> String {
        format!("UP {}", Span(now.since(self.since)))
    }

    /// So many bytes are in the queues of its streams.
    pub(super) fn check_invariants(&self, queued: usize) {
        let held = match &self.stage {
            Stage::Greeting(_) => 0,
            Stage::Up(up) => {
                up.mux.check_invariants();
                up.mux.held()
            }
        };
        assert_eq!(queued, held, "what the session holds");
    }
}

impl Expose {
    pub(super) fn server_connected(&mut self, cx: &mut Cx<'_>, sock: SockId) {
        let mut link = match Link::dialled(cx, sock, &self.config.server, &self.config.tls) {
            Ok(link) => link,
            Err(error) => {
                cx.close(sock, Close::Orderly);
                return self.server_unreachable(cx, &DialError::Layer(error));
            }
        };
        cx.set_tag(sock, Kind::Carrier.tag(0));
        link.want_read(cx, true);
        if let Some(idle) = self.config.keepalive {
            cx.set_keepalive(sock, super::super::keepalive(idle));
        }
        if std::mem::take(&mut self.speaks_plain) {
            return self.begin_session(cx, link, None);
        }
        let nonce = cx.nonce();
        let hello = Hello {
            name: self.config.name.clone(),
            port: self.config.port.unwrap_or(self.last_port),
            client_address: true,
        };
        let (asking, out) = Asking::new(&hello, nonce, self.config.token.clone());
        let greeting = Greeting {
            link,
            asking,
            out,
            answered: false,
            timer: cx.timer(HELLO_TIMEOUT, Tick::Hello.tag(0)),
        };
        self.state = State::Connected(Box::new(Connection {
            stage: Stage::Greeting(greeting),
            since: cx.now(),
        }));
        self.carrier_writable(cx);
    }

    /// From now on it is yamux. `client_address`: what the hello has settled; `None`: there was none.
    fn begin_session(&mut self, cx: &mut Cx<'_>, link: Link, client_address: Option<bool>) {
        let limits = super::super::limits(self.config.max_streams);
        let mut mux = Mux::new(Session::new(Side::Client, limits, cx.now()), link);
        let address = match client_address {
            Some(_) => None,
            None => mux.session.open(cx.now(), ADDRESS).ok(),
        };
        if client_address != Some(true) && self.config.proxy_protocol.is_some() {
            let server = &self.config.server;
            let text = format!(
                "server {server} does not say who its clients are, so --proxy-protocol can't tell the service either"
            );
            self.journal.warn(cx.now(), "unknown-clients", text);
        }
        mux.session.ping(cx.now());
        mux.say(cx);
        self.state = State::Connected(Box::new(Connection {
            stage: Stage::Up(Box::new(Up {
                mux,
                client_address: client_address == Some(true),
                address: address.map(|stream| (stream, Vec::new())),
                leaving: false,
            })),
            since: cx.now(),
        }));
    }

    pub(super) fn hello_overdue(&mut self, cx: &mut Cx<'_>) {
        if let State::Connected(connection) = &self.state
            && let Stage::Greeting(_) = connection.stage
        {
            self.lose_server(cx, "does not answer the hello");
        }
    }

    pub(super) fn carrier_writable(&mut self, cx: &mut Cx<'_>) {
        let State::Connected(connection) = &mut self.state else {
            return;
        };
        let written = match &mut connection.stage {
            Stage::Greeting(greeting) => {
                let written = greeting.link.write(cx, [&greeting.out, &[]]);
                written.map(|count| {
                    greeting.out.drain(..count);
                    greeting.link.want_write(cx, !greeting.out.is_empty());
                    Vec::new()
                })
            }
            Stage::Up(up) => up.mux.flush(cx),
        };
        match written {
            Ok(resumed) => {
                for key in resumed {
                    self.resume_stream(cx, key as usize);
                }
                self.finish_if_drained(cx);
            }
            Err(error) => self.carrier_failed(cx, &error),
        }
    }

    pub(super) fn carrier_readable(&mut self, cx: &mut Cx<'_>) {
        let State::Connected(connection) = &mut self.state else {
            return;
        };
        let mut scratch = std::mem::take(&mut self.scratch);
        match connection.link_mut().read(cx, &mut scratch) {
            Ok(None) => {}
            Ok(Some(0)) => self.carrier_ended(cx),
            Ok(Some(count)) => self.feed(cx, &scratch[..count]),
            Err(error) => self.carrier_failed(cx, &error),
        }
        self.scratch = scratch;
    }

    fn feed(&mut self, cx: &mut Cx<'_>, bytes: &[u8]) {
        let mut rest = bytes;
        while let State::Connected(connection) = &mut self.state {
            match &mut connection.stage {
                Stage::Up(_) => return self.feed_session(cx, rest),
                Stage::Greeting(greeting) => {
                    if !greeting.answered && looks_like_tls(bytes) {
                        return self.lose_server(cx, "speaks TLS: write tls:// before it");
                    }
                    if !greeting.answered && bytes[0] == 0 {
                        return self.carrier_broken(cx, "knows no hello");
                    }
                    greeting.answered = true;
                    match greeting.asking.feed(&mut rest) {
                        Ok(None) => return,
                        Ok(Some(answer)) => self.on_answer(cx, answer),
                        Err(fault) => return self.on_fault(cx, fault),
                    }
                }
            }
        }
    }

    fn on_answer(&mut self, cx: &mut Cx<'_>, answer: Answer) {
        let State::Connected(connection) = &mut self.state else {
            return;
        };
        let Stage::Greeting(greeting) = &mut connection.stage else {
            return;
        };
        match answer {
            Answer::Prove(proof) => {
                greeting.out.extend(proof);
                self.knows_hello = true;
                if self.config.token.is_none() && self.config.name.is_some() {
                    // The server may have to find out whether the name's holder is alive.
                    cx.cancel(greeting.timer);
                    greeting.timer = cx.timer(NAME_TIMEOUT, Tick::Hello.tag(0));
                }
                self.carrier_writable(cx);
            }
            Answer::Accepted {
                public,
                client_address,
                ..
            } => {
                cx.cancel(greeting.timer);
                if let State::Connected(connection) =
                    std::mem::replace(&mut self.state, State::Ended)
                    && let Stage::Greeting(greeting) = connection.stage
                {
                    self.begin_session(cx, greeting.link, Some(client_address));
                }
                self.up(cx, &public);
            }
            Answer::Refused { code, text } => {
                if code == Code::Port && self.config.port.is_none() {
                    // The one that it had is gone; any other will do.
                    self.last_port = 0;
                }
                let plain = |c: char| if c.is_control() { '?' } else { c };
                let why = format!("refuses: {}", text.chars().map(plain).collect::<String>());
                self.lose_server(cx, &why);
            }
        }
    }

    fn on_fault(&mut self, cx: &mut Cx<'_>, fault: Fault) {
        let why = match fault {
            Fault::Malformed(why) => format!("is not hydrant, or broken: {why}"),
            Fault::Version(version) => format!("speaks version {version} of the hello"),
            Fault::NoProofAsked => {
                "asks for no proof, though --token-file is given: it may be somebody else's".into()
            }
            Fault::NoToken => "asks for a token: add --name NAME and --token-file FILE".into(),
            Fault::Imposter => "does not hold the token itself: it is not whom we look for".into(),
        };
        self.lose_server(cx, &why);
    }

    /// The connection can't be used. What TLS has against it is no reason to try the way of those who know no hello.
    fn carrier_failed(&mut self, cx: &mut Cx<'_>, error: &io::Error) {
        match tls_error(error) {
            None => self.carrier_broken(cx, &format!("failed ({})", plain(error))),
            Some(error) => self.lose_server(cx, &format!("can't be used ({error})")),
        }
    }

    /// The connection is lost. One to a server that knows no hello is made again at once, in its own way.
    pub(super) fn carrier_broken(&mut self, cx: &mut Cx<'_>, why: &str) {
        let State::Connected(connection) = &mut self.state else {
            return;
        };
        match &mut connection.stage {
            Stage::Greeting(greeting) if !greeting.answered && self.knows_hello => {
                let why = format!("{why} instead of answering the hello");
                self.lose_server(cx, &why);
            }
            Stage::Greeting(greeting) if !greeting.answered => {
                let config = &self.config;
                let is_free =
                    config.token.is_none() && config.name.is_none() && config.port.is_none();
                if is_free {
                    cx.cancel(greeting.timer);
                    greeting.link.close(cx, Close::Orderly);
                    self.speaks_plain = true;
                    return self.dial(cx);
                }
                let why = "is not hydrant: without --name, --port and --token-file, its own way would be tried";
                self.lose_server(cx, why);
            }
            _ => self.lose_server(cx, why),
        }
    }

    /// Says so, resets what can't do without it, and tries again later.
    pub(super) fn lose_server(&mut self, cx: &mut Cx<'_>, why: &str) {
        let State::Connected(mut connection) = std::mem::replace(&mut self.state, State::Ended)
        else {
            return;
        };
        connection.abandon(cx);
        let ended = self.part_streams(cx);
        let now = cx.now();
        let server = &self.config.server;
        let was_up = self.down.is_none();
        let mut text = format!("server {server} {why}; retrying");
        if was_up {
            text = format!("server {server} lost: it {why}; {ended}; retrying");
            self.down = Some(now);
            self.backoff.had_lasted(now.since(connection.since));
        }
        self.say_down(now, why, text);
        self.rest(cx);
    }

    /// The public side is ready.
    pub(super) fn up(&mut self, cx: &mut Cx<'_>, public: &str) {
        let now = cx.now();
        self.counts.sessions += 1;
        self.trouble = None;
        for kind in std::mem::take(&mut self.said_down) {
            self.journal.forget(now, &kind);
        }
        let down = self.down.take().filter(|_| self.counts.sessions > 1);
        let again = down.map_or(String::new(), |down| {
            format!(" (was down {})", Span(now.since(down)))
        });
        let server = &self.config.server;
        let shown = Typed(public);
        self.journal.info(format!(
            "server {server} connected{again}, public at {shown}"
        ));
        if let Some(port) = public.rsplit(':').next() {
            self.last_port = port.parse().unwrap_or(0);
        }
        self.print(cx, public);
    }

    fn feed_session(&mut self, cx: &mut Cx<'_>, bytes: &[u8]) {
        let mut rest = bytes;
        loop {
            let Some(mux) = self.mux() else {
                return;
            };
            mux.say(cx);
            match mux.session.feed(cx.now(), &mut rest) {
                Ok(Some(event)) => self.on_event(cx, event),
                Ok(None) => break,
                Err(violation) => {
                    mux.session.go_away(GoAway::Protocol);
                    mux.say(cx);
                    return self.lose_server(cx, &violation.to_string());
                }
            }
        }
        let Some(mux) = self.mux() else {
            return;
        };
        // Answers come of what is no event, too.
        mux.say(cx);
        if mux.is_choked() {
            return self.lose_server(cx, "does not read what it asks for");
        }
        while self
            .mux()
            .is_some_and(|mux| mux.held() > super::super::HELD_MAX)
        {
            self.end_hindmost(cx);
        }
    }

    pub(super) fn mux(&mut self) -> Option<&mut Mux> {
        match &mut self.state {
            State::Connected(connection) => connection.mux(),
            _ => None,
        }
    }

    fn on_event(&mut self, cx: &mut Cx<'_>, event: Event<'_>) {
        match event {
            Event::Opened(id) => self.stream_opened(cx, id),
            Event::Data(id, ADDRESS, payload) => self.address_data(cx, id, payload),
            Event::Data(id, tag, payload) => self.stream_data(cx, id, tag as usize, payload),
            Event::Finished(_, ADDRESS) => self.address_finished(cx),
            Event::Finished(_, tag) => self.stream_finished(cx, tag as usize),
            Event::Credit(_, tag) => self.stream_credit(cx, tag as usize),
            Event::Reset(_, ADDRESS) => {
                self.lose_server(cx, "did not say where the public side is")
            }
            Event::Reset(_, tag) => self.end_stream(cx, tag as usize, Close::Reset),
            Event::Taken(..) | Event::Pong => {}
            Event::GoAway(GoAway::Normal) => {
                if let State::Connected(connection) = &mut self.state
                    && let Stage::Up(up) = &mut connection.stage
                {
                    up.leaving = true;
                }
                self.leave_if_done(cx);
            }
            Event::GoAway(why) => self.lose_server(cx, &why.to_string()),
        }
    }

    pub(super) fn tick_session(&mut self, cx: &mut Cx<'_>) {
        let (drain, draining) = (self.config.drain, self.draining);
        let Some(mux) = self.mux() else {
            return;
        };
        if let Some(since) = mux.parting_since() {
            let is_late = cx.now().since(since) >= drain;
            return match draining {
                Some(_) => self.finish_if_drained(cx),
                None if is_late || mux.is_parted(cx) => self.lose_server(cx, "went away"),
                None => {}
            };
        }
        match mux.tick(cx) {
            Ok(()) => {}
            Err(silent) => {
                let why = format!("shows no sign of life for {}", Span(silent.after));
                self.lose_server(cx, &why);
            }
        }
    }
}

/// The server has to answer each message of the hello by then...
const HELLO_TIMEOUT: Duration = Duration::from_secs(10);
/// ...but where a name is not proven, it may first ask for up to a minute whether its holder is alive.
const NAME_TIMEOUT: Duration = Duration::from_secs(65);
