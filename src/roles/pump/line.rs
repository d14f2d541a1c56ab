//! Whether a line moves, however slowly: a question behind much data takes as long as that does to arrive, and whoever has
//! not had it yet can't have answered.

use super::Mux;
use crate::proto::yamux::Silent;
use crate::reactor::Cx;

/// A question on its way to a peer.
#[derive(Clone, Copy, Debug)]
pub struct Question {
    /// Where it ends, in bytes from the session's beginning on.
    end: u64,
    /// What the peer's machine had taken when this was last looked at.
    taken: u64,
}

impl Question {
    /// One that stands behind all that has been said.
    pub fn behind(mux: &Mux, cx: &Cx<'_>) -> Self {
        Self {
            end: mux.said(),
            taken: mux.taken(cx),
        }
    }

    /// Whether the line has moved since this was last looked at, with the question still on its way then.
    pub fn moves(&mut self, mux: &Mux, cx: &Cx<'_>) -> bool {
        let before = std::mem::replace(&mut self.taken, mux.taken(cx));
        before < self.end && self.taken > before
    }
}

impl Mux {
    /// Asks the peer whether it is there when it is time to. To be called each second or so.
    ///
    /// # Errors
    /// The peer has been silent for too long since it was asked, and the line did not move either: it is dead.
    pub fn tick(&mut self, cx: &mut Cx<'_>) -> Result<(), Silent> {
        if let Some(mut question) = self.question.filter(|_| self.session.is_asking()) {
            if question.moves(self, cx) {
                self.session.moves(cx.now());
            }
            self.question = Some(question);
        } else {
            self.question = None;
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
        let under_way = cx.unacknowledged(self.carrier().sock()).unwrap_or(0);
        self.out.sent_total().saturating_sub(u64::from(under_way))
    }
}
