//! How does a list change inside? Elements are replaced, put beside others, and removed.

use super::{announce_loss, clip, find, list_mut, settle};
use crate::engine::args;
use crate::engine::ctx::WriteCtx;
use crate::engine::effects::EventClass;
use crate::engine::error::CommandError;
use crate::engine::spec::{
    Access, Arg, Argv, Arity, CommandSpec, Flag, Group, KeySpec, Outcome, Run,
};
use crate::object::list::{End, Side};
use crate::resp::reply::Reply;

/// The commands of this file.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "LSET",
        summary: "Sets the value of an element in a list by its index.",
        since: "1.0.0",
        complexity: "O(N) where N is the length of the list. Setting either the first or the last element of the list is O(1).",
        group: Group::List,
        arity: Arity::Exactly(4),
        flags: &[Flag::Write, Flag::DenyOom],
        keys: &[KeySpec::at(1, Access::Update)],
        args: &[Arg::key("key"), Arg::integer("index"), Arg::string("element")],
        run: Run::Write(lset),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "LINSERT",
        summary: "Inserts an element before or after another element in a list.",
        since: "2.2.0",
        complexity: "O(N) where N is the number of elements to traverse before seeing the value pivot. This means that inserting somewhere on the left end on the list (head) can be considered O(1) and inserting somewhere on the right end (tail) is O(N).",
        group: Group::List,
        arity: Arity::Exactly(5),
        flags: &[Flag::Write, Flag::DenyOom],
        keys: &[KeySpec::at(1, Access::Insert)],
        args: &[
            Arg::key("key"),
            Arg::one_of("where", &[Arg::flag("before", "BEFORE"), Arg::flag("after", "AFTER")]),
            Arg::string("pivot"),
            Arg::string("element"),
        ],
        run: Run::Write(linsert),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "LREM",
        summary: "Removes elements from a list. Deletes the list if the last element was removed.",
        since: "1.0.0",
        complexity: "O(N+M) where N is the length of the list and M is the number of elements removed.",
        group: Group::List,
        arity: Arity::Exactly(4),
        flags: &[Flag::Write],
        keys: &[KeySpec::at(1, Access::Delete)],
        args: &[Arg::key("key"), Arg::integer("count"), Arg::string("element")],
        run: Run::Write(lrem),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "LTRIM",
        summary: "Removes elements from both ends a list. Deletes the list if all elements were trimmed.",
        since: "1.0.0",
        complexity: "O(N) where N is the number of elements to be removed by the operation.",
        group: Group::List,
        arity: Arity::Exactly(4),
        flags: &[Flag::Write],
        keys: &[KeySpec::at(1, Access::Delete)],
        args: &[Arg::key("key"), Arg::integer("start"), Arg::integer("stop")],
        run: Run::Write(ltrim),
        ..CommandSpec::BASE
    },
];

fn lset(ctx: &mut WriteCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (key, element) = (argv[1], argv[3]);
    // Without a list Redis does not look at the index.
    let slot = find(ctx, key)?.ok_or(CommandError::NoSuchKey)?;
    let index = args::int(argv[2])?;
    let limits = ctx.list_limits();
    let list = list_mut(ctx, slot);
    let index = list.index(index).ok_or(CommandError::IndexOutOfRange)?;
    list.set(index, element, limits);
    list.shrink(limits);
    ctx.changed(key);
    ctx.notify(EventClass::LIST, "lset", key);
    reply.ok();
    Ok(())
}

fn linsert(ctx: &mut WriteCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (key, pivot, element) = (argv[1], argv[3], argv[4]);
    let side = if args::is(argv[2], "AFTER") {
        Side::After
    } else if args::is(argv[2], "BEFORE") {
        Side::Before
    } else {
        return Err(CommandError::Syntax);
    };
    let Some(slot) = find(ctx, key)? else {
        reply.int(0);
        return Ok(());
    };
    let limits = ctx.list_limits();
    let list = list_mut(ctx, slot);
    if !list.insert(pivot, side, element, limits) {
        reply.int(-1);
        return Ok(());
    }
    reply.len(list.len());
    ctx.changed(key);
    ctx.notify(EventClass::LIST, "linsert", key);
    Ok(())
}

fn lrem(ctx: &mut WriteCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (key, element) = (argv[1], argv[3]);
    let count = args::int(argv[2])?;
    let from = if count < 0 { End::Tail } else { End::Head };
    let limit = match usize::try_from(count.unsigned_abs()) {
        Ok(0) | Err(_) => usize::MAX,
        Ok(limit) => limit,
    };
    let mut removed = 0;
    if let Some(slot) = find(ctx, key)? {
        removed = list_mut(ctx, slot).remove(element, from, limit);
        if removed > 0 {
            let is_gone = settle(ctx, slot);
            announce_loss(ctx, key, "lrem", removed, is_gone);
        }
    }
    reply.len(removed);
    Ok(())
}

fn ltrim(ctx: &mut WriteCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let key = argv[1];
    let (start, stop) = (args::int(argv[2])?, args::int(argv[3])?);
    if let Some(slot) = find(ctx, key)? {
        let list = list_mut(ctx, slot);
        let len = list.len();
        let (index, count) = clip(start, stop, len);
        let is_gone = if count == 0 {
            // The whole list goes at once, and a long one is freed elsewhere.
            ctx.remove(slot);
            true
        } else {
            list.delete(index + count, len - index - count);
            list.delete(0, index);
            settle(ctx, slot)
        };
        // Redis announces also what changes nothing, but does not count it.
        announce_loss(ctx, key, "ltrim", len - count, is_gone);
    }
    reply.ok();
    Ok(())
}
