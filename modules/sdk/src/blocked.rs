//! How does a client wait for work that other threads do?

use crate::context::Context;
use crate::dispatch;
use crate::error::Error;
use crate::raw::{BlockedHandle, Ctx, Detached};
use crate::reply::{CommandResult, Writer};

/// A client that waits. Whoever has it may answer from any thread; if it is dropped without an
/// answer, the client gets an error.
pub struct BlockedClient {
    handle: Option<BlockedHandle>,
}

impl BlockedClient {
    pub(crate) fn new(handle: BlockedHandle) -> BlockedClient {
        BlockedClient { handle: Some(handle) }
    }

    /// Ends the wait. `answer` runs soon after, on the server's main thread and under its lock, and
    /// answers as a handler does; it is dropped if the client has gone or its time is over.
    pub fn unblock(
        mut self,
        answer: impl FnOnce(&mut Context<'_>) -> CommandResult + Send + 'static,
    ) {
        if let Some(handle) = self.handle.take() {
            handle.unblock(Box::new(answer));
        }
    }

    /// Ends the wait with a reply that is ready.
    pub fn reply(self, result: CommandResult) {
        self.unblock(move |_| result);
    }

    /// Ends the wait with a reply that `write` writes at once, on this thread and without the server's lock: for
    /// replies that are long. It sees nothing of the server; what it needs has been read before. Nothing is written
    /// if the client's time is over.
    pub fn reply_with(mut self, write: impl FnOnce(Writer<'_>) -> CommandResult) {
        if let Some(handle) = self.handle.take() {
            dispatch::write_answer(handle, write);
        }
    }

    /// Runs `body` under the server's lock and in the client's database. The server stands still
    /// meanwhile: keep it short. What `body` replies goes nowhere; the answer is for that. Fails on
    /// a thread that is inside a call from the server, since that holds the lock.
    pub fn lock<R>(&self, body: impl FnOnce(&mut Context<'_>) -> R) -> Result<R, Error> {
        match &self.handle {
            Some(handle) => handle.lock(body),
            None => unreachable!("only consuming functions take the handle"),
        }
    }
}

impl Drop for BlockedClient {
    fn drop(&mut self) {
        if let Some(handle) = self.handle.take() {
            handle.unblock(Box::new(|_| {
                Err(Error::new("the module gave up on this command without an answer"))
            }));
        }
    }
}

/// A way into the server for the module's own threads.
pub struct ThreadContext {
    context: Detached,
}

impl ThreadContext {
    pub(crate) fn new(ctx: Ctx<'_>) -> Result<ThreadContext, Error> {
        Detached::new(ctx).map(|context| ThreadContext { context })
    }

    /// Runs `body` under the server's lock, which stands still meanwhile: keep it short. Fails on a
    /// thread that is inside a call from the server, since that holds the lock.
    pub fn lock<R>(&self, body: impl FnOnce(&mut Context<'_>) -> R) -> Result<R, Error> {
        self.context.lock(body)
    }

    /// As [`ThreadContext::lock`], but None if the lock is taken.
    pub fn try_lock<R>(
        &self,
        body: impl FnOnce(&mut Context<'_>) -> R,
    ) -> Result<Option<R>, Error> {
        self.context.try_lock(body)
    }
}
