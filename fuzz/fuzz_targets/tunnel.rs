//! The fuzz target `tunnel`. Its body is `hydrant::fuzz::tunnel`.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| hydrant::fuzz::tunnel(data));
