//! How does a module come and go? Opening its shared object, the handshake, and the way back.
//!
//! A load that fails leaves nothing: what the module registered is undone before its code is unmapped.
#![expect(unsafe_code, reason = "opens shared objects and calls into them")]

use std::ffi::c_int;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use libloading::os::unix::{Library as UnixLibrary, RTLD_LOCAL, RTLD_NOW};
use mortise_module_abi as abi;

use super::api::{server_events, take_missing};
use super::crash::{self, Missing};
use super::handle::{ModString, ModuleCtx};
use super::host::{Loaded, Module, ModuleHost, SharedFunction, host};
use super::{blocked, logins, settings};
use crate::base::quoting::append_quoted;
use crate::config::rewrite::Extra;
use crate::engine::ctx::ExclusiveCtx;
use crate::engine::hooks::Change;
use crate::engine::registry::Registry;
use crate::engine::state::{ModuleInfo, State};

/// Why a module was not loaded or unloaded.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the text of each variant says what it means")]
pub enum ModuleError {
    #[error("Module {path} failed to load: It does not have execute permissions.")]
    NotExecutable { path: String },
    #[error("Module {path} failed to load: {error}")]
    Open { path: String, error: String },
    #[error(
        "Module {path} does not export RedisModule_OnLoad() or ValkeyModule_OnLoad() symbol. Module \
         not loaded."
    )]
    NoEntry { path: String },
    #[error("Module {path} initialization failed. Module not loaded.{missing}")]
    Refused { path: String, missing: String },
    #[error(
        "Module Configurations were not set, likely a missing LoadConfigs call. Unloading the module. \
         ({path})"
    )]
    NotConfigured { path: String },
    #[error(
        "Loadex configurations were not applied, likely due to invalid arguments. Unloading the \
         module. ({path})"
    )]
    Leftovers { path: String },
    #[error("no such module with that name")]
    Unknown,
    #[error("the module exports one or more module-side data types, can't unload")]
    ExportsTypes,
    #[error(
        "the module exports APIs used by other modules. Please unload them first and try again"
    )]
    ExportsApis,
    #[error("the module has blocked clients. Please wait for them to be unblocked and try again")]
    HasBlocked,
    #[error(
        "the module holds timer that is not fired. Please stop the timer or wait until it fires."
    )]
    HasTimer,
    #[error("operation not possible.")]
    Declined,
}

type OnLoad = unsafe extern "C" fn(*mut abi::Ctx, *mut *mut abi::ModuleString, c_int) -> c_int;
type OnUnload = unsafe extern "C" fn(*mut abi::Ctx) -> c_int;

/// Loads a module as [`load`] does, with values for its parameters. It must take all of them.
pub fn load_with(
    ctx: &mut ExclusiveCtx<'_>,
    path: &str,
    args: &[Vec<u8>],
    given: &[(Vec<u8>, Vec<u8>)],
) -> Result<(), ModuleError> {
    let lower = |name: &[u8]| name.to_ascii_lowercase();
    host().given.lock().extend(given.iter().map(|(name, value)| (lower(name), value.clone())));
    let loaded = load_and_check(ctx, path, args, |host| {
        given.iter().all(|(name, _)| !host.given.lock().contains_key(&lower(name)))
    });
    host().given.lock().retain(|name, _| !given.iter().any(|(own, _)| lower(own) == *name));
    loaded
}

/// Loads a module that comes with the server, which no configuration names.
pub fn load_shipped(ctx: &mut ExclusiveCtx<'_>, path: &str) -> Result<(), ModuleError> {
    load(ctx, path, &[])?;
    if let Some(loaded) = host().records.lock().modules.last_mut() {
        loaded.is_shipped = true;
    }
    Ok(())
}

/// What CONFIG REWRITE writes of the modules: that they are to be loaded.
pub fn directives() -> Extra {
    let records = host().records.lock();
    let line = |loaded: &Loaded| {
        let mut line = [b"loadmodule ", loaded.path.as_bytes()].concat();
        for arg in &loaded.args {
            line.push(b' ');
            append_quoted(&mut line, arg);
        }
        line
    };
    let lines = records.modules.iter().filter(|loaded| !loaded.is_shipped).map(line).collect();
    Extra { name: "loadmodule".to_owned(), lines, force: true }
}

/// Loads the module at `path` with the words behind it.
pub fn load(ctx: &mut ExclusiveCtx<'_>, path: &str, args: &[Vec<u8>]) -> Result<(), ModuleError> {
    load_and_check(ctx, path, args, |_| true)
}

fn load_and_check(
    ctx: &mut ExclusiveCtx<'_>,
    path: &str,
    args: &[Vec<u8>],
    took_all: impl Fn(&ModuleHost) -> bool,
) -> Result<(), ModuleError> {
    let path = std::path::absolute(path).map_or(path.to_owned(), |full| full.display().to_string());
    check_file(&path)?;
    crash::install();
    // SAFETY: the initialisers of a module run here, as its administrator asked for.
    let library = unsafe { UnixLibrary::open(Some(&path), RTLD_NOW | RTLD_LOCAL) };
    let library: libloading::Library = library
        .map_err(|error| ModuleError::Open { path: path.clone(), error: reason(&error) })?
        .into();
    let entry = find_entry(&library).ok_or_else(|| ModuleError::NoEntry { path: path.clone() })?;
    take_missing();
    super::api::context::last_line();
    let Some(module) = call_entry(ctx, entry, args) else {
        let missing = describe_missing();
        return Err(ModuleError::Refused { path, missing });
    };
    if settings::are_unloaded(&module) {
        drop_failed(&module);
        return Err(ModuleError::NotConfigured { path });
    }
    if !took_all(host()) {
        drop_failed(&module);
        return Err(ModuleError::Leftovers { path });
    }
    module.loading.store(false, Ordering::Release);
    let info = ModuleInfo {
        name: module.name.clone(),
        version: i64::from(module.version),
        path: path.clone(),
        args: args.to_vec(),
    };
    ctx.env.shared.modules.lock().push(info);
    let missing = take_missing();
    if !missing.is_empty() {
        tracing::debug!(
            "module {} (version {}) looked for functions that are missing here: {}",
            module.name,
            module.version,
            shorten(&missing)
        );
    }
    // What it calls although it is not there, a crash report names.
    let _ = module.missing.set(missing);
    crash::learn_code(&module, entry as *const ());
    tracing::info!("Module '{}' loaded from {path}", module.name);
    host().records.lock().modules.push(Loaded {
        module: Arc::clone(&module),
        library,
        path,
        args: args.to_vec(),
        is_shipped: false,
    });
    ctx.state.hooks = Some(host().clone());
    publish(ctx);
    server_events::module_changed(ctx, &module, Change::Up);
    Ok(())
}

/// A file without any execute bit is refused, as Redis does.
fn check_file(path: &str) -> Result<(), ModuleError> {
    use std::os::unix::fs::PermissionsExt;
    match std::fs::metadata(path) {
        Ok(meta) if meta.permissions().mode() & 0o111 == 0 => {
            Err(ModuleError::NotExecutable { path: path.to_owned() })
        }
        // What cannot be looked at cannot be opened either, which says why.
        _ => Ok(()),
    }
}

/// The dynamic loader's own words, without the wrapper's.
fn reason(error: &libloading::Error) -> String {
    use std::error::Error;
    error.source().map_or_else(|| error.to_string(), ToString::to_string)
}

fn describe_missing() -> String {
    let missing = take_missing();
    let complaint = super::api::context::last_line();
    let named = |one: &&Missing| {
        let name = &one.name;
        let plain = name.split_once('_').map_or(name.as_str(), |(_, plain)| plain);
        complaint
            .split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .any(|word| word == plain || word == name.as_str())
    };
    match missing.iter().find(named) {
        Some(Missing { name, .. }) => format!(" It needs {name}, which is missing here."),
        None if missing.is_empty() => String::new(),
        None => format!(" It looked for functions that are missing here: {}.", shorten(&missing)),
    }
}

/// Names in a line that people read.
fn shorten(names: &[Missing]) -> String {
    const SHOWN_MAX: usize = 8;
    let plain = |one: &Missing| {
        one.name.split_once('_').map_or(one.name.clone(), |(_, plain)| plain.to_owned())
    };
    let shown: Vec<String> = names.iter().take(SHOWN_MAX).map(plain).collect();
    match names.len().checked_sub(SHOWN_MAX) {
        Some(more) if more > 0 => format!("{} and {more} more", shown.join(", ")),
        _ => shown.join(", "),
    }
}

fn find_entry(library: &libloading::Library) -> Option<OnLoad> {
    for name in [c"ValkeyModule_OnLoad", c"RedisModule_OnLoad"] {
        // SAFETY: a function of this name has this type in every module.
        if let Ok(entry) = unsafe { library.get::<OnLoad>(name.to_bytes_with_nul()) } {
            return Some(*entry);
        }
    }
    None
}

/// Runs the module's entry; on failure undoes what it registered.
fn call_entry(ctx: &mut ExclusiveCtx<'_>, entry: OnLoad, args: &[Vec<u8>]) -> Option<Arc<Module>> {
    let mut words: Vec<*mut abi::ModuleString> =
        args.iter().map(|arg| ModString::handle(ModString::create(arg))).collect();
    let count = words.len() as c_int;
    let (code, module) = ModuleCtx::with_loading(ctx, |handle| {
        // SAFETY: the library is open; the context and the arguments live during the call.
        let code = unsafe { entry(handle, words.as_mut_ptr(), count) };
        // SAFETY: the module has returned.
        let module =
            unsafe { ModuleCtx::borrow(handle) }.and_then(|inner| inner.module.as_deref().cloned());
        (code, module)
    });
    for word in words {
        // SAFETY: one reference to each is ours.
        unsafe { ModString::release(word) };
    }
    match module {
        Some(module) if code != abi::ERR => Some(module),
        module => {
            if let Some(module) = module {
                drop_failed(&module);
            }
            None
        }
    }
}

/// Undoes what a module that failed to load has registered. Nothing of it may run once its code is
/// unmapped.
fn drop_failed(module: &Arc<Module>) {
    module.alive.store(false, Ordering::Release);
    forget(module);
    host().tasks.forget(module);
}

/// Undoes everything that a module registered.
fn forget(module: &Arc<Module>) {
    let is_other = |other: &Arc<Module>| !Arc::ptr_eq(other, module);
    let mut records = host().records.lock();
    records.commands.retain(|one| is_other(&one.module));
    records.types.retain(|one| is_other(&one.module));
    Arc::make_mut(&mut records.subscriptions).retain(|one| is_other(&one.module));
    records.server_subscriptions.retain(|one| is_other(&one.module));
    records.infos.retain(|(owner, _)| is_other(owner));
    records.globals.retain(|one| is_other(&one.module));
    records.gatekeepers.retain(|one| is_other(&one.module));
    records.categories.retain(|(owner, ..)| is_other(owner));
    records.settings.retain(|one| is_other(&one.module));
    records.shared.retain(|_, shared| is_other(&shared.module));
    host().filters.forget(module);
    host().descriptors.forget(module);
    host().children.forget(module);
    records.mirror_turns();
    for shared in records.shared.values_mut() {
        shared.users.retain(is_other);
    }
    drop(records);
    logins::tell_engine();
}

/// Puts a registry with the modules' commands in place, and the mask of events they want.
fn publish(ctx: &mut ExclusiveCtx<'_>) {
    let state: &mut State = ctx.state;
    let workers = ctx.env.shared.workers.len();
    let (own, categories): (Vec<_>, Vec<_>) = {
        let records = host().records.lock();
        let commands = records.commands.iter().map(|one| (None, one.command(workers)));
        let categories = records.categories.iter();
        let categories = categories.map(|(_, name, bit)| (name.as_str().into(), *bit));
        (commands.collect(), categories.collect())
    };
    let built_in = state.registry.commands().iter().filter(|one| one.module.is_none());
    let all = built_in.map(|one| (None, *one)).chain(own);
    let registry = Registry::new(all, state.registry.generation() + 1);
    let hidden = state.registry.hidden().to_vec();
    let registry = Arc::new(registry.with_hidden(hidden).with_categories(categories));
    state.registry = Arc::clone(&registry);
    let shared = ctx.env.shared;
    shared.users.recompute(&registry);
    shared.heard.set_by_modules(host().classes());
    shared.heard.set_topics(host().topics());
    *shared.registry.write() = registry;
    shared.registry_generation.store(state.registry.generation(), Ordering::Release);
}

/// Unloads a module.
pub fn unload(ctx: &mut ExclusiveCtx<'_>, name: &str) -> Result<(), ModuleError> {
    let (module, on_unload) = {
        let records = host().records.lock();
        let loaded = records
            .modules
            .iter()
            .find(|loaded| loaded.module.name == name)
            .ok_or(ModuleError::Unknown)?;
        let module = Arc::clone(&loaded.module);
        if records.types.iter().any(|native| Arc::ptr_eq(&native.module, &module)) {
            return Err(ModuleError::ExportsTypes);
        }
        let is_used = |shared: &SharedFunction| {
            Arc::ptr_eq(&shared.module, &module) && !shared.users.is_empty()
        };
        if records.shared.values().any(is_used) {
            return Err(ModuleError::ExportsApis);
        }
        if blocked::has_blocked(&module) {
            return Err(ModuleError::HasBlocked);
        }
        if host().tasks.has_timer(&module) {
            return Err(ModuleError::HasTimer);
        }
        (module, find_unload(&loaded.library))
    };
    if let Some(on_unload) = on_unload {
        crash::next_is("OnUnload");
        // SAFETY: the module is alive, and the context lives during the call.
        let code =
            ModuleCtx::with(&module, ctx, None, |_| {}, |handle| unsafe { on_unload(handle) });
        if code == abi::ERR {
            return Err(ModuleError::Declined);
        }
    }
    module.alive.store(false, Ordering::Release);
    forget(&module);
    publish(ctx);
    server_events::module_changed(ctx, &module, Change::Down);
    ctx.env.shared.modules.lock().retain(|info| info.name != name);
    crash::forget_code(&module);
    // Its code is unmapped last, when nothing refers to it any more.
    host().records.lock().modules.retain(|loaded| loaded.module.name != name);
    tracing::info!("Module {name} unloaded");
    Ok(())
}

fn find_unload(library: &libloading::Library) -> Option<OnUnload> {
    for name in [c"ValkeyModule_OnUnload", c"RedisModule_OnUnload"] {
        // SAFETY: a function of this name has this type in every module.
        if let Ok(function) = unsafe { library.get::<OnUnload>(name.to_bytes_with_nul()) } {
            return Some(*function);
        }
    }
    None
}
