//! `who`: the names of all clients, in messages that each fit, the next one only when the one before has been taken. So
//! a few bytes that ask cost no more memory than one message.

use std::ops::Bound;

use crate::roles::hub::serve::Hub;
use crate::roles::hub::serve::client::{ClientId, Name};

/// The answer that a client is getting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Listing {
    /// None.
    None,
    /// The next message begins behind this name.
    Going {
        after: Option<Name>,
        /// It has asked once more meanwhile, or more often.
        again: bool,
    },
}

impl Hub {
    /// A client asks.
    pub(super) fn asked_who(&mut self, id: ClientId) {
        let client = &mut self.clients[id];
        match &mut client.listing {
            Listing::Going { again, .. } => *again = true,
            listing => {
                *listing = Listing::Going {
                    after: None,
                    again: false,
                };
            }
        }
        if client.queue.is_empty() {
            self.go_on_listing(id);
        }
    }

    /// Queues the next message of an answer, if one is under way, for a client that has taken all there was. Whether
    /// there was one.
    pub(super) fn go_on_listing(&mut self, id: ClientId) -> bool {
        let Some(client) = self.clients.get_mut(id) else {
            return false;
        };
        let Listing::Going { after, again } = std::mem::replace(&mut client.listing, Listing::None)
        else {
            return false;
        };
        let mut body = b"who".to_vec();
        let last = self.list(after.as_ref(), &mut body);
        let client = &mut self.clients[id];
        client.listing = match (last, again) {
            (Some(last), again) => Listing::Going {
                after: Some(last),
                again,
            },
            (None, true) => Listing::Going {
                after: None,
                again: false,
            },
            (None, false) => Listing::None,
        };
        self.notify_owned(id, body);
        true
    }

    /// Adds the names behind `after` as far as they fit. Returns the last one where that is not all; where it is, and
    /// the first ones were in an earlier message, an empty line says so.
    fn list(&self, after: Option<&Name>, body: &mut Vec<u8>) -> Option<Name> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut last = None;
        for name in self.names.range::<Name, _>((from, Bound::Unbounded)) {
            // The empty line has to fit, too.
            if body.len() + 1 + name.0.len() + 1 > self.config.max_message {
                return last;
            }
            body.push(b'\n');
            body.extend_from_slice(name.0);
            last = Some(Name::clone(name.0));
        }
        if after.is_some() {
            body.push(b'\n');
        }
        None
    }
}
