//! What the backend shows of itself to those who watch, and what they may do to its clients.

use super::session::Stage;
use super::{Expose, State};
use crate::base::secret::Secret;
use crate::base::time::Time;
use crate::reactor::Cx;
use crate::reactor::net::Close;
use crate::reactor::view::{
    ClientPage, ClientRow, Effort, Figure, Trouble, Upstream, UpstreamState, View,
};
use crate::roles::journal::TOKEN_READ;

impl Expose {
    /// Its figures, for which it goes through its clients.
    pub fn view(&self, now: Time) -> View {
        let counts = &self.counts;
        let is_up = matches!(&self.state, State::Connected(it) if matches!(it.stage, Stage::Up(_)));
        let since = match (&self.state, self.down) {
            (State::Connected(connection), _) if is_up => connection.since,
            (_, down) => down.unwrap_or(self.started),
        };
        let (to_service, from_service) = self.bytes();
        View {
            is_ending: self.draining.is_some(),
            upstream: Some(Upstream {
                state: match is_up {
                    true => UpstreamState::Up,
                    false => UpstreamState::Down,
                },
                who: self.config.server.to_string(),
                since: now.since(since),
                last_byte: None,
                is_overdue: false,
                connections: counts.sessions,
                trouble: self.trouble.as_deref().map(Trouble::plain),
                effort: match self.state {
                    State::Resting => Effort::Waiting(self.retry_at.since(now)),
                    _ => Effort::Dialling,
                },
            }),
            clients: self.streams.len(),
            clients_most: counts.clients_most,
            bytes_in: from_service,
            bytes_out: to_service,
            figures: vec![Figure {
                name: "clients_seen",
                help: "Clients that were passed on to the service",
                only_grows: true,
                value: counts.clients,
            }],
            ..View::new("tunnel expose", now.since(self.started))
        }
    }

    /// Bytes to the service and from it since its start.
    pub(super) fn bytes(&self) -> (u64, u64) {
        let gone = (self.counts.to_service, self.counts.from_service);
        let there = self.streams.iter().map(|(_, stream)| stream.bytes());
        there.fold(gone, |sum, bytes| (sum.0 + bytes.0, sum.1 + bytes.1))
    }

    /// Its clients, a page at a time.
    pub fn client_page(&self, now: Time, from: u64) -> ClientPage {
        ClientPage::of(self.streams.iter(), from, |_, stream| {
            // What the client has sent goes to the service.
            let (sent, received) = stream.bytes();
            Some(ClientRow {
                id: stream.number(),
                peer: stream.label(),
                label: String::new(),
                age: now.since(stream.since()),
                bytes_in: Some(sent),
                bytes_out: received,
                waiting: 0,
                lag: None,
            })
        })
    }

    /// Gives it another token, which holds from the next connection to the server on.
    pub fn set_token(&mut self, token: Option<Secret>) {
        if self.config.token != token {
            self.config.token = token;
            self.journal.info(TOKEN_READ.to_owned());
        }
    }

    /// Disconnects a client. Whether there was one of this id.
    pub fn kick(&mut self, cx: &mut Cx<'_>, client: u64) -> bool {
        let mut streams = self.streams.iter();
        let Some((key, _)) = streams.find(|(_, stream)| stream.number() == client) else {
            return false;
        };
        self.end_stream(cx, key, Close::Reset);
        true
    }
}
