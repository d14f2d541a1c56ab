//! The WebSocket that is up: what comes of it, whether the relay is alive, and its end.

use super::{Adapter, Kind, Plain, State, Up};
use crate::base::units::{Span, Typed};
use crate::proto::websocket::{CloseCode, Kind as Payload, Side};
use crate::proto::yamux::{self, Event, GoAway, Session};
use crate::reactor::net::Close;
use crate::reactor::{Cx, plain};
use crate::roles::link::Link;
use crate::roles::pump::Mux;
use crate::roles::ws::limits;
use crate::roles::ws::wire::{Heard, Wire};

impl Adapter {
    /// The relay has granted the upgrade; `rest` came behind its answer.
    pub(super) fn up(&mut self, cx: &mut Cx<'_>, link: Link, mux: bool, rest: &mut [u8]) {
        let now = cx.now();
        let ping = self.config.ping;
        let wire = Wire::new(cx, link, Side::Client, ping, Vec::new());
        cx.set_tag(wire.sock(), Kind::Relay.tag(0));
        let up = match mux {
            true => {
                let limits = limits(self.config.max_streams, self.config.memory, ping);
                let session = Session::new(yamux::Side::Client, limits, now);
                let mut mux = Mux::new(session, wire);
                mux.session.ping(now);
                mux.say(cx);
                Up::Mux(mux)
            }
            false => Up::Plain(Plain::new(wire)),
        };
        self.state = State::Up(Box::new(up));
        self.is_plain = !mux;
        self.counts.sessions += 1;
        self.up_since = cx.now();
        self.trouble = None;
        for kind in std::mem::take(&mut self.said_down) {
            self.journal.forget(now, &kind);
        }
        let down = self.down.take().filter(|_| self.counts.sessions > 1);
        let again = down.map_or(String::new(), |down| {
            format!(" (was down {})", Span(now.since(down)))
        });
        let way = match mux {
            true => "",
            false => ", one connection at a time: it does not know hydrant.mux.v1",
        };
        let url = &self.config.url;
        self.journal
            .upstream(now, format!("relay {url} connected{again}{way}"));
        self.begin_plain(cx);
        self.open_waiting(cx);
        self.accept_if_room(cx);
        self.feed(cx, rest);
    }

    pub(super) fn mux(&mut self) -> Option<&mut Mux<Wire>> {
        match &mut self.state {
            State::Up(up) => match &mut **up {
                Up::Mux(mux) => Some(mux),
                Up::Plain(_) => None,
            },
            _ => None,
        }
    }

    pub(super) fn relay_readable(&mut self, cx: &mut Cx<'_>) {
        let State::Up(up) = &mut self.state else {
            return;
        };
        let mut scratch = std::mem::take(&mut self.scratch);
        match up.wire_mut().read(cx, &mut scratch) {
            Ok(None) => {}
            Ok(Some(0)) => self.relay_hangs_up(cx),
            Ok(Some(count)) => self.feed(cx, &mut scratch[..count]),
            Err(error) => self.lose_relay(cx, &plain(&error)),
        }
        self.scratch = scratch;
    }

    fn feed(&mut self, cx: &mut Cx<'_>, bytes: &mut [u8]) {
        let mut at = 0;
        while at < bytes.len() {
            let State::Up(up) = &mut self.state else {
                return;
            };
            match up.wire_mut().feed(cx, &mut bytes[at..]) {
                Ok((taken, heard)) => {
                    at += taken;
                    match heard {
                        Heard::Data(kind, len) => self.relay_says(cx, kind, &bytes[at - len..at]),
                        Heard::Close(code, said) => self.relay_closes(cx, code, &said),
                        Heard::Nothing => {}
                    }
                }
                Err(violation) => {
                    // It is told so by the close that is due now.
                    return self.lose_relay(cx, &format!("broke a rule: {violation}"));
                }
            }
        }
        self.plain_settled(cx);
    }

    fn relay_says(&mut self, cx: &mut Cx<'_>, kind: Payload, bytes: &[u8]) {
        let State::Up(up) = &mut self.state else {
            return;
        };
        match (&mut **up, kind) {
            (Up::Mux(mux), Payload::Text) => {
                let why = "a session is carried by binary messages";
                mux.carrier_mut().close(cx, CloseCode::UNSUPPORTED, why);
                self.lose_relay(cx, "sends text into a session");
            }
            (Up::Mux(_), Payload::Binary) => self.feed_session(cx, bytes),
            (Up::Plain(_), _) => self.plain_data(cx, bytes),
        }
    }

    fn feed_session(&mut self, cx: &mut Cx<'_>, bytes: &[u8]) {
        let mut rest = bytes;
        loop {
            let Some(mux) = self.mux() else {
                return;
            };
            match mux.session.feed(cx.now(), &mut rest) {
                Ok(Some(event)) => self.on_event(cx, event),
                Ok(None) => break,
                Err(violation) => {
                    mux.carrier_mut()
                        .close(cx, CloseCode::PROTOCOL, &violation.to_string());
                    return self.lose_relay(cx, &violation.to_string());
                }
            }
            if let Some(mux) = self.mux() {
                mux.say(cx);
            }
        }
        // Answers come of what is no event, too.
        if let Some(mux) = self.mux() {
            mux.say(cx);
        }
        if self.mux().is_some_and(|mux| mux.is_choked()) {
            return self.lose_relay(cx, CHOKED);
        }
        self.shed(cx);
    }

    fn on_event(&mut self, cx: &mut Cx<'_>, event: Event<'_>) {
        match event {
            Event::Opened(id) => self.stream_opened(cx, id),
            Event::Data(id, tag, payload) => self.stream_data(cx, id, tag as usize, payload),
            Event::Finished(_, tag) => self.stream_finished(cx, tag as usize),
            Event::Credit(_, tag) => self.stream_credit(cx, tag as usize),
            Event::Reset(_, tag) => self.end_stream(cx, tag as usize, Close::Reset),
            Event::Taken(..) => self.open_waiting(cx),
            Event::Pong | Event::GoAway(GoAway::Normal) => {}
            Event::GoAway(why) => self.lose_relay(cx, &why.to_string()),
        }
    }

    /// The relay will send nothing more.
    fn relay_closes(&mut self, cx: &mut Cx<'_>, code: Option<CloseCode>, said: &str) {
        let State::Up(up) = &mut self.state else {
            return;
        };
        match &**up {
            Up::Plain(_) => self.plain_ends(cx, code),
            Up::Mux(_) => {
                let code = code.map_or_else(|| "no code".to_owned(), |code| code.to_string());
                let said = match said {
                    "" => String::new(),
                    said => format!(": {}", Typed(said)),
                };
                self.lose_relay(cx, &format!("has closed ({code}{said})"));
            }
        }
    }

    pub(super) fn relay_writable(&mut self, cx: &mut Cx<'_>) {
        let State::Up(up) = &mut self.state else {
            return;
        };
        let sent = match &mut **up {
            Up::Mux(mux) => mux.flush(cx),
            Up::Plain(plain) => plain.flush(cx).map(|()| Vec::new()),
        };
        match sent {
            Ok(resumed) => {
                for key in resumed {
                    self.resume_stream(cx, key as usize);
                }
                self.plain_settled(cx);
                self.finish_if_drained(cx);
            }
            Err(error) => self.lose_relay(cx, &plain(&error)),
        }
    }

    pub(super) fn tick_relay(&mut self, cx: &mut Cx<'_>) {
        let State::Up(up) = &mut self.state else {
            return;
        };
        if let Up::Plain(plain) = &mut **up {
            plain.excuse();
        }
        if !up.wire_mut().tick(cx) {
            return self.lose_relay(cx, "has missed two pings");
        }
        let Some(mux) = self.mux() else {
            return;
        };
        if mux.is_choked() {
            // What our own ends did has left too much to be said to it.
            return self.lose_relay(cx, CHOKED);
        }
        if let Err(silent) = mux.tick(cx) {
            let why = format!("shows no sign of life for {}", Span(silent.after));
            self.lose_relay(cx, &why);
        }
    }

    /// Says so, resets what can't do without it, and tries again later. Where we go away ourselves, and all has been
    /// said, that is no news.
    pub(super) fn lose_relay(&mut self, cx: &mut Cx<'_>, why: &str) {
        if self.draining.is_some() && self.streams.is_empty() {
            return self.finish(cx);
        }
        if self.plain().is_some_and(|plain| plain.is_done()) {
            return self.plain_over(cx);
        }
        let is_news = self.draining.is_none() || self.has_streams();
        let State::Up(mut up) = std::mem::replace(&mut self.state, State::Ended) else {
            return;
        };
        // Whatever there is to say about it, once.
        let _ = match &mut *up {
            Up::Mux(mux) => mux.flush(cx).map(drop),
            Up::Plain(plain) => {
                let (from, to) = plain.bytes();
                self.counts.from_relay += from;
                self.counts.to_relay += to;
                plain.drop_local(cx, Close::Reset);
                plain.flush(cx)
            }
        };
        up.wire_mut().drop_link(cx, Close::Orderly);
        let parted = self.part_streams(cx);
        let now = cx.now();
        self.down = Some(now);
        self.backoff.had_lasted(now.since(self.up_since));
        if is_news {
            let retrying = match self.draining {
                None => "; retrying",
                Some(_) => "",
            };
            let (url, told) = (&self.config.url, parted.told("connection"));
            let text = format!("relay {url} lost: it {why}; {told}{retrying}");
            self.say_down(now, why, text);
        }
        for key in parted.cut {
            self.end_stream(cx, key, Close::Reset);
        }
        self.shed(cx);
        self.accept_if_room(cx);
        self.rest(cx);
    }
}

/// Why a relay is left to which nothing more can be said.
const CHOKED: &str = "does not read what it asks for";
