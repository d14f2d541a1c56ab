//! The fuzz target `mailbox`. Its body is `hydrant::fuzz::mailbox`.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| hydrant::fuzz::mailbox(data));
