//! Runs the property of `properties/glob.rs` under libFuzzer.
#![no_main]

#[path = "../properties/glob.rs"]
mod property;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| property::check(bytes));
