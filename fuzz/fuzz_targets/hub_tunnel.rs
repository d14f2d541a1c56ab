//! The fuzz target `hub_tunnel`. Its body is `hydrant::fuzz::hub_tunnel`.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| hydrant::fuzz::hub_tunnel(data));
