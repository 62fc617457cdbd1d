//! REPLICAOF: another server is followed, or nobody is.

use super::SERVER;
use crate::engine::args;
use crate::engine::client_info;
use crate::engine::ctx::ExclusiveCtx;
use crate::engine::error::CommandError;
use crate::engine::replication::role;
use crate::engine::spec::{Arg, Argv, Arity, CommandSpec, Deprecated, Flag, Outcome, Run};
use crate::resp::reply::Reply;

/// REPLICAOF.
pub const REPLICAOF: CommandSpec = CommandSpec {
    name: "REPLICAOF",
    summary: "Configures a server as replica of another, or promotes it to a master.",
    since: "5.0.0",
    complexity: "O(1)",
    arity: Arity::Exactly(3),
    flags: &[Flag::NoAsyncLoading, Flag::Admin, Flag::NoScript, Flag::Stale],
    args: &[Arg::one_of(
        "args",
        &[
            Arg::block("host-port", &[Arg::string("host"), Arg::integer("port")]),
            Arg::block("no-one", &[Arg::flag("no", "NO"), Arg::flag("one", "ONE")]),
        ],
    )],
    run: Run::Exclusive(replica_of),
    ..SERVER
};

/// SLAVEOF, its old name.
pub const SLAVEOF: CommandSpec = CommandSpec {
    name: "SLAVEOF",
    summary: "Sets a Redis server as a replica of another, or promotes it to being a master.",
    since: "1.0.0",
    deprecated: Some(Deprecated { since: "5.0.0", replaced_by: "`REPLICAOF`" }),
    ..REPLICAOF
};

/// Who asks, for the log.
fn asker(ctx: &ExclusiveCtx<'_>) -> String {
    let line = ctx.env.client.map(|client| client_info::line(client, ctx.session, ctx.now_ms()));
    line.map_or_else(String::new, |line| args::lossy(&line).to_string())
}

fn replica_of(ctx: &mut ExclusiveCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    if ctx.state.replication.failover.is_some() {
        return Err(CommandError::text("ERR REPLICAOF not allowed while failing over."));
    }
    if args::is(argv[1], "NO") && args::is(argv[2], "ONE") {
        if ctx.state.replication.is_replica() {
            role::lead(ctx);
            tracing::info!("MASTER MODE enabled (user request from '{}')", asker(ctx));
        }
        reply.ok();
        return Ok(());
    }
    if ctx.env.client.is_some_and(|client| ctx.state.replication.is_followed_by(client)) {
        return Err(CommandError::text("ERR Command is not valid when client is a replica."));
    }
    let Ok(port @ 0..=65535) = args::int(argv[2]) else {
        return Err(CommandError::text("ERR Invalid master port"));
    };
    let host = String::from_utf8_lossy(argv[1]).into_owned();
    let link = ctx.state.replication.link();
    if link
        .is_some_and(|link| link.host.eq_ignore_ascii_case(&host) && i64::from(link.port) == port)
    {
        tracing::info!(
            "REPLICAOF would result into synchronization with the master we are already connected with. No \
             operation performed."
        );
        reply.simple("OK Already connected to specified master");
        return Ok(());
    }
    role::follow(ctx, &host, port as u16);
    tracing::info!("REPLICAOF {host}:{port} enabled (user request from '{}')", asker(ctx));
    reply.ok();
    Ok(())
}
