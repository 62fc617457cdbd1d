//! What does the server know of a value besides the value? OBJECT tells.

use crate::commands::reply_help;
use crate::config::Config;
use crate::config::params::Param;
use crate::engine::access::{Lfu, idle_seconds};
use crate::engine::ctx::{ReadCtx, SessionCtx};
use crate::engine::error::CommandError;
use crate::engine::evict;
use crate::engine::spec::{
    Access, Arg, Argv, Arity, Category, CommandSpec, Flag, Group, KeySpec, Outcome, Run,
};
use crate::keyspace::value::{StrRef, ValueRef};
use crate::resp::reply::Reply;

/// The commands of this file.
pub const COMMANDS: &[CommandSpec] = &[CommandSpec {
    name: "OBJECT",
    summary: "A container for object introspection commands.",
    since: "2.2.3",
    complexity: "Depends on subcommand.",
    group: Group::Generic,
    arity: Arity::AtLeast(2),
    subcommands: &[
        CommandSpec {
            name: "ENCODING",
            summary: "Returns the internal encoding of a Redis object.",
            since: "2.2.3",
            complexity: "O(1)",
            group: Group::Generic,
            arity: Arity::Exactly(3),
            flags: &[Flag::ReadOnly],
            categories: &[Category::Keyspace],
            keys: &[KeySpec::at(2, Access::Peek)],
            args: &[Arg::key("key")],
            run: Run::Read(encoding),
            tips: &["nondeterministic_output"],
            ..CommandSpec::BASE
        },
        CommandSpec {
            name: "FREQ",
            summary: "Returns the logarithmic access frequency counter of a Redis object.",
            since: "4.0.0",
            complexity: "O(1)",
            group: Group::Generic,
            arity: Arity::Exactly(3),
            flags: &[Flag::ReadOnly],
            categories: &[Category::Keyspace],
            keys: &[KeySpec::at(2, Access::Peek)],
            args: &[Arg::key("key")],
            run: Run::Read(freq),
            tips: &["nondeterministic_output"],
            ..CommandSpec::BASE
        },
        CommandSpec {
            name: "HELP",
            summary: "Returns helpful text about the different subcommands.",
            since: "6.2.0",
            complexity: "O(1)",
            group: Group::Generic,
            arity: Arity::Exactly(2),
            flags: &[Flag::Loading, Flag::Stale],
            categories: &[Category::Keyspace],
            run: Run::Session(help),
            ..CommandSpec::BASE
        },
        CommandSpec {
            name: "IDLETIME",
            summary: "Returns the time since the last access to a Redis object.",
            since: "2.2.3",
            complexity: "O(1)",
            group: Group::Generic,
            arity: Arity::Exactly(3),
            flags: &[Flag::ReadOnly],
            categories: &[Category::Keyspace],
            keys: &[KeySpec::at(2, Access::Peek)],
            args: &[Arg::key("key")],
            run: Run::Read(idletime),
            tips: &["nondeterministic_output"],
            ..CommandSpec::BASE
        },
        CommandSpec {
            name: "REFCOUNT",
            summary: "Returns the reference count of a value of a key.",
            since: "2.2.3",
            complexity: "O(1)",
            group: Group::Generic,
            arity: Arity::Exactly(3),
            flags: &[Flag::ReadOnly],
            categories: &[Category::Keyspace],
            keys: &[KeySpec::at(2, Access::Peek)],
            args: &[Arg::key("key")],
            run: Run::Read(refcount),
            tips: &["nondeterministic_output"],
            ..CommandSpec::BASE
        },
    ],
    ..CommandSpec::BASE
}];

/// Integers below this count as shared: Redis keeps one object for all of their keys.
const SHARED_INTEGERS: i64 = 10_000;
/// The number of references of a shared object.
const SHARED_REFERENCES: i64 = i32::MAX as i64;

const NO_IDLE_TIME: CommandError = CommandError::text(
    "ERR An LFU maxmemory policy is selected, idle time not tracked. Please note that when \
     switching between policies at runtime LRU and LFU data will take some time to adjust.",
);
const NO_FREQUENCY: CommandError = CommandError::text(
    "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that \
     when switching between policies at runtime LRU and LFU data will take some time to adjust.",
);

fn encoding(ctx: &mut ReadCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let Some(slot) = ctx.peek_counted(argv[2]) else {
        reply.null();
        return Ok(());
    };
    let name = ctx.db().encoding(slot);
    reply.bulk(name.as_bytes());
    Ok(())
}

fn refcount(ctx: &mut ReadCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    match ctx.peek_counted(argv[2]).map(|slot| ctx.db().value(slot)) {
        None => reply.null(),
        Some(value) => reply.int(references(&value, &ctx.state.config)),
    }
    Ok(())
}

/// What counts as the number of references to a value. Redis shares no integers while it needs to know of each key when,
/// or how often, it was accessed.
pub(crate) fn references(value: &ValueRef<'_>, config: &Config) -> i64 {
    let needs_access = config.uint(Param::Maxmemory) != 0 && evict::needs_access(config);
    match value {
        ValueRef::Str(StrRef::Int(0..SHARED_INTEGERS)) if !needs_access => SHARED_REFERENCES,
        _ => 1,
    }
}

fn idletime(ctx: &mut ReadCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let Some(slot) = ctx.peek_counted(argv[2]) else {
        reply.null();
        return Ok(());
    };
    if Lfu::of(&ctx.state.config).is_some() {
        return Err(NO_IDLE_TIME);
    }
    reply.int(i64::from(idle_seconds(ctx.db().clock(slot), ctx.env.now_us)));
    Ok(())
}

fn freq(ctx: &mut ReadCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let Some(slot) = ctx.peek_counted(argv[2]) else {
        reply.null();
        return Ok(());
    };
    let lfu = Lfu::of(&ctx.state.config).ok_or(NO_FREQUENCY)?;
    reply.int(i64::from(lfu.count(ctx.db().clock(slot), ctx.env.now_us)));
    Ok(())
}

fn help(_ctx: &mut SessionCtx<'_>, _argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    reply_help(
        reply,
        "OBJECT",
        &[
            ("ENCODING <key>", "How the value of the key is represented in memory."),
            ("FREQ <key>", "How often the key was accessed lately, on a logarithmic scale."),
            ("IDLETIME <key>", "Seconds since the key was last accessed."),
            ("REFCOUNT <key>", "How many references to the value of the key there are."),
        ],
    );
    Ok(())
}
