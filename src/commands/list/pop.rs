//! How are elements taken out of a list? At its ends, by those who find some or by those who wait for
//! them.

use super::{announce_loss, find, list_mut, parse_end, pop_event, reply_element, settle};
use crate::base::number::IntBuf;
use crate::engine::args::{self, Cursor};
use crate::engine::block::Wanted;
use crate::engine::ctx::WriteCtx;
use crate::engine::error::CommandError;
use crate::engine::spec::{
    Access, Arg, Argv, Arity, CommandSpec, Flag, Group, KeySpec, Outcome, Run,
};
use crate::keyspace::db::Slot;
use crate::keyspace::value::ValueKind;
use crate::object::list::End;
use crate::resp::reply::{Protocol, Reply};

const POP: CommandSpec = CommandSpec {
    since: "1.0.0",
    complexity: "O(N) where N is the number of elements returned",
    group: Group::List,
    arity: Arity::AtLeast(2),
    flags: &[Flag::Write, Flag::Fast],
    keys: &[KeySpec::at(1, Access::ReadDelete)],
    args: &[Arg::key("key"), Arg::integer("count").optional().since("6.2.0")],
    history: &[("6.2.0", "Added the `count` argument.")],
    ..CommandSpec::BASE
};

const BLOCKING_POP: CommandSpec = CommandSpec {
    since: "2.0.0",
    complexity: "O(N) where N is the number of provided keys.",
    group: Group::List,
    arity: Arity::AtLeast(3),
    flags: &[Flag::Write, Flag::Blocking],
    keys: &[KeySpec::range(1, -2, 1, Access::ReadDelete)],
    args: &[Arg::key("key").multiple(), Arg::double("timeout")],
    history: &[("6.0.0", "`timeout` is interpreted as a double instead of an integer.")],
    ..CommandSpec::BASE
};

const WHERE: Arg = Arg::one_of("where", &[Arg::flag("left", "LEFT"), Arg::flag("right", "RIGHT")]);

/// The commands of this file.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "LPOP",
        summary: "Returns the first elements in a list after removing it. Deletes the list if the last element was popped.",
        run: Run::Write(lpop),
        ..POP
    },
    CommandSpec {
        name: "RPOP",
        summary: "Returns and removes the last elements of a list. Deletes the list if the last element was popped.",
        run: Run::Write(rpop),
        ..POP
    },
    CommandSpec {
        name: "LMPOP",
        summary: "Returns multiple elements from a list after removing them. Deletes the list if the last element was popped.",
        since: "7.0.0",
        complexity: "O(N+M) where N is the number of provided keys and M is the number of elements returned.",
        group: Group::List,
        arity: Arity::AtLeast(4),
        flags: &[Flag::Write],
        keys: &[KeySpec::counted(1, Access::ReadDelete)],
        args: &[
            Arg::integer("numkeys"),
            Arg::key("key").multiple(),
            WHERE,
            Arg::integer("count").token("COUNT").optional(),
        ],
        run: Run::Write(lmpop),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "BLPOP",
        summary: "Removes and returns the first element in a list. Blocks until an element is available otherwise. Deletes the list if the last element was popped.",
        run: Run::Write(blpop),
        ..BLOCKING_POP
    },
    CommandSpec {
        name: "BRPOP",
        summary: "Removes and returns the last element in a list. Blocks until an element is available otherwise. Deletes the list if the last element was popped.",
        run: Run::Write(brpop),
        ..BLOCKING_POP
    },
    CommandSpec {
        name: "BLMPOP",
        summary: "Pops the first element from one of multiple lists. Blocks until an element is available otherwise. Deletes the list if the last element was popped.",
        since: "7.0.0",
        complexity: "O(N+M) where N is the number of provided keys and M is the number of elements returned.",
        group: Group::List,
        arity: Arity::AtLeast(5),
        flags: &[Flag::Write, Flag::Blocking],
        keys: &[KeySpec::counted(2, Access::ReadDelete)],
        args: &[
            Arg::double("timeout"),
            Arg::integer("numkeys"),
            Arg::key("key").multiple(),
            WHERE,
            Arg::integer("count").token("COUNT").optional(),
        ],
        run: Run::Write(blmpop),
        ..CommandSpec::BASE
    },
];

fn lpop(ctx: &mut WriteCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    pop(ctx, argv, End::Head, "lpop", reply)
}

fn rpop(ctx: &mut WriteCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    pop(ctx, argv, End::Tail, "rpop", reply)
}

#[inline]
fn pop(
    ctx: &mut WriteCtx<'_>,
    argv: Argv<'_>,
    end: End,
    name: &str,
    reply: &mut Reply<'_>,
) -> Outcome {
    let key = argv[1];
    let count = match argv {
        [_, _] => None,
        [_, _, count] => Some(parse_count(count)?),
        _ => return Err(CommandError::Arity(name.to_owned())),
    };
    let Some(slot) = find(ctx, key)? else {
        match count {
            None => reply.null(),
            Some(_) => reply.null_array(),
        }
        return Ok(());
    };
    match count {
        None => take_one(ctx, key, slot, end, reply),
        Some(0) => reply.array(0),
        Some(count) => _ = take(ctx, key, slot, end, count, reply),
    }
    Ok(())
}

fn parse_count(arg: &[u8]) -> Result<usize, CommandError> {
    let count = args::int(arg).ok().and_then(|count| usize::try_from(count).ok());
    count.ok_or(CommandError::NotPositive)
}

/// Takes one element and writes it.
#[inline]
fn take_one(ctx: &mut WriteCtx<'_>, key: &[u8], slot: Slot, end: End, reply: &mut Reply<'_>) {
    list_mut(ctx, slot).pop(end, |element| reply_element(element, reply));
    let is_gone = settle(ctx, slot);
    announce_loss(ctx, key, pop_event(end), 1, is_gone);
}

/// Takes up to `count` elements and writes them as an array; says how many there were.
fn take(
    ctx: &mut WriteCtx<'_>,
    key: &[u8],
    slot: Slot,
    end: End,
    count: usize,
    reply: &mut Reply<'_>,
) -> usize {
    let list = list_mut(ctx, slot);
    let len = list.len();
    let count = count.min(len);
    reply.array(count);
    match end {
        End::Head => list.each(0, count, |element| reply_element(element, reply)),
        End::Tail => {
            list.iter().rev().take(count).for_each(|element| reply_element(element, reply));
        }
    }
    let is_gone = if count == len {
        // The whole list goes at once, and a long one is freed elsewhere.
        ctx.remove(slot);
        true
    } else {
        list.delete(if end == End::Head { 0 } else { len - count }, count);
        settle(ctx, slot)
    };
    announce_loss(ctx, key, pop_event(end), count, is_gone);
    count
}

/// What LMPOP and BLMPOP take, and from where.
#[derive(Debug, PartialEq, Eq)]
struct ManyPop<'a> {
    keys: Argv<'a>,
    end: End,
    count: usize,
}

/// Parses `numkeys key [key ...] LEFT|RIGHT [COUNT count]` from argument `at` on.
fn parse_many<'a>(argv: Argv<'a>, at: usize) -> Result<ManyPop<'a>, CommandError> {
    const KEYS: CommandError = CommandError::text("ERR numkeys should be greater than 0");
    const COUNT: CommandError = CommandError::text("ERR count should be greater than 0");
    let positive = |arg: &[u8]| args::int(arg).ok().filter(|number| *number > 0);
    let keys = positive(argv[at]).ok_or(KEYS)?;
    let keys = usize::try_from(keys).map_err(|_| CommandError::Syntax)?;
    let rest = &argv[at + 1..];
    let (keys, options) = rest.split_at_checked(keys).ok_or(CommandError::Syntax)?;
    let mut options = Cursor::new(options, 0);
    let end = parse_end(options.value()?)?;
    let mut count = None;
    while let Some(word) = options.next() {
        if count.is_some() || !args::is(word, "COUNT") {
            return Err(CommandError::Syntax);
        }
        count = Some(positive(options.value()?).ok_or(COUNT)?);
    }
    let count = usize::try_from(count.unwrap_or(1)).map_err(|_| CommandError::Syntax)?;
    Ok(ManyPop { keys, end, count })
}

/// Takes elements from the first of the lists that is there; says whether there was one.
fn take_many(
    ctx: &mut WriteCtx<'_>,
    wanted: &ManyPop<'_>,
    reply: &mut Reply<'_>,
) -> Result<bool, CommandError> {
    for key in wanted.keys {
        let Some(slot) = find(ctx, key)? else { continue };
        reply.array(2);
        reply.bulk(key);
        let taken = take(ctx, key, slot, wanted.end, wanted.count, reply);
        let name: &[u8] = if wanted.end == End::Head { b"LPOP" } else { b"RPOP" };
        ctx.propagate_as(&[name, key, IntBuf::new().u64(taken as u64)]);
        return Ok(true);
    }
    Ok(false)
}

fn lmpop(ctx: &mut WriteCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let wanted = parse_many(argv, 1)?;
    if !take_many(ctx, &wanted, reply)? {
        reply.null_array();
    }
    Ok(())
}

fn blmpop(ctx: &mut WriteCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let wanted = parse_many(argv, 2)?;
    let deadline_ms = args::timeout(argv[1], ctx.now_ms())?;
    if !take_many(ctx, &wanted, reply)? && !wait(ctx, wanted.keys, deadline_ms, reply.protocol()) {
        reply.null_array();
    }
    Ok(())
}

fn blpop(ctx: &mut WriteCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    blocking_pop(ctx, argv, End::Head, reply)
}

fn brpop(ctx: &mut WriteCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    blocking_pop(ctx, argv, End::Tail, reply)
}

fn blocking_pop(
    ctx: &mut WriteCtx<'_>,
    argv: Argv<'_>,
    end: End,
    reply: &mut Reply<'_>,
) -> Outcome {
    let (keys, timeout) = (&argv[1..argv.len() - 1], argv[argv.len() - 1]);
    let deadline_ms = args::timeout(timeout, ctx.now_ms())?;
    for key in keys {
        let Some(slot) = find(ctx, key)? else { continue };
        reply.array(2);
        reply.bulk(key);
        take_one(ctx, key, slot, end, reply);
        ctx.propagate_as(&[if end == End::Head { b"LPOP" } else { b"RPOP" }, key]);
        return Ok(());
    }
    if !wait(ctx, keys, deadline_ms, reply.protocol()) {
        reply.null_array();
    }
    Ok(())
}

/// Has the command wait for a list at one of these keys; false if it may not.
pub(super) fn wait(
    ctx: &mut WriteCtx<'_>,
    keys: Argv<'_>,
    deadline_ms: Option<i64>,
    protocol: Protocol,
) -> bool {
    let keys = keys.iter().map(|key| Box::from(*key)).collect();
    let wanted = Wanted { keys, kind: Some(ValueKind::List), on_deletion: false };
    let mut on_timeout = Vec::new();
    Reply::new(&mut on_timeout, protocol).null_array();
    ctx.wait_for(wanted, deadline_ms, &on_timeout)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&'static str]) -> Result<(usize, End, usize), CommandError> {
        let argv: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
        parse_many(&argv, 1).map(|wanted| (wanted.keys.len(), wanted.end, wanted.count))
    }

    #[test]
    fn many_keys_are_counted() {
        assert_eq!(parse(&["LMPOP", "1", "k", "left"]), Ok((1, End::Head, 1)));
        assert_eq!(parse(&["LMPOP", "2", "k", "l", "RIGHT", "count", "7"]), Ok((2, End::Tail, 7)));
        for words in [
            &["LMPOP", "2", "k", "LEFT"][..],
            &["LMPOP", "9223372036854775807", "k", "LEFT"],
            &["LMPOP", "1", "k", "COUNT", "1"],
            &["LMPOP", "1", "k", "LEFT", "COUNT"],
            &["LMPOP", "1", "k", "LEFT", "COUNT", "1", "COUNT", "2"],
        ] {
            assert_eq!(parse(words), Err(CommandError::Syntax), "{words:?}");
        }
        for words in [&["LMPOP", "0", "k", "LEFT"][..], &["LMPOP", "a", "k", "LEFT"]] {
            assert_eq!(
                parse(words).unwrap_err().to_string(),
                "ERR numkeys should be greater than 0"
            );
        }
        for count in ["0", "-1", "a"] {
            let error = parse(&["LMPOP", "1", "k", "LEFT", "COUNT", count]).unwrap_err();
            assert_eq!(error.to_string(), "ERR count should be greater than 0");
        }
    }
}
