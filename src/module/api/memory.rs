//! Memory: the server's own allocator, so that what modules use is counted.
#![expect(unsafe_code, reason = "functions of a C interface take raw pointers")]

use std::alloc::{GlobalAlloc, Layout};
use std::ffi::{CStr, c_char, c_void};
use std::sync::atomic::Ordering;

use mortise_module_abi as abi;

use super::super::handle::ModString;
use super::super::host::host;
use crate::allocator::{self, CountingAllocator};

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

/// A size and an alignment as modules give them; None if no block can have them.
fn layout(bytes: usize, align: usize) -> Option<Layout> {
    Layout::from_size_align(bytes.max(1), align).ok()
}

/// `MortiseAllocate`, which no other server has: for modules that know size and alignment of a block also when they
/// give it back, as those in Rust do. That takes half the time, and blocks take no more than they must.
pub(super) unsafe extern "C" fn allocate(bytes: usize, align: usize) -> *mut c_void {
    let Some(layout) = layout(bytes, align) else { return std::ptr::null_mut() };
    // SAFETY: the size is not 0.
    unsafe { CountingAllocator.alloc(layout) }.cast()
}

pub(super) unsafe extern "C" fn allocate_zeroed(bytes: usize, align: usize) -> *mut c_void {
    let Some(layout) = layout(bytes, align) else { return std::ptr::null_mut() };
    // SAFETY: the size is not 0.
    unsafe { CountingAllocator.alloc_zeroed(layout) }.cast()
}

pub(super) unsafe extern "C" fn reallocate(
    block: *mut c_void,
    bytes: usize,
    align: usize,
    new_bytes: usize,
) -> *mut c_void {
    let (Some(old), Some(new)) = (layout(bytes, align), layout(new_bytes, align)) else {
        return std::ptr::null_mut();
    };
    // SAFETY: modules pass a block of these functions with the size and alignment that it was made with; the new size
    // is not 0, and is valid with this alignment.
    unsafe { CountingAllocator.realloc(block.cast(), old, new.size()) }.cast()
}

pub(super) unsafe extern "C" fn deallocate(block: *mut c_void, bytes: usize, align: usize) {
    if let (Some(layout), false) = (layout(bytes, align), block.is_null()) {
        // SAFETY: as above; the module does not use the block again.
        unsafe { CountingAllocator.dealloc(block.cast(), layout) };
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_by_layout_are_aligned_and_counted() {
        for (bytes, align) in [(1, 1), (7, 8), (24, 8), (24, 16), (100, 64), (5000, 4096)] {
            let before = allocator::used_memory();
            // SAFETY: the block is given back as it was made, and only bytes inside it are touched.
            unsafe {
                let block = allocate_zeroed(bytes, align);
                assert!(block.addr().is_multiple_of(align));
                assert_eq!(block.cast::<u8>().add(bytes - 1).read(), 0);
                let block = reallocate(block, bytes, align, bytes * 3);
                assert!(block.addr().is_multiple_of(align));
                assert!(allocator::used_memory() >= before + bytes * 3);
                deallocate(block, bytes * 3, align);
                deallocate(allocate(bytes, align), bytes, align);
            }
            assert_eq!(allocator::used_memory(), before);
        }
    }

    #[test]
    fn impossible_layouts_have_no_block() {
        // SAFETY: what comes back is null, and null may be given back.
        unsafe {
            assert!(allocate(8, 3).is_null());
            assert!(allocate(usize::MAX, 8).is_null());
            deallocate(std::ptr::null_mut(), 8, 8);
        }
    }

    #[test]
    fn blocks_for_c_are_aligned_to_sixteen() {
        for bytes in [0, 1, 8, 17, 24, 40, 72, 88, 104, 1000, 4097, 20_000] {
            let before = allocator::used_memory();
            // SAFETY: blocks are given back once.
            unsafe {
                let block = alloc(bytes);
                assert!(block.addr().is_multiple_of(16) && malloc_size(block) >= bytes);
                let block = realloc(block, bytes + 24);
                assert!(block.addr().is_multiple_of(16) && malloc_size(block) >= bytes + 24);
                assert_eq!(allocator::used_memory(), before + malloc_size(block));
                free(block);
            }
            assert_eq!(allocator::used_memory(), before);
        }
    }
}
