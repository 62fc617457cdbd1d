//! When does the main thread work for modules? When one of them wakes it, and when a timer is due.

use std::sync::Arc;

use tokio::sync::Notify;
use tokio::time::timeout;

use crate::engine::lock::Engine;
use crate::module::tasks;

static WAKE: Notify = Notify::const_new();

/// Has the main thread look at what modules want done. Works on any thread.
pub fn wake() {
    WAKE.notify_one();
}

/// Does what modules want done, for ever.
pub async fn run(engine: Arc<Engine>) {
    loop {
        match tasks::run_due(&engine) {
            Some(wait) if wait.is_zero() => tokio::task::yield_now().await,
            // Whether woken or due makes no difference.
            Some(wait) => drop(timeout(wait, WAKE.notified()).await),
            None => WAKE.notified().await,
        }
    }
}
