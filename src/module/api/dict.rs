//! Dictionaries: sorted by the bytes of their keys, holding pointers of the module.
//!
//! An iterator remembers the key that it stands at, not a place in memory, so that a dictionary may
//! change under it; it must not outlive the dictionary, as the ABI demands.
#![expect(unsafe_code, reason = "functions of a C interface take raw pointers")]

use std::collections::BTreeMap;
use std::ffi::{c_char, c_int, c_void};
use std::ops::Bound;

use mortise_module_abi as abi;

use super::super::handle::{ModString, ModuleCtx, Owned, c_bytes, c_slice};
use super::super::host::Foreign;

/// The target of `Dict` handles.
#[derive(Debug, Default)]
struct Dict {
    entries: BTreeMap<Box<[u8]>, Foreign>,
    bytes: usize,
}

/// The target of `DictIter` handles.
#[derive(Debug)]
struct Iterator {
    dict: *mut Dict,
    /// Where it stands; None past either end.
    current: Option<Box<[u8]>>,
    /// The entry that it stands at has not been returned yet.
    fresh: bool,
}

/// How keys compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Op {
    First,
    Last,
    Less,
    AtMost,
    Equal,
    AtLeast,
    Greater,
}

impl Op {
    fn parse(text: &[u8]) -> Option<Op> {
        Some(match text {
            b"^" => Op::First,
            b"$" => Op::Last,
            b"<" => Op::Less,
            b"<=" => Op::AtMost,
            b"=" | b"==" => Op::Equal,
            b">=" => Op::AtLeast,
            b">" => Op::Greater,
            _ => return None,
        })
    }
}

impl Dict {
    fn seek(&self, op: Op, key: &[u8]) -> Option<Box<[u8]>> {
        let below = |end| self.entries.range::<[u8], _>((Bound::Unbounded, end)).next_back();
        let above = |start| self.entries.range::<[u8], _>((start, Bound::Unbounded)).next();
        let found = match op {
            Op::First => self.entries.first_key_value(),
            Op::Last => self.entries.last_key_value(),
            Op::Less => below(Bound::Excluded(key)),
            Op::AtMost => below(Bound::Included(key)),
            Op::Equal => self.entries.get_key_value(key),
            Op::AtLeast => above(Bound::Included(key)),
            Op::Greater => above(Bound::Excluded(key)),
        };
        found.map(|(key, _)| key.clone())
    }
}

/// The dictionary behind a handle; None for null.
///
/// # Safety
/// `dict` is null or a live dictionary, not otherwise referred to during `'a`.
unsafe fn borrow<'a>(dict: *mut abi::Dict) -> Option<&'a mut Dict> {
    // SAFETY: the caller promises it.
    unsafe { dict.cast::<Dict>().as_mut() }
}

/// The bytes of a key that is a string.
///
/// # Safety
/// `key` is null or a live string during `'a`.
unsafe fn key_bytes<'a>(key: *mut abi::ModuleString) -> &'a [u8] {
    // SAFETY: the caller promises it.
    unsafe { ModString::borrow(key) }.map_or(&[], ModString::as_bytes)
}

pub(super) unsafe extern "C" fn create(ctx: *mut abi::Ctx) -> *mut abi::Dict {
    let dict: *mut abi::Dict = Box::into_raw(Box::<Dict>::default()).cast();
    // SAFETY: modules pass a live context or null.
    if let Some(ctx) = unsafe { ModuleCtx::borrow(ctx) } {
        ctx.own(Owned::Dict(dict));
    }
    dict
}

pub(super) unsafe extern "C" fn free(ctx: *mut abi::Ctx, dict: *mut abi::Dict) {
    // SAFETY: modules pass a live context or null.
    if let Some(ctx) = unsafe { ModuleCtx::borrow(ctx) } {
        ctx.disown(Owned::Dict(dict));
    }
    // SAFETY: passed on.
    unsafe { release(dict) }
}

/// Frees a dictionary.
///
/// # Safety
/// `dict` is null or a live dictionary that nobody uses any more.
pub unsafe fn release(dict: *mut abi::Dict) {
    if !dict.is_null() {
        // SAFETY: `create` made it from a box; the caller frees it once.
        drop(unsafe { Box::from_raw(dict.cast::<Dict>()) });
    }
}

/// Moves a dictionary, and has `value` move what its entries point to, from the key `from` on until time is up; null if
/// the dictionary itself is where it was. What is left to do begins at the key that `seek_to` gets.
///
/// # Safety
/// `ctx` is the handle of the callback that runs, not null; `dict` is null or a live dictionary; `from` is null or a live
/// string of which the caller gives up a reference.
pub(super) unsafe fn defragment(
    ctx: *mut abi::DefragCtx,
    dict: *mut abi::Dict,
    value: abi::DefragDictValueFunc,
    from: *mut abi::ModuleString,
    seek_to: &mut *mut abi::ModuleString,
) -> *mut abi::Dict {
    let mut moved = std::ptr::null_mut();
    let mut dict = dict;
    if from.is_null() && !dict.is_null() {
        // SAFETY: passed on; a dictionary is one block.
        let now = unsafe { super::defrag::alloc(ctx, dict.cast()) }.cast::<abi::Dict>();
        if !now.is_null() {
            (moved, dict) = (now, now);
        }
    }
    // SAFETY: the dictionary is alive, and nobody else refers to it.
    let own = unsafe { borrow(dict) };
    // SAFETY: alive as the caller promises; `start` does not outlive it.
    let start = unsafe { key_bytes(from) };
    let range = (Bound::Included(start), Bound::Unbounded);
    let entries = own.into_iter().flat_map(|own| own.entries.range_mut::<[u8], _>(range));
    for (at, (key, entry)) in entries.enumerate() {
        // SAFETY: the handle is good, as the caller promises.
        if at > 0 && unsafe { super::defrag::should_stop(ctx) } != 0 {
            *seek_to = ModString::handle(ModString::create(key));
            break;
        }
        let Some(value) = value else { continue };
        let mut now = std::ptr::null_mut();
        // SAFETY: the module's own function, for its own pointer; key and variable live during the call.
        let more = unsafe { value(ctx, entry.0, key.as_ptr().cast_mut(), key.len(), &raw mut now) };
        if !now.is_null() {
            entry.0 = now;
        }
        if more != 0 {
            *seek_to = ModString::handle(ModString::create(key));
            break;
        }
    }
    // SAFETY: the reference that the caller gives up.
    unsafe { ModString::release(from) };
    moved
}

pub(super) unsafe extern "C" fn size(dict: *mut abi::Dict) -> u64 {
    // SAFETY: modules pass a live dictionary.
    unsafe { borrow(dict) }.map_or(0, |dict| dict.entries.len() as u64)
}

pub(super) unsafe extern "C" fn malloc_size(dict: *mut abi::Dict) -> usize {
    // SAFETY: modules pass a live dictionary.
    unsafe { borrow(dict) }.map_or(0, |dict| {
        size_of::<Dict>() + dict.bytes + dict.entries.len() * size_of::<(Box<[u8]>, Foreign)>()
    })
}

/// Stores an entry; ERR if there is one and it must not be replaced.
fn store(dict: &mut Dict, key: &[u8], value: *mut c_void, replace: bool) -> c_int {
    if !replace && dict.entries.contains_key(key) {
        return abi::ERR;
    }
    if dict.entries.insert(key.into(), Foreign(value)).is_none() {
        dict.bytes += key.len();
    }
    abi::OK
}

pub(super) unsafe extern "C" fn set_c(
    dict: *mut abi::Dict,
    key: *mut c_void,
    len: usize,
    value: *mut c_void,
) -> c_int {
    // SAFETY: modules pass a live dictionary and `len` bytes.
    let (dict, key) = unsafe { (borrow(dict), c_slice(key.cast(), len)) };
    dict.map_or(abi::ERR, |dict| store(dict, key, value, false))
}

pub(super) unsafe extern "C" fn replace_c(
    dict: *mut abi::Dict,
    key: *mut c_void,
    len: usize,
    value: *mut c_void,
) -> c_int {
    // SAFETY: modules pass a live dictionary and `len` bytes.
    let (dict, key) = unsafe { (borrow(dict), c_slice(key.cast(), len)) };
    dict.map_or(abi::ERR, |dict| store(dict, key, value, true))
}

pub(super) unsafe extern "C" fn set(
    dict: *mut abi::Dict,
    key: *mut abi::ModuleString,
    value: *mut c_void,
) -> c_int {
    // SAFETY: modules pass a live dictionary and a live string.
    let (dict, key) = unsafe { (borrow(dict), key_bytes(key)) };
    dict.map_or(abi::ERR, |dict| store(dict, key, value, false))
}

pub(super) unsafe extern "C" fn replace(
    dict: *mut abi::Dict,
    key: *mut abi::ModuleString,
    value: *mut c_void,
) -> c_int {
    // SAFETY: modules pass a live dictionary and a live string.
    let (dict, key) = unsafe { (borrow(dict), key_bytes(key)) };
    dict.map_or(abi::ERR, |dict| store(dict, key, value, true))
}

/// Looks an entry up.
///
/// # Safety
/// `dict` is null or a live dictionary; `absent` is null or a variable.
unsafe fn look_up(dict: *mut abi::Dict, key: &[u8], absent: *mut c_int) -> *mut c_void {
    // SAFETY: the caller promises it.
    let found = unsafe { borrow(dict) }.and_then(|dict| dict.entries.get(key).copied());
    // SAFETY: as above.
    if let Some(absent) = unsafe { absent.as_mut() } {
        *absent = c_int::from(found.is_none());
    }
    found.map_or(std::ptr::null_mut(), |value| value.0)
}

pub(super) unsafe extern "C" fn get_c(
    dict: *mut abi::Dict,
    key: *mut c_void,
    len: usize,
    absent: *mut c_int,
) -> *mut c_void {
    // SAFETY: modules pass a live dictionary, `len` bytes, and null or a variable.
    unsafe { look_up(dict, c_slice(key.cast(), len), absent) }
}

pub(super) unsafe extern "C" fn get(
    dict: *mut abi::Dict,
    key: *mut abi::ModuleString,
    absent: *mut c_int,
) -> *mut c_void {
    // SAFETY: modules pass a live dictionary, a live string, and null or a variable.
    unsafe { look_up(dict, key_bytes(key), absent) }
}

/// Removes an entry.
///
/// # Safety
/// `dict` is null or a live dictionary; `old` is null or a variable for a pointer.
unsafe fn remove(dict: *mut abi::Dict, key: &[u8], old: *mut c_void) -> c_int {
    // SAFETY: the caller promises it.
    let Some(dict) = (unsafe { borrow(dict) }) else { return abi::ERR };
    let Some(value) = dict.entries.remove(key) else { return abi::ERR };
    dict.bytes -= key.len();
    // SAFETY: as above.
    if let Some(old) = unsafe { old.cast::<*mut c_void>().as_mut() } {
        *old = value.0;
    }
    abi::OK
}

pub(super) unsafe extern "C" fn del_c(
    dict: *mut abi::Dict,
    key: *mut c_void,
    len: usize,
    old: *mut c_void,
) -> c_int {
    // SAFETY: modules pass a live dictionary, `len` bytes, and null or a variable.
    unsafe { remove(dict, c_slice(key.cast(), len), old) }
}

pub(super) unsafe extern "C" fn del(
    dict: *mut abi::Dict,
    key: *mut abi::ModuleString,
    old: *mut c_void,
) -> c_int {
    // SAFETY: modules pass a live dictionary, a live string, and null or a variable.
    unsafe { remove(dict, key_bytes(key), old) }
}

/// The iterator behind a handle; None for null.
///
/// # Safety
/// `iterator` is null or a live iterator of a live dictionary.
unsafe fn borrow_iterator<'a>(iterator: *mut abi::DictIter) -> Option<&'a mut Iterator> {
    // SAFETY: the caller promises it.
    unsafe { iterator.cast::<Iterator>().as_mut() }
}

impl Iterator {
    /// Stands at another entry; false if there is none.
    ///
    /// # Safety
    /// The dictionary is alive.
    unsafe fn seek(&mut self, op: Option<Op>, key: &[u8]) -> bool {
        // SAFETY: the caller promises it.
        let dict = unsafe { self.dict.as_ref() };
        self.current = dict.zip(op).and_then(|(dict, op)| dict.seek(op, key));
        self.fresh = true;
        self.current.is_some()
    }

    /// Goes to the next entry in this direction, or returns the one that was sought.
    ///
    /// # Safety
    /// The dictionary is alive.
    unsafe fn step(&mut self, op: Op) -> Option<(&[u8], Foreign)> {
        // SAFETY: the caller promises it.
        let dict = unsafe { self.dict.as_ref() }?;
        if !std::mem::take(&mut self.fresh) {
            self.current = dict.seek(op, self.current.as_deref()?);
        }
        let key = self.current.as_deref()?;
        // What was sought may have been deleted since; its neighbour takes its place.
        let value = match dict.entries.get(key) {
            Some(value) => *value,
            None => {
                self.current = dict.seek(op, key);
                *dict.entries.get(self.current.as_deref()?)?
            }
        };
        Some((self.current.as_deref()?, value))
    }
}

pub(super) unsafe extern "C" fn start_c(
    dict: *mut abi::Dict,
    op: *const c_char,
    key: *mut c_void,
    len: usize,
) -> *mut abi::DictIter {
    let mut iterator = Iterator { dict: dict.cast(), current: None, fresh: true };
    // SAFETY: modules pass a live dictionary, a C string and `len` bytes.
    unsafe {
        iterator.seek(c_bytes(op).and_then(Op::parse), c_slice(key.cast(), len));
    }
    Box::into_raw(Box::new(iterator)).cast()
}

pub(super) unsafe extern "C" fn start(
    dict: *mut abi::Dict,
    op: *const c_char,
    key: *mut abi::ModuleString,
) -> *mut abi::DictIter {
    // SAFETY: modules pass null or a live string; the rest is passed on.
    unsafe {
        let key = key_bytes(key);
        start_c(dict, op, key.as_ptr().cast_mut().cast(), key.len())
    }
}

pub(super) unsafe extern "C" fn stop(iterator: *mut abi::DictIter) {
    if !iterator.is_null() {
        // SAFETY: `start_c` made it from a box; it is stopped once.
        drop(unsafe { Box::from_raw(iterator.cast::<Iterator>()) });
    }
}

pub(super) unsafe extern "C" fn reseek_c(
    iterator: *mut abi::DictIter,
    op: *const c_char,
    key: *mut c_void,
    len: usize,
) -> c_int {
    // SAFETY: modules pass a live iterator, a C string and `len` bytes.
    let found = unsafe {
        let (op, key) = (c_bytes(op).and_then(Op::parse), c_slice(key.cast(), len));
        borrow_iterator(iterator).is_some_and(|iterator| iterator.seek(op, key))
    };
    if found { abi::OK } else { abi::ERR }
}

pub(super) unsafe extern "C" fn reseek(
    iterator: *mut abi::DictIter,
    op: *const c_char,
    key: *mut abi::ModuleString,
) -> c_int {
    // SAFETY: modules pass null or a live string; the rest is passed on.
    unsafe {
        let key = key_bytes(key);
        reseek_c(iterator, op, key.as_ptr().cast_mut().cast(), key.len())
    }
}

/// Steps, and hands out key and value.
///
/// # Safety
/// `iterator` is null or a live iterator; `len` and `data` are null or variables.
unsafe fn step_c(
    iterator: *mut abi::DictIter,
    op: Op,
    len: *mut usize,
    data: *mut *mut c_void,
) -> *mut c_void {
    // SAFETY: the caller promises it.
    let found = unsafe { borrow_iterator(iterator).and_then(|iterator| iterator.step(op)) };
    let Some((key, value)) = found else { return std::ptr::null_mut() };
    // SAFETY: as above.
    unsafe {
        if let Some(len) = len.as_mut() {
            *len = key.len();
        }
        if let Some(data) = data.as_mut() {
            *data = value.0;
        }
    }
    key.as_ptr().cast_mut().cast()
}

/// Steps, and hands out the key as a string.
///
/// # Safety
/// As for [`step_c`]; `ctx` is null or a live context.
unsafe fn step_string(
    ctx: *mut abi::Ctx,
    iterator: *mut abi::DictIter,
    op: Op,
    data: *mut *mut c_void,
) -> *mut abi::ModuleString {
    let mut len = 0;
    // SAFETY: the caller promises it.
    unsafe {
        let key = step_c(iterator, op, &raw mut len, data);
        if key.is_null() {
            return std::ptr::null_mut();
        }
        ModuleCtx::new_string(ModuleCtx::borrow(ctx), c_slice(key.cast(), len))
    }
}

pub(super) unsafe extern "C" fn next_c(
    iterator: *mut abi::DictIter,
    len: *mut usize,
    data: *mut *mut c_void,
) -> *mut c_void {
    // SAFETY: modules pass a live iterator and variables.
    unsafe { step_c(iterator, Op::Greater, len, data) }
}

pub(super) unsafe extern "C" fn prev_c(
    iterator: *mut abi::DictIter,
    len: *mut usize,
    data: *mut *mut c_void,
) -> *mut c_void {
    // SAFETY: modules pass a live iterator and variables.
    unsafe { step_c(iterator, Op::Less, len, data) }
}

pub(super) unsafe extern "C" fn next(
    ctx: *mut abi::Ctx,
    iterator: *mut abi::DictIter,
    data: *mut *mut c_void,
) -> *mut abi::ModuleString {
    // SAFETY: modules pass a live context, a live iterator and a variable.
    unsafe { step_string(ctx, iterator, Op::Greater, data) }
}

pub(super) unsafe extern "C" fn prev(
    ctx: *mut abi::Ctx,
    iterator: *mut abi::DictIter,
    data: *mut *mut c_void,
) -> *mut abi::ModuleString {
    // SAFETY: modules pass a live context, a live iterator and a variable.
    unsafe { step_string(ctx, iterator, Op::Less, data) }
}

pub(super) unsafe extern "C" fn compare_c(
    iterator: *mut abi::DictIter,
    op: *const c_char,
    key: *mut c_void,
    len: usize,
) -> c_int {
    // SAFETY: modules pass a live iterator, a C string and `len` bytes.
    let (iterator, op, key) = unsafe {
        (borrow_iterator(iterator), c_bytes(op).and_then(Op::parse), c_slice(key.cast(), len))
    };
    let current = iterator.and_then(|iterator| iterator.current.as_deref());
    let (Some(current), Some(op)) = (current, op) else { return abi::ERR };
    let holds = match op {
        Op::First | Op::Last => false,
        Op::Less => current < key,
        Op::AtMost => current <= key,
        Op::Equal => current == key,
        Op::AtLeast => current >= key,
        Op::Greater => current > key,
    };
    if holds { abi::OK } else { abi::ERR }
}

pub(super) unsafe extern "C" fn compare(
    iterator: *mut abi::DictIter,
    op: *const c_char,
    key: *mut abi::ModuleString,
) -> c_int {
    // SAFETY: modules pass null or a live string; the rest is passed on.
    unsafe {
        let key = key_bytes(key);
        compare_c(iterator, op, key.as_ptr().cast_mut().cast(), key.len())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn value(n: u8) -> *mut c_void {
        std::ptr::without_provenance_mut(usize::from(n) + 1)
    }

    proptest! {
        #[test]
        fn iterators_visit_what_lies_behind_the_sought_key(
            keys in proptest::collection::btree_set(proptest::collection::vec(0..4u8, 0..4), 0..20),
            from in proptest::collection::vec(0..4u8, 0..4),
            forward: bool,
        ) {
            // SAFETY: handles of this test's own.
            unsafe {
                let dict = create(std::ptr::null_mut());
                for key in &keys {
                    let len = key.len();
                    set_c(dict, key.as_ptr().cast_mut().cast(), len, value(len as u8));
                }
                let op = if forward { c">=" } else { c"<" };
                let data = from.as_ptr().cast_mut().cast();
                let iterator = start_c(dict, op.as_ptr(), data, from.len());
                let mut found: Vec<Vec<u8>> = Vec::new();
                loop {
                    let (mut len, mut data) = (0, std::ptr::null_mut());
                    let step = if forward { next_c } else { prev_c };
                    let key = step(iterator, &raw mut len, &raw mut data);
                    if key.is_null() {
                        break;
                    }
                    prop_assert_eq!(data, value(len as u8));
                    found.push(c_slice(key.cast(), len).to_vec());
                }
                let mut want: Vec<Vec<u8>> =
                    keys.iter().filter(|key| (**key >= from) == forward).cloned().collect();
                if !forward {
                    want.reverse();
                }
                prop_assert_eq!(found, want);
                stop(iterator);
                free(std::ptr::null_mut(), dict);
            }
        }
    }
}
