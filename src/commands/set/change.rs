//! How do members come and go? SADD, SREM, SMOVE.

use super::{announce_departure, find, limits, remove_if_empty, set_at, set_mut};
use crate::engine::ctx::WriteCtx;
use crate::engine::effects::EventClass;
use crate::engine::error::CommandError;
use crate::engine::spec::{
    Access, Arg, Argv, Arity, CommandSpec, Flag, Group, KeySpec, Outcome, Run,
};
use crate::keyspace::db::Slot;
use crate::keyspace::value::Value;
use crate::object::set::{Set, SetLimits};
use crate::resp::reply::Reply;

/// The commands of this file.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "SADD",
        summary: "Adds one or more members to a set. Creates the key if it doesn't exist.",
        since: "1.0.0",
        complexity: "O(1) for each element added, so O(N) to add N elements when the command is called with multiple arguments.",
        group: Group::Set,
        arity: Arity::AtLeast(3),
        flags: &[Flag::Write, Flag::DenyOom, Flag::Fast],
        keys: &[KeySpec::at(1, Access::Insert)],
        args: &[Arg::key("key"), Arg::string("member").multiple()],
        run: Run::Write(sadd),
        history: &[("2.4.0", "Accepts multiple `member` arguments.")],
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "SREM",
        summary: "Removes one or more members from a set. Deletes the set if the last member was removed.",
        since: "1.0.0",
        complexity: "O(N) where N is the number of members to be removed.",
        group: Group::Set,
        arity: Arity::AtLeast(3),
        flags: &[Flag::Write, Flag::Fast],
        keys: &[KeySpec::at(1, Access::Delete)],
        args: &[Arg::key("key"), Arg::string("member").multiple()],
        run: Run::Write(srem),
        history: &[("2.4.0", "Accepts multiple `member` arguments.")],
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "SMOVE",
        summary: "Moves a member from one set to another.",
        since: "1.0.0",
        complexity: "O(1)",
        group: Group::Set,
        arity: Arity::Exactly(4),
        flags: &[Flag::Write, Flag::Fast],
        keys: &[KeySpec::at(1, Access::ReadDelete), KeySpec::at(2, Access::Insert)],
        args: &[Arg::key("source"), Arg::key_of("destination", 1), Arg::string("member")],
        run: Run::Write(smove),
        ..CommandSpec::BASE
    },
];

/// Finds a set to change, or makes one that is to hold these members; whether it is new.
#[inline]
fn open(
    ctx: &mut WriteCtx<'_>,
    key: &[u8],
    members: Argv<'_>,
    limits: SetLimits,
) -> Result<(Slot, bool), CommandError> {
    if let Some(slot) = find(ctx, key)? {
        return Ok((slot, false));
    }
    let first = members.first().copied().unwrap_or_default();
    let set = Set::for_members(first, members.len(), limits);
    Ok((ctx.insert(key, Value::Set(set), None), true))
}

fn sadd(ctx: &mut WriteCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (key, members) = (argv[1], &argv[2..]);
    let limits = limits(ctx.config());
    let (slot, is_new) = open(ctx, key, members, limits)?;
    let set = set_mut(ctx, slot);
    set.reserve(members.len(), limits);
    let mut added = 0;
    for member in members {
        added += usize::from(set.add(member, limits));
    }
    if added > 0 {
        announce_arrival(ctx, key, is_new);
        ctx.count_changes(added as u64 - 1);
    }
    reply.len(added);
    Ok(())
}

/// Announces that members came into a set.
#[inline]
fn announce_arrival(ctx: &mut WriteCtx<'_>, key: &[u8], is_new: bool) {
    ctx.changed(key);
    if is_new {
        ctx.created(key);
    }
    ctx.notify(EventClass::SET, "sadd", key);
}

fn srem(ctx: &mut WriteCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let key = argv[1];
    let mut removed = 0;
    if let Some(slot) = find(ctx, key)? {
        let set = set_mut(ctx, slot);
        for member in &argv[2..] {
            removed += u64::from(set.remove(member));
        }
        if removed > 0 {
            let is_gone = remove_if_empty(ctx, slot);
            ctx.changed(key);
            ctx.count_changes(removed - 1);
            announce_departure(ctx, key, "srem", is_gone);
        }
    }
    reply.int(removed as i64);
    Ok(())
}

fn smove(ctx: &mut WriteCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (from, to, member) = (argv[1], argv[2], argv[3]);
    let is_moved = move_member(ctx, from, to, member)?;
    reply.int(i64::from(is_moved));
    Ok(())
}

/// Moves a member, if it is there.
fn move_member(
    ctx: &mut WriteCtx<'_>,
    from: &[u8],
    to: &[u8],
    member: &[u8],
) -> Result<bool, CommandError> {
    if ctx.find(from).is_none() {
        // The other key is looked for all the same, but whatever it holds will do.
        ctx.find(to);
        return Ok(false);
    }
    let target = find(ctx, to);
    // Found again: the target may have expired, which moves other keys.
    let Some(source) = find(ctx, from)? else { return Ok(false) };
    target?;
    if from == to {
        return Ok(set_at(ctx, source).contains(member));
    }
    if !set_mut(ctx, source).remove(member) {
        return Ok(false);
    }
    let is_gone = remove_if_empty(ctx, source);
    ctx.changed(from);
    announce_departure(ctx, from, "srem", is_gone);
    let limits = limits(ctx.config());
    let (target, is_new) = open(ctx, to, &[member], limits)?;
    if set_mut(ctx, target).add(member, limits) {
        announce_arrival(ctx, to, is_new);
    }
    Ok(true)
}
