//! What is in a set? Asked for one, some or all members, or piece by piece by SSCAN.

use super::{read_set, reply_element};
use crate::base::number::IntBuf;
use crate::commands::scan::{self, ScanOptions};
use crate::engine::args::Cursor;
use crate::engine::ctx::ReadCtx;
use crate::engine::spec::{
    Access, Arg, Argv, Arity, CommandSpec, Flag, Group, KeySpec, Outcome, Run,
};
use crate::resp::reply::Reply;

/// The commands of this file.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "SISMEMBER",
        summary: "Determines whether a member belongs to a set.",
        since: "1.0.0",
        complexity: "O(1)",
        group: Group::Set,
        arity: Arity::Exactly(3),
        flags: &[Flag::ReadOnly, Flag::Fast],
        keys: &[KeySpec::at(1, Access::Peek)],
        args: &[Arg::key("key"), Arg::string("member")],
        run: Run::Read(sismember),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "SMISMEMBER",
        summary: "Determines whether multiple members belong to a set.",
        since: "6.2.0",
        complexity: "O(N) where N is the number of elements being checked for membership",
        group: Group::Set,
        arity: Arity::AtLeast(3),
        flags: &[Flag::ReadOnly, Flag::Fast],
        keys: &[KeySpec::at(1, Access::Read)],
        args: &[Arg::key("key"), Arg::string("member").multiple()],
        run: Run::Read(smismember),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "SCARD",
        summary: "Returns the number of members in a set.",
        since: "1.0.0",
        complexity: "O(1)",
        group: Group::Set,
        arity: Arity::Exactly(2),
        flags: &[Flag::ReadOnly, Flag::Fast],
        keys: &[KeySpec::at(1, Access::Peek)],
        args: &[Arg::key("key")],
        run: Run::Read(scard),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "SMEMBERS",
        summary: "Returns all members of a set.",
        since: "1.0.0",
        complexity: "O(N) where N is the set cardinality.",
        group: Group::Set,
        arity: Arity::Exactly(2),
        flags: &[Flag::ReadOnly],
        keys: &[KeySpec::at(1, Access::Read)],
        args: &[Arg::key("key")],
        run: Run::Read(smembers),
        tips: &["nondeterministic_output_order"],
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "SSCAN",
        summary: "Iterates over members of a set.",
        since: "2.8.0",
        complexity: "O(1) for every call. O(N) for a complete iteration, including enough command calls for the cursor to return back to 0. N is the number of elements inside the collection.",
        group: Group::Set,
        arity: Arity::AtLeast(3),
        flags: &[Flag::ReadOnly],
        keys: &[KeySpec::at(1, Access::Read)],
        args: &[
            Arg::key("key"),
            Arg::integer("cursor"),
            Arg::pattern("pattern").token("MATCH").optional(),
            Arg::integer("count").token("COUNT").optional(),
        ],
        run: Run::Read(sscan),
        tips: &["nondeterministic_output"],
        ..CommandSpec::BASE
    },
];

fn sismember(ctx: &mut ReadCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let is_member = read_set(ctx, argv[1])?.is_some_and(|set| set.contains(argv[2]));
    reply.int(i64::from(is_member));
    Ok(())
}

fn smismember(ctx: &mut ReadCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let set = read_set(ctx, argv[1])?;
    let members = &argv[2..];
    reply.array(members.len());
    for member in members {
        reply.int(i64::from(set.is_some_and(|set| set.contains(member))));
    }
    Ok(())
}

fn scard(ctx: &mut ReadCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    reply.len(read_set(ctx, argv[1])?.map_or(0, |set| set.len()));
    Ok(())
}

fn smembers(ctx: &mut ReadCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let Some(set) = read_set(ctx, argv[1])? else {
        reply.set(0);
        return Ok(());
    };
    reply.set(set.len());
    set.iter().for_each(|member| reply_element(member, reply));
    Ok(())
}

fn sscan(ctx: &mut ReadCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let cursor = scan::parse_cursor(argv[2])?;
    // A key that is absent is no occasion to read the options, as in Redis.
    let Some(set) = read_set(ctx, argv[1])? else {
        scan::reply_page(reply, 0, 0, &[]);
        return Ok(());
    };
    let options = ScanOptions::parse(Cursor::new(argv, 3), scan::Scanned::Members)?;
    let mut page = Vec::new();
    let mut items = 0;
    let mut writer = Reply::new(&mut page, reply.protocol());
    let mut digits = IntBuf::new();
    let next = set.scan(cursor, options.count, &mut |member| {
        if options.matches(member.text(&mut digits)) {
            items += 1;
            reply_element(member, &mut writer);
        }
    });
    scan::reply_page(reply, next, items, &page);
    Ok(())
}
