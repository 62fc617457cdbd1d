//! Which modules have a say in who logs in? AUTH and HELLO ask those that have registered for it, the last one first,
//! before passwords count.
//!
//! A module that must think about it blocks the client; when it has, the command runs again, gets the module's answer
//! and, if that is none, asks the next. How far a client has come is kept here meanwhile, by its number: from the
//! time that a module blocks it until the command has an answer or the client is gone.
#![expect(unsafe_code, reason = "calls modules")]

use std::ptr::null_mut;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use mortise_module_abi as abi;

use super::blocked::{Blocked, BlockedCall};
use super::handle::{ModString, ModuleCtx, Owned};
use super::host::{Module, host};
use crate::engine::ctx::ExclusiveCtx;
use crate::engine::log_in::{Credentials, LogIn, Wish};
use crate::resp::reply::Reply;

/// A module's say.
#[derive(Clone, Debug)]
pub struct Gatekeeper {
    /// Whose it is.
    pub module: Arc<Module>,
    /// What it calls.
    pub callback: abi::AuthFunc,
    /// Later ones have higher numbers.
    number: u64,
}

/// How far a client has come that waits.
#[derive(Debug)]
pub struct Progress {
    /// The last one that was asked; earlier ones have lower numbers.
    asked: u64,
    /// The wait whose answer is there now.
    answered: Option<Arc<Blocked>>,
}

/// What became of a log-in within one call into a module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asking {
    /// Nothing yet.
    Open,
    /// The module has logged the client in.
    LoggedIn,
}

/// Adds a module's say.
pub fn register(module: Arc<Module>, callback: abi::AuthFunc) {
    {
        let mut records = host().records.lock();
        let number = records.gatekeepers.last().map_or(1, |last| last.number + 1);
        records.gatekeepers.push(Gatekeeper { module, callback, number });
    }
    tell_engine();
}

/// Has the engine know whether there is anybody to ask.
pub fn tell_engine() {
    if let Some(engine) = host().engine.get() {
        let is_any = !host().records.lock().gatekeepers.is_empty();
        engine.shared.modules_log_in.store(is_any, Ordering::Relaxed);
    }
}

/// The wait of a client is over; the command that runs again finds it here.
pub fn keep_answer(client: u64, blocked: Arc<Blocked>) {
    if let Some(progress) = host().logins.lock().get_mut(&client) {
        progress.answered = Some(blocked);
    }
}

/// Forgets a client that waits no more.
pub fn forget(client: u64) {
    host().logins.lock().remove(&client);
}

/// Asks the modules, or goes on asking.
pub fn log_in(ctx: &mut ExclusiveCtx<'_>, (credentials, reply): Wish<'_, '_>) -> LogIn {
    let Some(client) = ctx.env.client.map(|client| client.id) else { return LogIn::NotHandled };
    let progress = host().logins.lock().remove(&client);
    let mut progress = progress.unwrap_or(Progress { asked: u64::MAX, answered: None });
    if let Some(blocked) = progress.answered.take() {
        let module = Arc::clone(&blocked.module);
        let verdict = blocked.answer_log_in(ctx, |ctx, callback, call| {
            ask(ctx, (&module, callback), credentials, Some(call), reply)
        });
        if verdict != LogIn::NotHandled {
            return verdict;
        }
    }
    loop {
        let next = {
            let records = host().records.lock();
            let mut latest_first = records.gatekeepers.iter().rev();
            latest_first.find(|one| one.number < progress.asked).cloned()
        };
        let Some(Gatekeeper { module, callback, number }) = next else { return LogIn::NotHandled };
        progress.asked = number;
        let verdict = ask(ctx, (&module, callback), credentials, None, reply);
        if ctx.unit.block.is_some() {
            host().logins.lock().insert(client, progress);
            return LogIn::Later;
        }
        if verdict != LogIn::NotHandled {
            return verdict;
        }
    }
}

/// Calls a module.
fn ask(
    ctx: &mut ExclusiveCtx<'_>,
    (module, callback): (&Arc<Module>, abi::AuthFunc),
    credentials: Credentials<'_>,
    blocked: Option<BlockedCall>,
    reply: &mut Reply<'_>,
) -> LogIn {
    let Some(callback) = callback.filter(|_| module.alive.load(Ordering::Acquire)) else {
        return LogIn::NotHandled;
    };
    let make = |text: &[u8]| ModString::handle(ModString::create(text));
    let (username, password) = (make(credentials.username), make(credentials.password));
    let mut error = null_mut();
    let before = reply.buffer().len();
    let prepare = |inner: &mut ModuleCtx| {
        inner.asking = Some(Asking::Open);
        inner.blocked = blocked;
    };
    let (code, asking, why) = ModuleCtx::with(module, ctx, Some(reply), prepare, |handle| {
        // SAFETY: the module is alive; the context, the strings and the variable live during the call.
        let code = unsafe { callback(handle, username, password, &raw mut error) };
        // SAFETY: the module has returned, so no other reference to the context is in use.
        let asking = unsafe { ModuleCtx::borrow(handle) }.and_then(|inner| {
            // With automatic memory it is the context that has the reference to the error.
            inner.disown(Owned::String(error));
            inner.asking
        });
        // SAFETY: null, or a string of which the module has given its reference to us.
        let why = unsafe { ModString::borrow(error) }.map(|text| text.as_bytes().to_vec());
        (code, asking, why)
    });
    for string in [username, password, error] {
        // SAFETY: null, or one reference to each is ours.
        unsafe { ModString::release(string) };
    }
    if let Some(text) = reply.buffer().get(before..).and_then(|new| new.strip_prefix(b"-")) {
        ctx.env.stats.error(text.strip_suffix(b"\r\n").unwrap_or(text));
    }
    match (code, asking) {
        (abi::AUTH_HANDLED, Some(Asking::LoggedIn)) => LogIn::Done,
        (abi::AUTH_HANDLED, _) => LogIn::Denied(why),
        _ => LogIn::NotHandled,
    }
}
