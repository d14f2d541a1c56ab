//! `--failback`: while another upstream is in use, the first one is dialled on the side, and its bytes are read and
//! forgotten. Once they have come for so long without a longer break, it is in use again, from a record's start on; and
//! at once where the other one fails.
//!
//! ```text
//!   b in use:  dialling a ──> a on probation ──has sent bytes for --failback, or b fails──> a in use, b closed
//!                  ^─── --retry ──fails, or ends
//! ```

use std::time::Duration;

use crate::base::time::Time;
use crate::base::units::Span;
use crate::base::wheel::TimerKey;
use crate::proto::record::{Piece, Splitter};
use crate::reactor::net::{Close, Peer, SockId};
use crate::reactor::{Cx, DialId};
use crate::roles::relay::config::Source;
use crate::roles::relay::upstream::{Conn, conn};
use crate::roles::relay::{Kind, Relay, Tick};

/// The first upstream while another one is in use.
#[derive(Debug, Default)]
pub(super) struct Standby {
    dial: Option<DialId>,
    retry: Option<TimerKey>,
    probation: Option<Probation>,
}

impl Standby {
    pub(super) fn conn_mut(&mut self) -> Option<&mut Conn> {
        self.probation.as_mut().map(|probation| &mut probation.conn)
    }
}

/// A connection that has still to prove itself.
#[derive(Debug)]
struct Probation {
    conn: Conn,
    splitter: Splitter,
    /// Since when whole records have come without a long break, and when the last one did.
    good_since: Option<Time>,
    last: Time,
    /// The record that it has begun: the first bytes that clients would get.
    partial: Vec<u8>,
}

impl Probation {
    fn take_in(&mut self, mut bytes: &[u8], now: Time, failback: Duration) {
        while !bytes.is_empty() {
            let piece = self.splitter.feed(bytes);
            let taken = piece.taken();
            match piece {
                Piece::Whole(_) => {
                    self.partial.clear();
                    let broken = now.since(self.last) > failback;
                    self.good_since = self.good_since.filter(|_| !broken).or(Some(now));
                    self.last = now;
                }
                Piece::Partial(_) => self.partial.extend_from_slice(&bytes[..taken]),
                Piece::Garbage { before, .. } => {
                    // It has still to find its way back to a record, and to prove itself from there on.
                    self.partial.drain(..before);
                    self.good_since = None;
                }
            }
            bytes = &bytes[taken..];
        }
    }

    fn has_passed(&self, now: Time, failback: Duration) -> bool {
        self.good_since
            .is_some_and(|since| now.since(since) >= failback)
    }
}

impl Relay {
    pub(super) fn is_standby_dial(&self, dial: DialId) -> bool {
        self.standby.dial == Some(dial)
    }

    /// Dials the first upstream on the side, if another one is in use and it is wanted back.
    pub(super) fn dial_standby(&mut self, cx: &mut Cx<'_>) {
        let Source::Dial(endpoints) = &self.config.source else {
            return;
        };
        if let Some(retry) = self.standby.retry.take() {
            cx.cancel(retry);
        }
        let wanted = self.config.failback.is_some() && self.upstream.dialler.at != 0;
        if wanted && self.standby.dial.is_none() && self.standby.probation.is_none() {
            self.standby.dial = Some(cx.dial(&endpoints[0], self.config.connect_timeout));
        }
    }

    pub(super) fn standby_connected(&mut self, cx: &mut Cx<'_>, sock: SockId, peer: Peer) {
        self.standby.dial = None;
        let conn = conn(cx, sock, peer);
        let splitter = Splitter::new(self.config.framing, self.config.record_max);
        let last = cx.now();
        self.standby.probation = Some(Probation {
            conn,
            splitter,
            good_since: None,
            last,
            partial: Vec::new(),
        });
        cx.set_tag(sock, Kind::Standby.tag(0));
        self.guard_upstream(cx, sock);
        cx.want_read(sock, true);
    }

    /// It could not be reached, or has gone.
    pub(super) fn standby_failed(&mut self, cx: &mut Cx<'_>) {
        self.standby.dial = None;
        if let Some(probation) = self.standby.probation.take() {
            cx.close(probation.conn.sock, Close::Orderly);
        }
        self.standby.retry = Some(cx.timer(self.config.retry.max, Tick::StandbyRetry.tag(0)));
    }

    pub(super) fn standby_readable(&mut self, cx: &mut Cx<'_>, sock: SockId) {
        let (Some(probation), Some(failback)) = (&mut self.standby.probation, self.config.failback)
        else {
            return;
        };
        match cx.read(sock, &mut self.scratch) {
            Ok(None) => {}
            Ok(Some(0)) | Err(_) => self.standby_failed(cx),
            Ok(Some(n)) => {
                let now = cx.now();
                probation.take_in(&self.scratch[..n], now, failback);
                if probation.has_passed(now, failback) {
                    let first = self.first_upstream();
                    let text = format!(
                        "upstream {first} has sent records for {}: in use again",
                        Span(failback)
                    );
                    self.journal.info(text);
                    self.promote_standby(cx);
                }
            }
        }
    }

    /// Puts the first upstream in use again, in place of the active one if there is one. Whether it was there.
    pub(super) fn promote_standby(&mut self, cx: &mut Cx<'_>) -> bool {
        let Some(probation) = self
            .standby
            .probation
            .take_if(|probation| probation.good_since.is_some())
        else {
            return false;
        };
        if let Some(old) = self.upstream.active.take() {
            cx.close(old.sock, Close::Orderly);
        }
        self.stop_standby(cx);
        self.upstream.dialler.stop(cx);
        self.upstream.dialler.at = 0;
        self.counts.discarded += self.records.begin_anew(&mut self.ring, 0);
        let sock = probation.conn.sock;
        self.upstream.active = Some(Conn {
            pending: probation.partial,
            since: cx.now(),
            ..probation.conn
        });
        cx.set_tag(sock, Kind::Upstream.tag(0));
        cx.want_read(sock, self.upstream.reading);
        // No readiness announces the bytes that are pending.
        cx.revisit(sock);
        self.watch_idle(cx);
        self.upstream_is_up();
        true
    }

    pub(super) fn stop_standby(&mut self, cx: &mut Cx<'_>) {
        let standby = std::mem::take(&mut self.standby);
        if let Some(dial) = standby.dial {
            cx.cancel_dial(dial);
        }
        if let Some(retry) = standby.retry {
            cx.cancel(retry);
        }
        if let Some(probation) = standby.probation {
            cx.close(probation.conn.sock, Close::Orderly);
        }
    }

    /// The connection to the first upstream while that is on probation.
    pub fn standby_socket(&self) -> Option<SockId> {
        self.standby
            .probation
            .as_ref()
            .map(|probation| probation.conn.sock)
    }

    fn first_upstream(&self) -> String {
        match &self.config.source {
            Source::Dial(endpoints) => endpoints[0].to_string(),
            Source::Listen(_) | Source::Stdin => String::new(),
        }
    }
}
