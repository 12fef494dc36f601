//! See `tests::fuzzing::sip_endpoint`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tests::fuzzing::sip_endpoint(bytes));
