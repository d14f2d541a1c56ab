//! Clients that outlive their backend: what it had said to them had come whole, with its end, and they have not read
//! all of it. What they hold counts against one limit, whatever backends it came from.

use super::Serve;
use super::client::Client;
use crate::reactor::Cx;
use crate::reactor::net::Close;
use crate::roles::pump::{Channel, Channels};
use crate::roles::tunnel::HELD_MAX;

impl Channels for Serve {
    fn channels(&self) -> impl Iterator<Item = (usize, &Channel)> + Clone {
        let clients = self.clients.iter();
        clients.filter_map(|(key, client)| Some((key, client.channel()?)))
    }

    fn channel_mut(&mut self, key: usize) -> Option<&mut Channel> {
        let piped = self.clients.get_mut(key)?.piped.as_mut()?;
        Some(&mut piped.channel)
    }
}

impl Serve {
    /// Resets those who hold up the others while all that are owed something hold too much together.
    pub(super) fn check_owed(&mut self, cx: &mut Cx<'_>) {
        while self.owed() > HELD_MAX {
            let Some(key) = self.hindmost_alone() else {
                return;
            };
            let why = "it reads too little, and the memory for what backends have left is full";
            self.end_client(cx, key, Close::Reset, why);
        }
    }

    /// Closes those that have got everything, and say nothing themselves. To be called each second or so.
    pub(super) fn tick_owed(&mut self, cx: &mut Cx<'_>) {
        for (key, how) in self.delivered(cx) {
            self.end_client(cx, key, how, "it has all that its backend had said");
        }
    }
}

impl Client {
    /// Whether its session is gone.
    pub(super) fn is_alone(&self) -> bool {
        self.channel().is_some_and(Channel::is_alone)
    }
}
