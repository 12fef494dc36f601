//! See `tests::fuzzing::rtcp`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tests::fuzzing::rtcp(bytes));
