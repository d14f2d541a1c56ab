//! The fuzz target `yamux`. Its body is `hydrant::fuzz::yamux`.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| hydrant::fuzz::yamux(data));
