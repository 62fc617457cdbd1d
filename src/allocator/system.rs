//! What stands in for jemalloc under a sanitizer, which must see every block? The functions that the
//! allocator calls, by the same names, over those of the C library, which the sanitizer replaces.
//!
//! Built with `--cfg sanitized` only (`scripts/slow`).
#![expect(unsafe_code, reason = "calls the C library's allocator")]

use std::ffi::{c_char, c_int, c_void};
use std::ptr::null_mut;

/// The flag for zeroed memory; the lowest six bits hold the logarithm of the alignment.
pub const MALLOCX_ZERO: c_int = 0x40;

/// What every block of the C library is aligned to.
const ALIGNMENT_USUAL: usize = 16;

fn alignment(flags: c_int) -> usize {
    1 << (flags & 63)
}

pub unsafe fn malloc(size: usize) -> *mut c_void {
    // SAFETY: takes any size.
    unsafe { libc::malloc(size) }
}

pub unsafe fn mallocx(size: usize, flags: c_int) -> *mut c_void {
    let alignment = alignment(flags).max(ALIGNMENT_USUAL);
    let mut block = null_mut();
    // SAFETY: the alignment is a power of two and a multiple of a pointer's size.
    if unsafe { libc::posix_memalign(&raw mut block, alignment, size) } != 0 {
        return null_mut();
    }
    if flags & MALLOCX_ZERO != 0 {
        // SAFETY: the block is new and has so many bytes.
        unsafe { block.cast::<u8>().write_bytes(0, size) };
    }
    block
}

pub unsafe fn rallocx(block: *mut c_void, size: usize, flags: c_int) -> *mut c_void {
    // SAFETY: passed on.
    let moved = unsafe { mallocx(size, flags) };
    if !moved.is_null() {
        // SAFETY: the block is alive.
        let both = unsafe { sallocx(block, 0) }.min(size);
        // SAFETY: two blocks of at least so many bytes, one of them new.
        unsafe { moved.cast::<u8>().copy_from_nonoverlapping(block.cast(), both) };
        // SAFETY: the block is alive, and not used again.
        unsafe { libc::free(block) };
    }
    moved
}

pub unsafe fn sallocx(block: *const c_void, _: c_int) -> usize {
    // SAFETY: the caller's block is alive.
    unsafe { libc::malloc_usable_size(block.cast_mut()) }
}

pub unsafe fn dallocx(block: *mut c_void, _: c_int) {
    // SAFETY: the caller's block is alive, and not used again.
    unsafe { libc::free(block) }
}

pub unsafe fn sdallocx(block: *mut c_void, _: usize, flags: c_int) {
    // SAFETY: passed on.
    unsafe { dallocx(block, flags) }
}

pub unsafe fn nallocx(size: usize, _: c_int) -> usize {
    size
}

/// There is nothing to ask or to set.
pub unsafe fn mallctl(
    _: *const c_char,
    _: *mut c_void,
    _: *mut usize,
    _: *mut c_void,
    _: usize,
) -> c_int {
    libc::ENOENT
}

pub unsafe fn mallctlnametomib(_: *const c_char, _: *mut usize, _: *mut usize) -> c_int {
    libc::ENOENT
}

pub unsafe fn mallctlbymib(
    _: *const usize,
    _: usize,
    _: *mut c_void,
    _: *mut usize,
    _: *mut c_void,
    _: usize,
) -> c_int {
    libc::ENOENT
}
