//! Clients that outlive their backend: what it had said to them had come whole, with its end, and they have not read
//! all of it. What they hold counts against one limit, whatever backends it came from.

use super::Serve;
use super::client::Client;
use crate::reactor::Cx;
use crate::reactor::net::{Close, SockId};
use crate::roles::pump::{Channel, delivered, hindmost, left_behind, would_leave};
use crate::roles::tunnel::HELD_MAX;

impl Serve {
    /// A backend is gone: its client lives on without if it is owed something. Whether it does.
    pub(super) fn part_if_owed(&mut self, cx: &mut Cx<'_>, key: usize) -> bool {
        let Some(piped) = &mut self.clients[key].piped else {
            return false;
        };
        let is_owed = piped.channel.is_owed(cx);
        if is_owed {
            piped.channel.part(cx);
        }
        is_owed
    }

    /// Resets those who hold up the others while all that are owed something hold too much together.
    pub(super) fn check_owed(&mut self, cx: &mut Cx<'_>) {
        while self.owed() > HELD_MAX {
            let alone = self.channels().filter(|(_, channel)| channel.is_alone());
            let Some(key) = hindmost(alone) else {
                return;
            };
            let why = "it reads too little, and the memory for what backends have left is full";
            self.end_client(cx, key, Close::Reset, why);
        }
    }

    /// Bytes that backends which are gone have left for their clients.
    pub(super) fn owed(&self) -> usize {
        left_behind(self.channels().map(|(_, channel)| channel))
    }

    /// Whether somebody would outlive its session, if that went now. For tests and the simulator.
    pub fn owes(&self, cx: &Cx<'_>) -> bool {
        would_leave(cx, self.channels().map(|(_, channel)| channel))
    }

    /// Those who outlive their session: the socket of each, and how many bytes of its stream it gets in all.
    pub fn outliving(&self) -> impl Iterator<Item = (SockId, u64)> {
        self.channels()
            .filter_map(|(_, channel)| channel.owed_in_all())
    }

    /// Closes those that have got everything, and say nothing themselves. To be called each second or so.
    pub(super) fn tick_owed(&mut self, cx: &mut Cx<'_>) {
        let done = delivered(cx, self.channels());
        for (key, how) in done {
            self.end_client(cx, key, how, "it has all that its backend had said");
        }
    }

    fn channels(&self) -> impl Iterator<Item = (usize, &Channel)> + Clone {
        let clients = self.clients.iter();
        clients.filter_map(|(key, client)| Some((key, client.channel()?)))
    }
}

impl Client {
    /// Whether its session is gone.
    pub(super) fn is_alone(&self) -> bool {
        self.channel().is_some_and(Channel::is_alone)
    }
}
