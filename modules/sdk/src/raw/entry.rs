//! What happens when the server loads the module, and how do its calls find their handlers?
//!
//! A command callback gets no data of its own, so each command has a C function of its own: an
//! instance of [`command_entry`] for its place in the list of all commands. There are as many
//! instances as a module may have commands.

use std::ffi::{c_char, c_int, c_void};

use mortise_module_abi as abi;

use super::context::{Ctx, ok};
use super::strings::{Arg, OwnedString, free_dropped};
use super::{alloc, bind, bound, boundary, c_string, log_raw, need};
use crate::dispatch;
use crate::error::Error;
use crate::events::{KeyspaceEvent, NotifyClass};
use crate::module::{COMMANDS_MAX, Module};

/// The body of `RedisModule_OnLoad`.
///
/// # Safety
/// Called by the server, with what it passes to `RedisModule_OnLoad`.
#[doc(hidden)]
pub unsafe fn load(
    ctx: *mut abi::Ctx,
    argv: *mut *mut abi::ModuleString,
    argc: c_int,
    module: &'static Module,
) -> c_int {
    if ctx.is_null() {
        return abi::ERR;
    }
    // SAFETY: the first word of the load context is the function that finds the others.
    let get_api = unsafe { (*ctx.cast::<abi::CtxHead>()).get_api };
    let Some(get_api) = get_api else { return abi::ERR };
    let bound = match bind(get_api) {
        Ok(bound) => bound,
        Err(error) => {
            // Without the API there is no log to write to.
            eprintln!("module {}: {error}", module.name);
            return abi::ERR;
        }
    };
    // SAFETY: the server's context and arguments are live during this call.
    let (Some(ctx), args) = (unsafe { (Ctx::from_ptr(ctx), Arg::from_argv(argv, argc)) }) else {
        return abi::ERR;
    };
    let accounted = alloc::bind(&bound.api);
    let name = c_string(module.name);
    // SAFETY: the name is a C string.
    if bound.api.IsModuleNameBusy.is_some_and(|busy| unsafe { busy(name.as_ptr()) } != 0) {
        log_raw(None, abi::LOGLEVEL_WARNING, &format!("a module {} is loaded", module.name));
        return abi::ERR;
    }
    let attribs = bound.core.SetModuleAttribs;
    // SAFETY: the context is live; the server copies the name.
    unsafe { attribs(ctx.ptr(), name.as_ptr(), module.version, abi::APIVER_1) };
    if !accounted {
        let text = "memory is not accounted: too much was allocated before loading";
        log_raw(Some(ctx), abi::LOGLEVEL_WARNING, text);
    }
    match boundary(|| dispatch::load(ctx, args, module)) {
        Ok(Ok(())) => abi::OK,
        Ok(Err(error)) => {
            let text = error.to_string();
            let text = text.strip_prefix("ERR ").unwrap_or(&text);
            log_raw(Some(ctx), abi::LOGLEVEL_WARNING, &format!("loading failed: {text}"));
            abi::ERR
        }
        Err(_) => abi::ERR,
    }
}

/// The body of `RedisModule_OnUnload`.
///
/// # Safety
/// Called by the server, with what it passes to `RedisModule_OnUnload`.
#[doc(hidden)]
pub unsafe fn unload(ctx: *mut abi::Ctx) -> c_int {
    // SAFETY: the server's context is live during this call.
    let Some(ctx) = (unsafe { Ctx::from_ptr(ctx) }) else { return abi::ERR };
    match boundary(|| dispatch::unload(ctx)) {
        Ok(Ok(())) => abi::OK,
        Ok(Err(error)) => {
            log_raw(Some(ctx), abi::LOGLEVEL_WARNING, &format!("not unloaded: {error}"));
            abi::ERR
        }
        Err(_) => abi::ERR,
    }
}

unsafe extern "C" fn command_entry<const INDEX: usize>(
    ctx: *mut abi::Ctx,
    argv: *mut *mut abi::ModuleString,
    argc: c_int,
) -> c_int {
    // SAFETY: the server's context and arguments are live during this call.
    let (ctx, args) = unsafe { (Ctx::from_ptr(ctx), Arg::from_argv(argv, argc)) };
    free_dropped();
    if let Some(ctx) = ctx {
        dispatch::run_command(INDEX, ctx, args);
    }
    abi::OK
}

/// One [`command_entry`] for each place, 16 rows of 16.
const COMMAND_ENTRIES: [[abi::CmdFunc; 16]; COMMANDS_MAX / 16] = {
    macro_rules! row {
        ($row:literal: $($column:literal)*) => {
            [$(Some(command_entry::<{ $row * 16 + $column }>)),*]
        };
    }
    macro_rules! rows {
        ($($row:literal)*) => { [$(row!($row: 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15)),*] };
    }
    rows!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15)
};

/// A command's registration, as the server wants it.
pub(crate) struct CommandEntry<'a> {
    pub(crate) name: &'a str,
    pub(crate) flags: &'a str,
    pub(crate) first: c_int,
    pub(crate) last: c_int,
    pub(crate) step: c_int,
    /// Its place in the list of all commands; None for a command that only holds subcommands, which
    /// the server wants to have no function.
    pub(crate) index: Option<usize>,
}

impl Ctx<'_> {
    pub(crate) fn create_command(self, entry: &CommandEntry<'_>) -> Result<(), Error> {
        let (name, flags) = (c_string(entry.name), c_string(entry.flags));
        let function = entry.index.and_then(|index| COMMAND_ENTRIES[index / 16][index % 16]);
        // SAFETY: the context is live; the server copies the texts.
        let status = unsafe {
            (bound().core.CreateCommand)(
                self.ptr(),
                name.as_ptr(),
                function,
                flags.as_ptr(),
                entry.first,
                entry.last,
                entry.step,
            )
        };
        ok(status, "CreateCommand")
    }

    pub(crate) fn create_subcommand(
        self,
        parent: &str,
        entry: &CommandEntry<'_>,
    ) -> Result<(), Error> {
        let create = need!(CreateSubcommand);
        let parent = self.command(parent)?;
        let (name, flags) = (c_string(entry.name), c_string(entry.flags));
        let function = entry.index.and_then(|index| COMMAND_ENTRIES[index / 16][index % 16]);
        // SAFETY: the parent is a command of this module; the server copies the texts.
        let status = unsafe {
            create(
                parent,
                name.as_ptr(),
                function,
                flags.as_ptr(),
                entry.first,
                entry.last,
                entry.step,
            )
        };
        ok(status, "CreateSubcommand")
    }

    /// The handle of a command of this module.
    pub(super) fn command(self, name: &str) -> Result<*mut abi::Command, Error> {
        let get_command = need!(GetCommand);
        let name = c_string(name);
        // SAFETY: the context is live.
        let command = unsafe { get_command(self.ptr(), name.as_ptr()) };
        if command.is_null() { Err(Error::Refused("GetCommand")) } else { Ok(command) }
    }

    pub(crate) fn set_command_categories(
        self,
        command: &str,
        categories: &str,
    ) -> Result<(), Error> {
        let set = need!(SetCommandACLCategories);
        let command = self.command(command)?;
        let categories = c_string(categories);
        // SAFETY: the command is this module's; the server copies the text.
        ok(unsafe { set(command, categories.as_ptr()) }, "SetCommandACLCategories")
    }

    pub(crate) fn set_command_parallel(self, command: &str) -> Result<(), Error> {
        let set = need!(MortiseSetCommandParallel);
        let command = self.command(command)?;
        // SAFETY: the command is this module's. What the call promises the compiler has checked: handlers get
        // only what is `Sync` to share with each other, and the context of a parallel command changes nothing.
        ok(unsafe { set(command) }, "MortiseSetCommandParallel")
    }

    pub(crate) fn add_category(self, name: &str) -> Result<(), Error> {
        let add = need!(AddACLCategory);
        let name = c_string(name);
        // SAFETY: the context is live; the server copies the name.
        ok(unsafe { add(self.ptr(), name.as_ptr()) }, "AddACLCategory")
    }

    pub(crate) fn subscribe_to_keyspace(self, classes: NotifyClass) -> Result<(), Error> {
        let subscribe = need!(SubscribeToKeyspaceEvents);
        // SAFETY: the context is live.
        let status = unsafe { subscribe(self.ptr(), classes.bits(), Some(keyspace_event)) };
        ok(status, "SubscribeToKeyspaceEvents")
    }

    pub(crate) fn subscribe_to_server(self, event: u64) -> Result<(), Error> {
        let subscribe = need!(SubscribeToServerEvent);
        // SAFETY: the context is live.
        let status = unsafe { subscribe(self.ptr(), abi::Event::new(event), Some(server_event)) };
        ok(status, "SubscribeToServerEvent")
    }
}

unsafe extern "C" fn keyspace_event(
    ctx: *mut abi::Ctx,
    class: c_int,
    event: *const c_char,
    key: *mut abi::ModuleString,
) -> c_int {
    // SAFETY: the server's context and key are live during this call.
    let (ctx, key) = unsafe { (Ctx::from_ptr(ctx), Arg::from_ptr(key)) };
    // SAFETY: the event's name is a C string that lives during this call.
    let name = unsafe { text(event) };
    if let (Some(ctx), Some(key)) = (ctx, key) {
        // The name of a key that is being loaded may lie on the server's stack, where functions that
        // take a key cannot share it.
        let held =
            NotifyClass::from_bits(class).intersects(NotifyClass::LOADED).then(|| key.hold());
        let key = held.as_ref().map_or(key, OwnedString::as_arg);
        let event = KeyspaceEvent { class: NotifyClass::from_bits(class), name, key };
        boundary(|| dispatch::keyspace_event(ctx, &event)).ok();
    }
    abi::OK
}

unsafe extern "C" fn server_event(
    ctx: *mut abi::Ctx,
    event: abi::Event,
    subevent: u64,
    data: *mut c_void,
) {
    // SAFETY: the server's context is live during this call; the data is what the event's id says.
    let (ctx, event) =
        unsafe { (Ctx::from_ptr(ctx), super::tables::server_event(event.id, subevent, data)) };
    if let (Some(ctx), Some(event)) = (ctx, event) {
        boundary(|| dispatch::server_event(ctx, &event)).ok();
    }
}

/// A C string of the server as text; what is not UTF-8 becomes empty.
///
/// # Safety
/// `text` is NULL or a C string that lives during `'a`.
pub(super) unsafe fn text<'a>(text: *const c_char) -> &'a str {
    if text.is_null() {
        return "";
    }
    // SAFETY: by the caller.
    unsafe { std::ffi::CStr::from_ptr(text) }.to_str().unwrap_or("")
}
