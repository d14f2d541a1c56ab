//! The fuzz target `ring`. Its body is `hydrant::fuzz::ring`.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| hydrant::fuzz::ring(data));
