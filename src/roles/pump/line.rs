//! Whether a line moves, however slowly: a question behind much data takes as long as that does to arrive, and whoever
//! has not had it yet can't have answered.

use super::{Carrier, Mux};
use crate::base::time::Time;
use crate::proto::yamux::{HEADER_LEN, Silent};
use crate::reactor::Cx;

/// A question on its way to a peer, behind what the line still carries. Positions are bytes of the line from its
/// beginning on.
#[derive(Clone, Copy, Debug)]
pub struct Question {
    /// Where it begins.
    at: u64,
    /// What the peer's machine had taken when this was last looked at.
    taken: u64,
    /// When it was asked, or the line was last seen to move what stands before it.
    since: Time,
}

impl Question {
    /// One that is asked now, and begins at this byte of a line of which the peer's machine has taken so many.
    pub fn new(at: u64, taken: u64, now: Time) -> Self {
        Self {
            at,
            taken,
            since: now,
        }
    }

    /// One that a session has asked just now, behind all that it had said.
    pub fn behind<C: Carrier>(mux: &Mux<C>, cx: &Cx<'_>) -> Self {
        let at = mux.said().saturating_sub(HEADER_LEN as u64);
        Self::new(at, mux.taken(cx), cx.now())
    }

    /// Looks at the line, once a second or so, of which the peer's machine has taken so many bytes by now. Whether it
    /// has moved what stands before the question since the last look: then the peer can't have had it before that.
    pub fn look(&mut self, taken: u64, now: Time) -> bool {
        let before = std::mem::replace(&mut self.taken, taken);
        let moves = before < taken && before < self.at;
        if moves {
            self.since = now;
        }
        moves
    }

    /// Since when the peer has owed an answer: when it was asked, or the last look at which it was still on its way
    /// there.
    pub fn since(&self) -> Time {
        self.since
    }

    /// Looks at a session's line. Since when the peer has owed an answer.
    pub fn owed_since<C: Carrier>(&mut self, mux: &Mux<C>, cx: &Cx<'_>) -> Time {
        self.look(mux.taken(cx), cx.now());
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn at(second: u64) -> Time {
        Time::ZERO + Duration::from_secs(second)
    }

    /// Since when an answer is owed after each look, one a second, that finds so much taken: in seconds behind the
    /// question, which begins at byte 100, when this much had been taken.
    fn since(asked_at: u64, looks: &[u64]) -> Vec<u64> {
        let mut question = Question::new(100, asked_at, at(0));
        let look = |(second, taken): (u64, &u64)| {
            let before = question.since();
            let moves = question.look(*taken, at(second));
            assert_eq!(moves, question.since() > before);
            question.since().since(at(0)).as_secs()
        };
        (1..).zip(looks).map(look).collect()
    }

    #[test]
    fn on_an_idle_line_an_answer_is_owed_from_the_question_on() {
        assert_eq!(since(100, &[100, 100]), [0, 0]);
        // The question itself, and what follows, move nothing that stands before it.
        assert_eq!(since(100, &[105, 112, 500]), [0, 0, 0]);
    }

    #[test]
    fn while_the_line_moves_what_stands_before_it_none_is_owed() {
        assert_eq!(since(0, &[1, 2, 50, 99]), [1, 2, 3, 4]);
        // It may have arrived just before the look that finds it there.
        assert_eq!(since(0, &[50, 112, 112, 200]), [1, 2, 2, 2]);
        assert_eq!(since(0, &[100, 112, 112]), [1, 1, 1]);
    }

    #[test]
    fn a_line_that_stands_still_is_waited_for_no_longer() {
        assert_eq!(since(0, &[0, 0, 0]), [0, 0, 0]);
        assert_eq!(since(0, &[7, 7, 7, 8, 8]), [1, 1, 1, 4, 4]);
    }
}
