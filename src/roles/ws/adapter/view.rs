//! What a host or a client shows of itself to those who watch.

use super::{Adapter, State, Up};
use crate::base::secret::Secret;
use crate::base::time::Time;
use crate::reactor::view::{Figure, Upstream, UpstreamState, View};
use crate::roles::journal::TOKEN_READ;

impl Adapter {
    /// Gives it another token, which holds from the next connection to the relay on.
    pub fn set_token(&mut self, token: Option<Secret>) {
        if self.config.token != token {
            self.config.token = token;
            self.journal.info(TOKEN_READ.to_owned());
        }
    }

    /// Its figures, for which it goes through its connections, of which there are `--max-streams` at most.
    pub fn view(&self, now: Time) -> View {
        let (from_relay, to_relay) = self.bytes();
        // A plain client without a program to serve has no need of the relay, and reaches it when one comes.
        let is_up = matches!(self.state, State::Up(_) | State::Idle);
        let since = self.down.unwrap_or(self.up_since);
        View {
            is_ending: self.draining.is_some(),
            listens: self
                .listens_at
                .iter()
                .map(|at| (at.clone(), "programs"))
                .collect(),
            upstream: Some(Upstream {
                state: match is_up {
                    true => UpstreamState::Up,
                    false => UpstreamState::Down,
                },
                who: self.config.url.to_string(),
                since: now.since(since),
                last_byte: None,
                is_overdue: false,
                connections: self.counts.sessions,
            }),
            clients: self.streams.len(),
            clients_most: self.counts.connections_most,
            bytes_in: to_relay,
            bytes_out: from_relay,
            figures: vec![Figure {
                name: "connections_made",
                help: "Connections that were passed on",
                only_grows: true,
                value: self.counts.connections,
            }],
            ..View::new(self.kind(), now.since(self.started))
        }
    }

    /// What it is, in the words of the command line.
    fn kind(&self) -> &'static str {
        match self.is_host() {
            true => "ws host",
            false => "ws client",
        }
    }

    /// Bytes from the relay and to it since its start.
    fn bytes(&self) -> (u64, u64) {
        let mut bytes = (self.counts.from_relay, self.counts.to_relay);
        let mut add = |(from, to): (u64, u64)| bytes = (bytes.0 + from, bytes.1 + to);
        self.streams
            .iter()
            .for_each(|(_, stream)| add(stream.bytes()));
        if let State::Up(up) = &self.state
            && let Up::Plain(plain) = &**up
        {
            add(plain.bytes());
        }
        bytes
    }

    /// A connection has come.
    pub(super) fn note_most(&mut self) {
        let most = &mut self.counts.connections_most;
        *most = self.streams.len().max(*most);
    }
}
