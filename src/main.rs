//! Parse, log, run, exit code. Nothing else.

fn main() {}
