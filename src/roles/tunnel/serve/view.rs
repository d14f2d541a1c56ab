//! What the server shows of itself to those who watch, and what they may do to its clients.

use super::Serve;
use super::client::Client;
use crate::base::time::Time;
use crate::reactor::Cx;
use crate::reactor::net::Close;
use crate::reactor::view::{ClientPage, ClientRow, Figure, Gone, View};

impl Serve {
    /// Its figures; no work for a client, and a line for each public port.
    pub fn view(&self, now: Time) -> View {
        let counts = &self.counts;
        let backends = self.listens_at.iter().map(|at| (at.clone(), "backends"));
        let publics = self.places.iter().flat_map(|(_, place)| &place.socks);
        let publics = publics.map(|(_, at)| (at.clone(), "clients"));
        let figure = |name, help, only_grows, value| Figure {
            name,
            help,
            only_grows,
            value,
        };
        View {
            is_ending: self.draining.is_some(),
            listens: backends.chain(publics).collect(),
            clients: self.clients.len(),
            clients_most: counts.clients_most,
            bytes_in: counts.from_clients,
            bytes_out: counts.to_clients,
            gone: vec![Gone {
                reason: "left",
                times: counts.left,
                is_drop: false,
            }],
            refused: vec![
                ("client", counts.refused),
                ("backend", counts.backends_refused),
            ],
            figures: vec![
                figure(
                    "backends",
                    "Backends that are connected",
                    false,
                    self.backends.len() as u64,
                ),
                figure(
                    "backends_seen",
                    "Backends that were taken in",
                    true,
                    counts.backends,
                ),
            ],
            ..View::new("tunnel serve", now.since(self.started))
        }
    }

    /// Its public clients, a page at a time.
    pub fn client_page(&self, now: Time, from: u64) -> ClientPage {
        ClientPage::of(self.clients.iter(), from, |_, client| {
            Some(self.row(client, now))
        })
    }

    /// Disconnects a public client. Whether there was one of this id.
    pub fn kick(&mut self, cx: &mut Cx<'_>, client: u64) -> bool {
        let is_it = |(_, known): &(usize, &Client)| known.number == client;
        let Some((key, _)) = self.clients.iter().find(is_it) else {
            return false;
        };
        self.end_client(cx, key, Close::Reset, "kicked");
        true
    }

    fn row(&self, client: &Client, now: Time) -> ClientRow {
        let (to, from) = client.bytes();
        let channel = client.channel();
        ClientRow {
            id: client.number,
            peer: client.peer.to_string(),
            label: self.places[client.place].label(),
            age: now.since(client.since),
            bytes_in: Some(from),
            bytes_out: to,
            waiting: channel.map_or(0, |channel| channel.queued() as u64),
            lag: None,
        }
    }
}
