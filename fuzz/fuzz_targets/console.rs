//! The fuzz target `console`. Its body is `hydrant::fuzz::console`.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| hydrant::fuzz::console(data));
