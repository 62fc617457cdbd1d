//! Runs the property of `properties/config_file.rs` under libFuzzer.
#![no_main]

#[path = "../properties/config_file.rs"]
mod property;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| property::check(bytes));
