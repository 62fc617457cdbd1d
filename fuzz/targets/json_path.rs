//! Runs the property of `properties/json_path.rs` under libFuzzer.
#![no_main]

#[path = "../properties/json_path.rs"]
mod property;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| property::check(bytes));
