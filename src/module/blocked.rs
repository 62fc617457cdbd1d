//! How does a client wait for a module? From BlockClient until the module has unblocked the handle.
//!
//! A handle is good for one unblock and lives until that has been carried out, whatever became of the
//! client. Modules unblock from any thread; everything else, the callbacks too, happens on the main
//! thread under the exclusive lock ([`super::tasks`]). The client leaves the handle at most once: when
//! it is unblocked, when its time is over, or when it disconnects; from then on nobody is answered.
//! Handles are found by their address in a table, so that one used twice is refused and not followed.
#![expect(unsafe_code, reason = "calls modules")]

use std::cell::UnsafeCell;
use std::ffi::{c_int, c_void};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use mortise_module_abi as abi;
use parking_lot::Mutex;

use super::handle::{ModString, ModuleCtx};
use super::host::{Foreign, Module, host};
use super::tasks::in_unit;
use crate::engine::client::{Client, Mode, Session};
use crate::engine::ctx::ExclusiveCtx;
use crate::engine::state::{Shared, State};
use crate::resp::reply::{Protocol, Reply};

/// Which callback of a blocked client a context is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// The module has unblocked it.
    Reply,
    /// Its time is over.
    Timeout,
    /// It has disconnected.
    Disconnect,
    /// A thread prepares the answer.
    Thread,
}

/// What a context knows of the blocked client that it is for.
#[derive(Clone, Debug)]
pub struct BlockedCall {
    /// The client's handle.
    pub blocked: Arc<Blocked>,
    /// Which callback it is.
    pub purpose: Purpose,
    /// What the module handed over with the unblock.
    pub data: Foreign,
}

/// The target of `BlockedClient` handles.
pub struct Blocked {
    /// Whose command it was.
    pub module: Arc<Module>,
    /// Who waits; None if blocking was refused.
    pub client: Option<Arc<Client>>,
    /// The db that was selected.
    pub db: u32,
    /// The protocol of the reply.
    pub protocol: Protocol,
    command: String,
    argv: Vec<Box<[u8]>>,
    timeout: abi::CmdFunc,
    free: abi::FreePrivdataFunc,
    wait: Mutex<Wait>,
    /// What threads have replied through contexts of the handle.
    replies: UnsafeCell<Vec<u8>>,
}

// SAFETY: the pointers in it go back to the module only. The replies are written by the thread that
// prepares the answer, before it unblocks the handle, and read by the main thread afterwards; the queue
// between them orders the two.
unsafe impl Send for Blocked {}
// SAFETY: as above.
unsafe impl Sync for Blocked {}

impl std::fmt::Debug for Blocked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Blocked").field("command", &self.command).finish_non_exhaustive()
    }
}

/// What changes while the client waits.
#[derive(Debug)]
struct Wait {
    reply: abi::CmdFunc,
    disconnect: abi::DisconnectFunc,
    data: Foreign,
    /// The client has left the handle.
    gone: bool,
    /// The module has unblocked it.
    unblocked: bool,
    /// The timer of the timeout.
    timer: Option<u64>,
    measured: Duration,
    measuring: Option<Instant>,
}

/// What a module says when it blocks a client.
#[derive(Clone, Copy, Debug)]
pub struct Callbacks {
    /// Answers when the module unblocks.
    pub reply: abi::CmdFunc,
    /// Answers when the time is over.
    pub timeout: abi::CmdFunc,
    /// Frees what the module hands over with the unblock.
    pub free: abi::FreePrivdataFunc,
}

impl Blocked {
    /// A handle for the command that runs in this context; `client` is None if it must not block.
    pub fn create(
        module: Arc<Module>,
        ctx: &ModuleCtx,
        client: Option<Arc<Client>>,
        db: u32,
        callbacks: Callbacks,
    ) -> Arc<Blocked> {
        let wait = Wait {
            reply: callbacks.reply,
            disconnect: None,
            data: Foreign(std::ptr::null_mut()),
            gone: client.is_none(),
            unblocked: false,
            timer: None,
            measured: Duration::ZERO,
            measuring: None,
        };
        let bytes = |arg: &*mut abi::ModuleString| {
            // SAFETY: the context's arguments are alive while its command runs.
            unsafe { ModString::borrow(*arg) }.map_or(Box::default(), |arg| arg.as_bytes().into())
        };
        let blocked = Arc::new(Blocked {
            module,
            client,
            db,
            protocol: ctx.protocol,
            command: ctx.command.clone(),
            argv: ctx.argv.iter().map(bytes).collect(),
            timeout: callbacks.timeout,
            free: callbacks.free,
            wait: Mutex::new(wait),
            replies: UnsafeCell::new(Vec::new()),
        });
        host().blocked.lock().insert(blocked.address(), Arc::clone(&blocked));
        blocked
    }

    fn address(self: &Arc<Self>) -> usize {
        Arc::as_ptr(self) as usize
    }

    /// The number by which the engine knows it.
    pub fn number(self: &Arc<Self>) -> u64 {
        self.address() as u64
    }

    /// The handle that modules get.
    pub fn handle(self: &Arc<Self>) -> *mut abi::BlockedClient {
        Arc::as_ptr(self).cast_mut().cast()
    }

    /// The blocked client behind a handle, unless it has been unblocked and carried out.
    pub fn find(handle: *mut abi::BlockedClient) -> Option<Arc<Blocked>> {
        host().blocked.lock().get(&(handle as usize)).cloned()
    }

    /// Where threads reply to.
    pub fn replies(&self) -> *mut Vec<u8> {
        self.replies.get()
    }

    /// Has the timeout run after `after`.
    pub fn time_out_after(self: &Arc<Self>, after: Duration) {
        let timer = host().tasks.start_timeout(after, Arc::clone(self));
        self.wait.lock().timer = Some(timer);
    }

    /// Has the client answered. False if that was asked for before.
    pub fn unblock(self: &Arc<Self>, data: *mut c_void) -> bool {
        {
            let mut wait = self.wait.lock();
            if std::mem::replace(&mut wait.unblocked, true) {
                return false;
            }
            if !data.is_null() || wait.data.0.is_null() {
                wait.data = Foreign(data);
            }
        }
        host().tasks.unblock(Arc::clone(self));
        true
    }

    /// Has the client let go without an answer of the module's callbacks.
    pub fn abort(self: &Arc<Self>) -> bool {
        {
            let mut wait = self.wait.lock();
            wait.reply = None;
            wait.disconnect = None;
        }
        self.unblock(std::ptr::null_mut())
    }

    /// What the module handed over so far.
    pub fn data(&self) -> Foreign {
        self.wait.lock().data
    }

    /// Changes what the callbacks will get.
    pub fn set_data(&self, data: *mut c_void) {
        self.wait.lock().data = Foreign(data);
    }

    /// Sets what is called when the client disconnects.
    pub fn set_disconnect(&self, callback: abi::DisconnectFunc) {
        self.wait.lock().disconnect = callback;
    }

    /// Begins to measure the work done in the background.
    pub fn start_measuring(&self) {
        self.wait.lock().measuring = Some(Instant::now());
    }

    /// Adds the time since; false if no measurement was begun.
    pub fn stop_measuring(&self) -> bool {
        let mut wait = self.wait.lock();
        match wait.measuring.take() {
            Some(began) => {
                wait.measured += began.elapsed();
                true
            }
            None => false,
        }
    }

    /// Takes the client out of the handle, if it is still there.
    fn take_client(&self, shared: &Shared) -> Option<&Arc<Client>> {
        if std::mem::replace(&mut self.wait.lock().gone, true) {
            return None;
        }
        let client = self.client.as_ref()?;
        let is_there = !client.killed.load(Ordering::Acquire)
            && shared.clients.lock().get(client.id).is_some();
        is_there.then_some(client)
    }

    /// Carries an unblock out.
    pub fn finish(self: &Arc<Self>, state: &mut State, shared: &Shared) {
        let (reply, data, timer) = {
            let mut wait = self.wait.lock();
            (wait.reply.take(), wait.data, wait.timer.take())
        };
        if let Some(timer) = timer {
            host().tasks.stop_timeout(timer);
        }
        let client = self.take_client(shared);
        let mut out = Vec::new();
        self.with_session(state, shared, client, |ctx| {
            if client.is_some() {
                self.call(ctx, Purpose::Reply, reply, data, &mut out);
            }
            if let Some(free) = self.free.filter(|_| !data.0.is_null()) {
                ModuleCtx::with(
                    &self.module,
                    ctx,
                    None,
                    |_| {},
                    |handle| {
                        // SAFETY: the module is alive; it gets back what it handed over, once.
                        unsafe { free(handle, data.0) };
                    },
                );
            }
        });
        self.record_time(state);
        if let Some(client) = client {
            // SAFETY: the module has unblocked the handle, so its threads no longer reply through it.
            out.append(unsafe { &mut *self.replies.get() });
            answer(client, &mut out);
        }
        host().blocked.lock().remove(&self.address());
    }

    /// The time that a module measured in the background counts for the command.
    fn record_time(&self, state: &State) {
        let measured = self.wait.lock().measured;
        if measured > Duration::ZERO
            && let Some(command) = state.registry.lookup(self.command.as_bytes())
        {
            command.stats[0].nanos.add(measured.as_nanos() as u64);
        }
    }

    /// Answers because the time is over. The handle stays until the module unblocks it.
    pub fn time_out(self: &Arc<Self>, state: &mut State, shared: &Shared) {
        let data = {
            let mut wait = self.wait.lock();
            if wait.unblocked {
                return;
            }
            wait.timer = None;
            wait.disconnect = None;
            wait.data
        };
        let Some(client) = self.take_client(shared) else { return };
        let mut out = Vec::new();
        match self.timeout {
            Some(_) => self.with_session(state, shared, Some(client), |ctx| {
                self.call(ctx, Purpose::Timeout, self.timeout, data, &mut out);
            }),
            // The module has nothing to say: the client gets no value rather than no answer.
            None => Reply::new(&mut out, self.protocol).null(),
        }
        answer(client, &mut out);
    }

    /// Tells the module that the client has disconnected.
    pub fn disconnected(self: &Arc<Self>, state: &mut State, shared: &Shared) {
        let (callback, timer) = {
            let mut wait = self.wait.lock();
            if std::mem::replace(&mut wait.gone, true) {
                return;
            }
            (wait.disconnect.take(), wait.timer.take())
        };
        if let Some(timer) = timer {
            host().tasks.stop_timeout(timer);
        }
        let Some(callback) = callback else { return };
        let call = BlockedCall {
            blocked: Arc::clone(self),
            purpose: Purpose::Disconnect,
            data: Foreign(std::ptr::null_mut()),
        };
        self.with_session(state, shared, None, |ctx| {
            let prepare = |inner: &mut ModuleCtx| inner.blocked = Some(call);
            ModuleCtx::with(&self.module, ctx, None, prepare, |handle| {
                // SAFETY: the module is alive; context and handle live during the call.
                unsafe { callback(handle, self.handle()) };
            });
        });
    }

    /// Runs `f` with the client's own session, or one of the server's if it is gone.
    fn with_session(
        &self,
        state: &mut State,
        shared: &Shared,
        client: Option<&Arc<Client>>,
        f: impl FnOnce(&mut ExclusiveCtx<'_>),
    ) {
        match client {
            Some(client) => {
                let mut session = client.session.lock();
                in_unit(state, shared, &mut session, Some(client), f);
            }
            None => in_unit(state, shared, &mut Session::internal(Mode::MODULE, self.db), None, f),
        }
    }

    /// Calls a reply or timeout callback with the command's arguments.
    fn call(
        self: &Arc<Self>,
        ctx: &mut ExclusiveCtx<'_>,
        purpose: Purpose,
        callback: abi::CmdFunc,
        data: Foreign,
        out: &mut Vec<u8>,
    ) {
        let Some(callback) = callback else { return };
        let make = |arg: &[u8]| ModString::handle(ModString::create(arg));
        let mut arguments: Vec<_> = self.argv.iter().map(|arg| make(arg)).collect();
        let held = arguments.clone();
        let prepare = |inner: &mut ModuleCtx| {
            inner.argv = held;
            inner.command.clone_from(&self.command);
            inner.blocked = Some(BlockedCall { blocked: Arc::clone(self), purpose, data });
        };
        let mut reply = Reply::new(out, self.protocol);
        ModuleCtx::with(&self.module, ctx, Some(&mut reply), prepare, |handle| {
            // SAFETY: the module is alive; the context and the arguments live until it returns, and the
            // context gives the references up afterwards.
            unsafe { callback(handle, arguments.as_mut_ptr(), arguments.len() as c_int) };
        });
    }
}

/// Sends a blocked client its answer and lets it go on.
fn answer(client: &Arc<Client>, out: &mut Vec<u8>) {
    if client.session.lock().mode.contains(Mode::REPLY_OFF) {
        out.clear();
    }
    client.unblock(out);
}

/// The connection of a blocked client has ended.
pub fn connection_ended(number: u64) {
    let found = usize::try_from(number).ok().and_then(|at| host().blocked.lock().get(&at).cloned());
    if let Some(blocked) = found {
        host().tasks.disconnected(blocked);
    }
}

/// Whether a module has handles that it has not unblocked.
pub fn has_blocked(module: &Arc<Module>) -> bool {
    host().blocked.lock().values().any(|blocked| Arc::ptr_eq(&blocked.module, module))
}
