//! Which modules look at commands before they are looked up, and what do they make of them?
//!
//! Filters run in the order of their registration under the exclusive lock, each on what the one before it has left.
//! The list has a lock of its own, held only for moments and never while foreign code runs.
#![expect(unsafe_code, reason = "calls modules, and counts their strings by hand")]

use std::ffi::c_int;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use mortise_module_abi as abi;
use parking_lot::Mutex;

use super::crash;
use super::handle::{ModString, ModuleCtx};
use super::host::{Module, host};
use crate::engine::client::Mode;
use crate::engine::ctx::ExclusiveCtx;
use crate::engine::spec::Argv;

/// A filter; its number is the handle that the module gets.
#[derive(Clone, Debug)]
struct Filter {
    number: u64,
    module: Arc<Module>,
    callback: abi::CommandFilterFunc,
    /// `CMDFILTER_*`.
    flags: c_int,
}

/// The filters that are registered.
#[derive(Debug, Default)]
pub struct Filters {
    list: Mutex<Arc<Vec<Filter>>>,
    numbers: AtomicU64,
    /// What filters see as the client of calls that no client has sent.
    internal_client: OnceLock<u64>,
}

/// A command on its way through the filters; the target of `CommandFilterCtx` handles.
#[derive(Debug)]
pub struct Command {
    /// Its arguments, of which it holds a reference each.
    pub args: Vec<*mut abi::ModuleString>,
    /// The client that it comes from.
    pub client: u64,
}

impl Command {
    fn handle(&mut self) -> *mut abi::CommandFilterCtx {
        std::ptr::from_mut(self).cast()
    }
}

impl Drop for Command {
    fn drop(&mut self) {
        for arg in self.args.drain(..) {
            // SAFETY: the command holds a reference to each argument, and gives it up here.
            unsafe { ModString::release(arg) };
        }
    }
}

impl Filters {
    /// Adds a filter; its number, which is never 0.
    pub fn add(&self, module: &Arc<Module>, callback: abi::CommandFilterFunc, flags: c_int) -> u64 {
        let number = self.numbers.fetch_add(1, Ordering::Relaxed) + 1;
        let filter = Filter { number, module: Arc::clone(module), callback, flags };
        Arc::make_mut(&mut self.list.lock()).push(filter);
        self.mirror();
        number
    }

    /// Removes a filter of this module; false if it has none of this number.
    pub fn remove(&self, module: &Arc<Module>, number: u64) -> bool {
        self.retain(|one| one.number != number || !Arc::ptr_eq(&one.module, module))
    }

    /// Removes the filters of a module.
    pub fn forget(&self, module: &Arc<Module>) {
        self.retain(|one| !Arc::ptr_eq(&one.module, module));
    }

    /// Whether that has removed some.
    fn retain(&self, keep: impl Fn(&Filter) -> bool) -> bool {
        let mut list = self.list.lock();
        let before = list.len();
        if list.iter().any(|one| !keep(one)) {
            Arc::make_mut(&mut list).retain(keep);
        }
        let removed = list.len() < before;
        drop(list);
        self.mirror();
        removed
    }

    /// Lets the engine know whether there are any.
    pub fn mirror(&self) {
        if let Some(engine) = host().engine.get() {
            engine.shared.attached.set_filters(!self.list.lock().is_empty());
        }
    }

    /// Has all filters look at a command; its arguments afterwards.
    pub fn pass(&self, ctx: &mut ExclusiveCtx<'_>, argv: Argv<'_>) -> Vec<Box<[u8]>> {
        let is_internal = ctx.session.mode.intersects(Mode::SCRIPT | Mode::MODULE);
        let client = match ctx.env.client.filter(|_| !is_internal) {
            Some(client) => client.id,
            None => self.internal_client(ctx),
        };
        self.pass_as(client, ctx, argv)
    }

    /// The same for a command that a module calls.
    pub fn pass_call(&self, ctx: &mut ExclusiveCtx<'_>, argv: Argv<'_>) -> Vec<Box<[u8]>> {
        self.pass_as(self.internal_client(ctx), ctx, argv)
    }

    fn pass_as(&self, client: u64, ctx: &mut ExclusiveCtx<'_>, argv: Argv<'_>) -> Vec<Box<[u8]>> {
        let list = Arc::clone(&self.list.lock());
        let args = argv.iter().map(|arg| ModString::handle(ModString::create(arg))).collect();
        let mut command = Command { args, client };
        for Filter { module, callback, flags, .. } in list.iter() {
            let is_own = module.calls.load(Ordering::Relaxed) > 0;
            let Some(callback) = callback.filter(|_| module.alive.load(Ordering::Acquire)) else {
                continue;
            };
            if flags & abi::CMDFILTER_NOSELF != 0 && is_own {
                continue;
            }
            let handle = command.handle();
            crash::next_is("command filter");
            ModuleCtx::with(
                module,
                ctx,
                None,
                |_| {},
                |_| {
                    // SAFETY: the module is alive; the command lives during the call, in which it is used through the
                    // handle only.
                    unsafe { callback(handle) }
                },
            );
        }
        let bytes = |arg: &*mut abi::ModuleString| {
            // SAFETY: the command holds a reference to each argument.
            unsafe { ModString::borrow(*arg) }.map_or(&[][..], ModString::as_bytes).into()
        };
        command.args.iter().map(bytes).collect()
    }

    /// Calls of scripts and modules come from a client inside the server, which has a number like the others.
    fn internal_client(&self, ctx: &ExclusiveCtx<'_>) -> u64 {
        let next = || ctx.env.shared.next_client.fetch_add(1, Ordering::Relaxed);
        *self.internal_client.get_or_init(next)
    }
}

/// Counts that a module is inside a call of a command, as long as it lives.
#[derive(Debug)]
pub struct Calling(Option<Arc<Module>>);

impl Calling {
    /// The module begins to call a command.
    pub fn begin(module: Option<&Arc<Module>>) -> Self {
        if let Some(module) = module {
            module.calls.fetch_add(1, Ordering::Relaxed);
        }
        Self(module.cloned())
    }
}

impl Drop for Calling {
    fn drop(&mut self) {
        if let Some(module) = &self.0 {
            module.calls.fetch_sub(1, Ordering::Relaxed);
        }
    }
}
