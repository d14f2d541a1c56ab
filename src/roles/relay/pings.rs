//! Pings that keep the connections of WebSocket clients open through proxies that close silent ones, and that find
//! those who are gone: whoever has answered neither of two is dropped. Clients have their turns a few at a time, so
//! that neither the pings nor the answers to them come all at once.

use std::time::Duration;

use crate::reactor::Cx;
use crate::roles::relay::clients::ClientId;
use crate::roles::relay::lag::SLICE;
use crate::roles::relay::leaving::Reason;
use crate::roles::relay::{Relay, Tick};

impl Relay {
    /// Begins to ping, if there may be WebSocket clients.
    pub(super) fn start_pings(&mut self, cx: &mut Cx<'_>) {
        if self.framed.is_some() {
            cx.timer(PING, Tick::Ping.tag(0));
        }
    }

    /// It is time for the next ping of the next few.
    pub(super) fn ping_clients(&mut self, cx: &mut Cx<'_>) {
        let places = self.clients.places();
        let (from, end) = (self.next_ping, self.next_ping + SLICE);
        self.next_ping = if end < places { end } else { 0 };
        cx.timer(pause(places), Tick::Ping.tag(0));
        for place in from..end.min(places) {
            if let Some(id) = self.clients.at(place) {
                self.ping(cx, id);
            }
        }
    }

    fn ping(&mut self, cx: &mut Cx<'_>, id: ClientId) {
        let Some(client) = self.clients.get_mut(id).filter(|client| !client.finishing) else {
            return;
        };
        let sock = client.sock;
        match client.websocket.as_mut().map(|websocket| websocket.ping()) {
            None | Some(Pinged::Behind) => {}
            Some(Pinged::Due) => cx.want_write(sock, true),
            Some(Pinged::Silent) => self.drop_client(cx, id, Reason::Dead, None),
        }
    }
}

/// The time until the next few of so many have their turn, so that everybody has one in a round.
fn pause(places: u32) -> Duration {
    PING / places.div_ceil(SLICE).max(1)
}

/// What came of the wish to ping a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pinged {
    /// A ping is to be sent.
    Due,
    /// The last one has not even left: whether it reads at all is for `--slow` to judge.
    Behind,
    /// It has answered as many as it may leave unanswered not at all.
    Silent,
}

/// How long a round takes. Proxies close what is silent for 60 s.
const PING: Duration = Duration::from_secs(25);
/// A client that has left so many unanswered is dead.
pub(super) const UNANSWERED_MAX: u8 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_has_a_turn_in_a_round() {
        for places in [0_u32, 1, 128, 129, 10_000] {
            let turns = places.div_ceil(SLICE).max(1);
            let round = pause(places) * turns;
            assert!(round <= PING && PING - round < Duration::from_micros(1));
        }
        assert!(pause(10_000) < Duration::from_millis(400));
    }
}
