//! How do entries go? XTRIM, XDEL; and the options of a trim, which XADD has too.

use super::{find, parse_id, parse_ids, stream_at, stream_mut};
use crate::base::number::{IntBuf, parse_u64};
use crate::config::params::Param;
use crate::engine::args;
use crate::engine::ctx::WriteCtx;
use crate::engine::effects::EventClass;
use crate::engine::error::CommandError;
use crate::engine::spec::{
    Access, Arg, Argv, Arity, CommandSpec, Flag, Group, KeySpec, Outcome, Run,
};
use crate::keyspace::db::Slot;
use crate::object::stream::{NewId, StreamId, Trim, TrimTo};
use crate::resp::reply::Reply;

/// A trim in the documentation.
pub(super) const TRIM_ARGS: &[Arg] = &[
    Arg::one_of(
        "strategy",
        &[Arg::flag("maxlen", "MAXLEN"), Arg::flag("minid", "MINID").since("6.2.0")],
    ),
    Arg::one_of("operator", &[Arg::flag("equal", "="), Arg::flag("approximately", "~")]).optional(),
    Arg::string("threshold"),
    Arg::integer("count").token("LIMIT").optional().since("6.2.0"),
];

/// The commands of this file.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "XTRIM",
        summary: "Deletes messages from the beginning of a stream.",
        since: "5.0.0",
        complexity: "O(N), with N being the number of evicted entries. Constant times are very small however, since entries are organized in macro nodes containing multiple entries that can be released with a single deallocation.",
        group: Group::Stream,
        arity: Arity::AtLeast(4),
        flags: &[Flag::Write],
        keys: &[KeySpec::at(1, Access::Delete)],
        args: &[Arg::key("key"), Arg::block("trim", TRIM_ARGS)],
        run: Run::Write(xtrim),
        history: &[("6.2.0", "Added the `MINID` trimming strategy and the `LIMIT` option.")],
        tips: &["nondeterministic_output"],
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "XDEL",
        summary: "Returns the number of messages after removing them from a stream.",
        since: "5.0.0",
        complexity: "O(1) for each single item to delete in the stream, regardless of the stream size.",
        group: Group::Stream,
        arity: Arity::AtLeast(3),
        flags: &[Flag::Write, Flag::Fast],
        keys: &[KeySpec::at(1, Access::Delete)],
        args: &[Arg::key("key"), Arg::string("ID").multiple()],
        run: Run::Write(xdel),
        ..CommandSpec::BASE
    },
];

/// Nodes that an approximate trim without LIMIT goes through at most.
const TRIMMED_NODES_MAX: i64 = 100;
/// The bounds of the entries that these have.
const TRIMMED_MIN: i64 = 10_000;
const TRIMMED_MAX: i64 = 1_000_000;

/// A trim and where its threshold stands in argv.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TrimArg {
    pub trim: Trim,
    pub threshold_at: usize,
}

/// What stands between the key and the fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Options {
    pub trim: Option<TrimArg>,
    /// XADD: do not make a stream.
    pub no_mkstream: bool,
    /// XADD: the ID.
    pub id: NewId,
    /// XADD: where the ID stands in argv; XTRIM: behind the end.
    pub id_at: usize,
}

/// Who parses options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Caller {
    Xadd,
    Xtrim,
}

/// Parses what stands behind the key.
pub(super) fn parse(
    ctx: &WriteCtx<'_>,
    argv: Argv<'_>,
    caller: Caller,
) -> Result<Options, CommandError> {
    let mut options =
        Options { trim: None, no_mkstream: false, id: NewId::Auto, id_at: argv.len() };
    let mut limit = None;
    let mut at = 2;
    while let Some(arg) = argv.get(at) {
        let has_value = at + 1 < argv.len();
        if caller == Caller::Xadd && *arg == b"*" {
            options.id_at = at;
            break;
        } else if has_value && (args::is(arg, "MAXLEN") || args::is(arg, "MINID")) {
            if options.trim.is_some() {
                return Err(CommandError::text(
                    "ERR syntax error, MAXLEN and MINID options at the same time are not compatible",
                ));
            }
            let trim = parse_trim(argv, at)?;
            at = trim.threshold_at;
            options.trim = Some(trim);
        } else if has_value && args::is(arg, "LIMIT") {
            at += 1;
            limit = Some(parse_not_negative(argv[at], "LIMIT")?);
        } else if caller == Caller::Xtrim {
            return Err(CommandError::Syntax);
        } else if args::is(arg, "NOMKSTREAM") {
            options.no_mkstream = true;
        } else {
            options.id = parse_new_id(arg)?;
            options.id_at = at;
            break;
        }
        at += 1;
    }
    set_limit(ctx, &mut options, limit, caller)?;
    Ok(options)
}

/// `MAXLEN` or `MINID`, which stands at `at`, with what belongs to it.
fn parse_trim(argv: Argv<'_>, at: usize) -> Result<TrimArg, CommandError> {
    // A mark is one only if a threshold follows it.
    let mark = if at + 2 < argv.len() { argv[at + 1] } else { b"" };
    let approximate = mark == b"~";
    let threshold_at = at + 1 + usize::from(approximate || mark == b"=");
    let threshold = argv[threshold_at];
    let to = if args::is(argv[at], "MAXLEN") {
        TrimTo::Length(parse_not_negative(threshold, "MAXLEN")?)
    } else {
        TrimTo::MinId(parse_id(threshold, 0)?)
    };
    Ok(TrimArg { trim: Trim { to, approximate, limit: None }, threshold_at })
}

fn parse_not_negative(arg: &[u8], name: &str) -> Result<u64, CommandError> {
    u64::try_from(args::int(arg)?)
        .map_err(|_| CommandError::owned(format!("ERR The {name} argument must be >= 0.")))
}

/// The ID of a new entry, which may leave its number open.
fn parse_new_id(arg: &[u8]) -> Result<NewId, CommandError> {
    match arg.strip_suffix(b"-*") {
        Some(ms) => parse_u64(ms).map(NewId::Within).ok_or(super::INVALID_ID),
        None => Ok(NewId::Exact(parse_id(arg, 0)?)),
    }
}

/// Puts the limit into the trim, if they go together.
fn set_limit(
    ctx: &WriteCtx<'_>,
    options: &mut Options,
    limit: Option<u64>,
    caller: Caller,
) -> Result<(), CommandError> {
    let trim = options.trim.as_mut().map(|arg| &mut arg.trim);
    if trim.is_none() {
        if limit.is_some_and(|limit| limit > 0) {
            return Err(CommandError::text(
                "ERR syntax error, LIMIT cannot be used without specifying a trimming strategy",
            ));
        }
        if caller == Caller::Xtrim {
            return Err(CommandError::text(
                "ERR syntax error, XTRIM must be called with a trimming strategy",
            ));
        }
    }
    // What comes from the effect log says what became of the trim, beside the limit that it had.
    if ctx.env.client.is_none() {
        return Ok(());
    }
    let approximate = trim.as_ref().is_some_and(|trim| trim.approximate);
    if limit.is_some() && !approximate {
        return Err(CommandError::text(
            "ERR syntax error, LIMIT cannot be used without the special ~ option",
        ));
    }
    if let Some(trim) = trim.filter(|trim| trim.approximate) {
        let entries_max = ctx.config().int(Param::StreamNodeMaxEntries);
        trim.limit = Some(limit.unwrap_or(default_limit(entries_max))).filter(|limit| *limit > 0);
    }
    Ok(())
}

fn default_limit(node_entries_max: i64) -> u64 {
    match node_entries_max.saturating_mul(TRIMMED_NODES_MAX) {
        ..=0 => TRIMMED_MIN.unsigned_abs(),
        entries => entries.min(TRIMMED_MAX).unsigned_abs(),
    }
}

/// Says what an approximate trim has left, as an exact one that leaves the same: in the arguments that
/// are propagated. `text` holds the threshold.
pub(super) fn rewrite_trim<'a>(
    ctx: &WriteCtx<'_>,
    slot: Slot,
    arg: TrimArg,
    argv: &mut [&'a [u8]],
    text: &'a mut Vec<u8>,
) {
    let log = &stream_at(ctx, slot).log;
    match arg.trim.to {
        TrimTo::Length(_) => text.extend_from_slice(IntBuf::new().u64(log.len())),
        TrimTo::MinId(_) => {
            let first = log.first_stored_id().unwrap_or(StreamId::MAX);
            text.extend_from_slice(first.text().as_bytes());
        }
    }
    argv[arg.threshold_at - 1] = b"=";
    argv[arg.threshold_at] = text;
}

fn xtrim(ctx: &mut WriteCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let key = argv[1];
    let options = parse(ctx, argv, Caller::Xtrim)?;
    let (Some(slot), Some(arg)) = (find(ctx, key)?, options.trim) else {
        reply.int(0);
        return Ok(());
    };
    let trimmed = stream_mut(ctx, slot).log.trim(&arg.trim);
    if trimmed > 0 {
        if arg.trim.approximate && ctx.log_active() {
            let mut text = Vec::new();
            let mut exact = argv.to_vec();
            rewrite_trim(ctx, slot, arg, &mut exact, &mut text);
            ctx.propagate_as(&exact);
        }
        ctx.changed(key);
        ctx.count_changes(trimmed - 1);
        ctx.notify(EventClass::STREAM, "xtrim", key);
    }
    reply.int(trimmed.cast_signed());
    Ok(())
}

fn xdel(ctx: &mut WriteCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let key = argv[1];
    let Some(slot) = find(ctx, key)? else {
        reply.int(0);
        return Ok(());
    };
    let ids = parse_ids(&argv[2..])?;
    let deleted = stream_mut(ctx, slot).log.delete(&ids);
    if deleted > 0 {
        ctx.changed(key);
        ctx.count_changes(deleted - 1);
        ctx.notify(EventClass::STREAM, "xdel", key);
    }
    reply.int(deleted.cast_signed());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_an_id_may_be_left_open() {
        assert_eq!(parse_new_id(b"5-*"), Ok(NewId::Within(5)));
        assert_eq!(parse_new_id(b"5-1"), Ok(NewId::Exact(StreamId::new(5, 1))));
        assert_eq!(parse_new_id(b"5"), Ok(NewId::Exact(StreamId::new(5, 0))));
        for wrong in [&b"-*"[..], b"*-*", b"5-**", b"5*", b"-", b"+", b"5-5-*"] {
            assert_eq!(parse_new_id(wrong), Err(super::super::INVALID_ID));
        }
    }

    #[test]
    fn an_approximate_trim_has_a_limit() {
        assert_eq!(default_limit(100), 10_000);
        assert_eq!(default_limit(0), 10_000);
        assert_eq!(default_limit(1), 100);
        assert_eq!(default_limit(i64::MAX), 1_000_000);
    }
}
