//! Memory: the server's own allocator, so that what modules use is counted.
#![expect(unsafe_code, reason = "functions of a C interface take raw pointers")]

use std::ffi::{CStr, c_char, c_void};
use std::sync::atomic::Ordering;

use mortise_module_abi as abi;

use super::super::handle::ModString;
use super::super::host::host;
use crate::allocator;

pub(super) unsafe extern "C" fn alloc(bytes: usize) -> *mut c_void {
    allocator::module_alloc(bytes, false)
}

pub(super) unsafe extern "C" fn calloc(count: usize, size: usize) -> *mut c_void {
    match count.checked_mul(size) {
        Some(bytes) => allocator::module_alloc(bytes, true),
        None => std::ptr::null_mut(),
    }
}

pub(super) unsafe extern "C" fn realloc(block: *mut c_void, bytes: usize) -> *mut c_void {
    // SAFETY: modules pass null or a block of this allocator.
    unsafe { allocator::module_realloc(block, bytes) }
}

pub(super) unsafe extern "C" fn free(block: *mut c_void) {
    // SAFETY: modules pass null or a block of this allocator, and do not use it again.
    unsafe { allocator::module_free(block) }
}

pub(super) unsafe extern "C" fn strdup(text: *const c_char) -> *mut c_char {
    if text.is_null() {
        return std::ptr::null_mut();
    }
    // SAFETY: modules pass C strings.
    let bytes = unsafe { CStr::from_ptr(text) }.to_bytes_with_nul();
    let copy = allocator::module_alloc(bytes.len(), false).cast::<u8>();
    if !copy.is_null() {
        // SAFETY: the block has room for the bytes, and is new, so they cannot overlap.
        unsafe { copy.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
    }
    copy.cast()
}

pub(super) unsafe extern "C" fn malloc_size(block: *mut c_void) -> usize {
    // SAFETY: modules pass null or a live block of this allocator.
    unsafe { allocator::module_size(block) }
}

pub(super) unsafe extern "C" fn malloc_size_string(string: *mut abi::ModuleString) -> usize {
    // SAFETY: modules pass null or a live string.
    unsafe { ModString::borrow(string) }.map_or(0, ModString::memory_bytes)
}

pub(super) unsafe extern "C" fn used_memory_ratio() -> f32 {
    let Some(engine) = host().engine.get() else { return 0.0 };
    let limit = engine.shared.limits.memory_bytes.load(Ordering::Relaxed);
    if limit == 0 {
        return 0.0;
    }
    (engine.shared.used_memory)() as f32 / limit as f32
}
