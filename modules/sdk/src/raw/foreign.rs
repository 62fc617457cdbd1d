//! How does a module serve C functions of its own to other modules?
//!
//! A table that is exported by [`Context::export_table`] holds functions that other modules call with pointers of theirs:
//! contexts, keys, names of keys. What is here turns those into values of a native type. The functions are `unsafe`
//! because the pointers come with no more than the caller's promise.

use std::ffi::{CStr, c_char, c_int};
use std::ptr::{self, NonNull};

use mortise_module_abi as abi;

use super::native::NativeHandle;
use super::{Type, boundary, try_bound};
use crate::context::Context;
use crate::error::Error;
use crate::native::Native;

impl Context<'_> {
    /// Offers a table of functions to other modules, which find it by its name (`GetSharedAPI` in C). To be called while
    /// the module is loaded.
    pub fn export_table<T: Sync>(
        &mut self,
        name: &'static CStr,
        table: &'static T,
    ) -> Result<(), Error> {
        self.raw().export_shared_api(name, ptr::from_ref(table).cast_mut().cast())
    }
}

/// Runs what another module has called; a panic ends here, and `failed` is the answer.
pub fn guarded<R>(failed: R, body: impl FnOnce() -> R) -> R {
    boundary(body).unwrap_or(failed)
}

/// The value of a native type in a key that is opened for reading and closed again; NULL if the key holds none.
///
/// The pointer is good for as long as the key is not written to and the caller keeps the server's lock.
///
/// # Safety
/// `ctx` is NULL or live, this thread holds the server's lock, and `name` is NULL or a live string.
pub unsafe fn read_value<T: Native>(
    ctx: *mut abi::Ctx,
    name: *mut abi::ModuleString,
    flags: c_int,
    ty: &Type<T>,
) -> *const T {
    let Some(bound) = try_bound().filter(|_| !ctx.is_null() && !name.is_null()) else {
        return ptr::null();
    };
    // SAFETY: both are live by the caller's promise; unknown flags are the server's to refuse.
    let key = unsafe { (bound.core.OpenKey)(ctx, name, abi::READ | (flags & !abi::WRITE)) };
    let Some(key) = NonNull::new(key.cast::<abi::Key>()) else { return ptr::null() };
    // SAFETY: the key was just opened.
    let value = unsafe { value_in(key.as_ptr(), ty) };
    // SAFETY: the key is ours and is closed once.
    unsafe { (bound.core.CloseKey)(key.as_ptr()) };
    value
}

/// The value of a native type in a key that the caller has open; NULL if it holds none.
///
/// # Safety
/// `key` is NULL or live, and this thread holds the server's lock.
pub unsafe fn value_in<T: Native>(key: *mut abi::Key, ty: &Type<T>) -> *const T {
    let (Some(bound), false, false) = (try_bound(), key.is_null(), ty.handle().is_null()) else {
        return ptr::null();
    };
    let Ok(types) = bound.types() else { return ptr::null() };
    // SAFETY: the key is live.
    if unsafe { (bound.core.KeyType)(key) } != abi::KEYTYPE_MODULE {
        return ptr::null();
    }
    // SAFETY: the key is live.
    if unsafe { (types.ModuleTypeGetType)(key) } != ty.handle() {
        return ptr::null();
    }
    // SAFETY: the key is live; values of this type are boxes of `T` (see `native`).
    unsafe { (types.ModuleTypeGetValue)(key) }.cast()
}

/// A string for another module, which owns it from then on; NULL if there is no server.
///
/// # Safety
/// `ctx` is NULL or live, and this thread holds the server's lock.
pub unsafe fn make_string(ctx: *mut abi::Ctx, bytes: &[u8]) -> *mut abi::ModuleString {
    let Some(bound) = try_bound() else { return ptr::null_mut() };
    // SAFETY: the server copies the bytes; the context may be NULL.
    unsafe { (bound.core.CreateString)(ctx, bytes.as_ptr().cast::<c_char>(), bytes.len()) }
}

/// Gives back what [`make_string`] has made.
///
/// # Safety
/// As there, with the same context; `string` is not used any more.
pub unsafe fn free_string(ctx: *mut abi::Ctx, string: *mut abi::ModuleString) {
    if let Some(bound) = try_bound().filter(|_| !string.is_null()) {
        // SAFETY: by the caller.
        unsafe { (bound.core.FreeString)(ctx, string) };
    }
}
