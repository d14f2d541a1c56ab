//! From a sender's bytes to its receivers' sockets.
//!
//! A visit reads once. What is whole within it is copied straight into its receiver's queue; when all of it has been
//! looked at, each receiver that got something is written to, once: a hundred small messages are one write.

use std::mem;

use crate::base::byte_queue::ByteQueue;
use crate::proto::mailbox::{Piece, Reader, Request, write_head, write_message};
use crate::proto::tls::looks_like_tls;
use crate::reactor::Cx;
use crate::roles::hub::serve::Hub;
use crate::roles::hub::serve::arriving::Refusal;
use crate::roles::hub::serve::client::{ClientId, Message, Name, Stage};
use crate::roles::hub::serve::leaving::Reason;
use crate::roles::link::is_truncation;

/// A whole message's bytes.
enum Payload<'a> {
    /// They came with one read.
    Seen(&'a [u8]),
    /// They came with several.
    Gathered(Vec<u8>),
}

impl Payload<'_> {
    fn len(&self) -> usize {
        match self {
            Self::Seen(bytes) => bytes.len(),
            Self::Gathered(bytes) => bytes.len(),
        }
    }
}

impl Hub {
    /// One read of a client.
    pub(super) fn readable(&mut self, cx: &mut Cx<'_>, id: ClientId) {
        let Some(client) = self.clients.get_mut(id) else {
            return;
        };
        let mut scratch = mem::take(&mut self.scratch);
        match client.link.read(cx, &mut scratch) {
            // Some of a record of TLS: on a thin line a whole one takes its time.
            Ok(None) if client.link.has_heard() && client.name().is_some() => {
                client.last_byte = cx.now();
            }
            Ok(None) => {}
            Ok(Some(0)) => self.ended(cx, id),
            // A message that lacks bytes is nobody's, and whoever just closes may still take what is his own.
            Err(error) if is_truncation(&error) => self.ended(cx, id),
            // No name that anybody would choose begins so.
            Ok(Some(count)) if client.is_silent() && looks_like_tls(&scratch[..count]) => {
                let why = "it speaks TLS, which is not spoken here: add --tls-cert FILE and --tls-key FILE";
                self.refuse(cx, id, Refusal::Tls, why);
            }
            Ok(Some(count)) => {
                client.last_byte = cx.now();
                self.counts.bytes_in += count as u64;
                self.take_in(cx, id, &scratch[..count]);
            }
            Err(error) => self.failed(cx, id, &error),
        }
        self.scratch = scratch;
        self.flush_touched(cx);
    }

    fn take_in(&mut self, cx: &mut Cx<'_>, id: ClientId, bytes: &[u8]) {
        // Outside of the record, its pieces can be looked at while the record is changed.
        let mut reader = mem::replace(&mut self.clients[id].reader, Reader::of_client(0));
        let mut rest = bytes;
        loop {
            match reader.feed(rest) {
                Ok((took, Some(piece))) => {
                    rest = &rest[took..];
                    self.on_piece(cx, id, piece);
                }
                Ok((_, None)) => break,
                Err(fault) => return self.broke(cx, id, fault),
            }
            // A client may drop itself, by what it sends to itself or by what it holds.
            let stays = |stage: &Stage| !matches!(stage, Stage::Leaving { .. });
            if !self
                .clients
                .get(id)
                .is_some_and(|client| stays(&client.stage))
            {
                return;
            }
        }
        self.clients[id].reader = reader;
    }

    fn on_piece(&mut self, cx: &mut Cx<'_>, id: ClientId, piece: Piece<'_>) {
        match piece {
            Piece::Envelope => self.clients[id].envelope = true,
            Piece::Name(name) => self.named(cx, id, name),
            Piece::Head { name, len } => self.on_head(cx, id, name, len),
            Piece::Body { bytes, last } => self.on_body(cx, id, bytes, last),
        }
    }

    fn on_head(&mut self, cx: &mut Cx<'_>, id: ClientId, name: &[u8], len: u64) {
        let client = &mut self.clients[id];
        let is_request = name.is_empty() && len <= Request::LEN_MAX as u64;
        if let Stage::Proving { .. } = client.stage
            && !is_request
        {
            return self.answered(cx, id, None);
        }
        client.message = match self.names.get_key_value(name) {
            _ if is_request => Message::Request { bytes: Vec::new() },
            Some((name, _)) => Message::To {
                name: Name::clone(name),
                len: usize::try_from(len).expect("it is within --max-message"),
                bytes: Vec::new(),
            },
            None => Message::Skip,
        };
    }

    fn on_body(&mut self, cx: &mut Cx<'_>, id: ClientId, seen: &[u8], last: bool) {
        let client = &mut self.clients[id];
        match &mut client.message {
            Message::None => {}
            Message::Skip => self.counts.nobody += u64::from(last),
            Message::Request { bytes } => {
                bytes.extend_from_slice(seen);
                if last {
                    let request = Request::read(bytes);
                    client.message = Message::None;
                    self.on_request(cx, id, request);
                }
            }
            Message::To { bytes, .. } if last && bytes.is_empty() => {
                let Message::To { name, .. } = mem::replace(&mut client.message, Message::None)
                else {
                    return;
                };
                self.deliver(cx, id, &name, Payload::Seen(seen));
            }
            Message::To { len, bytes, .. } => {
                let before = bytes.capacity();
                gather(bytes, seen, *len);
                self.memory.message_changed(before, bytes.capacity());
                if last {
                    let gathered = mem::replace(&mut client.message, Message::None);
                    self.memory.message_changed(gathered.held(), 0);
                    if let Message::To { name, bytes, .. } = gathered {
                        self.deliver(cx, id, &name, Payload::Gathered(bytes));
                    }
                } else {
                    self.shed(cx);
                }
            }
        }
    }

    fn on_request(&mut self, cx: &mut Cx<'_>, id: ClientId, request: Option<Request>) {
        let client = &self.clients[id];
        match request {
            request if client.is_newcomer() => self.answered(cx, id, request),
            Some(Request::Who) if client.envelope => self.asked_who(id),
            _ => self.counts.nobody += 1,
        }
    }

    /// Queues a whole message for whoever has the name by now.
    fn deliver(&mut self, cx: &mut Cx<'_>, from: ClientId, name: &Name, payload: Payload<'_>) {
        let Some(&to) = self.names.get(name) else {
            self.counts.nobody += 1;
            return;
        };
        let len = payload.len();
        let sender = &mut self.clients[from];
        sender.sent.0 += 1;
        sender.sent.1 += len as u64;
        self.words.clear();
        if let Stage::Member { name } = &self.clients[from].stage
            && self.clients[to].envelope
        {
            write_head(name, len, &mut self.words);
        }
        let more = self.words.len() + len;
        if self.clients[to].queue.len() + more > self.config.queue {
            // What its kernel can take by now counts no more.
            self.flush(cx, to);
            match self.clients.get(to) {
                None => return,
                Some(receiver) if receiver.queue.len() + more > self.config.queue => {
                    return self.drop_client(cx, to, Reason::Overflow);
                }
                Some(_) => {}
            }
        }
        self.counts.messages += 1;
        let head = mem::take(&mut self.words);
        self.enqueue(to, |queue| {
            queue.push(&head);
            match payload {
                Payload::Seen(bytes) => queue.push(bytes),
                Payload::Gathered(bytes) => queue.push_owned(bytes),
            }
        });
        self.words = head;
        self.shed(cx);
    }

    /// Queues something that the hub says itself.
    pub(super) fn notify(&mut self, id: ClientId, body: &[u8]) {
        let mut message = Vec::new();
        write_message(b"", body, &mut message);
        self.enqueue(id, |queue| queue.push(&message));
    }

    /// As `notify`, for something long.
    pub(super) fn notify_owned(&mut self, id: ClientId, body: Vec<u8>) {
        let mut head = Vec::new();
        write_head(b"", body.len(), &mut head);
        self.enqueue(id, |queue| {
            queue.push(&head);
            queue.push_owned(body);
        });
    }

    fn enqueue(&mut self, id: ClientId, push: impl FnOnce(&mut ByteQueue)) {
        let client = &mut self.clients[id];
        let before = client.queue.held();
        push(&mut client.queue);
        self.memory.queue_changed(before, client.queue.held());
        if !mem::replace(&mut client.touched, true) {
            self.touched.push(id);
        }
    }

    /// Writes to each client that got something, and whose kernel is not known to be full.
    pub(super) fn flush_touched(&mut self, cx: &mut Cx<'_>) {
        let mut at = 0;
        while let Some(id) = self.touched.get(at).copied() {
            at += 1;
            if let Some(client) = self.clients.get_mut(id)
                && mem::take(&mut client.touched)
                && !client.behind
            {
                self.flush(cx, id);
            }
        }
        self.touched.clear();
        self.shed(cx);
    }

    /// One write to a client.
    pub(super) fn flush(&mut self, cx: &mut Cx<'_>, id: ClientId) {
        let Some(client) = self.clients.get_mut(id) else {
            return;
        };
        if !client.queue.is_empty() || !client.link.is_flushed() {
            match client.link.write(cx, client.queue.front()) {
                Ok(count) => {
                    let before = client.queue.held();
                    client.queue.consume(count);
                    client.took += count as u64;
                    self.counts.bytes_out += count as u64;
                    self.memory.queue_changed(before, client.queue.held());
                }
                Err(error) => return self.failed(cx, id, &error),
            }
        }
        let done = client.queue.is_empty();
        if done && client.link.is_flushed() && matches!(client.stage, Stage::Leaving { .. }) {
            return self.has_left(cx, id);
        }
        let behind = !done || self.go_on_listing(id);
        let client = &mut self.clients[id];
        if mem::replace(&mut client.behind, behind) != behind {
            client.link.want_write(cx, behind);
        }
    }
}

/// Adds bytes to a message of `len` bytes in all. Memory grows with what has come, by doubling, and never beyond `len`.
fn gather(bytes: &mut Vec<u8>, seen: &[u8], len: usize) {
    let need = bytes.len() + seen.len();
    if need > bytes.capacity() {
        let size = need.max(2 * bytes.capacity()).min(len);
        bytes.reserve_exact(size - bytes.len());
    }
    bytes.extend_from_slice(seen);
}
