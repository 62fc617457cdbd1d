//! How are fields read? One, several or all of them.

use super::{hash_time, note_expired, reply_element};
use crate::engine::ctx::ReadCtx;
use crate::engine::spec::{
    Access, Arg, Argv, Arity, CommandSpec, Flag, Group, KeySpec, Outcome, Run,
};
use crate::object::hash::Pair;
use crate::object::listpack::Element;
use crate::resp::reply::Reply;

/// The commands of this file.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "HGET",
        summary: "Returns the value of a field in a hash.",
        since: "2.0.0",
        complexity: "O(1)",
        group: Group::Hash,
        arity: Arity::Exactly(3),
        flags: &[Flag::ReadOnly, Flag::Fast],
        keys: &[KeySpec::at(1, Access::Read)],
        args: &[Arg::key("key"), Arg::string("field")],
        run: Run::Read(hget),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "HMGET",
        summary: "Returns the values of all fields in a hash.",
        since: "2.0.0",
        complexity: "O(N) where N is the number of fields being requested.",
        group: Group::Hash,
        arity: Arity::AtLeast(3),
        flags: &[Flag::ReadOnly, Flag::Fast],
        keys: &[KeySpec::at(1, Access::Read)],
        args: &[Arg::key("key"), Arg::string("field").multiple()],
        run: Run::Read(hmget),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "HEXISTS",
        summary: "Determines whether a field exists in a hash.",
        since: "2.0.0",
        complexity: "O(1)",
        group: Group::Hash,
        arity: Arity::Exactly(3),
        flags: &[Flag::ReadOnly, Flag::Fast],
        keys: &[KeySpec::at(1, Access::Peek)],
        args: &[Arg::key("key"), Arg::string("field")],
        run: Run::Read(hexists),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "HLEN",
        summary: "Returns the number of fields in a hash.",
        since: "2.0.0",
        complexity: "O(1)",
        group: Group::Hash,
        arity: Arity::Exactly(2),
        flags: &[Flag::ReadOnly, Flag::Fast],
        keys: &[KeySpec::at(1, Access::Peek)],
        args: &[Arg::key("key")],
        run: Run::Read(hlen),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "HSTRLEN",
        summary: "Returns the length of the value of a field.",
        since: "3.2.0",
        complexity: "O(1)",
        group: Group::Hash,
        arity: Arity::Exactly(3),
        flags: &[Flag::ReadOnly, Flag::Fast],
        keys: &[KeySpec::at(1, Access::Peek)],
        args: &[Arg::key("key"), Arg::string("field")],
        run: Run::Read(hstrlen),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "HGETALL",
        summary: "Returns all fields and values in a hash.",
        since: "2.0.0",
        complexity: "O(N) where N is the size of the hash.",
        group: Group::Hash,
        arity: Arity::Exactly(2),
        flags: &[Flag::ReadOnly],
        keys: &[KeySpec::at(1, Access::Read)],
        args: &[Arg::key("key")],
        run: Run::Read(hgetall),
        tips: &["nondeterministic_output_order"],
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "HKEYS",
        summary: "Returns all fields in a hash.",
        since: "2.0.0",
        complexity: "O(N) where N is the size of the hash.",
        group: Group::Hash,
        arity: Arity::Exactly(2),
        flags: &[Flag::ReadOnly],
        keys: &[KeySpec::at(1, Access::Read)],
        args: &[Arg::key("key")],
        run: Run::Read(hkeys),
        tips: &["nondeterministic_output_order"],
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "HVALS",
        summary: "Returns all values in a hash.",
        since: "2.0.0",
        complexity: "O(N) where N is the size of the hash.",
        group: Group::Hash,
        arity: Arity::Exactly(2),
        flags: &[Flag::ReadOnly],
        keys: &[KeySpec::at(1, Access::Read)],
        args: &[Arg::key("key")],
        run: Run::Read(hvals),
        tips: &["nondeterministic_output_order"],
        ..CommandSpec::BASE
    },
];

/// The value of one field.
#[inline]
fn field<'a>(
    ctx: &mut ReadCtx<'a>,
    argv: Argv<'_>,
) -> Result<Option<Element<'a>>, crate::engine::error::CommandError> {
    let (key, field) = (argv[1], argv[2]);
    let Some(hash) = ctx.hash(key)? else { return Ok(None) };
    let value = hash.get(field, hash_time(ctx.expiry_ms()));
    if value.is_none() {
        note_expired(ctx, key, hash);
    }
    Ok(value)
}

fn hget(ctx: &mut ReadCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    match field(ctx, argv)? {
        Some(value) => reply_element(value, reply),
        None => reply.null(),
    }
    Ok(())
}

fn hexists(ctx: &mut ReadCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    reply.int(i64::from(field(ctx, argv)?.is_some()));
    Ok(())
}

fn hstrlen(ctx: &mut ReadCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    reply.len(field(ctx, argv)?.map_or(0, Element::text_len));
    Ok(())
}

fn hmget(ctx: &mut ReadCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (key, fields) = (argv[1], &argv[2..]);
    let hash = ctx.hash(key)?;
    let now = hash_time(ctx.expiry_ms());
    let mut is_complete = true;
    reply.array(fields.len());
    for field in fields {
        match hash.and_then(|hash| hash.get(field, now)) {
            Some(value) => reply_element(value, reply),
            None => {
                is_complete = false;
                reply.null();
            }
        }
    }
    if let Some(hash) = hash
        && !is_complete
    {
        note_expired(ctx, key, hash);
    }
    Ok(())
}

fn hlen(ctx: &mut ReadCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    reply.len(ctx.hash(argv[1])?.map_or(0, |hash| hash.len()));
    Ok(())
}

fn hgetall(ctx: &mut ReadCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    all(ctx, argv, reply, Reply::map, |(field, value), reply| {
        reply_element(field, reply);
        reply_element(value, reply);
    })
}

fn hkeys(ctx: &mut ReadCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    all(ctx, argv, reply, Reply::array, |(field, _), reply| reply_element(field, reply))
}

fn hvals(ctx: &mut ReadCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    all(ctx, argv, reply, Reply::array, |(_, value), reply| reply_element(value, reply))
}

/// Writes all of a hash: its size by `head`, then each field by `each`.
fn all<'r>(
    ctx: &mut ReadCtx<'_>,
    argv: Argv<'_>,
    reply: &mut Reply<'r>,
    head: impl FnOnce(&mut Reply<'r>, usize),
    each: impl Fn(Pair<'_>, &mut Reply<'r>),
) -> Outcome {
    let Some(hash) = ctx.hash(argv[1])? else {
        head(reply, 0);
        return Ok(());
    };
    let now = hash_time(ctx.expiry_ms());
    let visible = hash.visible_len(now);
    head(reply, visible);
    hash.iter(now).for_each(|pair| each(pair, reply));
    if visible < hash.len() {
        note_expired(ctx, argv[1], hash);
    }
    Ok(())
}
