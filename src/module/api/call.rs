//! Commands run by modules: RM_Call, its replies, and replication.
#![expect(unsafe_code, reason = "functions of a C interface take raw pointers")]

use std::ffi::{c_char, c_int, c_longlong, c_void};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use mortise_module_abi as abi;

use super::super::call_reply::CallReply;
use super::super::filters::Calling;
use super::super::handle::{ModString, ModuleCtx, Owned, c_bytes, c_slice, set_errno};
use super::super::host::{Module, host};
use super::super::promise::{self, Called, Promise};
use crate::engine::acl::check;
use crate::engine::acl::log::{Context, Entry};
use crate::engine::acl::user::User;
use crate::engine::call::{self, Access, filtered};
use crate::engine::client::{Mode, Session};
use crate::engine::ctx::{Env, ExclusiveCtx, ReadCtx, propagate_now};
use crate::engine::effects::{Targets, Unit};
use crate::engine::error::CommandError;
use crate::engine::registry::Command;
use crate::engine::spec::{Flag, Group, Run};
use crate::engine::state::{RoleRefusals, Shared};
use crate::resp::reply::{Protocol, Reply};

/// One argument as the C shim hands it over.
#[repr(C)]
#[derive(Debug)]
pub(super) struct ShimArg {
    data: *const c_char,
    len: usize,
}

/// The flags of RM_Call's format.
#[derive(Clone, Copy, Debug, Default)]
struct CallFlags {
    replicate: bool,
    no_aof: bool,
    no_replicas: bool,
    resp3: bool,
    client_protocol: bool,
    as_user: bool,
    script: bool,
    no_writes: bool,
    respect_oom: bool,
    errors: bool,
    dry_run: bool,
    /// The call comes from a command that runs beside readers. No letter says so.
    beside: bool,
    may_wait: bool,
}

impl CallFlags {
    /// Reads the letters that are not arguments; None if one is unknown.
    fn parse(format: &[u8]) -> Option<Self> {
        let mut flags = CallFlags::default();
        for letter in format {
            match letter {
                b'c' | b's' | b'b' | b'l' | b'v' => {}
                b'!' => flags.replicate = true,
                b'A' => flags.no_aof = true,
                b'R' => flags.no_replicas = true,
                b'3' => flags.resp3 = true,
                b'0' => flags.client_protocol = true,
                b'C' => flags.as_user = true,
                b'S' => flags.script = true,
                b'W' => flags.no_writes = true,
                b'M' => flags.respect_oom = true,
                b'E' => flags.errors = true,
                b'K' => flags.may_wait = true,
                b'D' => (flags.dry_run, flags.errors) = (true, true),
                _ => return None,
            }
        }
        Some(flags)
    }

    fn targets(self) -> Targets {
        let mut targets = Targets::all();
        targets.set(Targets::AOF, !self.no_aof);
        targets.set(Targets::REPLICAS, !self.no_replicas);
        targets
    }
}

/// Why a call was refused before it ran, and the errno that says so.
type Refusal = (CommandError, c_int);

/// Looks the command up and checks what the flags ask for.
fn admit(
    engine: &ReadCtx<'_>,
    argv: &[&[u8]],
    flags: CallFlags,
    user: Option<&User>,
) -> Result<&'static Command, Refusal> {
    if flags.as_user && user.is_none() {
        let text =
            "ERR cannot run as user, no user directly attached to context or context's client";
        return Err((CommandError::text(text), libc::ENOTSUP));
    }
    let command = engine
        .state
        .registry
        .resolve(argv)
        .ok_or_else(|| (call::unknown_command(argv), libc::ENOENT))?;
    call::check_shape(command, argv).map_err(|error| (error, libc::EINVAL))?;
    if engine.env.shared.visits.is_running()
        && matches!(command.spec.group, Group::Server | Group::Connection)
    {
        // Such commands look at all sessions, and that of the command which lets this one in is locked.
        let text = format!("ERR command '{}' is not allowed while a module is busy", command.name);
        return Err((CommandError::owned(text), libc::EBUSY));
    }
    if flags.script && command.has(Flag::NoScript) {
        let text = format!("ERR command '{}' is not allowed on script mode", command.name);
        return Err((CommandError::owned(text), libc::ESPIPE));
    }
    // What a script declares counts for the command that runs it.
    let declared = command.spec.flags_of.map(|of| of(engine.state, argv, command.flags));
    let has = |flag: Flag| declared.unwrap_or(command.flags) & flag.bit() != 0;
    if flags.respect_oom && has(Flag::DenyOom) && engine.env.shared.is_out_of_memory() {
        return Err((CommandError::OutOfMemory, libc::ENOSPC));
    }
    if (flags.no_writes || flags.beside) && has(Flag::Write) {
        let text =
            format!("ERR Write command '{}' was called while write is not allowed.", command.name);
        return Err((CommandError::owned(text), libc::ENOSPC));
    }
    let is_exclusive =
        matches!(command.spec.run, Run::Write(_) | Run::Exclusive(_) | Run::Foreign(_));
    if flags.beside && is_exclusive {
        let text = format!("ERR command '{}' is not allowed in a parallel command", command.name);
        return Err((CommandError::owned(text), libc::EPERM));
    }
    if flags.script
        && let Some(error) = script_refusal(engine.env.shared, command)
    {
        return Err((error, libc::ESPIPE));
    }
    if let Some(user) = user.filter(|user| !user.is_open()) {
        check_user(engine, command, argv, user)?;
    }
    Ok(command)
}

/// Why the state of the server, as scripts respect it, forbids the command.
fn script_refusal(shared: &Shared, command: &Command) -> Option<CommandError> {
    let role = shared.role_refusals();
    if command.has(Flag::Write) {
        if shared.replicas_missing.load(Ordering::Relaxed) {
            return Some(CommandError::NoReplicas);
        }
        if let Some(error) = shared.write_refusal() {
            return Some(error);
        }
        if role.contains(RoleRefusals::WRITES) {
            return Some(CommandError::ReadOnlyReplica);
        }
    }
    (role.contains(RoleRefusals::STALE) && !command.has(Flag::Stale))
        .then_some(CommandError::MasterDown)
}

/// Whether the user whom the call runs as may run it.
fn check_user(
    engine: &ReadCtx<'_>,
    command: &Command,
    argv: &[&[u8]],
    user: &User,
) -> Result<(), Refusal> {
    let Err(denied) = check::check(&user.rules(), command, argv) else { return Ok(()) };
    let object = &denied.object(command, argv);
    let (reason, context) = (denied.reason, Context::Module);
    let entry = Entry { reason, context, object, username: &user.name };
    engine.env.shared.users.note_denied(engine.session, engine.env, entry);
    let text = denied.text(user, command, argv, false);
    Err((CommandError::Raw([b"NOPERM ", &text[..]].concat()), libc::EACCES))
}

/// What the C shim of Call calls with its arguments gathered.
#[unsafe(no_mangle)]
unsafe extern "C" fn mortise_call(
    ctx: *mut abi::Ctx,
    name: *const c_char,
    format: *const c_char,
    args: *const ShimArg,
    count: usize,
) -> *mut abi::CallReply {
    // SAFETY: the shim passes a live context, C strings and `count` arguments.
    let (context, argv, format) = unsafe {
        (ModuleCtx::borrow(ctx), gather(name, args, count), c_bytes(format).unwrap_or_default())
    };
    let Some(context) = context else { return std::ptr::null_mut() };
    let Some(mut flags) = CallFlags::parse(format) else {
        set_errno(libc::EBADF);
        return std::ptr::null_mut();
    };
    flags.beside = context.is_beside_readers();
    let protocol = match (flags.resp3, flags.client_protocol) {
        (true, _) => Protocol::Resp3,
        (_, true) => context.protocol,
        _ => Protocol::Resp2,
    };
    let chosen = context.user.clone();
    let module = context.module.as_deref().filter(|_| flags.may_wait).cloned();
    let _calling = Calling::begin(context.module.as_deref());
    // A filter may change everything, so calls beside readers do not come by it.
    let has_filters =
        host().engine.get().is_some_and(|engine| engine.shared.attached.has_filters());
    let engine = if has_filters { context.engine() } else { None };
    let filtered = engine.map(|engine| host().filters.pass_call(engine, &argv));
    let argv = filtered.as_ref().map_or(argv, filtered::slices);
    let Some(reader) = context.reader() else {
        set_errno(libc::EINVAL);
        return std::ptr::null_mut();
    };
    set_errno(0);
    // Unless it asks for it, a module may do everything.
    let user = flags.as_user.then(|| chosen.or_else(|| reader.session.user.clone())).flatten();
    let (mut raw, mut promise) = (Vec::new(), None);
    match admit(&reader, &argv, flags, user.as_deref()) {
        Ok(_) if flags.dry_run => return std::ptr::null_mut(),
        Ok(command) if flags.beside => {
            let ReadCtx { state, session, unit, env } = reader;
            let outer = Outer { access: Access::Shared(state), session, unit, env };
            outer.execute((command, &argv), flags, (protocol, user, None), &mut raw);
        }
        Ok(command) => {
            if let Some(engine) = context.engine() {
                let ExclusiveCtx { state, session, unit, env } = engine.reborrow();
                let outer = Outer { access: Access::Exclusive(state), session, unit, env };
                let by = (protocol, user, module);
                promise = outer.execute((command, &argv), flags, by, &mut raw);
            }
        }
        Err((error, errno)) => {
            set_errno(errno);
            if !flags.errors {
                return std::ptr::null_mut();
            }
            Reply::new(&mut raw, protocol).error(&error.bytes());
        }
    }
    let mut root = Box::new(match promise {
        Some(promise) => CallReply::promised(promise),
        None => CallReply::read(raw),
    });
    if context.auto_memory {
        root.owner = std::ptr::from_mut(context);
    }
    let reply: *mut abi::CallReply = Box::into_raw(root).cast();
    context.own(Owned::Reply(reply));
    reply
}

/// The name and the arguments as slices.
///
/// # Safety
/// `name` is a C string; `args` points to `count` arguments, alive during `'a`.
pub(super) unsafe fn gather<'a>(
    name: *const c_char,
    args: *const ShimArg,
    count: usize,
) -> Vec<&'a [u8]> {
    let mut argv = Vec::with_capacity(count + 1);
    // SAFETY: the caller promises a C string.
    argv.push(unsafe { c_bytes(name) }.unwrap_or_default());
    if count > 0 {
        // SAFETY: the caller promises so many arguments.
        for arg in unsafe { std::slice::from_raw_parts(args, count) } {
            // SAFETY: each names live bytes.
            argv.push(unsafe { c_slice(arg.data, arg.len) });
        }
    }
    argv
}

/// The call of the module that calls a command.
struct Outer<'a> {
    access: Access<'a>,
    session: &'a Session,
    unit: &'a mut Unit,
    env: Env<'a>,
}

impl Outer<'_> {
    /// Runs the command with a session of its own, in the context's db. Some if it waits, which it may only if the
    /// module that calls says so.
    fn execute(
        mut self,
        (command, argv): (&'static Command, &[&[u8]]),
        flags: CallFlags,
        (protocol, user, module): (Protocol, Option<Arc<User>>, Option<Arc<Module>>),
        raw: &mut Vec<u8>,
    ) -> Option<Arc<Promise>> {
        let Outer { session: outer, unit, env, .. } = self;
        let mut session = Session::internal(Mode::MODULE, outer.db);
        session.protocol = protocol;
        session.user = user;
        session.last_command = outer.last_command;
        let before = (unit.call.targets, unit.muted, unit.ignores_memory);
        unit.call.targets = Some(flags.targets());
        // What is called in there may ask to be propagated, and is not.
        unit.muted |= !flags.replicate;
        unit.ignores_memory = !flags.respect_oom;
        // A script that is called now has not begun with the client's command.
        unit.began_ns = 0;
        let promise = match module {
            Some(module) => {
                let call = (command, argv);
                call_waiting(&mut self.access, (session, unit, env), module, call, raw)
            }
            None => {
                call::nested(&mut self.access, &mut session, unit, env, command, argv, raw);
                None
            }
        };
        (unit.call.targets, unit.muted, unit.ignores_memory) = before;
        promise
    }
}

/// Runs a command that may wait, with a client of its own.
fn call_waiting(
    access: &mut Access<'_>,
    (session, unit, env): (Session, &mut Unit, Env<'_>),
    module: Arc<Module>,
    (command, argv): (&'static Command, &[&[u8]]),
    raw: &mut Vec<u8>,
) -> Option<Arc<Promise>> {
    let client = promise::new_client(session, env.now_ms());
    let mut session = client.session.lock();
    let env = Env { client: Some(&client), ..env };
    let block = call::nested_waiting(access, &mut session, unit, env, (command, argv), raw);
    let kept = unit.waiting_argv.take();
    let block = block?;
    let kept: Option<Vec<&[u8]>> =
        kept.as_ref().map(|argv| argv.iter().map(|arg| &**arg).collect());
    let argv = kept.as_deref().unwrap_or(argv);
    let (targets, muted) = (unit.call.targets, unit.muted);
    let called = Called { client: &client, command, argv, targets, muted };
    Some(Promise::begin(module, env.shared, &mut session, called, &block))
}

pub(super) unsafe extern "C" fn set_unblock_handler(
    reply: *mut abi::CallReply,
    handler: abi::OnUnblockedFunc,
    data: *mut c_void,
) {
    // SAFETY: modules pass a live reply.
    if let Some(promise) = unsafe { borrow(reply) }.and_then(|reply| reply.promise.as_ref()) {
        promise.set_handler(handler, data);
    }
}

pub(super) unsafe extern "C" fn abort(reply: *mut abi::CallReply, data: *mut *mut c_void) -> c_int {
    // SAFETY: modules pass a live reply.
    let promise = unsafe { borrow(reply) }.and_then(|reply| reply.promise.clone());
    let Some(handed_over) = promise.and_then(|promise| promise.abort()) else { return abi::ERR };
    // SAFETY: null, or the module's variable.
    if let Some(data) = unsafe { data.as_mut() } {
        *data = handed_over.0;
    }
    abi::OK
}

/// The reply behind a handle; None for null.
///
/// # Safety
/// `reply` is null or a live reply or element.
unsafe fn borrow<'a>(reply: *mut abi::CallReply) -> Option<&'a CallReply> {
    // SAFETY: the caller promises it.
    unsafe { reply.cast::<CallReply>().as_ref() }
}

/// The handle of an element, which modules do not change.
fn handle(reply: &CallReply) -> *mut abi::CallReply {
    std::ptr::from_ref(reply).cast_mut().cast()
}

pub(crate) unsafe extern "C" fn free(reply: *mut abi::CallReply) {
    // SAFETY: modules pass null or a live reply.
    let Some(root) = unsafe { borrow(reply) }.filter(|reply| reply.is_root) else { return };
    // SAFETY: the owner is set only if its automatic memory lists the reply, which it frees at the
    // latest when the context ends; so it is alive, or null.
    if let Some(owner) = unsafe { root.owner.as_mut() } {
        owner.disown(Owned::Reply(reply));
    }
    // SAFETY: roots were made from boxes and are freed once; elements go with their root.
    drop(unsafe { Box::from_raw(reply.cast::<CallReply>()) });
}

pub(super) unsafe extern "C" fn proto(
    reply: *mut abi::CallReply,
    len: *mut usize,
) -> *const c_char {
    // SAFETY: modules pass a live reply.
    let Some(reply) = (unsafe { borrow(reply) }) else { return std::ptr::null() };
    // SAFETY: null, or the module's variable.
    if let Some(len) = unsafe { len.as_mut() } {
        *len = reply.raw().len();
    }
    reply.raw().as_ptr().cast()
}

pub(super) unsafe extern "C" fn kind(reply: *mut abi::CallReply) -> c_int {
    // SAFETY: modules pass null or a live reply.
    unsafe { borrow(reply) }.map_or(abi::REPLY_UNKNOWN, |reply| reply.kind)
}

pub(super) unsafe extern "C" fn integer(reply: *mut abi::CallReply) -> c_longlong {
    // SAFETY: modules pass a live reply.
    let reply = unsafe { borrow(reply) };
    reply.filter(|r| r.kind == abi::REPLY_INTEGER).map_or(i64::MIN, |reply| reply.int)
}

pub(super) unsafe extern "C" fn double(reply: *mut abi::CallReply) -> f64 {
    // SAFETY: modules pass a live reply.
    let reply = unsafe { borrow(reply) };
    reply.filter(|r| r.kind == abi::REPLY_DOUBLE).map_or(f64::NAN, |reply| reply.double)
}

pub(super) unsafe extern "C" fn bool(reply: *mut abi::CallReply) -> c_int {
    // SAFETY: modules pass a live reply.
    let reply = unsafe { borrow(reply) };
    reply.filter(|r| r.kind == abi::REPLY_BOOL).map_or(c_int::MIN, |reply| reply.int as c_int)
}

/// The text of a reply of one of these kinds.
///
/// # Safety
/// `reply` is null or a live reply; `len` null or a variable.
unsafe fn text(reply: *mut abi::CallReply, len: *mut usize, kinds: &[c_int]) -> *const c_char {
    // SAFETY: the caller promises it.
    let reply = unsafe { borrow(reply) }.filter(|reply| kinds.contains(&reply.kind));
    let Some(reply) = reply else { return std::ptr::null() };
    // SAFETY: as above.
    if let Some(len) = unsafe { len.as_mut() } {
        *len = reply.text().len();
    }
    reply.text().as_ptr().cast()
}

pub(super) unsafe extern "C" fn string_ptr(
    reply: *mut abi::CallReply,
    len: *mut usize,
) -> *const c_char {
    // SAFETY: modules pass a live reply and a variable.
    unsafe { text(reply, len, &[abi::REPLY_STRING, abi::REPLY_ERROR]) }
}

pub(super) unsafe extern "C" fn big_number(
    reply: *mut abi::CallReply,
    len: *mut usize,
) -> *const c_char {
    // SAFETY: modules pass a live reply and a variable.
    unsafe { text(reply, len, &[abi::REPLY_BIG_NUMBER]) }
}

pub(super) unsafe extern "C" fn verbatim(
    reply: *mut abi::CallReply,
    len: *mut usize,
    format: *mut *const c_char,
) -> *const c_char {
    // SAFETY: modules pass a live reply and variables.
    unsafe {
        if let (Some(reply), Some(format)) = (borrow(reply), format.as_mut()) {
            *format = reply.format.as_ptr().cast();
        }
        text(reply, len, &[abi::REPLY_VERBATIM_STRING])
    }
}

pub(super) unsafe extern "C" fn length(reply: *mut abi::CallReply) -> usize {
    // SAFETY: modules pass a live reply.
    unsafe { borrow(reply) }.map_or(0, |reply| match reply.kind {
        abi::REPLY_ARRAY | abi::REPLY_SET => reply.children.len(),
        abi::REPLY_MAP | abi::REPLY_ATTRIBUTE => reply.children.len() / 2,
        _ => reply.text().len(),
    })
}

pub(super) unsafe extern "C" fn element(
    reply: *mut abi::CallReply,
    index: usize,
) -> *mut abi::CallReply {
    // SAFETY: modules pass a live reply.
    let reply =
        unsafe { borrow(reply) }.filter(|r| matches!(r.kind, abi::REPLY_ARRAY | abi::REPLY_SET));
    reply.and_then(|reply| reply.children.get(index)).map_or(std::ptr::null_mut(), handle)
}

pub(super) unsafe extern "C" fn map_element(
    reply: *mut abi::CallReply,
    index: usize,
    key: *mut *mut abi::CallReply,
    value: *mut *mut abi::CallReply,
) -> c_int {
    // SAFETY: passed on.
    unsafe { pair(reply, abi::REPLY_MAP, index, key, value) }
}

pub(super) unsafe extern "C" fn attribute_element(
    reply: *mut abi::CallReply,
    index: usize,
    key: *mut *mut abi::CallReply,
    value: *mut *mut abi::CallReply,
) -> c_int {
    // SAFETY: passed on.
    unsafe { pair(reply, abi::REPLY_ATTRIBUTE, index, key, value) }
}

/// Hands out key and value of a map or an attribute.
///
/// # Safety
/// `reply` is null or a live reply; `key` and `value` are null or variables.
unsafe fn pair(
    reply: *mut abi::CallReply,
    kind: c_int,
    index: usize,
    key: *mut *mut abi::CallReply,
    value: *mut *mut abi::CallReply,
) -> c_int {
    // SAFETY: the caller promises it.
    let reply = unsafe { borrow(reply) }.filter(|reply| reply.kind == kind);
    let pair = reply.and_then(|reply| reply.children.chunks_exact(2).nth(index));
    let Some([found_key, found_value]) = pair else { return abi::ERR };
    // SAFETY: as above.
    unsafe {
        if let Some(key) = key.as_mut() {
            *key = handle(found_key);
        }
        if let Some(value) = value.as_mut() {
            *value = handle(found_value);
        }
    }
    abi::OK
}

pub(super) unsafe extern "C" fn attribute(reply: *mut abi::CallReply) -> *mut abi::CallReply {
    // SAFETY: modules pass a live reply.
    let attribute = unsafe { borrow(reply) }.and_then(|reply| reply.attribute.as_deref());
    attribute.map_or(std::ptr::null_mut(), handle)
}

pub(super) unsafe extern "C" fn create_string(
    reply: *mut abi::CallReply,
) -> *mut abi::ModuleString {
    // SAFETY: modules pass a live reply.
    let Some(reply) = (unsafe { borrow(reply) }) else { return std::ptr::null_mut() };
    let bytes = match reply.kind {
        abi::REPLY_STRING | abi::REPLY_ERROR => reply.text().to_vec(),
        abi::REPLY_INTEGER => reply.int.to_string().into_bytes(),
        _ => return std::ptr::null_mut(),
    };
    ModString::handle(ModString::create(&bytes))
}

pub(super) unsafe extern "C" fn replicate_verbatim(ctx: *mut abi::Ctx) -> c_int {
    // SAFETY: modules pass a live context.
    let Some(context) = (unsafe { ModuleCtx::borrow(ctx) }) else { return abi::ERR };
    if context.is_beside_readers() {
        set_errno(libc::EPERM);
        return abi::ERR;
    }
    if context.argv.is_empty() {
        return abi::OK;
    }
    let Some(engine) = context.engine() else { return abi::OK };
    engine.unit.call.dirty += 1;
    if !engine.state.is_logged() {
        return abi::OK;
    }
    // SAFETY: the context has a reference to each of its arguments.
    let argv = context.argv.iter().filter_map(|arg| unsafe { ModString::borrow(*arg) });
    let argv: Vec<&[u8]> = argv.map(ModString::as_bytes).collect();
    if let Some(engine) = context.engine() {
        let db = engine.session.db;
        propagate_now(engine.state, engine.unit, db, Targets::all(), &argv);
    }
    abi::OK
}

/// What the C shim of Replicate calls with its arguments gathered.
#[unsafe(no_mangle)]
unsafe extern "C" fn mortise_replicate(
    ctx: *mut abi::Ctx,
    name: *const c_char,
    format: *const c_char,
    args: *const ShimArg,
    count: usize,
) -> c_int {
    // SAFETY: the shim passes a live context, C strings and `count` arguments.
    let (context, argv, format) = unsafe {
        (ModuleCtx::borrow(ctx), gather(name, args, count), c_bytes(format).unwrap_or_default())
    };
    let engine = context.and_then(ModuleCtx::engine);
    let (Some(engine), Some(flags)) = (engine, CallFlags::parse(format)) else { return abi::ERR };
    if engine.state.registry.lookup(argv[0]).is_none() {
        return abi::ERR;
    }
    engine.unit.call.dirty += 1;
    let db = engine.session.db;
    propagate_now(engine.state, engine.unit, db, flags.targets(), &argv);
    abi::OK
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(format: &str) -> CallFlags {
        CallFlags::parse(format.as_bytes()).expect("all letters are known")
    }

    #[test]
    fn letters_ask_for_what_they_say() {
        let plain = parsed("csblv");
        assert!(!plain.replicate && !plain.errors && !plain.dry_run);
        assert!(parsed("!").replicate && parsed("E").errors && parsed("C").as_user);
        assert!(parsed("S").script && parsed("W").no_writes && parsed("M").respect_oom);
        assert!(parsed("3").resp3 && parsed("0").client_protocol);
        let dry = parsed("vD");
        assert!(dry.dry_run && dry.errors, "why a command would not run is told");
        for unknown in ["x", "c c", "?"] {
            assert!(CallFlags::parse(unknown.as_bytes()).is_none(), "{unknown}");
        }
    }

    #[test]
    fn the_modifiers_leave_out_the_file_or_the_replicas() {
        assert_eq!(parsed("!").targets(), Targets::all());
        assert_eq!(parsed("!A").targets(), Targets::REPLICAS);
        assert_eq!(parsed("!R").targets(), Targets::AOF);
        assert_eq!(parsed("!AR").targets(), Targets::empty());
    }
}
