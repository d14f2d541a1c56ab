//! Connections that outlive their session: what the other end had said on their streams had come whole, with its end,
//! and they have not read all of it. What they hold counts against one limit, whatever sessions it came in.

use super::streams::Stream;
use super::{HELD_MAX, Tunnel};
use crate::base::units::Count;
use crate::reactor::Cx;
use crate::reactor::net::{Close, SockId};
use crate::roles::pump::{Channel, delivered, left_behind, would_leave};

impl Stream {
    /// Whether its session is gone.
    pub(super) fn is_alone(&self) -> bool {
        self.channel().is_some_and(Channel::is_alone)
    }
}

impl Tunnel {
    /// The session is gone: connections that are owed something live on without. The others are reset. Returns how
    /// many are, and how many live on.
    pub(super) fn part_streams(&mut self, cx: &mut Cx<'_>) -> (usize, usize) {
        let ours = self.streams.iter().filter(|(_, it)| !it.is_alone());
        let ours: Vec<usize> = ours.map(|(key, _)| key).collect();
        let (mut reset, mut owed) = (0, 0);
        for key in ours {
            let channel = self.streams[key].channel_mut();
            match channel.filter(|channel| channel.is_owed(cx)) {
                Some(channel) => {
                    channel.part(cx);
                    owed += 1;
                }
                None => {
                    self.end_stream(cx, key, Close::Reset, "the other end is lost");
                    reset += 1;
                }
            }
        }
        while self.owed() > HELD_MAX {
            self.end_hindmost(cx, true);
        }
        (reset, owed)
    }

    /// Bytes that sessions which are gone have left for connections.
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

    /// The channel of a connection, where its session is gone.
    pub(super) fn alone(&mut self, key: usize) -> Option<&mut Channel> {
        let channel = self.streams.get_mut(key)?.channel_mut()?;
        channel.is_alone().then_some(channel)
    }

    /// Closes those that have got everything, and say nothing themselves. To be called each second or so.
    pub(super) fn tick_owed(&mut self, cx: &mut Cx<'_>) {
        let done = delivered(cx, self.channels());
        for (key, how) in done {
            self.end_stream(cx, key, how, "it has all that the other end had said");
        }
    }

    /// Of all connections that have a stream.
    pub(super) fn channels(&self) -> impl Iterator<Item = (usize, &Channel)> + Clone {
        let streams = self.streams.iter();
        streams.filter_map(|(key, stream)| Some((key, stream.channel()?)))
    }
}

/// "2 connections reset, 1 still reads"
pub(super) fn told((reset, owed): (usize, usize)) -> String {
    let reset = Count(reset, "connection");
    match owed {
        0 => format!("{reset} reset"),
        1 => format!("{reset} reset, 1 still reads"),
        _ => format!("{reset} reset, {owed} still read"),
    }
}
