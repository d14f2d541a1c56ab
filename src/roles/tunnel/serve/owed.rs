//! Clients that outlive their backend: what it had said to them had come whole, with its end, and they have not read
//! all of it. What they hold counts against one limit, whatever backends it came from.

use super::Serve;
use super::client::{Client, Piped};
use crate::reactor::Cx;
use crate::reactor::net::Close;
use crate::roles::pump::hindmost;
use crate::roles::tunnel::HELD_MAX;

impl Serve {
    /// A backend is gone: its client lives on without if it is owed something. Whether it does.
    pub(super) fn part_if_owed(&mut self, cx: &mut Cx<'_>, key: usize) -> bool {
        let Some(Piped { backend, channel }) = &mut self.clients[key].piped else {
            return false;
        };
        let is_owed = channel.is_owed(cx);
        if is_owed {
            *backend = None;
            channel.part(cx);
        }
        is_owed
    }

    /// Resets those who hold up the others while all that are owed something hold too much together.
    pub(super) fn check_owed(&mut self, cx: &mut Cx<'_>) {
        while self.owed() > HELD_MAX {
            let channels = self.clients.iter().filter(|(_, client)| client.is_owed());
            let channels = channels.filter_map(|(key, client)| Some((key, client.channel()?)));
            let Some(key) = hindmost(channels) else {
                return;
            };
            let why = "it reads too little, and the memory for what backends have left is full";
            self.end_client(cx, key, Close::Reset, why);
        }
    }

    /// Bytes that backends which are gone have left for their clients.
    pub(super) fn owed(&self) -> usize {
        let owed = self.clients.iter().filter(|(_, client)| client.is_owed());
        let channels = owed.filter_map(|(_, client)| client.channel());
        channels.map(crate::roles::pump::Channel::queued).sum()
    }

    /// Closes those that have got everything, and say nothing themselves. To be called each second or so.
    pub(super) fn tick_owed(&mut self, cx: &mut Cx<'_>) {
        let is_delivered = |client: &Client| client.channel()?.is_delivered(cx);
        let owed = self.clients.iter().filter(|(_, client)| client.is_owed());
        let done: Vec<(usize, Close)> = owed
            .filter_map(|(key, client)| Some((key, is_delivered(client)?)))
            .collect();
        for (key, how) in done {
            self.end_client(cx, key, how, "it has all that its backend had said");
        }
    }
}

impl Client {
    /// Whether its backend is gone, and has left it something to read.
    pub(super) fn is_owed(&self) -> bool {
        self.piped
            .as_ref()
            .is_some_and(|piped| piped.backend.is_none())
    }
}
