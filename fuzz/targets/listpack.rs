//! Runs the property of `properties/listpack.rs` under libFuzzer.
#![no_main]

#[path = "../properties/listpack.rs"]
mod property;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| property::check(bytes));
