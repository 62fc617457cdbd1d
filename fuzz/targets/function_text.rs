//! Loads libraries of functions under libFuzzer; the property is `properties/function_text.rs`.
#![no_main]

#[path = "../properties/function_text.rs"]
mod function_text;
#[path = "../properties/vm.rs"]
mod vm;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| function_text::check(bytes));
