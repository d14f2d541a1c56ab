//! The reverse tunnel, both ends of it real programs on loopback: every port is free, everything has a deadline, and
//! nothing sleeps.

mod common;

#[path = "tunnel/clients.rs"]
mod clients;
#[path = "tunnel/delay.rs"]
mod delay;
#[path = "tunnel/limits.rs"]
mod limits;
#[path = "tunnel/others.rs"]
mod others;
#[path = "tunnel/peer.rs"]
mod peer;
#[path = "tunnel/proofs.rs"]
mod proofs;
#[path = "tunnel/returns.rs"]
mod returns;
#[path = "tunnel/rig.rs"]
mod rig;
#[path = "tunnel/secure.rs"]
mod secure;
