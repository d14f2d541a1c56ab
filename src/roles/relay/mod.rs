//! The one-way relay: one upstream byte stream, fanned out to any number of receivers.

pub mod config;
pub mod options;
