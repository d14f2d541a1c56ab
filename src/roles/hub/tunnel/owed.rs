//! Connections that outlive their session: what the other end had said on their streams had come whole, with its end,
//! and they have not read all of it. What they hold counts against one limit, whatever sessions it came in.

use super::streams::Stream;
use super::{HELD_MAX, Tunnel};
use crate::reactor::Cx;
use crate::reactor::net::Close;
use crate::roles::pump::{Channel, Channels, Parted};

impl Stream {
    /// Whether its session is gone.
    pub(super) fn is_alone(&self) -> bool {
        self.channel().is_some_and(Channel::is_alone)
    }
}

/// Of all connections that have a stream.
impl Channels for Tunnel {
    fn channels(&self) -> impl Iterator<Item = (usize, &Channel)> + Clone {
        let streams = self.streams.iter();
        streams.filter_map(|(key, stream)| Some((key, stream.channel()?)))
    }

    fn channel_mut(&mut self, key: usize) -> Option<&mut Channel> {
        self.streams.get_mut(key)?.channel_mut()
    }
}

impl Tunnel {
    /// The session is gone: connections that are owed something live on without. The others are reset.
    pub(super) fn part_streams(&mut self, cx: &mut Cx<'_>) -> Parted {
        let ours = self.streams.iter().filter(|(_, it)| !it.is_alone());
        let ours: Vec<usize> = ours.map(|(key, _)| key).collect();
        let parted = self.part(cx, ours);
        for key in &parted.cut {
            self.end_stream(cx, *key, Close::Reset, "the other end is lost");
        }
        while self.owed() > HELD_MAX {
            self.end_hindmost(cx, true);
        }
        parted
    }

    /// Closes those that have got everything, and say nothing themselves. To be called each second or so.
    pub(super) fn tick_owed(&mut self, cx: &mut Cx<'_>) {
        for (key, how) in self.delivered(cx) {
            self.end_stream(cx, key, how, "it has all that the other end had said");
        }
    }
}
