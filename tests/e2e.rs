//! The real program on loopback: every port is free, everything has a deadline, and nothing sleeps.

mod common;

#[path = "e2e/admission.rs"]
mod admission;
#[path = "e2e/browser.rs"]
mod browser;
#[path = "e2e/dead.rs"]
mod dead;
#[path = "e2e/dump.rs"]
mod dump;
#[path = "e2e/failover.rs"]
mod failover;
#[path = "e2e/joining.rs"]
mod joining;
#[path = "e2e/lag.rs"]
mod lag;
#[path = "e2e/logging.rs"]
mod logging;
#[path = "e2e/modes.rs"]
mod modes;
#[path = "e2e/netns.rs"]
mod netns;
#[path = "e2e/outputs.rs"]
mod outputs;
#[path = "e2e/receivers.rs"]
mod receivers;
#[path = "e2e/records.rs"]
mod records;
#[path = "e2e/resume.rs"]
mod resume;
#[path = "e2e/retry.rs"]
mod retry;
#[path = "e2e/rig.rs"]
mod rig;
#[path = "e2e/signals.rs"]
mod signals;
#[path = "e2e/slow.rs"]
mod slow;
#[path = "e2e/stdio.rs"]
mod stdio;
#[path = "e2e/takeover.rs"]
mod takeover;
#[path = "e2e/terminal.rs"]
mod terminal;
#[path = "e2e/tls.rs"]
mod tls;
#[path = "e2e/tools.rs"]
mod tools;
#[path = "e2e/upstream.rs"]
mod upstream;
#[path = "e2e/websocket.rs"]
mod websocket;
#[path = "e2e/wss.rs"]
mod wss;
