//! SIGUSR1: what there is, in lines: one for all, one a backend, one a client.

use super::Serve;
use super::client::Client;
use crate::base::units::{Bytes, Count, Span};
use crate::reactor::Cx;

impl Serve {
    pub(super) fn report(&self, cx: &Cx<'_>) {
        let now = cx.now();
        for (key, place) in &self.places {
            let (to, from) = self.bytes_of(key);
            let state = match (place.backend, place.away) {
                (None, Some(away)) if place.is_over => format!("GONE {}", Span(now.since(away))),
                (Some(backend), _) => {
                    let backend = &self.backends[backend];
                    format!("UP {} {}", Span(now.since(backend.since)), backend.peer)
                }
                (None, Some(away)) => format!("AWAY {}", Span(now.since(away))),
                (None, None) => "AWAY".to_owned(),
            };
            let label = place.label();
            self.journal.info(format!(
                "{label} {state} | {} | {} | {} to clients, {} from them",
                place.public,
                Count(place.clients, "client"),
                Bytes(to),
                Bytes(from)
            ));
            let clients = self.clients.iter().filter(|(_, c)| c.place == key);
            for (_, client) in clients.clone().take(CLIENTS_MAX) {
                let (to, from) = client.bytes();
                self.journal.info(format!(
                    "{label} client {} | {} to it, {} from it{}",
                    client.peer,
                    Bytes(to),
                    Bytes(from),
                    queued(client)
                ));
            }
            let more = place.clients.saturating_sub(CLIENTS_MAX);
            if more > 0 {
                self.journal
                    .info(format!("{label} and {} more", Count(more, "client")));
            }
        }
        let counts = &self.counts;
        self.journal.info(format!(
            "{} | {} | refused: {}, {} | in all {} to clients, {} from them",
            Count(self.backends.len(), "backend"),
            Count(self.clients.len(), "client"),
            Count(counts.refused as usize, "client"),
            Count(counts.backends_refused as usize, "backend"),
            Bytes(counts.to_clients),
            Bytes(counts.from_clients)
        ));
    }

    /// Bytes to and from all clients that a place's backend has had.
    fn bytes_of(&self, place: usize) -> (u64, u64) {
        let gone = self.places[place].backend.map(|key| &self.backends[key]);
        let gone = gone.map_or((0, 0), |backend| (backend.to_clients, backend.from_clients));
        let backend = self.places[place].backend;
        let clients = self.clients.iter().filter(|(_, client)| {
            client.place == place && client.backend().is_some() && client.backend() == backend
        });
        clients
            .map(|(_, client)| client.bytes())
            .fold(gone, |sum, bytes| (sum.0 + bytes.0, sum.1 + bytes.1))
    }
}

fn queued(client: &Client) -> String {
    let queued = match client.channel() {
        None => " | waits".to_owned(),
        Some(channel) if channel.queued() > 0 => {
            format!(" | {} queued", Bytes(channel.queued() as u64))
        }
        Some(_) => String::new(),
    };
    match client.is_alone() {
        true => format!("{queued} | its backend is gone"),
        false => queued,
    }
}

/// Clients that a report lists for each backend.
const CLIENTS_MAX: usize = 256;
