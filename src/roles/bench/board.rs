//! What the threads of a bench tell each other: orders go one way, figures the other. Plain numbers are atomic; the
//! rest changes hands under a lock, seldom.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use hdrhistogram::Histogram;

use crate::base::time::Time;

/// What the source is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// Say nothing.
    Hush,
    /// A message now and then, until every client has got one.
    Trickle,
    /// What is to be measured.
    Run,
    /// It is over.
    Stop,
}

/// What the clients are to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cue {
    /// Connect and read.
    Begin,
    /// Count from now on.
    Count,
    /// One of them stops reading.
    Stall,
    /// Stop counting, and hand over what was counted.
    Tell,
    /// It is over.
    Stop,
}

/// The board that all of them see.
#[derive(Debug, Default)]
pub struct Board {
    order: AtomicU8,
    cue: AtomicU8,
    pub(super) source: SourceSide,
    pub(super) clients: ClientSide,
    failure: Mutex<Option<String>>,
}

/// What the source says of itself.
#[derive(Debug, Default)]
pub(super) struct SourceSide {
    /// Its thread, as `/proc` names it.
    pub(super) thread: Mutex<String>,
    pub(super) at: Mutex<Option<SocketAddr>>,
    /// Ports of 127.0.0.1 on which nobody listens.
    pub(super) free_ports: Mutex<Option<[u16; 2]>>,
    /// Connections with the relay, now and since the beginning, and those that were too many.
    pub(super) relays: AtomicUsize,
    pub(super) met: AtomicUsize,
    pub(super) turned_away: AtomicUsize,
    /// Bytes that were taken from it.
    pub(super) sent: AtomicU64,
    /// Messages that were begun, where they are published to a broker.
    pub(super) published: AtomicU64,
    /// The number of the first message that was sent over the last connection.
    pub(super) first: AtomicU64,
    /// Bytes that a service was sent by clients, and only read.
    pub(super) received: AtomicU64,
    /// Connections on which a service got what no client sends.
    pub(super) altered: AtomicU64,
    /// The numbers of the messages that count: from the first on, and before the second. 0 and 0: not known yet.
    pub(super) counted: [AtomicU64; 2],
    /// All messages that count have been taken.
    pub(super) through: AtomicBool,
    /// How late it was itself, of the messages that count.
    pub(super) late: Mutex<Option<Histogram<u64>>>,
}

/// What the clients say of themselves.
#[derive(Debug, Default)]
pub(super) struct ClientSide {
    pub(super) thread: Mutex<String>,
    pub(super) connected: AtomicUsize,
    /// Clients that have got a byte.
    pub(super) reached: AtomicUsize,
    /// Connections that ended without our doing.
    pub(super) gone: AtomicUsize,
    /// Connections that could not be made.
    pub(super) refused: AtomicU64,
    /// Bytes that have arrived, at all of them.
    pub(super) bytes: AtomicU64,
    /// Of them, those of clients that are gone.
    pub(super) bytes_gone: AtomicU64,
    /// Messages that count and have arrived.
    pub(super) arrived: AtomicU64,
    /// Clients that have got nothing more since what was counted was handed over, those that are gone left out.
    /// [`UNKNOWN`] before it was.
    pub(super) starved: AtomicUsize,
    /// Comings that have ended well, where clients come and go.
    pub(super) visits: AtomicU64,
    /// One has stopped reading.
    pub(super) stalls: AtomicBool,
    /// When the client that stopped reading was seen to be cut off.
    pub(super) cut: Mutex<Option<Cut>>,
    pub(super) told: Mutex<Option<Told>>,
    /// How long messages are, where they have told that themselves; 0: not known.
    pub(super) learned_size: AtomicUsize,
}

/// What became of the client that stopped reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cut {
    pub(super) stalled: Time,
    pub(super) seen: Time,
}

/// What the clients have counted.
#[derive(Clone, Debug)]
pub(super) struct Told {
    /// How long they have counted.
    pub(super) time: Duration,
    /// Bytes a second of each client, in ascending order; the one that stopped reading left out.
    pub(super) rates: Vec<f64>,
    /// Delays of the messages that count, in nanoseconds, and of those that still wait for longer than half of them
    /// did.
    pub(super) delays: Histogram<u64>,
    /// Messages that count and have arrived.
    pub(super) arrived: u64,
    /// Since the first byte: messages missing in the middle of what a client got, messages that came again, and those
    /// that are not what was sent.
    pub(super) lost: u64,
    pub(super) repeated: u64,
    pub(super) altered: u64,
    /// Whether messages were found in the bytes at all, so that something could be counted and compared.
    pub(super) understood: bool,
    /// Clients that got bytes in which no message was found.
    pub(super) unread: usize,
}

impl Board {
    pub(super) fn order(&self) -> Order {
        match self.order.load(Ordering::Acquire) {
            0 => Order::Hush,
            1 => Order::Trickle,
            2 => Order::Run,
            _ => Order::Stop,
        }
    }

    pub(super) fn give_order(&self, order: Order) {
        self.order.store(order as u8, Ordering::Release);
    }

    pub(super) fn cue(&self) -> Cue {
        match self.cue.load(Ordering::Acquire) {
            0 => Cue::Begin,
            1 => Cue::Count,
            2 => Cue::Stall,
            3 => Cue::Tell,
            _ => Cue::Stop,
        }
    }

    pub(super) fn give_cue(&self, cue: Cue) {
        self.cue.store(cue as u8, Ordering::Release);
    }

    /// Says that one of the threads can't go on. The first one to say so is heard.
    pub fn fail(&self, text: String) {
        lock(&self.failure).get_or_insert(text);
    }

    pub(super) fn failure(&self) -> Option<String> {
        lock(&self.failure).clone()
    }
}

/// Nobody has counted yet.
pub(super) const UNKNOWN: usize = usize::MAX;

/// What is behind a lock, also where a thread has died with it.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Room for delays of a nanosecond to a minute, to three digits.
pub(super) fn delays() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 60_000_000_000, 3).expect("the bounds make sense")
}

/// Adds messages that still wait, each with its wait up to now, which is the least that it can come to. One that has
/// only just begun to wait says nothing, and is left out.
pub(super) fn add_waiting(delays: &mut Histogram<u64>, waits: impl Iterator<Item = Duration>) {
    let half = delays.value_at_quantile(0.5);
    for wait in waits {
        let wait = u64::try_from(wait.as_nanos()).unwrap_or(u64::MAX);
        if wait > half {
            delays.saturating_record(wait);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whoever waits for an answer that never comes would have the others' delays otherwise.
    #[test]
    fn what_waits_for_long_is_among_the_delays() {
        let mut all = delays();
        all.record_n(1000, 99).expect("within bounds");
        add_waiting(
            &mut all,
            [500, 1_000_000].map(Duration::from_nanos).into_iter(),
        );
        assert_eq!(all.len(), 100);
        assert!(all.max() >= 1_000_000, "{}", all.max());
    }
}
