//! Runs requests through the whole engine under libFuzzer; the property is `src/commands/testing/survival.rs`, which
//! only builds for tests and fuzzing have.
#![no_main]

use mortise::commands::testing::survival;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| survival::check(bytes));
