//! The fuzz target `websocket`. Its body is `hydrant::fuzz::websocket`.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| hydrant::fuzz::websocket(data));
