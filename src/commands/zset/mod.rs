//! Sorted sets: members with scores under one key, a file per kind of work.
//!
//! What is asked for by rank, by score or by member becomes a range of ranks first (`bounds.rs`); what
//! is left of a command is then the same for all three.

use super::reply_element;
use crate::engine::ctx::{ReadCtx, WriteCtx};
use crate::engine::effects::EventClass;
use crate::engine::error::CommandError;
use crate::keyspace::db::Slot;
use crate::keyspace::value::{Value, ValueMut, ValueRef};
use crate::object::zset::{Scored, Zset};
use crate::resp::reply::Reply;

pub mod add;

pub mod get;

pub mod range;

pub mod remove;

pub mod pop;

pub mod combine;

pub mod walk;

mod bounds;

mod algebra;

mod sources;

#[cfg(test)]
mod effects_tests;

/// The sorted set at a key, to read, if it is there.
#[inline]
pub(super) fn read_zset<'a>(
    ctx: &mut ReadCtx<'a>,
    key: &[u8],
) -> Result<Option<&'a Zset>, CommandError> {
    match ctx.value(key) {
        None => Ok(None),
        Some(ValueRef::Zset(zset)) => Ok(Some(zset)),
        Some(_) => Err(CommandError::WrongType),
    }
}

/// Finds a sorted set to change.
#[inline]
pub(super) fn find(ctx: &mut WriteCtx<'_>, key: &[u8]) -> Result<Option<Slot>, CommandError> {
    ctx.find_if(key, |value| matches!(value, ValueRef::Zset(_)))
}

/// The sorted set at a slot where one was found, to read.
#[inline]
fn zset_at<'a>(ctx: &'a WriteCtx<'_>, slot: Slot) -> &'a Zset {
    match ctx.db().value(slot) {
        ValueRef::Zset(zset) => zset,
        _ => unreachable!("the slot was found to hold a sorted set"),
    }
}

/// The sorted set at a slot where one was found, to change.
#[inline]
pub(super) fn zset_mut<'a>(ctx: &'a mut WriteCtx<'_>, slot: Slot) -> &'a mut Zset {
    match ctx.db_mut().value_mut(slot) {
        ValueMut::Zset(zset) => zset,
        _ => unreachable!("the slot was found to hold a sorted set"),
    }
}

/// Announces that members were removed. A sorted set without members is deleted.
fn announce_removal(ctx: &mut WriteCtx<'_>, key: &[u8], slot: Slot, event: &str, removed: usize) {
    let is_empty = zset_at(ctx, slot).is_empty();
    if is_empty {
        ctx.remove(slot);
    }
    ctx.changed(key);
    ctx.count_changes(removed as u64 - 1);
    ctx.notify(EventClass::ZSET, event, key);
    if is_empty {
        ctx.notify(EventClass::GENERIC, "del", key);
    }
}

/// Puts a result in the place of whatever a key holds, which goes if the result is empty.
pub(super) fn store(ctx: &mut WriteCtx<'_>, key: &[u8], result: Zset, event: &str) {
    let old = ctx.peek(key);
    if let Some(slot) = old {
        ctx.remove(slot);
    }
    if !result.is_empty() {
        ctx.insert(key, Value::Zset(result), None);
        ctx.changed(key);
        if old.is_none() {
            ctx.created(key);
        }
        ctx.notify(EventClass::ZSET, event, key);
    } else if old.is_some() {
        ctx.changed(key);
        ctx.notify(EventClass::GENERIC, "del", key);
    }
}

/// Whether scores follow their members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Show {
    Members,
    Scores,
}

/// Opens the reply of `len` members. RESP2 has members and scores in one row, RESP3 an array of pairs.
#[inline]
fn reply_head(show: Show, len: usize, reply: &mut Reply<'_>) {
    let flat = show == Show::Scores && !reply.is_resp3();
    reply.array(if flat { len * 2 } else { len });
}

/// Writes one of the members announced by [`reply_head`].
#[inline]
fn reply_scored(show: Show, (member, score): Scored<'_>, reply: &mut Reply<'_>) {
    if show == Show::Members {
        return reply_element(member, reply);
    }
    if reply.is_resp3() {
        reply.array(2);
    }
    reply_element(member, reply);
    reply.double(score);
}
