//! The fuzz target `framing`. Its body is `hydrant::fuzz::framing`.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| hydrant::fuzz::framing(data));
