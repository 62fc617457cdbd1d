//! Where does memory come from, and how much is in use? jemalloc behind a counter.
//!
//! jemalloc is built with an 8-byte quantum (`.cargo/config.toml`), so that a 56-byte entry takes 56
//! bytes. With that quantum a block is only 8-aligned unless asked otherwise, so the alignment is
//! passed whenever it exceeds 8; the stock crate does so only above 16, and crashed
//! (docs/decisions/0005-allocator.md).
//!
//! Invariants: every thread counts for itself and adds to the total each `FLUSH_BYTES`, so the total
//! is at most that far off per thread; sizes are jemalloc's usable sizes, the same at both ends.
#![expect(unsafe_code, reason = "a global allocator is unsafe by its trait, and calls jemalloc")]

pub mod fragmentation;

use std::alloc::{GlobalAlloc, Layout};
use std::cell::Cell;
use std::ffi::{c_int, c_void};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicIsize, Ordering};

#[cfg(not(sanitized))]
use tikv_jemalloc_sys as jemalloc;

use crate::base::size_class::{QUANTUM, size_class};

#[cfg(sanitized)]
#[path = "allocator/system.rs"]
mod jemalloc;

/// How far a thread's count may run before it is added to the total.
const FLUSH_BYTES: isize = 64 * 1024;

/// Sizes up to here have their class computed.
const CLASS_BYTES_MAX: usize = 4096;

/// jemalloc's settings, which it finds under this name. Pages that nothing uses go back to the system after a
/// second, by a thread of jemalloc's own: growing tables leave behind segments that entries, in other size
/// classes, cannot use. Slabs of small classes have more pages than jemalloc would give them: each slab has a
/// record of 128 bytes, which for hashes of 192 bytes is two bytes each. Threads cache no blocks above 4 KiB, which are few and lay about
/// (1 to 3 bytes a key at 200,000 hashes or lists). `_RJEM_MALLOC_CONF` in the environment goes before.
// SAFETY: the name is the one that jemalloc declares, for a pointer to a text that ends in NUL.
#[unsafe(export_name = "_rjem_malloc_conf")]
#[used]
static SETTINGS: &[u8; 88] =
    b"background_thread:true,dirty_decay_ms:1000,slab_sizes:24-64:4|65-256:12,tcache_max:4096\0";

static TOTAL: AtomicIsize = AtomicIsize::new(0);

thread_local! {
    // Const-initialised and without a destructor, so it can be used at any time of a thread's life.
    static LOCAL: Cell<isize> = const { Cell::new(0) };
}

/// The global allocator of the server; modules allocate from it through the module API.
#[derive(Debug)]
pub struct CountingAllocator;

/// Bytes in use: exact for what the calling thread does.
pub fn used_memory() -> usize {
    let own = LOCAL.with(Cell::get);
    usize::try_from(TOTAL.load(Ordering::Relaxed) + own).unwrap_or(0)
}

/// How often this thread has allocated: what tests of hot paths ask.
#[cfg(test)]
pub(crate) mod tally {
    use std::cell::Cell;

    thread_local! {
        static BLOCKS: Cell<u64> = const { Cell::new(0) };
        static LUA_BLOCKS: Cell<u64> = const { Cell::new(0) };
    }

    /// A block was given out, or one was changed.
    pub(crate) fn add() {
        BLOCKS.with(|blocks| blocks.set(blocks.get() + 1));
    }

    /// The last one was for a value of Lua.
    pub(crate) fn was_for_lua() {
        LUA_BLOCKS.with(|blocks| blocks.set(blocks.get() + 1));
    }

    /// All so far, and those for values of Lua among them.
    pub(crate) fn blocks() -> (u64, u64) {
        (BLOCKS.with(Cell::get), LUA_BLOCKS.with(Cell::get))
    }
}

#[inline]
fn count(bytes: isize) {
    #[cfg(test)]
    if bytes > 0 {
        tally::add();
    }
    LOCAL.with(|local| {
        let sum = local.get() + bytes;
        if sum.abs() < FLUSH_BYTES {
            local.set(sum);
        } else {
            local.set(0);
            TOTAL.fetch_add(sum, Ordering::Relaxed);
        }
    });
}

/// Bytes that jemalloc gives for a layout of this size and its flags. Usually computed: asking takes as
/// long as the allocation.
#[inline]
fn usable_bytes(size: usize, flags: c_int) -> usize {
    if flags == 0 && size <= CLASS_BYTES_MAX {
        return size_class(size);
    }
    // SAFETY: asks for the size class only; no caller has a size of zero.
    unsafe { jemalloc::nallocx(size, flags) }
}

/// jemalloc's flags for a layout.
#[inline]
fn flags(layout: Layout) -> c_int {
    if layout.align() > QUANTUM { layout.align().trailing_zeros() as c_int } else { 0 }
}

/// A block of at least `size` bytes, which must not be 0. Without flags `malloc` gives it by a third of the way that
/// `mallocx` takes.
#[inline]
fn block(size: usize, flags: c_int) -> *mut c_void {
    if flags == 0 {
        // SAFETY: takes any size.
        unsafe { jemalloc::malloc(size) }
    } else {
        // SAFETY: the size is not 0.
        unsafe { jemalloc::mallocx(size, flags) }
    }
}

// SAFETY: blocks come from jemalloc's own functions with the layout's size and alignment (passed as
// flags when above the quantum), are given back to the same allocator, and are never touched here.
unsafe impl GlobalAlloc for CountingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let flags = flags(layout);
        let block = block(layout.size(), flags);
        if !block.is_null() {
            count(usable_bytes(layout.size(), flags) as isize);
        }
        block.cast()
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        let flags = flags(layout);
        // SAFETY: the size is not zero, as this trait's contract promises.
        let block = unsafe { jemalloc::mallocx(layout.size(), flags | jemalloc::MALLOCX_ZERO) };
        if !block.is_null() {
            count(usable_bytes(layout.size(), flags) as isize);
        }
        block.cast()
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        let flags = flags(layout);
        count(-(usable_bytes(layout.size(), flags) as isize));
        // SAFETY: the block was allocated here with this layout, as the contract promises.
        unsafe { jemalloc::sdallocx(block.cast(), layout.size(), flags) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let flags = flags(layout);
        // SAFETY: the block was allocated here with this layout; the new size is not zero.
        let moved = unsafe { jemalloc::rallocx(block.cast(), size, flags) };
        if !moved.is_null() {
            let (before, after) = (usable_bytes(layout.size(), flags), usable_bytes(size, flags));
            count(after as isize - before as isize);
        }
        moved.cast()
    }
}

/// Allocates for a module; null when memory is out or `size` is 0 and the class has no block.
pub fn module_alloc(size: usize, zeroed: bool) -> *mut c_void {
    let Some(size) = module_bytes(size) else { return null_mut() };
    let block = block(size, if zeroed { jemalloc::MALLOCX_ZERO } else { 0 });
    if !block.is_null() {
        count(module_usable_bytes(block, size) as isize);
    }
    block
}

/// Changes the size of a module's block; null leaves the old block as it was.
///
/// # Safety
/// `block` is null or a live block of [`module_alloc`].
pub unsafe fn module_realloc(block: *mut c_void, size: usize) -> *mut c_void {
    if block.is_null() {
        return module_alloc(size, false);
    }
    let Some(size) = module_bytes(size) else { return null_mut() };
    // SAFETY: the block is alive, as the caller promises.
    let before = unsafe { jemalloc::sallocx(block, 0) };
    // SAFETY: as above; the size is not 0.
    let moved = unsafe { jemalloc::rallocx(block, size, 0) };
    if !moved.is_null() {
        count(module_usable_bytes(moved, size) as isize - before as isize);
    }
    moved
}

/// The usable bytes of a live block that was made for `size` bytes: what jemalloc's records say, without asking.
fn module_usable_bytes(block: *const c_void, size: usize) -> usize {
    if cfg!(sanitized) {
        // SAFETY: the block is alive.
        return unsafe { jemalloc::sallocx(block, 0) };
    }
    usable_bytes(size, 0)
}

/// Gives a module's block back.
///
/// # Safety
/// `block` is null or a live block of [`module_alloc`]; it is not used again.
pub unsafe fn module_free(block: *mut c_void) {
    if !block.is_null() {
        // SAFETY: the block is alive, as the caller promises.
        let size = unsafe { jemalloc::sallocx(block, 0) };
        count(-(size as isize));
        // SAFETY: as above; its usable size is a size that gives it, and it is not used again.
        unsafe { jemalloc::sdallocx(block, size, 0) }
    }
}

/// Puts the content of a block into another one of the same size class, and frees it; null leaves it as it was.
///
/// # Safety
/// `block` is a live block of this allocator, and is not used again unless the result is null.
pub unsafe fn move_block(block: *mut c_void) -> *mut c_void {
    // SAFETY: the block is alive.
    let size = unsafe { jemalloc::sallocx(block, 0) };
    // Blocks of one class are aligned alike.
    let moved = self::block(size, 0);
    if !moved.is_null() {
        // SAFETY: both blocks have so many bytes, and they do not overlap.
        unsafe { moved.cast::<u8>().copy_from_nonoverlapping(block.cast(), size) };
        // SAFETY: the block is alive, and not used again; its usable size is a size that gives it.
        unsafe { jemalloc::sdallocx(block, size, 0) };
    }
    moved
}

/// The usable size of a module's block.
///
/// # Safety
/// `block` is null or a live block of [`module_alloc`].
pub unsafe fn module_size(block: *const c_void) -> usize {
    // SAFETY: jemalloc only reads its own records of a live block.
    if block.is_null() { 0 } else { unsafe { jemalloc::sallocx(block, 0) } }
}

/// What C code expects of blocks, as from `malloc`.
const MODULE_ALIGN: usize = 16;

/// The bytes to ask for so that the block is aligned for C code, never 0. Blocks of a class lie at multiples of its size
/// from the start of a page, and the class of a multiple of 16 is one; asking for the alignment instead gives the same
/// class by a way that takes three times as long.
fn module_bytes(size: usize) -> Option<usize> {
    size.max(1).checked_next_multiple_of(MODULE_ALIGN)
}

/// Lets the calling thread allocate from the arena of a worker, counted from 1. The workers call it for themselves; who makes
/// what they will replace calls it too, since what is freed in an arena is used again by the threads of that arena
/// alone. Says whether there is such an arena; without one the thread keeps that which jemalloc gave it.
pub fn use_arena_of(worker: usize) -> bool {
    let Ok(mut arena) = u32::try_from(worker) else { return false };
    let name = c"thread.arena".as_ptr();
    let new = (&raw mut arena).cast();
    // SAFETY: the name ends in NUL, and `new` points to an unsigned int of the length given.
    unsafe { jemalloc::mallctl(name, null_mut(), null_mut(), new, size_of::<u32>()) == 0 }
}

/// Gives unused pages of all arenas back to the system; says whether that worked.
pub fn purge() -> bool {
    // All arenas together have the number 4096 (`MALLCTL_ARENAS_ALL`).
    let name = c"arena.4096.purge".as_ptr();
    // SAFETY: the name ends in NUL, and this call neither reads nor writes a value.
    unsafe { jemalloc::mallctl(name, null_mut(), null_mut(), null_mut(), 0) == 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(not(sanitized))]
    #[test]
    fn the_first_workers_have_arenas() {
        let found = std::thread::spawn(|| [use_arena_of(1), use_arena_of(1 << 20)]).join();
        assert_eq!(found.ok(), Some([true, false]));
    }

    #[test]
    fn alignment_holds_whatever_the_size() {
        let allocator = CountingAllocator;
        for align in [1, 8, 16, 32, 64, 4096] {
            for size in [1, 24, 40, 56, 100, 5000] {
                let layout = Layout::from_size_align(size, align).expect("small powers of two");
                // SAFETY: the layout has a size; the block is freed with the same layout.
                let block = unsafe { allocator.alloc(layout) };
                assert_eq!(block as usize % align, 0, "size {size}, alignment {align}");
                // SAFETY: as above.
                unsafe { allocator.dealloc(block, layout) };
            }
        }
    }

    #[cfg(not(sanitized))]
    #[test]
    fn classes_are_computed_as_jemalloc_has_them() {
        // SAFETY: asks for the size class only; no size is zero.
        let asked = |size| unsafe { jemalloc::nallocx(size, 0) };
        let wrong: Vec<_> =
            (1..=CLASS_BYTES_MAX).filter(|size| size_class(*size) != asked(*size)).collect();
        assert_eq!(wrong, [0; 0]);
    }

    #[test]
    fn a_large_block_shows_in_the_count() {
        let before = TOTAL.load(Ordering::Relaxed);
        let block = module_alloc(10 << 20, false);
        assert!(TOTAL.load(Ordering::Relaxed) - before >= 9 << 20);
        // SAFETY: allocated above, not used again.
        unsafe { module_free(block) };
    }
}
