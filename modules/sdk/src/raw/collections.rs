//! How are lists, sorted sets and streams read and written by an open key?

use std::ffi::{c_int, c_long};
use std::ptr;

use mortise_module_abi as abi;

use super::context::ok;
use super::keys::Key;
use super::need;
use super::strings::{OwnedString, Text};
use crate::error::Error;

/// What the ABI's two ends are called.
#[derive(Clone, Copy)]
pub(crate) enum Place {
    Head,
    Tail,
}

impl Place {
    fn code(self) -> c_int {
        match self {
            Place::Head => abi::LIST_HEAD,
            Place::Tail => abi::LIST_TAIL,
        }
    }
}

/// Where a walk through a sorted set begins and ends.
#[derive(Clone, Copy)]
pub(crate) struct ScoreRange {
    pub(crate) min: f64,
    pub(crate) max: f64,
    pub(crate) without_min: bool,
    pub(crate) without_max: bool,
    /// From the largest down.
    pub(crate) backwards: bool,
}

/// What a walk through a stream calls for each entry with its fields; false ends the walk.
pub(crate) type EachEntry<'a> =
    dyn FnMut(abi::StreamId, &[(OwnedString, OwnedString)]) -> bool + 'a;

/// Ends a walk, also when a callback panics.
struct Stop<'k, 'c> {
    key: &'k Key<'c>,
    stop: End,
}

/// Which walk is to be ended.
#[derive(Clone, Copy)]
enum End {
    Zset(abi::api::ZsetRangeStop),
    Stream(abi::api::StreamIteratorStop),
}

impl Drop for Stop<'_, '_> {
    fn drop(&mut self) {
        match self.stop {
            // SAFETY: the key is live; ending a walk that has ended changes nothing.
            End::Zset(stop) => unsafe { stop(self.key.ptr()) },
            End::Stream(stop) => {
                // SAFETY: as above.
                unsafe { stop(self.key.ptr()) };
            }
        }
    }
}

impl Key<'_> {
    pub(crate) fn list_push(&mut self, end: Place, value: &Text<'_>) -> Result<(), Error> {
        let push = need!(ListPush);
        // SAFETY: both are live; the server checks mode and type, and takes its own reference.
        ok(unsafe { push(self.ptr(), end.code(), value.ptr()) }, "ListPush")
    }

    pub(crate) fn list_pop(&mut self, end: Place) -> Result<Option<OwnedString>, Error> {
        let pop = need!(ListPop);
        // SAFETY: the key is live; the server checks mode and type, and gives the string away.
        Ok(unsafe { OwnedString::from_ptr(pop(self.ptr(), end.code())) })
    }

    pub(crate) fn list_get(&self, index: i64) -> Result<Option<OwnedString>, Error> {
        let get = need!(ListGet);
        // SAFETY: as above; the place that the server remembers belongs to the handle.
        Ok(unsafe { OwnedString::from_ptr(get(self.ptr(), index as c_long)) })
    }

    pub(crate) fn list_set(&mut self, index: i64, value: &Text<'_>) -> Result<(), Error> {
        let set = need!(ListSet);
        // SAFETY: both are live; the server checks the rest.
        ok(unsafe { set(self.ptr(), index as c_long, value.ptr()) }, "ListSet")
    }

    pub(crate) fn list_insert(&mut self, index: i64, value: &Text<'_>) -> Result<(), Error> {
        let insert = need!(ListInsert);
        // SAFETY: both are live; the server checks the rest.
        ok(unsafe { insert(self.ptr(), index as c_long, value.ptr()) }, "ListInsert")
    }

    pub(crate) fn list_delete(&mut self, index: i64) -> Result<(), Error> {
        let delete = need!(ListDelete);
        // SAFETY: the key is live; the server checks the rest.
        ok(unsafe { delete(self.ptr(), index as c_long) }, "ListDelete")
    }

    /// Adds or changes a member. `flags` are the ABI's conditions; what came of it is told in the same way.
    pub(crate) fn zset_add(
        &mut self,
        member: &Text<'_>,
        score: f64,
        mut flags: c_int,
    ) -> Result<c_int, Error> {
        let add = need!(ZsetAdd);
        // SAFETY: all are live; the server checks mode, type and score.
        let status = unsafe { add(self.ptr(), score, member.ptr(), &raw mut flags) };
        ok(status, "ZsetAdd").map(|()| flags)
    }

    pub(crate) fn zset_increment(&mut self, member: &Text<'_>, by: f64) -> Result<f64, Error> {
        let increment = need!(ZsetIncrby);
        let (mut flags, mut score) = (0, 0.0);
        // SAFETY: as above.
        let status =
            unsafe { increment(self.ptr(), by, member.ptr(), &raw mut flags, &raw mut score) };
        ok(status, "ZsetIncrby").map(|()| score)
    }

    pub(crate) fn zset_remove(&mut self, member: &Text<'_>) -> Result<bool, Error> {
        let remove = need!(ZsetRem);
        let mut deleted = 0;
        // SAFETY: as above.
        let status = unsafe { remove(self.ptr(), member.ptr(), &raw mut deleted) };
        ok(status, "ZsetRem").map(|()| deleted != 0)
    }

    /// Calls `each` with members and scores in order, until it says false.
    pub(crate) fn zset_range(
        &self,
        range: ScoreRange,
        each: &mut dyn FnMut(&[u8], f64) -> bool,
    ) -> Result<(), Error> {
        let first = need!(ZsetFirstInScoreRange);
        let last = need!(ZsetLastInScoreRange);
        let (next, previous) = (need!(ZsetRangeNext), need!(ZsetRangePrev));
        let (current, stop) = (need!(ZsetRangeCurrentElement), need!(ZsetRangeStop));
        let (begin, step) = if range.backwards { (last, previous) } else { (first, next) };
        let ScoreRange { min, max, without_min, without_max, .. } = range;
        // SAFETY: the key is live; the server checks the type.
        let status = unsafe { begin(self.ptr(), min, max, without_min.into(), without_max.into()) };
        ok(status, "ZsetFirstInScoreRange")?;
        let _stop = Stop { key: self, stop: End::Zset(stop) };
        loop {
            let mut score = 0.0;
            // SAFETY: the key is live, and its set unchanged: that takes `&mut self`. The server gives the
            // string away.
            let member = unsafe { OwnedString::from_ptr(current(self.ptr(), &raw mut score)) };
            // None at the end of the range.
            let Some(member) = member else { return Ok(()) };
            // SAFETY: the key is live.
            if !each(member.as_bytes(), score) || unsafe { step(self.ptr()) } == 0 {
                return Ok(());
            }
        }
    }

    /// Adds an entry; `argv` has fields and values by turns.
    pub(crate) fn stream_add(&mut self, argv: &[Text<'_>]) -> Result<abi::StreamId, Error> {
        let add = need!(StreamAdd);
        let mut id = abi::StreamId::default();
        let mut argv: Vec<_> = argv.iter().map(Text::ptr).collect();
        let fields = i64::try_from(argv.len() / 2).unwrap_or(0);
        // SAFETY: all are live; there are two strings for each field.
        let status = unsafe {
            add(self.ptr(), abi::STREAM_ADD_AUTOID, &raw mut id, argv.as_mut_ptr(), fields)
        };
        ok(status, "StreamAdd").map(|()| id)
    }

    pub(crate) fn stream_delete(&mut self, mut id: abi::StreamId) -> Result<bool, Error> {
        let delete = need!(StreamDelete);
        // SAFETY: both are live; the server checks the rest.
        Ok(unsafe { delete(self.ptr(), &raw mut id) } == abi::OK)
    }

    pub(crate) fn stream_trim(&mut self, length: i64) -> Result<u64, Error> {
        let trim = need!(StreamTrimByLength);
        // SAFETY: the key is live; the server checks the rest.
        let trimmed = unsafe { trim(self.ptr(), 0, length) };
        u64::try_from(trimmed).map_err(|_| Error::Refused("StreamTrimByLength"))
    }

    /// Calls `each` with the entries from `start` to `end`, both included, until it says false.
    pub(crate) fn stream_range(
        &self,
        mut start: abi::StreamId,
        mut end: abi::StreamId,
        backwards: bool,
        each: &mut EachEntry<'_>,
    ) -> Result<(), Error> {
        let (begin, stop) = (need!(StreamIteratorStart), need!(StreamIteratorStop));
        let (next_id, next_field) = (need!(StreamIteratorNextID), need!(StreamIteratorNextField));
        let flags = if backwards { abi::STREAM_ITERATOR_REVERSE } else { 0 };
        // SAFETY: all are live; the server checks the type, and refuses a second walk by the same handle.
        let status = unsafe { begin(self.ptr(), flags, &raw mut start, &raw mut end) };
        ok(status, "StreamIteratorStart")?;
        let _stop = Stop { key: self, stop: End::Stream(stop) };
        let mut fields = Vec::new();
        loop {
            let (mut id, mut count) = (abi::StreamId::default(), 0);
            // SAFETY: the key is live, and its stream unchanged: that takes `&mut self`.
            if unsafe { next_id(self.ptr(), &raw mut id, &raw mut count) } != abi::OK {
                return Ok(());
            }
            fields.clear();
            for _ in 0..count {
                let (mut field, mut value) = (ptr::null_mut(), ptr::null_mut());
                // SAFETY: as above; the server gives both strings away.
                let pair = unsafe {
                    if next_field(self.ptr(), &raw mut field, &raw mut value) != abi::OK {
                        break;
                    }
                    (OwnedString::from_ptr(field), OwnedString::from_ptr(value))
                };
                if let (Some(field), Some(value)) = pair {
                    fields.push((field, value));
                }
            }
            if !each(id, &fields) {
                return Ok(());
            }
        }
    }
}
