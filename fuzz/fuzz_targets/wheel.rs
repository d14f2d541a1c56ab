//! The fuzz target `wheel`. Its body is `hydrant::fuzz::wheel`.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| hydrant::fuzz::wheel(data));
