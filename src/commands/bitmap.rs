//! Bitmaps: strings seen as rows of bits, the highest bit of a byte first.

use std::sync::atomic::Ordering;

use crate::base::number::{self, IntBuf};
use crate::engine::ctx::{Env, ReadCtx, WriteCtx};
use crate::engine::effects::EventClass;
use crate::engine::error::CommandError;
use crate::engine::spec::{
    Access, Arg, Argv, Arity, CommandSpec, Flag, Group, KeySpec, Outcome, Run,
};
use crate::keyspace::value::{StrRef, StrValue, Value};
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

/// Where a bit is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    byte: usize,
    mask: u8,
}

/// The place of a bit by its number; strings are no longer than `proto-max-bulk-len`.
fn parse_offset(arg: &[u8], env: Env<'_>) -> Result<Place, CommandError> {
    let bytes_max = env.shared.limits.bulk_bytes.load(Ordering::Relaxed);
    place_of(arg, bytes_max)
        .ok_or(CommandError::text("ERR bit offset is not an integer or out of range"))
}

fn place_of(arg: &[u8], bytes_max: i64) -> Option<Place> {
    let offset = number::parse_i64(arg)?;
    if offset < 0 || offset >> 3 >= bytes_max {
        return None;
    }
    Some(Place { byte: usize::try_from(offset >> 3).ok()?, mask: 0x80 >> (offset & 7) })
}

fn parse_bit(arg: &[u8]) -> Result<bool, CommandError> {
    match number::parse_i64(arg) {
        Some(0) => Ok(false),
        Some(1) => Ok(true),
        _ => Err(CommandError::text("ERR bit is not an integer or out of range")),
    }
}

fn setbit(ctx: &mut WriteCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let key = argv[1];
    let place = parse_offset(argv[2], ctx.env)?;
    let bit = parse_bit(argv[3])?;
    let found = ctx.string(key)?.map(|(slot, value)| (slot, value.len()));
    let grows = found.is_none_or(|(_, len)| len <= place.byte);
    let slot = match found {
        Some((slot, _)) => slot,
        None => ctx.insert(key, Value::Str(StrValue::raw(vec![0])), None),
    };
    let bytes = ctx.db_mut().string_bytes_mut(slot, place.byte + 1);
    let byte = &mut bytes.expect("a string was found or made")[place.byte];
    let old = *byte & place.mask != 0;
    *byte = if bit { *byte | place.mask } else { *byte & !place.mask };
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
    let place = parse_offset(argv[2], ctx.env)?;
    let mut digits = IntBuf::new();
    let bytes = match ctx.string(argv[1])? {
        None => &[],
        Some(StrRef::Bytes(bytes)) => bytes,
        Some(StrRef::Int(value)) => digits.i64(value),
    };
    let bit = bytes.get(place.byte).is_some_and(|byte| byte & place.mask != 0);
    reply.int(i64::from(bit));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_count_from_the_highest_bit() {
        assert_eq!(place_of(b"0", 4), Some(Place { byte: 0, mask: 0x80 }));
        assert_eq!(place_of(b"31", 4), Some(Place { byte: 3, mask: 1 }));
        for bad in ["32", "-1", "x", "9223372036854775807"] {
            assert_eq!(place_of(bad.as_bytes(), 4), None, "{bad}");
        }
    }
}
