//! The fuzz target `relay`. Its body is `hydrant::fuzz::relay`.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| hydrant::fuzz::relay(data));
