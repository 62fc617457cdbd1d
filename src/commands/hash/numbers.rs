//! How is a number in a field changed? As a number in a string is, with the field's own expiry kept.

use super::{also_propagate_expiry, announce, hash_mut, hash_time, limits, open};
use crate::base::extended::Extended;
use crate::engine::args;
use crate::engine::ctx::WriteCtx;
use crate::engine::error::CommandError;
use crate::engine::spec::{
    Access, Arg, Argv, Arity, CommandSpec, Flag, Group, KeySpec, Outcome, Run,
};
use crate::object::hash::HashIncrError;
use crate::resp::reply::Reply;

/// The commands of this file.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "HINCRBY",
        summary: "Increments the integer value of a field in a hash by a number. Uses 0 as initial value if the field doesn't exist.",
        since: "2.0.0",
        complexity: "O(1)",
        group: Group::Hash,
        arity: Arity::Exactly(4),
        flags: &[Flag::Write, Flag::DenyOom, Flag::Fast],
        keys: &[KeySpec::at(1, Access::ReadUpdate)],
        args: &[Arg::key("key"), Arg::string("field"), Arg::integer("increment")],
        run: Run::Write(hincrby),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "HINCRBYFLOAT",
        summary: "Increments the floating point value of a field by a number. Uses 0 as initial value if the field doesn't exist.",
        since: "2.6.0",
        complexity: "O(1)",
        group: Group::Hash,
        arity: Arity::Exactly(4),
        flags: &[Flag::Write, Flag::DenyOom, Flag::Fast],
        keys: &[KeySpec::at(1, Access::ReadUpdate)],
        args: &[Arg::key("key"), Arg::string("field"), Arg::double("increment")],
        run: Run::Write(hincrbyfloat),
        ..CommandSpec::BASE
    },
];

fn refusal(error: HashIncrError) -> CommandError {
    match error {
        HashIncrError::NotInteger => CommandError::HashNotAnInteger,
        HashIncrError::Overflow => CommandError::IncrementOverflow,
        HashIncrError::NotFloat => CommandError::HashNotAFloat,
        HashIncrError::NotFinite => CommandError::IncrementNotFinite,
    }
}

fn hincrby(ctx: &mut WriteCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (key, field, delta) = (argv[1], argv[2], args::int(argv[3])?);
    let (now, limits) = (hash_time(ctx.expiry_ms()), limits(ctx));
    // A new hash takes any step, so an error leaves none behind.
    let opened = open(ctx, key)?;
    let sum = hash_mut(ctx, opened.slot).incr_by(field, delta, now, limits).map_err(refusal)?;
    announce(ctx, key, &opened, "hincrby");
    reply.int(sum);
    Ok(())
}

fn hincrbyfloat(ctx: &mut WriteCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (key, field) = (argv[1], argv[2]);
    let delta = Extended::parse(argv[3]).ok_or(CommandError::NotAFloat)?;
    if !delta.is_finite() {
        return Err(CommandError::text("ERR value is NaN or Infinity"));
    }
    let (now, limits) = (hash_time(ctx.expiry_ms()), limits(ctx));
    // A new hash takes any finite step, so an error leaves none behind.
    let opened = open(ctx, key)?;
    let hash = hash_mut(ctx, opened.slot);
    let sum = hash.incr_by_float(field, delta, now, limits).map_err(refusal)?;
    let expire_at = hash.field_expire(field, now).flatten();
    announce(ctx, key, &opened, "hincrbyfloat");
    reply.bulk(&sum);
    if ctx.log_active() {
        ctx.propagate_as(&[b"HSET", key, field, &sum]);
        // HSET takes the expiry away, which this command keeps.
        if let Some(at) = expire_at.and_then(|at| i64::try_from(at).ok()) {
            also_propagate_expiry(ctx, key, at, None, &[field]);
        }
    }
    Ok(())
}
