//! The fuzz target `ws`. Its body is `hydrant::fuzz::ws`.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| hydrant::fuzz::ws(data));
