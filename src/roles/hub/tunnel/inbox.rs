//! What a hub has brought in one read, sorted by who said it.

use crate::proto::mailbox::{PAIRING_HEAD, PIECE_MAX};
use crate::roles::hub::user::session::Said;

/// Messages of the other end's, and how many there were of others.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    /// The message that is coming in is the other end's.
    is_peers: bool,
    /// What has come of it.
    coming: Vec<u8>,
    /// What is complete, oldest first.
    complete: Vec<Item>,
}

/// Something that was brought.
#[derive(Debug)]
pub(super) enum Item {
    /// The hub has let us in.
    Ready,
    /// A message of the other end's; of one that is too long, its beginning.
    Message(Vec<u8>),
    /// A message of somebody else's begins: its sender.
    Stranger(Vec<u8>),
}

impl Inbox {
    /// Takes what the hub has said to us, of whom `peer` is the other end.
    pub(super) fn hear(&mut self, said: Said<'_>, peer: &[u8]) {
        match said {
            Said::Ready => self.complete.push(Item::Ready),
            Said::From(sender) => {
                self.is_peers = sender == peer;
                if !self.is_peers {
                    self.complete.push(Item::Stranger(sender.to_vec()));
                }
            }
            Said::Bytes { bytes, last } if self.is_peers => {
                let room = KEPT_MAX - self.coming.len();
                self.coming
                    .extend_from_slice(&bytes[..bytes.len().min(room)]);
                if last {
                    let message = std::mem::take(&mut self.coming);
                    self.complete.push(Item::Message(message));
                }
            }
            Said::Bytes { .. } | Said::Names(_) => {}
        }
    }

    /// What has become complete.
    pub(super) fn take(&mut self) -> Vec<Item> {
        std::mem::take(&mut self.complete)
    }
}

/// More of a message is not kept: by then it is known to be too long.
const KEPT_MAX: usize = PAIRING_HEAD + PIECE_MAX + 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_come_whole_and_those_of_others_are_not_kept() {
        let mut inbox = Inbox::default();
        let mut hear = |said| inbox.hear(said, b"b");
        hear(Said::From(b"b"));
        let long = vec![7; KEPT_MAX];
        for (bytes, last) in [(&b"he"[..], false), (b"llo", true)] {
            hear(Said::Bytes { bytes, last });
        }
        hear(Said::From(b"c"));
        for last in [false, true] {
            hear(Said::Bytes { bytes: &long, last });
        }
        hear(Said::From(b"b"));
        for last in [false, false, true] {
            hear(Said::Bytes { bytes: &long, last });
        }
        let items = inbox.take();
        let [
            Item::Message(first),
            Item::Stranger(who),
            Item::Message(second),
        ] = &items[..]
        else {
            panic!("{items:?}");
        };
        assert_eq!((&first[..], &who[..]), (&b"hello"[..], &b"c"[..]));
        assert_eq!(second.len(), KEPT_MAX, "enough to see that it is too long");
        assert!(inbox.take().is_empty() && inbox.coming.capacity() == 0);
    }
}
