//! Hashes: fields and values under one key, a file per kind of work.
//!
//! A field whose time is over is invisible to reads, which note the hash so that it goes at the end of
//! the unit, and is deleted, with its event and its HDEL, before a command that changes the hash goes on.

use super::reply_element;
use crate::base::number::IntBuf;
use crate::config::params::Param;
use crate::engine::args;
use crate::engine::ctx::{ReadCtx, WriteCtx};
use crate::engine::effects::EventClass;
use crate::engine::error::CommandError;
use crate::engine::spec::Argv;
use crate::keyspace::db::Slot;
use crate::keyspace::value::{Value, ValueMut, ValueRef};
use crate::object::hash::{Hash, HashLimits};

pub mod get;

pub mod set;

pub mod numbers;

pub mod walk;

pub mod expire;

pub mod ttl;

pub mod combined;

/// The time, as hashes take it.
#[inline]
fn hash_time(now_ms: i64) -> u64 {
    now_ms.max(0) as u64
}

/// Where a hash leaves its small form.
#[inline]
fn limits(ctx: &WriteCtx<'_>) -> HashLimits {
    let config = ctx.config();
    HashLimits {
        entries_max: config.size(Param::HashMaxListpackEntries),
        value_max: config.size(Param::HashMaxListpackValue),
    }
}

/// Notes a hash of which a read found less than it holds, if that is because fields have expired.
fn note_expired(ctx: &mut ReadCtx<'_>, key: &[u8], hash: &Hash) {
    if hash.next_expire().is_some_and(|at| at <= hash_time(ctx.expiry_ms())) {
        ctx.unit.note_expired(ctx.session.db, key);
    }
}

/// Finds a hash to change, without the fields whose time is over.
#[inline]
fn find(ctx: &mut WriteCtx<'_>, key: &[u8]) -> Result<Option<Slot>, CommandError> {
    let found = ctx.find_value(key, |value| match value {
        ValueRef::Hash(hash) => Some(hash.next_expire()),
        _ => None,
    });
    let Some((slot, hash)) = found else { return Ok(None) };
    let Some(next_expire) = hash else { return Err(CommandError::WrongType) };
    if next_expire.is_some_and(|at| at <= hash_time(ctx.expiry_ms())) {
        return Ok(ctx.expire_fields(key));
    }
    Ok(Some(slot))
}

/// A hash that is being changed.
struct Opened {
    slot: Slot,
    is_new: bool,
}

/// Finds a hash to change, or makes an empty one, in which the caller is certain to put a field.
#[inline]
fn open(ctx: &mut WriteCtx<'_>, key: &[u8]) -> Result<Opened, CommandError> {
    Ok(match find(ctx, key)? {
        Some(slot) => Opened { slot, is_new: false },
        None => Opened { slot: ctx.insert(key, Value::Hash(Hash::default()), None), is_new: true },
    })
}

/// The hash at a slot where one was found.
#[inline]
fn hash_mut<'a>(ctx: &'a mut WriteCtx<'_>, slot: Slot) -> &'a mut Hash {
    match ctx.db_mut().value_mut(slot) {
        ValueMut::Hash(hash) => hash,
        _ => unreachable!("the slot was found to hold a hash"),
    }
}

/// Announces a change of a hash.
#[inline]
fn announce(ctx: &mut WriteCtx<'_>, key: &[u8], opened: &Opened, event: &str) {
    ctx.changed(key);
    if opened.is_new {
        ctx.created(key);
    }
    ctx.notify(EventClass::HASH, event, key);
}

/// Announces that fields were deleted. A hash without fields is deleted too.
fn announce_deletion(ctx: &mut WriteCtx<'_>, key: &[u8], slot: Slot, deleted: u64) {
    let is_empty = matches!(ctx.db().value(slot), ValueRef::Hash(hash) if hash.is_empty());
    if is_empty {
        ctx.remove(slot);
    }
    ctx.changed(key);
    ctx.count_changes(deleted - 1);
    ctx.notify(EventClass::HASH, "hdel", key);
    if is_empty {
        ctx.notify(EventClass::GENERIC, "del", key);
    }
}

/// The fields behind `FIELDS numfields`, which stands at `at`. `not_positive` is the error for a number
/// that is none, which is not the same for all commands.
fn parse_fields<'a>(
    argv: Argv<'a>,
    at: usize,
    not_positive: &'static str,
) -> Result<Argv<'a>, CommandError> {
    if !argv.get(at).is_some_and(|word| args::is(word, "FIELDS")) {
        return Err(CommandError::text(
            "ERR Mandatory argument FIELDS is missing or not at the right position",
        ));
    }
    let count = argv.get(at + 1).and_then(|count| args::int(count).ok()).filter(|n| *n > 0);
    let count = count.ok_or(CommandError::text(not_positive))?;
    let fields = &argv[at + 2..];
    if usize::try_from(count) != Ok(fields.len()) {
        return Err(CommandError::text(
            "ERR The `numfields` parameter must match the number of arguments",
        ));
    }
    Ok(fields)
}

/// Propagates that fields were deleted because their time was over, one by one as Redis does.
fn also_propagate_hdel(ctx: &mut WriteCtx<'_>, key: &[u8], fields: &[&[u8]]) {
    for field in fields {
        ctx.also_propagate(&[b"HDEL", key, field]);
    }
}

/// Propagates when fields expire, as a point in time.
fn also_propagate_expiry(
    ctx: &mut WriteCtx<'_>,
    key: &[u8],
    at_ms: i64,
    condition: Option<&[u8]>,
    fields: &[&[u8]],
) {
    if !ctx.log_active() || fields.is_empty() {
        return;
    }
    let (mut at, mut count) = (IntBuf::new(), IntBuf::new());
    let mut argv: Vec<&[u8]> = vec![b"HPEXPIREAT", key, at.i64(at_ms)];
    argv.extend(condition);
    argv.extend([&b"FIELDS"[..], count.u64(fields.len() as u64)]);
    argv.extend(fields);
    ctx.also_propagate(&argv);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_counted() {
        let parse = |words: &[&'static str]| {
            let argv: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
            parse_fields(Vec::leak(argv), 1, "ERR not positive").map(<[_]>::len)
        };
        assert_eq!(parse(&["HTTL", "fields", "2", "a", "b"]), Ok(2));
        assert!(parse(&["HTTL", "FIELDS", "2", "a"]).is_err());
        assert!(parse(&["HTTL", "2", "a", "b"]).is_err());
        assert!(parse(&["HTTL"]).is_err());
        for count in ["0", "-1", "x", ""] {
            let error = Err(CommandError::text("ERR not positive"));
            assert_eq!(parse(&["HTTL", "FIELDS", count, "a"]), error);
        }
    }
}
