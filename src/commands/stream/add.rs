//! How do entries come? XADD; and XSETID, which says what came before.

use super::trim::{self, Caller, Options, TRIM_ARGS, TrimArg};
use super::{find, id_time, parse_id, reply_id, stream_at, stream_mut};
use crate::engine::args::{self, Cursor};
use crate::engine::ctx::WriteCtx;
use crate::engine::effects::EventClass;
use crate::engine::error::CommandError;
use crate::engine::spec::{
    Access, Arg, Argv, Arity, CommandSpec, Flag, Group, KeySpec, Outcome, Run,
};
use crate::keyspace::db::Slot;
use crate::keyspace::value::{Value, ValueMut};
use crate::object::stream::{AddError, Log, NewId, Pairs, StreamId, is_storable};
use crate::resp::reply::Reply;

/// The commands of this file.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "XADD",
        summary: "Appends a new message to a stream. Creates the key if it doesn't exist.",
        since: "5.0.0",
        complexity: "O(1) when adding a new entry, O(N) when trimming where N being the number of entries evicted.",
        group: Group::Stream,
        arity: Arity::AtLeast(5),
        flags: &[Flag::Write, Flag::DenyOom, Flag::Fast],
        keys: &[KeySpec::at(1, Access::Update)
            .note("UPDATE instead of INSERT because of the optional trimming feature")],
        args: &[
            Arg::key("key"),
            Arg::flag("nomkstream", "NOMKSTREAM").optional().since("6.2.0"),
            Arg::block("trim", TRIM_ARGS).optional(),
            Arg::one_of("id-selector", &[Arg::flag("auto-id", "*"), Arg::string("id")]),
            Arg::block("data", &[Arg::string("field"), Arg::string("value")]).multiple(),
        ],
        run: Run::Write(xadd),
        history: &[
            (
                "6.2.0",
                "Added the `NOMKSTREAM` option, `MINID` trimming strategy and the `LIMIT` option.",
            ),
            ("7.0.0", "Added support for the `<ms>-*` explicit ID form."),
        ],
        tips: &["nondeterministic_output"],
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "XSETID",
        summary: "An internal command for replicating stream values.",
        since: "5.0.0",
        complexity: "O(1)",
        group: Group::Stream,
        arity: Arity::AtLeast(3),
        flags: &[Flag::Write, Flag::DenyOom, Flag::Fast],
        keys: &[KeySpec::at(1, Access::Update)],
        args: &[
            Arg::key("key"),
            Arg::string("last-id"),
            Arg::integer("entries-added").token("ENTRIESADDED").optional().since("7.0.0"),
            Arg::string("max-deleted-id").token("MAXDELETEDID").optional().since("7.0.0"),
        ],
        run: Run::Write(xsetid),
        history: &[("7.0.0", "Added the `entries_added` and `max_deleted_entry_id` arguments.")],
        ..CommandSpec::BASE
    },
];

fn add_error(error: AddError) -> CommandError {
    CommandError::text(match error {
        AddError::Exhausted => {
            "ERR The stream has exhausted the last possible ID, unable to add more items"
        }
        AddError::NotBehind => {
            "ERR The ID specified in XADD is equal or smaller than the target stream top item"
        }
        AddError::TooLarge => "ERR Elements are too large to be stored",
    })
}

fn xadd(ctx: &mut WriteCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let key = argv[1];
    let options = trim::parse(ctx, argv, Caller::Xadd)?;
    let arity = || CommandError::Arity("xadd".to_owned());
    let fields = argv.get(options.id_at + 1..).filter(|fields| !fields.is_empty());
    let (pairs, []) = fields.ok_or_else(arity)?.as_chunks::<2>() else { return Err(arity()) };
    if options.id == NewId::Exact(StreamId::MIN) {
        return Err(CommandError::text("ERR The ID specified in XADD must be greater than 0-0"));
    }

    let (now, limits) = (id_time(ctx.now_ms()), ctx.node_limits());
    let found = ctx.find(key);
    let slot = match found {
        Some(slot) => slot,
        None if options.no_mkstream => {
            reply.null();
            return Ok(());
        }
        None => {
            // Asked of no stream, so that an error makes none.
            next_id(&Log::default(), &options, pairs, now)?;
            ctx.insert(key, Value::Stream(Box::default()), None)
        }
    };
    let ValueMut::Stream(stream) = ctx.db_mut().value_mut(slot) else {
        return Err(CommandError::WrongType);
    };
    let id = next_id(&stream.log, &options, pairs, now)?;
    stream.log.append(id, pairs, limits).map_err(add_error)?;
    let trimmed = options.trim.map_or(0, |arg| stream.log.trim(&arg.trim));
    propagate(ctx, slot, argv, &options, id);
    ctx.changed(key);
    if found.is_none() {
        ctx.created(key);
    }
    ctx.notify(EventClass::STREAM, "xadd", key);
    if trimmed > 0 {
        ctx.notify(EventClass::STREAM, "xtrim", key);
    }
    ctx.signal(key);

    reply_id(id, reply);
    Ok(())
}

/// The ID that the entry gets, if it can be added.
#[inline]
fn next_id(
    log: &Log,
    options: &Options,
    pairs: Pairs<'_>,
    now: u64,
) -> Result<StreamId, CommandError> {
    let id = log.next_id(options.id, now).map_err(add_error)?;
    if is_storable(pairs) { Ok(id) } else { Err(add_error(AddError::TooLarge)) }
}

/// Propagates the command with the ID that was chosen and with what the trim has left.
fn propagate(ctx: &mut WriteCtx<'_>, slot: Slot, argv: Argv<'_>, options: &Options, id: StreamId) {
    let approximate = options.trim.filter(|arg: &TrimArg| arg.trim.approximate);
    let is_exact = matches!(options.id, NewId::Exact(_)) && approximate.is_none();
    if is_exact || !ctx.log_active() {
        return;
    }
    let (id, mut threshold) = (id.text(), Vec::new());
    let mut exact = argv.to_vec();
    if !matches!(options.id, NewId::Exact(_)) {
        exact[options.id_at] = id.as_bytes();
    }
    if let Some(arg) = approximate {
        trim::rewrite_trim(ctx, slot, arg, &mut exact, &mut threshold);
    }
    ctx.propagate_as(&exact);
}

/// What XSETID sets.
struct Setid {
    last_id: StreamId,
    entries_added: Option<u64>,
    max_deleted_id: StreamId,
}

fn parse_setid(argv: Argv<'_>) -> Result<Setid, CommandError> {
    let last_id = parse_id(argv[2], 0)?;
    let mut setid = Setid { last_id, entries_added: None, max_deleted_id: StreamId::MIN };
    let mut rest = Cursor::new(argv, 3);
    while let Some(word) = rest.next() {
        if rest.left() == 0 {
            return Err(CommandError::Syntax);
        } else if args::is(word, "ENTRIESADDED") {
            let added = u64::try_from(rest.int()?);
            let added =
                added.map_err(|_| CommandError::text("ERR entries_added must be positive"))?;
            setid.entries_added = Some(added);
        } else if args::is(word, "MAXDELETEDID") {
            setid.max_deleted_id = parse_id(rest.value()?, 0)?;
            if last_id < setid.max_deleted_id {
                return Err(CommandError::text(
                    "ERR The ID specified in XSETID is smaller than the provided max_deleted_entry_id",
                ));
            }
        } else {
            return Err(CommandError::Syntax);
        }
    }
    Ok(setid)
}

fn xsetid(ctx: &mut WriteCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let setid = parse_setid(argv)?;
    let slot = find(ctx, argv[1])?.ok_or(CommandError::NoSuchKey)?;
    let log = &stream_at(ctx, slot).log;
    if setid.last_id < log.max_deleted_id {
        return Err(CommandError::text(
            "ERR The ID specified in XSETID is smaller than current max_deleted_entry_id",
        ));
    }
    if log.last_entry_id().is_some_and(|last| setid.last_id < last) {
        return Err(CommandError::text(
            "ERR The ID specified in XSETID is smaller than the target stream top item",
        ));
    }
    if !log.is_empty() && setid.entries_added.is_some_and(|added| log.len() > added) {
        return Err(CommandError::text(
            "ERR The entries_added specified in XSETID is smaller than the target stream length",
        ));
    }
    let log = &mut stream_mut(ctx, slot).log;
    log.last_id = setid.last_id;
    if let Some(added) = setid.entries_added {
        log.entries_added = added;
    }
    if setid.max_deleted_id != StreamId::MIN {
        log.max_deleted_id = setid.max_deleted_id;
    }
    ctx.count_changes(1);
    ctx.notify(EventClass::STREAM, "xsetid", argv[1]);
    reply.ok();
    Ok(())
}
