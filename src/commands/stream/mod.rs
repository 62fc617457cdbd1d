//! Streams: entries in the order of their ids, and the groups of consumers that share them, a file per
//! kind of work.
//!
//! What foreign code may do when it hears of an event is not known, so a handler announces after it has
//! changed a stream, and looks the key up again before it goes on.

use super::reply_element;
use crate::base::number::IntBuf;
use crate::engine::ctx::{ReadCtx, WriteCtx};
use crate::engine::effects::EventClass;
use crate::engine::error::CommandError;
use crate::keyspace::db::Slot;
use crate::keyspace::value::{ValueMut, ValueRef};
use crate::object::stream::{Entry, Stream, StreamId};
use crate::resp::reply::Reply;

pub mod add;

pub mod trim;

pub mod range;

pub mod read;

pub mod read_group;

pub mod group;

pub mod pending;

pub mod claim;

pub mod info;

#[cfg(test)]
mod effects_tests;

const INVALID_ID: CommandError =
    CommandError::text("ERR Invalid stream ID specified as stream command argument");

/// An ID; if it says the time alone, `missing_seq` completes it.
#[inline]
fn parse_id(arg: &[u8], missing_seq: u64) -> Result<StreamId, CommandError> {
    StreamId::parse(arg, missing_seq).ok_or(INVALID_ID)
}

/// Several ids.
fn parse_ids(args: &[&[u8]]) -> Result<Vec<StreamId>, CommandError> {
    args.iter().map(|arg| parse_id(arg, 0)).collect()
}

/// An ID, or `-` and `+` for the smallest and the largest.
fn parse_bound(arg: &[u8], missing_seq: u64) -> Result<StreamId, CommandError> {
    match arg {
        b"-" => Ok(StreamId::MIN),
        b"+" => Ok(StreamId::MAX),
        _ => parse_id(arg, missing_seq),
    }
}

/// Where a range starts; `(` in front leaves the ID itself out.
fn parse_start(arg: &[u8]) -> Result<StreamId, CommandError> {
    const INVALID: CommandError = CommandError::text("ERR invalid start ID for the interval");
    match arg {
        [b'(', id @ ..] if !id.is_empty() => parse_id(id, 0)?.next().ok_or(INVALID),
        _ => parse_bound(arg, 0),
    }
}

/// Where a range ends; `(` in front leaves the ID itself out.
fn parse_end(arg: &[u8]) -> Result<StreamId, CommandError> {
    const INVALID: CommandError = CommandError::text("ERR invalid end ID for the interval");
    match arg {
        [b'(', id @ ..] if !id.is_empty() => parse_id(id, u64::MAX)?.prev().ok_or(INVALID),
        _ => parse_bound(arg, u64::MAX),
    }
}

/// The time in milliseconds, as ids have it.
#[inline]
fn id_time(now_ms: i64) -> u64 {
    now_ms.max(0).cast_unsigned()
}

/// The stream at a key, to read.
#[inline]
fn read<'a>(ctx: &mut ReadCtx<'a>, key: &[u8]) -> Result<Option<&'a Stream>, CommandError> {
    match ctx.value(key) {
        None => Ok(None),
        Some(ValueRef::Stream(stream)) => Ok(Some(stream)),
        Some(_) => Err(CommandError::WrongType),
    }
}

/// Finds a stream to change.
#[inline]
fn find(ctx: &mut WriteCtx<'_>, key: &[u8]) -> Result<Option<Slot>, CommandError> {
    ctx.find_if(key, |value| matches!(value, ValueRef::Stream(_)))
}

/// The same for commands that answer with what they find.
fn find_counted(ctx: &mut WriteCtx<'_>, key: &[u8]) -> Result<Option<Slot>, CommandError> {
    let slot = ctx.find_counted(key);
    check_type(ctx, slot)
}

#[inline]
fn check_type(ctx: &WriteCtx<'_>, slot: Option<Slot>) -> Result<Option<Slot>, CommandError> {
    match slot.map(|slot| ctx.db().value(slot)) {
        None | Some(ValueRef::Stream(_)) => Ok(slot),
        Some(_) => Err(CommandError::WrongType),
    }
}

/// The stream at a slot where one was found.
#[inline]
fn stream_at<'a>(ctx: &'a WriteCtx<'_>, slot: Slot) -> &'a Stream {
    match ctx.db().value(slot) {
        ValueRef::Stream(stream) => stream,
        _ => unreachable!("the slot was found to hold a stream"),
    }
}

/// The same, to change.
#[inline]
fn stream_mut<'a>(ctx: &'a mut WriteCtx<'_>, slot: Slot) -> &'a mut Stream {
    match ctx.db_mut().value_mut(slot) {
        ValueMut::Stream(stream) => stream,
        _ => unreachable!("the slot was found to hold a stream"),
    }
}

/// The error for a key or a group that is not there, with names as they came, text or not.
fn no_group(parts: &[&[u8]]) -> CommandError {
    CommandError::Raw([&[&b"NOGROUP "[..]], parts].concat().concat())
}

/// The same, as the commands that work on pending entries put it.
fn no_key_or_group(key: &[u8], group: &[u8]) -> CommandError {
    no_group(&[b"No such key '", key, b"' or consumer group '", group, b"'"])
}

/// The same, as the containers put it.
fn no_group_of_key(key: &[u8], group: &[u8]) -> CommandError {
    no_group(&[b"No such consumer group '", group, b"' for key name '", key, b"'"])
}

#[inline]
fn reply_id(id: StreamId, reply: &mut Reply<'_>) {
    reply.bulk(id.text().as_bytes());
}

/// Writes an entry: its ID, and its fields and values in one row.
fn reply_entry(entry: Entry<'_>, reply: &mut Reply<'_>) {
    reply.array(2);
    reply_id(entry.id, reply);
    reply.array(entry.fields.len() * 2);
    for (field, value) in entry.fields {
        reply_element(field, reply);
        reply_element(value, reply);
    }
}

/// Writes entries whose number shows at their end.
fn reply_entries<'a>(entries: impl Iterator<Item = Entry<'a>>, reply: &mut Reply<'_>) {
    let head = reply.deferred();
    let mut count = 0;
    for entry in entries {
        reply_entry(entry, reply);
        count += 1;
    }
    reply.close(head, count);
}

/// A limit as `COUNT` gives it, where 0 and less mean none.
fn parse_count(count: i64) -> usize {
    match usize::try_from(count) {
        Ok(count @ 1..) => count,
        _ => usize::MAX,
    }
}

/// A delivery on its way to the effect log.
struct Delivery {
    id: Vec<u8>,
    owner: Box<[u8]>,
    delivered_ms: i64,
    count: u64,
    last_id: StreamId,
}

/// Propagates who got which entries, so that running it twice does nothing more.
fn propagate_deliveries(ctx: &mut WriteCtx<'_>, key: &[u8], group: &[u8], deliveries: &[Delivery]) {
    for delivery in deliveries {
        let (mut time, mut count) = (IntBuf::new(), IntBuf::new());
        ctx.also_propagate(&[
            b"XCLAIM",
            key,
            group,
            &delivery.owner,
            b"0",
            &delivery.id,
            b"TIME",
            time.i64(delivery.delivered_ms),
            b"RETRYCOUNT",
            count.i64(delivery.count.cast_signed()),
            b"FORCE",
            b"JUSTID",
            b"LASTID",
            delivery.last_id.text().as_bytes(),
        ]);
    }
}

/// Propagates how far a group has read.
fn propagate_position(ctx: &mut WriteCtx<'_>, key: &[u8], group: &[u8], slot: Slot) {
    let Some(state) = stream_at(ctx, slot).groups.get(group) else { return };
    let (last_id, read) = (state.last_id, state.entries_read.unwrap_or(-1));
    let mut digits = IntBuf::new();
    ctx.also_propagate(&[
        b"XGROUP",
        b"SETID",
        key,
        group,
        last_id.text().as_bytes(),
        b"ENTRIESREAD",
        digits.i64(read),
    ]);
}

/// Announces that a consumer came into being.
fn announce_consumer(ctx: &mut WriteCtx<'_>, key: &[u8]) {
    ctx.notify(EventClass::STREAM, "xgroup-createconsumer", key);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_may_leave_their_ends_out() {
        assert_eq!(parse_start(b"-"), Ok(StreamId::MIN));
        assert_eq!(parse_end(b"+"), Ok(StreamId::MAX));
        assert_eq!(parse_start(b"5"), Ok(StreamId::new(5, 0)));
        assert_eq!(parse_end(b"5"), Ok(StreamId::new(5, u64::MAX)));
        assert_eq!(parse_start(b"(5-1"), Ok(StreamId::new(5, 2)));
        assert_eq!(parse_end(b"(5-0"), Ok(StreamId::new(4, u64::MAX)));
        let max = b"(18446744073709551615-18446744073709551615";
        assert!(parse_start(max).is_err());
        assert!(parse_end(b"(0-0").is_err());
        for wrong in [&b"("[..], b"(-", b"(+", b"", b"x"] {
            assert_eq!(parse_start(wrong), Err(INVALID_ID));
            assert_eq!(parse_end(wrong), Err(INVALID_ID));
        }
    }
}
