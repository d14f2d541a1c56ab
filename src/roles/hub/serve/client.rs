//! What the hub knows of one connection.
//!
//! ```text
//!   Opening ──name──> (Proving ──proof──>) Member ──its end──> Leaving: what is queued for it is flushed
//!      └────────────────────┴── refused ────────────────────────^
//! ```

use std::fmt;
use std::rc::Rc;

use crate::base::byte_queue::ByteQueue;
use crate::base::time::Time;
use crate::base::wheel::TimerKey;
use crate::proto::mailbox::{Nonce, Reader};
use crate::reactor::net::Peer;
use crate::roles::hub::serve::Reason;
use crate::roles::hub::serve::listing::Listing;
use crate::roles::link::Link;

/// A connection's place. It has a new tenant only after an event in which nothing else happens.
pub(super) type ClientId = usize;

/// A registered name. Who sends to it shares it.
pub(super) type Name = Rc<[u8]>;

/// One connection.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) link: Link,
    pub(super) peer: Peer,
    /// How many connections came before it.
    pub(super) number: u64,
    pub(super) stage: Stage,
    /// It gets whatever it gets as `SENDER|LENGTH|BYTES`.
    pub(super) envelope: bool,
    pub(super) came: Time,
    /// When it last sent a byte.
    pub(super) last_byte: Time,
    pub(super) timer: Option<TimerKey>,
    pub(super) reader: Reader,
    /// The message that it is sending.
    pub(super) message: Message,
    /// What it has still to get.
    pub(super) queue: ByteQueue,
    /// Its kernel took less than there was: an event tells when to go on.
    pub(super) behind: bool,
    /// It got something in the visit under way.
    pub(super) touched: bool,
    /// The names that it asked for.
    pub(super) listing: Listing,
    /// Messages and their bytes that it has sent, to whomever.
    pub(super) sent: (u64, u64),
    /// Bytes that its kernel took.
    pub(super) took: u64,
}

/// Where a connection is in its life.
#[derive(Debug)]
pub(super) enum Stage {
    /// It has not said its name.
    Opening,
    /// It has, and was asked for a proof.
    Proving { name: Name, nonce: Nonce },
    /// It is registered.
    Member { name: Name },
    /// Nothing is read from it any more; it goes as soon as it has what is queued. The reason is still to be told,
    /// unless it was refused.
    Leaving { told: Option<(Name, Reason)> },
}

/// What becomes of the message that a client is sending.
#[derive(Debug)]
pub(super) enum Message {
    /// There is none.
    None,
    /// Nobody gets it.
    Skip,
    /// It is for the hub itself.
    Request { bytes: Vec<u8> },
    /// It is for this name. Bytes that came with an earlier read wait here.
    To {
        name: Name,
        len: usize,
        bytes: Vec<u8>,
    },
}

impl Message {
    /// Memory that an unfinished message takes. One to the hub itself is too short to count.
    pub(super) fn held(&self) -> usize {
        match self {
            Self::To { bytes, .. } => bytes.capacity(),
            Self::None | Self::Skip | Self::Request { .. } => 0,
        }
    }
}

impl Client {
    pub(super) fn new(link: Link, peer: Peer, number: u64, came: Time, max_message: usize) -> Self {
        Self {
            link,
            peer,
            number,
            stage: Stage::Opening,
            envelope: false,
            came,
            last_byte: came,
            timer: None,
            reader: Reader::of_client(max_message as u64),
            message: Message::None,
            queue: ByteQueue::new(),
            behind: false,
            touched: false,
            listing: Listing::None,
            sent: (0, 0),
            took: 0,
        }
    }

    /// Its name, if it is registered.
    pub(super) fn name(&self) -> Option<&Name> {
        match &self.stage {
            Stage::Member { name } => Some(name),
            _ => None,
        }
    }

    /// Bytes that wait for it.
    pub(super) fn waiting(&self) -> usize {
        self.queue.len()
    }

    /// Whether it has not said a byte.
    pub(super) fn is_silent(&self) -> bool {
        matches!(self.stage, Stage::Opening) && self.last_byte == self.came
    }

    /// Whether it may still become a client.
    pub(super) fn is_newcomer(&self) -> bool {
        matches!(self.stage, Stage::Opening | Stage::Proving { .. })
    }
}

/// A name as a log line shows it: what can be read as it is, the rest as `\xNN`.
#[derive(Clone, Copy, Debug)]
pub(in crate::roles::hub) struct Shown<'a>(pub(in crate::roles::hub) &'a [u8]);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            for letter in chunk.valid().chars() {
                match letter.is_control() {
                    true => letter.escape_default().fmt(f)?,
                    false => letter.fmt(f)?,
                }
            }
            for byte in chunk.invalid() {
                write!(f, "\\x{byte:02x}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the README says of a connection's memory.
    #[test]
    fn a_connection_is_small() {
        assert!(size_of::<Client>() <= 400, "{}", size_of::<Client>());
    }

    #[test]
    fn names_are_shown_without_driving_a_terminal() {
        let shown = |name: &[u8]| Shown(name).to_string();
        assert_eq!(shown("device \u{fc}".as_bytes()), "device \u{fc}");
        assert_eq!(shown(b"a\xff\x1b[2J"), "a\\xff\\u{1b}[2J");
        assert_eq!(shown("\u{9b}".as_bytes()), "\\u{9b}");
    }
}
