//! Runs the property of `properties/resp_value.rs` under libFuzzer.
#![no_main]

#[path = "../properties/resp_value.rs"]
mod property;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| property::check(bytes));
