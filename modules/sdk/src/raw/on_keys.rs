//! How does a client wait for keys?
//!
//! The server ends the wait, by the key or by the time, both under its lock, so nothing races here as it would with
//! threads. What was given for the two cases lies in a box that the server frees at the end of the wait.

use std::ffi::{c_int, c_void};
use std::ptr;
use std::time::Duration;

use mortise_module_abi as abi;

use super::blocked::Answer;
use super::context::Ctx;
use super::strings::{Arg, Text};
use super::{bound, boundary, need};
use crate::context::Context;
use crate::dispatch;
use crate::error::Error;
use crate::reply::CommandResult;

/// Answers when a key may be ready; None waits on.
pub(crate) type Ready = Box<dyn FnMut(&mut Context<'_>, &Arg<'_>) -> Option<CommandResult> + Send>;

struct OnKeys {
    ready: Ready,
    on_timeout: Option<Answer>,
}

impl Ctx<'_> {
    pub(crate) fn block_on_keys(
        self,
        keys: &[Text<'_>],
        timeout: Option<Duration>,
        ready: Ready,
        on_timeout: Answer,
    ) -> Result<(), Error> {
        let block = need!(BlockClientOnKeys);
        need!(GetBlockedClientReadyKey);
        bound().threads()?;
        // Zero is for ever.
        let ms =
            timeout.map_or(0, |after| i64::try_from(after.as_millis().max(1)).unwrap_or(i64::MAX));
        let count = c_int::try_from(keys.len()).map_err(Error::new)?;
        let mut keys: Vec<_> = keys.iter().map(Text::ptr).collect();
        let data = Box::into_raw(Box::new(OnKeys { ready, on_timeout: Some(on_timeout) }));
        // SAFETY: the context is live and belongs to a command; there are `count` strings, which the server copies
        // or retains; the callbacks read `data` as what it is, until `free` frees it, once.
        let client = unsafe {
            block(
                self.ptr(),
                Some(key_ready),
                Some(timed_out),
                Some(free),
                ms,
                keys.as_mut_ptr(),
                count,
                data.cast(),
            )
        };
        if client.is_null() {
            // SAFETY: the server did not take the box.
            drop(unsafe { Box::from_raw(data) });
            return Err(Error::Refused("BlockClientOnKeys"));
        }
        Ok(())
    }
}

/// The box of the wait that a callback is about.
///
/// # Safety
/// `ctx` is the context of such a callback, and the reference is gone when it returns.
unsafe fn of<'a>(ctx: Ctx<'a>) -> Option<&'a mut OnKeys> {
    let api = bound().threads().ok()?;
    // SAFETY: the context is live; the data is what `block_on_keys` passed, and callbacks of one wait come one
    // after the other.
    unsafe { (api.GetBlockedClientPrivateData)(ctx.ptr()).cast::<OnKeys>().as_mut() }
}

unsafe extern "C" fn key_ready(
    ctx: *mut abi::Ctx,
    _argv: *mut *mut abi::ModuleString,
    _argc: c_int,
) -> c_int {
    // SAFETY: the server's context is live during this call.
    let Some(ctx) = (unsafe { Ctx::from_ptr(ctx) }) else { return abi::ERR };
    // SAFETY: this is the callback of a wait.
    let Some(waiting) = (unsafe { of(ctx) }) else { return abi::ERR };
    let key = bound().api.GetBlockedClientReadyKey.map_or(ptr::null_mut(), |get| {
        // SAFETY: the context is live, and that of this callback.
        unsafe { get(ctx.ptr()) }
    });
    // SAFETY: the server keeps the key's name during this call.
    let Some(key) = (unsafe { Arg::from_ptr(key) }) else { return abi::ERR };
    if dispatch::run_ready(ctx, &mut waiting.ready, &key) { abi::OK } else { abi::ERR }
}

unsafe extern "C" fn timed_out(
    ctx: *mut abi::Ctx,
    _argv: *mut *mut abi::ModuleString,
    _argc: c_int,
) -> c_int {
    // SAFETY: the server's context is live during this call.
    let Some(ctx) = (unsafe { Ctx::from_ptr(ctx) }) else { return abi::OK };
    // SAFETY: this is the callback of a wait.
    if let Some(answer) = unsafe { of(ctx) }.and_then(|waiting| waiting.on_timeout.take()) {
        dispatch::run_answer(ctx, answer);
    }
    abi::OK
}

unsafe extern "C" fn free(_ctx: *mut abi::Ctx, data: *mut c_void) {
    if data.is_null() {
        return;
    }
    // SAFETY: the box of `block_on_keys`, freed once.
    let waiting = unsafe { Box::from_raw(data.cast::<OnKeys>()) };
    boundary(|| drop(waiting)).ok();
}
