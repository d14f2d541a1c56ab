//! How a client goes: by itself, because it is dropped, or because the hub ends.

use std::fmt;
use std::io;

use crate::base::units::{Bytes, Count, Span};
use crate::proto::mailbox::Fault;
use crate::reactor::net::{Close, Signal};
use crate::reactor::{Cx, End, plain};
use crate::roles::callers::address;
use crate::roles::hub::serve::arriving::Refusal;
use crate::roles::hub::serve::client::{Client, ClientId, Message, Name, Shown, Stage};
use crate::roles::hub::serve::listing::Listing;
use crate::roles::hub::serve::{Hub, Tick};
use crate::roles::link::tls_error;

/// Why a registered client is gone. The text is the word in the log and the label of the counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// It closed or reset the connection itself.
    Left,
    /// Its machine does not answer any more.
    Dead,
    /// It sent no byte for `--idle-timeout`.
    Idle,
    /// What it sent is no message.
    Malformed,
    /// It sent a LENGTH above `--max-message`.
    TooLong,
    /// More than `--queue` would have waited for it.
    Overflow,
    /// `--memory` was reached, and it held most of it.
    Memory,
    /// Whoever runs hydrant disconnected it.
    Kicked,
    /// Another connection has proven that the name is its own.
    TakenOver,
    /// The hub ended, and it has every byte.
    Drained,
    /// It ended, or the hub did, and it did not take its last bytes within `--drain`.
    Cut,
}

impl Reason {
    /// All reasons.
    pub const ALL: [Self; 11] = [
        Self::Left,
        Self::Dead,
        Self::Idle,
        Self::Malformed,
        Self::TooLong,
        Self::Overflow,
        Self::Memory,
        Self::Kicked,
        Self::TakenOver,
        Self::Drained,
        Self::Cut,
    ];

    /// Whether it was our doing, and not in the course of things.
    pub fn is_drop(self) -> bool {
        !matches!(self, Self::Left | Self::Drained)
    }
}

impl Reason {
    /// The word for it, in the log and in counters.
    pub fn word(self) -> &'static str {
        match self {
            Self::Left => "left",
            Self::Dead => "dead",
            Self::Idle => "idle",
            Self::Malformed => "malformed",
            Self::TooLong => "too-long",
            Self::Overflow => "overflow",
            Self::Memory => "memory",
            Self::Kicked => "kicked",
            Self::TakenOver => "taken-over",
            Self::Drained => "drained",
            Self::Cut => "cut",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// The hub's end, under way.
#[derive(Debug)]
pub(super) struct Ending {
    signal: Signal,
    drained: usize,
    cut: usize,
    over: bool,
}

impl Hub {
    /// A connection's direction has ended: it leaves at once, and gets what is its own already.
    pub(super) fn ended(&mut self, cx: &mut Cx<'_>, id: ClientId) {
        if self.clients[id].is_newcomer() {
            return self.refuse(cx, id, Refusal::Unnamed, "closed before it was registered");
        }
        if let Some(name) = self.retire(id) {
            let told = Some((name, Reason::Left));
            self.clients[id].stage = Stage::Leaving { told };
            self.begin_leaving(cx, id);
        }
    }

    /// What a client sends can't be read any further.
    pub(super) fn broke(&mut self, cx: &mut Cx<'_>, id: ClientId, fault: Fault) {
        let detail = fault.to_string();
        match &self.clients[id].stage {
            Stage::Opening => self.refuse(cx, id, Refusal::BadName, &detail),
            Stage::Proving { .. } => self.refuse(cx, id, Refusal::Proof, &detail),
            _ => {
                let reason = match fault {
                    Fault::TooLong { .. } => Reason::TooLong,
                    _ => Reason::Malformed,
                };
                self.drop_with(cx, id, reason, Some(detail));
            }
        }
    }

    /// A read or write says that the connection is over.
    pub(super) fn failed(&mut self, cx: &mut Cx<'_>, id: ClientId, error: &io::Error) {
        if self.clients[id].is_newcomer() {
            let refusal = match tls_error(error) {
                Some(_) => Refusal::Tls,
                None => Refusal::Unnamed,
            };
            return self.refuse(cx, id, refusal, &plain(error));
        }
        let reason = match error.kind() {
            io::ErrorKind::TimedOut
            | io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkUnreachable => Reason::Dead,
            _ => Reason::Left,
        };
        self.drop_with(cx, id, reason, Some(plain(error)));
    }

    /// Takes a client away, for a reason that is counted and logged.
    pub(super) fn drop_client(&mut self, cx: &mut Cx<'_>, id: ClientId, reason: Reason) {
        self.drop_with(cx, id, reason, None);
    }

    fn drop_with(&mut self, cx: &mut Cx<'_>, id: ClientId, reason: Reason, detail: Option<String>) {
        if self.clients[id].is_newcomer() {
            let why = format!("{reason}; nobody held more");
            return self.refuse(cx, id, Refusal::Newcomers, &why);
        }
        let name = match self.retire(id) {
            Some(name) => Some(name),
            None => match &mut self.clients[id].stage {
                Stage::Leaving { told } => told.take().map(|(name, _)| name),
                _ => None,
            },
        };
        if let Some(name) = name {
            self.say_gone(cx, id, &name, reason, detail);
        }
        // Who lacks bytes must not take this for the end of what there was.
        let client = &self.clients[id];
        let how = match client.queue.is_empty() && client.link.is_flushed() {
            true => Close::Orderly,
            false => Close::Reset,
        };
        self.remove(cx, id, how);
    }

    /// Takes the name from a client, if it has one, and forgets the message that it was sending.
    fn retire(&mut self, id: ClientId) -> Option<Name> {
        let client = &mut self.clients[id];
        let held = client.message.held();
        client.message = Message::None;
        client.listing = Listing::None;
        self.memory.message_changed(held, 0);
        let name = client.name().cloned()?;
        self.names.remove(&name);
        Some(name)
    }

    /// A client gets what is queued for it, within `--drain`, and nothing is read from it any more.
    pub(super) fn begin_leaving(&mut self, cx: &mut Cx<'_>, id: ClientId) {
        let client = &mut self.clients[id];
        client.link.want_read(cx, false);
        if let Some(timer) = client.timer.take() {
            cx.cancel(timer);
        }
        if client.queue.is_empty() && client.link.is_flushed() {
            return self.has_left(cx, id);
        }
        client.timer = Some(cx.timer(self.config.drain, Tick::Client.tag(id)));
    }

    /// A client that leaves has taken its last byte.
    pub(super) fn has_left(&mut self, cx: &mut Cx<'_>, id: ClientId) {
        if let Stage::Leaving { told } = &mut self.clients[id].stage
            && let Some((name, reason)) = told.take()
        {
            self.say_gone(cx, id, &name, reason, None);
        }
        self.remove(cx, id, Close::Orderly);
    }

    /// A client that leaves has not taken its last byte in time.
    pub(super) fn cut_one(&mut self, cx: &mut Cx<'_>, id: ClientId) {
        self.drop_client(cx, id, Reason::Cut);
    }

    /// Closes a connection and forgets it. Why has been told.
    pub(super) fn remove(&mut self, cx: &mut Cx<'_>, id: ClientId, how: Close) {
        let mut client = self.clients.remove(id);
        client.link.close(cx, how);
        if let Some(timer) = client.timer {
            cx.cancel(timer);
        }
        self.newcomers.remove(&client.number);
        self.memory.queue_changed(client.queue.held(), 0);
        self.memory.message_changed(client.message.held(), 0);
        if let Some(ip) = address(client.peer) {
            self.callers.went(ip);
        }
        self.check_ended(cx);
    }

    fn say_gone(
        &mut self,
        cx: &Cx<'_>,
        id: ClientId,
        name: &Name,
        reason: Reason,
        detail: Option<String>,
    ) {
        self.counts.gone[reason as usize] += 1;
        if let Some(ending) = &mut self.ending {
            match reason {
                Reason::Drained => ending.drained += 1,
                Reason::Cut => ending.cut += 1,
                _ => {}
            }
        }
        let Client {
            peer,
            queue,
            sent: (messages, bytes),
            took,
            came,
            ..
        } = &self.clients[id];
        let now = cx.now();
        let who = format!("client {} ({peer})", Shown(name));
        let life = format!(
            "sent {}, {}; took {} in {}",
            Count(*messages as usize, "message"),
            Bytes(*bytes),
            Bytes(*took),
            Span(now.since(*came))
        );
        let detail = detail.map(|detail| format!("; {detail}"));
        let detail = detail.unwrap_or_default();
        if !reason.is_drop() {
            let text = format!("{who} {reason}{detail}; {life} ({} now)", self.names.len());
            return self.journal.went(now, text);
        }
        let waiting = Bytes(queue.len() as u64);
        let text = format!("{who} dropped: {reason}{detail}; {waiting} waiting; {life}");
        self.journal.dropped(now, text);
    }

    /// A signal: nobody comes in any more, and each client gets what is its own.
    pub(super) fn drain(&mut self, cx: &mut Cx<'_>, signal: Signal) {
        if self.ending.is_some() {
            return;
        }
        self.ending = Some(Ending {
            signal,
            drained: 0,
            cut: 0,
            over: false,
        });
        for listener in std::mem::take(&mut self.listeners) {
            cx.close(listener, Close::Orderly);
        }
        let ids: Vec<ClientId> = self.clients.iter().map(|(id, _)| id).collect();
        for id in ids {
            if self.clients[id].is_newcomer() {
                self.refuse(cx, id, Refusal::Ending, "the hub ends");
            } else if let Some(name) = self.retire(id) {
                let told = Some((name, Reason::Drained));
                self.clients[id].stage = Stage::Leaving { told };
                self.begin_leaving(cx, id);
            }
        }
        cx.timer(self.config.drain, Tick::Deadline.tag(0));
        self.check_ended(cx);
    }

    /// `--drain` is over.
    pub(super) fn cut(&mut self, cx: &mut Cx<'_>) {
        let ids: Vec<ClientId> = self.clients.iter().map(|(id, _)| id).collect();
        for id in ids {
            self.cut_one(cx, id);
        }
    }

    fn check_ended(&mut self, cx: &mut Cx<'_>) {
        let Some(ending) = &mut self.ending else {
            return;
        };
        if !self.clients.is_empty() || std::mem::replace(&mut ending.over, true) {
            return;
        }
        let now = cx.now();
        let text = format!(
            "stopped by {}: {} drained, {} cut; up {}",
            ending.signal,
            Count(ending.drained, "client"),
            ending.cut,
            Span(now.since(self.started))
        );
        self.journal.conclude(now);
        self.journal.info(text);
        cx.finish(End::Done);
    }
}
