//! The real hub and its real clients on loopback: every port is free, everything has a deadline, and nothing sleeps.

mod common;

#[path = "hub/ends.rs"]
mod ends;
#[path = "hub/limits.rs"]
mod limits;
#[path = "hub/messages.rs"]
mod messages;
#[path = "hub/rig.rs"]
mod rig;
#[path = "hub/secure.rs"]
mod secure;
#[path = "hub/tokens.rs"]
mod tokens;
#[path = "hub/tunnel.rs"]
mod tunnel;
#[path = "hub/users.rs"]
mod users;
