//! Yield: a long call into a module lets others have a say.
#![expect(unsafe_code, reason = "functions of a C interface take raw pointers")]

use std::ffi::{c_char, c_int};
use std::sync::atomic::{AtomicBool, Ordering};

use mortise_module_abi as abi;

use super::super::handle::{ModuleCtx, c_bytes, with_current};
use super::super::host::host;
use crate::config::params::Param;
use crate::engine::call::{BatchEnd, Caller, Request};
use crate::engine::ctx::ExclusiveCtx;
use crate::engine::lock::Engine;
use crate::engine::visits;

/// A module yields: what is let in meanwhile does not. One thread has the lock, so one flag is enough.
static YIELDING: AtomicBool = AtomicBool::new(false);

/// How long a module may load until who waits is refused, and how long until its thread's own connections are looked at again,
/// in microseconds.
const LOADING_MICROS: i64 = 1000;

/// How a context yields.
#[derive(Clone, Copy, Debug, Default)]
pub struct Yielding {
    /// Others are refused or let in.
    pub lends: bool,
    /// When its own connections are looked at the next time, in unix microseconds.
    next_us: i64,
}

pub(super) unsafe extern "C" fn yield_now(ctx: *mut abi::Ctx, flags: c_int, text: *const c_char) {
    // SAFETY: modules pass a live context, and null or a C string.
    let (ctx, text) = unsafe { (ModuleCtx::borrow(ctx), c_bytes(text)) };
    let (Some(ctx), Some(engine)) = (ctx, host().engine.get()) else { return };
    if YIELDING.swap(true, Ordering::Acquire) {
        return;
    }
    let mut yielding = ctx.yielding;
    let lends = flags & abi::YIELD_FLAG_CLIENTS != 0;
    match ctx.engine() {
        Some(inner) => yielding.pause(engine, inner, lends, text),
        // A callback that makes a value has a context without the engine.
        None => _ = with_current(|inner| yielding.pause(engine, inner, lends, text)),
    }
    ctx.yielding = yielding;
    YIELDING.store(false, Ordering::Release);
}

impl Yielding {
    /// Has others refused or let in, if the call takes long, and its own connections served now and then.
    fn pause(
        &mut self,
        engine: &Engine,
        inner: &mut ExclusiveCtx<'_>,
        lends: bool,
        text: Option<&[u8]>,
    ) {
        let shared = inner.env.shared;
        let now_us = (shared.clock.unix_us)();
        let lived_us = now_us - inner.env.now_us;
        let hz = inner.state.config.int(Param::Hz).max(1);
        // Who waits for a data set to be loaded is refused for that, and soon.
        let (patience_us, look_us) = match shared.loading.is_on() {
            true => (LOADING_MICROS, LOADING_MICROS),
            false => {
                let busy_ms = shared.limits.busy_ms.load(Ordering::Relaxed);
                (i64::try_from(busy_ms).unwrap_or(i64::MAX).saturating_mul(1000), 1_000_000 / hz)
            }
        };
        if lived_us < patience_us {
            return;
        }
        if lends {
            self.lends |= shared.busy.begin_lending(text);
            shared.visits.receive(engine, inner);
            if now_us >= self.next_us {
                self.next_us = now_us + look_us;
                let mut run = |caller: Caller<'_>,
                               request: Request<'_>,
                               out: &mut Vec<u8>,
                               end: &mut BatchEnd| {
                    visits::run(caller, inner, request, out, end);
                };
                shared.host.serve_while_busy(Some(&mut run));
            }
        } else if std::mem::take(&mut self.lends) {
            // The others wait, from now on.
            shared.busy.end_lending();
        }
    }
}

/// The call is over: who was refused is served again.
pub fn end(yielding: &mut Yielding) {
    if std::mem::take(&mut yielding.lends)
        && let Some(engine) = host().engine.get()
    {
        engine.shared.busy.end_lending();
    }
}
