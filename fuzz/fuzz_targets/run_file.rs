//! The fuzz target `run_file`. Its body is `hydrant::fuzz::run_file`.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| hydrant::fuzz::run_file(data));
