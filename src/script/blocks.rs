//! Where do the blocks of Lua's heap come from? From the global allocator, and those of short values from lists of what
//! was freed before.
//!
//! A script makes a handful of short strings and tables and leaves them as garbage, which the collector frees all at
//! once. The global allocator's caches hold fewer blocks than that, so it would be asked for its slow path again and again.
#![expect(unsafe_code, reason = "memory that Lua asks for")]

use std::alloc::Layout;
use std::cell::Cell;

/// Sizes of listed blocks go up in steps of this much.
const STEP_BYTES: usize = 16;

/// Larger blocks are not listed.
const LISTED_BYTES_MAX: usize = 256;

const LISTS: usize = LISTED_BYTES_MAX / STEP_BYTES;

/// What the lists hold together; as much garbage as a VM leaves before it collects.
const KEPT_BYTES_MAX: usize = 512 * 1024;

/// A block that nobody uses; in it stands where the next one of its list is.
struct FreeBlock {
    next: *mut FreeBlock,
}

/// The blocks of one VM. What is allocated here is freed here, with the size that it was given.
pub(super) struct Blocks {
    lists: [Cell<*mut FreeBlock>; LISTS],
    kept: Cell<usize>,
}

impl Blocks {
    pub(super) fn new() -> Self {
        Self { lists: [const { Cell::new(std::ptr::null_mut()) }; LISTS], kept: Cell::new(0) }
    }

    /// A block of at least `size` bytes, which is not 0, aligned for a double; null if there is no memory.
    #[inline]
    pub(super) fn allocate(&self, size: usize) -> *mut u8 {
        if let Some(list) = self.lists.get(list_of(size)) {
            let block = list.get();
            if !block.is_null() {
                // SAFETY: what is listed was put there by `free`, which wrote where the next one is.
                list.set(unsafe { (*block).next });
                self.kept.set(self.kept.get() - rounded(size));
                return block.cast();
            }
        }
        #[cfg(test)]
        crate::allocator::tally::was_for_lua();
        // SAFETY: the size is not 0.
        unsafe { std::alloc::alloc(layout(size)) }
    }

    /// # Safety
    ///
    /// `block` came from `allocate` or `reallocate` of the same value with this `size`, and is not used any more.
    #[inline]
    pub(super) unsafe fn free(&self, block: *mut u8, size: usize) {
        if let Some(list) = self.lists.get(list_of(size))
            && self.kept.get() < KEPT_BYTES_MAX
        {
            let block = block.cast::<FreeBlock>();
            // SAFETY: the caller gives the block away, and it has room for a pointer and is aligned for one.
            unsafe { block.write(FreeBlock { next: list.get() }) };
            list.set(block);
            self.kept.set(self.kept.get() + rounded(size));
            return;
        }
        // SAFETY: the block came from the global allocator with this layout.
        unsafe { std::alloc::dealloc(block, layout(size)) };
    }

    /// A block of `new_size` bytes, which is not 0, with what `block` holds; null if there is no memory, and the block stays.
    ///
    /// # Safety
    ///
    /// As for `free`, unless null is returned.
    pub(super) unsafe fn reallocate(
        &self,
        block: *mut u8,
        size: usize,
        new_size: usize,
    ) -> *mut u8 {
        if rounded(size) == rounded(new_size) {
            return block;
        }
        if size > LISTED_BYTES_MAX && new_size > LISTED_BYTES_MAX {
            #[cfg(test)]
            crate::allocator::tally::was_for_lua();
            // SAFETY: the caller's contract; neither size is listed, so the block is the global allocator's.
            return unsafe { std::alloc::realloc(block, layout(size), rounded(new_size)) };
        }
        let new = self.allocate(new_size);
        if !new.is_null() {
            // SAFETY: both blocks are that long, and the new one is nobody else's; then the old one is given away.
            unsafe {
                std::ptr::copy_nonoverlapping(block, new, size.min(new_size));
                self.free(block, size);
            }
        }
        new
    }
}

impl Drop for Blocks {
    fn drop(&mut self) {
        for (index, list) in self.lists.iter().enumerate() {
            let mut block = list.get();
            while !block.is_null() {
                // SAFETY: what is listed came from the global allocator with the list's size, and is nobody's.
                unsafe {
                    let next = (*block).next;
                    std::alloc::dealloc(block.cast(), layout((index + 1) * STEP_BYTES));
                    block = next;
                }
            }
        }
    }
}

/// The number of the list for this size; none has that number if it is too large.
#[inline]
fn list_of(size: usize) -> usize {
    size.wrapping_sub(1) / STEP_BYTES
}

/// What is allocated for this size.
#[inline]
fn rounded(size: usize) -> usize {
    if size <= LISTED_BYTES_MAX { size.next_multiple_of(STEP_BYTES) } else { size }
}

/// What Lua expects of blocks: the alignment of a double or a pointer.
#[inline]
fn layout(size: usize) -> Layout {
    Layout::from_size_align(rounded(size), 8).expect("the state limits sizes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_freed_block_is_the_next_one_of_its_size() {
        let blocks = Blocks::new();
        let first = blocks.allocate(40);
        // SAFETY: each block is used as long as it is allocated, with its size.
        unsafe {
            first.write_bytes(1, 40);
            blocks.free(first, 40);
            assert_eq!(blocks.kept.get(), 48);
            assert_eq!(blocks.allocate(33), first);
            assert_eq!(blocks.kept.get(), 0);
            let other = blocks.allocate(49);
            assert_ne!(other, first);
            blocks.free(other, 49);
            blocks.free(first, 33);
        }
        assert_eq!(blocks.kept.get(), 64 + 48);
    }

    #[test]
    fn what_a_block_holds_comes_along_when_it_grows_and_shrinks() {
        let blocks = Blocks::new();
        let sizes = [1, 8, 16, 17, 100, 256, 257, 300, 5000, 300, 257, 256, 250, 64, 3, 1];
        // SAFETY: the block has the size that it was last given.
        unsafe {
            let mut block = blocks.allocate(1);
            block.write(7);
            for pair in sizes.windows(2) {
                block = blocks.reallocate(block, pair[0], pair[1]);
                assert!(block.cast::<f64>().is_aligned());
                assert_eq!(block.read(), 7, "from {} to {}", pair[0], pair[1]);
                block.add(pair[1] - 1).write(if pair[1] == 1 { 7 } else { 9 });
            }
            blocks.free(block, 1);
        }
    }

    #[test]
    fn the_lists_keep_no_more_than_they_may() {
        let blocks = Blocks::new();
        let many: Vec<_> = (0..10_000).map(|_| blocks.allocate(200)).collect();
        // SAFETY: as above.
        many.into_iter().for_each(|block| unsafe { blocks.free(block, 200) });
        assert!(
            blocks.kept.get() >= KEPT_BYTES_MAX - 208 && blocks.kept.get() < KEPT_BYTES_MAX + 208
        );
    }
}
