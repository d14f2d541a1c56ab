//! One stream's books: what may be sent, what was granted, and which ends have been said. It knows no frame and no
//! other stream.
//!
//! ```text
//!             granted                consumed           given back, once it is half of the window
//!   peer ──────────────> we hold it ──────────> due ────────────────────────────────────────────> peer
//! ```
//!
//! **Invariant.** What the peer may still send, what we hold and what is due add up to the window.

use std::time::Duration;

use super::error::Violation;
use crate::base::time::Time;

/// The credit that each direction of a stream begins with.
pub const WINDOW_MIN: u32 = 256 << 10;

/// How far an end of one direction has got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// Not at all.
    Open,
    /// It is to be said, behind all data.
    Due,
    /// It has been said.
    Said,
}

/// A stream that is open, or half of it.
#[derive(Clone, Debug)]
pub(super) struct Stream {
    /// What the session's user knows it by.
    pub(super) tag: u32,
    /// We opened it.
    pub(super) ours: bool,
    /// A SYN, where it is ours, or an ACK is still to be sent.
    pub(super) greet: bool,
    /// The peer has taken it, or we have.
    pub(super) taken: bool,
    /// It stands in the queue of those with something to say.
    pub(super) queued: bool,
    /// Bytes that we may send.
    credit: u32,
    finish: Ending,
    /// What the peer may have under way at most.
    window: u32,
    /// What the peer may still send.
    granted: u32,
    /// Consumed and not given back yet.
    due: u32,
    peer_finished: bool,
    /// When credit was last given back, or the stream opened.
    updated: Time,
}

impl Stream {
    pub(super) fn new(now: Time, tag: u32, ours: bool) -> Self {
        Self {
            tag,
            ours,
            greet: ours,
            taken: false,
            queued: false,
            credit: WINDOW_MIN,
            finish: Ending::Open,
            window: WINDOW_MIN,
            granted: WINDOW_MIN,
            due: 0,
            peer_finished: false,
            updated: now,
        }
    }

    /// How much data may be sent.
    pub(super) fn credit(&self) -> u32 {
        match self.finish {
            Ending::Open => self.credit,
            Ending::Due | Ending::Said => 0,
        }
    }

    pub(super) fn spend(&mut self, len: u32) {
        debug_assert_eq!(self.finish, Ending::Open, "data behind our own end");
        self.credit = self
            .credit
            .checked_sub(len)
            .expect("the caller asked how much may be sent");
    }

    /// The peer grants more. Whether that ends a want.
    pub(super) fn grant(&mut self, id: u32, more: u32) -> Result<bool, Violation> {
        let wanted = self.credit == 0;
        self.credit = self
            .credit
            .checked_add(more)
            .ok_or(Violation::CreditOverflow(id))?;
        Ok(wanted && more > 0 && self.finish == Ending::Open)
    }

    /// A frame of the peer's with so much payload begins.
    pub(super) fn receive(&mut self, id: u32, len: u32) -> Result<(), Violation> {
        if self.peer_finished && len > 0 {
            return Err(Violation::DataAfterFin(id));
        }
        self.granted = self
            .granted
            .checked_sub(len)
            .ok_or(Violation::WindowOverrun {
                stream: id,
                len,
                granted: self.granted,
            })?;
        Ok(())
    }

    pub(super) fn peer_finishes(&mut self, id: u32) -> Result<(), Violation> {
        match std::mem::replace(&mut self.peer_finished, true) {
            true => Err(Violation::SecondFin(id)),
            false => Ok(()),
        }
    }

    /// Ends our direction. Whether that is news.
    pub(super) fn finish(&mut self) -> bool {
        let news = self.finish == Ending::Open;
        if news {
            self.finish = Ending::Due;
        }
        news
    }

    /// Whether our end is to be said now; from now on it has been.
    pub(super) fn say_finish(&mut self) -> bool {
        let due = self.finish == Ending::Due;
        if due {
            self.finish = Ending::Said;
        }
        due
    }

    pub(super) fn is_over(&self) -> bool {
        self.peer_finished && self.finish == Ending::Said
    }

    /// So many of the peer's bytes have left us. Whether enough has become free to give credit back.
    pub(super) fn consume(&mut self, len: u32) -> bool {
        self.due = self.due.saturating_add(len).min(self.window - self.granted);
        !self.peer_finished && self.due >= self.window / 2
    }

    /// Whether the window is what holds the peer up: half of it was used within one round trip, and what came was
    /// passed on. Where it waits with us instead, a larger window would only have more of it wait.
    pub(super) fn is_narrow(&self, now: Time, round_trip: Duration) -> bool {
        now.since(self.updated) <= round_trip && self.held() < self.window / 4
    }

    /// Makes the window larger; the peer learns of it with the next credit.
    pub(super) fn widen(&mut self, by: u32) {
        self.window += by;
        self.due += by;
    }

    /// Takes out the credit that is to be given back.
    pub(super) fn give_back(&mut self, now: Time) -> u32 {
        let due = std::mem::take(&mut self.due);
        self.granted += due;
        self.updated = now;
        due
    }

    pub(super) fn wants_to_give_back(&self) -> bool {
        !self.peer_finished && self.due >= self.window / 2
    }

    /// What the peer may still send, and may have sent already.
    pub(super) fn granted(&self) -> u32 {
        self.granted
    }

    pub(super) fn window(&self) -> u32 {
        self.window
    }

    /// Bytes that the peer has sent, or announced by a frame's header, and that are not consumed.
    pub(super) fn held(&self) -> u32 {
        self.window - self.granted - self.due
    }

    pub(super) fn check_invariants(&self, window_max: u32) {
        assert!(self.window >= WINDOW_MIN && self.window <= window_max.max(WINDOW_MIN));
        assert!(self.granted <= self.window, "granted more than the window");
        assert!(
            self.due <= self.window - self.granted,
            "more is due than was used"
        );
    }
}
