//! Lists: elements in a row, taken and given at both ends, a file per kind of work.
//!
//! A list without elements is never seen: whoever takes the last one deletes the key before anybody is told.

use super::reply_element;
use crate::engine::args;
use crate::engine::ctx::{ReadCtx, WriteCtx};
use crate::engine::effects::EventClass;
use crate::engine::error::CommandError;
use crate::keyspace::db::Slot;
use crate::keyspace::value::{Value, ValueMut, ValueRef};
use crate::object::list::{End, List};

pub mod push;

pub mod pop;

pub mod read;

pub mod edit;

pub mod moving;

/// The list at a key to read, if it is there.
#[inline]
fn read<'a>(ctx: &mut ReadCtx<'a>, key: &[u8]) -> Result<Option<&'a List>, CommandError> {
    match ctx.value(key) {
        None => Ok(None),
        Some(ValueRef::List(list)) => Ok(Some(list)),
        Some(_) => Err(CommandError::WrongType),
    }
}

/// Finds a list to change.
#[inline]
fn find(ctx: &mut WriteCtx<'_>, key: &[u8]) -> Result<Option<Slot>, CommandError> {
    ctx.find_if(key, |value| matches!(value, ValueRef::List(_)))
}

/// Makes a list, in which the caller is certain to put an element.
#[inline]
fn create(ctx: &mut WriteCtx<'_>, key: &[u8]) -> Slot {
    ctx.insert(key, Value::List(List::new()), None)
}

/// The list at a slot where one was found.
#[inline]
fn list_mut<'a>(ctx: &'a mut WriteCtx<'_>, slot: Slot) -> &'a mut List {
    match ctx.db_mut().value_mut(slot) {
        ValueMut::List(list) => list,
        _ => unreachable!("the slot was found to hold a list"),
    }
}

/// The key of a list that has lost elements goes with the last one; else the list may take a smaller
/// form. Says whether the key is gone.
#[inline]
fn settle(ctx: &mut WriteCtx<'_>, slot: Slot) -> bool {
    let limits = ctx.list_limits();
    let list = list_mut(ctx, slot);
    if !list.is_empty() {
        list.shrink(limits);
        return false;
    }
    ctx.remove(slot);
    true
}

/// Announces that a list has lost elements, and the key with them if it `is_gone`.
#[inline]
fn announce_loss(ctx: &mut WriteCtx<'_>, key: &[u8], event: &str, lost: usize, is_gone: bool) {
    ctx.touch_watchers(key);
    ctx.count_changes(lost as u64);
    ctx.notify(EventClass::LIST, event, key);
    if is_gone {
        ctx.notify(EventClass::GENERIC, "del", key);
    }
}

/// The event of a push.
fn push_event(end: End) -> &'static str {
    match end {
        End::Head => "lpush",
        End::Tail => "rpush",
    }
}

/// The event of a pop.
fn pop_event(end: End) -> &'static str {
    match end {
        End::Head => "lpop",
        End::Tail => "rpop",
    }
}

/// `LEFT` or `RIGHT`.
fn parse_end(arg: &[u8]) -> Result<End, CommandError> {
    if args::is(arg, "LEFT") {
        Ok(End::Head)
    } else if args::is(arg, "RIGHT") {
        Ok(End::Tail)
    } else {
        Err(CommandError::Syntax)
    }
}

/// What part of `len` elements the range from `start` to `stop` covers, where negative numbers count
/// from the tail: its first index, and how many there are.
fn clip(start: i64, stop: i64, len: usize) -> (usize, usize) {
    let len = i64::try_from(len).unwrap_or(i64::MAX);
    let absolute = |index: i64| if index < 0 { len.saturating_add(index) } else { index };
    let (start, stop) = (absolute(start).max(0), absolute(stop).min(len - 1));
    if start > stop { (0, 0) } else { (start as usize, (stop - start + 1) as usize) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_clipped_to_the_list() {
        assert_eq!(clip(0, -1, 5), (0, 5));
        assert_eq!(clip(1, 1, 5), (1, 1));
        assert_eq!(clip(-2, -1, 5), (3, 2));
        assert_eq!(clip(-100, 100, 5), (0, 5));
        for (start, stop) in [(5, 9), (3, 2), (-1, -2), (0, -6), (i64::MAX, i64::MIN)] {
            assert_eq!(clip(start, stop, 5), (0, 0));
        }
        assert_eq!(clip(i64::MIN, i64::MAX, 5), (0, 5));
        assert_eq!(clip(0, -1, 0), (0, 0));
    }
}
