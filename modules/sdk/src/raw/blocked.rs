//! How does a client wait, and how do other threads reach the server?

use std::ffi::{c_int, c_void};
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use mortise_module_abi as abi;

use super::context::Ctx;
use super::strings::free_dropped;
use super::{Threads, bound, boundary, inside_call, need};
use crate::context::{Context, Origin};
use crate::dispatch;
use crate::error::Error;
use crate::reply::CommandResult;

/// What a client that stops waiting is told.
pub(crate) type Answer = Box<dyn FnOnce(&mut Context<'_>) -> CommandResult + Send>;

/// A client that waits. The answer and the timeout race to end the wait; the first one does.
///
/// The timeout is a timer of ours rather than the server's own, which is not safe to use when
/// another thread may answer at the same moment: Redis 7.0 then leaves the client without a reply,
/// and Redis 7.2.6 stops at an assertion.
struct Wait {
    client: NonNull<abi::BlockedClient>,
    api: &'static Threads,
    ended: AtomicBool,
    /// The timer of the timeout, 0 if there is none.
    timer: AtomicU64,
}

// SAFETY: the server allows UnblockClient, the only use of the pointer, on any thread without its
// lock; the rest is atomic.
unsafe impl Send for Wait {}
// SAFETY: as above; `ended` sees to it that only one thread gets to use the pointer.
unsafe impl Sync for Wait {}

/// What the server passes from UnblockClient to the callbacks.
struct Ending {
    wait: Arc<Wait>,
    answer: Option<Answer>,
}

impl Wait {
    /// Whether the caller is the one who ends the wait.
    fn claim(&self) -> bool {
        !self.ended.swap(true, Ordering::AcqRel)
    }

    /// Ends the wait, unless it has ended already. Works on any thread, without the lock.
    fn end(self: &Arc<Wait>, answer: Answer) {
        if self.claim() {
            self.unblock(Some(answer));
        }
    }

    /// Unblocks the client, which then gets what was written already, or what an answer writes. To be called once, by who has
    /// [claimed](Wait::claim) it.
    fn unblock(self: &Arc<Wait>, answer: Option<Answer>) {
        let ending = Ending { wait: Arc::clone(self), answer };
        let data = Box::into_raw(Box::new(ending)).cast::<c_void>();
        // SAFETY: the handle is live until it is unblocked, which happens once, since only one
        // caller claims it; `free_ending` frees the box.
        unsafe { (self.api.UnblockClient)(self.client.as_ptr(), data) };
    }
}

/// The owner's side of a wait. It must be ended, which the owner sees to.
pub struct BlockedHandle {
    wait: Arc<Wait>,
    db: i32,
    context: &'static Detached,
}

impl Ctx<'_> {
    pub(crate) fn block_client(
        self,
        timeout: Option<(Duration, Answer)>,
    ) -> Result<BlockedHandle, Error> {
        let api = bound().threads()?;
        if timeout.is_some() {
            need!(CreateTimer);
        }
        let context = module_context(self)?;
        // SAFETY: the context is live and belongs to a command; the callbacks are of the right kind.
        let client =
            unsafe { (api.BlockClient)(self.ptr(), Some(unblocked), None, Some(free_ending), 0) };
        let client = NonNull::new(client).ok_or(Error::Refused("BlockClient"))?;
        let (ended, timer) = (AtomicBool::new(false), AtomicU64::new(0));
        let wait = Arc::new(Wait { client, api, ended, timer });
        if let Some((after, answer)) = timeout {
            let expiring = Arc::clone(&wait);
            let id = self.create_timer(
                after,
                Box::new(move |_| {
                    expiring.timer.store(0, Ordering::Relaxed);
                    expiring.end(answer);
                }),
            )?;
            wait.timer.store(id, Ordering::Relaxed);
        }
        Ok(BlockedHandle { wait, db: self.selected_db(), context })
    }
}

impl BlockedHandle {
    /// Ends the wait, unless its time is over already.
    pub(crate) fn unblock(self, answer: Answer) {
        self.wait.end(answer);
    }

    /// Ends the wait, unless its time is over already, with what `write` replies on this thread, without the lock.
    pub(crate) fn reply_with(self, write: impl FnOnce(Ctx<'_>)) {
        if !self.wait.claim() {
            return;
        }
        let api = self.wait.api;
        // SAFETY: the handle is live until it is unblocked, which is up to us now.
        let raw = unsafe { (api.GetThreadSafeContext)(self.wait.client.as_ptr()) };
        let Some(ctx) = NonNull::new(raw) else {
            return self
                .wait
                .unblock(Some(Box::new(|_| Err(Error::Refused("GetThreadSafeContext")))));
        };
        let context = ThreadContext { ctx, api };
        // SAFETY: the context is live during the call, and no other thread knows it. Without the lock it may be replied to
        // and nothing else; `dispatch`, the only caller, gives the module no more than a writer.
        let ctx = unsafe { Ctx::from_ptr(context.ctx.as_ptr()) }.expect("the pointer is not NULL");
        write(ctx);
        drop(context);
        self.wait.unblock(None);
    }

    /// Runs `body` under the server's lock, in the client's database.
    pub(crate) fn lock<R>(&self, body: impl FnOnce(&mut Context<'_>) -> R) -> Result<R, Error> {
        self.context.lock(|ctx| ctx.select_db(self.db).map(|()| body(ctx)))?
    }
}

unsafe extern "C" fn unblocked(
    ctx: *mut abi::Ctx,
    _argv: *mut *mut abi::ModuleString,
    _argc: c_int,
) -> c_int {
    // SAFETY: the server's context is live during this call.
    let ctx = unsafe { Ctx::from_ptr(ctx) };
    let (Some(ctx), Ok(api)) = (ctx, bound().threads()) else { return abi::OK };
    // SAFETY: the context is live; in this callback the data is what `end` passed.
    let data = unsafe { (api.GetBlockedClientPrivateData)(ctx.ptr()) };
    // SAFETY: the box lives until `free_ending`, which comes later.
    let ending = unsafe { data.cast::<Ending>().as_mut() };
    if let Some(answer) = ending.and_then(|ending| ending.answer.take()) {
        dispatch::run_answer(ctx, answer);
    }
    abi::OK
}

unsafe extern "C" fn free_ending(ctx: *mut abi::Ctx, data: *mut c_void) {
    if data.is_null() {
        return;
    }
    // SAFETY: the data is the box of `end`, and the server frees it once.
    let ending = unsafe { Box::from_raw(data.cast::<Ending>()) };
    // SAFETY: the server's context is live during this call.
    let ctx = unsafe { Ctx::from_ptr(ctx) };
    let cleaned_up = boundary(move || {
        let timer = ending.wait.timer.swap(0, Ordering::Relaxed);
        if let (Some(ctx), 1..) = (ctx, timer) {
            // Not to wait for the rest of a long timeout; it may have fired just now.
            let _ = ctx.stop_timer(timer);
        }
    });
    // A panic has been logged, and there is nobody to tell.
    drop(cleaned_up);
}

/// The module's own context, in which all threads of waiting clients take the lock.
fn module_context(ctx: Ctx<'_>) -> Result<&'static Detached, Error> {
    static CONTEXT: OnceLock<Detached> = OnceLock::new();
    match CONTEXT.get() {
        Some(context) => Ok(context),
        None => {
            let context = Detached::new(ctx)?;
            Ok(CONTEXT.get_or_init(|| context))
        }
    }
}

/// A thread-safe context that we own.
struct ThreadContext {
    ctx: NonNull<abi::Ctx>,
    api: &'static Threads,
}

impl Drop for ThreadContext {
    fn drop(&mut self) {
        // SAFETY: it was made by Get(Detached)ThreadSafeContext and is freed once.
        unsafe { (self.api.FreeThreadSafeContext)(self.ctx.as_ptr()) };
    }
}

impl ThreadContext {
    fn lock<R>(&self, body: impl FnOnce(&mut Context<'_>) -> R) -> Result<R, Error> {
        if inside_call() {
            return Err(Error::WouldDeadlock);
        }
        // SAFETY: the context is thread-safe, and this thread does not hold the lock.
        unsafe { (self.api.ThreadSafeContextLock)(self.ctx.as_ptr()) };
        Ok(self.run_locked(body))
    }

    fn try_lock<R>(&self, body: impl FnOnce(&mut Context<'_>) -> R) -> Result<Option<R>, Error> {
        if inside_call() {
            return Err(Error::WouldDeadlock);
        }
        let try_lock = need!(ThreadSafeContextTryLock);
        // SAFETY: as in `lock`.
        if unsafe { try_lock(self.ctx.as_ptr()) } != abi::OK {
            return Ok(None);
        }
        Ok(Some(self.run_locked(body)))
    }

    /// Runs `body` and unlocks, also when it panics.
    fn run_locked<R>(&self, body: impl FnOnce(&mut Context<'_>) -> R) -> R {
        struct Unlock<'a>(&'a ThreadContext);
        impl Drop for Unlock<'_> {
            fn drop(&mut self) {
                // SAFETY: this thread holds the lock, by the caller.
                unsafe { (self.0.api.ThreadSafeContextUnlock)(self.0.ctx.as_ptr()) };
            }
        }
        let unlock = Unlock(self);
        free_dropped();
        // SAFETY: the context is live, and this thread holds the lock while the handle lives: no
        // `Context` or what comes from it can leave `body`, which must work for any lifetime.
        let ctx = unsafe { Ctx::from_ptr(self.ctx.as_ptr()) }.expect("the pointer is not NULL");
        let result = super::with_depth(|| body(&mut Context::new(ctx, Origin::Other)));
        drop(unlock);
        result
    }
}

/// A way into the server for threads that no client waits for.
pub struct Detached {
    context: ThreadContext,
}

// SAFETY: a detached context is made for use on any thread; everything but logging takes the lock.
unsafe impl Send for Detached {}
// SAFETY: as above; concurrent callers of `lock` are serialized by the server's lock, and the
// context is touched only while it is held.
unsafe impl Sync for Detached {}

impl Detached {
    pub(crate) fn new(ctx: Ctx<'_>) -> Result<Detached, Error> {
        let api = bound().threads()?;
        let raw = match bound().api.GetDetachedThreadSafeContext {
            // SAFETY: the context is live.
            Some(get) => unsafe { get(ctx.ptr()) },
            // SAFETY: NULL asks for a context without a client.
            None => unsafe { (api.GetThreadSafeContext)(ptr::null_mut()) },
        };
        let ctx = NonNull::new(raw).ok_or(Error::Refused("GetDetachedThreadSafeContext"))?;
        Ok(Detached { context: ThreadContext { ctx, api } })
    }

    pub(crate) fn lock<R>(&self, body: impl FnOnce(&mut Context<'_>) -> R) -> Result<R, Error> {
        self.context.lock(body)
    }

    pub(crate) fn try_lock<R>(
        &self,
        body: impl FnOnce(&mut Context<'_>) -> R,
    ) -> Result<Option<R>, Error> {
        self.context.try_lock(body)
    }
}
