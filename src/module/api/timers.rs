//! Timers, and jobs for the end of the execution unit.
#![expect(unsafe_code, reason = "functions of a C interface take raw pointers")]

use std::ffi::{c_int, c_longlong, c_void};
use std::sync::Arc;
use std::time::Duration;

use mortise_module_abi as abi;

use super::super::handle::ModuleCtx;
use super::super::host::{Foreign, Job, host};
use super::super::tasks::Timer;
use crate::config::params::Param;

pub(super) unsafe extern "C" fn create(
    ctx: *mut abi::Ctx,
    after_ms: c_longlong,
    callback: abi::TimerFunc,
    data: *mut c_void,
) -> abi::TimerId {
    // SAFETY: modules pass a live context.
    let Some(ctx) = (unsafe { ModuleCtx::borrow(ctx) }) else { return 0 };
    let Some(module) = ctx.module.as_deref().cloned() else { return 0 };
    let db = ctx.selected_db();
    let after = Duration::from_millis(u64::try_from(after_ms).unwrap_or(0));
    host().tasks.start_timer(after, Timer { module, callback, data: Foreign(data), db })
}

pub(super) unsafe extern "C" fn stop(
    ctx: *mut abi::Ctx,
    id: abi::TimerId,
    data: *mut *mut c_void,
) -> c_int {
    // SAFETY: modules pass a live context.
    let module = unsafe { ModuleCtx::module_of(ctx) };
    let Some(found) = module.and_then(|module| host().tasks.stop_timer(id, module)) else {
        return abi::ERR;
    };
    // SAFETY: null, or the module's variable.
    if let Some(data) = unsafe { data.as_mut() } {
        *data = found.0;
    }
    abi::OK
}

pub(super) unsafe extern "C" fn info(
    ctx: *mut abi::Ctx,
    id: abi::TimerId,
    remaining_ms: *mut u64,
    data: *mut *mut c_void,
) -> c_int {
    // SAFETY: modules pass a live context.
    let module = unsafe { ModuleCtx::module_of(ctx) };
    let Some((left, found)) = module.and_then(|module| host().tasks.timer(id, module)) else {
        return abi::ERR;
    };
    // SAFETY: null, or the module's variables.
    unsafe {
        if let Some(remaining) = remaining_ms.as_mut() {
            *remaining = left.as_millis() as u64;
        }
        if let Some(data) = data.as_mut() {
            *data = found.0;
        }
    }
    abi::OK
}

pub(super) unsafe extern "C" fn add_job(
    ctx: *mut abi::Ctx,
    callback: abi::PostNotificationJobFunc,
    data: *mut c_void,
    free: abi::FreeFunc,
) -> c_int {
    // SAFETY: modules pass a live context.
    let Some(ctx) = (unsafe { ModuleCtx::borrow(ctx) }) else { return abi::ERR };
    let Some(module) = ctx.module.as_deref().cloned() else { return abi::ERR };
    let Some(engine) = ctx.engine() else { return abi::ERR };
    let (state, shared) = (&*engine.state, engine.env.shared);
    let reads_only = state.replication.is_replica() && state.config.flag(Param::ReplicaReadOnly);
    if shared.loading.is_on() || reads_only {
        return abi::ERR;
    }
    let db = engine.session.db;
    engine.unit.has_jobs = true;
    let job = Job { module: Arc::clone(&module), callback, data: Foreign(data), free, db };
    host().jobs.lock().push_back(job);
    abi::OK
}
