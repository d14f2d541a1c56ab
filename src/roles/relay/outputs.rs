//! The ways out: places where clients connect, destinations that are dialled, and stdout; joining and leaving.

use std::collections::VecDeque;
use std::fmt;
use std::io;

use crate::base::backoff::Backoff;
use crate::base::time::Time;
use crate::base::units::{Bytes, Span};
use crate::base::wheel::TimerKey;
use crate::reactor::net::{Close, Keepalive, Peer, SockId, StdStream};
use crate::reactor::{Cx, DialError, DialId, plain};
use crate::roles::relay::clients::{Client, ClientId};
use crate::roles::relay::config::{Output, RelayConfig, Slow, Way};
use crate::roles::relay::upstream::every;
use crate::roles::relay::{Kind, Relay, Tick, Why};

/// One way out, and its state.
#[derive(Debug)]
pub(super) struct Outlet {
    pub(super) way: Way,
    pub(super) slow: Slow,
    listeners: Vec<SockId>,
    dialler: Option<Dialler>,
    pub(super) clients: usize,
    /// Under `block`, while nobody is connected: the first byte that waits in the ring for whoever comes.
    pub(super) parked: Option<u64>,
}

/// The state of a dialled destination while it is not connected.
#[derive(Debug)]
struct Dialler {
    dial: Option<DialId>,
    retry: Option<TimerKey>,
    backoff: Backoff,
    wait: std::time::Duration,
    attempts: u32,
    down_since: Option<Time>,
}

/// Why a client is gone. The text is the word in the log and the label of the counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// It closed or reset the connection itself.
    Left,
    /// Its keepalive probes went unanswered.
    Dead,
    /// The ring would have overwritten bytes that it had not taken.
    Overtaken,
    /// It was in the lead, the ring was full, and it took nothing for `--hold`.
    Stalled,
    /// It had half-closed, and its place was needed for a newcomer.
    HalfClosed,
    /// The relay ended, and it has every byte.
    Drained,
    /// The relay ended before it had taken every byte.
    Cut,
}

impl Reason {
    /// All reasons.
    pub const ALL: [Self; 7] = [
        Self::Left,
        Self::Dead,
        Self::Overtaken,
        Self::Stalled,
        Self::HalfClosed,
        Self::Drained,
        Self::Cut,
    ];

    /// Whether it was our doing, and not in the course of things.
    pub fn is_drop(self) -> bool {
        !matches!(self, Self::Left | Self::Drained)
    }

    /// A client that lacks bytes is reset, so that it can't take this for the end of the stream.
    fn close(self) -> Close {
        match self {
            Self::Overtaken | Self::Stalled | Self::Cut => Close::Reset,
            Self::Left | Self::Dead | Self::HalfClosed | Self::Drained => Close::Orderly,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Left => "left",
            Self::Dead => "dead",
            Self::Overtaken => "overtaken",
            Self::Stalled => "stalled",
            Self::HalfClosed => "half-closed",
            Self::Drained => "drained",
            Self::Cut => "cut",
        })
    }
}

impl Outlet {
    pub(super) fn new(output: &Output, config: &RelayConfig) -> Self {
        let dialler = matches!(output.way, Way::Dial(_)).then(|| Dialler {
            dial: None,
            retry: None,
            backoff: Backoff::new(config.retry),
            wait: config.retry.min,
            attempts: 0,
            down_since: None,
        });
        Self {
            way: output.way.clone(),
            slow: output.slow,
            listeners: Vec::new(),
            dialler,
            clients: 0,
            parked: (output.slow == Slow::Block).then_some(0),
        }
    }

    pub(super) fn is_dialled(&self) -> bool {
        self.dialler.is_some()
    }

    /// What it is called in the log.
    pub(super) fn name(&self) -> String {
        match &self.way {
            Way::Listen(at) => format!("clients of {at}"),
            Way::Dial(to) => to.to_string(),
            Way::Stdout => "stdout".to_owned(),
        }
    }
}

impl Relay {
    /// Opens the listeners; nothing is logged or dialled yet.
    pub(super) fn bind_outputs(&mut self, cx: &mut Cx<'_>) -> Result<(), String> {
        for index in 0..self.outputs.len() {
            let Way::Listen(at) = self.outputs[index].way.clone() else {
                continue;
            };
            for (sock, real) in self.bind(cx, &at)? {
                cx.set_tag(sock, Kind::OutputListener.tag(index as u32));
                self.outputs[index].listeners.push(sock);
                self.bound.push((real, "clients"));
            }
        }
        Ok(())
    }

    pub(super) fn start_outputs(&mut self, cx: &mut Cx<'_>) -> Result<(), String> {
        for index in 0..self.outputs.len() {
            match self.outputs[index].way {
                Way::Listen(_) => {}
                Way::Dial(_) => self.dial_output(cx, index),
                Way::Stdout => {
                    let sock = cx
                        .open_std(StdStream::Stdout)
                        .map_err(|error| format!("can't write to stdout: {error}"))?;
                    self.join(cx, index, sock, Peer::Stdio);
                }
            }
        }
        Ok(())
    }

    pub(super) fn client_accepted(
        &mut self,
        cx: &mut Cx<'_>,
        output: usize,
        sock: SockId,
        peer: Peer,
    ) {
        let listening = self.clients.len() - self.dialled_clients;
        if self.config.max_clients.is_some_and(|max| listening >= max) {
            let Some(oldest) = self.clients.half_closed().front().copied() else {
                cx.close(sock, Close::Orderly);
                self.counts.refused += 1;
                let max = self.config.max_clients.unwrap_or_default();
                let text =
                    format!("client {peer} refused: {max} clients are connected (--max-clients)");
                return self.journal.warn(cx.now(), "refused: max-clients", text);
            };
            self.drop_client(cx, oldest, Reason::HalfClosed, None);
        }
        if let Some(idle) = self.config.keepalive {
            cx.set_keepalive(
                sock,
                Keepalive {
                    idle,
                    user_timeout: None,
                },
            );
        }
        self.join(cx, output, sock, peer);
    }

    pub(super) fn output_of_dial(&self, dial: DialId) -> Option<usize> {
        let is_it = |outlet: &Outlet| {
            outlet
                .dialler
                .as_ref()
                .is_some_and(|dialler| dialler.dial == Some(dial))
        };
        self.outputs.iter().position(is_it)
    }

    pub(super) fn output_connected(
        &mut self,
        cx: &mut Cx<'_>,
        output: usize,
        sock: SockId,
        peer: Peer,
    ) {
        if let Some(idle) = self.config.keepalive {
            cx.set_keepalive(
                sock,
                Keepalive {
                    idle,
                    user_timeout: None,
                },
            );
        }
        self.journal.forget(cx.now(), &down_key(output));
        self.dialled_clients += 1;
        self.join(cx, output, sock, peer);
        if let Some(dialler) = &mut self.outputs[output].dialler {
            dialler.dial = None;
            dialler.down_since = None;
            dialler.attempts = 0;
        }
    }

    pub(super) fn output_dial_failed(&mut self, cx: &mut Cx<'_>, output: usize, error: &DialError) {
        let Way::Dial(endpoint) = &self.outputs[output].way else {
            return;
        };
        let text = format!(
            "downstream {endpoint} {error}; retrying until it answers ({})",
            every(&self.config)
        );
        self.journal.warn(cx.now(), &down_key(output), text);
        self.retry_output(cx, output);
    }

    /// The wait between two attempts is over.
    pub(super) fn dial_output(&mut self, cx: &mut Cx<'_>, output: usize) {
        let timeout = self.config.connect_timeout;
        let outlet = &mut self.outputs[output];
        let (Way::Dial(endpoint), Some(dialler)) = (&outlet.way, &mut outlet.dialler) else {
            return;
        };
        dialler.retry = None;
        dialler.attempts += 1;
        dialler.down_since.get_or_insert(cx.now());
        dialler.dial = Some(cx.dial(endpoint, timeout));
    }

    fn retry_output(&mut self, cx: &mut Cx<'_>, output: usize) {
        let Some(dialler) = &mut self.outputs[output].dialler else {
            return;
        };
        dialler.dial = None;
        dialler.wait = dialler.backoff.next(cx.random());
        dialler.retry = Some(cx.timer(dialler.wait, Tick::OutputRetry.tag(output as u32)));
    }

    fn join(&mut self, cx: &mut Cx<'_>, output: usize, sock: SockId, peer: Peer) {
        let now = cx.now();
        let outlet = &mut self.outputs[output];
        let cursor = outlet.parked.take().unwrap_or(self.ring.head());
        outlet.clients += 1;
        let client = Client {
            sock,
            peer,
            cursor,
            first: cursor,
            acked: cursor,
            progress: now,
            joined: now,
            serial: 0,
            output: output as u16,
            slow: outlet.slow,
            behind: false,
            heaped: false,
            half_closed: false,
            finishing: false,
        };
        let text = self.joined_text(output, peer, now);
        let head = self.ring.head();
        let id = self.clients.insert(client, head);
        cx.set_tag(sock, Kind::Client.tag(id.key));
        cx.want_read(sock, true);
        self.journal.came(now, text);
        cx.want_write(sock, cursor < head);
        if self.flush.is_some() && cursor == head {
            return self.finish_client(cx, id);
        }
        self.refresh_gate(cx);
    }

    fn joined_text(&self, output: usize, peer: Peer, now: Time) -> String {
        let outlet = &self.outputs[output];
        match (&outlet.way, &outlet.dialler) {
            (
                Way::Dial(endpoint),
                Some(Dialler {
                    attempts,
                    down_since: Some(since),
                    ..
                }),
            ) if *attempts > 1 => {
                let down = Span(now.since(*since));
                format!("downstream {endpoint} connected (was down {down}, {attempts} attempts)")
            }
            (Way::Dial(endpoint), _) => format!("downstream {endpoint} connected"),
            _ => format!("client {peer} connected ({} now)", self.clients.len() + 1),
        }
    }

    /// A receiver's own bytes are read and thrown away; its end is noted.
    pub(super) fn client_readable(&mut self, cx: &mut Cx<'_>, id: ClientId) {
        let Some(client) = self.clients.get(id) else {
            return;
        };
        let sock = client.sock;
        match cx.read(sock, &mut self.scratch) {
            Ok(Some(0)) => self.client_ended(cx, id),
            Ok(_) => {}
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
            return self.drop_client(cx, id, Reason::Drained, None);
        }
        if peer == Peer::Stdio {
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
            let Some(sock) = self.clients.get(id).map(|client| client.sock) else {
                continue;
            };
            if let Err(error) = cx.write(sock, [&[], &[]]) {
                self.drop_failed(cx, id, &error);
            }
        }
    }

    /// A read or write says that the connection is over.
    pub(super) fn drop_failed(&mut self, cx: &mut Cx<'_>, id: ClientId, error: &io::Error) {
        let finishing = self.clients.get(id).is_some_and(|client| client.finishing);
        let reason = match error.kind() {
            _ if finishing => Reason::Drained,
            io::ErrorKind::TimedOut
            | io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkUnreachable => Reason::Dead,
            _ => Reason::Left,
        };
        self.drop_client(cx, id, reason, Some(error));
    }

    /// Takes a client away, for a reason that is counted and logged.
    pub(super) fn drop_client(
        &mut self,
        cx: &mut Cx<'_>,
        id: ClientId,
        reason: Reason,
        error: Option<&io::Error>,
    ) {
        let Some(client) = self.clients.remove(id) else {
            return;
        };
        let waiting = u64::from(cx.unacknowledged(client.sock).unwrap_or(0));
        cx.close(client.sock, reason.close());
        self.counts.gone[reason as usize] += 1;
        self.say_gone(cx.now(), &client, reason, error, waiting);
        let output = usize::from(client.output);
        let outlet = &mut self.outputs[output];
        outlet.clients -= 1;
        if outlet.slow == Slow::Block && outlet.clients == 0 {
            outlet.parked = Some(client.cursor);
        }
        if outlet.is_dialled() {
            self.dialled_clients -= 1;
        }
        if self.flush.is_some() {
            return self.flushed(cx, reason, output, client.joined);
        }
        if self.outputs[output].way == Way::Stdout {
            self.outputs[output].parked = None;
            if self.outputs.len() == 1 {
                return self.begin_flush(cx, Why::StdoutClosed);
            }
        }
        self.redial_output(cx, output, client.joined);
        self.refresh_gate(cx);
    }

    /// A destination was lost: at once again if the connection had lasted, else after the wait.
    pub(super) fn redial_output(&mut self, cx: &mut Cx<'_>, output: usize, joined: Time) {
        let now = cx.now();
        let Some(dialler) = &mut self.outputs[output].dialler else {
            return;
        };
        dialler.down_since = Some(now);
        if now.since(joined) > dialler.wait {
            dialler.backoff.reset();
            dialler.wait = self.config.retry.min;
            self.dial_output(cx, output);
        } else {
            self.retry_output(cx, output);
        }
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
        let who = match &self.outputs[usize::from(client.output)].way {
            Way::Dial(endpoint) => format!("downstream {endpoint}"),
            Way::Stdout => "stdout".to_owned(),
            Way::Listen(_) => format!("client {}", client.peer),
        };
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
        self.journal.warn(now, &format!("dropped: {reason}"), text);
    }

    /// Stops accepting and dialling. Destinations for which bytes still wait are kept where `keep_dialling` says so.
    pub(super) fn close_outputs(&mut self, cx: &mut Cx<'_>, keep_dialling: bool) {
        let head = self.ring.head();
        for outlet in &mut self.outputs {
            for listener in outlet.listeners.drain(..) {
                cx.close(listener, Close::Orderly);
            }
            let waited_for = outlet.parked.is_some_and(|parked| parked < head);
            let Some(dialler) = &mut outlet.dialler else {
                continue;
            };
            if keep_dialling && (waited_for || outlet.clients > 0) {
                continue;
            }
            if let Some(dial) = dialler.dial.take() {
                cx.cancel_dial(dial);
            }
            if let Some(retry) = dialler.retry.take() {
                cx.cancel(retry);
            }
        }
    }
}

fn down_key(output: usize) -> String {
    format!("downstream {output} down")
}

/// How often a half-closed client is asked whether it is still there.
const PROBE: std::time::Duration = std::time::Duration::from_secs(1);
