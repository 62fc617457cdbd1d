//! How does the module's memory come from the server, so that the server accounts for it?
//!
//! The server's allocator can be used once its functions are known, that is from the first lines of
//! `OnLoad` on. What is allocated earlier must be freed by whoever allocated it, without a header
//! on every block. So:
//!
//! - Before binding, memory comes from a static arena, which is recognized by its address; freeing
//!   it does nothing. Runtime and static initializers of a module need some hundred bytes.
//! - If the arena runs out before binding, as in a unit test that is never loaded, the allocator
//!   falls back to the system's for good: binding then fails, the module says so in the log, and
//!   its memory is not accounted for.
//! - After binding, memory comes from the server. Mortise takes size and alignment as they are, at
//!   both ends. Blocks of other servers are aligned to 8 bytes at least; for more, we ask for a
//!   larger block and keep its address in the word before the aligned one.
//!
//! The state changes once, from `UNBOUND` to `SIZED`, `BOUND` or `SYSTEM`, so a block outside the
//! arena always belongs to the allocator that the final state names.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::UnsafeCell;
use std::ffi::c_void;
use std::mem::size_of;
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU8, AtomicUsize, Ordering};

use mortise_module_abi as abi;

use super::Api;

/// An allocator that takes the module's memory from the server.
///
/// ```
/// #[global_allocator]
/// static ALLOCATOR: mortise_module::ModuleAllocator = mortise_module::ModuleAllocator;
/// ```
///
/// Memory that a module allocates through it counts in the server's `used_memory`, and so towards
/// `maxmemory`. In a program that no server loads, such as a unit test, it is the system's
/// allocator.
pub struct ModuleAllocator;

const UNBOUND: u8 = 0;
const BOUND: u8 = 1;
const SYSTEM: u8 = 2;
/// As `BOUND`, by the functions that take a layout.
const SIZED: u8 = 3;

static STATE: AtomicU8 = AtomicU8::new(UNBOUND);

/// What every block of the server is aligned to: its allocator may have classes 8 bytes apart.
const SERVER_ALIGN: usize = 8;

/// More than any initializer has been seen to use; it lies in zeroed memory that costs nothing
/// until it is touched.
const ARENA_SIZE: usize = 64 * 1024;

#[repr(align(4096))]
struct Arena(UnsafeCell<[u8; ARENA_SIZE]>);

// SAFETY: a byte of the arena is handed out at most once, by the atomic counter.
unsafe impl Sync for Arena {}

static ARENA: Arena = Arena(UnsafeCell::new([0; ARENA_SIZE]));
static ARENA_USED: AtomicUsize = AtomicUsize::new(0);

/// The server's functions; each is stored before the state says `BOUND`.
static ALLOC: AtomicPtr<c_void> = AtomicPtr::new(ptr::null_mut());
static CALLOC: AtomicPtr<c_void> = AtomicPtr::new(ptr::null_mut());
static REALLOC: AtomicPtr<c_void> = AtomicPtr::new(ptr::null_mut());
static FREE: AtomicPtr<c_void> = AtomicPtr::new(ptr::null_mut());

/// Switches to the server's allocator. False: too much was allocated before.
pub(super) fn bind(api: &Api) -> bool {
    if let (Some(alloc), Some(zeroed), Some(realloc), Some(free)) = (
        api.MortiseAllocate,
        api.MortiseAllocateZeroed,
        api.MortiseReallocate,
        api.MortiseDeallocate,
    ) {
        ALLOC.store(alloc as *mut c_void, Ordering::Relaxed);
        CALLOC.store(zeroed as *mut c_void, Ordering::Relaxed);
        REALLOC.store(realloc as *mut c_void, Ordering::Relaxed);
        FREE.store(free as *mut c_void, Ordering::Relaxed);
        return enter(SIZED);
    }
    // The functions that return NULL are preferred: Rust has its own way to run out of memory.
    let (Some(alloc), Some(calloc), Some(realloc), Some(free)) = (
        api.TryAlloc.or(api.Alloc),
        api.TryCalloc.or(api.Calloc),
        api.TryRealloc.or(api.Realloc),
        api.Free,
    ) else {
        return false;
    };
    ALLOC.store(alloc as *mut c_void, Ordering::Relaxed);
    CALLOC.store(calloc as *mut c_void, Ordering::Relaxed);
    REALLOC.store(realloc as *mut c_void, Ordering::Relaxed);
    FREE.store(free as *mut c_void, Ordering::Relaxed);
    enter(BOUND)
}

/// Enters a state, or finds that it holds already: one server has one set of functions.
fn enter(state: u8) -> bool {
    let before = STATE.compare_exchange(UNBOUND, state, Ordering::AcqRel, Ordering::Acquire);
    before.is_ok() || before == Err(state)
}

/// Loads one of the server's functions. The state is the one that the function belongs to.
macro_rules! server_function {
    ($load:ident, $slot:ident: $name:ident) => {
        #[inline]
        fn $load() -> abi::api::$name {
            let function = $slot.load(Ordering::Relaxed);
            // SAFETY: the state was read with acquire ordering as the one before which `bind` has
            // stored a function of this type here.
            unsafe { std::mem::transmute::<*mut c_void, abi::api::$name>(function) }
        }
    };
}

server_function!(server_alloc, ALLOC: Alloc);
server_function!(server_calloc, CALLOC: Calloc);
server_function!(server_realloc, REALLOC: Realloc);
server_function!(server_free, FREE: Free);
server_function!(sized_alloc, ALLOC: MortiseAllocate);
server_function!(sized_alloc_zeroed, CALLOC: MortiseAllocateZeroed);
server_function!(sized_realloc, REALLOC: MortiseReallocate);
server_function!(sized_free, FREE: MortiseDeallocate);

fn arena_start() -> usize {
    ARENA.0.get() as usize
}

fn in_arena(block: *mut u8) -> bool {
    (block as usize).wrapping_sub(arena_start()) < ARENA_SIZE
}

/// A block of the arena, if it has room. The memory is zero.
fn from_arena(layout: Layout) -> Option<*mut u8> {
    if layout.align() > 4096 {
        return None;
    }
    let mut used = ARENA_USED.load(Ordering::Relaxed);
    loop {
        let start = used.checked_next_multiple_of(layout.align())?;
        let end = start.checked_add(layout.size()).filter(|end| *end <= ARENA_SIZE)?;
        match ARENA_USED.compare_exchange_weak(used, end, Ordering::Relaxed, Ordering::Relaxed) {
            // SAFETY: `start` is inside the arena.
            Ok(_) => return Some(unsafe { ARENA.0.get().cast::<u8>().add(start) }),
            Err(now) => used = now,
        }
    }
}

/// The state that decides about a new block; UNBOUND only with a block of the arena.
fn settle(layout: Layout) -> (u8, *mut u8) {
    let state = STATE.load(Ordering::Acquire);
    if state != UNBOUND {
        return (state, ptr::null_mut());
    }
    if let Some(block) = from_arena(layout) {
        return (UNBOUND, block);
    }
    match STATE.compare_exchange(UNBOUND, SYSTEM, Ordering::AcqRel, Ordering::Acquire) {
        Ok(_) => (SYSTEM, ptr::null_mut()),
        Err(state) => (state, ptr::null_mut()),
    }
}

/// Bytes to ask the server for, so that an aligned block with a word before it fits.
fn padded(layout: Layout) -> Option<usize> {
    layout.size().checked_add(layout.align())?.checked_add(size_of::<usize>())
}

/// Places an aligned block into a larger one of the server.
///
/// # Safety
/// `raw` is NULL or has [`padded`] bytes for this layout.
unsafe fn align_within(raw: *mut u8, layout: Layout) -> *mut u8 {
    if raw.is_null() {
        return raw;
    }
    let first = raw as usize + size_of::<usize>();
    let offset = first.next_multiple_of(layout.align()) - raw as usize;
    // SAFETY: `offset` is at least a word and at most a word and `align - 1`, so block and word lie
    // inside `raw`'s bytes; the block is aligned to more than a word, so the word before it is too.
    unsafe {
        let block = raw.add(offset);
        block.cast::<usize>().sub(1).write(raw as usize);
        block
    }
}

/// The server's block around an aligned one.
///
/// # Safety
/// `block` came from [`align_within`].
unsafe fn unaligned(block: *mut u8) -> *mut c_void {
    // SAFETY: `align_within` has written the word.
    unsafe { block.cast::<usize>().sub(1).read() as *mut c_void }
}

// SAFETY: a block is freed and resized by the allocator it came from (see the head of this file),
// layouts are honoured in size and alignment, and nothing here panics or allocates.
unsafe impl GlobalAlloc for ModuleAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        match settle(layout) {
            // SAFETY: the function takes any layout.
            (SIZED, _) => unsafe { sized_alloc()(layout.size(), layout.align()) }.cast(),
            (UNBOUND, block) => block,
            (BOUND, _) if layout.align() <= SERVER_ALIGN => {
                // SAFETY: the function takes any size.
                unsafe { server_alloc()(layout.size()) }.cast()
            }
            (BOUND, _) => {
                let Some(size) = padded(layout) else { return ptr::null_mut() };
                // SAFETY: the block has the padded size.
                unsafe { align_within(server_alloc()(size).cast(), layout) }
            }
            // SAFETY: by the caller.
            _ => unsafe { System.alloc(layout) },
        }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        match settle(layout) {
            // SAFETY: the function takes any layout.
            (SIZED, _) => unsafe { sized_alloc_zeroed()(layout.size(), layout.align()) }.cast(),
            (UNBOUND, block) => block,
            (BOUND, _) if layout.align() <= SERVER_ALIGN => {
                // SAFETY: the function takes any size.
                unsafe { server_calloc()(1, layout.size()) }.cast()
            }
            (BOUND, _) => {
                let Some(size) = padded(layout) else { return ptr::null_mut() };
                // SAFETY: the block has the padded size.
                unsafe { align_within(server_calloc()(1, size).cast(), layout) }
            }
            // SAFETY: by the caller.
            _ => unsafe { System.alloc_zeroed(layout) },
        }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if in_arena(block) {
            return;
        }
        match STATE.load(Ordering::Acquire) {
            // SAFETY: the block is the server's, made with this layout.
            SIZED => unsafe { sized_free()(block.cast(), layout.size(), layout.align()) },
            // SAFETY: the block is the server's, as it was given.
            BOUND if layout.align() <= SERVER_ALIGN => unsafe { server_free()(block.cast()) },
            // SAFETY: the block was placed by `align_within`.
            BOUND => unsafe { server_free()(unaligned(block)) },
            // SAFETY: a block outside the arena is the system's when the server has none.
            _ => unsafe { System.dealloc(block, layout) },
        }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if !in_arena(block) {
            match STATE.load(Ordering::Acquire) {
                SIZED => {
                    let (bytes, align) = (layout.size(), layout.align());
                    // SAFETY: the block is the server's, made with this layout.
                    return unsafe { sized_realloc()(block.cast(), bytes, align, size) }.cast();
                }
                BOUND if layout.align() <= SERVER_ALIGN => {
                    // SAFETY: the block is the server's, as it was given.
                    return unsafe { server_realloc()(block.cast(), size) }.cast();
                }
                // SAFETY: the block is the system's; the rest is by the caller.
                SYSTEM => return unsafe { System.realloc(block, layout, size) },
                _ => {}
            }
        }
        // SAFETY: the caller promises that `size` is valid with this alignment.
        let new_layout = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        // SAFETY: by the caller.
        let new = unsafe { self.alloc(new_layout) };
        if !new.is_null() {
            // SAFETY: both blocks have at least the copied bytes, and they are distinct; the old one
            // is freed once.
            unsafe {
                ptr::copy_nonoverlapping(block, new, layout.size().min(size));
                self.dealloc(block, layout);
            }
        }
        new
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::{CStr, c_char, c_int};

    /// Blocks that the stand-in for a server has given out and not got back.
    static LIVE: AtomicUsize = AtomicUsize::new(0);

    /// As bad as a server may be: blocks are aligned to 8 bytes and no more.
    const SKEW: usize = 8;

    /// The stand-in keeps the size in front of each block, for the system's allocator.
    fn system_layout(size: usize) -> Layout {
        Layout::from_size_align(size + 16 + SKEW, 16).expect("sizes in tests are small")
    }

    unsafe extern "C" fn server_like_alloc(size: usize) -> *mut c_void {
        LIVE.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the block has room for the size, the skew and what was asked for.
        unsafe {
            let raw = System.alloc_zeroed(system_layout(size));
            raw.add(SKEW).cast::<usize>().write(size);
            raw.add(16 + SKEW).cast()
        }
    }

    unsafe extern "C" fn server_like_calloc(count: usize, size: usize) -> *mut c_void {
        // SAFETY: no preconditions.
        unsafe { server_like_alloc(count * size) }
    }

    unsafe extern "C" fn server_like_free(block: *mut c_void) {
        LIVE.fetch_sub(1, Ordering::Relaxed);
        // SAFETY: the block came from `server_like_alloc`.
        unsafe {
            let raw = block.cast::<u8>().sub(16 + SKEW);
            let size = raw.add(SKEW).cast::<usize>().read();
            System.dealloc(raw, system_layout(size));
        }
    }

    unsafe extern "C" fn server_like_realloc(block: *mut c_void, size: usize) -> *mut c_void {
        // SAFETY: as above.
        unsafe {
            let old_size = block.cast::<u8>().sub(16).cast::<usize>().read();
            let new = server_like_alloc(size);
            ptr::copy_nonoverlapping::<u8>(block.cast(), new.cast(), old_size.min(size));
            server_like_free(block);
            new
        }
    }

    unsafe extern "C" fn get_api(name: *const c_char, out: *mut c_void) -> c_int {
        // SAFETY: names are C strings.
        let function = match unsafe { CStr::from_ptr(name) }.to_bytes() {
            b"RedisModule_Alloc" => server_like_alloc as *mut c_void,
            b"RedisModule_Calloc" => server_like_calloc as *mut c_void,
            b"RedisModule_Realloc" => server_like_realloc as *mut c_void,
            b"RedisModule_Free" => server_like_free as *mut c_void,
            _ => return abi::ERR,
        };
        // SAFETY: `out` is a place for a pointer.
        unsafe { out.cast::<*mut c_void>().write(function) };
        abi::OK
    }

    /// Allocates, checks, grows, shrinks and frees; returns the last block's layout.
    fn exercise(layout: Layout) {
        // SAFETY: sizes are not 0; only bytes inside the blocks are touched; each is freed once.
        unsafe {
            let block = ModuleAllocator.alloc(layout);
            let zeroed = ModuleAllocator.alloc_zeroed(layout);
            assert!(block.addr().is_multiple_of(layout.align()));
            assert!(zeroed.addr().is_multiple_of(layout.align()));
            assert!((0..layout.size()).all(|i| *zeroed.add(i) == 0));
            ModuleAllocator.dealloc(zeroed, layout);
            block.write_bytes(0x5a, layout.size());

            let (large, small) = (layout.size() * 3, layout.size().div_ceil(2));
            let block = ModuleAllocator.realloc(block, layout, large);
            assert!(block.addr().is_multiple_of(layout.align()));
            assert!((0..layout.size()).all(|i| *block.add(i) == 0x5a));
            let layout = Layout::from_size_align(large, layout.align()).expect("still small");
            let block = ModuleAllocator.realloc(block, layout, small);
            assert!((0..small).all(|i| *block.add(i) == 0x5a));
            let layout = Layout::from_size_align(small, layout.align()).expect("still small");
            ModuleAllocator.dealloc(block, layout);
        }
    }

    /// One test, because the state belongs to the process.
    #[test]
    fn blocks_go_back_to_where_they_came_from() {
        let layouts = || {
            let sizes = [1, 7, 8, 100, 4096, 5000];
            let aligns = [1, 2, 8, 16, 64, 4096];
            sizes.into_iter().flat_map(move |size| {
                aligns.map(|align| Layout::from_size_align(size, align).expect("small"))
            })
        };
        let small = Layout::from_size_align(10, 2).expect("small");
        exercise(small);
        // SAFETY: the size is not 0.
        let early = unsafe { ModuleAllocator.alloc(small) };
        assert!(in_arena(early) && LIVE.load(Ordering::Relaxed) == 0);

        assert!(bind(&Api::find(get_api)));
        layouts().for_each(exercise);
        assert_eq!(LIVE.load(Ordering::Relaxed), 0);

        // SAFETY: the block is from before binding and moves to the server, where it is freed.
        unsafe {
            early.write_bytes(1, 10);
            let moved = ModuleAllocator.realloc(early, small, 20);
            assert!(!in_arena(moved) && (0..10).all(|i| *moved.add(i) == 1));
            assert_eq!(LIVE.load(Ordering::Relaxed), 1);
            let layout = Layout::from_size_align(20, 2).expect("small");
            ModuleAllocator.dealloc(moved, layout);
        }
        assert_eq!(LIVE.load(Ordering::Relaxed), 0);
        assert!(bind(&Api::find(get_api)), "binding again changes nothing");
    }
}
