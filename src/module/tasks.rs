//! What do modules leave to the main thread? Clients to unblock, timers, and news of clients that left.
//!
//! Modules put work in from any thread and wake the main thread, which takes the exclusive lock and runs
//! what is due; each task is an execution unit of its own. The queues have locks of their own, held only
//! for moments and never while foreign code runs.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use mortise_module_abi as abi;
use parking_lot::Mutex;

use super::api::server_events;
use super::blocked::Blocked;
use super::crash;
use super::fork::{Child, End};
use super::handle::{ModuleCtx, with_engine};
use super::host::{Foreign, Module, host};
use super::promise::Promise;
use crate::engine::call::{Access, end_unit};
use crate::engine::client::{Client, Mode, Session, UserWatch};
use crate::engine::ctx::{Env, ExclusiveCtx};
use crate::engine::effects::Unit;
use crate::engine::events::Topics;
use crate::engine::hooks::{Change, ServerEvent};
use crate::engine::lock::{Busy, Engine};
use crate::engine::state::{Shared, State};

/// Tasks that one hold of the lock runs; clients have their turn in between.
const TASKS_PER_HOLD: usize = 64;

/// How long the main thread leaves a script alone that keeps the lock.
const BUSY_RETRY: Duration = Duration::from_millis(5);

/// A timer of a module.
#[derive(Clone, Debug)]
pub struct Timer {
    /// Whose it is.
    pub module: Arc<Module>,
    /// What it calls.
    pub callback: abi::TimerFunc,
    /// What it hands over.
    pub data: Foreign,
    /// The db that was selected when it was made.
    pub db: u32,
}

/// A module's wish to know when a client that it has logged in goes on as another user.
#[derive(Clone, Debug)]
pub struct UserChange {
    /// Whose it is.
    pub module: Arc<Module>,
    /// What it calls.
    pub callback: abi::UserChangedFunc,
    /// What it hands over.
    pub data: Foreign,
}

impl UserWatch for UserChange {
    fn changed(self: Box<Self>, client: u64) {
        host().tasks.push(Task::UserChanged(*self, client));
    }

    fn changed_just_now(self: Box<Self>, client: u64) {
        self.call(client);
    }
}

impl UserChange {
    fn tell(&self, client: u64, state: &mut State, shared: &Shared) {
        let mut session = Session::internal(Mode::MODULE, 0);
        in_unit(state, shared, &mut session, None, |ctx| {
            crash::next_is("user change callback");
            ModuleCtx::with(&self.module, ctx, None, |_| {}, |_| self.call(client));
        });
    }

    /// Calls the module, if it is still there. The exclusive lock is held.
    fn call(&self, client: u64) {
        let is_alive = self.module.alive.load(Ordering::Acquire);
        if let Some(callback) = self.callback.filter(|_| is_alive) {
            // SAFETY: the module is alive, and cannot be unloaded while the lock is held.
            #[expect(unsafe_code, reason = "calls a module")]
            unsafe {
                callback(client, self.data.0);
            }
        }
    }
}

/// Something that a module wants to be called for once, by the main thread.
#[derive(Clone, Debug)]
pub struct OneShot {
    /// Whose it is, if it was asked for while code of a module ran.
    pub module: Option<Arc<Module>>,
    /// What is called.
    pub callback: abi::EventLoopOneShotFunc,
    /// With what.
    pub data: Foreign,
}

impl OneShot {
    fn run(&self, state: &mut State, shared: &Shared) {
        let Some(callback) = self.callback else { return };
        if self.module.as_ref().is_some_and(|module| !module.alive.load(Ordering::Acquire)) {
            return;
        }
        let mut session = Session::internal(Mode::MODULE, 0);
        in_unit(state, shared, &mut session, None, |ctx| {
            crash::next_is("one-shot callback");
            crash::within(self.module.as_ref(), std::ptr::null(), || {
                // SAFETY: the module is alive; it gets back what it handed over, once.
                #[expect(unsafe_code, reason = "calls a module")]
                with_engine(ctx, || unsafe { callback(self.data.0) });
            });
        });
    }
}

/// What happens when a time has come.
#[derive(Clone, Debug)]
enum Alarm {
    Timer(Timer),
    Timeout(Arc<Blocked>),
    Promise(Arc<Promise>),
}

/// Something to do at once.
#[derive(Clone, Debug)]
enum Task {
    Unblock(Arc<Blocked>),
    Disconnected(Arc<Blocked>),
    UserChanged(UserChange, u64),
    OneShot(OneShot),
    ChildEnded(Arc<Child>, End),
    Promise(Arc<Promise>),
    ClientChanged(Arc<Client>, Change),
    Alarm(Alarm),
}

/// The work that waits for the main thread.
#[derive(Debug)]
pub struct Tasks {
    origin: Instant,
    queue: Mutex<VecDeque<Task>>,
    /// By the time they are due, in microseconds since `origin`, made unique: that is their identity.
    alarms: Mutex<BTreeMap<u64, Alarm>>,
}

impl Default for Tasks {
    fn default() -> Self {
        Self { origin: Instant::now(), queue: Mutex::default(), alarms: Mutex::default() }
    }
}

impl Tasks {
    /// Has a client unblocked.
    pub fn unblock(&self, blocked: Arc<Blocked>) {
        self.push(Task::Unblock(blocked));
    }

    /// Has a module told that its blocked client is gone.
    pub fn disconnected(&self, blocked: Arc<Blocked>) {
        self.push(Task::Disconnected(blocked));
    }

    /// Has a module told that its child has ended.
    pub fn child_ended(&self, child: Arc<Child>, end: End) {
        self.push(Task::ChildEnded(child, end));
    }

    /// Has a module called once.
    pub fn add_one_shot(&self, one_shot: OneShot) {
        self.push(Task::OneShot(one_shot));
    }

    /// Has a module told of the reply that it was promised.
    pub fn keep_promise(&self, promise: Arc<Promise>) {
        self.push(Task::Promise(promise));
    }

    fn push(&self, task: Task) {
        self.queue.lock().push_back(task);
        wake();
    }

    /// Starts a timer; its identity, which is never 0.
    pub fn start_timer(&self, after: Duration, timer: Timer) -> u64 {
        self.start(after, Alarm::Timer(timer))
    }

    /// Has the timeout of a blocked client run; the identity of its timer.
    pub fn start_timeout(&self, after: Duration, blocked: Arc<Blocked>) -> u64 {
        self.start(after, Alarm::Timeout(blocked))
    }

    /// Has the time of a promise end; the identity of its timer.
    pub fn start_promise(&self, after: Duration, promise: Arc<Promise>) -> u64 {
        self.start(after, Alarm::Promise(promise))
    }

    fn start(&self, after: Duration, alarm: Alarm) -> u64 {
        let after = u64::try_from(after.as_micros()).unwrap_or(u64::MAX / 2);
        let mut id = self.now_us().saturating_add(after).max(1);
        {
            let mut alarms = self.alarms.lock();
            while alarms.contains_key(&id) {
                id += 1;
            }
            alarms.insert(id, alarm);
        }
        wake();
        id
    }

    /// Stops a timer of this module; what it would have handed over.
    pub fn stop_timer(&self, id: u64, module: &Arc<Module>) -> Option<Foreign> {
        let mut alarms = self.alarms.lock();
        let data = match alarms.get(&id) {
            Some(Alarm::Timer(timer)) if Arc::ptr_eq(&timer.module, module) => timer.data,
            _ => return None,
        };
        alarms.remove(&id);
        Some(data)
    }

    /// How long a timer of this module has still to go, and what it will hand over.
    pub fn timer(&self, id: u64, module: &Arc<Module>) -> Option<(Duration, Foreign)> {
        match self.alarms.lock().get(&id) {
            Some(Alarm::Timer(timer)) if Arc::ptr_eq(&timer.module, module) => {
                let left = Duration::from_micros(id.saturating_sub(self.now_us()));
                Some((left, timer.data))
            }
            _ => None,
        }
    }

    /// Forgets the timeout of a blocked client.
    pub fn stop_timeout(&self, id: u64) {
        self.alarms.lock().remove(&id);
    }

    /// Whether a module has a timer that runs.
    pub fn has_timer(&self, module: &Arc<Module>) -> bool {
        let is_its = |alarm: &Alarm| matches!(alarm, Alarm::Timer(timer) if Arc::ptr_eq(&timer.module, module));
        self.alarms.lock().values().any(is_its)
    }

    /// Drops the timers of a module.
    pub fn forget(&self, module: &Arc<Module>) {
        let is_its = |alarm: &Alarm| matches!(alarm, Alarm::Timer(timer) if Arc::ptr_eq(&timer.module, module));
        self.alarms.lock().retain(|_, alarm| !is_its(alarm));
    }

    fn now_us(&self) -> u64 {
        self.origin.elapsed().as_micros() as u64
    }

    fn take_due(&self) -> Option<Task> {
        if let Some(task) = self.queue.lock().pop_front() {
            return Some(task);
        }
        let mut alarms = self.alarms.lock();
        let first = alarms.first_entry().filter(|first| *first.key() <= self.now_us())?;
        Some(Task::Alarm(first.remove()))
    }

    /// How long until something is due; None if nothing waits.
    fn until_next(&self) -> Option<Duration> {
        if !self.queue.lock().is_empty() {
            return Some(Duration::ZERO);
        }
        let first = *self.alarms.lock().first_key_value()?.0;
        Some(Duration::from_micros(first.saturating_sub(self.now_us())))
    }
}

fn wake() {
    if let Some(engine) = host().engine.get() {
        engine.shared.host.wake_modules();
    }
}

/// Runs what is due, on the main thread. Says how long until it should be called again; None if only
/// when it is woken.
pub fn run_due(engine: &Engine) -> Option<Duration> {
    let tasks = &host().tasks;
    if tasks.until_next()? > Duration::ZERO {
        return tasks.until_next();
    }
    let Ok(mut state) = engine.write() else { return Some(BUSY_RETRY) };
    for _ in 0..TASKS_PER_HOLD {
        let Some(task) = tasks.take_due() else { break };
        match task {
            Task::Unblock(blocked) => blocked.finish(&mut state, &engine.shared),
            Task::Disconnected(blocked) => blocked.disconnected(&mut state, &engine.shared),
            Task::ClientChanged(client, change) => {
                tell_of_client(&mut state, &engine.shared, &client, change);
            }
            Task::UserChanged(change, client) => change.tell(client, &mut state, &engine.shared),
            Task::ChildEnded(child, end) => child.tell(end, &mut state, &engine.shared),
            Task::OneShot(one_shot) => one_shot.run(&mut state, &engine.shared),
            Task::Alarm(Alarm::Timeout(blocked)) => {
                blocked.time_out(&mut state, &engine.shared);
            }
            Task::Promise(promise) => promise.keep(&mut state, &engine.shared),
            Task::Alarm(Alarm::Promise(promise)) => promise.time_out(&mut state, &engine.shared),
            Task::Alarm(Alarm::Timer(timer)) => fire(&timer, &mut state, &engine.shared),
        }
    }
    turn(&mut state, &engine.shared);
    drop(state);
    tasks.until_next()
}

/// Tells modules that a turn of an event loop is over, if one wants to know. Several threads have loops, none of which
/// may sleep while another works, so that going to sleep and waking up are told as one.
pub fn turn(state: &mut State, shared: &Shared) {
    if !shared.attached.has_turns() {
        return;
    }
    let mut session = Session::internal(Mode::MODULE, 0);
    in_unit(state, shared, &mut session, None, |ctx| {
        for sub in [abi::SUBEVENT_EVENTLOOP_BEFORE_SLEEP, abi::SUBEVENT_EVENTLOOP_AFTER_SLEEP] {
            server_events::server(ctx, abi::EVENT_EVENTLOOP, sub, std::ptr::null_mut());
        }
    });
}

/// Tells modules that listen of a client that has come or goes; to be called where no lock is held. If a script keeps
/// the engine they hear of it when that is over.
pub fn client_changed(engine: &Engine, client: &Arc<Client>, change: Change) {
    if !engine.shared.heard.hears(Topics::CLIENTS) {
        return;
    }
    match engine.write() {
        Ok(mut state) => tell_of_client(&mut state, &engine.shared, client, change),
        Err(Busy) => host().tasks.push(Task::ClientChanged(Arc::clone(client), change)),
    }
}

fn tell_of_client(state: &mut State, shared: &Shared, client: &Arc<Client>, change: Change) {
    let Some(hooks) = state.hooks.clone() else { return };
    let mut session = Session::internal(Mode::MODULE, 0);
    in_unit(state, shared, &mut session, Some(client), |ctx| {
        hooks.server_event(ctx, ServerEvent::Client(client, change));
    });
}

fn fire(timer: &Timer, state: &mut State, shared: &Shared) {
    let Some(callback) = timer.callback else { return };
    let mut session = Session::internal(Mode::MODULE, timer.db);
    in_unit(state, shared, &mut session, None, |ctx| {
        crash::next_is("timer");
        ModuleCtx::with(
            &timer.module,
            ctx,
            None,
            |_| {},
            |handle| {
                // SAFETY: the module is alive, since those with timers are not unloaded; the context lives
                // during the call.
                #[expect(unsafe_code, reason = "calls a module")]
                unsafe {
                    callback(handle, timer.data.0);
                }
            },
        );
    });
}

/// Runs `f` as an execution unit of the server's own.
pub fn in_unit(
    state: &mut State,
    shared: &Shared,
    session: &mut Session,
    client: Option<&Arc<Client>>,
    f: impl FnOnce(&mut ExclusiveCtx<'_>),
) {
    let now_us = (shared.clock.unix_us)();
    let env = Env { shared, stats: &shared.workers[0], worker: 0, client, now_us };
    let mut unit = Unit::default();
    f(&mut ExclusiveCtx { state, session, unit: &mut unit, env });
    finish_unit(state, &mut unit, env);
}

/// Ends a unit that no command of a client began: its changes count, its records enter the log.
pub fn finish_unit(state: &mut State, unit: &mut Unit, env: Env<'_>) {
    let mut call = std::mem::take(&mut unit.call);
    state.dirty += call.dirty;
    unit.records.append(&mut call.records);
    end_unit(&mut Access::Exclusive(state), unit, env);
}
