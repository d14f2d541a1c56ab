//! Streams that outlive their session: what their clients had said had come whole, with its end, and the service has
//! not got all of it. What they hold counts against one limit, whatever sessions it came in.

use super::Expose;
use super::streams::Stream;
use crate::base::units::Count;
use crate::reactor::Cx;
use crate::reactor::net::Close;
use crate::roles::pump::{Channel, Channels};
use crate::roles::tunnel::HELD_MAX;

impl Stream {
    /// Whether its session is gone.
    pub(super) fn is_alone(&self) -> bool {
        self.channel.is_alone()
    }
}

impl Channels for Expose {
    fn channels(&self) -> impl Iterator<Item = (usize, &Channel)> + Clone {
        self.streams
            .iter()
            .map(|(key, stream)| (key, &stream.channel))
    }

    fn channel_mut(&mut self, key: usize) -> Option<&mut Channel> {
        Some(&mut self.streams.get_mut(key)?.channel)
    }
}

impl Expose {
    /// The session is gone: streams of which the service is still owed something live on without. The others are
    /// reset. Says how many.
    pub(super) fn part_streams(&mut self, cx: &mut Cx<'_>) -> String {
        let ours = self.streams.iter().filter(|(_, it)| !it.is_alone());
        let ours: Vec<usize> = ours.map(|(key, _)| key).collect();
        let parted = self.part(cx, ours);
        for key in &parted.cut {
            self.end_stream(cx, *key, Close::Reset);
        }
        self.check_owed(cx);
        let reset = Count(parted.cut.len(), "client");
        match parted.owed {
            0 => format!("{reset} reset"),
            owed => format!("{reset} reset, {owed} still read by the service"),
        }
    }

    /// Resets those that the service holds up while all that it is owed is too much.
    fn check_owed(&mut self, cx: &mut Cx<'_>) {
        while self.owed() > HELD_MAX {
            let Some(key) = self.hindmost_alone() else {
                return;
            };
            let text = "the service reads too little, and the memory for what sessions have left is full: \
                        a client is reset";
            self.journal.warn(cx.now(), "memory", text.to_owned());
            self.end_stream(cx, key, Close::Reset);
        }
    }

    /// Whether a stream of the session is left.
    pub(super) fn has_streams(&self) -> bool {
        self.streams.iter().any(|(_, stream)| !stream.is_alone())
    }

    /// Closes those whose service has got everything, and says nothing itself. To be called each second or so.
    pub(super) fn tick_owed(&mut self, cx: &mut Cx<'_>) {
        for (key, how) in self.delivered(cx) {
            self.end_stream(cx, key, how);
        }
    }
}
