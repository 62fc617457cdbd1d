//! CLIENT PAUSE and UNPAUSE. What a pause means is told in `engine::pause`.

use super::client::{ADMIN, SUB};
use crate::base::number::parse_i64;
use crate::engine::args;
use crate::engine::ctx::ExclusiveCtx;
use crate::engine::error::CommandError;
use crate::engine::pause::Extent;
use crate::engine::spec::{Arg, Argv, Arity, CommandSpec, Outcome, Run};
use crate::resp::reply::Reply;

/// Holds commands back.
pub const PAUSE: CommandSpec = CommandSpec {
    name: "PAUSE",
    summary: "Suspends commands processing.",
    since: "3.0.0",
    arity: Arity::AtLeast(3),
    flags: ADMIN,
    args: &[
        Arg::integer("timeout"),
        Arg::one_of("mode", &[Arg::flag("write", "WRITE"), Arg::flag("all", "ALL")])
            .optional()
            .since("6.2.0"),
    ],
    history: &[("6.2.0", "`CLIENT PAUSE WRITE` mode added along with the `mode` option.")],
    run: Run::Exclusive(pause),
    ..SUB
};

/// Lets them go on.
pub const UNPAUSE: CommandSpec = CommandSpec {
    name: "UNPAUSE",
    summary: "Resumes processing commands from paused clients.",
    since: "6.2.0",
    complexity: "O(N) Where N is the number of paused clients",
    arity: Arity::Exactly(2),
    flags: ADMIN,
    run: Run::Exclusive(unpause),
    ..SUB
};

fn pause(ctx: &mut ExclusiveCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let extent = match argv.get(3) {
        None => Extent::All,
        Some(word) if args::is(word, "ALL") => Extent::All,
        Some(word) if args::is(word, "WRITE") => Extent::Write,
        Some(_) => {
            return Err(CommandError::text("ERR CLIENT PAUSE mode must be WRITE or ALL"));
        }
    };
    if argv.len() > 4 {
        return Err(super::super::unknown_subcommand("CLIENT", argv[1]));
    }
    let millis = parse_i64(argv[2]).ok_or(CommandError::TimeoutNotAnInteger)?;
    if millis < 0 {
        return Err(CommandError::TimeoutNegative);
    }
    let now_ms = ctx.now_ms();
    let until_ms = now_ms.checked_add(millis).ok_or(CommandError::TimeoutOutOfRange)?;
    ctx.env.shared.pause.begin(extent, until_ms, now_ms);
    reply.ok();
    Ok(())
}

fn unpause(ctx: &mut ExclusiveCtx<'_>, _: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let waiting = ctx.env.shared.pause.end();
    ctx.env.shared.go_on(&waiting);
    reply.ok();
    Ok(())
}
