//! Threads of modules: contexts that they own, and the engine's exclusive lock.
//!
//! A thread-safe context may be shared by threads as long as they use it under the lock. Locking
//! therefore takes the engine's lock before it touches the context, and unlocking lets it go last.
#![expect(unsafe_code, reason = "functions of a C interface take raw pointers")]

use std::ffi::c_int;
use std::sync::Arc;

use mortise_module_abi as abi;

use super::super::blocked::{Blocked, BlockedCall, Purpose};
use super::super::handle::{ModuleCtx, set_errno};
use super::super::host::{Foreign, host};
use super::super::tasks::finish_unit;
use crate::engine::client::{Mode, Session};
use crate::engine::ctx::{Env, ExclusiveCtx};
use crate::engine::effects::Unit;
use crate::engine::lock::{Engine, Writing};

/// What a thread's context has while it holds the lock.
pub struct Held {
    guard: Writing<'static>,
    session: Session,
    unit: Unit,
    env: Env<'static>,
}

pub(super) unsafe extern "C" fn create(handle: *mut abi::BlockedClient) -> *mut abi::Ctx {
    let blocked = Blocked::find(handle);
    let module = blocked.as_ref().map(|blocked| Arc::clone(&blocked.module));
    let mut ctx = Box::new(ModuleCtx::detached(module));
    ctx.is_free = true;
    if let Some(blocked) = blocked {
        ctx.reply_through(&blocked);
        let (data, ready_key) = (Foreign(std::ptr::null_mut()), std::ptr::null_mut());
        let purpose = Purpose::Thread;
        ctx.blocked = Some(BlockedCall { blocked, purpose, data, ready_key });
    }
    Box::into_raw(ctx).cast()
}

pub(super) unsafe extern "C" fn create_detached(ctx: *mut abi::Ctx) -> *mut abi::Ctx {
    // SAFETY: modules pass a live context.
    let module = unsafe { ModuleCtx::module_of(ctx) }.map(Arc::clone);
    let mut ctx = Box::new(ModuleCtx::detached(module));
    ctx.is_free = true;
    Box::into_raw(ctx).cast()
}

pub(super) unsafe extern "C" fn free(ctx: *mut abi::Ctx) {
    if ctx.is_null() {
        return;
    }
    // SAFETY: `create` or `create_detached` made it from a box, and modules free it once.
    let mut ctx = unsafe { Box::from_raw(ctx.cast::<ModuleCtx>()) };
    ctx.finish();
}

/// Gives a context what it needs under the lock.
///
/// # Safety
/// `ctx` is a live thread-safe context.
unsafe fn enter(ctx: *mut abi::Ctx, engine: &'static Engine, guard: Writing<'static>) {
    // SAFETY: alive, and not in use elsewhere, since users of it hold the lock that we hold now.
    let Some(ctx) = (unsafe { ModuleCtx::borrow(ctx) }) else { return };
    let shared = &engine.shared;
    let now_us = (shared.clock.unix_us)();
    let env = Env { shared, stats: &shared.workers[0], worker: 0, client: None, now_us };
    let session = Session::internal(Mode::MODULE, ctx.db);
    let held = Box::into_raw(Box::new(Held { guard, session, unit: Unit::default(), env }));
    // SAFETY: just leaked; until `leave` takes it back only the reference made here leads to it.
    let parts: &'static mut Held = unsafe { &mut *held };
    let access = ExclusiveCtx {
        state: &mut parts.guard,
        session: &mut parts.session,
        unit: &mut parts.unit,
        env,
    };
    ctx.hold(held, access);
}

/// Ends what [`enter`] began: the unit ends, and the lock is free.
///
/// # Safety
/// `ctx` is a live thread-safe context.
unsafe fn leave(ctx: *mut abi::Ctx) {
    // SAFETY: alive; this thread holds the lock.
    let Some(ctx) = (unsafe { ModuleCtx::borrow(ctx) }) else { return };
    let Some(held) = ctx.let_go() else {
        tracing::warn!("a module unlocked a context that it had not locked");
        return;
    };
    // SAFETY: `enter` leaked it from a box, and the access that referred to it is gone.
    let mut held = unsafe { Box::from_raw(held) };
    ctx.db = held.session.db;
    let Held { guard, unit, env, .. } = &mut *held;
    finish_unit(guard, unit, *env);
}

fn engine() -> Option<&'static Engine> {
    host().engine.get().map(|engine| &**engine)
}

pub(super) unsafe extern "C" fn lock(ctx: *mut abi::Ctx) {
    let Some(engine) = engine() else { return };
    let guard = engine.write_patiently();
    // SAFETY: modules pass a live thread-safe context.
    unsafe { enter(ctx, engine, guard) }
}

pub(super) unsafe extern "C" fn try_lock(ctx: *mut abi::Ctx) -> c_int {
    let Some((engine, guard)) = engine().and_then(|engine| Some((engine, engine.try_write()?)))
    else {
        set_errno(libc::EBUSY);
        return abi::ERR;
    };
    // SAFETY: modules pass a live thread-safe context.
    unsafe { enter(ctx, engine, guard) };
    abi::OK
}

pub(super) unsafe extern "C" fn unlock(ctx: *mut abi::Ctx) {
    // SAFETY: modules pass a live thread-safe context that they have locked.
    unsafe { leave(ctx) }
}
