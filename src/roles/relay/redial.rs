//! One place that is dialled until it answers: the attempt under way, or the wait before the next one.
//!
//! ```text
//!   dialling ──fails──> waiting (--retry) ──> dialling ──answers──> connected ──lost──> waiting
//!      ^────────────────────────── it had lasted longer than the wait ────────────────────┘
//! ```

use std::time::Duration;

use crate::base::backoff::{Backoff, Retry};
use crate::base::endpoint::Endpoint;
use crate::base::time::Time;
use crate::base::wheel::TimerKey;
use crate::reactor::view::{Effort, Trouble};
use crate::reactor::{Cx, DialError, DialId};

/// Where the attempts to reach a place are.
#[derive(Debug)]
pub(super) struct Redial {
    dial: Option<DialId>,
    /// The wait before the next attempt, and when it is over.
    retry: Option<(TimerKey, Time)>,
    backoff: Backoff,
    /// Attempts since the owner last set this to zero.
    pub(super) attempts: u32,
    /// What went wrong last.
    pub(super) trouble: Option<Trouble>,
}

impl Redial {
    pub(super) fn new(retry: Retry) -> Self {
        Self {
            dial: None,
            retry: None,
            backoff: Backoff::new(retry),
            attempts: 0,
            trouble: None,
        }
    }

    /// Other waits hold from the next one on.
    pub(super) fn set_retry(&mut self, retry: Retry) {
        self.backoff.set_retry(retry);
    }

    /// Whether this is the attempt under way.
    pub(super) fn is(&self, dial: DialId) -> bool {
        self.dial == Some(dial)
    }

    /// Whether an attempt, or the wait before one, is under way.
    pub(super) fn is_under_way(&self) -> bool {
        self.dial.is_some() || self.retry.is_some()
    }

    /// What is done at present to have it answer.
    pub(super) fn effort(&self, now: Time) -> Effort {
        match self.retry {
            Some((_, due)) => Effort::Waiting(due.since(now)),
            None => Effort::Dialling,
        }
    }

    /// Makes an attempt now. A wait, if there is one, is over.
    pub(super) fn dial(&mut self, cx: &mut Cx<'_>, to: &Endpoint, timeout: Duration) {
        self.end_wait(cx);
        self.attempts += 1;
        self.dial = Some(cx.dial(to, timeout));
    }

    /// The wait, if there is one, is over.
    pub(super) fn end_wait(&mut self, cx: &mut Cx<'_>) {
        if let Some((retry, _)) = self.retry.take() {
            cx.cancel(retry);
        }
    }

    /// The attempt has succeeded.
    pub(super) fn answered(&mut self) {
        self.dial = None;
        self.trouble = None;
    }

    /// The attempt has failed. `what` is a clause that says how.
    pub(super) fn failed(&mut self, what: String, error: &DialError) {
        self.dial = None;
        let advice = error.advice();
        self.trouble = Some(Trouble { what, advice });
    }

    /// Waits as `--retry` says; then comes a timer with this tag.
    pub(super) fn wait(&mut self, cx: &mut Cx<'_>, tag: u32) {
        let wait = self.backoff.next(cx.random());
        self.retry = Some((cx.timer(wait, tag), cx.now() + wait));
    }

    /// A connection that had lasted for so long was lost. Whether it had lasted longer than the wait before it: then it
    /// had not failed, the next failure begins at the first wait again, and an attempt may be made at once.
    pub(super) fn had_lasted(&mut self, lasted: Duration) -> bool {
        self.backoff.had_lasted(lasted)
    }

    /// Gives up, for now or for good.
    pub(super) fn stop(&mut self, cx: &mut Cx<'_>) {
        if let Some(dial) = self.dial.take() {
            cx.cancel_dial(dial);
        }
        self.end_wait(cx);
    }
}
