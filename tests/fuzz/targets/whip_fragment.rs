//! See `tests::fuzzing::whip_fragment`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tests::fuzzing::whip_fragment(bytes));
