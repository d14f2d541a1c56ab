//! Streams that outlive their session: what their clients had said had come whole, with its end, and the service has
//! not got all of it. What they hold counts against one limit, whatever sessions it came in.

use super::Expose;
use super::streams::Stream;
use crate::base::units::Count;
use crate::reactor::Cx;
use crate::reactor::net::{Close, SockId};
use crate::roles::pump::{Channel, delivered, hindmost, left_behind, would_leave};
use crate::roles::tunnel::HELD_MAX;

impl Stream {
    /// Whether its session is gone.
    pub(super) fn is_alone(&self) -> bool {
        self.channel.is_alone()
    }
}

impl Expose {
    /// The session is gone: streams of which the service is still owed something live on without. The others are
    /// reset. Says how many.
    pub(super) fn part_streams(&mut self, cx: &mut Cx<'_>) -> String {
        let ours = self.streams.iter().filter(|(_, it)| !it.is_alone());
        let ours: Vec<usize> = ours.map(|(key, _)| key).collect();
        let (mut owed, mut reset) = (0, 0);
        for key in ours {
            let stream = &mut self.streams[key];
            if stream.heading.is_none() && stream.channel.is_owed(cx) {
                stream.channel.part(cx);
                owed += 1;
            } else {
                self.end_stream(cx, key, Close::Reset);
                reset += 1;
            }
        }
        self.check_owed(cx);
        match owed {
            0 => format!("{} reset", Count(reset, "client")),
            owed => format!(
                "{} reset, {owed} still read by the service",
                Count(reset, "client")
            ),
        }
    }

    /// Resets those that the service holds up while all that it is owed is too much.
    fn check_owed(&mut self, cx: &mut Cx<'_>) {
        while self.owed() > HELD_MAX {
            let alone = self.channels().filter(|(_, channel)| channel.is_alone());
            let Some(key) = hindmost(alone) else {
                return;
            };
            let text = "the service reads too little, and the memory for what sessions have left is full: \
                        a client is reset";
            self.journal.warn(cx.now(), "memory", text.to_owned());
            self.end_stream(cx, key, Close::Reset);
        }
    }

    /// Bytes that sessions which are gone have left for the service.
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

    /// Whether a stream of the session is left.
    pub(super) fn has_streams(&self) -> bool {
        self.streams.iter().any(|(_, stream)| !stream.is_alone())
    }

    /// The channel of a stream, where its session is gone.
    pub(super) fn alone(&mut self, key: usize) -> Option<&mut Channel> {
        let channel = &mut self.streams.get_mut(key)?.channel;
        channel.is_alone().then_some(channel)
    }

    /// Closes those whose service has got everything, and says nothing itself. To be called each second or so.
    pub(super) fn tick_owed(&mut self, cx: &mut Cx<'_>) {
        let done = delivered(cx, self.channels());
        for (key, how) in done {
            self.end_stream(cx, key, how);
        }
    }

    fn channels(&self) -> impl Iterator<Item = (usize, &Channel)> + Clone {
        self.streams
            .iter()
            .map(|(key, stream)| (key, &stream.channel))
    }
}
