//! How a client goes: by itself, half-way (it half-closes and still receives), or because it is dropped.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::time::Duration;

use crate::base::time::Time;
use crate::base::units::{Bytes, Span};
use crate::reactor::net::{Close, Keepalive, Peer};
use crate::reactor::{Cx, plain};
use crate::roles::relay::clients::{Client, ClientId};
use crate::roles::relay::config::{Slow, Way};
use crate::roles::relay::encrypted::{Heard, is_alert, part};
use crate::roles::relay::ending::owes;
use crate::roles::relay::{Relay, Why};

/// Why a client is gone. The text is the word in the log and the label of the counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// It closed or reset the connection itself.
    Left,
    /// Its kernel answered nothing for `--keepalive`, neither probes nor bytes that were sent again and again; or, as a
    /// WebSocket client, it answered neither of two pings.
    Dead,
    /// The ring would have overwritten bytes that it had not taken.
    Overtaken,
    /// It was further behind than `--max-lag` allows.
    Lagging,
    /// It took nothing for `--hold` while the upstream waited, or for `--stall-timeout` while bytes waited for it.
    Stalled,
    /// It broke the rules of the protocol that it is served by.
    Protocol,
    /// Whoever runs hydrant disconnected it.
    Kicked,
    /// It had half-closed, and its place was needed for a newcomer.
    HalfClosed,
    /// Its stream ended, and it has every byte.
    Drained,
    /// Its stream ended, and our kernel has every byte: some of them have still to be acknowledged by its own, which
    /// has done nothing of it for a while, or had no time left for it.
    Unacknowledged,
    /// The relay ended before it had taken every byte.
    Cut,
}

impl Reason {
    /// All reasons.
    pub const ALL: [Self; 11] = [
        Self::Left,
        Self::Dead,
        Self::Overtaken,
        Self::Lagging,
        Self::Stalled,
        Self::Protocol,
        Self::Kicked,
        Self::HalfClosed,
        Self::Drained,
        Self::Unacknowledged,
        Self::Cut,
    ];

    /// Whether it was our doing, and not in the course of things.
    pub fn is_drop(self) -> bool {
        !matches!(self, Self::Left | Self::Drained)
    }

    /// A client that lacks bytes is reset, so that it can't take this for the end of the stream.
    fn close(self) -> Close {
        match self {
            Self::Dead
            | Self::Overtaken
            | Self::Lagging
            | Self::Stalled
            | Self::Kicked
            | Self::Cut => Close::Reset,
            Self::Left
            | Self::Protocol
            | Self::HalfClosed
            | Self::Drained
            | Self::Unacknowledged => Close::Orderly,
        }
    }
}

impl Reason {
    /// The word for it, in the log and in counters.
    pub fn word(self) -> &'static str {
        match self {
            Self::Left => "left",
            Self::Dead => "dead",
            Self::Overtaken => "overtaken",
            Self::Lagging => "lagging",
            Self::Stalled => "stalled",
            Self::Protocol => "protocol",
            Self::Kicked => "kicked",
            Self::HalfClosed => "half-closed",
            Self::Drained => "drained",
            Self::Unacknowledged => "unacknowledged",
            Self::Cut => "cut",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl Relay {
    /// A receiver's own bytes are read and thrown away; its end is noted.
    pub(super) fn client_readable(&mut self, cx: &mut Cx<'_>, id: ClientId) {
        match self.read_client(cx, id) {
            Ok(Heard::End) => self.client_ended(cx, id),
            Ok(Heard::Frames(count)) => self.heed(cx, id, count),
            Ok(Heard::Nothing) => {}
            Err(error) => self.drop_failed(cx, id, &error),
        }
    }

    /// The client's direction of the stream has ended: it may have gone, or it may just have nothing to say.
    fn client_ended(&mut self, cx: &mut Cx<'_>, id: ClientId) {
        let Some(client) = self.clients.get(id) else {
            return;
        };
        let (sock, peer, finishing) = (client.sock, client.peer, client.finishing);
        if finishing {
            if !owes(cx.unacknowledged(sock)) {
                self.drop_client(cx, id, Reason::Drained, None);
            } else if let Some(client) = self.clients.get_mut(id) {
                // It may only have half-closed, or be about to go without the rest, or be reset: from here on its
                // kernel has to be asked.
                client.may_be_gone = true;
            }
            return;
        }
        // A WebSocket has its own way of saying that nothing more will come.
        if peer == Peer::Stdio || client.websocket.is_some() {
            return self.drop_client(cx, id, Reason::Left, None);
        }
        if let Err(error) = cx.write(sock, [&[], &[]]) {
            return self.drop_failed(cx, id, &error);
        }
        if !client.half_closed {
            self.clients.half_close(id);
            // Only its kernel can tell whether anybody is left there: ask each second.
            cx.set_keepalive(
                sock,
                Keepalive {
                    idle: PROBE,
                    user_timeout: None,
                },
            );
        }
    }

    /// Asks the kernel about each half-closed client: one whose other half is gone too has left.
    pub(super) fn probe_half_closed(&mut self, cx: &mut Cx<'_>) {
        let suspects: VecDeque<ClientId> = self.clients.half_closed().clone();
        for id in suspects {
            let suspect = self.clients.get(id).filter(|client| !client.finishing);
            let Some(sock) = suspect.map(|client| client.sock) else {
                continue; // our own half is shut too: a probe would only say that
            };
            if let Err(error) = cx.write(sock, [&[], &[]]) {
                self.drop_failed(cx, id, &error);
            }
        }
    }

    /// A read or write says that the connection is over.
    pub(super) fn drop_failed(&mut self, cx: &mut Cx<'_>, id: ClientId, error: &io::Error) {
        let reason = match error.kind() {
            io::ErrorKind::TimedOut
            | io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkUnreachable => Reason::Dead,
            _ => Reason::Left,
        };
        self.drop_client(cx, id, reason, Some(error));
    }

    /// Takes a client away, for a reason that is counted and logged. That may let the upstream be read.
    pub(super) fn drop_client(
        &mut self,
        cx: &mut Cx<'_>,
        id: ClientId,
        reason: Reason,
        error: Option<&io::Error>,
    ) {
        self.take_away(cx, id, reason, error);
        self.after_drop(cx);
    }

    /// After clients were taken away: that may let the upstream be read.
    pub(super) fn after_drop(&mut self, cx: &mut Cx<'_>) {
        if self.flush.is_none() && self.pass.is_none() {
            self.refresh_gate(cx);
        }
    }

    /// One of several clients that go at once: see [`Relay::after_drop`].
    pub(super) fn take_away(
        &mut self,
        cx: &mut Cx<'_>,
        id: ClientId,
        reason: Reason,
        error: Option<&io::Error>,
    ) {
        let Some(mut client) = self.clients.remove(id) else {
            return;
        };
        let waiting = client.lacks(self.framed.as_deref(), cx.unacknowledged(client.sock));
        part(cx, client.sock, client.tls.as_deref_mut(), reason.close());
        self.sampler.forget(client.peer);
        if client.slow == Slow::Skip {
            self.journal
                .skips_no_more(cx.now(), &client.peer.to_string());
        }
        self.counts.gone[reason as usize] += 1;
        self.say_gone(cx.now(), &client, reason, error, waiting);
        let output = usize::from(client.output);
        let outlet = &mut self.outputs[output];
        outlet.clients -= 1;
        outlet.taking -= usize::from(!client.finishing);
        let was_websocket = outlet.websocket;
        let dialled = outlet.is_dialled();
        if !dialled {
            self.dismiss_client(client.peer);
        }
        if dialled || !client.finishing {
            // What our kernel goes on delivering counts as taken.
            let acked = match reason {
                Reason::Drained => client.cursor,
                _ if is_alert(error) => client.first,
                _ => client.cursor.saturating_sub(waiting).max(client.acked),
            };
            self.note_resumption(output, &client, acked);
        }
        if was_websocket {
            self.end_messages();
        }
        if self.flush.is_some() {
            if matches!(
                reason,
                Reason::Drained | Reason::Unacknowledged | Reason::Stalled
            ) {
                // It has it all, or time enough was given: nobody comes back for it.
                self.outputs[output].forget_place();
            }
            return self.flushed(cx, reason, output, client.joined);
        }
        if self.outputs[output].way == Way::Stdout {
            self.outputs[output].forget_place();
            if self.outputs.len() == 1 {
                // A reader who has had enough ends it well; a disk that is full does not.
                let enough = |error: &&io::Error| error.kind() == io::ErrorKind::BrokenPipe;
                self.failure = error
                    .filter(|error| !enough(error))
                    .map(|error| format!("can't write to stdout: {}", plain(error)));
                return self.begin_flush(
                    cx,
                    match self.failure {
                        None => Why::StdoutClosed,
                        Some(_) => Why::StdoutFailed,
                    },
                );
            }
        }
        self.redial_output(cx, output, client.joined);
    }

    fn say_gone(
        &mut self,
        now: Time,
        client: &Client,
        reason: Reason,
        error: Option<&io::Error>,
        unacked: u64,
    ) {
        let took = Bytes((client.cursor - client.first).saturating_sub(unacked));
        let took = format!("took {took} in {}", Span(now.since(client.joined)));
        let who = self.outputs[usize::from(client.output)].called(client.peer);
        if !reason.is_drop() {
            let how = match error {
                Some(error) if reason == Reason::Left => format!("left ({})", plain(error)),
                _ => reason.to_string(),
            };
            return self.journal.went(
                now,
                format!("{who} {how}; {took} ({} now)", self.clients.len()),
            );
        }
        let (bytes, age) = self.lag(client.cursor.saturating_sub(unacked).max(client.first), now);
        let text = format!(
            "{who} dropped: {reason}; {}, {} behind; {took}",
            Span(age),
            Bytes(bytes)
        );
        self.journal.dropped(now, text);
    }
}

/// How often a half-closed client is asked whether it is still there.
const PROBE: Duration = Duration::from_secs(1);
