//! `--failback`: while another upstream is in use, the first one is dialled on the side, and its bytes are read and
//! forgotten. Once they have come for so long without a longer break, it is in use again, from a record's start on; and
//! at once where the other one fails. A break is longer also than `--idle-timeout`, where that is given: an upstream
//! that may be silent for so long while it is in use may be so before.
//!
//! ```text
//!   b in use:  dialling a ──> a on probation ──has sent bytes for --failback, or b fails──> a in use, b closed
//!                  ^─── --retry ──fails, ends, or says nothing
//! ```

use std::time::Duration;

use crate::base::backoff::Retry;
use crate::base::time::Time;
use crate::base::units::{Chosen, Span};
use crate::base::wheel::TimerKey;
use crate::proto::record::{Piece, Splitter};
use crate::reactor::net::{Peer, SockId};
use crate::reactor::{Cx, DialId};
use crate::roles::relay::config::Source;
use crate::roles::relay::conn::{Conn, conn};
use crate::roles::relay::redial::Redial;
use crate::roles::relay::{Kind, Relay, Tick};
use crate::roles::tls::Secured;

/// The first upstream while another one is in use.
#[derive(Debug)]
pub(super) struct Standby {
    redial: Redial,
    /// When it is looked whether it is silent, where there is an `--idle-timeout`.
    idle: Option<TimerKey>,
    probation: Option<Probation>,
}

impl Standby {
    pub(super) fn new(retry: Retry) -> Self {
        Self {
            redial: Redial::new(retry),
            idle: None,
            probation: None,
        }
    }

    /// Whether it is being dialled, waits to be, or is connected.
    pub(super) fn is_under_way(&self) -> bool {
        self.redial.is_under_way() || self.probation.is_some()
    }

    #[cfg(test)]
    pub(super) fn redial(&self) -> &Redial {
        &self.redial
    }

    /// `--retry` has changed: it holds from the next wait on.
    pub(super) fn set_retry(&mut self, retry: Retry) {
        self.redial.set_retry(retry);
    }

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
    /// When anything last came: the time of the connection, before it has sent a byte.
    heard: Time,
    /// Breaks that made it begin anew.
    breaks: u32,
    /// The record that it has begun: the first bytes that clients would get.
    partial: Vec<u8>,
}

impl Probation {
    fn new(conn: Conn, splitter: Splitter, now: Time) -> Self {
        Self {
            conn,
            splitter,
            good_since: None,
            last: now,
            heard: now,
            breaks: 0,
            partial: Vec::new(),
        }
    }

    /// Whether it has passed with these bytes: a record that has become whole is the latest of a row that has lasted
    /// for `failback`, with no break longer than `pause`.
    fn take_in(
        &mut self,
        mut bytes: &[u8],
        now: Time,
        failback: Duration,
        pause: Duration,
    ) -> bool {
        let mut has_passed = false;
        while !bytes.is_empty() {
            let piece = self.splitter.feed(bytes);
            let taken = piece.taken();
            match piece {
                Piece::Whole(_) => {
                    self.partial.clear();
                    let broken = now.since(self.last) > pause;
                    self.breaks += u32::from(broken && self.good_since.is_some());
                    self.good_since = self.good_since.filter(|_| !broken).or(Some(now));
                    self.last = now;
                    has_passed |= self
                        .good_since
                        .is_some_and(|since| now.since(since) >= failback);
                }
                Piece::Partial(_) => self.partial.extend_from_slice(&bytes[..taken]),
                Piece::Garbage { before, .. } => {
                    // It has still to find its way back to a record, and to prove itself from there on.
                    self.partial.drain(..before);
                    self.good_since = None;
                    has_passed = false;
                }
            }
            bytes = &bytes[taken..];
        }
        has_passed
    }
}

impl Relay {
    pub(super) fn is_standby_dial(&self, dial: DialId) -> bool {
        self.standby.redial.is(dial)
    }

    /// Dials the first upstream on the side, if another one is in use and it is wanted back.
    pub(super) fn dial_standby(&mut self, cx: &mut Cx<'_>) {
        let Source::Dial(endpoints) = &self.config.source else {
            return;
        };
        self.standby.redial.end_wait(cx);
        let wanted = self.config.failback.is_some() && self.upstream.dialler.at != 0;
        if wanted && !self.standby.is_under_way() {
            let timeout = self.config.connect_timeout;
            self.standby.redial.dial(cx, &endpoints[0], timeout);
        }
    }

    pub(super) fn standby_connected(
        &mut self,
        cx: &mut Cx<'_>,
        sock: SockId,
        peer: Peer,
        tls: Option<Box<Secured>>,
    ) {
        self.standby.redial.answered();
        let conn = conn(cx, sock, peer, tls);
        let splitter = Splitter::new(self.config.framing, self.config.record_max);
        self.standby.probation = Some(Probation::new(conn, splitter, cx.now()));
        cx.set_tag(sock, Kind::Standby.tag(0));
        self.guard_upstream(cx, sock);
        cx.want_read(sock, true);
        self.look_at_standby(cx);
    }

    /// The longest break that is no silence; where there is no `--idle-timeout`, a first upstream may be silent for as
    /// long as it likes.
    fn standby_pause(&self) -> Duration {
        let idle = self.config.idle_timeout.unwrap_or_default();
        self.config.failback.unwrap_or_default().max(idle)
    }

    /// Looks again when it may have been silent for too long.
    fn watch_standby(&mut self, cx: &mut Cx<'_>, left: Duration) {
        let timer = cx.timer(left, Tick::StandbyIdle.tag(0));
        if let Some(before) = self.standby.idle.replace(timer) {
            cx.cancel(before);
        }
    }

    /// One that is silent for longer than any break may be is dialled anew: the connection may lead nowhere.
    pub(super) fn look_at_standby(&mut self, cx: &mut Cx<'_>) {
        let (Some(_), Some(probation)) = (self.config.idle_timeout, &self.standby.probation) else {
            return;
        };
        let (silence, pause) = (cx.now().since(probation.heard), self.standby_pause());
        if silence < pause {
            return self.watch_standby(cx, pause - silence);
        }
        let (first, silence) = (self.first_upstream(), Span(silence));
        let text = format!(
            "upstream {first} is back, but silent for {silence}, taken for dead (--idle-timeout): \
             not in use again"
        );
        self.journal.warn(cx.now(), "failback: silent", text);
        self.standby_failed(cx);
    }

    /// It could not be reached, or has gone.
    pub(super) fn standby_failed(&mut self, cx: &mut Cx<'_>) {
        self.standby.redial.answered();
        let now = cx.now();
        let lost = self.standby.probation.take();
        let had_lasted = lost.is_some_and(|mut probation| {
            probation.conn.close(cx);
            self.standby
                .redial
                .had_lasted(now.since(probation.conn.since))
        });
        if had_lasted {
            self.dial_standby(cx);
        } else {
            self.standby.redial.wait(cx, Tick::StandbyRetry.tag(0));
        }
    }

    pub(super) fn standby_readable(&mut self, cx: &mut Cx<'_>, sock: SockId) {
        let pause = self.standby_pause();
        let (Some(probation), Some(failback)) = (&mut self.standby.probation, self.config.failback)
        else {
            return;
        };
        let read = match &mut probation.conn.tls {
            Some(tls) => tls.read(cx, sock, &mut self.scratch, &mut self.cipher),
            None => cx.read(sock, &mut self.scratch),
        };
        match read {
            Ok(None) => {}
            Ok(Some(0)) | Err(_) => self.standby_failed(cx),
            Ok(Some(n)) => {
                let now = cx.now();
                let breaks = probation.breaks;
                probation.heard = now;
                let has_passed = probation.take_in(&self.scratch[..n], now, failback, pause);
                if probation.breaks > breaks && !has_passed {
                    let (first, pause) = (self.first_upstream(), Chosen(pause));
                    let text = format!(
                        "upstream {first} is back, but with breaks of more than {pause}: not in \
                         use again (--failback and --idle-timeout say how long a break may be)"
                    );
                    self.journal.warn(now, "failback", text);
                }
                if has_passed {
                    let first = self.first_upstream();
                    let text = format!(
                        "upstream {first} has sent records for {}: in use again",
                        Chosen(failback)
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
        if let Some(mut old) = self.upstream.active.take() {
            old.close(cx);
        }
        self.stop_standby(cx);
        self.upstream.dialler.redial.stop(cx);
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
        // The record that the one before had begun may be what made the ring full.
        self.refresh_gate(cx);
        true
    }

    pub(super) fn stop_standby(&mut self, cx: &mut Cx<'_>) {
        self.standby.redial.stop(cx);
        if let Some(idle) = self.standby.idle.take() {
            cx.cancel(idle);
        }
        self.standby.redial = Redial::new(self.config.retry);
        if let Some(mut probation) = self.standby.probation.take() {
            probation.conn.close(cx);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::record::Framing;

    fn probation() -> Probation {
        let conn = Conn {
            sock: SockId {
                key: 0,
                generation: 0,
            },
            peer: Peer::Unix,
            since: Time::ZERO,
            bytes: 0,
            greeted: 0,
            pending: Vec::new(),
            deferred: None,
            tls: None,
        };
        Probation::new(conn, Splitter::new(Framing::Line, 100), Time::ZERO)
    }

    /// What each piece, which comes at so many milliseconds, brings.
    fn passes(pieces: &[(u64, &str)]) -> Vec<bool> {
        passes_with(Duration::from_secs(1), pieces)
    }

    /// The same, where breaks may be so long.
    fn passes_with(pause: Duration, pieces: &[(u64, &str)]) -> Vec<bool> {
        let mut probation = probation();
        let mut take = |(at, piece): &(u64, &str)| {
            let now = Time::from_millis(*at);
            probation.take_in(piece.as_bytes(), now, Duration::from_secs(1), pause)
        };
        pieces.iter().map(&mut take).collect()
    }

    #[test]
    fn records_for_long_enough_pass() {
        let pieces = [(0, "a\n"), (600, "b\n"), (999, "c\n"), (1000, "d\n")];
        assert_eq!(passes(&pieces), [false, false, false, true]);
    }

    #[test]
    fn a_long_break_begins_anew() {
        let pieces = [(0, "a\n"), (1001, "b\n"), (1500, "c\n"), (2001, "d\n")];
        assert_eq!(passes(&pieces), [false, false, false, true]);
    }

    #[test]
    fn a_break_that_is_no_silence_passes() {
        let pieces = [(0, "a\n"), (1500, "b\n")];
        let pause = Duration::from_millis(1500);
        assert_eq!(passes_with(pause, &pieces), [false, true]);
        let pieces = [(0, "a\n"), (1501, "b\n"), (3001, "c\n")];
        assert_eq!(passes_with(pause, &pieces), [false, false, true]);
    }

    #[test]
    fn a_record_that_is_not_whole_passes_nothing() {
        let pieces = [
            (0, "a\n"),
            (5000, "b"),
            (5001, "\n"),
            (5900, "c"),
            (6001, "\n"),
        ];
        assert_eq!(passes(&pieces), [false, false, false, false, true]);
    }
}
