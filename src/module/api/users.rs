//! Users: those that modules make for themselves, those of the server, and what they may do.
#![expect(unsafe_code, reason = "functions of a C interface take raw pointers")]

use std::ffi::{c_char, c_int, c_uint, c_void};
use std::sync::Arc;

use mortise_module_abi as abi;

use super::super::handle::{
    ModString, ModuleCtx, c_bytes, c_slice, is_beside_readers, set_errno, with_current,
};
use super::super::host::{Foreign, host};
use super::super::logins::Asking;
use super::super::tasks::UserChange;
use crate::base::quoting::split_args;
use crate::engine::acl::SetError;
use crate::engine::acl::check::check;
use crate::engine::acl::closing::{close_clients, close_listeners};
use crate::engine::acl::log::{Context, Entry, Reason};
use crate::engine::acl::selector::{KeyAccess, Selector};
use crate::engine::acl::user::{Rules, User};
use crate::engine::client::{Mode, Session};
use crate::engine::registry::Registry;
use crate::engine::spec::Run;
use crate::engine::state::Shared;

/// The target of `User` handles.
#[derive(Debug)]
struct ModUser {
    user: Arc<User>,
    /// The module made it, so its clients end with it.
    owned: bool,
}

fn handle(user: Arc<User>, owned: bool) -> *mut abi::User {
    Box::into_raw(Box::new(ModUser { user, owned })).cast()
}

/// The user behind a handle; None for null.
///
/// # Safety
/// `user` is null or a live handle of [`handle`].
unsafe fn borrow<'a>(user: *const abi::User) -> Option<&'a ModUser> {
    // SAFETY: the caller promises it.
    unsafe { user.cast::<ModUser>().as_ref() }
}

/// The user that a module has chosen for its calls.
///
/// # Safety
/// `user` is null or a live handle.
pub(super) unsafe fn chosen(user: *const abi::User) -> Option<Arc<User>> {
    // SAFETY: passed on.
    unsafe { borrow(user) }.map(|known| Arc::clone(&known.user))
}

fn shared() -> Option<&'static Shared> {
    host().engine.get().map(|engine| &engine.shared)
}

fn registry(shared: &Shared) -> Arc<Registry> {
    Arc::clone(&shared.registry.read())
}

fn denied() -> c_int {
    set_errno(libc::EACCES);
    abi::ERR
}

pub(super) unsafe extern "C" fn create(name: *const c_char) -> *mut abi::User {
    // SAFETY: modules pass a C string.
    let name = unsafe { c_bytes(name) }.unwrap_or_default();
    let all_channels =
        shared().is_some_and(|shared| shared.users.rule_ctx(&registry(shared)).all_channels);
    handle(User::new(name, Rules::new(all_channels)), true)
}

pub(super) unsafe extern "C" fn free(user: *mut abi::User) {
    if !user.is_null() {
        // SAFETY: `handle` made it from a box; modules free it once.
        let known = unsafe { Box::from_raw(user.cast::<ModUser>()) };
        if known.owned {
            known.user.set_rules(Rules::new(false));
            with_current(|engine| close_clients(engine, &[known.user]));
        }
    }
}

pub(super) unsafe extern "C" fn set_acl(user: *mut abi::User, acl: *const c_char) -> c_int {
    // SAFETY: modules pass a live user and a C string.
    let (known, op) = unsafe { (borrow(user), c_bytes(acl)) };
    let (Some(known), Some(op), Some(shared)) = (known, op, shared()) else { return abi::ERR };
    let mut rules = (*known.user.rules()).clone();
    match rules.apply(op, shared.users.rule_ctx(&registry(shared))) {
        Ok(()) => {
            known.user.set_rules(rules);
            abi::OK
        }
        Err(_) => abi::ERR,
    }
}

pub(super) unsafe extern "C" fn set_acl_string(
    ctx: *mut abi::Ctx,
    user: *mut abi::User,
    acl: *const c_char,
    error: *mut *mut abi::ModuleString,
) -> c_int {
    // SAFETY: modules pass a live user and a C string.
    let (known, text) = unsafe { (borrow(user), c_bytes(acl)) };
    let (Some(known), Some(text), Some(shared)) = (known, text, shared()) else { return abi::ERR };
    let words = split_args(text).unwrap_or_default();
    let old = known.user.rules();
    let ops = words.iter().map(Vec::as_slice);
    match shared.users.stage(Some(&old), ops, &registry(shared)) {
        Ok(new) => {
            close_listeners(shared, &known.user, &old, &new);
            known.user.set_rules(new);
            abi::OK
        }
        Err(why) => {
            // SAFETY: null, or a variable of the module's; its context is live or null.
            unsafe { tell(ctx, error, &why) };
            abi::ERR
        }
    }
}

/// Hands the text of an error to a module.
///
/// # Safety
/// `ctx` is null or live, `error` null or a variable.
unsafe fn tell(ctx: *mut abi::Ctx, error: *mut *mut abi::ModuleString, why: &SetError) {
    // SAFETY: the caller promises it.
    unsafe {
        if let Some(error) = error.as_mut() {
            *error = ModuleCtx::new_string(ModuleCtx::borrow(ctx), &why.text());
        }
    }
}

pub(super) unsafe extern "C" fn acl_string(user: *mut abi::User) -> *mut abi::ModuleString {
    // SAFETY: modules pass a live user.
    match unsafe { borrow(user) } {
        Some(known) => ModuleCtx::new_string(None, &known.user.rules().describe()),
        None => std::ptr::null_mut(),
    }
}

pub(super) unsafe extern "C" fn by_name(name: *mut abi::ModuleString) -> *mut abi::User {
    // SAFETY: modules pass a live string.
    let name = unsafe { ModString::borrow(name) };
    let found = name.and_then(|name| shared()?.users.find(name.as_bytes()));
    found.map_or(std::ptr::null_mut(), |user| handle(user, false))
}

pub(super) unsafe extern "C" fn check_command(
    user: *mut abi::User,
    argv: *mut *mut abi::ModuleString,
    argc: c_int,
) -> c_int {
    // SAFETY: modules pass a live user.
    let known = unsafe { borrow(user) };
    let (Some(known), Some(shared)) = (known, shared()) else { return abi::ERR };
    let len = if argv.is_null() { 0 } else { usize::try_from(argc).unwrap_or(0) };
    let mut words: Vec<&[u8]> = Vec::with_capacity(len);
    for at in 0..len {
        // SAFETY: modules pass `argc` live strings.
        let word = unsafe { ModString::borrow(*argv.add(at)) };
        words.push(word.map_or(&[], ModString::as_bytes));
    }
    let Some(command) = registry(shared).resolve(&words) else {
        set_errno(libc::ENOENT);
        return abi::ERR;
    };
    if is_beside_readers() && matches!(command.spec.run, Run::Foreign(_)) {
        // Its module might be asked for keys, which has not said that it may run beside others.
        set_errno(libc::EPERM);
        return abi::ERR;
    }
    match check(&known.user.rules(), command, &words) {
        Ok(()) => abi::OK,
        Err(_) => denied(),
    }
}

/// Whether some selector of the user permits this access to `name`, as `permits` sees it.
fn check_access(
    known: Option<&ModUser>,
    name: Option<&[u8]>,
    flags: u32,
    permits: fn(&Selector, &[u8], KeyAccess) -> bool,
) -> c_int {
    const READS: u64 = abi::CMD_KEY_ACCESS;
    const WRITES: u64 = abi::CMD_KEY_INSERT | abi::CMD_KEY_DELETE | abi::CMD_KEY_UPDATE;
    let flags = u64::from(flags);
    if flags & !(READS | WRITES) != 0 {
        set_errno(libc::EINVAL);
        return abi::ERR;
    }
    let (Some(known), Some(name)) = (known, name) else { return abi::ERR };
    let wanted = KeyAccess { reads: flags & READS != 0, writes: flags & WRITES != 0 };
    match known.user.rules().selectors.iter().any(|one| permits(one, name, wanted)) {
        true => abi::OK,
        false => denied(),
    }
}

pub(super) unsafe extern "C" fn check_key(
    user: *mut abi::User,
    key: *mut abi::ModuleString,
    flags: c_int,
) -> c_int {
    // SAFETY: modules pass a live user and a live string.
    let (known, key) = unsafe { (borrow(user), ModString::borrow(key)) };
    let key = key.map(ModString::as_bytes);
    check_access(known, key, flags.cast_unsigned(), Selector::permits_key)
}

/// The function as Redis has it.
pub(super) unsafe extern "C" fn check_prefix(
    user: *mut abi::User,
    prefix: *mut abi::ModuleString,
    flags: c_int,
) -> c_int {
    // SAFETY: modules pass a live user and a live string.
    let (known, prefix) = unsafe { (borrow(user), ModString::borrow(prefix)) };
    let prefix = prefix.map(ModString::as_bytes);
    check_access(known, prefix, flags.cast_unsigned(), Selector::permits_prefix)
}

/// The function of the same name as Valkey has it.
pub(super) unsafe extern "C" fn check_prefix_of_valkey(
    user: *mut abi::User,
    prefix: *const c_char,
    len: usize,
    flags: c_uint,
) -> c_int {
    // SAFETY: modules pass a live user and so many bytes.
    let (known, prefix) = unsafe { (borrow(user), c_slice(prefix, len)) };
    check_access(known, Some(prefix), flags, Selector::permits_prefix)
}

/// The user that a module has chosen for the context, by the handle that it passed.
pub(super) unsafe extern "C" fn context_user(ctx: *mut abi::Ctx) -> *const abi::User {
    // SAFETY: modules pass a live context.
    unsafe { ModuleCtx::borrow(ctx) }.map_or(std::ptr::null(), |ctx| ctx.user_handle)
}

pub(super) unsafe extern "C" fn username(
    ctx: *mut abi::Ctx,
    user: *const abi::User,
) -> *mut abi::ModuleString {
    // SAFETY: modules pass a live context and a live user.
    let (ctx, known) = unsafe { (ModuleCtx::borrow(ctx), borrow(user)) };
    known.map_or(std::ptr::null_mut(), |known| ModuleCtx::new_string(ctx, &known.user.name))
}

/// Whether the command comes from where it has run already, the primary or the append-only file.
pub(super) unsafe extern "C" fn must_obey(ctx: *mut abi::Ctx) -> c_int {
    // SAFETY: modules pass a live context.
    let engine = unsafe { ModuleCtx::borrow(ctx) }.and_then(ModuleCtx::engine);
    c_int::from(engine.is_some_and(|engine| engine.unit.trusts))
}

pub(super) unsafe extern "C" fn check_channel(
    user: *mut abi::User,
    channel: *mut abi::ModuleString,
    flags: c_int,
) -> c_int {
    const KNOWN: u64 = abi::CMD_CHANNEL_PUBLISH
        | abi::CMD_CHANNEL_SUBSCRIBE
        | abi::CMD_CHANNEL_UNSUBSCRIBE
        | abi::CMD_CHANNEL_PATTERN;
    // SAFETY: modules pass a live user and a live string.
    let (known, channel) = unsafe { (borrow(user), ModString::borrow(channel)) };
    let flags = u64::from(flags.cast_unsigned());
    if flags & !KNOWN != 0 {
        set_errno(libc::EINVAL);
        return abi::ERR;
    }
    // Not to listen any more is always permitted.
    if flags & abi::CMD_CHANNEL_UNSUBSCRIBE != 0 {
        return abi::OK;
    }
    let (Some(known), Some(channel)) = (known, channel) else { return abi::ERR };
    let is_pattern = flags & abi::CMD_CHANNEL_PATTERN != 0;
    let rules = known.user.rules();
    let mut selectors = rules.selectors.iter();
    match selectors.any(|selector| selector.permits_channel(channel.as_bytes(), is_pattern)) {
        true => abi::OK,
        false => abi::ERR,
    }
}

fn reason(code: c_int) -> Option<Reason> {
    Some(match code {
        abi::ACL_LOG_AUTH => Reason::Auth,
        abi::ACL_LOG_CMD => Reason::Command,
        abi::ACL_LOG_KEY => Reason::Key,
        abi::ACL_LOG_CHANNEL => Reason::Channel,
        _ => return None,
    })
}

/// Enters a denial in the log.
///
/// # Safety
/// `ctx` and `object` are live.
unsafe fn enter(ctx: *mut abi::Ctx, username: &[u8], object: *mut abi::ModuleString, code: c_int) {
    // SAFETY: the caller promises it.
    let (ctx, object) = unsafe { (ModuleCtx::borrow(ctx), ModString::borrow(object)) };
    let (Some(engine), Some(reason)) = (ctx.and_then(ModuleCtx::engine), reason(code)) else {
        return;
    };
    let object = object.map_or(&[][..], ModString::as_bytes);
    let entry = Entry { reason, context: Context::Module, object, username };
    engine.env.shared.users.note_denied(engine.session, engine.env, entry);
}

pub(super) unsafe extern "C" fn add_log_entry(
    ctx: *mut abi::Ctx,
    user: *mut abi::User,
    object: *mut abi::ModuleString,
    code: c_int,
) {
    // SAFETY: modules pass a live user, context and string.
    unsafe {
        if let Some(known) = borrow(user) {
            enter(ctx, &known.user.name, object, code);
        }
    }
}

pub(super) unsafe extern "C" fn add_log_entry_by_name(
    ctx: *mut abi::Ctx,
    name: *mut abi::ModuleString,
    object: *mut abi::ModuleString,
    code: c_int,
) {
    // SAFETY: modules pass a live context and strings.
    unsafe {
        let name = ModString::borrow(name).map_or(&[][..], ModString::as_bytes);
        enter(ctx, name, object, code);
    }
}

/// Has the client of a context go on as a user. Only the client whose command is running can, and only as a
/// user who could log in.
///
/// # Safety
/// `ctx` is live; `client_id` is null or a variable.
unsafe fn log_in(
    ctx: *mut abi::Ctx,
    user: Arc<User>,
    (callback, data): (abi::UserChangedFunc, *mut c_void),
    client_id: *mut u64,
) -> c_int {
    // SAFETY: the caller promises it.
    let Some(ctx) = (unsafe { ModuleCtx::borrow(ctx) }) else { return abi::ERR };
    let module = ctx.module.as_deref().cloned();
    let Some(engine) = ctx.engine() else { return abi::ERR };
    let is_own = !engine.session.mode.intersects(Mode::MODULE | Mode::SCRIPT);
    let Some(client) = engine.env.client.filter(|_| is_own) else { return abi::ERR };
    if !user.rules().enabled {
        return abi::ERR;
    }
    let (client, id) = (Arc::clone(client), client.id);
    if let Some(before) = engine.session.user_watch.take() {
        before.changed_just_now(id);
    }
    let Some(engine) = ctx.engine() else { return abi::ERR };
    engine.session.log_in(Some(&client), user);
    if let Some(module) = module.filter(|_| callback.is_some()) {
        let watch = UserChange { module, callback, data: Foreign(data) };
        engine.session.user_watch = Some(Box::new(watch));
    }
    if let Some(asking) = &mut ctx.asking {
        *asking = Asking::LoggedIn;
    }
    // SAFETY: as above.
    if let Some(out) = unsafe { client_id.as_mut() } {
        *out = id;
    }
    abi::OK
}

pub(super) unsafe extern "C" fn log_in_as(
    ctx: *mut abi::Ctx,
    user: *mut abi::User,
    callback: abi::UserChangedFunc,
    data: *mut c_void,
    client_id: *mut u64,
) -> c_int {
    // SAFETY: modules pass a live context and user, and null or a variable.
    match unsafe { borrow(user) } {
        // SAFETY: as above.
        Some(known) => unsafe { log_in(ctx, Arc::clone(&known.user), (callback, data), client_id) },
        None => abi::ERR,
    }
}

pub(super) unsafe extern "C" fn log_in_by_name(
    ctx: *mut abi::Ctx,
    name: *const c_char,
    len: usize,
    callback: abi::UserChangedFunc,
    data: *mut c_void,
    client_id: *mut u64,
) -> c_int {
    // SAFETY: modules pass `len` bytes.
    let name = unsafe { c_slice(name, len) };
    match shared().and_then(|shared| shared.users.find(name)) {
        // SAFETY: modules pass a live context, and null or a variable.
        Some(user) => unsafe { log_in(ctx, user, (callback, data), client_id) },
        None => abi::ERR,
    }
}

pub(super) unsafe extern "C" fn log_out(ctx: *mut abi::Ctx, id: u64) -> c_int {
    let Some(client) = shared().and_then(|shared| shared.clients.lock().get(id).cloned()) else {
        return abi::ERR;
    };
    // SAFETY: modules pass a live context or null.
    let engine = unsafe { ModuleCtx::borrow(ctx) }.and_then(ModuleCtx::engine);
    match engine {
        Some(engine) if engine.env.client.is_some_and(|own| own.id == id) => {
            engine.session.user = Session::of_default_user(&engine.env.shared.users).user;
            engine.session.mode.insert(Mode::UNAUTHENTICATED);
            engine.unit.close = true;
        }
        // Its session is in use by the very command that asks.
        None if is_beside_readers() => return abi::ERR,
        _ => client.kill(),
    }
    abi::OK
}

pub(super) unsafe extern "C" fn redact(ctx: *mut abi::Ctx, position: c_int) -> c_int {
    // SAFETY: modules pass a live context or null.
    let Some(ctx) = (unsafe { ModuleCtx::borrow(ctx) }) else { return abi::ERR };
    let arguments = ctx.argv.len();
    let position = usize::try_from(position).ok().filter(|at| (1..arguments).contains(at));
    match (position, ctx.engine()) {
        (Some(position), Some(engine)) => {
            engine.session.redacted.push(position);
            abi::OK
        }
        _ => abi::ERR,
    }
}

pub(super) unsafe extern "C" fn set_context_user(ctx: *mut abi::Ctx, user: *const abi::User) {
    // SAFETY: modules pass a live context, and a live user or null.
    unsafe {
        if let Some(ctx) = ModuleCtx::borrow(ctx) {
            ctx.user = chosen(user);
            ctx.user_handle = user;
        }
    }
}
