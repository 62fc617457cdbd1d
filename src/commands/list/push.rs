//! How do elements come into a list? At its ends.

use super::{create, find, list_mut, push_event};
use crate::engine::ctx::WriteCtx;
use crate::engine::effects::EventClass;
use crate::engine::spec::{
    Access, Arg, Argv, Arity, CommandSpec, Flag, Group, KeySpec, Outcome, Run,
};
use crate::object::list::End;
use crate::resp::reply::Reply;

/// What these commands have in common.
const PUSH: CommandSpec = CommandSpec {
    complexity: "O(1) for each element added, so O(N) to add N elements when the command is called with multiple arguments.",
    group: Group::List,
    arity: Arity::AtLeast(3),
    flags: &[Flag::Write, Flag::DenyOom, Flag::Fast],
    keys: &[KeySpec::at(1, Access::Insert)],
    args: &[Arg::key("key"), Arg::string("element").multiple()],
    ..CommandSpec::BASE
};

/// The commands of this file.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "LPUSH",
        summary: "Prepends one or more elements to a list. Creates the key if it doesn't exist.",
        since: "1.0.0",
        run: Run::Write(lpush),
        history: &[("2.4.0", "Accepts multiple `element` arguments.")],
        ..PUSH
    },
    CommandSpec {
        name: "RPUSH",
        summary: "Appends one or more elements to a list. Creates the key if it doesn't exist.",
        since: "1.0.0",
        run: Run::Write(rpush),
        history: &[("2.4.0", "Accepts multiple `element` arguments.")],
        ..PUSH
    },
    CommandSpec {
        name: "LPUSHX",
        summary: "Prepends one or more elements to a list only when the list exists.",
        since: "2.2.0",
        run: Run::Write(lpushx),
        history: &[("4.0.0", "Accepts multiple `element` arguments.")],
        ..PUSH
    },
    CommandSpec {
        name: "RPUSHX",
        summary: "Appends an element to a list only when the list exists.",
        since: "2.2.0",
        run: Run::Write(rpushx),
        history: &[("4.0.0", "Accepts multiple `element` arguments.")],
        ..PUSH
    },
];

/// What happens if there is no list.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Missing {
    Create,
    Refuse,
}

fn lpush(ctx: &mut WriteCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    push(ctx, argv, End::Head, Missing::Create, reply)
}

fn rpush(ctx: &mut WriteCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    push(ctx, argv, End::Tail, Missing::Create, reply)
}

fn lpushx(ctx: &mut WriteCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    push(ctx, argv, End::Head, Missing::Refuse, reply)
}

fn rpushx(ctx: &mut WriteCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    push(ctx, argv, End::Tail, Missing::Refuse, reply)
}

#[inline]
fn push(
    ctx: &mut WriteCtx<'_>,
    argv: Argv<'_>,
    end: End,
    missing: Missing,
    reply: &mut Reply<'_>,
) -> Outcome {
    let (key, elements) = (argv[1], &argv[2..]);
    let limits = ctx.list_limits();
    let found = find(ctx, key)?;
    if found.is_none() && missing == Missing::Refuse {
        reply.int(0);
        return Ok(());
    }
    let slot = found.unwrap_or_else(|| create(ctx, key));
    let list = list_mut(ctx, slot);
    list.push(end, elements, limits);
    reply.len(list.len());
    ctx.changed(key);
    ctx.count_changes(elements.len() as u64 - 1);
    if found.is_none() {
        ctx.created(key);
    }
    ctx.notify(EventClass::LIST, push_event(end), key);
    Ok(())
}
