//! Which groups share a stream, and who is in them? XGROUP.

use super::{
    announce_consumer, find, no_group_of_key, parse_bound, parse_id, stream_at, stream_mut,
};
use crate::engine::args::{self, Cursor};
use crate::engine::ctx::{SessionCtx, WriteCtx};
use crate::engine::effects::EventClass;
use crate::engine::error::CommandError;
use crate::engine::spec::{
    Access, Arg, Argv, Arity, CommandSpec, Flag, Group, KeySpec, Outcome, Run,
};
use crate::keyspace::db::Slot;
use crate::keyspace::value::Value;
use crate::object::stream::{self, StreamId};
use crate::resp::reply::Reply;

const SUB: CommandSpec = CommandSpec { since: "5.0.0", group: Group::Stream, ..CommandSpec::BASE };

const ID_ARG: Arg = Arg::one_of("id-selector", &[Arg::string("id"), Arg::flag("new-id", "$")]);

/// The commands of this file.
pub const COMMANDS: &[CommandSpec] = &[CommandSpec {
    name: "XGROUP",
    summary: "A container for consumer groups commands.",
    complexity: "Depends on subcommand.",
    arity: Arity::AtLeast(2),
    subcommands: &[
        CommandSpec {
            name: "CREATE",
            summary: "Creates a consumer group.",
            arity: Arity::AtLeast(5),
            flags: &[Flag::Write, Flag::DenyOom],
            keys: &[KeySpec::at(2, Access::Insert)],
            args: &[
                Arg::key("key"),
                Arg::string("group"),
                ID_ARG,
                Arg::flag("mkstream", "MKSTREAM").optional(),
                Arg::integer("entries-read").token("ENTRIESREAD").optional(),
            ],
            run: Run::Write(create),
            history: &[("7.0.0", "Added the `entries_read` named argument.")],
            ..SUB
        },
        CommandSpec {
            name: "SETID",
            summary: "Sets the last-delivered ID of a consumer group.",
            arity: Arity::AtLeast(5),
            flags: &[Flag::Write],
            keys: &[KeySpec::at(2, Access::Update)],
            args: &[
                Arg::key("key"),
                Arg::string("group"),
                ID_ARG,
                Arg::integer("entriesread")
                    .shown_as("entries-read")
                    .token("ENTRIESREAD")
                    .optional(),
            ],
            run: Run::Write(setid),
            history: &[("7.0.0", "Added the optional `entries_read` argument.")],
            ..SUB
        },
        CommandSpec {
            name: "DESTROY",
            summary: "Destroys a consumer group.",
            complexity: "O(N) where N is the number of entries in the group's pending entries list (PEL).",
            arity: Arity::Exactly(4),
            flags: &[Flag::Write],
            keys: &[KeySpec::at(2, Access::Delete)],
            args: &[Arg::key("key"), Arg::string("group")],
            run: Run::Write(destroy),
            ..SUB
        },
        CommandSpec {
            name: "CREATECONSUMER",
            summary: "Creates a consumer in a consumer group.",
            since: "6.2.0",
            arity: Arity::Exactly(5),
            flags: &[Flag::Write, Flag::DenyOom],
            keys: &[KeySpec::at(2, Access::Insert)],
            args: &[Arg::key("key"), Arg::string("group"), Arg::string("consumer")],
            run: Run::Write(create_consumer),
            ..SUB
        },
        CommandSpec {
            name: "DELCONSUMER",
            summary: "Deletes a consumer from a consumer group.",
            arity: Arity::Exactly(5),
            flags: &[Flag::Write],
            keys: &[KeySpec::at(2, Access::Delete)],
            args: &[Arg::key("key"), Arg::string("group"), Arg::string("consumer")],
            run: Run::Write(delete_consumer),
            ..SUB
        },
        CommandSpec {
            name: "HELP",
            summary: "Returns helpful text about the different subcommands.",
            arity: Arity::Exactly(2),
            flags: &[Flag::Loading, Flag::Stale],
            run: Run::Session(help),
            ..SUB
        },
    ],
    ..SUB
}];

/// The most words of XGROUP CREATE, each of its options once.
const CREATE_WORDS_MAX: usize = 8;

/// A group with more pending entries is freed where it holds up nobody.
const FREED_AT_ONCE_MAX: usize = 1024;

fn help(_: &mut SessionCtx<'_>, _: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    crate::commands::reply_help(
        reply,
        "XGROUP",
        &[
            (
                "CREATE <key> <groupname> <id|$> [MKSTREAM] [ENTRIESREAD <count>]",
                "Create a group that reads on behind an ID; MKSTREAM creates a missing stream too.",
            ),
            ("CREATECONSUMER <key> <groupname> <consumer>", "Create a consumer in a group."),
            ("DELCONSUMER <key> <groupname> <consumer>", "Delete a consumer of a group."),
            ("DESTROY <key> <groupname>", "Delete a group."),
            (
                "SETID <key> <groupname> <id|$> [ENTRIESREAD <count>]",
                "Have a group read on behind another ID.",
            ),
        ],
    );
    Ok(())
}

/// What may stand behind the ID.
struct Options {
    make_stream: bool,
    entries_read: Option<i64>,
}

fn parse(argv: Argv<'_>, may_make_stream: bool) -> Result<Options, CommandError> {
    let mut options = Options { make_stream: false, entries_read: None };
    let mut rest = Cursor::new(argv, 5);
    while let Some(word) = rest.next() {
        if may_make_stream && args::is(word, "MKSTREAM") {
            options.make_stream = true;
        } else if args::is(word, "ENTRIESREAD") && rest.left() > 0 {
            options.entries_read = match rest.int()? {
                -1 => None,
                read @ 0.. => Some(read),
                _ => {
                    return Err(CommandError::text(
                        "ERR value for ENTRIESREAD must be positive or -1",
                    ));
                }
            };
        } else {
            return Err(wrong_arguments(argv));
        }
    }
    Ok(options)
}

/// The error of a subcommand that takes no such arguments.
pub(super) fn wrong_arguments(argv: Argv<'_>) -> CommandError {
    CommandError::owned(format!(
        "ERR unknown subcommand or wrong number of arguments for '{}'. Try {} HELP.",
        args::lossy(argv[1]),
        args::lossy(argv[0]).to_uppercase()
    ))
}

/// The error of a key that is missing.
const NO_KEY: CommandError = CommandError::text(
    "ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use the MKSTREAM option to create an empty stream automatically.",
);

/// Where a stream is that has the group.
fn find_group(ctx: &mut WriteCtx<'_>, argv: Argv<'_>) -> Result<Slot, CommandError> {
    let (key, group) = (argv[2], argv[3]);
    let slot = find(ctx, key)?.ok_or(NO_KEY)?;
    match stream_at(ctx, slot).groups.get(group) {
        Some(_) => Ok(slot),
        None => Err(no_group_of_key(key, group)),
    }
}

fn create(ctx: &mut WriteCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (key, name) = (argv[2], argv[3]);
    let options = parse(argv, true)?;
    let found = find(ctx, key)?;
    if found.is_none() && !options.make_stream {
        return Err(NO_KEY);
    }
    if argv.len() > CREATE_WORDS_MAX {
        return Err(wrong_arguments(argv));
    }
    let last_id = match argv[4] {
        b"$" => found.map_or(StreamId::MIN, |slot| stream_at(ctx, slot).log.last_id),
        id => parse_id(id, 0)?,
    };
    let slot = match found {
        Some(slot) => slot,
        None => ctx.insert(key, Value::Stream(Box::default()), None),
    };
    let group = stream::Group::new(last_id, options.entries_read);
    if !stream_mut(ctx, slot).groups.add(name, group) {
        return Err(CommandError::text("BUSYGROUP Consumer Group name already exists"));
    }
    ctx.count_changes(1);
    if found.is_none() {
        ctx.touch_watchers(key);
        ctx.created(key);
    }
    ctx.notify(EventClass::STREAM, "xgroup-create", key);
    reply.ok();
    Ok(())
}

fn setid(ctx: &mut WriteCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (key, name) = (argv[2], argv[3]);
    let options = parse(argv, false)?;
    let slot = find_group(ctx, argv)?;
    if !matches!(argv.len(), 5 | 7) {
        return Err(wrong_arguments(argv));
    }
    let last_id = match argv[4] {
        b"$" => stream_at(ctx, slot).log.last_id,
        id => parse_bound(id, 0)?,
    };
    if let Some(group) = stream_mut(ctx, slot).groups.get_mut(name) {
        group.last_id = last_id;
        group.entries_read = options.entries_read;
    }
    ctx.count_changes(1);
    ctx.notify(EventClass::STREAM, "xgroup-setid", key);
    reply.ok();
    Ok(())
}

fn destroy(ctx: &mut WriteCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (key, name) = (argv[2], argv[3]);
    let slot = find(ctx, key)?.ok_or(NO_KEY)?;
    if stream_at(ctx, slot).groups.get(name).is_none() {
        reply.int(0);
        return Ok(());
    }
    if let Some(group) = stream_mut(ctx, slot).groups.remove(name)
        && group.pending_len() > FREED_AT_ONCE_MAX
    {
        ctx.env.shared.host.free_later(Box::new(group), 1);
    }
    ctx.count_changes(1);
    ctx.notify(EventClass::STREAM, "xgroup-destroy", key);
    // Those who wait for entries of the group are told that it is gone.
    ctx.signal(key);
    reply.int(1);
    Ok(())
}

fn create_consumer(ctx: &mut WriteCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (key, name, consumer) = (argv[2], argv[3], argv[4]);
    let slot = find_group(ctx, argv)?;
    let now_ms = ctx.now_ms();
    let group = stream_at(ctx, slot).groups.get(name);
    let is_new = group.is_some_and(|group| group.find_consumer(consumer).is_none());
    if is_new {
        if let Some(group) = stream_mut(ctx, slot).groups.get_mut(name) {
            group.add_consumer(consumer, now_ms, None);
        }
        ctx.count_changes(1);
        announce_consumer(ctx, key);
    }
    reply.int(i64::from(is_new));
    Ok(())
}

fn delete_consumer(ctx: &mut WriteCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (key, name, consumer) = (argv[2], argv[3], argv[4]);
    let slot = find_group(ctx, argv)?;
    let group = stream_at(ctx, slot).groups.get(name);
    let mut pending = 0;
    if group.is_some_and(|group| group.find_consumer(consumer).is_some()) {
        if let Some(group) = stream_mut(ctx, slot).groups.get_mut(name) {
            pending = group.remove_consumer(consumer).unwrap_or(0);
        }
        ctx.count_changes(1);
        ctx.notify(EventClass::STREAM, "xgroup-delconsumer", key);
    }
    reply.len(pending);
    Ok(())
}
