//! See `tests::fuzzing::media_stream`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tests::fuzzing::media_stream(bytes));
