//! Many roles in one process: the run file, what is wrong with one, its reload, and what others may ask by HTTP.

mod common;

#[path = "run/check.rs"]
mod check;
#[path = "run/kept.rs"]
mod kept;
#[path = "run/metrics.rs"]
mod metrics;
#[path = "run/others.rs"]
mod others;
#[path = "run/reload.rs"]
mod reload;
#[path = "run/rig.rs"]
mod rig;
#[path = "run/saved.rs"]
mod saved;
#[path = "run/service.rs"]
mod service;
#[path = "run/status.rs"]
mod status;
