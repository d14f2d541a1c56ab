//! hydrant is a low-latency TCP relay: it takes one upstream byte stream and fans it out to very many receivers.
//!
//! # Bird's eye
//!
//! One thread owns everything that has to do with connections. It runs a [`reactor`]: an event loop that waits for the
//! network, visits each socket that is ready and wanted once, lets timers run out and closes what was given up. On it
//! run roles ([`roles`]); the relay is the one that counts. Its upstream's bytes are read straight into a ring
//! ([`base::ring`]) and written straight out of it, each client being no more than a cursor into the stream. Helper
//! threads exist only for what blocks by nature, and there are so many of each at most:
//!
//! | thread | what for | how many |
//! |---|---|---|
//! | resolver | looking up names | 8 |
//! | standard stream | moving what comes or goes | one a stream in use |
//! | log | writing the log | 1, behind a bounded queue |
//! | certificates | reading them again | one a role that has any |
//! | keeper | writing the run file or the settings file, and moving it to the disk | 1 |
//! | lock | giving back the lock of a run file that is not to be kept after all | 1 |
//! | errand | reading the run file, a change of it, or a console's tokens | 6 an owner, with those that hang |
//! | errand | reading the files of a role that begins | 1,024 an owner, with those that hang |
//! | pipe | reading a file that is neither plain nor a pipe, and may never say anything | 64 |
//! | browser | waiting for the program that opens the page | 1 |
//! | player | `bench`: its source and its sinks; and a reader of what each relay says | as its orders say |
//!
//! ```text
//!   main -> cli -> config -> app ──runs──> reactor <──events, effects──> roles
//!                                             │ trait Net
//!                              MioNet (epoll) ┴ SimNet (a scripted world, from a seed)
//! ```
//!
//! # Code map
//!
//! Imports go downward only; `tests/tidy.rs` holds that.
//!
//! | module | what it owns |
//! |---|---|
//! | [`app`] | the enum of all roles; starts, reloads and ends them by name, and answers what they ask of each other |
//! | [`config`] | one invocation, parsed and checked: a command line, or a run file |
//! | [`cli`] | the command line, and the help out of the roles' option tables |
//! | [`roles`] | `relay`, `hub`, `tunnel`, `ws` (WebSocket), `console`, `metrics`, `status`, `demo`, `bench`; TLS |
//! | [`reactor`] | the event loop; [`reactor::net::Net`], the only door to the operating system; dialling |
//! | [`proto`] | formats without I/O and without a clock: records, TLS, mailboxes, yamux, HTTP, WebSocket frames |
//! | [`base`] | ring, timer wheel, lag heap, timeline, back-off, options, endpoints: no I/O, no clock |
//! | [`logger`] | the log's own thread and its bounded queue |
//! | [`sim`] | the simulated network under the same reactor and roles |
//! | [`mod@fuzz`] | the bodies of the fuzz targets, which the tests share |
//!
//! # Invariants
//!
//! **Invariant.** A role never names a socket type, a clock, a source of randomness or another role. So a run under the
//! simulator is a pure function of its seed.
//!
//! **Invariant.** A direction of a socket that is wanted and ready has its socket in the queue of visits. A role never
//! re-arms anything, and never loops until it would block: it does one bounded read or write a visit.
//!
//! **Invariant.** An id of a socket that is gone finds nothing, though its place may have a new tenant.
//!
//! **Invariant.** What a client has received is a contiguous piece of what may be passed on; with `--slow skip`, pieces
//! that begin where records do. A client is gone only for a [`roles::relay::Reason`], which is counted and logged.
//!
//! **Invariant.** A connection on `tls://` is nobody's client and nobody's upstream before its handshake is over, and a
//! turn does one flight of a handshake at most, behind everything else. What is encrypted for a client and not sent is
//! 64 KiB at most.
//!
//! **Invariant.** What a tunnel's client has received is a beginning of what its service said, and the other way round;
//! an end that is no reset comes behind all of it. No client holds more than its stream's window.
//!
//! **Invariant.** What an end of a WebSocket tunnel has received is a beginning of what the other end said. A session's
//! window bounds what waits for a stream; a plain WebSocket is not read while too much of it waits.
//!
//! **Invariant.** A hub's message waits in memory once, is delivered whole or not at all, and holds up nobody: neither
//! one that is half sent nor one that nobody takes.
//!
//! **Invariant.** A reload touches nothing that has not changed: places are listened at before anything else happens,
//! and what can't be had changes nothing.
//!
//! **Invariant.** A descriptor that roles or the process need for themselves is never a client's, and the clients of
//! one role leave those of each other one a part of the rest: [`reactor::budget`].
//!
//! **Invariant.** Work for a read of the upstream is proportional to the clients that can take bytes, and an idle
//! client costs its own small record only.

pub mod app;
pub mod base;
pub mod cli;
pub mod config;
pub mod fuzz;
pub mod logger;
pub mod proto;
pub mod reactor;
pub mod roles;
pub mod sim;
