//! How do fields come and go? HSET and its relatives, HDEL.

use super::{announce, announce_deletion, find, hash_mut, hash_time, limits, open};
use crate::engine::ctx::WriteCtx;
use crate::engine::error::CommandError;
use crate::engine::spec::{
    Access, Arg, Argv, Arity, CommandSpec, Deprecated, Flag, Group, KeySpec, Outcome, Run,
};
use crate::keyspace::value::ValueRef;
use crate::resp::reply::Reply;

/// The commands of this file.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "HSET",
        summary: "Creates or modifies the value of a field in a hash.",
        since: "2.0.0",
        complexity: "O(1) for each field/value pair added, so O(N) to add N field/value pairs when the command is called with multiple field/value pairs.",
        group: Group::Hash,
        arity: Arity::AtLeast(4),
        flags: &[Flag::Write, Flag::DenyOom, Flag::Fast],
        keys: &[KeySpec::at(1, Access::Update)],
        args: &[
            Arg::key("key"),
            Arg::block("data", &[Arg::string("field"), Arg::string("value")]).multiple(),
        ],
        run: Run::Write(hset),
        history: &[("4.0.0", "Accepts multiple `field` and `value` arguments.")],
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "HMSET",
        summary: "Sets the values of multiple fields.",
        since: "2.0.0",
        complexity: "O(N) where N is the number of fields being set.",
        group: Group::Hash,
        arity: Arity::AtLeast(4),
        flags: &[Flag::Write, Flag::DenyOom, Flag::Fast],
        keys: &[KeySpec::at(1, Access::Update)],
        args: &[
            Arg::key("key"),
            Arg::block("data", &[Arg::string("field"), Arg::string("value")]).multiple(),
        ],
        run: Run::Write(hmset),
        deprecated: Some(Deprecated {
            since: "4.0.0",
            replaced_by: "`HSET` with multiple field-value pairs",
        }),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "HSETNX",
        summary: "Sets the value of a field in a hash only when the field doesn't exist.",
        since: "2.0.0",
        complexity: "O(1)",
        group: Group::Hash,
        arity: Arity::Exactly(4),
        flags: &[Flag::Write, Flag::DenyOom, Flag::Fast],
        keys: &[KeySpec::at(1, Access::Insert)],
        args: &[Arg::key("key"), Arg::string("field"), Arg::string("value")],
        run: Run::Write(hsetnx),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "HDEL",
        summary: "Deletes one or more fields and their values from a hash. Deletes the hash if no fields remain.",
        since: "2.0.0",
        complexity: "O(N) where N is the number of fields to be removed.",
        group: Group::Hash,
        arity: Arity::AtLeast(3),
        flags: &[Flag::Write, Flag::Fast],
        keys: &[KeySpec::at(1, Access::Delete)],
        args: &[Arg::key("key"), Arg::string("field").multiple()],
        run: Run::Write(hdel),
        history: &[("2.4.0", "Accepts multiple `field` arguments.")],
        ..CommandSpec::BASE
    },
];

fn hset(ctx: &mut WriteCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let added = put(ctx, argv, "hset")?;
    reply.len(added);
    Ok(())
}

fn hmset(ctx: &mut WriteCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    put(ctx, argv, "hmset")?;
    reply.ok();
    Ok(())
}

/// Sets fields; says how many are new.
#[inline]
fn put(ctx: &mut WriteCtx<'_>, argv: Argv<'_>, command: &str) -> Result<usize, CommandError> {
    let key = argv[1];
    let (pairs, []) = argv[2..].as_chunks::<2>() else {
        return Err(CommandError::Arity(command.to_owned()));
    };
    let (now, limits) = (hash_time(ctx.expiry_ms()), limits(ctx));
    let opened = open(ctx, key)?;
    let added = hash_mut(ctx, opened.slot).set_all(pairs, now, limits);
    ctx.count_changes(pairs.len() as u64 - 1);
    announce(ctx, key, &opened, "hset");
    Ok(added)
}

fn hsetnx(ctx: &mut WriteCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (key, field, value) = (argv[1], argv[2], argv[3]);
    let (now, limits) = (hash_time(ctx.expiry_ms()), limits(ctx));
    if let Some(slot) = find(ctx, key)?
        && matches!(ctx.db().value(slot), ValueRef::Hash(hash) if hash.contains(field, now))
    {
        reply.int(0);
        return Ok(());
    }
    let opened = open(ctx, key)?;
    hash_mut(ctx, opened.slot).set(field, value, now, limits);
    announce(ctx, key, &opened, "hset");
    reply.int(1);
    Ok(())
}

fn hdel(ctx: &mut WriteCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (key, now) = (argv[1], hash_time(ctx.expiry_ms()));
    let mut deleted = 0;
    if let Some(slot) = find(ctx, key)? {
        let hash = hash_mut(ctx, slot);
        for field in &argv[2..] {
            deleted += u64::from(hash.delete(field, now));
        }
        if deleted > 0 {
            announce_deletion(ctx, key, slot, deleted);
        }
    }
    reply.int(deleted as i64);
    Ok(())
}
