//! When, or how often, was a key accessed? What eviction goes by, told to modules and set by them.
//!
//! As in Redis an idle time is known under the LRU policies alone, a frequency under the LFU ones alone; asked for
//! the other of the two the answer is -1.
#![expect(unsafe_code, reason = "functions of a C interface take raw pointers")]

use std::ffi::{c_int, c_longlong};

use mortise_module_abi as abi;

use super::keys::borrow;
use crate::engine::access::{Lfu, access_at, idle_seconds};

/// Sets what is kept of the accesses of a key, given how they are counted and the time.
///
/// # Safety
/// `key` is null or an open key.
unsafe fn set(key: *mut abi::Key, bits: impl FnOnce(Option<Lfu>, i64) -> Option<u32>) -> c_int {
    // SAFETY: the caller promises it.
    let Some(key) = (unsafe { borrow(key) }) else { return abi::ERR };
    let done = key.write(|write, _, slot| {
        let bits = bits(Lfu::of(write.config()), write.env.now_us)?;
        write.db().touch(slot?, bits);
        Some(())
    });
    if done.flatten().is_some() { abi::OK } else { abi::ERR }
}

/// Reads what is kept of the accesses of a key into the module's variable.
///
/// # Safety
/// `key` is null or an open key, `out` null or the module's variable.
unsafe fn get(
    key: *mut abi::Key,
    out: *mut c_longlong,
    value: impl FnOnce(Option<Lfu>, u32, i64) -> Option<c_longlong>,
) -> c_int {
    // SAFETY: the caller promises it.
    let (key, out) = unsafe { (borrow(key), out.as_mut()) };
    let Some(out) = out else { return abi::ERR };
    *out = -1;
    let Some(key) = key else { return abi::ERR };
    let Some(clock) = key.read(|db, slot| db.clock(slot)) else { return abi::ERR };
    let counted = key.ctx().and_then(|ctx| {
        let reader = ctx.reader()?;
        Some((Lfu::of(&reader.state.config), reader.env.now_us))
    });
    let Some((lfu, now_us)) = counted else { return abi::ERR };
    if let Some(found) = value(lfu, clock, now_us) {
        *out = found;
    }
    abi::OK
}

pub(super) unsafe extern "C" fn set_idle(key: *mut abi::Key, idle_ms: c_longlong) -> c_int {
    let bits = |lfu: Option<Lfu>, now_us| match u64::try_from(idle_ms) {
        Ok(idle_ms) if lfu.is_none() => Some(access_at(idle_ms / 1000, now_us)),
        _ => None,
    };
    // SAFETY: modules pass null or an open key.
    unsafe { set(key, bits) }
}

pub(super) unsafe extern "C" fn idle(key: *mut abi::Key, idle_ms: *mut c_longlong) -> c_int {
    let value = |lfu: Option<Lfu>, clock, now_us| match lfu {
        None => Some(c_longlong::from(idle_seconds(clock, now_us)) * 1000),
        Some(_) => None,
    };
    // SAFETY: modules pass null or an open key, and their variable.
    unsafe { get(key, idle_ms, value) }
}

pub(super) unsafe extern "C" fn set_frequency(key: *mut abi::Key, count: c_longlong) -> c_int {
    let bits = |lfu: Option<Lfu>, now_us| match u8::try_from(count) {
        Ok(count) if lfu.is_some() => Some(Lfu::with_count(Some(count), now_us)),
        _ => None,
    };
    // SAFETY: modules pass null or an open key.
    unsafe { set(key, bits) }
}

pub(super) unsafe extern "C" fn frequency(key: *mut abi::Key, count: *mut c_longlong) -> c_int {
    let value = |lfu: Option<Lfu>, clock, now_us| Some(c_longlong::from(lfu?.count(clock, now_us)));
    // SAFETY: modules pass null or an open key, and their variable.
    unsafe { get(key, count, value) }
}
