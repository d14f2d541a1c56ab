//! The end of a session that nothing has broken: the server goes away, or we do, and all that was said arrives first.

use super::session::{Connection, Stage};
use std::time::Duration;

use super::{Expose, State, Tick};
use crate::reactor::Cx;
use crate::reactor::net::Signal;

impl Connection {
    /// Takes leave of the server. Whether that is done.
    pub(super) fn part(&mut self, cx: &mut Cx<'_>) -> bool {
        match &mut self.stage {
            Stage::Greeting(_) => true,
            Stage::Up(up) => {
                up.mux.part(cx);
                up.mux.is_parted(cx)
            }
        }
    }

    /// Bytes for the server that it is not known to have.
    pub(super) fn undelivered(&self, cx: &Cx<'_>) -> u64 {
        match &self.stage {
            Stage::Up(up) if !up.mux.is_parted(cx) => up.mux.undelivered(cx),
            Stage::Up(_) | Stage::Greeting(_) => 0,
        }
    }
}

impl Expose {
    /// The server has ended its direction.
    pub(super) fn carrier_ended(&mut self, cx: &mut Cx<'_>) {
        match self.mux() {
            Some(mux) if mux.parting_since().is_some() => mux.peer_parted(cx),
            _ => return self.carrier_broken(cx, "closed the connection"),
        }
        match self.draining {
            Some(_) => self.finish_if_drained(cx),
            None => self.lose_server(cx, "went away"),
        }
    }

    /// A server that goes away is left once the last client is gone, and it has all that the service has said.
    pub(super) fn leave_if_done(&mut self, cx: &mut Cx<'_>) {
        if let State::Connected(connection) = &mut self.state
            && let Stage::Up(up) = &mut connection.stage
            && up.leaving
            && self.streams.iter().all(|(_, stream)| stream.is_alone())
            && !self.finished
        {
            up.mux.part(cx);
        }
    }

    /// Lets the clients that are there finish, and the service get what they have said, within `--drain`.
    pub(super) fn drain(&mut self, cx: &mut Cx<'_>, signal: Signal) {
        self.draining = Some(signal);
        match &mut self.state {
            State::Connected(connection) if connection.is_up() => connection.go_away(cx),
            _ => self.give_up(cx),
        }
        let wait = self.config.drain.max(Duration::from_millis(1));
        cx.timer(wait, Tick::Deadline.tag(0));
        self.finish_if_drained(cx);
    }

    /// There is no session, and none is wanted any more.
    fn give_up(&mut self, cx: &mut Cx<'_>) {
        match std::mem::replace(&mut self.state, State::Ended) {
            State::Dialing(dial) => cx.cancel_dial(dial),
            State::Connected(mut connection) => connection.abandon(cx),
            State::Resting | State::Ended => {}
        }
    }

    pub(super) fn finish_if_drained(&mut self, cx: &mut Cx<'_>) {
        if self.draining.is_none() || self.has_streams() || self.finished {
            return;
        }
        let is_parted = match &mut self.state {
            State::Connected(connection) => connection.part(cx),
            State::Resting | State::Dialing(_) | State::Ended => true,
        };
        if is_parted && self.streams.is_empty() {
            self.finish(cx);
        }
    }
}
