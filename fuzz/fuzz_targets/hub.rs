//! The fuzz target `hub`. Its body is `hydrant::fuzz::hub`.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| hydrant::fuzz::hub(data));
