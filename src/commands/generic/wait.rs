//! Who else has what this connection wrote? WAIT and WAITAOF answer when enough replicas do, or when the
//! time is up.

use std::sync::atomic::Ordering::Relaxed;

use crate::base::number;
use crate::engine::args;
use crate::engine::ctx::ExclusiveCtx;
use crate::engine::durable::elsewhere::Wanted;
use crate::engine::effects::Block;
use crate::engine::error::CommandError;
use crate::engine::spec::{Arg, Argv, Arity, Category, CommandSpec, Flag, Group, Outcome, Run};
use crate::resp::reply::Reply;

/// The commands of this file.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "WAIT",
        summary: "Blocks until the asynchronous replication of all preceding write commands sent by the connection is completed.",
        since: "3.0.0",
        complexity: "O(1)",
        group: Group::Generic,
        arity: Arity::Exactly(3),
        categories: &[Category::Connection],
        args: &[Arg::integer("numreplicas"), Arg::integer("timeout")],
        run: Run::Exclusive(wait),
        tips: &["request_policy:all_shards", "response_policy:agg_min"],
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "WAITAOF",
        summary: "Blocks until all of the preceding write commands sent by the connection are written to the append-only file of the master and/or replicas.",
        since: "7.2.0",
        complexity: "O(1)",
        group: Group::Generic,
        arity: Arity::Exactly(4),
        flags: &[Flag::NoScript],
        categories: &[Category::Connection],
        args: &[Arg::integer("numlocal"), Arg::integer("numreplicas"), Arg::integer("timeout")],
        run: Run::Exclusive(waitaof),
        tips: &["request_policy:all_shards", "response_policy:agg_min"],
        ..CommandSpec::BASE
    },
];

/// A timeout in milliseconds as a deadline; None waits for ever.
pub fn parse_timeout(arg: &[u8], now_ms: i64) -> Result<Option<i64>, CommandError> {
    let timeout_ms = number::parse_i64(arg).ok_or(CommandError::TimeoutNotAnInteger)?;
    match timeout_ms {
        0 => Ok(None),
        i64::MIN..=-1 => Err(CommandError::TimeoutNegative),
        _ => timeout_ms.checked_add(now_ms).map(Some).ok_or(CommandError::TimeoutOutOfRange),
    }
}

fn wait(ctx: &mut ExclusiveCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    if ctx.state.replication.is_replica() {
        return Err(CommandError::text(
            "ERR WAIT cannot be used with replica instances. Please also note that since Redis 4.0 if a replica is \
             configured to be writable (which is not the default) writes to replicas are just local and are not \
             propagated.",
        ));
    }
    let replicas = args::int(argv[1])?;
    let deadline_ms = parse_timeout(argv[2], ctx.now_ms())?;
    let replicas = usize::try_from(replicas).unwrap_or(0);
    let wanted = Wanted { replicas, offset: wrote_offset(ctx), files: None, own: false };
    wait_for(ctx, wanted, deadline_ms, reply);
    Ok(())
}

/// The offset behind what the client wrote last.
fn wrote_offset(ctx: &ExclusiveCtx<'_>) -> u64 {
    ctx.env.client.map_or(0, |client| client.wrote_offset.load(Relaxed))
}

/// Answers when others have what is wanted: at once if they have, or the caller cannot wait.
fn wait_for(
    ctx: &mut ExclusiveCtx<'_>,
    wanted: Wanted,
    deadline_ms: Option<i64>,
    reply: &mut Reply<'_>,
) {
    let durable = &ctx.env.shared.durable;
    let (answer, is_enough) = durable.elsewhere.answer(&wanted, durable.kept());
    if is_enough || ctx.unit.deny_blocking || ctx.env.client.is_none() {
        return reply.raw(&answer);
    }
    if wanted.replicas > 0 {
        ctx.state.replication.ask_for_acks();
    }
    ctx.unit.block = Some(Block::Elsewhere { wanted, deadline_ms });
}

/// There is no file to wait for, or not any more.
pub const NO_FILE: CommandError = CommandError::text(
    "ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled.",
);

fn waitaof(ctx: &mut ExclusiveCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let local = args::int(argv[1])?;
    if !(0..=1).contains(&local) {
        return Err(CommandError::NotBetween(0, 1));
    }
    let replicas = args::int(argv[2])?;
    if replicas < 0 {
        return Err(CommandError::NotPositive);
    }
    let deadline_ms = parse_timeout(argv[3], ctx.env.now_ms())?;
    if ctx.state.replication.is_replica() {
        return Err(CommandError::text(
            "ERR WAITAOF cannot be used with replica instances. Please also note that writes to replicas are just \
             local and are not propagated.",
        ));
    }
    let durable = &ctx.env.shared.durable;
    if local > 0 && !durable.is_enabled() {
        return Err(NO_FILE);
    }
    // What this client wrote is among all that was logged until now.
    ctx.state.log.hand_over(durable);
    let position = durable.appended();
    let wanted = Wanted {
        replicas: usize::try_from(replicas).unwrap_or(usize::MAX),
        offset: wrote_offset(ctx),
        files: Some(position),
        own: local > 0,
    };
    wait_for(ctx, wanted, deadline_ms, reply);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_are_relative_and_zero_is_for_ever() {
        assert_eq!(parse_timeout(b"0", 5), Ok(None));
        assert_eq!(parse_timeout(b"10", 5), Ok(Some(15)));
        assert_eq!(parse_timeout(b"-1", 5), Err(CommandError::TimeoutNegative));
        assert_eq!(parse_timeout(b"x", 5), Err(CommandError::TimeoutNotAnInteger));
        assert_eq!(parse_timeout(b"9223372036854775807", 5), Err(CommandError::TimeoutOutOfRange));
    }
}
