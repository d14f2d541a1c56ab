//! What an end of a tunnel shows of itself to those who watch, and what they may do to its connections.

use super::Tunnel;
use crate::base::time::Time;
use crate::reactor::Cx;
use crate::reactor::net::Close;
use crate::reactor::view::{
    ClientPage, ClientRow, Effort, Figure, Trouble, Upstream, UpstreamState, View,
};

impl Tunnel {
    /// Its figures, for which it goes through its connections, of which there are `--max-streams` at most. The hub is
    /// its upstream: whether the other end is there, too, is another thing.
    pub fn view(&self, now: Time) -> View {
        let counts = &self.counts;
        let (to_peer, from_peer) = self.bytes();
        View {
            is_ending: self.draining.is_some(),
            listens: self
                .bound
                .iter()
                .map(|at| (at.clone(), "clients"))
                .collect(),
            upstream: Some(Upstream {
                state: match self.let_in_at {
                    Some(_) => UpstreamState::Up,
                    None => UpstreamState::Down,
                },
                who: self.config.account.hub.to_string(),
                since: now.since(self.let_in_at.unwrap_or(self.hub_lost_at)),
                last_byte: None,
                is_overdue: false,
                connections: counts.let_in,
                trouble: self.trouble.as_deref().map(Trouble::plain),
                effort: match self.retry_at {
                    Some(at) => Effort::Waiting(at.since(now)),
                    None => Effort::Dialling,
                },
            }),
            clients: self.streams.len(),
            clients_most: counts.streams_most,
            bytes_in: to_peer,
            bytes_out: from_peer,
            figures: vec![Figure {
                name: "connections_made",
                help: "Connections that were passed on",
                only_grows: true,
                value: counts.accepted + counts.forwarded,
            }],
            ..View::new("hub tunnel", now.since(self.started))
        }
    }

    /// Bytes to the other end and from it since its start.
    pub(super) fn bytes(&self) -> (u64, u64) {
        let gone = (self.counts.to_peer, self.counts.from_peer);
        let there = self.streams.iter().map(|(_, stream)| stream.bytes());
        there.fold(gone, |sum, bytes| (sum.0 + bytes.0, sum.1 + bytes.1))
    }

    /// Its connections, a page at a time: those who came to `--listen`, and those that the other end has asked for.
    pub fn client_page(&self, now: Time, from: u64) -> ClientPage {
        ClientPage::of(self.streams.iter(), from, |_, stream| {
            let (to_peer, from_peer) = stream.bytes();
            let (peer, sent, received) = match stream.caller() {
                Some(caller) => (caller.to_string(), to_peer, from_peer),
                // What the other end's client has sent goes to the service.
                None => ("the other end's".to_owned(), from_peer, to_peer),
            };
            Some(ClientRow {
                id: stream.number(),
                peer,
                label: if stream.is_waiting() { "waits" } else { "" }.to_owned(),
                age: now.since(stream.since()),
                bytes_in: Some(sent),
                bytes_out: received,
                waiting: 0,
                lag: None,
            })
        })
    }

    /// Disconnects a client. Whether there was one of this id.
    pub fn kick(&mut self, cx: &mut Cx<'_>, client: u64) -> bool {
        let mut streams = self.streams.iter();
        let Some((key, _)) = streams.find(|(_, stream)| stream.number() == client) else {
            return false;
        };
        self.end_stream(cx, key, Close::Reset, "disconnected by hand");
        true
    }
}
