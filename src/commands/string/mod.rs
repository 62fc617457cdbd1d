//! Strings: GET, SET and their relatives, a file per kind of work.
//!
//! What they share stands here: how a stored string is answered, how one is stored and announced, and
//! what the expiry options of SET and GETEX mean.

use crate::base::number::IntBuf;
use crate::engine::args::{self, Cursor};
use crate::engine::ctx::WriteCtx;
use crate::engine::effects::EventClass;
use crate::engine::error::CommandError;
use crate::keyspace::db::{ExpireChange, Slot};
use crate::keyspace::value::{StrRef, ValueRef};
use crate::resp::reply::Reply;

pub mod get;

pub mod set;

pub mod many;

pub mod ranges;

pub mod numbers;

pub mod lcs;

/// Writes a stored string, which may be an integer, as a bulk string.
#[inline]
pub fn reply_string(value: StrRef<'_>, reply: &mut Reply<'_>) {
    match value {
        StrRef::Bytes(bytes) => reply.bulk(bytes),
        StrRef::Int(int) => reply.bulk_int(int),
    }
}

/// Answers with the string that a command is about to change, or null; says where it is.
fn reply_old(
    ctx: &mut WriteCtx<'_>,
    key: &[u8],
    reply: &mut Reply<'_>,
) -> Result<Option<Slot>, CommandError> {
    let Some(slot) = ctx.find_counted(key) else {
        reply.null();
        return Ok(None);
    };
    match ctx.db().value(slot) {
        ValueRef::Str(value) => reply_string(value, reply),
        _ => return Err(CommandError::WrongType),
    }
    Ok(Some(slot))
}

/// Stores a string at a key, which was found at `slot` or is new, and announces it.
#[inline]
fn store(
    ctx: &mut WriteCtx<'_>,
    key: &[u8],
    slot: Option<Slot>,
    value: &[u8],
    expire: ExpireChange,
) {
    ctx.set_string(key, slot, value, expire);
    ctx.changed(key);
    if slot.is_none() {
        ctx.created(key);
    }
    ctx.notify(EventClass::STRING, "set", key);
}

/// How an option measures a key's expiry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    /// `EX`: seconds from now.
    Seconds,
    /// `PX`: milliseconds from now.
    Millis,
    /// `EXAT`: unix time in seconds.
    AtSeconds,
    /// `PXAT`: unix time in milliseconds.
    AtMillis,
}

impl Unit {
    fn of(word: &[u8]) -> Option<Unit> {
        Some(match word {
            _ if args::is(word, "EX") => Unit::Seconds,
            _ if args::is(word, "PX") => Unit::Millis,
            _ if args::is(word, "EXAT") => Unit::AtSeconds,
            _ if args::is(word, "PXAT") => Unit::AtMillis,
            _ => return None,
        })
    }

    /// The expiry in unix milliseconds; only what lies behind 1970 is one.
    fn deadline(self, amount: i64, now_ms: i64, command: &str) -> Result<i64, CommandError> {
        let invalid = || CommandError::InvalidExpire(command.to_owned());
        let ms = match self {
            Unit::Seconds | Unit::AtSeconds => amount.checked_mul(1000),
            Unit::Millis | Unit::AtMillis => Some(amount),
        };
        let ms = ms.filter(|ms| *ms > 0).ok_or_else(invalid)?;
        match self {
            Unit::Seconds | Unit::Millis => ms.checked_add(now_ms).ok_or_else(invalid),
            Unit::AtSeconds | Unit::AtMillis => Ok(ms),
        }
    }
}

/// What an option says of a key's expiry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ExpiryOption<'a> {
    /// `KEEPTTL`.
    Keep,
    /// `PERSIST`.
    Persist,
    /// The other words, with their argument, which is judged later.
    At(Unit, &'a [u8]),
}

impl<'a> ExpiryOption<'a> {
    /// Reads the argument of an option that has one; None if `word` is not such an option.
    fn read(word: &[u8], rest: &mut Cursor<'a>) -> Option<Self> {
        let unit = Unit::of(word)?;
        rest.next().map(|amount| ExpiryOption::At(unit, amount))
    }

    /// Joins an option to those before it: one word may come again, and its last value counts.
    fn join(self, before: &mut Option<Self>) -> Result<(), CommandError> {
        let agrees = match (*before, self) {
            (None, _) => true,
            (Some(ExpiryOption::At(old, _)), ExpiryOption::At(new, _)) => old == new,
            (Some(old), new) => old == new,
        };
        if !agrees {
            return Err(CommandError::Syntax);
        }
        *before = Some(self);
        Ok(())
    }
}

/// Propagates a SET with an expiry in the form that means the same at any time.
fn propagate_set_at(ctx: &mut WriteCtx<'_>, key: &[u8], value: &[u8], at: i64) {
    if ctx.log_active() {
        ctx.propagate_as(&[b"SET", key, value, b"PXAT", IntBuf::new().i64(at)]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deadlines_are_in_the_future_of_1970_and_fit() {
        let invalid = Err(CommandError::InvalidExpire("set".into()));
        assert_eq!(Unit::Seconds.deadline(2, 5, "set"), Ok(2005));
        assert_eq!(Unit::Millis.deadline(2, 5, "set"), Ok(7));
        assert_eq!(Unit::AtSeconds.deadline(2, 5, "set"), Ok(2000));
        assert_eq!(Unit::AtMillis.deadline(2, 5, "set"), Ok(2));
        for unit in [Unit::Seconds, Unit::Millis, Unit::AtSeconds, Unit::AtMillis] {
            assert_eq!(unit.deadline(0, 5, "set"), invalid);
            assert_eq!(unit.deadline(-1, 5, "set"), invalid);
            assert_eq!(unit.deadline(i64::MIN, 5, "set"), invalid);
        }
        assert_eq!(Unit::Seconds.deadline(i64::MAX, 5, "set"), invalid);
        assert_eq!(Unit::Millis.deadline(i64::MAX, 5, "set"), invalid);
        assert_eq!(Unit::AtMillis.deadline(i64::MAX, 5, "set"), Ok(i64::MAX));
    }
}
