//! The server itself: INFO, CONFIG, COMMAND, DEBUG, flushing and ending.

use std::sync::atomic::Ordering;

use crate::engine::args;
use crate::engine::block;
use crate::engine::client::{Mode, Touch, Watched};
use crate::engine::ctx::{ExclusiveCtx, ReadCtx, SessionCtx};
use crate::engine::effects::Propagate;
use crate::engine::error::CommandError;
use crate::engine::hooks::ServerEvent;
use crate::engine::spec::{Arg, Argv, Arity, Category, CommandSpec, Flag, Group, Outcome, Run};
use crate::keyspace::Keyspace;
use crate::object::module::ModuleValue;
use crate::resp::reply::Reply;

pub mod info;

pub mod config;

pub mod command;

pub mod debug;

pub mod digest;

pub mod memory;

pub mod slowlog;

pub mod latency;
mod lolwut;

pub mod doctor;

pub mod save;

pub mod sync;

pub mod role;

pub mod failover;

pub mod replicaof;

/// The version of Redis whose behaviour this is.
pub const REDIS_VERSION: &str = "7.4.0";

/// The version of this server.
pub const MORTISE_VERSION: &str = env!("CARGO_PKG_VERSION");

const SERVER: CommandSpec = CommandSpec { group: Group::Server, ..CommandSpec::BASE };

/// The commands of this folder.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "INFO",
        summary: "Returns information and statistics about the server.",
        arity: Arity::AtLeast(1),
        flags: &[Flag::Loading, Flag::Stale],
        categories: &[Category::Dangerous],
        args: &[Arg::string("section").optional().multiple()],
        history: &[("7.0.0", "Added support for taking multiple section arguments.")],
        tips: &["nondeterministic_output", "request_policy:all_shards", "response_policy:special"],
        run: Run::Exclusive(info::info),
        ..SERVER
    },
    config::CONFIG,
    command::COMMAND,
    debug::DEBUG,
    CommandSpec {
        name: "DBSIZE",
        summary: "Returns the number of keys in the database.",
        arity: Arity::Exactly(1),
        flags: &[Flag::ReadOnly, Flag::Fast],
        categories: &[Category::Keyspace],
        tips: &["request_policy:all_shards", "response_policy:agg_sum"],
        run: Run::Read(db_size),
        ..SERVER
    },
    CommandSpec {
        name: "FLUSHALL",
        summary: "Removes all keys from all databases.",
        complexity: "O(N) where N is the total number of keys in all databases",
        arity: Arity::AtLeast(1),
        flags: &[Flag::Write],
        categories: &[Category::Keyspace, Category::Dangerous],
        args: FLUSH_ARGS,
        history: FLUSH_HISTORY,
        tips: &["request_policy:all_shards", "response_policy:all_succeeded"],
        run: Run::Exclusive(flush_all),
        ..SERVER
    },
    CommandSpec {
        name: "FLUSHDB",
        summary: "Remove all keys from the current database.",
        complexity: "O(N) where N is the number of keys in the selected database",
        arity: Arity::AtLeast(1),
        flags: &[Flag::Write],
        categories: &[Category::Keyspace, Category::Dangerous],
        args: FLUSH_ARGS,
        history: FLUSH_HISTORY,
        tips: &["request_policy:all_shards", "response_policy:all_succeeded"],
        run: Run::Exclusive(flush_db),
        ..SERVER
    },
    CommandSpec {
        name: "SWAPDB",
        summary: "Swaps two Redis databases.",
        since: "4.0.0",
        complexity: "O(N) where N is the count of clients watching or blocking on keys from both databases.",
        arity: Arity::Exactly(3),
        flags: &[Flag::Write, Flag::Fast],
        categories: &[Category::Keyspace, Category::Dangerous],
        args: &[Arg::integer("index1"), Arg::integer("index2")],
        run: Run::Exclusive(swap_db),
        ..SERVER
    },
    CommandSpec {
        name: "TIME",
        summary: "Returns the server time.",
        since: "2.6.0",
        arity: Arity::Exactly(1),
        flags: &[Flag::Loading, Flag::Stale, Flag::Fast],
        tips: &["nondeterministic_output"],
        run: Run::Session(time),
        ..SERVER
    },
    save::SAVE,
    save::BGSAVE,
    save::BGREWRITEAOF,
    save::LASTSAVE,
    save::SHUTDOWN,
    sync::SYNC,
    sync::PSYNC,
    sync::REPLCONF,
    role::ROLE,
    failover::FAILOVER,
    replicaof::REPLICAOF,
    replicaof::SLAVEOF,
    CommandSpec {
        name: "MONITOR",
        summary: "Listens for all requests received by the server in real-time.",
        complexity: "",
        arity: Arity::Exactly(1),
        flags: &[Flag::Admin, Flag::NoScript, Flag::Loading, Flag::Stale],
        run: Run::Read(monitor),
        ..SERVER
    },
    memory::MEMORY,
    slowlog::SLOWLOG,
    latency::LATENCY,
    lolwut::LOLWUT,
];

const FLUSH_ARGS: &[Arg] = &[Arg::one_of(
    "flush-type",
    &[Arg::flag("async", "ASYNC").since("4.0.0"), Arg::flag("sync", "SYNC").since("6.2.0")],
)
.optional()];
const FLUSH_HISTORY: &[(&str, &str)] = &[
    ("4.0.0", "Added the `ASYNC` flushing mode modifier."),
    ("6.2.0", "Added the `SYNC` flushing mode modifier."),
];

fn db_size(ctx: &mut ReadCtx<'_>, _: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    reply.len(ctx.db().len());
    Ok(())
}

fn time(ctx: &mut SessionCtx<'_>, _: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    reply.array(2);
    reply.bulk_int(ctx.env.now_us / 1_000_000);
    reply.bulk_int(ctx.env.now_us % 1_000_000);
    Ok(())
}

fn check_flush_options(argv: Argv<'_>) -> Outcome {
    match argv {
        [_] => Ok(()),
        [_, how] if args::is(how, "ASYNC") || args::is(how, "SYNC") => Ok(()),
        _ => Err(CommandError::Syntax),
    }
}

/// Empties a db, or all, telling watchers and modules; answers how many keys there were.
pub fn flush(ctx: &mut ExclusiveCtx<'_>, db: Option<u32>) {
    if let Some(hooks) = ctx.state.hooks.clone() {
        hooks.server_event(&mut ctx.reborrow(), ServerEvent::Flush { db, done: false });
    }
    let keyspace = &ctx.state.keyspace;
    ctx.env.shared.watch.lock().touch_all(|watched, stale| {
        let concerned = db.is_none_or(|db| db == watched.db)
            && keyspace.db(watched.db as usize).find(&watched.key).is_some();
        match (concerned, stale) {
            (false, _) => Touch::Leave,
            (true, true) => Touch::Stale(false),
            (true, false) => Touch::Dirty,
        }
    });
    let dbs = match db {
        Some(db) => db..db + 1,
        None => 0..ctx.state.keyspace.db_count() as u32,
    };
    let mut keys = 0;
    for index in dbs {
        let table = ctx.state.keyspace.db_mut(index as usize);
        let own_keys = table.len() as u64;
        keys += own_keys;
        // Values of modules may be freed under the exclusive lock only.
        let detached = table.clear();
        block::signal_db(ctx.env.shared, ctx.unit, index);
        if ModuleValue::live() == 0 {
            ctx.env.shared.host.free_later(Box::new(detached), own_keys);
        }
    }
    if db.is_none() {
        ctx.state.replication.own_keys.clear();
    }
    ctx.env.shared.tracking.invalidate_all(ctx.env.shared);
    // A flush of nothing is propagated all the same, as in Redis.
    ctx.unit.call.dirty += keys.max(1);
    if let Some(hooks) = ctx.state.hooks.clone() {
        hooks.server_event(&mut ctx.reborrow(), ServerEvent::Flush { db, done: true });
    }
}

fn flush_all(ctx: &mut ExclusiveCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    check_flush_options(argv)?;
    flush(ctx, None);
    reset_file(ctx);
    reply.ok();
    Ok(())
}

/// What was deleted must not come back with a restart: a snapshot of it is given up, and where snapshots
/// are taken the file is replaced at once.
fn reset_file(ctx: &mut ExclusiveCtx<'_>) {
    if let Some(bgsave) = &ctx.state.persistence.bgsave {
        bgsave.progress.cancelled.store(true, Ordering::Relaxed);
    }
    if !ctx.state.config.save_points().is_empty() {
        let host = &ctx.env.shared.host;
        // What went wrong is in the log. Nothing is left to save then, but the flush is propagated.
        if host.save(ctx).is_ok() {
            ctx.unit.call.dirty = 0;
            ctx.unit.call.propagate = Propagate::Always;
        }
    }
}

fn flush_db(ctx: &mut ExclusiveCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    check_flush_options(argv)?;
    flush(ctx, Some(ctx.session.db));
    reply.ok();
    Ok(())
}

fn swap_db(ctx: &mut ExclusiveCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let dbs = i64::from(ctx.env.shared.databases);
    let index = |arg: &[u8], error: &'static str| {
        args::int32(arg).map(i64::from).map_err(|_| CommandError::text(error))
    };
    let first = index(argv[1], "ERR invalid first DB index")?;
    let second = index(argv[2], "ERR invalid second DB index")?;
    if !(0..dbs).contains(&first) || !(0..dbs).contains(&second) {
        return Err(CommandError::DbOutOfRange);
    }
    let (first, second) = (first as u32, second as u32);
    if first != second {
        swap(ctx, first, second);
    }
    ctx.unit.call.dirty += 1;
    if let Some(hooks) = ctx.state.hooks.clone() {
        hooks.server_event(&mut ctx.reborrow(), ServerEvent::SwapDb(first, second));
    }
    reply.ok();
    Ok(())
}

/// Swaps two dbs, and tells those who wait for keys or watch some.
fn swap(ctx: &mut ExclusiveCtx<'_>, first: u32, second: u32) {
    let keyspace = &mut ctx.state.keyspace;
    let now_ms = ctx.env.now_ms();
    ctx.env.shared.watch.lock().touch_all(|watched, stale| {
        let other = match watched.db {
            db if db == first => second,
            db if db == second => first,
            _ => return Touch::Leave,
        };
        swapped(keyspace, watched, other, stale, now_ms)
    });
    keyspace.swap(first as usize, second as usize);
    block::signal_db(ctx.env.shared, ctx.unit, first);
    block::signal_db(ctx.env.shared, ctx.unit, second);
}

/// What it means for a watcher that its key's db is swapped with `other`: nothing as long as the key
/// is absent or past its time before and after.
fn swapped(keyspace: &Keyspace, watched: &Watched, other: u32, stale: bool, now_ms: i64) -> Touch {
    let after = keyspace.db(other as usize);
    let found = after.find(&watched.key);
    let dead_after = found.is_some_and(|slot| after.is_expired(slot, now_ms));
    let before = keyspace.db(watched.db as usize).find(&watched.key).is_some();
    match (stale, before, found.is_some()) {
        (_, false, false) => Touch::Leave,
        (true, _, false) => Touch::Stale(false),
        (true, _, true) if dead_after => Touch::Leave,
        (false, false, true) if dead_after => Touch::Stale(true),
        _ => Touch::Dirty,
    }
}

fn monitor(ctx: &mut ReadCtx<'_>, _: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let client = ctx.env.client.filter(|_| !ctx.unit.deny_blocking);
    let client = client.ok_or(CommandError::DenyMonitor)?;
    // Who monitors already gets no second answer, as in Redis.
    if !ctx.session.mode.contains(Mode::MONITOR) {
        ctx.session.mode.insert(Mode::MONITOR);
        ctx.env.shared.monitors.add(client);
        reply.ok();
    }
    Ok(())
}
