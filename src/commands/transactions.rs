//! Transactions: MULTI, EXEC, DISCARD, WATCH, UNWATCH. The work is done in `engine::transaction`.

use crate::engine::client::Mode;
use crate::engine::ctx::{ExclusiveCtx, ReadCtx, SessionCtx};
use crate::engine::error::CommandError;
use crate::engine::spec::{
    Access, Arg, Argv, Arity, CommandSpec, Flag, Group, KeySpec, Outcome, Run,
};
use crate::engine::transaction;
use crate::resp::reply::Reply;

/// The commands of this file.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "MULTI",
        summary: "Starts a transaction.",
        since: "1.2.0",
        complexity: "O(1)",
        group: Group::Transactions,
        arity: Arity::Exactly(1),
        flags: &[
            Flag::NoScript,
            Flag::Loading,
            Flag::Stale,
            Flag::Fast,
            Flag::AllowBusy,
            Flag::NotQueued,
        ],
        run: Run::Session(multi),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "EXEC",
        summary: "Executes all commands in a transaction.",
        since: "1.2.0",
        complexity: "Depends on commands in the transaction",
        group: Group::Transactions,
        arity: Arity::Exactly(1),
        flags: &[
            Flag::NoScript,
            Flag::Loading,
            Flag::Stale,
            Flag::SkipSlowlog,
            Flag::NotQueued,
            Flag::RunsQueue,
        ],
        run: Run::Exclusive(exec),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "DISCARD",
        summary: "Discards a transaction.",
        since: "2.0.0",
        complexity: "O(N), when N is the number of queued commands",
        group: Group::Transactions,
        arity: Arity::Exactly(1),
        flags: &[
            Flag::NoScript,
            Flag::Loading,
            Flag::Stale,
            Flag::Fast,
            Flag::AllowBusy,
            Flag::NotQueued,
            Flag::EndsMulti,
        ],
        run: Run::Session(discard),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "WATCH",
        summary: "Monitors changes to keys to determine the execution of a transaction.",
        since: "2.2.0",
        complexity: "O(1) for every key.",
        group: Group::Transactions,
        arity: Arity::AtLeast(2),
        flags: &[
            Flag::NoScript,
            Flag::Loading,
            Flag::Stale,
            Flag::Fast,
            Flag::AllowBusy,
            Flag::NotQueued,
        ],
        keys: &[KeySpec::range(1, -1, 1, Access::Peek)],
        args: &[Arg::key("key").multiple()],
        run: Run::Read(watch),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "UNWATCH",
        summary: "Forgets about watched keys of a transaction.",
        since: "2.2.0",
        complexity: "O(1)",
        group: Group::Transactions,
        arity: Arity::Exactly(1),
        flags: &[Flag::NoScript, Flag::Loading, Flag::Stale, Flag::Fast, Flag::AllowBusy],
        run: Run::Session(unwatch),
        ..CommandSpec::BASE
    },
];

fn multi(ctx: &mut SessionCtx<'_>, _: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    if ctx.session.mode.contains(Mode::MULTI) {
        return Err(CommandError::NestedMulti);
    }
    ctx.session.mode.insert(Mode::MULTI);
    reply.ok();
    Ok(())
}

fn exec(ctx: &mut ExclusiveCtx<'_>, _: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    if !ctx.session.mode.contains(Mode::MULTI) {
        return Err(CommandError::ExecWithoutMulti);
    }
    transaction::exec(ctx, reply)
}

fn discard(ctx: &mut SessionCtx<'_>, _: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    if !ctx.session.mode.contains(Mode::MULTI) {
        return Err(CommandError::DiscardWithoutMulti);
    }
    transaction::discard(ctx.session, ctx.env);
    reply.ok();
    Ok(())
}

fn watch(ctx: &mut ReadCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    if ctx.session.mode.contains(Mode::MULTI) {
        return Err(CommandError::WatchInsideMulti);
    }
    transaction::watch(ctx, &argv[1..])?;
    reply.ok();
    Ok(())
}

fn unwatch(ctx: &mut SessionCtx<'_>, _: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    transaction::unwatch_all(ctx.session, ctx.env);
    reply.ok();
    Ok(())
}
