//! SLOWLOG: the commands that took long.

use crate::base::number::parse_i64;
use crate::engine::ctx::SessionCtx;
use crate::engine::error::CommandError;
use crate::engine::spec::{Arg, Argv, Arity, CommandSpec, Flag, Group, Outcome, Run};
use crate::resp::reply::Reply;

/// Entries that SLOWLOG GET shows without a count.
const SHOWN: usize = 10;

const SUB: CommandSpec = CommandSpec {
    since: "2.2.12",
    group: Group::Server,
    flags: &[Flag::Admin, Flag::Loading, Flag::Stale],
    ..CommandSpec::BASE
};

/// The container and its subcommands.
pub const SLOWLOG: CommandSpec = CommandSpec {
    name: "SLOWLOG",
    summary: "A container for slow log commands.",
    complexity: "Depends on subcommand.",
    arity: Arity::AtLeast(2),
    flags: &[],
    subcommands: &[
        CommandSpec {
            name: "GET",
            summary: "Returns the slow log's entries.",
            complexity: "O(N) where N is the number of entries returned",
            arity: Arity::AtLeast(2),
            args: &[Arg::integer("count").optional()],
            history: &[("4.0.0", "Added client IP address, port and name to the reply.")],
            tips: &["request_policy:all_nodes", "nondeterministic_output"],
            run: Run::Session(get),
            ..SUB
        },
        CommandSpec {
            name: "LEN",
            summary: "Returns the number of entries in the slow log.",
            arity: Arity::Exactly(2),
            tips: &[
                "request_policy:all_nodes",
                "response_policy:agg_sum",
                "nondeterministic_output",
            ],
            run: Run::Session(|ctx, _, reply| {
                reply.len(ctx.env.shared.slow.log.lock().iter().len());
                Ok(())
            }),
            ..SUB
        },
        CommandSpec {
            name: "RESET",
            summary: "Clears all entries from the slow log.",
            complexity: "O(N) where N is the number of entries in the slowlog",
            arity: Arity::Exactly(2),
            tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
            run: Run::Session(|ctx, _, reply| {
                ctx.env.shared.slow.log.lock().clear();
                reply.ok();
                Ok(())
            }),
            ..SUB
        },
        CommandSpec {
            name: "HELP",
            summary: "Returns helpful text about the different subcommands.",
            since: "6.2.0",
            arity: Arity::Exactly(2),
            flags: &[Flag::Loading, Flag::Stale],
            run: Run::Session(|_, _, reply| {
                super::super::reply_help(
                    reply,
                    "SLOWLOG",
                    &[
                        (
                            "GET [<count>]",
                            "Return the newest entries, 10 of them or <count>, or all for -1.",
                        ),
                        ("LEN", "Return the number of entries."),
                        ("RESET", "Forget all entries."),
                    ],
                );
                Ok(())
            }),
            ..SUB
        },
    ],
    ..SUB
};

fn get(ctx: &mut SessionCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let count = match argv {
        [_, _] => SHOWN,
        [_, _, count] => parse_count(count)?,
        _ => return Err(CommandError::Arity("slowlog|get".into())),
    };
    let log = ctx.env.shared.slow.log.lock();
    let count = count.min(log.iter().len());
    reply.array(count);
    for entry in log.iter().take(count) {
        reply.array(6);
        reply.int(entry.id as i64);
        reply.int(entry.at);
        reply.int(entry.micros as i64);
        reply.array(entry.argv.len());
        entry.argv.iter().for_each(|arg| reply.bulk(arg));
        reply.bulk(entry.addr.as_bytes());
        reply.bulk(&entry.name);
    }
    Ok(())
}

/// How many entries are wanted; -1 is all.
fn parse_count(arg: &[u8]) -> Result<usize, CommandError> {
    match parse_i64(arg) {
        Some(-1) => Ok(usize::MAX),
        count => count
            .and_then(|count| usize::try_from(count).ok())
            .ok_or(CommandError::text("ERR count should be greater than or equal to -1")),
    }
}
