//! Fuzzes everything a POP3 server says.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| mail::fuzzing::pop3(bytes));
