//! How is a number in a string changed? Integers in 64 bits, floats in the 80 bits of
//! [`crate::base::extended`].

use crate::base::extended::Extended;
use crate::engine::args;
use crate::engine::ctx::WriteCtx;
use crate::engine::effects::EventClass;
use crate::engine::error::CommandError;
use crate::engine::spec::{
    Access, Arg, Argv, Arity, CommandSpec, Flag, Group, KeySpec, Outcome, Run,
};
use crate::keyspace::db::ExpireChange;
use crate::keyspace::value::{StrRef, ValueRef};
use crate::resp::reply::Reply;

/// The commands of this file.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "INCR",
        summary: "Increments the integer value of a key by one. Uses 0 as initial value if the key doesn't exist.",
        since: "1.0.0",
        complexity: "O(1)",
        group: Group::String,
        arity: Arity::Exactly(2),
        flags: &[Flag::Write, Flag::DenyOom, Flag::Fast],
        keys: &[KeySpec::at(1, Access::ReadUpdate)],
        args: &[Arg::key("key")],
        run: Run::Write(incr),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "DECR",
        summary: "Decrements the integer value of a key by one. Uses 0 as initial value if the key doesn't exist.",
        since: "1.0.0",
        complexity: "O(1)",
        group: Group::String,
        arity: Arity::Exactly(2),
        flags: &[Flag::Write, Flag::DenyOom, Flag::Fast],
        keys: &[KeySpec::at(1, Access::ReadUpdate)],
        args: &[Arg::key("key")],
        run: Run::Write(decr),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "INCRBY",
        summary: "Increments the integer value of a key by a number. Uses 0 as initial value if the key doesn't exist.",
        since: "1.0.0",
        complexity: "O(1)",
        group: Group::String,
        arity: Arity::Exactly(3),
        flags: &[Flag::Write, Flag::DenyOom, Flag::Fast],
        keys: &[KeySpec::at(1, Access::ReadUpdate)],
        args: &[Arg::key("key"), Arg::integer("increment")],
        run: Run::Write(incrby),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "DECRBY",
        summary: "Decrements a number from the integer value of a key. Uses 0 as initial value if the key doesn't exist.",
        since: "1.0.0",
        complexity: "O(1)",
        group: Group::String,
        arity: Arity::Exactly(3),
        flags: &[Flag::Write, Flag::DenyOom, Flag::Fast],
        keys: &[KeySpec::at(1, Access::ReadUpdate)],
        args: &[Arg::key("key"), Arg::integer("decrement")],
        run: Run::Write(decrby),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "INCRBYFLOAT",
        summary: "Increment the floating point value of a key by a number. Uses 0 as initial value if the key doesn't exist.",
        since: "2.6.0",
        complexity: "O(1)",
        group: Group::String,
        arity: Arity::Exactly(3),
        flags: &[Flag::Write, Flag::DenyOom, Flag::Fast],
        keys: &[KeySpec::at(1, Access::ReadUpdate)],
        args: &[Arg::key("key"), Arg::double("increment")],
        run: Run::Write(incrbyfloat),
        ..CommandSpec::BASE
    },
];

fn incr(ctx: &mut WriteCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    add(ctx, argv[1], 1, reply)
}

fn decr(ctx: &mut WriteCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    add(ctx, argv[1], -1, reply)
}

fn incrby(ctx: &mut WriteCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    add(ctx, argv[1], args::int(argv[2])?, reply)
}

fn decrby(ctx: &mut WriteCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let delta = args::int(argv[2])?.checked_neg();
    add(ctx, argv[1], delta.ok_or(CommandError::text("ERR decrement would overflow"))?, reply)
}

#[inline]
fn add(ctx: &mut WriteCtx<'_>, key: &[u8], delta: i64, reply: &mut Reply<'_>) -> Outcome {
    let found = ctx.find_value(key, |value| match value {
        ValueRef::Str(text) => text.as_i64().ok_or(CommandError::NotAnInteger),
        _ => Err(CommandError::WrongType),
    });
    let (slot, old) = match found {
        Some((slot, value)) => (Some(slot), value?),
        None => (None, 0),
    };
    let Some(sum) = old.checked_add(delta) else { return Err(CommandError::IncrementOverflow) };
    ctx.set_int(key, slot, sum, ExpireChange::Keep);
    ctx.changed(key);
    if slot.is_none() {
        ctx.created(key);
    }
    ctx.notify(EventClass::STRING, "incrby", key);
    reply.int(sum);
    Ok(())
}

fn incrbyfloat(ctx: &mut WriteCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let key = argv[1];
    let delta = Extended::parse(argv[2]);
    let (slot, old) = match ctx.string(key)? {
        Some((slot, StrRef::Int(value))) => (Some(slot), Some(Extended::from_i64(value))),
        Some((slot, StrRef::Bytes(bytes))) => (Some(slot), Extended::parse(bytes)),
        None => (None, Some(Extended::ZERO)),
    };
    let (Some(old), Some(delta)) = (old, delta) else { return Err(CommandError::NotAFloat) };
    let sum = old.checked_add(delta).filter(|sum| sum.is_finite());
    let text = sum.ok_or(CommandError::IncrementNotFinite)?.to_text();
    ctx.set_text(key, slot, &text, ExpireChange::Keep);
    ctx.changed(key);
    if slot.is_none() {
        ctx.created(key);
    }
    ctx.notify(EventClass::STRING, "incrbyfloat", key);
    reply.bulk(&text);
    // The sum, not the step: whoever replays this need not compute in the same precision.
    if ctx.log_active() {
        ctx.propagate_as(&[b"SET", key, &text, b"KEEPTTL"]);
    }
    Ok(())
}
