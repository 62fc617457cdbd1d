//! ROLE, and INFO's section: whom does this server follow, and who follows it?

use std::fmt::Write as _;
use std::sync::atomic::Ordering::Relaxed;

use super::SERVER;
use crate::config::Config;
use crate::config::params::Param;
use crate::engine::ctx::ExclusiveCtx;
use crate::engine::replication::link::{Link, LinkState};
use crate::engine::replication::{Phase, Replica, Replication};
use crate::engine::spec::{Argv, Arity, Category, CommandSpec, Flag, Outcome, Run};
use crate::engine::state::State;
use crate::resp::reply::Reply;

/// ROLE.
pub const ROLE: CommandSpec = CommandSpec {
    name: "ROLE",
    summary: "Returns the replication role.",
    since: "2.8.12",
    complexity: "O(1)",
    arity: Arity::Exactly(1),
    flags: &[Flag::NoScript, Flag::Loading, Flag::Stale, Flag::Fast],
    categories: &[Category::Admin, Category::Dangerous],
    run: Run::Exclusive(role),
    ..SERVER
};

fn role(ctx: &mut ExclusiveCtx<'_>, _: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let replication = &mut ctx.state.replication;
    if let Some(link) = replication.link() {
        reply.array(5);
        reply.bulk(b"slave");
        reply.bulk(link.host.as_bytes());
        reply.int(i64::from(link.port));
        reply.bulk(link.state.name().as_bytes());
        reply.int(if link.is_up() { replication.offset().cast_signed() } else { -1 });
        return Ok(());
    }
    replication.forget_gone();
    let online = || replication.replicas().iter().filter(|r| r.phase == Phase::Online);
    reply.array(3);
    reply.bulk(b"master");
    reply.int(replication.offset().cast_signed());
    reply.array(online().count());
    for replica in online() {
        let following = &replica.client.following;
        reply.array(3);
        reply.bulk(replica.client.announced_host().as_bytes());
        reply.bulk(following.port.load(Relaxed).to_string().as_bytes());
        reply.bulk(following.offset.load(Relaxed).to_string().as_bytes());
    }
    Ok(())
}

/// INFO's section.
pub(super) fn info(ctx: &mut ExclusiveCtx<'_>, text: &mut String) {
    let now_ms = ctx.now_ms();
    ctx.state.replication.forget_gone();
    let State { replication, config, .. } = &*ctx.state;
    match replication.link() {
        None => text.push_str("role:master\r\n"),
        Some(link) => {
            text.push_str("role:slave\r\n");
            link_info(link, replication.offset(), config, now_ms, text);
        }
    }
    let replicas = replication.replicas();
    let _ = write!(text, "connected_slaves:{}\r\n", replicas.len());
    let lag_max = config.int(Param::MinReplicasMaxLag);
    if config.int(Param::MinReplicasToWrite) > 0 && lag_max > 0 {
        let close = replication.close_replicas(lag_max, now_ms);
        let _ = write!(text, "min_slaves_good_slaves:{close}\r\n");
    }
    for (index, Replica { client, phase, .. }) in replicas.iter().enumerate() {
        let following = &client.following;
        let lag = match phase {
            Phase::Online => (now_ms - following.heard_ms.load(Relaxed)) / 1000,
            _ => 0,
        };
        let _ = write!(
            text,
            "slave{index}:ip={},port={},state={},offset={},lag={lag}\r\n",
            client.announced_host(),
            following.port.load(Relaxed),
            phase.name(),
            following.offset.load(Relaxed),
        );
    }
    history_info(replication, config, text);
}

/// What a replica says of its link.
fn link_info(link: &Link, offset: u64, config: &Config, now_ms: i64, text: &mut String) {
    let seconds = |since_ms: i64| (now_ms - since_ms) / 1000;
    let _ = write!(
        text,
        "master_host:{}\r\nmaster_port:{}\r\nmaster_link_status:{}\r\n\
         master_last_io_seconds_ago:{}\r\nmaster_sync_in_progress:{}\r\n\
         slave_read_repl_offset:{}\r\nslave_repl_offset:{offset}\r\n",
        link.host,
        link.port,
        if link.is_up() { "up" } else { "down" },
        link.heard_ms.map_or(-1, seconds),
        u8::from(link.state == LinkState::Sync),
        link.read_offset.max(offset),
    );
    if let (LinkState::Sync, Some(transfer)) = (link.state, &link.transfer) {
        let (total, read) = (transfer.total_bytes.unwrap_or(0), transfer.read_bytes);
        let percent = if total == 0 { 0.0 } else { read as f64 / total as f64 * 100.0 };
        let _ = write!(
            text,
            "master_sync_total_bytes:{total}\r\nmaster_sync_read_bytes:{read}\r\n\
             master_sync_left_bytes:{}\r\nmaster_sync_perc:{percent:.2}\r\n\
             master_sync_last_io_seconds_ago:{}\r\n",
            total.cast_signed() - read.cast_signed(),
            seconds(transfer.heard_ms),
        );
    }
    if !link.is_up() {
        let down = link.down_since_ms.map_or(-1, seconds);
        let _ = write!(text, "master_link_down_since_seconds:{down}\r\n");
    }
    let _ = write!(
        text,
        "slave_priority:{}\r\nslave_read_only:{}\r\nreplica_announced:{}\r\n",
        config.int(Param::ReplicaPriority),
        u8::from(config.flag(Param::ReplicaReadOnly)),
        u8::from(config.flag(Param::ReplicaAnnounced)),
    );
}

fn history_info(replication: &Replication, config: &Config, text: &mut String) {
    let second_id = replication.earlier_id();
    let second_end = replication.earlier.as_ref().map_or(-1, |earlier| earlier.end.cast_signed());
    let backlog = replication.backlog();
    let _ = write!(
        text,
        "master_failover_state:{}\r\nmaster_replid:{}\r\nmaster_replid2:{second_id}\r\n\
         master_repl_offset:{}\r\nsecond_repl_offset:{second_end}\r\nrepl_backlog_active:{}\r\n\
         repl_backlog_size:{}\r\nrepl_backlog_first_byte_offset:{}\r\nrepl_backlog_histlen:{}\r\n",
        replication.failover_state(),
        replication.id,
        replication.offset(),
        u8::from(backlog.is_some()),
        config.int(Param::ReplBacklogSize),
        backlog.map_or(0, |backlog| backlog.first()),
        backlog.map_or(0, |backlog| backlog.len()),
    );
}
