//! Which keys are there? DEL, EXISTS, KEYS and their relatives.

use crate::base::glob::{self, Case, glob_match};
use crate::commands::scan::kind_name;
use crate::commands::{AHEAD_MAX, fetch_ahead};
use crate::config::params::Param;
use crate::engine::ctx::{Freeing, ReadCtx, WriteCtx};
use crate::engine::effects::EventClass;
use crate::engine::spec::{
    Access, Arg, Argv, Arity, Category, CommandSpec, Flag, Group, KeySpec, Outcome, Run,
};
use crate::resp::reply::Reply;

/// The commands of this file.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "DEL",
        summary: "Deletes one or more keys.",
        since: "1.0.0",
        complexity: "O(N) where N is the number of keys that will be removed. When a key to remove holds a value other than a string, the individual complexity for this key is O(M) where M is the number of elements in the list, set, sorted set or hash. Removing a single key that holds a string value is O(1).",
        group: Group::Generic,
        arity: Arity::AtLeast(2),
        flags: &[Flag::Write],
        categories: &[Category::Keyspace],
        keys: &[KeySpec::range(1, -1, 1, Access::Remove)],
        args: &[Arg::key("key").multiple()],
        run: Run::Write(del),
        tips: &["request_policy:multi_shard", "response_policy:agg_sum"],
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "UNLINK",
        summary: "Asynchronously deletes one or more keys.",
        since: "4.0.0",
        complexity: "O(1) for each key removed regardless of its size. Then the command does O(N) work in a different thread in order to reclaim memory, where N is the number of allocations the deleted objects where composed of.",
        group: Group::Generic,
        arity: Arity::AtLeast(2),
        flags: &[Flag::Write, Flag::Fast],
        categories: &[Category::Keyspace],
        keys: &[KeySpec::range(1, -1, 1, Access::Remove)],
        args: &[Arg::key("key").multiple()],
        run: Run::Write(unlink),
        tips: &["request_policy:multi_shard", "response_policy:agg_sum"],
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "EXISTS",
        summary: "Determines whether one or more keys exist.",
        since: "1.0.0",
        complexity: "O(N) where N is the number of keys to check.",
        group: Group::Generic,
        arity: Arity::AtLeast(2),
        flags: &[Flag::ReadOnly, Flag::Fast],
        categories: &[Category::Keyspace],
        keys: &[KeySpec::range(1, -1, 1, Access::Peek)],
        args: &[Arg::key("key").multiple()],
        run: Run::Read(exists),
        history: &[("3.0.3", "Accepts multiple `key` arguments.")],
        tips: &["request_policy:multi_shard", "response_policy:agg_sum"],
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "TOUCH",
        summary: "Returns the number of existing keys out of those specified after updating the time they were last accessed.",
        since: "3.2.1",
        complexity: "O(N) where N is the number of keys that will be touched.",
        group: Group::Generic,
        arity: Arity::AtLeast(2),
        flags: &[Flag::ReadOnly, Flag::Fast],
        categories: &[Category::Keyspace],
        keys: &[KeySpec::range(1, -1, 1, Access::Peek)],
        args: &[Arg::key("key").multiple()],
        run: Run::Read(touch),
        tips: &["request_policy:multi_shard", "response_policy:agg_sum"],
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "TYPE",
        summary: "Determines the type of value stored at a key.",
        since: "1.0.0",
        complexity: "O(1)",
        group: Group::Generic,
        arity: Arity::Exactly(2),
        flags: &[Flag::ReadOnly, Flag::Fast],
        categories: &[Category::Keyspace],
        keys: &[KeySpec::at(1, Access::Peek)],
        args: &[Arg::key("key")],
        run: Run::Read(kind),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "RANDOMKEY",
        summary: "Returns a random key name from the database.",
        since: "1.0.0",
        complexity: "O(1)",
        group: Group::Generic,
        arity: Arity::Exactly(1),
        flags: &[Flag::ReadOnly, Flag::TouchesArbitraryKeys],
        categories: &[Category::Keyspace],
        run: Run::Read(randomkey),
        tips: &["request_policy:all_shards", "response_policy:special", "nondeterministic_output"],
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "KEYS",
        summary: "Returns all key names that match a pattern.",
        since: "1.0.0",
        complexity: "O(N) with N being the number of keys in the database, under the assumption that the key names in the database and the given pattern have limited length.",
        group: Group::Generic,
        arity: Arity::Exactly(2),
        flags: &[Flag::ReadOnly],
        categories: &[Category::Keyspace, Category::Dangerous],
        args: &[Arg::pattern("pattern")],
        run: Run::Read(keys),
        tips: &["request_policy:all_shards", "nondeterministic_output_order"],
        ..CommandSpec::BASE
    },
];

/// Keys that one step of KEYS looks at.
const KEYS_STEP: usize = 1024;

fn del(ctx: &mut WriteCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let freeing = match ctx.config().flag(Param::LazyfreeLazyUserDel) {
        true => Freeing::Lazy,
        false => Freeing::Prompt,
    };
    delete(ctx, argv, freeing, reply);
    Ok(())
}

fn unlink(ctx: &mut WriteCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    delete(ctx, argv, Freeing::Lazy, reply);
    Ok(())
}

/// A value is always taken out at once, whoever frees it.
fn delete(ctx: &mut WriteCtx<'_>, argv: Argv<'_>, freeing: Freeing, reply: &mut Reply<'_>) {
    let mut deleted = 0;
    for slice in argv[1..].chunks(AHEAD_MAX) {
        fetch_ahead(ctx.db(), slice.iter().copied());
        for key in slice {
            let Some(slot) = ctx.peek(key) else { continue };
            ctx.remove_as(slot, freeing);
            ctx.changed(key);
            ctx.notify(EventClass::GENERIC, "del", key);
            deleted += 1;
        }
    }
    reply.int(deleted);
}

fn exists(ctx: &mut ReadCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    count(ctx, argv, reply, ReadCtx::peek_counted)
}

fn touch(ctx: &mut ReadCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    count(ctx, argv, reply, ReadCtx::find)
}

/// Counts the keys that `find` finds; one that is named twice counts twice.
fn count<'a, S>(
    ctx: &mut ReadCtx<'a>,
    argv: Argv<'_>,
    reply: &mut Reply<'_>,
    find: impl Fn(&mut ReadCtx<'a>, &[u8]) -> Option<S>,
) -> Outcome {
    let mut found = 0;
    for slice in argv[1..].chunks(AHEAD_MAX) {
        fetch_ahead(ctx.db(), slice.iter().copied());
        found += slice.iter().filter(|key| find(ctx, key).is_some()).count();
    }
    reply.len(found);
    Ok(())
}

/// TYPE.
fn kind(ctx: &mut ReadCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    match ctx.peek_counted(argv[1]) {
        Some(slot) => reply.simple(kind_name(&ctx.db().value(slot))),
        None => reply.simple("none"),
    }
    Ok(())
}

fn randomkey(ctx: &mut ReadCtx<'_>, _argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (db, index, now_ms) = (ctx.db(), ctx.session.db, ctx.now_ms());
    let unit = &mut *ctx.unit;
    let found = db.random(ctx.env.random_seed(), now_ms, |key| unit.note_expired(index, key));
    match found {
        Some(slot) => reply.bulk(db.key(slot)),
        None => reply.null(),
    }
    Ok(())
}

fn keys(ctx: &mut ReadCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let pattern = argv[1];
    if !glob::is_pattern(pattern) {
        let found = ctx.peek(pattern).is_some();
        reply.array(usize::from(found));
        if found {
            reply.bulk(pattern);
        }
        return Ok(());
    }
    let (db, now_ms) = (ctx.db(), ctx.now_ms());
    let takes_all = pattern == b"*";
    let list = reply.deferred();
    let (mut cursor, mut found) = (0, 0);
    loop {
        cursor = db.scan(cursor, KEYS_STEP, |key, _, expire_at| {
            let is_alive = expire_at.is_none_or(|at| now_ms <= at);
            if is_alive && (takes_all || glob_match(pattern, key, Case::Sensitive)) {
                found += 1;
                reply.bulk(key);
            }
        });
        if cursor == 0 {
            break;
        }
    }
    reply.close(list, found);
    Ok(())
}
