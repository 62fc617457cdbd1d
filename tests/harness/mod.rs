//! How do the tests that talk to a running server start it and speak to it?
//!
//! Standard library only, and a RESP reader of its own: a mistake in the server's encoder must not be hidden by the same
//! mistake here. Invariants: every server lives in a private folder and dies with its [`Server`]; every wait has a
//! deadline; nothing is shared between two tests.
#![allow(dead_code, reason = "each test crate uses its own part of the harness")]

pub mod client;
pub mod random;
pub mod server;
pub mod value;

use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How long a condition may take on a crowded machine before a test gives up.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Polls `condition` until it holds; panics with `what` when it does not in time.
pub fn wait_until(what: &str, condition: impl FnMut() -> bool) {
    wait_until_within(PATIENCE.as_secs(), what, condition);
}

/// The same for what may take so many seconds.
pub fn wait_until_within(seconds: u64, what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(seconds);
    while !condition() {
        assert!(Instant::now() < deadline, "gave up waiting: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// The root of the project.
pub fn project_root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}
