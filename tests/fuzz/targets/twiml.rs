//! See `tests::fuzzing_twiml::twiml`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tests::fuzzing_twiml::twiml(bytes));
