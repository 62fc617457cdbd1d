//! What becomes of a command that a module has called and that waits? A promise, which is kept when the command ends.
//!
//! The command has a client of its own, which no connection belongs to. It waits where clients wait; when it is
//! answered, the module's handler gets the reply: of a command that waited for keys within the unit that served it, so
//! that what the handler does belongs to it, and else on the main thread. A promise ends once: it is kept, its time is
//! over, or the module gives it up.
#![expect(unsafe_code, reason = "calls modules")]

use std::ffi::c_void;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Wake, Waker};
use std::time::Duration;

use mortise_module_abi as abi;
use parking_lot::Mutex;

use super::call_reply::CallReply;
use super::handle::{ModuleCtx, with_current};
use super::host::{Foreign, Module, host};
use super::tasks::in_unit;
use crate::engine::block::{self, GivenUp, Nested, Sequel, Waiting};
use crate::engine::client::{Client, INTERNAL_ID_MIN, Mode, Session};
use crate::engine::ctx::ExclusiveCtx;
use crate::engine::effects::{Block, Targets};
use crate::engine::registry::Command;
use crate::engine::spec::Argv;
use crate::engine::state::{Shared, State};

/// A command that a module has called and that waits.
#[derive(Debug)]
pub struct Promise {
    module: Arc<Module>,
    client: Arc<Client>,
    db: u32,
    /// The reply when its time is over.
    on_timeout: Vec<u8>,
    wait: Mutex<Wait>,
}

#[derive(Debug)]
struct Wait {
    handler: abi::OnUnblockedFunc,
    data: Foreign,
    ended: bool,
    timer: Option<u64>,
}

/// Has the main thread look at the promise of a client that was answered.
struct Answered(u64);

impl Wake for Answered {
    fn wake(self: Arc<Self>) {
        let promise = host().promises.lock().get(&self.0).cloned();
        if let Some(promise) = promise {
            host().tasks.keep_promise(promise);
        }
    }
}

/// A client for a command that may wait.
pub fn new_client(session: Session, now_ms: i64) -> Arc<Client> {
    static NEXT: AtomicU64 = AtomicU64::new(INTERNAL_ID_MIN);
    let id = NEXT.fetch_add(1, Ordering::Relaxed);
    Arc::new(Client::new(id, String::new(), String::new(), -1, session, now_ms))
}

/// The command that waits, as its caller knows it.
#[derive(Clone, Copy, Debug)]
pub struct Called<'a> {
    /// Its client.
    pub client: &'a Arc<Client>,
    /// The command.
    pub command: &'static Command,
    /// Its arguments.
    pub argv: Argv<'a>,
    /// Where what it does goes to.
    pub targets: Option<Targets>,
    /// It goes nowhere.
    pub muted: bool,
}

impl Promise {
    /// Has a command wait that was called by this module. `session` is that of its client.
    pub fn begin(
        module: Arc<Module>,
        shared: &Shared,
        session: &mut Session,
        called: Called<'_>,
        block: &Block,
    ) -> Arc<Promise> {
        let Called { client, command, argv, targets, muted } = called;
        let wait =
            Wait { handler: None, data: Foreign(std::ptr::null_mut()), ended: false, timer: None };
        let promise = Arc::new(Promise {
            module,
            client: Arc::clone(client),
            db: session.db,
            on_timeout: block.on_timeout().map(<[u8]>::to_vec).unwrap_or_default(),
            wait: Mutex::new(wait),
        });
        host().promises.lock().insert(client.id, Arc::clone(&promise));
        client.outbox.lock().waker = Some(Waker::from(Arc::new(Answered(client.id))));
        session.mode.insert(Mode::BLOCKED);
        let db = session.db;
        match block {
            Block::Keys { wanted, .. } => {
                let nested = Nested { sequel: Arc::<Promise>::clone(&promise), targets, muted };
                let (foreign, nested) = (None, Some(nested));
                let waiting = Waiting { client, command, argv, db, wanted, foreign, nested };
                block::enter(shared, waiting);
            }
            Block::Foreign { wait, wanted } => {
                wait.0.begun(command, argv, 0);
                session.foreign = Some(wait.clone());
                if let Some(wanted) = wanted {
                    let (foreign, nested) = (Some(wait), None);
                    let waiting = Waiting { client, command, argv, db, wanted, foreign, nested };
                    block::enter(shared, waiting);
                }
            }
            Block::Elsewhere { wanted, .. } => {
                session.blocked_reply = Some(Vec::new());
                let durable = &shared.durable;
                let there = durable.elsewhere.enter(Arc::clone(client), *wanted, durable.kept());
                if let Some(reply) = there {
                    session.blocked_reply = None;
                    client.unblock(&reply);
                }
            }
            // It has done what it could, or has not run: nobody holds it back.
            Block::Until { on_timeout, .. } => client.unblock(on_timeout),
            Block::Paused { .. } => client.unblock(b"-ERR the server is paused\r\n"),
        }
        if let Some(deadline_ms) = block.deadline_ms() {
            let after = u64::try_from(deadline_ms - shared.now_ms()).unwrap_or(0);
            let after = Duration::from_millis(after);
            let timer = host().tasks.start_promise(after, Arc::clone(&promise));
            promise.wait.lock().timer = Some(timer);
        }
        promise
    }

    /// Sets what gets the reply.
    pub fn set_handler(&self, handler: abi::OnUnblockedFunc, data: *mut c_void) {
        let mut wait = self.wait.lock();
        if !wait.ended {
            (wait.handler, wait.data) = (handler, Foreign(data));
        }
    }

    /// Ends it; what would have been handed to the handler. None if it has ended, or is about to.
    pub fn abort(&self) -> Option<Foreign> {
        if self.client.outbox.lock().unblocked {
            return None;
        }
        let (_, data) = self.end()?;
        if let Some(engine) = host().engine.get() {
            block::leave(&engine.shared, self.client.id);
            engine.shared.durable.elsewhere.leave(self.client.id, None);
        }
        let foreign = self.client.session.lock().foreign.take();
        if let Some(foreign) = foreign {
            with_current(|ctx| foreign.0.left(ctx.state, ctx.env.shared));
        }
        Some(data)
    }

    /// It is over; the handler that is to be called.
    fn end(&self) -> Option<(abi::OnUnblockedFunc, Foreign)> {
        let (handler, data, timer) = {
            let mut wait = self.wait.lock();
            if std::mem::replace(&mut wait.ended, true) {
                return None;
            }
            (wait.handler.take(), wait.data, wait.timer.take())
        };
        if let Some(timer) = timer {
            host().tasks.stop_timeout(timer);
        }
        host().promises.lock().remove(&self.client.id);
        self.client.outbox.lock().waker = None;
        Some((handler, data))
    }

    /// Its client was answered.
    pub fn keep(&self, state: &mut State, shared: &Shared) {
        let mut reply = Vec::new();
        self.client.take_messages(&mut reply);
        self.go_on_alone(state, shared, reply);
    }

    /// Its time is over.
    pub fn time_out(&self, state: &mut State, shared: &Shared) {
        self.wait.lock().timer = None;
        let durable = &shared.durable;
        if block::give_up(shared, 0, self.client.id, GivenUp::TimedOut) {
            self.go_on_alone(state, shared, self.on_timeout.clone());
        } else if let Some(reply) = durable.elsewhere.leave(self.client.id, durable.kept()) {
            self.go_on_alone(state, shared, reply);
        }
    }

    fn go_on_alone(&self, state: &mut State, shared: &Shared, reply: Vec<u8>) {
        let mut session = Session::internal(Mode::MODULE, self.db);
        in_unit(state, shared, &mut session, None, |ctx| self.go_on(ctx, reply));
    }
}

impl Sequel for Promise {
    fn go_on(&self, ctx: &mut ExclusiveCtx<'_>, reply: Vec<u8>) {
        let Some((Some(handler), data)) = self.end() else { return };
        if !self.module.alive.load(Ordering::Acquire) {
            return;
        }
        // It belongs to the handler, which frees it when and where it likes.
        let reply: *mut abi::CallReply = Box::into_raw(Box::new(CallReply::read(reply))).cast();
        ModuleCtx::with(
            &self.module,
            ctx,
            None,
            |_| {},
            |handle| {
                // SAFETY: the module is alive; the context lives during the call, the reply until it is freed.
                unsafe { handler(handle, reply, data.0) };
            },
        );
    }
}
