//! The elements of a list, by their index or from an end.
//!
//! An index is found from the list's own tree at each call, so that there is no position to keep, and none to
//! lose when the list changes. Errors go where Redis puts them: into `errno`.
#![expect(unsafe_code, reason = "functions of a C interface take raw pointers")]

use std::ffi::{c_int, c_long};

use mortise_module_abi as abi;

use super::super::handle::{ModString, ModuleCtx, OpenKey, set_errno};
use super::keys::borrow;
use crate::engine::ctx::WriteCtx;
use crate::keyspace::db::Slot;
use crate::keyspace::value::{Value, ValueMut, ValueRef};
use crate::object::list::{End, List, ListLimits, Side};

/// What a call comes to: an `errno` if it fails.
type Outcome<T> = Result<T, c_int>;

fn answer(outcome: Outcome<()>) -> c_int {
    match outcome {
        Ok(()) => abi::OK,
        Err(error) => {
            set_errno(error);
            abi::ERR
        }
    }
}

fn end_of(place: c_int) -> End {
    if place == abi::LIST_HEAD { End::Head } else { End::Tail }
}

/// The length of the list at a key: None if there is no key.
fn length(key: &mut OpenKey) -> Outcome<Option<usize>> {
    let found = key.read(|db, slot| match db.value(slot) {
        ValueRef::List(list) => Ok(list.len()),
        _ => Err(libc::ENOTSUP),
    });
    found.transpose()
}

/// That a key has a list in which an index lies, and was opened for what is to be done.
fn check_index(key: &mut OpenKey, index: c_long, mode: c_int) -> Outcome<usize> {
    let len = length(key)?.ok_or(libc::ENOTSUP)?;
    if key.mode & mode == 0 {
        return Err(libc::EBADF);
    }
    let distance = usize::try_from(index.unsigned_abs()).unwrap_or(usize::MAX);
    let place = if index >= 0 { Some(distance) } else { len.checked_sub(distance) };
    place.filter(|place| *place < len).ok_or(libc::EDOM)
}

/// The list at a slot where one was found.
fn list_at<'a>(write: &'a mut WriteCtx<'_>, slot: Option<Slot>) -> Outcome<&'a mut List> {
    match write.db_mut().value_mut(slot.ok_or(libc::ENOTSUP)?) {
        ValueMut::List(list) => Ok(list),
        _ => Err(libc::ENOTSUP),
    }
}

/// Changes the list at a key, which is there. Its key goes with its last element.
fn change<R>(key: &mut OpenKey, change: impl FnOnce(&mut List, ListLimits) -> R) -> Outcome<R> {
    let done = key.write(|write, name, slot| {
        let limits = write.list_limits();
        let list = list_at(write, slot)?;
        let result = change(list, limits);
        if let Some(slot) = slot.filter(|_| list.is_empty()) {
            write.remove(slot);
        }
        write.changed(name);
        Ok(result)
    });
    key.wrote = true;
    done.unwrap_or(Err(libc::EINVAL))
}

/// Adds an element at an end of a key that has a list, or nothing.
fn push_element(key: &mut OpenKey, end: End, element: &[u8]) -> Outcome<()> {
    length(key)?;
    if !key.is_writable() {
        return Err(libc::EBADF);
    }
    let done = key.write(|write, name, slot| {
        let limits = write.list_limits();
        let new = slot.is_none();
        let slot = slot.unwrap_or_else(|| write.insert(name, Value::List(List::new()), None));
        list_at(write, Some(slot))?.push(end, &[element], limits);
        write.changed(name);
        if new {
            write.created(name);
        }
        Ok(())
    });
    key.wrote = true;
    done.unwrap_or(Err(libc::EINVAL))
}

/// A key and an element, as modules pass them.
///
/// # Safety
/// `key` is null or an open key, `element` null or a live string.
unsafe fn pair<'a>(
    key: *mut abi::Key,
    element: *mut abi::ModuleString,
) -> Outcome<(&'a mut OpenKey, &'a [u8])> {
    // SAFETY: the caller promises it.
    let (key, element) = unsafe { (borrow(key), ModString::borrow(element)) };
    Ok((key.ok_or(libc::EINVAL)?, element.ok_or(libc::EINVAL)?.as_bytes()))
}

pub(super) unsafe extern "C" fn push(
    key: *mut abi::Key,
    place: c_int,
    element: *mut abi::ModuleString,
) -> c_int {
    // SAFETY: modules pass null or an open key, and null or a live string.
    let pair = unsafe { pair(key, element) };
    answer(pair.and_then(|(key, element)| push_element(key, end_of(place), element)))
}

/// A string for the module; or null, and why.
fn string_or_null(key: &mut OpenKey, outcome: Outcome<Vec<u8>>) -> *mut abi::ModuleString {
    match outcome {
        Ok(bytes) => ModuleCtx::new_string(key.ctx(), &bytes),
        Err(error) => {
            set_errno(error);
            std::ptr::null_mut()
        }
    }
}

pub(super) unsafe extern "C" fn pop(key: *mut abi::Key, place: c_int) -> *mut abi::ModuleString {
    // SAFETY: modules pass null or an open key.
    let Some(key) = (unsafe { borrow(key) }) else {
        set_errno(libc::EINVAL);
        return std::ptr::null_mut();
    };
    // A list has an element, or there were no key.
    let popped = check_index(key, 0, abi::WRITE).and_then(|_| {
        change(key, |list, limits| {
            let mut taken = Vec::new();
            list.pop(end_of(place), |element| element.append_to(&mut taken));
            list.shrink(limits);
            taken
        })
    });
    string_or_null(key, popped)
}

pub(super) unsafe extern "C" fn get(key: *mut abi::Key, index: c_long) -> *mut abi::ModuleString {
    // SAFETY: modules pass null or an open key.
    let Some(key) = (unsafe { borrow(key) }) else {
        set_errno(libc::EINVAL);
        return std::ptr::null_mut();
    };
    let element = check_index(key, index, abi::READ).and_then(|place| {
        let element = key.read(|db, slot| match db.value(slot) {
            ValueRef::List(list) => list.get(place).map(|element| element.to_vec()),
            _ => None,
        });
        element.flatten().ok_or(libc::EDOM)
    });
    string_or_null(key, element)
}

pub(super) unsafe extern "C" fn set(
    key: *mut abi::Key,
    index: c_long,
    element: *mut abi::ModuleString,
) -> c_int {
    // SAFETY: modules pass null or an open key, and null or a live string.
    answer(unsafe { pair(key, element) }.and_then(|(key, element)| {
        let place = check_index(key, index, abi::WRITE)?;
        change(key, |list, limits| list.set(place, element, limits))
    }))
}

pub(super) unsafe extern "C" fn insert(
    key: *mut abi::Key,
    index: c_long,
    element: *mut abi::ModuleString,
) -> c_int {
    // SAFETY: modules pass null or an open key, and null or a live string.
    answer(unsafe { pair(key, element) }.and_then(|(key, element)| {
        // The places at the ends, where there is no element to stand beside.
        let len = length(key)?.map(|len| len as c_long);
        match (len, index) {
            (_, -1) | (None, 0) => return push_element(key, End::Tail, element),
            (Some(len), index) if index == len => return push_element(key, End::Tail, element),
            (Some(len), index) if index == 0 || index == -len - 1 => {
                return push_element(key, End::Head, element);
            }
            _ => {}
        }
        let place = check_index(key, index, abi::WRITE)?;
        let side = if index < 0 { Side::After } else { Side::Before };
        change(key, |list, limits| list.insert_at(place, side, element, limits))
    }))
}

pub(super) unsafe extern "C" fn delete(key: *mut abi::Key, index: c_long) -> c_int {
    // SAFETY: modules pass null or an open key.
    let Some(key) = (unsafe { borrow(key) }) else { return answer(Err(libc::EINVAL)) };
    answer(check_index(key, index, abi::WRITE).and_then(|place| {
        change(key, |list, limits| {
            list.delete(place, 1);
            list.shrink(limits);
        })
    }))
}
