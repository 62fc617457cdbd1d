//! Does the process wait for replicas before it ends, and for how long? Until all have what was written, so that one of them
//! can lead at once; no more is written meanwhile.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::Why;
use crate::config::params::Param;
use crate::engine::lock::Engine;
use crate::engine::replication::{Replica, Replication};
use crate::engine::state::State;
use crate::server::supervisor;

/// How long passes between two looks at the replicas.
pub(super) const LOOK: Duration = Duration::from_millis(10);

/// How long the engine may be held by others before it counts as kept by a script.
const PATIENCE: Duration = Duration::from_millis(500);

/// A wait for replicas; writes wait as long as it lives.
pub(super) struct Wait<'a> {
    engine: &'a Engine,
    deadline_ms: i64,
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        self.engine.shared.ending.deadline_ms.store(0, Ordering::Relaxed);
        self.engine.shared.end_own_pause();
    }
}

impl<'a> Wait<'a> {
    /// Begins one, unless there is nothing to wait for.
    pub(super) fn begin(engine: &'a Engine, why: &Why) -> Option<Self> {
        tracing::warn!("User requested shutdown...");
        supervisor::tell("STOPPING=1\n");
        let shared = &engine.shared;
        let deadline_ms = {
            // A script that keeps the engine keeps the process no longer than without replicas.
            let state = engine.write_within(PATIENCE)?;
            let timeout_ms = state.config.int(Param::ShutdownTimeout).saturating_mul(1000);
            let waits = timeout_ms > 0 && !shared.loading.is_on() && why.is_patient(&state.config);
            if !waits || lagging(&state.replication).next().is_none() {
                return None;
            }
            shared.pause.begin_own();
            shared.now_ms().saturating_add(timeout_ms)
        };
        shared.ending.deadline_ms.store(deadline_ms, Ordering::Relaxed);
        tracing::info!("Waiting for replicas before shutting down.");
        Some(Self { engine, deadline_ms })
    }

    /// Whether the wait is over: replicas have everything, it is late, or the process is not to end after all.
    pub(super) fn is_over(&self, engine: &Engine) -> bool {
        let shared = &engine.shared;
        let is_late = shared.now_ms() >= self.deadline_ms;
        let are_ready =
            || engine.try_write().is_some_and(|state| lagging(&state.replication).next().is_none());
        shared.ending.is_dropped() || is_late || are_ready()
    }
}

/// The replicas that lack something; those who came with SYNC do not say.
fn lagging(replication: &Replication) -> impl Iterator<Item = &Replica> {
    replication.replicas().iter().filter(|replica| {
        let following = &replica.client.following;
        !following.is_plain()
            && !replica.client.killed.load(Ordering::Relaxed)
            && following.offset.load(Ordering::Relaxed) != replication.offset()
    })
}

/// Writes to the log which replicas lack something, and how many do not.
pub(super) fn report(state: &State, now_ms: i64) {
    let replication = &state.replication;
    let mut behind = 0;
    for Replica { client, phase, .. } in lagging(replication) {
        behind += 1;
        let following = &client.following;
        tracing::info!(
            "Lagging replica {} reported offset {} behind master, lag={}, state={}.",
            client.name(),
            replication.offset().saturating_sub(following.offset.load(Ordering::Relaxed)),
            (now_ms - following.heard_ms.load(Ordering::Relaxed)) / 1000,
            phase.name()
        );
    }
    let all = replication.replicas().len();
    if all > 0 {
        tracing::info!("{} of {all} replicas are in sync when shutting down.", all - behind);
    }
}
