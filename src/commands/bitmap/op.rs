//! How are strings combined bit by bit? BITOP.

use crate::engine::args;
use crate::engine::ctx::WriteCtx;
use crate::engine::effects::EventClass;
use crate::engine::error::CommandError;
use crate::engine::spec::{
    Access, Arg, Argv, Arity, CommandSpec, Flag, Group, KeySpec, Outcome, Run,
};
use crate::keyspace::value::{StrValue, Value};
use crate::object::bitmap::{self, BitOp};
use crate::resp::reply::Reply;

/// The commands of this file.
pub const COMMANDS: &[CommandSpec] = &[CommandSpec {
    name: "BITOP",
    summary: "Performs bitwise operations on multiple strings, and stores the result.",
    since: "2.6.0",
    complexity: "O(N)",
    group: Group::Bitmap,
    arity: Arity::AtLeast(4),
    flags: &[Flag::Write, Flag::DenyOom],
    keys: &[KeySpec::at(2, Access::Overwrite), KeySpec::range(3, -1, 1, Access::Read)],
    args: &[
        Arg::one_of(
            "operation",
            &[
                Arg::flag("and", "AND"),
                Arg::flag("or", "OR"),
                Arg::flag("xor", "XOR"),
                Arg::flag("not", "NOT"),
            ],
        ),
        Arg::key("destkey"),
        Arg::key_of("key", 1).multiple(),
    ],
    run: Run::Write(bitop),
    ..CommandSpec::BASE
}];

/// What is done; none is NOT, which takes one string.
fn parse_operation(word: &[u8], sources: usize) -> Result<Option<BitOp>, CommandError> {
    Ok(match word {
        _ if args::is(word, "AND") => Some(BitOp::And),
        _ if args::is(word, "OR") => Some(BitOp::Or),
        _ if args::is(word, "XOR") => Some(BitOp::Xor),
        _ if !args::is(word, "NOT") => return Err(CommandError::Syntax),
        _ if sources == 1 => None,
        _ => {
            return Err(CommandError::text(
                "ERR BITOP NOT must be called with a single source key.",
            ));
        }
    })
}

fn bitop(ctx: &mut WriteCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (target, sources) = (argv[2], &argv[3..]);
    let operation = parse_operation(argv[1], sources.len())?;
    let result = compute(ctx, operation, sources)?;
    let len = result.len();
    let found = ctx.find(target);
    if let Some(slot) = found {
        ctx.remove(slot);
    }
    if len > 0 {
        ctx.insert(target, Value::Str(StrValue::raw(result)), None);
        ctx.changed(target);
        if found.is_none() {
            ctx.created(target);
        }
        ctx.notify(EventClass::STRING, "set", target);
    } else if found.is_some() {
        ctx.changed(target);
        ctx.notify(EventClass::GENERIC, "del", target);
    }
    reply.len(len);
    Ok(())
}

/// The result, from the strings at these keys; a key without one counts as an empty string.
fn compute(
    ctx: &mut WriteCtx<'_>,
    operation: Option<BitOp>,
    keys: Argv<'_>,
) -> Result<Vec<u8>, CommandError> {
    // Keys whose time is over are deleted first, so that the rest need not be looked for again.
    for key in keys {
        ctx.peek(key);
    }
    let mut read = ctx.read();
    let mut texts = Vec::with_capacity(keys.len());
    for key in keys {
        texts.push(read.string(key)?.map(|value| value.to_cow()).unwrap_or_default());
    }
    let sources: Vec<&[u8]> = texts.iter().map(|text| &**text).collect();
    Ok(match operation {
        Some(operation) => bitmap::combine(operation, &sources),
        None => bitmap::invert(sources[0]),
    })
}
