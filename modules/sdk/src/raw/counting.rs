//! How much memory does a part of a test hold at most?
//!
//! The system's allocator, with two numbers per thread: the bytes that it has allocated less those that it has freed, and
//! the greatest value of that since it was last set back. What one thread allocates and another frees is counted at both,
//! so a measured part must stay on its thread.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    static HELD: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

/// An allocator for tests that measure; see [`peak_memory`](CountingAllocator::peak_memory).
///
/// ```
/// use mortise_module::CountingAllocator;
///
/// #[global_allocator]
/// static ALLOCATOR: CountingAllocator = CountingAllocator;
///
/// let (length, peak) = CountingAllocator::peak_memory(|| vec![1u8; 1000].len());
/// assert_eq!((length, peak), (1000, 1000));
/// ```
pub struct CountingAllocator;

impl CountingAllocator {
    /// Runs `job`; answers what it returns, and how many bytes more than before this thread held at most meanwhile.
    pub fn peak_memory<R>(job: impl FnOnce() -> R) -> (R, usize) {
        let before = HELD.get();
        PEAK.set(before);
        let result = job();
        (result, usize::try_from(PEAK.get() - before).unwrap_or(0))
    }
}

/// Counts bytes. The values have no destructor, so they are there as long as the thread.
fn count(bytes: isize) {
    let held = HELD.get() + bytes;
    HELD.set(held);
    if held > PEAK.get() {
        PEAK.set(held);
    }
}

/// Layouts have at most `isize::MAX` bytes.
fn signed(bytes: usize) -> isize {
    isize::try_from(bytes).unwrap_or(isize::MAX)
}

// SAFETY: all blocks come from the system's allocator with the caller's layouts, and counting neither allocates nor
// panics: it works on thread-local values without a destructor, and overflows of what fits into memory do not occur.
unsafe impl GlobalAlloc for CountingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(signed(layout.size()));
        // SAFETY: by the caller.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(signed(layout.size()));
        // SAFETY: by the caller.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // A block that moves is there twice for a moment; the system's often grows in place.
        count(signed(size));
        count(-signed(layout.size()));
        // SAFETY: by the caller.
        unsafe { System.realloc(block, layout, size) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        count(-signed(layout.size()));
        // SAFETY: by the caller.
        unsafe { System.dealloc(block, layout) }
    }
}
