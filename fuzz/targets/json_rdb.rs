//! Runs the property of `properties/json_rdb.rs` under libFuzzer.
#![no_main]

#[path = "../properties/json_rdb.rs"]
mod property;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| property::check(bytes));
