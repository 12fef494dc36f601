//! See `tests::fuzzing::sip_message`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tests::fuzzing::sip_message(bytes));
