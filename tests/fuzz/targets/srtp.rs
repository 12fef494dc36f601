//! See `tests::fuzzing::srtp`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tests::fuzzing::srtp(bytes));
