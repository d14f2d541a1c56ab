//! What a host or a client shows of itself to those who watch.

use super::streams::Stream;
use super::{Adapter, State, Up};
use crate::base::secret::Secret;
use crate::base::time::Time;
use crate::reactor::Cx;
use crate::reactor::net::Close;
use crate::reactor::view::{
    ClientPage, ClientRow, Effort, Figure, Trouble, Upstream, UpstreamState, View,
};
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
                trouble: self.trouble.as_deref().map(Trouble::plain),
                effort: match self.state {
                    State::Resting => Effort::Waiting(self.retry_at.since(now)),
                    _ => Effort::Dialling,
                },
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

    /// Its connections, a page at a time: the programs of a client, and those who reach a host's target.
    pub fn client_page(&self, now: Time, from: u64) -> ClientPage {
        ClientPage::of(self.streams.iter(), from, |_, stream| {
            let (from_relay, to_relay) = self.bytes_of(stream);
            let (sent, received) = match self.is_host() {
                true => (from_relay, to_relay),
                false => (to_relay, from_relay),
            };
            Some(ClientRow {
                id: stream.number,
                peer: stream.address(),
                label: if stream.waits() { "waits" } else { "" }.to_owned(),
                age: now.since(stream.since),
                bytes_in: Some(sent),
                bytes_out: received,
                waiting: 0,
                lag: None,
            })
        })
    }

    /// Ends a connection. Whether there was one of this id.
    pub fn kick(&mut self, cx: &mut Cx<'_>, client: u64) -> bool {
        let mut streams = self.streams.iter();
        let Some((key, _)) = streams.find(|(_, stream)| stream.number == client) else {
            return false;
        };
        self.end_stream(cx, key, Close::Reset);
        true
    }

    /// What it is, in the words of the command line.
    fn kind(&self) -> &'static str {
        match self.is_host() {
            true => "ws host",
            false => "ws client",
        }
    }

    /// Bytes from the relay and to it since its start.
    pub(super) fn bytes(&self) -> (u64, u64) {
        let counted = (self.counts.from_relay, self.counts.to_relay);
        let streams = self.streams.iter().map(|(_, stream)| self.bytes_of(stream));
        streams.fold(counted, |sum, bytes| (sum.0 + bytes.0, sum.1 + bytes.1))
    }

    /// Bytes of a connection from the relay and to it.
    pub(super) fn bytes_of(&self, stream: &Stream) -> (u64, u64) {
        match &self.state {
            State::Up(up) if stream.is_plain() => match &**up {
                Up::Plain(plain) => plain.bytes(),
                Up::Mux(_) => (0, 0),
            },
            _ => stream.bytes(),
        }
    }

    /// A connection has come.
    pub(super) fn note_most(&mut self) {
        let most = &mut self.counts.connections_most;
        *most = self.streams.len().max(*most);
    }
}
