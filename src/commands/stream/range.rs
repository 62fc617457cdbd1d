//! Which entries are there? XLEN, XRANGE and XREVRANGE.

use super::{parse_count, parse_end, parse_start, read, reply_entries};
use crate::engine::args::{self, Cursor};
use crate::engine::ctx::ReadCtx;
use crate::engine::error::CommandError;
use crate::engine::spec::{
    Access, Arg, Argv, Arity, CommandSpec, Flag, Group, KeySpec, Outcome, Run,
};
use crate::object::stream::StreamId;
use crate::resp::reply::Reply;

/// The commands of this file.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "XLEN",
        summary: "Return the number of messages in a stream.",
        since: "5.0.0",
        complexity: "O(1)",
        group: Group::Stream,
        arity: Arity::Exactly(2),
        flags: &[Flag::ReadOnly, Flag::Fast],
        keys: &[KeySpec::at(1, Access::Peek)],
        args: &[Arg::key("key")],
        run: Run::Read(xlen),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "XRANGE",
        summary: "Returns the messages from a stream within a range of IDs.",
        since: "5.0.0",
        complexity: "O(N) with N being the number of elements being returned. If N is constant (e.g. always asking for the first 10 elements with COUNT), you can consider it O(1).",
        group: Group::Stream,
        arity: Arity::AtLeast(4),
        flags: &[Flag::ReadOnly],
        keys: &[KeySpec::at(1, Access::Read)],
        args: &[
            Arg::key("key"),
            Arg::string("start"),
            Arg::string("end"),
            Arg::integer("count").token("COUNT").optional(),
        ],
        run: Run::Read(xrange),
        history: &[("6.2.0", "Added exclusive ranges.")],
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "XREVRANGE",
        summary: "Returns the messages from a stream within a range of IDs in reverse order.",
        since: "5.0.0",
        complexity: "O(N) with N being the number of elements returned. If N is constant (e.g. always asking for the first 10 elements with COUNT), you can consider it O(1).",
        group: Group::Stream,
        arity: Arity::AtLeast(4),
        flags: &[Flag::ReadOnly],
        keys: &[KeySpec::at(1, Access::Read)],
        args: &[
            Arg::key("key"),
            Arg::string("end"),
            Arg::string("start"),
            Arg::integer("count").token("COUNT").optional(),
        ],
        run: Run::Read(xrevrange),
        history: &[("6.2.0", "Added exclusive ranges.")],
        ..CommandSpec::BASE
    },
];

fn xlen(ctx: &mut ReadCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    reply.len(read(ctx, argv[1])?.map_or(0, |stream| stream.len()));
    Ok(())
}

/// A range of ids.
struct Bounds {
    start: StreamId,
    end: StreamId,
    /// None for a count that asks for nothing.
    count: Option<usize>,
}

fn parse(argv: Argv<'_>, start: &[u8], end: &[u8]) -> Result<Bounds, CommandError> {
    let (start, end) = (parse_start(start)?, parse_end(end)?);
    let mut bounds = Bounds { start, end, count: Some(usize::MAX) };
    let mut rest = Cursor::new(argv, 4);
    while let Some(word) = rest.next() {
        if !args::is(word, "COUNT") {
            return Err(CommandError::Syntax);
        }
        let count = rest.int()?;
        bounds.count = (count > 0).then_some(parse_count(count));
    }
    Ok(bounds)
}

fn xrange(ctx: &mut ReadCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let bounds = parse(argv, argv[2], argv[3])?;
    match (read(ctx, argv[1])?, bounds.count) {
        (None, _) => reply.array(0),
        (Some(_), None) => reply.null_array(),
        (Some(stream), Some(count)) => {
            reply_entries(stream.log.range(bounds.start, bounds.end).take(count), reply);
        }
    }
    Ok(())
}

fn xrevrange(ctx: &mut ReadCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let bounds = parse(argv, argv[3], argv[2])?;
    match (read(ctx, argv[1])?, bounds.count) {
        (None, _) => reply.array(0),
        (Some(_), None) => reply.null_array(),
        (Some(stream), Some(count)) => {
            reply_entries(stream.log.range_back(bounds.start, bounds.end).take(count), reply);
        }
    }
    Ok(())
}
