//! Restores foreign DUMP payloads under libFuzzer; the property is `src/commands/testing/storing.rs`, which only builds for tests and
//! fuzzing have.
#![no_main]

use mortise::commands::testing::storing;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| storing::check_payload(bytes));
