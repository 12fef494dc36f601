//! See `tests::fuzzing::webhook_answer`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tests::fuzzing::webhook_answer(bytes));
