//! See `tests::fuzzing::rtp`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tests::fuzzing::rtp(bytes));
