//! What a module says of itself and of its commands while it loads.
#![expect(unsafe_code, reason = "functions of a C interface take raw pointers")]

use std::ffi::{c_char, c_int};
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::{Arc, OnceLock};

use mortise_module_abi as abi;

use super::super::command::ForeignHandler;
use super::super::handle::{ModString, ModuleCtx, c_text, set_errno};
use super::super::host::{Module, ModuleRef, host};
use super::command_info;
use crate::engine::call::check_shape;
use crate::engine::keys::{self, ChannelAt, KeyAt};
use crate::engine::spec::{Access, Category, Flag, KeySpec, Run};

pub(super) unsafe extern "C" fn set_attribs(
    ctx: *mut abi::Ctx,
    name: *const c_char,
    version: c_int,
    _: c_int,
) {
    // SAFETY: modules pass a live context and a C string.
    let (ctx, name) = unsafe { (ModuleCtx::borrow(ctx), c_text(name)) };
    // A second call on the same context changes nothing.
    if let Some(ctx) = ctx.filter(|ctx| ctx.loading && ctx.module.is_none()) {
        ctx.module = Some(ModuleRef::held(Arc::new(Module {
            name,
            version,
            options: AtomicI32::new(0),
            alive: AtomicBool::new(true),
            configured: AtomicBool::new(false),
            loading: AtomicBool::new(true),
            calls: AtomicI32::new(0),
            missing: OnceLock::new(),
            code: OnceLock::new(),
        })));
    }
}

pub(super) unsafe extern "C" fn is_name_busy(name: *const c_char) -> c_int {
    // SAFETY: modules pass a C string.
    let name = unsafe { c_text(name) };
    c_int::from(host().records.lock().modules.iter().any(|known| known.module.name == name))
}

pub(super) unsafe extern "C" fn set_options(ctx: *mut abi::Ctx, options: c_int) {
    // SAFETY: modules pass a live context.
    let module = unsafe { ModuleCtx::borrow(ctx) }.and_then(|ctx| ctx.module.as_deref().cloned());
    if let Some(module) = module {
        module.options.store(options, Ordering::Relaxed);
    }
}

pub(super) unsafe extern "C" fn options_all() -> c_int {
    abi::OPTIONS_HANDLE_IO_ERRORS
        | abi::OPTION_NO_IMPLICIT_SIGNAL_MODIFIED
        | abi::OPTIONS_HANDLE_REPL_ASYNC_LOAD
        | abi::OPTIONS_ALLOW_NESTED_KEYSPACE_NOTIFICATIONS
}

/// Reads the words of a command's flags; None if one is unknown.
fn parse_flags(text: &str) -> Option<Vec<Flag>> {
    let mut flags = vec![Flag::Module];
    for word in text.split_ascii_whitespace() {
        flags.push(match word.to_ascii_lowercase().as_str() {
            "write" => Flag::Write,
            "readonly" => Flag::ReadOnly,
            "admin" => Flag::Admin,
            "deny-oom" => Flag::DenyOom,
            "deny-script" => Flag::NoScript,
            "allow-loading" => Flag::Loading,
            "pubsub" => Flag::PubSub,
            // Accepted and without an effect of their own, as in Redis.
            "random" | "no-cluster" | "allow-cross-slot-keys" => continue,
            "no-mandatory-keys" => Flag::NoMandatoryKeys,
            "allow-stale" => Flag::Stale,
            "no-monitor" => Flag::SkipMonitor,
            "no-slowlog" => Flag::SkipSlowlog,
            "fast" => Flag::Fast,
            "no-auth" => Flag::NoAuth,
            "may-replicate" => Flag::MayReplicate,
            "getkeys-api" => Flag::GetKeysApi,
            // No flag that is shown: see `has_channels`.
            "getchannels-api" => continue,
            "blocking" => Flag::Blocking,
            "allow-busy" => Flag::AllowBusy,
            _ => return None,
        });
    }
    Some(flags)
}

/// Whether the flags say that the module tells which channels the command uses.
fn has_channels(flags: &str) -> bool {
    flags.split_ascii_whitespace().any(|word| word.eq_ignore_ascii_case("getchannels-api"))
}

/// The keys that the old triple describes. Nothing says what is done with them, so it may be anything.
fn legacy_keys(flags: &[Flag], first: c_int, last: c_int, step: c_int) -> Vec<KeySpec> {
    if first <= 0 {
        return Vec::new();
    }
    let access = Access::Flags(&["RW", "access", "update"]);
    let last = if last >= 0 { last - first } else { last };
    let keys = KeySpec::range(first, last, step.max(1), access);
    let variable = flags.contains(&Flag::GetKeysApi);
    vec![if variable { keys.with(&["variable_flags"]) } else { keys }]
}

/// A command's name: printable, without blanks and what separates names elsewhere (subcommands, ACL
/// categories, fields of lists).
fn is_valid_name(name: &str) -> bool {
    let is_plain = |b: u8| (b'!'..=b'~').contains(&b) && !matches!(b, b'|' | b'@' | b'=' | b',');
    !name.is_empty() && name.bytes().all(is_plain)
}

pub(super) unsafe extern "C" fn create(
    ctx: *mut abi::Ctx,
    name: *const c_char,
    function: abi::CmdFunc,
    flags: *const c_char,
    first: c_int,
    last: c_int,
    step: c_int,
) -> c_int {
    // SAFETY: modules pass a live context and C strings.
    let (ctx, name, flags) = unsafe { (ModuleCtx::borrow(ctx), c_text(name), c_text(flags)) };
    let Some(ctx) = ctx.filter(|ctx| ctx.loading) else { return abi::ERR };
    let tells_channels = has_channels(&flags);
    let (Some(module), Some(flags)) = (ctx.module.as_deref().cloned(), parse_flags(&flags)) else {
        return abi::ERR;
    };
    let Some(engine) = ctx.engine().filter(|_| is_valid_name(&name)) else { return abi::ERR };
    let mut records = host().records.lock();
    let is_taken = engine.state.registry.lookup(name.as_bytes()).is_some()
        || records.commands.iter().any(|known| known.name.eq_ignore_ascii_case(&name));
    if is_taken {
        return abi::ERR;
    }
    let keys = legacy_keys(&flags, first, last, step);
    let handler = ForeignHandler::create(module, None, &name, function, flags, keys);
    handler.draft.lock().tells_channels = tells_channels;
    records.commands.push(handler);
    abi::OK
}

/// The command behind a handle, which lives for ever; None for null.
///
/// # Safety
/// `command` is null or came from [`get`].
unsafe fn borrow(command: *mut abi::Command) -> Option<&'static ForeignHandler> {
    // SAFETY: the caller promises it.
    unsafe { command.cast::<ForeignHandler>().cast_const().as_ref() }
}

pub(super) unsafe extern "C" fn create_sub(
    parent: *mut abi::Command,
    name: *const c_char,
    function: abi::CmdFunc,
    flags: *const c_char,
    first: c_int,
    last: c_int,
    step: c_int,
) -> c_int {
    // SAFETY: modules pass a handle of `get` and C strings.
    let (parent, name, flags) = unsafe { (borrow(parent), c_text(name), c_text(flags)) };
    let tells_channels = has_channels(&flags);
    let (Some(parent), Some(flags)) = (parent, parse_flags(&flags)) else { return abi::ERR };
    // Only containers have subcommands, and there is one level of them.
    let is_container = !parent.is_sub && parent.function.is_none();
    if !is_container || !parent.module.loading.load(Ordering::Relaxed) || !is_valid_name(&name) {
        return abi::ERR;
    }
    let mut draft = parent.draft.lock();
    if draft.subcommands.iter().any(|known| known.word.eq_ignore_ascii_case(&name)) {
        return abi::ERR;
    }
    let keys = legacy_keys(&flags, first, last, step);
    let module = Arc::clone(&parent.module);
    let container = Some(parent.name);
    let handler = ForeignHandler::create(module, container, &name, function, flags, keys);
    handler.draft.lock().tells_channels = tells_channels;
    draft.subcommands.push(handler);
    abi::OK
}

pub(super) unsafe extern "C" fn get(ctx: *mut abi::Ctx, name: *const c_char) -> *mut abi::Command {
    // SAFETY: modules pass a live context and a C string.
    let (module, name) = unsafe { (ModuleCtx::module_of(ctx), c_text(name)) };
    let Some(module) = module else { return std::ptr::null_mut() };
    let records = host().records.lock();
    let own = records.commands.iter().filter(|known| Arc::ptr_eq(module, &known.module));
    let found = own.flat_map(|known| {
        let subcommands = known.draft.lock().subcommands.clone();
        std::iter::once(*known).chain(subcommands)
    });
    let mut found = found.filter(|known| known.name.eq_ignore_ascii_case(&name));
    found.next().map_or(std::ptr::null_mut(), |known| std::ptr::from_ref(known).cast_mut().cast())
}

pub(super) unsafe extern "C" fn set_info(
    command: *mut abi::Command,
    info: *const abi::CommandInfo,
) -> c_int {
    // SAFETY: modules pass a handle of `get` and a live struct.
    let (handler, info) = unsafe { (borrow(command), info.as_ref()) };
    let (Some(handler), Some(info)) = (handler, info) else { return abi::ERR };
    let mut draft = handler.draft.lock();
    if draft.documented {
        set_errno(libc::EEXIST);
        return abi::ERR;
    }
    // SAFETY: as above, with arrays as the ABI has them.
    if let Err(problem) = unsafe { command_info::read(info, &mut draft) } {
        tracing::warn!("Invalid command info of {}: {problem}", handler.name);
        set_errno(libc::EINVAL);
        return abi::ERR;
    }
    abi::OK
}

pub(super) unsafe extern "C" fn set_categories(
    command: *mut abi::Command,
    categories: *const c_char,
) -> c_int {
    // SAFETY: modules pass a handle of `get` and a C string.
    let (handler, words) = unsafe { (borrow(command), c_text(categories)) };
    let Some(handler) = handler.filter(|one| one.module.loading.load(Ordering::Relaxed)) else {
        return abi::ERR;
    };
    let (mut found, mut of_modules) = (Vec::new(), 0);
    for word in words.split_ascii_whitespace() {
        match Category::ALL.iter().find(|known| known.name().eq_ignore_ascii_case(word)) {
            Some(category) => found.push(*category),
            None => match module_category(word) {
                Some(bit) => of_modules |= bit,
                None => return abi::ERR,
            },
        }
    }
    let mut draft = handler.draft.lock();
    draft.categories = found;
    draft.module_categories = of_modules;
    abi::OK
}

/// `MortiseSetCommandParallel`, which no other server has: the module declares that the command only reads, keys
/// and its own state, and that its function may run on several threads at once. The server then runs it beside other
/// readers. Commands whose module would have to be asked for keys or channels, and those that may block, are refused.
pub(super) unsafe extern "C" fn set_parallel(command: *mut abi::Command) -> c_int {
    // SAFETY: modules pass a handle of `get`.
    let Some(handler) = (unsafe { borrow(command) }) else { return abi::ERR };
    let mut draft = handler.draft.lock();
    let never = [Flag::Write, Flag::MayReplicate, Flag::GetKeysApi, Flag::Blocking, Flag::PubSub];
    let is_fit = handler.function.is_some()
        && handler.module.loading.load(Ordering::Relaxed)
        && draft.flags.contains(&Flag::ReadOnly)
        && !never.iter().any(|flag| draft.flags.contains(flag))
        && !draft.tells_channels;
    if !is_fit {
        set_errno(libc::EINVAL);
        return abi::ERR;
    }
    draft.parallel = true;
    abi::OK
}

/// The bit of a category that a module has added.
fn module_category(name: &str) -> Option<u64> {
    let records = host().records.lock();
    let found = records.categories.iter().find(|(_, known, _)| known.eq_ignore_ascii_case(name));
    found.map(|(.., bit)| *bit)
}

pub(super) unsafe extern "C" fn add_category(ctx: *mut abi::Ctx, name: *const c_char) -> c_int {
    // SAFETY: modules pass a live context and a C string.
    let (ctx, name) = unsafe { (ModuleCtx::borrow(ctx), c_text(name)) };
    let is_valid = !name.is_empty()
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
    let Some(module) = ctx.filter(|ctx| ctx.loading).and_then(|ctx| ctx.module.as_deref().cloned())
    else {
        set_errno(libc::EINVAL);
        return abi::ERR;
    };
    let mut records = host().records.lock();
    let is_known = Category::ALL.iter().any(|known| known.name() == name)
        || records.categories.iter().any(|(_, own, _)| *own == name);
    if is_known || !is_valid {
        set_errno(if is_known { libc::EBUSY } else { libc::EINVAL });
        return abi::ERR;
    }
    // The bits of a mask are all there are; those of the built-in ones come first.
    let taken = records.categories.iter().fold(0, |bits, (.., bit)| bits | bit);
    let mut free = (Category::ALL.len()..64).map(|at| 1u64 << at).filter(|bit| taken & bit == 0);
    let Some(bit) = free.next() else {
        set_errno(libc::ENOMEM);
        return abi::ERR;
    };
    records.categories.push((module, name, bit));
    abi::OK
}

/// Puts key positions into an array that the module frees.
///
/// # Safety
/// `out` is null or a variable.
unsafe fn give_array(numbers: &[c_int], out: *mut *mut c_int) {
    // SAFETY: the caller promises it.
    let Some(out) = (unsafe { out.as_mut() }) else { return };
    let bytes = size_of_val(numbers).max(1);
    *out = crate::allocator::module_alloc(bytes, false).cast();
    if !out.is_null() {
        // SAFETY: the block is new and has room for so many numbers.
        unsafe { out.copy_from_nonoverlapping(numbers.as_ptr(), numbers.len()) };
    }
}

pub(super) unsafe extern "C" fn keys_with_flags(
    ctx: *mut abi::Ctx,
    argv: *mut *mut abi::ModuleString,
    argc: c_int,
    count: *mut c_int,
    flags: *mut *mut c_int,
) -> *mut c_int {
    let len = usize::try_from(argc).unwrap_or(0);
    let mut words: Vec<&[u8]> = Vec::with_capacity(len);
    for at in 0..if argv.is_null() { 0 } else { len } {
        // SAFETY: modules pass `argc` live strings.
        let word = unsafe { ModString::borrow(*argv.add(at)) };
        words.push(word.map_or(&[], ModString::as_bytes));
    }
    // SAFETY: modules pass a live context.
    let context = unsafe { ModuleCtx::borrow(ctx) };
    let beside_readers = context.as_ref().is_some_and(|ctx| ctx.is_beside_readers());
    let registry = context.and_then(|ctx| Some(Arc::clone(&ctx.reader()?.state.registry)));
    let Some(command) = registry.and_then(|registry| registry.resolve(&words)) else {
        set_errno(libc::ENOENT);
        return std::ptr::null_mut();
    };
    if beside_readers && matches!(command.spec.run, Run::Foreign(_)) {
        // Its module might be asked, which has not said that it may run beside others.
        set_errno(libc::EPERM);
        return std::ptr::null_mut();
    }
    let found = match check_shape(command, &words) {
        Ok(()) => keys::find(command, &words).unwrap_or_default(),
        Err(_) => Vec::new(),
    };
    // SAFETY: null, or the module's variables.
    if let Some(count) = unsafe { count.as_mut() } {
        *count = found.len() as c_int;
    }
    if found.is_empty() {
        set_errno(libc::EINVAL);
        return std::ptr::null_mut();
    }
    let positions: Vec<c_int> = found.iter().map(|key| key.position as c_int).collect();
    let bits: Vec<c_int> = found.iter().map(|key| command_info::flag_bits(&key.flags)).collect();
    let mut result: *mut c_int = std::ptr::null_mut();
    // SAFETY: as above.
    unsafe {
        give_array(&bits, flags);
        give_array(&positions, &raw mut result);
    }
    result
}

pub(super) unsafe extern "C" fn keys_of(
    ctx: *mut abi::Ctx,
    argv: *mut *mut abi::ModuleString,
    argc: c_int,
    count: *mut c_int,
) -> *mut c_int {
    // SAFETY: passed on.
    unsafe { keys_with_flags(ctx, argv, argc, count, std::ptr::null_mut()) }
}

pub(super) unsafe extern "C" fn is_keys_request(ctx: *mut abi::Ctx) -> c_int {
    // SAFETY: modules pass a live context.
    c_int::from(unsafe { ModuleCtx::borrow(ctx) }.is_some_and(|ctx| ctx.key_positions.is_some()))
}

pub(super) unsafe extern "C" fn key_at(ctx: *mut abi::Ctx, position: c_int) {
    // Nothing says what is done with it, so it may be anything.
    let flags = abi::CMD_KEY_RW | abi::CMD_KEY_ACCESS | abi::CMD_KEY_UPDATE;
    // SAFETY: passed on.
    unsafe { key_at_with_flags(ctx, position, flags as c_int) }
}

pub(super) unsafe extern "C" fn key_at_with_flags(
    ctx: *mut abi::Ctx,
    position: c_int,
    flags: c_int,
) {
    // SAFETY: modules pass a live context.
    let Some(ctx) = (unsafe { ModuleCtx::borrow(ctx) }) else { return };
    let arguments = ctx.argv.len();
    if let (Some(positions), Ok(position)) = (&mut ctx.key_positions, usize::try_from(position))
        && (1..arguments).contains(&position)
    {
        let flags = command_info::flag_names(u64::from(flags.cast_unsigned())).collect();
        positions.push(KeyAt { position, flags });
    }
}

pub(super) unsafe extern "C" fn is_channels_request(ctx: *mut abi::Ctx) -> c_int {
    // SAFETY: modules pass a live context.
    let ctx = unsafe { ModuleCtx::borrow(ctx) };
    c_int::from(ctx.is_some_and(|ctx| ctx.channel_positions.is_some()))
}

pub(super) unsafe extern "C" fn channel_at_with_flags(
    ctx: *mut abi::Ctx,
    position: c_int,
    flags: c_int,
) {
    // SAFETY: modules pass a live context.
    let Some(ctx) = (unsafe { ModuleCtx::borrow(ctx) }) else { return };
    let arguments = ctx.argv.len();
    let flags = u64::from(flags.cast_unsigned());
    // Not to listen any more is always permitted.
    let counts = flags & (abi::CMD_CHANNEL_PUBLISH | abi::CMD_CHANNEL_SUBSCRIBE) != 0;
    if let (Some(positions), Ok(position)) = (&mut ctx.channel_positions, usize::try_from(position))
        && counts
        && (1..arguments).contains(&position)
    {
        let is_pattern = flags & abi::CMD_CHANNEL_PATTERN != 0;
        positions.push(ChannelAt { position, is_pattern });
    }
}

pub(super) unsafe extern "C" fn current_name(ctx: *mut abi::Ctx) -> *const c_char {
    // SAFETY: modules pass a live context.
    let Some(ctx) = (unsafe { ModuleCtx::borrow(ctx) }) else { return std::ptr::null() };
    if !ctx.command.ends_with('\0') {
        ctx.command.to_mut().push('\0');
    }
    ctx.command.as_ptr().cast()
}
