//! Strings: counted, NUL-terminated bytes that modules hold.
#![expect(unsafe_code, reason = "functions of a C interface take raw pointers")]

use std::ffi::{c_char, c_int, c_longlong, c_ulonglong};

use mortise_module_abi as abi;

use super::super::handle::{ModString, ModuleCtx, Owned, c_slice};
use crate::base::number;

type Str = *mut abi::ModuleString;

pub(super) unsafe extern "C" fn create(ctx: *mut abi::Ctx, data: *const c_char, len: usize) -> Str {
    // SAFETY: modules pass a live context or null, and `len` bytes.
    let (ctx, bytes) = unsafe { (ModuleCtx::borrow(ctx), c_slice(data, len)) };
    ModuleCtx::new_string(ctx, bytes)
}

/// What the C shim calls with a formatted text.
#[unsafe(no_mangle)]
unsafe extern "C" fn mortise_string_of_text(
    ctx: *mut abi::Ctx,
    data: *const c_char,
    len: usize,
) -> Str {
    // SAFETY: passed on.
    unsafe { create(ctx, data, len) }
}

/// What the C shim calls to read a string.
#[unsafe(no_mangle)]
unsafe extern "C" fn mortise_string_data(
    string: *const abi::ModuleString,
    len: *mut usize,
) -> *const c_char {
    // SAFETY: passed on.
    unsafe { ptr_len(string, len) }
}

pub(super) unsafe extern "C" fn create_from_long_long(
    ctx: *mut abi::Ctx,
    value: c_longlong,
) -> Str {
    // SAFETY: modules pass a live context or null.
    ModuleCtx::new_string(unsafe { ModuleCtx::borrow(ctx) }, value.to_string().as_bytes())
}

pub(super) unsafe extern "C" fn create_from_ulong_long(
    ctx: *mut abi::Ctx,
    value: c_ulonglong,
) -> Str {
    // SAFETY: modules pass a live context or null.
    ModuleCtx::new_string(unsafe { ModuleCtx::borrow(ctx) }, value.to_string().as_bytes())
}

/// A number with the 17 digits that tell it from all others, as C prints it for `%.17g`.
pub(super) fn exact_double(value: f64) -> String {
    const ROOM: usize = 64;
    let mut text = [0u8; ROOM];
    // SAFETY: the room is as large as is said, and the format takes one double.
    let len = unsafe { libc::snprintf(text.as_mut_ptr().cast(), ROOM, c"%.17g".as_ptr(), value) };
    let len = usize::try_from(len).unwrap_or(0).min(ROOM - 1);
    String::from_utf8_lossy(&text[..len]).into_owned()
}

pub(super) unsafe extern "C" fn create_from_double(ctx: *mut abi::Ctx, value: f64) -> Str {
    let text = number::format_double(value);
    // SAFETY: modules pass a live context or null.
    ModuleCtx::new_string(unsafe { ModuleCtx::borrow(ctx) }, text.as_bytes())
}

pub(super) unsafe extern "C" fn create_from_string(
    ctx: *mut abi::Ctx,
    string: *const abi::ModuleString,
) -> Str {
    // SAFETY: modules pass a live context or null, and a live string or null.
    let (ctx, string) = unsafe { (ModuleCtx::borrow(ctx), ModString::borrow(string)) };
    ModuleCtx::new_string(ctx, string.map_or(&[], ModString::as_bytes))
}

pub(super) unsafe extern "C" fn free(ctx: *mut abi::Ctx, string: Str) {
    // SAFETY: modules pass a live context or null.
    if let Some(ctx) = unsafe { ModuleCtx::borrow(ctx) } {
        ctx.disown(Owned::String(string));
    }
    // SAFETY: modules pass a string of which they give up a reference.
    unsafe { ModString::release(string) }
}

pub(super) unsafe extern "C" fn retain(ctx: *mut abi::Ctx, string: Str) {
    // SAFETY: modules pass a live context or null.
    let disowned =
        unsafe { ModuleCtx::borrow(ctx) }.is_some_and(|ctx| ctx.disown(Owned::String(string)));
    // What automatic memory held now belongs to the module; else there is one more holder.
    if !disowned {
        // SAFETY: modules pass a live string or null.
        if let Some(string) = unsafe { ModString::borrow(string) } {
            string.retain();
        }
    }
}

pub(super) unsafe extern "C" fn hold(ctx: *mut abi::Ctx, string: Str) -> Str {
    // SAFETY: passed on.
    unsafe { retain(ctx, string) };
    string
}

pub(super) unsafe extern "C" fn ptr_len(
    string: *const abi::ModuleString,
    len: *mut usize,
) -> *const c_char {
    const NULL_TEXT: &std::ffi::CStr = c"(NULL string reply referenced in module)";
    // SAFETY: modules pass a live string or null.
    let (data, bytes) = match unsafe { ModString::borrow(string) } {
        Some(string) => (string.as_bytes().as_ptr().cast(), string.as_bytes().len()),
        None => (NULL_TEXT.as_ptr(), NULL_TEXT.count_bytes()),
    };
    // SAFETY: null, or the module's variable for the length.
    if let Some(len) = unsafe { len.as_mut() } {
        *len = bytes;
    }
    data
}

/// Stores a parsed value, and says whether there was one.
///
/// # Safety
/// `out` is null or points to a variable of this type.
unsafe fn store<T>(value: Option<T>, out: *mut T) -> c_int {
    let Some(value) = value else { return abi::ERR };
    // SAFETY: the caller promises a variable.
    if let Some(out) = unsafe { out.as_mut() } {
        *out = value;
    }
    abi::OK
}

pub(super) unsafe extern "C" fn to_long_long(
    string: *const abi::ModuleString,
    out: *mut c_longlong,
) -> c_int {
    // SAFETY: modules pass a live string or null.
    let value = unsafe { ModString::borrow(string) }.and_then(|s| number::parse_i64(s.as_bytes()));
    // SAFETY: modules pass a variable.
    unsafe { store(value, out) }
}

pub(super) unsafe extern "C" fn to_ulong_long(
    string: *const abi::ModuleString,
    out: *mut c_ulonglong,
) -> c_int {
    // SAFETY: modules pass a live string or null.
    let value = unsafe { ModString::borrow(string) }.and_then(|s| number::parse_u64(s.as_bytes()));
    // SAFETY: modules pass a variable.
    unsafe { store(value, out) }
}

pub(super) unsafe extern "C" fn to_double(
    string: *const abi::ModuleString,
    out: *mut f64,
) -> c_int {
    // SAFETY: modules pass a live string or null.
    let value = unsafe { ModString::borrow(string) }.and_then(|s| number::parse_f64(s.as_bytes()));
    // SAFETY: modules pass a variable.
    unsafe { store(value, out) }
}

pub(super) unsafe extern "C" fn append_buffer(
    _: *mut abi::Ctx,
    string: Str,
    data: *const c_char,
    len: usize,
) -> c_int {
    // SAFETY: modules pass a live string or null, which nobody else refers to while they change it.
    let Some(string) = (unsafe { string.cast::<ModString>().as_mut() }) else { return abi::ERR };
    if string.references() != 1 {
        return abi::ERR;
    }
    // SAFETY: modules pass `len` bytes.
    string.append(unsafe { c_slice(data, len) });
    abi::OK
}

pub(super) unsafe extern "C" fn trim(string: Str) {
    // SAFETY: modules pass a live string or null, which nobody else refers to while they change it.
    if let Some(string) = unsafe { string.cast::<ModString>().as_mut() }
        && string.references() == 1
    {
        string.trim();
    }
}

pub(super) unsafe extern "C" fn compare(
    a: *const abi::ModuleString,
    b: *const abi::ModuleString,
) -> c_int {
    // SAFETY: modules pass live strings or null.
    let (a, b) = unsafe { (ModString::borrow(a), ModString::borrow(b)) };
    let bytes = |string: Option<&ModString>| string.map(|s| s.as_bytes().to_vec());
    bytes(a).cmp(&bytes(b)) as c_int
}
