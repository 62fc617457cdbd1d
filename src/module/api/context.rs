//! What a context tells and does: db, flags, clocks, log, random bytes, functions that modules share.
#![expect(unsafe_code, reason = "functions of a C interface take raw pointers")]

use std::ffi::{c_char, c_int, c_longlong, c_ulonglong, c_void};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use mortise_module_abi as abi;
use parking_lot::Mutex;

use super::super::handle::{
    ModString, ModuleCtx, Owned, c_bytes, c_slice, c_text, with_current, with_current_reading,
};
use super::super::host::{Foreign, SharedFunction, host};
use crate::config::params::Param;
use crate::engine::client::{Client, Mode};
use crate::engine::ctx::ReadCtx;
use crate::engine::replication::link::LinkState;
use crate::engine::state::Shared;

/// The version of Redis that modules see: 7.4.0 as `0x00MMmmpp`.
const SERVER_VERSION: c_int = 0x0007_0400;

pub(super) unsafe extern "C" fn selected_db(ctx: *mut abi::Ctx) -> c_int {
    // SAFETY: modules pass a live context.
    unsafe { ModuleCtx::borrow(ctx) }.map_or(0, |ctx| ctx.selected_db() as c_int)
}

pub(super) unsafe extern "C" fn select_db(ctx: *mut abi::Ctx, db: c_int) -> c_int {
    // SAFETY: modules pass a live context.
    let Some(ctx) = (unsafe { ModuleCtx::borrow(ctx) }) else { return abi::ERR };
    let dbs = host().engine.get().map_or(0, |engine| engine.shared.databases);
    let Some(db) = u32::try_from(db).ok().filter(|db| *db < dbs) else { return abi::ERR };
    let selected = ctx.reader().map(|reader| reader.session.db = db);
    if selected.is_none() {
        // A thread's context keeps it until it has the lock.
        ctx.db = db;
    }
    abi::OK
}

pub(super) unsafe extern "C" fn flags(ctx: *mut abi::Ctx) -> c_int {
    // SAFETY: modules pass a live context or null.
    let context = unsafe { ModuleCtx::borrow(ctx) };
    let Some(context) = context else {
        return with_current_reading(|reader| server_flags(reader))
            .unwrap_or(abi::CTX_FLAGS_MASTER);
    };
    let mut flags = 0;
    if context.protocol == crate::resp::reply::Protocol::Resp3 {
        flags |= abi::CTX_FLAGS_RESP3;
    }
    if let Some(engine) = context.reader() {
        let mode = engine.session.mode;
        if engine.unit.deny_blocking {
            flags |= abi::CTX_FLAGS_DENY_BLOCKING;
        }
        if mode.contains(Mode::PRIMARY) {
            flags |= abi::CTX_FLAGS_REPLICATED;
        }
        let is_dirty = |client: &Arc<Client>| client.dirty.load(Relaxed);
        if engine.session.multi.aborted || engine.env.client.is_some_and(is_dirty) {
            flags |= abi::CTX_FLAGS_MULTI_DIRTY;
        }
        flags |= server_flags(&engine);
    } else {
        flags |= abi::CTX_FLAGS_MASTER;
    }
    flags
}

/// `MortiseProtocol`, which no other server has: 2 or 3. The flags tell as well, for more work.
pub(super) unsafe extern "C" fn protocol(ctx: *mut abi::Ctx) -> c_int {
    // SAFETY: modules pass a live context or null.
    match unsafe { ModuleCtx::borrow(ctx) }.map(|ctx| ctx.protocol) {
        Some(crate::resp::reply::Protocol::Resp3) => 3,
        _ => 2,
    }
}

/// The flags that tell of the server, whoever asks.
fn server_flags(engine: &ReadCtx<'_>) -> c_int {
    let (state, shared) = (engine.state, engine.env.shared);
    let loading = &shared.loading;
    let follows = state.replication.is_replica();
    let limit = shared.limits.memory_bytes.load(Relaxed);
    let obeys = !follows || !state.config.flag(Param::ReplicaIgnoreMaxmemory);
    let used = |share: u64| (shared.used_memory)() as u64 > limit / 100 * share;
    let link = state.replication.link().map(|link| link.state);
    let is_up = link == Some(LinkState::Connected);
    let connects = matches!(link, Some(LinkState::Connect | LinkState::Connecting));
    let known = [
        (engine.unit.in_exec, abi::CTX_FLAGS_MULTI),
        (engine.unit.in_script, abi::CTX_FLAGS_LUA),
        (loading.is_beside(), abi::CTX_FLAGS_ASYNC_LOADING),
        (loading.is_on() && !loading.is_beside(), abi::CTX_FLAGS_LOADING),
        (limit > 0 && obeys, abi::CTX_FLAGS_MAXMEMORY),
        (limit > 0 && obeys && shared.limits.evicts.load(Relaxed), abi::CTX_FLAGS_EVICT),
        (limit > 0 && used(75), abi::CTX_FLAGS_OOM_WARNING),
        (shared.is_out_of_memory(), abi::CTX_FLAGS_OOM),
        (state.config.flag(Param::Appendonly), abi::CTX_FLAGS_AOF),
        (!state.config.save_points().is_empty(), abi::CTX_FLAGS_RDB),
        (!follows, abi::CTX_FLAGS_MASTER),
        (follows, abi::CTX_FLAGS_SLAVE),
        (follows && state.config.flag(Param::ReplicaReadOnly), abi::CTX_FLAGS_READONLY),
        (follows && is_up, abi::CTX_FLAGS_REPLICA_IS_ONLINE),
        (follows && !is_up, abi::CTX_FLAGS_REPLICA_IS_STALE),
        (connects, abi::CTX_FLAGS_REPLICA_IS_CONNECTING),
        (link == Some(LinkState::Sync), abi::CTX_FLAGS_REPLICA_IS_TRANSFERRING),
        (
            state.persistence.is_busy() || state.persistence.module_child.runs,
            abi::CTX_FLAGS_ACTIVE_CHILD,
        ),
        (host().children.is_child(), abi::CTX_FLAGS_IS_CHILD),
    ];
    known.iter().filter(|(holds, _)| *holds).fold(0, |flags, (_, flag)| flags | flag)
}

pub(super) unsafe extern "C" fn flags_all() -> c_int {
    abi::CTX_FLAGS_ALL
}

pub(super) unsafe extern "C" fn avoid_replica_traffic() -> c_int {
    // A pause is for those who hand over to a replica: it shall catch up.
    let paused = |shared: &Shared| shared.pause.is_active(shared.now_ms());
    c_int::from(host().engine.get().is_some_and(|engine| paused(&engine.shared)))
}

pub(super) unsafe extern "C" fn auto_memory(ctx: *mut abi::Ctx) {
    // SAFETY: modules pass a live context.
    if let Some(ctx) = unsafe { ModuleCtx::borrow(ctx) } {
        ctx.auto_memory = true;
    }
}

pub(super) unsafe extern "C" fn pool_alloc(ctx: *mut abi::Ctx, bytes: usize) -> *mut c_void {
    // SAFETY: modules pass a live context.
    let Some(ctx) = (unsafe { ModuleCtx::borrow(ctx) }) else { return std::ptr::null_mut() };
    // A string of that many bytes, which the context frees at its end.
    let string = ModString::create(&vec![0; bytes]);
    let handle = ModString::handle(string);
    ctx.owned.push(Owned::String(handle));
    // SAFETY: the string was just made; strings do not move their bytes unless appended to.
    unsafe { string.as_ref() }.as_bytes().as_ptr().cast_mut().cast()
}

pub(super) unsafe extern "C" fn client_id(ctx: *mut abi::Ctx) -> c_ulonglong {
    // SAFETY: modules pass a live context.
    let Some(ctx) = (unsafe { ModuleCtx::borrow(ctx) }) else { return 0 };
    let waiting = ctx.blocked.as_ref().and_then(|call| call.blocked.client.as_ref());
    match waiting {
        Some(client) => client.id,
        None => ctx.reader().and_then(|reader| reader.env.client).map_or(0, |client| client.id),
    }
}

pub(super) unsafe extern "C" fn server_version() -> c_int {
    SERVER_VERSION
}

fn since_epoch() -> std::time::Duration {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default()
}

pub(super) unsafe extern "C" fn milliseconds() -> c_longlong {
    since_epoch().as_millis() as c_longlong
}

pub(super) unsafe extern "C" fn microseconds() -> c_longlong {
    since_epoch().as_micros() as c_longlong
}

/// The time that stands still while the unit runs.
pub(super) unsafe extern "C" fn cached_microseconds() -> c_longlong {
    with_current(|engine| engine.env.now_us).unwrap_or_else(|| since_epoch().as_micros() as i64)
}

pub(super) unsafe extern "C" fn monotonic_microseconds() -> u64 {
    use std::sync::OnceLock;
    use std::time::Instant;
    static ORIGIN: OnceLock<Instant> = OnceLock::new();
    ORIGIN.get_or_init(Instant::now).elapsed().as_micros() as u64 + 1
}

pub(super) unsafe extern "C" fn random_bytes(data: *mut u8, len: usize) {
    if data.is_null() {
        return;
    }
    // SAFETY: modules pass a buffer of `len` bytes; any bytes are a valid content.
    let buffer = unsafe { std::slice::from_raw_parts_mut(data, len) };
    if getrandom::fill(buffer).is_err() {
        tracing::warn!("no random bytes to be had for a module");
    }
}

pub(super) unsafe extern "C" fn random_hex(data: *mut c_char, len: usize) {
    // SAFETY: passed on.
    unsafe { random_bytes(data.cast(), len) };
    if data.is_null() {
        return;
    }
    // SAFETY: as above.
    for byte in unsafe { std::slice::from_raw_parts_mut(data.cast::<u8>(), len) } {
        *byte = b"0123456789abcdef"[usize::from(*byte & 15)];
    }
}

/// What the C shim of Log calls with the formatted text.
#[unsafe(no_mangle)]
unsafe extern "C" fn mortise_log_text(
    ctx: *mut abi::Ctx,
    level: *const c_char,
    data: *const c_char,
    len: usize,
) {
    // SAFETY: the shim passes a live context or null, a C string and `len` bytes.
    let (module, level, text) =
        unsafe { (ModuleCtx::module_of(ctx), c_text(level), c_slice(data, len)) };
    let name = module.map_or("module", |module| &module.name);
    log_line(name, &level, text);
}

/// The last line that a module has logged.
static LAST_LINE: Mutex<String> = Mutex::new(String::new());

/// Takes the last line that a module has logged, which may say why it does not load.
pub fn last_line() -> String {
    std::mem::take(&mut *LAST_LINE.lock())
}

/// Writes a module's line into the log.
pub(super) fn log_line(name: &str, level: &str, text: &[u8]) {
    let text = String::from_utf8_lossy(text);
    LAST_LINE.lock().replace_range(.., &text);
    match level.to_ascii_lowercase().as_str() {
        "debug" => tracing::trace!("<{name}> {text}"),
        "verbose" => tracing::debug!("<{name}> {text}"),
        "warning" => tracing::warn!("<{name}> {text}"),
        _ => tracing::info!("<{name}> {text}"),
    }
}

pub(super) unsafe extern "C" fn assert(text: *const c_char, file: *const c_char, line: c_int) {
    // SAFETY: modules pass C strings.
    let (text, file) = unsafe { (c_text(text), c_text(file)) };
    tracing::warn!("=== ASSERTION FAILED === ==> {file}:{line} '{text}' is not true");
    std::process::abort();
}

pub(super) unsafe extern "C" fn latency_sample(_: *const c_char, _: c_longlong) {}

pub(super) unsafe extern "C" fn export_shared(
    ctx: *mut abi::Ctx,
    name: *const c_char,
    function: *mut c_void,
) -> c_int {
    // SAFETY: modules pass a live context and a C string.
    let (ctx, name) = unsafe { (ModuleCtx::borrow(ctx), c_bytes(name)) };
    let (Some(module), Some(name)) = (ctx.and_then(|ctx| ctx.module.as_deref().cloned()), name)
    else {
        return abi::ERR;
    };
    let mut records = host().records.lock();
    if records.shared.contains_key(name) {
        return abi::ERR;
    }
    let shared = SharedFunction { module, function: Foreign(function), users: Vec::new() };
    records.shared.insert(name.to_vec(), shared);
    abi::OK
}

pub(super) unsafe extern "C" fn get_shared(ctx: *mut abi::Ctx, name: *const c_char) -> *mut c_void {
    // SAFETY: modules pass a live context and a C string.
    let (module, name) = unsafe { (ModuleCtx::module_of(ctx), c_bytes(name)) };
    let Some(name) = name else { return std::ptr::null_mut() };
    let mut records = host().records.lock();
    let Some(shared) = records.shared.get_mut(name) else { return std::ptr::null_mut() };
    if let Some(module) = module
        && !Arc::ptr_eq(module, &shared.module)
        && !shared.users.iter().any(|user| Arc::ptr_eq(user, module))
    {
        shared.users.push(Arc::clone(module));
    }
    shared.function.0
}
