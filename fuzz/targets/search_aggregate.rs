//! Runs the property of `properties/search_aggregate.rs` under libFuzzer.
#![no_main]

#[path = "../properties/search_pieces.rs"]
mod search_pieces;
#[path = "../properties/search_aggregate.rs"]
mod property;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| property::check(bytes));
