//! Moving what modules hold to better memory: which our allocator gives no reason for
//! (docs/decisions/0005-allocator.md), so that `activedefrag` cannot be turned on.
//!
//! Everything is as on a Redis whose allocator cannot tell: callbacks may be registered and are not called, nothing
//! is ever moved, and no handle is handed out; who asks with one of its own gets the answers for "unknown".
#![expect(unsafe_code, reason = "functions of a C interface take raw pointers")]

use std::ffi::{c_int, c_ulong, c_void};

use mortise_module_abi as abi;

use super::memory;

pub(super) unsafe extern "C" fn register(_: *mut abi::Ctx, _: abi::DefragFunc) -> c_int {
    abi::OK
}

pub(super) unsafe extern "C" fn register_with_result(
    _: *mut abi::Ctx,
    _: abi::DefragFunc2,
) -> c_int {
    abi::OK
}

pub(super) unsafe extern "C" fn register_callbacks(
    _: *mut abi::Ctx,
    _: abi::DefragFunc,
    _: abi::DefragFunc,
) -> c_int {
    abi::OK
}

pub(super) unsafe extern "C" fn alloc(_: *mut abi::DefragCtx, _: *mut c_void) -> *mut c_void {
    std::ptr::null_mut()
}

pub(super) unsafe extern "C" fn alloc_raw(_: *mut abi::DefragCtx, bytes: usize) -> *mut c_void {
    // SAFETY: any size will do.
    unsafe { memory::alloc(bytes) }
}

pub(super) unsafe extern "C" fn free_raw(_: *mut abi::DefragCtx, block: *mut c_void) {
    // SAFETY: modules pass null or a block of this allocator, and do not use it again.
    unsafe { memory::free(block) }
}

pub(super) unsafe extern "C" fn string(
    _: *mut abi::DefragCtx,
    _: *mut abi::ModuleString,
) -> *mut abi::ModuleString {
    std::ptr::null_mut()
}

pub(super) unsafe extern "C" fn dict(
    _: *mut abi::DefragCtx,
    _: *mut abi::Dict,
    _: abi::DefragDictValueFunc,
    seek_to: *mut *mut abi::ModuleString,
) -> *mut abi::Dict {
    // SAFETY: null, or the module's variable; nothing is left to be done.
    if let Some(seek_to) = unsafe { seek_to.as_mut() } {
        *seek_to = std::ptr::null_mut();
    }
    std::ptr::null_mut()
}

pub(super) unsafe extern "C" fn should_stop(_: *mut abi::DefragCtx) -> c_int {
    1
}

pub(super) unsafe extern "C" fn set_cursor(_: *mut abi::DefragCtx, _: c_ulong) -> c_int {
    abi::ERR
}

pub(super) unsafe extern "C" fn cursor(_: *mut abi::DefragCtx, _: *mut c_ulong) -> c_int {
    abi::ERR
}

pub(super) unsafe extern "C" fn key_name(_: *mut abi::DefragCtx) -> *const abi::ModuleString {
    std::ptr::null()
}

pub(super) unsafe extern "C" fn db(_: *mut abi::DefragCtx) -> c_int {
    -1
}
