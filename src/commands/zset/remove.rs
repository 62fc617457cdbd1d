//! How do members go? One by one, or a range of them.

use super::bounds::{Bounds, By};
use super::{announce_removal, find, zset_at, zset_mut};
use crate::engine::ctx::WriteCtx;
use crate::engine::spec::{
    Access, Arg, Argv, Arity, CommandSpec, Flag, Group, KeySpec, Outcome, Run,
};
use crate::resp::reply::Reply;

/// The commands of this file.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "ZREM",
        summary: "Removes one or more members from a sorted set. Deletes the sorted set if all members were removed.",
        since: "1.2.0",
        complexity: "O(M*log(N)) with N being the number of elements in the sorted set and M the number of elements to be removed.",
        group: Group::SortedSet,
        arity: Arity::AtLeast(3),
        flags: &[Flag::Write, Flag::Fast],
        keys: &[KeySpec::at(1, Access::Delete)],
        args: &[Arg::key("key"), Arg::string("member").multiple()],
        run: Run::Write(zrem),
        history: &[("2.4.0", "Accepts multiple elements.")],
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "ZREMRANGEBYRANK",
        summary: "Removes members in a sorted set within a range of indexes. Deletes the sorted set if all members were removed.",
        since: "2.0.0",
        complexity: "O(log(N)+M) with N being the number of elements in the sorted set and M the number of elements removed by the operation.",
        group: Group::SortedSet,
        arity: Arity::Exactly(4),
        flags: &[Flag::Write],
        keys: &[KeySpec::at(1, Access::Delete)],
        args: &[Arg::key("key"), Arg::integer("start"), Arg::integer("stop")],
        run: Run::Write(zremrangebyrank),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "ZREMRANGEBYSCORE",
        summary: "Removes members in a sorted set within a range of scores. Deletes the sorted set if all members were removed.",
        since: "1.2.0",
        complexity: "O(log(N)+M) with N being the number of elements in the sorted set and M the number of elements removed by the operation.",
        group: Group::SortedSet,
        arity: Arity::Exactly(4),
        flags: &[Flag::Write],
        keys: &[KeySpec::at(1, Access::Delete)],
        args: &[Arg::key("key"), Arg::double("min"), Arg::double("max")],
        run: Run::Write(zremrangebyscore),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "ZREMRANGEBYLEX",
        summary: "Removes members in a sorted set within a lexicographical range. Deletes the sorted set if all members were removed.",
        since: "2.8.9",
        complexity: "O(log(N)+M) with N being the number of elements in the sorted set and M the number of elements removed by the operation.",
        group: Group::SortedSet,
        arity: Arity::Exactly(4),
        flags: &[Flag::Write],
        keys: &[KeySpec::at(1, Access::Delete)],
        args: &[Arg::key("key"), Arg::string("min"), Arg::string("max")],
        run: Run::Write(zremrangebylex),
        ..CommandSpec::BASE
    },
];

fn zrem(ctx: &mut WriteCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let key = argv[1];
    let mut removed = 0;
    if let Some(slot) = find(ctx, key)? {
        let zset = zset_mut(ctx, slot);
        removed = argv[2..].iter().filter(|member| zset.remove(member).is_some()).count();
        if removed > 0 {
            announce_removal(ctx, key, slot, "zrem", removed);
        }
    }
    reply.len(removed);
    Ok(())
}

fn zremrangebyrank(ctx: &mut WriteCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    remove_range(ctx, argv, By::Rank, "zremrangebyrank", reply)
}

fn zremrangebyscore(ctx: &mut WriteCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    remove_range(ctx, argv, By::Score, "zremrangebyscore", reply)
}

fn zremrangebylex(ctx: &mut WriteCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    remove_range(ctx, argv, By::Lex, "zremrangebylex", reply)
}

fn remove_range(
    ctx: &mut WriteCtx<'_>,
    argv: Argv<'_>,
    by: By,
    event: &str,
    reply: &mut Reply<'_>,
) -> Outcome {
    let key = argv[1];
    let bounds = Bounds::parse(by, argv[2], argv[3])?;
    let mut removed = 0;
    if let Some(slot) = find(ctx, key)? {
        let ranks = bounds.ranks(zset_at(ctx, slot), false);
        removed = ranks.len();
        if removed > 0 {
            zset_mut(ctx, slot).remove_ranks(ranks);
            announce_removal(ctx, key, slot, event, removed);
        }
    }
    reply.len(removed);
    Ok(())
}
