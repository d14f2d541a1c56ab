//! The bench: a source and clients that measure any relay, each on a loop and thread of its own, around a relay that
//! is a process of its own.
//!
//! ```text
//!   source.rs ──────────> the relay (relay_process.rs) ──> clients.rs
//!   exchange/service.rs <─────────────────────────────────> exchange/callers.rs, where bytes go both ways
//!   pairs/: senders ──> a hub ──> receivers
//!   dialect/: what both say to a relay that is a broker, as redis and NATS are
//!        └──────────────────── board.rs ────────────────────┘
//!   tls_loop.rs: what a relay over TLS is compared with, a process of its own
//!
//!   plan.rs ─> conduct.rs ─> meeting.rs ─> scenarios.rs ─> figure.rs ─> report.rs, picture.rs, svg.rs
//!     └─> together.rs ─┘ several relays      └─> heat.rs, marks.rs
//!                        at the same time
//! ```
//!
//! It knows a relay by its sockets, and by what the operating system says of its processes; hydrant is one among
//! others. Threads, the clock and the screen come from whoever owns the program, through [`House`].
//!
//! **Invariant.** Delays begin when a message was due, not when the source got round to sending it, and end at a clock
//! that was read after the bytes: what held the source up is in them.
//!
//! **Invariant.** A run that can't be trusted, or whose bytes were wrong, says so, and makes the exit code.

mod blame;
mod board;
mod clients;
pub mod command;
mod conduct;
pub mod config;
pub mod dialect;
mod exchange;
mod figure;
mod follower;
mod heat;
mod lab;
mod launch;
mod machine;
mod marks;
mod means;
mod meeting;
pub mod options;
mod pairs;
mod pattern;
mod picture;
mod picture_file;
mod plan;
mod pulse;
mod relay_process;
mod report;
mod scenarios;
mod schedule;
mod sealed;
mod source;
mod svg;
pub mod tls_loop;
mod together;
mod watch;

pub use self::board::Board;
pub use self::clients::Clients;
pub use self::conduct::{Halt, House};
pub use self::exchange::{Callers, Service};
pub use self::pairs::Pairs;
pub use self::pulse::Pulse;
pub use self::source::Source;
pub use self::watch::Watch;

use crate::reactor::{Cx, Event, Role};

use self::config::BenchConfig;

/// Whoever has a loop and a thread to itself.
#[derive(Debug)]
pub enum Player {
    /// The source.
    Source(Box<Source>),
    /// All clients.
    Clients(Box<Clients>),
    /// A service that answers.
    Service(Box<Service>),
    /// All clients of a service.
    Callers(Box<Callers>),
    /// Pairs of clients of a hub.
    Pairs(Box<Pairs>),
}

impl Role for Player {
    #[inline(never)]
    fn on(&mut self, cx: &mut Cx<'_>, event: Event) {
        match self {
            Self::Source(source) => source.on(cx, event),
            Self::Clients(clients) => clients.on(cx, event),
            Self::Service(service) => service.on(cx, event),
            Self::Callers(callers) => callers.on(cx, event),
            Self::Pairs(pairs) => pairs.on(cx, event),
        }
    }
}

/// Measures what was asked for, and writes what it finds.
///
/// # Errors
/// When a signal ends it, something does not work, or what was measured does not count; in this case with all that was
/// found already written.
pub fn run<H: House>(house: &mut H, config: &BenchConfig) -> Result<(), Halt> {
    match config {
        BenchConfig::Local(plan) => plan::carry_out(house, plan),
        BenchConfig::Source(orders) => lab::source(house, orders),
        BenchConfig::Sink(orders) => lab::sink(house, orders),
        BenchConfig::Loop(_) => unreachable!("it needs no house"),
    }
}
