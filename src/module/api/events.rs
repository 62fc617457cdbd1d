//! Events: what modules hear of keys and of the server, and what they announce themselves.
#![expect(unsafe_code, reason = "functions of a C interface take raw pointers")]

use std::ffi::{c_char, c_int};
use std::sync::Arc;

use mortise_module_abi as abi;

use super::super::handle::{ModString, ModuleCtx, c_text_lossy};
use super::super::host::{ServerSubscription, Subscription, host};
use super::server_events;
use crate::engine::effects::EventClass;

pub(super) unsafe extern "C" fn flags_all() -> c_int {
    EventClass::all().bits() as c_int
}

pub(super) unsafe extern "C" fn configured() -> c_int {
    // No module can hear the server's own subscribers; there are none of this kind yet.
    0
}

pub(super) unsafe extern "C" fn subscribe(
    ctx: *mut abi::Ctx,
    classes: c_int,
    callback: abi::NotificationFunc,
) -> c_int {
    // SAFETY: modules pass a live context.
    let module = unsafe { ModuleCtx::borrow(ctx) }.and_then(|ctx| ctx.module.as_deref().cloned());
    let Some(module) = module else { return abi::ERR };
    host().subscribe(Subscription { module, classes, callback, active: Arc::default() });
    abi::OK
}

pub(super) unsafe extern "C" fn unsubscribe(
    ctx: *mut abi::Ctx,
    classes: c_int,
    callback: abi::NotificationFunc,
) -> c_int {
    // SAFETY: modules pass a live context.
    let module = unsafe { ModuleCtx::module_of(ctx) };
    match module.is_some_and(|module| host().unsubscribe(module, classes, callback)) {
        true => abi::OK,
        false => abi::ERR,
    }
}

pub(super) unsafe extern "C" fn notify(
    ctx: *mut abi::Ctx,
    class: c_int,
    event: *const c_char,
    key: *mut abi::ModuleString,
) -> c_int {
    // SAFETY: modules pass a live context and a live string.
    let (ctx, key) = unsafe { (ModuleCtx::borrow(ctx), ModString::borrow(key)) };
    let (Some(engine), Some(key)) = (ctx.and_then(ModuleCtx::engine), key) else {
        return abi::ERR;
    };
    let class = EventClass::from_bits_truncate(class as u32);
    // Nothing is made of a name that nobody hears.
    if engine.env.shared.is_heard(class) {
        // SAFETY: modules pass a C string.
        let event = unsafe { c_text_lossy(event) };
        engine.write().notify(class, &event, key.as_bytes());
    }
    abi::OK
}

/// The highest event of the ABI that the host knows.
const EVENT_MAX: u64 = abi::EVENT_KEY;

pub(super) unsafe extern "C" fn subscribe_server(
    ctx: *mut abi::Ctx,
    event: abi::Event,
    callback: abi::EventFunc,
) -> c_int {
    // SAFETY: modules pass a live context.
    let module = unsafe { ModuleCtx::borrow(ctx) }.and_then(|ctx| ctx.module.as_deref().cloned());
    let Some(module) = module else { return abi::ERR };
    if event.id > EVENT_MAX || event.dataver > 1 {
        return abi::ERR;
    }
    let mut records = host().records.lock();
    // Subscribing again replaces, and without a callback unsubscribes.
    records
        .server_subscriptions
        .retain(|one| one.event != event.id || !Arc::ptr_eq(&one.module, &module));
    if callback.is_some() {
        let subscription = ServerSubscription { module, event: event.id, callback };
        records.server_subscriptions.push(subscription);
    }
    records.mirror_turns();
    drop(records);
    if let Some(engine) = host().engine.get() {
        engine.shared.heard.set_topics(host().topics());
    }
    abi::OK
}

pub(super) unsafe extern "C" fn is_sub_event_supported(event: abi::Event, sub: u64) -> c_int {
    c_int::from(sub < server_events::kinds(event.id))
}
