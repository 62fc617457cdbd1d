//! Runs the property of `properties/aof_file.rs` under libFuzzer.
#![no_main]

#[path = "../properties/aof_file.rs"]
mod property;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| property::check(bytes));
