//! What must hold of all that was received: each message was sent by somebody to that name, whole, once, and in its
//! sender's order.

use std::collections::BTreeSet;

use super::scenario::{BODY_MIN, Guest, label};
use crate::proto::mailbox::{Notice, Piece, Reader};

/// What has come to be known while the receivers' bytes are read.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    /// Guest and number of each message that somebody got.
    got: BTreeSet<(usize, usize)>,
    /// Whole messages in all, empty ones apart.
    pub(super) messages: u64,
}

impl Ledger {
    /// Reads what a guest received. `sent` is how much of each guest's speech has left it.
    pub(super) fn read(&mut self, to: usize, guests: &[Guest], sent: &[u64], received: &[u8]) {
        let mut latest = vec![None; guests.len()];
        let guest = &guests[to];
        if guest.envelope {
            for (from, body) in messages(received) {
                if from.is_empty() {
                    assert!(Notice::read(&body).is_some(), "{}", body.escape_ascii());
                } else if !body.is_empty() {
                    let number = self.one(to, guests, sent, &mut latest, &body);
                    assert_eq!(guests[number].name, from, "who it is from");
                }
            }
            return;
        }
        let mut rest = received;
        while !rest.is_empty() {
            let Some((_, _, size)) = label(rest) else {
                assert!(rest.len() < BODY_MIN, "{}", rest.escape_ascii());
                return;
            };
            if rest.len() < size {
                return self.part(guests, rest);
            }
            let (body, after) = rest.split_at(size);
            self.one(to, guests, sent, &mut latest, body);
            rest = after;
        }
    }

    /// A whole message. Whose it is.
    fn one(
        &mut self,
        to: usize,
        guests: &[Guest],
        sent: &[u64],
        latest: &mut [Option<usize>],
        body: &[u8],
    ) -> usize {
        let (from, number, _) = label(body).expect("every message has its label");
        let message = &guests[from].messages[number];
        assert!(message.body == body, "message {from}.{number} is another");
        assert_eq!(
            message.dest, guests[to].name,
            "message {from}.{number} is for"
        );
        assert!(
            self.got.insert((from, number)),
            "message {from}.{number} came twice"
        );
        let before = latest[from].replace(number);
        assert!(
            before < Some(number),
            "message {from}.{number} after {before:?}"
        );
        assert!(
            message.end as u64 <= sent[from],
            "message {from}.{number} was not sent whole"
        );
        self.messages += 1;
        from
    }

    /// The beginning of a message whose receiver's connection ended in it.
    fn part(&self, guests: &[Guest], bytes: &[u8]) {
        let (from, number, _) = label(bytes).expect("looked at by the caller");
        assert!(guests[from].messages[number].body.starts_with(bytes));
    }
}

/// The whole messages that were received with the envelope.
fn messages(received: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut reader = Reader::of_hub(u64::MAX);
    let mut all = Vec::new();
    let mut whole = 0;
    let mut rest = received;
    while let (took, Some(piece)) = reader.feed(rest).expect("the hub keeps to the rules") {
        rest = &rest[took..];
        match piece {
            Piece::Head { name, .. } => all.push((name.to_vec(), Vec::new())),
            Piece::Body { bytes, last } => {
                let message = all.last_mut().expect("a head came first");
                message.1.extend_from_slice(bytes);
                whole += usize::from(last);
            }
            Piece::Envelope | Piece::Name(_) => panic!("a hub has no name"),
        }
    }
    all.truncate(whole);
    all
}
