//! What goes wrong in a simulated network, and how often. All ratios are per mille of the calls or events they concern.

use std::time::Duration;

use crate::base::rng::Rng;

/// One network's character. Every value within it is legal under the contract of `Net`: a role has to live with all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Faults {
    /// A read gives less than there is.
    pub short_read: u32,
    /// A write is taken only in part though there is room; the rest has to wait for an event.
    pub short_write: u32,
    /// A read is told `WouldBlock` though bytes have come; an event follows a little later.
    pub block_read: u32,
    /// A write is told `WouldBlock` though there is room; an event follows a little later.
    pub block_write: u32,
    /// A wait reports something that is not so.
    pub spurious: u32,
    /// A wait reports a socket that is closed already, perhaps with a new tenant in its place.
    pub stale: u32,
    /// An event comes up to a millisecond after its cause, which may be undone by then.
    pub late_event: u32,
    /// Two causes for one socket are reported one by one rather than as one event.
    pub split_event: u32,
    /// An event for one direction reports the other too, if that is ready, as epoll does.
    pub both_ways: u32,
    /// A wait reports in an order of its own.
    pub shuffle: u32,
    /// A wait reports only some of what it has; the rest comes next time.
    pub partial: u32,
    /// A connection attempt is refused though somebody listens.
    pub refuse: u32,
    /// A connection attempt is never answered and fails after [`CONNECT_TIMEOUT`].
    pub ignore: u32,
    /// A TCP connection is reset, at both ends, as a segment of it arrives.
    pub cut: u32,
    /// An accept or a connect finds no descriptor left.
    pub exhaust: u32,
    /// A look-up fails though the name is known.
    pub lookup_fails: u32,
    /// A look-up takes up to ten seconds longer.
    pub lookup_late: u32,
    /// A wait that runs out of time returns up to two milliseconds late.
    pub oversleep: u32,
    /// A wait returns early with nothing found.
    pub wake_early: u32,
    /// Every look at the clock moves it by so much.
    pub clock_creep: Duration,
    /// The least time from one end of a connection to the other.
    pub delay: Duration,
    /// A connection takes up to so much longer than `delay`, and each segment of it once more.
    pub jitter: Duration,
    /// Bytes that a connection takes in before the other end has them.
    pub send_buffer: usize,
    /// Bytes that wait at the other end to be read.
    pub receive_buffer: usize,
}

impl Faults {
    /// A network where nothing goes wrong, on a short line.
    pub const fn none() -> Self {
        Self {
            short_read: 0,
            short_write: 0,
            block_read: 0,
            block_write: 0,
            spurious: 0,
            stale: 0,
            late_event: 0,
            split_event: 0,
            both_ways: 0,
            shuffle: 0,
            partial: 0,
            refuse: 0,
            ignore: 0,
            cut: 0,
            exhaust: 0,
            lookup_fails: 0,
            lookup_late: 0,
            oversleep: 0,
            wake_early: 0,
            clock_creep: Duration::ZERO,
            delay: Duration::from_micros(50),
            jitter: Duration::ZERO,
            send_buffer: 64 << 10,
            receive_buffer: 64 << 10,
        }
    }

    /// A network of any character. Each fault is absent from half of them: at one fixed ratio for all, a fault can hide
    /// what another would bring to light.
    pub fn draw(rng: &mut Rng) -> Self {
        Self {
            refuse: rare(rng),
            ignore: rare(rng),
            cut: rare(rng) / 4,
            exhaust: rare(rng),
            lookup_fails: rare(rng),
            ..Self::draw_harmless(rng)
        }
    }

    /// As [`Faults::draw`], but with nothing that ends or refuses a connection: every byte must come through.
    pub fn draw_harmless(rng: &mut Rng) -> Self {
        const SIZES: [usize; 6] = [40, 300, 4 << 10, 16 << 10, 64 << 10, 1 << 20];
        const MICROS: [u64; 4] = [0, 10, 1_000, 40_000];
        Self {
            short_read: often(rng),
            short_write: often(rng),
            block_read: often(rng),
            block_write: often(rng),
            spurious: often(rng),
            stale: often(rng),
            late_event: often(rng),
            split_event: often(rng),
            both_ways: often(rng),
            shuffle: often(rng),
            partial: often(rng),
            lookup_late: often(rng),
            oversleep: often(rng),
            wake_early: often(rng),
            clock_creep: Duration::from_nanos(pick(rng, &[0, 0, 50, 2_000])),
            delay: Duration::from_micros(pick(rng, &MICROS)),
            jitter: Duration::from_micros(pick(rng, &MICROS)),
            send_buffer: pick(rng, &SIZES[1..]),
            receive_buffer: pick(rng, &SIZES),
            ..Self::none()
        }
    }
}

/// How long an attempt to connect goes unanswered before it fails, as with Linux's six retries.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(127);

fn often(rng: &mut Rng) -> u32 {
    pick(rng, &[0, 0, 0, 10, 100, 500])
}

fn rare(rng: &mut Rng) -> u32 {
    pick(rng, &[0, 0, 0, 4, 20, 100])
}

pub(super) fn pick<T: Copy>(rng: &mut Rng, from: &[T]) -> T {
    from[usize::try_from(rng.below(from.len() as u64)).expect("less than a length")]
}
