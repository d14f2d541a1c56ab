//! The fuzz target `endpoint`. Its body is `hydrant::fuzz::endpoint`.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| hydrant::fuzz::endpoint(data));
