//! A low-latency TCP relay on a hand-written, single-threaded reactor.

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
