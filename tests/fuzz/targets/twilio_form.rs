//! See `tests::fuzzing::twilio_form`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tests::fuzzing::twilio_form(bytes));
