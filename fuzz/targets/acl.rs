//! Runs the property of `properties/acl.rs` under libFuzzer.
#![no_main]

#[path = "../properties/acl.rs"]
mod property;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| property::check(bytes));
