//! How a relay ends: by a signal, because its source is at its end, or because nobody reads its stdout any more. The
//! clients get what is theirs first.
//!
//! ```text
//!   behind ──caught up──> finishing (our end shut) ──all acknowledged──> drained
//!      │                        └── takes nothing more, or a signal's --drain is over ──> unacknowledged
//!      └── a signal's --drain is over ──> cut
//! ```
//!
//! At the end of the source there is no such limit: whoever takes bytes is waited for, and that is told by what its own
//! kernel acknowledges. Of one that takes nothing for a while, and lacks nothing but what our kernel has, the rest is
//! left to the kernel, which goes on; what that was is said.

use std::fmt;
use std::time::Duration;

use crate::base::time::Time;
use crate::base::units::{Bytes, Count, Span};
use crate::base::wheel::TimerKey;
use crate::reactor::net::{Peer, Signal};
use crate::reactor::{Cx, End};
use crate::roles::relay::clients::{Client, ClientId};
use crate::roles::relay::config::{Slow, Way};
use crate::roles::relay::leaving::Reason;
use crate::roles::relay::outputs::Outlet;
use crate::roles::relay::upstream::Loss;
use crate::roles::relay::{Relay, Tick};

/// Why the relay ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    Stopped(Signal),
    SourceEnded,
    StdoutClosed,
    StdoutFailed,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stopped(signal) => write!(f, "stopped by {signal}"),
            Self::SourceEnded => f.write_str("source ended"),
            Self::StdoutClosed => f.write_str("stdout closed by its reader"),
            Self::StdoutFailed => f.write_str("stdout failed"),
        }
    }
}

/// An end that is under way.
#[derive(Debug)]
pub(super) struct Flush {
    why: Why,
    /// Nobody is judged by what he took before.
    began: Time,
    drained: usize,
    unacknowledged: usize,
    cut: usize,
    deadline: Option<TimerKey>,
    /// It was said which destinations are waited for though they are not connected.
    owed_said: bool,
    over: bool,
}

impl Flush {
    /// Whether the feed itself is over.
    pub(super) fn source_ended(&self) -> bool {
        self.why == Why::SourceEnded
    }
}

impl Relay {
    /// Begins to end. A signal that comes while the source's end is already being waited for puts a deadline to it.
    pub(super) fn begin_flush(&mut self, cx: &mut Cx<'_>, why: Why) {
        let bounded = why != Why::SourceEnded;
        if let Some(flush) = &mut self.flush {
            if flush.deadline.is_none() && bounded {
                flush.why = why;
                flush.deadline = Some(cx.timer(self.config.drain, Tick::Deadline.tag(0)));
                self.close_outputs(cx, false);
                self.end_handshakes(cx);
                self.check_flushed(cx);
            }
            return;
        }
        self.hurry_granted(cx);
        let deadline = bounded.then(|| cx.timer(self.config.drain, Tick::Deadline.tag(0)));
        self.flush = Some(Box::new(Flush {
            why,
            began: cx.now(),
            drained: 0,
            unacknowledged: 0,
            cut: 0,
            deadline,
            owed_said: false,
            over: false,
        }));
        self.close_upstream(cx);
        self.close_outputs(cx, why == Why::SourceEnded);
        self.end_handshakes(cx);
        self.pass = None;
        self.feed_dump(cx);
        self.end_clients(cx);
        self.clients.end_passes();
        self.check_flushed(cx);
    }

    /// `--upstream-loss exit`. Who keeps the stream in a file is to know where it is not whole.
    pub(super) fn end_with_upstream(&mut self, cx: &mut Cx<'_>, who: &str, loss: &Loss<'_>) {
        if !matches!(loss, Loss::Closed) {
            self.failure = Some(format!("the upstream {who} did not end as it should"));
        }
        self.begin_flush(cx, Why::SourceEnded);
    }

    /// Every client gets what is its own by now, and then the end.
    pub(super) fn end_clients(&mut self, cx: &mut Cx<'_>) {
        let head = self.records.whole();
        let ids: Vec<_> = self.clients.iter().map(|(id, _)| id).collect();
        for id in ids {
            let Some(client) = self.clients.get_mut(id) else {
                continue;
            };
            client.until = client.until.min(head);
            self.end_client(cx, id);
        }
    }

    /// A client for whom there is an end: if it has every byte already, it gets that end as well. A WebSocket gets its
    /// close first, and TLS has one of its own.
    pub(super) fn end_client(&mut self, cx: &mut Cx<'_>, id: ClientId) {
        let Some(client) = self.clients.get_mut(id) else {
            return;
        };
        let withheld = std::mem::take(&mut client.withheld) > 0;
        let has_all = client.cursor == client.until && client.aside.is_none();
        if has_all && client.tls.is_some() {
            self.end_encrypted(cx, id);
        } else if has_all && client.websocket.is_none() {
            self.finish_client(cx, id);
        } else if withheld || !client.behind && self.pass.is_none() {
            let sock = client.sock;
            self.clients.fall_behind(id);
            cx.want_write(sock, true);
        }
    }

    /// A client has every byte there will be: our end of the stream is shut, and its kernel is given time to take it.
    pub(super) fn finish_client(&mut self, cx: &mut Cx<'_>, id: ClientId) {
        let Some(client) = self.clients.get_mut(id) else {
            return;
        };
        if client.finishing {
            return;
        }
        client.progress = cx.now();
        let (sock, peer) = (client.sock, client.peer);
        let (output, cursor) = (usize::from(client.output), client.cursor);
        self.clients.finish(id);
        self.note_finished(output, cursor);
        cx.want_write(sock, false);
        if let Err(error) = cx.shutdown(sock) {
            return self.drop_failed(cx, id, &error);
        }
        if let Some(client) = self.clients.get_mut(id) {
            client.is_shut = true;
        }
        if peer == Peer::Unix {
            // What a Unix socket's kernel has taken is the peer's already.
            return self.drop_client(cx, id, Reason::Drained, None);
        }
        if peer != Peer::Stdio {
            self.arm_poll(cx, POLL);
        }
    }

    /// Nothing announces that everything was acknowledged: looks at those who wait for nothing else. (Stdout does
    /// announce it.)
    pub(super) fn poll_finishing(&mut self, cx: &mut Cx<'_>) {
        self.poll = None;
        let now = cx.now();
        let waits = |client: &Client| client.finishing && client.peer != Peer::Stdio;
        let waiting = self.clients.iter().filter(|(_, client)| waits(client));
        let waiting: Vec<_> = waiting.map(|(id, _)| id).collect();
        for id in waiting {
            let left = self.ask_acknowledged(cx, id);
            let Some(client) = self.clients.get(id) else {
                continue;
            };
            let gone = client.may_be_gone && owes(left) && cx.is_over(client.sock);
            let reason = match gone {
                true => Some(Reason::Left),
                false => self.is_finished(id, left, now),
            };
            if let Some(reason) = reason {
                self.drop_client(cx, id, reason, None);
            }
        }
        let waiting = self.clients.iter().filter(|(_, client)| waits(client));
        // The longer it has been, the less a moment more matters.
        let quiet = waiting.map(|(_, client)| now.since(client.progress)).min();
        if let Some(quiet) = quiet {
            self.arm_poll(cx, quiet.clamp(POLL, POLL_MAX));
        }
    }

    /// Why a client that only has to acknowledge its last bytes, of which so many are left, need not be waited for any
    /// longer, if that is so.
    fn is_finished(&self, id: ClientId, left: Option<u32>, now: Time) -> Option<Reason> {
        if left == Some(0) {
            return Some(Reason::Drained);
        }
        let client = self.clients.get(id)?;
        let quiet = now.since(client.progress);
        let outlet = &self.outputs[usize::from(client.output)];
        if self.flush.is_none() && outlet.retaining() == Some(id) && owes(left) {
            // While the relay goes on, what it does not acknowledge is its next connection's.
            let stalled = self.config.stall_timeout.is_some_and(|max| quiet >= max);
            return stalled.then_some(Reason::Stalled);
        }
        // The kernel goes on.
        (quiet >= self.patience(client.slow)).then_some(match owes(left) {
            true => Reason::Unacknowledged,
            false => Reason::Drained,
        })
    }

    /// How long a client that has every byte may take nothing before the rest is left to the kernel.
    pub(super) fn patience(&self, slow: Slow) -> Duration {
        let hold = self.config.hold;
        match self.config.stall_timeout {
            Some(stall) => stall,
            None if slow != Slow::Block && !hold.is_zero() => hold,
            None => LEFT_AFTER,
        }
    }

    /// A client is gone while the relay ends.
    pub(super) fn flushed(&mut self, cx: &mut Cx<'_>, reason: Reason, output: usize, joined: Time) {
        let head = self.records.whole();
        let Some(flush) = &mut self.flush else { return };
        match reason {
            Reason::Drained => flush.drained += 1,
            Reason::Unacknowledged => flush.unacknowledged += 1,
            Reason::Left => {}
            _ => flush.cut += 1,
        }
        if flush.deadline.is_none() && self.outputs[output].is_owed(head) {
            self.redial_output(cx, output, joined);
        }
        self.check_flushed(cx);
    }

    /// While the source's end is being waited for, a client that takes nothing is not waited for longer than `--hold`.
    pub(super) fn shed_stalled(&mut self, cx: &mut Cx<'_>) {
        let ended = self.flush.as_ref().filter(|flush| flush.source_ended());
        if let Some(flush) = ended
            && !self.config.hold.is_zero()
        {
            self.drop_stalled(cx, flush.began);
        }
    }

    /// Says so, when the source's end is being waited for because of a client that must not lose a byte and takes none,
    /// or of a destination that is not even connected.
    pub(super) fn watch_end(&mut self, now: Time) {
        let ended = self.flush.as_ref().filter(|flush| flush.source_ended());
        let Some(began) = ended.map(|flush| flush.began) else {
            return;
        };
        self.name_owed();
        let waits = |client: &Client| client.behind || client.finishing;
        let waited_for = self
            .clients
            .iter()
            .filter(|(_, client)| client.slow == Slow::Block && waits(client))
            .min_by_key(|(_, client)| client.progress);
        let Some((_, client)) = waited_for else {
            return;
        };
        let (peer, quiet) = (client.peer, now.since(client.progress.max(began)));
        if quiet >= QUIET_SAID {
            let quiet = Span(quiet);
            let until = match client.finishing && peer != Peer::Stdio {
                true => format!("for up to {}", Span(self.patience(client.slow))),
                false => "(--stall-timeout ends that)".to_owned(),
            };
            let text = format!(
                "the source has ended; {peer} has taken nothing for {quiet} and is waited for \
                 {until}"
            );
            self.journal.warn(now, "the end waits", text);
        }
    }

    /// Says once which destinations are dialled on, as bytes are left for them.
    fn name_owed(&mut self) {
        let head = self.records.whole();
        let Some(flush) = self.flush.as_mut().filter(|flush| !flush.owed_said) else {
            return;
        };
        let owed = self.outputs.iter().filter(|outlet| outlet.is_owed(head));
        let owed = owed.map(|outlet| {
            let left = head - outlet.parked().unwrap_or(head);
            format!("{} ({} left for it)", outlet.name(), Bytes(left))
        });
        let owed: Vec<_> = owed.collect();
        flush.owed_said = !owed.is_empty();
        if flush.owed_said {
            let owed = owed.join(", ");
            let text = format!("the source has ended; not connected and waited for: {owed}");
            self.journal.info(text);
        }
    }

    /// `--drain` is over.
    pub(super) fn cut(&mut self, cx: &mut Cx<'_>) {
        // The kernel goes on delivering what it has taken; a standard stream's helper does not outlive us.
        let reason = |client: &Client| match client.finishing && client.peer != Peer::Stdio {
            true if owes(cx.unacknowledged(client.sock)) => Reason::Unacknowledged,
            true => Reason::Drained,
            false => Reason::Cut,
        };
        let clients = self.clients.iter();
        let reasons: Vec<_> = clients.map(|(id, client)| (id, reason(client))).collect();
        for (id, reason) in reasons {
            self.drop_client(cx, id, reason, None);
        }
        self.dump = None;
        self.end(cx);
    }

    /// Ends the relay if nothing is left to wait for.
    pub(super) fn check_flushed(&mut self, cx: &mut Cx<'_>) {
        let head = self.records.whole();
        let Some(flush) = &mut self.flush else { return };
        let is_owed = |outlet: &Outlet| outlet.is_owed(head);
        let dialling = flush.deadline.is_none() && self.outputs.iter().any(is_owed);
        if self.clients.len() > 0 || dialling {
            return;
        }
        if self.dump.is_some() {
            // Only a reader of the dump is left: it gets what a signal would give it.
            if flush.deadline.is_none() {
                flush.deadline = Some(cx.timer(self.config.drain, Tick::Deadline.tag(0)));
            }
            return self.feed_dump(cx);
        }
        self.end(cx);
    }

    fn end(&mut self, cx: &mut Cx<'_>) {
        let now = cx.now();
        let head = self.records.whole();
        let Some(flush) = &mut self.flush else { return };
        if std::mem::replace(&mut flush.over, true) {
            return;
        }
        let (why, drained, cut) = (flush.why, flush.drained, flush.cut);
        let unacknowledged = match flush.unacknowledged {
            0 => String::new(),
            count => format!(", {count} unacknowledged"),
        };
        let listening = self
            .outputs
            .iter()
            .filter(|outlet| matches!(outlet.way, Way::Listen(_)));
        let left = listening
            .filter_map(|outlet| outlet.parked())
            .map(|parked| head - parked)
            .max()
            .unwrap_or(0);
        if left > 0 && why == Why::SourceEnded {
            self.journal.warn(
                now,
                "left over",
                format!("{} were taken by nobody", Bytes(left)),
            );
        }
        self.journal.conclude(now);
        let up = Span(now.since(self.started));
        self.journal.info(format!(
            "{why}: {} drained, {cut} cut{unacknowledged}; up {up}",
            Count(drained, "client")
        ));
        cx.finish(self.failure.take().map_or(End::Done, End::Failed));
    }

    fn arm_poll(&mut self, cx: &mut Cx<'_>, wait: Duration) {
        let poll = cx.timer(wait, Tick::Poll.tag(0));
        if let Some(later) = self.poll.replace(poll) {
            cx.cancel(later);
        }
    }
}

/// Whether bytes are among what is left to be acknowledged: the end itself counts as one, the last.
pub(super) fn owes(left: Option<u32>) -> bool {
    left > Some(1)
}

/// How long a client that must not lose a byte, and has every one of them in our kernel, may take nothing at the end.
const LEFT_AFTER: Duration = Duration::from_secs(30);
/// How long a client has taken nothing, while the end waits for it, before a line says so.
const QUIET_SAID: Duration = Duration::from_secs(5);
/// How often the clients are looked at who only have to acknowledge the last bytes.
const POLL: Duration = Duration::from_millis(10);
const POLL_MAX: Duration = Duration::from_millis(250);
