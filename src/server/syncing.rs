//! How does a replica come by the data set? Told here from its PSYNC to its first byte of the stream.
//!
//! PSYNC has noted that it waits (`Phase::Asked`). As soon as no other snapshot is under way one is begun for all who
//! wait ([`visit`]): each is told the offset that it shows, and from that very moment the stream is held back in its outbox
//! (`Phase::Saving`). On its way by the disk the snapshot is the file that BGSAVE would write; then a thread per replica reads
//! that and sends it (`Phase::Sending`). Without a disk its bytes go to all replicas while it is taken, so that the slowest
//! sets the pace. When everything is on its way the replica is online and gets what was held back: at once, or, if it finds the
//! end of the snapshot by a mark, once it has acknowledged it.
//!
//! Invariants: at most one snapshot is under way, and whoever is in `Phase::Saving` gets that one; of a snapshot no more than
//! half a megabyte wait in an outbox.

mod transfer;

mod upkeep;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::saving::{self, Begun, Purpose, announce, as_server};
use crate::config::params::Param;
use crate::engine::client::Client;
use crate::engine::ctx::ExclusiveCtx;
use crate::engine::effects::Request;
use crate::engine::hooks::ServerEvent;
use crate::engine::lock::Engine;
use crate::engine::replication::following::Traits;
use crate::engine::replication::{Phase, Way, failover};
use crate::engine::state::{Shared, State};
use crate::persist::rdb::disk;
use crate::persist::rdb::save::write_parts;

/// A replica has asked for a snapshot.
pub fn replica_asks(ctx: &mut ExclusiveCtx<'_>, client: &Arc<Client>) {
    let traits = client.following.traits();
    if traits.intersects(Traits::FILTERED) {
        return transfer::start_parts(ctx, client);
    }
    let state = &mut *ctx.state;
    let is_delayed =
        goes_by_sockets(state, traits) && state.config.uint(Param::ReplDisklessSyncDelay) > 0;
    let bgsave = state.persistence.bgsave.is_some();
    match state.replication.snapshot().map(|snapshot| snapshot.way) {
        Some(Way::Sockets) => {
            tracing::info!("Current BGSAVE has socket target. Waiting for next BGSAVE for SYNC");
        }
        Some(Way::Disk) if state.replication.join_snapshot(client, ctx.env.shared) => {
            tracing::info!("Waiting for end of BGSAVE for SYNC");
        }
        _ if bgsave => tracing::info!(
            "Can't attach the replica to the current BGSAVE. Waiting for next BGSAVE for SYNC"
        ),
        _ if is_delayed => tracing::info!("Delay next BGSAVE for diskless SYNC"),
        _ if state.persistence.is_busy() => tracing::info!(
            "No BGSAVE in progress, but another BG operation is active. BGSAVE for replication delayed"
        ),
        _ => begin(ctx),
    }
}

/// Whether a replica gets its snapshot without a disk.
fn goes_by_sockets(state: &State, traits: Traits) -> bool {
    state.config.flag(Param::ReplDisklessSync) && traits.contains(Traits::EOF)
}

/// What is to be done several times a second: begins a snapshot if it is time to, and ends one that nobody waits for any more.
pub fn visit(ctx: &mut ExclusiveCtx<'_>) {
    give_up_if_useless(ctx.state);
    ctx.state.replication.tidy(ctx.env.shared);
    let now_ms = ctx.now_ms();
    let state = &*ctx.state;
    let (mut waiting, mut first_ms, mut by_sockets) = (0, now_ms, true);
    for replica in state.replication.replicas().iter().filter(|r| r.phase == Phase::Asked) {
        waiting += 1;
        first_ms = first_ms.min(replica.since_ms);
        by_sockets &= goes_by_sockets(state, replica.client.following.traits());
    }
    if waiting == 0 || state.persistence.is_busy() {
        return;
    }
    if by_sockets {
        let enough = state.config.size(Param::ReplDisklessSyncMaxReplicas);
        let delay_ms = state.config.int(Param::ReplDisklessSyncDelay) * 1000;
        if now_ms - first_ms < delay_ms && (enough == 0 || waiting < enough) {
            return;
        }
    }
    begin(ctx);
}

/// Cancels a snapshot whose replicas are all gone, unless its file is wanted anyway.
fn give_up_if_useless(state: &State) {
    let Some(way) = state.replication.snapshot().map(|snapshot| snapshot.way) else { return };
    let is_useless = state.replication.replicas().iter().all(|r| r.phase != Phase::Saving);
    let keeps_file = way == Way::Disk && !state.config.save_points().is_empty();
    let Some(bgsave) = state.persistence.bgsave.as_ref().filter(|_| is_useless && !keeps_file)
    else {
        return;
    };
    if !bgsave.progress.cancelled.swap(true, Ordering::Relaxed) && way == Way::Sockets {
        tracing::info!("Diskless rdb transfer, last replica dropped, killing fork child.");
    }
}

/// Begins a snapshot for all who wait for one.
fn begin(ctx: &mut ExclusiveCtx<'_>) {
    let shared = ctx.env.shared;
    ctx.state.replication.forget_gone();
    let asked = ctx.state.replication.replicas().iter().filter(|r| r.phase == Phase::Asked);
    let asked: Vec<_> = asked.map(|replica| &replica.client.following).collect();
    let by_sockets = asked.iter().all(|asked| goes_by_sockets(ctx.state, asked.traits()));
    let configured = ctx.state.config.uint(Param::RdbTargetVersion) as u32;
    let Some(read) = asked.iter().map(|asked| asked.rdb_version()).min() else { return };
    let (way, purpose, target) = match by_sockets {
        true => (Way::Sockets, Purpose::Stream, "replicas sockets"),
        false => (Way::Disk, Purpose::FileForReplicas, "disk"),
    };
    ctx.state.replication.left_file |= way == Way::Disk;
    tracing::info!("Starting BGSAVE for SYNC with target: {target}");
    let rdb_version = read.min(configured);
    ctx.state.replication.begin_snapshot(way, rdb_version, shared);
    ctx.state.persistence.begin(ctx.env.now_us);
    saving::begin_for(ctx, purpose, rdb_version);
    shared.host.request(Request::BgSave);
}

/// Sends a snapshot that was begun to all who wait for it, as it is taken; whether that went well for one of them.
pub(super) fn stream(engine: &Arc<Engine>, begun: Begun) -> bool {
    let (clients, checksum) = {
        let state = engine.read_patiently();
        let saving = state.replication.replicas().iter().filter(|r| r.phase == Phase::Saving);
        let clients: Vec<_> = saving.map(|replica| Arc::clone(&replica.client)).collect();
        (clients, disk::file_style(&state.config).checksum)
    };
    let mut all = transfer::FanOut::new(engine, clients, checksum);
    all.begin();
    let handed = saving::hand_out(engine, begun, &mut |chunk| all.send(chunk));
    handed && all.finish()
}

/// A snapshot for replicas has ended: those who wait for it are sent it, or are online, or have to ask again.
pub(super) fn hand_on(engine: &Arc<Engine>, state: &mut State, saved: bool, purpose: Purpose) {
    let replication = &mut state.replication;
    if !saved {
        for client in replication.end_snapshot(Phase::Saving) {
            tracing::warn!("SYNC failed. BGSAVE child returned an error");
            client.kill();
        }
        return replication.forget_gone();
    }
    if purpose == Purpose::Stream {
        for client in replication.end_snapshot(Phase::Online) {
            tracing::info!(
                "Streamed replica with {} succeeded with socket. Waiting for REPLCONF ACK from replica to enable streaming",
                client.name()
            );
            go_online(state, &engine.shared, &client, Begin::OnAck);
        }
        return;
    }
    let path = disk::path(&state.config);
    for client in state.replication.end_snapshot(Phase::Sending) {
        transfer::start_file(engine, &client, &path);
    }
}

/// When a replica gets the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Begin {
    Now,
    OnAck,
}

/// A replica has been sent its snapshot.
fn go_online(state: &mut State, shared: &Shared, client: &Client, begin: Begin) {
    if client.following.is_snapshot_only() {
        return tracing::info!(
            "RDB transfer completed, rdb only replica ({}) should be disconnected asap",
            client.name()
        );
    }
    let now_ms = shared.now_ms();
    if !state.replication.put_online(client, now_ms) {
        return;
    }
    match begin {
        Begin::OnAck => client.following.begins_on_ack.store(true, Ordering::Relaxed),
        Begin::Now => _ = client.post(shared, |outbox| outbox.release_stream()),
    }
    tracing::info!("Synchronization with replica {} succeeded", client.name());
    shared.note_replicas(state, now_ms);
    as_server(state, shared, announce_replicas);
}

/// Tells modules which replicas have come and gone.
fn announce_replicas(ctx: &mut ExclusiveCtx<'_>) {
    for change in std::mem::take(&mut ctx.state.replication.unheard) {
        announce(ctx, ServerEvent::Replica(change));
    }
}

/// The connection of a replica has ended. If a script keeps the engine, that is seen later.
pub(super) fn replica_gone(engine: &Engine, client: &Client) {
    client.killed.store(true, Ordering::Release);
    if let Ok(mut state) = engine.write() {
        state.replication.forget_gone();
        as_server(&mut state, &engine.shared, announce_replicas);
    }
}

/// The snapshot of parts alone, without keys.
fn parts(ctx: &mut ExclusiveCtx<'_>, traits: Traits) -> Vec<u8> {
    let facts = saving::facts(ctx.env.shared, ctx.env.now_us);
    write_parts(ctx.state, facts, !traits.contains(Traits::NO_FUNCTIONS))
}

/// Does what replicas need several times a second, if nobody keeps the engine.
pub fn tick(engine: &Engine) {
    if let Some(mut state) = engine.try_write()
        && (state.replication.backlog().is_some()
            || state.replication.snapshot().is_some()
            || state.replication.failover.is_some())
    {
        as_server(&mut state, &engine.shared, |ctx| {
            visit(ctx);
            failover::visit(ctx);
            announce_replicas(ctx);
        });
    }
}

/// Does what they need once a second; `seconds` is how often it was done before.
pub fn tick_each_second(engine: &Engine, seconds: u64) {
    if let Some(mut state) = engine.try_write() {
        as_server(&mut state, &engine.shared, |ctx| upkeep::look_after_replicas(ctx, seconds));
    }
}
