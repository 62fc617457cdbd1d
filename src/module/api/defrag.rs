//! Moving what modules hold to better memory: what their callbacks ask for (`module/defrag.rs`).
//!
//! Handles are given out to these callbacks only. Without one the answers are those of a server that moves nothing.
#![expect(unsafe_code, reason = "functions of a C interface take raw pointers")]

use std::ffi::{c_int, c_ulong, c_void};
use std::ptr::{NonNull, null_mut};

use mortise_module_abi as abi;

use super::super::defrag::{Defragging, Globals};
use super::super::handle::{ModString, ModuleCtx};
use super::super::host::host;
use super::{dict as dicts, memory};
use crate::allocator;

/// Registers something for the module of a context.
///
/// # Safety
/// `ctx` is null or a live context.
unsafe fn register_for(ctx: *mut abi::Ctx, set: impl FnOnce(&mut Globals)) -> c_int {
    // SAFETY: the caller promises it.
    let module = unsafe { ModuleCtx::borrow(ctx) }.and_then(|ctx| ctx.module.as_deref().cloned());
    let Some(module) = module else { return abi::ERR };
    host().register_globals(&module, set);
    abi::OK
}

pub(super) unsafe extern "C" fn register(ctx: *mut abi::Ctx, func: abi::DefragFunc) -> c_int {
    // SAFETY: modules pass a live context.
    unsafe { register_for(ctx, |own| own.whole = func) }
}

pub(super) unsafe extern "C" fn register_with_result(
    ctx: *mut abi::Ctx,
    func: abi::DefragFunc2,
) -> c_int {
    // SAFETY: modules pass a live context.
    unsafe { register_for(ctx, |own| own.pieces = func) }
}

pub(super) unsafe extern "C" fn register_callbacks(
    ctx: *mut abi::Ctx,
    begin: abi::DefragFunc,
    end: abi::DefragFunc,
) -> c_int {
    // SAFETY: modules pass a live context.
    unsafe { register_for(ctx, |own| (own.begin, own.end) = (begin, end)) }
}

pub(super) unsafe extern "C" fn alloc(ctx: *mut abi::DefragCtx, block: *mut c_void) -> *mut c_void {
    // SAFETY: modules pass the handle of the callback that runs, or null.
    let Some(ctx) = (unsafe { Defragging::borrow(ctx) }) else { return null_mut() };
    // SAFETY: modules pass null or a live block of this allocator.
    let bytes = unsafe { allocator::module_size(block) };
    if !ctx.mover.wants(block.cast_const(), bytes) {
        return null_mut();
    }
    // SAFETY: the block is alive, not null since it has a size, and the module uses the new one from now on.
    unsafe { allocator::move_block(block) }
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
    ctx: *mut abi::DefragCtx,
    string: *mut abi::ModuleString,
) -> *mut abi::ModuleString {
    // SAFETY: modules pass the handle of the callback that runs, or null.
    let Some(ctx) = (unsafe { Defragging::borrow(ctx) }) else { return null_mut() };
    let Some(string) = NonNull::new(string.cast::<ModString>()) else { return null_mut() };
    // SAFETY: modules pass live strings; who gets a new one does not use the old one again.
    unsafe { ModString::moved(string, ctx.mover) }.map_or(null_mut(), ModString::handle)
}

pub(super) unsafe extern "C" fn dict(
    ctx: *mut abi::DefragCtx,
    dict: *mut abi::Dict,
    value: abi::DefragDictValueFunc,
    seek_to: *mut *mut abi::ModuleString,
) -> *mut abi::Dict {
    // SAFETY: null, or the module's variable.
    let Some(seek_to) = (unsafe { seek_to.as_mut() }) else { return null_mut() };
    let from = std::mem::replace(seek_to, null_mut());
    if ctx.is_null() {
        return null_mut();
    }
    // SAFETY: modules pass the handle of the callback that runs, a live dictionary, and a live string or null,
    // which they give up.
    unsafe { dicts::defragment(ctx, dict, value, from, seek_to) }
}

pub(super) unsafe extern "C" fn should_stop(ctx: *mut abi::DefragCtx) -> c_int {
    // SAFETY: modules pass the handle of the callback that runs, or null.
    let Some(ctx) = (unsafe { Defragging::borrow(ctx) }) else { return 1 };
    // What has no cursor is to be done at once.
    c_int::from(ctx.cursor.is_some() && !ctx.mover.goes_on())
}

pub(super) unsafe extern "C" fn set_cursor(ctx: *mut abi::DefragCtx, cursor: c_ulong) -> c_int {
    // SAFETY: modules pass the handle of the callback that runs, or null.
    let own = unsafe { Defragging::borrow(ctx) }.and_then(|ctx| ctx.cursor.as_mut());
    match own {
        Some(own) => {
            *own = cursor;
            abi::OK
        }
        None => abi::ERR,
    }
}

pub(super) unsafe extern "C" fn cursor(ctx: *mut abi::DefragCtx, cursor: *mut c_ulong) -> c_int {
    // SAFETY: modules pass the handle of the callback that runs, or null.
    let own = unsafe { Defragging::borrow(ctx) }.and_then(|ctx| ctx.cursor);
    // SAFETY: null, or the module's variable.
    match (own, unsafe { cursor.as_mut() }) {
        (Some(own), Some(cursor)) => {
            *cursor = own;
            abi::OK
        }
        _ => abi::ERR,
    }
}

pub(super) unsafe extern "C" fn key_name(ctx: *mut abi::DefragCtx) -> *const abi::ModuleString {
    // SAFETY: modules pass the handle of the callback that runs, or null.
    unsafe { Defragging::borrow(ctx) }.map_or(std::ptr::null(), |ctx| ctx.key.cast_const())
}

pub(super) unsafe extern "C" fn db(ctx: *mut abi::DefragCtx) -> c_int {
    // SAFETY: modules pass the handle of the callback that runs, or null.
    unsafe { Defragging::borrow(ctx) }.map_or(-1, |ctx| ctx.db)
}
