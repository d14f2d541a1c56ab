//! TCP over WebSocket: relay, host and client, real programs on loopback; every port is free, everything has a
//! deadline, and nothing sleeps.

mod common;

#[path = "ws/holes.rs"]
mod holes;
#[path = "ws/idle.rs"]
mod idle;
#[path = "ws/ours.rs"]
mod ours;
#[path = "ws/peer.rs"]
mod peer;
#[path = "ws/plain.rs"]
mod plain;
#[path = "ws/proxies.rs"]
mod proxies;
#[path = "ws/python.rs"]
mod python;
#[path = "ws/refusals.rs"]
mod refusals;
#[path = "ws/rig.rs"]
mod rig;
#[path = "ws/secure.rs"]
mod secure;
#[path = "ws/words.rs"]
mod words;
