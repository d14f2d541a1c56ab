//! An upstream that is connected and says nothing: taken for dead by `--idle-timeout`, and in any case worth a word
//! while clients wait.

use std::time::Duration;

use crate::base::time::Time;
use crate::base::units::Count;
use crate::reactor::Cx;
use crate::reactor::net::{Peer, SockId};
use crate::roles::relay::conn::Conn;
use crate::roles::relay::upstream::{Loss, Upstream};
use crate::roles::relay::{Relay, Tick};

impl Relay {
    /// `--idle-timeout`: looks again when the upstream may have been silent for so long.
    pub(super) fn watch_idle(&mut self, cx: &mut Cx<'_>) {
        if let Some(idle) = self.config.idle_timeout
            && self.upstream.idle.is_none()
        {
            self.upstream.idle = Some(cx.timer(idle, Tick::Idle.tag(0)));
        }
    }

    pub(super) fn look_at_idle(&mut self, cx: &mut Cx<'_>) {
        self.upstream.idle = None;
        let (Some(idle), Some(conn)) = (self.config.idle_timeout, &self.upstream.active) else {
            return;
        };
        let silence = cx.now().since(self.upstream.heard(conn));
        if self.upstream.reading && silence >= idle {
            return self.upstream_lost(cx, Loss::Silent(silence));
        }
        let left = if self.upstream.reading {
            idle - silence
        } else {
            idle
        };
        self.upstream.idle = Some(cx.timer(left, Tick::Idle.tag(0)));
    }

    /// Says so, once a silence, when clients wait for a connected upstream that sends nothing.
    pub(super) fn watch_silence(&mut self, cx: &Cx<'_>) {
        let upstream = &self.upstream;
        let Some(conn) = upstream.active.as_ref().or(upstream.candidates.first()) else {
            return;
        };
        let silence = cx.now().since(upstream.heard(conn));
        let waiting = self.clients.len();
        let expected = waiting > 0 && upstream.reading && conn.peer != Peer::Stdio;
        if !expected || silence < SILENCE || upstream.silence_said {
            return;
        }
        let clients = Count(waiting, "client");
        let (who, silence) = (self.source_name(conn.peer), silence.as_secs());
        let text =
            format!("upstream {who} connected but silent for {silence} s, {clients} waiting");
        self.upstream.silence_said = true;
        self.journal.warn(cx.now(), "silent", text);
    }
}

impl Upstream {
    /// Since when nothing has come from it, though it was read.
    fn heard(&self, conn: &Conn) -> Time {
        let last = self.last_byte.map_or(conn.since, |at| at.max(conn.since));
        last.max(self.last_part).max(self.reading_since)
    }

    /// A read has given nothing: on a thin line a whole record of TLS takes its time.
    pub(super) fn note_part(&mut self, cx: &Cx<'_>, sock: SockId) {
        if let Some(conn) = &mut self.active
            && conn.sock == sock
            && conn.tls.as_mut().is_some_and(|tls| tls.has_heard())
        {
            self.last_part = cx.now();
        }
    }
}

/// An upstream that is silent for so long while clients wait is worth a line.
const SILENCE: Duration = Duration::from_secs(10);
