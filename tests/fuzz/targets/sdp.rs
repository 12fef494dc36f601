//! See `tests::fuzzing::sdp`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tests::fuzzing::sdp(bytes));
