//! Runs the property of `properties/script_cmsgpack.rs` under libFuzzer.
#![no_main]

#[path = "../properties/script_cmsgpack.rs"]
mod property;
#[path = "../properties/vm.rs"]
mod vm;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| property::check(bytes));
