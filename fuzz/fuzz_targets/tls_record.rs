//! The fuzz target `tls_record`. Its body is `hydrant::fuzz::tls_record`.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| hydrant::fuzz::tls_record(data));
