//! What is the score of a member, what is its rank, how many are there?

use super::bounds::{Bounds, By};
use super::read_zset;
use crate::engine::args;
use crate::engine::ctx::ReadCtx;
use crate::engine::error::CommandError;
use crate::engine::spec::{
    Access, Arg, Argv, Arity, CommandSpec, Flag, Group, KeySpec, Outcome, Run,
};
use crate::resp::reply::Reply;

/// The commands of this file.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "ZSCORE",
        summary: "Returns the score of a member in a sorted set.",
        since: "1.2.0",
        complexity: "O(1)",
        group: Group::SortedSet,
        arity: Arity::Exactly(3),
        flags: &[Flag::ReadOnly, Flag::Fast],
        keys: &[KeySpec::at(1, Access::Read)],
        args: &[Arg::key("key"), Arg::string("member")],
        run: Run::Read(zscore),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "ZMSCORE",
        summary: "Returns the score of one or more members in a sorted set.",
        since: "6.2.0",
        complexity: "O(N) where N is the number of members being requested.",
        group: Group::SortedSet,
        arity: Arity::AtLeast(3),
        flags: &[Flag::ReadOnly, Flag::Fast],
        keys: &[KeySpec::at(1, Access::Read)],
        args: &[Arg::key("key"), Arg::string("member").multiple()],
        run: Run::Read(zmscore),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "ZCARD",
        summary: "Returns the number of members in a sorted set.",
        since: "1.2.0",
        complexity: "O(1)",
        group: Group::SortedSet,
        arity: Arity::Exactly(2),
        flags: &[Flag::ReadOnly, Flag::Fast],
        keys: &[KeySpec::at(1, Access::Peek)],
        args: &[Arg::key("key")],
        run: Run::Read(zcard),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "ZRANK",
        summary: "Returns the index of a member in a sorted set ordered by ascending scores.",
        since: "2.0.0",
        complexity: "O(log(N))",
        group: Group::SortedSet,
        arity: Arity::AtLeast(3),
        flags: &[Flag::ReadOnly, Flag::Fast],
        keys: &[KeySpec::at(1, Access::Read)],
        args: &[
            Arg::key("key"),
            Arg::string("member"),
            Arg::flag("withscore", "WITHSCORE").optional(),
        ],
        run: Run::Read(zrank),
        history: &[("7.2.0", "Added the optional `WITHSCORE` argument.")],
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "ZREVRANK",
        summary: "Returns the index of a member in a sorted set ordered by descending scores.",
        since: "2.0.0",
        complexity: "O(log(N))",
        group: Group::SortedSet,
        arity: Arity::AtLeast(3),
        flags: &[Flag::ReadOnly, Flag::Fast],
        keys: &[KeySpec::at(1, Access::Read)],
        args: &[
            Arg::key("key"),
            Arg::string("member"),
            Arg::flag("withscore", "WITHSCORE").optional(),
        ],
        run: Run::Read(zrevrank),
        history: &[("7.2.0", "Added the optional `WITHSCORE` argument.")],
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "ZCOUNT",
        summary: "Returns the count of members in a sorted set that have scores within a range.",
        since: "2.0.0",
        complexity: "O(log(N)) with N being the number of elements in the sorted set.",
        group: Group::SortedSet,
        arity: Arity::Exactly(4),
        flags: &[Flag::ReadOnly, Flag::Fast],
        keys: &[KeySpec::at(1, Access::Read)],
        args: &[Arg::key("key"), Arg::double("min"), Arg::double("max")],
        run: Run::Read(zcount),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "ZLEXCOUNT",
        summary: "Returns the number of members in a sorted set within a lexicographical range.",
        since: "2.8.9",
        complexity: "O(log(N)) with N being the number of elements in the sorted set.",
        group: Group::SortedSet,
        arity: Arity::Exactly(4),
        flags: &[Flag::ReadOnly, Flag::Fast],
        keys: &[KeySpec::at(1, Access::Read)],
        args: &[Arg::key("key"), Arg::string("min"), Arg::string("max")],
        run: Run::Read(zlexcount),
        ..CommandSpec::BASE
    },
];

fn zscore(ctx: &mut ReadCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let zset = read_zset(ctx, argv[1])?;
    match zset.and_then(|zset| zset.score(argv[2])) {
        Some(score) => reply.double(score),
        None => reply.null(),
    }
    Ok(())
}

fn zmscore(ctx: &mut ReadCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let zset = read_zset(ctx, argv[1])?;
    reply.array(argv.len() - 2);
    for member in &argv[2..] {
        match zset.and_then(|zset| zset.score(member)) {
            Some(score) => reply.double(score),
            None => reply.null(),
        }
    }
    Ok(())
}

fn zcard(ctx: &mut ReadCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let zset = read_zset(ctx, argv[1])?;
    reply.len(zset.map_or(0, |zset| zset.len()));
    Ok(())
}

fn zrank(ctx: &mut ReadCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    rank(ctx, argv, "zrank", |rank, _| rank, reply)
}

fn zrevrank(ctx: &mut ReadCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    rank(ctx, argv, "zrevrank", |rank, len| len - 1 - rank, reply)
}

fn rank(
    ctx: &mut ReadCtx<'_>,
    argv: Argv<'_>,
    command: &str,
    counted: fn(usize, usize) -> usize,
    reply: &mut Reply<'_>,
) -> Outcome {
    let with_score = match &argv[3..] {
        [] => false,
        [word] if args::is(word, "WITHSCORE") => true,
        [_] => return Err(CommandError::Syntax),
        _ => return Err(CommandError::Arity(command.to_owned())),
    };
    let zset = read_zset(ctx, argv[1])?;
    let found = zset.and_then(|zset| {
        let (rank, score) = zset.rank(argv[2])?;
        Some((counted(rank, zset.len()), score))
    });
    match found {
        Some((rank, score)) if with_score => {
            reply.array(2);
            reply.len(rank);
            reply.double(score);
        }
        Some((rank, _)) => reply.len(rank),
        None if with_score => reply.null_array(),
        None => reply.null(),
    }
    Ok(())
}

fn zcount(ctx: &mut ReadCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    count(ctx, argv, By::Score, reply)
}

fn zlexcount(ctx: &mut ReadCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    count(ctx, argv, By::Lex, reply)
}

fn count(ctx: &mut ReadCtx<'_>, argv: Argv<'_>, by: By, reply: &mut Reply<'_>) -> Outcome {
    let bounds = Bounds::parse(by, argv[2], argv[3])?;
    let zset = read_zset(ctx, argv[1])?;
    reply.len(zset.map_or(0, |zset| bounds.ranks(zset, false).len()));
    Ok(())
}
