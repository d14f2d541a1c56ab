//! What the hub shows of itself to those who watch, and what they may do to its clients.

use crate::base::time::Time;
use crate::reactor::Cx;
use crate::reactor::view::{ClientPage, ClientRow, Figure, Gone, View};
use crate::roles::hub::config::ServeConfig;
use crate::roles::hub::serve::arriving::Refusal;
use crate::roles::hub::serve::client::{Client, Shown};
use crate::roles::hub::serve::leaving::Reason;
use crate::roles::hub::serve::{Hub, Tick};

impl Hub {
    /// Its figures; no work for a client.
    pub fn view(&self, now: Time) -> View {
        let counts = &self.counts;
        let gone = |reason: &Reason| Gone {
            reason: reason.word(),
            times: counts.gone[*reason as usize],
            is_drop: reason.is_drop(),
        };
        let refused = |refusal: &Refusal| (refusal.word(), counts.refused[*refusal as usize]);
        let figure = |name, help, only_grows, value| Figure {
            name,
            help,
            only_grows,
            value,
        };
        View {
            is_ending: self.ending.is_some(),
            listens: self
                .bound
                .iter()
                .map(|at| (at.clone(), "clients"))
                .collect(),
            clients: self.names.len(),
            clients_most: counts.clients_most,
            bytes_in: counts.bytes_in,
            bytes_out: counts.bytes_out,
            gone: Reason::ALL.iter().map(gone).collect(),
            refused: Refusal::ALL.iter().map(refused).collect(),
            figures: vec![
                figure(
                    "messages",
                    "Messages that were queued for their receivers",
                    true,
                    counts.messages,
                ),
                figure(
                    "messages_to_nobody",
                    "Messages to names that nobody has",
                    true,
                    counts.nobody,
                ),
                figure(
                    "held_bytes",
                    "Memory that queues and unfinished messages take",
                    false,
                    self.memory.held() as u64,
                ),
            ],
            ..View::new("hub serve", now.since(self.started))
        }
    }

    /// Its registered clients, a page at a time.
    pub fn client_page(&self, now: Time, from: u64) -> ClientPage {
        ClientPage::of(self.clients.iter(), from, |_, client| row(client, now))
    }

    /// Takes over what may change of other orders. Clients that are there stay.
    ///
    /// # Errors
    /// That there are no descriptors for any client.
    pub fn set_options(&mut self, cx: &mut Cx<'_>, new: &ServeConfig) -> Result<(), String> {
        let idle = new.idle_timeout;
        let changed = idle != self.config.idle_timeout;
        self.config = self.config.with_live_of(new);
        for (id, client) in self.clients.iter_mut() {
            if changed && client.name().is_some() {
                if let Some(timer) = client.timer.take() {
                    cx.cancel(timer);
                }
                client.timer = idle.map(|idle| cx.timer(idle, Tick::Client.tag(id)));
            }
        }
        self.limit_clients(cx)
    }

    /// Disconnects a registered client. Whether there was one of this id.
    pub fn kick(&mut self, cx: &mut Cx<'_>, client: u64) -> bool {
        let is_it = |(_, known): &(usize, &Client)| known.number == client;
        let found = self.clients.iter().find(is_it);
        let Some((id, _)) = found.filter(|(_, known)| known.name().is_some()) else {
            return false;
        };
        self.drop_client(cx, id, Reason::Kicked);
        true
    }
}

fn row(client: &Client, now: Time) -> Option<ClientRow> {
    let name = client.name()?;
    Some(ClientRow {
        id: client.number,
        peer: client.peer.to_string(),
        label: Shown(name).to_string(),
        age: now.since(client.came),
        bytes_in: Some(client.sent.1),
        bytes_out: client.took,
        waiting: client.waiting() as u64,
        lag: None,
    })
}
