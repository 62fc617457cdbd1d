//! How are many strings read or stored at once? Keys are fetched ahead in slices, so that a slice costs
//! about one cache miss and not one for each key.

use super::{reply_string, store};
use crate::commands::{AHEAD_MAX, fetch_ahead};
use crate::engine::ctx::{ReadCtx, WriteCtx};
use crate::engine::error::CommandError;
use crate::engine::spec::{
    Access, Arg, Argv, Arity, CommandSpec, Flag, Group, KeySpec, Outcome, Run,
};
use crate::keyspace::db::ExpireChange;
use crate::keyspace::value::ValueRef;
use crate::resp::reply::Reply;

/// The commands of this file.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "MGET",
        summary: "Atomically returns the string values of one or more keys.",
        since: "1.0.0",
        complexity: "O(N) where N is the number of keys to retrieve.",
        group: Group::String,
        arity: Arity::AtLeast(2),
        flags: &[Flag::ReadOnly, Flag::Fast],
        keys: &[KeySpec::range(1, -1, 1, Access::Read)],
        args: &[Arg::key("key").multiple()],
        run: Run::Read(mget),
        tips: &["request_policy:multi_shard"],
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "MSET",
        summary: "Atomically creates or modifies the string values of one or more keys.",
        since: "1.0.1",
        complexity: "O(N) where N is the number of keys to set.",
        group: Group::String,
        arity: Arity::AtLeast(3),
        flags: &[Flag::Write, Flag::DenyOom],
        keys: &[KeySpec::range(1, -1, 2, Access::Overwrite)],
        args: &[Arg::block("data", &[Arg::key("key"), Arg::string("value")]).multiple()],
        run: Run::Write(mset),
        tips: &["request_policy:multi_shard", "response_policy:all_succeeded"],
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "MSETNX",
        summary: "Atomically modifies the string values of one or more keys only when all keys don't exist.",
        since: "1.0.1",
        complexity: "O(N) where N is the number of keys to set.",
        group: Group::String,
        arity: Arity::AtLeast(3),
        flags: &[Flag::Write, Flag::DenyOom],
        keys: &[KeySpec::range(1, -1, 2, Access::Create)],
        args: &[Arg::block("data", &[Arg::key("key"), Arg::string("value")]).multiple()],
        run: Run::Write(msetnx),
        ..CommandSpec::BASE
    },
];

fn mget(ctx: &mut ReadCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let keys = &argv[1..];
    reply.array(keys.len());
    for slice in keys.chunks(AHEAD_MAX) {
        fetch_ahead(ctx.db(), slice.iter().copied());
        for key in slice {
            match ctx.value(key) {
                Some(ValueRef::Str(value)) => reply_string(value, reply),
                _ => reply.null(),
            }
        }
    }
    Ok(())
}

fn mset(ctx: &mut WriteCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    store_all(ctx, pairs(argv, "mset")?);
    reply.ok();
    Ok(())
}

fn msetnx(ctx: &mut WriteCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let pairs = pairs(argv, "msetnx")?;
    let all_absent = pairs.chunks(AHEAD_MAX).all(|slice| {
        fetch_ahead(ctx.db(), slice.iter().map(|pair| pair[0]));
        slice.iter().all(|pair| ctx.find(pair[0]).is_none())
    });
    if all_absent {
        store_all(ctx, pairs);
    }
    reply.int(i64::from(all_absent));
    Ok(())
}

/// The keys with their values.
fn pairs<'a>(argv: Argv<'a>, command: &str) -> Result<&'a [[&'a [u8]; 2]], CommandError> {
    match argv[1..].as_chunks() {
        (pairs, []) => Ok(pairs),
        _ => Err(CommandError::Arity(command.to_owned())),
    }
}

fn store_all(ctx: &mut WriteCtx<'_>, pairs: &[[&[u8]; 2]]) {
    for slice in pairs.chunks(AHEAD_MAX) {
        fetch_ahead(ctx.db(), slice.iter().map(|pair| pair[0]));
        for [key, value] in slice {
            // A key may come twice, so it is looked for even if all were absent.
            let slot = ctx.find(key);
            store(ctx, key, slot, value, ExpireChange::Clear);
        }
    }
}
