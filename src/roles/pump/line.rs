//! Whether a line moves, however slowly: a question behind much data takes as long as that does to arrive, and whoever
//! has not had it yet can't have answered.

use super::{Carrier, Mux};
use crate::base::time::Time;
use crate::proto::yamux::Silent;
use crate::reactor::Cx;

/// A question on its way to a peer.
#[derive(Clone, Copy, Debug)]
pub struct Question {
    /// Where it ends, in bytes from the session's beginning on.
    end: u64,
    /// What the peer's machine had taken when this was last looked at.
    taken: u64,
    /// When it was asked, or was last seen on its way on a line that moves.
    since: Time,
}

impl Question {
    /// One that stands behind all that has been said.
    pub fn behind<C: Carrier>(mux: &Mux<C>, cx: &Cx<'_>) -> Self {
        Self {
            end: mux.said(),
            taken: mux.taken(cx),
            since: cx.now(),
        }
    }

    /// Looks at the line, once a second or so. Since when the peer has owed an answer: that counts from the last look
    /// at which the question was still on its way, and the line had moved since the one before.
    pub fn owed_since<C: Carrier>(&mut self, mux: &Mux<C>, cx: &Cx<'_>) -> Time {
        let before = std::mem::replace(&mut self.taken, mux.taken(cx));
        if before < self.taken && self.taken < self.end {
            self.since = cx.now();
        }
        self.since
    }
}

impl<C: Carrier> Mux<C> {
    /// Asks the peer whether it is there when it is time to. To be called each second or so.
    ///
    /// # Errors
    /// The peer has been silent for too long since it was asked, and the line did not move either: it is dead.
    pub fn tick(&mut self, cx: &mut Cx<'_>) -> Result<(), Silent> {
        if let Some(mut question) = self.question.filter(|_| self.session.is_asking()) {
            let before = question.since;
            if question.owed_since(self, cx) > before {
                self.session.moves(question.since);
            }
            self.question = Some(question);
        } else {
            self.question = None;
        }
        if self.carrier_mut().has_heard() {
            self.session.moves(cx.now());
        }
        self.session.tick(cx.now())?;
        self.say(cx);
        if self.question.is_none() && self.session.is_asking() {
            self.question = Some(Question::behind(self, cx));
        }
        Ok(())
    }

    /// Bytes that were said in all.
    fn said(&self) -> u64 {
        self.out.sent_total() + self.out.len() as u64
    }

    /// Bytes of them that the peer's machine has acknowledged.
    fn taken(&self, cx: &Cx<'_>) -> u64 {
        let under_way = self.carrier().under_way(cx);
        self.out.sent_total().saturating_sub(under_way)
    }
}
