//! SAVE, BGSAVE, BGREWRITEAOF, LASTSAVE and SHUTDOWN: the data set goes to its files.

use std::sync::Arc;

use super::SERVER;
use crate::engine::args::{self, Cursor};
use crate::engine::ctx::{ExclusiveCtx, ReadCtx, SessionCtx};
use crate::engine::effects::{Block, Request, ShutdownSave};
use crate::engine::error::CommandError;
use crate::engine::persistence::Asked;
use crate::engine::spec::{Arg, Argv, Arity, Category, CommandSpec, Flag, Outcome, Run};
use crate::resp::reply::Reply;

/// SAVE.
pub const SAVE: CommandSpec = CommandSpec {
    name: "SAVE",
    summary: "Synchronously saves the database(s) to disk.",
    complexity: "O(N) where N is the total number of keys in all databases",
    arity: Arity::Exactly(1),
    flags: &[Flag::NoAsyncLoading, Flag::Admin, Flag::NoScript, Flag::NoMulti],
    run: Run::Exclusive(save),
    ..SERVER
};

/// BGSAVE.
pub const BGSAVE: CommandSpec = CommandSpec {
    name: "BGSAVE",
    summary: "Asynchronously saves the database(s) to disk.",
    arity: Arity::AtLeast(1),
    flags: &[Flag::NoAsyncLoading, Flag::Admin, Flag::NoScript],
    args: &[Arg::flag("schedule", "SCHEDULE").optional().since("3.2.2")],
    history: &[("3.2.2", "Added the `SCHEDULE` option.")],
    run: Run::Exclusive(bgsave),
    ..SERVER
};

/// BGREWRITEAOF.
pub const BGREWRITEAOF: CommandSpec = CommandSpec {
    name: "BGREWRITEAOF",
    summary: "Asynchronously rewrites the append-only file to disk.",
    complexity: "O(1)",
    arity: Arity::Exactly(1),
    flags: &[Flag::NoAsyncLoading, Flag::Admin, Flag::NoScript],
    run: Run::Exclusive(bgrewriteaof),
    ..SERVER
};

/// LASTSAVE.
pub const LASTSAVE: CommandSpec = CommandSpec {
    name: "LASTSAVE",
    summary: "Returns the Unix timestamp of the last successful save to disk.",
    arity: Arity::Exactly(1),
    flags: &[Flag::Loading, Flag::Stale, Flag::Fast],
    categories: &[Category::Admin, Category::Dangerous],
    tips: &["nondeterministic_output"],
    run: Run::Read(last_save),
    ..SERVER
};

/// SHUTDOWN.
pub const SHUTDOWN: CommandSpec = CommandSpec {
    name: "SHUTDOWN",
    summary: "Synchronously saves the database(s) to disk and shuts down the Redis server.",
    complexity: "O(N) when saving, where N is the total number of keys in all databases when saving data, otherwise O(1)",
    arity: Arity::AtLeast(1),
    flags: &[
        Flag::Admin,
        Flag::NoScript,
        Flag::Loading,
        Flag::Stale,
        Flag::NoMulti,
        Flag::AllowBusy,
    ],
    args: &[
        Arg::one_of("save-selector", &[Arg::flag("nosave", "NOSAVE"), Arg::flag("save", "SAVE")])
            .optional(),
        Arg::flag("now", "NOW").optional().since("7.0.0"),
        Arg::flag("force", "FORCE").optional().since("7.0.0"),
        Arg::flag("abort", "ABORT").optional().since("7.0.0"),
    ],
    history: &[("7.0.0", "Added the `NOW`, `FORCE` and `ABORT` modifiers.")],
    run: Run::Session(shutdown),
    ..SERVER
};

const IN_PROGRESS: CommandError = CommandError::text("ERR Background save already in progress");

fn save(ctx: &mut ExclusiveCtx<'_>, _: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    if ctx.state.persistence.bgsave.is_some() {
        return Err(IN_PROGRESS);
    }
    ctx.state.persistence.saves += 1;
    let host = &ctx.env.shared.host;
    host.save(ctx).map_err(|_| CommandError::text("ERR"))?;
    reply.ok();
    Ok(())
}

fn bgsave(ctx: &mut ExclusiveCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let may_wait = match argv {
        [_] => false,
        [_, word] if args::is(word, "SCHEDULE") => true,
        _ => return Err(CommandError::Syntax),
    };
    if ctx.state.persistence.bgsave.is_some() {
        return Err(IN_PROGRESS);
    }
    let is_busy = ctx.state.persistence.is_busy();
    if is_busy && !may_wait && !ctx.unit.in_exec {
        return Err(CommandError::text(
            "ERR Another child process is active (AOF?): can't BGSAVE right now. Use BGSAVE SCHEDULE in order to \
             schedule a BGSAVE whenever possible.",
        ));
    }
    if is_busy || ctx.unit.in_exec {
        ctx.state.persistence.scheduled = true;
        reply.simple("Background saving scheduled");
        return Ok(());
    }
    ctx.state.persistence.begin(ctx.env.now_us);
    let host = &ctx.env.shared.host;
    host.begin_saving(ctx);
    // At once, not at the end of the hold, which has room for one request.
    host.request(Request::BgSave);
    reply.simple("Background saving started");
    Ok(())
}

fn bgrewriteaof(ctx: &mut ExclusiveCtx<'_>, _: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let aof = &mut ctx.state.persistence.aof;
    let is_ending = aof.is_ending();
    if aof.rewrite.is_some() && !is_ending {
        return Err(CommandError::text(
            "ERR Background append only file rewriting already in progress",
        ));
    }
    if ctx.state.persistence.is_busy() || ctx.unit.in_exec {
        let aof = &mut ctx.state.persistence.aof;
        aof.scheduled = true;
        // Who asks for it does not wait for the end of a delay.
        aof.failures = 0;
        if !is_ending || !wait_for_begin(ctx) {
            reply.simple("Background append only file rewriting scheduled");
        }
        return Ok(());
    }
    ctx.env.shared.host.begin_rewrite(ctx).map_err(|_| NOT_STARTED)?;
    // Its point in time is still to come: what goes to the new file must not be in the base as well.
    if !wait_for_begin(ctx) {
        reply.raw(STARTED);
    }
    Ok(())
}

/// Has the client wait until the rewrite has begun; false if it cannot.
fn wait_for_begin(ctx: &mut ExclusiveCtx<'_>) -> bool {
    let Some(client) = ctx.env.client.filter(|_| !ctx.unit.deny_blocking) else { return false };
    let asked = Asked { client: Arc::clone(client), begun: STARTED, failed: NOT_STARTED.reply() };
    ctx.state.persistence.aof.asked_by = Some(asked);
    ctx.unit.block = Some(Block::Until { deadline_ms: None, on_timeout: STARTED.to_vec() });
    true
}

/// What whoever asked for a rewrite is answered when it has begun, or could not.
const STARTED: &[u8] = b"+Background append only file rewriting started\r\n";
/// See [`STARTED`].
const NOT_STARTED: CommandError = CommandError::text(
    "ERR Can't execute an AOF background rewriting. Please check the server logs for more information.",
);

fn last_save(ctx: &mut ReadCtx<'_>, _: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    reply.int(ctx.state.saved_at);
    Ok(())
}

fn shutdown(ctx: &mut SessionCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (mut save, mut force) = (ShutdownSave::IfConfigured, false);
    let (mut now, mut abort) = (false, false);
    for option in Cursor::new(argv, 1) {
        if args::is(option, "NOSAVE") && save != ShutdownSave::Yes {
            save = ShutdownSave::No;
        } else if args::is(option, "SAVE") && save != ShutdownSave::No {
            save = ShutdownSave::Yes;
        } else if args::is(option, "FORCE") {
            force = true;
        } else if args::is(option, "ABORT") && argv.len() == 2 {
            abort = true;
        } else if args::is(option, "NOW") {
            now = true;
        } else {
            return Err(CommandError::Syntax);
        }
    }
    if abort {
        if !ctx.env.shared.ending.drop_plan() {
            return Err(CommandError::text("ERR No shutdown in progress."));
        }
        tracing::info!("Shutdown manually aborted.");
        reply.ok();
        return Ok(());
    }
    let busy = ctx.env.shared.busy.is_on();
    if busy && save != ShutdownSave::No {
        return Err(ctx.env.shared.busy.refusal());
    }
    let client = ctx.env.client.map(|client| client.id);
    let request = Request::Shutdown { save, force, now, client };
    if busy {
        // The script keeps the state, so nothing can be put in order first. Who connects now is refused at once.
        ctx.env.shared.host.stop_listening();
        ctx.env.shared.host.request(request);
        ctx.unit.close = true;
        return Ok(());
    }
    ctx.unit.request = Some(request);
    // The connection ends with the process, or the command is answered when the process goes on.
    ctx.unit.block = Some(Block::Until { deadline_ms: None, on_timeout: Vec::new() });
    Ok(())
}
