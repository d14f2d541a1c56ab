//! A WebSocket client: what it is sent, out of the ring of messages, and what it says.
//!
//! It says nothing that counts: its messages are read and thrown away. Its pings are answered, its close is honoured,
//! and one that breaks the rules of the protocol is told so and dropped. Control frames go between messages, never into
//! one that is half sent.

use std::io;

use crate::base::time::Time;
use crate::base::units::Span;
use crate::proto::websocket::{CloseCode, Key, Session, Side};
use crate::reactor::Cx;
use crate::roles::relay::Relay;
use crate::roles::relay::clients::{Client, ClientId};
use crate::roles::relay::config::Slow;
use crate::roles::relay::encrypted::TLS_SEND;
use crate::roles::relay::fanout::Sent;
use crate::roles::relay::framed::{Framed, Mark, Message};
use crate::roles::relay::leaving::Reason;
use crate::roles::relay::pings::{Pinged, UNANSWERED_MAX};
use crate::roles::relay::skip::Aside;

/// What a client has beside its cursor if it is a WebSocket.
#[derive(Debug)]
pub(super) struct WebSocket {
    /// The offset of the next byte that it gets, in the ring of messages.
    at: u64,
    /// The message that it has begun and not finished, so that it need not be looked for at each send.
    begun: Option<Message>,
    /// Bytes of control frames that were sent after the last of a message.
    control: u32,
    session: Session,
    /// Pings that it has not answered.
    unanswered: u8,
    /// It closes, or has been at fault: why it goes, once our close is sent.
    leaving: Option<Reason>,
}

impl WebSocket {
    /// A client that begins at this boundary.
    pub(super) fn new(begin: Mark) -> Self {
        Self {
            at: begin.framed,
            begun: None,
            control: 0,
            // Nothing of a message is kept, so none is too long.
            session: Session::new(Side::Server, u64::MAX),
            unanswered: 0,
            leaving: None,
        }
    }

    /// How many bytes of the stream are in the last `waiting` bytes that it was sent, whose end is at `plain` there.
    pub(super) fn payload_of(&self, framed: &Framed, plain: u64, waiting: u64) -> u64 {
        let waiting = waiting.saturating_sub(self.control.into());
        framed.payload_before(self.at, plain, waiting)
    }

    /// What of a message it has begun is still to be sent, and where in the stream the next one begins.
    pub(super) fn rest<'a>(&self, framed: &'a Framed) -> Option<(u64, [&'a [u8]; 2])> {
        let end = self.begun?.end;
        Some((end.plain, framed.read(self.at, end.framed - self.at)))
    }

    /// Whether it has begun a message.
    pub(super) fn is_within(&self) -> bool {
        self.begun.is_some()
    }

    /// Whether a control frame is to be sent.
    pub(super) fn owes(&self) -> bool {
        self.session.owes()
    }

    /// It goes on at another boundary.
    pub(super) fn jump(&mut self, to: Mark) {
        self.at = to.framed;
        self.begun = None;
    }

    /// Pings it, unless it is dead.
    pub(super) fn ping(&mut self) -> Pinged {
        if self.session.owes() {
            return Pinged::Behind;
        }
        if self.unanswered >= UNANSWERED_MAX {
            return Pinged::Silent;
        }
        self.unanswered += 1;
        self.session.ping(b"");
        Pinged::Due
    }

    /// One send of a control frame, or of at most `max` bytes of messages. `end`: where the client's messages end for
    /// now. How much of the messages went, and which place in the stream that has come to.
    fn send(
        &mut self,
        mut write: impl FnMut([&[u8]; 2]) -> io::Result<usize>,
        framed: &Framed,
        end: u64,
        max: u64,
    ) -> io::Result<Option<(u64, u64)>> {
        if self.begun.is_none() && self.session.owes() {
            let control = self.session.control(|| Key([0; 4]));
            let sent = write([control, &[]])?;
            self.session.control_sent(sent);
            self.control = self.control.saturating_add(sent as u32);
            return Ok(None);
        }
        if self.at >= end {
            return Ok(None);
        }
        let end = match self.begun {
            Some(message) if self.session.owes() => message.end.framed,
            _ => end,
        };
        let from = framed.read(self.at, max.min(end - self.at));
        let sent = write(from)? as u64;
        if sent == 0 {
            return Ok(None);
        }
        self.at += sent;
        self.control = 0;
        let at = self.at;
        let message = self.begun.filter(|message| at < message.end.framed);
        let message = message.or_else(|| framed.message_at(at));
        self.begun = message.filter(|message| message.begins_at() < at);
        let plain = message.map_or(framed.end().plain, |message| message.plain_at(at));
        Ok(Some((sent, plain)))
    }
}

impl Client {
    /// Why it goes, where it is a WebSocket that closes.
    pub(super) fn leaving(&self) -> Option<Reason> {
        self.websocket.as_ref().and_then(|it| it.leaving)
    }
}

impl Relay {
    /// One send of at most `max` bytes to a WebSocket client.
    pub(super) fn send_messages(
        &mut self,
        cx: &mut Cx<'_>,
        id: ClientId,
        max: usize,
    ) -> io::Result<Sent> {
        let whole = self.records.whole();
        // A relay that stops goes away; a feed that is over is over.
        let is_over = self.flush.as_ref().is_none_or(|flush| flush.source_ended());
        let (Some(framed), Some(client)) = (&self.framed, self.clients.get_mut(id)) else {
            return Ok(Sent::All);
        };
        let Some(websocket) = &mut client.websocket else {
            return Ok(Sent::All);
        };
        let end = match client.until {
            _ if client.withheld > 0 => websocket.at,
            until if until >= whole => framed.end().framed,
            until if until == client.cursor => websocket.at,
            until => framed.at_or_after(until).framed,
        };
        let (sock, tls) = (client.sock, &mut client.tls);
        let write = |from: [&[u8]; 2]| match tls {
            None => Ok(cx.write(sock, from)?.unwrap_or(0)),
            Some(tls) => Ok(tls.write(cx, sock, from)?.unwrap_or(0)),
        };
        let sent = websocket.send(write, framed, end, max as u64)?;
        if let Some((sent, plain)) = sent {
            self.counts.bytes_out += sent;
            client.cursor = plain;
            if client.tls.is_some() {
                self.effort += sent as usize / TLS_SEND;
            }
        }
        let cursor = client.cursor;
        let has_ended = cursor == client.until && websocket.begun.is_none();
        if has_ended && websocket.session.is_open() {
            let code = match is_over {
                true => CloseCode::NORMAL,
                false => CloseCode::GOING_AWAY,
            };
            websocket.session.close(code, "");
        }
        let is_flushed = match &mut client.tls {
            None => true,
            Some(tls) => {
                if has_ended && !websocket.session.owes() {
                    tls.close();
                }
                tls.flush(cx, sock)?
            }
        };
        let sent = match websocket.leaving {
            _ if websocket.session.owes() || !is_flushed => Sent::Part,
            Some(reason) if has_ended => Sent::Left(reason),
            _ if has_ended => Sent::End,
            _ if client.withheld > 0 => Sent::Withheld,
            _ if cursor == whole.min(client.until) => Sent::All,
            _ => Sent::Part,
        };
        self.clients.moved_to(cursor);
        Ok(sent)
    }

    /// Looks at what a WebSocket client has said: the first `count` bytes of the scratch.
    pub(super) fn heed(&mut self, cx: &mut Cx<'_>, id: ClientId, count: usize) {
        let Some(client) = self.clients.get_mut(id) else {
            return;
        };
        let Some(websocket) = &mut client.websocket else {
            return;
        };
        // Whoever says anything is there.
        websocket.unanswered = 0;
        let mut violation = None;
        let mut at = 0;
        while at < count && violation.is_none() {
            match websocket.session.feed(&mut self.scratch[at..count]) {
                Ok((taken, _)) => at += taken,
                Err(error) => violation = Some(error),
            }
        }
        if client.finishing {
            return;
        }
        let (peer, sock, joined) = (client.peer, client.sock, client.joined);
        if websocket.session.owes() {
            cx.want_write(sock, true);
        }
        if websocket.session.peer_has_ended() && websocket.leaving.is_none() {
            websocket.leaving = Some(match violation {
                Some(_) => Reason::Protocol,
                None => Reason::Left,
            });
            self.let_go(id, cx.now());
            if self.gate.is_shut() {
                self.refresh_gate(cx);
            }
        }
        if let Some(violation) = violation {
            let here = Span(cx.now().since(joined));
            let code = violation.code();
            let text =
                format!("client {peer} broke the protocol after {here}: {violation} ({code})");
            self.journal.warn(cx.now(), "broke the protocol", text);
        }
    }

    /// A client wants no more messages than the one that it has begun. What it still lacks of that is kept aside for
    /// it, so that the ring, and who waits for it to have room, need not wait for a client that goes. For that itself,
    /// and the answer to its close, it has as long as one has at the end of the feed.
    fn let_go(&mut self, id: ClientId, now: Time) {
        let (Some(framed), Some(client)) = (&self.framed, self.clients.get_mut(id)) else {
            return;
        };
        let Some(websocket) = &mut client.websocket else {
            return;
        };
        if let Some((end, rest)) = websocket.rest(framed) {
            client.aside = Some(Box::new(Aside::new(rest)));
            websocket.jump(framed.at_or_after(end));
            client.cursor = end;
        }
        client.until = client.cursor;
        client.progress = now;
        let cursor = client.cursor;
        self.clients.moved_to(cursor);
    }

    /// Follows the stream from where a client of this output would begin. There may be a whole ring to frame, and
    /// nobody else is to wait for that: each call does what one visit may take. Whether all is framed.
    pub(super) fn follow_messages(&mut self, output: usize) -> bool {
        let plain = self.joins_at(output);
        let parked = self.outputs.iter().filter(|outlet| outlet.websocket);
        let earliest = parked.filter_map(|outlet| outlet.parked()).min();
        let whole = self.records.whole();
        let Some(framed) = &mut self.framed else {
            return true;
        };
        if !framed.is_active() {
            let begin = earliest.map_or(plain, |parked| parked.min(plain));
            framed.begin(begin.max(self.ring.tail()));
        }
        framed.extend(&self.ring, whole, 0);
        framed.lacks(whole).is_none()
    }

    /// Where a client of the stream begins that is a WebSocket.
    pub(super) fn first_message(&self, output: usize, plain: u64) -> Option<Mark> {
        let framed = self.framed.as_ref()?;
        Some(match self.outputs[output].slow {
            Slow::Block => framed.at_or_before(plain),
            _ => framed.at_or_after(plain),
        })
    }

    /// Panics where a client's two places do not go together. For tests and the simulator, between events.
    pub(super) fn check_messages(&self) {
        let Some(framed) = &self.framed else { return };
        let takes = |client: &&Client| !client.finishing && client.cursor < client.until;
        for client in self.clients.iter().map(|(_, client)| client).filter(takes) {
            let Some(websocket) = &client.websocket else {
                continue;
            };
            let plain = framed.plain_at(websocket.at);
            // It may have begun a little before what the ring of the stream has.
            let is_older = plain < self.ring.tail();
            assert!(
                plain == client.cursor || is_older,
                "{client:?} is at {plain}"
            );
            assert!(framed.holds(websocket.at), "{client:?} was overtaken");
        }
    }

    /// A client is gone, or will never be one: when it was the last WebSocket, nobody is left for whom to make
    /// messages.
    pub(super) fn end_messages(&mut self) {
        let mut outlets = self.outputs.iter().filter(|outlet| outlet.websocket);
        if outlets.all(|outlet| outlet.clients == 0)
            && !self.upgrades.are_granted()
            && let Some(framed) = &mut self.framed
        {
            framed.stop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ring::Ring;

    /// A client that takes little at a time costs no more for it than a look at the messages about its place, and none
    /// while it is within one.
    #[test]
    fn a_place_is_not_looked_for_again_and_again() {
        for (framing, at_once, steps_max) in [("fixed:1", 7, 400), ("raw", 1000, 1)] {
            let mut stream = Ring::new(64 << 10);
            stream.append(&[b'x'; 60_000]);
            let mut framed = Framed::new(framing.parse().expect("a framing"), 1000, 64 << 10);
            framed.begin(0);
            framed.extend(&stream, stream.head(), u64::MAX);
            let mut websocket = WebSocket::new(framed.at_or_after(0));
            let (end, mut plain) = (framed.end(), 0);
            while plain < end.plain {
                framed.steps.set(0);
                let write = |from: [&[u8]; 2]| Ok((from[0].len() + from[1].len()).min(at_once));
                let sent = websocket.send(write, &framed, end.framed, u64::MAX);
                let (_, now) = sent.expect("it writes").expect("it takes some");
                assert!(
                    framed.steps.get() <= steps_max,
                    "{} steps",
                    framed.steps.get()
                );
                assert_eq!(now, framed.plain_at(websocket.at));
                plain = now;
            }
        }
    }
}
