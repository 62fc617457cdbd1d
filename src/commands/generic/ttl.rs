//! How long does a key live? TTL and its relatives tell, PERSIST lets it live for ever.

use crate::engine::ctx::{ReadCtx, WriteCtx};
use crate::engine::effects::EventClass;
use crate::engine::spec::{
    Access, Arg, Argv, Arity, Category, CommandSpec, Flag, Group, KeySpec, Outcome, Run,
};
use crate::resp::reply::Reply;

/// The commands of this file.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "TTL",
        summary: "Returns the expiration time in seconds of a key.",
        since: "1.0.0",
        complexity: "O(1)",
        group: Group::Generic,
        arity: Arity::Exactly(2),
        flags: &[Flag::ReadOnly, Flag::Fast],
        categories: &[Category::Keyspace],
        keys: &[KeySpec::at(1, Access::Read)],
        args: &[Arg::key("key")],
        run: Run::Read(ttl),
        history: &[("2.8.0", "Added the -2 reply.")],
        tips: &["nondeterministic_output"],
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "PTTL",
        summary: "Returns the expiration time in milliseconds of a key.",
        since: "2.6.0",
        complexity: "O(1)",
        group: Group::Generic,
        arity: Arity::Exactly(2),
        flags: &[Flag::ReadOnly, Flag::Fast],
        categories: &[Category::Keyspace],
        keys: &[KeySpec::at(1, Access::Read)],
        args: &[Arg::key("key")],
        run: Run::Read(pttl),
        history: &[("2.8.0", "Added the -2 reply.")],
        tips: &["nondeterministic_output"],
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "EXPIRETIME",
        summary: "Returns the expiration time of a key as a Unix timestamp.",
        since: "7.0.0",
        complexity: "O(1)",
        group: Group::Generic,
        arity: Arity::Exactly(2),
        flags: &[Flag::ReadOnly, Flag::Fast],
        categories: &[Category::Keyspace],
        keys: &[KeySpec::at(1, Access::Read)],
        args: &[Arg::key("key")],
        run: Run::Read(expiretime),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "PEXPIRETIME",
        summary: "Returns the expiration time of a key as a Unix milliseconds timestamp.",
        since: "7.0.0",
        complexity: "O(1)",
        group: Group::Generic,
        arity: Arity::Exactly(2),
        flags: &[Flag::ReadOnly, Flag::Fast],
        categories: &[Category::Keyspace],
        keys: &[KeySpec::at(1, Access::Read)],
        args: &[Arg::key("key")],
        run: Run::Read(pexpiretime),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "PERSIST",
        summary: "Removes the expiration time of a key.",
        since: "2.2.0",
        complexity: "O(1)",
        group: Group::Generic,
        arity: Arity::Exactly(2),
        flags: &[Flag::Write, Flag::Fast],
        categories: &[Category::Keyspace],
        keys: &[KeySpec::at(1, Access::Update)],
        args: &[Arg::key("key")],
        run: Run::Write(persist),
        ..CommandSpec::BASE
    },
];

/// The key is missing.
const MISSING: i64 = -2;
/// The key lives for ever.
const FOR_EVER: i64 = -1;

fn ttl(ctx: &mut ReadCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    tell(ctx, argv, reply, |at, now_ms| seconds(at - now_ms))
}

fn pttl(ctx: &mut ReadCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    tell(ctx, argv, reply, |at, now_ms| at - now_ms)
}

fn expiretime(ctx: &mut ReadCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    tell(ctx, argv, reply, |at, _| seconds(at))
}

fn pexpiretime(ctx: &mut ReadCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    tell(ctx, argv, reply, |at, _| at)
}

/// To the nearest second.
fn seconds(ms: i64) -> i64 {
    ms / 1000 + i64::from(ms % 1000 >= 500)
}

fn tell(
    ctx: &mut ReadCtx<'_>,
    argv: Argv<'_>,
    reply: &mut Reply<'_>,
    measure: impl Fn(i64, i64) -> i64,
) -> Outcome {
    let expiry = ctx.peek_counted(argv[1]).map(|slot| ctx.db().expire_at(slot));
    reply.int(match expiry {
        None => MISSING,
        Some(None) => FOR_EVER,
        Some(Some(at)) => measure(at, ctx.now_ms()),
    });
    Ok(())
}

fn persist(ctx: &mut WriteCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let key = argv[1];
    let slot = ctx.find(key).filter(|slot| ctx.db().expire_at(*slot).is_some());
    if let Some(slot) = slot {
        ctx.db_mut().set_expire(slot, None);
        ctx.changed(key);
        ctx.notify(EventClass::GENERIC, "persist", key);
    }
    reply.int(i64::from(slot.is_some()));
    Ok(())
}
