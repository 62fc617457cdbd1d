//! SYNC, PSYNC and REPLCONF: a client becomes a follower of the effect log. It gets a snapshot, and from the
//! same moment on every write; nothing more is known of it.

use std::sync::atomic::Ordering;

use super::SERVER;
use crate::engine::args;
use crate::engine::ctx::{ExclusiveCtx, SessionCtx};
use crate::engine::error::CommandError;
use crate::engine::replication::Phase;
use crate::engine::spec::{Arg, Argv, Arity, CommandSpec, Flag, Outcome, Run};
use crate::resp::reply::Reply;

/// SYNC.
pub const SYNC: CommandSpec = CommandSpec {
    name: "SYNC",
    summary: "An internal command used in replication.",
    arity: Arity::Exactly(1),
    flags: &[Flag::NoAsyncLoading, Flag::Admin, Flag::NoMulti, Flag::NoScript],
    run: Run::Exclusive(sync),
    ..SERVER
};

/// PSYNC.
pub const PSYNC: CommandSpec = CommandSpec {
    name: "PSYNC",
    summary: "An internal command used in replication.",
    since: "2.8.0",
    arity: Arity::AtLeast(3),
    flags: &[Flag::NoAsyncLoading, Flag::Admin, Flag::NoMulti, Flag::NoScript],
    args: &[Arg::string("replicationid"), Arg::integer("offset")],
    run: Run::Exclusive(psync),
    ..SERVER
};

/// REPLCONF.
pub const REPLCONF: CommandSpec = CommandSpec {
    name: "REPLCONF",
    summary: "An internal command for configuring the replication stream.",
    since: "3.0.0",
    complexity: "O(1)",
    arity: Arity::AtLeast(1),
    flags: &[
        Flag::Admin,
        Flag::NoScript,
        Flag::Loading,
        Flag::Stale,
        Flag::AllowBusy,
        Flag::System,
    ],
    run: Run::Session(replconf),
    ..SERVER
};

fn sync(ctx: &mut ExclusiveCtx<'_>, _: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    follow(ctx, "", reply)
}

fn psync(ctx: &mut ExclusiveCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    args::int(argv[2])?;
    ctx.state.replication.begin_backlog();
    let replication = &ctx.state.replication;
    let header = format!("+FULLRESYNC {} {}\r\n", replication.id, replication.offset());
    follow(ctx, &header, reply)
}

/// Answers with a snapshot, and has the client follow from here on.
fn follow(ctx: &mut ExclusiveCtx<'_>, header: &str, reply: &mut Reply<'_>) -> Outcome {
    let Some(client) = ctx.env.client else {
        return Err(CommandError::text("ERR only a client can follow"));
    };
    if ctx.state.replication.is_followed_by(client) {
        // As Redis does: a client that follows already is not answered.
        return Ok(());
    }
    tracing::info!("Replica {} asks for synchronization", client.addr);
    let host = &ctx.env.shared.host;
    let snapshot = host
        .snapshot(ctx)
        .map_err(|_| CommandError::text("ERR Unable to perform background save"))?;
    reply.raw(header.as_bytes());
    reply.raw(format!("${}\r\n", snapshot.len()).as_bytes());
    reply.raw(&snapshot);
    let now_ms = ctx.now_ms();
    ctx.state.replication.begin_backlog();
    ctx.state.replication.follow(client, Phase::Online, now_ms);
    ctx.env.shared.note_replicas(ctx.state, now_ms);
    tracing::info!("Synchronization with replica {} succeeded", client.addr);
    Ok(())
}

/// Accepts what a replica says about itself.
fn replconf(ctx: &mut SessionCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    if argv.len().is_multiple_of(2) {
        return Err(CommandError::Syntax);
    }
    for pair in argv[1..].chunks_exact(2) {
        let known = ["listening-port", "ip-address", "capa", "rdb-only", "rdb-filter-only"];
        if args::is(pair[0], "ack") {
            if let Ok(offset) = args::int(pair[1]) {
                note_progress(ctx, offset);
            }
            return Ok(());
        } else if args::is(pair[0], "getack") {
            // Not answered, since the stream goes the other way.
            return Ok(());
        } else if args::is(pair[0], "listening-port") {
            let port =
                u16::try_from(args::int(pair[1])?).map_err(|_| CommandError::NotAnInteger)?;
            if let Some(client) = ctx.env.client {
                client.following.port.store(port, Ordering::Relaxed);
            }
        }
        if !known.iter().any(|name| args::is(pair[0], name)) {
            return Err(CommandError::owned(format!(
                "ERR Unrecognized REPLCONF option: {}",
                args::lossy(pair[0])
            )));
        }
    }
    reply.ok();
    Ok(())
}

/// Notes how far a replica is. It is not answered, since the stream goes the other way.
fn note_progress(ctx: &SessionCtx<'_>, offset: i64) {
    let Some(client) = ctx.env.client else { return };
    let following = &client.following;
    following.offset.fetch_max(u64::try_from(offset).unwrap_or(0), Ordering::Relaxed);
    following.heard_ms.store(ctx.env.now_ms(), Ordering::Relaxed);
}
