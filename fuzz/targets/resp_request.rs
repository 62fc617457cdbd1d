//! Runs the property of `properties/resp_request.rs` under libFuzzer.
#![no_main]

#[path = "../properties/resp_request.rs"]
mod property;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| property::check(bytes));
