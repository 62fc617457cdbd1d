//! How long do fields of a hash live? HTTL and its relatives tell, HPERSIST lets them live for ever.

use super::{find, hash_mut, hash_time, note_expired, parse_fields};
use crate::engine::ctx::{ReadCtx, WriteCtx};
use crate::engine::effects::EventClass;
use crate::engine::spec::{
    Access, Arg, Argv, Arity, CommandSpec, Flag, Group, KeySpec, Outcome, Run,
};
use crate::resp::reply::Reply;

/// The commands of this file.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "HTTL",
        summary: "Returns the TTL in seconds of a hash field.",
        since: "7.4.0",
        complexity: "O(N) where N is the number of specified fields",
        group: Group::Hash,
        arity: Arity::AtLeast(5),
        flags: &[Flag::ReadOnly, Flag::Fast],
        keys: &[KeySpec::at(1, Access::Read)],
        args: &[
            Arg::key("key"),
            Arg::block("fields", &[Arg::integer("numfields"), Arg::string("field").multiple()])
                .token("FIELDS"),
        ],
        run: Run::Read(httl),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "HPTTL",
        summary: "Returns the TTL in milliseconds of a hash field.",
        since: "7.4.0",
        complexity: "O(N) where N is the number of specified fields",
        group: Group::Hash,
        arity: Arity::AtLeast(5),
        flags: &[Flag::ReadOnly, Flag::Fast],
        keys: &[KeySpec::at(1, Access::Read)],
        args: &[
            Arg::key("key"),
            Arg::block("fields", &[Arg::integer("numfields"), Arg::string("field").multiple()])
                .token("FIELDS"),
        ],
        run: Run::Read(hpttl),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "HEXPIRETIME",
        summary: "Returns the expiration time of a hash field as a Unix timestamp, in seconds.",
        since: "7.4.0",
        complexity: "O(N) where N is the number of specified fields",
        group: Group::Hash,
        arity: Arity::AtLeast(5),
        flags: &[Flag::ReadOnly, Flag::Fast],
        keys: &[KeySpec::at(1, Access::Read)],
        args: &[
            Arg::key("key"),
            Arg::block("fields", &[Arg::integer("numfields"), Arg::string("field").multiple()])
                .token("FIELDS"),
        ],
        run: Run::Read(hexpiretime),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "HPEXPIRETIME",
        summary: "Returns the expiration time of a hash field as a Unix timestamp, in msec.",
        since: "7.4.0",
        complexity: "O(N) where N is the number of specified fields",
        group: Group::Hash,
        arity: Arity::AtLeast(5),
        flags: &[Flag::ReadOnly, Flag::Fast],
        keys: &[KeySpec::at(1, Access::Read)],
        args: &[
            Arg::key("key"),
            Arg::block("fields", &[Arg::integer("numfields"), Arg::string("field").multiple()])
                .token("FIELDS"),
        ],
        run: Run::Read(hpexpiretime),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "HPERSIST",
        summary: "Removes the expiration time for each specified field",
        since: "7.4.0",
        complexity: "O(N) where N is the number of specified fields",
        group: Group::Hash,
        arity: Arity::AtLeast(5),
        flags: &[Flag::Write, Flag::Fast],
        keys: &[KeySpec::at(1, Access::Update)],
        args: &[
            Arg::key("key"),
            Arg::block("fields", &[Arg::integer("numfields"), Arg::string("field").multiple()])
                .token("FIELDS"),
        ],
        run: Run::Write(hpersist),
        ..CommandSpec::BASE
    },
];

const NOT_POSITIVE: &str = "ERR Number of fields must be a positive integer";

/// The field is missing.
const MISSING: i64 = -2;
/// The field lives for ever.
const FOR_EVER: i64 = -1;

fn httl(ctx: &mut ReadCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    tell(ctx, argv, reply, |at, now| seconds(at - now))
}

fn hpttl(ctx: &mut ReadCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    tell(ctx, argv, reply, |at, now| at - now)
}

fn hexpiretime(ctx: &mut ReadCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    tell(ctx, argv, reply, |at, _| seconds(at))
}

fn hpexpiretime(ctx: &mut ReadCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    tell(ctx, argv, reply, |at, _| at)
}

/// Begun seconds count as whole ones.
fn seconds(ms: u64) -> u64 {
    ms.div_ceil(1000)
}

fn tell(
    ctx: &mut ReadCtx<'_>,
    argv: Argv<'_>,
    reply: &mut Reply<'_>,
    measure: impl Fn(u64, u64) -> u64,
) -> Outcome {
    let hash = ctx.hash(argv[1])?;
    let fields = parse_fields(argv, 2, NOT_POSITIVE)?;
    let now = hash_time(ctx.expiry_ms());
    reply.array(fields.len());
    for field in fields {
        reply.int(match hash.and_then(|hash| hash.field_expire(field, now)) {
            None => MISSING,
            Some(None) => FOR_EVER,
            Some(Some(at)) => i64::try_from(measure(at, now)).unwrap_or(i64::MAX),
        });
    }
    if let Some(hash) = hash {
        note_expired(ctx, argv[1], hash);
    }
    Ok(())
}

fn hpersist(ctx: &mut WriteCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let key = argv[1];
    let slot = find(ctx, key)?;
    let fields = parse_fields(argv, 2, NOT_POSITIVE)?;
    reply.array(fields.len());
    let Some(slot) = slot else {
        fields.iter().for_each(|_| reply.int(MISSING));
        return Ok(());
    };
    let now = hash_time(ctx.expiry_ms());
    let hash = hash_mut(ctx, slot);
    let mut is_changed = false;
    for field in fields {
        reply.int(match hash.field_expire(field, now) {
            None => MISSING,
            Some(None) => FOR_EVER,
            Some(Some(_)) => {
                is_changed = true;
                hash.set_field_expire(field, None, now);
                1
            }
        });
    }
    if is_changed {
        ctx.changed(key);
        ctx.notify(EventClass::HASH, "hpersist", key);
    }
    Ok(())
}
