//! See `tests::fuzzing::telephone_event`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tests::fuzzing::telephone_event(bytes));
