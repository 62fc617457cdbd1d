//! What do replicas need once a second? A sign of life, to be cut off when they give none, and a backlog only as long as
//! somebody may come for it.

use std::sync::atomic::Ordering::Relaxed;

use crate::config::params::Param;
use crate::engine::ctx::ExclusiveCtx;
use crate::engine::persistence::AofMode;
use crate::engine::replication::{Phase, Way};
use crate::engine::state::State;
use crate::persist::rdb::disk;

/// Does all of that; `seconds` is how many times it was done before.
pub(super) fn look_after_replicas(ctx: &mut ExclusiveCtx<'_>, seconds: u64) {
    let (shared, now_ms) = (ctx.env.shared, ctx.now_ms());
    ctx.state.replication.forget_gone();
    let period = ctx.state.config.uint(Param::ReplPingReplicaPeriod).max(1);
    if seconds.is_multiple_of(period)
        && !ctx.state.replication.replicas().is_empty()
        && !shared.pause.is_active(now_ms)
    {
        ctx.state.replication.feed_plain(&[b"PING"]);
    }
    greet_waiting(ctx);
    cut_off_silent(ctx.state, now_ms);
    let ttl_ms = ctx.state.config.int(Param::ReplBacklogTtl) * 1000;
    if ttl_ms > 0 && ctx.state.replication.drop_backlog_after(ttl_ms, now_ms) {
        tracing::info!(
            "Replication backlog freed after {} seconds without connected replicas.",
            ttl_ms / 1000
        );
    }
    remove_sync_file(ctx.state);
    shared.note_replicas(ctx.state, now_ms);
}

/// Replicas that wait for a snapshot are sent an empty line, so that they know that this server lives.
fn greet_waiting(ctx: &ExclusiveCtx<'_>) {
    let replication = &ctx.state.replication;
    let by_sockets = replication.snapshot().is_some_and(|snapshot| snapshot.way == Way::Sockets);
    for replica in replication.replicas() {
        let waits = match replica.phase {
            Phase::Asked => true,
            Phase::Saving => !by_sockets,
            Phase::Sending | Phase::Online => false,
        };
        if waits {
            replica.client.post(ctx.env.shared, |outbox| outbox.add(|out| out.push(b'\n')));
        }
    }
}

/// Cuts off replicas that have said nothing for `repl-timeout`.
fn cut_off_silent(state: &State, now_ms: i64) {
    let timeout_ms = state.config.int(Param::ReplTimeout) * 1000;
    for replica in state.replication.replicas() {
        let following = &replica.client.following;
        let silent_ms = now_ms - following.heard_ms.load(Relaxed);
        if replica.phase == Phase::Online && !following.is_plain() && silent_ms > timeout_ms {
            let name = replica.client.name();
            tracing::warn!("Disconnecting timedout replica (streaming sync): {name}");
            replica.client.kill();
        }
    }
}

/// `rdb-del-sync-files`: a server without files of its own leaves none of a synchronization behind.
fn remove_sync_file(state: &mut State) {
    if !state.config.flag(Param::RdbDelSyncFiles) {
        state.replication.left_file = false;
        return;
    }
    let has_own =
        !state.config.save_points().is_empty() || state.persistence.aof.mode != AofMode::Off;
    let replicas = state.replication.replicas();
    if state.replication.left_file
        && !has_own
        && replicas.iter().all(|replica| replica.phase == Phase::Online)
    {
        state.replication.left_file = false;
        tracing::info!(
            "Removing the RDB file used to feed replicas in a persistence-less instance"
        );
        // One that is gone is what was wanted.
        let _ = std::fs::remove_file(disk::path(&state.config));
    }
}
