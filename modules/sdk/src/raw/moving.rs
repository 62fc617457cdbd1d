//! How do blocks of a value move to better memory? The server copies one to another of the same size, and frees it; what owns it
//! gets the new address.
//!
//! Whatever Rust owns may be moved by copying its bytes, as a move of the language does; nothing refers to a block but its owner, whom the
//! functions here borrow alone.

use std::ffi::{c_ulong, c_void};
use std::marker::PhantomData;
use std::mem::{ManuallyDrop, align_of, forget, replace, size_of};
use std::ptr::NonNull;

use mortise_module_abi as abi;

use super::bound;

/// Blocks aligned to more than this may not be the server's own (`raw/alloc.rs`).
const ALIGN_MAX: usize = 8;

/// What moves the blocks of one value during one callback.
pub struct Mover<'d> {
    ctx: NonNull<abi::DefragCtx>,
    lender: PhantomData<&'d mut abi::DefragCtx>,
    /// There is more to do.
    stopped: bool,
}

impl Mover<'_> {
    /// Wraps a handle of the server.
    ///
    /// # Safety
    /// `ctx` is NULL or stays live for as long as the result.
    pub(super) unsafe fn from_ptr(ctx: *mut abi::DefragCtx) -> Option<Self> {
        let ctx = NonNull::new(ctx)?;
        Some(Self { ctx, lender: PhantomData, stopped: false })
    }

    /// Whether the callback is to be called again.
    pub(super) fn is_stopped(&self) -> bool {
        self.stopped
    }

    /// Where the block is now, if it was moved.
    ///
    /// # Safety
    /// `block` is a live block of [`super::ModuleAllocator`], whose owner uses the new address, if there is one, and
    /// not this one.
    pub(super) unsafe fn block(&mut self, block: *mut c_void) -> Option<NonNull<c_void>> {
        let alloc = bound().api.DefragAlloc?;
        // SAFETY: the handle is live; the block is the server's, and is given up if there is a new one.
        NonNull::new(unsafe { alloc(self.ctx.as_ptr(), block) })
    }

    /// Moves the elements of a vector, not what they own.
    pub fn vec<T>(&mut self, vec: &mut Vec<T>) {
        if vec.capacity() == 0 || size_of::<T>() == 0 || align_of::<T>() > ALIGN_MAX {
            return;
        }
        // SAFETY: a vector with room owns a block, which the one made below takes over.
        let Some(moved) = (unsafe { self.block(vec.as_mut_ptr().cast()) }) else { return };
        let (len, capacity) = (vec.len(), vec.capacity());
        // SAFETY: the block has the size and the alignment of the old one, and its content; the old vector is not dropped.
        let moved = unsafe { Vec::from_raw_parts(moved.as_ptr().cast(), len, capacity) };
        forget(replace(vec, moved));
    }

    /// Moves what is in a box, not what that owns.
    pub fn boxed<T>(&mut self, boxed: &mut Box<T>) {
        if size_of::<T>() == 0 || align_of::<T>() > ALIGN_MAX {
            return;
        }
        // SAFETY: a box of something with a size owns a block, which the one made below takes over.
        let Some(moved) = (unsafe { self.block((&raw mut **boxed).cast()) }) else { return };
        // SAFETY: the block has the size and the alignment of the old one, and its content; the old box is not dropped.
        let moved = unsafe { Box::from_raw(moved.as_ptr().cast::<T>()) };
        forget(replace(boxed, moved));
    }

    /// Moves what is shared, if nobody else holds it, and hands it out, to go on with what it owns.
    #[cfg(feature = "triomphe")]
    pub fn shared<'s, T>(&mut self, shared: &'s mut triomphe::Arc<T>) -> Option<&'s mut T> {
        use triomphe::Arc;
        if !Arc::is_unique(shared) {
            return None;
        }
        if align_of::<T>() <= ALIGN_MAX {
            let block = Arc::heap_ptr(shared).cast_mut();
            let offset = Arc::as_ptr(shared).addr() - block.addr();
            // SAFETY: an arc owns its block, this one alone, and the arc made below takes it over.
            if let Some(moved) = unsafe { self.block(block) } {
                let content = moved.as_ptr().wrapping_byte_add(offset).cast::<T>();
                // SAFETY: the block is laid out as the one of the old arc was, count included, which is not dropped.
                let moved = unsafe { Arc::from_raw(content.cast_const()) };
                forget(replace(shared, moved));
            }
        }
        Arc::get_mut(shared)
    }

    /// Moves a shared run of bytes, if nobody else holds it.
    #[cfg(feature = "triomphe")]
    pub fn bytes(&mut self, bytes: &mut triomphe::ThinArc<(), u8>) {
        use triomphe::ThinArc;
        if ThinArc::strong_count(bytes) != 1 {
            return;
        }
        let block = ThinArc::as_ptr(bytes).cast_mut();
        // SAFETY: an arc owns its block, this one alone, and the arc made below takes it over.
        if let Some(moved) = unsafe { self.block(block) } {
            // SAFETY: the block is laid out as the one of the old arc was, count included, which is not dropped.
            let moved = unsafe { ThinArc::from_raw(moved.as_ptr()) };
            forget(replace(bytes, moved));
        }
    }

    /// Whether there is time for more. Asking costs about as much as moving a block: ask after some of them.
    pub fn goes_on(&mut self) -> bool {
        let Some(should_stop) = bound().api.DefragShouldStop else { return true };
        // SAFETY: the handle is live.
        unsafe { should_stop(self.ctx.as_ptr()) == 0 }
    }

    /// Where [`Mover::stop_at`] has stopped the last time; 0 at first.
    pub fn cursor(&self) -> u64 {
        let mut cursor: c_ulong = 0;
        if let Some(get) = bound().api.DefragCursorGet {
            // SAFETY: the handle is live, and `cursor` is a variable.
            unsafe { get(self.ctx.as_ptr(), &raw mut cursor) };
        }
        cursor
    }

    /// There is more to do, from here on.
    pub fn stop_at(&mut self, cursor: u64) {
        if let Some(set) = bound().api.DefragCursorSet {
            // SAFETY: the handle is live.
            self.stopped = unsafe { set(self.ctx.as_ptr(), cursor) } == abi::OK;
        }
    }
}

/// Moves the box of a value; where it is now.
///
/// # Safety
/// `value` is a live box of `T`, which is used under its new address from now on.
pub(super) unsafe fn move_value<T>(mover: &mut Mover<'_>, value: *mut c_void) -> *mut c_void {
    // SAFETY: the box is given back below.
    let mut boxed = ManuallyDrop::new(unsafe { Box::from_raw(value.cast::<T>()) });
    mover.boxed(&mut boxed);
    Box::into_raw(ManuallyDrop::into_inner(boxed)).cast()
}
