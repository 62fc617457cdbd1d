//! How does an element go from one list to another, or from one end to the other? At once, or when there
//! is one.

use super::{announce_loss, create, find, list_mut, parse_end, pop, settle};
use super::{pop_event, push_event, reply_element};
use crate::engine::args;
use crate::engine::ctx::WriteCtx;
use crate::engine::effects::EventClass;
use crate::engine::error::CommandError;
use crate::engine::spec::{
    Access, Arg, Argv, Arity, CommandSpec, Deprecated, Flag, Group, KeySpec, Outcome, Run,
};
use crate::object::list::End;
use crate::resp::reply::Reply;

const MOVE: CommandSpec = CommandSpec {
    complexity: "O(1)",
    group: Group::List,
    flags: &[Flag::Write, Flag::DenyOom],
    keys: &[KeySpec::at(1, Access::ReadDelete), KeySpec::at(2, Access::Insert)],
    ..CommandSpec::BASE
};

const BLOCKING: &[Flag] = &[Flag::Write, Flag::DenyOom, Flag::Blocking];

const WHERE_FROM: Arg =
    Arg::one_of("wherefrom", &[Arg::flag("left", "LEFT"), Arg::flag("right", "RIGHT")]);
const WHERE_TO: Arg =
    Arg::one_of("whereto", &[Arg::flag("left", "LEFT"), Arg::flag("right", "RIGHT")]);

/// The commands of this file.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "RPOPLPUSH",
        summary: "Returns the last element of a list after removing and pushing it to another list. Deletes the list if the last element was popped.",
        since: "1.2.0",
        arity: Arity::Exactly(3),
        args: &[Arg::key("source"), Arg::key_of("destination", 1)],
        run: Run::Write(rpoplpush),
        deprecated: Some(Deprecated {
            since: "6.2.0",
            replaced_by: "`LMOVE` with the `RIGHT` and `LEFT` arguments",
        }),
        ..MOVE
    },
    CommandSpec {
        name: "LMOVE",
        summary: "Returns an element after popping it from one list and pushing it to another. Deletes the list if the last element was moved.",
        since: "6.2.0",
        arity: Arity::Exactly(5),
        args: &[Arg::key("source"), Arg::key_of("destination", 1), WHERE_FROM, WHERE_TO],
        run: Run::Write(lmove),
        ..MOVE
    },
    CommandSpec {
        name: "BRPOPLPUSH",
        summary: "Pops an element from a list, pushes it to another list and returns it. Block until an element is available otherwise. Deletes the list if the last element was popped.",
        since: "2.2.0",
        arity: Arity::Exactly(4),
        flags: BLOCKING,
        args: &[Arg::key("source"), Arg::key_of("destination", 1), Arg::double("timeout")],
        run: Run::Write(brpoplpush),
        history: &[("6.0.0", "`timeout` is interpreted as a double instead of an integer.")],
        deprecated: Some(Deprecated {
            since: "6.2.0",
            replaced_by: "`BLMOVE` with the `RIGHT` and `LEFT` arguments",
        }),
        ..MOVE
    },
    CommandSpec {
        name: "BLMOVE",
        summary: "Pops an element from a list, pushes it to another list and returns it. Blocks until an element is available otherwise. Deletes the list if the last element was moved.",
        since: "6.2.0",
        arity: Arity::Exactly(6),
        flags: BLOCKING,
        args: &[
            Arg::key("source"),
            Arg::key_of("destination", 1),
            WHERE_FROM,
            WHERE_TO,
            Arg::double("timeout"),
        ],
        run: Run::Write(blmove),
        ..MOVE
    },
];

fn rpoplpush(ctx: &mut WriteCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    if !move_element(ctx, (argv[1], End::Tail), (argv[2], End::Head), reply)? {
        reply.null();
    }
    Ok(())
}

fn lmove(ctx: &mut WriteCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (from, to) = (parse_end(argv[3])?, parse_end(argv[4])?);
    if !move_element(ctx, (argv[1], from), (argv[2], to), reply)? {
        reply.null();
    }
    Ok(())
}

fn brpoplpush(ctx: &mut WriteCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let deadline_ms = args::timeout(argv[3], ctx.now_ms())?;
    if move_element(ctx, (argv[1], End::Tail), (argv[2], End::Head), reply)? {
        ctx.propagate_as(&[b"RPOPLPUSH", argv[1], argv[2]]);
        return Ok(());
    }
    wait(ctx, argv, deadline_ms, reply);
    Ok(())
}

fn blmove(ctx: &mut WriteCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (from, to) = (parse_end(argv[3])?, parse_end(argv[4])?);
    let deadline_ms = args::timeout(argv[5], ctx.now_ms())?;
    if move_element(ctx, (argv[1], from), (argv[2], to), reply)? {
        ctx.propagate_as(&[b"LMOVE", argv[1], argv[2], argv[3], argv[4]]);
        return Ok(());
    }
    wait(ctx, argv, deadline_ms, reply);
    Ok(())
}

/// Waits for the source. At the deadline the reply is an absent array, where nobody may wait an absent
/// string, as in Redis.
fn wait(ctx: &mut WriteCtx<'_>, argv: Argv<'_>, deadline_ms: Option<i64>, reply: &mut Reply<'_>) {
    if !pop::wait(ctx, &argv[1..2], deadline_ms, reply.protocol()) {
        reply.null();
    }
}

/// Moves an element and writes it; false if there is none.
fn move_element(
    ctx: &mut WriteCtx<'_>,
    (source, from): (&[u8], End),
    (target, to): (&[u8], End),
    reply: &mut Reply<'_>,
) -> Result<bool, CommandError> {
    if find(ctx, source)?.is_none() {
        return Ok(false);
    }
    let found = find(ctx, target)?;
    // Looked for again: a target whose time was over has been deleted.
    let Some(slot) = ctx.peek(source) else { return Ok(false) };
    let limits = ctx.list_limits();
    let mut len = 0;
    list_mut(ctx, slot).pop(from, |element| {
        len = element.text_len();
        reply_element(element, reply);
    });
    // The reply has the text, between its length and the end of the line.
    let written = reply.buffer();
    let text = &written[written.len() - 2 - len..written.len() - 2];
    let place = match found {
        Some(place) => place,
        None => create(ctx, target),
    };
    list_mut(ctx, place).push(to, &[text], limits);
    let slot = ctx.peek(source);
    let is_gone = slot.is_some_and(|slot| settle(ctx, slot));
    ctx.touch_watchers(target);
    if found.is_none() {
        ctx.created(target);
    }
    ctx.notify(EventClass::LIST, push_event(to), target);
    announce_loss(ctx, source, pop_event(from), 1, is_gone);
    Ok(true)
}
