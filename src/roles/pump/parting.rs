//! The orderly end of a session: all that was said arrives, though the peer goes on talking.
//!
//! A socket that is closed answers whatever still comes, a window update or a ping, with a reset, and the kernel throws
//! away what had not arrived. So our direction ends first, and the socket is closed once the peer has all of it.

use std::io;

use super::{Carrier, Mux};
use crate::base::time::Time;
use crate::reactor::Cx;

/// How far a session has taken its leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Parting {
    No,
    /// Our direction ends behind what is still to be sent.
    Due(Time),
    /// It has ended.
    Finished(Time),
    /// So has the peer's: it has everything.
    Over(Time),
}

impl<C: Carrier> Mux<C> {
    /// Whether our direction has ended, so that nothing can be said any more.
    pub(super) fn has_finished(&self) -> bool {
        matches!(self.parting, Parting::Finished(_) | Parting::Over(_))
    }

    pub(super) fn finish_if_parting(&mut self, cx: &mut Cx<'_>) -> io::Result<()> {
        if let Parting::Due(since) = self.parting
            && self.out.is_empty()
        {
            self.parting = Parting::Finished(since);
            self.carrier.finish(cx)?;
        }
        Ok(())
    }
}

impl Mux {
    /// Takes leave: our direction ends behind all that was said. No channel may be left. What comes from now on is to
    /// be read until [`Mux::is_parted`].
    pub fn part(&mut self, cx: &mut Cx<'_>) {
        if self.parting == Parting::No {
            self.parting = Parting::Due(cx.now());
            self.carrier.want_send(cx);
        }
    }

    /// Since when it takes leave, if it does.
    pub fn parting_since(&self) -> Option<Time> {
        match self.parting {
            Parting::No => None,
            Parting::Due(since) | Parting::Finished(since) | Parting::Over(since) => Some(since),
        }
    }

    /// The peer has ended its direction, too, which shows that it has read ours.
    pub fn peer_parted(&mut self, cx: &mut Cx<'_>) {
        if let Parting::Finished(since) = self.parting {
            self.parting = Parting::Over(since);
        }
        self.carrier.want_read(cx, false);
    }

    /// Whether the peer's kernel has all that was said.
    pub fn is_parted(&self, cx: &Cx<'_>) -> bool {
        match self.parting {
            Parting::No | Parting::Due(_) => false,
            Parting::Finished(_) => self.undelivered(cx) == 0,
            Parting::Over(_) => true,
        }
    }

    /// Bytes that were said and that the peer's kernel is not known to have.
    pub fn undelivered(&self, cx: &Cx<'_>) -> u64 {
        let sock = self.carrier.sock();
        let under_way = u64::from(cx.unacknowledged(sock).unwrap_or(0));
        let held = u64::from(!Carrier::is_flushed(&self.carrier));
        self.out.len() as u64 + held + under_way
    }
}
