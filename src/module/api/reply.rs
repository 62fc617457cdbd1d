//! Replies: what a module writes to the client, in the protocol that the client speaks.
#![expect(unsafe_code, reason = "functions of a C interface take raw pointers")]

use std::ffi::{c_char, c_int, c_long, c_longlong};

use mortise_module_abi as abi;

use super::super::call_reply::CallReply;
use super::super::handle::{ModString, ModuleCtx, c_bytes, c_slice};
use crate::engine::error::CommandError;
use crate::resp::reply::{Protocol, Reply};

/// Writes a reply, if there is anybody to get it.
///
/// # Safety
/// `ctx` is null or a live context.
unsafe fn write(ctx: *mut abi::Ctx, f: impl FnOnce(&mut Reply<'_>)) -> c_int {
    // SAFETY: the caller promises it.
    if let Some(mut reply) = unsafe { ModuleCtx::borrow(ctx) }.and_then(ModuleCtx::reply) {
        f(&mut reply);
    }
    abi::OK
}

pub(super) unsafe extern "C" fn wrong_arity(ctx: *mut abi::Ctx) -> c_int {
    // SAFETY: modules pass a live context.
    if let Some(ctx) = unsafe { ModuleCtx::borrow(ctx) } {
        let error = CommandError::Arity(ctx.command.clone().into_owned());
        if let Some(mut reply) = ctx.reply() {
            reply.error(&error.bytes());
        }
    }
    abi::OK
}

pub(super) unsafe extern "C" fn long_long(ctx: *mut abi::Ctx, value: c_longlong) -> c_int {
    // SAFETY: modules pass a live context.
    unsafe { write(ctx, |reply| reply.int(value)) }
}

pub(super) unsafe extern "C" fn error(ctx: *mut abi::Ctx, text: *const c_char) -> c_int {
    // SAFETY: modules pass a live context and a C string.
    unsafe {
        let text = c_bytes(text).unwrap_or_default();
        write(ctx, |reply| reply.error(text))
    }
}

/// What the C shim calls with a formatted text.
#[unsafe(no_mangle)]
unsafe extern "C" fn mortise_reply_error_text(
    ctx: *mut abi::Ctx,
    data: *const c_char,
    len: usize,
) -> c_int {
    // SAFETY: the shim passes a live context and `len` bytes.
    unsafe {
        let text = c_slice(data, len);
        write(ctx, |reply| reply.error(text))
    }
}

pub(super) unsafe extern "C" fn simple(ctx: *mut abi::Ctx, text: *const c_char) -> c_int {
    // SAFETY: modules pass a live context and a C string.
    unsafe {
        let text = c_bytes(text).unwrap_or_default();
        write(ctx, |reply| {
            let line = text.split(|b| matches!(b, b'\r' | b'\n')).next().unwrap_or_default();
            reply.buffer().push(b'+');
            reply.buffer().extend_from_slice(line);
            reply.raw(b"\r\n");
        })
    }
}

/// Opens a collection, now or when its length is known.
///
/// # Safety
/// `ctx` is null or a live context.
unsafe fn open(ctx: *mut abi::Ctx, len: c_long, f: impl FnOnce(&mut Reply<'_>, usize)) -> c_int {
    // SAFETY: the caller promises it.
    let Some(ctx) = (unsafe { ModuleCtx::borrow(ctx) }) else { return abi::OK };
    match usize::try_from(len) {
        Ok(len) => {
            if let Some(mut reply) = ctx.reply() {
                f(&mut reply, len);
            }
        }
        Err(_) => {
            if let Some(at) = ctx.out().map(|out| out.len()) {
                ctx.postponed.push(at);
            }
        }
    }
    abi::OK
}

/// Writes the head of the innermost collection that was opened without a length.
///
/// # Safety
/// `ctx` is null or a live context.
unsafe fn close(ctx: *mut abi::Ctx, len: c_long, f: impl FnOnce(&mut Reply<'_>, usize)) {
    // SAFETY: the caller promises it.
    let Some(ctx) = (unsafe { ModuleCtx::borrow(ctx) }) else { return };
    if ctx.out().is_none() {
        return;
    }
    let Some(at) = ctx.postponed.pop() else {
        tracing::warn!(
            "API misuse detected in module {}: a length is set for no reply of postponed length",
            ctx.module.as_ref().map_or("?", |module| &module.name)
        );
        return;
    };
    let mut head = Vec::new();
    f(&mut Reply::new(&mut head, ctx.protocol), usize::try_from(len).unwrap_or(0));
    if let Some(out) = ctx.out() {
        out.splice(at..at, head);
    }
}

pub(super) unsafe extern "C" fn array(ctx: *mut abi::Ctx, len: c_long) -> c_int {
    // SAFETY: modules pass a live context.
    unsafe { open(ctx, len, |reply, len| reply.array(len)) }
}

pub(super) unsafe extern "C" fn map(ctx: *mut abi::Ctx, len: c_long) -> c_int {
    // SAFETY: modules pass a live context.
    unsafe { open(ctx, len, |reply, len| reply.map(len)) }
}

pub(super) unsafe extern "C" fn set(ctx: *mut abi::Ctx, len: c_long) -> c_int {
    // SAFETY: modules pass a live context.
    unsafe { open(ctx, len, |reply, len| reply.set(len)) }
}

fn attribute_head(reply: &mut Reply<'_>, len: usize) {
    reply.raw(format!("|{len}\r\n").as_bytes());
}

pub(super) unsafe extern "C" fn attribute(ctx: *mut abi::Ctx, len: c_long) -> c_int {
    // SAFETY: modules pass a live context.
    let resp2 = unsafe { ModuleCtx::borrow(ctx) }.is_none_or(|c| c.protocol == Protocol::Resp2);
    if resp2 {
        return abi::ERR;
    }
    // SAFETY: as above.
    unsafe { open(ctx, len, attribute_head) }
}

pub(super) unsafe extern "C" fn set_array_length(ctx: *mut abi::Ctx, len: c_long) {
    // SAFETY: modules pass a live context.
    unsafe { close(ctx, len, |reply, len| reply.array(len)) }
}

pub(super) unsafe extern "C" fn set_map_length(ctx: *mut abi::Ctx, len: c_long) {
    // SAFETY: modules pass a live context.
    unsafe { close(ctx, len, |reply, len| reply.map(len)) }
}

pub(super) unsafe extern "C" fn set_set_length(ctx: *mut abi::Ctx, len: c_long) {
    // SAFETY: modules pass a live context.
    unsafe { close(ctx, len, |reply, len| reply.set(len)) }
}

pub(super) unsafe extern "C" fn set_attribute_length(ctx: *mut abi::Ctx, len: c_long) {
    // SAFETY: modules pass a live context.
    let resp2 = unsafe { ModuleCtx::borrow(ctx) }.is_none_or(|c| c.protocol == Protocol::Resp2);
    if !resp2 {
        // SAFETY: as above.
        unsafe { close(ctx, len, attribute_head) }
    }
}

pub(super) unsafe extern "C" fn null_array(ctx: *mut abi::Ctx) -> c_int {
    // SAFETY: modules pass a live context.
    unsafe { write(ctx, |reply| reply.null_array()) }
}

pub(super) unsafe extern "C" fn empty_array(ctx: *mut abi::Ctx) -> c_int {
    // SAFETY: modules pass a live context.
    unsafe { write(ctx, |reply| reply.array(0)) }
}

pub(super) unsafe extern "C" fn string_buffer(
    ctx: *mut abi::Ctx,
    data: *const c_char,
    len: usize,
) -> c_int {
    // SAFETY: modules pass a live context and `len` bytes.
    unsafe {
        let bytes = c_slice(data, len);
        write(ctx, |reply| reply.bulk(bytes))
    }
}

pub(super) unsafe extern "C" fn c_string(ctx: *mut abi::Ctx, text: *const c_char) -> c_int {
    // SAFETY: modules pass a live context and a C string.
    unsafe {
        let bytes = c_bytes(text).unwrap_or_default();
        write(ctx, |reply| reply.bulk(bytes))
    }
}

pub(super) unsafe extern "C" fn string(
    ctx: *mut abi::Ctx,
    string: *mut abi::ModuleString,
) -> c_int {
    // SAFETY: modules pass a live context and a live string.
    unsafe {
        let bytes = ModString::borrow(string).map_or(&[][..], ModString::as_bytes);
        write(ctx, |reply| reply.bulk(bytes))
    }
}

pub(super) unsafe extern "C" fn empty_string(ctx: *mut abi::Ctx) -> c_int {
    // SAFETY: modules pass a live context.
    unsafe { write(ctx, |reply| reply.bulk(b"")) }
}

pub(super) unsafe extern "C" fn verbatim(
    ctx: *mut abi::Ctx,
    data: *const c_char,
    len: usize,
) -> c_int {
    // SAFETY: passed on.
    unsafe { verbatim_type(ctx, data, len, c"txt".as_ptr()) }
}

pub(super) unsafe extern "C" fn verbatim_type(
    ctx: *mut abi::Ctx,
    data: *const c_char,
    len: usize,
    format: *const c_char,
) -> c_int {
    // SAFETY: modules pass a live context, `len` bytes and a C string.
    unsafe {
        let (bytes, format) = (c_slice(data, len), c_bytes(format).unwrap_or_default());
        let format = format.first_chunk::<3>().unwrap_or(b"txt");
        write(ctx, |reply| reply.verbatim(format, bytes))
    }
}

pub(super) unsafe extern "C" fn null(ctx: *mut abi::Ctx) -> c_int {
    // SAFETY: modules pass a live context.
    unsafe { write(ctx, |reply| reply.null()) }
}

pub(super) unsafe extern "C" fn bool(ctx: *mut abi::Ctx, value: c_int) -> c_int {
    // SAFETY: modules pass a live context.
    unsafe { write(ctx, |reply| reply.bool(value != 0)) }
}

pub(super) unsafe extern "C" fn double(ctx: *mut abi::Ctx, value: f64) -> c_int {
    // SAFETY: modules pass a live context.
    unsafe { write(ctx, |reply| reply.double(value)) }
}

pub(super) unsafe extern "C" fn big_number(
    ctx: *mut abi::Ctx,
    data: *const c_char,
    len: usize,
) -> c_int {
    // SAFETY: modules pass a live context and `len` bytes.
    unsafe {
        let digits = c_slice(data, len);
        write(ctx, |reply| reply.big_number(digits))
    }
}

pub(super) unsafe extern "C" fn call_reply(
    ctx: *mut abi::Ctx,
    reply: *mut abi::CallReply,
) -> c_int {
    // SAFETY: modules pass a live reply.
    let Some(call) = (unsafe { reply.cast::<CallReply>().as_ref() }) else { return abi::ERR };
    // SAFETY: modules pass a live context.
    let Some(ctx) = (unsafe { ModuleCtx::borrow(ctx) }) else { return abi::OK };
    if call.is_resp3 && ctx.protocol == Protocol::Resp2 {
        return abi::ERR;
    }
    if let Some(out) = ctx.out() {
        out.extend_from_slice(call.raw());
    }
    abi::OK
}
