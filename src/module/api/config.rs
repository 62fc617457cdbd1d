//! Parameters: what a module registers while it loads.
#![expect(unsafe_code, reason = "functions of a C interface take raw pointers")]

use std::ffi::{CString, c_char, c_int, c_longlong, c_uint, c_void};
use std::sync::Arc;

use mortise_module_abi as abi;

use super::super::handle::{ModuleCtx, c_bytes, c_text, set_errno};
use super::super::host::{Foreign, host};
use super::super::settings::{self, Kind, Setting};

/// The flags that any parameter may have.
const FLAGS: c_uint = abi::CONFIG_IMMUTABLE
    | abi::CONFIG_SENSITIVE
    | abi::CONFIG_HIDDEN
    | abi::CONFIG_PROTECTED
    | abi::CONFIG_DENY_LOADING
    | abi::CONFIG_UNPREFIXED;

fn refuse(code: c_int) -> c_int {
    set_errno(code);
    abi::ERR
}

/// What all parameters have in common.
struct Common {
    ctx: *mut abi::Ctx,
    name: *const c_char,
    flags: c_uint,
    apply: abi::ConfigApplyFunc,
    data: *mut c_void,
}

/// Registers a parameter.
///
/// # Safety
/// The context is null or live, the name null or a C string.
unsafe fn register(common: Common, kind: Kind) -> c_int {
    // SAFETY: the caller promises it.
    let (ctx, name) = unsafe { (ModuleCtx::borrow(common.ctx), c_text(common.name)) };
    let Some(module) = ctx.filter(|ctx| ctx.loading).and_then(|ctx| ctx.module.as_deref().cloned())
    else {
        return refuse(libc::EBUSY);
    };
    let own = match &kind {
        Kind::Number { .. } => abi::CONFIG_MEMORY,
        Kind::Choice { .. } => abi::CONFIG_BITFLAGS,
        Kind::Bool { .. } | Kind::Text { .. } => 0,
    };
    let is_word = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
    if common.flags & !(FLAGS | own) != 0 || name.is_empty() || !name.bytes().all(is_word) {
        return refuse(libc::EINVAL);
    }
    let full = match common.flags & abi::CONFIG_UNPREFIXED {
        0 => format!("{}.{name}", module.name),
        _ => name.clone(),
    };
    let Ok(own_name) = CString::new(name) else { return refuse(libc::EINVAL) };
    let is_built_in = crate::config::params::find(full.as_bytes()).is_some();
    let mut records = host().records.lock();
    let is_taken = records.settings.iter().any(|one| one.name.eq_ignore_ascii_case(&full));
    if is_taken || is_built_in {
        tracing::warn!("Configuration by the name: {full} already registered");
        return refuse(libc::EALREADY);
    }
    records.settings.push(Arc::new(Setting {
        module,
        name: full,
        own_name,
        flags: common.flags,
        kind,
        apply: common.apply,
        data: Foreign(common.data),
    }));
    abi::OK
}

pub(super) unsafe extern "C" fn register_bool(
    ctx: *mut abi::Ctx,
    name: *const c_char,
    default: c_int,
    flags: c_uint,
    get: abi::ConfigGetBoolFunc,
    set: abi::ConfigSetBoolFunc,
    apply: abi::ConfigApplyFunc,
    data: *mut c_void,
) -> c_int {
    let common = Common { ctx, name, flags, apply, data };
    // SAFETY: modules pass a live context and a C string.
    unsafe { register(common, Kind::Bool { default: default != 0, get, set }) }
}

pub(super) unsafe extern "C" fn register_numeric(
    ctx: *mut abi::Ctx,
    name: *const c_char,
    default: c_longlong,
    flags: c_uint,
    min: c_longlong,
    max: c_longlong,
    get: abi::ConfigGetNumericFunc,
    set: abi::ConfigSetNumericFunc,
    apply: abi::ConfigApplyFunc,
    data: *mut c_void,
) -> c_int {
    let common = Common { ctx, name, flags, apply, data };
    // SAFETY: modules pass a live context and a C string.
    unsafe { register(common, Kind::Number { default, min, max, get, set }) }
}

pub(super) unsafe extern "C" fn register_string(
    ctx: *mut abi::Ctx,
    name: *const c_char,
    default: *const c_char,
    flags: c_uint,
    get: abi::ConfigGetStringFunc,
    set: abi::ConfigSetStringFunc,
    apply: abi::ConfigApplyFunc,
    data: *mut c_void,
) -> c_int {
    let common = Common { ctx, name, flags, apply, data };
    // SAFETY: modules pass a live context and C strings, the default perhaps null.
    unsafe {
        let default = c_bytes(default).map(<[u8]>::to_vec);
        register(common, Kind::Text { default, get, set })
    }
}

pub(super) unsafe extern "C" fn register_enum(
    ctx: *mut abi::Ctx,
    name: *const c_char,
    default: c_int,
    flags: c_uint,
    words: *mut *const c_char,
    numbers: *const c_int,
    count: c_int,
    get: abi::ConfigGetEnumFunc,
    set: abi::ConfigSetEnumFunc,
    apply: abi::ConfigApplyFunc,
    data: *mut c_void,
) -> c_int {
    let count = usize::try_from(count).unwrap_or(0);
    let mut known = Vec::with_capacity(count);
    if !words.is_null() && !numbers.is_null() {
        for at in 0..count {
            // SAFETY: modules pass arrays of so many C strings and numbers.
            known.push(unsafe { (c_text(*words.add(at)), *numbers.add(at)) });
        }
    }
    let common = Common { ctx, name, flags, apply, data };
    // SAFETY: modules pass a live context and a C string.
    unsafe { register(common, Kind::Choice { default, words: known, get, set }) }
}

pub(super) unsafe extern "C" fn load(ctx: *mut abi::Ctx) -> c_int {
    // SAFETY: modules pass a live context.
    let Some(ctx) = (unsafe { ModuleCtx::borrow(ctx) }).filter(|ctx| ctx.loading) else {
        return refuse(libc::EBUSY);
    };
    let Some(module) = ctx.module.as_deref().cloned() else { return abi::ERR };
    let Some(engine) = ctx.engine() else { return abi::ERR };
    match settings::load(engine, &module) {
        Ok(()) => abi::OK,
        Err(error) => {
            tracing::warn!("{error}");
            abi::ERR
        }
    }
}

pub(super) unsafe extern "C" fn load_defaults(ctx: *mut abi::Ctx) -> c_int {
    // SAFETY: modules pass a live context.
    let Some(ctx) = (unsafe { ModuleCtx::borrow(ctx) }).filter(|ctx| ctx.loading) else {
        return refuse(libc::EBUSY);
    };
    let Some(module) = ctx.module.as_deref().cloned() else { return abi::ERR };
    match settings::load_defaults(&module) {
        Ok(()) => abi::OK,
        Err(error) => {
            tracing::warn!("{error}");
            abi::ERR
        }
    }
}
