//! What the relay shows of itself to those who watch.

use super::Relay;
use crate::base::time::Time;
use crate::reactor::view::{Figure, View};

impl Relay {
    /// Its figures; no work for a connection, and a look at each name.
    pub fn view(&self, now: Time) -> View {
        let counts = &self.counts;
        let hosts = self.places.values().filter(|place| place.host.is_some());
        let figure = |name, help, only_grows, value| Figure {
            name,
            help,
            only_grows,
            value,
        };
        View {
            is_ending: self.draining.is_some(),
            listens: self
                .listens_at
                .iter()
                .map(|at| (at.clone(), "hosts and clients"))
                .collect(),
            clients: self.lanes.len(),
            clients_most: counts.connections_most,
            bytes_in: counts.from_clients,
            bytes_out: counts.to_clients,
            refused: vec![("request", counts.refused)],
            figures: vec![
                figure(
                    "hosts",
                    "Names whose host is connected",
                    false,
                    hosts.count() as u64,
                ),
                figure(
                    "websockets",
                    "WebSockets of hosts and clients",
                    false,
                    self.peers.len() as u64,
                ),
                figure(
                    "websockets_seen",
                    "WebSockets that were let in",
                    true,
                    counts.upgrades,
                ),
                figure(
                    "connections_made",
                    "Connections that were made between a client and a host",
                    true,
                    counts.connections,
                ),
                figure(
                    "held_bytes",
                    "Memory that bytes take which nobody has taken yet",
                    false,
                    self.held() as u64,
                ),
                figure(
                    "shed",
                    "Connections and WebSockets that were ended since all memory was taken",
                    true,
                    counts.shed,
                ),
            ],
            ..View::new("ws relay", now.since(self.started))
        }
    }
}
