//! ROLE and REPLICAOF: whom does this server follow, and who follows it? It is a primary and cannot be made a
//! replica yet, which REPLICAOF says.

use std::sync::atomic::Ordering;

use super::SERVER;
use crate::engine::args;
use crate::engine::ctx::{ExclusiveCtx, SessionCtx};
use crate::engine::error::CommandError;
use crate::engine::spec::{
    Arg, Argv, Arity, Category, CommandSpec, Deprecated, Flag, Outcome, Run,
};
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
    run: Run::Session(replica_of),
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

fn role(ctx: &mut ExclusiveCtx<'_>, _: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    ctx.state.log.forget_gone();
    let replicas = ctx.state.log.replicas();
    reply.array(3);
    reply.bulk(b"master");
    reply.int(ctx.state.log.position().cast_signed());
    reply.array(replicas.len());
    for replica in replicas {
        let following = &replica.following;
        reply.array(3);
        reply.bulk(replica.host().as_bytes());
        reply.bulk(following.port.load(Ordering::Relaxed).to_string().as_bytes());
        reply.bulk(following.offset.load(Ordering::Relaxed).to_string().as_bytes());
    }
    Ok(())
}

fn replica_of(_: &mut SessionCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    if args::is(argv[1], "NO") && args::is(argv[2], "ONE") {
        reply.ok();
        return Ok(());
    }
    match args::int(argv[2]) {
        Ok(0..=65535) => {
            Err(CommandError::text("ERR REPLICAOF failed: this server cannot be a replica yet"))
        }
        _ => Err(CommandError::text("ERR Invalid master port")),
    }
}
