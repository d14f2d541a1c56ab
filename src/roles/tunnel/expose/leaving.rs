//! The end of a session that nothing has broken: the server goes away, or we do, and all that was said arrives first.

use super::session::{Connection, Stage};
use super::{Expose, State};
use crate::reactor::Cx;

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
            && self.streams.is_empty()
            && !self.finished
        {
            up.mux.part(cx);
        }
    }
}
