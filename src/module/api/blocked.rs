//! Blocked clients: commands that answer later.
#![expect(unsafe_code, reason = "functions of a C interface take raw pointers")]

use std::ffi::{c_int, c_longlong, c_void};
use std::sync::Arc;
use std::time::Duration;

use mortise_module_abi as abi;

use super::super::blocked::{Blocked, Callbacks, Purpose};
use super::super::handle::{ModString, ModuleCtx};
use super::super::host::Foreign as HandedOver;
use super::super::logins;
use crate::engine::block::{Foreign, Wanted, signal};
use crate::engine::client::Mode;
use crate::engine::effects::Block;

/// Why a command must not block here; the text of the error.
fn refusal(ctx: &mut ModuleCtx, on_log_in: bool) -> Option<&'static str> {
    if ctx.blocked.is_some() {
        return Some("ERR Blocking module command called from a Reply callback context");
    }
    let Some(engine) = ctx.engine() else {
        return Some("ERR Blocking module command called from a context without a client");
    };
    if engine.session.mode.contains(Mode::SCRIPT) {
        return Some("ERR Blocking module command called from Lua script");
    }
    if engine.unit.in_exec {
        return Some("ERR Blocking module command called from transaction");
    }
    let denied =
        engine.unit.deny_blocking || engine.env.client.is_none() || engine.unit.block.is_some();
    if ctx.asking.is_some() && !on_log_in {
        return Some(
            "ERR Clients undergoing module based authentication can only be blocked on auth",
        );
    }
    denied.then_some("ERR Blocking module command called from a context that cannot block")
}

/// Blocks the client of a context, or says why not and makes a handle without a client.
fn begin(
    ctx: &mut ModuleCtx,
    callbacks: Callbacks,
    timeout_ms: c_longlong,
    wanted: Option<Wanted>,
) -> *mut abi::BlockedClient {
    let Some(module) = ctx.module.as_deref().cloned() else { return std::ptr::null_mut() };
    let is_out_of_range =
        ctx.engine().is_some_and(|engine| engine.now_ms().checked_add(timeout_ms.max(0)).is_none());
    let refused = match refusal(ctx, callbacks.on_log_in.is_some()) {
        None if is_out_of_range => Some("ERR timeout is out of range"),
        refused => refused,
    };
    let (db, client) = match ctx.engine() {
        Some(engine) => (engine.session.db, engine.env.client.map(Arc::clone)),
        None => (ctx.db, None),
    };
    if let Some(text) = refused {
        if let Some(mut reply) = ctx.reply() {
            reply.error(text.as_bytes());
        }
        // A handle all the same, which the module unblocks without effect.
        return Blocked::create(module, ctx, None, db, callbacks).handle();
    }
    let blocked = Blocked::create(module, ctx, client, db, callbacks);
    if let Some(engine) = ctx.engine() {
        let wait = Foreign(Arc::<Blocked>::clone(&blocked));
        engine.unit.block = Some(Block::Foreign { wait, wanted });
    }
    if let Ok(after) = u64::try_from(timeout_ms)
        && after > 0
    {
        blocked.time_out_after(Duration::from_millis(after));
    }
    blocked.handle()
}

pub(super) unsafe extern "C" fn block(
    ctx: *mut abi::Ctx,
    reply: abi::CmdFunc,
    timeout: abi::CmdFunc,
    free: abi::FreePrivdataFunc,
    timeout_ms: c_longlong,
) -> *mut abi::BlockedClient {
    // SAFETY: modules pass a live context.
    let Some(ctx) = (unsafe { ModuleCtx::borrow(ctx) }) else { return std::ptr::null_mut() };
    begin(ctx, Callbacks { reply, timeout, free, on_keys: None, on_log_in: None }, timeout_ms, None)
}

pub(super) unsafe extern "C" fn block_on_keys(
    ctx: *mut abi::Ctx,
    reply: abi::CmdFunc,
    timeout: abi::CmdFunc,
    free: abi::FreePrivdataFunc,
    timeout_ms: c_longlong,
    keys: *mut *mut abi::ModuleString,
    count: c_int,
    data: *mut c_void,
) -> *mut abi::BlockedClient {
    let flags = abi::BLOCK_UNBLOCK_DEFAULT;
    // SAFETY: passed on.
    unsafe { block_on_keys_with(ctx, reply, timeout, free, timeout_ms, keys, count, data, flags) }
}

pub(super) unsafe extern "C" fn block_on_keys_with(
    ctx: *mut abi::Ctx,
    reply: abi::CmdFunc,
    timeout: abi::CmdFunc,
    free: abi::FreePrivdataFunc,
    timeout_ms: c_longlong,
    keys: *mut *mut abi::ModuleString,
    count: c_int,
    data: *mut c_void,
    flags: c_int,
) -> *mut abi::BlockedClient {
    // SAFETY: modules pass a live context.
    let Some(ctx) = (unsafe { ModuleCtx::borrow(ctx) }) else { return std::ptr::null_mut() };
    let mut wanted = Wanted {
        keys: Vec::new(),
        kind: None,
        on_deletion: flags & abi::BLOCK_UNBLOCK_DELETED != 0,
    };
    for at in 0..usize::try_from(count).unwrap_or(0) {
        // SAFETY: modules pass so many live strings.
        let key = unsafe { ModString::borrow(*keys.add(at)) };
        wanted.keys.extend(key.map(|key| Box::from(key.as_bytes())));
    }
    let callbacks =
        Callbacks { reply, timeout, free, on_keys: Some(HandedOver(data)), on_log_in: None };
    begin(ctx, callbacks, timeout_ms, Some(wanted))
}

pub(super) unsafe extern "C" fn block_on_log_in(
    ctx: *mut abi::Ctx,
    reply: abi::AuthFunc,
    free: abi::FreePrivdataFunc,
) -> *mut abi::BlockedClient {
    // SAFETY: modules pass a live context.
    let Some(ctx) = (unsafe { ModuleCtx::borrow(ctx) }) else { return std::ptr::null_mut() };
    if ctx.asking.is_none() {
        if let Some(mut reply) = ctx.reply() {
            reply.error(
                b"ERR Module blocking client on auth when not currently undergoing module \
                  authentication",
            );
        }
        return std::ptr::null_mut();
    }
    let (timeout, on_keys) = (None, None);
    let callbacks = Callbacks { reply: None, timeout, free, on_keys, on_log_in: Some(reply) };
    begin(ctx, callbacks, 0, None)
}

pub(super) unsafe extern "C" fn register_log_in(ctx: *mut abi::Ctx, callback: abi::AuthFunc) {
    // SAFETY: modules pass a live context.
    if let Some(module) = unsafe { ModuleCtx::module_of(ctx) } {
        logins::register(Arc::clone(module), callback);
    }
}

pub(super) unsafe extern "C" fn signal_ready(ctx: *mut abi::Ctx, key: *mut abi::ModuleString) {
    // SAFETY: modules pass a live context and a live string.
    let (ctx, key) = unsafe { (ModuleCtx::borrow(ctx), ModString::borrow(key)) };
    if let (Some(engine), Some(key)) = (ctx.and_then(ModuleCtx::engine), key) {
        signal(engine.env.shared, engine.unit, engine.session.db, key.as_bytes());
    }
}

pub(super) unsafe extern "C" fn unblock(
    handle: *mut abi::BlockedClient,
    data: *mut c_void,
) -> c_int {
    let done = Blocked::find(handle).is_some_and(|blocked| blocked.unblock(data));
    if done { abi::OK } else { abi::ERR }
}

pub(super) unsafe extern "C" fn abort(handle: *mut abi::BlockedClient) -> c_int {
    let done = Blocked::find(handle).is_some_and(|blocked| blocked.abort());
    if done { abi::OK } else { abi::ERR }
}

pub(super) unsafe extern "C" fn data(handle: *mut abi::BlockedClient) -> *mut c_void {
    Blocked::find(handle).map_or(std::ptr::null_mut(), |blocked| blocked.data().0)
}

pub(super) unsafe extern "C" fn set_data(handle: *mut abi::BlockedClient, data: *mut c_void) {
    if let Some(blocked) = Blocked::find(handle) {
        blocked.set_data(data);
    }
}

pub(super) unsafe extern "C" fn set_disconnect(
    handle: *mut abi::BlockedClient,
    callback: abi::DisconnectFunc,
) {
    if let Some(blocked) = Blocked::find(handle) {
        blocked.set_disconnect(callback);
    }
}

pub(super) unsafe extern "C" fn measure_start(handle: *mut abi::BlockedClient) -> c_int {
    match Blocked::find(handle) {
        Some(blocked) => {
            blocked.start_measuring();
            abi::OK
        }
        None => abi::ERR,
    }
}

pub(super) unsafe extern "C" fn measure_end(handle: *mut abi::BlockedClient) -> c_int {
    let measured = Blocked::find(handle).is_some_and(|blocked| blocked.stop_measuring());
    if measured { abi::OK } else { abi::ERR }
}

/// Whether the context is for this callback of a blocked client.
///
/// # Safety
/// `ctx` is null or a live context.
unsafe fn is_for(ctx: *mut abi::Ctx, purpose: Purpose) -> c_int {
    // SAFETY: the caller promises it.
    let call = unsafe { ModuleCtx::borrow(ctx) }.and_then(|ctx| ctx.blocked.as_ref());
    c_int::from(call.is_some_and(|call| call.purpose == purpose))
}

pub(super) unsafe extern "C" fn is_reply(ctx: *mut abi::Ctx) -> c_int {
    // SAFETY: modules pass a live context.
    unsafe { is_for(ctx, Purpose::Reply) }
}

pub(super) unsafe extern "C" fn is_timeout(ctx: *mut abi::Ctx) -> c_int {
    // SAFETY: modules pass a live context.
    unsafe { is_for(ctx, Purpose::Timeout) }
}

pub(super) unsafe extern "C" fn is_disconnected(ctx: *mut abi::Ctx) -> c_int {
    // SAFETY: modules pass a live context.
    unsafe { is_for(ctx, Purpose::Disconnect) }
}

pub(super) unsafe extern "C" fn context_data(ctx: *mut abi::Ctx) -> *mut c_void {
    // SAFETY: modules pass a live context.
    let call = unsafe { ModuleCtx::borrow(ctx) }.and_then(|ctx| ctx.blocked.as_ref());
    call.map_or(std::ptr::null_mut(), |call| call.data.0)
}

pub(super) unsafe extern "C" fn context_handle(ctx: *mut abi::Ctx) -> *mut abi::BlockedClient {
    // SAFETY: modules pass a live context.
    let call = unsafe { ModuleCtx::borrow(ctx) }.and_then(|ctx| ctx.blocked.as_ref());
    call.map_or(std::ptr::null_mut(), |call| call.blocked.handle())
}

pub(super) unsafe extern "C" fn ready_key(ctx: *mut abi::Ctx) -> *mut abi::ModuleString {
    // SAFETY: modules pass a live context.
    let call = unsafe { ModuleCtx::borrow(ctx) }.and_then(|ctx| ctx.blocked.as_ref());
    call.map_or(std::ptr::null_mut(), |call| call.ready_key)
}
