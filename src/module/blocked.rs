//! How does a client wait for a module? From BlockClient until the module has unblocked the handle.
//!
//! A handle is good for one unblock and lives until that has been carried out, whatever became of the
//! client. Modules unblock from any thread; the callbacks run under the exclusive lock: most on the main
//! thread ([`super::tasks`]), those of clients that wait for keys where the keys were made ready. The client
//! leaves the handle at most once: when it is unblocked, when its time is over, or when it disconnects; from
//! then on nobody is answered. A handle for keys needs no unblock: it ends when its client leaves it.
//! Handles are found by their address in a table, so that one used twice is refused and not followed.
#![expect(unsafe_code, reason = "calls modules")]

use std::borrow::Cow;
use std::cell::UnsafeCell;
use std::ffi::{c_int, c_void};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use mortise_module_abi as abi;
use parking_lot::Mutex;

use super::arguments::Arguments;
use super::crash;
use super::handle::{ModString, ModuleCtx};
use super::host::{Foreign, Module, host};
use super::logins;
use super::tasks::in_unit;
use crate::engine::block::{self, ForeignWait};
use crate::engine::client::{Client, Mode, Session};
use crate::engine::ctx::ExclusiveCtx;
use crate::engine::lock::Engine;
use crate::engine::registry::Command;
use crate::engine::slow::observe;
use crate::engine::spec::Argv;
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
    /// The key that is ready; null if it waits for none.
    pub ready_key: *mut abi::ModuleString,
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
    /// It waits for keys.
    on_keys: bool,
    /// It waits to log in.
    on_log_in: bool,
    command: Cow<'static, str>,
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
    /// The same for who logs in.
    log_in: abi::AuthFunc,
    disconnect: abi::DisconnectFunc,
    data: Foreign,
    /// The client has left the handle.
    gone: bool,
    /// The module has unblocked it.
    unblocked: bool,
    /// The timer of the timeout.
    timer: Option<u64>,
    /// The command that waits, once it does, and how long it ran before.
    begun: Option<(&'static Command, u64)>,
    /// The arguments, of who logs in.
    again: Vec<Box<[u8]>>,
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
    /// It waits for keys; then this is handed over.
    pub on_keys: Option<Foreign>,
    /// It waits to log in; then this answers.
    pub on_log_in: Option<abi::AuthFunc>,
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
            log_in: callbacks.on_log_in.flatten(),
            disconnect: None,
            data: callbacks.on_keys.unwrap_or(Foreign(std::ptr::null_mut())),
            gone: client.is_none(),
            unblocked: false,
            timer: None,
            begun: None,
            again: Vec::new(),
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
            on_keys: callbacks.on_keys.is_some(),
            on_log_in: callbacks.on_log_in.is_some(),
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

    /// Has the client answered. False if that was asked for before, or is not possible.
    pub fn unblock(self: &Arc<Self>, data: *mut c_void) -> bool {
        {
            let mut wait = self.wait.lock();
            if self.on_keys {
                // It is answered as when its time is over.
                if self.timeout.is_none() || wait.unblocked {
                    return self.timeout.is_some();
                }
            } else {
                // Nothing, perhaps: what the module has set before is its own affair then, as in Redis.
                wait.data = Foreign(data);
            }
            if std::mem::replace(&mut wait.unblocked, true) {
                return false;
            }
        }
        host().tasks.unblock(Arc::clone(self));
        true
    }

    /// Has the client let go without an answer of the module's callbacks.
    pub fn abort(self: &Arc<Self>) -> bool {
        {
            let mut wait = self.wait.lock();
            (wait.reply, wait.log_in, wait.disconnect) = (None, None, None);
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
        if self.on_keys {
            block::leave(shared, client.id);
        }
        let is_there = !client.killed.load(Ordering::Acquire)
            && (client.is_internal() || shared.clients.lock().get(client.id).is_some());
        is_there.then_some(client)
    }

    fn stop_timer(&self) {
        let timer = self.wait.lock().timer.take();
        if let Some(timer) = timer {
            host().tasks.stop_timeout(timer);
        }
    }

    /// Carries an unblock out.
    pub fn finish(self: &Arc<Self>, state: &mut State, shared: &Shared) {
        self.stop_timer();
        let (reply, data) = {
            let mut wait = self.wait.lock();
            (wait.reply.take(), wait.data)
        };
        let client = self.take_client(shared);
        if let Some(client) = client.filter(|_| self.on_log_in) {
            self.log_in_again(state, shared, client);
            return;
        }
        let mut out = Vec::new();
        self.with_session(state, shared, client, |ctx| {
            if client.is_some() {
                match self.on_keys {
                    false => self.call(ctx, Purpose::Reply, reply, data, &mut out),
                    true => self.call(ctx, Purpose::Timeout, self.timeout, data, &mut out),
                };
            }
            self.free_data(ctx, client.is_none());
            if client.is_some() {
                // SAFETY: the module has unblocked the handle, so its threads no longer reply through it.
                let replies = std::mem::take(unsafe { &mut *self.replies.get() });
                match out.is_empty() {
                    true => out = replies,
                    false => out.extend_from_slice(&replies),
                }
                self.account(ctx, &out);
            }
        });
        if let Some(client) = client {
            self.answer(client, state, shared, out);
        }
        self.end();
    }

    /// Has the command that logs the client in run again; it asks for the answer with [`Blocked::answer_log_in`].
    fn log_in_again(self: &Arc<Self>, state: &mut State, shared: &Shared, client: &Arc<Client>) {
        let (begun, argv, measured) = {
            let mut wait = self.wait.lock();
            (wait.begun, std::mem::take(&mut wait.again), wait.measured)
        };
        let Some((command, nanos)) = begun else { return self.end() };
        logins::keep_answer(client.id, Arc::clone(self));
        let argv: Vec<&[u8]> = argv.iter().map(|arg| &**arg).collect();
        let spent_ns = nanos + measured.as_nanos() as u64;
        block::run_again(state, shared, (client, command, &argv), spent_ns);
    }

    /// Calls the module's answer to a log-in, if it has one; what `call` says then. The handle is done with.
    pub fn answer_log_in<R>(
        self: &Arc<Self>,
        ctx: &mut ExclusiveCtx<'_>,
        call: impl FnOnce(&mut ExclusiveCtx<'_>, abi::AuthFunc, BlockedCall) -> R,
    ) -> R {
        let (callback, data) = {
            let mut wait = self.wait.lock();
            (wait.log_in.take(), wait.data)
        };
        let (blocked, purpose) = (Arc::clone(self), Purpose::Reply);
        let result = call(
            ctx,
            callback,
            BlockedCall { blocked, purpose, data, ready_key: std::ptr::null_mut() },
        );
        self.free_data(ctx, false);
        self.end();
        result
    }

    /// Gives what the module handed over back to it.
    fn free_data(self: &Arc<Self>, ctx: &mut ExclusiveCtx<'_>, is_gone: bool) {
        let data = std::mem::replace(&mut self.wait.lock().data, Foreign(std::ptr::null_mut()));
        let Some(free) = self.free.filter(|_| !data.0.is_null()) else { return };
        let prepare = |inner: &mut ModuleCtx| {
            let purpose = Purpose::Disconnect;
            let ready_key = std::ptr::null_mut();
            let call = BlockedCall { blocked: Arc::clone(self), purpose, data, ready_key };
            inner.blocked = is_gone.then_some(call);
        };
        crash::next_is("free callback of a blocked client");
        ModuleCtx::with(&self.module, ctx, None, prepare, |handle| {
            // SAFETY: the module is alive; it gets back what it handed over, once.
            unsafe { free(handle, data.0) };
        });
    }

    /// The handle is done with.
    fn end(self: &Arc<Self>) {
        host().blocked.lock().remove(&self.address());
    }

    /// Counts the command, now that it is answered: what it took when it ran, what was measured since, and
    /// what it takes to answer.
    fn account(&self, ctx: &ExclusiveCtx<'_>, out: &[u8]) {
        let (measured, begun) = {
            let wait = self.wait.lock();
            (wait.measured, wait.begun)
        };
        let Some((command, nanos)) = begun else { return };
        self.count(command, ctx, out);
        let answering = (ctx.env.shared.clock.unix_us)().saturating_sub(ctx.env.now_us).max(0);
        let nanos = nanos + measured.as_nanos() as u64 + answering.cast_unsigned() * 1000;
        let argv: Vec<&[u8]> = self.argv.iter().map(|arg| &**arg).collect();
        observe(command, nanos, &argv, ctx.session, ctx.env);
    }

    fn count(&self, command: &Command, ctx: &ExclusiveCtx<'_>, out: &[u8]) {
        let figures = &command.stats[ctx.env.worker];
        figures.calls.add(1);
        ctx.env.stats.commands.add(1);
        if let Some(text) = out.strip_prefix(b"-") {
            figures.failed.add(1);
            ctx.env.stats.error(text.strip_suffix(b"\r\n").unwrap_or(text));
        }
    }

    /// Answers because the time is over; false if nobody waits any more. The handle stays until the module
    /// unblocks it, unless it is for keys.
    pub fn time_out(self: &Arc<Self>, state: &mut State, shared: &Shared) -> bool {
        let data = {
            let mut wait = self.wait.lock();
            if wait.unblocked {
                return false;
            }
            wait.disconnect = None;
            wait.data
        };
        self.stop_timer();
        let Some(client) = self.take_client(shared) else { return false };
        let mut out = Vec::new();
        self.with_session(state, shared, Some(client), |ctx| {
            match self.timeout {
                Some(_) => _ = self.call(ctx, Purpose::Timeout, self.timeout, data, &mut out),
                // The module has nothing to say: the client gets no value rather than no answer.
                None => Reply::new(&mut out, self.protocol).null(),
            }
            self.account(ctx, &out);
            if self.on_keys {
                self.free_data(ctx, false);
            }
        });
        self.answer(client, state, shared, out);
        if self.on_keys {
            self.end();
        }
        true
    }

    /// Answers with an error; false if nobody waits any more.
    fn fail(self: &Arc<Self>, state: &mut State, shared: &Shared, error: &[u8]) -> bool {
        if self.wait.lock().unblocked {
            return false;
        }
        self.stop_timer();
        let Some(client) = self.take_client(shared) else { return false };
        self.forget_log_in();
        let mut out = Vec::new();
        Reply::new(&mut out, self.protocol).error(error);
        self.with_session(state, shared, Some(client), |ctx| self.account(ctx, &out));
        self.tell_disconnect(state, shared);
        self.answer(client, state, shared, out);
        true
    }

    /// Tells the module that the client has disconnected.
    pub fn disconnected(self: &Arc<Self>, state: &mut State, shared: &Shared) {
        if let Some(client) = self.client.as_ref().filter(|_| self.on_keys) {
            block::leave(shared, client.id);
        }
        self.forget_log_in();
        if std::mem::replace(&mut self.wait.lock().gone, true) {
            return;
        }
        self.stop_timer();
        self.tell_disconnect(state, shared);
    }

    fn forget_log_in(&self) {
        if let Some(client) = self.client.as_ref().filter(|_| self.on_log_in) {
            logins::forget(client.id);
        }
    }

    /// The client has left without an answer of the module. A handle for keys ends with that.
    fn tell_disconnect(self: &Arc<Self>, state: &mut State, shared: &Shared) {
        let (callback, data) = {
            let mut wait = self.wait.lock();
            (wait.disconnect.take(), wait.data)
        };
        if let Some(callback) = callback {
            let (blocked, purpose) = (Arc::clone(self), Purpose::Disconnect);
            let ready_key = std::ptr::null_mut();
            let call = BlockedCall { blocked, purpose, data, ready_key };
            self.with_session(state, shared, None, |ctx| {
                let prepare = |inner: &mut ModuleCtx| inner.blocked = Some(call);
                crash::next_is("disconnect callback");
                ModuleCtx::with(&self.module, ctx, None, prepare, |handle| {
                    // SAFETY: the module is alive; context and handle live during the call.
                    unsafe { callback(handle, self.handle()) };
                });
            });
        }
        // Unless the module has unblocked it in the callback.
        if self.on_keys && !std::mem::replace(&mut self.wait.lock().unblocked, true) {
            self.with_session(state, shared, None, |ctx| self.free_data(ctx, true));
            self.end();
        }
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

    /// Calls a reply or timeout callback with the command's arguments; what it returned.
    fn call(
        self: &Arc<Self>,
        ctx: &mut ExclusiveCtx<'_>,
        purpose: Purpose,
        callback: abi::CmdFunc,
        data: Foreign,
        out: &mut Vec<u8>,
    ) -> c_int {
        self.call_for(ctx, callback, (purpose, data, std::ptr::null_mut()), out)
    }

    fn call_for(
        self: &Arc<Self>,
        ctx: &mut ExclusiveCtx<'_>,
        callback: abi::CmdFunc,
        (purpose, data, ready_key): (Purpose, Foreign, *mut abi::ModuleString),
        out: &mut Vec<u8>,
    ) -> c_int {
        let Some(callback) = callback else { return abi::OK };
        let held = Arguments::of(&self.argv);
        let mut arguments = held.to_vec();
        let prepare = |inner: &mut ModuleCtx| {
            inner.argv = held;
            inner.command.clone_from(&self.command);
            let blocked = Arc::clone(self);
            inner.blocked = Some(BlockedCall { blocked, purpose, data, ready_key });
        };
        let mut reply = Reply::new(out, self.protocol);
        crash::next_is(match purpose {
            Purpose::Timeout => "timeout callback",
            _ => "reply callback",
        });
        ModuleCtx::with(&self.module, ctx, Some(&mut reply), prepare, |handle| {
            // SAFETY: the module is alive; the context and the arguments live until it returns, and the
            // context gives the references up afterwards.
            unsafe { callback(handle, arguments.as_mut_ptr(), arguments.len() as c_int) }
        })
    }

    /// Sends the client its answer and lets it go on.
    fn answer(&self, client: &Arc<Client>, state: &State, shared: &Shared, mut out: Vec<u8>) {
        let mut session = client.session.lock();
        session.foreign = None;
        if session.drops_reply() {
            out.clear();
        }
        drop(session);
        // What the module wrote meanwhile is not known, so it counts as if it were the client's.
        client.wrote_offset.store(state.replication.offset(), Ordering::Relaxed);
        let output_max = shared.limits.output_of(client).hard.load(Ordering::Relaxed);
        if client.has_too_much(output_max, out.len()) {
            out.clear();
            client.cut_off();
        }
        client.unblock_with(out);
    }
}

impl ForeignWait for Blocked {
    fn begun(&self, command: &'static Command, argv: Argv<'_>, nanos: u64) {
        let mut wait = self.wait.lock();
        wait.begun = Some((command, nanos));
        if self.on_log_in {
            wait.again = argv.iter().map(|arg| Box::from(*arg)).collect();
        }
    }

    fn serve(self: Arc<Self>, ctx: &mut ExclusiveCtx<'_>, key: &[u8], out: &mut Vec<u8>) -> bool {
        let (reply, data, begun) = {
            let wait = self.wait.lock();
            if wait.unblocked || wait.gone {
                return false;
            }
            (wait.reply, wait.data, wait.begun)
        };
        let key = ModString::handle(ModString::create(key));
        let code = self.call_for(ctx, reply, (Purpose::Reply, data, key), out);
        // SAFETY: made above with one reference, given up here.
        unsafe { ModString::release(key) };
        {
            let mut wait = self.wait.lock();
            if code != abi::OK || wait.unblocked {
                return false;
            }
            (wait.unblocked, wait.gone, wait.disconnect) = (true, true, None);
        }
        self.stop_timer();
        if let Some((command, _)) = begun {
            self.count(command, ctx, out);
        }
        self.free_data(ctx, false);
        self.end();
        true
    }

    fn give_up(
        self: Arc<Self>,
        state: &mut State,
        shared: &Shared,
        error: Option<&[u8]>,
        by_force: bool,
    ) -> bool {
        if self.timeout.is_none() && !by_force {
            return false;
        }
        match error {
            None => self.time_out(state, shared),
            Some(error) => self.fail(state, shared, error),
        }
    }

    fn left(self: Arc<Self>, state: &mut State, shared: &Shared) {
        self.disconnected(state, shared);
    }

    fn ended(self: Arc<Self>, engine: &Engine) {
        // At once, so that nothing is done any more for a client that nobody sees. If a module or a script
        // keeps the lock, the main thread will.
        match engine.write() {
            Ok(mut state) => self.disconnected(&mut state, &engine.shared),
            Err(_) => host().tasks.disconnected(self),
        }
    }
}

/// Whether a module has handles that it has not unblocked.
pub fn has_blocked(module: &Arc<Module>) -> bool {
    host().blocked.lock().values().any(|blocked| Arc::ptr_eq(&blocked.module, module))
}
