//! Restores payloads of functions under libFuzzer; the property is `src/commands/testing/restoring.rs`, which only builds for
//! tests and fuzzing have.
#![no_main]

use mortise::commands::testing::restoring;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| restoring::check(bytes));
