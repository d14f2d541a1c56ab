//! The fuzz target `http1`. Its body is `hydrant::fuzz::http1`.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| hydrant::fuzz::http1(data));
