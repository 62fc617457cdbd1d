//! Sets: members under one key, a file per kind of work.

use super::reply_element;
use crate::config::Config;
use crate::config::params::Param;
use crate::engine::ctx::{ReadCtx, WriteCtx};
use crate::engine::effects::EventClass;
use crate::engine::error::CommandError;
use crate::keyspace::db::Slot;
use crate::keyspace::value::{ValueMut, ValueRef};
use crate::object::set::{Set, SetLimits};

pub mod change;

pub mod read;

pub mod random;

pub mod algebra;

#[cfg(test)]
mod effects_tests;

/// Where a set leaves its small forms.
#[inline]
fn limits(config: &Config) -> SetLimits {
    SetLimits {
        intset_entries_max: config.size(Param::SetMaxIntsetEntries),
        listpack_entries_max: config.size(Param::SetMaxListpackEntries),
        listpack_value_max: config.size(Param::SetMaxListpackValue),
    }
}

/// The set at a key, to read, if it is there.
#[inline]
fn read_set<'a>(ctx: &mut ReadCtx<'a>, key: &[u8]) -> Result<Option<&'a Set>, CommandError> {
    match ctx.value(key) {
        None => Ok(None),
        Some(ValueRef::Set(set)) => Ok(Some(set)),
        Some(_) => Err(CommandError::WrongType),
    }
}

/// Finds a set to change.
#[inline]
fn find(ctx: &mut WriteCtx<'_>, key: &[u8]) -> Result<Option<Slot>, CommandError> {
    ctx.find_if(key, |value| matches!(value, ValueRef::Set(_)))
}

/// The set at a slot where one was found, to read.
#[inline]
fn set_at<'a>(ctx: &'a WriteCtx<'_>, slot: Slot) -> &'a Set {
    match ctx.db().value(slot) {
        ValueRef::Set(set) => set,
        _ => unreachable!("the slot was found to hold a set"),
    }
}

/// The set at a slot where one was found, to change.
#[inline]
fn set_mut<'a>(ctx: &'a mut WriteCtx<'_>, slot: Slot) -> &'a mut Set {
    match ctx.db_mut().value_mut(slot) {
        ValueMut::Set(set) => set,
        _ => unreachable!("the slot was found to hold a set"),
    }
}

/// Deletes a set without members; whether it was one. The event is the caller's.
fn remove_if_empty(ctx: &mut WriteCtx<'_>, slot: Slot) -> bool {
    let is_empty = set_at(ctx, slot).is_empty();
    if is_empty {
        ctx.remove(slot);
    }
    is_empty
}

/// Announces that members left a set, and that the set is gone if none stayed.
fn announce_departure(ctx: &mut WriteCtx<'_>, key: &[u8], event: &str, is_gone: bool) {
    ctx.notify(EventClass::SET, event, key);
    if is_gone {
        ctx.notify(EventClass::GENERIC, "del", key);
    }
}
