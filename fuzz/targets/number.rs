//! Runs the property of `properties/number.rs` under libFuzzer.
#![no_main]

#[path = "../properties/number.rs"]
mod property;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| property::check(bytes));
