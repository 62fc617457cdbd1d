//! How are the first or the last members taken out? ZPOPMIN, ZPOPMAX and ZMPOP at once, and their
//! namesakes with a B once there is something to take.

use std::ops::Range;

use super::{announce_removal, find, reply_element, zset_at, zset_mut};
use crate::base::number::{self, IntBuf};
use crate::engine::args::{self, Cursor};
use crate::engine::block::Wanted;
use crate::engine::ctx::WriteCtx;
use crate::engine::error::CommandError;
use crate::engine::spec::{
    Access, Arg, Argv, Arity, CommandSpec, Flag, Group, KeySpec, Outcome, Run,
};
use crate::keyspace::db::Slot;
use crate::keyspace::value::ValueKind;
use crate::resp::reply::Reply;

/// The commands of this file.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "ZPOPMIN",
        summary: "Returns the lowest-scoring members from a sorted set after removing them. Deletes the sorted set if the last member was popped.",
        since: "5.0.0",
        complexity: "O(log(N)*M) with N being the number of elements in the sorted set, and M being the number of elements popped.",
        group: Group::SortedSet,
        arity: Arity::AtLeast(2),
        flags: &[Flag::Write, Flag::Fast],
        keys: &[KeySpec::at(1, Access::ReadDelete)],
        args: &[Arg::key("key"), Arg::integer("count").optional()],
        run: Run::Write(zpopmin),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "ZPOPMAX",
        summary: "Returns the highest-scoring members from a sorted set after removing them. Deletes the sorted set if the last member was popped.",
        since: "5.0.0",
        complexity: "O(log(N)*M) with N being the number of elements in the sorted set, and M being the number of elements popped.",
        group: Group::SortedSet,
        arity: Arity::AtLeast(2),
        flags: &[Flag::Write, Flag::Fast],
        keys: &[KeySpec::at(1, Access::ReadDelete)],
        args: &[Arg::key("key"), Arg::integer("count").optional()],
        run: Run::Write(zpopmax),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "ZMPOP",
        summary: "Returns the highest- or lowest-scoring members from one or more sorted sets after removing them. Deletes the sorted set if the last member was popped.",
        since: "7.0.0",
        complexity: "O(K) + O(M*log(N)) where K is the number of provided keys, N being the number of elements in the sorted set, and M being the number of elements popped.",
        group: Group::SortedSet,
        arity: Arity::AtLeast(4),
        flags: &[Flag::Write],
        keys: &[KeySpec::counted(1, Access::ReadDelete)],
        args: &[
            Arg::integer("numkeys"),
            Arg::key("key").multiple(),
            Arg::one_of("where", &[Arg::flag("min", "MIN"), Arg::flag("max", "MAX")]),
            Arg::integer("count").token("COUNT").optional(),
        ],
        run: Run::Write(zmpop),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "BZPOPMIN",
        summary: "Removes and returns the member with the lowest score from one or more sorted sets. Blocks until a member is available otherwise. Deletes the sorted set if the last element was popped.",
        since: "5.0.0",
        complexity: "O(log(N)) with N being the number of elements in the sorted set.",
        group: Group::SortedSet,
        arity: Arity::AtLeast(3),
        flags: &[Flag::Write, Flag::Fast, Flag::Blocking],
        keys: &[KeySpec::range(1, -2, 1, Access::ReadDelete)],
        args: &[Arg::key("key").multiple(), Arg::double("timeout")],
        run: Run::Write(bzpopmin),
        history: &[("6.0.0", "`timeout` is interpreted as a double instead of an integer.")],
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "BZPOPMAX",
        summary: "Removes and returns the member with the highest score from one or more sorted sets. Blocks until a member available otherwise.  Deletes the sorted set if the last element was popped.",
        since: "5.0.0",
        complexity: "O(log(N)) with N being the number of elements in the sorted set.",
        group: Group::SortedSet,
        arity: Arity::AtLeast(3),
        flags: &[Flag::Write, Flag::Fast, Flag::Blocking],
        keys: &[KeySpec::range(1, -2, 1, Access::ReadDelete)],
        args: &[Arg::key("key").multiple(), Arg::double("timeout")],
        run: Run::Write(bzpopmax),
        history: &[("6.0.0", "`timeout` is interpreted as a double instead of an integer.")],
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "BZMPOP",
        summary: "Removes and returns a member by score from one or more sorted sets. Blocks until a member is available otherwise. Deletes the sorted set if the last element was popped.",
        since: "7.0.0",
        complexity: "O(K) + O(M*log(N)) where K is the number of provided keys, N being the number of elements in the sorted set, and M being the number of elements popped.",
        group: Group::SortedSet,
        arity: Arity::AtLeast(5),
        flags: &[Flag::Write, Flag::Blocking],
        keys: &[KeySpec::counted(2, Access::ReadDelete)],
        args: &[
            Arg::double("timeout"),
            Arg::integer("numkeys"),
            Arg::key("key").multiple(),
            Arg::one_of("where", &[Arg::flag("min", "MIN"), Arg::flag("max", "MAX")]),
            Arg::integer("count").token("COUNT").optional(),
        ],
        run: Run::Write(bzmpop),
        ..CommandSpec::BASE
    },
];

/// From which end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Min,
    Max,
}

impl Side {
    /// The event, which is also the command that is propagated.
    fn name(self) -> &'static str {
        match self {
            Side::Min => "zpopmin",
            Side::Max => "zpopmax",
        }
    }

    fn ranks(self, len: usize, count: usize) -> Range<usize> {
        match self {
            Side::Min => 0..count,
            Side::Max => len - count..len,
        }
    }
}

/// How members and scores lie in the reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    /// `[member, score, ...]`
    Flat,
    /// `[[member, score], ...]`
    Pairs,
    /// `[key, member, score]`
    KeyFlat,
    /// `[key, [[member, score], ...]]`
    KeyPairs,
}

fn zpopmin(ctx: &mut WriteCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    pop_one_key(ctx, argv, Side::Min, reply)
}

fn zpopmax(ctx: &mut WriteCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    pop_one_key(ctx, argv, Side::Max, reply)
}

fn pop_one_key(
    ctx: &mut WriteCtx<'_>,
    argv: Argv<'_>,
    side: Side,
    reply: &mut Reply<'_>,
) -> Outcome {
    let key = argv[1];
    let count = match &argv[2..] {
        [] => None,
        [count] => Some(not_negative(count)?),
        _ => return Err(CommandError::Syntax),
    };
    // Only who asks for a count is given pairs.
    let shape = if count.is_some() && reply.is_resp3() { Shape::Pairs } else { Shape::Flat };
    match find(ctx, key)? {
        Some(slot) if count != Some(0) => {
            pop(ctx, key, slot, side, count.unwrap_or(1), shape, reply);
        }
        _ => reply.array(0),
    }
    Ok(())
}

/// Takes up to `count` members, at least one, from a sorted set; how many.
fn pop(
    ctx: &mut WriteCtx<'_>,
    key: &[u8],
    slot: Slot,
    side: Side,
    count: usize,
    shape: Shape,
    reply: &mut Reply<'_>,
) -> usize {
    let zset = zset_at(ctx, slot);
    let count = count.min(zset.len());
    let ranks = side.ranks(zset.len(), count);
    match shape {
        Shape::Flat => reply.array(count * 2),
        Shape::Pairs => reply.array(count),
        Shape::KeyFlat => {
            reply.array(count * 2 + 1);
            reply.bulk(key);
        }
        Shape::KeyPairs => {
            reply.array(2);
            reply.bulk(key);
            reply.array(count);
        }
    }
    let nested = matches!(shape, Shape::Pairs | Shape::KeyPairs);
    let mut show = |(member, score)| {
        if nested {
            reply.array(2);
        }
        reply_element(member, reply);
        reply.double(score);
    };
    match side {
        Side::Min => zset.range(ranks.clone()).for_each(&mut show),
        Side::Max => zset.range(ranks.clone()).rev().for_each(&mut show),
    }
    zset_mut(ctx, slot).remove_ranks(ranks);
    announce_removal(ctx, key, slot, side.name(), count);
    count
}

/// What ZMPOP and BZMPOP are asked for.
#[derive(Debug, PartialEq, Eq)]
struct Many<'a> {
    keys: Argv<'a>,
    side: Side,
    count: usize,
}

impl<'a> Many<'a> {
    /// Reads the keys, whose number stands at `at`, and what follows them.
    fn parse(argv: Argv<'a>, at: usize) -> Result<Self, CommandError> {
        let number = at_least_one(argv[at], "ERR numkeys should be greater than 0")?;
        let mut rest = Cursor::new(argv, at + 1);
        if number >= rest.left() {
            return Err(CommandError::Syntax);
        }
        let keys = &rest.rest()[..number];
        rest = Cursor::new(argv, at + 1 + number);
        let side = match rest.value()? {
            word if args::is(word, "MIN") => Side::Min,
            word if args::is(word, "MAX") => Side::Max,
            _ => return Err(CommandError::Syntax),
        };
        let mut count = None;
        while let Some(word) = rest.next() {
            if count.is_some() || !args::is(word, "COUNT") || rest.left() == 0 {
                return Err(CommandError::Syntax);
            }
            count = Some(at_least_one(rest.value()?, "ERR count should be greater than 0")?);
        }
        Ok(Self { keys, side, count: count.unwrap_or(1) })
    }
}

/// What is no number at all gets the same error, as in Redis.
fn not_negative(arg: &[u8]) -> Result<usize, CommandError> {
    let value = number::parse_i64(arg).and_then(|value| usize::try_from(value).ok());
    value.ok_or(CommandError::NotPositive)
}

fn at_least_one(arg: &[u8], error: &'static str) -> Result<usize, CommandError> {
    let value = number::parse_i64(arg).and_then(|value| usize::try_from(value).ok());
    value.filter(|value| *value > 0).ok_or(CommandError::text(error))
}

/// The first key that holds a sorted set; one before it that holds something else is an error.
fn first_with_members<'a>(
    ctx: &mut WriteCtx<'_>,
    keys: Argv<'a>,
) -> Result<Option<(&'a [u8], Slot)>, CommandError> {
    for key in keys {
        if let Some(slot) = find(ctx, key)? {
            return Ok(Some((key, slot)));
        }
    }
    Ok(None)
}

/// Propagates what was taken, without what it was chosen from.
fn propagate(ctx: &mut WriteCtx<'_>, side: Side, key: &[u8], count: Option<usize>) {
    let name = side.name().to_ascii_uppercase();
    let mut digits = IntBuf::new();
    match count {
        None => ctx.propagate_as(&[name.as_bytes(), key]),
        Some(count) => ctx.propagate_as(&[name.as_bytes(), key, digits.u64(count as u64)]),
    }
}

fn zmpop(ctx: &mut WriteCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let Many { keys, side, count } = Many::parse(argv, 1)?;
    match first_with_members(ctx, keys)? {
        Some((key, slot)) => {
            let count = pop(ctx, key, slot, side, count, Shape::KeyPairs, reply);
            propagate(ctx, side, key, Some(count));
        }
        None => reply.null_array(),
    }
    Ok(())
}

fn bzpopmin(ctx: &mut WriteCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    pop_or_wait(ctx, argv, Side::Min, reply)
}

fn bzpopmax(ctx: &mut WriteCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    pop_or_wait(ctx, argv, Side::Max, reply)
}

fn pop_or_wait(
    ctx: &mut WriteCtx<'_>,
    argv: Argv<'_>,
    side: Side,
    reply: &mut Reply<'_>,
) -> Outcome {
    let last = argv.len() - 1;
    let (keys, deadline_ms) = (&argv[1..last], args::timeout(argv[last], ctx.now_ms())?);
    match first_with_members(ctx, keys)? {
        Some((key, slot)) => {
            pop(ctx, key, slot, side, 1, Shape::KeyFlat, reply);
            propagate(ctx, side, key, None);
        }
        None => wait(ctx, keys, deadline_ms, reply),
    }
    Ok(())
}

fn bzmpop(ctx: &mut WriteCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let Many { keys, side, count } = Many::parse(argv, 2)?;
    let deadline_ms = args::timeout(argv[1], ctx.now_ms())?;
    match first_with_members(ctx, keys)? {
        Some((key, slot)) => {
            let count = pop(ctx, key, slot, side, count, Shape::KeyPairs, reply);
            propagate(ctx, side, key, Some(count));
        }
        None => wait(ctx, keys, deadline_ms, reply),
    }
    Ok(())
}

/// Waits for members, or answers at once where nobody may wait.
fn wait(ctx: &mut WriteCtx<'_>, keys: Argv<'_>, deadline_ms: Option<i64>, reply: &mut Reply<'_>) {
    let mut nothing = Vec::new();
    Reply::new(&mut nothing, reply.protocol()).null_array();
    let keys = keys.iter().map(|key| Box::from(*key)).collect();
    let wanted = Wanted { keys, kind: Some(ValueKind::Zset), on_deletion: false };
    if !ctx.wait_for(wanted, deadline_ms, &nothing) {
        reply.null_array();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_counted() {
        let parse = |words: &[&'static str]| {
            let argv: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
            Many::parse(Vec::leak(argv), 1).map(|many| (many.keys.len(), many.side, many.count))
        };
        assert_eq!(parse(&["ZMPOP", "2", "a", "b", "min"]), Ok((2, Side::Min, 1)));
        assert_eq!(parse(&["ZMPOP", "1", "a", "MAX", "count", "3"]), Ok((1, Side::Max, 3)));
        for bad in [
            &["ZMPOP", "2", "a", "MIN"][..],
            &["ZMPOP", "9223372036854775807", "a", "MIN"],
            &["ZMPOP", "1", "a", "MIN", "COUNT"],
            &["ZMPOP", "1", "a", "MIN", "COUNT", "1", "COUNT", "1"],
            &["ZMPOP", "1", "a", "b"],
        ] {
            assert_eq!(parse(bad), Err(CommandError::Syntax), "{bad:?}");
        }
        let number = CommandError::text("ERR numkeys should be greater than 0");
        assert_eq!(parse(&["ZMPOP", "0", "a", "MIN"]), Err(number.clone()));
        assert_eq!(parse(&["ZMPOP", "x", "a", "MIN"]), Err(number));
        let count = CommandError::text("ERR count should be greater than 0");
        assert_eq!(parse(&["ZMPOP", "1", "a", "MIN", "COUNT", "0"]), Err(count));
    }
}
