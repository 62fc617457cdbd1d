//! What is known about a stream, its groups and their consumers? XINFO.

use super::group::wrong_arguments;
use super::{no_group_of_key, read, reply_entries, reply_entry, reply_id};
use crate::engine::args;
use crate::engine::ctx::{ReadCtx, SessionCtx};
use crate::engine::error::CommandError;
use crate::engine::spec::{
    Access, Arg, Argv, Arity, CommandSpec, Flag, Group, KeySpec, Outcome, Run,
};
use crate::object::stream::{self, Consumer, Entry, Stream, StreamId};
use crate::resp::reply::Reply;

const SUB: CommandSpec = CommandSpec {
    since: "5.0.0",
    group: Group::Stream,
    flags: &[Flag::ReadOnly],
    keys: &[KeySpec::at(2, Access::Read)],
    ..CommandSpec::BASE
};

/// The commands of this file.
pub const COMMANDS: &[CommandSpec] = &[CommandSpec {
    name: "XINFO",
    summary: "A container for stream introspection commands.",
    since: "5.0.0",
    complexity: "Depends on subcommand.",
    group: Group::Stream,
    arity: Arity::AtLeast(2),
    subcommands: &[
        CommandSpec {
            name: "STREAM",
            summary: "Returns information about a stream.",
            arity: Arity::AtLeast(3),
            args: &[
                Arg::key("key"),
                Arg::block(
                    "full-block",
                    &[Arg::flag("full", "FULL"), Arg::integer("count").token("COUNT").optional()],
                )
                .optional(),
            ],
            run: Run::Read(info_stream),
            history: &[
                ("6.0.0", "Added the `FULL` modifier."),
                (
                    "7.0.0",
                    "Added the `max-deleted-entry-id`, `entries-added`, `recorded-first-entry-id`, `entries-read` and `lag` fields",
                ),
                ("7.2.0", "Added the `active-time` field, and changed the meaning of `seen-time`."),
            ],
            ..SUB
        },
        CommandSpec {
            name: "GROUPS",
            summary: "Returns a list of the consumer groups of a stream.",
            arity: Arity::Exactly(3),
            args: &[Arg::key("key")],
            run: Run::Read(info_groups),
            history: &[("7.0.0", "Added the `entries-read` and `lag` fields")],
            ..SUB
        },
        CommandSpec {
            name: "CONSUMERS",
            summary: "Returns a list of the consumers in a consumer group.",
            arity: Arity::Exactly(4),
            args: &[Arg::key("key"), Arg::string("group")],
            run: Run::Read(info_consumers),
            history: &[("7.2.0", "Added the `inactive` field.")],
            tips: &["nondeterministic_output"],
            ..SUB
        },
        CommandSpec {
            name: "HELP",
            summary: "Returns helpful text about the different subcommands.",
            arity: Arity::Exactly(2),
            flags: &[Flag::Loading, Flag::Stale],
            keys: &[],
            run: Run::Session(help),
            ..SUB
        },
    ],
    ..CommandSpec::BASE
}];

fn help(_: &mut SessionCtx<'_>, _: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    crate::commands::reply_help(
        reply,
        "XINFO",
        &[
            ("CONSUMERS <key> <groupname>", "Show the consumers of a group."),
            ("GROUPS <key>", "Show the groups of a stream."),
            ("STREAM <key> [FULL [COUNT <count>]]", "Show what is known about a stream."),
        ],
    );
    Ok(())
}

fn stream_of<'a>(ctx: &mut ReadCtx<'a>, key: &[u8]) -> Result<&'a Stream, CommandError> {
    read(ctx, key)?.ok_or(CommandError::NoSuchKey)
}

/// Entries and pending entries that `FULL` shows unless `COUNT` says otherwise.
const SHOWN_DEFAULT: usize = 10;

/// How much of each list to show, if `FULL` asks for that.
fn parse_full(argv: Argv<'_>) -> Result<Option<usize>, CommandError> {
    match &argv[3..] {
        [] => Ok(None),
        [full] if args::is(full, "FULL") => Ok(Some(SHOWN_DEFAULT)),
        [full, word, count] if args::is(full, "FULL") && args::is(word, "COUNT") => {
            Ok(Some(match args::int(count)? {
                i64::MIN..=-1 => SHOWN_DEFAULT,
                0 => usize::MAX,
                count => usize::try_from(count).unwrap_or(usize::MAX),
            }))
        }
        _ => Err(wrong_arguments(argv)),
    }
}

fn info_stream(ctx: &mut ReadCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let stream = stream_of(ctx, argv[2])?;
    let full = parse_full(argv)?;
    reply.map(if full.is_some() { 9 } else { 10 });
    reply_figures(stream, reply);
    match full {
        None => {
            reply.bulk(b"groups");
            reply.len(stream.groups.len());
            reply.bulk(b"first-entry");
            reply_edge(stream.log.range(StreamId::MIN, StreamId::MAX).next(), reply);
            reply.bulk(b"last-entry");
            reply_edge(stream.log.range_back(StreamId::MIN, StreamId::MAX).next(), reply);
        }
        Some(shown) => {
            reply.bulk(b"entries");
            reply_entries(stream.log.range(StreamId::MIN, StreamId::MAX).take(shown), reply);
            reply.bulk(b"groups");
            reply.array(stream.groups.len());
            for (name, group) in stream.groups.iter() {
                reply_full_group(stream, name, group, shown, reply);
            }
        }
    }
    Ok(())
}

/// The first or the last entry.
fn reply_edge(entry: Option<Entry<'_>>, reply: &mut Reply<'_>) {
    match entry {
        Some(entry) => reply_entry(entry, reply),
        None => reply.null(),
    }
}

/// What both forms of XINFO STREAM begin with. The tree is not Redis's, so the number of its nodes is what
/// a tree of that many keys has at least there.
fn reply_figures(stream: &Stream, reply: &mut Reply<'_>) {
    let log = &stream.log;
    reply.bulk(b"length");
    reply.len(stream.len());
    reply.bulk(b"radix-tree-keys");
    reply.len(log.node_count());
    reply.bulk(b"radix-tree-nodes");
    reply.len(log.node_count() + 1);
    reply.bulk(b"last-generated-id");
    reply_id(log.last_id, reply);
    reply.bulk(b"max-deleted-entry-id");
    reply_id(log.max_deleted_id, reply);
    reply.bulk(b"entries-added");
    reply.int(log.entries_added.cast_signed());
    reply.bulk(b"recorded-first-entry-id");
    reply_id(log.first_id(), reply);
}

fn reply_known(number: Option<i64>, reply: &mut Reply<'_>) {
    match number {
        Some(number) => reply.int(number),
        None => reply.null(),
    }
}

fn reply_full_group(
    stream: &Stream,
    name: &[u8],
    group: &stream::Group,
    shown: usize,
    reply: &mut Reply<'_>,
) {
    reply.map(7);
    reply.bulk(b"name");
    reply.bulk(name);
    reply.bulk(b"last-delivered-id");
    reply_id(group.last_id, reply);
    reply.bulk(b"entries-read");
    reply_known(group.entries_read, reply);
    reply.bulk(b"lag");
    reply_known(stream.lag(group), reply);
    reply.bulk(b"pel-count");
    reply.len(group.pending_len());
    reply.bulk(b"pending");
    reply.array(group.pending_len().min(shown));
    for (id, pending) in group.pending_from(StreamId::MIN).take(shown) {
        reply.array(4);
        reply_id(id, reply);
        reply.bulk(group.owner_name(*pending));
        reply.int(pending.delivered_ms);
        reply.int(pending.count.cast_signed());
    }
    reply.bulk(b"consumers");
    reply.array(group.consumer_count());
    for consumer in group.consumers() {
        reply_full_consumer(group, consumer, shown, reply);
    }
}

fn reply_full_consumer(
    group: &stream::Group,
    consumer: &Consumer,
    shown: usize,
    reply: &mut Reply<'_>,
) {
    reply.map(5);
    reply.bulk(b"name");
    reply.bulk(consumer.name());
    reply.bulk(b"seen-time");
    reply.int(consumer.seen_ms);
    reply.bulk(b"active-time");
    reply.int(consumer.active_ms.unwrap_or(-1));
    reply.bulk(b"pel-count");
    reply.len(consumer.pending_len());
    reply.bulk(b"pending");
    reply.array(consumer.pending_len().min(shown));
    for id in consumer.pending_from(StreamId::MIN).take(shown) {
        let pending = group.pending(id);
        reply.array(3);
        reply_id(id, reply);
        reply.int(pending.map_or(0, |pending| pending.delivered_ms));
        reply.int(pending.map_or(0, |pending| pending.count.cast_signed()));
    }
}

fn info_groups(ctx: &mut ReadCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let stream = stream_of(ctx, argv[2])?;
    reply.array(stream.groups.len());
    for (name, group) in stream.groups.iter() {
        reply.map(6);
        reply.bulk(b"name");
        reply.bulk(name);
        reply.bulk(b"consumers");
        reply.len(group.consumer_count());
        reply.bulk(b"pending");
        reply.len(group.pending_len());
        reply.bulk(b"last-delivered-id");
        reply_id(group.last_id, reply);
        reply.bulk(b"entries-read");
        reply_known(group.entries_read, reply);
        reply.bulk(b"lag");
        reply_known(stream.lag(group), reply);
    }
    Ok(())
}

fn info_consumers(ctx: &mut ReadCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (key, name) = (argv[2], argv[3]);
    let stream = stream_of(ctx, key)?;
    let group = stream.groups.get(name).ok_or_else(|| no_group_of_key(key, name))?;
    let now_ms = ctx.now_ms();
    reply.array(group.consumer_count());
    for consumer in group.consumers() {
        reply.map(4);
        reply.bulk(b"name");
        reply.bulk(consumer.name());
        reply.bulk(b"pending");
        reply.len(consumer.pending_len());
        reply.bulk(b"idle");
        reply.int(now_ms.wrapping_sub(consumer.seen_ms).max(0));
        reply.bulk(b"inactive");
        reply.int(consumer.active_ms.map_or(-1, |active_ms| now_ms.wrapping_sub(active_ms)));
    }
    Ok(())
}
