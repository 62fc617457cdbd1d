//! Which modules are there, and what have they registered? The host's own records.
//!
//! There is one host per process, because functions of the ABI such as `IsModuleNameBusy` come without
//! a context. Its records have a lock of their own, held only for moments and never while foreign code
//! runs.

use std::collections::{HashMap, VecDeque};
use std::ffi::{CStr, CString, c_int, c_void};
use std::mem::ManuallyDrop;
use std::ops::{Deref, Range};
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::{Arc, OnceLock};

use mortise_module_abi as abi;
use parking_lot::Mutex;

use super::api::server_events;
use super::blocked::Blocked;
use super::command::ForeignHandler;
use super::crash::{self, Missing};
use super::defrag::{Globals, Place};
use super::descriptors::Descriptors;
use super::filters::Filters;
use super::fork::Children;
use super::handle::{ModString, ModuleCtx, with_engine};
use super::logins::{self, Gatekeeper, Progress};
use super::native::NativeType;
use super::promise::Promise;
use super::settings::Setting;
use super::tasks::Tasks;
use crate::base::moving::Mover;
use crate::engine::ctx::ExclusiveCtx;
use crate::engine::effects::EventClass;
use crate::engine::hooks::{
    DefragPart, Hooks, KeyEvent, ModuleTies, ServerEvent, TypeData, TypeDataError,
};
use crate::engine::lock::Engine;
use crate::engine::log_in::{LogIn, Wish};
use crate::engine::spec::Argv;
use crate::engine::state::{Shared, State};
use crate::object::module::TypeVtable;

/// Levels of notifications that cause notifications before the innermost are left out.
const NESTED_EVENTS_MAX: i32 = 16;

/// Names of events shorter than this, as all of ours are, cost no allocation.
const EVENT_NAME_BYTES_USUAL: usize = 32;

/// The options that INFO shows, by its names for them.
const OPTION_NAMES: &[(c_int, &str)] = &[
    (abi::OPTIONS_HANDLE_IO_ERRORS, "handle-io-errors"),
    (abi::OPTIONS_HANDLE_REPL_ASYNC_LOAD, "handle-repl-async-load"),
    (abi::OPTION_NO_IMPLICIT_SIGNAL_MODIFIED, "no-implicit-signal-modified"),
];

/// A loaded module.
#[derive(Debug)]
pub struct Module {
    /// The name it gave itself.
    pub name: String,
    /// The version it gave itself.
    pub version: c_int,
    /// The options it set (`SetModuleOptions`).
    pub options: AtomicI32,
    /// Its code may run; false while and after it is unloaded.
    pub alive: AtomicBool,
    /// It is loading: what belongs to its commands and types may be registered.
    pub loading: AtomicBool,
    /// Its parameters have their first values.
    pub configured: AtomicBool,
    /// Calls of commands that it is inside of.
    pub calls: AtomicI32,
    /// The functions that it looked for in vain while it loaded.
    pub missing: OnceLock<Vec<Missing>>,
    /// Where its code lies.
    pub code: OnceLock<Range<usize>>,
}

/// The module of a context. The count of its holders is left alone where whoever calls holds it as long as the
/// context is there: two exchanges with other cores less for each command.
pub struct ModuleRef {
    module: ManuallyDrop<Arc<Module>>,
    is_lent: bool,
}

#[expect(unsafe_code, reason = "borrows where a count would cost")]
impl ModuleRef {
    /// Holds a module.
    pub fn held(module: Arc<Module>) -> Self {
        Self { module: ManuallyDrop::new(module), is_lent: false }
    }

    /// Borrows a module.
    ///
    /// # Safety
    /// `module` is held until the result is gone.
    pub unsafe fn lent(module: &Arc<Module>) -> Self {
        // SAFETY: the pointer comes from an Arc that lives at least as long as this one, which counts nothing up
        // and, as it is lent, never down.
        let module = unsafe { Arc::from_raw(Arc::as_ptr(module)) };
        Self { module: ManuallyDrop::new(module), is_lent: true }
    }
}

impl Deref for ModuleRef {
    type Target = Arc<Module>;

    fn deref(&self) -> &Arc<Module> {
        &self.module
    }
}

#[expect(unsafe_code, reason = "drops what is not lent")]
impl Drop for ModuleRef {
    fn drop(&mut self) {
        if !self.is_lent {
            // SAFETY: dropped here once, and not used afterwards.
            unsafe { ManuallyDrop::drop(&mut self.module) };
        }
    }
}

/// A pointer that foreign code gave to the host to hand back later.
#[derive(Clone, Copy, Debug)]
pub struct Foreign(pub *mut c_void);

// SAFETY: the host never follows the pointer; it goes back to the module under the exclusive lock.
#[expect(unsafe_code, reason = "pointers of modules are kept in records shared by threads")]
unsafe impl Send for Foreign {}

/// A subscription to keyspace events.
#[derive(Clone, Debug)]
pub struct Subscription {
    /// Whose it is.
    pub module: Arc<Module>,
    /// The classes it wants.
    pub classes: c_int,
    /// Its callback.
    pub callback: abi::NotificationFunc,
    /// It is running: what it does itself it does not hear of, unless the module asked for that.
    pub active: Arc<AtomicBool>,
}

/// A subscription to a server event.
#[derive(Clone, Debug)]
pub struct ServerSubscription {
    /// Whose it is.
    pub module: Arc<Module>,
    /// The event's number.
    pub event: u64,
    /// Its callback.
    pub callback: abi::EventFunc,
}

/// A function that a module shares with others.
#[derive(Clone, Debug)]
pub struct SharedFunction {
    /// Whose it is.
    pub module: Arc<Module>,
    /// Its address.
    pub function: Foreign,
    /// The other modules that asked for it.
    pub users: Vec<Arc<Module>>,
}

/// What modules have registered.
#[derive(Debug, Default)]
pub struct Records {
    /// The modules, with their shared objects.
    pub modules: Vec<Loaded>,
    /// Their commands.
    pub commands: Vec<&'static ForeignHandler>,
    /// ACL categories of their own, with their bits.
    pub categories: Vec<(Arc<Module>, String, u64)>,
    /// Their types.
    pub types: Vec<Arc<NativeType>>,
    /// Their keyspace subscriptions, in order. An event holds on to the list while it goes round.
    pub subscriptions: Arc<Vec<Subscription>>,
    /// Their server event subscriptions.
    pub server_subscriptions: Vec<ServerSubscription>,
    /// Their INFO functions.
    pub infos: Vec<(Arc<Module>, abi::InfoFunc)>,
    /// What they move of what belongs to no key.
    pub globals: Vec<Globals>,
    /// Those of them that have a say in who logs in, in the order of their registration.
    pub gatekeepers: Vec<Gatekeeper>,
    /// Functions they share.
    pub shared: HashMap<Vec<u8>, SharedFunction>,
    /// Their parameters.
    pub settings: Vec<Arc<Setting>>,
}

impl Records {
    /// Lets the engine know whether a module wants to hear of each turn of an event loop.
    pub fn mirror_turns(&self) {
        let wants = self.server_subscriptions.iter().any(|one| one.event == abi::EVENT_EVENTLOOP);
        if let Some(engine) = host().engine.get() {
            engine.shared.attached.set_turns(wants);
        }
    }
}

/// A module and its shared object.
#[derive(Debug)]
pub struct Loaded {
    /// The module.
    pub module: Arc<Module>,
    /// Its shared object; closing it unmaps the code.
    pub library: libloading::Library,
    /// The file.
    pub path: String,
    /// The words behind it.
    pub args: Vec<Vec<u8>>,
    /// It comes with the server, and no configuration names it.
    pub is_shipped: bool,
}

/// Something that a module wants done at the end of the unit.
#[derive(Debug)]
pub struct Job {
    /// Whose it is.
    pub module: Arc<Module>,
    /// What is called.
    pub callback: abi::PostNotificationJobFunc,
    /// With what.
    pub data: Foreign,
    /// Frees that afterwards.
    pub free: abi::FreeFunc,
    /// The db to select.
    pub db: u32,
}

/// The host.
#[derive(Debug, Default)]
pub struct ModuleHost {
    /// What modules have registered.
    pub records: Mutex<Records>,
    /// Values that the administrator has set for parameters of modules not loaded yet, by their names in
    /// lower case.
    pub given: Mutex<HashMap<Vec<u8>, Vec<u8>>>,
    /// The engine, once the server has one.
    pub engine: OnceLock<Arc<Engine>>,
    /// What the main thread is to do for modules.
    pub tasks: Tasks,
    /// The blocked clients, by the address that is their handle.
    pub blocked: Mutex<HashMap<usize, Arc<Blocked>>>,
    /// Filters of commands.
    pub filters: Filters,
    /// Descriptors that modules have watched.
    pub descriptors: Descriptors,
    /// The child that a module has forked.
    pub children: Children,
    /// Commands called by modules that wait, by the numbers of their clients.
    pub promises: Mutex<HashMap<u64, Arc<Promise>>>,
    /// Clients that wait to log in, by their numbers.
    pub logins: Mutex<HashMap<u64, Progress>>,
    /// Jobs for the end of the unit that is running.
    pub jobs: Mutex<VecDeque<Job>>,
    /// How far a round of defragmentation has come with what belongs to no key.
    pub globals_at: Mutex<Place>,
    depth: AtomicI32,
}

/// The process's host.
pub fn host() -> &'static Arc<ModuleHost> {
    static HOST: OnceLock<Arc<ModuleHost>> = OnceLock::new();
    HOST.get_or_init(Arc::default)
}

impl ModuleHost {
    /// Adds a subscription to keyspace events.
    pub fn subscribe(&self, subscription: Subscription) {
        Arc::make_mut(&mut self.records.lock().subscriptions).push(subscription);
        if let Some(engine) = self.engine.get() {
            engine.shared.heard.set_by_modules(self.classes());
        }
    }

    /// Takes back the first subscription of a module to just these classes with this callback; false if there is none.
    pub fn unsubscribe(
        &self,
        module: &Arc<Module>,
        classes: c_int,
        callback: abi::NotificationFunc,
    ) -> bool {
        let address = |callback: abi::NotificationFunc| callback.map(|callback| callback as usize);
        let is_it = |one: &Subscription| {
            one.classes == classes
                && Arc::ptr_eq(&one.module, module)
                && address(one.callback) == address(callback)
        };
        let mut records = self.records.lock();
        let Some(at) = records.subscriptions.iter().position(is_it) else { return false };
        Arc::make_mut(&mut records.subscriptions).remove(at);
        drop(records);
        if let Some(engine) = self.engine.get() {
            engine.shared.heard.set_by_modules(self.classes());
        }
        true
    }

    /// What modules want to hear of the server, a bit for each event.
    pub fn topics(&self) -> u32 {
        let records = self.records.lock();
        records.server_subscriptions.iter().fold(0, |all, one| all | 1 << one.event)
    }

    /// The classes of events that some module wants.
    pub fn classes(&self) -> EventClass {
        let records = self.records.lock();
        let all = records.subscriptions.iter().fold(0, |all, one| all | one.classes);
        EventClass::from_bits_truncate(all as u32)
    }

    fn call_subscriber(
        &self,
        ctx: &mut ExclusiveCtx<'_>,
        subscription: &Subscription,
        event: &KeyEvent<'_>,
        name: &CStr,
    ) {
        let Some(callback) = subscription.callback else { return };
        let module = &subscription.module;
        let nested_allowed = module.options.load(Ordering::Relaxed)
            & abi::OPTIONS_ALLOW_NESTED_KEYSPACE_NOTIFICATIONS
            != 0;
        if subscription.active.load(Ordering::Relaxed) && !nested_allowed {
            return;
        }
        subscription.active.store(true, Ordering::Relaxed);
        // No key goes while the module looks, however long it takes.
        let trusts = std::mem::replace(&mut ctx.unit.trusts, true);
        let key = ModString::create(event.key);
        crash::next_is("keyspace event");
        ModuleCtx::with(
            module,
            ctx,
            None,
            |_| {},
            |handle| {
                // SAFETY: the module is alive; it gets a live context, a C string and a live string.
                #[expect(unsafe_code, reason = "calls a module")]
                unsafe {
                    callback(
                        handle,
                        event.class.bits() as c_int,
                        name.as_ptr(),
                        ModString::handle(key),
                    );
                }
            },
        );
        // SAFETY: the reference made above is given up.
        #[expect(unsafe_code, reason = "strings of modules are counted by hand")]
        unsafe {
            ModString::release(ModString::handle(key));
        }
        ctx.unit.trusts = trusts;
        subscription.active.store(false, Ordering::Relaxed);
    }
}

/// Runs `f` with a text as C has it: on the stack unless it is long. One with a NUL inside has no C form,
/// and `f` is not run.
fn with_c_text(text: &str, f: impl FnOnce(&CStr)) {
    let mut buf = [0u8; EVENT_NAME_BYTES_USUAL];
    if let Some(room) = buf.get_mut(..text.len()).filter(|_| text.len() < EVENT_NAME_BYTES_USUAL) {
        room.copy_from_slice(text.as_bytes());
        if let Ok(text) = CStr::from_bytes_with_nul(&buf[..=text.len()]) {
            f(text);
        }
    } else if let Ok(text) = CString::new(text) {
        f(&text);
    }
}

impl Hooks for ModuleHost {
    fn filter(&self, ctx: &mut ExclusiveCtx<'_>, argv: Argv<'_>) -> Vec<Box<[u8]>> {
        self.filters.pass(ctx, argv)
    }

    fn lend(&self, ctx: &mut ExclusiveCtx<'_>, f: &mut dyn FnMut()) {
        with_engine(ctx, f);
    }

    fn turn(&self, state: &mut State, shared: &Shared) {
        super::tasks::turn(state, shared);
    }

    fn key_event(&self, ctx: &mut ExclusiveCtx<'_>, event: &KeyEvent<'_>) {
        let subscribers = Arc::clone(&self.records.lock().subscriptions);
        let wants = |one: &&Subscription| one.classes & event.class.bits() as c_int != 0;
        if self.depth.fetch_add(1, Ordering::Relaxed) < NESTED_EVENTS_MAX {
            with_c_text(event.name, |name| {
                for subscription in subscribers.iter().filter(wants) {
                    // One before may have selected another.
                    ctx.session.db = event.db;
                    self.call_subscriber(ctx, subscription, event, name);
                }
            });
        }
        self.depth.fetch_sub(1, Ordering::Relaxed);
    }

    fn server_event(&self, ctx: &mut ExclusiveCtx<'_>, event: ServerEvent<'_>) {
        server_events::tell(ctx, event);
    }

    fn module_type(&self, id: u64) -> Option<Arc<dyn TypeVtable>> {
        // The lowest bits are the version of the encoding, of which a type reads several.
        let records = self.records.lock();
        let found = records.types.iter().find(|native| native.id >> 10 == id >> 10)?;
        Some(Arc::clone(found) as Arc<dyn TypeVtable>)
    }

    fn module_ties(&self, name: &str) -> ModuleTies {
        let records = self.records.lock();
        let mut ties = ModuleTies::default();
        for shared in records.shared.values() {
            let users = shared.users.iter().map(|user| user.name.as_str());
            if shared.module.name == name {
                ties.used_by.extend(users.map(str::to_owned));
            } else if users.into_iter().any(|user| user == name) {
                ties.uses.push(shared.module.name.clone());
            }
        }
        for names in [&mut ties.used_by, &mut ties.uses] {
            names.sort_unstable();
            names.dedup();
        }
        if let Some(loaded) = records.modules.iter().find(|loaded| loaded.module.name == name) {
            let options = loaded.module.options.load(Ordering::Relaxed);
            let set = OPTION_NAMES.iter().filter(|(bit, _)| options & bit != 0);
            ties.options = set.map(|(_, name)| *name).collect();
        }
        ties
    }

    fn move_globals(&self, part: DefragPart, mover: &mut Mover<'_>) -> bool {
        self.defragment(part, mover)
    }

    fn save_data(&self, when: i32) -> Vec<TypeData> {
        let types = self.records.lock().types.clone();
        let data = |native: &Arc<NativeType>| {
            Some(TypeData { id: native.id, items: native.save_data(when)? })
        };
        types.iter().filter_map(data).collect()
    }

    fn load_data(&self, id: u64, when: i32, items: &[u8]) -> Result<usize, TypeDataError> {
        let found = {
            let records = self.records.lock();
            records.types.iter().find(|native| native.id >> 10 == id >> 10).cloned()
        };
        let native = found.ok_or(TypeDataError::NoType)?;
        if native.methods.aux_load.is_none() {
            return Err(TypeDataError::NoData);
        }
        native.load_data(items, when, (id & 1023) as c_int).ok_or(TypeDataError::Refused)
    }

    fn unit_end(&self, ctx: &mut ExclusiveCtx<'_>) {
        loop {
            // A statement of its own, so that the queue is not locked while the job runs.
            let next = self.jobs.lock().pop_front();
            let Some(job) = next else { return };
            ctx.session.db = job.db;
            crash::next_is("post-notification job");
            ModuleCtx::with(
                &job.module,
                ctx,
                None,
                |_| {},
                |handle| {
                    if let Some(callback) = job.callback {
                        // SAFETY: the module is alive; the context lives during the call.
                        #[expect(unsafe_code, reason = "calls a module")]
                        unsafe {
                            callback(handle, job.data.0);
                        }
                    }
                },
            );
            if let Some(free) = job.free {
                // SAFETY: the module gets back what it handed over, once.
                #[expect(unsafe_code, reason = "calls a module")]
                unsafe {
                    free(job.data.0);
                }
            }
        }
    }

    fn log_in(&self, ctx: &mut ExclusiveCtx<'_>, wish: Wish<'_, '_>) -> LogIn {
        logins::log_in(ctx, wish)
    }

    fn info(&self, _: &mut ExclusiveCtx<'_>) -> Vec<(String, String)> {
        let infos = self.records.lock().infos.clone();
        let mut sections = Vec::new();
        for (module, callback) in infos {
            sections.extend(super::api::info::collect(&module, callback));
        }
        sections
    }
}
