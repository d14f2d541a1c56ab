//! A stop, in order: nobody new is taken, the connections that are there finish, the relay gets all that is under way,
//! and then the end.

use std::time::Duration;

use super::{Adapter, State, Tick, Up};
use crate::base::units::{Count, Span};
use crate::proto::websocket::CloseCode;
use crate::proto::yamux::GoAway;
use crate::reactor::net::{Close, Signal};
use crate::reactor::{Cx, End};
use crate::roles::ws::{STOPS, lost};

impl Up {
    /// Takes leave of the relay, behind all that it is still to be told. Whether its machine has that: a socket that is
    /// closed before would answer whatever comes with a reset, and what is under way would be lost.
    fn close_gracefully(&mut self, cx: &mut Cx<'_>) -> bool {
        let wire = self.wire_mut();
        if wire.is_open() {
            wire.finish(cx, CloseCode::GOING_AWAY, STOPS);
        }
        wire.has_told(cx)
    }

    /// Bytes that the relay is not known to have.
    fn undelivered(&self, cx: &Cx<'_>) -> usize {
        let unsent = match self {
            Self::Mux(mux) => mux.unsent(),
            Self::Plain(plain) => plain.unsent(),
        };
        match self.wire().has_told(cx) {
            true => 0,
            false => unsent + self.wire().unacknowledged(cx),
        }
    }
}

impl Adapter {
    /// Takes nobody new, and lets the connections that are there finish within `--drain`.
    pub(super) fn drain(&mut self, cx: &mut Cx<'_>, signal: Signal) {
        self.draining = Some(signal);
        for sock in std::mem::take(&mut self.listeners) {
            cx.close(sock, Close::Orderly);
        }
        for key in self.waiting.clone() {
            self.end_stream(cx, key, Close::Reset);
        }
        match &mut self.state {
            State::Up(up) => {
                if let Up::Mux(mux) = &mut **up {
                    mux.session.go_away(GoAway::Normal);
                    mux.say(cx);
                }
            }
            _ => self.give_up(cx),
        }
        let after = self.config.drain.max(Duration::from_millis(1));
        cx.timer(after, Tick::Deadline.tag(0));
        self.finish_if_drained(cx);
    }

    /// There is no relay, and none is wanted any more.
    fn give_up(&mut self, cx: &mut Cx<'_>) {
        match std::mem::replace(&mut self.state, State::Ended) {
            State::Dialing(dial) => cx.cancel_dial(dial),
            State::Asking(mut asking) => asking.abandon(cx),
            State::Idle | State::Resting | State::Up(_) | State::Ended => {}
        }
    }

    /// The relay is left as soon as nobody needs it, and the end is there once all have read what it has left.
    pub(super) fn finish_if_drained(&mut self, cx: &mut Cx<'_>) {
        if self.draining.is_none() || self.has_streams() || self.finished {
            return;
        }
        let has_told = match &mut self.state {
            State::Up(up) => up.close_gracefully(cx),
            _ => true,
        };
        if has_told && self.streams.is_empty() {
            self.finish(cx);
        }
    }

    pub(super) fn finish(&mut self, cx: &mut Cx<'_>) {
        // What it does below may find that nothing is left to drain.
        let Some(signal) = self.draining.filter(|_| !self.finished) else {
            return;
        };
        self.finished = true;
        let keys: Vec<usize> = self.streams.iter().map(|(key, _)| key).collect();
        let up = Span(cx.now().since(self.started));
        let cut = Count(keys.len(), "connection");
        let lost = lost(match &self.state {
            State::Up(up) => up.undelivered(cx),
            _ => 0,
        });
        self.journal
            .info(format!("stopped by {signal}: {cut} cut{lost}; up {up}"));
        for key in keys {
            self.end_stream(cx, key, Close::Reset);
        }
        if let State::Up(up) = &mut self.state {
            up.wire_mut().close(cx, CloseCode::GOING_AWAY, STOPS);
            // The last word, as far as it is taken at once.
            let _ = match &mut **up {
                Up::Mux(mux) => mux.flush(cx).map(drop),
                Up::Plain(plain) => plain.flush(cx),
            };
        }
        self.state = State::Ended;
        cx.finish(End::Done);
    }
}
