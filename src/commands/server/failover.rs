//! FAILOVER: one of the replicas is to lead.

use super::SERVER;
use crate::engine::args::{self, Cursor};
use crate::engine::ctx::ExclusiveCtx;
use crate::engine::error::CommandError;
use crate::engine::replication::Phase;
use crate::engine::replication::failover::{self, Failover, Step};
use crate::engine::spec::{Arg, Argv, Arity, CommandSpec, Flag, Outcome, Run};
use crate::resp::reply::Reply;

/// FAILOVER.
pub const FAILOVER: CommandSpec = CommandSpec {
    name: "FAILOVER",
    summary: "Starts a coordinated failover from a server to one of its replicas.",
    since: "6.2.0",
    complexity: "O(1)",
    arity: Arity::AtLeast(1),
    flags: &[Flag::Admin, Flag::NoScript, Flag::Stale],
    args: &[
        Arg::block(
            "target",
            &[Arg::string("host"), Arg::integer("port"), Arg::flag("force", "FORCE").optional()],
        )
        .token("TO")
        .optional(),
        Arg::flag("abort", "ABORT").optional(),
        Arg::integer("milliseconds").token("TIMEOUT").optional(),
    ],
    run: Run::Exclusive(run),
    ..SERVER
};

/// What was asked for.
#[derive(Debug, Default)]
struct Options {
    timeout_ms: Option<i64>,
    target: Option<(String, i64)>,
    force: bool,
}

fn parse(argv: Argv<'_>) -> Result<Options, CommandError> {
    let mut options = Options::default();
    let mut rest = Cursor::new(argv, 1);
    let mut at = 1;
    while let Some(word) = rest.next() {
        let left = argv.len() - at - 1;
        if args::is(word, "timeout") && left >= 1 && options.timeout_ms.is_none() {
            let timeout_ms = args::int(rest.value()?)?;
            if timeout_ms <= 0 {
                return Err(CommandError::text("ERR FAILOVER timeout must be greater than 0"));
            }
            options.timeout_ms = Some(timeout_ms);
            at += 2;
        } else if args::is(word, "to") && left >= 2 && options.target.is_none() {
            let host = args::lossy(rest.value()?);
            options.target = Some((host, args::int(rest.value()?)?));
            at += 3;
        } else if args::is(word, "force") && !options.force {
            options.force = true;
            at += 1;
        } else {
            return Err(CommandError::Syntax);
        }
    }
    Ok(options)
}

fn run(ctx: &mut ExclusiveCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let is_under_way = ctx.state.replication.failover.is_some();
    if argv.len() == 2 && args::is(argv[1], "abort") {
        if !is_under_way {
            return Err(CommandError::text("ERR No failover in progress."));
        }
        failover::abort(ctx, "Failover manually aborted");
        reply.ok();
        return Ok(());
    }
    let Options { timeout_ms, target, force } = parse(argv)?;
    ctx.state.replication.forget_gone();
    let replication = &ctx.state.replication;
    let refused = |text: &'static str| Err(CommandError::text(text));
    if is_under_way {
        return refused("ERR FAILOVER already in progress.");
    }
    if replication.is_replica() {
        return refused("ERR FAILOVER is not valid when server is a replica.");
    }
    if replication.replicas().is_empty() {
        return refused("ERR FAILOVER requires connected replicas.");
    }
    if force && (timeout_ms.is_none() || target.is_none()) {
        return refused(
            "ERR FAILOVER with force option requires both a timeout and target HOST and IP.",
        );
    }
    let target = match target {
        None => None,
        Some((host, port)) => {
            let port = u16::try_from(port).unwrap_or(0);
            match replication.replica_at(&host, port).map(|replica| replica.phase) {
                None => return refused("ERR FAILOVER target HOST and PORT is not a replica."),
                Some(Phase::Online) => Some((host, port)),
                Some(_) => return refused("ERR FAILOVER target replica is not online."),
            }
        }
    };
    let deadline_ms = timeout_ms.map(|timeout_ms| ctx.now_ms().saturating_add(timeout_ms));
    let step = Step::WaitsForSync;
    failover::begin(ctx, Failover { target, deadline_ms, forced: force, step });
    reply.ok();
    Ok(())
}
