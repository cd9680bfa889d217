//! Fuzzes everything an IMAP server says.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| mail::fuzzing::imap(bytes));
