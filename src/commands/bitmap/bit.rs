//! How is one bit read or set? SETBIT and GETBIT.

use super::{bytes_of, parse_offset};
use crate::base::number::{self, IntBuf};
use crate::engine::ctx::{ReadCtx, WriteCtx};
use crate::engine::effects::EventClass;
use crate::engine::error::CommandError;
use crate::engine::spec::{
    Access, Arg, Argv, Arity, CommandSpec, Flag, Group, KeySpec, Outcome, Run,
};
use crate::keyspace::value::{StrValue, Value};
use crate::resp::reply::Reply;

/// The commands of this file.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "SETBIT",
        summary: "Sets or clears the bit at offset of the string value. Creates the key if it doesn't exist.",
        since: "2.2.0",
        complexity: "O(1)",
        group: Group::Bitmap,
        arity: Arity::Exactly(4),
        flags: &[Flag::Write, Flag::DenyOom],
        keys: &[KeySpec::at(1, Access::ReadUpdate)],
        args: &[Arg::key("key"), Arg::integer("offset"), Arg::integer("value")],
        run: Run::Write(setbit),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "GETBIT",
        summary: "Returns a bit value by offset.",
        since: "2.2.0",
        complexity: "O(1)",
        group: Group::Bitmap,
        arity: Arity::Exactly(3),
        flags: &[Flag::ReadOnly, Flag::Fast],
        keys: &[KeySpec::at(1, Access::Read)],
        args: &[Arg::key("key"), Arg::integer("offset")],
        run: Run::Read(getbit),
        ..CommandSpec::BASE
    },
];

fn parse_bit(arg: &[u8]) -> Result<bool, CommandError> {
    match number::parse_i64(arg) {
        Some(0) => Ok(false),
        Some(1) => Ok(true),
        _ => Err(CommandError::text("ERR bit is not an integer or out of range")),
    }
}

/// The bit at a position, alone in its byte.
fn mask_of(position: usize) -> u8 {
    0x80 >> (position % 8)
}

fn setbit(ctx: &mut WriteCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let key = argv[1];
    let position = parse_offset(argv[2], ctx.env)?;
    let bit = parse_bit(argv[3])?;
    let (at, mask) = (position / 8, mask_of(position));
    let found = ctx.string(key)?.map(|(slot, value)| (slot, value.len()));
    let grows = found.is_none_or(|(_, len)| len <= at);
    let slot = match found {
        Some((slot, _)) => slot,
        None => ctx.insert(key, Value::Str(StrValue::raw(vec![0])), None),
    };
    let bytes = ctx.db_mut().string_bytes_mut(slot, at + 1);
    let byte = &mut bytes.expect("a string was found or made")[at];
    let old = *byte & mask != 0;
    *byte = if bit { *byte | mask } else { *byte & !mask };
    if grows || old != bit {
        ctx.changed(key);
        if found.is_none() {
            ctx.created(key);
        }
        ctx.notify(EventClass::STRING, "setbit", key);
    }
    reply.int(i64::from(old));
    Ok(())
}

fn getbit(ctx: &mut ReadCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let position = parse_offset(argv[2], ctx.env)?;
    let mut digits = IntBuf::new();
    let bytes = bytes_of(ctx.string(argv[1])?, &mut digits);
    let bit = bytes.get(position / 8).is_some_and(|byte| byte & mask_of(position) != 0);
    reply.int(i64::from(bit));
    Ok(())
}
