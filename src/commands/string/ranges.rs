//! How is part of a string read or changed? By offsets in bytes.

use std::sync::atomic::Ordering;

use crate::base::number::IntBuf;
use crate::engine::args;
use crate::engine::ctx::{ReadCtx, WriteCtx};
use crate::engine::effects::EventClass;
use crate::engine::error::CommandError;
use crate::engine::spec::{
    Access, Arg, Argv, Arity, CommandSpec, Deprecated, Flag, Group, KeySpec, Outcome, Run,
};
use crate::keyspace::db::ExpireChange;
use crate::keyspace::value::{StrRef, StrValue, Value};
use crate::resp::reply::Reply;

/// The commands of this file.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "APPEND",
        summary: "Appends a string to the value of a key. Creates the key if it doesn't exist.",
        since: "2.0.0",
        complexity: "O(1). The amortized time complexity is O(1) assuming the appended value is small and the already present value is of any size, since the dynamic string library used by Redis will double the free space available on every reallocation.",
        group: Group::String,
        arity: Arity::Exactly(3),
        flags: &[Flag::Write, Flag::DenyOom, Flag::Fast],
        keys: &[KeySpec::at(1, Access::Insert)],
        args: &[Arg::key("key"), Arg::string("value")],
        run: Run::Write(append),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "STRLEN",
        summary: "Returns the length of a string value.",
        since: "2.2.0",
        complexity: "O(1)",
        group: Group::String,
        arity: Arity::Exactly(2),
        flags: &[Flag::ReadOnly, Flag::Fast],
        keys: &[KeySpec::at(1, Access::Peek)],
        args: &[Arg::key("key")],
        run: Run::Read(strlen),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "SETRANGE",
        summary: "Overwrites a part of a string value with another by an offset. Creates the key if it doesn't exist.",
        since: "2.2.0",
        complexity: "O(1), not counting the time taken to copy the new string in place. Usually, this string is very small so the amortized complexity is O(1). Otherwise, complexity is O(M) with M being the length of the value argument.",
        group: Group::String,
        arity: Arity::Exactly(4),
        flags: &[Flag::Write, Flag::DenyOom],
        keys: &[KeySpec::at(1, Access::Update)],
        args: &[Arg::key("key"), Arg::integer("offset"), Arg::string("value")],
        run: Run::Write(setrange),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "GETRANGE",
        summary: "Returns a substring of the string stored at a key.",
        since: "2.4.0",
        complexity: "O(N) where N is the length of the returned string. The complexity is ultimately determined by the returned length, but because creating a substring from an existing string is very cheap, it can be considered O(1) for small strings.",
        group: Group::String,
        arity: Arity::Exactly(4),
        flags: &[Flag::ReadOnly],
        keys: &[KeySpec::at(1, Access::Read)],
        args: &[Arg::key("key"), Arg::integer("start"), Arg::integer("end")],
        run: Run::Read(getrange),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "SUBSTR",
        summary: "Returns a substring from a string value.",
        since: "1.0.0",
        complexity: "O(N) where N is the length of the returned string. The complexity is ultimately determined by the returned length, but because creating a substring from an existing string is very cheap, it can be considered O(1) for small strings.",
        group: Group::String,
        arity: Arity::Exactly(4),
        flags: &[Flag::ReadOnly],
        keys: &[KeySpec::at(1, Access::Read)],
        args: &[Arg::key("key"), Arg::integer("start"), Arg::integer("end")],
        run: Run::Read(getrange),
        deprecated: Some(Deprecated { since: "2.0.0", replaced_by: "`GETRANGE`" }),
        ..CommandSpec::BASE
    },
];

/// Checks that a string may grow to `start + added` bytes.
fn check_len(ctx: &WriteCtx<'_>, start: usize, added: usize) -> Result<(), CommandError> {
    let limit = ctx.env.shared.limits.bulk_bytes.load(Ordering::Relaxed);
    let fits = start
        .checked_add(added)
        .is_some_and(|len| i64::try_from(len).is_ok_and(|len| len <= limit));
    if fits { Ok(()) } else { Err(CommandError::StringTooLong) }
}

fn append(ctx: &mut WriteCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (key, tail) = (argv[1], argv[2]);
    let found = ctx.string(key)?.map(|(slot, value)| (slot, value.len()));
    let len = match found {
        Some((slot, len)) => {
            check_len(ctx, len, tail.len())?;
            ctx.db_mut().append(slot, tail);
            len + tail.len()
        }
        None => {
            ctx.set_string(key, None, tail, ExpireChange::Clear);
            tail.len()
        }
    };
    ctx.changed(key);
    if found.is_none() {
        ctx.created(key);
    }
    ctx.notify(EventClass::STRING, "append", key);
    reply.len(len);
    Ok(())
}

fn strlen(ctx: &mut ReadCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    reply.len(ctx.string(argv[1])?.map_or(0, StrRef::len));
    Ok(())
}

fn setrange(ctx: &mut WriteCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (key, part) = (argv[1], argv[3]);
    let offset =
        usize::try_from(args::int(argv[2])?).map_err(|_| CommandError::OffsetOutOfRange)?;
    let found = ctx.string(key)?.map(|(slot, value)| (slot, value.len()));
    let old_len = found.map_or(0, |(_, len)| len);
    if part.is_empty() {
        reply.len(old_len);
        return Ok(());
    }
    check_len(ctx, offset, part.len())?;
    let end = offset + part.len();
    if let Some((slot, _)) = found {
        if let Some(bytes) = ctx.db_mut().string_bytes_mut(slot, end) {
            bytes[offset..end].copy_from_slice(part);
        }
    } else {
        let mut bytes = vec![0; end];
        bytes[offset..].copy_from_slice(part);
        ctx.insert(key, Value::Str(StrValue::raw(bytes)), None);
    }
    ctx.changed(key);
    if found.is_none() {
        ctx.created(key);
    }
    ctx.notify(EventClass::STRING, "setrange", key);
    reply.len(end.max(old_len));
    Ok(())
}

/// GETRANGE, and SUBSTR, its older name.
fn getrange(ctx: &mut ReadCtx<'_>, argv: Argv<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (start, end) = (args::int(argv[2])?, args::int(argv[3])?);
    let mut digits = IntBuf::new();
    let bytes = match ctx.string(argv[1])? {
        None => &[],
        Some(StrRef::Bytes(bytes)) => bytes,
        Some(StrRef::Int(value)) => digits.i64(value),
    };
    reply.bulk(clip(bytes, start, end));
    Ok(())
}

/// The bytes from `start` to `end`, both included; negative ones count from the end.
fn clip(bytes: &[u8], start: i64, end: i64) -> &[u8] {
    if start < 0 && end < 0 && start > end {
        return &[];
    }
    let len = bytes.len() as i64;
    let from_front = |at: i64| if at < 0 { (len + at).max(0) } else { at };
    let (start, end) = (from_front(start), from_front(end).min(len - 1));
    // An empty string has its end at -1.
    if start > end { &[] } else { &bytes[start as usize..=end as usize] }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_clipped_to_the_string() {
        let text = b"Hello World";
        assert_eq!(clip(text, 0, 3), b"Hell");
        assert_eq!(clip(text, 0, -1), text);
        assert_eq!(clip(text, -4, -1), b"orld");
        assert_eq!(clip(text, 5, 3), b"");
        assert_eq!(clip(text, 5, 5000), b" World");
        assert_eq!(clip(text, -5000, 10000), text);
        assert_eq!(clip(text, i64::MIN, i64::MAX), text);
        assert_eq!(clip(text, -1, -2), b"");
        assert_eq!(clip(text, 0, -100), b"H");
        assert_eq!(clip(text, i64::MAX, i64::MAX), b"");
        assert_eq!(clip(b"", 0, -1), b"");
    }
}
