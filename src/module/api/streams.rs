//! The entries of a stream: adding, deleting, trimming, and going through those of a range.
//!
//! A walk remembers the IDs that it has still to visit, not a place in a node: whatever is added, deleted or
//! trimmed meanwhile, the next entry is the one that follows now.
#![expect(unsafe_code, reason = "functions of a C interface take raw pointers")]

use std::ffi::{c_int, c_long, c_longlong};

use mortise_module_abi as abi;

use super::super::handle::{ModString, ModuleCtx, OpenKey, Walk, set_errno};
use super::keys::borrow;
use crate::engine::ctx::WriteCtx;
use crate::keyspace::db::Slot;
use crate::keyspace::value::{Value, ValueMut, ValueRef};
use crate::object::stream::{AddError, NewId, Stream, StreamId, Trim, TrimTo};

/// What a call comes to: an `errno` if it fails.
type Outcome<T> = Result<T, c_int>;

/// Nodes that an approximate trim goes through at most, as XTRIM without LIMIT.
const TRIMMED_NODES_MAX: u64 = 100;

fn answer(outcome: Outcome<()>) -> c_int {
    match outcome {
        Ok(()) => abi::OK,
        Err(error) => {
            set_errno(error);
            abi::ERR
        }
    }
}

fn id_of(id: &abi::StreamId) -> StreamId {
    StreamId::new(id.ms, id.seq)
}

fn c_id(id: StreamId) -> abi::StreamId {
    abi::StreamId { ms: id.ms, seq: id.seq }
}

/// A walk through entries.
#[derive(Debug)]
pub struct StreamWalk {
    /// The range that is still to be visited, both ends included; None when it is at its end.
    left: Option<(StreamId, StreamId)>,
    backwards: bool,
    /// The entry where it stands.
    current: Option<StreamId>,
    /// The fields and values of that entry that are still to be told, the next one last.
    fields: Vec<[Vec<u8>; 2]>,
}

impl StreamWalk {
    /// Goes to the next entry: its ID and how many fields it has.
    fn next(&mut self, stream: &Stream) -> Option<(StreamId, usize)> {
        self.leave();
        let (low, high) = self.left.take()?;
        let entry = match self.backwards {
            false => stream.log.range(low, high).next()?,
            true => stream.log.range_back(low, high).next()?,
        };
        self.fields.extend(entry.fields.map(|(field, value)| [field.to_vec(), value.to_vec()]));
        self.fields.reverse();
        self.current = Some(entry.id);
        self.left = match self.backwards {
            false => entry.id.next().filter(|low| *low <= high).map(|low| (low, high)),
            true => entry.id.prev().filter(|high| *high >= low).map(|high| (low, high)),
        };
        Some((entry.id, self.fields.len()))
    }

    /// Stands at no entry any more.
    fn leave(&mut self) {
        self.current = None;
        self.fields.clear();
    }
}

/// That a key has a stream.
fn check_stream(key: &mut OpenKey) -> Outcome<()> {
    let is_stream = key.read(|db, slot| matches!(db.value(slot), ValueRef::Stream(_)));
    if is_stream == Some(true) { Ok(()) } else { Err(libc::ENOTSUP) }
}

fn check_writable(key: &OpenKey) -> Outcome<()> {
    if key.is_writable() { Ok(()) } else { Err(libc::EBADF) }
}

/// The stream at a slot where one was found.
fn stream_at<'a>(write: &'a mut WriteCtx<'_>, slot: Option<Slot>) -> Outcome<&'a mut Stream> {
    match write.db_mut().value_mut(slot.ok_or(libc::ENOTSUP)?) {
        ValueMut::Stream(stream) => Ok(stream),
        _ => Err(libc::ENOTSUP),
    }
}

/// Changes the stream at a key, which is there; `change` says how many entries it took.
fn take_entries(key: &mut OpenKey, change: impl FnOnce(&mut Stream) -> u64) -> Outcome<u64> {
    let done = key.write(|write, name, slot| {
        let taken = change(stream_at(write, slot)?);
        if taken > 0 {
            write.changed(name);
        }
        Ok(taken)
    });
    key.wrote = true;
    done.unwrap_or(Err(libc::EINVAL))
}

/// Adds an entry, and the stream if there is none; its ID.
fn add_entry(key: &mut OpenKey, wanted: NewId, pairs: &[[&[u8]; 2]]) -> Outcome<StreamId> {
    let is_other = key.read(|db, slot| !matches!(db.value(slot), ValueRef::Stream(_)));
    if is_other == Some(true) {
        return Err(libc::ENOTSUP);
    }
    check_writable(key)?;
    if wanted == NewId::Exact(StreamId::MIN) {
        return Err(libc::EDOM);
    }
    let done = key.write(|write, name, slot| {
        let (limits, now) = (write.node_limits(), write.now_ms().max(0).cast_unsigned());
        let add = |stream: &mut Stream| {
            let id = stream.log.next_id(wanted, now)?;
            stream.log.append(id, pairs, limits)?;
            Ok(id)
        };
        let added = match slot {
            Some(_) => add(stream_at(write, slot)?).inspect(|_| write.signal(name)),
            None => {
                let mut stream = Stream::default();
                add(&mut stream).inspect(|_| {
                    write.insert(name, Value::Stream(Box::new(stream)), None);
                    write.created(name);
                })
            }
        };
        let id = added.map_err(|error| match error {
            AddError::Exhausted => libc::EFBIG,
            AddError::NotBehind => libc::EDOM,
            AddError::TooLarge => libc::ERANGE,
        })?;
        write.changed(name);
        Ok(id)
    });
    key.wrote = true;
    done.unwrap_or(Err(libc::EINVAL))
}

pub(super) unsafe extern "C" fn add(
    key: *mut abi::Key,
    flags: c_int,
    id: *mut abi::StreamId,
    argv: *mut *mut abi::ModuleString,
    numfields: i64,
) -> c_int {
    let is_auto = flags & abi::STREAM_ADD_AUTOID != 0;
    // SAFETY: modules pass null or an open key, and null or their variable for the ID.
    let (key, id) = unsafe { (borrow(key), id.as_mut()) };
    let count = usize::try_from(numfields).ok().filter(|count| *count == 0 || !argv.is_null());
    let (Some(key), Some(count)) = (key, count) else { return answer(Err(libc::EINVAL)) };
    if flags & !abi::STREAM_ADD_AUTOID != 0 || (!is_auto && id.is_none()) {
        return answer(Err(libc::EINVAL));
    }
    let text = |at: usize| {
        // SAFETY: the module passes two live strings for each field.
        let string = unsafe { ModString::borrow(*argv.add(at)) };
        string.map(ModString::as_bytes)
    };
    let pair = |at: usize| Some([text(2 * at)?, text(2 * at + 1)?]);
    let Some(pairs) = (0..count).map(pair).collect::<Option<Vec<_>>>() else {
        return answer(Err(libc::EINVAL));
    };
    let wanted = match &id {
        Some(id) if !is_auto => NewId::Exact(id_of(id)),
        _ => NewId::Auto,
    };
    answer(add_entry(key, wanted, &pairs).map(|added| {
        if let Some(id) = id {
            *id = c_id(added);
        }
    }))
}

pub(super) unsafe extern "C" fn delete(key: *mut abi::Key, id: *mut abi::StreamId) -> c_int {
    // SAFETY: modules pass null or an open key, and null or an ID.
    let (key, id) = unsafe { (borrow(key), id.as_ref()) };
    let (Some(key), Some(id)) = (key, id) else { return answer(Err(libc::EINVAL)) };
    let delete = |key: &mut OpenKey| {
        check_stream(key)?;
        check_writable(key)?;
        if matches!(key.walk, Walk::Stream(_)) {
            return Err(libc::EBADF);
        }
        match take_entries(key, |stream| stream.log.delete(&[id_of(id)]))? {
            0 => Err(libc::ENOENT),
            _ => Ok(()),
        }
    };
    answer(delete(key))
}

/// The range between two bounds, if there can be anything.
fn range(
    start: Option<StreamId>,
    end: Option<StreamId>,
    is_exclusive: bool,
) -> Outcome<Option<(StreamId, StreamId)>> {
    let (mut low, mut high) = (start.unwrap_or(StreamId::MIN), end.unwrap_or(StreamId::MAX));
    if is_exclusive && start.is_some() {
        low = low.next().ok_or(libc::EDOM)?;
    }
    if is_exclusive && end.is_some() {
        high = high.prev().ok_or(libc::EDOM)?;
    }
    Ok((low <= high).then_some((low, high)))
}

pub(super) unsafe extern "C" fn start(
    key: *mut abi::Key,
    flags: c_int,
    start: *mut abi::StreamId,
    end: *mut abi::StreamId,
) -> c_int {
    const FLAGS: c_int = abi::STREAM_ITERATOR_EXCLUSIVE | abi::STREAM_ITERATOR_REVERSE;
    // SAFETY: modules pass null or an open key, and null or IDs.
    let (key, start, end) = unsafe { (borrow(key), start.as_ref(), end.as_ref()) };
    let Some(key) = key.filter(|_| flags & !FLAGS == 0) else {
        return answer(Err(libc::EINVAL));
    };
    let begin = |key: &mut OpenKey| {
        check_stream(key)?;
        if matches!(key.walk, Walk::Stream(_)) {
            return Err(libc::EBADF);
        }
        let is_exclusive = flags & abi::STREAM_ITERATOR_EXCLUSIVE != 0;
        let left = range(start.map(id_of), end.map(id_of), is_exclusive)?;
        let backwards = flags & abi::STREAM_ITERATOR_REVERSE != 0;
        let walk = StreamWalk { left, backwards, current: None, fields: Vec::new() };
        key.walk = Walk::Stream(Box::new(walk));
        Ok(())
    };
    answer(begin(key))
}

/// Runs `f` with the walk of a key that has a stream.
///
/// # Safety
/// `key` is null or an open key.
unsafe fn with_walk<R>(
    key: *mut abi::Key,
    f: impl FnOnce(&mut OpenKey, &mut StreamWalk) -> Outcome<R>,
) -> Outcome<R> {
    // SAFETY: the caller promises it.
    let key = unsafe { borrow(key) }.ok_or(libc::EINVAL)?;
    check_stream(key)?;
    match std::mem::take(&mut key.walk) {
        Walk::Stream(mut walk) => {
            let result = f(key, &mut walk);
            key.walk = Walk::Stream(walk);
            result
        }
        other => {
            key.walk = other;
            Err(libc::EBADF)
        }
    }
}

pub(super) unsafe extern "C" fn stop(key: *mut abi::Key) -> c_int {
    // SAFETY: modules pass null or an open key.
    let stopped = unsafe { with_walk(key, |_, _| Ok(())) };
    // SAFETY: as above.
    if let (Ok(()), Some(key)) = (stopped, unsafe { borrow(key) }) {
        key.walk = Walk::None;
    }
    answer(stopped)
}

pub(super) unsafe extern "C" fn next_id(
    key: *mut abi::Key,
    id: *mut abi::StreamId,
    numfields: *mut c_long,
) -> c_int {
    let next = |key: &mut OpenKey, walk: &mut StreamWalk| {
        let found = key.read(|db, slot| match db.value(slot) {
            ValueRef::Stream(stream) => walk.next(stream),
            _ => None,
        });
        found.flatten().ok_or(libc::ENOENT)
    };
    // SAFETY: modules pass null or an open key.
    let found = unsafe { with_walk(key, next) };
    answer(found.map(|(found, fields)| {
        // SAFETY: null, or the module's variables.
        let (id, numfields) = unsafe { (id.as_mut(), numfields.as_mut()) };
        if let Some(id) = id {
            *id = c_id(found);
        }
        if let Some(numfields) = numfields {
            *numfields = fields as c_long;
        }
    }))
}

pub(super) unsafe extern "C" fn next_field(
    key: *mut abi::Key,
    field: *mut *mut abi::ModuleString,
    value: *mut *mut abi::ModuleString,
) -> c_int {
    let next = |key: &mut OpenKey, walk: &mut StreamWalk| {
        let texts = walk.fields.pop().ok_or(libc::ENOENT)?;
        for (out, text) in [field, value].into_iter().zip(texts) {
            // SAFETY: null, or the module's variable.
            if let Some(out) = unsafe { out.as_mut() } {
                *out = ModuleCtx::new_string(key.ctx(), &text);
            }
        }
        Ok(())
    };
    // SAFETY: modules pass null or an open key.
    answer(unsafe { with_walk(key, next) })
}

pub(super) unsafe extern "C" fn delete_current(key: *mut abi::Key) -> c_int {
    let delete = |key: &mut OpenKey, walk: &mut StreamWalk| {
        check_writable(key)?;
        let id = walk.current.ok_or(libc::ENOENT)?;
        walk.leave();
        take_entries(key, |stream| stream.log.delete(&[id])).map(|_| ())
    };
    // SAFETY: modules pass null or an open key.
    answer(unsafe { with_walk(key, delete) })
}

/// Trims the stream at a key; how many entries that took, or -1.
///
/// # Safety
/// `key` is null or an open key.
unsafe fn trim(key: *mut abi::Key, flags: c_int, to: Option<TrimTo>) -> c_longlong {
    // SAFETY: the caller promises it.
    let key = unsafe { borrow(key) }.filter(|_| flags & !abi::STREAM_TRIM_APPROX == 0);
    let trim = |key: &mut OpenKey, to| {
        check_stream(key)?;
        check_writable(key)?;
        let approximate = flags & abi::STREAM_TRIM_APPROX != 0;
        let node_entries = key.write(|write, _, _| write.node_limits().entries_max as u64);
        let limit = node_entries
            .filter(|entries| approximate && *entries > 0)
            .map(|entries| entries.saturating_mul(TRIMMED_NODES_MAX));
        take_entries(key, |stream| stream.log.trim(&Trim { to, approximate, limit }))
    };
    let outcome = key.zip(to).ok_or(libc::EINVAL).and_then(|(key, to)| trim(key, to));
    match outcome {
        Ok(taken) => taken.cast_signed(),
        Err(error) => {
            set_errno(error);
            -1
        }
    }
}

pub(super) unsafe extern "C" fn trim_by_length(
    key: *mut abi::Key,
    flags: c_int,
    length: c_longlong,
) -> c_longlong {
    // SAFETY: modules pass null or an open key.
    unsafe { trim(key, flags, u64::try_from(length).ok().map(TrimTo::Length)) }
}

pub(super) unsafe extern "C" fn trim_by_id(
    key: *mut abi::Key,
    flags: c_int,
    id: *mut abi::StreamId,
) -> c_longlong {
    // SAFETY: modules pass null or an open key, and null or an ID.
    unsafe { trim(key, flags, id.as_ref().map(|id| TrimTo::MinId(id_of(id)))) }
}
