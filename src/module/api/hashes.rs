//! The fields of a hash: setting, reading and deleting them, and when they expire.
#![expect(unsafe_code, reason = "functions of a C interface take raw pointers")]

use std::ffi::{c_char, c_int, c_longlong};

use mortise_module_abi as abi;

use super::super::handle::{ModString, ModuleCtx, c_slice};
use super::keys::borrow;
use crate::engine::ctx::WriteCtx;
use crate::keyspace::db::Slot;
use crate::keyspace::value::{ValueMut, ValueRef};

/// What the C shim of HashSet calls for each pair. Answers 1 if the field counts as changed.
#[unsafe(no_mangle)]
unsafe extern "C" fn mortise_hash_set_field(
    key: *mut abi::Key,
    flags: c_int,
    field: *const c_char,
    field_len: usize,
    value: *mut abi::ModuleString,
) -> c_int {
    // SAFETY: the shim passes an open key and `field_len` bytes.
    let (key, field) = unsafe { (borrow(key), c_slice(field, field_len)) };
    let Some(key) = key.filter(|key| key.is_writable()) else { return 0 };
    key.wrote = true;
    let is_delete = value == abi::HASH_DELETE;
    // SAFETY: null or a live string, unless it is the mark that says to delete.
    let value = if is_delete { None } else { unsafe { ModString::borrow(value) } };
    if value.is_none() && !is_delete {
        return 0;
    }
    let changed = key.write(|write, name, slot| {
        let now = write.now_ms().max(0) as u64;
        let limits = write.hash_limits();
        let there = slot.is_some_and(|slot| match write.db().value(slot) {
            ValueRef::Hash(hash) => hash.contains(field, now),
            _ => false,
        });
        if (there && flags & abi::HASH_NX != 0) || (!there && flags & abi::HASH_XX != 0) {
            return 0;
        }
        let Some(value) = value else { return delete_field(write, name, slot, field, now) };
        let Ok(hash) = write.hash_or_new(name) else { return 0 };
        hash.set(field, value.as_bytes(), now, limits);
        write.changed(name);
        if slot.is_none() {
            write.created(name);
        }
        c_int::from(there || flags & abi::HASH_COUNT_ALL != 0)
    });
    changed.unwrap_or(0)
}

fn delete_field(
    write: &mut WriteCtx<'_>,
    name: &[u8],
    slot: Option<Slot>,
    field: &[u8],
    now: u64,
) -> c_int {
    let Some(slot) = slot else { return 0 };
    let ValueMut::Hash(hash) = write.db_mut().value_mut(slot) else { return 0 };
    let deleted = hash.delete(field, now);
    if hash.is_empty() {
        write.remove(slot);
    }
    if deleted {
        write.changed(name);
    }
    c_int::from(deleted)
}

/// Whether a key can be used as a hash: 0, or the errno that says why not.
#[unsafe(no_mangle)]
unsafe extern "C" fn mortise_hash_check(
    key: *mut abi::Key,
    flags: c_int,
    to_write: c_int,
) -> c_int {
    const SET_FLAGS: c_int = abi::HASH_NX | abi::HASH_XX | abi::HASH_CFIELDS | abi::HASH_COUNT_ALL;
    // SAFETY: the shim passes null or an open key.
    let Some(key) = (unsafe { borrow(key) }) else { return libc::EINVAL };
    if to_write != 0 && flags & !SET_FLAGS != 0 {
        return libc::EINVAL;
    }
    if !key.read(|db, slot| matches!(db.value(slot), ValueRef::Hash(_))).unwrap_or(true) {
        return libc::ENOTSUP;
    }
    if to_write != 0 && !key.is_writable() { libc::EBADF } else { 0 }
}

/// What the C shim of HashGet calls for each field when only its existence is asked for.
#[unsafe(no_mangle)]
unsafe extern "C" fn mortise_hash_has_field(
    key: *mut abi::Key,
    field: *const c_char,
    field_len: usize,
) -> c_int {
    // SAFETY: the shim passes an open key and `field_len` bytes.
    let (key, field) = unsafe { (borrow(key), c_slice(field, field_len)) };
    let Some(key) = key else { return 0 };
    let now = key.ctx().and_then(|ctx| Some(ctx.reader()?.now_ms())).unwrap_or(0).max(0) as u64;
    let found = key.read(|db, slot| match db.value(slot) {
        ValueRef::Hash(hash) => hash.contains(field, now),
        _ => false,
    });
    c_int::from(found.unwrap_or(false))
}

/// What the C shim of HashGet calls for each field: its value, or null.
#[unsafe(no_mangle)]
unsafe extern "C" fn mortise_hash_get_field(
    key: *mut abi::Key,
    field: *const c_char,
    field_len: usize,
) -> *mut abi::ModuleString {
    // SAFETY: the shim passes an open key and `field_len` bytes.
    let (key, field) = unsafe { (borrow(key), c_slice(field, field_len)) };
    let Some(key) = key else { return std::ptr::null_mut() };
    let now = key.ctx().and_then(|ctx| Some(ctx.reader()?.now_ms())).unwrap_or(0).max(0) as u64;
    let value = key.read(|db, slot| match db.value(slot) {
        ValueRef::Hash(hash) => hash.get(field, now).map(|value| value.to_vec()),
        _ => None,
    });
    match value.flatten() {
        Some(value) => ModuleCtx::new_string(key.ctx(), &value),
        None => std::ptr::null_mut(),
    }
}

/// What the C shim of HashGet calls for each field when its expiry is asked for: in unix milliseconds, or what stands
/// for none.
#[unsafe(no_mangle)]
unsafe extern "C" fn mortise_hash_field_expire(
    key: *mut abi::Key,
    field: *const c_char,
    field_len: usize,
) -> c_longlong {
    // SAFETY: the shim passes an open key and `field_len` bytes.
    let (key, field) = unsafe { (borrow(key), c_slice(field, field_len)) };
    let Some(key) = key else { return abi::NO_EXPIRE };
    let now = key.ctx().and_then(|ctx| Some(ctx.reader()?.now_ms())).unwrap_or(0).max(0) as u64;
    let at = key.read(|db, slot| match db.value(slot) {
        ValueRef::Hash(hash) => hash.field_expire(field, now).flatten(),
        _ => None,
    });
    at.flatten().map_or(abi::NO_EXPIRE, u64::cast_signed)
}

pub(super) unsafe extern "C" fn min_expire(key: *mut abi::Key) -> c_longlong {
    // SAFETY: modules pass null or an open key.
    let Some(key) = (unsafe { borrow(key) }) else { return abi::NO_EXPIRE };
    let now = key.ctx().and_then(|ctx| Some(ctx.reader()?.now_ms())).unwrap_or(0).max(0) as u64;
    let at = key.read(|db, slot| match db.value(slot) {
        ValueRef::Hash(hash) => hash.first_expire(now),
        _ => None,
    });
    at.flatten().map_or(abi::NO_EXPIRE, u64::cast_signed)
}
