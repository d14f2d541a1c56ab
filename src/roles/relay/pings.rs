//! Pings that keep the connections of WebSocket clients open through proxies that close silent ones, and that find
//! those who are gone: whoever has answered neither of two is dropped.

use std::time::Duration;

use crate::reactor::Cx;
use crate::roles::relay::clients::ClientId;
use crate::roles::relay::leaving::Reason;
use crate::roles::relay::{Relay, Tick};

impl Relay {
    /// Begins to ping, if there may be WebSocket clients.
    pub(super) fn start_pings(&mut self, cx: &mut Cx<'_>) {
        if self.framed.is_some() {
            cx.timer(PING, Tick::Ping.tag(0));
        }
    }

    /// It is time for everybody's next ping.
    pub(super) fn ping_clients(&mut self, cx: &mut Cx<'_>) {
        cx.timer(PING, Tick::Ping.tag(0));
        let ids: Vec<ClientId> = self.clients.iter().map(|(id, _)| id).collect();
        for id in ids {
            let Some(client) = self.clients.get_mut(id).filter(|client| !client.finishing) else {
                continue;
            };
            let sock = client.sock;
            match client.websocket.as_mut().map(|websocket| websocket.ping()) {
                None | Some(Pinged::Behind) => {}
                Some(Pinged::Due) => cx.want_write(sock, true),
                Some(Pinged::Silent) => self.drop_client(cx, id, Reason::Dead, None),
            }
        }
    }
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

/// How often. Proxies close what is silent for 60 s.
const PING: Duration = Duration::from_secs(25);
/// A client that has left so many unanswered is dead.
pub(super) const UNANSWERED_MAX: u8 = 2;
